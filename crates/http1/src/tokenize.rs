//! The tokenizer (httparse) and what it lets through that RFC 9112 does not.
//!
//! Line ends are not looked at here: it takes a bare LF, so whoever calls it checks them.

use httparse::{ParserConfig, Request, Response, Status};

use crate::index::{Slots, Tokens, span};
use crate::message::Version;

/// What a request line says, as offsets into the head.
pub(crate) struct RequestLine {
    pub(crate) method: (u32, u32),
    pub(crate) target: (u32, u32),
    pub(crate) version: Version,
}

/// What a status line says.
pub(crate) struct StatusLine {
    pub(crate) status: u16,
    pub(crate) reason: (u32, u32),
    pub(crate) version: Version,
}

/// The request head at the start of `bytes`. None if it is refused, or not whole.
#[inline]
pub(crate) fn request<'b, 's>(bytes: &'b [u8], slots: Slots<'b, 's>) -> Option<Tokens<'b, 's, RequestLine>> {
    let mut request = Request::new(&mut []);
    let Ok(Status::Complete(len)) = request.parse_with_uninit_headers(bytes, slots) else {
        return None;
    };
    let (method, target) = (request.method?.as_bytes(), request.path?.as_bytes());
    // It lets UTF-8 into targets.
    if !target.is_ascii() {
        return None;
    }
    let version = version(request.version?)?;
    let start = RequestLine { method: span(bytes, method), target: span(bytes, target), version };
    Some(Tokens { len, start, fields: request.headers })
}

/// The response head at the start of `bytes`. None if it is refused, or not whole.
#[inline]
pub(crate) fn response<'b, 's>(bytes: &'b [u8], slots: Slots<'b, 's>) -> Option<Tokens<'b, 's, StatusLine>> {
    let mut response = Response::new(&mut []);
    let mut config = ParserConfig::default();
    // RFC 9112 §5.1: a proxy removes them.
    config.allow_spaces_after_header_name_in_responses(true);
    let Ok(Status::Complete(len)) = config.parse_response_with_uninit_headers(&mut response, bytes, slots) else {
        return None;
    };
    // It takes any three digits.
    let status = response.code.filter(|status| (100..=999).contains(status))?;
    let start = StatusLine { status, reason: reason(bytes), version: version(response.version?)? };
    Some(Tokens { len, start, fields: response.headers })
}

fn version(minor: u8) -> Option<Version> {
    match minor {
        0 => Some(Version::Http10),
        1 => Some(Version::Http11),
        _ => None,
    }
}

/// The reason phrase: what follows `HTTP/1.1 200 `. Not the tokenizer's, which drops obs-text.
fn reason(head: &[u8]) -> (u32, u32) {
    let rest = head.get(13..).unwrap_or_default();
    let end = match head.get(12) {
        Some(b' ') => memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len()),
        _ => 0,
    };
    span(head, rest.get(..end).unwrap_or_default())
}
