//! Connections to origins: kept, retried, given up, and forbidden.

use crate::support;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::ends::Blackhole;
use crate::support::{End, Gate, Origin, Serving, Setup, get, ok};
use sluicegate::{Client, Ended, Fault, Request, Route, Verdict};

fn post(url: &str, body: &str) -> String {
    format!("POST {url} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Each request pays for a new connection, and an origin runs out of ports.
#[test]
fn connections_are_kept_for_the_next_client() {
    let gate = Gate::start();
    let origin = Origin::mirror();
    for n in 0..20 {
        gate.ask(get(&origin.url("/")));
        // The connection is back before the next client asks.
        assert_eq!(gate.told(n + 1)[n].reused, n > 0);
    }
    assert_eq!(origin.connections(), 1);
    let none = Gate::with(|limits| limits.max_idle_origins = 0);
    for _ in 0..5 {
        none.ask(get(&origin.url("/")));
    }
    assert_eq!(origin.connections(), 6);
}

/// An origin that says when it will close is asked again on a connection that it has closed.
#[test]
fn connections_that_may_not_be_kept_are_not() {
    let gate = Gate::start();
    let answers = [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ];
    for answer in answers {
        let origin = Origin::answering(|_| answer.as_bytes().to_vec());
        let mut client = gate.client();
        for n in 0..3 {
            client.send(get(&origin.url("/")));
            assert_eq!(client.response("GET").field("connection"), None, "it is not the client's matter");
            let _ = origin.ended(n);
        }
    }
    let kept =
        Origin::answering(|_| b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n".to_vec());
    (0..3).for_each(|_| assert_eq!(gate.ask(get(&kept.url("/"))).status(), 200));
    assert_eq!(kept.connections(), 1);
}

/// Idle connections to origins stay open for ever.
#[test]
fn idle_origin_connections_end_in_time() {
    let gate = Gate::with(|limits| limits.origin_idle_timeout = Duration::from_millis(300));
    let origin = Origin::mirror();
    gate.ask(get(&origin.url("/")));
    assert_eq!(origin.ended(0), End::Fin);
}

/// Every request after a quiet minute fails, because the origin has closed meanwhile.
#[test]
fn a_connection_that_the_origin_closed_is_not_used() {
    let gate = Gate::start();
    let origin = Origin::start(|_, wire| {
        wire.request();
        wire.send(ok("one"));
    });
    let mut client = gate.client();
    for n in 0..20 {
        let url = origin.url("/");
        client.send(if n % 2 == 0 { post(&url, "body") } else { String::from_utf8(get(&url)).unwrap() });
        assert_eq!(client.response("POST").text(), "one");
        // Then its FIN is in our socket before the next request is.
        origin.wait("the origin closes", |seen| seen.get(n).is_some_and(|one| one.over));
        std::thread::sleep(Duration::from_millis(if n < 2 { 20 } else { 2 }));
    }
    assert_eq!(origin.connections(), 20);
}

/// An origin whose second request on a connection meets its end, after these bytes of an answer.
fn ends_under_the_second(partial: &'static str, reset: bool) -> Origin {
    Origin::start_owned(move |index, mut wire| {
        wire.request();
        wire.send(ok("first"));
        if index == 0 {
            wire.head();
            wire.send(partial);
            if reset {
                wire.reset();
            }
            return;
        }
        while wire.request().is_some() {
            wire.send(ok("again"));
        }
    })
}

/// Users see an error for a page that a second try would have shown.
#[test]
fn a_get_is_tried_again_once() {
    let gate = Gate::start();
    for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
        for reset in [false, true] {
            let origin = ends_under_the_second("", reset);
            let mut client = gate.client();
            client.send(get(&origin.url("/1")));
            assert_eq!(client.response("GET").text(), "first");
            client.send(format!("{method} {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/2")));
            assert_eq!(client.response(method).status(), 200, "{method}");
            let seen = origin.seen();
            assert_eq!(seen.len(), 2);
            let again = String::from_utf8(seen[1].bytes.clone()).unwrap();
            assert!(again.starts_with(&format!("{method} /2 HTTP/1.1\r\n")), "{again:?}");
        }
    }
}

/// An order is placed twice.
#[test]
fn a_post_is_never_sent_twice() {
    let gate = Gate::start();
    let own = |url: &str, _: &str| format!("BUY {url} HTTP/1.1\r\nHost: x\r\n\r\n");
    let put = |url: &str, body: &str| post(url, body).replace("POST", "PUT");
    for ask in [post, own, put] {
        for reset in [false, true] {
            let origin = ends_under_the_second("", reset);
            let mut client = gate.client();
            client.send(get(&origin.url("/1")));
            assert_eq!(client.response("GET").text(), "first");
            client.send(ask(&origin.url("/2"), "body"));
            let response = client.response("POST");
            assert_eq!(response.status(), 502);
            assert!(response.field("proxy-status").unwrap().contains("connection_terminated"));
            assert_eq!(origin.connections(), 1, "sent again");
        }
    }
}

/// The second try repeats what the first one has begun to answer; or never ends.
#[test]
fn nothing_is_tried_again_after_an_answer_began_or_on_a_new_connection() {
    let gate = Gate::start();
    for partial in ["H", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 103 Early Hints\r\n\r\n"] {
        let origin = ends_under_the_second(partial, false);
        let mut client = gate.client();
        client.send(get(&origin.url("/1")));
        assert_eq!(client.response("GET").text(), "first");
        client.send(get(&origin.url("/2")));
        if partial.contains("103") {
            assert_eq!(client.head().unwrap().status(), 103);
        }
        assert_eq!(client.response("GET").status(), 502, "{partial:?}");
        assert_eq!(origin.connections(), 1, "{partial:?}");
    }
    let silent = Origin::start(|_, wire| drop(wire.head()));
    assert_eq!(gate.ask(get(&silent.url("/"))).status(), 502);
    assert_eq!(silent.connections(), 1);
}

/// A user waits for ever for an origin that thinks for ever, or that only says that it thinks.
#[test]
fn an_origin_that_does_not_answer_is_given_up() {
    let gate = Gate::with(|limits| limits.response_timeout = Some(Duration::from_millis(300)));
    let silent = Origin::start(|_, wire| drop(wire.rest()));
    let half = Origin::start(|_, wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\nX-A: ");
        wire.rest();
    });
    let dripping = Origin::start(|_, wire| {
        wire.head();
        while wire.try_send(b"HTTP/1.1 102 Processing\r\n\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    for origin in [silent, half, dripping] {
        let mut client = gate.client();
        client.send(get(&origin.url("/")));
        let mut response = client.head().unwrap();
        while response.status() == 102 {
            response = client.head().unwrap();
        }
        let response = client.body(response, false).unwrap();
        assert_eq!(response.status(), 504, "{response:?}");
        assert!(response.field("proxy-status").unwrap().contains("http_response_timeout"));
        let _ = origin.ended(0);
    }
    assert!(gate.told(3).iter().all(|told| told.fault == Some(Fault::ResponseTimeout)));
}

/// A response that stops in the middle holds both connections for ever.
#[test]
fn a_response_that_stalls_is_cut() {
    let gate = Gate::with(|limits| limits.body_timeout = Some(Duration::from_millis(300)));
    let origin = Origin::start(|_, wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        wire.rest();
    });
    let mut client = gate.client();
    client.send(get(&origin.url("/")));
    assert!(client.until(b"hello").is_some());
    assert_eq!(client.end(), End::Reset);
    let _ = origin.ended(0);
    assert_eq!(gate.told(1)[0].token(), Some("connection_read_timeout"));
}

/// A firewall that drops packets makes users wait for minutes.
#[test]
fn connecting_has_a_deadline() {
    let gate = Gate::with(|limits| limits.connect_timeout = Some(Duration::from_millis(300)));
    let hole = Blackhole::new();
    let address = hole.address;
    for request in [get(&format!("http://{address}/")), format!("CONNECT {address} HTTP/1.1\r\nHost: x\r\n\r\n").into()]
    {
        let response = gate.ask(request);
        assert_eq!(response.status(), 504);
        assert_eq!(response.field("proxy-status"), Some("sluicegate; error=connection_timeout"));
        assert!(response.text().contains(&address.to_string()), "{:?}", response.text());
    }
    // A client that leaves meanwhile is noticed too.
    let patient = Gate::start();
    let client = patient.client();
    client.send(get(&format!("http://{address}/")));
    support::eventually("the client is there", || patient.proxy.connection_count() == 1);
    client.reset();
    assert!(matches!(patient.told(1)[0].ended, Ended::ClientGone(_)));
}

/// Services reach what their rules forbid: the metadata service, the inner network.
#[test]
fn the_policy_is_asked_for_each_dialled_address() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (allowed, forbidden) = (Origin::mirror(), Origin::mirror());
    let (asks, bad) = (Arc::clone(&asked), forbidden.address.port());
    let gate = Setup::new().address(move |client: &Client, address| {
        asks.lock().unwrap().push((client.address, address));
        if address.port() == bad { Err("port not allowed here; ask the network team".to_owned()) } else { Ok(()) }
    });
    let gate = gate.start();
    let mut client = gate.client();
    let me = client.stream.local_addr().unwrap();
    client.send(get(&allowed.url("/")));
    assert_eq!(client.response("GET").status(), 200);
    for url in [forbidden.url("/"), format!("http://localhost:{bad}/")] {
        client.send(get(&url));
        let response = client.response("GET");
        assert_eq!(response.status(), 403);
        assert_eq!(response.field("proxy-status"), Some("sluicegate; error=destination_ip_prohibited"));
        assert!(response.text().contains("port not allowed here; ask the network team"), "{:?}", response.text());
    }
    let asked = asked.lock().unwrap();
    assert!(asked.contains(&(me, allowed.address)) && asked.contains(&(me, forbidden.address)), "{asked:?}");
    assert!(asked.iter().all(|(who, _)| *who == me));
    assert_eq!(forbidden.connections(), 0);
    assert!(gate.told(3)[1..].iter().all(|told| told.ended == Ended::Refused && told.status == 403));
}

