//! What of a message goes on, seen on the wire: fields, Host, Via, Date, Max-Forwards.

use crate::support::origin::mirrored;
use crate::support::{End, Gate, Origin, Setup, get, ok};

/// Signatures and odd servers break when fields are sorted, renamed, merged or dropped.
#[test]
fn fields_keep_their_order_case_and_number() {
    let (gate, origin) = (Gate::start(), Origin::mirror());
    let fields = "x-B: 1\r\nX-a:  two words \r\nCookie: a=1\r\ncookie: b=2\r\nX-B: 3\r\nX-Empty:\r\nAccept: */*\r\n\
        X-Latin: caf\u{e9}\r\nAuthorization: Basic eA==\r\nx-b: 4\r\n";
    let sent: Vec<u8> = fields.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let line = format!("GET {} HTTP/1.1\r\n", origin.url("/"));
    let response = gate.ask([line.as_bytes(), b"Host: x\r\n", &sent, b"\r\n"].concat());
    let kept = "x-B: 1\r\nX-a: two words\r\nCookie: a=1\r\ncookie: b=2\r\nX-B: 3\r\nX-Empty: \r\nAccept: */*\r\n\
        X-Latin: caf\u{e9}\r\nAuthorization: Basic eA==\r\nx-b: 4\r\n";
    let want = format!("GET / HTTP/1.1\r\nHost: {}\r\n{kept}Via: 1.1 SLUICE\r\n\r\n", origin.address);
    assert_eq!(mirrored(&response).neutral(), want);
}

/// The same for what comes back: two Set-Cookie fields must stay two.
#[test]
fn a_response_keeps_its_fields_too() {
    let gate = Gate::start();
    let fields = "X-z: 1\r\nset-cookie: a=1; Path=/\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nSet-Cookie: b=2\r\n\
        Via: 1.0 inner\r\nServer: odd\r\nVary: *\r\nX-z: 2\r\n";
    let head = format!("HTTP/1.1 299 Odd  reason\r\n{fields}Content-Length: 2\r\n\r\nok");
    let origin = Origin::answering(move |_| head.clone().into_bytes());
    let response = gate.ask(get(&origin.url("/")));
    let fields = fields.replace("Sun, 06 Nov 1994 08:49:37 GMT", "KEPT");
    let got = response.head.replace("Sun, 06 Nov 1994 08:49:37 GMT", "KEPT");
    let via = format!("Via: 1.1 {}\r\n", response.pseudonym());
    assert_eq!(got, format!("HTTP/1.1 299 Odd  reason\r\n{fields}Content-Length: 2\r\n{via}\r\n"));
}

/// An origin is asked for another host than the one that was connected to.
#[test]
fn host_is_that_of_the_url() {
    let (gate, origin) = (Gate::start(), Origin::mirror());
    let own = origin.address.to_string();
    let cases = [
        ("Host: evil.example\r\nX-A: 1\r\n", format!("Host: {own}\r\nX-A: 1\r\n")),
        ("X-A: 1\r\nHost:\r\n", format!("X-A: 1\r\nHost: {own}\r\n")),
        ("Connection: host\r\nHost: y\r\n", format!("Host: {own}\r\n")),
    ];
    for (given, seen) in cases {
        let request = format!("GET {} HTTP/1.1\r\n{given}\r\n", origin.url("/"));
        let want = format!("GET / HTTP/1.1\r\n{seen}Via: 1.1 SLUICE\r\n\r\n");
        assert_eq!(mirrored(&gate.ask(request)).neutral(), want);
    }
    let response = gate.ask(format!("GET {} HTTP/1.0\r\nX-A: 1\r\n\r\n", origin.url("/")));
    let want = format!("GET / HTTP/1.1\r\nHost: {own}\r\nX-A: 1\r\nVia: 1.0 SLUICE\r\n\r\n");
    assert_eq!(mirrored(&response).neutral(), want);
}

