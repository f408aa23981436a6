//! Request targets and Host (RFC 9112 §3.2).

use std::net::{Ipv4Addr, Ipv6Addr};

use sluicegate_http1::target::{host_field, parse};
use sluicegate_http1::{Authority, Host, Malformed, Target};

use crate::common::request;

fn absolute(url: &str) -> (Authority<'_>, &str) {
    match parse(b"GET", url.as_bytes()) {
        Ok(Target::Absolute { authority, path_and_query }) => (authority, std::str::from_utf8(path_and_query).unwrap()),
        other => panic!("{url}: {other:?}"),
    }
}

#[test]
fn absolute_forms_that_are_accepted() {
    let v6 = |text: &str| Host::V6(text.parse::<Ipv6Addr>().unwrap());
    for (url, text, host, port, rest) in [
        ("http://h/x", "h", Host::Name("h"), None, "/x"),
        ("http://h", "h", Host::Name("h"), None, ""),
        ("http://h/", "h", Host::Name("h"), None, "/"),
        ("http://h?a=b", "h", Host::Name("h"), None, "?a=b"),
        ("http://h:/", "h:", Host::Name("h"), None, "/"),
        ("http://h:80/", "h:80", Host::Name("h"), Some(80), "/"),
        ("http://h:00080/", "h:00080", Host::Name("h"), Some(80), "/"),
        ("http://h:000000000000080/", "h:000000000000080", Host::Name("h"), Some(80), "/"),
        ("http://[::1]:0008000/", "[::1]:0008000", v6("::1"), Some(8000), "/"),
        ("http://h:65535?", "h:65535", Host::Name("h"), Some(65535), "?"),
        ("HTTP://h/", "h", Host::Name("h"), None, "/"),
        ("hTTp://LOCALHOST:1/", "LOCALHOST:1", Host::Name("LOCALHOST"), Some(1), "/"),
        ("http://localhost.:1/", "localhost.:1", Host::Name("localhost."), Some(1), "/"),
        ("http://my_host-1.example/", "my_host-1.example", Host::Name("my_host-1.example"), None, "/"),
        ("http://xn--nxasmq6b/", "xn--nxasmq6b", Host::Name("xn--nxasmq6b"), None, "/"),
        ("http://1.2.3.4.example/", "1.2.3.4.example", Host::Name("1.2.3.4.example"), None, "/"),
        ("http://0xg/", "0xg", Host::Name("0xg"), None, "/"),
        ("http://1a/", "1a", Host::Name("1a"), None, "/"),
        ("http://127.0.0.1:8/", "127.0.0.1:8", Host::V4(Ipv4Addr::LOCALHOST), Some(8), "/"),
        ("http://255.255.255.255", "255.255.255.255", Host::V4(Ipv4Addr::BROADCAST), None, ""),
        ("http://[::1]/", "[::1]", v6("::1"), None, "/"),
        ("http://[::1]:/", "[::1]:", v6("::1"), None, "/"),
        ("http://[FE80::1]:8080/", "[FE80::1]:8080", v6("fe80::1"), Some(8080), "/"),
        ("http://[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]", v6("::ffff:1.2.3.4"), None, ""),
        ("http://h/u@x:1/y", "h", Host::Name("h"), None, "/u@x:1/y"),
        ("http://h?u@evil.example/", "h", Host::Name("h"), None, "?u@evil.example/"),
        ("http://h/a/../b/./c", "h", Host::Name("h"), None, "/a/../b/./c"),
        ("http://h/%41%2f%2F%7e%zz", "h", Host::Name("h"), None, "/%41%2f%2F%7e%zz"),
        ("http://h//x", "h", Host::Name("h"), None, "//x"),
        ("http://h/\\[]", "h", Host::Name("h"), None, "/\\[]"),
        ("http://h/http://x/", "h", Host::Name("h"), None, "/http://x/"),
    ] {
        let (authority, path) = absolute(url);
        assert_eq!((authority.text, authority.host), (text, host), "{url}");
        assert_eq!((authority.port, path), (port, rest), "{url}");
    }
}

