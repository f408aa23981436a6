//! Where a request is to go: the four forms of the request target (RFC 9112 §3.2), and `Host`.
//!
//! Everything that URL parsers are known to read in different ways is refused: userinfo,
//! backslashes, percent-encoded hosts, addresses in unusual notation, zone ids.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::fields::Name;
use crate::head::{RequestHead, Version};
use crate::malformed::Malformed;

/// The host of an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// An IPv4 address in its usual form.
    V4(Ipv4Addr),
    /// An IPv6 address, written in brackets.
    V6(Ipv6Addr),
    /// A name in the sender's case: letters, digits, `-`, `.` and `_`, perhaps with a dot at its
    /// end. Its last label is no number.
    Name(&'a str),
}

/// A host and perhaps a port (RFC 3986 §3.2), without userinfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// As written.
    pub text: &'a str,
    /// The host in `text`.
    pub host: Host<'a>,
    /// The port in `text`, 1 to 65535. None also if it is empty, as in `host:`.
    pub port: Option<u16>,
}

/// A request target, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// `http://authority/path?query`: what a proxy is asked for.
    Absolute {
        /// Where the request goes; the default port is 80.
        authority: Authority<'a>,
        /// The rest, verbatim. It may be empty or start with `?`.
        path_and_query: &'a [u8],
    },
    /// `host:port`, of CONNECT. The port is there.
    Authority(Authority<'a>),
    /// `/path?query`: a request to the proxy itself.
    Origin(&'a [u8]),
    /// `*`, of OPTIONS.
    Asterisk,
}

/// Understands the target of a request with this method.
///
/// # Errors
///
/// A form that the method does not take, or an authority that is not beyond doubt.
pub fn parse<'a>(method: &[u8], target: &'a [u8]) -> Result<Target<'a>, Malformed> {
    if method == b"CONNECT" {
        return connect(target);
    }
    if target.contains(&b'#') {
        return Err(Malformed::Fragment);
    }
    match target {
        b"*" if method == b"OPTIONS" => Ok(Target::Asterisk),
        b"*" => Err(Malformed::AsteriskForm),
        [b'/', ..] => Ok(Target::Origin(target)),
        _ => absolute(target),
    }
}

/// The value of `Host`: required in HTTP/1.1, never twice. It is empty, or an authority.
///
/// # Errors
///
/// See RFC 9112 §3.2: missing, repeated, invalid.
pub fn host_field(head: &RequestHead) -> Result<Option<&[u8]>, Malformed> {
    let mut hosts = head.fields().filter(|field| field.id == Name::Host);
    let Some(host) = hosts.next() else {
        return match head.version() {
            Version::Http11 => Err(Malformed::HostMissing),
            Version::Http10 => Ok(None),
        };
    };
    if hosts.next().is_some() {
        return Err(Malformed::HostRepeated);
    }
    if !host.value.is_empty() {
        Authority::parse(host.value).map_err(|_| Malformed::HostInvalid)?;
    }
    Ok(Some(host.value))
}

impl Target<'_> {
    /// Appends the target as an origin is to see it (RFC 9112 §3.2.1, §3.2.4): an absolute one
    /// loses its scheme and authority, and nothing else is changed.
    pub fn write_origin_form(&self, method: &[u8], out: &mut Vec<u8>) {
        match *self {
            Self::Absolute { path_and_query, .. } => match path_and_query {
                [] if method == b"OPTIONS" => out.push(b'*'),
                [b'/', ..] => out.extend_from_slice(path_and_query),
                _ => {
                    out.push(b'/');
                    out.extend_from_slice(path_and_query);
                }
            },
            Self::Authority(authority) => out.extend_from_slice(authority.text.as_bytes()),
            Self::Origin(path_and_query) => out.extend_from_slice(path_and_query),
            Self::Asterisk => out.push(b'*'),
        }
    }
}

