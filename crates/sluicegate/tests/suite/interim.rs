//! What comes before a final answer, or instead of one: 1xx, Expect, early answers, Upgrade.

use crate::support;

use std::thread;
use std::time::Duration;

use crate::support::{End, Gate, Origin, Wire, get, noise, ok, same};
use sluicegate::{Ended, Fault};

/// Large uploads are sent for nothing, or wait for a 100 that the origin never sends.
#[test]
fn expect_travels_end_to_end() {
    let gate = Gate::start();
    let origin = Origin::start(|_, wire| {
        while let Some(head) = wire.head() {
            assert_eq!(head.field("expect"), Some("100-continue"));
            match head.line().split(' ').nth(1).unwrap() {
                "/yes" => {
                    wire.send("HTTP/1.1 100 Continue\r\nX-I: 1\r\n\r\n");
                    let seen = wire.exactly(5);
                    wire.send(ok(std::str::from_utf8(&seen).unwrap()));
                }
                "/silent" => {
                    let seen = wire.exactly(5);
                    wire.send(ok(std::str::from_utf8(&seen).unwrap()));
                }
                _ => wire.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno"),
            }
        }
    });
    let ask = |path| {
        let fields = "Host: x\r\nContent-Length: 5\r\nExpect: 100-continue";
        format!("POST {} HTTP/1.1\r\n{fields}\r\n\r\n", origin.url(path))
    };
    let mut client = gate.client();
    client.send(ask("/yes"));
    let interim = client.head().unwrap();
    assert!(interim.head.starts_with("HTTP/1.1 100 Continue\r\nX-I: 1\r\n"), "{:?}", interim.head);
    client.send("hello");
    assert_eq!(client.response("POST").text(), "hello");
    client.send(ask("/silent"));
    client.send("later");
    assert_eq!(client.response("POST").text(), "later");
    client.send(ask("/no"));
    let refused = client.response("POST");
    assert_eq!((refused.status(), refused.field("connection")), (417, Some("close")));
    assert_eq!(client.end(), End::Fin);
}

/// An HTTP/1.0 client's upload hangs: it does not know what a 100 is, and waits for none.
#[test]
fn expect_of_an_http_1_0_client_is_not_passed_on() {
    let gate = Gate::start();
    let origin = Origin::mirror();
    let mut client = gate.client();
    client.send(format!("POST {} HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi", origin.url("/")));
    assert_eq!(support::origin::mirrored(&client.response("POST")).field("expect"), None);
}

/// Early hints are lost, or break clients that have never heard of them.
#[test]
fn interim_responses_go_to_those_who_know_them() {
    let gate = Gate::start();
    let origin = Origin::answering(|_| {
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x-p\r\nX-P: 1\r\n\r\n";
        [b"HTTP/1.1 102 Processing\r\n\r\n", hints.as_bytes(), &ok("final")].concat()
    });
    let mut client = gate.client();
    for _ in 0..2 {
        client.send(get(&origin.url("/")));
        assert_eq!(client.head().unwrap().neutral(), "HTTP/1.1 102 Processing\r\nVia: 1.1 SLUICE\r\n\r\n");
        let hints = client.head().unwrap().neutral();
        assert_eq!(hints, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nVia: 1.1 SLUICE\r\n\r\n");
        assert_eq!(client.response("GET").text(), "final");
    }
    let mut client = gate.client();
    client.send(format!("GET {} HTTP/1.0\r\n\r\n", origin.url("/")));
    assert_eq!(client.response("GET").text(), "final");
    assert_eq!(client.end(), End::Fin);
}

/// A good answer is lost because a chatty origin said 33 times that it was at work; or a flood of 1xx never ends.
#[test]
fn interim_responses_are_bounded_by_their_bytes() {
    let gate = Gate::start();
    let with = |n: usize| {
        Origin::start(move |_, wire| {
            wire.request();
            let _ = wire.try_send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(n).as_bytes());
            let _ = wire.try_send(&ok("final"));
            wire.rest();
        })
    };
    let last = |origin: &Origin, version: &str| {
        let mut client = gate.client();
        client.send(format!("GET {} HTTP/{version}\r\nHost: x\r\n\r\n", origin.url("/")));
        let (mut head, mut interim) = (client.head().unwrap(), 0);
        while head.status() == 103 {
            (head, interim) = (client.head().unwrap(), interim + 1);
        }
        (head, interim)
    };
    for version in ["1.1", "1.0"] {
        let (head, interim) = last(&with(500), version);
        assert_eq!((head.status(), interim), (200, if version == "1.1" { 500 } else { 0 }));
        let (head, _) = last(&with(50_000), version);
        assert_eq!(head.status(), 502, "{version}");
        assert!(head.field("proxy-status").unwrap().contains("http_protocol_error"));
    }
    assert!(gate.told(4).iter().filter(|told| told.fault == Some(Fault::TooManyInterim)).count() == 2);
}

