//! What holds of all rules: order never matters, `allow` only widens, `deny` only narrows, what is learnt suffices.

use proptest::prelude::*;
use sluicegate_rules::{Ask, Host, Loader, Request, Rules, Seen, Surroundings, Who};

use crate::oracles;

/// Names of few labels, so that they meet.
fn name() -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec!["a", "b", "c", "x-1"]);
    (prop::collection::vec(label, 0..3), prop::sample::select(vec!["x.org", "y.org", "z.co.uk"]))
        .prop_map(|(labels, owner)| labels.into_iter().chain([owner]).collect::<Vec<_>>().join("."))
}

fn address() -> impl Strategy<Value = String> {
    (prop::sample::select(vec![10_u8, 93, 94]), 0..3_u8, 0..3_u8).prop_map(|(a, b, d)| format!("{a}.{b}.0.{d}"))
}

fn port() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", ":443", ":8443", ":*"])
}

fn entry() -> impl Strategy<Value = String> {
    let scope = prop::sample::select(vec!["", "*.", "."]);
    let range = (address(), prop::sample::select(vec![8_u8, 16, 24, 32])).prop_map(|(address, length)| {
        let net = ipnet::Ipv4Net::new(address.parse().unwrap(), length).unwrap();
        net.trunc().to_string()
    });
    let what = prop_oneof![3 => (scope, name()).prop_map(|(scope, name)| format!("{scope}{name}")), 1 => range];
    (what, port()).prop_map(|(what, port)| format!("{what}{port}"))
}

#[derive(Debug, Clone)]
struct RuleText {
    who: Option<usize>,
    allow: Vec<String>,
    deny: Vec<String>,
    methods: bool,
    paths: bool,
}

const USERS: [&str; 3] = ["ann", "bob", "cy"];

fn rule() -> impl Strategy<Value = RuleText> {
    let list = || prop::collection::vec(entry(), 0..4);
    (prop::option::of(0..3_usize), list(), list(), prop::bool::weighted(0.2), prop::bool::weighted(0.2))
        .prop_map(|(who, allow, deny, methods, paths)| RuleText { who, allow, deny, methods, paths })
}

impl RuleText {
    fn write(&self) -> String {
        let mut text = "[[rule]]\n".to_owned();
        if let Some(user) = self.who {
            text += &format!("who = [\"{}\"]\n", USERS[user]);
        }
        text += &format!("allow = {:?}\ndeny = {:?}\n", self.allow, self.deny);
        if self.methods {
            text += "methods = [\"GET\"]\n";
        }
        if self.paths {
            text += "paths = [\"/a/*\"]\n";
        }
        text
    }
}

/// An `allow` stands from the start: the first one turns the default round, by design.
fn file(rules: &[RuleText]) -> String {
    let users: String = USERS.iter().map(|user| format!("{user} = {{ from = [\"10.0.0.1\"] }}\n")).collect();
    format!("allow = []\n[users]\n{users}{}", rules.iter().map(RuleText::write).collect::<String>())
}

fn ask() -> impl Strategy<Value = String> {
    let host = prop_oneof![3 => name(), 1 => address()];
    let way = prop::sample::select(vec!["", "GET http://", "POST http://"]);
    let path = prop::sample::select(vec!["/a/b", "/a/../b", "/b"]);
    (host, prop::sample::select(vec![80_u16, 443, 8443]), way, path).prop_map(|(host, port, way, path)| match way {
        "" => format!("{host}:{port}"),
        way => format!("{way}{host}:{port}{path}"),
    })
}

fn read(text: &str) -> Rules {
    Rules::read("egress.toml", text).unwrap_or_else(|why| panic!("{text}\n{}", why.long()))
}

