//! One entry of `allow`, `deny` or `private`: a host or a range of addresses, and the ports that it means.

mod mistake;

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::host::{self, BadHost};

pub(crate) use mistake::Mistake;

/// What an entry stands in: they differ in what no port means, and in what they may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum List {
    Allow,
    Deny,
    Private,
}

/// Which of a name and what is below it an entry means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// `x`: x alone.
    Exact,
    /// `*.x`: any depth below, not x.
    Below,
    /// `.x`: both.
    Both,
}

/// The ports of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ports {
    /// None was written, where that means 80 and 443.
    Web,
    One(u16),
    Any,
}

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A folded name; empty with [`Scope::Below`] for all names.
    Name(String, Scope),
    Range(IpNet),
}

/// An entry, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) subject: Subject,
    pub(crate) ports: Ports,
}

impl Scope {
    pub(crate) fn covers(self, exact: bool) -> bool {
        match self {
            Self::Exact => exact,
            Self::Below => !exact,
            Self::Both => true,
        }
    }

    pub(crate) fn includes(self, other: Self) -> bool {
        self == other || self == Self::Both
    }
}

impl Ports {
    pub(crate) fn contain(self, port: u16) -> bool {
        match self {
            Self::Web => port == 80 || port == 443,
            Self::One(one) => port == one,
            Self::Any => true,
        }
    }

    pub(crate) fn include(self, other: Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::One(port)) => self.contain(port),
            _ => self == other,
        }
    }
}

impl Entry {
    /// Reads an entry; `insist` lets it name a whole public suffix.
    pub(crate) fn parse(text: &str, list: List, insist: bool) -> Result<Self, Mistake> {
        mistake::look(text)?;
        if let Some((net, ports)) = range(text)? {
            return Ok(Self { subject: Subject::Range(net), ports: ports.unwrap_or(list.ports()) });
        }
        if list == List::Private {
            return Err(Mistake::new(
                "`private` takes addresses and ranges only, since a name leads where its owner likes",
            )
            .help("write the address that the name has, as \"10.4.0.7:5432\""));
        }
        let (pattern, ports) = with_port(text)?;
        let (name, scope) = scope(pattern);
        if name.is_empty() && pattern != "*" {
            return Err(BadHost::Empty.into());
        }
        let name =
            if name.is_empty() { String::new() } else { host::fold(name).map_err(|why| mistake::host(name, why))? };
        if list == List::Allow && !insist && scope != Scope::Exact {
            mistake::suffix(&name)?;
        }
        Ok(Self { subject: Subject::Name(name, scope), ports: ports.unwrap_or(list.ports()) })
    }

    /// The entry for just this host and port, as it would be written.
    pub(crate) fn for_host(host: &host::Host<'_>, port: u16) -> String {
        match port {
            80 | 443 => match host {
                // Without its brackets it reads like everything else in a list.
                host::Host::Address(address) => address.to_string(),
                host::Host::Name(_) => host.to_string(),
            },
            port => format!("{host}:{port}"),
        }
    }

    /// Whether all that `other` means is meant by this one too.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        let same = match (&self.subject, &other.subject) {
            (Subject::Range(a), Subject::Range(b)) => a.contains(b),
            (Subject::Name(a, scope), Subject::Name(b, inner)) if a == b => scope.includes(*inner),
            (Subject::Name(a, scope), Subject::Name(b, _)) => *scope != Scope::Exact && is_below(b, a),
            _ => false,
        };
        same && self.ports.include(other.ports)
    }
}

impl List {
    /// What no port means. A denial that forgot a port must not be a way round it.
    fn ports(self) -> Ports {
        match self {
            Self::Deny => Ports::Any,
            Self::Allow | Self::Private => Ports::Web,
        }
    }
}

impl fmt::Display for Entry {
    /// In one way of writing it, with all ports said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Name(name, Scope::Below) if name.is_empty() => f.write_str("*")?,
            Subject::Name(name, Scope::Exact) => f.write_str(name)?,
            Subject::Name(name, Scope::Below) => write!(f, "*.{name}")?,
            Subject::Name(name, Scope::Both) => write!(f, ".{name}")?,
            Subject::Range(IpNet::V6(net)) => write!(f, "[{net}]")?,
            Subject::Range(net) => net.fmt(f)?,
        }
        match self.ports {
            Ports::Web => f.write_str(":80,443"),
            Ports::One(port) => write!(f, ":{port}"),
            Ports::Any => f.write_str(":*"),
        }
    }
}

