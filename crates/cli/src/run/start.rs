//! What is said at the start.

use std::ffi::OsStr;
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
        .with_ansi(stderr().is_terminal() && wants_colours(|name| std::env::var_os(name)))
        .with_writer(|| say::Pen)
        .finish();
    // Set once, so it cannot have been set before.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// Whether the environment lets a terminal be shown colours: not with `NO_COLOR` (no-color.org: whatever it says, unless
/// that is nothing), nor on a terminal that does not say what it understands.
fn wants_colours<T: AsRef<OsStr>>(variable: impl Fn(&str) -> Option<T>) -> bool {
    let says = |name, words: fn(&OsStr) -> bool| variable(name).is_some_and(|value| words(value.as_ref()));
    !says("NO_COLOR", |value| !value.is_empty()) && says("TERM", |term| !term.is_empty() && term != "dumb")
}

/// The access log that was asked for; without one, short lines if somebody is looking.
pub(super) fn access_log(config: &Config) -> anyhow::Result<Option<AccessLog>> {
    let extent = Extent { query: config.log_query, client_fin: config.limits.client_fin };
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
        only_v6(*address, addresses).iter().for_each(|note| say::line(note));
    }
    say::line(&format!("clients: {}", config.rules));
    if let Some(egress) = &config.egress {
        say::line(&format!("rules: {}", egress.summary()));
    } else if config.reverse.is_none() {
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
        say::line(&format!("reverse: {prefix} goes to http://{origin}"));
    }
    if config.reverse.is_some() {
        say::line("reverse: nothing is forwarded elsewhere");
    }
    let first_path = config.reverse.as_ref().and_then(|reverse| reverse.mounts().last());
    match (addresses.first().map(|address| reachable(*address, config)), first_path) {
        (Some(address), Some((prefix, _))) => say::line(&format!("try: curl http://{address}{prefix}")),
        (Some(address), None) => say::line(&format!("try: curl -x http://{address} http://example.com/")),
        (None, _) => {}
    }
}

/// That `[::]` takes one family, if nothing here takes the other.
fn only_v6(address: SocketAddr, all: &[SocketAddr]) -> Option<String> {
    let port = address.port();
    let is_alone = !all.iter().any(|other| other.is_ipv4() && other.port() == port);
    let says = address.is_ipv6() && address.ip().is_unspecified() && is_alone;
    says.then(|| format!("note: {address} accepts IPv6 clients only; add --listen 0.0.0.0:{port} for IPv4 clients"))
}

/// Where clients may not go.
fn closed(config: &Config, addresses: &[SocketAddr]) -> Vec<String> {
    let (rules, mut lines) = (&config.rules, Vec::new());
    let guarded = addresses.iter().filter(|address| rules.guards(address.ip())).count();
    if guarded > 0 {
        let who =
            if guarded == addresses.len() { "clients" } else { "clients of a listener that other machines can reach" };
        let kinds = format!("{who} may not go to loopback, link-local, cloud metadata or this machine's own addresses");
        lines.push(match rules.allowed() {
            [] => format!("{kinds} (see --allow-destination)"),
            some => format!("{kinds}, but for {}", crate::rules::list(some)),
        });
    }
    if !rules.denied().is_empty() {
        lines.push(format!("no client may go to {}", crate::rules::list(rules.denied())));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_know_them() {
        for (no_color, term, wants) in [
            (None, Some("xterm-256color"), true),
            (Some(""), Some("xterm"), true),
            (Some("1"), Some("xterm"), false),
            (Some("0"), Some("xterm"), false),
            (None, Some("dumb"), false),
            (None, Some(""), false),
            (None, None, false),
        ] {
            let variable = |name: &str| if name == "NO_COLOR" { no_color } else { term };
            assert_eq!(wants_colours(variable), wants, "{no_color:?} {term:?}");
        }
    }

    #[test]
    fn a_wildcard_of_ipv6_says_that_it_takes_nothing_else() {
        let [any6, any4, one6] = ["[::]:3128", "0.0.0.0:3128", "[::1]:3128"].map(|text| text.parse().unwrap());
        let other4: SocketAddr = "0.0.0.0:80".parse().unwrap();
        assert!(only_v6(any6, &[any6, other4]).unwrap().contains("add --listen 0.0.0.0:3128 for IPv4 clients"));
        for (address, all) in [(any6, &[any6, any4][..]), (any4, &[any4]), (one6, &[one6])] {
            assert_eq!(only_v6(address, all), None, "{address} {all:?}");
        }
    }
}
