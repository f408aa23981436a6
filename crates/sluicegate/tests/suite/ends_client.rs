//! The ends of docs/close.md that a client makes: in each phase, by FIN, by reset, by nonsense.

use crate::support;

use crate::support::ends::{Blackhole, SHORT, arrived, as_written, in_two_steps, post, served, thinking, told_alone};
use crate::support::{End, Gate, Origin, Wire, get, noise, ok};
use sluicegate::ClientFin;
use sluicegate::flow::Phase;

const BOTH: [ClientFin; 2] = [ClientFin::Abort, ClientFin::Allow];
const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst";
const CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\n\r\nfirst";

fn with(client_fin: ClientFin) -> Gate {
    Gate::with(|limits| limits.client_fin = client_fin)
}

/// A connection pool closes what it does not need; the proxy answers that, or drops what it keeps.
#[test]
fn fin_while_idle() {
    for client_fin in BOTH {
        let (gate, origin) = (with(client_fin), Origin::mirror());
        for mut client in [gate.client(), served(&gate, &origin)] {
            client.fin();
            assert_eq!(client.end(), End::Fin);
        }
        assert_eq!(gate.told_in_the_end().len(), 1, "idle is no exchange");
        assert_eq!(gate.ask(get(&origin.url("/"))).status(), 200);
        assert_eq!(origin.connections(), 1, "the origin's connection has nothing to do with it");
    }
}

#[test]
fn reset_while_idle() {
    for client_fin in BOTH {
        let (gate, origin) = (with(client_fin), Origin::mirror());
        let fresh = gate.client();
        support::eventually("it is there", || gate.proxy.connection_count() == 1);
        fresh.reset();
        served(&gate, &origin).reset();
        assert_eq!(gate.told_in_the_end().len(), 1);
        assert_eq!(gate.ask(get(&origin.url("/"))).status(), 200);
        assert_eq!(origin.connections(), 1);
    }
}

/// Port scanners and health checks fill the log, or are sent error pages.
#[test]
fn fin_in_a_head() {
    for client_fin in BOTH {
        let gate = with(client_fin);
        let mut client = gate.client();
        client.send("GET http://x.example/ HTTP/1.1\r\nHo");
        client.fin();
        assert_eq!(client.end(), End::Fin);
        assert!(gate.told_in_the_end().is_empty());
    }
}

#[test]
fn reset_in_a_head() {
    let gate = Gate::start();
    let client = gate.client();
    client.send("GET http://x.example/ HTTP/1.1\r\nHo");
    support::eventually("it has begun", || gate.proxy.connections().iter().any(|it| it.phase == Phase::Head));
    client.reset();
    assert!(gate.told_in_the_end().is_empty());
}

fn connecting(gate: &Gate, to: &Blackhole) -> Wire {
    let client = gate.client();
    client.send(get(&to.url()));
    let connecting = || gate.proxy.connections().iter().any(|it| it.phase == Phase::Connecting);
    support::eventually("it connects", connecting);
    client
}

/// Retries of impatient clients pile up connection attempts to an origin that is down.
#[test]
fn fin_while_connecting() {
    let (gate, hole) = (Gate::start(), Blackhole::new());
    let mut client = connecting(&gate, &hole);
    client.fin();
    assert_eq!(client.end(), End::Reset);
    told_alone("fin_while_connecting", &gate);
}

#[test]
fn fin_while_connecting_if_allowed() {
    let hole = Blackhole::new();
    let gate = Gate::with(|limits| {
        limits.client_fin = ClientFin::Allow;
        limits.connect_timeout = Some(SHORT);
    });
    let mut client = connecting(&gate, &hole);
    client.fin();
    assert_eq!(client.response("GET").status(), 504);
    assert_eq!(client.end(), End::Fin);
    told_alone("fin_while_connecting_if_allowed", &gate);
}

#[test]
fn reset_while_connecting() {
    let hole = Blackhole::new();
    for client_fin in BOTH {
        let gate = with(client_fin);
        connecting(&gate, &hole).reset();
        told_alone("reset_while_connecting", &gate);
        assert_eq!(gate.told_in_the_end()[0].status, 0);
    }
}

fn waiting(gate: &Gate, origin: &Origin) -> Wire {
    let client = gate.client();
    client.send(get(&origin.url("/")));
    arrived(origin, b"\r\n\r\n");
    client
}

/// Expensive work goes on at the origin for nobody.
#[test]
fn fin_while_waiting() {
    let (gate, origin) = (Gate::start(), thinking());
    let mut client = waiting(&gate, &origin);
    client.fin();
    assert_eq!((origin.ended(0), client.end()), (End::Reset, End::Reset));
    told_alone("fin_while_waiting", &gate);
}

