//! What rules cost: loading a large file, and deciding under it. `cargo bench -p sluicegate-rules`.

#![allow(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use sluicegate_rules::{Host, Loader, Request, Rules, Surroundings, Who};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let (file, list) = large();
    let load = || Loader::new().include(|_, _| Ok(list.clone())).load([("egress.toml", file.as_str())]);
    let rules = load().unwrap();
    loading(&mut criterion, || load().is_ok());
    deciding(&mut criterion, &rules);
    criterion.final_summary();
}

/// 100,000 hosts, a fifth of them in the file itself; 50 users; 20 rules.
fn large() -> (String, String) {
    let mut file =
        String::from("deny = [\".denied.example\", \"203.0.112.0/24\"]\nallow = [\"@hosts.txt\"]\n[users]\n");
    for user in 0..50 {
        writeln!(file, "user{user} = {{ from = [\"10.0.{user}.0/24\"] }}").unwrap();
    }
    for rule in 0..20 {
        writeln!(file, "[[rule]]\nname = \"rule{rule}\"\nwho = [\"user{rule}\", \"user49\"]\nallow = [").unwrap();
        for host in 0..1000 {
            writeln!(file, "  \"host{host}.rule{rule}.example.org\",").unwrap();
        }
        writeln!(file, "]").unwrap();
    }
    let mut list = String::new();
    for host in 0..80_000 {
        writeln!(list, ".host{host}.example.net").unwrap();
    }
    (file, list)
}

fn loading(criterion: &mut Criterion, load: impl Fn() -> bool) {
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.bench_function("100,000 hosts, 50 users, 20 rules", |bencher| bencher.iter(&load));
    group.finish();
}

fn deciding(criterion: &mut Criterion, rules: &Rules) {
    let mut group = criterion.benchmark_group("decide");
    let user = rules.who("user7").unwrap();
    for (name, who, host) in [
        ("allowed, of a rule", user, "host999.rule7.example.org"),
        ("allowed, four labels below", Who::NOBODY, "a.b.c.host1.example.net"),
        ("denied, unknown", Who::NOBODY, "www.unknown.example.org"),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let host = Host::read(black_box(host)).unwrap();
                rules.decide(who, &Request::connect(host, 443)).passes()
            });
        });
    }
    let host = Host::read("host1.example.net").unwrap();
    for (name, address) in [("address, IPv4", "93.184.216.34"), ("address, NAT64", "64:ff9b::5db8:d822")] {
        let address = address.parse().unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let request = Request::connect(host, 443);
                rules.decide_address(user, &request, black_box(address), Surroundings::default()).passes()
            });
        });
    }
    group.finish();
}
