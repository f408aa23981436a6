//! What would be decided and why, without doing it.

use std::fmt;
use std::net::IpAddr;

use crate::decide::{Meets, Surroundings};
use crate::decision::{Decision, Reason, Verdict};
use crate::host::Host;
use crate::request::{Ask, Who};
use crate::rules::{Mode, Rules};
use crate::source::Place;
use crate::tables::Item;

/// What would happen to a request. `Display` is what `explain` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was asked.
    pub ask: Ask,
    /// Who asked.
    pub who: Option<String>,
    /// What becomes of it, on the name and on each address.
    pub verdict: Verdict,
    /// Why, as a sentence, with the place of the entry that decided.
    pub why: String,
    /// Each entry that means the host.
    pub entries: Vec<Meant>,
    /// Each address, and what becomes of it.
    pub addresses: Vec<(IpAddr, Verdict, String)>,
    /// What the file lacks for it to be allowed.
    pub missing: Option<String>,
}

/// An entry that means a host, and whether it counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// As it stands in the file.
    pub text: String,
    /// Where.
    pub place: Place,
    /// `allow`, `deny`.
    pub list: &'static str,
    /// Why it did not count; none if it did.
    pub but: Option<&'static str>,
}

impl Rules {
    /// What would be decided about `ask` of `who`. `addresses` are what the name is known to lead to; of a literal, it is
    /// itself.
    pub fn explain(&self, who: Who, ask: &Ask, addresses: &[IpAddr]) -> Explanation {
        self.explain_under(self.mode, who, ask, addresses)
    }

    pub(crate) fn explain_under(&self, mode: Mode, who: Who, ask: &Ask, addresses: &[IpAddr]) -> Explanation {
        let request = ask.request();
        let decision = self.decide_under(mode, who, &request);
        let literal = match request.host {
            Host::Address(address) => Some(address),
            Host::Name(_) => None,
        };
        let mut told = vec![decision];
        for address in addresses.iter().copied().chain(literal) {
            told.push(self.decide_address_under(mode, who, &request, address, Surroundings::default()));
        }
        // The worst decides, of equals the first: every address must pass, and it is not known which will be dialled.
        let worst = told.iter().rev().max_by_key(|decision| severity(decision)).unwrap_or(&decision);
        let addresses =
            told.iter().filter_map(|decision| Some((decision.address?, decision.verdict(), why(decision)))).collect();
        let missing = worst.denial().and_then(|denial| denial.missing);
        Explanation {
            who: self.name_of(who).map(str::to_owned),
            verdict: worst.verdict(),
            why: why(worst),
            entries: self.meant(who, ask),
            addresses,
            missing: missing.map(|missing| format!("{} = [\"{}\"]", missing.key, missing.entry)),
            ask: ask.clone(),
        }
    }

    fn meant(&self, who: Who, ask: &Ask) -> Vec<Meant> {
        let request = ask.request();
        let mut items: Vec<Item> = Vec::new();
        match request.host {
            Host::Name(name) => self.names.visit(name, |item| items.push(*item)),
            Host::Address(address) => {
                self.ranges.visit(address.to_canonical(), |_, found| items.extend_from_slice(found));
            }
        }
        items.sort_unstable_by_key(|item| item.entry);
        let show = |item: &Item| {
            let (listed, rule) = (self.listed(item.entry)?, self.rule(item.rule)?);
            let denies = listed.list == crate::entry::List::Deny;
            let but = match rule.sees(who, &request) {
                _ if !item.ports.contain(request.port) => Some("for other ports"),
                Meets::Yes => None,
                Meets::Who => Some("for other users"),
                Meets::Method => Some("for other methods"),
                Meets::Path => Some("for other paths"),
                Meets::Hidden if denies => None,
                Meets::Hidden => Some("for methods or paths that cannot be seen here"),
            };
            Some(Meant {
                text: self.sources.text(listed.span).trim_matches(['"', '\'']).to_owned(),
                place: self.sources.place(listed.span),
                list: if denies { "deny" } else { "allow" },
                but,
            })
        };
        items.iter().filter_map(show).collect()
    }
}

impl Explanation {
    /// The reason in one sentence, with the entries that did not count.
    pub(crate) fn because(&self) -> String {
        let others = self.entries.iter().filter_map(|entry| {
            entry.but.map(|but| format!("; {} \"{}\" at {} is {but}", entry.list, entry.text, entry.place))
        });
        format!("{}{}", self.why, others.collect::<String>())
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Allowed => "allowed",
            Verdict::Reported => "reported (it passes, and enforce would deny it)",
            Verdict::Denied => "denied",
        };
        writeln!(f, "{} as {}: {verdict}", self.ask, self.who.as_deref().unwrap_or("somebody without a name"))?;
        writeln!(f, "  because {}", self.why)?;
        for entry in &self.entries {
            write!(f, "  {} \"{}\" at {}", entry.list, entry.text, entry.place)?;
            match entry.but {
                Some(but) => writeln!(f, " is {but}")?,
                None => writeln!(f, " fits")?,
            }
        }
        for (address, verdict, why) in &self.addresses {
            writeln!(f, "  address {address}: {}: {why}", format!("{verdict:?}").to_ascii_lowercase())?;
        }
        match &self.missing {
            Some(missing) => writeln!(f, "  to permit it, add: {missing}"),
            None => Ok(()),
        }
    }
}

fn severity(decision: &Decision<'_>) -> u8 {
    match decision.verdict() {
        Verdict::Allowed => 0,
        Verdict::Reported => 1,
        Verdict::Denied => 2,
    }
}

fn why(decision: &Decision<'_>) -> String {
    let place = decision.place().map(|place| format!(" ({place})")).unwrap_or_default();
    match decision.reason() {
        Reason::Open => "the mode is open".to_owned(),
        Reason::Allowed => format!("\"{}\" allows it{place}", decision.entry().unwrap_or_default()),
        Reason::Passes => "nothing denies it".to_owned(),
        _ => format!("{}{place}", decision.denial().map(|denial| denial.sentence).unwrap_or_default()),
    }
}
