//! Accepting clients from a listener, until it is to stop.

use std::future::{IntoFuture, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use super::Proxy;
use super::handshake::{self, Newcomer, Welcome};
use crate::flow::{OncePerSecond, TICK};
use crate::origin;
use crate::policy::Policy;
use crate::record::Client;
use crate::transport::{IntoTransport, Listener, Tcp};

/// A proxy and a listener: awaiting it serves its clients. Made by [`Proxy::serve`].
///
/// Dropping it, awaited or not, closes the listener; connections that have been accepted go on.
#[must_use = "it serves nobody until it is awaited"]
pub struct Serve<P> {
    proxy: Proxy<P>,
    listener: io::Result<Listener>,
    handshake: Option<Welcome<P>>,
    stop: Option<StopSignal>,
    timeout: Duration,
}

/// So many are in no queue; who comes as fast as they are accepted does not put the stop off for ever.
const QUEUE: u32 = 65_536;

type StopSignal = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<P: Policy> Serve<P> {
    pub(super) fn new(proxy: Proxy<P>, listener: io::Result<Listener>) -> Self {
        Self { proxy, listener, handshake: None, stop: None, timeout: Duration::MAX }
    }

    /// Where it listens; the real port if it was bound to port 0.
    ///
    /// # Errors
    /// Those of taking the listener over.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.listener {
            Ok(listener) => Ok(listener.local_addr()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }

    /// What becomes of each connection before it is served: TLS, the PROXY protocol, a protocol of one's own. `shake` is given
    /// the socket, of which nothing has been read, and the client as the socket shows it. It returns what is to be served (for
    /// TLS a [`Stream`](crate::transport::Stream) over a [`Socket`](crate::transport::Socket), or the socket itself), and the
    /// client as it is known now: its true [`address`](Client::address), that it is [over TLS](Client::over_tls), what else
    /// was [learnt](Client::with). [`Policy::accept`] and all that follows see that client;
    /// [`Limits::max_connections_per_client`](crate::Limits::max_connections_per_client) counts it.
    ///
    /// A handshake has a place among `max_connections`, and [`Limits::head_timeout`](crate::Limits::head_timeout) from the
    /// accept to its end; then it is dropped, as it is when the proxy has stopped, so it must be cancel-safe. At most 256 run
    /// at once for each listener of a worker. While others wait for their turn, or for a place, those go that have run for
    /// longer than a second. What fails is told to [`Policy::refused`] as [`Fault::Handshake`](crate::Fault::Handshake), and
    /// one that panics takes only its own client along. What the library that does it holds comes on top of the bound.
    ///
    /// ```no_run
    /// use sluicegate::transport::{Socket, Stream};
    /// # async fn serve(acceptor: tokio_rustls::TlsAcceptor) -> std::io::Result<()> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3129").await?;
    /// let serve = sluicegate::Proxy::new().serve(listener).handshake(move |tcp, client| {
    ///     let acceptor = acceptor.clone();
    ///     async move {
    ///         let socket = Socket::new(tcp)?;
    ///         let tls = acceptor.accept(socket.clone()).await?;
    ///         Ok((Stream::new(tls).over(socket), client.over_tls()))
    ///     }
    /// });
    /// serve.await
    /// # }
    /// ```
    pub fn handshake<R, S>(self, shake: impl Fn(TcpStream, Client) -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output = io::Result<(S, Client)>> + Send + 'static,
        S: IntoTransport + Send + 'static,
    {
        Self { handshake: Some(handshake::welcome(shake)), ..self }
    }

    /// Stops when `signal` resolves: serves those that are in the listener's queue, closes it, ends idle connections,
    /// and is done when those that run have finished, each of them by its own end or deadline. The proxy's
    /// other listeners go on accepting, but what they serve ends after its present request, too.
    pub fn with_graceful_shutdown(self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { stop: Some(Box::pin(signal)), ..self }
    }

    /// How long a graceful shutdown waits for what runs, before it is reset. Default: as long as it takes, which for a
    /// body without end is for ever.
    pub fn shutdown_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Accepts clients and serves each in a task of its own, until `stop` resolves; then serves
    /// those that are in the queue already, and returns; without descriptors for them it waits for
    /// [`Serve::shutdown_timeout`] at most. What runs goes on: see [`Proxy::drain`].
    ///
    /// An error of accept (no descriptors left) is logged once a second at most, and waited out.
    ///
    /// # Errors
    /// Those of taking the listener over.
    pub async fn until(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        self.serve_until(stop).await.map(drop)
    }

    /// The same; when it was stopped.
    async fn serve_until(self, stop: impl Future<Output = ()>) -> io::Result<Instant> {
        let Self { proxy, listener, handshake, timeout, .. } = self;
        let door = Door { proxy, listener: listener?, handshake };
        door.accept_until(stop).await;
        let stopped = Instant::now();
        door.serve_queue(timeout).await;
        Ok(stopped)
    }
}

impl<P: Policy> IntoFuture for Serve<P> {
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            let Some(stop) = self.stop.take() else { return self.until(pending()).await };
            let (proxy, timeout) = (self.proxy.clone(), self.timeout);
            let stopped = self.serve_until(stop).await?;
            proxy.drain(timeout.saturating_sub(stopped.elapsed())).await;
            Ok(())
        })
    }
}

