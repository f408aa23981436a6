//! The live connections of one worker.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slab::Slab;

use super::clock::Clock;
use super::{ConnectionState, Flow};

/// All of them, and their clock.
#[derive(Debug)]
pub(crate) struct Flows {
    clock: Arc<Clock>,
    live: Mutex<Slab<Arc<Flow>>>,
    empty: tokio::sync::Notify,
}

impl Flows {
    pub(crate) fn new() -> Self {
        Self { clock: Arc::new(Clock::new()), live: Mutex::default(), empty: tokio::sync::Notify::new() }
    }

    /// Registers a connection until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>, client: SocketAddr) -> Entered {
        let flow = Arc::new(Flow::new(Arc::clone(&self.clock), client));
        let key = self.lock().insert(Arc::clone(&flow));
        Entered { flows: Arc::clone(self), key, flow }
    }

    /// The clock, as of the last sweep.
    pub(crate) fn now(&self) -> Duration {
        Duration::from_millis(self.clock.millis())
    }

    /// Live connections.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// What each of them is doing.
    pub(crate) fn states(&self) -> Vec<ConnectionState> {
        self.lock().iter().map(|(_, flow)| ConnectionState::of(flow)).collect()
    }

    /// Sets the clock and wakes whoever's deadline has passed.
    pub(crate) fn sweep(&self, now: Duration) {
        self.clock.set(now);
        self.wake_if(|flow| flow.ringing().is_some());
    }

    /// Ends what is idle and lets the rest finish.
    pub(crate) fn drain(&self) {
        self.clock.drain();
        self.wake_if(|_| true);
    }

    /// Ends everything at once; how many connections that were.
    pub(crate) fn abort(&self) -> usize {
        // Before they are woken: on another thread they may be gone by then.
        let live = self.count();
        self.clock.abort();
        self.wake_if(|_| true);
        live
    }

    /// Resolves when no connection is left.
    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.empty.notified();
            if self.count() == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn wake_if(&self, condition: impl Fn(&Flow) -> bool) {
        for (_, flow) in self.lock().iter().filter(|(_, flow)| condition(flow)) {
            flow.waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Arc<Flow>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place in the registry.
#[derive(Debug)]
pub(crate) struct Entered {
    flows: Arc<Flows>,
    key: usize,
    flow: Arc<Flow>,
}

impl Entered {
    /// Its number among those that live: another connection gets it once this is dropped.
    pub(crate) fn key(&self) -> usize {
        self.key
    }
}

impl std::ops::Deref for Entered {
    type Target = Flow;

    fn deref(&self) -> &Flow {
        &self.flow
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut live = self.flows.lock();
        live.try_remove(self.key);
        if live.is_empty() {
            self.flows.empty.notify_waiters();
        }
    }
}
