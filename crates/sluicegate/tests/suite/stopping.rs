//! How a proxy stops, and how connections end that do nothing, or nothing good.

use crate::support;

use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::support::{End, Gate, Origin, PATIENCE, Setup, Wire, get, ok};
use sluicegate::Ended;

const LONG: Duration = Duration::from_secs(600);

/// An origin that sends half of its answer, and the other half when it is told to.
fn halves() -> (Origin, mpsc::Sender<()>) {
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let origin = Origin::start(move |_, wire| {
        while wire.request().is_some() {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
            if released.lock().unwrap().recv().is_err() {
                return;
            }
            wire.send("-half");
        }
    });
    (origin, release)
}

/// A restart drops connections that were made a moment before it.
#[test]
fn clients_in_the_queue_are_served() {
    let mut gate = Setup::new().late().start();
    let origin = Origin::mirror();
    let mut clients: Vec<Wire> = (0..20).map(|_| gate.client()).collect();
    for client in &clients {
        client.send(get(&origin.url("/")));
    }
    gate.stop(LONG);
    gate.begin();
    for client in &mut clients {
        assert_eq!(client.response("GET").status(), 200);
        assert_eq!(client.end(), End::Fin);
    }
    drop(clients);
    gate.served();
    assert_eq!(gate.drained(), 0);
    let late = std::net::TcpStream::connect(gate.address);
    assert!(late.is_err() || Wire::new(late.unwrap()).end() == End::Reset);
}

/// A restart cuts downloads; or never ends, because browsers keep idle connections.
#[test]
fn what_runs_is_finished_and_what_is_idle_ends_at_once() {
    for threads in [0, 2] {
        let mut gate = Setup::new().threads(threads).start();
        let (origin, release) = halves();
        let quick = Origin::mirror();
        let mut fresh = gate.client();
        let mut used = gate.client();
        used.send(get(&quick.url("/")));
        used.response("GET");
        let mut begun = gate.client();
        begun.send(get(&origin.url("/")));
        assert!(begun.until(b"first").is_some());
        let mut thinking = gate.client();
        let slow = Origin::start(|_, wire| {
            wire.request();
            // Until the stop has been noticed by everybody else.
            wire.exactly(1);
            wire.rest();
        });
        let (answer, may_answer) = mpsc::channel::<()>();
        let may_answer = Mutex::new(may_answer);
        let waiting = Origin::start(move |_, wire| {
            wire.request();
            let _ = may_answer.lock().unwrap().recv();
            wire.send(ok("late"));
        });
        thinking.send(get(&waiting.url("/")));
        waiting.wait("the request arrives", |seen| seen.iter().any(|one| one.bytes.ends_with(b"\r\n\r\n")));
        let mut tunnel = gate.client();
        tunnel.send(format!("CONNECT {} HTTP/1.1\r\nHost: x\r\n\r\n", slow.address));
        assert_eq!(tunnel.head().unwrap().status(), 200);
        support::eventually("all are there", || gate.proxy.connection_count() == 5);
        gate.stop(LONG);
        gate.served();
        assert_eq!((fresh.end(), used.end()), (End::Fin, End::Fin), "the idle ones");
        drop((fresh, used));
        // The one whose head is not written yet says so; the other ends all the same.
        answer.send(()).unwrap();
        let response = thinking.response("GET");
        assert_eq!((response.text(), response.field("connection")), ("late", Some("close")));
        assert_eq!(thinking.end(), End::Fin);
        release.send(()).unwrap();
        assert_eq!(begun.rest(), (b"-half".to_vec(), End::Fin));
        drop((thinking, begun));
        support::eventually("only the tunnel is left", || gate.proxy.connection_count() == 1);
        tunnel.send("still here");
        slow.wait("the tunnel works on", |seen| seen.iter().any(|one| one.bytes == b"still here"));
        tunnel.fin();
        drop(tunnel);
        assert_eq!(gate.drained(), 0);
        assert_eq!(gate.told_in_the_end().iter().filter(|told| told.ended == Ended::Complete).count(), 4);
    }
}

/// A stop waits for ever for one that never ends; or what it cut looks complete.
#[test]
fn what_does_not_end_in_time_is_reset_and_counted() {
    for threads in [0, 2] {
        let mut gate = Setup::new().threads(threads).start();
        let (origin, release) = halves();
        let silent = Origin::start(|_, wire| drop(wire.rest()));
        let mut clients: Vec<Wire> = (0..3).map(|_| gate.client()).collect();
        clients[0].send(get(&origin.url("/")));
        assert!(clients[0].until(b"first").is_some());
        clients[1].send(get(&silent.url("/")));
        clients[2].send(format!("CONNECT {} HTTP/1.1\r\nHost: x\r\n\r\n", silent.address));
        assert_eq!(clients[2].head().unwrap().status(), 200);
        silent
            .wait("both are there", |seen| seen.len() == 2 && seen.iter().any(|one| one.bytes.ends_with(b"\r\n\r\n")));
        gate.stop(Duration::from_millis(300));
        assert_eq!(gate.drained(), 3);
        for client in &mut clients {
            assert_eq!(client.end(), End::Reset);
        }
        assert_eq!((silent.ended(0), silent.ended(1)), (End::Reset, End::Reset));
        assert!(gate.told(3).iter().all(|told| told.ended == Ended::Stopped));
        drop(release);
    }
}

