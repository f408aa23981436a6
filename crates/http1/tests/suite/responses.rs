//! Response heads (RFC 9112 §4).

use sluicegate_http1::{Framing, HeadLimits, Malformed, Names, ResponseHead, Version, framing};

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
        (b"HTTP/1.1 600 Custom", 600, b"Custom", Version::Http11),
        (b"HTTP/1.1 999 Request Denied", 999, b"Request Denied", Version::Http11),
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
fn what_parsers_do_not_agree_on_is_refused() {
    use Malformed::*;
    for (fields, why) in [
        (&b"X-A: b\r\n c\r\n\r\n"[..], ObsFold),
        (b" X-A: b\r\n\r\n", ObsFold),
        (b"X-A : b\r\n c\r\n\r\n", ObsFold),
        (b"X-A: b\n c\n\n", ObsFold),
        (b"X-A : b\r\nX B: c\r\n\r\n", BadNameByte),
        (b" : b\r\n\r\n", ObsFold),
        (b"X-A : b\rX-B: c\n\n", BareCr),
        (b"X-A: b\r\r\n\r\n", BareCr),
        (b"X-A: b\n\rX", BareCr),
        (b"X A: b\r\n\r\n", BadNameByte),
        (b"X-A: b\rSet-Cookie: EVIL=1\r\n\r\n", BareCr),
        (b"X-A: b\0\r\n\r\n", Nul),
        (b"X-A: \x02\r\n\r\n", ControlInValue),
        (b": b\r\n\r\n", EmptyName),
        (b"no colon\r\n\r\n", MissingColon),
    ] {
        let head = [b"HTTP/1.1 200 OK\r\n", fields].concat();
        assert_eq!(response(&head).err(), Some(why), "{}", fields.escape_ascii());
    }
    let outcome = receive::<ResponseHead>(b"\nHTTP/1.1 200 OK\n\n", &HeadLimits::default());
    assert_eq!(outcome, Err(BareLf), "before the status line");
}

/// Devices send it; what is passed on has neither.
#[test]
fn bare_line_feeds_and_blanks_before_the_colon_are_left_out() {
    let fields = [("Content-Length", "5"), ("X-A", "b")];
    for head in [
        &b"HTTP/1.1 200 OK\nContent-Length: 5\nX-A: b\n\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\nX-A: b\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 5\r\nX-A: b\r\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\nX-A\t: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length \t :5\r\nX-A   :   b \r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length : 5\nX-A\t:b\t\n\n",
    ] {
        let (taken, seen) = receive::<ResponseHead>(head, &HeadLimits::default()).unwrap().unwrap();
        assert_eq!(taken, head.len(), "{}", head.escape_ascii());
        assert_eq!(seen.start.1, b"OK");
        let want = fields.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        assert_eq!(seen.fields, want, "{}", head.escape_ascii());
        let head = response(head).unwrap();
        assert_eq!(framing::response(&head, b"GET"), Ok(Framing::Length(5)));
        let mut written = Vec::new();
        head.write_fields(&mut written, Names::of(&[]), None::<fn(&[u8]) -> bool>, |_, _| {});
        assert_eq!(written.escape_ascii().to_string(), r"Content-Length: 5\r\nX-A: b\r\n");
    }
}

/// A name is what it is, also with a blank behind it: else two readers would see two lengths.
#[test]
fn framing_with_blanks_before_the_colon_counts() {
    let framed = |fields: &[u8]| {
        let head = response(&[b"HTTP/1.1 200 OK\r\n", fields, b"\r\n"].concat()).unwrap();
        framing::response(&head, b"GET")
    };
    assert_eq!(framed(b"Transfer-Encoding : chunked\r\n"), Ok(Framing::Chunked));
    assert_eq!(framed(b"Transfer-Encoding\t: chunked\n"), Ok(Framing::Chunked));
    let both = b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n";
    assert_eq!(framed(both), Err(Malformed::TwoLengths));
    let unequal = b"Content-Length : 6\nContent-Length: 5\r\n";
    assert_eq!(framed(unequal), Err(Malformed::UnequalContentLengths));
    assert_eq!(framed(b"Content-Length : 5\nContent-Length: 5\r\n"), Ok(Framing::Length(5)));
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
