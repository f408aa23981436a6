//! Clients that leave, and what is told of every exchange.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::{End, Gate, Origin, PATIENCE, Setup, get, noise, ok};
use sluicegate::transport::Hangup;
use sluicegate::{ClientFin, Ended};

/// An origin that takes requests and thinks for ever.
fn thinking() -> Origin {
    Origin::start(|_, wire| drop(wire.rest()))
}

/// An origin goes on with expensive work for a client that has left, and a user's reload doubles it.
#[test]
fn a_client_that_leaves_is_noticed_behind_whatever_it_pipelined() {
    for threads in [0, 2] {
        let gate = Setup::new().threads(threads).start();
        let mut n = 0;
        for behind in [0, 1, 8192, 16_384, 60_000] {
            for by_reset in [false, true] {
                let origin = thinking();
                let client = gate.client();
                client.send([get(&origin.url("/slow")), vec![b'G'; behind]].concat());
                origin.wait("the request arrives", |seen| seen.iter().any(|one| one.bytes.ends_with(b"\r\n\r\n")));
                let left = Instant::now();
                let kept = match by_reset {
                    true => {
                        client.reset();
                        None
                    }
                    false => {
                        client.fin();
                        Some(client)
                    }
                };
                let _ = origin.ended(0);
                assert!(left.elapsed() < PATIENCE / 3, "{behind} bytes behind, reset: {by_reset}");
                n += 1;
                let told = gate.told(n).last().unwrap().clone();
                let how = if by_reset { Hangup::Reset } else { Hangup::Fin };
                assert_eq!((told.ended, told.status), (Ended::ClientGone(how), 0), "{behind} bytes behind");
                drop(kept);
            }
        }
        assert_eq!(gate.told_in_the_end().len(), n);
    }
}

/// The same in the middle of a body: an upload that was cut looks whole, a download goes on.
#[test]
fn a_client_that_leaves_in_mid_body_ends_it() {
    for client_fin in [ClientFin::Abort, ClientFin::Allow] {
        let gate = Gate::with(|limits| limits.client_fin = client_fin);
        let framings = ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"];
        for framing in framings {
            let origin = thinking();
            let client = gate.client();
            client.send(format!("POST {} HTTP/1.1\r\nHost: x\r\n{framing}", origin.url("/")));
            origin.wait("the body arrives", |seen| {
                seen.iter().any(|one| one.bytes.windows(5).any(|bytes| bytes == b"hello"))
            });
            client.fin();
            assert_eq!(origin.ended(0), End::Reset, "cut short, and not to be taken for whole");
            assert!(!origin.seen()[0].bytes.ends_with(b"0\r\n\r\n"));
        }
        let endless = Origin::start(|_, wire| {
            wire.head();
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            let piece = noise(100_000, 1);
            while wire.try_send(&piece).is_ok() {}
        });
        let mut client = gate.client();
        client.send(get(&endless.url("/")));
        client.exactly(1_000_000);
        client.reset();
        endless.wait("the origin is cut off", |seen| seen.iter().any(|one| one.over));
        let told = gate.told_in_the_end();
        let gone = told.iter().filter(|told| matches!(told.ended, Ended::ClientGone(_))).count();
        assert_eq!((told.len(), gone), (3, 3), "{told:?}");
        assert!(told[2].status == 200 && told[2].bytes_out > 900_000, "{told:?}");
    }
}

/// `printf 'GET …' | nc proxy` gets no answer where it is promised one.
#[test]
fn a_half_closed_client_is_served_if_it_may_be() {
    let gate = Gate::with(|limits| limits.client_fin = ClientFin::Allow);
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::start(move |_, wire| {
        while wire.request().is_some() {
            let _ = released.lock().unwrap().recv();
            wire.send(ok("served"));
        }
    });
    let mut client = gate.client();
    client.send(get(&origin.url("/1")).repeat(3));
    client.fin();
    for n in 0..3 {
        origin.wait("the request arrives", |seen| {
            seen.iter().any(|one| one.bytes.windows(4).filter(|end| end == b"\r\n\r\n").count() > n)
        });
        release.send(()).unwrap();
        assert_eq!(client.response("GET").text(), "served");
    }
    assert_eq!(client.end(), End::Fin);
    // A reset ends it in this mode too, also after a FIN.
    let slow = thinking();
    let client = gate.client();
    client.send(get(&slow.url("/")));
    client.fin();
    slow.wait("the request arrives", |seen| seen.iter().any(|one| one.bytes.ends_with(b"\r\n\r\n")));
    client.reset();
    let _ = slow.ended(0);
    assert_eq!(gate.told(4)[3].ended, Ended::ClientGone(Hangup::Reset));
}

