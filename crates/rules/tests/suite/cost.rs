//! What deciding costs does not grow with the rules, and nothing is allocated for what is allowed.

use std::fmt::Write as _;

use allocation_counter::measure;
use sluicegate_rules::{Host, Request, Rules, Surroundings, Who};

/// 50 users, 20 rules with 5,000 hosts each.
fn large() -> String {
    let mut text = String::from("deny = [\".denied.example\", \"203.0.112.0/24\"]\n[users]\n");
    for user in 0..50 {
        writeln!(text, "user{user} = {{ from = [\"10.0.{user}.0/24\"] }}").unwrap();
    }
    for rule in 0..20 {
        let who: Vec<_> =
            (0..50).filter(|user| user % 20 == rule || rule == 0).map(|user| format!("\"user{user}\"")).collect();
        writeln!(text, "[[rule]]\nname = \"rule{rule}\"\nwho = [{}]\nallow = [", who.join(", ")).unwrap();
        for host in 0..5000 {
            writeln!(text, "  \"{}host{host}.rule{rule}.example\",", if host % 3 == 0 { "*." } else { "" }).unwrap();
        }
        writeln!(text, "]").unwrap();
    }
    text
}

#[test]
fn what_is_allowed_allocates_nothing() {
    let rules = Rules::read("egress.toml", &large()).unwrap();
    let who = rules.who("user7").unwrap();
    let mut allowed = 0;
    let used = measure(|| {
        for (name, path) in
            [("host1.rule7.example", false), ("a.b.HOST3.rule7.example.", true), ("x.host0.rule0.example", false)]
        {
            let host = Host::read(name).unwrap();
            let request = if path { Request::http(b"GET", host, 80, b"/a/b?c") } else { Request::connect(host, 443) };
            let public = "93.184.216.34".parse().unwrap();
            for address in [public, "2606:4700::1111".parse().unwrap()] {
                let name = rules.decide(who, &request).passes();
                let address = rules.decide_address(who, &request, address, Surroundings::default()).passes();
                allowed += usize::from(name && address);
            }
            // A denial is counted before it is told: that costs nothing either.
            let denied = Request::connect(Host::Name("a.denied.example"), 443);
            assert!(!rules.decide(who, &denied).passes());
        }
    });
    assert_eq!(allowed, 6);
    assert_eq!(used.count_total, 0);
}

#[test]
fn a_hundred_thousand_hosts_are_all_found() {
    let rules = Rules::read("egress.toml", &large()).unwrap();
    for rule in 0..20 {
        let who = rules.who(&format!("user{rule}")).unwrap();
        for host in (0..5000).step_by(97) {
            let name = format!("{}host{host}.rule{rule}.example", if host % 3 == 0 { "a." } else { "" });
            let request = Request::connect(Host::read(&name).unwrap(), 443);
            assert!(rules.decide(who, &request).passes(), "{name}");
            let other = rules.who(&format!("user{}", (rule + 1) % 20)).unwrap();
            assert_eq!(rules.decide(other, &request).passes(), rule == 0, "{name}");
            assert!(!rules.decide(Who::NOBODY, &request).passes(), "{name}");
        }
    }
}
