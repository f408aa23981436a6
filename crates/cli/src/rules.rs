//! Who may use the proxy, and what they may reach with it. Both are decided on addresses: the
//! client's own, and the one that is really dialled.

mod guard;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use ipnet::IpNet;
use sluicegate::{Client, Fault, is_local};
use sluicegate_rules::carried;

/// How many bits stand before the IPv4 address that an IPv6 address carries.
const BEFORE_IPV4: u8 = 96;

/// The rules of `--allow-client`, `--allow-destination`, `--deny-destination` and `--guard`.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Empty: this machine only.
    clients: Vec<IpNet>,
    allowed: Vec<IpNet>,
    denied: Vec<IpNet>,
    /// Whether clients of a loopback listener are guarded too.
    guards_all: bool,
    /// Asks the kernel whether an address is this machine's own.
    is_local: fn(IpAddr) -> io::Result<bool>,
    /// What it has said, and when.
    known: Mutex<HashMap<IpAddr, (bool, Instant)>>,
}

/// Ranges that clients may reach, or may not.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    pub(crate) allowed: Vec<IpNet>,
    pub(crate) denied: Vec<IpNet>,
    /// See [`Rules`].
    pub(crate) guards_all: bool,
}

impl Rules {
    pub(crate) fn new(clients: Vec<IpNet>, ranges: Ranges) -> Self {
        let Ranges { allowed, denied, guards_all } = ranges;
        let clients = IpNet::aggregate(&clients);
        Self { clients, allowed, denied, guards_all, is_local, known: Mutex::default() }
    }

    /// Whether a client with this address may use the proxy.
    pub(crate) fn admits(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        if self.clients.is_empty() {
            client.is_loopback()
        } else {
            self.clients.iter().any(|net| net.contains(&client))
        }
    }

    /// Whether `client` may reach `destination`: in every way that it can be read.
    ///
    /// # Errors
    /// `Denied` with the sentence that the client is shown; `Capacity` if it cannot be told now.
    pub(crate) fn permits(&self, client: &Client, destination: IpAddr) -> Result<(), Fault> {
        let is_guarded = self.guards(client.listener.ip());
        if !is_guarded && self.denied.is_empty() {
            return Ok(());
        }
        let destination = destination.to_canonical();
        self.judge(destination, None, is_guarded)?;
        carried(destination).try_for_each(|carried| self.judge(destination, Some(carried), is_guarded))
    }

    /// Whether clients of this listener are kept from this machine and what belongs to it.
    pub(crate) fn guards(&self, listener: IpAddr) -> bool {
        self.guards_all || !listener.to_canonical().is_loopback()
    }

    /// One reading of an address. Of the ranges that contain it the longest prefix counts; of two equal ones, the denial.
    fn judge(&self, address: IpAddr, carried: Option<Ipv4Addr>, is_guarded: bool) -> Result<(), Fault> {
        let (denied, allowed) = [&self.denied, &self.allowed].map(|nets| longest(nets, address, carried)).into();
        if denied.is_some() && denied >= allowed {
            return Err(Fault::Denied(refusal(address, carried, "closed by the proxy's --deny-destination", "")));
        }
        if allowed.is_some() || !is_guarded {
            return Ok(());
        }
        match guard::kind(carried.map_or(address, IpAddr::V4), |ip| self.is_local(ip)) {
            Ok(None) => Ok(()),
            Ok(Some(kind)) => {
                let remedy =
                    format!("; start sluicegate with --allow-destination {} to permit it", IpNet::from(address));
                Err(Fault::Denied(refusal(address, carried, kind, &remedy)))
            }
            Err(_) => Err(Fault::Capacity),
        }
    }

    /// Whether an address is this machine's own, asked of the kernel once a second at most: it is
    /// asked here for every request. What the kernel could not say is asked again.
    pub(crate) fn is_local(&self, ip: IpAddr) -> io::Result<bool> {
        let known = &mut *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((local, at)) = known.get(&ip)
            && at.elapsed() < Duration::from_secs(1)
        {
            return Ok(*local);
        }
        if known.len() >= 1024 {
            known.clear();
        }
        let local = (self.is_local)(ip)?;
        known.insert(ip, (local, Instant::now()));
        Ok(local)
    }

    /// What is permitted although it is guarded.
    pub(crate) fn allowed(&self) -> &[IpNet] {
        &self.allowed
    }

