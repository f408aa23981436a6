//! What a denial tells, and in which form.

use sluicegate_rules::{Ask, Denial, Host, LONGEST_PHRASE, Request, Surroundings, Who};

use crate::common::{load, rules};

const FILE: &str = r#"
allow = ["pypi.org"]
deny  = ["evil.example"]

[users]
agent = { from = ["10.0.0.0/8"] }

[[rule]]
name    = "github-read"
who     = ["agent"]
allow   = ["api.github.com"]
methods = ["GET"]

[[rule]]
who   = ["agent"]
allow = ["x.org"]
deny  = ["y.org"]
"#;

fn denial(who: Option<&str>, ask: &str) -> Denial {
    let rules = rules(FILE);
    let who = who.map_or(Who::NOBODY, |name| rules.who(name).unwrap());
    let ask = Ask::parse(ask).unwrap();
    rules.decide(who, &ask.request()).denial().unwrap()
}

#[test]
fn phrases() {
    for (who, ask, phrase, word) in [
        (None, "https://a.org", "sluicegate: no rule allows a.org:443 (egress.toml:2)", "blocked-by-allowlist"),
        (
            Some("agent"),
            "https://A.org",
            "sluicegate: no rule for agent allows a.org:443 (egress.toml:16)",
            "blocked-by-allowlist",
        ),
        (
            None,
            "https://evil.example",
            "sluicegate: the rules deny evil.example:443 (egress.toml:3)",
            "blocked-by-denylist",
        ),
        (
            Some("agent"),
            "https://y.org",
            "sluicegate: egress.toml:14 denies y.org:443 (egress.toml:17)",
            "blocked-by-denylist",
        ),
        (
            Some("agent"),
            "POST http://api.github.com/",
            "sluicegate: github-read allows api.github.com:80, but not the method POST (egress.toml:11)",
            "blocked-by-method-policy",
        ),
        (
            Some("agent"),
            "https://api.github.com",
            "sluicegate: github-read allows api.github.com:443 outside tunnels only (egress.toml:11)",
            "blocked-by-method-policy",
        ),
        (
            None,
            "https://93.184.216.34",
            "sluicegate: no rule allows the address 93.184.216.34:443 (egress.toml:2)",
            "blocked-by-allowlist",
        ),
        (
            None,
            "http://[2606:4700::1]:8080",
            "sluicegate: no rule allows the address [2606:4700::1]:8080 (egress.toml:2)",
            "blocked-by-allowlist",
        ),
    ] {
        let denial = denial(who, ask);
        assert_eq!((denial.phrase.as_str(), denial.word), (phrase, word), "{ask}");
    }
}

#[test]
fn addresses_that_are_guarded() {
    let rules = rules(FILE);
    let request = Request::connect(Host::read("pypi.org").unwrap(), 443);
    for (address, phrase, missing) in [
        ("10.4.0.7", "sluicegate: 10.4.0.7:443 is a private address", "10.4.0.7"),
        ("64:ff9b::a04:7", "sluicegate: [64:ff9b::a04:7]:443 leads to 10.4.0.7, a private address", "64:ff9b::a04:7"),
    ] {
        let decision = rules.decide_address(Who::NOBODY, &request, address.parse().unwrap(), Surroundings::default());
        let denial = decision.denial().unwrap();
        assert_eq!((denial.phrase.as_str(), denial.word), (phrase, "blocked-by-policy"));
        let added = denial.missing.unwrap();
        assert_eq!((added.key, added.entry.as_str()), ("private", missing));
        // What is told to be missing is what was missing.
        let mended = crate::common::rules(&format!("private = [\"{}\"]\n{FILE}", added.entry));
        assert!(
            mended.decide_address(Who::NOBODY, &request, address.parse().unwrap(), Surroundings::default()).passes()
        );
    }
}

#[test]
fn bodies() {
    let denial = denial(Some("agent"), "evil.org:8443");
    assert_eq!(
        denial.text,
        "no rule for agent allows evil.org:8443 (egress.toml:16).\n\
         To permit it, whoever runs this proxy adds \"evil.org:8443\" to `allow` at egress.toml:16.\n\
         `sluicegate explain` shows what would be decided, and why.\n"
    );
    let json: serde_json::Value = serde_json::from_str(&denial.json).unwrap();
    for (key, value) in [
        ("error", "policy_denied"),
        ("reason", "blocked-by-allowlist"),
        ("host", "evil.org"),
        ("who", "agent"),
        ("file", "egress.toml:16"),
    ] {
        assert_eq!(json[key], value, "{key}");
    }
    assert_eq!(json["port"], 8443);
    assert_eq!(json["rule_missing"]["key"], "allow");
    assert_eq!(json["rule_missing"]["entry"], "evil.org:8443");
    assert!(json["next_steps"].as_array().unwrap().len() == 2 && json["rule"].is_null());
}

#[test]
fn printable_and_short_whatever_was_asked() {
    let long = format!("{}.{}.evil.example", "a".repeat(63), "b".repeat(63));
    let name = format!("conf.d/{}\u{e9}\n\".toml", "long-name".repeat(20));
    let rules = load(&[(&name, "allow = [\"x.org\"]\n[users]\nabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl = { from = [\"::1\"] }")], &[]).unwrap();
    let who = rules.users().next().unwrap().0;
    for host in [long.as_str(), "evil.example", "\u{7f}\u{1b}[31m", "<script>"] {
        for who in [Who::NOBODY, who] {
            // A host that was not read by us: nothing of it may reach a line of its own.
            let request = Request::http(b"BAD\r\nX: y", Host::Name(host), 65535, b"/\r\nSet-Cookie: a");
            let denial = rules.decide(who, &request).denial().unwrap();
            assert!(denial.phrase.len() <= LONGEST_PHRASE, "{}", denial.phrase);
            for text in [&denial.phrase, &denial.sentence, &denial.json] {
                assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{text:?}");
            }
            assert!(denial.text.bytes().all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte)), "{:?}", denial.text);
        }
    }
    let request = Request::connect(Host::Name(&long), 443);
    let phrase = rules.decide(Who::NOBODY, &request).denial().unwrap().phrase;
    assert!(phrase.contains("...") && phrase.contains("evil.example:443"), "{phrase}");
}

/// For the words of the allow list: what is told to be missing is enough.
#[test]
fn what_is_missing_is_enough() {
    let rules = rules(FILE);
    for ask in [
        "https://a.org",
        "a.org:22",
        "https://93.184.216.34",
        "http://[2606:4700::1]/",
        "[2606:4700::1]:22",
        "http://bücher.example/",
    ] {
        let ask = Ask::parse(ask).unwrap();
        let missing = rules.decide(Who::NOBODY, &ask.request()).denial().unwrap().missing.unwrap();
        let mended =
            crate::common::rules(&FILE.replace("\"pypi.org\"", &format!("\"pypi.org\", \"{}\"", missing.entry)));
        assert!(mended.decide(Who::NOBODY, &ask.request()).passes(), "{ask}: {missing:?}");
    }
}
