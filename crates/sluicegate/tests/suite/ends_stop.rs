//! The ends of docs/close.md that the proxy makes by itself: no memory, and a stop.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::ends::{
    Blackhole, SHORT, arrived, as_written, goes_on, in_two_steps, is_broken, thinking, told_alone,
};
use crate::support::{End, Gate, Origin, Setup, Wire, eventually, get, ok};
use sluicegate::ClientFin;
use sluicegate::flow::Phase;

const LONG: Duration = Duration::from_secs(600);

/// A proxy with memory for one, that one, and its origin.
fn full(client_fin: ClientFin, wait: Duration) -> (Gate, Wire, mpsc::Sender<()>) {
    let gate = Gate::with(|limits| {
        limits.max_memory = Some(limits.bound().total());
        limits.memory_timeout = wait;
        limits.client_fin = client_fin;
    });
    let first = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst";
    let (origin, release) = in_two_steps(first.as_bytes(), |mut wire| {
        wire.send("-half");
        wire.rest();
    });
    let mut running = gate.client();
    running.send(get(&origin.url("/")));
    assert!(running.until(b"first").is_some());
    (gate, running, release)
}

fn admitting(gate: &Gate) -> impl Fn() -> bool {
    || gate.proxy.connections().iter().any(|it| it.phase == Phase::Admitting)
}

/// New work takes the memory of what runs, or waits for ever.
#[test]
fn memory_timeout() {
    let (gate, mut running, release) = full(ClientFin::Abort, SHORT);
    let mut client = gate.client();
    let begin = Instant::now();
    client.send(get("http://x.example/"));
    let response = client.response("GET");
    assert!(begin.elapsed() >= SHORT, "early: {:?}", begin.elapsed());
    assert_eq!((response.status(), response.field("retry-after")), (503, Some("1")));
    assert_eq!((response.field("connection"), client.end()), (Some("close"), End::Fin));
    drop(client);
    told_alone("memory_timeout", &gate);
    release.send(()).unwrap();
    assert_eq!(running.exactly(5), b"-half", "what runs is untouched");
    goes_on(&mut running);
}

/// The log and the answer call the same thing by two names.
#[test]
fn memory_wait_has_one_name() {
    let (gate, _running, _release) = full(ClientFin::Abort, SHORT);
    let mut client = gate.client();
    client.send(get("http://x.example/"));
    let said = client.response("GET").field("proxy-status").unwrap().to_owned();
    let told = told_alone("memory_wait_has_one_name", &gate);
    assert_eq!(said, format!("sluicegate; error={}", told.token().unwrap()));
}

/// What could have waited is sent away.
#[test]
fn memory_comes_in_time() {
    let (gate, mut running, release) = full(ClientFin::Abort, LONG);
    let origin = Origin::mirror();
    let mut client = gate.client();
    client.send(get(&origin.url("/")));
    eventually("it waits for memory", admitting(&gate));
    release.send(()).unwrap();
    assert_eq!(running.exactly(5), b"-half");
    assert_eq!(client.response("GET").status(), 200);
    as_written("memory_comes_in_time", &gate.told(2)[1]);
}

#[test]
fn gone_while_admitting() {
    let (gate, _running, _release) = full(ClientFin::Abort, LONG);
    for how in [End::Fin, End::Reset] {
        let mut client = gate.client();
        client.send(get("http://x.example/"));
        eventually("it waits for memory", admitting(&gate));
        match how {
            End::Reset => client.reset(),
            End::Fin => {
                client.fin();
                // Its request was never read: the kernel resets instead of a FIN.
                assert_eq!(client.end(), End::Reset);
            }
        }
        eventually("it is gone", || gate.proxy.connection_count() == 1);
    }
    assert!(gate.told(0).is_empty());
}

/// `printf … | nc` gets no answer when memory is short.
#[test]
fn fin_while_admitting_if_allowed() {
    let (gate, mut running, release) = full(ClientFin::Allow, LONG);
    let origin = Origin::mirror();
    let mut client = gate.client();
    client.send(get(&origin.url("/")));
    client.fin();
    // Nothing is to happen; what ends it does so before this one waits.
    let other = gate.client();
    other.send(get(&origin.url("/")));
    eventually("the other waits for memory", admitting(&gate));
    release.send(()).unwrap();
    assert_eq!(running.exactly(5), b"-half");
    assert_eq!((client.response("GET").status(), client.end()), (200, End::Fin));
    as_written("fin_while_admitting_if_allowed", &gate.told(2)[1]);
}

/// A restart waits for connections in which nothing happens.
#[test]
fn stop_while_idle() {
    let mut gate = Gate::start();
    let origin = Origin::mirror();
    let (mut fresh, mut used) = (gate.client(), gate.client());
    used.send(get(&origin.url("/")));
    used.response("GET");
    eventually("both are there", || gate.proxy.connection_count() == 2);
    gate.stop(LONG);
    assert_eq!((fresh.end(), used.end()), (End::Fin, End::Fin));
    assert_eq!((gate.drained(), gate.told(0).len()), (0, 1));
}

