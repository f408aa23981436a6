//! What is wrong in a file is told with its place, its line, and the line that was probably meant.

use sluicegate_rules::{Loader, Mode, Problems, Severity, Value};

use crate::common::{SETTINGS, load, mistakes, passes, rules};

/// Each file, and a line that its mistakes must have in one-line form.
#[test]
fn mistakes_are_told_in_one_line() {
    for (text, said) in [
        ("alow = []", "egress.toml:1:1: `alow` is not a key of the file; write: allow = []"),
        (
            "x = 1\n\nallow = \"pypi.org\"",
            "egress.toml:3:9: `allow` takes a list of strings, and this is a string; write: allow = [\"pypi.org\"]",
        ),
        ("allow = [1]", "egress.toml:1:10: `allow` takes a list of strings, and this is a number"),
        (
            "allow = [\"**.x.org\"]",
            "egress.toml:1:10: `**.` means different things to different programs; write: allow = [\"*.x.org\"]",
        ),
        ("allow = ['https://x.org/a']", "egress.toml:1:10: an entry is a host, not a URL; write: allow = ['x.org']"),
        (
            "allow = [\"*.com\"]",
            "anybody can have a name below com, which is a public suffix; write: allow = [\".example.com\"]; or write allow_suffix = true to insist",
        ),
        ("allow = [\"x.org\",\n  \"127.1\"]", "egress.toml:2:3: some programs read it as an IPv4 address"),
        (
            "mode = \"enforced\"",
            "egress.toml:1:8: `mode` is one of \"open\", \"report\", \"enforce\"; write: mode = \"enforce\"",
        ),
        ("mode = true", "`mode` takes one of \"open\", \"report\", \"enforce\", and this is true or false"),
        ("allow_suffix = \"yes\"", "`allow_suffix` takes true or false, and this is a string"),
        ("allow-client = [\"10.0.0.0/8\"]", "write: clients = [\"10.0.0.0/8\"]"),
        (
            "clients = [\"10.0.0.5/8\"]",
            "it has bits beyond its prefix; write: clients = [\"10.0.0.0/8\"]; for one address write \"10.0.0.5\"",
        ),
        ("private = [\"db.corp\"]", "`private` takes addresses and ranges only"),
        ("nat64 = [\"2001:db8::/33\"]", "32, 40, 48, 56, 64 or 96 bits"),
        ("[rule]\nallow = [\"x.org\"]", "write [[rule]]"),
        ("[[rule]]\nname = \"a\"", "egress.toml:1:1: the rule has neither `allow` nor `deny`"),
        ("[[rule]]\nwho = []\nallow = []", "egress.toml:2:7: with an empty list the rule is for nobody"),
        ("[[rule]]\nmethods = []\nallow = []", "the rule is for no request"),
        (
            "[users]\nagent = { from = [\"10.0.0.1\"] }\n[[rule]]\nwho = [\"agnet\"]\nallow = []",
            "egress.toml:4:8: there is no user `agnet`; write: who = [\"agent\"]",
        ),
        ("[[rule]]\nwho = [\"ci\"]\nallow = []", "there is no user `ci`; users stand in [users]"),
        ("[[rule]]\nallow = []\nmethods = [\"get\"]", "write: methods = [\"GET\"]"),
        ("[[rule]]\nallow = []\npaths = [\"repos/*\"]", "a path begins with /; write: paths = [\"/repos/*\"]"),
        ("[[rule]]\nallow = []\npaths = [\"/\"]\nmethods = [\"CONNECT\"]", "CONNECT has no path"),
        ("[[rule]]\nallow = []\nmethod = [\"GET\"]", "`method` is not a key of a rule; write: methods = [\"GET\"]"),
        ("[[rule]]\nname = \"a b\"\nallow = []", "write: name = \"a-b\""),
        (
            "[[rule]]\nname = \"a\"\nallow = []\n[[rule]]\nname = \"a\"\nallow = []",
            "egress.toml:5:8: the rule at egress.toml:2:8 is called `a` too",
        ),
        ("[users]\nci = {}", "egress.toml:2:1: nothing proves that somebody is `ci`"),
        ("[users]\nci = { token = \"secret\" }", "a token is written as sha256: and 64 hexadecimal digits"),
        ("[users]\nci = { password = \"secret\" }", "a password is written as its hash"),
        ("[users]\n\"a:b\" = { from = [\"::1\"] }", "a user's name is 1 to 64 characters"),
        ("[users]\nci = \"secret\"", "a user is a table with `token`, `password` or `from`"),
        (
            "[[test]]\nallow = [\"pypi.org\"]",
            "it has neither a scheme nor a port; write: allow = [\"https://pypi.org\"]",
        ),
        ("[[test]]\nas = \"x\"\nallow = []", "there is no user `x`"),
        (
            "allow = [\"x.org\"]\n[[test]]\nallow = [\"https://y.org\"]",
            "egress.toml:3:10: CONNECT y.org:443 must be allowed, and is denied; no rule allows y.org:443 (egress.toml:1:1)",
        ),
        (
            "allow = [\"x.org\"]\n[[test]]\ndeny = [\"https://x.org\"]",
            "must be denied, and is allowed; \"x.org\" allows it (egress.toml:1:10)",
        ),
        ("allow = [\"@x.txt\"]", "cannot read x.txt: files cannot be named here"),
        ("allow = [", "egress.toml:1:"),
        ("allow = []\nallow = []", "egress.toml:2:1: duplicate key"),
        ("[limits]\nx = 1", "`limits` is not a key of the file"),
        ("workers = 1.5", "`workers` takes a string, a whole number, true or false, or a list of strings"),
    ] {
        let told = mistakes(text).to_string();
        assert!(told.contains(said), "{text}\n  is told as\n{told}\n  and should say\n{said}");
    }
}

