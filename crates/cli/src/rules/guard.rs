//! What is closed to clients from elsewhere unless it is opened: this machine, its links, and what a cloud tells the machines
//! that run in it.

use std::io;
use std::net::IpAddr;

use sluicegate_rules::Class;

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
    Class::of(address) == Some(Class::Metadata)
}

/// Broadcast and multicast: no TCP goes there, and the kernel calls the first its own.
fn is_for_many(address: IpAddr) -> bool {
    address.is_multicast() || matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
}
