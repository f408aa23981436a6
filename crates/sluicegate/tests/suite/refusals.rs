//! Requests that are refused, and origins that cannot be reached: who is told what.

use std::net::TcpListener;

use crate::support::{End, Gate, Message, Origin, get, ok};
use sluicegate::{Ended, Fault};
use sluicegate_http1::Malformed;

/// Requests that break a rule before their body; `{}` is the origin's host and port.
const HEADS: &[(&str, Malformed)] = &[
    ("GET http://{}/ HTTP/1.1\nHost: x\r\n\r\n", Malformed::BareLf),
    ("GET http://{}/ HTTP/1.1\r\nHost: x\rX-A: 1\r\n\r\n", Malformed::BareCr),
    ("GET http://{}/ HTTP/1.1\r\nHost: x\r\nX-A: \0\r\n\r\n", Malformed::Nul),
    ("\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03", Malformed::TlsClientHello),
    ("GET http://{}/ HTTP/1.1 x\r\nHost: x\r\n\r\n", Malformed::RequestLineWords),
    ("GET  http://{}/ HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::RequestLineWords),
    ("G(T http://{}/ HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::BadMethod),
    ("GET http://{}/\x7f HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::BadTargetByte),
    ("GET http://{}/ HTPP/1.1\r\nHost: x\r\n\r\n", Malformed::VersionSyntax),
    ("GET http://{}/ HTTP/2.0\r\nHost: x\r\n\r\n", Malformed::UnsupportedVersion),
    ("GET http://{}/ HTTP/1.1\r\nHost: x\r\n folded: 1\r\n\r\n", Malformed::ObsFold),
    ("GET http://{}/ HTTP/1.1\r\nHost : x\r\n\r\n", Malformed::SpaceBeforeColon),
    ("GET http://{}/ HTTP/1.1\r\nHost: x\r\n: 1\r\n\r\n", Malformed::EmptyName),
    ("GET http://{}/ HTTP/1.1\r\nHost: x\r\nX(A: 1\r\n\r\n", Malformed::BadNameByte),
    ("GET http://{}/ HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", Malformed::MissingColon),
    ("GET http://{}/ HTTP/1.1\r\nHost: x\r\nX-A: \x01\r\n\r\n", Malformed::ControlInValue),
    ("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::TargetForm),
    ("CONNECT http://{}/ HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::AuthorityFormRequired),
    ("CONNECT 127.0.0.1 HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::AuthorityFormRequired),
    ("GET * HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::AsteriskForm),
    ("GET https://{}/ HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::HttpsTarget),
    ("GET ftp://{}/ HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::SchemeUnsupported),
    ("GET http://user:pass@{}/ HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::Userinfo),
    ("GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::EmptyHost),
    ("GET http://0x7f.1/ HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::BadHost),
    ("GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::BadIpv6),
    ("GET http://127.0.0.1:65536/ HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::BadPort),
    ("GET http://127.0.0.1:0/ HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::BadPort),
    ("GET http://{}/#here HTTP/1.1\r\nHost: x\r\n\r\n", Malformed::Fragment),
    ("OPTIONS http://{}/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: 1x\r\n\r\n", Malformed::BadMaxForwards),
    ("GET http://{}/ HTTP/1.1\r\n\r\n", Malformed::HostMissing),
    ("GET http://{}/ HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", Malformed::HostRepeated),
    ("GET http://{}/ HTTP/1.1\r\nHost: x y\r\n\r\n", Malformed::HostInvalid),
    (
        "POST http://{}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Malformed::TwoLengths,
    ),
    ("POST http://{}/ HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello", Malformed::BadContentLength),
    ("POST http://{}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 6\r\n\r\nhello", Malformed::UnequalContentLengths),
    (
        "POST http://{}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        Malformed::UnknownCoding,
    ),
    ("POST http://{}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", Malformed::ChunkedNotLast),
    (
        "POST http://{}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        Malformed::ChunkedRepeated,
    ),
    (
        "POST http://{}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
        Malformed::TransferEncodingSyntax,
    ),
    (
        "POST http://{}/ HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Malformed::TransferEncodingIn10,
    ),
    ("CONNECT {} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", Malformed::ConnectWithContent),
    ("CONNECT {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Malformed::ConnectWithContent),
];

/// Chunked bodies that break a rule, behind a good head.
const BODIES: &[(&str, Malformed)] = &[
    ("x\r\nabc\r\n", Malformed::ChunkSize),
    ("0x3\r\nabc\r\n", Malformed::ChunkSize),
    ("3\nabc\r\n", Malformed::BareLf),
    ("10000000000000000\r\nabc\r\n", Malformed::ChunkSizeTooLarge),
    ("8000000000000000\r\nabc\r\n", Malformed::ChunkSizeTooLarge),
    ("3;\0\r\nabc\r\n", Malformed::ChunkExtension),
    ("3\r\nabcd\r\n0\r\n\r\n", Malformed::ChunkEnd),
    ("0\r\nno trailer\r\n\r\n", Malformed::TrailerSyntax),
    ("0\r\nX-A : 1\r\n\r\n", Malformed::TrailerSyntax),
];

fn check(response: &Message, rule: Malformed) {
    assert_eq!(response.status(), rule.status(), "{rule:?}");
    assert_eq!(response.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(response.field("connection"), Some("close"));
    assert!(response.text().contains(&rule.to_string()), "{rule:?}: {:?}", response.text());
    assert!(response.text().contains(rule.name()) && response.text().contains(rule.rfc()), "{rule:?}");
    let said = response.field("proxy-status").unwrap();
    assert!(said.starts_with("sluicegate; error=http_request_error"), "{said}");
    assert!(said.contains(rule.name()), "{said}");
}

/// A message that two parsers read in two ways smuggles a second request past a filter; and its
/// sender is not told what to change.
#[test]
fn each_broken_rule_is_named_and_ends_the_connection() {
    let (gate, origin) = (Gate::start(), Origin::mirror());
    let host = origin.address.to_string();
    for (head, rule) in HEADS {
        let mut client = gate.client();
        // What follows a refused request must never be taken for one.
        client.send([head.replace("{}", &host).as_bytes(), &get(&origin.url("/smuggled"))].concat());
        check(&client.response("GET"), *rule);
        assert_eq!(client.end(), End::Fin, "{rule:?}");
    }
    assert_eq!(origin.connections(), 0, "nothing of them leaves");
    let told = gate.told(HEADS.len());
    assert_eq!(told.len(), HEADS.len());
    for (told, (_, rule)) in told.iter().zip(HEADS) {
        assert_eq!((told.status, told.ended), (rule.status(), Ended::Refused));
        assert_eq!(told.fault, Some(Fault::Request(*rule)));
    }
}

/// The same within bodies, when the origin has got part of it already.
#[test]
fn a_broken_chunk_is_refused_and_never_looks_complete_to_the_origin() {
    let gate = Gate::start();
    for (body, rule) in BODIES {
        let origin = Origin::mirror();
        let mut client = gate.client();
        let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", origin.url("/"));
        client.send(format!("{head}5\r\nhello\r\n{body}"));
        check(&client.response("POST"), *rule);
        assert_eq!(client.end(), End::Fin, "{rule:?}");
        if origin.connections() > 0 {
            let _ = origin.ended(0);
            let seen = String::from_utf8(origin.seen()[0].bytes.clone()).unwrap();
            assert!(!seen.contains("0\r\n\r\n"), "{rule:?}: {seen:?}");
        }
    }
}

/// A head larger than its limits takes memory, or is cut in a way that nobody understands.
#[test]
fn heads_beyond_their_limits_are_refused() {
    let gate = Gate::with(|limits| {
        limits.head.bytes = 1000;
        limits.head.fields = 10;
    });
    let origin = Origin::mirror();
    let url = origin.url("/");
    let field = "X-A: 1\r\n";
    let cases = [
        (format!("GET {url}{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1000)), Malformed::RequestLineTooLong),
        (format!("GET {url} HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(1000)), Malformed::HeadTooLarge),
        (format!("GET {url} HTTP/1.1\r\nHost: x\r\n{}\r\n", field.repeat(10)), Malformed::TooManyFields),
        (
            format!("GET {url} HTTP/1.1\r\nHost: x\r\nConnection: a,b,c,d,e,f,g,h,i,j,k\r\n\r\n"),
            Malformed::TooManyNominations,
        ),
    ];
    for (request, rule) in cases {
        let mut client = gate.client();
        client.send(&request);
        check(&client.response("GET"), rule);
        assert_eq!(client.end(), End::Fin);
    }
    assert_eq!(gate.ask(format!("GET {url} HTTP/1.1\r\nHost: x\r\n{}\r\n", field.repeat(9))).status(), 200);
}

/// A user cannot tell whether they, the proxy or the origin is at fault.
#[test]
fn an_origin_that_refuses_is_named() {
    let gate = Gate::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let mut client = gate.client();
    for _ in 0..2 {
        client.send(get(&format!("http://{closed}/")));
        let response = client.response("GET");
        assert_eq!(response.status(), 502);
        assert_eq!(response.field("proxy-status"), Some("sluicegate; error=connection_refused"));
        assert!(response.text().contains(&format!("{closed} refused the connection")), "{:?}", response.text());
        assert_eq!(response.field("connection"), None, "a request without a body can be followed by another");
    }
    client.send(format!("POST http://{closed}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"));
    assert_eq!(client.response("POST").field("connection"), Some("close"));
    assert_eq!(client.end(), End::Fin);
    let told = gate.told(3);
    let all = told.iter().all(|told| told.status == 502 && told.token() == Some("connection_refused"));
    assert!(all && told.iter().all(|told| told.ended == Ended::OriginFailed), "{told:?}");
}

/// A misspelt name looks like a broken proxy.
#[test]
fn a_name_that_does_not_exist_is_an_answer() {
    let gate = Gate::with(|limits| limits.connect_timeout = Some(std::time::Duration::from_secs(2)));
    let response = gate.ask(get("http://no-such-host.invalid/"));
    let said = response.field("proxy-status").unwrap();
    assert!(matches!(response.status(), 502 | 504), "{said}");
    assert!(said.contains("error=dns_"), "{said}");
    assert!(response.text().contains("no-such-host.invalid"), "{:?}", response.text());
}

/// An origin's nonsense reaches the client, who takes it for something else.
#[test]
fn a_malformed_response_is_a_502() {
    let gate = Gate::start();
    let cases = [
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n", "bare-lf"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "unequal-content-lengths"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "two-lengths"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "chunked-not-last"),
        ("HTTP/1.1 200 OK\r\n X: folded\r\n\r\n", "obs-fold"),
        ("HTTP/1.1 200 OK\r\nX Y: 1\r\n\r\n", "bad-name-byte"),
        ("HTTP/1.1 099 No\r\n\r\n", "status-code"),
        ("HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", "nul"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "status-line"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "transfer-encoding-in-1.0"),
    ];
    for (raw, name) in cases {
        let origin = Origin::start(move |_, wire| {
            wire.head();
            wire.send(raw);
            wire.rest();
        });
        let mut client = gate.client();
        client.send(get(&origin.url("/")));
        let response = client.response("GET");
        assert_eq!(response.status(), 502, "{name}");
        let said = response.field("proxy-status").unwrap();
        assert!(said.contains("error=http_protocol_error") && said.contains(name), "{name}: {said}");
        let good = Origin::answering(|_| ok("good"));
        client.send(get(&good.url("/")));
        assert_eq!(client.response("GET").text(), "good", "{name}");
        let _ = origin.ended(0);
    }
}
