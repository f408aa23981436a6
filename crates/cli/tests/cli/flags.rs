//! Each mistake in a flag ends with 2 and one line that says what is wrong, where, and what is
//! right.

use crate::kit::{ended, refused, sluicegate};

const TIME: &str = "it must be a time like 500ms, 30s, 5m or 1h";
const SIZE: &str = "it must be a size like 65536, 64KiB or 1MiB";
const NUMBER: &str = "it must be a whole number";

/// A flag, what is wrong with it, and what is said about it.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("--listen", "3128", "write 127.0.0.1:3128, or use --port 3128"),
    ("--listen", ":3128", "write 127.0.0.1:3128 for this machine only"),
    ("--listen", "example.com:3128", "it must be an address of this machine, or localhost"),
    ("--listen", "nonsense", "it must be an address with a port"),
    ("--listen", "0.0.0.0:0", "with --allow-client, for example --allow-client 192.168.0.0/16"),
    ("--listen", "[::]:0", "with --allow-client, for example --allow-client fd00::/8"),
    ("--listen", "192.0.2.1:0", "--allow-client"),
    ("--port", "70000", "it must be a port, 0 to 65535"),
    ("--workers", "0", "it must be a number of threads, 1 to 1024"),
    ("--workers", "many", "it must be a number of threads"),
    ("--max-connections", "0", "it must be at least 1"),
    ("--max-connections-per-client", "0", "it must be at least 1"),
    ("--max-connections", "x", NUMBER),
    ("--max-idle-origins", "-1", NUMBER),
    ("--shutdown-timeout", "off", TIME),
    ("--allow-client", "10.0.0.0/33", "it must be a range like 192.168.0.0/16 or fd00::/8, or an address"),
    ("--allow-client", "10.0.0.5/8", "for the whole range write 10.0.0.0/8, for one address 10.0.0.5/32"),
    ("--allow-destination", "localhost", "it must be a range"),
    ("--deny-destination", "publik", "or the word private"),
    ("--reverse", "/app", "it must be a prefix and an origin"),
    ("--x-forwarded", "trust", "[possible values: replace, append, remove, keep]"),
    ("--forwarded", "trust", "[possible values: replace, append, remove, keep]"),
    ("--underscore-fields", "replace", "[possible values: remove, keep]"),
    ("--upgrade", "h2c", "--upgrade is \"h2c\"; it must be another protocol than HTTP; h2c cannot be passed on"),
    ("--upgrade", "HTTP/2.0", "h2c cannot be passed on"),
    ("--upgrade", "tcp, udp", "it must be a protocol's name, like tcp or SPDY/3.1"),
    ("--upgrade", "", "--upgrade is \"\"; it must be a protocol's name"),
    ("--client-fin", "maybe", "[possible values: abort, allow]"),
    ("--client-buffer", "0", "--client-buffer is 0; it must be between 1 byte and 64 MiB"),
    ("--client-buffer", "16 potatoes", SIZE),
    ("--client-buffer", "65MiB", "it must be between 1 byte and 64 MiB"),
    ("--origin-buffer", "0", "--origin-buffer is 0"),
    ("--origin-buffer", "1T", SIZE),
    ("--max-head", "10", "--max-head is 10; it must be between 256 bytes and 1 MiB"),
    ("--max-head", "k", SIZE),
    ("--max-fields", "10001", "it must be between 1 and 10000"),
    ("--max-fields", "1K", NUMBER),
    ("--max-response-head", "2M", "it must be between 256 bytes and 1 MiB"),
    ("--max-response-head", "", "--max-response-head"),
    ("--max-response-fields", "0", "it must be at least 1"),
    ("--linger-bytes", "1.5M", SIZE),
    ("--max-unsent", "some", "it must be a size like 65536, 64KiB or 1MiB, or off"),
    ("--max-unsent", "0", "it must be between 1 byte and 1 GiB, or off"),
    ("--max-unsent", "5GiB", "it must be between 1 byte and 1 GiB, or off"),
    ("--client-send-buffer", "off", SIZE),
    ("--client-receive-buffer", "4095", "it must be between 4 KiB and 1 GiB"),
    ("--origin-send-buffer", "2GiB", "it must be between 4 KiB and 1 GiB"),
    ("--origin-receive-buffer", "0", "it must be between 4 KiB and 1 GiB"),
    ("--max-memory", "lots", SIZE),
    ("--max-memory", "1KiB", "at least what one connection may hold (--explain-memory says how much)"),
    ("--memory-timeout", "off", TIME),
    ("--head-timeout", "0", "it must be more than 0, or off"),
    ("--head-timeout", "soon", TIME),
    ("--idle-timeout", "1d", TIME),
    ("--origin-idle-timeout", "off", TIME),
    ("--connect-timeout", "9000h", "it must be at most a year"),
    ("--response-timeout", "5 parsecs", TIME),
    ("--body-timeout", "never", TIME),
    ("--splice-memory", "lots", SIZE),
    ("--tunnel-idle-timeout", "1.5h", TIME),
    ("--half-closed-timeout", "-5s", TIME),
    ("--linger-timeout", "off", TIME),
    ("--abort-timeout", "", "--abort-timeout"),
    ("--dns-server", "dns.test", "an address like 10.0.0.53 or [fd00::53]:5353"),
    ("--dns-timeout", "soon", TIME),
    ("--prefer", "ipv5", "possible values: ipv4, ipv6"),
    ("--tcp-keepalive", "999ms", "--tcp-keepalive is 999ms; it must be at least 1s, or off"),
    ("--tcp-user-timeout", "long", TIME),
    ("--config", "/nowhere/egress.toml", "cannot read /nowhere/egress.toml: "),
    ("--access-log", "", "--access-log"),
    ("--access-log-format", "combined", "--access-log-format needs --access-log FILE"),
    ("--access-log-format", "xml", "[possible values: combined, json]"),
    ("--log-level", "loud", "[possible values: error, warn, info, debug, trace, off]"),
];

