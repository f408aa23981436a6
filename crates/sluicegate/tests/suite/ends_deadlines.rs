//! The deadlines of docs/close.md: whom each blames, what both sides see, and that it is never early.

use crate::support::ends;

use std::thread;
use std::time::{Duration, Instant};

use crate::support::ends::{Blackhole, SHORT, arrived, goes_on, post, thinking, told_alone};
use crate::support::{End, Gate, Origin, Wire, get, noise, ok};
use sluicegate::Limits;

/// Later than this, on top of the deadline, is a fault: two ticks, and what a busy machine adds.
const LATE: Duration = Duration::from_millis(200 + 1500);

/// It has taken `SHORT` since `begin`, which is before the proxy's own beginning: never less, and hardly more.
#[track_caller]
fn in_time(begin: Instant, what: &str) {
    let took = begin.elapsed();
    assert!(took >= SHORT, "{what}: early, after {took:?}");
    assert!(took < SHORT + LATE, "{what}: late, after {took:?}");
}

/// Slow heads (slow loris) take all the places there are.
#[test]
fn head_timeout() {
    let gate = Gate::with(|limits| limits.head_timeout = Some(SHORT));
    let mut client = gate.client();
    let begin = Instant::now();
    client.send("GET http://slow.example/ HTTP/1.1\r\n");
    let response = client.response("GET");
    in_time(begin, "the head");
    assert_eq!((response.status(), response.field("connection")), (408, Some("close")));
    assert_eq!(client.end(), End::Fin);
    drop(client);
    told_alone("head_timeout", &gate);
}

