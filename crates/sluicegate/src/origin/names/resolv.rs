//! resolv.conf(5), read as glibc reads it. Pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// More name servers are passed over (`MAXNS`).
const MOST_SERVERS: usize = 3;
/// More search domains are passed over: each may cost a question to each server.
const MOST_DOMAINS: usize = 64;
/// Where questions go unless a file says otherwise, and to which port.
const DEFAULT_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);
/// DNS over UDP and TCP.
pub(super) const PORT: u16 = 53;

/// What resolv.conf says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conf {
    /// Not empty.
    pub(super) servers: Vec<SocketAddr>,
    /// Domains that are appended, without dots at their ends; empty: the root.
    pub(super) search: Vec<String>,
    /// With so many dots a name is first asked for as it is.
    pub(super) ndots: usize,
    /// How long the first server may take to answer.
    pub(super) timeout: Duration,
    /// How often all servers are asked.
    pub(super) attempts: usize,
    /// Another server is asked first each time.
    pub(super) rotate: bool,
    /// TCP from the start.
    pub(super) tcp: bool,
    /// Say that longer answers are welcome over UDP (RFC 6891).
    pub(super) edns: bool,
    /// A name without a dot is never asked for as it is.
    pub(super) no_tld: bool,
    /// IPv6 addresses are of no use here; those of hosts count all the same.
    pub(super) no_aaaa: bool,
}

impl Default for Conf {
    fn default() -> Self {
        Self {
            servers: vec![DEFAULT_SERVER],
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            tcp: false,
            edns: false,
            no_tld: false,
            no_aaaa: false,
        }
    }
}

/// A configuration, and what in its file was passed over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) conf: Conf,
    pub(super) odd: Vec<String>,
    /// It names servers, and not one of them can be read.
    pub(super) is_broken: bool,
}

/// Reads `text`. Without `search` or `domain` the domain of this machine's `hostname` is searched. `scope` knows the
/// number of an interface by its name (`fe80::1%eth0`).
pub(super) fn read(text: &[u8], hostname: &[u8], scope: impl Fn(&str) -> Option<u32>) -> Read {
    let mut read = Read { conf: Conf { servers: Vec::new(), ..Conf::default() }, odd: Vec::new(), is_broken: false };
    let mut search = None;
    for line in text.split(|byte| *byte == b'\n') {
        if matches!(line.first(), None | Some(b'#' | b';')) {
            continue;
        }
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).filter(|word| !word.is_empty());
        // A keyword stands at the beginning of its line.
        let keyword = if line.starts_with(b" ") || line.starts_with(b"\t") { None } else { words.next() };
        match keyword {
            Some(b"nameserver") => read.server(words.next().unwrap_or_default(), &scope),
            // Without a word it is as if the line were not there.
            Some(b"search" | b"domain") if words.clone().next().is_none() => {}
            Some(b"search") => search = Some(read.domains(words)),
            Some(b"domain") => search = Some(read.domains(words.take(1))),
            Some(b"options") => words.for_each(|word| read.option(word)),
            Some(b"sortlist" | b"lookup" | b"family") | None => {}
            Some(_) => read.pass_over("line", line),
        }
    }
    read.is_broken = read.is_broken && read.conf.servers.is_empty();
    if read.conf.servers.is_empty() {
        read.conf.servers.push(DEFAULT_SERVER);
    }
    read.conf.search = search.unwrap_or_else(|| domain_of(hostname));
    read
}

impl Read {
    fn pass_over(&mut self, what: &str, text: &[u8]) {
        // Who reads the warning needs to recognise the word, not to see a whole binary file.
        if self.odd.len() < 4 {
            let text: String = String::from_utf8_lossy(text).chars().take(64).collect();
            self.odd.push(format!("{what} {text:?}"));
        }
    }

    fn server(&mut self, word: &[u8], scope: impl Fn(&str) -> Option<u32>) {
        let word = word.split(|byte| matches!(byte, b'#' | b';')).next().unwrap_or_default();
        match address(word, scope) {
            Some(_) if self.conf.servers.len() >= MOST_SERVERS => self.pass_over("fourth name server", word),
            Some(server) => self.conf.servers.push(server),
            None => {
                self.is_broken = true;
                self.pass_over("name server", word);
            }
        }
    }

    fn domains<'a>(&mut self, words: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
        let mut domains = Vec::new();
        for word in words {
            match domain(word) {
                Some(domain) if domains.len() < MOST_DOMAINS => domains.push(domain),
                _ => self.pass_over("search domain", word),
            }
        }
        domains
    }

    fn option(&mut self, word: &[u8]) {
        let (name, value) = match word.iter().position(|byte| *byte == b':') {
            Some(colon) => word.split_at_checked(colon.saturating_add(1)).unwrap_or_default(),
            None => (word, &b""[..]),
        };
        let number = || str::from_utf8(value).ok().and_then(|digits| digits.parse::<u64>().ok());
        let conf = &mut self.conf;
        match (name, number()) {
            (b"ndots:", Some(n)) => conf.ndots = usize::try_from(n.min(15)).unwrap_or(15),
            // glibc reads it with atoi(3).
            (b"ndots:", None) => {
                conf.ndots = 0;
                self.pass_over("option", word);
            }
            (b"timeout:", Some(n)) => conf.timeout = Duration::from_secs(n.clamp(1, 30)),
            (b"attempts:", Some(n)) => conf.attempts = usize::try_from(n.clamp(1, 5)).unwrap_or(5),
            (b"rotate", _) => conf.rotate = true,
            (b"use-vc", _) => conf.tcp = true,
            (b"edns0", _) => conf.edns = true,
            (b"no-tld-query", _) => conf.no_tld = true,
            (b"no-aaaa", _) => conf.no_aaaa = true,
            // Both questions have one socket of their own each time, and nothing else here depends on these.
            (b"single-request" | b"single-request-reopen" | b"no-reload" | b"trust-ad" | b"debug" | b"inet6", _) => {}
            _ => self.pass_over("option", word),
        }
    }
}