    /// What nobody may reach.
    pub(crate) fn denied(&self) -> &[IpNet] {
        &self.denied
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

/// The longest prefix, in bits of an IPv6 address, of those `nets` that contain the address or what it carries.
fn longest(nets: &[IpNet], address: IpAddr, carried: Option<Ipv4Addr>) -> Option<u8> {
    let carried = carried.map(IpAddr::V4);
    let containing = nets.iter().filter(|net| net.contains(&address) || carried.is_some_and(|v4| net.contains(&v4)));
    containing.map(|net| net.prefix_len().saturating_add(if net.addr().is_ipv4() { BEFORE_IPV4 } else { 0 })).max()
}

fn refusal(address: IpAddr, carried: Option<Ipv4Addr>, kind: &str, remedy: &str) -> String {
    match carried {
        Some(carried) => format!("{address} leads to {carried}, {kind}{remedy}"),
        None => format!("{address} is {kind}{remedy}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(clients: &[&str], ranges: &[&str]) -> Rules {
        let parse = |nets: &[&str]| nets.iter().map(|net| net.parse().unwrap()).collect();
        Rules::new(parse(clients), Ranges { allowed: parse(ranges), ..Ranges::default() })
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

    const GUARDED: &[&str] = &[
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
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:42::42",
        "fd00:c1::a9fe:a9fe",
        "fd00:a9fe:a9fe::1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::6464:64c8",
        // Each layout of RFC 6052, whatever stands behind the address.
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:0:a9:fea9:fe00:0",
        "64:ff9b:1:0:7f:0:100:0",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:7f00:0:1ff:ffff:ffff",
        // Teredo: the client, and the server.
        "2001:0:808:808::80ff:fffe",
        "2001:0:7f00:1::f7f7:f7f7",
        "2001:db8::5efe:127.0.0.1",
        "::ffff:0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "ff02::1",
    ];

    #[test]
    fn guarded_from_other_machines() {
        let none = rules(&[], &[]);
        for &ip in GUARDED {
            assert!(!permitted(&none, "192.0.2.9:3128", ip), "{ip}");
            assert!(!permitted(&none, "0.0.0.0:3128", ip), "{ip}");
            assert!(!permitted(&none, "[::]:3128", ip), "{ip}");
            assert!(permitted(&none, "127.0.0.1:3128", ip), "{ip}");
            assert!(permitted(&none, "[::1]:3128", ip), "{ip}");
        }
        for ip in [
            "192.0.2.77",
            "2001:db8::1",
            "::ffff:192.0.2.77",
            "64:ff9b::c000:24d",
            "64:ff9b:1:808:8:800::",
            "64:ff9b:1:8:8:808::",
            "64:ff9b:1:0:8:808:800:0",
            "64:ff9b:1::808:808",
            "2002:808:808::1",
            "2001:0:808:808::f7f7:f7f7",
            "169.253.0.1",
            "100.100.100.201",
            "10.0.0.1",
            "fd00:ec1::254",
            "fec0::1",
        ] {
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

    /// An address is chosen so that one reading of it is permitted and another is not.
    #[test]
    fn every_reading_must_be_permitted() {
        let some = rules(&[], &["8.8.8.8/32", "10.0.0.0/8"]);
        for ip in ["64:ff9b:1:808:8:800:7f00:1", "2001:0:808:808::80ff:fffe", "2001:0:a00:1::5601:5601"] {
            assert!(!permitted(&some, "0.0.0.0:3128", ip), "{ip}");
        }
    }

    fn denying(allowed: &[&str], denied: &[&str], guards_all: bool) -> Rules {
        let parse = |nets: &[&str]| nets.iter().map(|net| net.parse().unwrap()).collect();
        Rules::new(Vec::new(), Ranges { allowed: parse(allowed), denied: parse(denied), guards_all })
    }

    #[test]
    fn the_longest_prefix_counts_and_of_two_the_denial() {
        let some = denying(
            &["10.1.0.0/16", "10.2.0.0/16", "127.0.0.1/32", "::/0", "fd00::5/128"],
            &["10.0.0.0/8", "10.2.0.0/16", "10.1.2.0/24", "192.0.2.0/24", "fd00::/8"],
            false,
        );
        for (ip, may) in [
            ("10.0.0.1", false),
            ("10.1.0.1", true),
            ("10.1.2.3", false),
            ("10.2.0.1", false),
            ("192.0.2.1", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("8.8.8.8", true),
            ("fd00::5", true),
            ("fd00::6", false),
            ("::1", true),
            ("::ffff:10.0.0.1", false),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b::10.1.0.1", true),
            ("2002:a02:1::1", false),
            ("2001:db8::1", true),
        ] {
            assert_eq!(permitted(&some, "0.0.0.0:3128", ip), may, "{ip}");
        }
        // A denial holds for everyone, the guard for those from elsewhere.
        for (ip, may) in [("10.0.0.1", false), ("64:ff9b:1:a00::100:0:0", false), ("127.0.0.2", true)] {
            assert_eq!(permitted(&some, "127.0.0.1:3128", ip), may, "{ip}");
        }
    }

    #[test]
    fn a_loopback_listener_is_guarded_when_asked() {
        let all = denying(&["127.0.0.3/32"], &[], true);
        for (ip, may) in [("127.0.0.1", false), ("127.0.0.3", true), ("169.254.169.254", false), ("8.8.8.8", true)] {
            assert_eq!(permitted(&all, "127.0.0.1:3128", ip), may, "{ip}");
        }
    }

    /// Without descriptors nobody knows: it is neither open nor closed, and is asked again the next time.
    #[test]
    fn what_cannot_be_told_is_no_denial_and_is_not_remembered() {
        let mut rules = Rules { is_local: |_| Err(io::ErrorKind::Other.into()), ..rules(&[], &[]) };
        let ask = |rules: &Rules| rules.permits(&through("0.0.0.0:1"), [192, 0, 2, 1].into());
        assert_eq!(ask(&rules), Err(Fault::Capacity));
        rules.is_local = |_| Ok(false);
        assert_eq!(ask(&rules), Ok(()));
        rules.is_local = |_| Err(io::ErrorKind::Other.into());
        assert_eq!(ask(&rules), Ok(()), "what is known is not asked again");
    }

    #[test]
    fn a_refusal_says_what_would_permit_it() {
        let none = rules(&[], &[]);
        let said = |ip: &str| none.permits(&through("0.0.0.0:1"), ip.parse().unwrap()).unwrap_err().to_string();
        assert_eq!(
            said("127.0.0.1"),
            "127.0.0.1 is a loopback address; start sluicegate with --allow-destination 127.0.0.1/32 to permit it"
        );
        assert_eq!(
            said("64:ff9b::a9fe:a9fe"),
            "64:ff9b::a9fe:a9fe leads to 169.254.169.254, a link-local address; \
             start sluicegate with --allow-destination 64:ff9b::a9fe:a9fe/128 to permit it"
        );
    }
}