const REFUSED: &[(&str, Malformed)] = &{
    use Malformed::*;
    [
        ("https://h/", HttpsTarget),
        ("HTTPS://h:443/", HttpsTarget),
        ("ftp://h/", SchemeUnsupported),
        ("ws://h/", SchemeUnsupported),
        ("coap+tcp://h/", SchemeUnsupported),
        ("file:///etc/passwd", SchemeUnsupported),
        ("1http://h/", TargetForm),
        ("ht_tp://h/", TargetForm),
        ("://h/", TargetForm),
        ("http:/h/x", TargetForm),
        ("http:h/x", TargetForm),
        ("http:", TargetForm),
        ("http", TargetForm),
        ("x/y", TargetForm),
        ("h:80", TargetForm),
        ("*/x", TargetForm),
        ("**", TargetForm),
        ("\\\\h\\x", TargetForm),
        ("?q", TargetForm),
        ("", TargetForm),
        ("*", AsteriskForm),
        ("http://h/x#frag", Fragment),
        ("http://h#@evil/", Fragment),
        ("/x#frag", Fragment),
        ("http://", EmptyHost),
        ("http:///x", EmptyHost),
        ("http://?x", EmptyHost),
        ("http://:80/", EmptyHost),
        ("http://user:pw@h/", Userinfo),
        ("http://@h/", Userinfo),
        ("http://h@/", Userinfo),
        ("http://a@b@h/", Userinfo),
        ("http://evil.invalid@127.0.0.1/", Userinfo),
        ("http://127.0.0.1:80\\@evil.invalid/", Userinfo),
        ("http://[::1]@h/", Userinfo),
        ("http://h:abc/", BadPort),
        ("http://h:-80/", BadPort),
        ("http://h:+80/", BadPort),
        ("http://h:0/", BadPort),
        ("http://h:065536/", BadPort),
        ("http://[::1]:00099999/", BadPort),
        ("http://h:00000/", BadPort),
        ("http://h:65536/", BadPort),
        ("http://h:99999/", BadPort),
        ("http://h:80:80/", BadPort),
        ("http://h:8_0/", BadPort),
        ("http://h:80\\/", BadPort),
        ("http://h:0x50/", BadPort),
        ("http://fe80::1/", BadPort),
        ("http://[::1]:0/", BadPort),
        ("http://[zz::1]:1/", BadIpv6),
        ("http://[::1]x:1/", BadIpv6),
        ("http://[::1]x/", BadIpv6),
        ("http://[::1]]/", BadIpv6),
        ("http://[[::1]]/", BadIpv6),
        ("http://[::1/", BadIpv6),
        ("http://[]/", BadIpv6),
        ("http://[fe80::1%25eth0]/", BadIpv6),
        ("http://[fe80::1%eth0]/", BadIpv6),
        ("http://[v1.x]/", BadIpv6),
        ("http://[127.0.0.1]/", BadIpv6),
        ("http://[::1.2.3.04]/", BadIpv6),
        ("http://::1]/", EmptyHost),
        ("http://h]/", BadHost),
        ("http://x[::1]/", BadHost),
        ("http://a b/", BadHost),
        ("http://127.0.0.1%0d%0aX-Smug/", BadHost),
        ("http://%31/", BadHost),
        ("http://a%2eb/", BadHost),
        ("http://a,b/", BadHost),
        ("http://a;b/", BadHost),
        ("http://a\\b/", BadHost),
        ("http://a!b/", BadHost),
        ("http://a~b/", BadHost),
        ("http://a..b/", BadHost),
        ("http://.a/", BadHost),
        ("http://./", BadHost),
        ("http://a../", BadHost),
        ("http://127.1/", BadHost),
        ("http://127.0.0.1./", BadHost),
        ("http://2130706433/", BadHost),
        ("http://0x7f000001/", BadHost),
        ("http://0x7f.1/", BadHost),
        ("http://0X7F.0.0.0x1/", BadHost),
        ("http://0x/", BadHost),
        ("http://0X7F000001/", BadHost),
        ("http://017700000001/", BadHost),
        ("http://0177.0.0.1/", BadHost),
        ("http://127.0.0.01/", BadHost),
        ("http://127.0.0.256/", BadHost),
        ("http://1.2.3.4.5/", BadHost),
        ("http://a.1/", BadHost),
        ("http://0/", BadHost),
    ]
};

