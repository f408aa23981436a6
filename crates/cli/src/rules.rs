//! Who may use the proxy, and what they may reach with it. Both are decided on addresses: the
//! client's own, and the one that is really dialled.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use sluicegate::{Client, is_local};

/// The rules of `--allow-client` and `--allow-range`.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Empty: this machine only.
    clients: Vec<IpNet>,
    ranges: Vec<IpNet>,
    /// Which addresses are this machine's own, and when that was found out.
    known: Mutex<HashMap<IpAddr, (bool, Instant)>>,
}

impl Rules {
    pub(crate) fn new(clients: Vec<IpNet>, ranges: Vec<IpNet>) -> Self {
        Self { clients: IpNet::aggregate(&clients), ranges: IpNet::aggregate(&ranges), known: Mutex::default() }
    }

    /// Whether a client with this address may use the proxy.
    pub(crate) fn admits(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        if self.clients.is_empty() { client.is_loopback() } else { contains(&self.clients, client) }
    }

    /// Whether `client` may reach `destination`.
    ///
    /// # Errors
    /// The sentence that the client is shown.
    pub(crate) fn permits(&self, client: &Client, destination: IpAddr) -> Result<(), String> {
        if client.listener.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        if self.is_exempt(destination) {
            return Ok(());
        }
        match guarded(destination, |ip| self.is_local(ip)) {
            Some(kind) => Err(refusal(destination, kind)),
            None => Ok(()),
        }
    }

    /// Whether an address is this machine's own, asked of the kernel once a second at most: it is
    /// asked here for every request.
    fn is_local(&self, ip: IpAddr) -> bool {
        let known = &mut *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((local, at)) = known.get(&ip)
            && at.elapsed() < Duration::from_secs(1)
        {
            return *local;
        }
        if known.len() >= 1024 {
            known.clear();
        }
        let local = is_local(ip);
        known.insert(ip, (local, Instant::now()));
        local
    }

    /// What is permitted although it is guarded.
    pub(crate) fn exempt(&self) -> &[IpNet] {
        &self.ranges
    }

    fn is_exempt(&self, destination: IpAddr) -> bool {
        meanings(destination).any(|meaning| contains(&self.ranges, meaning))
    }
}

impl fmt::Display for Rules {
    /// Who may use the proxy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.clients.is_empty() {
            return f.write_str("this machine only");
        }
        f.write_str(&list(&self.clients))
    }
}

/// Ranges as people list them.
pub(crate) fn list(nets: &[IpNet]) -> String {
    nets.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", ")
}

fn contains(nets: &[IpNet], address: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&address))
}

/// Where AWS answers over IPv6 what it answers over IPv4 at the link-local 169.254.169.254.
const METADATA: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254));

/// Why an address is guarded, as the end of "10.0.0.5 is …".
fn guarded(destination: IpAddr, is_local: impl Fn(IpAddr) -> bool) -> Option<&'static str> {
    meanings(destination).find_map(|meaning| {
        let link_local = match meaning {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        if meaning.is_loopback() {
            Some("a loopback address")
        } else if is_unspecified(meaning) {
            Some("the address of no machine, which means this one")
        } else if link_local {
            Some("a link-local address")
        } else if meaning == METADATA {
            Some("the metadata service of a cloud")
        } else if is_local(meaning) {
            Some("this machine's own address")
        } else {
            None
        }
    })
}

/// The address itself, and the IPv4 address that it carries, if it does.
fn meanings(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let canonical = address.to_canonical();
    let carried = match canonical {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => carried(v6),
    };
    [Some(canonical), carried.map(IpAddr::V4)].into_iter().flatten()
}

/// IPv4-compatible (RFC 4291 §2.5.5.1) and IPv4-translated addresses (RFC 2765 §2.1), those of NAT64
/// (RFC 6052 §2.1, RFC 8215) and 6to4 (RFC 3056 §2).
fn carried(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [_, _, e, f, g, h, .., a, b, c, d] = v6.octets();
    match v6.segments() {
        // `::` and `::1` mean themselves.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => Some(Ipv4Addr::new(a, b, c, d)),
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0x64, 0xff9b, 1, _, _, _, _, _] => Some(Ipv4Addr::new(a, b, c, d)),
        [0x2002, ..] => Some(Ipv4Addr::new(e, f, g, h)),
        _ => None,
    }
}

