//! Never an open proxy by accident, and no way through it into its own machine.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::kit::{Proxy, eventually, refused, sluicegate};
use crate::origin::Origin;

/// A proxy that other machines can reach, used by this one.
fn open_to_this_machine(more: &[&str]) -> Proxy {
    let flags = ["--listen", "0.0.0.0:0", "--allow-client", "127.0.0.0/8"];
    Proxy::run(sluicegate(&flags).args(more).stdout(Stdio::null()))
}

#[test]
fn a_listener_for_others_needs_allow_client() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let (said, code) = refused(&["--listen", address]);
        assert_eq!(code, 2);
        assert!(said.contains("--allow-client") && said.contains("for example"), "{said}");
    }
}

#[test]
fn this_machine_is_no_destination_for_others() {
    let (proxy, origin) = (open_to_this_machine(&[]), Origin::new());
    let mapped = format!("http://[::ffff:127.0.0.1]:{}/", origin.address.port());
    for answer in [
        proxy.get(&origin.url("/")),
        proxy.get(&mapped),
        proxy.ask(&format!("CONNECT {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.address)),
        proxy.get("http://169.254.169.254/latest/meta-data/"),
        proxy.get("http://0.0.0.0/"),
    ] {
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(answer.contains("--allow-destination "), "{answer}");
        assert!(answer.contains("Proxy-Status: sluicegate; error=destination_ip_prohibited"), "{answer}");
    }
    assert!(proxy.said().contains("clients: 127.0.0.0/8\n"));
    assert!(
        proxy.said().contains("may not go to loopback, link-local, cloud metadata or this machine's own addresses")
    );
}

#[test]
fn a_range_permits_it() {
    let (proxy, origin) = (open_to_this_machine(&["--allow-destination", "127.0.0.0/8"]), Origin::new());
    assert!(proxy.get(&origin.url("/")).ends_with("\r\n\r\nhello"));
    assert!(proxy.get("http://169.254.169.254/").starts_with("HTTP/1.1 403 "));
    assert!(proxy.said().contains("but for 127.0.0.0/8"));
}

#[test]
fn a_loopback_listener_goes_everywhere() {
    let (proxy, origin) = (Proxy::start(&["--allow-client", "127.0.0.1"]), Origin::new());
    assert!(proxy.get(&origin.url("/")).ends_with("\r\n\r\nhello"));
}

#[test]
fn others_are_turned_away() {
    let (proxy, origin) = (Proxy::start(&["--allow-client", "10.0.0.0/8", "--log-level", "info"]), Origin::new());
    let answer = proxy.get(&origin.url("/"));
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let mut proxy = proxy;
    proxy.wait_for("turned away");
    assert!(proxy.said().contains("warning: only clients of this machine can reach a loopback listener"));
}

/// What an operator closes is closed for everyone, and what is opened within it is open.
#[test]
fn a_denied_range_holds_for_a_loopback_listener_too() {
    let flags =
        ["--deny-destination", "private", "--deny-destination", "127.0.0.0/8", "--allow-destination", "127.0.0.1"];
    let (proxy, origin) = (Proxy::start(&flags), Origin::new());
    assert!(proxy.get(&origin.url("/")).ends_with("\r\n\r\nhello"));
    for host in [
        "127.0.0.2",
        "10.1.2.3",
        "172.31.0.1",
        "192.168.7.7",
        "100.64.0.1",
        "[fd12::1]",
        "[fec0::1]",
        "[64:ff9b::a01:203]",
    ] {
        let answer = proxy.get(&format!("http://{host}/"));
        assert!(
            answer.starts_with("HTTP/1.1 403 ") && answer.contains("closed by the proxy's --deny-destination"),
            "{answer}"
        );
        assert!(!answer.contains("--allow-destination"), "{answer}");
    }
    assert!(proxy.said().contains("no client may go to 10.0.0.0/8, "), "{}", proxy.said());
    let (said, code) = refused(&["--deny-destination", "publik"]);
    assert!(code == 2 && said.contains("or the word private"), "{said}");
}

/// Behind stunnel or ssh -R everyone comes from this machine.
#[test]
fn a_loopback_listener_is_guarded_when_asked() {
    let (proxy, origin) = (Proxy::start(&["--guard"]), Origin::new());
    for url in [origin.url("/"), "http://169.254.169.254/".to_owned(), "http://[fd00:42::42]/".to_owned()] {
        assert!(proxy.get(&url).starts_with("HTTP/1.1 403 "), "{url}");
    }
    assert!(proxy.said().contains("clients may not go to loopback"), "{}", proxy.said());
}

/// Without descriptors the proxy cannot tell whether an address is its own. It is told so, and that nobody need open anything.
#[cfg(target_os = "linux")]
#[test]
fn without_descriptors_nobody_is_told_to_open_a_range() {
    let script = "ulimit -n 130; exec \"$0\" \"$@\"";
    let flags =
        ["--listen", "0.0.0.0:0", "--allow-client", "127.0.0.0/8", "--workers", "1", "--max-connections", "500"];
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_sluicegate")]).args(flags).stdin(Stdio::null());
    let proxy = Proxy::run(command.stdout(Stdio::null()));
    let mut client = proxy.connect();
    let silent: Vec<_> = (0..160).map(|_| proxy.connect()).collect();
    eventually("no descriptor is left", || (proxy.descriptors() >= 129).then_some(()));
    for _ in 0..2 {
        client.write_all(b"GET http://192.0.2.1/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = vec![0; 4096];
        let n = client.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..n]);
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: "), "{answer}");
        assert!(!answer.contains("--allow-destination"), "{answer}");
    }
    drop(silent);
}
