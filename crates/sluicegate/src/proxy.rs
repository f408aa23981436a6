//! The proxy: made from settings, given listeners, stopped gracefully.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::answer;
use crate::connection::{self, connection};
use crate::flow::{ConnectionState, TICK};
use crate::limits::{LimitError, Limits};
use crate::policy::{AllowAll, Policy};
use crate::record::Client;
use crate::transport::{Listener, Tcp, Transport};
use crate::worker::{Shared, Worker};

/// Makes a [`Proxy`].
pub struct Builder<P = AllowAll> {
    limits: Limits,
    policy: P,
    via: bool,
}

impl<P: Policy> Builder<P> {
    /// Sizes and deadlines.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Who decides and who is told.
    #[must_use]
    pub fn policy<Q: Policy>(self, policy: Q) -> Builder<Q> {
        let Self { limits, via, .. } = self;
        Builder { limits, policy, via }
    }

    /// Whether `Via` is added to what is forwarded (RFC 9110 §7.6.3). Default: it is.
    #[must_use]
    pub fn via(mut self, via: bool) -> Self {
        self.via = via;
        self
    }

    /// The proxy.
    ///
    /// # Errors
    /// The first setting that is out of its bounds.
    pub fn build(self) -> Result<Proxy<P>, LimitError> {
        self.limits.check()?;
        let shared = Arc::new(Shared::new(self.limits, self.policy, self.via));
        Ok(Proxy { worker: Arc::new(Worker::new(shared)) })
    }
}

/// An HTTP forward proxy. A clone is the same proxy; [`Proxy::another_worker`] shares its settings
/// and limits, but neither buffers nor origin connections, and is meant for another runtime.
pub struct Proxy<P = AllowAll> {
    worker: Arc<Worker<P>>,
}

impl<P> Clone for Proxy<P> {
    fn clone(&self) -> Self {
        Self { worker: Arc::clone(&self.worker) }
    }
}

impl Proxy {
    /// A proxy with the default settings, which allows everything.
    #[must_use]
    pub fn new() -> Self {
        let shared = Arc::new(Shared::new(Limits::default(), AllowAll, true));
        Self { worker: Arc::new(Worker::new(shared)) }
    }

