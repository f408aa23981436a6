//! The ends of docs/close.md in a tunnel: each side alone, both, and nobody.

use std::sync::{Mutex, mpsc};
use std::thread;

use crate::support::ends::{SHORT, arrived, in_two_steps, is_broken, thinking, told_alone, tunnel};
use crate::support::{End, Gate, Origin, eventually, noise, same};
use sluicegate::ClientFin;

/// `ssh host cat < file`: one side is done, the other has much to say.
#[test]
fn tunnel_client_fin() {
    for client_fin in [ClientFin::Abort, ClientFin::Allow] {
        let gate = Gate::with(|limits| limits.client_fin = client_fin);
        let origin = Origin::start(|_, wire| {
            wire.rest();
            wire.send(noise(2_000_000, 1));
        });
        let mut client = tunnel(&gate, &origin);
        client.send(noise(300_000, 2));
        client.fin();
        let (got, end) = client.rest();
        same("down, after the client's FIN", &got, &noise(2_000_000, 1));
        assert_eq!((end, origin.ended(0)), (End::Fin, End::Fin));
        same("up, before it", &origin.seen()[0].bytes, &noise(300_000, 2));
        told_alone("tunnel_client_fin", &gate);
    }
}

#[test]
fn tunnel_origin_fin() {
    let gate = Gate::start();
    let origin = Origin::start(|_, wire| {
        wire.send(noise(300_000, 3));
        wire.fin();
        wire.rest();
    });
    let mut client = tunnel(&gate, &origin);
    let (got, end) = client.rest();
    same("down, before the origin's FIN", &got, &noise(300_000, 3));
    assert_eq!(end, End::Fin);
    client.send(noise(2_000_000, 4));
    client.fin();
    assert_eq!(origin.ended(0), End::Fin);
    same("up, after it", &origin.seen()[0].bytes, &noise(2_000_000, 4));
    told_alone("tunnel_origin_fin", &gate);
}

/// A broken transfer inside a tunnel looks finished.
#[test]
fn tunnel_client_reset() {
    let (gate, origin) = (Gate::start(), thinking());
    let client = tunnel(&gate, &origin);
    client.send("part");
    arrived(&origin, b"part");
    client.reset();
    assert_eq!(origin.ended(0), End::Reset);
    told_alone("tunnel_client_reset", &gate);
}

#[test]
fn tunnel_origin_reset() {
    let gate = Gate::start();
    let origin = Origin::start_owned(|_, mut wire| {
        wire.send("part");
        wire.exactly(1);
        wire.reset();
    });
    let mut client = tunnel(&gate, &origin);
    assert_eq!(client.exactly(4), b"part");
    client.send("x");
    assert_eq!(client.end(), End::Reset);
    told_alone("tunnel_origin_reset", &gate);
}

/// An origin that reads up to the client's FIN, says something, and waits to be reset.
fn after_a_fin() -> Origin {
    Origin::start(|_, wire| {
        wire.rest();
        wire.send("on");
        eventually("it is reset", || is_broken(wire));
    })
}

/// The same when only one direction was left.
#[test]
fn tunnel_client_reset_after_its_fin() {
    let (gate, origin) = (Gate::start(), after_a_fin());
    let mut client = tunnel(&gate, &origin);
    client.fin();
    assert_eq!(client.exactly(2), b"on");
    client.reset();
    origin.wait("the origin is reset", |seen| seen[0].over);
    told_alone("tunnel_client_reset_after_its_fin", &gate);
}

/// `curl https://…`: it has all that it wanted, and closes; the origin's goodbye meets nobody.
#[test]
fn tunnel_client_closes_first() {
    let gate = Gate::start();
    let origin = Origin::start_owned(|_, mut wire| {
        wire.send("all of it");
        wire.rest();
        wire.send("goodbye");
        // Until that has been answered by a reset, which the proxy sees before our end.
        thread::sleep(SHORT / 3);
    });
    let mut client = tunnel(&gate, &origin);
    assert_eq!(client.exactly(9), b"all of it");
    client.send("goodbye");
    drop(client);
    told_alone("tunnel_client_closes_first", &gate);
}

/// The other way round: the origin closes, and the client's goodbye meets nobody.
#[test]
fn tunnel_origin_closes_first() {
    let gate = Gate::start();
    let origin = Origin::start_owned(|_, wire| wire.send("all of it"));
    let mut client = tunnel(&gate, &origin);
    assert_eq!(client.rest(), (b"all of it".to_vec(), End::Fin));
    client.send("goodbye");
    thread::sleep(SHORT / 3);
    drop(client);
    told_alone("tunnel_origin_closes_first", &gate);
}

