//! What is said on the standard error, and what was asked for on the standard output.
//!
//! While the proxy runs, a thread of its own writes messages: a terminal that is held by Ctrl-S or
//! a pipe that nobody reads stops that thread, and neither a worker nor a signal. What there is no
//! room for is dropped and counted. (tracing-appender does this for tracing alone, bounds it in
//! lines instead of bytes, and brings a calendar for files that are never rolled here.)

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes of messages in waiting: a table of connections at its longest, or thousands of lines.
const ROOM: usize = 512 << 10;

/// How long the end of the process waits for somebody to take the last messages.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The process has one standard error, and one of these.
static MESSAGES: Mutex<Messages> = Mutex::new(Messages { text: Vec::new(), lost: 0, writer: Writer::Direct });
static CHANGED: Condvar = Condvar::new();

/// What is still to be written.
struct Messages {
    /// Whole lines, [`ROOM`] at most.
    text: Vec<u8>,
    /// How many found no room after `text`.
    lost: u64,
    writer: Writer,
}

/// How messages get out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// Nobody else is there who could be held up.
    Direct,
    /// By the thread.
    Thread,
    /// By the thread, which is to write what is left and end.
    Ending,
    /// Nobody took the last words.
    Nowhere,
}

/// Writes one line. Nobody is left to tell if that fails.
pub(crate) fn line(text: &str) {
    write(format!("{text}\n").as_bytes());
}

/// Writes what was asked for to the standard output.
pub(crate) fn answer(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// From now on a thread writes.
///
/// # Errors
/// There is no thread left.
pub(crate) fn start() -> io::Result<()> {
    std::thread::Builder::new().name("messages".to_owned()).spawn(run)?;
    lock().writer = Writer::Thread;
    Ok(())
}

/// Waits until everything has been written, but not for ever.
pub(crate) fn finish() {
    let mut messages = lock();
    if messages.writer != Writer::Thread {
        return;
    }
    messages.writer = Writer::Ending;
    CHANGED.notify_all();
    let unwritten = |messages: &mut Messages| messages.writer == Writer::Ending;
    let waited = CHANGED.wait_timeout_while(messages, LAST_WORDS, unwritten).unwrap_or_else(PoisonError::into_inner);
    let (mut messages, timeout) = waited;
    if timeout.timed_out() {
        messages.writer = Writer::Nowhere;
    }
}

/// Takes the lines of `tracing`, each in one piece.
pub(crate) struct Pen;

impl Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(bytes: &[u8]) {
    let mut messages = lock();
    match messages.writer {
        Writer::Direct => drop(io::stderr().write_all(bytes)),
        Writer::Thread | Writer::Ending => {
            messages.add(bytes);
            CHANGED.notify_all();
        }
        Writer::Nowhere => {}
    }
}

/// The thread.
fn run() {
    loop {
        let nothing = |messages: &mut Messages| messages.text.is_empty() && messages.writer != Writer::Ending;
        let mut messages = CHANGED.wait_while(lock(), nothing).unwrap_or_else(PoisonError::into_inner);
        let text = messages.take();
        if text.is_empty() {
            messages.writer = Writer::Direct;
            return CHANGED.notify_all();
        }
        drop(messages);
        let _ = io::stderr().write_all(&text);
    }
}

impl Messages {
    fn add(&mut self, bytes: &[u8]) {
        // After a loss nothing is taken until it has been told, so that it is told in its place.
        if self.lost == 0 && self.text.len().saturating_add(bytes.len()) <= ROOM {
            self.text.extend_from_slice(bytes);
        } else {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// What is to be written now.
    fn take(&mut self) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.text);
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let told = format!("{lost} messages were dropped, because they came faster than they could be written\n");
            text.extend_from_slice(told.as_bytes());
        }
        text
    }
}

fn lock() -> MutexGuard<'static, Messages> {
    MESSAGES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_told_in_its_place() {
        let mut messages = Messages { text: Vec::new(), lost: 0, writer: Writer::Thread };
        messages.add(&vec![b'x'; ROOM - 1]);
        for _ in 0..3 {
            messages.add(b"too much\n");
        }
        messages.add(b"\n");
        assert!(messages.text.len() == ROOM - 1 && messages.lost == 4);
        let text = String::from_utf8(messages.take()).unwrap();
        assert!(text.ends_with("x4 messages were dropped, because they came faster than they could be written\n"));
        messages.add(b"again\n");
        assert_eq!(messages.take(), b"again\n");
    }
}
