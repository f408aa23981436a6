//! What is closed to clients from elsewhere unless it is opened: this machine, its links, and what a cloud tells the machines
//! that run in it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where clouds answer with credentials, beside the link-local 169.254.0.0/16 and `fe80::/10`, as an address and the
/// bits of it that count.
const METADATA_V4: [Ipv4Addr; 3] = [
    // Alibaba.
    Ipv4Addr::new(100, 100, 100, 200),
    // Azure: its wire server.
    Ipv4Addr::new(168, 63, 129, 16),
    // Oracle's classic cloud.
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [(Ipv6Addr, u32); 5] = [
    // Amazon: all that it serves in a network of one's own (254 the metadata, 23 the identities of pods).
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32),
    // Google.
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128),
    // Scaleway.
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128),
    // Oracle.
    (Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128),
    // Akamai (Linode).
    (Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1), 128),
];

/// Why an address is guarded, as the end of "10.0.0.5 is …". `is_local` is asked last, because it may fail.
///
/// # Errors
/// What `is_local` says: nobody can tell.
pub(super) fn kind(
    address: IpAddr,
    is_local: impl FnOnce(IpAddr) -> io::Result<bool>,
) -> io::Result<Option<&'static str>> {
    if address.is_loopback() {
        Ok(Some("a loopback address"))
    } else if is_unspecified(address) {
        Ok(Some("the address of no machine, which means this one"))
    } else if is_link_local(address) {
        Ok(Some("a link-local address"))
    } else if is_metadata(address) {
        Ok(Some("the metadata service of a cloud"))
    } else if is_for_many(address) {
        Ok(Some("an address of many machines at once"))
    } else {
        Ok(is_local(address)?.then_some("this machine's own address"))
    }
}

/// Linux takes all of 0.0.0.0/8 for "this network".
fn is_unspecified(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets().first() == Some(&0),
        IpAddr::V6(v6) => v6.is_unspecified(),
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => METADATA_V6.iter().any(|(at, bits)| {
            let differing = v6.to_bits() ^ at.to_bits();
            differing.leading_zeros() >= *bits
        }),
    }
}

/// Broadcast and multicast: no TCP goes there, and the kernel calls the first its own.
fn is_for_many(address: IpAddr) -> bool {
    address.is_multicast() || matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
}
