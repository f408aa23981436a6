//! The stop: what runs is finished, what is idle ends, a second signal ends all.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustix::process::Signal;

use crate::kit::{PATIENCE, Proxy, eventually};
use crate::origin::Origin;

/// A client that has half of its response.
fn half_done(proxy: &Proxy, origin: &Origin) -> TcpStream {
    let mut client = proxy.connect();
    write!(client, "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", origin.url("/gate")).unwrap();
    let mut seen = Vec::new();
    eventually("half of the response", || {
        let mut piece = [0; 1024];
        let n = client.read(&mut piece).unwrap();
        seen.extend_from_slice(&piece[..n]);
        seen.ends_with(b"\r\n\r\nhel").then_some(())
    });
    client
}

fn rest(mut client: TcpStream) -> std::io::Result<String> {
    let mut rest = String::new();
    client.read_to_string(&mut rest).map(|_| rest)
}

#[test]
fn what_runs_is_finished() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let (mut proxy, origin) = (Proxy::start(&["--workers", "2"]), Origin::new());
        let idle = proxy.connect();
        let client = half_done(&proxy, &origin);
        proxy.signal(signal);
        proxy.wait_for("stopping: waiting for 1 connection, for ");
        assert!(TcpStream::connect(proxy.address).is_err(), "it still accepts");
        assert_eq!(rest(idle).unwrap(), "");
        origin.open_gate();
        assert_eq!(rest(client).unwrap(), "lo");
        assert_eq!(proxy.exit_code(), 0);
        assert!(!proxy.said().contains("aborted"), "{}", proxy.said());
    }
}

#[test]
fn nothing_to_wait_for_ends_at_once() {
    let mut proxy = Proxy::start(&[]);
    let idle = proxy.connect();
    let begun = Instant::now();
    proxy.stop();
    assert!(begun.elapsed() < PATIENCE / 10);
    assert!(proxy.said().ends_with("\nstopping\n"), "{}", proxy.said());
    drop(idle);
}

#[test]
fn a_second_signal_aborts() {
    let (mut proxy, origin) = (Proxy::start(&["--shutdown-timeout", "1h"]), Origin::new());
    let client = half_done(&proxy, &origin);
    proxy.signal(Signal::TERM);
    proxy.wait_for("stopping: waiting for 1 connection, for 1h at most; a second signal aborts at once\n");
    proxy.signal(Signal::INT);
    assert_eq!(proxy.exit_code(), 0);
    assert!(rest(client).is_err(), "a response that was cut short looks whole");
    proxy.wait_for("aborted 1 connection\n");
}

#[test]
fn the_shutdown_timeout_aborts() {
    let (mut proxy, origin) = (Proxy::start(&["--shutdown-timeout", "300ms", "--workers", "2"]), Origin::new());
    let clients = [half_done(&proxy, &origin), half_done(&proxy, &origin)];
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.exit_code(), 0);
    proxy.wait_for("aborted 2 connections\n");
    for client in clients {
        assert!(rest(client).is_err(), "a response that was cut short looks whole");
    }
}

/// Clients in the queue, for whom there are no descriptors at the moment of the stop: some become free, because what is idle
/// ends, and then they are served.
#[test]
fn a_queue_without_descriptors_is_waited_for() {
    let origin = Origin::new();
    let mut command = std::process::Command::new("sh");
    let run =
        format!("ulimit -n 130; exec {} --port 0 --workers 1 --max-connections 1000", env!("CARGO_BIN_EXE_sluicegate"));
    let mut proxy = Proxy::run(command.args(["-c", &run]).stdout(std::process::Stdio::null()));
    let silent: Vec<_> = (0..150).map(|_| proxy.connect()).collect();
    proxy.wait_for("cannot accept connections for now");
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let mut client = proxy.connect();
            write!(client, "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", origin.url("/")).unwrap();
            client
        })
        .collect();
    proxy.signal(Signal::TERM);
    for client in waiting {
        let answer = rest(client).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{answer:?}");
    }
    assert_eq!(proxy.exit_code(), 0, "{}", proxy.said());
    drop(silent);
}
