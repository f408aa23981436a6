//! The worker's clock: coarse for deadlines, fine for pauses; and the order to stop.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often deadlines are looked at; they are late by at most twice this, and never early.
pub(crate) const TICK: Duration = Duration::from_millis(100);

const RUN: u8 = 0;
const DRAIN: u8 = 1;
const ABORT: u8 = 2;

/// Time since the worker began.
#[derive(Debug)]
pub(super) struct Clock {
    began: Instant,
    /// Milliseconds, as of the last sweep.
    now: AtomicU64,
    stop: AtomicU8,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), now: AtomicU64::new(0), stop: AtomicU8::new(RUN) }
    }

    /// Never backwards: of two who set it at once, one has looked a little earlier.
    pub(super) fn set(&self, now: Duration) {
        self.now.fetch_max(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn millis(&self) -> u64 {
        self.now.load(Relaxed)
    }

    /// The same in half the room. Wraps after 49 days: only differences mean anything.
    pub(super) fn coarse(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "only differences are used")]
        let millis = self.millis() as u32;
        millis
    }

    /// Tenths of a millisecond, read now. Wraps after 4.9 days: only differences mean anything.
    pub(super) fn fine(&self) -> u32 {
        // The cast is the wrap.
        #[expect(clippy::cast_possible_truncation, reason = "only differences are used")]
        let tenths = (self.began.elapsed().as_micros() / 100) as u32;
        tenths
    }

    pub(super) fn drain(&self) {
        self.stop.fetch_max(DRAIN, Relaxed);
    }

    pub(super) fn abort(&self) {
        self.stop.store(ABORT, Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.stop.load(Relaxed) >= DRAIN
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.stop.load(Relaxed) == ABORT
    }
}
