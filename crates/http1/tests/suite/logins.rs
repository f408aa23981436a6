//! Whose a login is, and how long a connection is kept.

use sluicegate_http1::keep_alive::KeepAlive;
use sluicegate_http1::login::{binds, request_binds, response_binds};
use sluicegate_http1::{HeadLimits, Received, RequestHead, ResponseHead};

fn response(fields: &str) -> ResponseHead {
    let mut head = ResponseHead::new();
    let text = format!("HTTP/1.1 401 Unauthorized\r\n{fields}\r\n");
    let received = head.receive(text.as_bytes(), &HeadLimits::default());
    assert!(matches!(received, Ok(Received::Complete(_))), "{text:?}");
    head
}

fn request(fields: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let text = format!("GET http://a/ HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let received = head.receive(text.as_bytes(), &HeadLimits::default());
    assert!(matches!(received, Ok(Received::Complete(_))), "{text:?}");
    head
}

#[test]
fn what_belongs_to_the_connection() {
    let bound = [
        "NTLM",
        "ntlm TlRMTVNTUAAB",
        "Negotiate oYG2MIGzoAMKAQE=",
        "nEGOTIATE",
        "Kerberos abc",
        "X-Unknown abc",
        "Negotiate, NTLM",
        "Basic realm=\"x\", NTLM",
        "Basic realm=\"x\",Negotiate",
        "Basic realm=\"x\" ,\tntlm dHlwZTI=",
        "Digest realm=\"a\", nonce=\"b\", qop=\"auth\", ntlm dHlwZTI=",
        "Basic YWxhZGRpbg==, NTLM TlRM",
        ", ,NTLM",
        "NTLM\tTlRM",
        // What cannot be read.
        "Basic realm=\"x, NTLM",
        "Basic realm=\"x\\\", NTLM",
        "realm=\"x\"",
        "\"Basic\"",
        "sk_live/abc==",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "Basic realm=\"x\", a/b",
    ];
    for value in bound {
        assert!(binds(value.as_bytes()), "{value}");
    }
}

#[test]
fn what_belongs_to_the_request() {
    let free = [
        "",
        "Basic YWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        "bAsIc abc",
        "Bearer mF_9.B5f-4.1JqM",
        "Bearer",
        "Basic realm=\"NTLM, Negotiate x\"",
        "Basic realm=\"a \\\" b, NTLM\", charset=\"UTF-8\"",
        "Digest username=\"Negotiate\", realm=\"b\", uri=\"/a,NTLM\", qop=auth, nc=00000001, response=\"c\"",
        "Digest realm = \"a\" , nonce\t=\t\"b\", Basic realm=\"c\"",
        "Basic realm=\"x\", Bearer realm=\"y\", error=\"invalid_token\",",
        "AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;range, Signature=fe5f",
        "DPoP abc",
        "OAuth realm=\"p\", oauth_consumer_key=\"k\"",
        "SCRAM-SHA-256 sid=AAAABBBB, data=biws",
    ];
    for value in free {
        assert!(!binds(value.as_bytes()), "{value}");
    }
}

#[test]
fn every_field_line_counts_and_no_other_field() {
    assert!(response_binds(&response(
        "WWW-Authenticate: Basic realm=\"a\"\r\nX: y\r\nwww-authenticate: Negotiate\r\n"
    )));
    assert!(response_binds(&response("Proxy-Authenticate: NTLM\r\n")));
    assert!(!response_binds(&response("X-WWW-Authenticate: NTLM\r\nAuthentication-Info: NTLM\r\nServer: NTLM\r\n")));
    assert!(request_binds(&request("Authorization: Basic YQ==\r\nauthorization: NTLM YQ==\r\n")));
    assert!(!request_binds(&request("Authorization: Basic YQ==\r\nX-Authorization: NTLM YQ==\r\n")));
    // Ours, and not sent on.
    assert!(!request_binds(&request("Proxy-Authorization: NTLM YQ==\r\n")));
}

#[test]
fn how_long_a_connection_is_kept() {
    let said = |fields: &str| {
        let KeepAlive { timeout, max } = KeepAlive::of(&response(fields));
        (timeout, max)
    };
    assert_eq!(said("Server: x\r\n"), (None, None));
    assert_eq!(said("Keep-Alive: timeout=5, max=100\r\n"), (Some(5), Some(100)));
    assert_eq!(said("keep-alive: MAX = 3 ,Timeout=\"7\"\r\n"), (Some(7), Some(3)));
    assert_eq!(said("Keep-Alive: timeout=9\r\nKeep-Alive: timeout=2,timeout=4\r\n"), (Some(2), None));
    assert_eq!(said("Keep-Alive: timeout=0.5, max=0\r\n"), (Some(0), Some(0)));
    assert_eq!(said("Keep-Alive: timeout=, max=x, timeout, =5, other=1, max=-1\r\n"), (None, None));
    assert_eq!(said("Keep-Alive: timeout=99999999999999999999999\r\n"), (Some(u64::MAX), None));
    assert_eq!(said("Keep-Alive: 300\r\n"), (None, None));
}
