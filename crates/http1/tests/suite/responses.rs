//! Response heads (RFC 9112 §4).

use sluicegate_http1::{HeadLimits, Malformed, ResponseHead, Version};

use crate::common::{receive, response};

fn with_line(line: &[u8]) -> Vec<u8> {
    [line, b"\r\nContent-Length: 0\r\n\r\n"].concat()
}

#[test]
fn status_lines_that_are_accepted() {
    for (line, status, reason, version) in [
        (&b"HTTP/1.1 200 OK"[..], 200, &b"OK"[..], Version::Http11),
        (b"HTTP/1.0 200 OK", 200, b"OK", Version::Http10),
        (b"HTTP/1.1 200", 200, b"", Version::Http11),
        (b"HTTP/1.1 200 ", 200, b"", Version::Http11),
        (b"HTTP/1.1 200  OK", 200, b" OK", Version::Http11),
        (b"HTTP/1.1 299 Custom Reason, ok?", 299, b"Custom Reason, ok?", Version::Http11),
        (b"HTTP/1.1 404 Introuvable \xe9", 404, b"Introuvable \xe9", Version::Http11),
        (b"HTTP/1.1 200 a\tb", 200, b"a\tb", Version::Http11),
        (b"HTTP/1.1 100 Continue", 100, b"Continue", Version::Http11),
        (b"HTTP/1.1 101 Switching Protocols", 101, b"Switching Protocols", Version::Http11),
        (b"HTTP/1.1 599 Odd", 599, b"Odd", Version::Http11),
    ] {
        let head = response(&with_line(line)).expect("accepted");
        assert_eq!((head.status(), head.reason()), (status, reason));
        assert_eq!(head.version(), version);
        assert_eq!(head.fields().count(), 1);
        assert_eq!(head.status_line_so_far(), line);
    }
}

#[test]
fn status_lines_that_are_refused() {
    use Malformed::*;
    for (line, why) in [
        (&b"HTTP/1.1 20 OK"[..], StatusLine),
        (b"HTTP/1.1 2000 OK", StatusLine),
        (b"HTTP/1.1 20x OK", StatusLine),
        (b"HTTP/1.1 +20 OK", StatusLine),
        (b"HTTP/1.1 200OK", StatusLine),
        (b"HTTP/1.1 200\tOK", StatusLine),
        (b"HTTP/1.1  200 OK", StatusLine),
        (b"HTTP/1.1\t200 OK", StatusLine),
        (b"HTTP/1.1", StatusLine),
        (b"HTTP/1.1 ", StatusLine),
        (b"HTTP", StatusLine),
        (b"HTTX/1.1 200 OK", StatusLine),
        (b" HTTP/1.1 200 OK", StatusLine),
        (b"ICY 200 OK", StatusLine),
        (b"<html>hello</html>", StatusLine),
        (b"\x00\x01\x02 this is not http", Nul),
        (b"HTTP/1.1 000 OK", StatusCode),
        (b"HTTP/1.1 099 OK", StatusCode),
        (b"HTTP/1.1 600 OK", StatusCode),
        (b"HTTP/1.1 999 OK", StatusCode),
        (b"HTTP/1.2 200 OK", UnsupportedVersion),
        (b"HTTP/2.0 200 OK", UnsupportedVersion),
        (b"HTTP/0.9 200 OK", UnsupportedVersion),
        (b"HTTP/2 200 OK", VersionSyntax),
        (b"HTTP/1,1 200 OK", VersionSyntax),
        (b"HTTP/1.1 200 O\0K", Nul),
        (b"HTTP/1.1 200 O\x07K", ControlInValue),
        (b"HTTP/1.1 200 O\x7fK", ControlInValue),
    ] {
        let outcome = response(&with_line(line));
        assert_eq!(outcome.err(), Some(why), "{}", line.escape_ascii());
    }
}

#[test]
fn responses_are_read_as_strictly_as_requests() {
    use Malformed::*;
    for (fields, why) in [
        (&b"X-A: b\r\n c\r\n\r\n"[..], ObsFold),
        (b" X-A: b\r\n\r\n", ObsFold),
        (b"Content-Length : 5\r\n\r\n", SpaceBeforeColon),
        (b"X A: b\r\n\r\n", BadNameByte),
        (b"X-A: b\rSet-Cookie: EVIL=1\r\n\r\n", BareCr),
        (b"X-A: b\nX-B: c\r\n\r\n", BareLf),
        (b"X-A: b\0\r\n\r\n", Nul),
        (b"X-A: \x02\r\n\r\n", ControlInValue),
        (b": b\r\n\r\n", EmptyName),
        (b"no colon\r\n\r\n", MissingColon),
    ] {
        let head = [b"HTTP/1.1 200 OK\r\n", fields].concat();
        assert_eq!(response(&head).err(), Some(why), "{}", fields.escape_ascii());
    }
    let all_lf = b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello";
    let outcome = receive::<ResponseHead>(all_lf, &HeadLimits::default());
    assert_eq!(outcome, Err(BareLf));
}

#[test]
fn empty_lines_before_a_response_are_skipped() {
    let head = response(b"\r\nHTTP/1.1 204 No Content\r\n\r\n").expect("skipped");
    assert_eq!(head.status(), 204);
}

#[test]
fn persistence_follows_version_and_connection() {
    for (head, persists) in [
        ("HTTP/1.1 200 OK\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nConnection: keep-alive, CLOSE\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n\r\n", false),
    ] {
        assert_eq!(response(head.as_bytes()).expect(head).persists(), persists, "{head}");
    }
}
