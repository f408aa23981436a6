//! `check` and `explain`.

use sluicegate_rules::{Ask, Verdict, Who};

use crate::common::rules;

fn doubts(text: &str) -> Vec<String> {
    rules(text).check().doubts.iter().map(ToString::to_string).collect()
}

#[test]
fn entries_that_never_matter_are_told() {
    for (text, said) in [
        (
            "allow = [\"a.x.org\"]\ndeny = [\".x.org\"]",
            "egress.toml:1:10: warning: it can never match: \".x.org\" at egress.toml:2:9 denies all of it",
        ),
        (
            "allow = [\"x.org\", \"x.org\"]",
            "egress.toml:1:19: warning: it adds nothing: \"x.org\" at egress.toml:1:10 means it too",
        ),
        ("allow = [\"*.x.org\", \".x.org\"]", "egress.toml:1:10: warning: it adds nothing"),
        ("allow = [\"*.x.org\", \"*.x.org\"]", "egress.toml:1:21: warning: it adds nothing"),
        ("allow = [\"x.org:443\", \"x.org\"]", "egress.toml:1:10: warning: it adds nothing"),
        (
            "allow = [\"x.org\"]\n[[rule]]\nmethods = [\"GET\"]\nallow = [\"x.org\"]",
            "egress.toml:4:10: warning: it adds nothing",
        ),
        ("allow = [\"93.0.0.0/8\"]\ndeny = [\"93.0.0.0/8\"]", "egress.toml:1:10: warning: it can never match"),
        ("private = [\"93.184.216.34\"]", "egress.toml:1:12: warning: it opens nothing"),
        ("[users]\nci = { from = [\"10.0.0.1\"] }", "egress.toml:2:1: warning: no rule is for `ci` in particular"),
        ("[[rule]]\nmethods = [\"GET\"]\nallow = [\"x.org\"]", "this rule allows no tunnel, so no https://"),
    ] {
        let told = doubts(text);
        assert!(told.iter().any(|one| one.contains(said)), "{text}: {told:?}");
    }
    for text in [
        "allow = [\"x.org\", \"a.x.org\", \"x.org:8443\"]\ndeny = [\"b.x.org\"]",
        "allow = [\"93.184.0.0/16\", \"93.0.0.0/8\"]\ndeny = [\"93.0.0.0/9\"]",
        "allow = [\"x.org\"]\n[[rule]]\nmethods = [\"POST\"]\ndeny = [\"x.org\"]",
        "[[rule]]\nmethods = [\"GET\", \"CONNECT\"]\nallow = [\"x.org\"]\n[[rule]]\nmethods = [\"POST\", \"CONNECT\"]\nallow = [\"x.org\"]",
        "private = [\"10.0.0.0/8\", \"64:ff9b::a00:1\", \"0.0.0.0/0\"]",
    ] {
        assert!(doubts(text).is_empty(), "{text}: {:?}", doubts(text));
    }
}

#[test]
fn all_that_is_in_force_is_spelled_out() {
    let rules = rules(
        "allow = [\".x.org\"]\nprivate = [\"10.4.0.7:5432\"]\n[users]\nci = { from = [\"10.0.0.1\"] }\n[[rule]]\nname = \"reg\"\nwho = [\"ci\"]\nallow = [\"PyPI.org\"]\nmethods = [\"GET\", \"HEAD\"]\npaths = [\"/simple/*\"]\n[[test]]\nallow = [\"https://x.org\"]\ndeny = [\"https://y.org\"]",
    );
    let text = rules.check().to_string();
    for line in [
        "mode enforce: what is denied is refused",
        "default deny: an `allow` stands in the files",
        "allow .x.org:80,443 (egress.toml:1)",
        "private 10.4.0.7/32:5432 (egress.toml:2)",
        "allow pypi.org:80,443 for ci with GET, HEAD at /simple/* by reg (egress.toml:8)",
        "2 tests passed",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn tests_speak_of_enforce_in_every_mode() {
    for mode in ["open", "report", "enforce"] {
        let text = format!(
            "mode = \"{mode}\"\nallow = [\"x.org\", \"10.0.0.0/8\"]\n[[test]]\nallow = [\"https://x.org\"]\ndeny = [\"https://y.org\", \"http://10.0.0.1\"]"
        );
        assert_eq!(rules(&text).check().tests, 3, "{mode}");
        let wrong = text.replace("deny = [\"https://y.org\"", "deny = [\"https://x.org\"");
        assert!(crate::common::mistakes(&wrong).to_string().contains("must be denied, and is allowed"), "{mode}");
    }
}

#[test]
fn explanations() {
    let rules = rules(
        "allow = [\".x.org\"]\ndeny = [\"no.x.org\"]\n[users]\nci = { from = [\"10.0.0.1\"] }\n[[rule]]\nwho = [\"ci\"]\nallow = [\"y.org:22\"]",
    );
    let explain = |who: Option<&str>, ask: &str, addresses: &[&str]| {
        let who = who.map_or(Who::NOBODY, |name| rules.who(name).unwrap());
        let addresses: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        rules.explain(who, &Ask::parse(ask).unwrap(), &addresses)
    };
    let allowed = explain(None, "https://a.x.org/", &["93.184.216.34"]);
    assert_eq!(allowed.verdict, Verdict::Allowed);
    assert_eq!(allowed.why, "\".x.org\" allows it (egress.toml:1:10)");
    let inside = explain(None, "http://a.x.org/", &["93.184.216.34", "10.0.0.5"]);
    assert_eq!(inside.verdict, Verdict::Denied);
    assert_eq!(inside.missing.as_deref(), Some("private = [\"10.0.0.5\"]"));
    let text = explain(Some("ci"), "https://no.x.org", &[]).to_string();
    assert_eq!(
        text,
        "CONNECT no.x.org:443 as ci: denied\n  because the rules deny no.x.org:443 (egress.toml:2:9)\n  \
         allow \".x.org\" at egress.toml:1:10 fits\n  deny \"no.x.org\" at egress.toml:2:9 fits\n"
    );
    let other = explain(None, "y.org:22", &[]);
    assert_eq!(other.entries[0].but, Some("for other users"));
    assert_eq!(explain(Some("ci"), "https://y.org", &[]).entries[0].but, Some("for other ports"));
    assert!(other.to_string().contains("to permit it, add: allow = [\"y.org:22\"]"));
}