/// Both verdicts, on the name and on an address that it might lead to, for each user and for nobody.
fn verdicts(rules: &Rules, asks: &[String]) -> Vec<(bool, bool)> {
    let mut found = Vec::new();
    let users = USERS.iter().map(|user| rules.who(user).unwrap()).chain([Who::NOBODY]);
    for who in users {
        for text in asks {
            let ask = Ask::parse(text).unwrap();
            let request = ask.request();
            let address = match request.host {
                Host::Address(address) => address,
                Host::Name(_) => "93.1.0.2".parse().unwrap(),
            };
            let address = rules.decide_address(who, &request, address, Surroundings::default());
            found.push((rules.decide(who, &request).passes(), address.passes()));
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn order_never_matters(mut rules in prop::collection::vec(rule(), 0..5), asks in prop::collection::vec(ask(), 1..12)) {
        let before = verdicts(&read(&file(&rules)), &asks);
        rules.reverse();
        for rule in &mut rules {
            rule.allow.reverse();
            rule.deny.reverse();
        }
        prop_assert_eq!(&before, &verdicts(&read(&file(&rules)), &asks));
        // Nor does it matter which of several files a rule stands in.
        let (head, parts) = (file(&[]), rules.iter().map(RuleText::write).collect::<Vec<_>>());
        let files = parts.iter().rev().map(|text| ("part.toml", text.as_str())).chain([("egress.toml", head.as_str())]);
        prop_assert_eq!(before, verdicts(&Loader::new().load(files).unwrap(), &asks));
    }

    #[test]
    fn allow_only_widens_and_deny_only_narrows(
        rules in prop::collection::vec(rule(), 1..5), more in entry(), at in 0..5_usize, asks in prop::collection::vec(ask(), 1..12),
    ) {
        let before = verdicts(&read(&file(&rules)), &asks);
        let at = at % rules.len();
        let mut wider = rules.clone();
        wider[at].allow.push(more.clone());
        for (was, is) in before.iter().zip(verdicts(&read(&file(&wider)), &asks)) {
            prop_assert!(was.0 <= is.0 && was.1 <= is.1);
        }
        let mut narrower = rules;
        narrower[at].deny.push(more);
        for (was, is) in before.iter().zip(verdicts(&read(&file(&narrower)), &asks)) {
            prop_assert!(was.0 >= is.0 && was.1 >= is.1);
        }
    }

    #[test]
    fn deny_beats_allow(entry in entry(), asks in prop::collection::vec(ask(), 1..12)) {
        let rules = read(&format!("allow = [{entry:?}]\ndeny = [{entry:?}]"));
        for ask in asks {
            prop_assert!(!rules.decide(Who::NOBODY, &Ask::parse(&ask).unwrap().request()).passes());
        }
    }

    #[test]
    fn sets_decide_as_a_slow_reader_does(name in name(), port in 440..445_u16, entries in prop::collection::vec((any::<bool>(), entry()), 0..12)) {
        let lines: String = entries.iter().map(|(allow, entry)| format!("\n{}{entry}", if *allow { '+' } else { '-' })).collect();
        oracles::decide(format!("{name} {port}{lines}").as_bytes());
    }

    /// A day under `report`, replayed under what it taught: nothing is denied but what an entry denies.
    #[test]
    fn what_was_learnt_denies_nothing(
        rules in prop::collection::vec(rule(), 0..4), fold in 0..4_usize,
        log in prop::collection::vec((prop::option::of(0..3_usize), ask(), prop::option::of(address())), 0..20),
    ) {
        let text = file(&rules);
        let log: Vec<Seen> = log.iter().map(|(who, ask, address)| {
            let ask = Ask::parse(ask).unwrap();
            let request = ask.request();
            Seen {
                who: who.map(|who| USERS[who].to_owned()),
                method: String::from_utf8(request.method.to_vec()).unwrap(),
                host: request.host.to_string(),
                port: request.port,
                path: request.path.map(|path| String::from_utf8(path.to_vec()).unwrap()),
                address: match request.host {
                    Host::Address(address) => Some(address),
                    Host::Name(_) => address.as_ref().map(|address| address.parse().unwrap()),
                },
            }
        }).collect();
        let before = read(&text);
        let learnt = before.learn(&log, fold);
        let after = read(&learnt.write(&text).unwrap());
        prop_assert!(after.learn(&log, fold).is_empty(), "{:?}", after.learn(&log, fold));
        for seen in &log {
            let host = Host::read(&seen.host).unwrap();
            let who = seen.who.as_deref().map_or(Who::NOBODY, |name| after.who(name).unwrap());
            let path = seen.path.as_deref().map(str::as_bytes);
            let request = Request { method: seen.method.as_bytes(), host, port: seen.port, path };
            let name = after.decide(who, &request);
            let denied = |decision: &sluicegate_rules::Decision<'_>| decision.reason() == sluicegate_rules::Reason::Denied;
            let address = seen.address.map(|address| after.decide_address(who, &request, address, Surroundings::default()));
            let by_entry = denied(&name) || address.as_ref().is_some_and(denied);
            prop_assert!(by_entry || (name.passes() && address.is_none_or(|address| address.passes())), "{seen:?}\n{learnt:?}");
        }
    }
}