    /// The default settings, to be changed.
    #[must_use]
    pub fn builder() -> Builder {
        Builder { limits: Limits::default(), policy: AllowAll, via: true }
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Policy> Proxy<P> {
    /// A worker of the same proxy for another runtime.
    #[must_use]
    pub fn another_worker(&self) -> Self {
        Self { worker: Arc::new(Worker::new(Arc::clone(&self.worker.shared))) }
    }

    /// Says that connections to `address` come back to us, so that they are refused. `serve` says
    /// it for its own listener.
    pub fn announce(&self, address: SocketAddr) {
        let mut listeners = self.worker.shared.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if !listeners.contains(&address) {
            listeners.push(address);
        }
    }

    /// Accepts clients and serves each in a task of its own, until `stop` resolves; then serves
    /// those that are in the queue already, and returns. See [`Proxy::drain`].
    ///
    /// An error of accept (no descriptors left) is logged once a second at most, and waited out.
    pub async fn serve(&self, listener: Listener, stop: impl Future<Output = ()>) {
        self.announce(listener.local_addr());
        listener.tune(self.worker.limits().to_clients());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut troubles = Troubles::default();
        let mut stop = std::pin::pin!(stop);
        // Accepted, and waiting for its permit: out of the select, so that a tick cannot lose it.
        let mut next = None;
        loop {
            let permits = Arc::clone(&self.worker.shared.permits);
            let accepted = tokio::select! { biased;
                () = &mut stop => break,
                _ = ticks.tick(), if !self.worker.is_at_rest() => {
                    self.worker.sweep();
                    continue;
                }
                // Beyond the limit one client per listener waits here, the others in its queue.
                permit = permits.acquire_owned(), if next.is_some() => Ok(permit.ok()),
                accepted = listener.accept(), if next.is_none() => accepted.map(|accepted| {
                    next = Some(accepted);
                    Arc::clone(&self.worker.shared.permits).try_acquire_owned().ok()
                }),
            };
            match accepted {
                Ok(Some(permit)) => {
                    if let Some((tcp, peer)) = next.take() {
                        self.welcome(tcp, peer, listener.local_addr(), Some(permit));
                    }
                }
                Ok(None) => {}
                Err(error) => troubles.wait_out(&error, &self.worker).await,
            }
        }
        if let Some((tcp, peer)) = next {
            self.welcome(tcp, peer, listener.local_addr(), None);
        }
        // A client that is gone again is no reason to reset those behind it.
        let mut errors = 0_u8;
        while errors < 16 {
            match listener.try_accept() {
                Ok(Some((tcp, peer))) => self.welcome(tcp, peer, listener.local_addr(), None),
                Ok(None) => break,
                Err(_) => errors = errors.saturating_add(1),
            }
        }
    }

    /// Ends idle connections and lets the others finish, for at most `timeout`; then resets what
    /// is left. How many those were.
    pub async fn drain(&self, timeout: Duration) -> usize {
        self.worker.flows.drain();
        let mut ticks = tokio::time::interval(TICK);
        let deadline = tokio::time::sleep(timeout);
        let mut deadline = std::pin::pin!(deadline);
        loop {
            tokio::select! { biased;
                () = self.worker.flows.emptied() => return 0,
                () = &mut deadline => break,
                _ = ticks.tick() => self.worker.sweep(),
            }
        }
        let aborted = self.worker.flows.abort();
        // Each has been woken, and needs one turn to reset its sockets.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.worker.flows.emptied()).await;
        aborted
    }

    /// How many client connections of this worker are live.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.worker.flows.count()
    }

    /// Client connections of this worker that have been reset by us so far: what was cut short, and
    /// what did not close cleanly within `abort_timeout`.
    #[must_use]
    pub fn aborted(&self) -> u64 {
        self.worker.aborted.load(Relaxed)
    }

    /// Panics of the policy on this worker so far, each of which has reset its own client's connection.
    #[must_use]
    pub fn panicked(&self) -> u64 {
        self.worker.panicked.load(Relaxed)
    }

    /// What each of them is doing: the flow state of every live connection of this worker.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionState> {
        self.worker.flows.states()
    }

    fn welcome(
        &self,
        tcp: Tcp,
        peer: SocketAddr,
        listener: SocketAddr,
        permit: Option<tokio::sync::OwnedSemaphorePermit>,
    ) {
        let who = Client::new(peer, listener);
        match catch_unwind(AssertUnwindSafe(|| self.worker.shared.policy.accept(&who))) {
            Ok(true) => {}
            Ok(false) => return turn_away(&tcp),
            Err(_) => {
                self.worker.count_panic(&who);
                self.worker.count_abort();
                return tcp.abort();
            }
        }
        if self.worker.is_at_rest() {
            // Nobody turned the clock meanwhile.
            self.worker.sweep();
        }
        let worker = Arc::clone(&self.worker);
        // Registered before its task runs, or nobody would turn the clock for it.
        let flow = worker.flows.enter(peer);
        tokio::spawn(async move {
            connection(&worker, tcp, who, flow).await;
            drop(permit);
        });
    }
}

/// Bytes of a TCP connection's future: while it waits for a request, and what is boxed beside it
/// while it works. The runtime's own bookkeeping comes on top.
#[must_use]
pub fn future_sizes() -> (usize, usize) {
    connection::sizes()
}

/// One try at saying why; a client that may not be here is not waited for.
fn turn_away(tcp: &Tcp) {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = tcp.poll_write(&mut cx, &[io::IoSlice::new(answer::NOT_ALLOWED)]);
    let _ = tcp.poll_shutdown(&mut cx);
}

/// Errors of accept: said at most once a second, with how many there were, and waited out.
#[derive(Default)]
struct Troubles {
    unsaid: u64,
    said: Option<std::time::Instant>,
}

impl Troubles {
    async fn wait_out<P: Policy>(&mut self, error: &io::Error, worker: &Worker<P>) {
        self.unsaid = self.unsaid.saturating_add(1);
        if self.said.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) {
            tracing::warn!(%error, times = self.unsaid, "cannot accept connections for now");
            self.said = Some(std::time::Instant::now());
            self.unsaid = 0;
        }
        tokio::time::sleep(TICK).await;
        worker.sweep();
    }
}
