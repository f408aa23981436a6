//! The addresses that a proxy must not be made to reach: private networks, the machine itself, and what belongs to nobody
//! (the IANA registries of special-purpose addresses, RFC 6890).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// 0.0.0.0/8 and `::`: Linux takes them for itself.
    Unspecified,
    /// 127.0.0.0/8, `::1`.
    Loopback,
    /// RFC 1918; fec0::/10, which was the same in IPv6.
    Private,
    /// 100.64.0.0/10 (RFC 6598).
    CarrierNat,
    /// 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// fc00::/7 (RFC 4193).
    UniqueLocal,
    /// 224.0.0.0/4, ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32, 3fff::/20.
    Documentation,
    /// 198.18.0.0/15, 2001:2::/48.
    Benchmarking,
    /// What no machine of the internet has: 240.0.0.0/4, 192.0.0.0/24, 100::/64, 2001:10::/28, 2001:20::/28, 5f00::/16.
    Reserved,
    /// Where a cloud answers about its machines, often with credentials.
    Metadata,
    /// An address of this machine.
    Own,
}

/// A guarded address: why, and how long the prefix is that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guarded {
    pub(crate) class: Class,
    pub(crate) prefix: u8,
}

/// The first that fits counts: metadata services stand before the ranges that they are in, so that `private` must name them.
const V4: &[(Ipv4Addr, u8, Class)] = &[
    // Nearly every cloud; then Amazon's containers and pods, Alibaba, Azure's wire server, Oracle's classic cloud.
    (Ipv4Addr::new(169, 254, 169, 254), 32, Class::Metadata),
    (Ipv4Addr::new(169, 254, 170, 2), 32, Class::Metadata),
    (Ipv4Addr::new(169, 254, 170, 23), 32, Class::Metadata),
    (Ipv4Addr::new(100, 100, 100, 200), 32, Class::Metadata),
    (Ipv4Addr::new(168, 63, 129, 16), 32, Class::Metadata),
    (Ipv4Addr::new(192, 0, 0, 192), 32, Class::Metadata),
    (Ipv4Addr::new(0, 0, 0, 0), 8, Class::Unspecified),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Class::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Class::CarrierNat),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Class::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Class::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Class::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Class::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Class::Documentation),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Class::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Class::Benchmarking),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Class::Documentation),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Class::Documentation),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Class::Multicast),
    (Ipv4Addr::new(255, 255, 255, 255), 32, Class::Broadcast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Class::Reserved),
];

/// As [`V4`].
const V6: &[(Ipv6Addr, u8, Class)] = &[
    // Amazon (all that it serves in a network of one's own), Google, Scaleway, Oracle, Akamai.
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32, Class::Metadata),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, Class::Metadata),
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128, Class::Metadata),
    (Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128, Class::Metadata),
    (Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1), 128, Class::Metadata),
    (Ipv6Addr::UNSPECIFIED, 128, Class::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, Class::Loopback),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, Class::Reserved),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, Class::Benchmarking),
    (Ipv6Addr::new(0x2001, 0x10, 0, 0, 0, 0, 0, 0), 28, Class::Reserved),
    (Ipv6Addr::new(0x2001, 0x20, 0, 0, 0, 0, 0, 0), 28, Class::Reserved),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Class::Documentation),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Class::Documentation),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, Class::Reserved),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Class::UniqueLocal),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Class::LinkLocal),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Class::Private),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Class::Multicast),
];

impl Class {
    /// Why `address` itself is guarded. What it may lead to, as a NAT64 address does, is not looked at.
    pub fn of(address: IpAddr) -> Option<Self> {
        guarded(address.to_canonical()).map(|guarded| guarded.class)
    }
}

impl fmt::Display for Class {
    /// As the end of "10.0.0.5 is …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "an address of no machine, which means this one",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::CarrierNat => "a carrier's private address",
            Self::LinkLocal => "a link-local address",
            Self::UniqueLocal => "a unique local address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Documentation => "an address for documentation",
            Self::Benchmarking => "an address for benchmarks",
            Self::Reserved => "a reserved address",
            Self::Metadata => "a cloud's metadata service",
            Self::Own => "this machine's own address",
        })
    }
}

/// Whether an address is guarded. IPv4-mapped addresses must have been made canonical.
pub(crate) fn guarded(address: IpAddr) -> Option<Guarded> {
    match address {
        IpAddr::V4(v4) => V4.iter().find(|(net, prefix, _)| begins(v4, *net, *prefix)).map(found),
        IpAddr::V6(v6) => V6.iter().find(|(net, prefix, _)| begins(v6, *net, *prefix)).map(found),
    }
}

fn found<A>((_, prefix, class): &(A, u8, Class)) -> Guarded {
    Guarded { class: *class, prefix: *prefix }
}

/// Whether the first `prefix` bits of both are the same.
fn begins<A: Into<IpAddr>>(address: A, net: A, prefix: u8) -> bool {
    let difference = match (address.into(), net.into()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    difference >= u32::from(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first and last address of each range, and the nearest neighbours that are free.
    #[test]
    fn ranges_and_their_neighbours() {
        for (first, last, before, after) in [
            ("0.0.0.0", "0.255.255.255", "", "1.0.0.0"),
            ("10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"),
            ("100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0"),
            ("127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0"),
            ("168.63.129.16", "168.63.129.16", "168.63.129.15", "168.63.129.17"),
            ("169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"),
            ("172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"),
            ("192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0"),
            ("192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0"),
            ("192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0"),
            ("198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0"),
            ("198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0"),
            ("203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0"),
            ("224.0.0.0", "255.255.255.255", "223.255.255.255", ""),
            ("::", "::1", "", ""),
            ("100::", "100::ffff:ffff:ffff:ffff", "ff:ffff::", "100:0:0:1::"),
            ("2001:2::", "2001:2:0:ffff::", "2001:1:ffff::", "2001:2:1::"),
            ("2001:10::", "2001:2f:ffff::", "2001:f:ffff::", "2001:30::"),
            ("2001:db8::", "2001:db8:ffff::", "2001:db7:ffff::", "2001:db9::"),
            ("3fff::", "3fff:fff:ffff::", "3ffe:ffff::", "3fff:1000::"),
            ("5f00::", "5f00:ffff::", "5eff:ffff::", "5f01::"),
            ("fc00::", "fdff:ffff::", "fbff:ffff::", "fe00::"),
            ("fe80::", "feff:ffff::", "fe7f:ffff::", ""),
            ("ff00::", "ffff:ffff::", "", ""),
        ] {
            for (address, is) in [(first, true), (last, true), (before, false), (after, false)] {
                if !address.is_empty() {
                    assert_eq!(Class::of(address.parse().unwrap()).is_some(), is, "{address}");
                }
            }
        }
        assert_eq!(Class::of("::ffff:10.0.0.1".parse().unwrap()), Some(Class::Private));
    }

    #[test]
    fn metadata_services_are_told_from_the_ranges_that_they_are_in() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:42::42",
            "fd00:c1::a9fe:a9fe",
            "fd00:a9fe:a9fe::1",
        ] {
            assert_eq!(Class::of(address.parse().unwrap()), Some(Class::Metadata), "{address}");
        }
    }
}
