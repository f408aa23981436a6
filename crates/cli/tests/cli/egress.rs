//! `--config`: who may go where, over each way there is to ask.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use crate::kit::{Dir, Proxy, ended, eventually, sluicegate};
use crate::origin::Origin;

/// A name server for which every name leads to one address. It keeps what it was asked.
pub(crate) struct Names {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    count: Arc<AtomicUsize>,
}

impl Names {
    pub(crate) fn leading_to(ip: [u8; 4]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (asked, count) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let (names, counted) = (Arc::clone(&asked), Arc::clone(&count));
        std::thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok((n, from)) = socket.recv_from(&mut bytes) {
                counted.fetch_add(1, Relaxed);
                names.lock().unwrap().push(name(&bytes[12..n]));
                let _ = socket.send_to(&leads_to(&bytes[..n], ip), from);
            }
        });
        Self { address, asked, count }
    }
}

fn name(mut labels: &[u8]) -> String {
    let mut name = String::new();
    while let Some((length, rest)) = labels.split_first().filter(|(length, _)| **length > 0) {
        let (label, rest) = rest.split_at(usize::from(*length));
        name.push_str(&String::from_utf8_lossy(label));
        name.push('.');
        labels = rest;
    }
    name.to_ascii_lowercase()
}

/// The answer to a query: the address if one of IPv4 is asked for, else none.
fn leads_to(query: &[u8], ip: [u8; 4]) -> Vec<u8> {
    let is_v4 = query.ends_with(&[0, 1, 0, 1]);
    let mut out = [&query[..2], &[0x81, 0x80, 0, 1, 0, u8::from(is_v4), 0, 0, 0, 0], &query[12..]].concat();
    if is_v4 {
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        out.extend(ip);
    }
    out
}

/// A proxy with this file, the names it asks for, and the folder.
pub(crate) fn with_file(text: &str, names: &Names, more: &[&str]) -> (Proxy, Dir) {
    let dir = Dir::new();
    dir.write("egress.toml", text);
    let (file, server) = (dir.path("egress.toml"), names.address.to_string());
    let flags = [&["--config", &file, "--dns-server", &server][..], more].concat();
    (Proxy::start(&flags), dir)
}

/// Each way to ask for a host and port.
pub(crate) fn ways(host: &str, port: u16) -> [String; 4] {
    [
        format!("GET http://{host}:{port}/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        format!("HEAD http://{host}:{port}/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        format!(
            "GET http://{host}:{port}/x HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n"
        ),
        format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: x\r\n\r\n"),
    ]
}

/// The status of the answer; a tunnel that was opened is closed.
pub(crate) fn status(proxy: &Proxy, request: &str) -> String {
    use std::io::{Read, Write};
    let mut client = proxy.connect();
    client.write_all(request.as_bytes()).unwrap();
    let mut line = [0; 12];
    client.read_exact(&mut line).unwrap();
    String::from_utf8_lossy(&line[9..]).into_owned()
}

