//! The ends of docs/close.md that an origin makes: before, in and after its response.

use crate::support;

use crate::support::ends::{as_written, cut, goes_on, in_two_steps, post, told_alone};
use crate::support::{End, Gate, Origin, get, noise, ok};

const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst";
const CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\n\r\nfirst";
const BOTH: [End; 2] = [End::Fin, End::Reset];

/// A client cannot tell whose fault it was, or loses its connection for another's.
#[test]
fn connection_refused() {
    let gate = Gate::start();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut client = gate.client();
    client.send(get(&format!("http://{closed}/")));
    assert_eq!(client.response("GET").status(), 502);
    told_alone("connection_refused", &gate);
    goes_on(&mut client);
}

#[test]
fn gone_before_its_response() {
    for (how, begin) in BOTH.into_iter().flat_map(|how| ["", "HTTP/1.1 200 OK\r\nConte"].map(|begin| (how, begin))) {
        let gate = Gate::start();
        let origin = Origin::start_owned(move |_, mut wire| {
            wire.head();
            wire.send(begin);
            cut(wire, how);
        });
        let mut client = gate.client();
        client.send(get(&origin.url("/")));
        let response = client.response("GET");
        assert_eq!((response.status(), response.field("connection")), (502, None), "{how:?} {begin:?}");
        assert_eq!(response.field("proxy-status"), Some("sluicegate; error=connection_terminated"));
        told_alone("gone_before_its_response", &gate);
        goes_on(&mut client);
    }
}

/// The rest of a body is taken for the next request.
#[test]
fn gone_before_its_response_to_a_body() {
    for (how, begin) in BOTH.into_iter().flat_map(|how| ["", "HTTP/1.1 200 OK\r\nConte"].map(|begin| (how, begin))) {
        for (framing, body) in [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n")] {
            let gate = Gate::start();
            let origin = Origin::start_owned(move |_, mut wire| {
                wire.until(b"hello");
                wire.send(begin);
                cut(wire, how);
            });
            let mut client = gate.client();
            client.send(post(&origin.url("/"), framing) + body);
            let response = client.response("POST");
            assert_eq!((response.status(), response.field("connection")), (502, Some("close")), "{how:?} {begin:?}");
            assert_eq!(client.end(), End::Fin);
            told_alone("gone_before_its_response_to_a_body", &gate);
        }
    }
}

#[test]
fn malformed_response_head() {
    let gate = Gate::start();
    let origin = Origin::start(|_, wire| {
        wire.head();
        wire.send("HTTP/1.1 two hundred\r\n\r\n");
        wire.rest();
    });
    let mut client = gate.client();
    client.send(get(&origin.url("/")));
    assert_eq!((client.response("GET").status(), origin.ended(0)), (502, End::Reset));
    told_alone("malformed_response_head", &gate);
    goes_on(&mut client);
}

/// What the client received after `first` when the origin had gone, and how it ended.
fn received(gate: &Gate, first: &str, how: End, version: &str) -> (String, End) {
    let (origin, release) = in_two_steps(first.as_bytes(), move |wire| cut(wire, how));
    let mut client = gate.client();
    client.send(format!("GET {} HTTP/{version}\r\nHost: x\r\n\r\n", origin.url("/")));
    assert!(client.until(b"first").is_some());
    release.send(()).unwrap();
    let (rest, end) = client.rest();
    (String::from_utf8(rest).unwrap(), end)
}

/// Half a download is taken for a whole one.
#[test]
fn fin_in_a_length() {
    let gate = Gate::start();
    assert_eq!(received(&gate, LENGTH, End::Fin, "1.1"), (String::new(), End::Reset));
    told_alone("fin_in_a_length", &gate);
}

#[test]
fn fin_in_chunks() {
    let gate = Gate::start();
    assert_eq!(received(&gate, CHUNKS, End::Fin, "1.1"), ("\r\n".to_owned(), End::Reset), "no last chunk");
    told_alone("fin_in_chunks", &gate);
}

/// To HTTP/1.0 only the end of the connection tells the end of the body.
#[test]
fn fin_in_chunks_to_http_1_0() {
    let gate = Gate::start();
    assert_eq!(received(&gate, CHUNKS, End::Fin, "1.0"), (String::new(), End::Reset));
    told_alone("fin_in_chunks_to_http_1_0", &gate);
}

#[test]
fn fin_after_until_close() {
    let gate = Gate::start();
    assert_eq!(received(&gate, UNTIL_CLOSE, End::Fin, "1.1"), (String::new(), End::Fin));
    told_alone("fin_after_until_close", &gate);
}

#[test]
fn reset_in_a_response() {
    for (first, version) in [(LENGTH, "1.1"), (CHUNKS, "1.1"), (UNTIL_CLOSE, "1.1"), (CHUNKS, "1.0")] {
        let gate = Gate::start();
        let (rest, end) = received(&gate, first, End::Reset, version);
        assert_eq!((rest.trim_end(), end), ("", End::Reset), "{first:?} to {version}");
        told_alone("reset_in_a_response", &gate);
    }
}

#[test]
fn malformed_chunk_of_a_response() {
    let gate = Gate::start();
    let (origin, release) = in_two_steps(CHUNKS.as_bytes(), |mut wire| {
        wire.send("zz\r\n");
        wire.rest();
    });
    let mut client = gate.client();
    client.send(get(&origin.url("/")));
    assert!(client.until(b"first\r\n").is_some());
    release.send(()).unwrap();
    assert_eq!((client.end(), origin.ended(0)), (End::Reset, End::Reset));
    told_alone("malformed_chunk_of_a_response", &gate);
}

