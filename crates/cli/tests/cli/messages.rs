//! A standard error that nobody reads holds up neither a worker nor a signal.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Instant;

use rustix::process::Signal;

use crate::kit::{PATIENCE, Running, eventually, sluicegate};

/// What fills a standard error before the proxy says anything.
const FILLING: &[u8] = &[b'\n'; 4096];

/// A proxy whose standard error has no room left, its other end, and its port. It turns everybody
/// away and says so: a message for each client, from the worker itself.
fn stalled() -> (Running, UnixStream, u16) {
    let (heard, mut said) = UnixStream::pair().unwrap();
    said.set_nonblocking(true).unwrap();
    while said.write(FILLING).is_ok() {}
    while said.write(b"\n").is_ok() {}
    said.set_nonblocking(false).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let flags = ["--workers", "1", "--allow-client", "192.0.2.1", "--log-level", "info", "--port", &port.to_string()];
    let child = sluicegate(&flags).stdout(Stdio::null()).stderr(OwnedFd::from(said)).spawn().unwrap();
    (Running(child), heard, port)
}

/// What the next client is answered, which a worker that waits for the terminal would not do.
fn turned_away(port: u16) {
    let mut client = eventually("it listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    let read = client.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 403 "), "{read:?}: {}", String::from_utf8_lossy(&answer));
}

#[test]
fn workers_and_signals_go_on() {
    let (mut child, heard, port) = stalled();
    for _ in 0..20 {
        turned_away(port);
    }
    let begun = Instant::now();
    for signal in [Signal::USR2, Signal::TERM] {
        child.signal(signal);
    }
    child.ends_well();
    assert!(begun.elapsed() < PATIENCE / 2, "the end waits for who does not read");
    drop(heard);
}

#[test]
fn what_was_dropped_is_counted() {
    let (mut child, heard, port) = stalled();
    // Some 100 bytes each, and 512 KiB wait.
    let clients: usize = 8_000;
    for _ in 0..clients {
        turned_away(port);
    }
    heard.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut away, mut dropped) = (0, None);
    for line in BufReader::new(heard).lines() {
        let line = match line {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            line => line.unwrap(),
        };
        away += usize::from(line.contains("turned away"));
        if let Some((lost, _)) = line.split_once(" messages were dropped") {
            dropped = lost.parse::<usize>().ok();
            child.signal(Signal::TERM);
        }
    }
    child.ends_well();
    let dropped = dropped.expect("losses are told");
    assert!(away > 1000 && dropped > 0, "{away} {dropped}");
    assert_eq!(away + dropped, clients);
}
