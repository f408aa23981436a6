//! How long a body is: RFC 9112 §6 as two pure functions. What two parsers could read in two ways
//! is refused, not repaired.

use crate::fields::{Field, Name, is_token, list, trim};
use crate::head::{RequestHead, ResponseHead, Version};
use crate::malformed::Malformed;

/// The framing of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body, and no length was given.
    Empty,
    /// This many bytes; `Length(0)` if `Content-Length: 0` was sent.
    Length(u64),
    /// Chunks, then trailers.
    Chunked,
    /// All bytes until the connection is closed. Responses only.
    UntilClose,
}

/// The framing of a request's body. Never [`Framing::UntilClose`].
///
/// # Errors
///
/// A broken rule of RFC 9112 §6, or a CONNECT with content.
pub fn request(head: &RequestHead) -> Result<Framing, Malformed> {
    let lengths = Lengths::of(|name| head.has(name));
    if head.method() == b"CONNECT" {
        return connect_request(head, lengths);
    }
    let Some(lengths) = lengths else {
        // §6.3 step 7: neither field, so the length is zero.
        return Ok(Framing::Empty);
    };
    lengths.read(head.version(), |name| head.named(name))
}

/// The framing of the body of a response to a request with this method.
///
/// # Errors
///
/// A broken rule of RFC 9112 §6, also where the response has no body: an origin that is wrong
/// about its framing is not one to go on with.
pub fn response(head: &ResponseHead, method: &[u8]) -> Result<Framing, Malformed> {
    let status = head.status();
    // §6.3 step 2: after a 2xx to CONNECT both fields are to be ignored.
    if method == b"CONNECT" && (200..=299).contains(&status) {
        return Ok(Framing::Empty);
    }
    let framing = match Lengths::of(|name| head.has(name)) {
        Some(lengths) => lengths.read(head.version(), |name| head.named(name))?,
        // §6.3 step 8.
        None => Framing::UntilClose,
    };
    // §6.3 step 1.
    if method == b"HEAD" || matches!(status, 100..=199 | 204 | 304) {
        return Ok(Framing::Empty);
    }
    Ok(framing)
}

/// The one value of all `Content-Length` fields (RFC 9110 §8.6): the length to pass on in an
/// answer to HEAD, in a 304, or with a body.
///
/// # Errors
///
/// Anything but decimal digits below 2^63; values that differ. Equal ones count as one.
pub fn content_length<'a>(fields: impl Iterator<Item = Field<'a>>) -> Result<Option<u64>, Malformed> {
    let mut length = None;
    for field in fields.filter(|field| field.id == Name::ContentLength) {
        if let Some(value) = number(field.value) {
            agree(&mut length, value)?;
            continue;
        }
        // Not `list`: an empty element is as wrong as any other that is no number.
        for value in field.value.split(|&byte| byte == b',') {
            agree(&mut length, number(trim(value)).ok_or(Malformed::BadContentLength)?)?;
        }
    }
    Ok(length)
}

/// Takes the first length, and then only the same again.
fn agree(length: &mut Option<u64>, value: u64) -> Result<(), Malformed> {
    match *length.get_or_insert(value) == value {
        true => Ok(()),
        false => Err(Malformed::UnequalContentLengths),
    }
}

/// Which of the two fields a head has.
#[derive(Clone, Copy)]
enum Lengths {
    ContentLength,
    TransferEncoding,
    Both,
}

impl Lengths {
    #[inline]
    fn of(has: impl Fn(Name) -> bool) -> Option<Self> {
        match (has(Name::ContentLength), has(Name::TransferEncoding)) {
            (false, false) => None,
            (true, false) => Some(Self::ContentLength),
            (false, true) => Some(Self::TransferEncoding),
            (true, true) => Some(Self::Both),
        }
    }

    fn read<'a, I>(self, version: Version, named: impl Fn(Name) -> I) -> Result<Framing, Malformed>
    where
        I: Iterator<Item = Field<'a>> + Clone,
    {
        match self {
            // §6.3 step 3: an attempt at smuggling, or an error; §6.1 lets us refuse it.
            Self::Both => Err(Malformed::TwoLengths),
            // §6.1: in HTTP/1.0 the framing is faulty.
            Self::TransferEncoding if version == Version::Http10 => Err(Malformed::TransferEncodingIn10),
            // §6.3 step 4.
            Self::TransferEncoding => chunked_only(named(Name::TransferEncoding)).map(|()| Framing::Chunked),
            // §6.3 steps 5 and 6.
            Self::ContentLength => match content_length(named(Name::ContentLength))? {
                Some(length) => Ok(Framing::Length(length)),
                None => Err(Malformed::BadContentLength),
            },
        }
    }
}

/// RFC 9110 §9.3.6: what follows the head of a CONNECT belongs to the tunnel.
fn connect_request(head: &RequestHead, lengths: Option<Lengths>) -> Result<Framing, Malformed> {
    match lengths {
        None => Ok(Framing::Empty),
        Some(Lengths::ContentLength) => match content_length(head.named(Name::ContentLength))? {
            Some(0) | None => Ok(Framing::Length(0)),
            Some(_) => Err(Malformed::ConnectWithContent),
        },
        Some(_) => Err(Malformed::ConnectWithContent),
    }
}

/// Accepts one field that is exactly `chunked`, whatever its case; else says what is wrong.
fn chunked_only<'a>(fields: impl Iterator<Item = Field<'a>> + Clone) -> Result<(), Malformed> {
    let values = fields.map(|field| field.value);
    let mut exact = values.clone();
    if let (Some(value), None) = (exact.next(), exact.next())
        && value.eq_ignore_ascii_case(b"chunked")
    {
        return Ok(());
    }
    Err(diagnose_codings(values))
}

#[cold]
fn diagnose_codings<'a>(values: impl Iterator<Item = &'a [u8]> + Clone) -> Malformed {
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let codings = values.clone().flat_map(list);
    let times = codings.clone().filter(is_chunked).count();
    let unknown = codings.clone().any(|coding| !is_chunked(&coding));
    let odd = codings.clone().any(|coding| !is_token(coding));
    match codings.last() {
        None => Malformed::TransferEncodingSyntax,
        // `chunked;q=1`, `"chunked"`, a control or other byte next to it.
        Some(_) if odd => Malformed::TransferEncodingSyntax,
        Some(_) if times > 1 => Malformed::ChunkedRepeated,
        Some(last) if !is_chunked(&last) => Malformed::ChunkedNotLast,
        Some(_) if unknown => Malformed::UnknownCoding,
        // `,chunked`, or an empty field beside it.
        Some(_) => Malformed::TransferEncodingSyntax,
    }
}

/// 1*DIGIT, at most 19 of them, at most 2^63-1.
#[inline]
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut value: u64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // 19 digits fit into 64 bits: nothing wraps.
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0')));
    }
    i64::try_from(value).is_ok().then_some(value)
}