/// A restart cuts what runs.
#[test]
fn stop_while_waiting() {
    let mut gate = Gate::start();
    let (origin, release) = in_two_steps(b"", |mut wire| {
        wire.send(ok("late"));
        wire.rest();
    });
    let mut client = gate.client();
    client.send(get(&origin.url("/")));
    arrived(&origin, b"\r\n\r\n");
    let mut witness = gate.client();
    eventually("both are there", || gate.proxy.connection_count() == 2);
    gate.stop(LONG);
    assert_eq!(witness.end(), End::Fin, "the stop has been noticed");
    release.send(()).unwrap();
    let response = client.response("GET");
    assert_eq!((response.text(), response.field("connection")), ("late", Some("close")));
    assert_eq!(client.end(), End::Fin);
    drop(client);
    assert_eq!(gate.drained(), 0);
    told_alone("stop_while_waiting", &gate);
}

#[test]
fn stop_while_responding() {
    let mut gate = Gate::start();
    let (origin, release) = in_two_steps(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst", |mut wire| {
        wire.send("-half");
        wire.rest();
    });
    let mut client = gate.client();
    client.send(get(&origin.url("/")));
    assert!(client.until(b"first").is_some());
    gate.stop(LONG);
    gate.served();
    release.send(()).unwrap();
    assert_eq!(client.rest(), (b"-half".to_vec(), End::Fin));
    assert_eq!(gate.drained(), 0);
    told_alone("stop_while_responding", &gate);
}

/// A head that has begun is still a request.
#[test]
fn stop_in_a_head() {
    let mut gate = Gate::start();
    let origin = Origin::mirror();
    let (mut client, mut witness) = (gate.client(), gate.client());
    client.send(format!("GET {} HTTP/1.1\r\n", origin.url("/")));
    eventually("it has begun", || gate.proxy.connections().iter().any(|it| it.phase == Phase::Head));
    eventually("both are there", || gate.proxy.connection_count() == 2);
    gate.stop(LONG);
    assert_eq!(witness.end(), End::Fin, "the stop has been noticed");
    client.send("Host: x\r\n\r\n");
    let response = client.response("GET");
    assert_eq!((response.status(), response.field("connection")), (200, Some("close")));
    assert_eq!(client.end(), End::Fin);
    drop(client);
    assert_eq!(gate.drained(), 0);
    told_alone("stop_in_a_head", &gate);
}

/// What does not end holds the process; or what was cut looks whole.
#[test]
fn stop_after_its_time() {
    let mut gate = Gate::start();
    let (silent, hole) = (thinking(), Blackhole::new());
    let half = Origin::start(|_, wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\n\r\nfirst");
        wire.rest();
    });
    let mut clients: Vec<Wire> = (0..3).map(|_| gate.client()).collect();
    for (client, url) in clients.iter().zip([silent.url("/"), half.url("/"), hole.url()]) {
        client.send(get(&url));
    }
    assert!(clients[1].until(b"first").is_some());
    arrived(&silent, b"\r\n\r\n");
    eventually("all are there", || gate.proxy.connection_count() == 3);
    gate.stop(SHORT);
    assert_eq!(gate.drained(), 3, "they are counted");
    for client in &mut clients {
        assert_eq!(client.end(), End::Reset);
    }
    assert_eq!((silent.ended(0), half.ended(0)), (End::Reset, End::Reset));
    for told in gate.told(3) {
        as_written("stop_after_its_time", &told);
    }
}

/// A head that never ends, and a client that never closes, are cut with the rest.
#[test]
fn stop_after_its_time_without_an_exchange() {
    let mut gate = Gate::start();
    let (mut head, mut closing) = (gate.client(), gate.client());
    head.send("GET http://x.example/ HTTP/1.1\r\n");
    closing.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((closing.response("GET").status(), closing.end()), (400, End::Fin));
    eventually("both are there", || gate.proxy.connection_count() == 2);
    gate.stop(SHORT);
    assert_eq!(gate.drained(), 2);
    assert_eq!(head.end(), End::Reset);
    eventually("the other is reset", || is_broken(&closing));
    told_alone("stop_after_its_time_without_an_exchange", &gate);
}

/// Clients that came a moment before the stop are reset.
#[test]
fn stop_serves_the_queue() {
    let mut gate = Setup::new().late().start();
    let origin = Origin::answering(|_| ok("served"));
    let mut client = gate.client();
    client.send(get(&origin.url("/")));
    gate.stop(LONG);
    gate.begin();
    assert_eq!((client.response("GET").text(), client.end()), ("served", End::Fin));
    drop(client);
    gate.served();
    assert_eq!(gate.drained(), 0);
    told_alone("stop_serves_the_queue", &gate);
}
