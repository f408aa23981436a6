//! What is said at the start.

use std::io::{IsTerminal, stderr};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context;
use sluicegate::Reverse;
use tracing::level_filters::LevelFilter;

use crate::access_log::{AccessLog, Extent};
use crate::config::Config;
use crate::say;

/// Sends what the proxy says about itself to the standard error, from now on by a thread of its
/// own: no worker waits for a terminal.
pub(super) fn tracing(level: LevelFilter) -> anyhow::Result<()> {
    say::start().context("cannot start the thread that writes messages")?;
    let subscriber = tracing_subscriber::fmt()
        .compact()
        .with_max_level(level)
        .with_target(level >= LevelFilter::DEBUG)
        .with_ansi(stderr().is_terminal())
        .with_writer(|| say::Pen)
        .finish();
    // Set once, so it cannot have been set before.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// The access log that was asked for; without one, short lines if somebody is looking.
pub(super) fn access_log(config: &Config) -> anyhow::Result<Option<AccessLog>> {
    let extent = Extent { query: config.log_query, half_close: config.limits.half_close };
    match &config.access_log {
        Some(file) => AccessLog::to_file(file, extent, config.workers).map(Some),
        None if stderr().is_terminal() && !config.quiet => AccessLog::to_terminal(extent, config.workers).map(Some),
        None => Ok(None),
    }
}

/// Where it listens, who may use it, where they may not go, and a line to try.
pub(super) fn greet(config: &Config, addresses: &[SocketAddr]) {
    say::line(&format!("sluicegate {}", env!("CARGO_PKG_VERSION")));
    for address in addresses {
        say::line(&format!("listening on {address}"));
    }
    say::line(&format!("clients: {}", config.rules));
    if config.reverse.is_none() {
        closed(config, addresses).iter().for_each(|line| say::line(line));
    }
    if addresses.iter().all(|address| address.ip().to_canonical().is_loopback())
        && ![IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()].iter().any(|ip| config.rules.admits(*ip))
    {
        say::line(
            "warning: only clients of this machine can reach a loopback listener, and --allow-client admits none of \
             them; add --allow-client 127.0.0.1, or --listen with an address that the clients can reach",
        );
    }
    for (prefix, origin) in config.reverse.iter().flat_map(Reverse::mounts) {
        say::line(&format!("reverse: {prefix} goes to http://{origin}, and nothing elsewhere"));
    }
    let first_path = config.reverse.as_ref().and_then(|reverse| reverse.mounts().last());
    match (addresses.first().map(|address| reachable(*address, config)), first_path) {
        (Some(address), Some((prefix, _))) => say::line(&format!("try: curl http://{address}{prefix}")),
        (Some(address), None) => say::line(&format!("try: curl -x http://{address} http://example.com/")),
        (None, _) => {}
    }
}

/// Where clients may not go.
fn closed(config: &Config, addresses: &[SocketAddr]) -> Vec<String> {
    let (rules, mut lines) = (&config.rules, Vec::new());
    let guarded = addresses.iter().filter(|address| rules.guards(address.ip())).count();
    if guarded > 0 {
        let who =
            if guarded == addresses.len() { "clients" } else { "clients of a listener that other machines can reach" };
        let kinds = format!("{who} may not go to loopback, link-local or this machine's own addresses");
        lines.push(match rules.allowed() {
            [] => format!("{kinds} (see --allow-range)"),
            some => format!("{kinds}, but for {}", crate::rules::list(some)),
        });
    }
    if !rules.denied().is_empty() {
        lines.push(format!("nobody may go to {}", crate::rules::list(rules.denied())));
    }
    lines
}

/// `address` as a client writes it.
fn reachable(address: SocketAddr, config: &Config) -> String {
    let loopback = match address.ip() {
        ip if !ip.is_unspecified() => return address.to_string(),
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
    };
    if config.rules.admits(loopback) {
        return SocketAddr::new(loopback, address.port()).to_string();
    }
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{name}:{}", address.port())
}
