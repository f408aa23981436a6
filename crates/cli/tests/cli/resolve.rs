//! `sluicegate resolve NAME`: what is asked, of whom, and what came.

use std::net::{SocketAddr, UdpSocket};
use std::thread;

use crate::kit::{ended, sluicegate};

/// A name server that knows `web.test` (an address of each family), and that nothing else exists.
fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((n, from)) = socket.recv_from(&mut bytes) {
            socket.send_to(&answer(&bytes[..n]), from).unwrap();
        }
    });
    address
}

fn answer(query: &[u8]) -> Vec<u8> {
    let is_known = query[12..].starts_with(b"\x03web\x04test\0");
    let head = [0x81, if is_known { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(is_known), 0, 0, 0, 0];
    let mut out = [&query[..2], &head, &query[12..]].concat();
    let is_v4 = query.ends_with(&[0, 1, 0, 1]);
    if is_known {
        out.extend([0xc0, 12, 0, if is_v4 { 1 } else { 28 }, 0, 1, 0, 0, 0, 60, 0]);
        let ip: &[u8] =
            if is_v4 { &[4, 127, 0, 0, 5] } else { &[16, 0xfd, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5] };
        out.extend(ip);
    }
    out
}

/// What it printed, and its exit code.
fn resolve(flags: &[&str]) -> (String, i32) {
    let output = ended(&mut sluicegate(flags));
    assert!(output.stderr.is_empty(), "{output:?}");
    (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
}

#[test]
fn it_tells_each_question_and_where_the_name_leads() {
    let server = name_server().to_string();
    let (said, code) = resolve(&["resolve", "web.test.", "--dns-server", &server]);
    assert_eq!(code, 0, "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], "Asked for, in this order, until one has an address: web.test");
    assert_eq!(lines[1], format!("Name servers, in this order: {server}"));
    assert!(lines[2].starts_with(&format!("{server} was asked for web.test A: 127.0.0.5 for 60 s (")), "{said}");
    assert!(lines[3].starts_with(&format!("{server} was asked for web.test AAAA: fd00:5::5 for 60 s (")), "{said}");
    assert_eq!(lines[4..], ["web.test. leads to fd00:5::5, 127.0.0.5, tried in this order."]);
    // The settings may stand before the word, too.
    let (said, code) = resolve(&["--dns-server", &server, "--prefer", "ipv4", "resolve", "web.test."]);
    assert!(code == 0 && said.ends_with("leads to 127.0.0.5, fd00:5::5, tried in this order.\n"), "{said}");
}

#[test]
fn what_leads_nowhere_ends_with_1() {
    let server = name_server().to_string();
    let (said, code) = resolve(&["resolve", "no.test.", "--dns-server", &server]);
    assert!(code == 1 && said.contains("no.test A: no such name (") && said.contains("leads nowhere: "), "{said}");
    let (said, code) = resolve(&["resolve", "no.test.", "--json", "--dns-server", &server]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, json["addresses"].as_array().map(Vec::len)), (1, Some(0)), "{said}");
    assert!(json["error"].is_string(), "{said}");
}

#[test]
fn json_has_the_same() {
    let server = name_server().to_string();
    let (said, code) = resolve(&["resolve", "--json", "web.test.", "--dns-server", &server]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, said.lines().count()), (0, 1));
    assert_eq!(json["source"], "server");
    assert_eq!(json["servers"], serde_json::json!([server]));
    assert_eq!(json["candidates"], serde_json::json!(["web.test"]));
    assert_eq!(json["addresses"], serde_json::json!(["fd00:5::5", "127.0.0.5"]));
    assert_eq!(json["questions"][1]["family"], "AAAA");
    let (said, code) = resolve(&["resolve", "a.localhost"]);
    assert!(code == 0 && said.starts_with("Nobody is asked: ") && said.contains("127.0.0.1"), "{said}");
}