fn address(word: &[u8], scope: impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    let word = str::from_utf8(word).ok()?;
    if let Some((ip, interface)) = word.split_once('%') {
        let scope = interface.parse().ok().or_else(|| scope(interface))?;
        return Some(SocketAddrV6::new(ip.parse().ok()?, PORT, 0, scope).into());
    }
    Some(SocketAddr::new(word.parse().ok()?, PORT))
}

/// A domain that can be part of a name, without dots at its ends.
fn domain(word: &[u8]) -> Option<String> {
    let word = word.strip_prefix(b".").unwrap_or(word);
    let word = word.strip_suffix(b".").unwrap_or(word);
    let is_label = |label: &[u8]| (1..=63).contains(&label.len()) && label.iter().all(u8::is_ascii_graphic);
    let is_domain = word.is_empty() || word.len() <= 253 && word.split(|byte| *byte == b'.').all(is_label);
    is_domain.then(|| String::from_utf8_lossy(word).into_owned())
}

fn domain_of(hostname: &[u8]) -> Vec<String> {
    let dot = hostname.iter().position(|byte| *byte == b'.');
    let after = dot.and_then(|dot| hostname.get(dot.saturating_add(1)..));
    after.filter(|after| !after.is_empty()).and_then(domain).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &[u8]) -> Read {
        read(text, b"box.lan.test", |name| (name == "eth0").then_some(7))
    }

    #[test]
    fn what_is_not_there_has_its_default() {
        let Read { conf, odd, is_broken } = of(b"");
        assert_eq!(conf, Conf { search: vec!["lan.test".to_owned()], ..Conf::default() });
        assert!(odd.is_empty() && !is_broken);
        assert_eq!(read(b"", b"box", |_| None).conf, Conf::default());
        assert_eq!(read(b"", b"box.", |_| None).conf, Conf::default());
    }

    #[test]
    fn servers() {
        let conf =
            of(b"nameserver 10.0.0.1 # one\nnameserver\t::1\nnameserver fe80::1%eth0\nnameserver 10.0.0.4\n").conf;
        let shown: Vec<_> = conf.servers.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.1:53", "[::1]:53", "[fe80::1%7]:53"]);
        assert_eq!(of(b"nameserver 10.0.0.1;x\n").conf.servers.len(), 1);
        assert_eq!(of(b" nameserver 10.0.0.1\n").conf.servers, [DEFAULT_SERVER], "not at the beginning of its line");
        let half = of(b"nameserver nonsense\nnameserver 10.0.0.1\n");
        assert!(!half.is_broken && half.odd.len() == 1, "{half:?}");
        assert!(of(b"nameserver nonsense\nnameserver 300.1.1.1\n").is_broken);
    }

    #[test]
    fn the_last_of_search_and_domain_counts() {
        let search = |text: &[u8]| of(text).conf.search;
        assert_eq!(search(b"domain a.test\nsearch b.test c_d.test.\n"), ["b.test", "c_d.test"]);
        assert_eq!(search(b"search b.test c.test\ndomain a.test x.test\n"), ["a.test"]);
        assert_eq!(search(b"search\ndomain \n"), ["lan.test"]);
        assert_eq!(search(b"search a.test\nsearch\n"), ["a.test"]);
        assert_eq!(search(b"search . .a.test\n"), ["", "a.test"]);
    }

    #[test]
    fn what_cannot_be_read_is_passed_over_alone() {
        let long = format!("search b\u{e4}d.test a..b {}.test good.test\n", "x".repeat(64));
        let Read { conf, odd, .. } = of(long.as_bytes());
        assert_eq!((conf.search, odd.len()), (vec!["good.test".to_owned()], 3));
        let Read { conf, odd, .. } =
            of(b"# caf\xe9\n; x\n\xff\xfe\noptions foo:bar ndots:x ndots:3 timeout:99 attempts:0\n");
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (3, Duration::from_secs(30), 1));
        assert_eq!(of(b"options ndots:x\n").conf.ndots, 0);
        assert_eq!(odd, ["line \"\u{fffd}\u{fffd}\"", "option \"foo:bar\"", "option \"ndots:x\""]);
    }

    #[test]
    fn options() {
        let Read { conf, odd, .. } =
            of(b"options rotate use-vc edns0 trust-ad\noptions single-request no-tld-query no-aaaa\n");
        assert!(conf.rotate && conf.tcp && conf.edns && conf.no_tld && conf.no_aaaa && odd.is_empty());
    }
}
