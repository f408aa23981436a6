//! Whether a kept connection's name still leads to its address.
//!
//! Waiting for the answer costs a client one round trip to the name server in the name's TTL, which all that wait share.
//! To leave the connection unasked and dial would cost the same, and connecting on top of it.

use std::net::IpAddr;
use std::time::Duration;

use sluicegate_http1::Host;
use tokio::time::timeout;

use super::{Found, Resolver};
use crate::record::Fault;

/// No request waits longer than this for an answer that the connection can do without (RFC 8767 §5).
const LONGEST: Duration = Duration::from_millis(1800);

/// Where a name leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leads {
    /// To the connection's address, among others.
    Here,
    /// To others only, or nowhere; or no descriptor is left to ask with but the connection's own.
    Elsewhere,
    /// Nobody can say for now.
    Unknown,
}

/// Asks where `host` leads that has led to `ip`. Cancel-safe.
pub(crate) async fn leads(resolver: &Resolver, host: Host<'_>, ip: IpAddr) -> Leads {
    let Host::Name(name) = host else { return Leads::Here };
    let asking = async {
        let Found { addresses, later, .. } = match resolver.look_again(name).await {
            Some(Ok(found)) => found,
            None | Some(Err(Fault::NoSuchName(_))) => return Leads::Elsewhere,
            Some(Err(_)) => return Leads::Unknown,
        };
        let has = addresses.contains(&ip)
            || match later {
                Some(later) => later.await.contains(&ip),
                None => false,
            };
        if has { Leads::Here } else { Leads::Elsewhere }
    };
    timeout(LONGEST, asking).await.unwrap_or(Leads::Unknown)
}