/// A client that is uploading never learns why it was refused: its answer is lost to a reset.
#[test]
fn an_early_answer_reaches_a_client_that_still_sends() {
    let gate = Gate::start();
    let origin = Origin::start(|_, wire| {
        wire.head();
        wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much");
        wire.rest();
    });
    for (framing, size) in [("Content-Length: 900000", 900_000), ("Transfer-Encoding: chunked", 0)] {
        let mut client = gate.client();
        client.send(format!("POST {} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n", origin.url("/")));
        let body = match size {
            0 => support::chunked(&noise(800_000, 1), &[10_000], ""),
            n => noise(n, 1),
        };
        // The answer is there, but all of the body is sent before it is read.
        assert_eq!(client.stream.peek(&mut [0]).unwrap(), 1);
        client.send(&body);
        let response = client.response("POST");
        assert_eq!((response.status(), response.text()), (413, "too much"));
        assert_eq!(response.field("connection"), Some("close"));
        assert_eq!(client.end(), End::Fin);
    }
}

/// A client that never stops sending holds its connection for ever after its answer.
#[test]
fn a_client_that_goes_on_sending_is_cut_off() {
    let gate = Gate::with(|limits| limits.linger_bytes = 100_000);
    let origin = Origin::start(|_, wire| {
        wire.head();
        wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
        wire.rest();
    });
    let client = gate.client();
    client.send(format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n", origin.url("/")));
    let piece = noise(100_000, 2);
    let sent = (0..10_000).take_while(|_| client.try_send(&piece).is_ok()).count();
    assert!(sent < 1000, "{sent} pieces were taken");
}

/// An origin makes the proxy a tunnel that nobody asked for, and what follows escapes every rule.
#[test]
fn an_unsolicited_101_is_refused() {
    let gate = Gate::start();
    let asks = ["", "Upgrade: websocket\r\n", "Connection: upgrade\r\nUpgrade: h2c\r\n", "Connection: upgrade\r\n"];
    for (answer, asks) in
        [("websocket", &asks[..]), ("h2c", &["Connection: upgrade\r\nUpgrade: websocket\r\n"]), ("", &asks)]
    {
        for ask in asks {
            let origin = Origin::start(move |_, wire| {
                wire.head();
                let named = if answer.is_empty() { String::new() } else { format!("Upgrade: {answer}\r\n") };
                wire.send(format!("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n{named}\r\n"));
                wire.rest();
            });
            let response = gate.ask(format!("GET {} HTTP/1.1\r\nHost: x\r\n{ask}\r\n", origin.url("/")));
            assert_eq!(response.status(), 502, "{answer:?} {ask:?}");
            assert!(response.field("proxy-status").unwrap().contains("http_upgrade_failed"));
            let _ = origin.ended(0);
        }
    }
}

const HANDSHAKE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n";

/// WebSockets do not open, or lose their first frames.
#[test]
fn a_websocket_becomes_a_tunnel_with_its_early_bytes() {
    let gate = Gate::start();
    let origin = Origin::start(|_, wire| {
        let head = wire.head().unwrap();
        assert_eq!((head.field("upgrade"), head.field("connection")), (Some("websocket"), Some("upgrade")));
        assert_eq!(head.field("sec-websocket-key"), Some("k"));
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-A: 1\r\n\r\n";
        wire.send([answer.as_bytes(), &noise(50_000, 5)].concat());
        let seen = wire.exactly(70_000);
        wire.send(&seen);
        assert_eq!(wire.rest(), (b"last".to_vec(), End::Fin));
        wire.send("bye");
    });
    let mut client = gate.client();
    let early = noise(70_000, 6);
    let head = format!("GET {} HTTP/1.1\r\nHost: x\r\n{HANDSHAKE}\r\n", origin.url("/ws"));
    let (writer, bytes) = (Wire::new(client.stream.try_clone().unwrap()), [head.as_bytes(), &early].concat());
    let sending = thread::spawn(move || writer.send(&bytes));
    let response = client.head().unwrap();
    let want = "HTTP/1.1 101 Switching Protocols\r\nX-A: 1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(response.neutral(), format!("{want}Via: 1.1 SLUICE\r\n\r\n"));
    same("the origin's early bytes", &client.exactly(50_000), &noise(50_000, 5));
    same("the client's early bytes", &client.exactly(70_000), &early);
    sending.join().unwrap();
    client.send("last");
    client.fin();
    assert_eq!(client.rest(), (b"bye".to_vec(), End::Fin));
    let told = &gate.told(1)[0];
    assert_eq!((told.status, told.tunnel, told.ended), (101, true, Ended::Complete));
    assert_eq!(told.bytes_in, (told.head.len() + 70_000 + 4) as u64);
    assert_eq!(told.bytes_out, (response.head.len() + 50_000 + 70_000 + 3) as u64);
}

/// A refused WebSocket ends a connection that could go on; or its bytes are taken for frames.
#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let gate = Gate::start();
    let origin = Origin::answering(|_| ok("no websocket here"));
    let mut client = gate.client();
    for _ in 0..2 {
        client.send(format!("GET {} HTTP/1.1\r\nHost: x\r\n{HANDSHAKE}\r\n", origin.url("/ws")));
        assert_eq!(client.response("GET").text(), "no websocket here");
    }
    assert_eq!(origin.connections(), 1);
}