/// The password for the proxy, and what was meant for us alone, reaches every origin.
#[test]
fn hop_by_hop_fields_stay_on_their_hop() {
    let (gate, origin) = (Gate::start(), Origin::mirror());
    let fields = "Host: x\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nX-Keep: 1\r\n\
        Proxy-Authorization: Basic c2VjcmV0\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\
        X-Private: 1\r\nx-private: 2\r\nX-Other: 3\r\nContent-Length: 2\r\n\
        Connection: keep-alive, X-PRIVATE , upgrade,HTTP2-Settings,\r\nConnection: x-other, content-length, host\r\n";
    let response = gate.ask(format!("POST {} HTTP/1.1\r\n{fields}\r\nhi", origin.url("/")));
    let kept = "X-Keep: 1\r\nContent-Length: 2\r\n";
    let want = format!("POST / HTTP/1.1\r\nHost: {}\r\n{kept}Via: 1.1 SLUICE\r\n\r\n", origin.address);
    assert_eq!(mirrored(&response).neutral(), want);
    assert_eq!(mirrored(&response).text(), "hi", "the framing cannot be nominated away");
}

/// What an origin says to its next hop alone is taken by the client for its own.
#[test]
fn a_responses_hop_by_hop_fields_stay_on_their_hop() {
    let gate = Gate::start();
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\nX-Keep: 1\r\nX-Private: 1\r\nUpgrade: h2c\r\n\
            Proxy-Authenticate: Basic\r\nProxy-Authentication-Info: x\r\nProxy-Connection: keep-alive\r\n\
            Connection: keep-alive, x-private, Upgrade, content-length\r\nContent-Length: 2\r\n\r\nhi"
            .to_vec()
    });
    let response = gate.ask(get(&origin.url("/")));
    let want = "HTTP/1.1 200 OK\r\nX-Keep: 1\r\nContent-Length: 2\r\nDate: NOW\r\nVia: 1.1 SLUICE\r\n\r\n";
    assert_eq!(response.neutral(), want);
    assert_eq!(response.text(), "hi");
}

/// Only what we can do ourselves is promised to the origin: trailers, when the client knows them.
#[test]
fn te_trailers_is_offered_when_the_client_offers_it() {
    let (gate, origin) = (Gate::start(), Origin::mirror());
    let offers = [
        ("TE: trailers\r\nConnection: TE\r\n", true),
        ("TE: gzip, trailers;q=0.5\r\nConnection: TE\r\n", false),
        ("TE: gzip, Trailers\r\nConnection: close, te\r\n", true),
        ("TE: trailers\r\n", false),
        ("TE: gzip\r\nConnection: TE\r\n", false),
    ];
    for (fields, passed) in offers {
        let seen = mirrored(&gate.ask(format!("GET {} HTTP/1.1\r\nHost: x\r\n{fields}\r\n", origin.url("/"))));
        let want = passed.then_some("trailers");
        assert_eq!(seen.field("te"), want, "{fields:?}");
        assert_eq!(seen.field("connection"), passed.then_some("TE"), "{fields:?}");
    }
}

/// Origins that turn compression off at the sight of Via (nginx) cannot be used well.
#[test]
fn via_is_added_both_ways_or_not_at_all() {
    let origin = Origin::answering(|request| {
        let via = request.all("via").join("|");
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nVia: 1.1 behind\r\n\r\n{via}", via.len()).into_bytes()
    });
    let request = format!("GET {} HTTP/1.1\r\nHost: x\r\nVia: 1.0 before\r\n\r\n", origin.url("/"));
    let gate = Gate::start();
    let response = gate.ask(&request);
    assert_eq!(response.all("via").len(), 2);
    assert_eq!(response.all("via")[0], "1.1 behind");
    assert_eq!(response.text(), format!("1.0 before|1.1 {}", response.pseudonym()));
    let other = Gate::start();
    assert_ne!(other.ask(&request).pseudonym(), response.pseudonym(), "each proxy has a name of its own");
    let silent = Setup::new().via(false).start();
    let response = silent.ask(&request);
    assert_eq!((response.all("via"), response.text()), (vec!["1.1 behind"], "1.0 before"));
    assert!(response.field("date").is_some());
}

