//! A proxy, scripted origins and raw clients on loopback sockets. Everything that waits, waits for
//! a condition and gives up after [`PATIENCE`].

#![allow(dead_code, reason = "each test crate uses its own part of the harness")]
#![allow(unreachable_pub, unused_imports, reason = "the harness is compiled into each test crate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test stops at the first surprise")]

pub mod ends;
pub mod gate;
pub mod named;
pub mod origin;
pub mod serving;
pub mod tls;
pub mod wire;

use std::time::{Duration, Instant};

pub use gate::{Gate, Setup, Told};
pub use origin::Origin;
pub use serving::Serving;
pub use tls::Tls;
pub use wire::{End, Message, Wire};

/// No wait is longer. Far more than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Waits for `condition`.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until `count` has stopped growing; its last value. A stalled sender shows no event, so
/// this alone looks at the clock: a count that rests for 400 ms rests.
#[track_caller]
pub fn settled(what: &str, count: impl Fn() -> u64) -> u64 {
    let begin = Instant::now();
    let (mut last, mut since) = (count(), Instant::now());
    while since.elapsed() < Duration::from_millis(400) {
        assert!(begin.elapsed() < PATIENCE, "{what}: still moving after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
        if count() != last {
            (last, since) = (count(), Instant::now());
        }
    }
    last
}

/// A GET in absolute-form.
pub fn get(url: &str) -> Vec<u8> {
    format!("GET {url} HTTP/1.1\r\nHost: ignored\r\n\r\n").into_bytes()
}

/// A 200 with this body and its length.
pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// `n` bytes in which every position looks different from its neighbours', `seed` apart.
pub fn noise(n: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(n + 8);
    while out.len() < n {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(n);
    out
}

/// Says where two byte strings differ, instead of printing megabytes.
#[track_caller]
pub fn same(what: &str, got: &[u8], want: &[u8]) {
    if got != want {
        let at = got.iter().zip(want).take_while(|(a, b)| a == b).count();
        let around = |bytes: &[u8]| {
            let (from, to) = (at.saturating_sub(40).min(bytes.len()), (at + 60).min(bytes.len()));
            String::from_utf8_lossy(&bytes[from..to]).into_owned()
        };
        let (g, w) = (around(got), around(want));
        panic!("{what}: {} bytes, expected {}; they differ at {at}:\n  got {g:?}\n want {w:?}", got.len(), want.len());
    }
}

/// The body in chunks of these sizes, in turn.
pub fn chunked(body: &[u8], sizes: &[usize], trailers: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), body);
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, tail) = rest.split_at((*size).clamp(1, rest.len()));
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        rest = tail;
    }
    out.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    out
}
