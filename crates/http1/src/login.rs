//! Logins that belong to a connection, and not to a request (RFC 9110 §3.3 forbids what they do; RFC 4559 §6 and NTLM
//! do it): whoever has such a connection next is taken for the one who logged in.
//!
//! What is not known to authenticate each request by itself is taken to belong to its connection: a connection too
//! many costs a handshake, a connection lent wrongly is somebody else's account.

use crate::fields::{Name, is_tchar, trim};
use crate::head::{RequestHead, ResponseHead};

/// The schemes that authenticate each request by itself: all that are registered (RFC 9110 §16.4.1, which asks just that
/// of them, §16.4.2) but Negotiate, of which the registry says that it breaks this rule; and the signatures of S3.
const PER_REQUEST: &[&[u8]] = &[
    b"basic",
    b"bearer",
    b"digest",
    b"aws4-hmac-sha256",
    b"concealed",
    b"dpop",
    b"gnap",
    b"hoba",
    b"mutual",
    b"oauth",
    b"privatetoken",
    b"scram-sha-1",
    b"scram-sha-256",
    b"vapid",
];

/// Whether a request logs its connection in.
#[inline]
#[must_use]
pub fn request_binds(head: &RequestHead) -> bool {
    head.has(Name::Authorization) && head.named(Name::Authorization).any(|field| binds(field.value))
}

/// Whether a response asks for, or goes on with, a login of its connection.
#[inline]
#[must_use]
pub fn response_binds(head: &ResponseHead) -> bool {
    let asks = |id| head.has(id) && head.named(id).any(|field| binds(field.value));
    asks(Name::WwwAuthenticate) || asks(Name::ProxyAuthenticate)
}

/// Whether credentials or challenges (RFC 9110 §11.3, §11.4), of which there may be several, name a scheme that is not
/// known to be of a request alone; or cannot be read.
#[must_use]
pub fn binds(value: &[u8]) -> bool {
    let (mut rest, mut named) = (value, false);
    while !rest.is_empty() {
        let Some((element, behind)) = split_element(rest) else { return true };
        match Element::of(trim(element)) {
            Element::Nothing => {}
            Element::Scheme(name) if is_per_request(name) => named = true,
            Element::Parameter if named => {}
            Element::Scheme(_) | Element::Parameter | Element::Other => return true,
        }
        rest = behind;
    }
    false
}

fn is_per_request(scheme: &[u8]) -> bool {
    PER_REQUEST.iter().any(|known| known.eq_ignore_ascii_case(scheme))
}

/// What stands between two commas.
enum Element<'a> {
    Nothing,
    /// A scheme, whatever follows it.
    Scheme(&'a [u8]),
    /// `name=value` of the scheme before.
    Parameter,
    /// Neither.
    Other,
}

impl<'a> Element<'a> {
    fn of(element: &'a [u8]) -> Self {
        let end = element.iter().position(|&byte| !is_tchar(byte)).unwrap_or(element.len());
        let (token, behind) = element.split_at_checked(end).unwrap_or_default();
        match (token, behind.first(), trim(behind).first()) {
            ([], None, _) => Self::Nothing,
            ([], ..) => Self::Other,
            (.., Some(b'=')) => Self::Parameter,
            (_, None | Some(b' ' | b'\t'), _) => Self::Scheme(token),
            _ => Self::Other,
        }
    }
}

/// The bytes up to the next comma that stands in no quoted string, and what is behind it. `None`: a string does not end.
fn split_element(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return Some((value.get(..at)?, value.get(at.saturating_add(1)..)?)),
            _ => {}
        }
    }
    (!quoted).then_some((value, b""))
}