/// Where clients come in.
struct Door<P> {
    proxy: Proxy<P>,
    listener: Listener,
    handshake: Option<Welcome<P>>,
}

impl<P: Policy> Door<P> {
    async fn accept_until(&self, stop: impl Future<Output = ()>) {
        let Self { proxy, listener, .. } = self;
        proxy.add_own_address(listener.local_addr());
        listener.tune(proxy.limits().to_clients());
        let mut warning = OncePerSecond::default();
        let mut stop = pin!(stop);
        // Accepted, and waiting for its permit.
        let mut next = None;
        loop {
            let accepted = tokio::select! { biased;
                () = &mut stop => break,
                // Beyond the limit one client per listener waits here, the others in its queue.
                permit = proxy.place(), if next.is_some() => Ok(permit),
                accepted = listener.accept_stream(), if next.is_none() => accepted.map(|accepted| {
                    next = Some(accepted);
                    Arc::clone(&proxy.worker.shared.permits).try_acquire_owned().ok()
                }),
            };
            match accepted {
                Ok(Some(permit)) => {
                    if let Some((stream, peer)) = next.take() {
                        self.welcome(stream, peer, Some(permit));
                    }
                }
                Ok(None) => {}
                Err(error) => wait_out(&error, &mut warning).await,
            }
        }
        if let Some((stream, peer)) = next {
            self.welcome(stream, peer, None);
        }
    }

    /// Serves those in the queue, whom the kernel would reset with the listener; for so long, if there is no descriptor for
    /// them now.
    async fn serve_queue(&self, patience: Duration) {
        let (mut warning, begun) = (OncePerSecond::default(), Instant::now());
        // A client that is gone again is no reason to reset those behind it.
        let (mut errors, mut taken) = (0_u8, 0_u32);
        while errors < 16 && taken < QUEUE {
            match self.listener.try_accept_stream() {
                Ok(Some((stream, peer))) => {
                    self.welcome(stream, peer, None);
                    taken = taken.saturating_add(1);
                    // However many there are, those that are served have their turn.
                    tokio::task::yield_now().await;
                }
                Ok(None) => break,
                Err(error) if origin::is_exhausted(&error) && begun.elapsed() < patience => {
                    // What is idle holds descriptors too.
                    self.proxy.worker.flows.drain();
                    wait_out(&error, &mut warning).await;
                }
                Err(_) => errors = errors.saturating_add(1),
            }
        }
    }

    fn welcome(&self, stream: TcpStream, peer: SocketAddr, place: Option<OwnedSemaphorePermit>) {
        let who = Client::new(peer, self.listener.local_addr());
        if let Some(welcome) = &self.handshake {
            return welcome(&self.proxy, Newcomer { stream, who, place });
        }
        let tcp = Tcp::adopt(stream);
        if self.proxy.is_welcome(&tcp, &who) {
            // Registered before its task runs, or nobody would turn the clock for it.
            tokio::spawn(self.proxy.enter(tcp, who, place));
        }
    }
}

/// Waits an error of accept out.
async fn wait_out(error: &io::Error, warning: &mut OncePerSecond) {
    if let Some(times) = warning.due(1) {
        tracing::warn!(%error, times, "cannot accept connections for now");
    }
    tokio::time::sleep(TICK).await;
}