/// A smuggled HTTP/2 tunnel to an inner server goes around every rule of the proxy.
#[test]
fn other_upgrades_are_not_offered() {
    let gate = Gate::start();
    let origin = Origin::mirror();
    let asks = [
        ("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n", None),
        ("Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n", Some("websocket")),
        ("Upgrade: websocket\r\n", None),
        ("Connection: Upgrade\r\nUpgrade: websocket/13\r\n", None),
        ("Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n", None),
        ("Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n", None),
    ];
    for (fields, offered) in asks {
        let body = if fields.contains("Length") { "hi" } else { "" };
        let response = gate.ask(format!("GET {} HTTP/1.1\r\nHost: x\r\n{fields}\r\n{body}", origin.url("/")));
        let seen = support::origin::mirrored(&response);
        assert_eq!((seen.field("upgrade"), seen.field("http2-settings")), (offered, None), "{fields:?}");
    }
    let response =
        gate.ask(format!("GET {} HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", origin.url("/")));
    assert_eq!(support::origin::mirrored(&response).field("upgrade"), None);
}

/// Docker's attach and exec, and Kubernetes', do not work through the proxy; or h2c is smuggled beside them.
#[test]
fn what_is_allowed_beside_websocket_becomes_a_tunnel() {
    let gate = Gate::with(|limits| limits.upgrades = ["tcp", "SPDY/3.1"].map(str::to_owned).to_vec());
    let origin = Origin::start(|_, wire| {
        let request = wire.request().unwrap();
        assert_eq!((request.field("upgrade"), request.field("http2-settings")), (Some("tcp"), None));
        assert_eq!(request.text(), "{\"Tty\":true}");
        wire.send("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n$ ");
        assert_eq!(wire.exactly(2), b"ls");
        wire.send("bin");
        wire.rest();
    });
    for body in [
        "Content-Length: 12\r\n\r\n{\"Tty\":true}",
        "Transfer-Encoding: chunked\r\n\r\nc\r\n{\"Tty\":true}\r\n0\r\n\r\n",
    ] {
        let mut client = gate.client();
        let fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c, TCP\r\nHTTP2-Settings: AAMAAABkAAQ\r\n";
        // What comes behind the body is the other protocol's.
        client.send(format!("POST {} HTTP/1.1\r\nHost: x\r\n{fields}{body}ls", origin.url("/exec/1/start")));
        let response = client.head().unwrap();
        assert_eq!((response.status(), response.field("upgrade")), (101, Some("tcp")));
        assert_eq!(client.exactly(5), b"$ bin");
        client.fin();
        assert_eq!(client.rest(), (b"".to_vec(), End::Fin));
    }
    assert!(gate.told(2).iter().all(|told| told.tunnel && told.ended == Ended::Complete));
}