#[test]
fn the_same_verdict_whatever_way_is_asked() {
    let (names, origin) = (Names::leading_to([127, 0, 0, 1]), Origin::new());
    let port = origin.address.port();
    let file = format!(
        "allow = ['exact.test:{port}', '*.below.test:{port}', '.both.test:{port}', 'b\u{fc}cher.test:{port}', '127.0.0.1:{port}', \
         'denied.test:{port}']\ndeny = ['denied.test', 'no.both.test']\nprivate = ['127.0.0.1:{port}']\n"
    );
    let (proxy, _dir) = with_file(&file, &names, &[]);
    for host in [
        "exact.test",
        "EXACT.test",
        "exact.test.",
        "a.below.test",
        "a.b.below.test",
        "both.test",
        "a.both.test",
        "xn--bcher-kva.test",
        "XN--BCHER-KVA.test",
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
    ] {
        for request in ways(host, port) {
            assert_eq!(status(&proxy, &request), "200", "{request}");
        }
    }
    names.asked.lock().unwrap().clear();
    for host in [
        "a.exact.test",
        "notexact.test",
        "exact.test.evil.test",
        "below.test",
        "no.both.test",
        "NO.both.test.",
        "denied.test",
        "localhost",
        "127.0.0.2",
        "127.1",
        "2130706433",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "127.0.0.1.",
        "[::1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "169.254.169.254",
    ] {
        for request in ways(host, port) {
            let status = status(&proxy, &request);
            // Some of these are not hosts at all.
            assert!(["403", "400"].contains(&status.as_str()), "{status}: {request}");
        }
    }
    for request in
        ways("exact.test", 1).iter().chain(&ways("u@exact.test", port)).chain(&ways("exact.test:1@a.test", port))
    {
        assert!(["403", "400"].contains(&status(&proxy, request).as_str()), "{request}");
    }
    assert_eq!(*names.asked.lock().unwrap(), [""; 0], "what is denied is not looked up");
}

#[test]
fn a_denied_name_is_not_looked_up() {
    let names = Names::leading_to([127, 0, 0, 1]);
    let (proxy, _dir) = with_file("allow = ['ok.test']", &names, &[]);
    for request in ways("evil.test", 80) {
        assert_eq!(status(&proxy, &request), "403", "{request}");
    }
    assert_eq!(names.count.load(Relaxed), 0);
    // One that is allowed is, and what it leads to is guarded all the same.
    for request in ways("ok.test", 80) {
        assert_eq!(status(&proxy, &request), "403", "{request}");
    }
    assert!(names.count.load(Relaxed) > 0);
    let answer = proxy.get("http://ok.test/");
    let line = answer.lines().next().unwrap();
    assert_eq!(line, "HTTP/1.1 403 sluicegate: 127.0.0.1:80 is a loopback address");
    assert!(answer.contains("\r\nX-Proxy-Error: blocked-by-policy\r\n"), "{answer}");
    assert!(
        answer.contains("127.0.0.1:80 is a loopback address; add \"127.0.0.1\" to `private` to permit it"),
        "{answer}"
    );
}

#[test]
fn denials_teach() {
    let names = Names::leading_to([127, 0, 0, 1]);
    let (proxy, _dir) = with_file("allow = ['ok.test']\ndeny = ['bad.test']\n", &names, &[]);
    let answer = proxy.ask("CONNECT evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n");
    let line = answer.lines().next().unwrap();
    assert_eq!(line, "HTTP/1.1 403 sluicegate: no rule allows evil.test:443 (egress.toml:1)");
    assert!(answer.contains("\r\nX-Proxy-Error: blocked-by-allowlist\r\n"), "{answer}");
    let told = "Proxy-Status: sluicegate; error=http_request_denied; details=\"no rule allows evil.test:443\"\r\n";
    assert!(answer.contains(told), "{answer}");
    assert!(answer.contains("\r\n\r\nno rule allows evil.test:443 (egress.toml:1).\n"), "{answer}");
    assert!(answer.contains("adds \"evil.test\" to `allow` at egress.toml:1."), "{answer}");
    let denied = proxy.get("http://bad.test/");
    assert!(denied.contains("403 sluicegate: the rules deny bad.test:80 (egress.toml:2)\r\n"), "{denied}");
    assert!(denied.contains("X-Proxy-Error: blocked-by-denylist\r\n"), "{denied}");
    let json = proxy.ask(
        "GET http://evil.test/a?secret HTTP/1.1\r\nHost: x\r\nAccept: text/html, Application/JSON;q=0.5\r\nConnection: close\r\n\r\n",
    );
    assert!(json.contains("Content-Type: application/json\r\n"), "{json}");
    assert!(
        json.contains("\"rule_missing\":{\"key\":\"allow\",\"entry\":\"evil.test\",\"in\":\"egress.toml:1\"}"),
        "{json}"
    );
    assert!(!json.contains("secret"), "{json}");
    // What a client wrote is cut and cleaned, and cannot become a line of its own.
    let long = proxy.get(&format!("http://{}.test/", "a".repeat(60).as_str().to_owned() + "." + &"b".repeat(60)));
    assert!(long.lines().next().unwrap().len() <= "HTTP/1.1 403 ".len() + 120, "{long}");
    let literal = proxy.get("http://169.254.169.254/latest/meta-data/");
    assert!(literal.starts_with("HTTP/1.1 403 sluicegate: no rule allows the address 169.254.169.254:80"), "{literal}");
}

