//! Until when something is waited for.

use std::time::Duration;

use super::TICK;

/// Milliseconds; far enough.
pub(super) const NEVER: u64 = u64::MAX;

/// The same as a period, and the longest other one: seven weeks.
pub(super) const FOR_EVER: u32 = u32::MAX;
const LONGEST: u32 = u32::MAX - 1;

/// A period after `now`.
pub(super) fn after(now: u64, period: u32) -> u64 {
    if period == FOR_EVER { NEVER } else { now.saturating_add(period.into()) }
}

/// The latest end of a wait. A setting becomes one by itself: `None` in it means for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// So long after something moved. Late by at most two ticks, and never early.
    Within(Duration),
    /// Only the next sweep is waited for (0 to 0.1 s).
    Sweep,
    /// What is waited for has a deadline of its own.
    Never,
    /// The one that was set before goes on.
    Same,
}

impl Deadline {
    /// How many milliseconds without a move are too long; None to change nothing.
    pub(super) fn period(self) -> Option<u32> {
        match self {
            Self::Within(time) => {
                Some(u32::try_from(time.saturating_add(TICK).as_millis()).map_or(LONGEST, |millis| millis.min(LONGEST)))
            }
            Self::Sweep => Some(1),
            Self::Never => Some(FOR_EVER),
            Self::Same => None,
        }
    }
}

impl From<Option<Duration>> for Deadline {
    fn from(limit: Option<Duration>) -> Self {
        limit.map_or(Self::Never, Self::Within)
    }
}

impl From<Duration> for Deadline {
    fn from(time: Duration) -> Self {
        Self::Within(time)
    }
}