/// Whether `name` is `parent` with labels before it. Both are folded; the empty parent is all names'.
pub(crate) fn is_below(name: &str, parent: &str) -> bool {
    if parent.is_empty() {
        return !name.is_empty();
    }
    name.strip_suffix(parent).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
}

/// A range or a single address, as `clients` and `from` take it.
pub(crate) fn address_range(text: &str) -> Result<IpNet, Mistake> {
    mistake::look(text)?;
    match range(text)? {
        Some((net, None)) => Ok(net),
        Some((net, Some(_))) => Err(Mistake::new("an address of a client has no port here").meant(&net.to_string())),
        None => Err(Mistake::new("it is not an address or range, as \"10.0.0.0/8\" or \"fd00::/8\"")),
    }
}

fn scope(pattern: &str) -> (&str, Scope) {
    match (pattern.strip_prefix("*."), pattern.strip_prefix('.')) {
        (Some(name), _) => (name, Scope::Below),
        (_, Some(name)) => (name, Scope::Both),
        _ if pattern == "*" => ("", Scope::Below),
        _ => (pattern, Scope::Exact),
    }
}

/// `10.0.0.0/8`, `10.4.0.7:5432`, `[2001:db8::/32]:8443`, `2001:db8::1`. None if it is a name.
fn range(text: &str) -> Result<Option<(IpNet, Option<Ports>)>, Mistake> {
    let (address, ports) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, after) = rest.split_once(']').ok_or(Mistake::from(BadHost::BadIpv6))?;
            let ports = after.strip_prefix(':').map(port).transpose()?;
            if ports.is_none() && !after.is_empty() {
                return Err(Mistake::new("after the bracket there is a port or nothing"));
            }
            (inner, ports)
        }
        // Two colons: an IPv6 address, whose port would need brackets.
        None if text.matches(':').count() > 1 => (text, None),
        None => with_port(text)?,
    };
    let (ip, prefix) = match address.split_once('/') {
        Some((ip, prefix)) => (ip, Some(prefix)),
        None => (address, None),
    };
    let Ok(ip) = ip.parse::<IpAddr>() else {
        let is_name = !text.starts_with('[') && text.matches(':').count() < 2;
        return if is_name { Ok(None) } else { Err(mistake::ipv6(text)) };
    };
    let net = match prefix {
        None => IpNet::from(ip),
        Some(prefix) if prefix.contains(':') => return Err(mistake::ipv6(text)),
        Some(prefix) => network(ip, prefix)?,
    };
    Ok(Some((canonical(net), ports)))
}

fn network(ip: IpAddr, prefix: &str) -> Result<IpNet, Mistake> {
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let number = prefix.parse::<u8>().ok().filter(|_| prefix.bytes().all(|byte| byte.is_ascii_digit()));
    let net = number.and_then(|prefix| IpNet::new(ip, prefix).ok());
    let net = net.ok_or_else(|| Mistake::new(format!("a prefix has 0 to {longest} bits")))?;
    if net == net.trunc() {
        return Ok(net);
    }
    Err(Mistake::new("it has bits beyond its prefix")
        .meant(&net.trunc().to_string())
        .help(format!("for one address write \"{ip}\"")))
}

/// IPv4 ranges written as IPv6 are IPv4 ranges, because that is what addresses are compared as.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    mapped.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok()).map_or(net, IpNet::V4)
}

/// What stands before the last colon, and the port behind it.
fn with_port(text: &str) -> Result<(&str, Option<Ports>), Mistake> {
    match text.rsplit_once(':') {
        Some((host, after)) => Ok((host, Some(port(after)?))),
        None => Ok((text, None)),
    }
}

fn port(text: &str) -> Result<Ports, Mistake> {
    if text == "*" {
        return Ok(Ports::Any);
    }
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port > 0 => Ok(Ports::One(port)),
        _ => Err(Mistake::new("a port is a number from 1 to 65535, or * for all")),
    }
}

/// The length of a prefix that is one address.
pub(crate) const fn full(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

#[cfg(test)]
mod tests;
