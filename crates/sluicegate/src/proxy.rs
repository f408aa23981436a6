//! The proxy: made from settings, given listeners, stopped gracefully.

mod handshake;
mod serve;

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

pub use serve::Serve;

use crate::flow::{ConnectionState, Entered, TICK};
use crate::front::h1::{self, connection};
use crate::limits::{LimitError, Limits};
use crate::message::answer;
use crate::origin::Connector;
use crate::policy::{AllowAll, Policy};
use crate::record::{Client, Fault};
use crate::serve::story;
use crate::transport::{IntoListener, IntoTransport, Transport};
use crate::worker::{NAME, Shared, Worker};

/// Makes a [`Proxy`].
pub struct Builder<P = AllowAll> {
    limits: Limits,
    policy: P,
    via: bool,
    name: String,
    connector: Option<Arc<dyn Connector>>,
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
        let Self { limits, via, name, connector, .. } = self;
        Builder { limits, policy, via, name, connector }
    }

    /// Whether `Via` is added to what is forwarded (RFC 9110 §7.6.3). Default: it is.
    #[must_use]
    pub fn via(mut self, via: bool) -> Self {
        self.via = via;
        self
    }

    /// What the proxy is called in `Proxy-Status` (RFC 9209) and, with a number of this process behind it, in `Via`: a letter, and
    /// up to 31 letters, digits, `-`, `_` and `.` behind it; else [`Builder::build`] fails. Default: `sluicegate`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Who connects to origins. Default: names are looked up by the system's configuration, and both families
    /// raced (RFC 8305).
    #[must_use]
    pub fn connector(mut self, connector: impl Connector) -> Self {
        self.connector = Some(Arc::new(connector));
        self
    }

    /// The proxy.
    ///
    /// # Errors
    /// The first setting that is out of its bounds.
    pub fn build(self) -> Result<Proxy<P>, LimitError> {
        self.limits.check()?;
        check_name(&self.name)?;
        let mut shared = Shared::new(self.limits, self.policy, self.via).named(self.name);
        shared.connector = self.connector;
        Ok(Proxy { worker: Arc::new(Worker::new(Arc::new(shared))) })
    }
}

/// A token of Structured Fields is one of HTTP, too, and more (RFC 9651 §3.3.4): this is what both allow.
fn check_name(name: &str) -> Result<(), LimitError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.len() <= 32 && name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(is_plain) {
        return Ok(());
    }
    let rule = "a letter, and up to 31 letters, digits, -, _ and . behind it";
    Err(LimitError { name: "name", value: format!("{name:?}"), rule })
}

