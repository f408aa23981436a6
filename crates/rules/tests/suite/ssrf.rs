//! Ways to spell an address that must not be reached, and neighbours that must be.
//!
//! The rules here allow every name and every address, so that nothing but the guard stands between.

use std::net::{IpAddr, Ipv4Addr};

use sluicegate_rules::{Host, Request, Rules, Surroundings, Who};

use crate::common::rules;

const ALL: &str = "allow_suffix = true\nallow = [\"*:*\", \"0.0.0.0/0:*\", \"[::/0]:*\"]";

const GUARDED: [[u8; 4]; 14] = [
    [127, 0, 0, 1],
    [127, 255, 255, 254],
    [169, 254, 169, 254],
    [10, 0, 0, 1],
    [172, 31, 255, 1],
    [192, 168, 1, 1],
    [100, 100, 100, 200],
    [0, 0, 0, 0],
    [224, 0, 0, 1],
    [255, 255, 255, 255],
    [198, 18, 0, 1],
    [192, 0, 2, 1],
    [168, 63, 129, 16],
    [192, 0, 0, 192],
];

const FREE: [[u8; 4]; 7] = [
    [9, 255, 255, 255],
    [11, 0, 0, 1],
    [172, 32, 0, 1],
    [169, 253, 1, 1],
    [93, 184, 216, 34],
    [192, 169, 0, 1],
    [100, 128, 0, 1],
];

