//! What an address means: itself, and each IPv4 address that some machine on the way may find in it. A gateway, a relay or
//! this machine's own kernel then goes on to that one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an IPv4 address stands in the layouts of RFC 6052 §2.2, for prefixes of 32, 40, 48, 56, 64 and 96 bits. The
/// ninth octet is zero in all but the last, and is stepped over.
const LAYOUTS: [[usize; 4]; 6] =
    [[4, 5, 6, 7], [5, 6, 7, 9], [6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]];

/// The first octets of 64:ff9b::/96 (RFC 6052 §2.1), which knows one layout only.
const WELL_KNOWN: [u8; 12] = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];

/// The IPv4 addresses that `address` may lead to, if it is an IPv6 address that carries some. One that merely maps an
/// IPv4 address is that address: call this with what `to_canonical` returns.
pub(super) fn carried(address: IpAddr) -> impl Iterator<Item = Ipv4Addr> {
    let found = match address {
        IpAddr::V4(_) => [None; 6],
        IpAddr::V6(v6) => carried_by(v6),
    };
    found.into_iter().flatten()
}

fn carried_by(v6: Ipv6Addr) -> [Option<Ipv4Addr>; 6] {
    let octets = v6.octets();
    let at = |places: [usize; 4]| {
        let [a, b, c, d] = places.map(|place| octets.get(place).copied().unwrap_or_default());
        Ipv4Addr::new(a, b, c, d)
    };
    let last = at([12, 13, 14, 15]);
    match v6.segments() {
        // `::` and `::1` mean themselves.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None; 6],
        // IPv4-compatible (RFC 4291 §2.5.5.1) and IPv4-translated (RFC 2765 §2.1).
        [0, 0, 0, 0, 0, 0, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => one(last),
        _ if octets.starts_with(&WELL_KNOWN) => one(last),
        // NAT64 with a prefix of the operator's own length (RFC 8215). Which it is only the gateway knows, so each layout counts,
        // whatever stands in the bits behind it; but for 0.0.0.0/8, which the shorter ones show in most addresses of the longer
        // ones, and which no gateway sends anything to.
        [0x64, 0xff9b, ..] => LAYOUTS.map(|places| Some(at(places)).filter(|v4| v4.octets().first() != Some(&0))),
        // Teredo (RFC 4380 §4): the server, and the client with its bits inverted.
        [0x2001, 0, ..] => [Some(at([4, 5, 6, 7])), Some(Ipv4Addr::from_bits(!last.to_bits())), None, None, None, None],
        // 6to4 (RFC 3056 §2).
        [0x2002, ..] => one(at([2, 3, 4, 5])),
        // ISATAP (RFC 5214 §6.1), in whatever network.
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => one(last),
        _ => [None; 6],
    }
}

fn one(v4: Ipv4Addr) -> [Option<Ipv4Addr>; 6] {
    [Some(v4), None, None, None, None, None]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(address: &str) -> Vec<String> {
        carried(address.parse().unwrap()).map(|v4| v4.to_string()).collect()
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
