//! How long an origin is waited for.

use std::time::Duration;

use crate::limits::Limits;

/// Where that is not as the limits say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waits {
    pub(super) response: Option<Option<Duration>>,
    pub(super) body: Option<Option<Duration>>,
}

impl Waits {
    /// What two policies want: the first of both counts.
    pub(super) fn and(self, other: Self) -> Self {
        Self { response: self.response.or(other.response), body: self.body.or(other.body) }
    }
}

/// As a route says, or else the limits.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    pub(crate) limits: &'a Limits,
    pub(super) waits: Option<&'a Waits>,
}

impl<'a> Patience<'a> {
    /// As the limits say.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn usual(limits: &'a Limits) -> Self {
        Self { limits, waits: None }
    }

    /// See [`Route::response_timeout`](super::Route::response_timeout).
    pub(crate) fn response_timeout(self) -> Option<Duration> {
        self.waits.and_then(|waits| waits.response).unwrap_or(self.limits.response_timeout)
    }

    /// See [`Route::body_timeout`](super::Route::body_timeout).
    pub(crate) fn body_timeout(self) -> Option<Duration> {
        self.waits.and_then(|waits| waits.body).unwrap_or(self.limits.body_timeout)
    }
}
