//! Never an open proxy by accident, and no way through it into its own machine.

use std::process::Stdio;

use crate::kit::{Proxy, refused, sluicegate};
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
        assert!(answer.contains("--allow-range "), "{answer}");
        assert!(answer.contains("Proxy-Status: sluicegate; error=destination_ip_prohibited"), "{answer}");
    }
    assert!(proxy.said().contains("clients: 127.0.0.0/8\n"));
    assert!(proxy.said().contains("may not go to loopback, link-local or this machine's own addresses"));
}

#[test]
fn a_range_permits_it() {
    let (proxy, origin) = (open_to_this_machine(&["--allow-range", "127.0.0.0/8"]), Origin::new());
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
