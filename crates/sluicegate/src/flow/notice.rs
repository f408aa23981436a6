//! Warnings whose reason may come thousands of times a second.

use std::time::{Duration, Instant};

/// So that a flood is seen in the log and does not fill it.
const APART: Duration = Duration::from_secs(1);

/// When a warning is due: at most once a second, with how often there was reason for it since the last one.
#[derive(Debug, Default)]
pub(crate) struct OncePerSecond {
    given: Option<Instant>,
    unsaid: u64,
}

impl OncePerSecond {
    /// Counts `reasons` more. All since the last warning, if another is due.
    pub(crate) fn due(&mut self, reasons: u64) -> Option<u64> {
        self.unsaid = self.unsaid.saturating_add(reasons);
        if self.given.is_some_and(|at| at.elapsed() < APART) {
            return None;
        }
        self.given = Some(Instant::now());
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_said_is_counted() {
        let mut warning = OncePerSecond::default();
        assert_eq!(warning.due(1), Some(1), "the first is given at once");
        let again = Some(Instant::now() + APART);
        warning.given = again;
        assert_eq!((warning.due(1), warning.due(0), warning.due(2)), (None, None, None));
        warning.given = Instant::now().checked_sub(APART);
        assert_eq!(warning.due(1), Some(4));
        warning.given = Instant::now().checked_sub(APART);
        assert_eq!(warning.due(0), Some(0));
    }
}
