//! Any `AsyncRead + AsyncWrite` as a [`Transport`].

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Hangup, Transport, Watch};

/// A stream that can only be used through `&mut`, behind a lock that no await is made under.
///
/// Whether it has something to read is known by reading one byte ahead, which is kept here: so an idle one holds no
/// buffer. Behind that byte nothing can be seen: an end that comes after bytes that nobody takes is noticed only once
/// they have been taken.
///
/// Dropping it ends it as well as can be done without waiting: of TLS the peer is told by a close_notify. After
/// [`Transport::abort`] it is not told, so that it notices the cut.
pub struct Stream<S: AsyncRead + AsyncWrite + Send + Unpin> {
    inner: Mutex<Inner<S>>,
    is_aborted: AtomicBool,
}

struct Inner<S> {
    stream: S,
    ahead: Ahead,
}

/// What a look ahead has found, for the next read.
#[derive(Default)]
enum Ahead {
    /// Nobody has looked, or there was nothing yet.
    #[default]
    Nothing,
    Byte(u8),
    /// It stays: what has ended goes on having ended.
    End,
    Failure(io::Error),
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream<S> {
    /// Wraps `stream`.
    pub fn new(stream: S) -> Self {
        Self { inner: Mutex::new(Inner { stream, ahead: Ahead::Nothing }), is_aborted: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inner<S> {
    /// Ready once a read finds something: a byte, the end, an error.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.ahead, Ahead::Nothing) {
            // What reading makes TLS say (RFC 8446 §4.6.3) is said while nobody else writes; if it fails, the read does too.
            let _ = Pin::new(&mut self.stream).poll_flush(cx);
            let mut byte = [0];
            self.ahead = match ready!(self.poll_stream(cx, &mut byte)) {
                Ok(0) => Ahead::End,
                Ok(_) => Ahead::Byte(byte[0]),
                Err(error) => Ahead::Failure(error),
            };
        }
        Poll::Ready(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        match std::mem::take(&mut self.ahead) {
            Ahead::Nothing => self.poll_stream(cx, room),
            Ahead::Byte(byte) => Poll::Ready(Ok(self.read_behind(byte, cx, room))),
            Ahead::End => {
                self.ahead = Ahead::End;
                Poll::Ready(Ok(0))
            }
            Ahead::Failure(error) => Poll::Ready(Err(error)),
        }
    }

    /// `byte`, and what is behind it by now. An end or an error there is for the read after this one.
    fn read_behind(&mut self, byte: u8, cx: &mut Context<'_>, room: &mut [u8]) -> usize {
        let Some((first, rest)) = room.split_first_mut() else {
            self.ahead = Ahead::Byte(byte);
            return 0;
        };
        *first = byte;
        let more = if rest.is_empty() { Poll::Pending } else { self.poll_stream(cx, rest) };
        match more {
            Poll::Ready(Ok(n)) if n > 0 => return n.saturating_add(1),
            Poll::Ready(Ok(_)) => self.ahead = Ahead::End,
            Poll::Ready(Err(error)) => self.ahead = Ahead::Failure(error),
            Poll::Pending => {}
        }
        1
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(room);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        Poll::Ready(Ok(room.filled().len()))
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Transport for Stream<S> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().poll_ahead(cx).map(Ok)
    }

    fn poll_read(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        self.lock().poll_read(cx, room)
    }

    fn poll_write(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let stream = &mut self.lock().stream;
        let n = if stream.is_write_vectored() {
            ready!(Pin::new(stream).poll_write_vectored(cx, parts))?
        } else {
            let first = parts.iter().find(|part| !part.is_empty());
            ready!(Pin::new(stream).poll_write(cx, first.map_or(&[], |part| part)))?
        };
        Poll::Ready(Ok(n))
    }

    /// A TLS stream holds what it has encrypted, a buffered one what it was given, until it is told.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_flush(cx)
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_shutdown(cx)
    }

    async fn hangup(&self, watch: Watch) -> Hangup {
        poll_fn(|cx| {
            let mut inner = self.lock();
            ready!(inner.poll_ahead(cx));
            match inner.ahead {
                Ahead::End if watch == Watch::Fin => Poll::Ready(Hangup::Fin),
                Ahead::Failure(_) => Poll::Ready(Hangup::Reset),
                // Its reader polls again when it has taken the byte.
                _ => Poll::Pending,
            }
        })
        .await
    }

    fn is_stale(&self, _peek: bool) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        // Unconstrained: a task that has used its turn up would be told "not yet", whatever there is.
        let readable = pin!(tokio::task::unconstrained(poll_fn(|cx| self.lock().poll_ahead(cx))));
        readable.poll(&mut cx).is_ready()
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
