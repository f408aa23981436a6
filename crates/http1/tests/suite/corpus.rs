//! The inputs that the fuzzer and we found worth keeping (`fuzz/corpus`), without the fuzzer.

use std::fs;
use std::path::{Path, PathBuf};

use crate::oracles;

#[test]
fn request_head() {
    replay("request_head", oracles::request_head);
}

#[test]
fn response_head() {
    replay("response_head", oracles::response_head);
}

#[test]
fn framing() {
    replay("framing", oracles::framing);
}

#[test]
fn chunked() {
    replay("chunked", oracles::chunked);
}

#[test]
fn message_stream() {
    replay("message_stream", oracles::message_stream);
}

#[allow(clippy::print_stdout, reason = "shown only if the test fails")]
fn replay(target: &str, oracle: fn(&[u8]) -> bool) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = fs::read_dir(&directory).unwrap_or_else(|why| panic!("{}: {why}", directory.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let (mut accepted, mut refused) = (0, 0);
    for file in files {
        // If the oracle panics, the last one is the culprit.
        println!("{}", file.display());
        let count = if oracle(&fs::read(&file).unwrap()) { &mut accepted } else { &mut refused };
        *count += 1;
    }
    assert!(accepted > 5 && refused > 5, "{accepted} accepted, {refused} refused: the seeds no longer reach anything");
}