#[test]
fn mistakes_are_shown_with_their_line() {
    let long = mistakes("# mine\nallow = [\"pypi.org\", \"**.x.org\"]").long();
    let shown = "\
error: `**.` means different things to different programs
  --> egress.toml:2:22
   |
 2 | allow = [\"pypi.org\", \"**.x.org\"]
   |                      ^^^^^^^^^^
   = write: allow = [\"pypi.org\", \"*.x.org\"]
   = \"*.x.org\" is all below it; \".x.org\" is that and itself
";
    assert_eq!(long, shown);
    // A long line is shown around the mark, and nothing of it reaches a terminal as a control.
    let long = mistakes(&format!("allow = [{}\"**.x.org\"]", "\"a.org\",\t".repeat(500))).long();
    assert!(long.lines().all(|line| line.chars().count() < 200 && !line.contains('\t')), "{long}");
    assert!(long.contains("\"**.x.org\""), "{long}");
}

#[test]
fn all_mistakes_are_told_up_to_a_bound() {
    let told = mistakes("alow = []\nmode = \"x\"\nallow = [\"a b\", \"**.x\"]");
    assert_eq!(told.iter().count(), 4, "{told}");
    let told = mistakes(&format!("allow = [{}]", "\"**.x.org\",".repeat(1000)));
    assert_eq!(told.iter().count(), 50);
    assert!(told.to_string().ends_with("and 950 more"));
}

#[test]
fn doubts_are_warnings() {
    for (text, said) in [
        (
            "deny = [\"*.x.org\"]",
            "egress.toml:1:9: warning: x.org itself is not denied by it; write: deny = [\".x.org\"]",
        ),
        (
            "deny = [\"*.x.org:443\"]\nmode = \"open\"",
            "x.org itself is not denied by it; write: deny = [\".x.org:443\"]",
        ),
        ("mode = \"open\"\nallow = [\"x.org\"]", "the rules decide nothing while the mode is open"),
        ("mode = \"enforce\"", "there is no `allow` and no `deny`, so every name passes"),
    ] {
        let rules = rules(text);
        let told: Vec<_> = rules.warnings().iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|one| one.contains(said)), "{text}: {told:?}");
        assert!(rules.warnings().iter().all(|one| one.severity == Severity::Warning));
    }
    for text in ["deny = [\"*.x.org\", \"x.org\"]", "deny = [\".x.org\"]", "allow = [\"*.x.org\"]"] {
        assert!(rules(text).warnings().is_empty(), "{text}");
    }
}