/// A client who may not reach an address gets there on a connection that another has opened.
#[test]
fn a_kept_connection_opens_no_door() {
    let trusted: IpAddr = [127, 0, 0, 1].into();
    let rule = move |client: &Client, _| match client.address.ip() == trusted {
        true => Ok(()),
        false => Err("not for you".to_owned()),
    };
    let (gate, origin) = (Setup::new().address(rule).start(), Origin::mirror());
    let mut stranger = gate.special_client([127, 0, 0, 2].into(), None);
    stranger.send(get(&origin.url("/")));
    assert_eq!(stranger.response("GET").status(), 403);
    assert_eq!(gate.ask(get(&origin.url("/"))).status(), 200);
    // Once that has been told, the connection is kept.
    assert_eq!(gate.told(2).len(), 2);
    stranger.send(get(&origin.url("/")));
    assert_eq!(stranger.response("GET").status(), 403, "through the trusted client's connection");
}

/// Clients from outside use a proxy that was meant for a few.
#[test]
fn clients_that_are_not_accepted_are_told_so() {
    let gate = Setup::new().accept(false).start();
    let origin = Origin::mirror();
    let mut client = gate.client();
    let _ = client.try_send(&get(&origin.url("/")));
    let response = client.response("GET");
    assert_eq!(response.status(), 403);
    assert!(response.text().ends_with(".\n"), "cut short: {:?}", response.text());
    client.end();
    assert_eq!(origin.connections(), 0);
}

