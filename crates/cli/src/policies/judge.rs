//! The rules of `--config`: the one decision about http, CONNECT, Upgrade and reverse, on the name before it is looked up and on
//! each address before it is dialled.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sluicegate::{Client, Failure, Fault, Policy, Request, Response, Route, Verdict};
use sluicegate_http1::Target;
use sluicegate_rules::{Denial, Host, LONGEST_PHRASE, Mode, Surroundings, Who};

use crate::egress::{Egress, Judged, Logins, asked, challenges, dialled, has_logins};
use crate::rules::Rules;

/// The first line of a 407, also after a wrong login: the rest of the answer speaks of the rules alone.
const NO_LOGIN: &str =
    "No valid login came with this request; with one (Proxy-Authorization: Basic or Bearer) it may be allowed.";

/// Who may go where, by the files.
pub(crate) struct Judge {
    pub(super) egress: Arc<Egress>,
    /// Knows which addresses are this machine's own, and who comes from elsewhere.
    pub(super) addresses: Arc<Rules>,
    pub(super) is_reverse: bool,
    /// Nobody logs in to a reverse proxy by the fields of a proxy.
    pub(super) logins: Arc<Logins>,
    /// Somebody wants to know what was decided.
    pub(super) is_logged: bool,
}

impl Policy for Judge {
    async fn admit(&self, request: &mut Request<'_>, client: &Client) -> Verdict {
        // A path alone leads nowhere, but through a reverse proxy.
        if !self.is_reverse && matches!(request.target(), Target::Origin(_) | Target::Asterisk) {
            return Route::target().into();
        }
        let rules = self.egress.rules();
        // Boxed: most rules know nobody who could log in.
        let login = match !self.is_reverse && has_logins(&rules) {
            true => Box::pin(self.logins.login(&rules, request, client.address.ip())).await,
            false => None,
        };
        let who = login.unwrap_or_else(|| rules.who_at(client.address.ip()));
        match self.decide(&rules, who, request, client) {
            Ok(None) => Route::target().into(),
            Ok(Some(denial)) => {
                let may_log_in = login.is_none() && !self.is_reverse && rules.login_helps(&asked(request));
                let response = answer(if may_log_in { 407 } else { 403 }, &denial, wants_json(request));
                let challenges = challenges(&rules).filter(|_| may_log_in);
                challenges.fold(response, |response, how| response.field("Proxy-Authenticate", how)).into()
            }
            Err(_) => Response::new(503, "503: the proxy cannot tell now whether the address is its own; try again.\n")
                .field("Retry-After", "1")
                .into(),
        }
    }

    fn address(&self, client: &Client, address: SocketAddr) -> Result<(), Fault> {
        let rules = self.egress.rules();
        let around = self.around(rules.mode(), client, address.ip()).map_err(|_| Fault::Capacity)?;
        // Who has logged in is not known here.
        let who = if has_logins(&rules) { Who::ANYBODY } else { rules.who_at(client.address.ip()) };
        let decision = rules.decide_address(who, &dialled(address.ip(), address.port()), address.ip(), around);
        match decision.denial() {
            Some(denial) if !decision.passes() => Err(Fault::Denied(told(&denial))),
            _ => Ok(()),
        }
    }

    /// An address that a name leads to was denied: the status line says it as it does of a name.
    fn failed(&self, failure: &Failure<'_>, answer: Response) -> Response {
        let Fault::Denied(why) = failure.fault else { return answer };
        let what = why.split(';').next().unwrap_or_default();
        let phrase: String = format!("sluicegate: {what}").chars().take(LONGEST_PHRASE).collect();
        answer.reason(phrase).field("X-Proxy-Error", "blocked-by-policy")
    }

    fn records(&self) -> bool {
        false
    }
}

impl Judge {
    /// What to tell the client, if it may not.
    fn decide(
        &self,
        rules: &Arc<sluicegate_rules::Rules>,
        who: Who,
        request: &mut Request<'_>,
        client: &Client,
    ) -> std::io::Result<Option<Denial>> {
        let asked = asked(request);
        let mut decision = rules.decide(who, &asked);
        // What was written as an address is known already, so that its denial comes with all that there is to tell. It is judged
        // once more when it is dialled.
        if let (Host::Address(address), true, false) = (asked.host, decision.passes(), self.is_reverse) {
            let then = rules.decide_address(who, &asked, address, self.around(rules.mode(), client, address)?);
            // What allows the name is why it goes on; of the address only what speaks against it counts.
            if !then.passes() || decision.holds() && !then.holds() {
                decision = then;
            }
        }
        if self.is_logged {
            let judged = Judged::new(Arc::clone(rules), &self.addresses, client, who, &decision);
            request.extensions().insert(judged);
        }
        Ok(if decision.passes() { None } else { decision.denial() })
    }

    /// Whether the client comes from elsewhere; and whether the address is ours, where that counts.
    fn around(&self, mode: Mode, client: &Client, address: IpAddr) -> std::io::Result<Surroundings> {
        let exposed = self.addresses.guards(client.listener.ip());
        let own = (exposed || mode != Mode::Open) && self.addresses.is_local(address.to_canonical())?;
        Ok(Surroundings { exposed, own })
    }
}

/// The 403 or 407: what is missing stands in the status line too, because that is all of an answer to CONNECT that clients show.
fn answer(status: u16, denial: &Denial, as_json: bool) -> Response {
    let (body, kind) = match as_json {
        true => (denial.json.clone(), "application/json"),
        false if status == 407 => (format!("{NO_LOGIN}\n{}", denial.text), "text/plain; charset=utf-8"),
        false => (denial.text.clone(), "text/plain; charset=utf-8"),
    };
    Response::new(status, body)
        .reason(denial.phrase.clone())
        .field("Content-Type", kind)
        .field("Cache-Control", "no-store")
        .field("X-Proxy-Error", denial.word)
        .field(
            "Proxy-Status",
            format!("sluicegate; error=http_request_denied; details=\"{}\"", quoted(&denial.sentence)),
        )
}

/// As the inside of a string of RFC 8941: it is printable ASCII already.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Whether JSON is among what the client would take, and is named.
fn wants_json(request: &Request<'_>) -> bool {
    let accept = request.fields().filter(|field| field.name.eq_ignore_ascii_case(b"accept"));
    let kinds = accept.flat_map(|field| field.value.split(|byte| *byte == b','));
    let mut names = kinds.map(|kind| kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii());
    names.any(|name| name.eq_ignore_ascii_case(b"application/json"))
}

/// One sentence of a denial of an address, and what would permit it.
fn told(denial: &Denial) -> String {
    match &denial.missing {
        Some(missing) => format!("{}; add \"{}\" to `{}` to permit it", denial.sentence, missing.entry, missing.key),
        None => denial.sentence.clone(),
    }
}
