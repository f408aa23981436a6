//! The origin. What it does stands in the path:
//!
//! | path | answer |
//! |---|---|
//! | `/bytes/N` | N bytes, with a length |
//! | `/chunked/N` | N bytes in chunks; N is a multiple of 256 KiB |
//! | `/sink` | takes the request's body, then 2 bytes |
//! | `/both/N` | sends N bytes while it takes a body of N bytes |
//! | `/think/ID` | none: it waits until its client goes, and remembers when |
//! | `/seen/ID` | when that was, in nanoseconds of the monotonic clock; 0 for not yet |

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::wire::{Head, Length, Outcome, Wire};

/// How long `/think` waits for its client to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// When which `/think` was left.
type Seen = Arc<Mutex<HashMap<String, u64>>>;

pub async fn serve(listen: SocketAddr) -> Outcome<()> {
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    let seen = Seen::default();
    loop {
        let wire = Wire::new(listener.accept().await?.0)?;
        let seen = Arc::clone(&seen);
        // What goes wrong on a connection is the load's to notice.
        tokio::spawn(async move { connection(wire, seen).await.ok() });
    }
}

/// Nanoseconds of a clock that all processes of the machine share.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

async fn connection(mut wire: Wire, seen: Seen) -> Outcome<()> {
    let mut answers = Vec::new();
    loop {
        // Pipelined requests are answered in one write, as a fast origin would.
        while let Some(head) = wire.try_head() {
            let closes = head.closes;
            answer(&mut wire, &head, &mut answers, &seen).await?;
            if closes {
                return Ok(wire.send(&answers).await?);
            }
        }
        wire.send(&answers).await?;
        answers.clear();
        if !wire.read().await? {
            return Ok(());
        }
    }
}

async fn answer(wire: &mut Wire, head: &Head, answers: &mut Vec<u8>, seen: &Seen) -> Outcome<()> {
    let (what, how) = asked(&head.start_line);
    let size = how.parse().unwrap_or(0);
    match what {
        "bytes" if size <= 16 << 10 => {
            with_length(answers, size);
            answers.resize(answers.len() + size as usize, b'x');
        }
        "bytes" => {
            with_length(answers, size);
            wire.send(&std::mem::take(answers)).await?;
            wire.send_body(size, false).await?;
        }
        "chunked" => {
            answers.extend_from_slice(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
            );
            wire.send(&std::mem::take(answers)).await?;
            wire.send_body(size, true).await?;
        }
        "both" => {
            with_length(answers, size);
            wire.send(&std::mem::take(answers)).await?;
            wire.exchange_bodies(size).await?;
        }
        "think" => {
            seen.lock().map_err(|_| "poisoned")?.insert(how.into(), 0);
            // What is sent behind the request is read and dropped; a reset is an end as well.
            timeout(PATIENCE, wire.body(Length::UntilClose)).await.ok();
            seen.lock().map_err(|_| "poisoned")?.insert(how.into(), now());
            return Err("it has gone".into());
        }
        "seen" => {
            let text = seen.lock().map_err(|_| "poisoned")?.get(how).copied().unwrap_or(0).to_string();
            with_length(answers, text.len() as u64);
            answers.extend_from_slice(text.as_bytes());
        }
        _ => {
            wire.body(head.length).await?;
            with_length(answers, 2);
            answers.extend_from_slice(b"ok");
        }
    }
    Ok(())
}

fn with_length(answers: &mut Vec<u8>, size: u64) {
    let head = format!(
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: bench\r\nContent-Type: text/plain\r\n\
         Content-Length: {size}\r\n\r\n"
    );
    answers.extend_from_slice(head.as_bytes());
}

/// The two parts of the path, whatever form the target has: a blind relay passes on absolute ones.
fn asked(request_line: &str) -> (&str, &str) {
    let target = request_line.split(' ').nth(1).unwrap_or("");
    let path = target.split_once("://").map_or(target, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""))
}

#[cfg(test)]
mod tests {
    use super::asked;

    #[test]
    fn targets_of_both_forms() {
        assert_eq!(asked("GET /bytes/12 HTTP/1.1"), ("bytes", "12"));
        assert_eq!(asked("GET http://127.0.0.1:8000/bytes/12 HTTP/1.1"), ("bytes", "12"));
        assert_eq!(asked("POST /sink HTTP/1.1"), ("sink", ""));
    }
}
