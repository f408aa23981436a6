//! Racing addresses: IPv6 first, families in turn, a new attempt each 250 ms or as soon as one has
//! failed, the first to connect wins (RFC 8305 §4, §5).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::resolve::Later;
use crate::limits::Tuning;
use crate::record::Fault;
use crate::transport::Tcp;

/// RFC 8305 §5: the recommended Connection Attempt Delay.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Says of each address whether it may be dialled.
pub(crate) trait Gate: Sync {
    /// # Errors
    /// The fault to answer with if no other address remains.
    fn check(&self, address: SocketAddr) -> Result<(), Fault>;
}

/// Connects to the first of `addresses`, then of `later`, that answers.
pub(crate) async fn race(
    addresses: Vec<IpAddr>,
    later: Option<Later>,
    port: u16,
    gate: &impl Gate,
    tuning: Tuning,
    shown: &str,
) -> Result<(Tcp, SocketAddr), Fault> {
    let first = attempt_all(interleave(addresses), port, gate, tuning, shown).await;
    match (first, later) {
        (Err(fault), Some(later)) => match later.await {
            none if none.is_empty() => Err(fault),
            more => attempt_all(interleave(more), port, gate, tuning, shown).await,
        },
        (first, _) => first,
    }
}

async fn attempt_all(
    addresses: Vec<IpAddr>,
    port: u16,
    gate: &impl Gate,
    tuning: Tuning,
    shown: &str,
) -> Result<(Tcp, SocketAddr), Fault> {
    let mut next = addresses.into_iter();
    let mut running = FuturesUnordered::new();
    let mut fault = Fault::Unroutable(shown.to_owned());
    loop {
        if let Some(ip) = next.next() {
            let address = SocketAddr::new(ip, port);
            match gate.check(address) {
                Ok(()) => running.push(attempt(address, tuning)),
                Err(refused) => {
                    fault = refused;
                    continue;
                }
            }
        } else if running.is_empty() {
            return Err(fault);
        }
        let more = next.len() > 0;
        tokio::select! { biased;
            Some((address, result)) = running.next() => match result {
                Ok(tcp) => return Ok((tcp, address)),
                Err(error) => fault = failed(&error, shown),
            },
            () = tokio::time::sleep(ATTEMPT_DELAY), if more => {}
        }
    }
}

async fn attempt(address: SocketAddr, tuning: Tuning) -> (SocketAddr, io::Result<Tcp>) {
    (address, Tcp::connect_with(address, tuning).await)
}

fn failed(error: &io::Error, shown: &str) -> Fault {
    let shown = shown.to_owned();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fault::Refused(shown),
        io::ErrorKind::TimedOut => Fault::ConnectTimeout(shown),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Fault::Unroutable(shown),
        _ if is_exhausted(error) => Fault::Capacity,
        _ => Fault::Connect(shown, error.to_string()),
    }
}

/// Whether a system call failed because the process or the machine has no more of something.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    // EMFILE and ENFILE have no kind of their own in std; their numbers are the same on every Unix.
    matches!(error.raw_os_error(), Some(23 | 24)) || error.kind() == io::ErrorKind::OutOfMemory
}

/// IPv6 first, then the families in turn.
fn interleave(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut out = Vec::with_capacity(v6.len().saturating_add(v4.len()));
    while v6.len() > 0 || v4.len() > 0 {
        out.extend(v6.next());
        out.extend(v4.next());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let ips = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        let mixed = ips(&["10.0.0.1", "10.0.0.2", "::1", "10.0.0.3"]);
        assert_eq!(interleave(mixed), ips(&["::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"]));
    }
}
