//! Request heads (RFC 9112 §2, §3, §5).

use sluicegate_http1::{Framing, HeadLimits, Malformed, Name, Received, RequestHead, Version, framing};

use crate::common::{receive, request};

const G: &str = "GET http://h/ HTTP/1.1\r\nHost: h\r\n";

/// A head whose request line is this.
fn with_line(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: h\r\n\r\n").into_bytes()
}

/// A head that has this line behind its Host.
fn with_field(line: &[u8]) -> Vec<u8> {
    [G.as_bytes(), line, b"\r\n\r\n"].concat()
}

#[test]
fn request_lines_that_are_accepted() {
    for (line, method, target, version) in [
        ("GET http://h/x HTTP/1.1", "GET", "http://h/x", Version::Http11),
        ("GET http://h/x HTTP/1.0", "GET", "http://h/x", Version::Http10),
        ("POST / HTTP/1.1", "POST", "/", Version::Http11),
        ("POSTS / HTTP/1.1", "POSTS", "/", Version::Http11),
        ("GETX / HTTP/1.1", "GETX", "/", Version::Http11),
        ("get / HTTP/1.1", "get", "/", Version::Http11),
        ("OPTIONS * HTTP/1.1", "OPTIONS", "*", Version::Http11),
        ("CONNECT h:443 HTTP/1.1", "CONNECT", "h:443", Version::Http11),
        ("M-SEARCH * HTTP/1.1", "M-SEARCH", "*", Version::Http11),
        ("!#$%&'*+-.^_`|~09 / HTTP/1.1", "!#$%&'*+-.^_`|~09", "/", Version::Http11),
        ("GET /\"<>\\^`{|} HTTP/1.1", "GET", "/\"<>\\^`{|}", Version::Http11),
        // Whether a target makes sense is said later.
        ("GET # HTTP/1.1", "GET", "#", Version::Http11),
    ] {
        let head = request(&with_line(line)).expect(line);
        assert_eq!(head.method(), method.as_bytes());
        assert_eq!(head.target(), target.as_bytes());
        assert_eq!(head.version(), version);
        assert_eq!(head.field(Name::Host).expect("Host").value, b"h");
    }
}

#[test]
fn request_lines_that_are_refused() {
    use Malformed::*;
    for (line, why) in [
        ("GET  / HTTP/1.1", RequestLineWords),
        ("GET /  HTTP/1.1", RequestLineWords),
        ("GET / HTTP/1.1 ", RequestLineWords),
        ("GET /x y HTTP/1.1", RequestLineWords),
        ("GET  HTTP/1.1", RequestLineWords),
        ("GET HTTP/1.1", RequestLineWords),
        ("GET /", RequestLineWords),
        ("GET ", RequestLineWords),
        ("GET", RequestLineWords),
        ("GET / HTTP/1.1 HTTP/1.1", RequestLineWords),
        ("GET\t/\tHTTP/1.1", RequestLineWords),
        ("GET\x0b/ HTTP/1.1", RequestLineWords),
        ("GET / HTTP/ 1.1", RequestLineWords),
        (" GET / HTTP/1.1", BadMethod),
        ("\tGET / HTTP/1.1", BadMethod),
        ("GE(T / HTTP/1.1", BadMethod),
        ("GET: / HTTP/1.1", BadMethod),
        ("G\u{e9}T / HTTP/1.1", BadMethod),
        ("\"GET\" / HTTP/1.1", BadMethod),
        ("GET\t / HTTP/1.1", BadMethod),
        ("GET /\t HTTP/1.1", BadTargetByte),
        ("GET /\x01 HTTP/1.1", BadTargetByte),
        ("GET /\x7f HTTP/1.1", BadTargetByte),
        ("GET /\u{e9} HTTP/1.1", BadTargetByte),
        ("GET /\u{a0} HTTP/1.1", BadTargetByte),
        ("GET /\0 HTTP/1.1", Nul),
        ("GET / HTTP/1.1\0", Nul),
        ("\0GET / HTTP/1.1", Nul),
        ("GET / HTTP/1", VersionSyntax),
        ("GET / HTTP/1.", VersionSyntax),
        ("GET / HTTP/1.1.1", VersionSyntax),
        ("GET / HTTP/1.10", VersionSyntax),
        ("GET / HTTP/01.1", VersionSyntax),
        ("GET / HTTP/1,1", VersionSyntax),
        ("GET / HTTP/+1.1", VersionSyntax),
        ("GET / http/1.1", VersionSyntax),
        ("GET / Http/1.1", VersionSyntax),
        ("GET / HTTPS/1.1", VersionSyntax),
        ("GET / HTCPCP/1.1", VersionSyntax),
        ("GET / HTTP1.1", VersionSyntax),
        ("GET / HTTP/1.1\t", VersionSyntax),
        ("GET / x", VersionSyntax),
        ("GET / HTTP/1.2", UnsupportedVersion),
        ("GET / HTTP/1.9", UnsupportedVersion),
        ("GET / HTTP/0.9", UnsupportedVersion),
        ("GET / HTTP/2.0", UnsupportedVersion),
        ("GET / HTTP/3.0", UnsupportedVersion),
        ("PRI * HTTP/2.0", UnsupportedVersion),
    ] {
        assert_eq!(request(&with_line(line)).err(), Some(why), "{line:?}");
    }
    // Latin-1 and broken UTF-8, which no &str can hold.
    let head = b"GET /\xe9 HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(request(head).err(), Some(BadTargetByte));
    let head = b"G\xc3T / HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(request(head).err(), Some(BadMethod));
}

