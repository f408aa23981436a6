//! One way through a connection, as its pump reports it: what was taken, what was given, and how
//! long either end was held back.
//!
//! A pause begins when a sink takes no more of what waits for it, or a source is not read because
//! its pipe is full; it costs a clock reading only when it begins and when it ends.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::Flow;
use super::clock::Clock;
use super::state::DirectionState;

/// See the module. Written by one task, read by anyone; each number by itself is true.
#[derive(Debug, Default)]
pub(super) struct Way {
    taken: AtomicU64,
    given: AtomicU64,
    held: AtomicU32,
    /// The sink does not take what waits for it.
    blocked: Pause,
    /// The source is not read.
    full: Pause,
}

impl Way {
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Whether it holds nothing, and no sink keeps it waiting.
    pub(super) fn is_at_rest(&self) -> bool {
        self.held.load(Relaxed) == 0 && self.blocked.since.load(Relaxed) == 0
    }

    pub(super) fn state(&self, clock: &Clock) -> DirectionState {
        DirectionState {
            taken: self.taken.load(Relaxed),
            given: self.given.load(Relaxed),
            held: self.held.load(Relaxed) as usize,
            sink_waits: self.blocked.since(clock),
            sink_waited: self.blocked.total(clock),
            source_paused: self.full.since(clock),
            source_was_paused: self.full.total(clock),
        }
    }
}

/// A way, its clock and its connection's deadline: what a pump reports to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane<'f> {
    pub(super) flow: &'f Flow,
    pub(super) way: &'f Way,
}

impl Lane<'_> {
    /// Something moved: the deadline starts anew.
    pub(crate) fn touch(self) {
        self.flow.touch();
    }

    /// See [`Flow::moved`].
    pub(crate) fn moved(self, times: u8) {
        self.flow.moved(times);
    }

    /// See [`Flow::is_spent`].
    pub(crate) fn is_spent(self) -> bool {
        self.flow.is_spent()
    }

    /// See [`Flow::rest`].
    pub(crate) fn rest(self) {
        self.flow.rest();
    }

    /// `n` bytes have been read from the source.
    pub(crate) fn took(self, n: usize) {
        add(&self.way.taken, n);
    }

    /// `n` bytes have been written to the sink.
    pub(crate) fn gave(self, n: usize) {
        add(&self.way.given, n);
    }

    /// How things stand: bytes held, whether the sink takes none of what waits for it, whether
    /// the source is left unread.
    pub(crate) fn stands(self, held: usize, blocked: bool, full: bool) {
        self.way.held.store(u32::try_from(held).unwrap_or(u32::MAX), Relaxed);
        self.way.blocked.is(blocked, &self.flow.clock);
        self.way.full.is(full, &self.flow.clock);
    }

    /// Whether the sink has held this way back for longer than `long`, until now.
    pub(crate) fn has_waited(self, long: Duration) -> bool {
        self.way.blocked.since(&self.flow.clock).is_some_and(|waited| waited > long)
    }

    /// How long the sink has held this way back, since the connection began.
    pub(crate) fn blocked_for(self) -> Duration {
        self.way.blocked.total(&self.flow.clock)
    }
}

fn add(count: &AtomicU64, n: usize) {
    count.store(count.load(Relaxed).wrapping_add(n as u64), Relaxed);
}

/// Tenths of a millisecond; `since` is 0 while there is none.
#[derive(Debug, Default)]
struct Pause {
    since: AtomicU32,
    total: AtomicU32,
}

impl Pause {
    fn is(&self, on: bool, clock: &Clock) {
        let since = self.since.load(Relaxed);
        match (since != 0, on) {
            (false, true) => self.since.store(clock.fine().max(1), Relaxed),
            (true, false) => {
                let lasted = clock.fine().wrapping_sub(since);
                self.total.store(self.total.load(Relaxed).saturating_add(lasted), Relaxed);
                self.since.store(0, Relaxed);
            }
            _ => {}
        }
    }

    fn since(&self, clock: &Clock) -> Option<Duration> {
        match self.since.load(Relaxed) {
            0 => None,
            since => Some(tenths(clock.fine().wrapping_sub(since))),
        }
    }

    fn total(&self, clock: &Clock) -> Duration {
        tenths(self.total.load(Relaxed)).saturating_add(self.since(clock).unwrap_or_default())
    }
}

fn tenths(n: u32) -> Duration {
    Duration::from_micros(u64::from(n).saturating_mul(100))
}
