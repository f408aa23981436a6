//! How much a pipe may take from its source when a limit says so: bytes that time earns.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes for all the pipes that share it. They are earned when the clock moves, once per sweep: a connection that was woken
/// for every byte that it had earned meanwhile did nothing else.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// Bytes a second, and how many may be saved up.
    rate: u64,
    burst: u64,
    /// In thousandths of a byte, or a low rate would earn nothing from one sweep to the next.
    left: AtomicU64,
    /// The clock when they were earned, in milliseconds.
    earned: AtomicU64,
}

impl Allowance {
    /// So many bytes a second, and at most `burst` at once.
    #[cfg(test)]
    pub(crate) fn new(rate: u64, burst: u64) -> Self {
        Self { rate, burst, left: AtomicU64::new(burst.saturating_mul(1000)), earned: AtomicU64::new(0) }
    }

    /// How many bytes may be taken at `now`, in milliseconds of a clock.
    pub(super) fn left(&self, now: u64) -> u64 {
        let before = self.earned.fetch_max(now, Relaxed);
        let mut left = self.left.load(Relaxed);
        if before < now {
            let earned = self.rate.saturating_mul(now.saturating_sub(before));
            left = left.saturating_add(earned).min(self.burst.saturating_mul(1000));
            self.left.store(left, Relaxed);
        }
        left / 1000
    }

    /// `n` of them have been.
    pub(super) fn take(&self, n: usize) {
        self.left.store(self.left.load(Relaxed).saturating_sub((n as u64).saturating_mul(1000)), Relaxed);
    }
}