/// `printf … | nc` gets no answer where it was promised one.
#[test]
fn fin_while_waiting_if_allowed() {
    let gate = with(ClientFin::Allow);
    let (origin, release) = in_two_steps(b"", |mut wire| {
        wire.send(ok("late"));
        wire.rest();
    });
    let mut client = waiting(&gate, &origin);
    client.fin();
    // Nothing is to happen now; a proxy that ends it does so before the next thing that can be seen.
    assert_eq!(gate.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").status(), 400);
    release.send(()).unwrap();
    assert_eq!((client.response("GET").text(), client.end()), ("late", End::Fin));
    as_written("fin_while_waiting_if_allowed", &gate.told(2)[1]);
}

#[test]
fn reset_while_waiting() {
    for client_fin in BOTH {
        let (gate, origin) = (with(client_fin), thinking());
        waiting(&gate, &origin).reset();
        assert_eq!(origin.ended(0), End::Reset);
        told_alone("reset_while_waiting", &gate);
    }
}

const UPLOADS: [(&str, &str); 2] = [("Content-Length: 10", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n")];

fn uploading(gate: &Gate, origin: &Origin, (framing, begin): (&str, &str)) -> Wire {
    let client = gate.client();
    client.send(post(&origin.url("/"), framing) + begin);
    arrived(origin, b"hello");
    client
}

/// Half an upload is stored as a whole one.
#[test]
fn fin_in_mid_body() {
    for (client_fin, upload) in BOTH.into_iter().flat_map(|mode| UPLOADS.map(|upload| (mode, upload))) {
        let (gate, origin) = (with(client_fin), thinking());
        let mut client = uploading(&gate, &origin, upload);
        client.fin();
        assert_eq!((origin.ended(0), client.end()), (End::Reset, End::Reset));
        assert!(!origin.seen()[0].bytes.ends_with(b"0\r\n\r\n"));
        told_alone("fin_in_mid_body", &gate);
    }
}

#[test]
fn reset_in_mid_body() {
    for (client_fin, upload) in BOTH.into_iter().flat_map(|mode| UPLOADS.map(|upload| (mode, upload))) {
        let (gate, origin) = (with(client_fin), thinking());
        uploading(&gate, &origin, upload).reset();
        assert_eq!(origin.ended(0), End::Reset);
        told_alone("reset_in_mid_body", &gate);
    }
}

/// The first half of a response has come, and the second one never does.
fn responding(gate: &Gate, first: &str) -> (Origin, Wire) {
    let first = first.to_owned();
    let origin = Origin::start(move |_, wire| {
        wire.head();
        wire.send(&first);
        wire.rest();
    });
    let mut client = gate.client();
    client.send(get(&origin.url("/")));
    assert!(client.until(b"first").is_some());
    (origin, client)
}

#[test]
fn fin_while_responding() {
    for first in [LENGTH, CHUNKS, UNTIL_CLOSE] {
        let gate = Gate::start();
        let (origin, mut client) = responding(&gate, first);
        client.fin();
        assert_eq!((origin.ended(0), client.rest().1), (End::Reset, End::Reset));
        told_alone("fin_while_responding", &gate);
    }
}

#[test]
fn fin_while_responding_if_allowed() {
    for (first, second) in [(LENGTH, "-half"), (CHUNKS, "5\r\n-half\r\n0\r\n\r\n"), (UNTIL_CLOSE, "-half")] {
        let gate = with(ClientFin::Allow);
        let (origin, release) = in_two_steps(first.as_bytes(), move |wire| wire.send(second));
        let mut client = gate.client();
        client.send(get(&origin.url("/")));
        assert!(client.until(b"first").is_some());
        client.fin();
        assert_eq!(gate.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").status(), 400);
        release.send(()).unwrap();
        let (rest, end) = client.rest();
        assert!(String::from_utf8_lossy(&rest).contains(second), "{:?}", String::from_utf8_lossy(&rest));
        assert_eq!(end, End::Fin);
        as_written("fin_while_responding_if_allowed", &gate.told(2)[1]);
    }
}

#[test]
fn reset_while_responding() {
    for (client_fin, first) in BOTH.into_iter().flat_map(|mode| [LENGTH, CHUNKS, UNTIL_CLOSE].map(|it| (mode, it))) {
        let gate = with(client_fin);
        let (origin, client) = responding(&gate, first);
        client.reset();
        assert_eq!(origin.ended(0), End::Reset);
        told_alone("reset_while_responding", &gate);
    }
}

/// The same behind a response that the client has not read, for which nobody waits any more.
#[test]
fn reset_while_it_does_not_read() {
    let gate = Gate::start();
    let origin = Origin::start(|_, wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while wire.try_send(&noise(100_000, 1)).is_ok() {}
    });
    let client = gate.client();
    client.send(get(&origin.url("/")));
    support::eventually("the response is held back", || {
        gate.proxy.connections().iter().any(|it| it.origin_paused_by().is_some())
    });
    client.reset();
    assert_eq!(origin.ended(0), End::Reset);
    told_alone("reset_while_it_does_not_read", &gate);
}

/// What is no HTTP is passed on, or left without a word.
#[test]
fn malformed_head() {
    for (head, status) in [("NONSENSE\r\n\r\n", 400), ("GET http://x/ HTTP/1.1\r\nHost : x\r\n\r\n", 400)] {
        let gate = Gate::start();
        let mut client = gate.client();
        client.send(head);
        let response = client.response("GET");
        assert_eq!((response.status(), response.field("connection")), (status, Some("close")));
        assert_eq!(client.end(), End::Fin);
        drop(client);
        told_alone("malformed_head", &gate);
    }
}

#[test]
fn malformed_chunk() {
    let (gate, origin) = (Gate::start(), thinking());
    let mut client = uploading(&gate, &origin, UPLOADS[1]);
    client.send("zz\r\n");
    let response = client.response("POST");
    assert_eq!((response.status(), response.field("connection")), (400, Some("close")));
    assert_eq!((client.end(), origin.ended(0)), (End::Fin, End::Reset));
    assert!(!origin.seen()[0].bytes.ends_with(b"0\r\n\r\n"));
    told_alone("malformed_chunk", &gate);
}

#[test]
fn malformed_chunk_while_responding() {
    let gate = Gate::start();
    let origin = Origin::start(|_, wire| {
        wire.head();
        wire.send(LENGTH);
        wire.rest();
    });
    let mut client = uploading(&gate, &origin, UPLOADS[1]);
    assert!(client.until(b"first").is_some());
    client.send("zz\r\n");
    assert_eq!((client.end(), origin.ended(0)), (End::Reset, End::Reset));
    told_alone("malformed_chunk_while_responding", &gate);
}
