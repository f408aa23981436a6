//! Hosts: names folded to the one form that is compared, and addresses in the one form that all read alike.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// The longest name, in bytes without the dot at its end (RFC 1035 §2.3.4).
pub(crate) const LONGEST: usize = 253;

/// A host as a request names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// A name in the sender's case, without the dot at its end. Made by [`Host::read`], it has no other bytes than
    /// letters, digits, `-`, `_` and single dots, and its last label is no number.
    Name(&'a str),
    /// An address that was written as one.
    Address(IpAddr),
}

/// Why a text is not a host that all programs read alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHost {
    /// Nothing.
    #[error("there is no host")]
    Empty,
    /// Letters of other scripts, which are written as `xn--` over the wire.
    #[error("a host is ASCII; write its letters as xn--")]
    NotAscii,
    /// `127.1`, `0x7f.0.0.1`, `2130706433`, `0177.0.0.1`, `1.2.3.4.`.
    #[error("some programs read it as an IPv4 address and others do not; write the address as four decimal numbers")]
    UnusualAddress,
    /// Brackets without an IPv6 address between them, or with a zone.
    #[error("it is not an IPv6 address in brackets")]
    BadIpv6,
    /// A byte that no host has: `%`, `@`, `\`, a space.
    #[error("it has a character that no host has")]
    Character,
    /// `a..b`, `.a`, or a label of more than 63 bytes.
    #[error("it has a label that is empty or longer than 63 bytes")]
    Label,
    /// More than 253 bytes.
    #[error("it is longer than 253 bytes")]
    TooLong,
}

impl<'a> Host<'a> {
    /// Reads a host as it stands in a URL or CONNECT: a name, an IPv4 address, or an IPv6 address in brackets.
    ///
    /// ```
    /// use sluicegate_rules::{BadHost, Host};
    ///
    /// assert_eq!(Host::read("PyPI.org."), Ok(Host::Name("PyPI.org")));
    /// assert_eq!(Host::read("[::1]"), Ok(Host::Address("::1".parse().unwrap())));
    /// assert_eq!(Host::read("127.1"), Err(BadHost::UnusualAddress));
    /// ```
    ///
    /// # Errors
    /// What two programs could read in two ways.
    pub fn read(text: &'a str) -> Result<Self, BadHost> {
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').ok_or(BadHost::BadIpv6)?;
            return address.parse().map(|v6| Self::Address(IpAddr::V6(v6))).map_err(|_| BadHost::BadIpv6);
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        check_name(name)?;
        if !ends_in_number(name) {
            return Ok(Self::Name(name));
        }
        match text.parse::<Ipv4Addr>() {
            Ok(v4) => Ok(Self::Address(IpAddr::V4(v4))),
            Err(_) => Err(BadHost::UnusualAddress),
        }
    }
}

impl fmt::Display for Host<'_> {
    /// As in a URL, in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.chars().try_for_each(|c| fmt::Write::write_char(f, c.to_ascii_lowercase())),
            Self::Address(IpAddr::V4(v4)) => v4.fmt(f),
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
        }
    }
}

/// A name as people write it in the form that goes over the wire: IDNA (UTS 46), lower case, no dot at the end.
pub(crate) fn fold(text: &str) -> Result<String, BadHost> {
    // Most names are plain, and these need no tables.
    let is_plain = text.is_ascii() && !text.as_bytes().windows(4).any(|part| part.eq_ignore_ascii_case(b"xn--"));
    let folded = if is_plain { None } else { Some(idna::domain_to_ascii(text).map_err(|_| BadHost::Character)?) };
    match Host::read(folded.as_deref().unwrap_or(text))? {
        Host::Name(name) => Ok(name.to_ascii_lowercase()),
        // Wide digits and the like: no address is written so.
        Host::Address(_) => Err(BadHost::UnusualAddress),
    }
}

fn check_name(name: &str) -> Result<(), BadHost> {
    let mut label = 0_u8;
    for byte in name.bytes() {
        label = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' if label < 63 => label.saturating_add(1),
            b'.' if label > 0 => 0,
            0x80.. => return Err(BadHost::NotAscii),
            b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => return Err(BadHost::Label),
            _ => return Err(BadHost::Character),
        };
    }
    match name.len() {
        0 => Err(BadHost::Empty),
        _ if label == 0 => Err(BadHost::Label),
        n if n > LONGEST => Err(BadHost::TooLong),
        _ => Ok(()),
    }
}

/// Whether some program takes the name for an IPv4 address: its last label is a number (WHATWG URL, "ends in a number").
pub(crate) fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    match last.as_bytes() {
        [b'0', b'x' | b'X', digits @ ..] => digits.iter().all(u8::is_ascii_hexdigit),
        digits => digits.iter().all(u8::is_ascii_digit),
    }
}
