//! One direction of a connection, as its pump reports it: what was taken, what was given, and how
//! long either end was held back.
//!
//! A pause begins when a sink takes no more of what waits for it, or a source is not read; it costs a
//! clock reading only when it begins and when it ends.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::Flow;
use super::clock::Clock;
use super::state::DirectionState;
use super::{Pause, PauseCause, Waits};

/// See the module. Written by one task, read by anyone; each number by itself is true.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// Its source is not read.
    paused: Since,
    /// The sink does not take what waits for it.
    blocked: Since,
    /// For how long it did not, before.
    blocked_for: AtomicU32,
    held: AtomicU32,
    taken: AtomicU64,
    given: AtomicU64,
}

impl Direction {
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Whether it holds nothing, and no sink keeps it waiting.
    pub(super) fn is_at_rest(&self) -> bool {
        self.held.load(Relaxed) == 0 && !self.blocked.is_on()
    }
}

/// A direction, its clock and its connection's deadline: what a pump reports to. No more than two words: it is handed about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane<'f> {
    pub(super) flow: &'f Flow,
    pub(super) sink: Sink,
}

/// Where a direction leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sink {
    Client,
    Origin,
}

impl<'f> Lane<'f> {
    fn direction(self) -> &'f Direction {
        match self.sink {
            Sink::Client => &self.flow.down,
            Sink::Origin => &self.flow.up,
        }
    }

    /// What keeps its source from being read, while `paused` is on. Beside the direction, where it costs no padding.
    fn cause(self) -> &'f AtomicU8 {
        match self.sink {
            Sink::Client => &self.flow.down_paused,
            Sink::Origin => &self.flow.up_paused,
        }
    }

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

    /// The clock, in milliseconds: it moves once per sweep.
    pub(crate) fn millis(self) -> u64 {
        self.flow.clock.millis()
    }

    /// Who holds this direction back when its sink takes nothing.
    pub(crate) fn sink(self) -> PauseCause {
        match self.sink {
            Sink::Client => PauseCause::Client,
            Sink::Origin => PauseCause::Origin,
        }
    }

    /// `n` bytes have been read from the source.
    pub(crate) fn took(self, n: usize) {
        add(&self.direction().taken, n);
    }

    /// `n` bytes have been written to the sink.
    pub(crate) fn gave(self, n: usize) {
        add(&self.direction().given, n);
    }

    /// How things stand: bytes held, and what is waited for.
    pub(crate) fn stands(self, held: usize, waits: Waits) {
        let (Flow { clock, paused, .. }, direction) = (self.flow, self.direction());
        direction.held.store(u32::try_from(held).unwrap_or(u32::MAX), Relaxed);
        if direction.blocked.is_on() != waits.sink {
            sum(&direction.blocked_for, direction.blocked.turn(waits.sink, clock));
        }
        let before = self.paused_by();
        if before != waits.source {
            let lasted = direction.paused.turn(waits.source.is_some(), clock);
            if let Some(total) = before.and_then(|cause| paused.get(cause.total()?)) {
                sum(total, lasted);
            }
            if let Some(cause) = waits.source {
                self.cause().store(cause as u8, Relaxed);
            }
        }
    }

    /// Who holds this direction back: its sink, or what keeps its source from being read.
    pub(crate) fn held_by(self) -> Option<PauseCause> {
        if self.direction().blocked.is_on() { Some(self.sink()) } else { self.paused_by() }
    }

    /// What keeps its source from being read, if it is not.
    pub(super) fn paused_by(self) -> Option<PauseCause> {
        if !self.direction().paused.is_on() {
            return None;
        }
        let cause = self.cause().load(Relaxed);
        PauseCause::ALL.into_iter().find(|one| *one as u8 == cause)
    }

    /// The same, and for how long now.
    pub(super) fn pause(self) -> Option<Pause> {
        let since = tenths(self.direction().paused.lasts(&self.flow.clock)?);
        self.paused_by().map(|cause| Pause { cause, since })
    }

    /// Whether the sink has held this direction back for longer than `long`, until now.
    pub(crate) fn has_waited(self, long: Duration) -> bool {
        self.direction().blocked.lasts(&self.flow.clock).is_some_and(|waited| tenths(waited) > long)
    }

    /// How long the sink has held this direction back, since the connection began.
    pub(crate) fn blocked_for(self) -> Duration {
        let now = self.direction().blocked.lasts(&self.flow.clock).unwrap_or(0);
        tenths(self.direction().blocked_for.load(Relaxed).saturating_add(now))
    }

    pub(super) fn state(self) -> DirectionState {
        let Direction { blocked, held, taken, given, .. } = self.direction();
        DirectionState {
            taken: taken.load(Relaxed),
            given: given.load(Relaxed),
            held: held.load(Relaxed) as usize,
            sink_waits: blocked.lasts(&self.flow.clock).map(tenths),
            sink_waited: self.blocked_for(),
            source_paused: self.pause(),
        }
    }
}

fn add(count: &AtomicU64, n: usize) {
    count.store(count.load(Relaxed).wrapping_add(n as u64), Relaxed);
}

fn sum(total: &AtomicU32, tenths: u32) {
    total.store(total.load(Relaxed).saturating_add(tenths), Relaxed);
}

/// When something began that goes on, in tenths of a millisecond; 0 while it does not.
#[derive(Debug, Default)]
struct Since(AtomicU32);

impl Since {
    fn is_on(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    /// Begins or ends it now; how long it had lasted.
    fn turn(&self, on: bool, clock: &Clock) -> u32 {
        let now = clock.fine();
        let began = self.0.swap(if on { now.max(1) } else { 0 }, Relaxed);
        if began == 0 { 0 } else { now.wrapping_sub(began) }
    }

    fn lasts(&self, clock: &Clock) -> Option<u32> {
        match self.0.load(Relaxed) {
            0 => None,
            began => Some(clock.fine().wrapping_sub(began)),
        }
    }
}

pub(super) fn tenths(n: u32) -> Duration {
    Duration::from_micros(u64::from(n).saturating_mul(100))
}
