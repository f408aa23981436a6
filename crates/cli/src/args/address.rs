//! Addresses and ranges as people type them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listen {
    /// One address.
    Address(SocketAddr),
    /// This port of `localhost`: both loopback addresses, as far as this machine has them.
    Localhost(u16),
}

impl Listen {
    /// The addresses to bind, all of them or, for `localhost`, at least one.
    pub(crate) fn addresses(self) -> Vec<SocketAddr> {
        match self {
            Self::Address(address) => vec![address],
            Self::Localhost(port) => {
                vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
            }
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        match text.rsplit_once(':') {
            Some((host, port)) if host.eq_ignore_ascii_case("localhost") => match port.parse() {
                Ok(port) => Ok(Self::Localhost(port)),
                Err(_) => Err(not_a_port(port)),
            },
            split => Err(explain(text, split)),
        }
    }
}

/// A name server, on port 53 unless it says another.
pub(super) fn server(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)));
    address.map_err(|_| "it must be an address like 10.0.0.53 or [fd00::53]:5353".to_owned())
}

/// A range, or a single address as a range of one.
pub(super) fn range(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let net: IpNet = text.parse().map_err(|_| not_a_range(text))?;
    if net != net.trunc() {
        let one = IpNet::from(net.addr());
        return Err(format!(
            "it has bits beyond its prefix; for the whole range write {}, for one address {one}",
            net.trunc()
        ));
    }
    Ok(canonical(net))
}

/// What `private` means: RFC 1918, RFC 6598 (shared by providers), RFC 4193 (unique local) and RFC 3879 (site-local).
const PRIVATE: [&str; 6] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10"];

/// One range or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranges(pub(crate) Vec<IpNet>);

/// A range, an address, or a word for several.
pub(super) fn ranges(text: &str) -> Result<Ranges, String> {
    if text.eq_ignore_ascii_case("private") {
        return PRIVATE.into_iter().map(range).collect::<Result<_, _>>().map(Ranges);
    }
    let one = range(text).map_err(|why| format!("{why}, or the word private"))?;
    Ok(Ranges(vec![one]))
}

/// What would be right instead.
fn not_a_range(text: &str) -> String {
    let is_all = ["all", "any", "everyone", "everybody", "*"].iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_all {
        return "all addresses are 0.0.0.0/0 in IPv4 and ::/0 in IPv6; write the one, and repeat the flag for the other"
            .to_owned();
    }
    let mut parts = text.split(|c: char| c == ',' || c == ';' || c.is_whitespace()).filter(|part| !part.is_empty());
    if let (Some(first), Some(second)) = (parts.next(), parts.next())
        && [first, second].iter().all(|part| range(part).is_ok())
    {
        return format!("it takes one range; repeat the flag for each: {first}, and once more for {second}");
    }
    "it must be a range like 192.168.0.0/16 or fd00::/8, or an address".to_owned()
}

/// IPv4 ranges written as IPv6 are IPv4 ranges, because that is what clients are compared as.
fn canonical(net: IpNet) -> IpNet {
    let mapped = match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96)),
        _ => None,
    };
    let v4 = mapped.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok());
    v4.map_or(net, IpNet::V4)
}

