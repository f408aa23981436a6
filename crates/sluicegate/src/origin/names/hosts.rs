//! hosts(5), read as glibc reads it: all addresses that any line gives a name. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

/// More addresses of one name are passed over.
const MOST: usize = 32;

/// Names in lower case, and their addresses of both families in the order of the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hosts(HashMap<Box<[u8]>, Vec<IpAddr>>);

impl Hosts {
    /// What `text` says. A line without an address or without names says nothing.
    pub(super) fn read(text: &[u8]) -> Self {
        let mut hosts = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
            let mut words = line.split(|byte| byte.is_ascii_whitespace() || *byte == 0x0b).filter(|w| !w.is_empty());
            let address = words.next().and_then(|word| str::from_utf8(word).ok()?.parse::<IpAddr>().ok());
            if let Some(address) = address {
                words.for_each(|name| hosts.add(name, address));
            }
        }
        hosts
    }

    fn add(&mut self, name: &[u8], address: IpAddr) {
        let known = self.0.entry(name.to_ascii_lowercase().into()).or_default();
        if known.len() < MOST && !known.contains(&address) {
            known.push(address);
        }
    }

    /// The addresses of `name`, which is in lower case and as it was typed: a dot at its end is part of it.
    pub(super) fn get(&self, name: &str) -> Option<&[IpAddr]> {
        self.0.get(name.as_bytes()).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_counts_and_nothing_else() {
        let hosts = Hosts::read(
            b"# caf\xe9\n127.0.0.1 localhost Web.Example foo_bar # \xff not-this\n::1\tlocalhost\n\
              127.0.0.1 localhost\n 10.0.0.9  xn--0\r\n300.0.0.1 broken\n010.0.0.1 octal\nnonsense\n10.0.0.1\n10.0.0.2 last",
        );
        let get = |name| hosts.get(name).unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(get("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(get("web.example"), ["127.0.0.1"]);
        assert_eq!(get("foo_bar"), ["127.0.0.1"]);
        assert_eq!(get("xn--0"), ["10.0.0.9"]);
        assert_eq!(get("last"), ["10.0.0.2"]);
        for unknown in ["not-this", "broken", "octal", "nonsense", "last.", "10.0.0.1"] {
            assert_eq!(hosts.get(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_name_has_no_more_addresses_than_anyone_dials() {
        let text: String = (0..200).map(|n| format!("10.0.0.{n} many\n")).collect();
        assert_eq!(Hosts::read(text.as_bytes()).get("many").unwrap().len(), MOST);
    }
}
