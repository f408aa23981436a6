//! What a person at the terminal is told, on the standard error.

use std::io::Write;

/// Writes one line, at once and whole. Nobody is left to tell if that fails.
pub(crate) fn line(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Writes what was asked for to the standard output.
pub(crate) fn answer(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