/// Linux takes all of 0.0.0.0/8 for "this network".
fn is_unspecified(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets().first() == Some(&0),
        IpAddr::V6(v6) => v6.is_unspecified(),
    }
}

fn refusal(destination: IpAddr, kind: &str) -> String {
    let canonical = destination.to_canonical();
    let range = IpNet::from(canonical);
    match meanings(destination).nth(1) {
        Some(carried) => {
            format!("{canonical} leads to {carried}, {kind}; start sluicegate with --allow-range {range} to permit it")
        }
        None => format!("{canonical} is {kind}; start sluicegate with --allow-range {range} to permit it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(clients: &[&str], ranges: &[&str]) -> Rules {
        let parse = |nets: &[&str]| nets.iter().map(|net| net.parse().unwrap()).collect();
        Rules::new(parse(clients), parse(ranges))
    }

    fn through(listener: &str) -> Client {
        Client::new("192.0.2.1:1".parse().unwrap(), listener.parse().unwrap())
    }

    fn permitted(rules: &Rules, listener: &str, ip: &str) -> bool {
        rules.permits(&through(listener), ip.parse().unwrap()).is_ok()
    }

    #[test]
    fn this_machine_only_unless_said_otherwise() {
        let default = rules(&[], &[]);
        for (ip, may) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", false),
            ("::2", false),
        ] {
            assert_eq!(default.admits(ip.parse().unwrap()), may, "{ip}");
        }
        let some = rules(&["10.0.0.0/8", "fd00::/8"], &[]);
        for (ip, may) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("fd00::1", true),
            ("11.0.0.1", false),
            ("127.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(some.admits(ip.parse().unwrap()), may, "{ip}");
        }
    }

    #[test]
    fn guarded_from_other_machines() {
        let none = rules(&[], &[]);
        for ip in [
            "127.0.0.1",
            "127.255.0.1",
            "::1",
            "0.0.0.0",
            "0.0.0.1",
            "::",
            "169.254.169.254",
            "fe80::1",
            "febf::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b:1::7f00:1",
            "::ffff:0:127.0.0.1",
            "2002:7f00:1::1",
            "fd00:ec2::254",
            "64:ff9b::a9fe:a9fe",
            "::ffff:0.0.0.0",
        ] {
            assert!(!permitted(&none, "192.0.2.9:3128", ip), "{ip}");
            assert!(!permitted(&none, "0.0.0.0:3128", ip), "{ip}");
            assert!(!permitted(&none, "[::]:3128", ip), "{ip}");
            assert!(permitted(&none, "127.0.0.1:3128", ip), "{ip}");
            assert!(permitted(&none, "[::1]:3128", ip), "{ip}");
        }
        for ip in ["192.0.2.77", "2001:db8::1", "::ffff:192.0.2.77", "64:ff9b::c000:24d", "169.253.0.1", "fec0::1"] {
            assert!(permitted(&none, "0.0.0.0:3128", ip), "{ip}");
        }
    }

    #[test]
    fn ranges_permit() {
        let some = rules(&[], &["127.0.0.0/8", "fe80::/10", "64:ff9b::/96"]);
        for ip in ["127.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1", "fe80::1", "64:ff9b::a9fe:a9fe"] {
            assert!(permitted(&some, "0.0.0.0:3128", ip), "{ip}");
        }
        for ip in ["::1", "169.254.169.254"] {
            assert!(!permitted(&some, "0.0.0.0:3128", ip), "{ip}");
        }
    }

    #[test]
    fn a_refusal_says_what_would_permit_it() {
        let none = rules(&[], &[]);
        let said = |ip: &str| none.permits(&through("0.0.0.0:1"), ip.parse().unwrap()).unwrap_err();
        assert_eq!(
            said("127.0.0.1"),
            "127.0.0.1 is a loopback address; start sluicegate with --allow-range 127.0.0.1/32 to permit it"
        );
        assert_eq!(
            said("64:ff9b::a9fe:a9fe"),
            "64:ff9b::a9fe:a9fe leads to 169.254.169.254, a link-local address; \
             start sluicegate with --allow-range 64:ff9b::a9fe:a9fe/128 to permit it"
        );
    }
}
