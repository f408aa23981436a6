//! What the other files use.

use sluicegate_rules::{Ask, Loader, Problems, Rules, Surroundings, Verdict, Who};

/// Flags of a program that reads the files.
pub(crate) const SETTINGS: &[&str] = &["head-timeout", "listen", "no-via", "workers"];

pub(crate) fn rules(text: &str) -> Rules {
    Rules::read("egress.toml", text).unwrap_or_else(|why| panic!("{}", why.long()))
}

pub(crate) fn mistakes(text: &str) -> Problems {
    Loader::new().settings(SETTINGS).load([("egress.toml", text)]).map(|_| text.to_owned()).unwrap_err()
}

/// Whether a request as people write it passes on the name, and on itself if it is an address.
pub(crate) fn verdict(rules: &Rules, who: Option<&str>, ask: &str) -> Verdict {
    let who = who.map_or(Who::NOBODY, |name| rules.who(name).unwrap());
    let ask = Ask::parse(ask).unwrap_or_else(|why| panic!("{ask}: {why}"));
    rules.explain(who, &ask, &[]).verdict
}

pub(crate) fn passes(rules: &Rules, ask: &str) -> bool {
    verdict(rules, None, ask) == Verdict::Allowed
}

/// Whether a name that is allowed may lead to this address.
pub(crate) fn may_dial(rules: &Rules, port: u16, address: &str) -> bool {
    let ask = Ask::parse(&format!("any.example:{port}")).unwrap();
    let address = address.parse().unwrap_or_else(|_| panic!("{address}"));
    rules.decide_address(Who::NOBODY, &ask.request(), address, Surroundings::default()).holds()
}

/// Loads files of which some name others.
pub(crate) fn load(files: &[(&str, &str)], lists: &[(&str, &str)]) -> Result<Rules, Problems> {
    let include = |_: &str, path: &str| {
        let found = lists.iter().find(|(name, _)| *name == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
    };
    Loader::new().settings(SETTINGS).include(include).load(files.iter().copied())
}
