//! Any text as a file.

use sluicegate_rules::{Ask, Loader, Seen, Surroundings, Who};

/// No panic, a bounded number of problems, each with a place inside the text; and what loads can be checked, explained and
/// added to.
pub fn file(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let include = |_: &str, path: &str| if path.len() > 3 { Err("no".to_owned()) } else { Ok(text.to_owned()) };
    let rules = match Loader::new().settings(&["listen", "workers"]).include(include).load([("f", text)]) {
        Ok(rules) => rules,
        Err(problems) => {
            assert!(problems.iter().count() >= 1 && problems.iter().count() <= 100);
            for problem in problems.iter() {
                assert!(problem.place.line >= 1 && problem.place.column >= 1);
                assert!(problem.to_string().starts_with(&problem.place.to_string()));
                assert!(!problem.long().is_empty());
            }
            return;
        }
    };
    assert!(!rules.check().to_string().is_empty());
    let ask = Ask::parse("https://a.example.org").unwrap();
    for who in rules.users().map(|(who, _)| who).take(3).chain([Who::NOBODY]) {
        let decision = rules.decide(who, &ask.request());
        assert_eq!(decision.holds(), decision.denial().is_none());
        let address = "10.0.0.1".parse().unwrap();
        rules.decide_address(who, &ask.request(), address, Surroundings::default());
        assert!(!rules.explain(who, &ask, &[address]).to_string().is_empty());
    }
    let seen = Seen {
        who: None,
        method: "CONNECT".into(),
        host: "a.example.org".into(),
        port: 443,
        path: None,
        address: None,
    };
    let learnt = rules.learn(std::slice::from_ref(&seen), 3);
    if let Ok(new) = learnt.write(text) {
        let new =
            Loader::new().settings(&["listen", "workers"]).include(include).untested().load([("f", new.as_str())]);
        let new = new.unwrap_or_else(|why| panic!("what was learnt is not a file: {}", why.long()));
        assert!(new.learn(&[seen], 3).is_empty());
    }
}
