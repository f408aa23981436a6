//! What of a message goes on, pure: from the head that was received straight into the bytes that
//! are sent, in one pass, keeping the order, case and number of the fields (RFC 9110 §7.6).

mod offers;

use sluicegate_http1::{Framing, Name, Names, RequestHead, ResponseHead, Target, Version};

pub(crate) use self::offers::Offers;
use crate::limits::ADDED_TO_HEADS;
use crate::message::edits::Edits;
use crate::pipe::Encoding;

/// How many more hops a TRACE or OPTIONS may make (RFC 9110 §7.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaxForwards {
    /// Not given, or the method does not care.
    Unlimited,
    /// This many after us.
    Left(u64),
    /// We are the last recipient.
    Here,
    /// Not a number.
    Invalid,
}

/// Reads `Max-Forwards` for the methods that it counts for.
pub(crate) fn max_forwards(head: &RequestHead) -> MaxForwards {
    if !matches!(head.method(), b"TRACE" | b"OPTIONS") {
        return MaxForwards::Unlimited;
    }
    let mut fields = head.named(Name::MaxForwards);
    let Some(field) = fields.next() else {
        return MaxForwards::Unlimited;
    };
    if fields.next().is_some() {
        return MaxForwards::Invalid;
    }
    if field.value.is_empty() || !field.value.iter().all(u8::is_ascii_digit) {
        return MaxForwards::Invalid;
    }
    // More than a u64 holds is more than anyone counts: any maximum of ours will do.
    let hops = std::str::from_utf8(field.value).ok().and_then(|digits| digits.parse::<u64>().ok());
    match hops.unwrap_or(u64::MAX).checked_sub(1) {
        None => MaxForwards::Here,
        Some(left) => MaxForwards::Left(left),
    }
}

/// Whether an earlier Via entry carries `pseudonym`: the request has been here before.
pub(crate) fn has_passed(head: &RequestHead, pseudonym: &str) -> bool {
    head.named(Name::Via).any(|field| {
        let mut words = field.value.split(|b| matches!(b, b' ' | b'\t' | b','));
        words.any(|word| word.eq_ignore_ascii_case(pseudonym.as_bytes()))
    })
}

/// What the forwarded head of a request depends on beside the head itself.
#[derive(Clone, Copy)]
pub(crate) struct RequestRoute<'a> {
    pub(crate) target: &'a Target<'a>,
    pub(crate) framing: Framing,
    pub(crate) max_forwards: MaxForwards,
    /// The protocols that the client may switch to.
    pub(crate) upgrade: Option<Offers<'a>>,
    /// Our pseudonym in Via, or none.
    pub(crate) via: Option<&'a str>,
    /// What a policy changed, or none.
    pub(crate) edits: Option<&'a Edits>,
}

/// Writes the head that the origin gets.
pub(crate) fn write_request(head: &RequestHead, route: &RequestRoute<'_>, out: &mut Vec<u8>) {
    let Target::Absolute { authority, .. } = route.target else {
        return; // only absolute-form is forwarded as a request
    };
    out.reserve_exact(staged_size(head.bytes().len(), head.field_count(), route.edits));
    push(out, &[head.method(), b" "]);
    route.target.write_origin_form(head.method(), out);
    push(out, &[b" HTTP/1.1\r\n"]);
    let (host, port) = authority.parts();
    let colon: &[u8] = if port.is_empty() { b"" } else { b":" };
    let host = |out: &mut Vec<u8>| push(out, &[b"Host: ", host.as_bytes(), colon, port.as_bytes(), b"\r\n"]);
    if head.field(Name::Host).is_none() {
        host(out);
    }
    let mut length_written = false;
    // An HTTP/1.0 client cannot be told to continue (RFC 9110 §10.1.1).
    let differing = if head.version() == Version::Http10 { REQUEST.with(Name::Expect) } else { REQUEST };
    let replaced = route.edits.map(|edits| |name: &[u8]| edits.replaces(name));
    head.write_fields(out, differing, replaced, |field, out| match (field.id, route.framing, route.max_forwards) {
        (Name::Host, ..) => host(out),
        (Name::ContentLength, Framing::Length(n), _) if !length_written => {
            length_written = true;
            push(out, &[field.name, b": ", Decimal::new(n).as_bytes(), b"\r\n"]);
        }
        (Name::MaxForwards, _, MaxForwards::Left(n)) => {
            push(out, &[field.name, b": ", Decimal::new(n).as_bytes(), b"\r\n"]);
        }
        (Name::MaxForwards, ..) => push(out, &[field.name, b": ", field.value, b"\r\n"]),
        // Hop-by-hop, or replaced: a policy can change none of those above.
        _ => {}
    });
    if let Some(edits) = route.edits {
        write_added(edits, out);
    }
    if matches!(route.framing, Framing::Chunked | Framing::UntilClose) {
        push(out, &[b"Transfer-Encoding: chunked\r\n"]);
    }
    let trailers = accepts_trailers(head);
    match (route.upgrade.is_some(), trailers) {
        (true, true) => push(out, &[b"Connection: upgrade, TE\r\n"]),
        (true, false) => push(out, &[b"Connection: upgrade\r\n"]),
        (false, true) => push(out, &[b"Connection: TE\r\n"]),
        (false, false) => {}
    }
    if let Some(offers) = route.upgrade {
        offers.write(out);
    }
    if trailers {
        push(out, &[b"TE: trailers\r\n"]);
    }
    write_via(head.version(), route.via, out);
    push(out, &[b"\r\n"]);
}