#[test]
fn absolute_forms_that_are_refused() {
    for &(url, why) in REFUSED {
        assert_eq!(parse(b"GET", url.as_bytes()), Err(why), "{url}");
    }
    let latin = parse(b"GET", b"http://caf\xe9/");
    assert_eq!(latin, Err(Malformed::BadHost));
}

#[test]
fn names_are_as_long_as_dns_allows() {
    let label = "a".repeat(63);
    absolute(&format!("http://{label}.invalid/"));
    let url = format!("http://{label}a.invalid/");
    assert_eq!(parse(b"GET", url.as_bytes()), Err(Malformed::BadHost));
    let longest = [label.as_str(), &label, &label, &label[..61]].join(".");
    assert_eq!(longest.len(), 253);
    absolute(&format!("http://{longest}/"));
    absolute(&format!("http://{longest}./"));
    for url in [format!("http://{longest}b/"), format!("http://{longest}b./")] {
        assert_eq!(parse(b"GET", url.as_bytes()), Err(Malformed::BadHost));
    }
}

#[test]
fn each_method_takes_its_own_forms() {
    use Malformed::*;
    assert_eq!(parse(b"OPTIONS", b"*"), Ok(Target::Asterisk));
    assert_eq!(parse(b"options", b"*"), Err(AsteriskForm));
    assert_eq!(parse(b"OPTIONS", b"*/x"), Err(TargetForm));
    assert_eq!(parse(b"GET", b"/x?y"), Ok(Target::Origin(b"/x?y")));
    assert_eq!(parse(b"GET", b"//h/x"), Ok(Target::Origin(b"//h/x")));
    for (target, why) in [
        ("/", AuthorityFormRequired),
        ("*", AuthorityFormRequired),
        ("http://h:80/", AuthorityFormRequired),
        ("h", AuthorityFormRequired),
        ("h:", AuthorityFormRequired),
        ("[::1]", AuthorityFormRequired),
        ("h:443/", AuthorityFormRequired),
        ("h:443?x", AuthorityFormRequired),
        ("h:443#x", AuthorityFormRequired),
        ("", EmptyHost),
        (":443", EmptyHost),
        ("h:0", BadPort),
        ("h:65536", BadPort),
        ("h:443:443", BadPort),
        ("u@h:443", Userinfo),
        ("127.1:443", BadHost),
        ("a,b:443", BadHost),
        ("[::1]443", BadIpv6),
        ("::1:443", EmptyHost),
    ] {
        assert_eq!(parse(b"CONNECT", target.as_bytes()), Err(why), "{target}");
    }
    for (target, port) in [("h:443", 443), ("[::1]:1", 1), ("1.2.3.4:65535", 65535)] {
        match parse(b"CONNECT", target.as_bytes()) {
            Ok(Target::Authority(authority)) => {
                assert_eq!((authority.text, authority.port), (target, Some(port)));
            }
            other => panic!("{target}: {other:?}"),
        }
    }
}

#[test]
fn origin_form_is_the_rest_verbatim() {
    for (method, target, origin) in [
        ("GET", "http://h", "/"),
        ("GET", "http://h/", "/"),
        ("GET", "http://h?q", "/?q"),
        ("GET", "http://h?", "/?"),
        ("GET", "http://h//a/../b?c%2f", "//a/../b?c%2f"),
        ("OPTIONS", "http://h", "*"),
        ("OPTIONS", "http://h:80", "*"),
        ("OPTIONS", "http://h/", "/"),
        ("OPTIONS", "http://h?q", "/?q"),
        ("OPTIONS", "*", "*"),
        ("GET", "/x", "/x"),
        ("CONNECT", "h:443", "h:443"),
    ] {
        let mut out = Vec::new();
        let parsed = parse(method.as_bytes(), target.as_bytes()).expect(target);
        parsed.write_origin_form(method.as_bytes(), &mut out);
        assert_eq!(out, origin.as_bytes(), "{method} {target}");
    }
}