/// A client that closes after its request, as it must not, finds its finished answer thrown away.
#[test]
fn pipelined_requests_are_discarded_with_their_client() {
    let gate = Gate::start();
    let (first, second) = (thinking(), Origin::mirror());
    let mut client = gate.client();
    client.send([get(&first.url("/")), get(&second.url("/"))].concat());
    first.wait("the request arrives", |seen| seen.iter().any(|one| one.bytes.ends_with(b"\r\n\r\n")));
    client.fin();
    client.end();
    let _ = first.ended(0);
    assert_eq!(gate.told_in_the_end().len(), 1);
    assert_eq!(second.connections(), 0, "dispatched for nobody");
}

/// An access log misses requests, counts them twice, or tells lies about them.
#[test]
fn every_exchange_is_told_once() {
    let gate = Gate::with(|limits| limits.head_timeout = Some(Duration::from_millis(300)));
    let origin = Origin::answering(|request| match request.line() {
        line if line.starts_with("HEAD") => b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n".to_vec(),
        line if line.contains("/teapot") => b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 3\r\n\r\ntea".to_vec(),
        _ => ok("hello"),
    });
    let mut client = gate.client();
    let mut sizes = Vec::new();
    let asks = [
        format!("GET {}?q=1 HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/a")),
        format!("HEAD {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/b")),
        format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            origin.url("/teapot")
        ),
    ];
    for ask in &asks {
        client.send(ask);
        let response = client.response(ask.split(' ').next().unwrap());
        sizes.push((response.head.len() + response.body.len()) as u64);
    }
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let response = client.response("GET");
    sizes.push((response.head.len() + response.body.len()) as u64);
    client.end();
    let from = client.stream.local_addr().unwrap();
    drop(client);
    // A connection without a request is no exchange; half a head is one.
    drop(gate.client());
    let mut slow = gate.client();
    slow.send("GET http://slow.example/ HT");
    assert_eq!(slow.response("GET").status(), 408);
    slow.end();
    drop(slow);
    let told = gate.told_in_the_end();
    assert_eq!(told.len(), 5, "{told:?}");
    for (told, ask) in told.iter().zip(&asks) {
        let head = &ask[..ask.find("\r\n\r\n").unwrap() + 4];
        assert_eq!(String::from_utf8_lossy(&told.head), head);
        assert_eq!((told.ended, told.token(), told.tunnel), (Ended::Complete, None, false));
        assert_eq!((told.origin, told.client.address), (Some(origin.address), from));
        assert_eq!(told.client.listener, gate.address);
    }
    let counts = |n: usize| (told[n].status, told[n].reused, told[n].bytes_in, told[n].bytes_out);
    assert_eq!(counts(0), (200, false, asks[0].len() as u64, sizes[0]));
    assert_eq!(counts(1), (200, true, asks[1].len() as u64, sizes[1]));
    // The body counts without its framing.
    assert_eq!(counts(2), (418, true, (asks[2].len() - "2\r\n\r\n0\r\n\r\n".len()) as u64, sizes[2]));
    assert_eq!(counts(3), (400, false, "GET / HTTP/1.1\r\nHost: x\r\n\r\n".len() as u64, sizes[3]));
    assert_eq!((told[3].ended, told[3].origin), (Ended::Refused, None));
    assert_eq!((told[4].status, told[4].ended, told[4].token()), (408, Ended::Deadline, Some("http_request_error")));
}