/// An origin that answers the first request of its first connection with `fields`, and ends that `after` it.
fn keeping_for(fields: &'static str, after: Duration) -> Origin {
    Origin::start(move |index, wire| {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
        while wire.request().is_some() {
            wire.send(&answer);
            if index == 0 {
                std::thread::sleep(after);
                return;
            }
        }
    })
}

/// An origin that closes in time meets a POST that cannot be sent again.
#[test]
fn a_connection_is_kept_no_longer_than_its_origin_says() {
    for (fields, pause, connections) in [
        ("Keep-Alive: timeout=1\r\n", 0, 2),
        ("Keep-Alive: timeout=0\r\n", 0, 2),
        ("Keep-Alive: timeout=5, max=0\r\n", 0, 2),
        ("keep-alive: max=9, TIMEOUT=2\r\n", 1300, 2),
        ("Keep-Alive: timeout=2\r\n", 0, 1),
        ("Keep-Alive: timeout=x, max=y\r\n", 0, 1),
    ] {
        for others in [false, true] {
            let gate = Gate::start();
            let origin =
                Origin::answering(move |_| format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n").into());
            let mut client = gate.client();
            client.send(get(&origin.url("/")));
            assert_eq!(client.response("GET").status(), 200);
            if others {
                // Then it is on the shelf.
                drop(client);
                client = gate.client();
                support::eventually("it is alone", || gate.proxy.connection_count() == 1);
            }
            std::thread::sleep(Duration::from_millis(pause));
            client.send(post(&origin.url("/"), "order"));
            assert_eq!(client.response("POST").status(), 200, "{fields}");
            assert_eq!(origin.connections(), connections, "{fields}");
        }
    }
    // And while the client's own working state still holds it, or is being made.
    let origin = keeping_for("Keep-Alive: timeout=1\r\n", Duration::ZERO);
    let gate = Gate::start();
    let mut client = gate.client();
    client.send([get(&origin.url("/")), post(&origin.url("/"), "order").into()].concat());
    assert_eq!(client.response("GET").status(), 200);
    assert_eq!(client.response("POST").status(), 200);
}

/// So many requests and no more.
#[test]
fn an_origin_says_how_many_requests_it_takes() {
    let origin = Origin::start(|_, wire| {
        let mut said = false;
        while wire.request().is_some() {
            wire.send(if said { "HTTP/1.1 200 OK\r\n" } else { "HTTP/1.1 200 OK\r\nKeep-Alive: max=2\r\n" });
            wire.send("Content-Length: 0\r\n\r\n");
            said = true;
        }
    });
    let gate = Gate::start();
    let mut client = gate.client();
    for _ in 0..6 {
        client.send(get(&origin.url("/")));
        assert_eq!(client.response("GET").status(), 200);
    }
    assert_eq!(origin.connections(), 2);
}

/// An origin whose second request on its first connection crosses this; what else comes is answered well.
fn timing_out(late: &'static str) -> Origin {
    Origin::start(move |index, wire| {
        wire.request();
        wire.send(ok(if index == 0 { "first" } else { "again" }));
        if index == 0 {
            wire.exactly(1);
            wire.send(late);
            return;
        }
        while wire.request().is_some() {
            wire.send(ok("again"));
        }
    })
}

/// Users are told that they were too slow, on a connection that they never saw.
#[test]
fn a_408_that_crossed_the_request_is_no_answer_to_it() {
    let gate = Gate::start();
    for late in [
        "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nlate",
        "HTTP/1.0 408 Request Time-out\r\n\r\nlate",
    ] {
        for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"] {
            let origin = timing_out(late);
            let mut client = gate.client();
            client.send(get(&origin.url("/1")));
            assert_eq!(client.response("GET").text(), "first");
            client.send(format!("{method} {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/2")));
            assert_eq!(client.response(method).status(), 200, "{method} {late:?}");
            assert_eq!(origin.connections(), 2);
        }
    }
}

