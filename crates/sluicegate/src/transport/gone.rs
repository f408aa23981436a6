//! The end of a client's connection, as something to wait for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::Semaphore;

/// Resolves when the client's connection has ended, however that came; at once if it has already.
///
/// A clone waits for the same end. It belongs to nobody: it can be kept, sent to other tasks and outlive the
/// exchange. Cancel-safe: dropping it changes nothing.
pub struct Gone {
    latch: Latch,
    waiting: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

/// Opened once, by the connection. A semaphore without permits, whose closing wakes everyone.
#[derive(Debug, Clone)]
pub(crate) struct Latch(Arc<Semaphore>);

impl Latch {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(crate) fn open(&self) {
        self.0.close();
    }

    pub(crate) fn wait(&self) -> Gone {
        let seats = Arc::clone(&self.0);
        let waiting = Box::pin(async move {
            // There is never a permit: only the end resolves it.
            let _ = seats.acquire().await;
        });
        Gone { latch: self.clone(), waiting }
    }
}

impl Gone {
    /// Whether it has ended.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.latch.0.is_closed()
    }
}

impl Future for Gone {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_gone() { Poll::Ready(()) } else { self.waiting.as_mut().poll(cx) }
    }
}

impl Clone for Gone {
    fn clone(&self) -> Self {
        self.latch.wait()
    }
}

impl fmt::Debug for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gone").field("is_gone", &self.is_gone()).finish()
    }
}
