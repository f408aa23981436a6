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
    /// The port in `text`, 1 to 65535. None also if it is empty, as in `host:`. It may have been written with zeros
    /// before it (RFC 3986 §3.2.3), which [`Authority::parts`] leaves out.
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
    if memchr::memchr(b'#', target).is_some() {
        return Err(Malformed::Fragment);
    }
    match target {
        b"*" if method == b"OPTIONS" => Ok(Target::Asterisk),
        b"*" => Err(Malformed::AsteriskForm),
        [b'/', ..] => Ok(Target::Origin(target)),
        _ => absolute(target),
    }
}

/// The value of `Host`: required in HTTP/1.1, never twice. It is empty, or an authority; one that
/// is written like that of `target` has been read with it.
///
/// # Errors
///
/// See RFC 9112 §3.2: missing, repeated, invalid.
pub fn host_field<'h>(head: &'h RequestHead, target: &Target<'_>) -> Result<Option<&'h [u8]>, Malformed> {
    let mut hosts = head.named(Name::Host);
    let Some(host) = hosts.next() else {
        return match head.version() {
            Version::Http11 => Err(Malformed::HostMissing),
            Version::Http10 => Ok(None),
        };
    };
    if hosts.next().is_some() {
        return Err(Malformed::HostRepeated);
    }
    let is_known = matches!(target, Target::Absolute { authority, .. } | Target::Authority(authority)
        if authority.text.as_bytes() == host.value);
    if !host.value.is_empty() && !is_known {
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
            Self::Authority(authority) => {
                let (host, port) = authority.parts();
                for part in [host, ":", port] {
                    out.extend_from_slice(part.as_bytes());
                }
            }
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
        Self::read(bytes)
            // An @ is no part of any host or port, so it has led here; it is what to tell.
            .map_err(|why| if bytes.contains(&b'@') { Malformed::Userinfo } else { why })
    }

    /// What has one form, whatever stands in `text`: the host as written, and the digits of the port without zeros
    /// before them; `""` if there is no port.
    #[inline]
    #[must_use]
    pub fn parts(&self) -> (&'a str, &'a str) {
        // From the end, where few digits stand: half of what a search costs.
        let colon = self.text.bytes().rposition(|byte| byte == b':').filter(|_| self.port.is_some());
        match colon.and_then(|colon| self.text.split_at_checked(colon)) {
            Some((host, port)) => (host, port.trim_start_matches([':', '0'])),
            None => (self.text.strip_suffix(':').unwrap_or(self.text), ""),
        }
    }

    fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let text = str::from_utf8(bytes).map_err(|_| Malformed::BadHost)?;
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => bracketed(rest)?,
            None => name_or_v4(text)?,
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
    let rest = match target.strip_prefix(b"http://") {
        Some(rest) => rest,
        None => other_scheme(target)?,
    };
    let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at_checked(end).unwrap_or((rest, &[]));
    Ok(Target::Absolute { authority: Authority::parse(authority)?, path_and_query })
}

/// What follows `HTTP://`, or why it is not that.
#[cold]
fn other_scheme(target: &[u8]) -> Result<&[u8], Malformed> {
    let colon = memchr::memchr(b':', target).ok_or(Malformed::TargetForm)?;
    let (scheme, rest) = target.split_at_checked(colon).ok_or(Malformed::TargetForm)?;
    let rest = rest.strip_prefix(b"://").ok_or(Malformed::TargetForm)?;
    match scheme {
        scheme if scheme.eq_ignore_ascii_case(b"http") => Ok(rest),
        scheme if scheme.eq_ignore_ascii_case(b"https") => Err(Malformed::HttpsTarget),
        [b'a'..=b'z' | b'A'..=b'Z', tail @ ..] if tail.iter().all(is_scheme_byte) => Err(Malformed::SchemeUnsupported),
        _ => Err(Malformed::TargetForm),
    }
}

fn is_scheme_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.".contains(byte)
}

/// What follows `[`: an address, `]`, and nothing but a port.
fn bracketed(rest: &str) -> Result<(Host<'_>, Option<u16>), Malformed> {
    let (address, after) = rest.split_once(']').ok_or(Malformed::BadIpv6)?;
    let address = address.parse().map(Host::V6).map_err(|_| Malformed::BadIpv6)?;
    match after.as_bytes() {
        [] => Ok((address, None)),
        [b':', digits @ ..] => Ok((address, port(digits)?)),
        _ => Err(Malformed::BadIpv6),
    }
}

/// A name or IPv4 address in its one undoubted form, up to the first colon, and a port: one pass.
fn name_or_v4(text: &str) -> Result<(Host<'_>, Option<u16>), Malformed> {
    let (mut end, mut last_label, mut label) = (0_usize, 0_usize, 0_u8);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' if label < 63 => {
                label = label.saturating_add(1);
            }
            b'.' if label > 0 => {
                last_label = end.saturating_add(1);
                label = 0;
            }
            b':' => break,
            _ => return Err(Malformed::BadHost),
        }
        end = end.saturating_add(1);
    }
    let (host, after) = text.split_at_checked(end).unwrap_or_default();
    // RFC 1035 §2.3.4; the dot at the end is not counted.
    let longest = if label == 0 { 254 } else { 253 };
    match end {
        0 => return Err(Malformed::EmptyHost),
        end if end > longest => return Err(Malformed::BadHost),
        _ => {}
    }
    let port = match after.as_bytes() {
        [_colon, digits @ ..] => port(digits)?,
        [] => None,
    };
    Ok((host_of(host, last_label)?, port))
}

/// inet_aton and browsers read `127.1`, `0x7f.1` and `2130706433` as addresses, and others do not:
/// only what all read alike may pass.
fn host_of(name: &str, last_label: usize) -> Result<Host<'_>, Malformed> {
    let last = match name.get(last_label..) {
        // The dot at the end starts no label.
        None | Some("") => name.trim_end_matches('.').rsplit('.').next().unwrap_or_default(),
        Some(label) => label,
    };
    if !is_number(last) {
        return Ok(Host::Name(name));
    }
    name.parse().map(Host::V4).map_err(|_| Malformed::BadHost)
}

/// Whether some parser takes a host that ends with this label for an IPv4 address.
fn is_number(label: &str) -> bool {
    match label.as_bytes() {
        [b'0', b'x' | b'X', digits @ ..] => digits.iter().all(u8::is_ascii_hexdigit),
        digits => digits.iter().all(u8::is_ascii_digit),
    }
}

/// More digits than this are no port, whatever they say.
const PORT_DIGITS: usize = 64;

/// 1 to 65535 in decimal, perhaps with zeros before it. None if there are no digits at all.
fn port(digits: &[u8]) -> Result<Option<u16>, Malformed> {
    if digits.len() > PORT_DIGITS {
        return Err(Malformed::BadPort);
    }
    let mut port: u16 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(Malformed::BadPort);
        }
        let digit = u16::from(digit.wrapping_sub(b'0'));
        let next = port.checked_mul(10).and_then(|port| port.checked_add(digit));
        port = next.ok_or(Malformed::BadPort)?;
    }
    match port {
        0 if digits.is_empty() => Ok(None),
        0 => Err(Malformed::BadPort),
        port => Ok(Some(port)),
    }
}
