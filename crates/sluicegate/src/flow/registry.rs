//! The live connections of one worker.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use slab::Slab;

use super::clock::Clock;
use super::{ConnectionState, Flow, Phase};

/// All of them, and their clock.
#[derive(Debug)]
pub(crate) struct Flows {
    clock: Arc<Clock>,
    live: Mutex<Slab<Live>>,
    /// How many connections all workers of the proxy have had.
    ids: Arc<AtomicU64>,
    empty: tokio::sync::Notify,
}

/// One of them.
#[derive(Debug)]
struct Live {
    id: u64,
    flow: Arc<Flow>,
    /// What it was asked for; none while it is idle.
    host: Option<Arc<str>>,
}

impl Live {
    fn state(&self) -> ConnectionState {
        ConnectionState::of(&self.flow, self.id, self.host.as_deref().map(str::to_owned))
    }
}

impl Flows {
    /// Of one worker; its proxy counts connections by `ids`.
    pub(crate) fn new(ids: Arc<AtomicU64>) -> Self {
        Self { clock: Arc::new(Clock::new()), live: Mutex::default(), ids, empty: tokio::sync::Notify::new() }
    }

    /// Registers a connection until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>, client: SocketAddr) -> Entered {
        let id = self.ids.fetch_add(1, Relaxed).wrapping_add(1);
        let flow = Arc::new(Flow::new(Arc::clone(&self.clock), client));
        let key = self.lock().insert(Live { id, flow: Arc::clone(&flow), host: None });
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
        self.lock().iter().map(|(_, live)| live.state()).collect()
    }

    /// Ends those at once whose state is `wanted`; how many they are. It is asked without the lock, so that it may look
    /// at connections itself.
    pub(crate) fn abort_where(&self, wanted: impl Fn(&ConnectionState) -> bool) -> usize {
        let all: Vec<_> = self.lock().iter().map(|(_, live)| (live.state(), Arc::downgrade(&live.flow))).collect();
        let wanted = all.into_iter().filter(|(state, _)| wanted(state));
        wanted.filter_map(|(_, flow)| flow.upgrade()).filter(|flow| flow.abort()).count()
    }

    /// Those that may give way.
    pub(super) fn quiet(&self) -> Vec<Candidate> {
        let candidate = |Live { flow, .. }: &Live| {
            let (quiet, is_idle) = (flow.quiet()?, flow.phase.load(Relaxed) == Phase::Idle as u8);
            Some(Candidate {
                turn: (!is_idle, Reverse(quiet)),
                since: flow.since.load(Relaxed),
                flow: Arc::downgrade(flow),
            })
        };
        self.lock().iter().filter_map(|(_, live)| candidate(live)).collect()
    }

    /// Sets the clock and wakes whoever's deadline has passed.
    pub(crate) fn sweep(&self, now: Duration) {
        self.clock.set(now);
        self.wake_if(Flow::is_called);
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
        for (_, live) in self.lock().iter().filter(|(_, live)| condition(&live.flow)) {
            live.flow.waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    pub(crate) fn asks_for(&self, host: Arc<str>) {
        self.show(Some(host));
    }

    /// It asks for nothing.
    pub(crate) fn asks_no_more(&self) {
        self.show(None);
    }

    fn show(&self, host: Option<Arc<str>>) {
        if let Some(live) = self.flows.lock().get_mut(self.key) {
            live.host = host;
        }
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