/// Spellings that some programs take for the address and others do not: nobody may take them for a name.
fn unusual([a, b, c, d]: [u8; 4]) -> Vec<String> {
    let whole = u32::from_be_bytes([a, b, c, d]);
    let (low16, low24) = (whole & 0xffff, whole & 0xff_ffff);
    vec![
        format!("{whole}"),
        format!("0x{whole:x}"),
        format!("0X{whole:08X}"),
        format!("0{whole:o}"),
        format!("{a}.{low24}"),
        format!("{a}.{b}.{low16}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("0x{a:x}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.0x{d:x}"),
        format!("{a}.{b}.{c}.0{d:o}0"),
        format!("00{a}.0{b}.0{c}.0{d}"),
        format!("{a}.{b}.{c}.{d}."),
        format!("{a}.{b}.{c}.{d}.."),
        format!("{a}.{b}.{c}.{d}.0"),
        format!("{a}.{b}..{d}"),
        format!("{a}.{b}.{c}.{d}%00"),
        format!("{a}%2e{b}%2e{c}%2e{d}"),
        format!("u@{a}.{b}.{c}.{d}"),
        format!("{a}。{b}。{c}。{d}"),
        format!("[{a}.{b}.{c}.{d}]"),
        format!("[::ffff:{a}.{b}.{c}.{d}%25lo]"),
        format!("[::ffff:{a}.{b}.{c}]"),
        format!("::ffff:{a}.{b}.{c}.{d}"),
    ]
}

/// Spellings that all read alike, and IPv6 addresses that lead to it.
fn addresses([a, b, c, d]: [u8; 4]) -> Vec<String> {
    // Where another layout of the local NAT64 prefix says more, 0.0.0.0 is only what this one leaves empty.
    vec![
        format!("{a}.{b}.{c}.{d}"),
        format!("[::ffff:{a}.{b}.{c}.{d}]"),
        format!("[::FFFF:{a:x}{b:02x}:{c:x}{d:02x}]"),
        format!("[0:0:0:0:0:ffff:{a:02x}{b:02x}:{c:02x}{d:02x}]"),
        format!("[::ffff:0:{a}.{b}.{c}.{d}]"),
        format!("[64:ff9b::{a}.{b}.{c}.{d}]"),
        format!("[0064:ff9b:0000::{a:02x}{b:02x}:{c:02x}{d:02x}]"),
        format!("[64:ff9b:1::{a}.{b}.{c}.{d}]"),
        format!("[64:ff9b:1:{}:{a:02x}{b:02x}:{c:02x}{d:02x}]", if a == 0 { "0:0:0" } else { "abcd:12:3400" }),
        format!("[64:ff9b:1:{a:02x}{b:02x}:{c:02x}:{d:02x}00::]"),
        format!("[64:ff9b:1:{a:02x}:{b:02x}:{c:02x}{d:02x}::]"),
        format!("[64:ff9b:1:0:{a:02x}:{b:02x}{c:02x}:{d:02x}00:0]"),
        format!("[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1]"),
        format!("[2001:0:{a:02x}{b:02x}:{c:02x}{d:02x}:8000:1:fefe:fefe]"),
        format!("[2001:0:4136:e378:8000:63bf:{:02x}{:02x}:{:02x}{:02x}]", !a, !b, !c, !d),
        format!("[2606:4700::5efe:{a}.{b}.{c}.{d}]"),
        format!("[2606:4700::200:5efe:{a}.{b}.{c}.{d}]"),
    ]
}

/// `::a.b.c.d`, which in part of the range is something else.
fn compatible([a, b, c, d]: [u8; 4]) -> String {
    format!("[::{a}.{b}.{c}.{d}]")
}

const SPECIAL: &[&str] = &[
    "::",
    "::1",
    "0:0:0:0:0:0:0:1",
    "fe80::1",
    "febf:ffff::1",
    "fec0::1",
    "feff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fdff:ffff::1",
    "fd20:ce::254",
    "ff02::1",
    "ff05::2",
    "ffff::1",
    "2001:db8::1",
    "2001:db8:ffff::1",
    "3fff::1",
    "3fff:fff::1",
    "2001:2::1",
    "100::1",
    "5f00::1",
    "2001:10::1",
    "2001:20::1",
];

const SPECIAL_FREE: &[&str] = &[
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "2001:db7::1",
    "2001:db9::1",
    "3fff:1000::1",
    "fbff::1",
    "fe00::1",
    "2001:3::1",
    "2a00:1450:4001::1",
    "2620:fe::fe",
    "101::1",
    "64:ff9c::7f00:1",
    "2003:7f00:1::1",
];

fn denied(rules: &Rules, host: Host<'_>) -> bool {
    let request = Request::connect(host, 80);
    let Host::Address(address) = host else { return false };
    !rules.decide(Who::NOBODY, &request).passes()
        || !rules.decide_address(Who::NOBODY, &request, address, Surroundings::default()).passes()
}

#[test]
fn guarded_addresses_are_refused_however_they_are_spelled() {
    let rules = rules(ALL);
    let mut count = 0;
    for bytes in GUARDED {
        for text in unusual(bytes) {
            assert!(Host::read(&text).is_err(), "{text} is taken");
            count += 1;
        }
        for text in addresses(bytes).into_iter().chain([compatible(bytes)]) {
            let host = Host::read(&text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert!(denied(&rules, host), "{text} passes");
            count += 1;
        }
    }
    for text in SPECIAL {
        assert!(denied(&rules, Host::read(&format!("[{text}]")).unwrap()), "{text} passes");
        count += 1;
    }
    assert!(count >= 250, "only {count} spellings");
}

#[test]
fn their_neighbours_pass() {
    let rules = rules(ALL);
    for bytes in FREE {
        for text in unusual(bytes) {
            assert!(Host::read(&text).is_err(), "{text} is taken");
        }
        for text in addresses(bytes).into_iter().chain([compatible(bytes)]) {
            // In the local NAT64 prefix a shorter layout read as another may be guarded; `private` opens it.
            let ambiguous =
                text.starts_with("[64:ff9b:1:") && !text.contains("abcd") && !text.starts_with("[64:ff9b:1::");
            assert!(ambiguous || !denied(&rules, Host::read(&text).unwrap()), "{text} is refused");
        }
    }
    for text in SPECIAL_FREE {
        assert!(!denied(&rules, Host::read(&format!("[{text}]")).unwrap()), "{text} is refused");
    }
    for name in ["0x7f.1.example", "127.0.0.1.example", "169-254-169-254.example", "a1", "1a", "0xg", "x0", "1.2.3.4a"]
    {
        assert!(matches!(Host::read(name), Ok(Host::Name(_))), "{name}");
    }
}

/// A name that was allowed leads to an address: every candidate is judged, whatever the one before was.
#[test]
fn an_allowed_name_does_not_lead_inside() {
    let rules = rules("allow = [\"rebinding.example:*\"]");
    let request = Request::connect(Host::read("rebinding.example").unwrap(), 443);
    assert!(rules.decide(Who::NOBODY, &request).passes());
    let passes =
        |address: IpAddr| rules.decide_address(Who::NOBODY, &request, address, Surroundings::default()).passes();
    for bytes in GUARDED {
        assert!(!passes(Ipv4Addr::from(bytes).into()));
        for text in addresses(bytes) {
            let Ok(Host::Address(address)) = Host::read(&text) else { panic!("{text}") };
            assert!(!passes(address), "{text}");
        }
    }
    for bytes in FREE {
        assert!(passes(Ipv4Addr::from(bytes).into()), "{bytes:?}");
    }
}

#[test]
fn the_networks_own_nat64_is_seen_through() {
    let without = rules(ALL);
    let with = rules(&format!("{ALL}\nnat64 = [\"2a00:64::/96\", \"2a00:65::/32\"]"));
    for (text, told) in
        [("[2a00:64::10.0.0.1]", true), ("[2a00:65:a00:1::]", true), ("[2a00:64::93.184.216.34]", false)]
    {
        let host = Host::read(text).unwrap();
        assert!(!denied(&without, host), "{text}");
        assert_eq!(denied(&with, host), told, "{text}");
    }
}
