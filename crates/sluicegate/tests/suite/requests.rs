//! Plain requests: their forms, their order, and how long a connection lives.

use std::net::TcpListener;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use crate::support::origin::mirrored;
use crate::support::{End, Gate, Origin, Setup, Wire, get, ok, settled};

/// Users lose a method that their program needs, or the origin gets another one than they sent.
#[test]
fn any_method_reaches_the_origin_in_origin_form() {
    let (gate, origin) = (Gate::start(), Origin::mirror());
    let mut client = gate.client();
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE", "get", "X!#$%&'*+-.^_`|~9"] {
        client.send(format!("{method} {} HTTP/1.1\r\nHost: other.example\r\n\r\n", origin.url("/a/b;c?d=%20e")));
        let response = client.response(method);
        let head = format!("{method} /a/b;c?d=%20e HTTP/1.1\r\nHost: {}\r\nVia: 1.1 SLUICE\r\n\r\n", origin.address);
        assert_eq!(mirrored(&response).neutral(), head);
    }
    assert_eq!(origin.connections(), 1, "one connection carries them all");
}

/// Users of `HEAD` get a body that they did not ask for, or wait for one that never comes.
#[test]
fn head_has_a_length_and_no_body() {
    let gate = Gate::start();
    let origin = Origin::answering(|request| match request.line().starts_with("HEAD") {
        true => b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n".to_vec(),
        false => ok("after"),
    });
    let mut client = gate.client();
    client.send(format!("HEAD {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/")));
    client.send(get(&origin.url("/")));
    assert_eq!(client.response("HEAD").field("content-length"), Some("1234"));
    assert_eq!(client.response("GET").text(), "after");
}

