//! Time, for connections: each has one deadline, kept as a number that moving bytes only stores
//! to. One sweep per worker compares them all with the clock ten times a second and wakes those
//! that have run out; so no connection holds a timer, none is re-armed per read, and a test turns
//! the clock by hand.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use slab::Slab;

/// How often deadlines are looked at; they are late by at most this, and never early.
pub(crate) const TICK: Duration = Duration::from_millis(100);

const NEVER: u64 = u64::MAX;

/// Why a connection is told to stop waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// Its deadline has passed.
    Deadline,
    /// The proxy is stopping: what is idle ends, what runs goes on.
    Drain,
    /// The proxy has stopped: everything ends.
    Abort,
}

/// The time state of one connection.
#[derive(Debug)]
pub(crate) struct Flow {
    clock: Arc<Clock>,
    /// Milliseconds of the clock.
    deadline: AtomicU64,
    /// What [`Flow::touch`] extends the deadline by, in milliseconds.
    period: AtomicU64,
    waker: AtomicWaker,
}

impl Flow {
    /// From now on, `period` without [`Flow::touch`] is too long. `None`: for ever.
    pub(crate) fn allow(&self, period: Option<Duration>) {
        let millis = period.map_or(NEVER, |p| u64::try_from(p.saturating_add(TICK).as_millis()).unwrap_or(NEVER));
        self.period.store(millis, Relaxed);
        self.touch();
    }

    /// Something moved.
    pub(crate) fn touch(&self) {
        let now = self.clock.now.load(Relaxed);
        self.deadline.store(now.saturating_add(self.period.load(Relaxed)), Relaxed);
    }

    /// Resolves when the deadline passes or the proxy is aborted. A stopping proxy lets it run.
    pub(crate) async fn alarm(&self) -> Alarm {
        self.wait(|alarm| alarm != Alarm::Drain).await
    }

    /// The same for a connection that waits for a request: a stopping proxy ends it too.
    pub(crate) async fn idle_alarm(&self) -> Alarm {
        self.wait(|_| true).await
    }

    /// Whether no further request is to be begun.
    pub(crate) fn is_draining(&self) -> bool {
        self.clock.stop.load(Relaxed) >= DRAIN
    }

    async fn wait(&self, wanted: impl Fn(Alarm) -> bool) -> Alarm {
        poll_fn(|cx| {
            self.waker.register(cx.waker());
            match self.ringing().filter(|alarm| wanted(*alarm)) {
                Some(alarm) => Poll::Ready(alarm),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn ringing(&self) -> Option<Alarm> {
        if self.clock.stop.load(Relaxed) == ABORT {
            return Some(Alarm::Abort);
        }
        // A deadline goes before a drain, because the drain does not count for what runs.
        if self.deadline.load(Relaxed) <= self.clock.now.load(Relaxed) {
            return Some(Alarm::Deadline);
        }
        self.is_draining().then_some(Alarm::Drain)
    }
}

const RUN: u8 = 0;
const DRAIN: u8 = 1;
const ABORT: u8 = 2;

#[derive(Debug)]
struct Clock {
    /// Milliseconds since the worker began, as of the last sweep.
    now: AtomicU64,
    stop: AtomicU8,
}

/// The live connections of one worker.
#[derive(Debug)]
pub(crate) struct Flows {
    clock: Arc<Clock>,
    live: Mutex<Slab<Arc<Flow>>>,
    empty: tokio::sync::Notify,
}

impl Flows {
    pub(crate) fn new() -> Self {
        let clock = Clock { now: AtomicU64::new(0), stop: AtomicU8::new(RUN) };
        Self { clock: Arc::new(clock), live: Mutex::default(), empty: tokio::sync::Notify::new() }
    }

    /// Registers a connection until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Entered {
        let flow = Arc::new(Flow {
            clock: Arc::clone(&self.clock),
            deadline: AtomicU64::new(NEVER),
            period: AtomicU64::new(NEVER),
            waker: AtomicWaker::new(),
        });
        let key = self.live.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(&flow));
        Entered { flows: Arc::clone(self), key, flow }
    }

    /// The clock, as of the last sweep.
    pub(crate) fn now(&self) -> Duration {
        Duration::from_millis(self.clock.now.load(Relaxed))
    }

    /// Live connections.
    pub(crate) fn count(&self) -> usize {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Sets the clock and wakes whoever's deadline has passed.
    pub(crate) fn sweep(&self, now: Duration) {
        self.clock.now.store(u64::try_from(now.as_millis()).unwrap_or(NEVER), Relaxed);
        self.wake_if(|flow| flow.ringing().is_some());
    }

    /// Ends what is idle and lets the rest finish.
    pub(crate) fn drain(&self) {
        self.clock.stop.fetch_max(DRAIN, Relaxed);
        self.wake_if(|_| true);
    }

    /// Ends everything at once; how many connections that were.
    pub(crate) fn abort(&self) -> usize {
        self.clock.stop.store(ABORT, Relaxed);
        self.wake_if(|_| true);
        self.count()
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
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, flow) in live.iter().filter(|(_, flow)| condition(flow)) {
            flow.waker.wake();
        }
    }
}

/// A connection's place in the registry.
#[derive(Debug)]
pub(crate) struct Entered {
    flows: Arc<Flows>,
    key: usize,
    flow: Arc<Flow>,
}

impl std::ops::Deref for Entered {
    type Target = Flow;

    fn deref(&self) -> &Flow {
        &self.flow
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut live = self.flows.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.try_remove(self.key);
        if live.is_empty() {
            self.flows.empty.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    fn polled(future: impl Future<Output = Alarm>) -> Poll<Alarm> {
        pin!(future).poll(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn touching_extends_and_the_sweep_decides() {
        let flows = Arc::new(Flows::new());
        let flow = flows.enter();
        flow.allow(Some(Duration::from_secs(1)));
        flows.sweep(Duration::from_millis(1000));
        assert_eq!(polled(flow.alarm()), Poll::Pending, "never early");
        flow.touch();
        flows.sweep(Duration::from_millis(2000));
        assert_eq!(polled(flow.alarm()), Poll::Pending);
        flows.sweep(Duration::from_millis(2100));
        assert_eq!(polled(flow.alarm()), Poll::Ready(Alarm::Deadline));
        flow.allow(None);
        assert_eq!(polled(flow.alarm()), Poll::Pending);
    }

    #[test]
    fn a_stop_ends_the_idle_first() {
        let flows = Arc::new(Flows::new());
        let flow = flows.enter();
        flows.drain();
        assert_eq!(polled(flow.idle_alarm()), Poll::Ready(Alarm::Drain));
        assert_eq!(polled(flow.alarm()), Poll::Pending);
        assert_eq!(flows.abort(), 1);
        assert_eq!(polled(flow.alarm()), Poll::Ready(Alarm::Abort));
        drop(flow);
        assert_eq!(flows.count(), 0);
    }
}