#[test]
fn authorities_are_displayed_without_an_empty_port() {
    for (text, shown) in [
        ("h", "h"),
        ("h:", "h"),
        ("H.:080", "H.:80"),
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("[0:0::1]:", "[::1]"),
        ("[::1]:8", "[::1]:8"),
    ] {
        assert_eq!(Authority::parse(text.as_bytes()).expect(text).to_string(), shown);
    }
}

/// A port has one form, however it was written (RFC 3986 §3.2.3); and there is an end to its zeros.
#[test]
fn a_port_is_a_number() {
    for (text, parts) in [
        ("h", ("h", "")),
        ("h:", ("h", "")),
        ("h:80", ("h", "80")),
        ("h:00080", ("h", "80")),
        ("[::1]", ("[::1]", "")),
        ("[::1]:", ("[::1]", "")),
        ("[::1]:000800", ("[::1]", "800")),
        ("1.2.3.4:065535", ("1.2.3.4", "65535")),
    ] {
        assert_eq!(Authority::parse(text.as_bytes()).expect(text).parts(), parts);
    }
    let zeros = |n: usize| format!("h:{}", "0".repeat(n) + "80");
    assert!(Authority::parse(zeros(62).as_bytes()).is_ok());
    assert_eq!(Authority::parse(zeros(63).as_bytes()), Err(Malformed::BadPort));
    let mut out = Vec::new();
    parse(b"CONNECT", b"h:000443").unwrap().write_origin_form(b"CONNECT", &mut out);
    assert_eq!(out, b"h:443");
}

#[test]
fn host_is_required_once_and_valid() {
    use Malformed::*;
    for (version, fields, expected) in [
        ("1.1", "Host: h\r\n", Ok(Some("h"))),
        ("1.1", "HOST:h:80\r\n", Ok(Some("h:80"))),
        ("1.1", "Host: h:\r\n", Ok(Some("h:"))),
        ("1.1", "Host:\r\n", Ok(Some(""))),
        ("1.1", "Host: [::1]:8\r\n", Ok(Some("[::1]:8"))),
        ("1.0", "Host: h\r\n", Ok(Some("h"))),
        ("1.0", "", Ok(None)),
        ("1.1", "", Err(HostMissing)),
        ("1.1", "X-Host: h\r\n", Err(HostMissing)),
        ("1.1", "Host: h\r\nHost: h\r\n", Err(HostRepeated)),
        ("1.1", "Host: h\r\nX: y\r\nhost: i\r\n", Err(HostRepeated)),
        ("1.1", "Host:\r\nHost:\r\n", Err(HostRepeated)),
        ("1.0", "Host: h\r\nHost: h\r\n", Err(HostRepeated)),
        ("1.1", "Host: a, b\r\n", Err(HostInvalid)),
        ("1.1", "Host: a b\r\n", Err(HostInvalid)),
        ("1.1", "Host: u@h\r\n", Err(HostInvalid)),
        ("1.1", "Host: http://h\r\n", Err(HostInvalid)),
        ("1.1", "Host: h/x\r\n", Err(HostInvalid)),
        ("1.1", "Host: h?x\r\n", Err(HostInvalid)),
        ("1.1", "Host: h#x\r\n", Err(HostInvalid)),
        ("1.1", "Host: h:x\r\n", Err(HostInvalid)),
        ("1.1", "Host: h:65536\r\n", Err(HostInvalid)),
        ("1.1", "Host: :80\r\n", Err(HostInvalid)),
        ("1.1", "Host: [::1\r\n", Err(HostInvalid)),
        ("1.1", "Host: \u{a0}h\u{a0}\r\n", Err(HostInvalid)),
        ("1.0", "Host: a, b\r\n", Err(HostInvalid)),
    ] {
        let head = format!("GET http://h/ HTTP/{version}\r\n{fields}\r\n");
        let head = request(head.as_bytes()).expect(fields);
        let target = parse(head.method(), head.target()).expect("the target is good");
        for target in [target, Target::Asterisk] {
            let host = host_field(&head, &target);
            assert_eq!(host, expected.map(|host| host.map(str::as_bytes)), "{version} {fields:?}");
        }
    }
}
