//! A login by NTLM or Negotiate belongs to the connection: whoever has that next is taken for the user. What can be lost
//! here is somebody's account.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::support::serving::Serving;
use crate::support::{End, Gate, Origin, Wire, ok};
use sluicegate::{Client, Request, Route, Verdict};

/// Long enough for a client's connection to give its working state up, with what was in it.
const QUIET: Duration = Duration::from_millis(350);

fn quiet() {
    std::thread::sleep(QUIET);
}

fn request(url: &str, fields: &str) -> String {
    format!("GET {url} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

fn unauthorized(fields: &str) -> Vec<u8> {
    format!("HTTP/1.1 401 Unauthorized\r\n{fields}Content-Length: 0\r\n\r\n").into_bytes()
}

/// Logs each of its connections in by two legs, and then serves whoever comes on it as that user.
fn realm(scheme: &'static str) -> Origin {
    Origin::start(move |index, wire| {
        let (mut leg, mut user) = (0, false);
        while let Some(request) = wire.request() {
            let first = request.head.contains(&format!("Authorization: {scheme} one"));
            let second = request.head.contains(&format!("Authorization: {scheme} two")) && leg == 1;
            user |= second;
            leg = i32::from(first);
            wire.send(match (first, user) {
                (true, _) => unauthorized(&format!("WWW-Authenticate: {scheme} two?\r\n")),
                (_, true) => ok(&format!("user of {index}")),
                _ => unauthorized(&format!("WWW-Authenticate: {scheme}\r\n")),
            });
        }
    })
}

/// What it is answered: the body, or the status if that is no 200.
fn ask(client: &mut Wire, url: &str, fields: &str) -> String {
    client.send(request(url, fields));
    let response = client.response("GET");
    if response.status() == 200 { response.text().to_owned() } else { response.status().to_string() }
}

/// Both legs, each after a pause, while a stranger asks between them.
fn log_in(gate: &Gate, origin: &Origin, scheme: &str) -> (Wire, String) {
    let (mut client, url) = (gate.client(), origin.url("/"));
    assert_eq!(ask(&mut client, &url, &format!("Authorization: {scheme} one\r\n")), "401");
    quiet();
    assert_eq!(ask(&mut gate.client(), &url, ""), "401", "a stranger between the legs");
    let name = ask(&mut client, &url, &format!("Authorization: {scheme} two\r\n"));
    assert!(name.starts_with("user of "), "{scheme}: the login broke: {name}");
    (client, name)
}

#[test]
fn whoever_logged_in_has_the_connection_alone() {
    for (scheme, most) in [("NTLM", 512), ("Negotiate", 0), ("nTlM", 0), ("X-Home-Grown", 512)] {
        let gate = Gate::with(|limits| {
            limits.max_idle_origins = most;
            // Shorter than the pauses: it is kept as long as its client is here.
            limits.origin_idle_timeout = Duration::from_millis(100);
        });
        let origin = realm(scheme);
        let (mut alice, name) = log_in(&gate, &origin, scheme);
        quiet();
        for _ in 0..3 {
            assert_eq!(ask(&mut gate.client(), &origin.url("/"), ""), "401", "{scheme}: a stranger is alice");
        }
        assert_eq!(ask(&mut alice, &origin.url("/"), ""), name, "{scheme}: alice has to log in again");
    }
}

#[test]
fn two_users_have_one_each() {
    let (gate, origin) = (Gate::start(), realm("Negotiate"));
    let (mut alice, a) = log_in(&gate, &origin, "Negotiate");
    let (mut bob, b) = log_in(&gate, &origin, "Negotiate");
    assert_ne!(a, b);
    for _ in 0..3 {
        quiet();
        assert_eq!(ask(&mut bob, &origin.url("/"), ""), b);
        assert_eq!(ask(&mut alice, &origin.url("/"), ""), a);
    }
}

/// A number of a client is another's once that one is gone: so is not what was kept for it.
#[test]
fn it_is_closed_with_its_client() {
    type Leaves = fn(Wire, &str);
    let leaves: [Leaves; 4] = [
        |client, _| drop(client),
        |client, _| client.reset(),
        // While it is kept aside, and the client's last answer says so.
        |mut client, url| {
            client.send(request(url, "Connection: close\r\n").replace(url, "http://127.0.0.1:1/"));
            assert_eq!(client.response("GET").status(), 502);
            assert_eq!(client.end(), End::Fin);
        },
        |mut client, url| {
            client.send(request(url, "Connection: close\r\n"));
            assert_eq!(client.response("GET").status(), 200);
        },
    ];
    for leave in leaves {
        for pause in [Duration::ZERO, QUIET] {
            let (gate, origin) = (Gate::start(), realm("NTLM"));
            let (alice, name) = log_in(&gate, &origin, "NTLM");
            let index = name.strip_prefix("user of ").unwrap().parse().unwrap();
            std::thread::sleep(pause);
            leave(alice, &origin.url("/"));
            assert_eq!(origin.ended(index), End::Fin);
            assert_eq!(ask(&mut gate.client(), &origin.url("/"), ""), "401");
        }
    }
}

/// A challenge alone, to a request without credentials: the next one may be the first leg of a login.
#[test]
fn what_was_offered_binds_too() {
    for (offer, shared) in [
        ("WWW-Authenticate: Basic realm=\"a\", NTLM\r\n", false),
        ("WWW-Authenticate: Basic realm=\"a\"\r\nX: y\r\nwww-authenticate: negotiate\r\n", false),
        ("WWW-Authenticate: Basic realm=\"NTLM, Negotiate\"\r\n", true),
        ("WWW-Authenticate: Digest realm=\"a\", nonce=\"b\"\r\n", true),
    ] {
        let gate = Gate::start();
        let origin = Origin::answering(move |_| unauthorized(offer));
        let (mut alice, mut bob) = (gate.client(), gate.client());
        ask(&mut alice, &origin.url("/"), "");
        quiet();
        ask(&mut bob, &origin.url("/"), "");
        assert_eq!(origin.connections() == 1, shared, "{offer}");
        quiet();
        ask(&mut alice, &origin.url("/"), "");
        assert_eq!(origin.connections(), if shared { 1 } else { 2 }, "{offer}: its client lost it");
    }
}

/// A ticket that is through at once is followed by no challenge.
#[test]
fn credentials_alone_bind() {
    for credentials in ["Negotiate YII", "ntlm TlRM", "Basic YQ==, NTLM TlRM", "sk_live/1"] {
        let (gate, origin) = (Gate::start(), Origin::mirror());
        let mut alice = gate.client();
        ask(&mut alice, &origin.url("/"), &format!("Authorization: {credentials}\r\n"));
        quiet();
        ask(&mut gate.client(), &origin.url("/"), "");
        assert_eq!(origin.connections(), 2, "{credentials}");
        ask(&mut alice, &origin.url("/"), "");
        assert_eq!(origin.connections(), 2, "{credentials}: its client lost it");
    }
}

#[test]
fn what_authenticates_each_request_is_shared() {
    for credentials in ["Basic YWxhZGRpbg==", "bearer abc", "Digest username=\"NTLM\", uri=\"/,NTLM\", nc=00000001"] {
        let (gate, origin) = (Gate::start(), Origin::mirror());
        for _ in 0..3 {
            assert!(ask(&mut gate.client(), &origin.url("/"), &format!("Authorization: {credentials}\r\n")).len() > 3);
            quiet();
        }
        assert_eq!(origin.connections(), 1, "{credentials}");
    }
}

/// Each place that a client has logged in at is found again; their number is bounded.
#[test]
fn a_client_has_a_few_of_them() {
    for (most, kept) in [(512, 4), (0, 1)] {
        let gate = Gate::with(|limits| limits.max_idle_origins = most);
        let origins: Vec<Origin> = (0..5).map(|_| realm("NTLM")).collect();
        let mut alice = gate.client();
        for origin in &origins {
            ask(&mut alice, &origin.url("/"), "Authorization: NTLM one\r\n");
            assert_eq!(ask(&mut alice, &origin.url("/"), "Authorization: NTLM two\r\n"), "user of 0");
        }
        quiet();
        let (gone, still) = origins.split_at(5 - kept);
        for origin in still {
            assert_eq!(ask(&mut alice, &origin.url("/"), ""), "user of 0");
        }
        for origin in gone {
            assert_eq!(origin.ended(0), End::Fin);
        }
    }
}

/// A policy logs in for its clients.
#[test]
fn credentials_that_a_policy_adds_count() {
    let users = Arc::new(AtomicUsize::new(0));
    let policy = move |request: &mut Request<'_>, _: &Client| {
        if users.fetch_add(1, SeqCst) == 0 {
            request.set("Authorization", "NTLM one").unwrap();
        }
        Verdict::Forward(Route::target())
    };
    let origin = Origin::mirror();
    let serving = Serving::with(policy);
    assert!(ask(&mut serving.client(), &origin.url("/"), "").contains("NTLM one"));
    quiet();
    ask(&mut serving.client(), &origin.url("/"), "");
    assert_eq!(origin.connections(), 2);
}
