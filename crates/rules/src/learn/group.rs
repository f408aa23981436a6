//! Hosts to entries: those with one owner become a suffix.

use std::collections::{BTreeMap, BTreeSet};

use super::Needed;
use crate::host::Host;

/// The entries for all hosts of one user, sorted.
pub(super) fn entries(needed: &Needed, fold: usize) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (port, hosts) in needed {
        for host in together(hosts, fold) {
            found.insert(match (port, address(&host)) {
                (80, Some(address)) => address,
                (80, None) => host,
                (port, _) => format!("{host}:{port}"),
            });
        }
    }
    found.into_iter().collect()
}

/// The host of an IPv6 literal without its brackets: alone, it is read as well.
fn address(host: &str) -> Option<String> {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).map(str::to_owned)
}

fn together(hosts: &BTreeSet<String>, fold: usize) -> Vec<String> {
    let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut found = Vec::new();
    for host in hosts {
        match owner(host) {
            Some(owner) => owners.entry(owner).or_default().push(host),
            None => found.push(host.clone()),
        }
    }
    for (owner, hosts) in owners {
        if fold == 0 || hosts.len() < fold {
            found.extend(hosts.into_iter().map(str::to_owned));
        } else {
            found.push(suffix(owner, &hosts));
        }
    }
    found
}

/// The longest name that all of them are or are below.
fn suffix(owner: &str, hosts: &[&str]) -> String {
    let mut common = owner;
    let first = hosts.first().copied().unwrap_or(owner);
    // From the owner down: one more label for as long as all have it.
    for (at, _) in first.rmatch_indices('.').chain(std::iter::once((0, ""))) {
        let longer = if at == 0 { first } else { first.get(at.saturating_add(1)..).unwrap_or(first) };
        let all = hosts.iter().all(|host| *host == longer || crate::entry::is_below(host, longer));
        if longer.len() > common.len() && all {
            common = longer;
        }
    }
    if hosts.contains(&common) { format!(".{common}") } else { format!("*.{common}") }
}

/// The name that somebody registered (`github.com` of `api.github.com`); none of addresses, of public suffixes, and of names
/// that no registry is known for, whose owners cannot be told.
fn owner(host: &str) -> Option<&str> {
    if !matches!(Host::read(host), Ok(Host::Name(_))) || !psl::suffix(host.as_bytes())?.is_known() {
        return None;
    }
    psl::domain_str(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(hosts: &[&str], fold: usize) -> Vec<String> {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        entries(&BTreeMap::from([(80, hosts)]), fold)
    }

    #[test]
    fn suffixes_of_one_owner() {
        assert_eq!(of(&["a.x.org", "b.x.org", "c.x.org"], 3), ["*.x.org"]);
        assert_eq!(of(&["x.org", "b.x.org", "c.x.org"], 3), [".x.org"]);
        assert_eq!(of(&["a.b.x.org", "c.b.x.org", "d.e.b.x.org"], 3), ["*.b.x.org"]);
        assert_eq!(of(&["a.x.org", "b.x.org"], 3), ["a.x.org", "b.x.org"]);
        assert_eq!(of(&["a.x.org", "b.x.org", "c.x.org"], 0), ["a.x.org", "b.x.org", "c.x.org"]);
        // Each of these belongs to somebody else.
        assert_eq!(
            of(&["a.github.io", "b.github.io", "c.github.io"], 3),
            ["a.github.io", "b.github.io", "c.github.io"]
        );
        assert_eq!(of(&["a.co.uk", "b.co.uk", "c.co.uk"], 1), [".a.co.uk", ".b.co.uk", ".c.co.uk"]);
        assert_eq!(of(&["a.corp", "b.corp", "c.corp"], 1), ["a.corp", "b.corp", "c.corp"]);
        assert_eq!(of(&["10.0.0.1", "[2001:db8::1]"], 1), ["10.0.0.1", "2001:db8::1"]);
    }
}