/// A client closes before it has read the origin's goodbye: its kernel says so by a reset.
#[test]
fn tunnel_client_reset_after_the_end() {
    let gate = Gate::start();
    let origin = Origin::start(|_, wire| {
        wire.send("all of it");
        wire.fin();
        eventually("it is reset", || is_broken(wire));
    });
    let mut client = tunnel(&gate, &origin);
    assert_eq!(client.rest(), (b"all of it".to_vec(), End::Fin));
    client.reset();
    origin.wait("the origin is reset", |seen| seen[0].over);
    told_alone("tunnel_client_reset_after_the_end", &gate);
}

/// Who has only ended its own side and then goes, in the middle of what it was given, was cut off.
#[test]
fn tunnel_client_reset_in_a_download() {
    let gate = Gate::start();
    let origin = Origin::start(|_, wire| {
        wire.rest();
        let _ = wire.try_send(&noise(20_000_000, 5));
    });
    let mut client = tunnel(&gate, &origin);
    client.fin();
    client.exactly(1000);
    client.reset();
    told_alone("tunnel_client_reset_in_a_download", &gate);
}

#[test]
fn tunnel_origin_reset_after_a_fin() {
    let gate = Gate::start();
    let (origin, release) = in_two_steps(b"", |wire| wire.reset());
    let mut client = tunnel(&gate, &origin);
    client.fin();
    release.send(()).unwrap();
    assert_eq!(client.end(), End::Reset);
    told_alone("tunnel_origin_reset_after_a_fin", &gate);
}

/// Tunnels whose peers have vanished are held for ever.
#[test]
fn tunnel_idle_timeout() {
    let gate = Gate::with(|limits| limits.tunnel_idle_timeout = Some(SHORT));
    let origin = thinking();
    let mut client = tunnel(&gate, &origin);
    assert_eq!((client.end(), origin.ended(0)), (End::Reset, End::Reset));
    told_alone("tunnel_idle_timeout", &gate);
}

/// A download through a tunnel is cut off because the client says nothing.
#[test]
fn tunnel_in_one_direction() {
    let gate = Gate::with(|limits| limits.tunnel_idle_timeout = Some(3 * SHORT));
    let origin = Origin::start(|_, wire| {
        for _ in 0..20 {
            wire.send("x");
            thread::sleep(SHORT / 3);
        }
    });
    let mut client = tunnel(&gate, &origin);
    assert_eq!(client.rest(), (vec![b'x'; 20], End::Fin));
    drop(client);
    told_alone("tunnel_in_one_direction", &gate);
}

/// One that said goodbye to a peer that never does.
#[test]
fn tunnel_half_closed_timeout() {
    let gate = Gate::with(|limits| limits.half_closed_timeout = Some(SHORT));
    let origin = after_a_fin();
    let mut client = tunnel(&gate, &origin);
    client.fin();
    assert_eq!(client.rest(), (b"on".to_vec(), End::Reset));
    origin.wait("the origin is reset", |seen| seen[0].over);
    told_alone("tunnel_half_closed_timeout", &gate);
}

#[test]
fn tunnel_half_closed_timeout_by_the_origin() {
    let gate = Gate::with(|limits| limits.half_closed_timeout = Some(SHORT));
    let origin = Origin::start(|_, wire| {
        wire.fin();
        wire.rest();
    });
    let mut client = tunnel(&gate, &origin);
    assert_eq!((client.end(), origin.ended(0)), (End::Fin, End::Reset));
    eventually("the client is reset too", || is_broken(&client));
    told_alone("tunnel_half_closed_timeout_by_the_origin", &gate);
}

/// A tunnel does not end by a stop; it has its time, and then is reset.
#[test]
fn tunnel_while_stopping() {
    let mut gate = Gate::start();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::start(move |_, wire| {
        let _ = released.lock().unwrap().recv();
        wire.send("still here");
        wire.rest();
    });
    let mut client = tunnel(&gate, &origin);
    gate.stop(5 * SHORT);
    gate.served();
    release.send(()).unwrap();
    assert_eq!(client.exactly(10), b"still here");
    assert_eq!(gate.drained(), 1);
    assert_eq!((client.end(), origin.ended(0)), (End::Reset, End::Reset));
    told_alone("tunnel_while_stopping", &gate);
}
