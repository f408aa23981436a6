//! A log that is not taken never holds a request up.

use std::io::Read;
use std::process::Stdio;
use std::time::Instant;

use crate::kit::{Proxy, sluicegate};
use crate::origin::Origin;

/// So many that neither a pipe nor the buffers hold their lines.
const MANY: usize = 400;

/// A URL of some 4 KB.
fn long(origin: &Origin) -> String {
    origin.url(&format!("/{}", "x".repeat(4000)))
}

fn send_many(proxy: &Proxy, origin: &Origin) {
    for _ in 0..MANY {
        assert!(proxy.get(&long(origin)).ends_with("hello"));
    }
}

#[test]
fn a_full_disk() {
    let (mut proxy, origin) = (Proxy::start(&["--access-log", "/dev/full", "--workers", "1"]), Origin::new());
    send_many(&proxy, &origin);
    proxy.wait_for("the access log cannot be written");
    proxy.stop();
    assert!(proxy.said().contains("lines were dropped"), "{}", proxy.said());
    assert_eq!(proxy.said().matches("cannot be written").count(), 1, "{}", proxy.said());
}

#[test]
fn a_standard_output_that_nobody_reads() {
    let flags = ["--port", "0", "--access-log", "-", "--workers", "1"];
    let mut proxy = Proxy::run(sluicegate(&flags).stdout(Stdio::piped()));
    let origin = Origin::new();
    let (mut unread, begun) = (proxy.stdout(), Instant::now());
    send_many(&proxy, &origin);
    proxy.wait_for("lines were dropped");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        unread.read_to_string(&mut text).unwrap();
        text
    });
    proxy.stop();
    let text = reader.join().unwrap();
    assert!(text.ends_with("\"-\" \"-\"\n"), "the last line is torn");
    assert!(text.lines().all(|line| line.starts_with("127.0.0.1 ") && line.ends_with("\"-\" \"-\"")));
    let told: Vec<usize> = proxy
        .said()
        .lines()
        .filter_map(|line| line.split("lines=").nth(1)?.split_whitespace().next()?.parse().ok())
        .collect();
    assert_eq!(text.lines().count() + told.iter().sum::<usize>(), MANY);
    // The first, one a second, and what is left at the end.
    assert!(told.len() as u64 <= begun.elapsed().as_secs() + 2, "{told:?}");
}

/// At the end a reader that has stalled is waited for, but not for ever, and what it did not take is counted.
#[test]
fn a_standard_output_that_nobody_reads_at_the_end() {
    let flags = ["--port", "0", "--access-log", "-", "--workers", "1"];
    let mut proxy = Proxy::run(sluicegate(&flags).stdout(Stdio::piped()));
    let origin = Origin::new();
    let mut unread = proxy.stdout();
    // More than a pipe takes, less than there is room for.
    let some = 40;
    for _ in 0..some {
        proxy.get(&long(&origin));
    }
    proxy.stop();
    let mut text = String::new();
    unread.read_to_string(&mut text).unwrap();
    let lines = text.matches('\n').count();
    assert!(lines < some, "the pipe took it all");
    assert!(proxy.said().contains(&format!("lines={}", some - lines)), "{lines} of {some} were read: {}", proxy.said());
}
