//! Accepting clients from a listener, until it is to stop.

use std::future::{IntoFuture, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::Proxy;
use crate::flow::{OncePerSecond, TICK};
use crate::origin;
use crate::policy::Policy;
use crate::record::Client;
use crate::transport::{Listener, Tcp};

/// A proxy and a listener: awaiting it serves its clients. Made by [`Proxy::serve`].
///
/// Dropping it, awaited or not, closes the listener; connections that have been accepted go on.
#[must_use = "it serves nobody until it is awaited"]
pub struct Serve<P> {
    proxy: Proxy<P>,
    listener: io::Result<Listener>,
    stop: Option<StopSignal>,
    timeout: Duration,
}

/// So many are in no queue; who comes as fast as they are accepted does not put the stop off for ever.
const QUEUE: u32 = 65_536;

type StopSignal = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<P: Policy> Serve<P> {
    pub(super) fn new(proxy: Proxy<P>, listener: io::Result<Listener>) -> Self {
        Self { proxy, listener, stop: None, timeout: Duration::MAX }
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
        let Self { proxy, listener, timeout, .. } = self;
        let listener = listener?;
        proxy.accept_until(&listener, stop).await;
        let stopped = Instant::now();
        proxy.serve_queue(&listener, timeout).await;
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

impl<P: Policy> Proxy<P> {
    async fn accept_until(&self, listener: &Listener, stop: impl Future<Output = ()>) {
        self.add_own_address(listener.local_addr());
        listener.tune(self.worker.limits().to_clients());
        let mut warning = OncePerSecond::default();
        let mut stop = pin!(stop);
        // Accepted, and waiting for its permit.
        let mut next = None;
        loop {
            let accepted = tokio::select! { biased;
                () = &mut stop => break,
                // Beyond the limit one client per listener waits here, the others in its queue.
                permit = self.place(), if next.is_some() => Ok(permit),
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
                Err(error) => wait_out(&error, &mut warning).await,
            }
        }
        if let Some((tcp, peer)) = next {
            self.welcome(tcp, peer, listener.local_addr(), None);
        }
    }

    /// Serves those in the queue, whom the kernel would reset with the listener; for so long, if there is no descriptor for
    /// them now.
    async fn serve_queue(&self, listener: &Listener, patience: Duration) {
        let (mut warning, begun) = (OncePerSecond::default(), Instant::now());
        // A client that is gone again is no reason to reset those behind it.
        let (mut errors, mut taken) = (0_u8, 0_u32);
        while errors < 16 && taken < QUEUE {
            match listener.try_accept() {
                Ok(Some((tcp, peer))) => {
                    self.welcome(tcp, peer, listener.local_addr(), None);
                    taken = taken.saturating_add(1);
                    // However many there are, those that are served have their turn.
                    tokio::task::yield_now().await;
                }
                Ok(None) => break,
                Err(error) if origin::is_exhausted(&error) && begun.elapsed() < patience => {
                    // What is idle holds descriptors too.
                    self.worker.flows.drain();
                    wait_out(&error, &mut warning).await;
                }
                Err(_) => errors = errors.saturating_add(1),
            }
        }
    }

    fn welcome(&self, tcp: Tcp, peer: SocketAddr, listener: SocketAddr, permit: Option<OwnedSemaphorePermit>) {
        let who = Client::new(peer, listener);
        if !self.is_welcome(&tcp, &who) {
            return;
        }
        // Registered before its task runs, or nobody would turn the clock for it.
        tokio::spawn(self.enter(tcp, who, permit));
    }
}

/// Waits an error of accept out.
async fn wait_out(error: &io::Error, warning: &mut OncePerSecond) {
    if let Some(times) = warning.due(1) {
        tracing::warn!(%error, times, "cannot accept connections for now");
    }
    tokio::time::sleep(TICK).await;
}
