//! The file of a fleet, as the manual shows it.

use sluicegate_rules::{Host, Mode, Request, Rules, Scheme, Surroundings, Verdict, Who};

use crate::common::{load, verdict};

const FLEET: &str = r#"
listen  = "0.0.0.0:3128"
clients = ["10.0.0.0/8"]
mode    = "enforce"
deny    = ["@blocked.txt", ".pastebin.com"]
private = ["10.4.0.7:5432"]

[users]
ci    = { token = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }
agent = { password = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", from = ["10.9.0.0/16"] }
batch = { from = ["10.8.0.0/16"] }
night = { from = ["10.8.7.0/24"] }

[[rule]]
name  = "registries"
who   = ["ci"]
allow = ["registry.npmjs.org", "pypi.org", ".crates.io", "db.corp:5432"]

[[rule]]
name    = "github-read"
who     = ["agent"]
allow   = ["api.github.com"]
methods = ["GET", "HEAD"]
paths   = ["/repos/corp/*"]

[[test]]
as    = "agent"
allow = ["http://api.github.com/repos/corp/x"]
deny  = ["https://evil.example", "http://169.254.169.254/"]
"#;

fn fleet() -> Rules {
    load(&[("egress.toml", FLEET)], &[("blocked.txt", "# seen in the wild\nevil.example\n*.bad.example # and below\n")])
        .unwrap_or_else(|why| panic!("{}", why.long()))
}

#[test]
fn what_it_says() {
    let rules = fleet();
    assert_eq!(rules.mode(), Mode::Enforce);
    assert_eq!(rules.clients().unwrap().len(), 1);
    let settings: Vec<_> = rules.settings().iter().flat_map(|setting| setting.flags()).collect();
    assert_eq!(settings, ["--listen=0.0.0.0:3128"]);
    let users: Vec<_> = rules.users().map(|(_, user)| user.name()).collect();
    assert_eq!(users.len(), 4);
    let agent = rules.users().find(|(_, user)| user.name() == "agent").unwrap().1;
    assert_eq!(agent.password().unwrap().scheme(), Scheme::Argon2);
    assert_eq!(agent.from().len(), 1);
}

#[test]
fn who_may_what() {
    let rules = fleet();
    for (who, ask, verdict_is) in [
        (Some("ci"), "https://pypi.org/simple", Verdict::Allowed),
        (Some("ci"), "https://static.crates.io", Verdict::Allowed),
        (Some("ci"), "https://crates.io", Verdict::Allowed),
        (Some("ci"), "https://www.pypi.org", Verdict::Denied),
        (Some("ci"), "https://pypi.org:8443", Verdict::Denied),
        (Some("ci"), "db.corp:5432", Verdict::Allowed),
        (Some("ci"), "http://api.github.com/repos/corp/x", Verdict::Denied),
        (Some("agent"), "http://api.github.com/repos/corp/x", Verdict::Allowed),
        (Some("agent"), "HEAD http://api.github.com/repos/corp/x?a=/../", Verdict::Allowed),
        (Some("agent"), "POST http://api.github.com/repos/corp/x", Verdict::Denied),
        (Some("agent"), "http://api.github.com/repos/other/x", Verdict::Denied),
        (Some("agent"), "http://api.github.com/repos/corp/../other", Verdict::Denied),
        // Nobody sees methods in a tunnel.
        (Some("agent"), "https://api.github.com/repos/corp/x", Verdict::Denied),
        (Some("agent"), "https://pypi.org", Verdict::Denied),
        (None, "https://pypi.org", Verdict::Denied),
    ] {
        assert_eq!(verdict(&rules, who, ask), verdict_is, "{who:?} {ask}");
    }
}

#[test]
fn who_is_known_by_address() {
    let rules = fleet();
    let at = |address: &str| rules.name_of(rules.who_at(address.parse().unwrap())).map(str::to_owned);
    assert_eq!(at("10.8.1.1").as_deref(), Some("batch"));
    assert_eq!(at("10.8.7.1").as_deref(), Some("night"));
    assert_eq!(at("::ffff:10.8.1.1").as_deref(), Some("batch"));
    // The agent's range is required besides its password, and proves nothing alone.
    assert_eq!(at("10.9.0.1"), None);
}

#[test]
fn a_login_is_asked_for_only_where_it_could_help() {
    let rules = fleet();
    let helps = |ask: &str| rules.login_helps(&sluicegate_rules::Ask::parse(ask).unwrap().request());
    assert!(helps("https://pypi.org"));
    assert!(helps("http://api.github.com/repos/corp/x"));
    assert!(!helps("http://api.github.com/other"));
    assert!(!helps("https://unknown.example"));
    assert!(!helps("https://evil.example"));
    assert!(!helps("https://x.pastebin.com"));
    assert!(
        rules.decide(Who::NOBODY, &sluicegate_rules::Ask::parse("https://pypi.org").unwrap().request()).who().is_none()
    );
}

/// Where it is not known who asks, what is denied to anybody is denied, and only what everybody may is allowed.
#[test]
fn anybody_is_whoever_may_least() {
    let rules = Rules::read(
        "egress.toml",
        "allow = [\"93.0.0.0/8\"]\n[users]\nci = { from = [\"10.0.0.1\"] }\n[[rule]]\nwho = [\"ci\"]\ndeny = [\"93.184.0.0/16\"]\n\
         allow = [\"94.0.0.0/8\", \"93.184.216.0/24\"]",
    )
    .unwrap();
    let ci = rules.who("ci").unwrap();
    for (who, address, may) in [
        (Who::NOBODY, "93.184.1.1", true),
        (ci, "93.184.1.1", false),
        (Who::ANYBODY, "93.184.1.1", false),
        (ci, "93.184.216.1", true),
        (Who::ANYBODY, "93.184.216.1", false),
        (Who::ANYBODY, "93.1.1.1", true),
    ] {
        let request = Request::connect(Host::Address(address.parse().unwrap()), 443);
        let decision = rules.decide_address(who, &request, address.parse().unwrap(), Surroundings::default());
        assert_eq!(decision.passes(), may, "{who:?} {address}");
    }
    assert_eq!(rules.name_of(Who::ANYBODY), None);
}

#[test]
fn a_login_helps_only_where_somebody_who_can_log_in_may_go() {
    let token = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let rules = Rules::read(
        "egress.toml",
        &format!(
            "[users]\nci = {{ token = \"{token}\" }}\nplace = {{ from = [\"10.0.0.1\"] }}\n[[rule]]\nwho = [\"ci\"]\nallow = [\"ci.org\"]\n\
             [[rule]]\nwho = [\"place\"]\nallow = [\"place.org\"]\n"
        ),
    )
    .unwrap();
    for (host, helps) in [("ci.org", true), ("place.org", false), ("evil.org", false)] {
        assert_eq!(rules.login_helps(&Request::connect(Host::Name(host), 443)), helps, "{host}");
    }
}