#[test]
fn line_ends_and_first_bytes() {
    use Malformed::*;
    for (input, why) in [
        (&b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"[..], BareLf),
        (b"\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", BareLf),
        (b"GET / HTTP/1.1\nHost: h\r\n\r\n", BareLf),
        (b"GET / HTTP/1.1\r\nHost: h\n\r\n", BareLf),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\n", BareLf),
        (b"GET / HTTP/1.1\r\nHost: h\n\n", BareLf),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\nY: b\r\n\r\n", BareLf),
        (b"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", BareCr),
        (b"\r\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", BareCr),
        (b"GET\r/\rHTTP/1.1\r\nHost: h\r\n\r\n", BareCr),
        (b"GET / HTTP/1.1\rHost: h\r\n\r\n", BareCr),
        (b"GET / HTTP/1.1\rHost: h\r\r", BareCr),
        (b"GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", BareCr),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\rZGET /smuggled: HTTP/1.1\r\nHost: a\r\n\r\n", BareCr),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX\rA: b\r\n\r\n", BareCr),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", BareCr),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\r\n\r\n", BareCr),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rX-Smug: 1\r\n\r\n", BareCr),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", TlsClientHello),
        (b"\x16", TlsClientHello),
        (b"\r\n\x16", TlsClientHello),
        (b"\x80\x2e\x01", BadMethod),
        (b"{\"jsonrpc\": 1}", BadMethod),
        (b"\x05\x01\x00", Socks),
        (b"\x05", Socks),
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", Socks),
        (b"\x06", BadMethod),
        (b"\0", Nul),
    ] {
        let outcome = receive::<RequestHead>(input, &HeadLimits::default());
        assert_eq!(outcome, Err(why), "{}", input.escape_ascii());
    }
}

