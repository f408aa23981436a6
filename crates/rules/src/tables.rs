//! All entries as sets: names by their suffixes, ranges by their prefixes. What a lookup costs depends on the host, not on
//! how many entries there are.

use std::net::IpAddr;

use hashbrown::HashTable;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

use crate::entry::{List, Ports, Scope};

/// An entry in a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    /// Whose it is: 0 is the top of the files.
    pub(crate) rule: u32,
    /// Which it is, in the order of the files.
    pub(crate) entry: u32,
    pub(crate) list: List,
    pub(crate) ports: Ports,
    /// Of a range: exact.
    pub(crate) scope: Scope,
}

/// Names: one probe for each label of a host.
#[derive(Debug, Default)]
pub(crate) struct Names {
    table: HashTable<Named>,
    /// Of `*`.
    all: Vec<Item>,
}

#[derive(Debug)]
struct Named {
    name: Box<str>,
    items: Vec<Item>,
}

/// Ranges of both families.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    v4: PrefixMap<Ipv4Net, Vec<Item>>,
    v6: PrefixMap<Ipv6Net, Vec<Item>>,
}

impl Names {
    /// Puts an entry in under a folded name.
    pub(crate) fn insert(&mut self, name: &str, item: Item) {
        if name.is_empty() {
            self.all.push(item);
            return;
        }
        let hash = Hash::of(name.as_bytes());
        if let Some(named) = self.table.find_mut(hash, |named| *named.name == *name) {
            named.items.push(item);
            return;
        }
        let named = Named { name: name.into(), items: vec![item] };
        self.table.insert_unique(hash, named, |named| Hash::of(named.name.as_bytes()));
    }

    /// Shows each entry that means `name`, in whatever case it is. Nothing is allocated.
    #[inline]
    pub(crate) fn visit(&self, name: &str, mut show: impl FnMut(&Item)) {
        self.all.iter().for_each(&mut show);
        let bytes = name.as_bytes();
        let mut hash = Hash::new();
        for (i, byte) in bytes.iter().enumerate().rev() {
            hash.add(*byte);
            let exact = i == 0;
            if !exact && bytes.get(i.wrapping_sub(1)) != Some(&b'.') {
                continue;
            }
            let Some(suffix) = bytes.get(i..) else { continue };
            let found = self.table.find(hash.finish(), |named| named.name.as_bytes().eq_ignore_ascii_case(suffix));
            if let Some(named) = found {
                named.items.iter().filter(|item| item.scope.covers(exact)).for_each(&mut show);
            }
        }
    }
}

impl Ranges {
    pub(crate) fn insert(&mut self, net: IpNet, item: Item) {
        match net {
            IpNet::V4(net) => self.v4.entry(net.trunc()).or_default().push(item),
            IpNet::V6(net) => self.v6.entry(net.trunc()).or_default().push(item),
        }
    }

    /// Shows the entries of each range that `address` is in, the widest range first. Nothing is allocated.
    #[inline]
    pub(crate) fn visit(&self, address: IpAddr, mut show: impl FnMut(u8, &[Item])) {
        match address {
            IpAddr::V4(v4) => {
                self.v4.cover(&Ipv4Net::from(v4)).for_each(|(net, items)| show(net.prefix_len(), items));
            }
            IpAddr::V6(v6) => {
                self.v6.cover(&Ipv6Net::from(v6)).for_each(|(net, items)| show(net.prefix_len(), items));
            }
        }
    }
}

/// FNV-1a along a name from its end, so that the hash of each suffix is met on the way; spread at the end, because the
/// table takes its places from the low bits and its tags from the high ones.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn of(name: &[u8]) -> u64 {
        let mut hash = Self::new();
        name.iter().rev().for_each(|byte| hash.add(*byte));
        hash.finish()
    }

    #[inline]
    fn add(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3);
    }

    #[inline]
    fn finish(self) -> u64 {
        (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &Names, name: &str) -> Vec<u32> {
        let mut list = Vec::new();
        names.visit(name, |item| list.push(item.entry));
        list.sort_unstable();
        list
    }

    #[test]
    fn one_label_at_a_time() {
        let mut names = Names::default();
        let all = [
            ("x.org", Scope::Exact),
            ("x.org", Scope::Below),
            ("x.org", Scope::Both),
            ("org", Scope::Below),
            ("", Scope::Below),
        ];
        for ((name, scope), entry) in all.into_iter().zip(0..) {
            names.insert(name, Item { rule: 0, entry, list: List::Allow, ports: Ports::Any, scope });
        }
        assert_eq!(found(&names, "x.org"), [0, 2, 3, 4]);
        assert_eq!(found(&names, "X.ORG"), [0, 2, 3, 4]);
        assert_eq!(found(&names, "a.b.x.org"), [1, 2, 3, 4]);
        assert_eq!(found(&names, "ax.org"), [3, 4]);
        assert_eq!(found(&names, "org"), [4]);
        assert_eq!(found(&names, "x.org.example"), [4]);
    }
}