/// An origin switches to what is allowed and was not offered, or before it has the request.
#[test]
fn what_is_allowed_is_not_therefore_asked_for() {
    let gate = Gate::with(|limits| limits.upgrades = ["tcp", "SPDY/3.1"].map(str::to_owned).to_vec());
    for (asked, chosen) in [
        ("", "tcp"),
        ("Upgrade: tcp\r\n", "tcp"),
        ("Connection: upgrade\r\nUpgrade: SPDY/3.1\r\n", "tcp"),
        ("Connection: upgrade\r\nUpgrade: h2c, tcp\r\n", "h2c"),
        ("Connection: upgrade\r\nUpgrade: tcp, websocket\r\n", "tcp, websocket"),
        ("Connection: upgrade\r\nUpgrade: tcp\r\nContent-Length: 9\r\n", "tcp"),
    ] {
        let origin = Origin::start(move |_, wire| {
            wire.head();
            wire.send(format!("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: {chosen}\r\n\r\n"));
            wire.rest();
        });
        let response = gate.ask(format!("POST {} HTTP/1.1\r\nHost: x\r\n{asked}\r\n", origin.url("/")));
        assert_eq!(response.status(), 502, "{asked:?} {chosen:?}");
        assert!(response.field("proxy-status").unwrap().contains("http_upgrade_failed"));
        let _ = origin.ended(0);
    }
}

/// A slow client finds half of an interim response glued to the proxy's own error.
#[test]
fn an_interim_response_is_never_cut_by_another_answer() {
    let gate = Gate::with(|limits| limits.response_timeout = Some(Duration::from_millis(300)));
    let origin = Origin::start(|_, wire| {
        let hints = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "h".repeat(15_000));
        while wire.request().is_some() {
            if wire.try_send(hints.repeat(32).as_bytes()).is_err() || wire.try_send(&ok("final")).is_err() {
                return;
            }
        }
    });
    let mut client = gate.special_client([127, 0, 0, 1].into(), Some(4096));
    client.send(get(&origin.url("/")).repeat(60));
    client.send(format!("GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", origin.url("/")));
    // The client reads nothing until the origin's answer is overdue; then everything.
    let _ = origin.ended(0);
    let (all, _) = client.rest();
    let mut rest = &all[..];
    while let Some(end) = rest.windows(4).position(|w| w == b"\r\n\r\n") {
        let head = String::from_utf8(rest[..end].to_vec()).unwrap();
        assert!(head.starts_with("HTTP/1.1 "), "{:?}", &head[..head.len().min(200)]);
        assert_eq!(
            head.matches("HTTP/1.1 ").count(),
            1,
            "two heads in one: {:?}",
            &head[head.len().saturating_sub(300)..]
        );
        let length =
            head.split("Content-Length: ").nth(1).map_or(0, |n| n.split("\r\n").next().unwrap().parse().unwrap());
        rest = &rest[(end + 4 + length).min(rest.len())..];
    }
}
