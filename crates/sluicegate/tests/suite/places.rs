//! Who wants nothing holds nothing: neither a share of the memory nor, once its client has gone, a place.

use std::time::{Duration, Instant};

use crate::support::ends::{SHORT, thinking, tunnel};
use crate::support::{End, Gate, Origin, eventually, get, noise, ok, same};
use sluicegate::ClientFin;
use sluicegate::flow::Phase;

/// A proxy with memory for one connection.
fn room_for_one() -> Gate {
    Gate::with(|limits| {
        limits.max_memory = Some(limits.bound().total());
        limits.memory_timeout = Duration::from_secs(30);
    })
}

/// Nine silent tunnels stopped a proxy of 2 MiB for an hour.
#[test]
fn silent_tunnels_hold_no_memory() {
    let gate = room_for_one();
    let echo = Origin::start(|_, wire| {
        let mut byte = wire.exactly(1);
        while !byte.is_empty() {
            wire.send(&byte);
            byte = wire.exactly(1);
        }
    });
    let origin = Origin::answering(|_| ok("served"));
    let mut tunnels: Vec<_> = (0..4).map(|_| tunnel(&gate, &echo)).collect();
    for round in 0..3 {
        assert_eq!(gate.ask(get(&origin.url("/"))).text(), "served", "round {round}");
        for one in &mut tunnels {
            one.send([b'a' + round]);
            assert_eq!(one.exactly(1), [b'a' + round]);
        }
    }
}

/// Two silent tunnels whose origins had ended their side stopped such a proxy for five minutes.
#[test]
fn half_closed_tunnels_hold_no_memory() {
    let gate = room_for_one();
    let ending = Origin::start(|_, wire| {
        wire.exactly(1);
        wire.fin();
        assert_eq!(wire.exactly(1), b"b");
        wire.rest();
    });
    let origin = Origin::answering(|_| ok("served"));
    let mut tunnels: Vec<_> = (0..4).map(|_| tunnel(&gate, &ending)).collect();
    for one in &mut tunnels {
        one.send("a");
        assert!(one.exactly(1).is_empty(), "its end arrives");
        assert_eq!(gate.ask(get(&origin.url("/"))).text(), "served");
    }
    for one in &tunnels {
        one.send("b");
        assert_eq!(gate.ask(get(&origin.url("/"))).text(), "served");
    }
    eventually("the other way still moves", || ending.seen().iter().all(|seen| seen.bytes == b"ab"));
}

/// What is given back is taken before anything is read: or the sum is not bounded.
#[test]
fn a_tunnel_waits_for_memory_before_it_reads() {
    let gate = room_for_one();
    let origin = Origin::start(|_, wire| {
        let got = wire.exactly(300_000);
        wire.send(&got);
        wire.rest();
    });
    let (silent, stuck) = (
        thinking(),
        Origin::start(|_, wire| {
            wire.head();
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun");
            wire.rest();
        }),
    );
    let mut client = tunnel(&gate, &origin);
    let other = tunnel(&gate, &silent);
    let mut running = gate.client();
    running.send(get(&stuck.url("/")));
    assert!(running.until(b"begun").is_some());
    let body = noise(300_000, 5);
    let sender = client.stream.try_clone().unwrap();
    let sent = body.clone();
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut &sender, &sent).unwrap());
    eventually("the tunnel waits", || gate.proxy.connections().iter().any(|it| it.phase == Phase::Admitting));
    assert!(origin.seen()[0].bytes.is_empty(), "read without memory");
    running.reset();
    same("what was sent", &client.exactly(300_000), &body);
    sending.join().unwrap();
    drop(other);
}

/// An empty line before a request holds memory for half a minute.
#[test]
fn empty_lines_hold_no_memory() {
    let gate = room_for_one();
    let origin = Origin::answering(|_| ok("served"));
    let mut held: Vec<_> = (0..4).map(|_| gate.client()).collect();
    for client in &held {
        client.send("\r\n");
    }
    eventually("they are read", || {
        gate.proxy.connections().iter().filter(|it| it.phase == Phase::Head && it.up.taken > 0).count() == 4
    });
    assert_eq!(gate.ask(get(&origin.url("/"))).text(), "served");
    for client in &mut held {
        client.send(get(&origin.url("/")));
        assert_eq!(client.response("GET").text(), "served");
    }
}

/// A client that has gone leaves its place to an origin that ignores it, for five minutes.
#[test]
fn a_tunnel_ends_soon_after_its_client() {
    for (client_fin, soon) in [(ClientFin::Abort, true), (ClientFin::Allow, false)] {
        let gate = Gate::with(|limits| {
            limits.abort_timeout = Some(SHORT);
            limits.client_fin = client_fin;
        });
        let origin = Origin::start_owned(|_, mut wire| {
            wire.rest();
            std::thread::sleep(Duration::from_secs(60));
        });
        let begin = Instant::now();
        drop(tunnel(&gate, &origin));
        if soon {
            eventually("its place is free", || gate.proxy.connection_count() == 0);
            assert!(begin.elapsed() >= SHORT, "{:?}", begin.elapsed());
        } else {
            assert_eq!(origin.ended(0), End::Fin);
            std::thread::sleep(3 * SHORT);
            assert_eq!(gate.proxy.connection_count(), 1, "it has its whole time");
        }
    }
}