/// What is wrong with text that is not an address, and what would be right.
fn explain(text: &str, split: Option<(&str, &str)>) -> String {
    if text.contains("://") {
        return "write the address without http://, as 127.0.0.1:3128".to_owned();
    }
    if let Ok(port) = text.parse::<u16>() {
        return format!("it has no address; write 127.0.0.1:{port}, or use --port {port}");
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return format!("it has no port; write {address}:{}", super::DEFAULT_PORT);
    }
    // In `::1:3128` nobody can tell the port from the address.
    if text.parse::<Ipv6Addr>().is_ok() || split.is_some_and(|(host, _)| host.parse::<Ipv6Addr>().is_ok()) {
        return "write an IPv6 address in brackets and with a port, as [::1]:3128".to_owned();
    }
    match split {
        None if text.eq_ignore_ascii_case("localhost") => "it has no port; write localhost:3128".to_owned(),
        None => "it must be an address with a port, like 127.0.0.1:3128, [::1]:3128 or localhost:3128".to_owned(),
        Some(("" | "*", port)) => format!(
            "it has no address; write 127.0.0.1:{port} for this machine only, \
             or 0.0.0.0:{port} together with --allow-client for others"
        ),
        Some((host, port)) if host.parse::<Ipv4Addr>().is_ok() || host.ends_with(']') => not_a_port(port),
        Some(_) => {
            "it must be an address of this machine, or localhost, not another name; write one like 127.0.0.1:3128"
                .to_owned()
        }
    }
}

fn not_a_port(port: &str) -> String {
    format!("'{port}' is not a valid port; write one from 0 to 65535, as in 127.0.0.1:3128")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on() {
        for text in ["127.0.0.1:3128", "[::1]:0", "0.0.0.0:80", "[fe80::1%2]:3128"] {
            assert_eq!(text.parse(), Ok(Listen::Address(text.parse().unwrap())), "{text}");
        }
        assert_eq!("LocalHost:3128".parse(), Ok(Listen::Localhost(3128)));
    }

    #[test]
    fn what_is_not_an_address_is_explained() {
        for (text, said) in [
            ("3128", "write 127.0.0.1:3128, or use --port 3128"),
            (":3128", "0.0.0.0:3128 together with --allow-client"),
            ("*:80", "0.0.0.0:80 together with --allow-client"),
            ("127.0.0.1", "it has no port; write 127.0.0.1:3128"),
            ("::", "in brackets"),
            ("::1:3128", "in brackets"),
            ("localhost", "write localhost:3128"),
            ("localhost:http", "'http' is not a valid port"),
            ("127.0.0.1:65536", "'65536' is not a valid port"),
            ("[::1]:x", "'x' is not a valid port"),
            ("fe80:x::1:80", "not another name"),
            ("fe80:0:1:2:3:4:5:6:3128", "in brackets"),
            ("proxy.example:3128", "or localhost, not another name"),
            ("http://127.0.0.1:3128", "without http://"),
            ("nonsense", "like 127.0.0.1:3128"),
            ("", "like 127.0.0.1:3128"),
        ] {
            let error = text.parse::<Listen>().unwrap_err();
            assert!(error.contains(said), "{text:?} is answered with {error:?}");
        }
    }

    #[test]
    fn ranges_and_words() {
        for (text, net) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("::1", "::1/128"),
            ("fd00::/8", "fd00::/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ] {
            assert_eq!(range(text), Ok(net.parse().unwrap()), "{text}");
        }
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "localhost", "10.0.0.0/8/", "10.0.0.1-10.0.0.9", "/8"] {
            assert!(range(text).unwrap_err().contains("192.168.0.0/16"), "{text}");
        }
        assert_eq!(ranges("private").unwrap().0.len(), PRIVATE.len());
        assert_eq!(ranges("fd00::/8").unwrap().0, ["fd00::/8".parse().unwrap()]);
        assert!(ranges("public").unwrap_err().contains("or the word private"));
        for text in ["all", "ANY", "*"] {
            assert!(range(text).unwrap_err().contains("0.0.0.0/0 in IPv4 and ::/0 in IPv6"), "{text}");
        }
        for text in ["10.0.0.0/8,fd00::/8", "10.0.0.1, 10.0.0.2,10.0.0.3", "10.0.0.1 10.0.0.2"] {
            assert!(range(text).unwrap_err().contains("repeat the flag for each"), "{text}");
        }
        let typo = range("10.0.0.5/8").unwrap_err();
        assert!(typo.contains("write 10.0.0.0/8, for one address 10.0.0.5/32"), "{typo}");
    }
}
