use std::time::{Duration, SystemTime};

use sluicegate_http1::{Framing, HeadLimits, Received, RequestHead, ResponseHead, framing, target};

use super::{
    MaxForwards, Offers, RequestRoute, ResponseRoute, has_passed, max_forwards, write_request, write_response,
};
use crate::pipe::Encoding;

fn request(text: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let received = head.receive(text.as_bytes(), &HeadLimits::default()).unwrap();
    assert_eq!(received, Received::Complete(text.len()));
    head
}

fn forwarded(text: &str) -> String {
    forwarded_with(text, &[])
}

/// Where these may be upgraded to.
fn forwarded_with(text: &str, upgrades: &[String]) -> String {
    let head = request(text);
    let target = target::parse(head.method(), head.target()).unwrap();
    let framing = framing::request(&head).unwrap();
    let (max_forwards, upgrade) = (max_forwards(&head), Offers::of(&head, upgrades));
    let route = RequestRoute { target: &target, framing, max_forwards, upgrade, via: Some("us"), edits: None };
    let mut out = Vec::new();
    write_request(&head, &route, &mut out);
    String::from_utf8(out).unwrap()
}

fn relayed(text: &str, framing: Framing, encoding: Encoding, length: Option<u64>, close: bool) -> String {
    let mut head = ResponseHead::new();
    head.receive(text.as_bytes(), &HeadLimits::default()).unwrap();
    let now = || SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let route = ResponseRoute { framing, encoding, length, close, via: Some("us"), now, edits: None };
    let mut out = Vec::new();
    write_response(&head, &route, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn order_case_and_number_of_fields_are_kept() {
    let got = forwarded("GET http://h:80/a?b HTTP/1.1\r\nX-b: 1\r\nhOST: other\r\nx-A:  2 \r\nX-b: 3\r\n\r\n");
    assert_eq!(got, "GET /a?b HTTP/1.1\r\nX-b: 1\r\nHost: h:80\r\nx-A: 2\r\nX-b: 3\r\nVia: 1.1 us\r\n\r\n");
}

#[test]
fn hop_by_hop_fields_stay_here() {
    let got = forwarded(
        "POST http://h/ HTTP/1.1\r\nHost: h\r\nConnection: x-secret, keep-alive, Host\r\nX-Secret: 1\r\nKeep-Alive: 5\r\n\
         Proxy-Connection: a\r\nProxy-Authorization: Basic x\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\
         Transfer-Encoding: chunked\r\nX-Keep: 1\r\n\r\n",
    );
    let want = "POST / HTTP/1.1\r\nHost: h\r\nX-Keep: 1\r\nTransfer-Encoding: chunked\r\nVia: 1.1 us\r\n\r\n";
    assert_eq!(got, want);
}

#[test]
fn a_websocket_and_trailers_may_be_asked_for() {
    let got = forwarded(
        "GET http://h/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, TE\r\nUpgrade: h2c, WebSocket\r\nTE: gzip, trailers\r\n\r\n",
    );
    let want = "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade, TE\r\nUpgrade: websocket\r\nTE: trailers\r\n\
                Via: 1.1 us\r\n\r\n";
    assert_eq!(got, want);
    // HTTP/1.0 does not know it.
    let got = forwarded("GET http://h/ HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(!got.contains("pgrade"), "{got}");
}

#[test]
fn what_is_allowed_of_the_offers_is_passed_on_in_their_order() {
    let offered = |offers: &str, upgrades: &[&str]| {
        let upgrades: Vec<_> = upgrades.iter().map(ToString::to_string).collect();
        let fields = format!("Host: h\r\nContent-Length: 0\r\nConnection: upgrade\r\nUpgrade:{offers}\r\n");
        let text = format!("POST http://h/ HTTP/1.1\r\n{fields}\r\n");
        let got = forwarded_with(&text, &upgrades);
        assert!(got.len() <= text.len() + 40, "{got}");
        let (_, value) = got.split_once("\r\nUpgrade: ")?;
        Some(value.split_once("\r\n").unwrap().0.to_owned())
    };
    for (offers, upgrades, want) in [
        ("tcp", &[][..], None),
        ("TCP", &["tcp"], Some("tcp")),
        ("tcp", &["udp"], None),
        ("tcp", &["TLS/1.0"], None),
        ("spdy/3.1", &["SPDY/3.1"], Some("SPDY/3.1")),
        ("spdy", &["SPDY/3.1"], None),
        ("SPDY/3.1,h2c,websocket,x,tcp", &["tcp", "SPDY/3.1"], Some("SPDY/3.1,websocket,tcp")),
        ("x\r\nUpgrade: tcp\r\nUpgrade:websocket", &["tcp"], Some("tcp,websocket")),
        // As often as it came, and no byte longer.
        (&["tcp"; 500].join(","), &["tcp"], Some(&["tcp"; 500].join(","))),
    ] {
        assert_eq!(offered(offers, upgrades).as_deref(), want, "{offers} {upgrades:?}");
    }
}

#[test]
fn a_request_of_http_10_gets_a_host_and_no_expectation() {
    let got = forwarded("GET http://h:8080 HTTP/1.0\r\nExpect: 100-continue\r\nA: b\r\n\r\n");
    assert_eq!(got, "GET / HTTP/1.1\r\nHost: h:8080\r\nA: b\r\nVia: 1.0 us\r\n\r\n");
}

#[test]
fn equal_lengths_become_one() {
    let got = forwarded("POST http://h/ HTTP/1.1\r\nHost: h\r\ncontent-length: 007, 7\r\nContent-Length: 7\r\n\r\n");
    assert_eq!(got, "POST / HTTP/1.1\r\nHost: h\r\ncontent-length: 7\r\nVia: 1.1 us\r\n\r\n");
}

#[test]
fn max_forwards_counts_for_trace_and_options_only() {
    let of = |method: &str, value: &str| {
        max_forwards(&request(&format!("{method} http://h/ HTTP/1.1\r\nHost: h\r\nMax-Forwards: {value}\r\n\r\n")))
    };
    assert_eq!(of("TRACE", "0"), MaxForwards::Here);
    assert_eq!(of("OPTIONS", "10"), MaxForwards::Left(9));
    assert_eq!(of("GET", "0"), MaxForwards::Unlimited);
    for value in ["", "-1", "1 2", "x"] {
        assert_eq!(of("TRACE", value), MaxForwards::Invalid, "{value}");
    }
    assert_eq!(of("TRACE", "5\r\nMax-Forwards: 0"), MaxForwards::Invalid, "two of them say two things");
    assert_eq!(of("TRACE", &"9".repeat(40)), MaxForwards::Left(u64::MAX - 1));
    let got = forwarded("TRACE http://h/ HTTP/1.1\r\nHost: h\r\nmax-forwards: 3\r\n\r\n");
    assert!(got.contains("\r\nmax-forwards: 2\r\n"), "{got}");
}

#[test]
fn our_own_via_is_recognised_and_nobody_elses() {
    let via =
        |value: &str| has_passed(&request(&format!("GET http://h/ HTTP/1.1\r\nHost: h\r\nVia: {value}\r\n\r\n")), "us");
    assert!(via("1.1 us") && via("1.0 a, HTTP/1.1 US (x)"));
    assert!(!via("1.1 usher") && !via("1.1 a.us"));
}

#[test]
fn a_response_says_what_its_framing_is_and_whose_it_is() {
    let text = "HTTP/1.0 200 Very OK\r\nB: 1\r\nConnection: x\r\nX: 1\r\nKeep-Alive: 1\r\nProxy-Authenticate: Basic\r\n\
                content-length: 5\r\nTransfer-Encoding: chunked\r\nA: 2\r\n\r\n";
    let got = relayed(text, Framing::Chunked, Encoding::Chunked, None, false);
    let want = "HTTP/1.1 200 Very OK\r\nB: 1\r\nA: 2\r\nTransfer-Encoding: chunked\r\n\
                Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nVia: 1.0 us\r\n\r\n";
    assert_eq!(got, want);
    let got = relayed(text, Framing::Length(5), Encoding::Identity, Some(5), true);
    assert!(got.contains("\r\ncontent-length: 5\r\n") && got.contains("\r\nConnection: close\r\n"), "{got}");
}

#[test]
fn interim_responses_are_not_dated_and_never_close() {
    let got = relayed("HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n", Framing::Empty, Encoding::Identity, None, true);
    assert_eq!(got, "HTTP/1.1 103 Early Hints\r\nLink: </s>\r\nVia: 1.1 us\r\n\r\n");
    let got = relayed(
        "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
        Framing::Empty,
        Encoding::Identity,
        None,
        false,
    );
    let want = "HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: x\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\
                Via: 1.1 us\r\n\r\n";
    assert_eq!(got, want);
}