#[test]
fn defaults() {
    for (text, mode) in [
        ("", Mode::Open),
        ("allow = []", Mode::Enforce),
        ("deny = [\"x.org\"]", Mode::Enforce),
        ("[[rule]]\ndeny = [\"x.org\"]", Mode::Enforce),
        ("private = [\"10.0.0.0/8\"]", Mode::Open),
        ("mode = \"report\"\nallow = []", Mode::Report),
    ] {
        let rules = rules(text);
        assert_eq!(rules.mode(), mode, "{text}");
    }
    assert!(rules("").clients().is_none());
}

#[test]
fn files_are_joined_and_settings_stand_once() {
    let files = [
        ("egress.toml", "allow = [\"a.org\"]\nlisten = \"127.0.0.1:1\""),
        ("conf.d/b.toml", "allow = [\"b.org\"]\ndeny = [\"c.org\"]\n[users]\nci = { from = [\"10.0.0.1\"] }"),
        ("conf.d/c.toml", "allow = [\"c.org\"]\n[[rule]]\nwho = [\"ci\"]\nallow = [\"d.org\"]"),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let rules = load(&order.map(|at| files[at]), &[]).unwrap();
        assert!(passes(&rules, "https://a.org") && passes(&rules, "https://b.org"));
        assert!(!passes(&rules, "https://c.org"));
        assert!(rules.who("ci").is_some());
    }
    for (one, two) in [
        ("listen = \"a\"", "listen = \"a\""),
        ("mode = \"open\"", "mode = \"report\""),
        ("mode = \"open\"", "mode = \"open\""),
        ("allow_suffix = true", "allow_suffix = true"),
        ("[users]\nci = { from = [\"10.0.0.1\"] }", "[users]\nci = { from = [\"10.0.0.2\"] }"),
        ("[[rule]]\nname = \"a\"\nallow = []", "[[rule]]\nname = \"a\"\nallow = []"),
    ] {
        let told = load(&[("a.toml", one), ("b.toml", two)], &[]).map(|_| ()).unwrap_err().to_string();
        assert!(told.contains("b.toml:") && told.contains("a.toml:"), "{told}");
    }
}

#[test]
fn lists_in_files() {
    let text = "\u{feff}allow = [\"@hosts.txt\"]\n";
    let rules =
        load(&[("egress.toml", text)], &[("hosts.txt", "\r\n# mine\r\n  pypi.org  # python\r\n*.x.org:8443\r\n")])
            .unwrap();
    assert!(passes(&rules, "https://pypi.org") && passes(&rules, "a.x.org:8443"));
    for (list, said) in [
        ("pypi.org\n  **.x.org\n", "hosts.txt:2:3: `**.` means different things to different programs; write: *.x.org"),
        ("@more.txt", "hosts.txt:1:1: a file of entries cannot name another file"),
        ("a.org b.org", "hosts.txt:1:1: there is more than one entry in it"),
    ] {
        let told = load(&[("egress.toml", text)], &[("hosts.txt", list)]).map(|_| ()).unwrap_err().to_string();
        assert!(told.contains(said), "{told}");
    }
    let told = load(&[("egress.toml", text)], &[]).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("egress.toml:1:10: cannot read hosts.txt: no such file"), "{told}");
}

