//! An answer of a policy's own.

use std::borrow::Cow;

use sluicegate_http1::Name;
use sluicegate_http1::reasons::reason;

use crate::limits::Limits;
use crate::message::body::Body;
use crate::message::edits::{self, EditError};

/// A response that is made here: a status, fields, and one body.
///
/// How it is framed, `Date`, and whether the connection goes on are the proxy's affair. A text gets the
/// `Content-Type` `text/plain; charset=utf-8` unless it has one. To a HEAD, and with 204, 205 and 304, no body is sent, and none is
/// asked for.
///
/// There is one body, given at the beginning; a second does not compile:
///
/// ```compile_fail
/// use sluicegate::{Body, Response};
///
/// let response = Response::new(200, "one");
/// let response = response.body(Body::from("two")); // there is no such method
/// ```
///
/// nor does the same body in two answers:
///
/// ```compile_fail
/// use sluicegate::{Body, Response};
///
/// let body = Body::from("one");
/// let (first, second) = (Response::new(200, body), Response::new(200, body));
/// ```
///
/// A status that cannot be final, a reason phrase that is not valid, or a field that is not allowed (see [`EditError`]), is
/// found when it is sent: then the client gets a 500 and the error is logged. [`Response::check`] finds it before.
#[derive(Debug)]
pub struct Response(Box<Inner>);

/// In a box, so that a verdict is small: most are none of these.
#[derive(Debug)]
struct Inner {
    status: u16,
    /// Instead of the usual one.
    reason: Option<Cow<'static, str>>,
    /// Whole field lines.
    fields: Vec<u8>,
    has_type: bool,
    has_date: bool,
    /// No request may follow on its connection.
    is_last: bool,
    wrong: Option<ResponseError>,
    body: Body,
}

/// Bytes of a reason phrase.
const LONGEST_REASON: usize = 128;

/// Why a response cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// A final status is 200 to 599 (RFC 9110 §15).
    #[error("{0} is not a final status; use one between 200 and 599")]
    Status(u16),
    /// To a CONNECT a 2xx says that a tunnel is open (RFC 9110 §9.3.6), and there is none.
    #[error("{0} to a CONNECT would open a tunnel that leads nowhere; forward it, or answer with another status")]
    Tunnel(u16),
    /// The reason phrase is empty, too long, or not printable ASCII (RFC 9112 §4).
    #[error("{0:?} is not a valid reason phrase; use 1 to {LONGEST_REASON} printable ASCII characters")]
    Reason(String),
    /// A field that is not allowed.
    #[error(transparent)]
    Field(#[from] EditError),
}

impl Response {
    /// A response with this final status, 200 to 599, and this body.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Body>) -> Self {
        let wrong = (!(200..600).contains(&status)).then_some(ResponseError::Status(status));
        let body = body.into();
        let (reason, fields, has_type, has_date, is_last) = (None, Vec::new(), false, false, false);
        Self(Box::new(Inner { status, reason, fields, has_type, has_date, is_last, wrong, body }))
    }

    /// Another reason phrase than the usual one: 1 to 128 printable ASCII characters. It is for people who read what is on the
    /// wire: clients ignore it, and versions of HTTP above 1.1 do not send it (RFC 9112 §4).
    #[must_use]
    pub fn reason(mut self, phrase: impl Into<Cow<'static, str>>) -> Self {
        let phrase = phrase.into();
        let is_short = (1..=LONGEST_REASON).contains(&phrase.len());
        if is_short && phrase.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            self.0.reason = Some(phrase);
        } else {
            let shown = phrase.chars().take(LONGEST_REASON).collect();
            self.0.wrong.get_or_insert(ResponseError::Reason(shown));
        }
        self
    }

    /// One more field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        if let Err(error) = edits::check_own(name, value) {
            self.0.wrong.get_or_insert(error.into());
            return self;
        }
        self.0.has_type |= name.eq_ignore_ascii_case("content-type");
        self.0.has_date |= Name::of(name.as_bytes()) == Name::Date;
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            self.0.fields.extend_from_slice(part);
        }
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Whether it can be sent.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), ResponseError> {
        self.0.wrong.clone().map_or(Ok(()), Err)
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.0.body
    }

    /// No request may follow on its connection.
    pub(crate) fn last(mut self) -> Self {
        self.0.is_last = true;
        self
    }

    pub(crate) fn is_last(&self) -> bool {
        self.0.is_last
    }

    /// Without a `Date`.
    pub(crate) fn undated(mut self) -> Self {
        self.0.has_date = true;
        self
    }

    pub(crate) fn into_body(self) -> Body {
        self.0.body
    }

    /// The same as [`Response::check`], and fit to answer a request with this method, and not larger than a response's head
    /// may be.
    pub(crate) fn fits(&self, method: &[u8], limits: &Limits) -> Result<(), ResponseError> {
        self.check()?;
        if method == b"CONNECT" && (200..300).contains(&self.0.status) {
            return Err(ResponseError::Tunnel(self.0.status));
        }
        let most = limits.response_share().bytes;
        if self.0.fields.len() > most { Err(EditError::TooLarge(most).into()) } else { Ok(()) }
    }

    /// Whether a response with this status has no body, whatever it is to (RFC 9110 §6.4.1, §15.3.6).
    pub(crate) fn is_bodiless(&self) -> bool {
        matches!(self.0.status, 204 | 205 | 304)
    }

    /// Its reason phrase; empty if there is none for its status.
    pub(crate) fn phrase(&self) -> &str {
        self.0.reason.as_deref().unwrap_or_else(|| reason(self.0.status))
    }

    /// Its fields as whole lines, without those that frame it.
    pub(crate) fn fields(&self) -> &[u8] {
        &self.0.fields
    }

    /// Whether it wants a `Date` that it does not have.
    pub(crate) fn lacks_date(&self) -> bool {
        !self.0.has_date
    }

    /// Whether it is a text that does not say what kind of text.
    pub(crate) fn lacks_type(&self) -> bool {
        self.0.body.is_text() && !self.0.has_type && !self.is_bodiless()
    }
}
