//! Bodies of every framing, both ways: what arrives, and how it ends.

use crate::support;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use crate::support::origin::mirrored;
use crate::support::{End, Gate, Origin, Wire, chunked, get, noise, ok, same};
use sluicegate::{Ended, Fault};

const SIZES: [usize; 7] = [0, 1, 2, 16_383, 16_384, 16_385, 300_000];

/// An origin that answers with these bytes and closes when the proxy does, or at once.
fn raw(answer: Vec<u8>, close: bool) -> Origin {
    Origin::start(move |_, wire| {
        while wire.request().is_some() {
            if wire.try_send(&answer).is_err() || close {
                return;
            }
        }
    })
}

/// An upload arrives with other bytes than were sent.
#[test]
fn uploads_arrive_as_they_were() {
    let gate = Gate::start();
    let origin = Origin::mirror();
    let mut client = gate.client();
    for size in SIZES {
        let body = noise(size, 1);
        let url = origin.url("/");
        client.send(format!("PUT {url} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"));
        client.send(&body);
        let seen = mirrored(&client.response("PUT"));
        assert_eq!(seen.field("content-length"), Some(size.to_string().as_str()));
        same("with a length", &seen.body, &body);
        client.send(format!("PUT {url} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
        client.send(chunked(&body, &[1, 2, 5000, 15, 16, 40_000, 255, 3], ""));
        let seen = mirrored(&client.response("PUT"));
        assert_eq!(seen.all("transfer-encoding"), ["chunked"]);
        same("in chunks", &seen.body, &body);
    }
    let counted = gate.told(2 * SIZES.len());
    for (told, size) in counted.iter().zip(SIZES.iter().flat_map(|size| [size; 2])) {
        assert_eq!(told.bytes_in, (told.head.len() + size) as u64, "the head, and the body without its framing");
        assert_eq!((told.status, told.ended), (200, Ended::Complete));
    }
}

/// A download arrives with other bytes than were sent, or its end cannot be told.
#[test]
fn downloads_arrive_as_they_were() {
    let gate = Gate::start();
    let mut client = gate.client();
    let mut expected = Vec::new();
    for size in SIZES {
        let body = noise(size, 2);
        let plain = [format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").as_bytes(), &body].concat();
        let chunks = chunked(&body, &[3, 1, 70_000, 17, 4096], "");
        let chunks = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &chunks[..]].concat();
        for (answer, is_chunked) in [(plain, false), (chunks, true)] {
            let origin = raw(answer, false);
            client.send(get(&origin.url("/")));
            let response = client.response("GET");
            assert_eq!(response.field("transfer-encoding").is_some(), is_chunked);
            assert_eq!(response.field("connection"), None);
            same("on a kept connection", &response.body, &body);
            expected.push(size + response.head.len());
        }
        let origin = raw([b"HTTP/1.1 200 OK\r\n\r\n", &body[..]].concat(), true);
        let mut client = gate.client();
        client.send(get(&origin.url("/")));
        let response = client.response("GET");
        assert_eq!(response.field("connection"), Some("close"));
        same("until the close", &response.body, &body);
        expected.push(size + response.head.len());
    }
    let counted: Vec<u64> = gate.told(expected.len()).iter().map(|told| told.bytes_out).collect();
    assert_eq!(counted, expected.iter().map(|n| *n as u64).collect::<Vec<_>>());
}

/// Checksums in trailers are lost; or fields that no trailer may carry change what was checked.
#[test]
fn trailers_pass_unless_they_may_not() {
    let gate = Gate::start();
    let trailers = "X-Sum: 1\r\nContent-Length: 9\r\nx-sum:  2 \r\nTransfer-Encoding: chunked\r\nHost: evil\r\n\
        Authorization: evil\r\nSet-Cookie: evil\r\nTrailer: x\r\nConnection: close\r\nDigest: ok\r\n";
    let kept = ["X-Sum: 1", "x-sum: 2", "Digest: ok"];
    let body = chunked(b"hello", &[2], trailers);
    let answer = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n", &body[..]].concat();
    let origin = raw(answer, false);
    let mut client = gate.client();
    let request = [
        format!("POST {} HTTP/1.1\r\nHost: x\r\n", origin.url("/")).as_bytes(),
        b"Transfer-Encoding: chunked\r\n\r\n",
        &body,
    ]
    .concat();
    client.send(&request);
    let response = client.response("POST");
    assert_eq!((response.text(), &response.trailers[..]), ("hello", &kept.map(str::to_owned)[..]));
    let seen = String::from_utf8(origin.seen()[0].bytes.clone()).unwrap();
    let want = "\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\nDigest: ok\r\n\r\n";
    // Its chunks may be cut elsewhere; the trailers may not.
    assert!(seen.ends_with(&want[want.find("\r\n0").unwrap()..]), "{seen:?}");
    client.send(get(&origin.url("/")));
    assert_eq!(client.response("GET").text(), "hello");
}

/// Chunk extensions are read as data, or passed on to somebody who reads them in another way.
#[test]
fn chunk_extensions_are_dropped() {
    let gate = Gate::start();
    let body = "5;name=value;q=\"a;b\"\r\nhello\r\n1 ; x\r\n!\r\n000;last\r\n\r\n";
    let origin = raw(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes(), false);
    let mut client = gate.client();
    client.send(format!("POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}", origin.url("/")));
    let response = client.response("POST");
    assert_eq!(response.text(), "hello!");
    let seen = String::from_utf8(origin.seen()[0].bytes.clone()).unwrap();
    assert!(!seen.contains(';') && seen.ends_with("0\r\n\r\n"), "{seen:?}");
}

/// An origin that answers while it reads (an echo, gRPC-like calls) makes both sides wait for ever.
#[test]
fn both_directions_move_at_once() {
    let gate = Gate::start();
    for (framing, coded) in [("Content-Length: 8000000", false), ("Transfer-Encoding: chunked", true)] {
        let origin = Origin::start(|_, wire| {
            let head = wire.head().unwrap();
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n");
            let coded = head.field("content-length").is_none();
            let mut left = 8_000_000;
            while left > 0 {
                let piece = match coded {
                    false => wire.exactly(left.min(10_000)),
                    true => {
                        let line = wire.until(b"\r\n").unwrap();
                        let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
                        let piece = wire.exactly(size);
                        wire.until(b"\r\n");
                        piece
                    }
                };
                assert!(!piece.is_empty());
                wire.send(&piece);
                left -= piece.len();
            }
            wire.rest();
        });
        let body = noise(8_000_000, 3);
        let mut client = gate.client();
        client.send(format!("POST {} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n", origin.url("/")));
        let writer = Wire::new(client.stream.try_clone().unwrap());
        let sent = if coded { chunked(&body, &[9000, 1, 333], "") } else { body.clone() };
        let sending = thread::spawn(move || writer.try_send(&sent));
        same(framing, &client.response("POST").body, &body);
        // With chunks the last one may meet a connection that has ended.
        assert!(sending.join().unwrap().is_ok() || coded);
    }
}

/// An old client gets chunk sizes in its page, or a page without an end.
#[test]
fn an_http_1_0_client_gets_no_chunks() {
    let gate = Gate::start();
    let body = noise(100_000, 4);
    let chunks = chunked(&body, &[999, 1, 20_000], "X-Sum: 1\r\n");
    let origin = raw([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &chunks[..]].concat(), false);
    let mut client = gate.client();
    client.send(format!("GET {} HTTP/1.0\r\n\r\n", origin.url("/")));
    let response = client.response("GET");
    assert_eq!((response.field("transfer-encoding"), response.field("content-length")), (None, None));
    same("decoded", &response.body, &body);
}

/// Caches forget how long the page is; or the body of the next answer is taken for that of a 304.
#[test]
fn answers_without_a_body_have_none() {
    let gate = Gate::start();
    let mut client = gate.client();
    let cases = [
        ("GET", "204 No Content", "Content-Length: 5\r\n", None),
        ("GET", "204 No Content", "Transfer-Encoding: chunked\r\n", None),
        ("GET", "304 Not Modified", "Content-Length: 5\r\n", Some("5")),
        ("GET", "304 Not Modified", "", None),
        ("HEAD", "200 OK", "Content-Length: 5\r\n", Some("5")),
        ("HEAD", "200 OK", "Transfer-Encoding: chunked\r\n", None),
        ("HEAD", "404 Not Found", "", None),
    ];
    for (method, status, fields, length) in cases {
        let origin = raw(format!("HTTP/1.1 {status}\r\n{fields}\r\n").into_bytes(), false);
        for _ in 0..2 {
            client.send(format!("{method} {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/")));
            let response = client.response(method);
            assert!(response.line().ends_with(status), "{:?}", response.line());
            assert_eq!(response.field("content-length"), length, "{method} {status} {fields:?}");
            assert_eq!(response.field("transfer-encoding"), None);
        }
        assert_eq!(origin.connections(), 1, "kept: {method} {status} {fields:?}");
    }
}

/// Half a file is taken for the whole: the worst that a proxy can do quietly.
#[test]
fn a_truncated_response_never_looks_complete() {
    let gate = Gate::start();
    let cases: [(&str, &str, &str, bool); 7] = [
        ("Content-Length: 10\r\n\r\nhello", "", "HTTP/1.1", false),
        ("Content-Length: 10\r\n\r\nhello", "", "HTTP/1.0", true),
        ("\r\nhello", "", "HTTP/1.1", true),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "", "HTTP/1.1", false),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "", "HTTP/1.0", false),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", "", "HTTP/1.0", true),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "xyz\r\n", "HTTP/1.0", false),
    ];
    for (answer, then, version, by_reset) in cases {
        let origin = Origin::start_owned(move |_, mut wire| {
            wire.head();
            wire.send(format!("HTTP/1.1 200 OK\r\n{answer}"));
            // The client has it before the end comes.
            wire.exactly(1);
            wire.send(then);
            if by_reset { wire.reset() } else { drop(wire) }
        });
        let mut client = gate.client();
        // One byte of a body, sent when the answer is there, tells the origin to go.
        client.send(format!("POST {} {version}\r\nHost: x\r\nContent-Length: 2\r\n\r\n", origin.url("/")));
        client.until(b"hello").unwrap();
        let _ = client.try_send(b"x");
        let (rest, end) = client.rest();
        assert_eq!(end, End::Reset, "{answer:?} to {version}");
        assert!(!String::from_utf8_lossy(&rest).contains("0\r\n\r\n"), "{rest:?}");
    }
    for told in gate.told(cases.len()) {
        assert_eq!((told.status, told.ended), (200, Ended::OriginFailed), "{told:?}");
        assert!(matches!(told.fault, Some(Fault::OriginClosed | Fault::Response(_))), "{told:?}");
    }
}