#[test]
fn users_in_files() {
    let bcrypt = "$2y$10$abcdefghijklmnopqrstuuOX3Wq6rCQ4vYd3v1xJ9s2m5b8c7e6fG";
    let file = [("egress.toml", "users = \"@users.htpasswd\"")];
    let rules = load(&file, &[("users.htpasswd", &format!("ci:{bcrypt}\n\nagent:{bcrypt}\n"))]).unwrap();
    assert_eq!(rules.users().count(), 2);
    assert_eq!(rules.users().next().unwrap().1.password().unwrap().expose(), bcrypt);
    for (list, said) in
        [("ci", "NAME:HASH"), ("ci:$apr1$a$b", "too weak"), (&format!("a:{bcrypt}\na:{bcrypt}"), "stands at")]
    {
        let told = load(&file, &[("users.htpasswd", list)]).map(|_| ()).unwrap_err().to_string();
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn settings_are_handed_on() {
    let text = "client-buffer = 16384\nno-via = true\nquiet = false\nlisten = [\"127.0.0.1:1\", \"[::1]:1\"]\nhead-timeout = \"10s\"";
    let known = ["client-buffer", "no-via", "quiet", "listen", "head-timeout"];
    let loaded = Loader::new().settings(&known).load([("egress.toml", text)]).unwrap();
    let mut flags: Vec<_> = loaded.settings().iter().flat_map(|setting| setting.flags()).collect();
    flags.sort();
    assert_eq!(
        flags,
        ["--client-buffer=16384", "--head-timeout=10s", "--listen=127.0.0.1:1", "--listen=[::1]:1", "--no-via"]
    );
    let setting = loaded.settings().iter().find(|setting| setting.name() == "head-timeout").unwrap();
    assert_eq!(setting.value(), &Value::Text("10s".to_owned()));
    assert_eq!(loaded.place(setting).to_string(), "egress.toml:5:1");
    let told = loaded.wrong(setting, "it is too short").to_string();
    assert_eq!(told, "egress.toml:5:16: it is too short");
    let unknown =
        |text: &str| -> Problems { Loader::new().settings(&known).load([("e", text)]).map(|_| ()).unwrap_err() };
    let told = unknown("client_buffer = 1").to_string();
    assert!(told.contains("write: client-buffer = 1"), "{told}");
    assert!(unknown("colour = 1").to_string().contains("the keys here are allow, deny"));
}

#[test]
fn flags_win_over_files() {
    let file =
        "mode = \"enforce\"\nlisten = \"127.0.0.1:1\"\nworkers = 2\nallow = [\"a.org\"]\nclients = [\"10.0.0.0/8\"]";
    let flags = "mode = \"report\"\nlisten = [\"127.0.0.1:2\"]\nallow = [\"b.org\"]\nclients = [\"192.168.0.0/16\"]\nprivate = [\"10.0.0.1\"]";
    let load = |flags| Loader::new().settings(SETTINGS).flags("the command line", flags).load([("egress.toml", file)]);
    let rules = load(flags).unwrap();
    assert_eq!(rules.mode(), Mode::Report);
    let mut given: Vec<_> = rules.settings().iter().flat_map(|setting| setting.flags()).collect();
    given.sort();
    assert_eq!(given, ["--listen=127.0.0.1:2", "--workers=2"]);
    assert!(passes(&rules, "https://a.org") && passes(&rules, "https://b.org"));
    assert_eq!(rules.clients().unwrap().len(), 2);
    let told = load("mode = \"x\"").map(|_| ()).unwrap_err().to_string();
    assert!(told.starts_with("the command line:1:8: "), "{told}");
}

/// A hash belongs there, and somebody may have written the secret itself.
#[test]
fn secrets_are_not_shown_with_the_line() {
    let file = |_: &str, _: &str| Ok("ci:hunter2\nhunter2\n".to_owned());
    for text in [
        "[users]\nci = { password = \"hunter2\" }",
        "[users]\nci = { token = 'hunter2', from = [\"10.0.0.0/8\"] }",
        "[users]\nci = { passwd = \"hunter2\" }",
        "[users.ci]\n\"token\" = \"hunter2",
        "[users]\nci = { from = [\"x\"], password = \"hunter2\" }",
        "users = \"@users\"",
        "passwords = \"hunter2\"",
    ] {
        let told = Loader::new().include(file).load([("egress.toml", text)]).map(|_| ()).unwrap_err();
        let shown = format!("{told}\n{}", told.long());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("*******"), "{shown}");
    }
}