#[test]
fn a_mode_says_what_becomes_of_verdicts() {
    let (names, origin) = (Names::leading_to([127, 0, 0, 1]), Origin::new());
    let (port, dir) = (origin.address.port(), Dir::new());
    let log = dir.path("log");
    let flags = ["--access-log", &log, "--access-log-format", "json"];
    for (mode, code, decision) in [("open", "200", "allow"), ("report", "200", "report"), ("enforce", "403", "deny")] {
        let file = format!("mode = '{mode}'\nallow = ['ok.test']\n[users]\nmine = {{ from = ['127.0.0.0/8'] }}\n");
        let (mut proxy, _dir) = with_file(&file, &names, &flags);
        assert_eq!(status(&proxy, &ways("evil.test", port)[0]), code, "{mode}");
        proxy.stop();
        let log = dir.read("log");
        let line = log.lines().last().unwrap();
        assert!(line.contains(&format!("\"decision\":\"{decision}\"")), "{mode}: {line}");
        assert!(line.contains("\"who\":\"mine\""), "{mode}: {line}");
    }
    // What allows it is told of an address that was asked for as of a name.
    let file = format!("private = ['127.0.0.1:{port}']\n[[rule]]\nname = 'here'\nallow = ['127.0.0.1:{port}']");
    let (mut proxy, _dir) = with_file(&file, &names, &flags);
    assert_eq!(status(&proxy, &ways("127.0.0.1", port)[0]), "200");
    proxy.stop();
    let log = dir.read("log");
    let line = log.lines().last().unwrap();
    assert!(line.contains("\"rule\":\"here\"") && line.contains("\"reason\":\"allow\""), "{line}");
    // An address is judged too, and told of.
    let file = format!("mode = 'report'\nallow = ['ok.test:{port}']");
    let (mut proxy, _dir) = with_file(&file, &names, &flags);
    assert_eq!(status(&proxy, &ways("ok.test", port)[0]), "200");
    proxy.stop();
    let log = dir.read("log");
    let line = log.lines().last().unwrap();
    assert!(line.contains("\"decision\":\"report\"") && line.contains("\"reason\":\"address\""), "{line}");
}

#[test]
fn a_reverse_proxy_is_judged_by_the_host_that_was_asked_for() {
    let (names, origin) = (Names::leading_to([127, 0, 0, 1]), Origin::new());
    let reverse = format!("/={}", origin.address);
    let file = "allow = ['www.test:*']\n[[rule]]\nallow = ['api.test']\nmethods = ['GET']\npaths = ['/open/*']\n";
    let (proxy, _dir) = with_file(file, &names, &["--reverse", &reverse]);
    let ask = |method: &str, host: &str, path: &str| {
        status(
            &proxy,
            &format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        )
    };
    assert_eq!(ask("GET", "www.test", "/"), "200");
    assert_eq!(ask("GET", "www.test:8080", "/"), "200");
    assert_eq!(ask("GET", "other.test", "/"), "403");
    assert_eq!(ask("GET", "api.test", "/open/x"), "200");
    assert_eq!(ask("POST", "api.test", "/open/x"), "403");
    assert_eq!(ask("GET", "api.test", "/closed"), "403");
    assert_eq!(ask("GET", "api.test", "/open/..;/closed"), "403");
}

