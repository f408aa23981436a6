//! One table of verdicts: the same whatever way a host is spelled and whatever way it is asked for.

use sluicegate_rules::{Ask, Host, Request, Surroundings, Verdict, Who};

use crate::common::{may_dial, passes, rules};

const RULES: &str = r#"
allow = ["exact.org", "*.below.org", ".both.org", "one.org:8443", "any.org:*", "bücher.example", "93.184.216.0/24", "[2606:4700::/32]:443"]
deny  = ["no.both.org", "*.deep.below.org", "93.184.216.200", ".denied.org", "only.any.org:25"]
"#;

/// host, port, whether it passes.
const TABLE: &[(&str, u16, bool)] = &[
    ("exact.org", 80, true),
    ("exact.org", 443, true),
    ("exact.org", 8443, false),
    ("a.exact.org", 443, false),
    ("notexact.org", 443, false),
    ("exact.org.evil.example", 443, false),
    ("below.org", 443, false),
    ("a.below.org", 443, true),
    ("a.b.c.below.org", 443, true),
    ("abelow.org", 443, false),
    ("deep.below.org", 443, true),
    ("x.deep.below.org", 443, false),
    ("both.org", 443, true),
    ("a.both.org", 443, true),
    ("no.both.org", 443, false),
    ("a.no.both.org", 443, true),
    ("one.org", 443, false),
    ("one.org", 8443, true),
    ("any.org", 1, true),
    ("any.org", 65535, true),
    ("denied.org", 9999, false),
    ("a.denied.org", 80, false),
    ("xn--bcher-kva.example", 443, true),
    ("org", 443, false),
    ("localhost", 80, false),
    ("93.184.216.34", 443, true),
    ("93.184.216.34", 22, false),
    ("93.184.216.200", 443, false),
    ("93.184.217.1", 443, false),
    ("[2606:4700::1111]", 443, true),
    ("[2606:4700::1111]", 80, false),
    ("[2606:4701::1111]", 443, false),
    ("[::ffff:93.184.216.34]", 443, true),
    ("[::ffff:93.184.216.200]", 443, false),
    ("[64:ff9b::5db8:d8c8]", 443, false),
];

/// The ways to spell the same host.
fn spellings(host: &str) -> Vec<String> {
    let mut list = vec![host.to_owned(), host.to_ascii_uppercase()];
    if let Ok(Host::Name(_)) = Host::read(host) {
        list.push(format!("{host}."));
        list.push(host.chars().enumerate().map(|(i, c)| if i % 2 == 0 { c.to_ascii_uppercase() } else { c }).collect());
    }
    list
}

#[test]
fn one_verdict_for_each_spelling_and_each_way_to_ask() {
    let rules = rules(RULES);
    for (host, port, allowed) in TABLE {
        for spelling in spellings(host) {
            let host = Host::read(&spelling).unwrap_or_else(|why| panic!("{spelling}: {why}"));
            let ways = [
                Request::connect(host, *port),
                Request::http(b"GET", host, *port, b"/"),
                Request::http(b"POST", host, *port, b"/a/../b"),
                Request::http(b"OPTIONS", host, *port, b""),
            ];
            for request in ways {
                let decision = rules.decide(Who::NOBODY, &request);
                assert_eq!(decision.passes(), *allowed, "{spelling}:{port} {:?}", decision.reason());
                assert_eq!(decision.passes(), decision.denial().is_none());
            }
        }
    }
    for (url, allowed) in [
        ("http://BÜCHER.example/", true),
        ("https://bücher。example.", true),
        ("https://EXACT.org:443", true),
        ("ws://a.below.org", true),
        ("wss://below.org", false),
    ] {
        assert_eq!(passes(&rules, url), allowed, "{url}");
    }
}

#[test]
fn an_address_in_a_request_needs_an_entry_that_is_an_address() {
    let open = rules("deny = [\"evil.example\"]");
    assert!(passes(&open, "https://any.example"));
    assert!(!passes(&open, "https://93.184.216.34"));
    assert!(!passes(&open, "https://[2606:4700::1111]"));
    let all_names = rules("allow = [\"*\"]\nallow_suffix = true");
    assert!(passes(&all_names, "https://any.example") && !passes(&all_names, "https://93.184.216.34"));
    let all = rules("allow = [\"0.0.0.0/0\", \"::/0\"]");
    assert!(passes(&all, "https://93.184.216.34") && !passes(&all, "https://any.example"));
    assert!(!passes(&all, "http://10.0.0.1") && !passes(&all, "http://[::1]"));
}

#[test]
fn the_longest_prefix_wins_and_deny_wins_a_tie() {
    let rules = rules(
        "allow = [\"any.example:*\", \"93.0.0.0/8\", \"93.184.216.0/24\"]\ndeny = [\"93.184.0.0/16\", \"93.1.0.0/16:22\", \"94.0.0.0/8\"]",
    );
    for (address, port, may) in [
        ("93.184.216.34", 443, true),
        ("93.184.217.1", 443, false),
        ("93.183.0.1", 443, true),
        ("93.1.0.1", 22, false),
        ("93.1.0.1", 443, true),
        ("94.1.1.1", 443, false),
        ("95.1.1.1", 443, true),
        ("64:ff9b::93.184.217.1", 443, false),
        ("64:ff9b::95.1.1.1", 443, true),
        ("::ffff:94.1.1.1", 443, false),
    ] {
        assert_eq!(may_dial(&rules, port, address), may, "{address}:{port}");
    }
    let tie = crate::common::rules("allow = [\"93.0.0.0/8\"]\ndeny = [\"93.0.0.0/8\"]");
    assert!(!passes(&tie, "https://93.1.1.1") && !may_dial(&tie, 443, "93.1.1.1"));
}

