//! Memory for a response's head that is larger than what every connection's bound holds: taken when such a head comes, so
//! that those without one, nearly all, need not set it aside.

use sluicegate_http1::HeadLimits;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::limits::Limits;
use crate::record::Fault;

/// See [`Larger::head`].
const SLACK: usize = 64;

/// What one exchange has of it.
#[derive(Debug)]
pub(crate) struct Larger<'m> {
    limits: &'m Limits,
    /// The shares of `Limits::max_memory`, if there is one.
    memory: Option<&'m Semaphore>,
    held: Option<SemaphorePermit<'m>>,
    is_taken: bool,
}

impl<'m> Larger<'m> {
    pub(crate) fn new(limits: &'m Limits, memory: Option<&'m Semaphore>) -> Self {
        Self { limits, memory, held: None, is_taken: false }
    }

    /// What a head may measure as long as there is no more memory: a little over the share, so that one that does not end
    /// in it, or has empty lines before it, is no fault yet.
    pub(crate) fn head(&self) -> HeadLimits {
        let share = self.limits.response_share();
        let bytes = if self.is_taken { self.limits.response_head.bytes } else { share.bytes.saturating_add(SLACK) };
        HeadLimits { bytes: bytes.min(self.limits.response_head.bytes), ..share }
    }

    /// How many bytes a head of which there are `taken` may still take.
    pub(crate) fn room(&self, taken: usize) -> usize {
        let most = if self.is_taken { self.limits.response_head.bytes } else { self.limits.response_share().bytes };
        most.saturating_sub(taken)
    }

    /// Whether memory has been taken that is to be given back.
    pub(crate) fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// Takes what the largest head needs. Not waited for: whoever holds some waits for no more, or two could wait for each
    /// other.
    ///
    /// # Errors
    /// There is none left.
    pub(crate) fn take(&mut self) -> Result<(), Fault> {
        let shares = self.limits.larger_head().div_ceil(self.limits.bound().total().max(1));
        if let Some(memory) = self.memory.filter(|_| !self.is_taken) {
            let shares = u32::try_from(shares).unwrap_or(u32::MAX);
            self.held = Some(memory.try_acquire_many(shares).map_err(|_| Fault::Capacity)?);
        }
        self.is_taken = true;
        Ok(())
    }
}