#[test]
fn methods_and_paths_are_for_plain_http() {
    let (names, origin) = (Names::leading_to([127, 0, 0, 1]), Origin::new());
    let port = origin.address.port();
    let file = format!(
        "private = ['127.0.0.1:{port}']\n[[rule]]\nname = 'read'\nallow = ['api.test:{port}']\nmethods = ['GET']\npaths = ['/open/*']\n"
    );
    let (proxy, _dir) = with_file(&file, &names, &[]);
    let ask = |line: &str| {
        proxy.ask(&format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    };
    assert!(ask(&format!("GET http://api.test:{port}/open/x")).starts_with("HTTP/1.1 200 "));
    let post = ask(&format!("POST http://api.test:{port}/open/x"));
    assert!(post.contains("403 sluicegate: read allows ") && post.contains("but not the method POST"), "{post}");
    assert!(ask(&format!("GET http://api.test:{port}/other")).contains("but not this path"));
    let tunnel = proxy.ask(&format!("CONNECT api.test:{port} HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert!(tunnel.contains("403 sluicegate: read allows ") && tunnel.contains("outside tunnels only"), "{tunnel}");
}

/// What a command prints, and its exit code.
fn printed(arguments: &[&str]) -> (String, i32) {
    let output = ended(&mut sluicegate(arguments));
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.code().unwrap())
}

#[test]
fn whoever_writes_a_file_can_look_at_it_first() {
    let dir = Dir::new();
    let path = dir.path("egress.toml");
    let (first, code) = printed(&["init"]);
    assert!(code == 0 && first.contains("# allow = ["), "{first}");
    dir.write("egress.toml", &first);
    let (said, code) = printed(&["check", &path]);
    assert!(code == 0 && said.starts_with("mode open: "), "{said}");
    let text = "listen = '0.0.0.0:3128'\nclients = ['10.0.0.0/8']\nallow = ['.ok.test']\ndeny = ['*.bad.test']\n\
                [users]\nagent = { from = ['10.9.0.0/16'] }\n[[rule]]\nname = 'more'\nwho = ['agent']\nallow = ['agents.test']\n\
                [[test]]\nallow = ['https://a.ok.test']\n";
    dir.write("egress.toml", text);
    let (said, code) = printed(&["check", &path]);
    assert!(code == 0 && said.contains("mode enforce") && said.contains("\n1 test passed\n"), "{said}");
    assert!(said.contains("allow agents.test:80,443 for agent by more (egress.toml:10)"), "{said}");
    assert!(said.contains("bad.test itself is not denied by it"), "{said}");
    for (words, code, part) in [
        (&["https://a.ok.test/"][..], 0, "\".ok.test\" allows it"),
        (&["POST", "http://evil.test/"], 1, "no rule allows evil.test:80"),
        (&["--as", "agent", "agents.test:443"], 0, "as agent: allowed"),
        (&["--from", "10.9.1.1", "https://agents.test"], 0, "as agent: allowed"),
        (&["--from", "10.8.1.1", "https://agents.test"], 1, "as somebody without a name: denied"),
        (&["--as", "nobody", "https://agents.test"], 2, "there is no such user"),
        (&["agents.test"], 2, "it has neither a scheme nor a port"),
    ] {
        let (said, ended) = printed(&[&["explain", "--config", &path][..], words].concat());
        assert!(ended == code && said.contains(part), "{words:?}: {said}");
    }
    for wrong in ["workers = 'many'", "listen = '0.0.0.0:3128'", "alow = []"] {
        dir.write("egress.toml", wrong);
        assert_eq!(printed(&["check", &path]).1, 2, "{wrong}");
    }
}

/// What a start that is refused says, and its exit code.
fn refused(text: &str, more: &[&str]) -> (String, i32) {
    let dir = Dir::new();
    dir.write("egress.toml", text);
    let file = dir.path("egress.toml");
    let output = ended(&mut sluicegate(&[&["--config", &file][..], more].concat()));
    (String::from_utf8(output.stderr).unwrap().replace(&file, "egress.toml"), output.status.code().unwrap())
}

#[test]
fn a_file_with_mistakes_is_refused_with_the_line_as_it_should_read() {
    let (said, code) = refused("mode = \"report\"\nallow = [\"**.example.com\"]\n", &[]);
    assert_eq!(code, 2);
    assert!(said.contains("--> egress.toml:2:10\n"), "{said}");
    assert!(said.contains("2 | allow = [\"**.example.com\"]\n"), "{said}");
    assert!(said.contains("= write: allow = [\"*.example.com\"]\n"), "{said}");
    for (text, part) in [
        ("alow = []", "`alow` is not a key of the file"),
        ("workers = \"many\"", "egress.toml:1:11"),
        ("workers = \"many\"", "invalid value 'many' for 'workers"),
        ("client-buffer = 0", "--client-buffer is 0"),
        ("sni = \"match\"", "`sni` is not a key of the file"),
        ("allow = [\"@missing.txt\"]", "cannot read missing.txt"),
        ("[users]\nci = { password = \"hunter2\" }", "a password is written as its hash"),
        ("[[test]]\nallow = [\"https://a.test\"]\n[[rule]]\nallow = [\"b.test\"]", "must be allowed, and is denied"),
    ] {
        let (said, code) = refused(text, &[]);
        assert!(code == 2 && said.contains(part), "{text}: {said}");
        assert!(!said.contains("hunter2"), "a secret is told: {said}");
    }
    for (flag, key) in [("--allow-destination", "private"), ("--deny-destination", "deny")] {
        let (said, code) = refused("", &[flag, "10.0.0.0/8"]);
        assert!(code == 2 && said.contains(flag) && said.contains(&format!("write {key} = ")), "{said}");
    }
    let output = ended(&mut sluicegate(&["--config", "/nowhere/egress.toml"]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot read /nowhere/egress.toml"), "{said}");
}

#[test]
fn settings_stand_in_the_file_and_flags_win() {
    let names = Names::leading_to([127, 0, 0, 1]);
    let file = "listen = '127.0.0.1:1'\nclients = ['10.0.0.0/8']\nworkers = 2\nno-via = true";
    let (proxy, _dir) = with_file(file, &names, &["--allow-client", "127.0.0.0/8", "--log-level", "info"]);
    assert_ne!(proxy.address.port(), 1);
    assert!(proxy.get("http://x.test/").starts_with("HTTP/1.1 "));
}

#[test]
fn rules_are_read_anew_and_bad_ones_leave_the_old_in_force() {
    let (names, origin) = (Names::leading_to([127, 0, 0, 1]), Origin::new());
    let port = origin.address.port();
    let rules = |name: &str| format!("allow = ['{name}:{port}']\nprivate = ['127.0.0.1:{port}']");
    let (mut proxy, dir) = with_file(&rules("one.test"), &names, &[]);
    let passes = |proxy: &Proxy, name: &str| status(proxy, &ways(name, port)[0]) == "200";
    assert!(passes(&proxy, "one.test") && !passes(&proxy, "two.test"));
    dir.write("egress.toml", "allow = ['**.two.test']");
    proxy.signal(Signal::HUP);
    proxy.wait_for("the previous rules stay in force");
    assert!(proxy.said().contains("= write: allow = ['*.two.test']"), "{}", proxy.said());
    assert!(passes(&proxy, "one.test") && !passes(&proxy, "two.test"));
    dir.write("egress.toml", &rules("two.test"));
    proxy.signal(Signal::HUP);
    eventually("the new rules", || passes(&proxy, "two.test").then_some(()));
    assert!(!passes(&proxy, "one.test"));
    dir.write("egress.toml", &(rules("two.test") + "\nworkers = 7"));
    proxy.signal(Signal::HUP);
    proxy.wait_for("take effect after a restart: --workers=7");
}