/// TRACE and OPTIONS, meant to find out who answers where, are answered by the wrong hop; or show
/// passwords to scripts (cross-site tracing).
#[test]
fn max_forwards_counts_down_and_ends_here() {
    let (gate, origin) = (Gate::start(), Origin::mirror());
    let mut client = gate.client();
    for (given, seen) in [("1", "0"), ("10", "9"), ("007", "6"), ("99999999999999999999999", "18446744073709551614")] {
        for method in ["TRACE", "OPTIONS"] {
            let request = format!("{method} {} HTTP/1.1\r\nHost: x\r\nmax-forwards: {given}\r\n\r\n", origin.url("/"));
            client.send(request);
            assert_eq!(mirrored(&client.response(method)).field("max-forwards"), Some(seen), "{method} {given}");
        }
    }
    client.send(format!("GET {} HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n", origin.url("/")));
    assert_eq!(mirrored(&client.response("GET")).field("max-forwards"), Some("0"), "it does not count for GET");
    let (line, secrets) = (
        format!("TRACE {} HTTP/1.1\r\n", origin.url("/trace")),
        "Authorization: Basic c2VjcmV0\r\nCookie: secret=1\r\nProxy-Authorization: Basic c2VjcmV0\r\n",
    );
    client.send(format!("{line}Host: x\r\nX-A: 1\r\n{secrets}Max-Forwards: 0\r\n\r\n"));
    let response = client.response("TRACE");
    assert_eq!((response.status(), response.field("content-type")), (200, Some("message/http")));
    assert_eq!(response.text(), format!("{line}Host: x\r\nX-A: 1\r\nMax-Forwards: 0\r\n\r\n"));
    client.send(format!("OPTIONS {} HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n", origin.url("/")));
    let response = client.response("OPTIONS");
    assert_eq!((response.status(), response.text()), (200, ""));
    assert!(response.field("allow").unwrap().contains("CONNECT"));
    client.send(format!("TRACE {} HTTP/1.1\r\nHost: x\r\nMax-Forwards: -1\r\n\r\n", origin.url("/")));
    assert_eq!(client.response("TRACE").status(), 400);
    assert_eq!(client.end(), End::Fin);
    assert_eq!(gate.told(12).last().unwrap().status, 400);
}

/// A client's cache cannot tell how old an answer is.
#[test]
fn date_is_added_where_the_origin_gave_none() {
    let gate = Gate::start();
    let origin = Origin::answering(|_| ok(""));
    let response = gate.ask(get(&origin.url("/")));
    assert_eq!(response.neutral(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: NOW\r\nVia: 1.1 SLUICE\r\n\r\n");
}

/// A request that goes round in circles multiplies until nothing works any more.
#[test]
fn requests_to_ourselves_are_refused() {
    let gate = Gate::start();
    for host in [gate.address.to_string(), format!("localhost:{}", gate.address.port())] {
        let mut client = gate.client();
        client.send(get(&format!("http://{host}/")));
        client.send(format!("CONNECT {host} HTTP/1.1\r\nHost: x\r\n\r\n"));
        for method in ["GET", "CONNECT"] {
            let response = client.response(method);
            assert_eq!(response.status(), 508, "{method} {host}");
            let said = response.field("proxy-status").unwrap();
            assert!(said.contains("error=proxy_loop_detected"), "{said}");
        }
        assert_eq!(client.end(), End::Fin);
    }
    assert!(gate.told(4).iter().all(|told| told.token() == Some("proxy_loop_detected") && told.origin.is_none()));
}

/// The same for a circle that leads through others: our own Via comes back.
#[test]
fn a_request_that_was_here_before_is_refused() {
    let gate = Gate::start();
    let origin = Origin::mirror();
    let via = gate.ask(get(&origin.url("/"))).pseudonym();
    let forms = [
        format!("Via: 1.1 {via}"),
        format!("via: 1.0 first, 1.1 {via} (comment), 1.1 last"),
        format!("Via: 1.1 x\r\nVia: HTTP/1.1\t{}", via.to_uppercase()),
        format!("Connection: via\r\nVia: 1.1 {via}"),
    ];
    for form in &forms {
        let response = gate.ask(format!("GET {} HTTP/1.1\r\nHost: x\r\n{form}\r\n\r\n", origin.url("/")));
        assert_eq!(response.status(), 508, "{form}");
        assert!(response.field("proxy-status").unwrap().contains("proxy_loop_detected"), "{form}");
    }
    let response = gate.ask(format!("GET {} HTTP/1.1\r\nHost: x\r\nVia: 1.1 {via}x\r\n\r\n", origin.url("/")));
    assert_eq!(response.status(), 200, "another name that begins alike is not ours");
}
