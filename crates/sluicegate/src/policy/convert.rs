//! To and from the types of the `http` crate.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use sluicegate_http1::{Field, Version as Ours};

use crate::message::body::Body;
use crate::message::edits::EditError;
use crate::message::response::Response;
use crate::policy::{OriginResponse, Request};

/// The head of a request, with the changes of policies, and without a body.
///
/// Its URI is the target as it came. Fields keep their order within one name; names become lower case.
impl TryFrom<&Request<'_>> for http::Request<()> {
    type Error = http::Error;

    fn try_from(request: &Request<'_>) -> Result<Self, http::Error> {
        let head = request.head();
        let builder = Self::builder().method(head.method()).uri(head.target()).version(version(head.version()));
        let mut made = builder.body(())?;
        *made.headers_mut() = headers(request.fields())?;
        Ok(made)
    }
}

/// The head of an origin's response, with the changes of policies, and without a body.
impl TryFrom<&OriginResponse<'_>> for http::Response<()> {
    type Error = http::Error;

    fn try_from(response: &OriginResponse<'_>) -> Result<Self, http::Error> {
        let head = response.head();
        let mut made = Self::builder().status(head.status()).version(version(head.version())).body(())?;
        *made.headers_mut() = headers(response.fields())?;
        Ok(made)
    }
}

/// An answer. Fields that are the proxy's own (framing, hop-by-hop) are left out; version and extensions do not
/// matter.
impl<B: Into<Body>> From<http::Response<B>> for Response {
    fn from(response: http::Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        let mut made = Self::new(parts.status.as_u16(), body);
        for (name, value) in &parts.headers {
            if !is_framing(name) {
                // Blanks around a value are no part of it (RFC 9110 §5.5), and `HeaderValue` may hold some.
                made = made.field(name.as_str(), value.as_bytes().trim_ascii());
            }
        }
        made
    }
}

impl Request<'_> {
    /// Sets each field of `headers` as [`Request::set`] and [`Request::append`] do, and leaves others as they are.
    ///
    /// # Errors
    /// The first that cannot be set; those before it have been.
    pub fn set_all(&mut self, headers: &HeaderMap) -> Result<(), EditError> {
        for name in headers.keys() {
            let mut values = headers.get_all(name).iter();
            if let Some(first) = values.next() {
                self.set(name.as_str(), first)?;
            }
            for more in values {
                self.append(name.as_str(), more)?;
            }
        }
        Ok(())
    }
}

fn headers<'a>(fields: impl Iterator<Item = Field<'a>>) -> Result<HeaderMap, http::Error> {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.try_append(HeaderName::from_bytes(field.name)?, HeaderValue::from_bytes(field.value)?)?;
    }
    Ok(headers)
}

fn is_framing(name: &HeaderName) -> bool {
    [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::TRAILER,
        header::UPGRADE,
        header::TE,
    ]
    .contains(name)
        || name == "keep-alive"
}

fn version(ours: Ours) -> Version {
    match ours {
        Ours::Http10 => Version::HTTP_10,
        Ours::Http11 => Version::HTTP_11,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::edits::{Edits, Room};
    use crate::record::{Extensions, Members};
    use sluicegate_http1::{HeadLimits, RequestHead, ResponseHead, target};

    const ROOM: Room = Room { bytes: 10_000, fields: 100, taken: (0, 0) };

    #[test]
    fn requests_and_their_changes() {
        let mut head = RequestHead::new();
        let text = b"GET http://h/a?b HTTP/1.1\r\nHost: h\r\nX-Tag: 1\r\nX-Tag: 2\r\n\r\n";
        head.receive(text, &HeadLimits::default()).unwrap();
        let target = target::parse(head.method(), head.target()).unwrap();
        let (mut edits, mut extensions, mut asked) = (Edits::new(), Extensions::new(), Members::default());
        let mut request = Request {
            head: &head,
            target: &target,
            edits: &mut edits,
            room: ROOM,
            extensions: &mut extensions,
            asked: &mut asked,
        };
        let mut headers = HeaderMap::new();
        headers.append("x-tag", HeaderValue::from_static("3"));
        headers.append("x-tag", HeaderValue::from_static("4"));
        request.set_all(&headers).unwrap();
        let made = http::Request::<()>::try_from(&request).unwrap();
        assert_eq!((made.method(), made.uri().path(), made.version()), (&http::Method::GET, "/a", Version::HTTP_11));
        let tags: Vec<_> = made.headers().get_all("x-tag").iter().collect();
        assert_eq!(tags, ["3", "4"]);
        headers.insert("connection", HeaderValue::from_static("close"));
        assert!(matches!(request.set_all(&headers), Err(EditError::Fixed(..))));
    }

    #[test]
    fn responses_both_ways() {
        let mut head = ResponseHead::new();
        head.receive(b"HTTP/1.0 404 No\r\nX: 1\r\n\r\n", &HeadLimits::default()).unwrap();
        let (mut edits, extensions) = (Edits::new(), Extensions::new());
        let response = OriginResponse { head: &head, edits: &mut edits, room: ROOM, extensions: &extensions };
        let made = http::Response::<()>::try_from(&response).unwrap();
        assert_eq!((made.status().as_u16(), made.version()), (404, Version::HTTP_10));
        assert_eq!(made.headers()["x"], "1");
        let answer = http::Response::builder().status(201).header("X", "2").header("Content-Length", "9").body("body");
        let answer = Response::from(answer.unwrap());
        answer.check().unwrap();
        assert_eq!((answer.status(), answer.body().length()), (201, Some(4)));
    }

    /// A `HeaderValue` may have blanks around it, which a field has not.
    #[test]
    fn blanks_around_values_are_left_out() {
        let answer = http::Response::builder().header("X", " \t2 3\t ").header("Y", " ").body("").unwrap();
        let answer = Response::from(answer);
        answer.check().unwrap();
        assert_eq!(answer.fields(), b"x: 2 3\r\ny: \r\n");
    }
}