/// A stopping proxy goes on with the fifty requests that a client has pipelined.
#[test]
fn a_pipelining_client_is_told_to_go() {
    let mut gate = Gate::start();
    let (origin, release) = halves();
    let mut client = gate.client();
    client.send(get(&origin.url("/")).repeat(50));
    assert!(client.until(b"first").is_some());
    gate.stop(LONG);
    gate.served();
    // `drain` has begun once an idle connection would end; here nothing shows it but this answer.
    let mut answers = 0;
    loop {
        release.send(()).unwrap();
        assert_eq!(client.exactly(5), b"-half");
        answers += 1;
        match client.until(b"first") {
            Some(head) if !String::from_utf8_lossy(&head).contains("Connection: close") => {}
            Some(_) => {
                release.send(()).unwrap();
                assert_eq!(client.rest(), (b"-half".to_vec(), End::Fin));
                break;
            }
            None => break,
        }
    }
    drop(client);
    assert!(answers < 50, "served to the last");
    assert_eq!(gate.drained(), 0);
}

fn short() -> Gate {
    Gate::with(|limits| {
        limits.head_timeout = Some(Duration::from_millis(300));
        limits.idle_timeout = Some(Duration::from_millis(300));
        limits.linger_timeout = Duration::from_millis(300);
        limits.abort_timeout = Some(Duration::from_millis(600));
    })
}

/// Connections that say nothing are held for ever; or get an error page that they take for the
/// answer to their next request.
#[test]
fn an_idle_client_is_closed_silently() {
    // One connection alone: nothing else keeps the proxy's clock going.
    let gate = short();
    assert_eq!(gate.client().end(), End::Fin, "a client that never says anything");
    let origin = Origin::mirror();
    let mut client = gate.client();
    client.send(get(&origin.url("/")));
    client.response("GET");
    assert_eq!(client.end(), End::Fin, "one that was served");
    assert_eq!(gate.told_in_the_end().len(), 1);
}

/// A few slow clients (slow loris) take all the places there are.
#[test]
fn a_head_has_a_deadline_that_no_byte_extends() {
    let gate = short();
    let origin = Origin::mirror();
    for (drip, answered) in [("X", true), ("\r\n", false)] {
        let client = gate.client();
        if answered {
            client.send(format!("GET {} HTTP/1.1\r\n", origin.url("/")));
        }
        let begin = Instant::now();
        while client.try_send(drip.as_bytes()).is_ok() && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(begin.elapsed() < PATIENCE, "{drip:?} keeps it open");
    }
    assert_eq!(origin.connections(), 0);
    let told = gate.told_in_the_end();
    assert_eq!(told.len(), 1, "empty lines are no request");
    assert_eq!((told[0].status, told[0].ended), (408, Ended::Deadline));
}

/// A slow client cannot tell why its connection was closed.
#[test]
fn a_head_that_does_not_end_is_a_408() {
    let gate = short();
    let origin = Origin::mirror();
    for before in [false, true] {
        let mut client = gate.client();
        if before {
            client.send(get(&origin.url("/")));
        }
        client.send("GET http://slow.example/ HTTP/1.1\r\nHost: x\r\n");
        if before {
            assert_eq!(client.response("GET").status(), 200);
        }
        let response = client.response("GET");
        assert_eq!((response.status(), response.field("connection")), (408, Some("close")));
        assert!(response.field("proxy-status").unwrap().contains("http_request_error"));
        assert!(response.text().contains("did not arrive in time"), "{:?}", response.text());
        assert_eq!(client.end(), End::Fin);
    }
}

/// The same for bodies that stop in the middle: the client's fault, and it is told so.
#[test]
fn a_body_that_stalls_is_a_408() {
    let gate = Gate::with(|limits| limits.body_timeout = Some(Duration::from_millis(300)));
    let origin = Origin::start(|_, wire| drop(wire.rest()));
    let mut client = gate.client();
    client.send(format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello", origin.url("/")));
    assert_eq!(client.response("POST").status(), 408);
    assert_eq!(client.end(), End::Fin);
    assert_eq!(origin.ended(0), End::Reset);
}

/// A client that never closes its side keeps the connection for ever after the proxy closed it.
#[test]
fn a_client_that_does_not_close_is_reset() {
    let gate = Gate::with(|limits| {
        limits.linger_timeout = Duration::from_millis(200);
        limits.abort_timeout = Some(Duration::from_millis(400));
    });
    let mut client = gate.client();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response("GET").status(), 400);
    client.end();
    support::eventually("the connection is given up", || gate.proxy.connection_count() == 0);
    support::eventually("it was reset", || client.try_send(b"x").is_err());
}
