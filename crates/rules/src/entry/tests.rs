use super::*;

fn read(text: &str) -> String {
    Entry::parse(text, List::Allow, false).unwrap_or_else(|why| panic!("{text}: {why:?}")).to_string()
}

#[test]
fn what_entries_mean() {
    for (text, means) in [
        ("pypi.org", "pypi.org:80,443"),
        ("PyPI.ORG.", "pypi.org:80,443"),
        ("*.x.org", "*.x.org:80,443"),
        (".x.org", ".x.org:80,443"),
        ("x.org:8443", "x.org:8443"),
        ("x.org:*", "x.org:*"),
        ("*.x.org:*", "*.x.org:*"),
        ("Bücher.example", "xn--bcher-kva.example:80,443"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example:80,443"),
        ("pypi。org", "pypi.org:80,443"),
        ("_dmarc.x.org", "_dmarc.x.org:80,443"),
        ("localhost", "localhost:80,443"),
        ("com", "com:80,443"),
        ("github.io", "github.io:80,443"),
        ("*.internal", "*.internal:80,443"),
        ("10.0.0.0/8", "10.0.0.0/8:80,443"),
        ("10.4.0.7", "10.4.0.7/32:80,443"),
        ("10.4.0.7:5432", "10.4.0.7/32:5432"),
        ("10.4.0.0/16:*", "10.4.0.0/16:*"),
        ("2001:db8::1", "[2001:db8::1/128]:80,443"),
        ("2001:db8::/32", "[2001:db8::/32]:80,443"),
        ("[2001:db8::1]:8443", "[2001:db8::1/128]:8443"),
        ("[2001:db8::/32]:*", "[2001:db8::/32]:*"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8:80,443"),
    ] {
        assert_eq!(read(text), means, "{text}");
    }
    assert_eq!(Entry::parse("x.org", List::Deny, false).unwrap().to_string(), "x.org:*");
    assert_eq!(Entry::parse("*.com", List::Deny, false).unwrap().to_string(), "*.com:*");
    assert_eq!(Entry::parse("*", List::Allow, true).unwrap().to_string(), "*:80,443");
    assert_eq!(Entry::parse("*.com:*", List::Allow, true).unwrap().to_string(), "*.com:*");
}

#[test]
fn what_is_refused_is_corrected() {
    for (text, meant) in [
        ("**.x.org", "*.x.org"),
        ("**.x.org:8443", "*.x.org:8443"),
        ("a.*.x.org", "*.x.org"),
        ("api-*.x.org", "*.x.org"),
        ("*-api.x.org:*", "*.x.org:*"),
        ("*x.org", ".x.org"),
        ("*.com", ".example.com"),
        (".co.uk", ".example.co.uk"),
        ("*.github.io", ".example.github.io"),
        ("*.рф", ".example.xn--p1ai"),
        (".xn--55qx5d.cn", ".example.xn--55qx5d.cn"),
        ("*", ".example.com"),
        ("https://x.org/a/b", "x.org"),
        ("http://x.org:8080/", "x.org:8080"),
        ("https://u:p@x.org", "x.org"),
        ("ssh://git@x.org", "x.org:*"),
        ("x.org/a", "x.org"),
        ("u@x.org", "x.org"),
        (" x.org ", "x.org"),
        ("a..x.org", "a.x.org"),
        ("10.0.0.5/8", "10.0.0.0/8"),
        ("::/0:*", "[::/0]:*"),
        ("2001:db8::1:99999", "[2001:db8::1]:99999"),
    ] {
        let mistake = Entry::parse(text, List::Allow, false).unwrap_err();
        assert_eq!(mistake.meant.as_deref(), Some(meant), "{text}: {mistake:?}");
    }
}

#[test]
fn what_is_refused() {
    for text in [
        "",
        " ",
        "a b",
        "a,b",
        "x.org:",
        "x.org:0",
        "x.org:65536",
        "x.org:+1",
        "x.org:http",
        ":443",
        "*:",
        ".",
        "*.",
        "..",
        "x..",
        "127.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "2130706433",
        "1.2.3.4.",
        "127.0.0.1.",
        "１２７.0.0.1",
        "0x",
        "a.0x1",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "[::1",
        "[::1]x",
        "[x]",
        "::1:2:3:4:5:6:7:8",
        "fe80::1%eth0",
        "x%2eorg",
        "x\\org",
        "x.org#",
        "*.*",
        "*.*.org",
        "@more.txt",
        "a\u{0}b",
    ] {
        assert!(Entry::parse(text, List::Allow, true).is_err(), "{text:?} is taken");
    }
    assert!(Entry::parse("db.corp", List::Private, false).is_err());
    let told = Entry::parse("0x7f.1", List::Allow, false).unwrap_err();
    assert_eq!(told.help.as_deref(), Some("127.0.0.1 is how some programs read it"));
}

#[test]
fn what_includes_what() {
    let read = |text| Entry::parse(text, List::Allow, true).unwrap();
    for (wide, narrow, is) in [
        (".x.org", "x.org", true),
        (".x.org", "*.x.org", true),
        ("*.x.org", "a.b.x.org", true),
        ("*.x.org", "*.a.x.org", true),
        ("*.x.org", "x.org", false),
        ("*.x.org", ".x.org", false),
        ("x.org", "a.x.org", false),
        ("*.x.org", "yx.org", false),
        ("x.org", "x.org:443", true),
        ("x.org:443", "x.org", false),
        ("x.org:*", "x.org", true),
        ("*", "x.org", true),
        ("10.0.0.0/8", "10.1.0.0/16", true),
        ("10.1.0.0/16", "10.0.0.0/8", false),
        ("*", "10.0.0.0/8", false),
    ] {
        assert_eq!(read(wide).includes(&read(narrow)), is, "{wide} {narrow}");
    }
}