/// What may not be sent twice is not; and the client is told what the origin said.
#[test]
fn a_408_is_relayed_where_nothing_may_be_repeated() {
    let late = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let gate = Gate::start();
    let put = |url: &str, body: &str| post(url, body).replace("POST", "PUT");
    let own = |url: &str, _: &str| format!("BUY {url} HTTP/1.1\r\nHost: x\r\n\r\n");
    for ask in [post, put, own] {
        let origin = timing_out(late);
        let mut client = gate.client();
        client.send(get(&origin.url("/1")));
        assert_eq!(client.response("GET").text(), "first");
        client.send(ask(&origin.url("/2"), "body"));
        assert_eq!(client.response("POST").status(), 408);
        assert_eq!(origin.connections(), 1, "sent again");
    }
    // The first of a connection, also after the old one's end; and one after an interim response.
    let always = Origin::answering(|_| b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n".to_vec());
    let mut client = gate.client();
    for n in 1..3 {
        client.send(get(&always.url("/")));
        assert_eq!(client.response("GET").status(), 408);
        assert_eq!(always.connections(), n);
    }
    let thinking =
        timing_out("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    client.send(get(&thinking.url("/1")));
    assert_eq!(client.response("GET").text(), "first");
    client.send(get(&thinking.url("/2")));
    assert_eq!(client.head().unwrap().status(), 102);
    assert_eq!(client.response("GET").status(), 408);
}

/// A client that pipelines has its second request answered by what an origin said too late, because the runtime has not
/// looked meanwhile.
#[test]
fn what_came_behind_a_response_answers_no_pipelined_request() {
    // It holds the runtime up, as a busy one is: no policy should.
    let busy = |request: &mut Request<'_>, _: &Client| {
        if request.head().target().ends_with(b"/2") {
            std::thread::sleep(Duration::from_millis(400));
        }
        Verdict::Forward(Route::target())
    };
    let serving = Serving::with(busy);
    let origin = Origin::start(|index, wire| {
        while wire.request().is_some() {
            wire.send(ok(if index == 0 { "first" } else { "second" }));
            if index == 0 {
                std::thread::sleep(Duration::from_millis(100));
                wire.send(ok("nobody's"));
            }
        }
    });
    let mut client = serving.client();
    client.send([get(&origin.url("/1")), get(&origin.url("/2"))].concat());
    assert_eq!(client.response("GET").text(), "first");
    assert_eq!(client.response("GET").text(), "second");
}
