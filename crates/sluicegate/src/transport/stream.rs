//! Any `AsyncRead + AsyncWrite` as a [`Transport`].

use std::fmt;
use std::future::pending;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Hangup, Transport, Watch};

/// A stream that can only be used through `&mut`, behind a lock that no await is made under.
///
/// It cannot tell of an end behind unread bytes: [`Transport::hangup`] never resolves, and the
/// eager read is the only watch.
///
/// Dropping it ends it as well as can be done without waiting: of TLS the peer is told by a close_notify. After
/// [`Transport::abort`] it is not told, so that it notices the cut.
pub struct Stream<S: AsyncRead + AsyncWrite + Send + Unpin> {
    stream: Mutex<S>,
    is_aborted: AtomicBool,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream<S> {
    /// Wraps `stream`.
    pub fn new(stream: S) -> Self {
        Self { stream: Mutex::new(stream), is_aborted: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, S> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Transport for Stream<S> {
    fn poll_read(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(room);
        ready!(Pin::new(&mut *self.lock()).poll_read(cx, &mut room))?;
        Poll::Ready(Ok(room.filled().len()))
    }

    fn poll_write(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut stream = self.lock();
        let n = if stream.is_write_vectored() {
            ready!(Pin::new(&mut *stream).poll_write_vectored(cx, parts))?
        } else {
            let first = parts.iter().find(|part| !part.is_empty());
            ready!(Pin::new(&mut *stream).poll_write(cx, first.map_or(&[], |part| part)))?
        };
        Poll::Ready(Ok(n))
    }

    /// A TLS stream holds what it has encrypted, a buffered one what it was given, until it is told.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_flush(cx)
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_shutdown(cx)
    }

    async fn hangup(&self, _watch: Watch) -> Hangup {
        pending().await
    }

    fn is_stale(&self, _peek: bool) -> bool {
        // It cannot be known without taking a byte: not worth the risk.
        true
    }

    /// Dropping such a stream without a shutdown is all that can be done.
    fn abort(&self) {
        self.is_aborted.store(true, Relaxed);
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Drop for Stream<S> {
    fn drop(&mut self) {
        // One that panics here while another panic unwinds would end the process.
        if !self.is_aborted.load(Relaxed) && !std::thread::panicking() {
            let _ = self.poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }
}
