//! How many interim responses one exchange may have (RFC 9110 §15.2: they are to be forwarded, and nobody says how many).
//! Their bytes are counted, because those are what they cost: a burst, and a rate that a patient origin keeps to.

use std::time::Duration;

use crate::record::Fault;

/// Bytes of interim heads at once: four of the largest size.
const BURST: u64 = 256 * 1024;

/// Bytes for each second that the exchange has taken so far.
const RATE: u64 = 1024;

/// How often word of progress gives the origin its time for a response again. A hundred times the default are eight hours.
const EXTENSIONS: u32 = 100;

/// What an origin has said before its final response.
#[derive(Debug)]
pub(super) struct Interim {
    began: Duration,
    bytes: u64,
    extensions: u32,
}

impl Interim {
    /// Nothing yet, by a clock that says `now`.
    pub(super) fn new(now: Duration) -> Self {
        Self { began: now, bytes: 0, extensions: 0 }
    }

    /// Counts a head of this size.
    ///
    /// # Errors
    /// It is one too many.
    pub(super) fn count(&mut self, bytes: usize, now: Duration) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        let earned = now.saturating_sub(self.began).as_secs().saturating_mul(RATE);
        if self.bytes > BURST.saturating_add(earned) { Err(Fault::TooManyInterim) } else { Ok(()) }
    }

    /// Whether this status says that the origin is at work (102, 103; a 100 speaks of the request), so that its time begins
    /// anew. Not for ever.
    pub(super) fn extends(&mut self, status: u16) -> bool {
        if !matches!(status, 102 | 103) || self.extensions >= EXTENSIONS {
            return false;
        }
        self.extensions = self.extensions.saturating_add(1);
        true
    }
}