/// How a body with this framing travels to an HTTP/1 client of this version, and whether only the end of the connection ends
/// it. `Chunked`: its source says where it ends; an HTTP/1.0 client cannot be told.
pub(crate) fn encoded(framing: Framing, version: Version) -> (Encoding, bool) {
    match (framing, version) {
        (Framing::Chunked, Version::Http11) => (Encoding::Chunked, false),
        (Framing::Chunked | Framing::UntilClose, _) => (Encoding::Identity, true),
        (Framing::Empty | Framing::Length(_), _) => (Encoding::Identity, false),
    }
}

/// What the forwarded head of a response depends on beside the head itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseRoute<'a> {
    pub(crate) framing: Framing,
    pub(crate) encoding: Encoding,
    /// The length to announce: the body's, or what a HEAD or a 304 says that it would be.
    pub(crate) length: Option<u64>,
    /// Whether the client's connection ends with this response.
    pub(crate) close: bool,
    /// Our pseudonym in Via, or none.
    pub(crate) via: Option<&'a str>,
    /// Used where the origin gave none (RFC 9110 §6.6.1).
    pub(crate) now: fn() -> std::time::SystemTime,
    /// What a policy changed, or none.
    pub(crate) edits: Option<&'a Edits>,
}

/// Writes the head that the client gets; for an interim response too.
pub(crate) fn write_response(head: &ResponseHead, route: &ResponseRoute<'_>, out: &mut Vec<u8>) {
    out.reserve_exact(staged_size(head.bytes().len(), head.field_count(), route.edits));
    let status = head.status();
    let (interim, switching) = (status < 200, status == 101);
    push(out, &[b"HTTP/1.1 ", Decimal::new(u64::from(status)).as_bytes(), b" ", head.reason(), b"\r\n"]);
    let mut length_written = false;
    let replaced = route.edits.map(|edits| |name: &[u8]| edits.replaces(name));
    head.write_fields(out, RESPONSE, replaced, |field, out| match (field.id, route.length) {
        (Name::ContentLength, Some(n)) if !length_written => {
            length_written = true;
            push(out, &[field.name, b": ", Decimal::new(n).as_bytes(), b"\r\n"]);
        }
        _ => {}
    });
    // Beyond nomination, so one that was received was written, unless a policy has replaced it.
    let mut dated = head.has(Name::Date);
    if let Some(edits) = route.edits {
        dated = dated && !edits.replaces(b"Date") || edits.added().any(|field| field.id == Name::Date);
        write_added(edits, out);
    }
    if let Some(chosen) = head.field(Name::Upgrade).filter(|_| switching) {
        push(out, &[b"Connection: upgrade\r\nUpgrade: ", chosen.value, b"\r\n"]);
    }
    if route.encoding == Encoding::Chunked && route.framing != Framing::Empty {
        push(out, &[b"Transfer-Encoding: chunked\r\n"]);
    }
    if !interim && !dated {
        write_date((route.now)(), out);
    }
    write_via(head.version(), route.via, out);
    if route.close && !interim {
        push(out, &[b"Connection: close\r\n"]);
    }
    push(out, &[b"\r\n"]);
}

/// Writes the fields that a policy added.
fn write_added(edits: &Edits, out: &mut Vec<u8>) {
    for field in edits.added() {
        push(out, &[field.name, b": ", field.value, b"\r\n"]);
    }
}

/// Writes a `Date` field (RFC 9110 §6.6.1).
pub(crate) fn write_date(now: std::time::SystemTime, out: &mut Vec<u8>) {
    let date = httpdate::HttpDate::from(now).to_string();
    push(out, &[b"Date: ", date.as_bytes(), b"\r\n"]);
}

/// Fields that are for one connection only (RFC 9110 §7.6.1), and credentials for proxies: there
/// is none but us on this connection (§11.7). Beside them, those that we write anew.
const RESPONSE: Names = Names::of(&[
    Name::Connection,
    Name::KeepAlive,
    Name::ProxyConnection,
    Name::Te,
    Name::TransferEncoding,
    Name::Upgrade,
    Name::Http2Settings,
    Name::ProxyAuthorization,
    Name::ProxyAuthenticate,
    Name::ProxyAuthenticationInfo,
    Name::ContentLength,
]);
const REQUEST: Names = RESPONSE.with(Name::Host).with(Name::MaxForwards);

/// `TE: trailers`, properly listed in Connection (RFC 9110 §10.1.4), is what we can do as well.
fn accepts_trailers(head: &RequestHead) -> bool {
    let mut codings = head.named(Name::Te).map(|field| field.value);
    head.connection().te
        && codings.any(|value| sluicegate_http1::fields::list(value).any(|c| c.eq_ignore_ascii_case(b"trailers")))
}

fn write_via(received: Version, pseudonym: Option<&str>, out: &mut Vec<u8>) {
    if let Some(pseudonym) = pseudonym {
        push(out, &[b"Via: ", received.as_str().as_bytes(), b" ", pseudonym.as_bytes(), b"\r\n"]);
    }
}

/// What a head may measure when it leaves: each field may gain a space behind its colon, and a CR before its LF.
fn staged_size(bytes: usize, fields: usize, edits: Option<&Edits>) -> usize {
    bytes
        .saturating_add(fields.saturating_mul(2))
        .saturating_add(ADDED_TO_HEADS)
        .saturating_add(edits.map_or(0, Edits::len))
}

pub(crate) fn push(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// A number in decimal digits, without allocating.
pub(crate) struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    pub(crate) fn new(mut n: u64) -> Self {
        let mut digits = [b'0'; 20];
        let mut start = 20_usize;
        for slot in digits.iter_mut().rev() {
            *slot = b'0'.wrapping_add(u8::try_from(n % 10).unwrap_or(0));
            start = start.saturating_sub(1);
            n /= 10;
            if n == 0 {
                break;
            }
        }
        Self { digits, start }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
