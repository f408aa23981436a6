//! From a log to a file.

use sluicegate_rules::{Rules, Seen};

use crate::common::rules;

fn seen(who: Option<&str>, host: &str, port: u16) -> Seen {
    Seen {
        who: who.map(str::to_owned),
        method: "CONNECT".to_owned(),
        host: host.to_owned(),
        port,
        path: None,
        address: None,
    }
}

const FILE: &str = "# Mine.\nmode  = \"report\" # for a day\nallow = [\"pypi.org\"] # python\ndeny  = [\".evil.example\"]\n\n\
    [users]\nci = { from = [\"10.0.0.1\"] }\nold = { from = [\"10.0.0.2\"] }\n\n[[rule]]\nname = \"ci\"\nwho = [\"ci\"]\nallow = [\n    \"a.org\", # one\n    \"b.org\",\n]\n";

#[test]
fn what_is_missing_is_added_and_nothing_else_changes() {
    let log = [
        seen(None, "pypi.org", 443),
        seen(None, "files.pythonhosted.org", 443),
        seen(None, "FILES.pythonhosted.org.", 80),
        seen(Some("ci"), "a.org", 443),
        seen(Some("ci"), "c.org", 443),
        seen(Some("ci"), "files.pythonhosted.org", 443),
        seen(Some("ci"), "git.corp", 22),
        seen(Some("old"), "d.org", 443),
        seen(Some("gone"), "e.org", 443),
        seen(None, "x.evil.example", 443),
        seen(None, "127.1", 443),
        Seen { address: Some("10.4.0.7".parse().unwrap()), ..seen(None, "db.corp", 5432) },
    ];
    let rules = rules(FILE);
    let learnt = rules.learn(&log, 3);
    assert_eq!(learnt.allow[&None], ["db.corp:5432", "files.pythonhosted.org"]);
    assert_eq!(learnt.allow[&Some("ci".to_owned())], ["c.org", "git.corp:22"]);
    assert_eq!(learnt.allow[&Some("old".to_owned())], ["d.org"]);
    assert_eq!(learnt.private, ["10.4.0.7:5432"]);
    assert_eq!(learnt.left_out.len(), 3, "{:?}", learnt.left_out);
    let diff = learnt.diff("egress.toml", FILE).unwrap();
    assert!(diff.starts_with("--- a/egress.toml\n+++ b/egress.toml\n@@"), "{diff}");
    let removed: Vec<_> = diff.lines().filter(|line| line.starts_with('-')).collect();
    assert_eq!(removed, ["--- a/egress.toml", "-allow = [\"pypi.org\"] # python"], "{diff}");
    for line in [
        "+allow = [\"pypi.org\", \"db.corp:5432\", \"files.pythonhosted.org\"] # python",
        "+private = [\"10.4.0.7:5432\"]",
        "+    \"c.org\",",
        "+name = \"learnt-old\"",
        "+who = [\"old\"]",
        "+allow = [\"d.org\"]",
    ] {
        assert!(diff.lines().any(|one| one == line), "{line}\nis not in\n{diff}");
    }
    replay(&learnt.write(FILE).unwrap(), &log, 3);
    assert_eq!(rules.learn(&[seen(None, "pypi.org", 443)], 3).diff("egress.toml", FILE).unwrap(), "");
}

/// What was left out is denied, and nothing else.
fn replay(text: &str, log: &[Seen], left_out: usize) {
    let after = Rules::read("egress.toml", text).unwrap_or_else(|why| panic!("{text}\n{}", why.long()));
    let again = after.learn(log, 3);
    assert!(again.is_empty(), "{text}\n{again:?}");
    assert_eq!(again.left_out.len(), left_out);
}

#[test]
fn a_first_list() {
    let log: Vec<_> = ["a.x.org", "b.x.org", "c.x.org", "y.org", "93.184.216.34", "[2606:4700::1]"]
        .map(|host| seen(None, host, 443))
        .into();
    for text in ["", "# nothing yet\n", sluicegate_rules::docs::INIT, "[users]\nci = { from = [\"::1\"] }\n"] {
        let learnt = rules(text).learn(&log, 3);
        let new = learnt.write(text).unwrap();
        replay(&new, &log, 0);
        assert!(new.contains("    \"*.x.org\",\n"), "{new}");
    }
}

/// An address that was learnt as a literal is denied by no shorter range any more, so names that lead there are learnt too.
#[test]
fn an_address_that_was_learnt_is_denied_no_more() {
    let text = "[[rule]]\ndeny = [\"94.0.0.0/8\"]\npaths = [\"/a/*\"]\n";
    let literal = Seen { method: "GET".to_owned(), path: Some("/b".to_owned()), ..seen(None, "94.2.0.1", 80) };
    let name = Seen { address: Some("94.2.0.1".parse().unwrap()), ..seen(None, "x.org", 443) };
    for log in [[literal.clone(), name.clone()], [name, literal]] {
        let learnt = rules(text).learn(&log, 3);
        assert_eq!(learnt.allow[&None], ["94.2.0.1", "x.org"]);
        replay(&learnt.write(text).unwrap(), &log, 0);
    }
}

#[test]
fn what_cannot_be_added_to_is_told() {
    let learnt = rules("[users]\nci = { from = [\"::1\"] }").learn(&[seen(Some("ci"), "a.org", 443)], 3);
    assert!(learnt.write("rule = [{ allow = [] }]").is_err());
    assert!(learnt.write("rule = [").is_err());
    assert!(learnt.diff("x", "allow = 1\n[[rule]]\nallow = 1\nwho = [\"ci\"]").is_err());
}
