//! What a failed request leaves behind must not reach the next one's origin. Every test here is
//! about the same loss: one user's request, with its credentials, sent to somebody else's server.

use crate::support;

use std::time::Duration;

use crate::support::{Gate, Origin, Setup, get, ok};

/// The requests that `origin` saw on all its connections, byte for byte; Via replaced.
fn only(origin: &Origin, path: &str) {
    let seen = origin.seen();
    let all: Vec<u8> = seen.iter().flat_map(|one| one.bytes.clone()).collect();
    let head = support::Message { head: String::from_utf8(all).unwrap(), ..Default::default() };
    let want = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nVia: 1.1 SLUICE\r\n\r\n", origin.address);
    assert_eq!(head.neutral(), want);
}

fn secret(url: &str) -> Vec<u8> {
    format!("GET {url} HTTP/1.1\r\nHost: x\r\nAuthorization: secret\r\nX-Long: {}\r\n\r\n", "x".repeat(9000))
        .into_bytes()
}

/// The origin is gone before it took the head; the client asks another one next.
#[test]
fn an_origin_that_resets_at_once() {
    for gate in [Gate::start(), Setup::new().threads(2).start()] {
        let dead = Origin::start_owned(|_, wire| wire.reset());
        let mut failed = 0;
        for round in 0..150 {
            let alive = Origin::answering(|_| ok("alive"));
            let mut client = gate.client();
            if round % 2 == 0 {
                client.send([secret(&dead.url("/a")), get(&alive.url("/b"))].concat());
                failed += u32::from(client.response("GET").status() == 502);
            } else {
                client.send(secret(&dead.url("/a")));
                failed += u32::from(client.response("GET").status() == 502);
                client.send(get(&alive.url("/b")));
            }
            let response = client.response("GET");
            assert_eq!((response.status(), response.text()), (200, "alive"));
            only(&alive, "/b");
        }
        assert_eq!(failed, 150);
    }
}

/// The same for an origin that closes cleanly, or after part of an answer's head.
#[test]
fn an_origin_that_closes_at_once() {
    let gate = Gate::start();
    let scripts: [fn(support::Wire); 4] = [
        drop,
        |wire| wire.send("HTTP/1.1 200 O"),
        |mut wire| drop(wire.exactly(10)),
        |wire| wire.send("nonsense\r\n\r\n"),
    ];
    for script in scripts {
        let dead = Origin::start_owned(move |_, wire| script(wire));
        for _ in 0..20 {
            let alive = Origin::answering(|_| ok("alive"));
            let mut client = gate.client();
            client.send([secret(&dead.url("/a")), get(&alive.url("/b"))].concat());
            assert_eq!(client.response("GET").status(), 502);
            assert_eq!(client.response("GET").text(), "alive");
            only(&alive, "/b");
        }
    }
}

/// The origin takes nothing, so that part of the head is still here when its time is over.
#[test]
fn an_origin_that_stops_listening() {
    let gate = Gate::with(|limits| {
        limits.response_timeout = Some(Duration::from_millis(200));
        limits.body_timeout = Some(Duration::from_millis(200));
        limits.head.bytes = 1 << 20;
    });
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let deaf = Origin::start_owned(move |_, wire| {
        let _ = held.lock().unwrap().recv();
        drop(wire);
    });
    let alive = Origin::answering(|_| ok("alive"));
    let mut client = gate.client();
    let fields = format!("X-Long: {}\r\n", "x".repeat(1000)).repeat(400);
    client.send(format!("GET {} HTTP/1.1\r\nHost: x\r\n{fields}\r\n", deaf.url("/a")));
    client.send(get(&alive.url("/b")));
    assert_eq!(client.response("GET").status(), 504);
    assert_eq!(client.response("GET").text(), "alive");
    only(&alive, "/b");
    drop(hold);
}

/// A kept connection dies under the request, the retry's connection does too.
#[test]
fn a_retry_that_fails() {
    let gate = Gate::start();
    for _ in 0..40 {
        // Serves one request; after that every connection is reset at the first byte.
        let failing = Origin::start_owned(|index, mut wire| {
            if index == 0 {
                wire.request();
                wire.send(ok("once"));
            }
            wire.exactly(1);
            wire.reset();
        });
        let alive = Origin::answering(|_| ok("alive"));
        let mut client = gate.client();
        client.send([get(&failing.url("/0")), secret(&failing.url("/a")), get(&alive.url("/b"))].concat());
        assert_eq!(client.response("GET").text(), "once");
        assert_eq!(client.response("GET").status(), 502);
        assert_eq!(client.response("GET").text(), "alive");
        only(&alive, "/b");
        assert_eq!(failing.connections(), 2, "tried again once");
    }
}

/// A kept connection is reset while it takes the head: the retry must begin with a head of its own.
#[test]
fn a_retry_sends_one_whole_head() {
    let gate = Gate::with(|limits| limits.head.bytes = 1 << 20);
    let origin = Origin::start_owned(|index, mut wire| {
        wire.request();
        wire.send(ok(if index == 0 { "first" } else { "again" }));
        if index == 0 {
            // One byte of the second head, and most of it waits on the other side.
            wire.exactly(1);
            return wire.reset();
        }
        wire.rest();
    });
    let mut client = gate.client();
    client.send(get(&origin.url("/1")));
    assert_eq!(client.response("GET").text(), "first");
    let fields = format!("X-Long: {}\r\n", "x".repeat(2000)).repeat(450);
    client.send(format!("GET {} HTTP/1.1\r\nHost: x\r\n{fields}\r\n", origin.url("/2")));
    assert_eq!(client.response("GET").text(), "again");
    let seen = origin.seen();
    assert_eq!(seen.len(), 2);
    let head = support::Message { head: String::from_utf8(seen[1].bytes.clone()).unwrap(), ..Default::default() };
    let want = format!("GET /2 HTTP/1.1\r\nHost: {}\r\n{fields}Via: 1.1 SLUICE\r\n\r\n", origin.address);
    support::same("the retried head", head.neutral().as_bytes(), want.as_bytes());
}

/// A tunnel that could not be made, or a request that was refused, before another client's.
#[test]
fn an_early_answer_closes_before_its_body_can_be_a_request() {
    let gate = Gate::start();
    let alive = Origin::answering(|_| ok("alive"));
    let full = Origin::start(|_, wire| {
        wire.head();
        wire.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nfull");
        wire.rest();
    });
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let mut client = gate.client();
        client.send(format!("POST {} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n", full.url("/a")));
        assert_eq!(client.response("POST").status(), 413);
        for _ in 0..20 {
            if client.try_send(&get(&alive.url("/smuggled"))).is_err() {
                break;
            }
        }
        client.fin();
        let (rest, _) = client.rest();
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
    assert_eq!(alive.connections(), 0, "a body was taken for a request");
}
