//! A slow side slows its sender down, and nobody else; and goes on where it was.

use crate::support;

use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use crate::support::{End, Gate, Origin, Wire, chunked, get, noise, ok, same, settled};
use socket2::SockRef;

/// Far more than the buffers of the kernel and of the proxy hold together (some 10 MB where
/// this was written).
const MUCH: usize = 64 << 20;
const BOUND: u64 = 40 << 20;

/// Sends `bytes`, counting.
fn pour(wire: &Wire, bytes: &[u8], sent: &AtomicU64) -> bool {
    bytes.chunks(16 * 1024).all(|piece| {
        let done = wire.try_send(piece).is_ok();
        sent.fetch_add(piece.len() as u64, Relaxed);
        done
    })
}

/// The memory of the proxy fills with what a slow client does not take.
#[test]
fn a_client_that_does_not_read_stops_the_origin() {
    let body = Arc::new(noise(MUCH, 1));
    for is_chunked in [false, true] {
        let gate = Gate::start();
        let sent = Arc::new(AtomicU64::new(0));
        let (counts, bytes) = (Arc::clone(&sent), Arc::clone(&body));
        let origin = Origin::start(move |_, wire| {
            wire.request();
            SockRef::from(&wire.stream).set_send_buffer_size(64 * 1024).unwrap();
            // It may stand still for as long as the test likes.
            wire.stream.set_write_timeout(None).unwrap();
            if is_chunked {
                wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                pour(wire, &chunked(&bytes, &[100_000, 7], ""), &counts);
            } else {
                wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n"));
                pour(wire, &bytes, &counts);
            }
        });
        let mut client = gate.special_client([127, 0, 0, 1].into(), Some(256 * 1024));
        client.send(get(&origin.url("/")));
        origin.wait("the request arrives", |seen| seen.iter().any(|one| !one.bytes.is_empty()));
        support::eventually("the body begins", || sent.load(Relaxed) > 0);
        let held = settled("the origin's sending", || sent.load(Relaxed));
        assert!(held < BOUND, "{held} bytes were taken for a client that reads none");
        // Nobody else is slowed down.
        let other = Origin::mirror();
        assert_eq!(gate.ask(get(&other.url("/"))).status(), 200);
        same("resumed", &client.response("GET").body, &body);
        assert_eq!(gate.told(2)[1].bytes_out / MUCH as u64, 1);
    }
}

/// The same upwards.
#[test]
fn an_origin_that_does_not_read_stops_the_client() {
    for tunnel in [false, true] {
        let gate = Gate::start();
        let body = noise(MUCH, 2);
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let origin = Origin::start(move |_, wire| {
            SockRef::from(&wire.stream).set_recv_buffer_size(64 * 1024).unwrap();
            wire.exactly(1);
            let _ = released.lock().unwrap().recv();
            if tunnel {
                wire.rest();
            } else {
                wire.until(b"\r\n\r\n");
                wire.exactly(MUCH);
                wire.send(ok("all of it"));
            }
        });
        let mut client = gate.client();
        if tunnel {
            client.send(format!("CONNECT {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.address));
            assert_eq!(client.head().unwrap().status(), 200);
        } else {
            let head = format!("PUT {} HTTP/1.1\r\nHost: x\r\nContent-Length: {MUCH}\r\n\r\n", origin.url("/"));
            client.send(head);
        }
        let sent = Arc::new(AtomicU64::new(0));
        let (counts, bytes) = (Arc::clone(&sent), body.clone());
        let writer = Wire::new(client.stream.try_clone().unwrap());
        SockRef::from(&writer.stream).set_send_buffer_size(64 * 1024).unwrap();
        writer.stream.set_write_timeout(None).unwrap();
        let sending = thread::spawn(move || pour(&writer, &bytes, &counts));
        support::eventually("the body begins", || sent.load(Relaxed) > 0);
        let held = settled("the client's sending", || sent.load(Relaxed));
        assert!(held < BOUND, "{held} bytes were taken for an origin that reads none");
        release.send(()).unwrap();
        assert!(sending.join().unwrap());
        if tunnel {
            client.fin();
            assert_eq!(origin.ended(0), End::Fin);
            same("resumed", &origin.seen()[0].bytes, &body);
        } else {
            assert_eq!(client.response("PUT").text(), "all of it");
            let seen = origin.seen()[0].bytes.clone();
            same("resumed", &seen[seen.len() - MUCH..], &body);
        }
    }
}

/// A client that asks and asks and never listens fills the proxy with its requests.
#[test]
fn a_pipelining_client_that_reads_nothing_is_no_longer_read() {
    let gate = Gate::start();
    let origin = Origin::answering(|_| ok(&"x".repeat(100_000)));
    let mut client = gate.special_client([127, 0, 0, 1].into(), Some(256 * 1024));
    let one = get(&format!("{}?{}", origin.url("/"), "y".repeat(8000)));
    let count = MUCH / one.len();
    let sent = Arc::new(AtomicU64::new(0));
    let (counts, all) = (Arc::clone(&sent), one.repeat(count));
    let writer = Wire::new(client.stream.try_clone().unwrap());
    SockRef::from(&writer.stream).set_send_buffer_size(64 * 1024).unwrap();
    writer.stream.set_write_timeout(None).unwrap();
    let sending = thread::spawn(move || pour(&writer, &all, &counts));
    support::eventually("it begins", || sent.load(Relaxed) > 0);
    let held = settled("the client's sending", || sent.load(Relaxed));
    assert!(held < BOUND, "{held} bytes of requests were taken");
    let asked = settled("the origin's requests", || origin.seen().iter().map(|one| one.bytes.len() as u64).sum());
    assert!(asked / (one.len() as u64) < 1000, "{asked} bytes of requests were passed on");
    // All of them are answered in the end; that takes long, so only some are looked at.
    for _ in 0..200 {
        assert_eq!(client.response("GET").body.len(), 100_000);
    }
    // The writer holds the same socket; only this ends both.
    client.stream.shutdown(Shutdown::Both).unwrap();
    assert!(!sending.join().unwrap(), "all of the requests were taken");
}

/// What a client asks for is lost when it pauses in the middle of its own buffers.
#[test]
fn both_sides_pause_and_resume_again_and_again() {
    let gate = Gate::with(|limits| {
        limits.client_buffer = 1000;
        limits.origin_buffer = 1000;
    });
    let body = noise(4 << 20, 3);
    let echo = Origin::start(|_, wire| {
        loop {
            let piece = wire.exactly(50_000);
            if piece.is_empty() {
                return;
            }
            thread::yield_now();
            wire.send(&piece);
        }
    });
    let mut client = gate.client();
    client.send(format!("CONNECT {} HTTP/1.1\r\nHost: x\r\n\r\n", echo.address));
    assert_eq!(client.head().unwrap().status(), 200);
    let (writer, bytes) = (Wire::new(client.stream.try_clone().unwrap()), body.clone());
    let sending = thread::spawn(move || {
        writer.send(&bytes);
        writer.fin();
    });
    let mut got = Vec::new();
    while got.len() < body.len() {
        let piece = client.exactly(30_000.min(body.len() - got.len()));
        assert!(!piece.is_empty(), "ended after {} bytes", got.len());
        got.extend(piece);
        thread::yield_now();
    }
    same("through the pauses", &got, &body);
    assert_eq!(client.end(), End::Fin);
    sending.join().unwrap();
}
