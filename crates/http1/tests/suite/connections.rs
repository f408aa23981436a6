//! `Connection`, `Expect`, `Upgrade` and field names.

use sluicegate_http1::fields::{is_forwardable_trailer, is_token, list};
use sluicegate_http1::{HeadLimits, Malformed, Name, RequestHead};

use crate::common::{request, response};

fn with(fields: &str) -> RequestHead {
    let head = format!("GET http://h/ HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    request(head.as_bytes()).expect(fields)
}

#[test]
fn options_are_collected_from_all_fields() {
    let head = with("Connection: Keep-Alive\r\nX: 1\r\nconnection: ,TE ,, Upgrade\r\n");
    let options = head.connection();
    assert!(options.keep_alive && options.te && options.upgrade);
    assert!(!options.close && !options.nominates && head.persists());
    assert!(!with("Connection: close\r\n").persists());
    assert!(!with("Connection: x\r\nConnection: y, CLOSE\r\n").persists());
    assert!(with("Connection: closed\r\n").persists());
    let old = request(b"GET http://h/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(!old.expect("1.0").persists());
}

#[test]
fn nominations_are_honoured_whatever_their_case_and_place() {
    let head = with("Connection: x-SECRET\r\nX-Secret: 1\r\nX-B: 1\r\nConnection: close,X-B\r\n");
    assert!(head.connection().nominates && head.connection().close);
    assert!(head.is_nominated(b"X-Secret") && head.is_nominated(b"x-b"));
    for other in [&b"X-Keep"[..], b"X-Secre", b"X-Secrets", b"close", b""] {
        assert!(!head.is_nominated(other), "{}", other.escape_ascii());
    }
}

#[test]
fn what_must_stay_cannot_be_nominated() {
    for name in [
        "Host",
        "Content-Length",
        "Content-Type",
        "Content-Encoding",
        "Content-Range",
        "Via",
        "Authorization",
        "Cookie",
        "Date",
        "Max-Forwards",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "Expect",
        "Transfer-Encoding",
        "Cache-Control",
    ] {
        let head = with(&format!("Connection: {}, X-A\r\n", name.to_lowercase()));
        assert!(!head.is_nominated(name.as_bytes()), "{name}");
        assert!(head.is_nominated(b"X-A"));
        assert!(!with(&format!("Connection: {name}\r\n")).connection().nominates);
    }
}

#[test]
fn long_lists_are_honoured_to_their_end_and_bounded() {
    let names = |n: usize| (0..n).map(|i| format!("X-N{i}")).collect::<Vec<_>>().join(",");
    let head = with(&format!("Connection: {}\r\n", names(500)));
    for i in 0..500 {
        assert!(head.is_nominated(format!("x-n{i}").as_bytes()));
    }
    assert!(!head.is_nominated(b"X-N500"));
    // Each message anew.
    let (mut head, limits) = (RequestHead::new(), HeadLimits::default());
    for _ in 0..2 {
        let text = format!("GET / HTTP/1.1\r\nConnection: {}\r\n\r\n", names(500));
        assert!(head.receive(text.as_bytes(), &limits).is_ok());
        head.clear();
    }
    let head = format!("GET / HTTP/1.1\r\nConnection: {}\r\n\r\n", names(501));
    assert_eq!(request(head.as_bytes()).err(), Some(Malformed::TooManyNominations));
}

#[test]
fn a_head_refused_for_its_connection_shows_nothing() {
    let limits = HeadLimits { fields: 2, ..HeadLimits::default() };
    let text = b"GET / HTTP/1.1\r\nConnection: close, a, b, c\r\n\r\n";
    for pieces in [vec![&text[..]], text.chunks(1).collect()] {
        let mut head = RequestHead::new();
        let last = pieces.into_iter().map(|piece| head.receive(piece, &limits)).last();
        assert_eq!(last, Some(Err(Malformed::TooManyNominations)));
        assert_eq!((head.method(), head.fields().count()), (&b""[..], 0));
        assert!(!head.has(Name::Connection) && !head.connection().close && !head.is_nominated(b"a"));
    }
}

#[test]
fn junk_in_connection_is_harmless() {
    let head = with("Connection: a b;c=\"d, e\", \u{e9}, @\r\nX: 1\r\n");
    assert!(!head.connection().nominates);
    assert!(!head.is_nominated(b"a") && !head.is_nominated(b"a b;c=\"d"));
}

#[test]
fn responses_nominate_too() {
    let head = response(b"HTTP/1.1 200 OK\r\nConnection: X-A, te\r\n\r\n").expect("accepted");
    assert!(head.is_nominated(b"x-a") && head.connection().te);
}

#[test]
fn continue_is_expected_in_http_1_1_only() {
    assert!(with("Expect: 100-continue\r\n").expects_continue());
    assert!(with("Expect: 100-Continue\r\n").expects_continue());
    assert!(with("Expect: x\r\nExpect: y, 100-continue\r\n").expects_continue());
    assert!(!with("Expect: 100-continued\r\n").expects_continue());
    assert!(!with("").expects_continue());
    let old = request(b"POST http://h/ HTTP/1.0\r\nExpect: 100-continue\r\n\r\n");
    assert!(!old.expect("1.0").expects_continue());
}

#[test]
fn upgrades_are_offered_only_if_connection_says_so() {
    let offers = |head: RequestHead| -> Vec<String> {
        let offers = head.upgrade_offers();
        offers.map(|offer| offer.escape_ascii().to_string()).collect()
    };
    let head = with("Connection: Upgrade\r\nUpgrade: h2c, websocket\r\nUpgrade: foo/2\r\n");
    assert_eq!(offers(head), ["h2c", "websocket", "foo/2"]);
    assert!(offers(with("Upgrade: websocket\r\n")).is_empty());
    let old = request(b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(offers(old.expect("1.0")).is_empty());
}

#[test]
fn known_names_are_known_whatever_their_case() {
    use Name::*;
    for (name, id) in [
        ("Connection", Connection),
        ("Content-Length", ContentLength),
        ("Transfer-Encoding", TransferEncoding),
        ("Host", Host),
        ("TE", Te),
        ("Trailer", Trailer),
        ("Upgrade", Upgrade),
        ("Keep-Alive", KeepAlive),
        ("Proxy-Connection", ProxyConnection),
        ("Proxy-Authorization", ProxyAuthorization),
        ("Proxy-Authenticate", ProxyAuthenticate),
        ("Proxy-Authentication-Info", ProxyAuthenticationInfo),
        ("Expect", Expect),
        ("Max-Forwards", MaxForwards),
        ("Via", Via),
        ("Date", Date),
        ("HTTP2-Settings", Http2Settings),
        ("Authorization", Authorization),
        ("Cookie", Cookie),
        ("User-Agent", UserAgent),
        ("Referer", Referer),
        ("Set-Cookie", SetCookie),
        ("X-Other", Other),
        ("", Other),
        ("Hosts", Other),
        ("Content_Length", Other),
    ] {
        for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
            assert_eq!(Name::of(name.as_bytes()), id, "{name}");
        }
    }
}

#[test]
fn lists_skip_what_is_empty() {
    let parts: Vec<_> = list(b" a,, b\t ,\t,c d").collect();
    assert_eq!(parts, [&b"a"[..], b"b", b"c d"]);
    assert_eq!(list(b"").count() + list(b" , ,").count(), 0);
    assert!(is_token(b"a-B.9~") && !is_token(b"") && !is_token(b"a b") && !is_token(b"a\xe9"));
}

#[test]
fn trailers_that_would_change_the_message_are_not_forwardable() {
    for name in [
        "Transfer-Encoding",
        "content-length",
        "Host",
        "Cache-Control",
        "Expect",
        "Max-Forwards",
        "Pragma",
        "Range",
        "TE",
        "If-Match",
        "If-None-Match",
        "Authorization",
        "Proxy-Anything",
        "WWW-Authenticate",
        "Set-Cookie",
        "Cookie",
        "Age",
        "Date",
        "Expires",
        "Location",
        "Retry-After",
        "Vary",
        "Warning",
        "Content-Encoding",
        "Content-Type",
        "Content-Range",
        "Trailer",
        "Connection",
        "Keep-Alive",
        "Upgrade",
        "Via",
        "Forwarded",
        "X-Forwarded-For",
        "",
        "a b",
    ] {
        assert!(!is_forwardable_trailer(name.as_bytes()), "{name}");
    }
    for name in ["Digest", "X-Checksum", "Server-Timing", "ETag", "grpc-status", "x-forward"] {
        assert!(is_forwardable_trailer(name.as_bytes()), "{name}");
    }
}
