//! CONNECT: bytes both ways, ends one at a time, and clear answers when there is no tunnel.

use crate::support;

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use crate::support::{End, Gate, Origin, Setup, Wire, get, noise, same};
use sluicegate::Ended;
use sluicegate::transport::Hangup;

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

fn connect(origin: &Origin) -> String {
    format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address)
}

/// A tunnel through `gate` to `origin`, established.
fn tunnel(gate: &Gate, origin: &Origin) -> Wire {
    let mut client = gate.client();
    client.send(connect(origin));
    assert_eq!(client.head().unwrap().head, ESTABLISHED);
    client
}

/// TLS through the proxy breaks: bytes are lost, changed or held back.
#[test]
fn bytes_pass_both_ways_at_once() {
    for gate in [Gate::start(), Setup::new().threads(2).start()] {
        let origin = Origin::start(|_, wire| {
            let writer = Wire::new(wire.stream.try_clone().unwrap());
            let sending = thread::spawn(move || {
                writer.send(noise(5_000_000, 1));
                writer.fin();
            });
            wire.rest();
            sending.join().unwrap();
        });
        let mut client = tunnel(&gate, &origin);
        let writer = Wire::new(client.stream.try_clone().unwrap());
        let sending = thread::spawn(move || {
            writer.send(noise(6_000_000, 2));
            writer.fin();
        });
        let (got, end) = client.rest();
        sending.join().unwrap();
        same("down", &got, &noise(5_000_000, 1));
        assert_eq!((end, origin.ended(0)), (End::Fin, End::Fin));
        same("up", &origin.seen()[0].bytes, &noise(6_000_000, 2));
        let told = gate.told(1);
        assert_eq!((told[0].status, told[0].tunnel, told[0].ended), (200, true, Ended::Complete));
        assert_eq!(told[0].origin, Some(origin.address));
        assert_eq!(told[0].bytes_in, (told[0].head.len() + 6_000_000) as u64);
        assert_eq!(told[0].bytes_out, (ESTABLISHED.len() + 5_000_000) as u64);
    }
}

/// Clients that do not wait for the 200 (and origins that speak first) lose their first bytes.
#[test]
fn early_bytes_of_both_sides_arrive() {
    let gate = Gate::start();
    for size in [1, 100, 16_384, 100_000] {
        let origin = Origin::start(move |_, wire| {
            wire.send("220 hello\r\n");
            let seen = wire.exactly(size);
            wire.send(&seen);
        });
        let mut client = gate.client();
        let early = noise(size, 3);
        client.send([connect(&origin).as_bytes(), &early].concat());
        assert_eq!(client.head().unwrap().head, ESTABLISHED);
        assert_eq!(client.exactly(11), b"220 hello\r\n");
        same("early bytes", &client.exactly(size), &early);
        assert_eq!(client.end(), End::Fin);
    }
}

/// What looks like HTTP inside a tunnel is touched: Via, framing, a next request.
#[test]
fn a_tunnel_is_blind() {
    let gate = Gate::start();
    let origin = Origin::start(|_, wire| {
        let (bytes, _) = wire.rest();
        wire.send(&bytes);
    });
    let mut client = gate.client();
    let inside = "GET / HTTP/1.1\nHost: a\r\n\r\nCONNECT x:1 HTTP/1.1\r\n\r\n\0\u{ff}";
    client.send([connect(&origin), inside.to_owned()].concat());
    assert_eq!(client.head().unwrap().head, ESTABLISHED);
    client.fin();
    assert_eq!(client.rest(), (inside.as_bytes().to_vec(), End::Fin));
}

/// `ssh host cat < file` and its like: one side is done, the other still has much to say.
#[test]
fn a_half_close_passes_on_and_the_other_half_goes_on() {
    let gate = Gate::start();
    let by_client = Origin::start(|_, wire| {
        let (seen, end) = wire.rest();
        assert_eq!((seen.len(), end), (200_000, End::Fin));
        wire.send(noise(3_000_000, 4));
    });
    let mut client = tunnel(&gate, &by_client);
    client.send(noise(200_000, 5));
    client.fin();
    let (got, end) = client.rest();
    same("after the client's FIN", &got, &noise(3_000_000, 4));
    assert_eq!(end, End::Fin);

    let by_origin = Origin::start(|_, wire| {
        wire.send("banner");
        wire.stream.shutdown(std::net::Shutdown::Write).unwrap();
        wire.rest();
    });
    let mut client = tunnel(&gate, &by_origin);
    assert_eq!(client.rest(), (b"banner".to_vec(), End::Fin));
    client.send(noise(3_000_000, 6));
    client.fin();
    assert_eq!(by_origin.ended(0), End::Fin);
    same("after the origin's FIN", &by_origin.seen()[0].bytes, &noise(3_000_000, 6));
    assert!(gate.told(2).iter().all(|told| told.ended == Ended::Complete));
}

