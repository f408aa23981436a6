//! What others send that is not quite right, and what becomes of it: responses are put in order, requests are not.

use crate::support::{End, Gate, Origin, get, ok};
use sluicegate_http1::Malformed;

fn answering(response: &str) -> Origin {
    let response = response.to_owned();
    Origin::answering(move |_| response.clone().into_bytes())
}

/// A printer's page does not load: its lines end in LF, or a blank stands before a colon (RFC 9112 §2.2, §5.1). Or it does, and
/// whoever comes next reads another length in it.
#[test]
fn a_response_is_relayed_in_canonical_form() {
    let gate = Gate::start();
    let mut client = gate.client();
    for (response, head) in [
        ("200 OK\nContent-Length: 2\nX-A: b\n\nok", "200 OK\r\nContent-Length: 2\r\nX-A: b\r\n"),
        ("200 OK\r\nContent-Length : 2\r\nX-A\t: b\r\n\r\nok", "200 OK\r\nContent-Length: 2\r\nX-A: b\r\n"),
        (
            "200 O K\nSet-Cookie \t:a=b\r\nContent-Length\t:2\n\r\nok",
            "200 O K\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n",
        ),
        (
            "200 OK\r\nX-A : b\nTransfer-Encoding : chunked\n\r\n2\r\nok\r\n0\r\n\r\n",
            "200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n",
        ),
        ("200 OK\r\nConnection : x-p\r\nX-P : 1\r\nContent-Length: 2\r\n\r\nok", "200 OK\r\nContent-Length: 2\r\n"),
        ("999 Request denied\r\nContent-Length: 2\r\n\r\nok", "999 Request denied\r\nContent-Length: 2\r\n"),
        ("600 \r\nContent-Length: 2\r\n\r\nok", "600 \r\nContent-Length: 2\r\n"),
    ] {
        let origin = answering(&format!("HTTP/1.1 {response}"));
        for _ in 0..2 {
            client.send(get(&origin.url("/")));
            let answer = client.response("GET");
            assert_eq!(
                answer.neutral(),
                format!("HTTP/1.1 {head}Date: NOW\r\nVia: 1.1 SLUICE\r\n\r\n"),
                "{response:?}"
            );
            assert_eq!(answer.text(), "ok");
        }
        assert_eq!(origin.connections(), 1, "kept: {response:?}");
    }
}

