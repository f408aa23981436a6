//! IPv4 addresses that IPv6 addresses lead to: by translation, by a tunnel, or as another spelling.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

/// An IPv4 address inside an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) v4: Ipv4Addr,
    /// Bits of the IPv6 address before the IPv4 address begins.
    pub(crate) offset: u8,
}

/// The lengths that a NAT64 prefix can have (RFC 6052 §2.2).
pub(crate) const LENGTHS: [u8; 6] = [32, 40, 48, 56, 64, 96];

/// Most that one address carries: NAT64 has six layouts, a prefix may be known besides, and the interface part be ISATAP's.
const MOST: usize = 8;

/// The IPv4 addresses that `address` may lead to, if it is an IPv6 address that carries some: a gateway, a relay or this
/// machine's own kernel goes on to that one. One that merely maps an IPv4 address is that address: call this with what
/// `to_canonical` returns.
pub fn carried(address: IpAddr) -> impl Iterator<Item = Ipv4Addr> {
    Carries::of(address, &[]).list.into_iter().flatten().map(|carried| carried.v4)
}

/// What an address carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Carries {
    list: [Option<Carried>; MOST],
}

impl Carries {
    /// All that `address` may lead to; `nat64` are the prefixes of the network itself. One that merely maps an IPv4 address is
    /// that address, and must have been made canonical.
    pub(crate) fn of(address: IpAddr, nat64: &[Ipv6Net]) -> Self {
        let mut found = Self { list: [None; MOST] };
        let IpAddr::V6(v6) = address else { return found };
        found.spelling(v6);
        found.tunnel(v6);
        if let Some(net) = nat64.iter().filter(|net| net.contains(&v6)).max_by_key(|net| net.prefix_len()) {
            found.put(translated(v6, net.prefix_len()));
        }
        found.well_known(v6);
        found
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Carried> {
        self.list.iter().flatten().copied()
    }

    /// IPv4-compatible (RFC 4291 §2.5.5.1) and IPv4-translated (RFC 2765 §2.1).
    fn spelling(&mut self, v6: Ipv6Addr) {
        match v6.segments() {
            // `::` and `::1` mean themselves.
            [0, 0, 0, 0, 0, 0, 0, 0 | 1] => {}
            [0, 0, 0, 0, 0, 0, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => self.put(last(v6)),
            _ => {}
        }
    }

    /// 6to4 (RFC 3056 §2), Teredo with its server and its client (RFC 4380 §4), ISATAP (RFC 5214 §6.1).
    fn tunnel(&mut self, v6: Ipv6Addr) {
        let [_, _, a, b, c, d, ..] = v6.octets();
        let [_, _, _, _, e, f, g, h, ..] = v6.octets();
        match v6.segments() {
            [0x2002, ..] => self.put(Carried { v4: Ipv4Addr::new(a, b, c, d), offset: 16 }),
            [0x2001, 0, ..] => {
                self.put(Carried { v4: Ipv4Addr::new(e, f, g, h), offset: 32 });
                let client = last(v6);
                self.put(Carried { v4: Ipv4Addr::from_bits(!client.v4.to_bits()), ..client });
            }
            [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => self.put(last(v6)),
            _ => {}
        }
    }

    /// NAT64's own prefix, which has one layout, and what is around it, where an operator may use any (RFC 8215 §3).
    ///
    /// Nobody can tell which layout is in use, so each is looked at, whatever stands in the bits behind it: what is harmless in
    /// one leads into a private network in another. Bits that one layout leaves empty are 0.0.0.0/8 in another, so that counts
    /// only where no layout says more.
    fn well_known(&mut self, v6: Ipv6Addr) {
        match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, _, _] => self.put(last(v6)),
            [0x64, 0xff9b, ..] => {
                // The two shortest have a 0 or 1 in front there, which leads nowhere.
                let in_local = v6.segments().get(2) == Some(&1);
                let lengths = LENGTHS.into_iter().filter(|length| !in_local || *length >= 48);
                let all = lengths.map(|length| translated(v6, length));
                let told = all.filter(|carried| !is_zero_net(carried.v4));
                let before = self.iter().count();
                told.for_each(|carried| self.put(carried));
                if self.iter().count() == before {
                    self.put(last(v6));
                }
            }
            _ => {}
        }
    }

    fn put(&mut self, carried: Carried) {
        if let Some(free) = self.list.iter_mut().find(|place| place.is_none()) {
            *free = Some(carried);
        }
    }
}

/// The address in a NAT64 address with a prefix of this length: bits 64 to 71 are passed over (RFC 6052 §2.2).
fn translated(v6: Ipv6Addr, length: u8) -> Carried {
    let bytes = v6.octets();
    let first = usize::from(length / 8);
    let mut rest = bytes.iter().enumerate().skip(first).filter(|(i, _)| *i != 8 || length == 96).map(|(_, byte)| *byte);
    let mut next = || rest.next().unwrap_or_default();
    Carried { v4: Ipv4Addr::new(next(), next(), next(), next()), offset: length }
}

fn last(v6: Ipv6Addr) -> Carried {
    let [.., a, b, c, d] = v6.octets();
    Carried { v4: Ipv4Addr::new(a, b, c, d), offset: 96 }
}

fn is_zero_net(v4: Ipv4Addr) -> bool {
    let [first, ..] = v4.octets();
    first == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(address: &str, nat64: &[&str]) -> Vec<String> {
        let nat64: Vec<Ipv6Net> = nat64.iter().map(|net| net.parse().unwrap()).collect();
        Carries::of(address.parse().unwrap(), &nat64).iter().map(|carried| carried.v4.to_string()).collect()
    }

    /// The table of RFC 6052 §2.4.
    #[test]
    fn every_layout_of_rfc_6052() {
        for (net, address) in [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::c000:221"),
        ] {
            assert_eq!(carried(address, &[net]), ["192.0.2.33"], "{net}");
            assert!(carried(address, &[]).is_empty(), "{net}");
        }
    }

    #[test]
    fn spellings_and_tunnels() {
        for (address, v4) in [
            ("::10.0.0.1", "10.0.0.1"),
            ("::ffff:0:10.0.0.1", "10.0.0.1"),
            ("64:ff9b::10.0.0.1", "10.0.0.1"),
            ("2002:a00:1::", "10.0.0.1"),
            ("2001:db8::5efe:10.0.0.1", "10.0.0.1"),
            ("2001:db8::200:5efe:10.0.0.1", "10.0.0.1"),
            ("64:ff9b:1::10.0.0.1", "10.0.0.1"),
            ("64:ff9b:1:a00:0:100::", "10.0.0.1"),
            ("64:ff9b:1:a:0:1::", "10.0.0.1"),
            ("64:ff9b:1:0:a:0:100:0", "10.0.0.1"),
            ("64:ff9b:a00:1::", "10.0.0.1"),
            ("64:ff9b:a:0:1::", "10.0.0.1"),
            // Bits that the layout ignores cannot hide what it carries.
            ("64:ff9b:1:a00:0:100:808:808", "10.0.0.1"),
        ] {
            assert!(carried(address, &[]).iter().any(|found| found == v4), "{address}: {:?}", carried(address, &[]));
        }
        assert_eq!(carried("2001:0:4136:e378:8000:63bf:f5ff:fffe", &[]), ["65.54.227.120", "10.0.0.1"]);
        for address in ["::", "::1", "2606:4700::1111", "2001:db8::1", "fe80::1"] {
            assert!(carried(address, &[]).is_empty(), "{address}");
        }
    }

    fn found(address: &str) -> Vec<String> {
        super::carried(address.parse().unwrap()).map(|v4| v4.to_string()).collect()
    }

    #[test]
    fn an_address_carries_what_a_gateway_finds_in_it() {
        for (address, v4) in [
            ("::192.0.2.33", "192.0.2.33"),
            ("::ffff:0:192.0.2.33", "192.0.2.33"),
            ("64:ff9b::192.0.2.33", "192.0.2.33"),
            ("2002:c000:221::1", "192.0.2.33"),
            ("2001:db8::5efe:c000:221", "192.0.2.33"),
            ("fe80::200:5efe:192.0.2.33", "192.0.2.33"),
        ] {
            assert_eq!(found(address), [v4], "{address}");
        }
        // RFC 4380 §4 has this example.
        assert_eq!(found("2001:0:4136:e378:8000:63bf:3fff:fdd2"), ["65.54.227.120", "192.0.2.45"]);
        for address in ["::", "::1", "2001:db8::192.0.2.33", "2001:1::1", "fd00::1", "192.0.2.33", "64:ff9a::1"] {
            assert!(found(address).is_empty(), "{address}");
        }
    }

    /// The table of RFC 6052 §2.4, under 64:ff9b:1::/48 and what is around it.
    #[test]
    fn every_layout_of_nat64_is_read() {
        for address in [
            "64:ff9b:c000:221::",
            "64:ff9b:1c0:2:21::",
            "64:ff9b:1:c000:2:2100::",
            "64:ff9b:1:c0:0:221::",
            "64:ff9b:1:0:c0:2:2100::",
            "64:ff9b:1::192.0.2.33",
            // The bits behind it say nothing.
            "64:ff9b:1:c000:2:21ff:ffff:ffff",
            "64:ff9b:1:77:c0:2:2101:203",
        ] {
            assert!(found(address).contains(&"192.0.2.33".to_owned()), "{address}: {:?}", found(address));
        }
        assert_eq!(found("64:ff9b::0.0.0.0"), ["0.0.0.0"]);
        assert!(found("64:ff9b:1:808:8:800::").iter().all(|v4| !v4.starts_with("0.")));
    }
}