/// A broken download inside a tunnel looks finished.
#[test]
fn a_reset_passes_on_as_a_reset() {
    let gate = Gate::start();
    let resets = Origin::start_owned(|_, mut wire| {
        wire.send("part");
        wire.exactly(1);
        wire.reset();
    });
    let mut client = tunnel(&gate, &resets);
    assert_eq!(client.exactly(4), b"part");
    client.send("x");
    assert_eq!(client.end(), End::Reset);

    let origin = Origin::start(|_, wire| drop(wire.rest()));
    let client = tunnel(&gate, &origin);
    client.send("part");
    origin.wait("the bytes arrive", |seen| seen.iter().any(|one| one.bytes.len() == 4));
    client.reset();
    assert_eq!(origin.ended(0), End::Reset);

    // Also when one direction has ended before.
    let origin = Origin::start(|_, wire| drop(wire.rest()));
    let client = tunnel(&gate, &origin);
    client.fin();
    assert_eq!(origin.ended(0), End::Fin);
    let holding = Origin::start(|_, wire| {
        let _ = wire.rest();
        wire.send("on");
        support::eventually("the proxy resets", || wire.try_send(b"more").is_err());
    });
    drop(client);
    let mut client = tunnel(&gate, &holding);
    client.fin();
    assert_eq!(client.exactly(2), b"on");
    client.reset();
    holding.wait("the origin's script ends", |seen| seen.iter().any(|one| one.over));
    let told = gate.told_in_the_end();
    assert_eq!(told.len(), 4);
    assert_eq!((told[0].ended, told[0].token()), (Ended::OriginFailed, Some("connection_terminated")));
    assert_eq!(told[1].ended, Ended::ClientGone(Hangup::Reset));
}

/// A user cannot tell why there is no tunnel; or their TLS bytes are taken for a request.
#[test]
fn a_refused_connect_is_answered_and_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let origin = Origin::mirror();
    let (forbidden, open) = (origin.address, Origin::mirror());
    let rule = move |_: &_, to| if to == forbidden { Err("no way".to_owned()) } else { Ok(()) };
    let gate = Setup::new().address(rule).start();
    for (to, status, token) in [(closed, 502, "connection_refused"), (forbidden, 403, "destination_ip_prohibited")] {
        let mut client = gate.client();
        client.send(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n"));
        client.send(get(&open.url("/smuggled")));
        let response = client.response("CONNECT");
        assert_eq!(response.status(), status);
        assert!(response.field("proxy-status").unwrap().contains(token));
        assert_eq!(response.field("connection"), Some("close"));
        assert!(status != 403 || response.text().contains("no way"), "{:?}", response.text());
        assert_eq!(client.end(), End::Fin);
    }
    assert_eq!((origin.connections(), open.connections()), (0, 0));
    assert!(gate.told(2).iter().all(|told| !told.tunnel && told.origin.is_none()));
}

/// Tunnels whose other end has vanished are held for ever.
#[test]
fn a_tunnel_in_which_nothing_moves_ends() {
    let gate = Gate::with(|limits| limits.tunnel_idle_timeout = Some(Duration::from_millis(1500)));
    let origin = Origin::start(|_, wire| drop(wire.rest()));
    let mut client = tunnel(&gate, &origin);
    // What moves keeps it open, for far longer than the deadline; in one direction is enough.
    for _ in 0..30 {
        thread::sleep(Duration::from_millis(80));
        client.send("x");
    }
    client.end();
    let _ = origin.ended(0);
    assert_eq!(origin.seen()[0].bytes.len(), 30);
    let told = gate.told(1);
    assert_eq!((told[0].ended, told[0].status), (Ended::Deadline, 200));
}

/// The same for those of which only one side has said goodbye.
#[test]
fn a_half_closed_tunnel_has_a_shorter_deadline() {
    let gate = Gate::with(|limits| limits.half_closed_timeout = Some(Duration::from_millis(300)));
    let origin = Origin::start(|_, wire| {
        wire.rest();
        support::eventually("the proxy gives up", || wire.try_send(b"").is_err() || has_ended(wire));
    });
    let mut client = tunnel(&gate, &origin);
    client.fin();
    client.end();
    assert_eq!(gate.told(1)[0].ended, Ended::Deadline);
}

fn has_ended(wire: &Wire) -> bool {
    socket2::SockRef::from(&wire.stream).take_error().is_ok_and(|error| error.is_some())
}