#[test]
fn each_mistake_is_explained_in_one_line() {
    for (flag, value, right) in MISTAKES {
        let (said, code) = refused(&[&format!("{flag}={value}")]);
        assert_eq!(code, 2, "{flag} {value}");
        assert!(said.contains(flag), "{flag} {value}: {said}");
        assert!(said.contains(right), "{flag} {value}: {said}");
    }
}

#[test]
fn each_flag_with_a_value_is_among_the_mistakes() {
    let help = ended(&mut sluicegate(&["-h"]));
    let help = String::from_utf8(help.stdout).unwrap();
    let flags: Vec<&str> =
        help.split_whitespace().filter(|word| word.starts_with("--") && help.contains(&format!("{word} <"))).collect();
    assert!(flags.len() > 25, "{flags:?}");
    for flag in flags {
        assert!(MISTAKES.iter().any(|(known, ..)| *known == flag), "{flag} is not checked");
    }
}

#[test]
fn other_mistakes() {
    for (flags, right) in [
        (&["--no-such-flag"][..], "'--no-such-flag'"),
        (&["--lisen", "127.0.0.1:1"], "'--listen'"),
        (&["proxy.conf"], "'proxy.conf'"),
        (&["--listen"], "--listen"),
        (&["--port", "1", "--listen", "127.0.0.1:1"], "cannot be used with"),
        (&["--listen", "127.0.0.1:9", "--listen", "localhost:9"], "127.0.0.1:9 is given twice"),
        (&["--quiet", "--quiet"], "--quiet"),
    ] {
        let (said, code) = refused(flags);
        assert_eq!(code, 2, "{flags:?}");
        assert!(
            said.contains(right) && said.trim_end().ends_with("see --help") || said.contains("given twice"),
            "{flags:?}: {said}"
        );
    }
}

#[test]
fn help_and_version() {
    let version = ended(&mut sluicegate(&["-V"]));
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), format!("sluicegate {}\n", env!("CARGO_PKG_VERSION")));
    for flag in ["-h", "--help"] {
        let help = ended(&mut sluicegate(&[flag]));
        assert_eq!(help.status.code(), Some(0));
        let text = String::from_utf8(help.stdout).unwrap();
        for words in ["Listening:", "Access:", "Deadlines", "--allow-client", "[default: 8s]", "[default: 16KiB]"] {
            assert!(text.contains(words), "{flag}: {words}");
        }
    }
}

/// What `--explain-memory` says with these flags besides.
fn explained(flags: &[&str]) -> String {
    let output = ended(sluicegate(&["--explain-memory"]).args(flags));
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

/// The number at the beginning of each line that has one.
fn numbers(text: &str) -> Vec<usize> {
    text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

#[test]
fn memory_is_explained() {
    let text = explained(&["--client-buffer", "1MiB", "--max-connections", "70", "--splice-memory", "1MiB"]);
    let [total, parts @ .., larger, all, bulk, idle, future] = &numbers(&text)[..] else { panic!("{text}") };
    assert_eq!(parts[0], 1 << 20);
    assert_eq!(*total, parts.iter().sum::<usize>());
    // A response head of 64 KiB, as it came and as it leaves, less what is counted for 16 KiB of it.
    assert_eq!(*larger, 2 * 48 * 1024);
    assert_eq!(*all, (total + larger) * 70 + bulk);
    assert_eq!(*bulk, 1 << 20);
    assert!(text.contains("for all: 70 connections work at once (--max-connections 70)\n"), "{text}");
    assert!(future < idle, "{text}");
    assert!((500..4000).contains(idle) && text.contains(" about, for each idle connection"), "{text}");
    assert!(text.contains("at most 64KiB that is not yet on its way (--max-unsent);\n"), "{text}");
    assert!(text.contains("from clients: the kernel's to size, from origins: the kernel's to size (docs/memory.md)"));
}

#[test]
fn memory_of_all_is_explained() {
    let (bound, larger) = (numbers(&explained(&[]))[0], 2 * 48 * 1024);
    let total = (bound * 5 + 17).to_string();
    let text = explained(&["--max-memory", &total, "--max-connections", "70"]);
    assert!(text.contains(&format!(" {total} for all (--max-memory): 5 connections work at once (")), "{text}");
    let text = explained(&["--max-memory", &total, "--max-connections", "3"]);
    assert!(text.contains(&format!(" {total} for all (--max-memory): 3 connections work at once (")), "{text}");
    let pipes = explained(&["--max-memory", "2MiB"]);
    assert!(pipes.contains(&format!("{} connections work at once", (3 << 19) / bound)), "{pipes}");
    assert!(pipes.contains(" 524288 of them in pipes of the kernel (--splice-memory)\n"), "{pipes}");
    let text = explained(&["--splice-memory", "0"]);
    let line = text.lines().find(|line| line.contains("for all: ")).unwrap();
    let numbers: Vec<usize> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers[0], (bound + larger) * numbers[1]);
    assert!(line.ends_with(", from the limit of open descriptors)"), "{line}");
}

#[test]
fn the_kernels_share_is_explained_as_it_is_set() {
    let text = explained(&["--max-unsent", "off", "--origin-receive-buffer", "256KiB"]);
    assert!(text.contains("(--max-unsent off)") && text.contains("from origins: 256KiB"), "{text}");
    assert!(explained(&["--max-unsent", "32KiB"]).contains("at most 32KiB that"));
}
