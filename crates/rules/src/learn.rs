//! From what a log saw to the smallest list that allows it.

mod group;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::decide::Surroundings;
use crate::decision::Reason;
use crate::entry::Entry;
use crate::host::Host;
use crate::request::{Request, Who};
use crate::rules::Rules;

pub use write::CannotWrite;

/// A request that a log saw.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Who asked, if a name was shown.
    pub who: Option<String>,
    /// The method; CONNECT for a tunnel.
    pub method: String,
    /// The host as the request had it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query; none for a tunnel.
    pub path: Option<String>,
    /// The address that was dialled.
    pub address: Option<IpAddr>,
}

/// What is to be added to a file, and what is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Entries of `allow`, by who needs them; those of whoever has no name stand at the top of the file, for all.
    pub allow: BTreeMap<Option<String>, Vec<String>>,
    /// Entries of `private`: guarded addresses that were dialled. Look at each of them twice.
    pub private: Vec<String>,
    /// What no entry can allow, and why, as sentences.
    pub left_out: Vec<String>,
}

/// Hosts that one user needs, by port.
type Needed = BTreeMap<u16, BTreeSet<String>>;

impl Rules {
    /// The smallest list that, with these rules, allows all of `log` under `enforce`. What an entry denies stays denied.
    ///
    /// Hosts become a suffix, as `.example.com`, where at least `fold` of them are below one name that is not a public
    /// suffix; 0 never does so.
    pub fn learn(&self, log: &[Seen], fold: usize) -> Learnt {
        let mut learnt = Learnt::default();
        let mut found = Found::default();
        let mut denied = Vec::new();
        for seen in log {
            match self.need(seen, &found) {
                Err(Cannot::Address(_)) => denied.push(seen),
                need => found.add(seen, need),
            }
        }
        // An address that was learnt is longer than the range that denied it, so it is denied no more.
        for seen in denied {
            let need = self.need(seen, &found);
            found.add(seen, need);
        }
        let Found { needed, private, left_out } = found;
        // What everybody may do, no user needs a rule for.
        let common = needed.get(&None).cloned().unwrap_or_default();
        for (who, mut ports) in needed {
            if who.is_some() {
                for (port, hosts) in &mut ports {
                    hosts.retain(|host| common.get(port).is_none_or(|common| !common.contains(host)));
                }
            }
            let entries = group::entries(&ports, fold);
            if !entries.is_empty() {
                learnt.allow.insert(who, entries);
            }
        }
        learnt.private = private.into_iter().collect();
        learnt.left_out = left_out.into_iter().collect();
        learnt
    }

    /// What one request lacks.
    fn need(&self, seen: &Seen, found: &Found) -> Result<Need, Cannot> {
        let what = || format!("{} {}:{}", seen.method.escape_debug(), seen.host.escape_debug(), seen.port);
        let host = Host::read(&seen.host);
        let host = host.map_err(|why| Cannot::Ever(format!("{} cannot be allowed: {why}", what())))?;
        let who = seen.who.as_deref().map_or(Some(Who::NOBODY), |name| self.who(name)).ok_or_else(|| {
            let name = seen.who.as_deref().unwrap_or_default();
            Cannot::Ever(format!("{} was asked by {}, who is not in [users]", what(), name.escape_debug()))
        })?;
        let path = seen.path.as_deref().map(str::as_bytes);
        let request = Request { method: seen.method.as_bytes(), host, port: seen.port, path };
        let judged = self.judge(who, &request);
        let denied = |by: Option<&str>| format!("{} stays denied by \"{}\"", what(), by.unwrap_or_default());
        if judged.reason == Reason::Denied {
            return Err(Cannot::Ever(denied(self.text_of(judged.entry))));
        }
        // `enforce` will hold, and an `allow` stand in the file, whatever is so now.
        let allow = (judged.reason != Reason::Allowed).then(|| (seen.who.clone(), host.to_string()));
        let literal = match host {
            Host::Address(address) => Some(address),
            Host::Name(_) => None,
        };
        let mut private = Vec::new();
        for address in literal.into_iter().chain(seen.address).map(|address| address.to_canonical()) {
            let decision = self.decide_address(who, &request, address, Surroundings::default());
            if decision.reason() == Reason::Denied && !found.has(seen, address) {
                return Err(Cannot::Address(denied(decision.entry())));
            }
            if self.guards(address, seen.port, false).is_some() {
                private.push(Entry::for_host(&Host::Address(address), seen.port));
            }
        }
        Ok(Need { allow, private })
    }

    fn text_of(&self, entry: Option<u32>) -> Option<&str> {
        let listed = self.listed(entry?)?;
        Some(self.sources.text(listed.span).trim_matches(['"', '\'']))
    }
}

/// A user by name, or nobody.
type Asker = Option<String>;

struct Need {
    allow: Option<(Asker, String)>,
    private: Vec<String>,
}

/// Why nothing is to be added.
enum Cannot {
    Ever(String),
    /// An entry denies the address that was dialled.
    Address(String),
}

/// What has been found so far.
#[derive(Default)]
struct Found {
    needed: BTreeMap<Asker, Needed>,
    private: BTreeSet<String>,
    left_out: BTreeSet<String>,
}

impl Found {
    fn add(&mut self, seen: &Seen, need: Result<Need, Cannot>) {
        match need {
            Ok(need) => {
                if let Some((who, host)) = need.allow {
                    self.needed.entry(who).or_default().entry(web(seen.port)).or_default().insert(host);
                }
                self.private.extend(need.private);
            }
            Err(Cannot::Ever(why) | Cannot::Address(why)) => {
                self.left_out.insert(why);
            }
        }
    }

    /// Whether an entry for this very address is to be added, for everybody or for who asked.
    fn has(&self, seen: &Seen, address: IpAddr) -> bool {
        let text = Host::Address(address).to_string();
        let of = |who: &Asker| self.needed.get(who).and_then(|ports| ports.get(&web(seen.port)));
        [&None, &seen.who].into_iter().any(|who| of(who).is_some_and(|hosts| hosts.contains(&text)))
    }
}

/// 80 and 443 are one, as they are without a port.
fn web(port: u16) -> u16 {
    if port == 443 { 80 } else { port }
}
