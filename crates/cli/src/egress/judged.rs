//! What was decided about a request, for the log.

use std::net::SocketAddr;
use std::sync::Arc;

use sluicegate::Client;
use sluicegate_rules::{Decision, Rules, Surroundings, Verdict, Who};

use crate::rules::Rules as Addresses;

/// What becomes of a request, by which rule, and why. It travels with the exchange.
#[derive(Debug)]
pub(crate) struct Judged {
    rules: Arc<Rules>,
    addresses: Arc<Addresses>,
    who: Who,
    /// The client came from elsewhere.
    exposed: bool,
    said: Said,
}

/// The words of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// The user, if a name was shown.
    pub(crate) who: Option<String>,
    /// `allow`, `deny`, or `report`: it passes, and under `enforce` would not.
    pub(crate) decision: &'static str,
    /// The rule's name, or where the entry stands that decided.
    pub(crate) rule: Option<String>,
    pub(crate) reason: &'static str,
}

impl Judged {
    pub(crate) fn new(
        rules: Arc<Rules>,
        addresses: &Arc<Addresses>,
        client: &Client,
        who: Who,
        decision: &Decision<'_>,
    ) -> Self {
        let (addresses, exposed) = (Arc::clone(addresses), addresses.guards(client.listener.ip()));
        Self { who, said: Said::of(decision), addresses, exposed, rules }
    }

    /// What to write down when all is over: `origin` is the address that was reached, `is_denied` that one was refused.
    pub(crate) fn said(&self, origin: Option<SocketAddr>, is_denied: bool) -> Said {
        if is_denied {
            return Said { decision: "deny", rule: None, reason: "address", ..self.said.clone() };
        }
        let Some(origin) = origin.filter(|_| self.said.decision == "allow") else { return self.said.clone() };
        let asked = super::dialled(origin.ip(), origin.port());
        // Who cannot tell whether it is ours takes it for ours.
        let own = self.addresses.is_local(origin.ip().to_canonical()).unwrap_or(true);
        let around = Surroundings { exposed: self.exposed, own };
        let decision = self.rules.decide_address(self.who, &asked, origin.ip(), around);
        if decision.holds() { self.said.clone() } else { Said::of(&decision) }
    }
}

impl Said {
    fn of(decision: &Decision<'_>) -> Self {
        let place =
            || decision.entry().and_then(|_| decision.place()).map(|place| format!("{}:{}", place.file, place.line));
        Self {
            who: decision.who().map(str::to_owned),
            decision: match decision.verdict() {
                Verdict::Allowed => "allow",
                Verdict::Reported => "report",
                Verdict::Denied => "deny",
            },
            rule: decision.rule().or_else(place),
            reason: decision.reason().word(),
        }
    }
}