#[test]
fn exceptions_from_the_guard() {
    let rules = rules(
        "private = [\"10.4.0.7:5432\", \"10.20.0.0/16\", \"0.0.0.0/0:*\", \"192.168.0.0/16:*\", \"fd00:1::/32\", \"127.0.0.0/8\", \"169.254.0.0/16\", \"fd00::/8\"]\nallow = [\"any.example:*\"]",
    );
    for (address, port, may) in [
        ("10.4.0.7", 5432, true),
        ("10.4.0.7", 443, false),
        ("10.4.0.8", 5432, false),
        ("10.20.3.4", 443, true),
        ("10.20.3.4", 5432, false),
        ("192.168.1.1", 9, true),
        ("::ffff:192.168.1.1", 9, true),
        ("64:ff9b::192.168.1.1", 9, true),
        ("2002:c0a8:101::", 9, true),
        ("64:ff9b::10.4.0.8", 443, false),
        ("fd00:1::1", 443, true),
        ("fd00:2::1", 443, true),
        ("fc00:2::1", 443, false),
        ("127.0.0.1", 80, true),
        // A range wider than the guard's opens nothing.
        ("172.16.0.1", 80, false),
        ("169.254.1.1", 80, true),
        // Nor does a range around a metadata service open that.
        ("169.254.169.254", 80, false),
        ("64:ff9b::169.254.169.254", 80, false),
        ("fd00:ec2::254", 80, false),
    ] {
        assert_eq!(may_dial(&rules, port, address), may, "{address}:{port}");
    }
}

#[test]
fn own_addresses_are_opened_one_by_one() {
    let rules = rules("private = [\"10.0.0.0/8\", \"10.0.0.1\", \"127.0.0.0/8\"]\nallow = [\"any.example\"]");
    let ask = Ask::parse("https://any.example").unwrap();
    let around = Surroundings { own: true, exposed: false };
    for (address, may) in [("10.0.0.1", true), ("10.0.0.2", false), ("93.184.216.34", false), ("127.0.0.1", true)] {
        let decision = rules.decide_address(Who::NOBODY, &ask.request(), address.parse().unwrap(), around);
        assert_eq!(decision.passes(), may, "{address}");
    }
}

#[test]
fn modes() {
    let body = "allow = [\"a.org\"]\ndeny = [\"b.org\", \"94.0.0.0/8\"]\n";
    let ask = Ask::parse("https://b.org").unwrap();
    for (mode, name, public, private, exposed) in [
        ("open", Verdict::Allowed, Verdict::Allowed, Verdict::Allowed, Verdict::Denied),
        ("report", Verdict::Reported, Verdict::Reported, Verdict::Reported, Verdict::Denied),
        ("enforce", Verdict::Denied, Verdict::Denied, Verdict::Denied, Verdict::Denied),
    ] {
        let rules = rules(&format!("mode = \"{mode}\"\n{body}"));
        assert_eq!(rules.decide(Who::NOBODY, &ask.request()).verdict(), name, "{mode}");
        let at = |address: &str, exposed| {
            let around = Surroundings { exposed, own: false };
            rules.decide_address(Who::NOBODY, &ask.request(), address.parse().unwrap(), around).verdict()
        };
        assert_eq!(at("94.1.1.1", false), public, "{mode}");
        assert_eq!(at("10.0.0.1", false), private, "{mode}");
        assert_eq!(at("10.0.0.1", true), exposed, "{mode}");
        assert_eq!(at("95.1.1.1", true), Verdict::Allowed, "{mode}");
    }
}

#[test]
fn denials_by_method_hold_where_methods_are_not_seen() {
    let rules = rules(
        "allow = [\".x.org\"]\n[[rule]]\nname = \"no-posts\"\ndeny = [\"a.x.org\"]\nmethods = [\"POST\"]\n[[rule]]\ndeny = [\"b.x.org\"]\npaths = [\"/admin*\"]",
    );
    for (ask, may) in [
        ("http://a.x.org/", true),
        ("POST http://a.x.org/", false),
        ("https://a.x.org", false),
        ("http://b.x.org/", true),
        ("http://b.x.org/admin/x", false),
        ("http://b.x.org/%61dmin/x", false),
        ("http://b.x.org/x/../admin", false),
        ("https://b.x.org", false),
        ("https://c.x.org", true),
    ] {
        assert_eq!(passes(&rules, ask), may, "{ask}");
    }
    let paths = crate::common::rules("[[rule]]\nallow = [\"a.org\"]\npaths = [\"/*\"]");
    assert!(passes(&paths, "http://a.org/x") && !passes(&paths, "https://a.org"));
    let tunnels = crate::common::rules("[[rule]]\nallow = [\"a.org\"]\nmethods = [\"GET\", \"CONNECT\"]");
    assert!(
        passes(&tunnels, "https://a.org") && passes(&tunnels, "http://a.org") && !passes(&tunnels, "POST http://a.org")
    );
}

/// [`Host::Name`] can be made by hand: what is not a name is denied, and a dot at the end hides nothing.
#[test]
fn what_cannot_be_decided_is_denied() {
    let rules = rules("deny = [\"evil.example\"]");
    let passes = |name| rules.decide(Who::NOBODY, &Request::connect(Host::Name(name), 443)).passes();
    assert!(passes("good.example"));
    for name in [
        "evil.example.",
        "EVIL.example",
        "10.0.0.1",
        "127.1",
        "0x7f000001",
        "",
        ".",
        "a..b",
        "[::1]",
        "::1",
        "a b",
        "b\u{fc}cher.example",
        "evil.example..",
        "a%2eb",
        "u@good.example",
        "good.example:443",
        "good.example\r\n",
    ] {
        assert!(!passes(name), "{name:?} passes");
    }
}