impl<'a> Authority<'a> {
    /// Reads `host`, `host:port` or `host:`.
    ///
    /// # Errors
    ///
    /// What is wrong with the host or the port. Port 0 is refused.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.contains(&b'@') {
            return Err(Malformed::Userinfo);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed::BadHost)?;
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => bracketed(rest)?,
            None => {
                let (host, port) = split_port(text);
                (name_or_v4(host)?, port)
            }
        };
        let port = match port {
            None | Some("") => None,
            Some(digits) => Some(number(digits)?),
        };
        Ok(Self { text, host, port })
    }
}

impl fmt::Display for Host<'_> {
    /// As in a URL: IPv6 in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Authority<'_> {
    /// `host` or `host:port`, without the colon of an empty port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

fn connect(target: &[u8]) -> Result<Target<'_>, Malformed> {
    // Only for the better sentence: none of these bytes passes below.
    if target.iter().any(|byte| b"/?#*".contains(byte)) {
        return Err(Malformed::AuthorityFormRequired);
    }
    let authority = Authority::parse(target)?;
    match authority.port {
        Some(_) => Ok(Target::Authority(authority)),
        None => Err(Malformed::AuthorityFormRequired),
    }
}

fn absolute(target: &[u8]) -> Result<Target<'_>, Malformed> {
    let colon = memchr::memchr(b':', target).ok_or(Malformed::TargetForm)?;
    let (scheme, rest) = target.split_at_checked(colon).ok_or(Malformed::TargetForm)?;
    let rest = rest.strip_prefix(b"://").ok_or(Malformed::TargetForm)?;
    match scheme {
        scheme if scheme.eq_ignore_ascii_case(b"http") => {}
        scheme if scheme.eq_ignore_ascii_case(b"https") => return Err(Malformed::HttpsTarget),
        [b'a'..=b'z' | b'A'..=b'Z', tail @ ..] if tail.iter().all(is_scheme_byte) => {
            return Err(Malformed::SchemeUnsupported);
        }
        _ => return Err(Malformed::TargetForm),
    }
    let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at_checked(end).unwrap_or((rest, &[]));
    Ok(Target::Absolute { authority: Authority::parse(authority)?, path_and_query })
}

fn is_scheme_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.".contains(byte)
}

/// What follows `[`: an address, `]`, and nothing but a port.
fn bracketed(rest: &str) -> Result<(Host<'_>, Option<&str>), Malformed> {
    let (address, after) = rest.split_once(']').ok_or(Malformed::BadIpv6)?;
    let address = address.parse().map_err(|_| Malformed::BadIpv6)?;
    let port = match after {
        "" => None,
        after => Some(after.strip_prefix(':').ok_or(Malformed::BadIpv6)?),
    };
    Ok((Host::V6(address), port))
}

/// At the first colon, so that no second one can hide in the host.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

/// 1 to 5 digits, 1 to 65535.
fn number(digits: &str) -> Result<u16, Malformed> {
    if digits.len() > 5 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed::BadPort);
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(Malformed::BadPort),
        Ok(port) => Ok(port),
    }
}

fn name_or_v4(host: &str) -> Result<Host<'_>, Malformed> {
    if host.is_empty() {
        return Err(Malformed::EmptyHost);
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    // RFC 1035 §2.3.4.
    if name.len() > 253 {
        return Err(Malformed::BadHost);
    }
    let mut last = "";
    for label in name.split('.') {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !(1..=63).contains(&label.len()) || !label.bytes().all(known) {
            return Err(Malformed::BadHost);
        }
        last = label;
    }
    if !is_number(last) {
        return Ok(Host::Name(host));
    }
    // inet_aton and browsers read `127.1`, `0x7f.1` and `2130706433` as addresses, and others do
    // not: only what all read alike may pass.
    host.parse().map(Host::V4).map_err(|_| Malformed::BadHost)
}

/// Whether some parser takes a host that ends with this label for an IPv4 address.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}