/// A URL without a path, or with only a query, does not reach the page that it names.
#[test]
fn odd_targets_become_what_the_origin_expects() {
    let (gate, origin) = (Gate::start(), Origin::mirror());
    let mut client = gate.client();
    let cases = [
        ("GET", "", "/"),
        ("GET", "?q=1", "/?q=1"),
        ("GET", "//double", "//double"),
        ("GET", "/a/../b/%2e", "/a/../b/%2e"),
        ("OPTIONS", "", "*"),
        ("OPTIONS", "/", "/"),
        ("OPTIONS", "?", "/?"),
    ];
    for (method, given, seen) in cases {
        client.send(format!("{method} {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url(given)));
        let line = mirrored(&client.response(method)).line().to_owned();
        assert_eq!(line, format!("{method} {seen} HTTP/1.1"), "{method} {given:?}");
    }
    client.send(format!("GET HTTP://{}/up HTTP/1.1\r\nHost: x\r\n\r\n", origin.address));
    assert_eq!(mirrored(&client.response("GET")).line(), "GET /up HTTP/1.1");
}

/// Origins that have only an IPv6 address, or a name, cannot be reached.
#[test]
fn ipv6_literals_and_names_are_reached() {
    let gate = Gate::start();
    if let Ok(listener) = TcpListener::bind("[::1]:0") {
        let port = listener.local_addr().unwrap().port();
        let peer = std::thread::spawn(move || {
            let mut wire = Wire::new(listener.accept().unwrap().0);
            let head = wire.request().unwrap();
            wire.send(ok("six"));
            head
        });
        assert_eq!(gate.ask(get(&format!("http://[::1]:{port}/"))).text(), "six");
        assert_eq!(peer.join().unwrap().field("host"), Some(format!("[::1]:{port}").as_str()));
    }
    let origin = Origin::mirror();
    let host = format!("LocalHost:{}", origin.address.port());
    let response = gate.ask(get(&format!("http://{host}/named")));
    assert_eq!(mirrored(&response).field("host"), Some(host.as_str()));
}

/// Old clients (HTTP/1.0) hang, waiting for the end of a connection that stays open.
#[test]
fn http_1_0_is_answered_and_closed() {
    let (gate, origin) = (Gate::start(), Origin::mirror());
    for fields in ["", "Host: x\r\n", "Connection: keep-alive\r\n"] {
        let mut client = gate.client();
        client.send(format!("GET {} HTTP/1.0\r\n{fields}\r\n", origin.url("/old")));
        let response = client.response("GET");
        let seen = mirrored(&response);
        assert_eq!(seen.line(), "GET /old HTTP/1.1");
        assert_eq!(seen.field("host"), Some(origin.address.to_string().as_str()));
        assert_eq!(seen.field("via").unwrap()[..4], *"1.0 ");
        assert_eq!(response.field("connection"), Some("close"));
        assert_eq!(client.end(), End::Fin);
    }
}

/// Connections are kept when the client asked for their end, or closed under its next request.
#[test]
fn a_connection_lives_as_long_as_its_client_says() {
    let (gate, origin) = (Gate::start(), Origin::mirror());
    let mut client = gate.client();
    for n in 0..50 {
        client.send(get(&origin.url(&format!("/{n}"))));
        let response = client.response("GET");
        assert_eq!(response.field("connection"), None);
        assert_eq!(mirrored(&response).line(), format!("GET /{n} HTTP/1.1"));
    }
    client.send(format!("GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", origin.url("/last")));
    let response = client.response("GET");
    assert_eq!(response.field("connection"), Some("close"));
    assert_eq!(mirrored(&response).field("connection"), None, "it is between the client and us");
    assert_eq!(client.end(), End::Fin);
    assert_eq!(origin.connections(), 1);
}

/// Pipelining clients (apt) get the answer to another request than they think.
#[test]
fn pipelined_requests_are_answered_in_order_over_two_origins() {
    for gate in [Gate::start(), Setup::new().threads(2).start()] {
        let origins = [Origin::mirror(), Origin::mirror()];
        let mut all = Vec::new();
        for n in 0..100 {
            let url = origins[n % 2].url(&format!("/{n}"));
            match n % 3 {
                0 => all.extend(get(&url)),
                1 => all.extend(format!("PUT {url} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").bytes()),
                _ => all.extend(
                    format!("POST {url} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
                        .bytes(),
                ),
            }
        }
        let mut client = gate.client();
        client.send(&all);
        for n in 0..100 {
            let seen = mirrored(&client.response("GET"));
            let (method, body) = [("GET", ""), ("PUT", "abc"), ("POST", "2\r\nhi\r\n0\r\n\r\n")][n % 3];
            assert_eq!(seen.line(), format!("{method} /{n} HTTP/1.1"));
            assert_eq!(seen.field("host"), Some(origins[n % 2].address.to_string().as_str()));
            if n % 3 != 2 {
                assert_eq!(seen.text(), body);
            } else {
                assert_eq!(seen.text(), "hi");
            }
        }
        assert_eq!(origins.map(|origin| origin.connections()), [1, 1]);
    }
}

/// A second request runs before the first one's effect is there, and its work is lost when the
/// first response ends the connection.
#[test]
fn the_next_request_is_not_dispatched_before_this_response_is_written() {
    let gate = Gate::start();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let first = Origin::start(move |_, wire| {
        while wire.request().is_some() {
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
            released.lock().unwrap().recv().unwrap();
            wire.send(b"-half");
        }
    });
    let order = Arc::new(Mutex::new(Vec::new()));
    let second = Origin::answering({
        let order = Arc::clone(&order);
        move |request| {
            order.lock().unwrap().push(request.line().to_owned());
            ok("second")
        }
    });
    let mut client = gate.client();
    client
        .send([get(&first.url("/1")), get(&second.url("/2")), get(&first.url("/3")), get(&second.url("/4"))].concat());
    assert!(client.until(b"first").is_some());
    assert_eq!(settled("the second origin", || second.connections() as u64), 0, "dispatched early");
    release.send(()).unwrap();
    assert_eq!(client.exactly(5), b"-half");
    assert_eq!(client.response("GET").text(), "second");
    assert!(client.until(b"first").is_some());
    let seen = settled("the second origin", || order.lock().unwrap().len() as u64);
    assert_eq!(seen, 1, "the fourth was dispatched before the third response");
    release.send(()).unwrap();
    assert_eq!(client.exactly(5), b"-half");
    assert_eq!(client.response("GET").text(), "second");
}

/// Clients that send an empty line after a body (RFC 9112 §2.2) lose their connection.
#[test]
fn empty_lines_before_a_request_are_skipped() {
    let (gate, origin) = (Gate::start(), Origin::mirror());
    let mut client = gate.client();
    client.send(b"\r\n\r\n");
    for n in 0..3 {
        client.send([&get(&origin.url(&format!("/{n}")))[..], b"\r\n\r\n"].concat());
        assert_eq!(mirrored(&client.response("GET")).line(), format!("GET /{n} HTTP/1.1"));
    }
}

/// Requests that arrive in the pieces of a bad network are misread.
#[test]
fn a_request_in_single_bytes_is_the_same_request() {
    let (gate, origin) = (Gate::start(), Origin::mirror());
    let mut client = gate.client();
    let url = origin.url("/slow");
    let request =
        format!("POST {url} HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    client.send_in_pieces(request.as_bytes(), 1);
    client.send_in_pieces(&get(&origin.url("/next")), 1);
    let seen = mirrored(&client.response("POST"));
    assert_eq!(seen.text(), "abc");
    let want = format!(
        "POST /slow HTTP/1.1\r\nHost: {}\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\nVia: 1.1 SLUICE\r\n\r\n",
        origin.address
    );
    assert_eq!(seen.neutral(), want);
    assert_eq!(mirrored(&client.response("GET")).line(), "GET /next HTTP/1.1");
}

/// A person who opens the proxy's address in a browser is told nothing that helps.
#[test]
fn a_request_to_the_proxy_itself_says_what_to_do() {
    let gate = Gate::start();
    for line in ["GET / HTTP/1.1", "GET /page?x=1 HTTP/1.1", "OPTIONS * HTTP/1.1"] {
        let mut client = gate.client();
        client.send(format!("{line}\r\nHost: {}\r\n\r\n", gate.address));
        let response = client.response("GET");
        assert_eq!(response.status(), 400);
        assert!(response.text().contains("This is an HTTP proxy"), "{line}: {:?}", response.text());
        assert!(response.text().contains("curl -x"), "{line}");
        assert!(response.field("proxy-status").unwrap().contains("http_request_error"), "{line}");
        assert_eq!(client.end(), End::Fin);
    }
    let mut client = gate.client();
    client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response("HEAD").status(), 400);
    assert_eq!(client.end(), End::Fin, "no body follows an answer to HEAD");
}

/// More clients than allowed are dropped, instead of waiting for their turn.
#[test]
fn clients_beyond_the_limit_wait_for_a_place() {
    let gate = Gate::with(|limits| limits.max_connections = 2);
    let origin = Origin::mirror();
    let clients: Vec<_> = (0..6).map(|_| gate.client()).collect();
    for (n, client) in clients.iter().enumerate() {
        client.send(get(&origin.url(&format!("/{n}"))));
    }
    for (n, mut client) in clients.into_iter().enumerate() {
        assert_eq!(mirrored(&client.response("GET")).line(), format!("GET /{n} HTTP/1.1"));
        assert!(gate.proxy.connection_count() <= 2);
    }
}
