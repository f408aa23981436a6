//! Look-ups that run, each once, whoever waits for it. It ends with the last that waits: no task and no channel is behind
//! it, the waiting ones drive it.

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One part in a look-up.
#[derive(Clone)]
pub(super) struct Running<T: Clone>(Shared<Work<T>>);

impl<T: Clone> Running<T> {
    pub(super) fn new(work: Work<T>) -> Self {
        Self(work.shared())
    }
}

impl<T: Clone> Future for Running<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.0.poll_unpin(cx)
    }
}

/// Look-ups that run, by their names. Those that have ended are thrown out from time to time.
pub(super) struct Joined<T: Clone> {
    running: HashMap<Box<str>, WeakShared<Work<T>>>,
    /// With so many it is time.
    full: usize,
}

/// No throwing out before there are so many.
const FEW: usize = 64;

impl<T: Clone> Default for Joined<T> {
    fn default() -> Self {
        Self { running: HashMap::new(), full: FEW }
    }
}

impl<T: Clone> Joined<T> {
    /// A part in the look-up of `name`, if one runs.
    pub(super) fn get(&self, name: &str) -> Option<Running<T>> {
        // One that has ended, and that somebody still holds, has nothing new to say.
        let running = self.running.get(name)?.upgrade()?;
        running.peek().is_none().then_some(Running(running))
    }

    /// Begins one.
    pub(super) fn start(&mut self, name: &str, work: Work<T>) -> Running<T> {
        if self.running.len() >= self.full {
            self.running.retain(|_, running| running.upgrade().is_some());
            self.full = self.running.len().saturating_mul(2).max(FEW);
        }
        let running = Running::new(work);
        if let Some(weak) = running.0.downgrade() {
            self.running.insert(name.into(), weak);
        }
        running
    }

    /// Nobody joins those that run.
    #[cfg(feature = "dns")]
    pub(super) fn forget(&mut self) {
        self.running.clear();
    }
}