#[test]
fn empty_lines_before_are_skipped_and_do_not_make_it_begin() {
    let mut head = RequestHead::new();
    let limits = HeadLimits::default();
    for piece in [&b"\r"[..], b"\n", b"\r\n\r", b"\n"] {
        assert_eq!(head.receive(piece, &limits), Ok(Received::Partial));
        assert!(head.is_empty());
    }
    assert_eq!(head.receive(b"G", &limits), Ok(Received::Partial));
    assert!(!head.is_empty());
    let head = request(b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n").expect("two empty lines");
    assert!(head.bytes().starts_with(b"GET"));
}

#[test]
fn field_lines_that_are_accepted() {
    for (line, name, value) in [
        (&b"X-A: b"[..], &b"X-A"[..], &b"b"[..]),
        (b"X-A:b", b"X-A", b"b"),
        (b"X-A:", b"X-A", b""),
        (b"X-A: ", b"X-A", b""),
        (b"X-A: \t \t", b"X-A", b""),
        (b"X-A:  \t b c \t ", b"X-A", b"b c"),
        (b"X-A:  a  b \t c  ", b"X-A", b"a  b \t c"),
        (b"X-A::b:", b"X-A", b":b:"),
        (b"x-a: caf\xe9\xff\x80", b"x-a", b"caf\xe9\xff\x80"),
        (b"X-A: \xa0b\xa0", b"X-A", b"\xa0b\xa0"),
        (b"!#$%&'*+-.^_`|~09: b", b"!#$%&'*+-.^_`|~09", b"b"),
        (b"A: \"(),/:;<=>?@[\\]{}", b"A", b"\"(),/:;<=>?@[\\]{}"),
    ] {
        let head = request(&with_field(line)).expect("accepted");
        let last = head.fields().last().expect("a field");
        assert_eq!((last.name, last.value), (name, value));
        assert_eq!(last.id, Name::Other);
    }
    let head = request(b"GET / HTTP/1.1\r\n\r\n").expect("no field at all");
    assert_eq!(head.fields().count(), 0);
}

#[test]
fn field_lines_that_are_refused() {
    use Malformed::*;
    for (line, why) in [
        (&b"X-A : b"[..], SpaceBeforeColon),
        (b"X-A\t: b", SpaceBeforeColon),
        (b"Transfer-Encoding : chunked", SpaceBeforeColon),
        (b": b", EmptyName),
        (b":", EmptyName),
        (b"X-A b", MissingColon),
        (b"X-A", MissingColon),
        (b"X A: b", BadNameByte),
        (b"X\tA: b", BadNameByte),
        (b"X\x01A: b", BadNameByte),
        (b"X\x7fA: b", BadNameByte),
        (b"X\xe9: b", BadNameByte),
        (b"Transfer-Encoding\xa0: chunked", BadNameByte),
        (b"Transfer-Encoding\x0b: chunked", BadNameByte),
        (b"X/A: b", BadNameByte),
        (b"X[A]: b", BadNameByte),
        (b"X@A: b", BadNameByte),
        (b"\"X\": b", BadNameByte),
        (b"X(A): b", BadNameByte),
        (b"X,A: b", BadNameByte),
        (b"X;A: b", BadNameByte),
        (b"X=A: b", BadNameByte),
        (b"X{A}: b", BadNameByte),
        (b"\xef\xbb\xbfX: b", BadNameByte),
        (b"X\0A: b", Nul),
        (b"X-A: b\0c", Nul),
        (b"Content-Length: 5\0", Nul),
        (b"X-A: b\x07c", ControlInValue),
        (b"X-A: \x01", ControlInValue),
        (b"X-A:\x0bb", ControlInValue),
        (b"X-A: b\x0c", ControlInValue),
        (b"X-A: b\x7f", ControlInValue),
        (b"X-A: b\x1b[31m", ControlInValue),
        (b"X-A: b\r\n c", ObsFold),
        (b"X-A: b\r\n\tc", ObsFold),
        (b"X-A: b\r\n ", ObsFold),
        (b" X-A: b", ObsFold),
        (b"\tX-A: b", ObsFold),
    ] {
        let outcome = request(&with_field(line));
        assert_eq!(outcome.err(), Some(why), "{}", line.escape_ascii());
    }
    // White space between the request line and the first field (RFC 9112 §2.2).
    let head = b"GET / HTTP/1.1\r\n Host: h\r\n\r\n";
    assert_eq!(request(head).err(), Some(ObsFold));
}

#[test]
fn order_case_and_duplicates_are_kept() {
    let head = request(b"GET / HTTP/1.1\r\nHOST: h\r\nX-D: a, 1\r\nx-d: b\r\nX-D: a, 1\r\n\r\n");
    let head = head.expect("accepted");
    let fields: Vec<_> = head.fields().map(|f| (f.name, f.value)).collect();
    let expected: [(&[u8], &[u8]); 4] = [(b"HOST", b"h"), (b"X-D", b"a, 1"), (b"x-d", b"b"), (b"X-D", b"a, 1")];
    assert_eq!(fields, expected);
}

#[test]
fn a_cleared_head_is_as_new_and_keeps_its_memory() {
    let limits = HeadLimits::default();
    let mut head = RequestHead::new();
    assert_eq!(head.capacity(), 0);
    let first = b"POST /long HTTP/1.0\r\nExpect: 100-continue\r\nConnection: close, X\r\n\r\n";
    assert_eq!(head.receive(first, &limits), Ok(Received::Complete(first.len())));
    let capacity = head.capacity();
    head.clear();
    assert!(head.is_empty() && !head.is_complete() && head.bytes().is_empty());
    assert_eq!((head.method(), head.target()), (&b""[..], &b""[..]));
    assert_eq!((head.version(), head.fields().count()), (Version::Http11, 0));
    assert!(!head.connection().close && !head.is_nominated(b"X"));
    let second = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(head.receive(second, &limits), Ok(Received::Complete(second.len())));
    assert_eq!((head.method(), head.capacity()), (&b"GET"[..], capacity));
    assert!(head.field(Name::Connection).is_none() && !head.expects_continue());
    // What the third does not have is not left over from the others.
    head.clear();
    let third = b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: Y\r\n\r\n";
    assert_eq!(head.receive(third, &limits), Ok(Received::Complete(third.len())));
    assert!(head.is_nominated(b"Y") && !head.is_nominated(b"X"));
    head.clear();
    assert_eq!(head.receive(second, &limits), Ok(Received::Complete(second.len())));
    assert_eq!(framing::request(&head), Ok(Framing::Empty));
    head.shrink();
    assert_eq!(head.capacity(), 0);
}

#[test]
fn a_refused_head_can_be_logged_and_used_again() {
    let limits = HeadLimits::default();
    let mut head = RequestHead::new();
    assert!(head.receive(b"GET /secret HTTP/1.1\nHost: h", &limits).is_err());
    assert_eq!(head.request_line_so_far(), b"GET /secret HTTP/1.1");
    assert!(!head.is_empty());
    head.clear();
    let long = [b"GET /", [b'a'; 20_000].as_slice()].concat();
    assert_eq!(head.receive(&long, &limits), Err(Malformed::RequestLineTooLong));
    assert_eq!(head.request_line_so_far(), &long[..256]);
    head.clear();
    assert!(head.receive(b"GET / HTTP/1.1\r\n\r\n", &limits).is_ok());
}
