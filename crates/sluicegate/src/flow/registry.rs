//! The live connections of one worker.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use slab::Slab;

use super::clock::Clock;
use super::{ConnectionState, Flow, Phase};

/// All of them, and their clock.
#[derive(Debug)]
pub(crate) struct Flows {
    clock: Arc<Clock>,
    live: Mutex<Slab<Arc<Flow>>>,
    /// What those that work were asked for. Beside the others, so that who is idle has none.
    hosts: Mutex<HashMap<usize, String>>,
    empty: tokio::sync::Notify,
}

impl Flows {
    pub(crate) fn new() -> Self {
        let (live, hosts) = (Mutex::default(), Mutex::default());
        Self { clock: Arc::new(Clock::new()), live, hosts, empty: tokio::sync::Notify::new() }
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
        let (live, hosts) = (self.lock(), lock(&self.hosts));
        live.iter().map(|(key, flow)| ConnectionState::of(flow, hosts.get(&key).cloned())).collect()
    }

    /// Those that may give way.
    pub(super) fn quiet(&self) -> Vec<Candidate> {
        let candidate = |flow: &Arc<Flow>| {
            let (quiet, is_idle) = (flow.quiet()?, flow.phase.load(Relaxed) == Phase::Idle as u8);
            Some(Candidate {
                turn: (!is_idle, Reverse(quiet)),
                since: flow.since.load(Relaxed),
                flow: Arc::downgrade(flow),
            })
        };
        self.lock().iter().filter_map(|(_, flow)| candidate(flow)).collect()
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
        lock(&self.live)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that was quiet when it was looked at.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The least goes first: idle ones before heads that have begun, and the longest quiet first.
    pub(super) turn: (bool, Reverse<u32>),
    /// If it is no longer quiet since then, it has asked for something.
    pub(super) since: u32,
    pub(super) flow: Weak<Flow>,
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

    /// What it is asked for from now on: host and port, and nothing that could be a secret.
    pub(crate) fn asks_for(&self, host: &str) {
        let mut hosts = lock(&self.flows.hosts);
        let shown = hosts.entry(self.key).or_default();
        shown.clear();
        shown.push_str(host);
    }

    /// It asks for nothing.
    pub(crate) fn asks_no_more(&self) {
        lock(&self.flows.hosts).remove(&self.key);
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
        self.asks_no_more();
        let mut live = self.flows.lock();
        live.try_remove(self.key);
        if live.is_empty() {
            self.flows.empty.notify_waiters();
        }
    }
}