/// An HTTP forward proxy. A clone is the same proxy; [`Proxy::new_worker`] shares its settings
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
        Builder { limits: Limits::default(), policy: AllowAll, via: true, name: NAME.to_owned(), connector: None }
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
    pub fn new_worker(&self) -> Self {
        Self { worker: Arc::new(Worker::new(Arc::clone(&self.worker.shared))) }
    }

    /// Says that connections to `address` come back to us, so that they are refused. `serve` says
    /// it for its own listener.
    pub fn add_own_address(&self, address: SocketAddr) {
        let mut listeners = self.worker.shared.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if !listeners.contains(&address) {
            listeners.push(address);
        }
    }

    /// Serves the clients of a listener, each in a task of its own, once what this returns is awaited; for ever,
    /// unless it is given a [graceful shutdown](Serve::with_graceful_shutdown).
    ///
    /// The listener is the standard library's, tokio's, or a [`Listener`](crate::transport::Listener); several may be
    /// served at once.
    pub fn serve(&self, listener: impl IntoListener) -> Serve<P> {
        Serve::new(self.clone(), listener.into_listener())
    }

    /// Serves one client over a stream that somebody else has accepted: a tokio `TcpStream`, a duplex pipe, or
    /// anything that reads and writes in a [`Stream`](crate::transport::Stream). Returns when its connection has ended. It
    /// counts towards `max_connections`, and waits until there is room.
    ///
    /// Requests that lead back to the listener that accepted it are only noticed if that was
    /// [added](Proxy::add_own_address). Cancel-safe: dropping it ends the connection, by a reset to both sides if something was
    /// under way, so that nothing that was cut looks complete; what is idle ends by a FIN.
    ///
    /// Deadlines are kept by every runtime in which this is called, for all connections of the worker, while there are any:
    /// a runtime that is no longer driven, or has ended, stops none of those that are served elsewhere. Who serves on several
    /// runtimes does better to give each [a worker of its own](Proxy::new_worker): they share no locks.
    ///
    /// # Errors
    /// Those of taking the stream over.
    pub async fn serve_connection(&self, stream: impl IntoTransport, client: Client) -> io::Result<()> {
        let stream = stream.into_transport(self.worker.limits())?;
        let place = self.place().await;
        if self.is_welcome(&stream, &client) {
            self.enter(stream, client, place).await;
        }
        Ok(())
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

    /// Its policy, which all workers share.
    #[must_use]
    pub fn policy(&self) -> &P {
        &self.worker.shared.policy
    }

    /// The limits that it was made with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.worker.limits()
    }

    /// How many client connections of this worker are live.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.worker.flows.count()
    }

    /// Client connections of this worker that have ended in a reset so far: what was cut short, by whichever side, and
    /// what did not close cleanly within `abort_timeout`.
    #[must_use]
    pub fn aborted(&self) -> u64 {
        self.worker.aborted.load(Relaxed)
    }

    /// Clients of this worker that have been turned away so far: not accepted by the policy, over
    /// [`Limits::max_connections_per_client`], or with a [handshake](Serve::handshake) that failed.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.worker.turned_away.load(Relaxed)
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

    /// Ends the connections of this worker at once for whose state `wanted` says so; how many they are. What was under way on
    /// one is reset on both sides, so that nothing that was cut looks complete, and is told to [`Policy::ended`] as
    /// [`Ended::Stopped`](crate::Ended::Stopped); who waits for nothing may get a FIN. Each ends as soon as its runtime polls it.
    ///
    /// A state is older than the decision: the connection may meanwhile serve another request. Its
    /// [`id`](ConnectionState::id) is its own for ever.
    ///
    /// ```
    /// # let proxy = sluicegate::Proxy::new();
    /// let banned: std::net::IpAddr = "192.0.2.1".parse()?;
    /// let ended = proxy.abort_where(|connection| connection.client.ip() == banned);
    /// # assert_eq!(ended, 0);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn abort_where(&self, wanted: impl Fn(&ConnectionState) -> bool) -> usize {
        self.worker.flows.abort_where(wanted)
    }

    /// Asks the policy, and how many the client has; who may not be here is told so.
    fn is_welcome(&self, client: &impl Transport, who: &Client) -> bool {
        let shared = &self.worker.shared;
        let fault = match catch_unwind(AssertUnwindSafe(|| shared.policy.accept(who))) {
            Ok(true) if shared.guests.enter(who.address.ip()) => return true,
            Ok(true) => Some(Fault::TooManyConnections),
            Ok(false) => Some(Fault::NotAccepted),
            Err(_) => {
                self.worker.count_panic(who);
                self.worker.count_abort();
                client.abort();
                None
            }
        };
        let given = fault.as_ref().map_or(0, |fault| turn_away(client, fault, &shared.name));
        story::turned_away(&self.worker, who, fault.as_ref(), given);
        // Whoever has asked for its end in `accept` is told.
        who.leave();
        false
    }

    /// A place among the connections, once there is one.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        match Arc::clone(&self.worker.shared.permits).try_acquire_owned() {
            Ok(place) => Some(place),
            // Boxed: who has a place is not to remember how it was waited for.
            Err(_) => Box::pin(self.wait_for_place()).await,
        }
    }

    /// While there is no place, the connection that has been quiet for longest gives way; another one, if nothing comes of
    /// that before the next tick.
    async fn wait_for_place(&self) -> Option<OwnedSemaphorePermit> {
        let shared = &self.worker.shared;
        let mut place = std::pin::pin!(Arc::clone(&shared.permits).acquire_owned());
        loop {
            shared.crowd.make_room();
            if let Ok(place) = tokio::time::timeout(TICK, &mut place).await {
                return place.ok();
            }
        }
    }

    /// Registers a connection from `address`, whose deadlines count from now on.
    fn register(&self, address: SocketAddr) -> Entered {
        if self.worker.is_at_rest() {
            // Nobody turned the clock meanwhile.
            self.worker.sweep();
        }
        let flow = self.worker.flows.enter(address);
        self.worker.keep_time();
        flow
    }

    /// Registers a connection, and serves it when it is awaited.
    fn enter<C: Transport>(
        &self,
        client: C,
        who: Client,
        place: Option<OwnedSemaphorePermit>,
    ) -> impl Future<Output = ()> + Send + use<C, P> {
        let flow = self.register(who.address);
        connection(Arc::clone(&self.worker), client, who, flow, place)
    }
}

/// Bytes of a TCP connection's future: while it waits for a request, and what is boxed beside it
/// while it works. The runtime's own bookkeeping comes on top.
#[must_use]
pub fn future_sizes() -> (usize, usize) {
    h1::sizes()
}

/// One try at saying why, and how many bytes that was; a client that may not be here is not waited for.
fn turn_away(client: &impl Transport, fault: &Fault, name: &str) -> usize {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let given = client.poll_write(&mut cx, &[io::IoSlice::new(&h1::whole(&answer::fault(fault, "", name)))]);
    let _ = client.poll_shutdown(&mut cx);
    if let std::task::Poll::Ready(Ok(given)) = given { given } else { 0 }
}
