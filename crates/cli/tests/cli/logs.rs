//! What the access log says about real requests, and what it does not.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

use crate::kit::{Dir, Proxy, eventually, refused, sluicegate};
use crate::origin::Origin;

/// What a log in this format says about `requests`, line by line.
fn logged(format: &str, more: &[&str], requests: &[&str]) -> Vec<String> {
    let dir = Dir::new();
    let log = dir.path("log");
    // Lines of one worker are in their order.
    let flags = ["--workers", "1", "--access-log", &log, "--access-log-format", format];
    let mut proxy = Proxy::start(&[&flags, more].concat());
    for request in requests {
        proxy.ask(request);
    }
    proxy.stop();
    dir.read("log").lines().map(str::to_owned).collect()
}

/// Asks, shuts the sending side once the answer has come as far as `until`, and waits for the end.
fn shut(proxy: SocketAddr, url: &str, until: &[u8]) {
    let mut client = TcpStream::connect(proxy).unwrap();
    write!(client, "GET {url} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(until) {
        let mut piece = [0; 1024];
        let n = client.read(&mut piece).unwrap();
        assert_ne!(n, 0, "it ended too early");
        seen.extend_from_slice(&piece[..n]);
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert!(client.read_to_end(&mut seen).is_err(), "a response that was cut short looks whole");
}

const REMEDY: &str = "a client that only shuts its sending side is served with --client-fin allow";

#[test]
fn the_end_by_a_fin_names_its_remedy() {
    let (dir, origin) = (Dir::new(), Origin::new());
    for (name, flag) in [("unanswered", "abort"), ("half-answered", "abort"), ("half-asked", "allow")] {
        let log = dir.path(name);
        let mut proxy = Proxy::start(&["--client-fin", flag, "--access-log", &log, "--access-log-format", "json"]);
        if name == "half-asked" {
            // A request that lacks its end is not served with `allow` either.
            let mut client = proxy.connect();
            let url = origin.url("/unread");
            write!(client, "PUT {url} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let _ = client.read_to_end(&mut Vec::new());
        } else if name == "half-answered" {
            shut(proxy.address, &origin.url("/gate"), b"hel");
        } else {
            shut(proxy.address, &origin.url("/unread"), b"");
        }
        proxy.stop();
        let line: Value = serde_json::from_str(dir.read(name).trim_end()).unwrap();
        assert_eq!(line["ended"], "client-fin", "{line}");
        assert_eq!(line["remedy"], if name == "unanswered" { REMEDY.into() } else { Value::Null }, "{line}");
    }
    let seen = on_a_terminal(&[], |port| shut(([127, 0, 0, 1], port).into(), &origin.url("/unread"), b""));
    assert!(seen.contains(&format!(" client-fin ({REMEDY})\r\n")), "{seen}");
}

fn json(requests: &[&str]) -> Vec<Value> {
    logged("json", &[], requests).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn get(url: &str) -> String {
    format!(
        "GET {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: t/\"1\r\nReferer: http://u:hunter2@r/p?q#f\r\n\r\n"
    )
}

#[test]
fn json_of_a_request() {
    let origin = Origin::new();
    let request = get(&origin.url("/path?query=hunter2"));
    let line = &json(&[&request])[0];
    for (field, value) in [
        ("proxy_type", Value::from("http")),
        ("outbound_remote_addr", origin.address.to_string().into()),
        ("requested_host", origin.address.to_string().into()),
        ("method", "GET".into()),
        ("url", origin.url("/path").into()),
        ("user_agent", "t/\"1".into()),
        ("status", 200.into()),
        ("error", Value::Null),
        ("ended", "complete".into()),
        ("remedy", Value::Null),
        ("dns_lookup_time_ms", Value::Null),
        ("dns_cached", Value::Null),
    ] {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    assert!(
        line["id"].is_string() && line["conn_establish_time_ms"].is_u64() && line["duration_ms"].is_f64(),
        "{line}"
    );
    assert_eq!(line["bytes_in"], request.len());
    assert!(line["bytes_out"].as_u64().unwrap() > 5, "{line}");
    assert!(line["inbound_remote_addr"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    let start = line["start_time"].as_str().unwrap();
    assert!(start.len() == 24 && start.ends_with('Z'), "{start}");
    assert!(!line.to_string().contains("hunter2"), "{line}");
}

#[test]
fn json_of_a_tunnel_and_of_failures() {
    let origin = Origin::new();
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lines = json(&[
        &format!("CONNECT {unused} HTTP/1.1\r\nHost: x\r\n\r\n"),
        &format!("GET http://u:hunter2@{}/ HTTP/1.1\r\nHost: x\r\n\r\n", origin.address),
        "CONNECT u:hunter2@a.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "hunter2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ]);
    let columns = |field: &str| lines.iter().map(|line| line[field].clone()).collect::<Vec<_>>();
    let refused = "http_request_error";
    assert_eq!(columns("proxy_type"), ["connect", "http", "connect", "http", "http"]);
    assert_eq!(
        columns("error"),
        ["connection_refused".into(), refused.into(), refused.into(), Value::from(refused), refused.into()]
    );
    assert_eq!(columns("rule")[0], Value::Null);
    assert_eq!(columns("rule")[4], "target-form");
    assert_eq!(columns("status"), [502, 400, 400, 400, 400]);
    assert_eq!(
        columns("url"),
        [unused.to_string().into(), origin.url("/").into(), "a.example:443".into(), Value::Null, Value::from("/")]
    );
    assert_eq!(lines[0]["requested_host"], unused.to_string());
    assert!(lines.iter().all(|line| !line.to_string().contains("hunter2")), "{lines:?}");
}

#[test]
fn combined_of_a_request() {
    let origin = Origin::new();
    let lines = logged(
        "combined",
        &[],
        &[&get(&origin.url("/a?q=hunter2")), "GET http://u:hunter2@a/ HTTP/1.1\r\nHost: a\r\n\r\n"],
    );
    let (before, after) = lines[0].split_once("] ").unwrap();
    assert!(before.starts_with("127.0.0.1 - - [") && before.ends_with(" +0000"), "{before}");
    let (request, rest) = after.split_once("\" 200 ").unwrap();
    assert_eq!(request, format!("\"GET {} HTTP/1.1", origin.url("/a")));
    let (bytes, agents) = rest.split_once(' ').unwrap();
    assert!(bytes.parse::<u64>().unwrap() > 5);
    assert_eq!(agents, r#""http://r/p" "t/\"1""#);
    assert!(lines[1].contains(r#"] "GET http://a/ HTTP/1.1" 400 "#), "{}", lines[1]);
}

#[test]
fn queries_when_asked_for_but_never_credentials() {
    let origin = Origin::new();
    let url = origin.url("/a?q=http://u:hunter2@b/");
    let lines = logged("combined", &["--log-query"], &[&get(&url)]);
    assert!(lines[0].contains(&format!("\"GET {} HTTP/1.1\"", origin.url("/a?q=http://b/"))), "{}", lines[0]);
    assert!(lines[0].contains("\"http://r/p?q#f\""), "{}", lines[0]);
}

#[test]
fn to_the_standard_output() {
    let origin = Origin::new();
    let mut proxy = Proxy::run(sluicegate(&["--port", "0", "--access-log", "-"]).stdout(Stdio::piped()));
    proxy.get(&origin.url("/"));
    // Without a stop: a line waits for a second at most.
    let mut line = vec![0; 10];
    proxy.stdout().read_exact(&mut line).unwrap();
    assert_eq!(line, b"127.0.0.1 ");
}

#[test]
fn a_second_start_appends_and_others_cannot_read() {
    let (dir, origin) = (Dir::new(), Origin::new());
    for _ in 0..2 {
        let mut proxy = Proxy::start(&["--access-log", &dir.path("log")]);
        proxy.get(&origin.url("/"));
        proxy.stop();
    }
    assert_eq!(dir.read("log").lines().count(), 2);
    let mode = std::fs::metadata(dir.path("log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "{mode:o}");
}

#[test]
fn a_log_that_cannot_be_opened() {
    let (said, code) = refused(&["--port", "0", "--access-log", "/no/such/directory/log"]);
    assert_eq!(code, 1);
    assert!(said.starts_with("sluicegate: cannot open the access log /no/such/directory/log: No such file"), "{said}");
}

#[test]
fn nothing_is_logged_unless_asked_for() {
    let (mut proxy, origin) = (Proxy::start(&[]), Origin::new());
    let before = proxy.said();
    proxy.get(&origin.url("/"));
    proxy.stop();
    assert_eq!(proxy.said().replace("stopping\n", ""), before);
}

#[test]
fn a_terminal_is_shown_a_short_line_per_request() {
    let origin = Origin::new();
    let ask = |port: u16| {
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.write_all(get(&origin.url("/\u{1b}[2J?hunter2")).as_bytes()).unwrap();
        client.read_to_end(&mut Vec::new()).unwrap();
        client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.write_all(get(&origin.url("/a?hunter2")).as_bytes()).unwrap();
        client.read_to_end(&mut Vec::new()).unwrap();
    };
    let seen = on_a_terminal(&[], ask);
    let line = seen.lines().find(|line| line.contains("/a ")).unwrap();
    assert!(line.contains(&format!(" 127.0.0.1 GET {} 200 ", origin.url("/a"))), "{seen}");
    assert!(!seen.contains("hunter2") && !seen.contains("\u{1b}[2J"), "{seen}");
    let dir = Dir::new();
    for flags in [&["--quiet"][..], &["--access-log", &dir.path("log")]] {
        assert!(!on_a_terminal(flags, ask).contains(" GET "), "{flags:?}");
    }
}

/// What a terminal shows of a proxy with these flags, while it is used.
fn on_a_terminal(flags: &[&str], ask: impl Fn(u16)) -> String {
    with_environment("TERM", "xterm", flags, ask)
}

/// The same with a variable of the environment.
fn with_environment(variable: &str, value: &str, flags: &[&str], ask: impl Fn(u16)) -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let mut command = sluicegate(&["--port", &free.to_string()]);
    command.args(flags).env_remove("NO_COLOR").env("TERM", "xterm").env(variable, value);
    let mut child = command.stderr(OwnedFd::from(side)).spawn().unwrap();
    // It holds its side of the terminal open.
    drop(command);
    eventually("it listens", || TcpStream::connect(("127.0.0.1", free)).ok());
    ask(free);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut seen = Vec::new();
    // A terminal that nobody has open any more ends in an error.
    let _ = File::from(terminal).read_to_end(&mut seen);
    String::from_utf8_lossy(&seen).into_owned()
}

#[test]
fn a_terminal_is_shown_the_rule_and_colours_only_if_it_knows_them() {
    let ask = |port: u16| {
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.write_all(b"GET / HTTP/1.1\nHost: x\n\n").unwrap();
        let _ = client.read_to_end(&mut Vec::new());
    };
    for (name, value, is_plain) in [("TERM", "xterm", false), ("TERM", "dumb", true), ("NO_COLOR", "1", true)] {
        let seen = with_environment(name, value, &["--log-level", "info"], ask);
        assert!(seen.contains(" 400 ") && seen.contains(" http_request_error: bare-lf\r\n"), "{seen}");
        assert_eq!(!seen.contains('\u{1b}'), is_plain, "{name}={value}: {seen:?}");
    }
}

#[test]
fn who_is_turned_away_leaves_a_line() {
    let dir = Dir::new();
    let log = dir.path("log");
    let flags = ["--allow-client", "10.0.0.0/8", "--access-log", &log, "--access-log-format", "json"];
    let mut proxy = Proxy::run(sluicegate(&["--listen", "127.0.0.1:0"]).args(flags).stdout(Stdio::null()));
    for request in ["GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut client = proxy.connect();
        let _ = client.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 403 "));
    }
    proxy.signal(rustix::process::Signal::USR2);
    proxy.wait_for(", turned away: ");
    proxy.stop();
    let lines: Vec<Value> = dir.read("log").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert!(line["inbound_remote_addr"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        assert_eq!(
            (&line["status"], &line["error"], &line["ended"]),
            (&403.into(), &"http_request_denied".into(), &"refused".into())
        );
    }
    assert_eq!(proxy.said().matches(", turned away: ").count(), 1);
}
