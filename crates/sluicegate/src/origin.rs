//! The way to an origin: look its name up, race its addresses, keep its connections.

mod connect;
mod dial;
mod follow;
mod joined;
#[cfg(feature = "dns")]
mod names;
#[cfg(not(feature = "dns"))]
#[path = "origin/system.rs"]
mod names;
mod reuse;

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::{Duration, Instant};

use sluicegate_http1::Host;

use dial::Race;

pub use connect::{CheckedAddress, Connected, Connecting, Connector, Dial};
pub(crate) use dial::{Gate, is_exhausted};
pub(crate) use follow::{Leads, leads};
#[cfg(feature = "dns")]
pub use names::{Lookup, Question, Source, resolve};
pub(crate) use names::{Machine, Resolver};
pub(crate) use reuse::{Asking, Idle, Kept, Lending};

use crate::limits::Limits;
use crate::record::Fault;
use crate::transport::Upstream;

/// Descriptors for what goes beyond the one that a client has for its origin: attempts that race, and the family whose
/// addresses come late. All workers of a proxy share them; the binary sets them aside.
pub(crate) const SPARE: usize = 32;

/// Addresses, and the look-up of those that come too late to wait for.
pub(crate) struct Found {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) later: Option<Later>,
    /// Nobody was asked: of the hosts file, or remembered.
    pub(crate) is_known: bool,
}

/// The slower family's look-up.
pub(crate) type Later = Pin<Box<dyn Future<Output = Vec<IpAddr>> + Send>>;

/// A new connection to an origin, and what it took to get it.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) stream: Upstream,
    /// None if it leads to no address.
    pub(crate) address: Option<SocketAddr>,
    /// Who may have it after this client.
    pub(crate) lending: Lending,
    /// Its address was its host's, by name: it is of no use once the name leads elsewhere.
    pub(crate) is_by_name: bool,
    pub(crate) lookup: Option<Duration>,
    /// The look-up asked nobody.
    pub(crate) is_known: bool,
    pub(crate) connect: Option<Duration>,
}

/// Connects where `dial` says, by the `connector` or [`directly`], within `connect_timeout` in all. Cancel-safe:
/// dropping it closes what it had begun.
pub(crate) async fn reach(dial: Dial<'_>, connector: Option<&dyn Connector>) -> Result<Reached, Fault> {
    let Dial { host, port, pool, gate, resolver, limits, .. } = dial;
    let Some(connector) = connector else { return directly(host, port, resolver, gate, limits).await };
    let begin = tokio::time::Instant::now();
    let deadline = limits.connect_timeout.and_then(|t| begin.checked_add(t));
    let connected = within(deadline, connector.connect(dial)).await;
    let connected = connected.unwrap_or_else(|| Err(Fault::ConnectTimeout(shown(host, port))))?;
    let Connected { stream, address, lending, is_by_name } = connected;
    stream.tune(limits.to_origins());
    // What it was chosen by, only the connector knows: so it is its client's, unless somebody says more.
    let lending = lending.unwrap_or(if pool.is_some() { Lending::Anyone } else { Lending::Client });
    Ok(Reached { stream, address, lending, is_by_name, lookup: None, is_known: false, connect: Some(begin.elapsed()) })
}

/// Looks `host` up, if it is a name, and connects to the first of its addresses that answers (RFC 8305).
async fn directly(
    host: Host<'_>,
    port: u16,
    resolver: &Resolver,
    gate: &(dyn Gate + Send + Sync),
    limits: &Limits,
) -> Result<Reached, Fault> {
    let begin = Instant::now();
    let deadline = limits.connect_timeout.and_then(|t| tokio::time::Instant::from_std(begin).checked_add(t));
    let (first, later, is_known) = match host {
        Host::V4(ip) => (vec![IpAddr::V4(ip)], None, false),
        Host::V6(ip) => (vec![IpAddr::V6(ip)], None, false),
        Host::Name(name) => {
            let found = within(deadline, resolver.lookup(name)).await;
            let found = found.unwrap_or_else(|| Err(Fault::DnsTimeout(name.to_owned())))?;
            (found.addresses, found.later, found.is_known)
        }
    };
    let looked_up = matches!(host, Host::Name(_)).then(|| begin.elapsed());
    let dialled = Instant::now();
    let (tuning, prefer, spare) = (limits.to_origins(), limits.names.prefer, &resolver.machine.spare);
    let race = Race { host, port, gate, tuning, prefer, spare };
    let reached = within(deadline, race.run(first, later)).await;
    let (tcp, address) = reached.unwrap_or_else(|| Err(Fault::ConnectTimeout(shown(host, port))))?;
    let (stream, address, lending) = (tcp.into(), Some(address), Lending::Anyone);
    let (connect, is_by_name) = (Some(dialled.elapsed()), looked_up.is_some());
    Ok(Reached { stream, address, lending, is_by_name, lookup: looked_up, is_known, connect })
}

/// `None` when the deadline came first.
async fn within<T>(deadline: Option<tokio::time::Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.ok(),
        None => Some(work.await),
    }
}

fn shown(host: Host<'_>, port: u16) -> String {
    match host {
        Host::V4(ip) => format!("{ip}:{port}"),
        Host::V6(ip) => format!("[{ip}]:{port}"),
        Host::Name(name) => format!("{name}:{port}"),
    }
}