/// What an origin adds behind its answer becomes the answer to somebody else's request.
#[test]
fn bytes_behind_a_response_reach_nobody() {
    let gate = Gate::start();
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n",
    ];
    for (answer, late, method) in
        answers.iter().flat_map(|a| [(*a, true, "GET"), (*a, false, "GET"), (*a, true, "POST")])
    {
        let origin = Origin::start(move |index, wire| {
            while wire.request().is_some() {
                match (index, late) {
                    (0, true) => {
                        wire.send(answer);
                        support::eventually("the client has its answer", || HAS_IT.load(Relaxed));
                        wire.send(evil);
                        SENT_IT.store(true, Relaxed);
                    }
                    (0, false) => wire.send([answer, evil].concat()),
                    _ => wire.send(ok("next")),
                }
            }
        });
        HAS_IT.store(false, Relaxed);
        SENT_IT.store(false, Relaxed);
        let mut client = gate.client();
        client.send(get(&origin.url("/a")));
        let _ = client.response("GET");
        HAS_IT.store(true, Relaxed);
        if late {
            // What has been written on loopback is in the proxy's socket.
            support::eventually("the extra bytes are sent", || SENT_IT.load(Relaxed));
        }
        client.send(format!("{method} {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/b")));
        assert_eq!(client.response(method).text(), "next", "{answer:?} {method} late: {late}");
    }
}

static HAS_IT: AtomicBool = AtomicBool::new(false);
static SENT_IT: AtomicBool = AtomicBool::new(false);