/// A client that gets no byte and a reset takes its connection for a stale one, and sends its POST again.
#[test]
fn broken_with_its_head() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases =
        ["zz\r\n", "2;\0\r\naa\r\n", "5\r\nhello\r\nzz\r\n", "5\r\nhelloworld", "5\r\nhello\r\n0\r\nX Y: z\r\n\r\n"];
    for (broken, before) in cases.into_iter().flat_map(|case| ["", "HTTP/1.1 103 Early\r\n\r\n"].map(|one| (case, one)))
    {
        let gate = Gate::start();
        let origin = Origin::start(move |_, wire| {
            wire.request();
            wire.send([before, chunked, broken].concat());
            wire.rest();
        });
        let mut client = gate.client();
        client.send(post(&origin.url("/"), "Content-Length: 3") + "pay");
        let interim = if before.is_empty() { 0 } else { client.head().unwrap().head.len() };
        let response = client.response("POST");
        assert_eq!((response.status(), response.field("connection")), (502, Some("close")), "{broken:?}");
        assert_eq!((client.end(), origin.ended(0)), (End::Fin, End::Reset));
        let told = told_alone("broken_with_its_head", &gate);
        let said = interim + response.head.len() + response.body.len();
        assert_eq!((told.status, told.bytes_out), (502, said as u64), "{broken:?}");
    }
}

/// What was good is lost with what was not.
#[test]
fn what_is_good_comes_before_the_reset() {
    let gate = Gate::start();
    let (origin, release) = in_two_steps(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", |mut wire| {
        wire.send("5\r\nfirst\r\n6\r\nsecond\r\nzz\r\n");
        wire.rest();
    });
    let mut client = gate.client();
    client.send(get(&origin.url("/")));
    assert_eq!(client.head().unwrap().status(), 200);
    release.send(()).unwrap();
    let (rest, end) = client.rest();
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("first") && rest.contains("second") && !rest.contains("\r\n0\r\n"), "{rest:?}");
    assert_eq!(end, End::Reset);
    told_alone("what_is_good_comes_before_the_reset", &gate);
}

/// A client in mid-upload is told why, or sees a broken connection and tries again for ever.
fn early(test: &str, end: impl Fn(support::Wire) + Send + Sync + Copy + 'static) {
    for (framing, size) in [("Content-Length: 900000", "900000"), ("Transfer-Encoding: chunked", "dbba0")] {
        let gate = Gate::start();
        let origin = Origin::start_owned(move |_, mut wire| {
            wire.head();
            wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much");
            end(wire);
        });
        let mut client = gate.client();
        client.send(post(&origin.url("/"), framing));
        // The answer is there and the origin has gone; and all of the body is sent before it is read.
        assert_eq!(client.stream.peek(&mut [0]).unwrap(), 1);
        if framing.starts_with('T') {
            client.send(format!("{size}\r\n"));
        }
        client.send(noise(900_000, 1));
        let response = client.response("POST");
        assert_eq!((response.status(), response.text()), (413, "too much"));
        assert_eq!(response.field("connection"), Some("close"));
        assert_eq!(client.end(), End::Fin);
        drop(client);
        told_alone(test, &gate);
    }
}

#[test]
fn early_answer() {
    early("early_answer", |mut wire| drop(wire.rest()));
}

#[test]
fn early_answer_and_fin() {
    early("early_answer_and_fin", |wire| cut(wire, End::Fin));
}

#[test]
fn early_answer_and_reset() {
    early("early_answer_and_reset", |wire| cut(wire, End::Reset));
}

/// What the early answer's origin sees of a request that nobody needs any more.
#[test]
fn early_answer_ends_the_upload() {
    let gate = Gate::start();
    let origin = Origin::start(|_, wire| {
        wire.until(b"hello");
        wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
        wire.rest();
    });
    let mut client = gate.client();
    client.send(post(&origin.url("/"), "Transfer-Encoding: chunked") + "5\r\nhello\r\n");
    assert_eq!((client.response("POST").status(), client.end()), (413, End::Fin));
    assert_eq!(origin.ended(0), End::Fin);
    assert!(!origin.seen()[0].bytes.ends_with(b"0\r\n\r\n"), "it must not look complete");
    told_alone("early_answer_ends_the_upload", &gate);
}

/// A request is lost on a connection that has ended long ago.
#[test]
fn gone_while_kept() {
    for how in BOTH {
        let gate = Gate::start();
        let (origin, release) = in_two_steps(&ok("once"), move |wire| cut(wire, how));
        let mut client = gate.client();
        client.send(get(&origin.url("/")));
        assert_eq!(client.response("GET").text(), "once");
        release.send(()).unwrap();
        if how == End::Fin {
            assert_eq!(origin.ended(0), End::Fin, "the proxy lets it go too");
        }
        origin.wait("it has gone", |seen| seen[0].over);
        release.send(()).unwrap();
        client.send(post(&origin.url("/"), "Content-Length: 0"));
        assert_eq!(client.response("POST").text(), "once");
        assert_eq!(gate.told(2).iter().filter(|told| told.reused).count(), 0);
        as_written("gone_while_kept", &gate.told(2)[1]);
    }
}