/// A deadline that each byte extends is none.
#[test]
fn head_timeout_in_a_drip() {
    let gate = Gate::with(|limits| limits.head_timeout = Some(SHORT));
    let mut client = gate.client();
    client.send("GET http://slow.example/ HTTP/1.1\r\nX-Long: ");
    let drip = Wire::new(client.stream.try_clone().unwrap());
    let dripping = thread::spawn(move || {
        while drip.try_send(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(client.response("GET").status(), 408);
    client.stream.shutdown(std::net::Shutdown::Both).unwrap();
    dripping.join().unwrap();
    told_alone("head_timeout_in_a_drip", &gate);
}

/// Nothing but empty lines is no request; a page would be taken for the answer to the next one.
#[test]
fn head_timeout_of_empty_lines() {
    let gate = Gate::with(|limits| limits.head_timeout = Some(SHORT));
    let mut client = gate.client();
    client.send("\r\n\r\n");
    assert_eq!(client.end(), End::Fin);
    assert!(gate.told_in_the_end().is_empty());
}

#[test]
fn idle_timeout() {
    let gate = Gate::with(|limits| limits.idle_timeout = Some(SHORT));
    let origin = Origin::mirror();
    let begin = Instant::now();
    assert_eq!(gate.client().end(), End::Fin);
    in_time(begin, "a client that says nothing");
    let mut client = gate.client();
    client.send(get(&origin.url("/")));
    let begin = Instant::now();
    client.response("GET");
    assert_eq!(client.end(), End::Fin);
    in_time(begin, "one that was served");
    assert_eq!(gate.told_in_the_end().len(), 1);
}

#[test]
fn connect_timeout() {
    let gate = Gate::with(|limits| limits.connect_timeout = Some(SHORT));
    let hole = Blackhole::new();
    let mut client = gate.client();
    let begin = Instant::now();
    client.send(get(&hole.url()));
    assert_eq!(client.response("GET").status(), 504);
    in_time(begin, "connecting");
    told_alone("connect_timeout", &gate);
    goes_on(&mut client);
}

#[test]
fn response_timeout() {
    let gate = Gate::with(|limits| limits.response_timeout = Some(SHORT));
    let origin = thinking();
    let mut client = gate.client();
    let begin = Instant::now();
    client.send(get(&origin.url("/")));
    assert_eq!((client.response("GET").status(), origin.ended(0)), (504, End::Reset));
    in_time(begin, "the response");
    told_alone("response_timeout", &gate);
    goes_on(&mut client);
}

/// Interim responses and bytes of a head that does not end keep a request alive for ever.
#[test]
fn response_timeout_in_a_drip() {
    for drip in ["HTTP/1.1 100 Continue\r\n\r\n", "X"] {
        let gate = Gate::with(|limits| limits.response_timeout = Some(SHORT));
        let origin = Origin::start(move |_, wire| {
            wire.head();
            if drip == "X" {
                wire.send("HTTP/1.1 200 OK\r\n");
            }
            // Fewer than would be too many.
            for _ in 0..30 {
                if wire.try_send(drip.as_bytes()).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(30));
            }
            wire.rest();
        });
        let mut client = gate.client();
        client.send(get(&origin.url("/")));
        let mut response = client.head().unwrap();
        while response.status() == 100 {
            response = client.head().unwrap();
        }
        assert_eq!((response.status(), origin.ended(0)), (504, End::Reset));
        told_alone("response_timeout_in_a_drip", &gate);
    }
}

fn short_bodies() -> Gate {
    Gate::with(|limits| limits.body_timeout = Some(SHORT))
}

#[test]
fn origin_stalls_in_its_body() {
    for framing in ["Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n", ""] {
        let gate = short_bodies();
        let origin = Origin::start(move |_, wire| {
            wire.head();
            let chunk = if framing.starts_with('T') { "5\r\nfirst\r\n" } else { "first" };
            wire.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n{chunk}"));
            wire.rest();
        });
        let mut client = gate.client();
        let begin = Instant::now();
        client.send(get(&origin.url("/")));
        assert!(client.until(b"first").is_some());
        assert_eq!((client.rest().1, origin.ended(0)), (End::Reset, End::Reset));
        in_time(begin, "the body");
        told_alone("origin_stalls_in_its_body", &gate);
    }
}

#[test]
fn client_stalls_its_upload() {
    for (framing, begin) in [("Content-Length: 10", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n")] {
        let (gate, origin) = (short_bodies(), thinking());
        let mut client = gate.client();
        let from = Instant::now();
        client.send(post(&origin.url("/"), framing) + begin);
        let response = client.response("POST");
        in_time(from, "the upload");
        assert_eq!((response.status(), response.field("connection")), (408, Some("close")));
        assert_eq!((client.end(), origin.ended(0)), (End::Fin, End::Reset));
        told_alone("client_stalls_its_upload", &gate);
    }
}

/// A slow reader holds its origin for ever.
#[test]
fn client_does_not_read() {
    let gate = short_bodies();
    let origin = Origin::start(|_, wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while wire.try_send(&noise(100_000, 1)).is_ok() {}
    });
    let mut client = gate.client();
    client.send(get(&origin.url("/")));
    assert_eq!(origin.ended(0), End::Reset);
    let told = told_alone("client_does_not_read", &gate);
    assert_eq!(told.status, 200);
    let (got, end) = client.rest();
    assert!(got.len() < 1_000_000_000 && end == End::Reset);
}

/// A proxy that goes on reading a client for an origin that takes nothing; or blames the client.
#[test]
fn origin_does_not_read() {
    let gate = short_bodies();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let origin = Origin::start(move |_, wire| {
        wire.head();
        let _ = released.lock().unwrap().recv();
        wire.rest();
    });
    let mut client = gate.client();
    let writer = Wire::new(client.stream.try_clone().unwrap());
    writer.send(post(&origin.url("/"), "Content-Length: 1000000000"));
    let sending = thread::spawn(move || {
        let piece = noise(100_000, 1);
        while writer.try_send(&piece).is_ok() {}
    });
    let response = client.response("POST");
    assert_eq!((response.status(), response.field("connection")), (504, Some("close")));
    release.send(()).unwrap();
    assert_eq!(origin.ended(0), End::Reset);
    told_alone("origin_does_not_read", &gate);
    client.reset();
    sending.join().unwrap();
}

/// Event streams, slow exports and long uploads are cut off although they move.
#[test]
fn one_direction_is_enough() {
    let gate = Gate::with(|limits: &mut Limits| {
        limits.body_timeout = Some(3 * SHORT);
        limits.response_timeout = Some(3 * SHORT);
    });
    let pause = || thread::sleep(SHORT / 3);
    let origin = Origin::start(move |_, wire| {
        let Some(head) = wire.head() else { return };
        if head.line().starts_with("POST") {
            wire.exactly(20);
            return wire.send(ok("taken"));
        }
        wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        for _ in 0..20 {
            wire.send("data: x\n\n");
            pause();
        }
    });
    let downloading = {
        let mut client = gate.client();
        client.send(get(&origin.url("/")));
        thread::spawn(move || client.response("GET").body.len())
    };
    let mut client = gate.client();
    client.send(post(&origin.url("/"), "Content-Length: 20"));
    for _ in 0..20 {
        client.send("x");
        pause();
    }
    assert_eq!(client.response("POST").text(), "taken");
    assert_eq!(downloading.join().unwrap(), 20 * 9);
    for told in gate.told(2) {
        ends::as_written("one_direction_is_enough", &told);
    }
}

/// An idle connection to an origin is held for ever.
#[test]
fn origin_idle_timeout() {
    let gate = Gate::with(|limits| limits.origin_idle_timeout = SHORT);
    let origin = Origin::mirror();
    let begin = Instant::now();
    assert_eq!(gate.ask(get(&origin.url("/"))).status(), 200);
    assert_eq!(origin.ended(0), End::Fin);
    assert!(begin.elapsed() < SHORT + LATE);
    told_alone("origin_idle_timeout", &gate);
}

/// A request that is being thought about ends as if it stalled.
#[test]
fn body_timeout_is_not_for_thinking() {
    let gate = Gate::with(|limits| {
        limits.body_timeout = Some(SHORT / 3);
        limits.response_timeout = Some(SHORT);
    });
    let origin = thinking();
    let mut client = gate.client();
    let begin = Instant::now();
    client.send(post(&origin.url("/"), "Content-Length: 5") + "hello");
    arrived(&origin, b"hello");
    assert_eq!(client.response("POST").status(), 504);
    in_time(begin, "the response's own deadline counts");
    told_alone("body_timeout_is_not_for_thinking", &gate);
}