/// What has two readings is still refused: two lengths, a line that continues another, a CR alone, a chunk that ends in LF.
#[test]
fn a_response_with_two_readings_is_refused() {
    let gate = Gate::start();
    let mut client = gate.client();
    for (response, rule) in [
        ("Content-Length: 2\nTransfer-Encoding : chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Malformed::TwoLengths),
        ("Content-Length : 2\r\nContent-Length: 3\n\r\nok", Malformed::UnequalContentLengths),
        ("X-A: b\n c\nContent-Length: 2\n\nok", Malformed::ObsFold),
        ("X-A : b\rContent-Length: 2\n\nok", Malformed::BareCr),
        ("X A: b\nContent-Length: 2\n\nok", Malformed::BadNameByte),
        ("Transfer-Encoding: chunked\n\n2\nok\n0\n\n", Malformed::BareLf),
    ] {
        let origin = answering(&format!("HTTP/1.1 200 OK\r\n{response}"));
        client.send(get(&origin.url("/")));
        let answer = client.response("GET");
        assert_eq!(answer.status(), 502, "{response:?}");
        assert!(answer.field("proxy-status").unwrap().contains(rule.name()), "{response:?}: {}", answer.text());
        assert!(!answer.text().contains("; "), "no remedy for who cannot use it: {}", answer.text());
    }
}

/// `:00080` is `:80` (RFC 3986 §3.2.3): the origin sees one form, and its connections are shared.
#[test]
fn a_port_with_zeros_is_its_number() {
    let gate = Gate::start();
    let origin = Origin::mirror();
    let port = origin.address.port();
    let mut client = gate.client();
    for authority in [format!("127.0.0.1:{port}"), format!("127.0.0.1:000{port}"), format!("127.0.0.1:{port:020}")] {
        client.send(format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        assert_eq!(client.response("GET").status(), 200, "{authority}");
    }
    assert_eq!(origin.connections(), 1);
    let seen = String::from_utf8(origin.seen()[0].bytes.clone()).unwrap();
    assert_eq!(seen.matches(&format!("\r\nHost: 127.0.0.1:{port}\r\n")).count(), 3, "{seen}");
    let mut client = gate.client();
    client.send(format!("CONNECT 127.0.0.1:00{port} HTTP/1.1\r\nHost: 127.0.0.1:0{port}\r\n\r\n"));
    assert_eq!(client.head().unwrap().status(), 200);
}

/// A client that sent HEAD takes the text of an error for the next response (RFC 9110 §9.3.2).
#[test]
fn an_answer_to_head_has_no_content_whatever_is_wrong() {
    let gate = Gate::start();
    for (request, status) in [
        ("HEAD http://h/ HTTP/2.3\r\nHost: h\r\n\r\n".to_owned(), 505),
        (format!("HEAD http://h/ HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(70_000)), 431),
        (format!("HEAD http://h/{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(70_000)), 414),
        ("HEAD http://h/ HTTP/1.1\nHost: h\r\n\r\n".to_owned(), 400),
        ("HEAD http://h/ HTTP/1.1\r\nHost : h\r\n\r\n".to_owned(), 400),
        ("HEAD http://h/ HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("HEAD ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("HEAD http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n".to_owned(), 400),
    ] {
        let mut client = gate.client();
        let _ = client.try_send(request.as_bytes());
        let response = client.response("HEAD");
        assert_eq!(response.status(), status, "{:?}", &request[..40]);
        let length: usize = response.field("content-length").unwrap().parse().unwrap();
        assert!(length > 20, "as it would be for a GET");
        assert_eq!(client.rest(), (Vec::new(), End::Fin), "{:?}", &request[..40]);
    }
    let mut client = gate.client();
    client.send("HEADX http://h/ HTTP/2.3\r\n\r\n");
    assert!(client.response("GET").text().starts_with("505"), "another method has content");
}

/// `curl -x socks5://` hangs, or is told about methods.
#[test]
fn socks_is_told_at_once() {
    let gate = Gate::start();
    for greeting in [&b"\x05\x01\x00"[..], b"\x05", b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00"] {
        let mut client = gate.client();
        client.send(greeting);
        let response = client.response("GET");
        assert_eq!(response.status(), 400);
        assert!(
            response.text().contains("not SOCKS") && response.text().contains("Rule: socks "),
            "{}",
            response.text()
        );
        assert_eq!(client.end(), End::Fin);
    }
}

/// Somebody types a URL with an umlaut into a program that does not encode it: the answer says how it is written.
#[test]
fn the_encoded_form_of_a_target_is_told() {
    let gate = Gate::start();
    for (target, told) in [
        ("http://h/caf\u{e9}?q=\u{20ac}", Some("http://h/caf%C3%A9?q=%E2%82%AC")),
        ("/caf\u{e9}", Some("/caf%C3%A9")),
        ("http://h/a%20\u{e9}", Some("http://h/a%20%C3%A9")),
        // A host is written in another way.
        ("http://b\u{fc}cher.example/\u{e9}", None),
    ] {
        let mut client = gate.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let response = client.response("GET");
        assert_eq!(response.status(), 400);
        let text = response.text();
        assert!(text.is_ascii() || !text.contains('\u{e9}'), "{text}");
        match told {
            Some(told) => assert!(text.contains(&format!("percent-encode it, as {told}.\n")), "{text}"),
            None => assert!(text.contains("percent-encode it.\n"), "{text}"),
        }
    }
}

/// A stream with an extension in each chunk ends after a while for no reason that anybody could see.
#[test]
fn chunk_extensions_do_not_use_themselves_up() {
    let gate = Gate::start();
    let chunk = format!("1;chunk-signature={}\r\nx\r\n", "a".repeat(64));
    let body = chunk.repeat(3_000) + "0\r\n\r\n";
    let origin = answering(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
    let mut client = gate.client();
    client.send(format!("POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}", origin.url("/")));
    assert_eq!(client.response("POST").body.len(), 3_000);
    client.send(get(&answering(std::str::from_utf8(&ok("next")).unwrap()).url("/")));
    assert_eq!(client.response("GET").text(), "next");
}

fn large_head(fields: usize) -> String {
    let fields: String = (0..fields).map(|n| format!("Set-Cookie: c{n}={}\r\n", "v".repeat(900))).collect();
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok")
}

/// A page whose cookies and policies browsers take is refused, and its reader is told to send fewer fields.
#[test]
fn a_large_response_head_is_relayed_up_to_its_limit() {
    let gate = Gate::start();
    let mut client = gate.client();
    for (before, fields) in [("", 17), ("", 22), ("", 69), ("\r\n", 30)] {
        for piece in [usize::MAX, 1460, 16_384] {
            let response = format!("{before}{}", large_head(fields));
            let origin = Origin::start(move |_, wire| {
                wire.request();
                wire.send_in_pieces(response.as_bytes(), piece.min(response.len()));
                wire.rest();
            });
            client.send(get(&origin.url("/")));
            let answer = client.response("GET");
            assert_eq!((answer.status(), answer.text()), (200, "ok"), "{fields} in {piece}");
            assert_eq!(answer.all("set-cookie").len(), fields);
        }
    }
    client.send(get(&answering(&large_head(75)).url("/")));
    let answer = client.response("GET");
    assert_eq!(answer.status(), 502);
    let text = answer.text();
    assert!(text.contains("head of the origin's response") && !text.contains("send fewer"), "{text}");
    assert!(text.contains("65536 bytes") && text.contains("response_head.bytes"), "{text}");
}

/// Large heads take memory that nobody has set aside; or it is not given back.
#[test]
fn a_large_response_head_takes_its_share_of_the_memory() {
    let origin = answering(&large_head(40));
    // The client before may still have one of three.
    for (shares, status) in [(1, 503), (3, 200)] {
        let gate = Gate::with(|limits| {
            limits.splice_memory = 0;
            limits.max_memory = Some(limits.bound().total() * shares);
        });
        for _ in 0..3 {
            let mut client = gate.client();
            for _ in 0..2 {
                client.send(get(&origin.url("/")));
                let answer = client.response("GET");
                assert_eq!(answer.status(), status, "{shares}: {}", answer.text());
                assert_eq!(answer.field("retry-after").is_some(), status == 503);
            }
        }
    }
}
