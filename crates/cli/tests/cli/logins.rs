//! Users of `--config` who log in with a token or a password.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use base64::Engine;
use rustix::process::Signal;
use sha2::{Digest, Sha256};

use crate::egress::{Names, status, ways, with_file};
use crate::kit::{Proxy, eventually};

/// An origin that keeps the heads that it was sent, and answers each `hello`.
fn keeper() -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, heads) = (listener.local_addr().unwrap(), Arc::<Mutex<String>>::default());
    let kept = Arc::clone(&heads);
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = client.read(&mut bytes) {
                    kept.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
                    if client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").is_err() {
                        break;
                    }
                }
            });
        }
    });
    (address, heads)
}

fn basic(pair: &str) -> String {
    format!("Proxy-Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(pair))
}

fn bearer(token: &str) -> String {
    format!("Proxy-Authorization: bearer  {token}\r\n")
}

/// A user for each way to be known; each may go to one host.
fn users(port: u16, password: &str) -> String {
    let token: String = Sha256::digest(b"token-one").iter().map(|byte| format!("{byte:02x}")).collect();
    let password = bcrypt::hash(password, 4).unwrap();
    format!(
        "allow = ['open.test:{port}']\nprivate = ['127.0.0.1:{port}']\n\
         [users]\nci = {{ token = 'sha256:{token}' }}\nagent = {{ password = '{password}', from = ['127.0.0.0/8'] }}\n\
         far = {{ password = '{password}', from = ['10.0.0.0/8'] }}\nplace = {{ from = ['10.0.0.0/8'] }}\n\
         [[rule]]\nwho = ['ci']\nallow = ['ci.test:{port}']\n[[rule]]\nwho = ['agent', 'far']\nallow = ['agent.test:{port}']\n\
         [[rule]]\nwho = ['place']\nallow = ['place.test:{port}']\n"
    )
}

#[test]
fn whoever_logs_in_may_go_where_his_rules_say() {
    let (names, (origin, heads)) = (Names::leading_to([127, 0, 0, 1]), keeper());
    let port = origin.port();
    let log = crate::kit::Dir::new();
    let flags = ["--access-log", &log.path("log"), "--access-log-format", "json"];
    let (mut proxy, _dir) = with_file(&users(port, "open sesame"), &names, &flags);
    let ask = |host: &str, login: &str, code: &str| {
        for request in ways(host, port) {
            let request = request.replacen("\r\n", &format!("\r\n{login}"), 1);
            assert_eq!(status(&proxy, &request), code, "{request}");
        }
    };
    ask("open.test", "", "200");
    ask("ci.test", "", "407");
    ask("ci.test", &bearer("token-one"), "200");
    ask("ci.test", &basic("ci:token-one"), "200");
    ask("agent.test", &basic("agent:open sesame"), "200");
    ask("ci.test", &bearer("token-two"), "407");
    ask("ci.test", &basic("ci:"), "407");
    ask("agent.test", &basic("agent:shut sesame"), "407");
    ask("agent.test", &basic("agent:shut sesame"), "407");
    // He is known, and may not: to log in again would not help.
    ask("ci.test", &basic("agent:open sesame"), "403");
    // From elsewhere only.
    ask("agent.test", &basic("far:open sesame"), "407");
    // No login leads there.
    ask("evil.test", "", "403");
    ask("place.test", "", "403");
    // Which of two would be read?
    ask("ci.test", &format!("{}{}", bearer("token-one"), bearer("token-two")), "407");
    ask("ci.test", "Proxy-Authorization: Basic %%%\r\n", "407");
    let heads = heads.lock().unwrap().to_ascii_lowercase();
    assert!(heads.contains("get /x ") && !heads.contains("proxy-auth"), "{heads}");
    proxy.stop();
    let log = log.read("log");
    assert!(log.contains("\"who\":\"ci\"") && log.contains("\"who\":\"agent\""), "{log}");
    for secret in ["token-one", "sesame", &basic("agent:open sesame")[27..40]] {
        assert!(!log.contains(secret) && !proxy.said().contains(secret), "{secret}");
    }
}

#[test]
fn a_client_that_is_asked_to_log_in_does_so_on_the_same_connection() {
    let (names, (origin, _heads)) = (Names::leading_to([127, 0, 0, 1]), keeper());
    let (proxy, _dir) = with_file(&users(origin.port(), "open sesame"), &names, &[]);
    let mut client = proxy.connect();
    let mut ask = |login: &str| {
        let request = format!("GET http://ci.test:{}/ HTTP/1.1\r\nHost: x\r\n{login}\r\n", origin.port());
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        while !answer.ends_with("hello") && !answer.ends_with("and why.\n") {
            let mut bytes = [0; 4096];
            let n = client.read(&mut bytes).unwrap();
            assert!(n > 0, "{answer}");
            answer.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
        answer
    };
    let asked = ask("");
    assert!(asked.starts_with("HTTP/1.1 407 sluicegate: no rule allows ci.test:"), "{asked}");
    assert!(asked.contains("\r\nProxy-Authenticate: Basic realm=\"sluicegate\", charset=\"UTF-8\"\r\n"), "{asked}");
    assert!(asked.contains("\r\nProxy-Authenticate: Bearer realm=\"sluicegate\"\r\n"), "{asked}");
    assert!(asked.contains("\r\n\r\nNo valid login came with this request; "), "{asked}");
    assert!(ask(&bearer("token-one")).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_password_that_was_changed_is_no_longer_right() {
    let (names, (origin, _heads)) = (Names::leading_to([127, 0, 0, 1]), keeper());
    let port = origin.port();
    let (proxy, dir) = with_file(&users(port, "old"), &names, &[]);
    let code = |proxy: &Proxy, pair: &str| {
        status(proxy, &ways("agent.test", port)[0].replacen("\r\n", &format!("\r\n{}", basic(pair)), 1))
    };
    assert_eq!((code(&proxy, "agent:old").as_str(), code(&proxy, "agent:new").as_str()), ("200", "407"));
    dir.write("egress.toml", &users(port, "new"));
    proxy.signal(Signal::HUP);
    eventually("the new password", || (code(&proxy, "agent:new") == "200").then_some(()));
    assert_eq!(code(&proxy, "agent:old"), "407");
}
