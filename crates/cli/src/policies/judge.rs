//! The rules of `--config`: the one decision about http, CONNECT, Upgrade and reverse, on the name before it is looked up and on
//! each address before it is dialled.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sluicegate::{Client, Fault, Policy, Request, Response, Route, Verdict};
use sluicegate_http1::Target;
use sluicegate_rules::{Denial, Host, Mode, Surroundings};

use crate::egress::{Egress, Judged, asked, dialled};
use crate::rules::Rules;

/// Who may go where, by the files.
pub(crate) struct Judge {
    pub(super) egress: Arc<Egress>,
    /// Knows which addresses are this machine's own, and who comes from elsewhere.
    pub(super) addresses: Arc<Rules>,
    pub(super) is_reverse: bool,
    /// Somebody wants to know what was decided.
    pub(super) is_logged: bool,
}

impl Policy for Judge {
    async fn admit(&self, request: &mut Request<'_>, client: &Client) -> Verdict {
        // A path alone leads nowhere, but through a reverse proxy.
        if !self.is_reverse && matches!(request.target(), Target::Origin(_) | Target::Asterisk) {
            return Route::target().into();
        }
        match self.decide(request, client) {
            Ok(None) => Route::target().into(),
            Ok(Some(denial)) => answer(&denial, wants_json(request)).into(),
            Err(_) => Response::new(503, "503: the proxy cannot tell now whether the address is its own; try again.\n")
                .field("Retry-After", "1")
                .into(),
        }
    }

    fn address(&self, client: &Client, address: SocketAddr) -> Result<(), Fault> {
        let rules = self.egress.rules();
        let around = self.around(rules.mode(), client, address.ip()).map_err(|_| Fault::Capacity)?;
        let who = rules.who_at(client.address.ip());
        let decision = rules.decide_address(who, &dialled(address.ip(), address.port()), address.ip(), around);
        match decision.denial() {
            Some(denial) if !decision.passes() => Err(Fault::Denied(told(&denial))),
            _ => Ok(()),
        }
    }

    fn records(&self) -> bool {
        false
    }
}

impl Judge {
    /// What to tell the client, if it may not.
    fn decide(&self, request: &mut Request<'_>, client: &Client) -> std::io::Result<Option<Denial>> {
        let rules = self.egress.rules();
        let who = rules.who_at(client.address.ip());
        let asked = asked(request);
        let mut decision = rules.decide(who, &asked);
        // What was written as an address is known already, so that its denial comes with all that there is to tell. It is judged
        // once more when it is dialled.
        if let (Host::Address(address), true, false) = (asked.host, decision.passes(), self.is_reverse) {
            let then = rules.decide_address(who, &asked, address, self.around(rules.mode(), client, address)?);
            if !then.passes() || decision.holds() {
                decision = then;
            }
        }
        if self.is_logged {
            let judged = Judged::new(Arc::clone(&rules), &self.addresses, client, who, &decision);
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

/// The 403: what is missing stands in the status line too, because that is all of an answer to CONNECT that clients show.
fn answer(denial: &Denial, as_json: bool) -> Response {
    let (body, kind) = match as_json {
        true => (denial.json.clone(), "application/json"),
        false => (denial.text.clone(), "text/plain; charset=utf-8"),
    };
    Response::new(403, body)
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
