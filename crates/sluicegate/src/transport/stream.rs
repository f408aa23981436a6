//! Any `AsyncRead + AsyncWrite` as a [`Transport`].

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Hangup, Socket, Tcp, Transport, Watch};
use crate::limits::Limits;

/// A stream that can only be used through `&mut`, behind a lock that no await is made under.
///
/// Whether it has something to read is known by reading one byte ahead, which is kept here: so an idle one holds no
/// buffer.
///
/// With the [socket that it stands on](Stream::over), all that holds for a TCP connection holds for it: a peer that has
/// gone is seen behind bytes that nobody has read, an abort resets the connection, and `Limits` tune the socket. Only a
/// stream without one (a duplex pipe) is exempt: behind the byte ahead nothing can be seen, and an abort can only leave out
/// the stream's own goodbye. What a TLS library holds of its own (rustls: `set_buffer_limit`) comes on top of the bound.
///
/// Dropping it ends it as well as can be done without waiting: of TLS the peer is told by a close_notify. After
/// [`Transport::abort`] it is not told, so that it notices the cut.
pub struct Stream<S: AsyncRead + AsyncWrite + Send + Unpin> {
    inner: Mutex<Inner<S>>,
    socket: Option<Socket>,
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
    /// Wraps `stream`, of which nothing else is known.
    pub fn new(stream: S) -> Self {
        let inner = Mutex::new(Inner { stream, ahead: Ahead::Nothing });
        Self { inner, socket: None, is_aborted: AtomicBool::new(false) }
    }

    /// The stream stands on `socket`, by whatever is between: bytes that it reads come from there.
    #[must_use]
    pub fn over(mut self, socket: Socket) -> Self {
        self.socket = Some(socket);
        self
    }

    /// The socket that it stands on, if it has one.
    pub(super) fn tcp(&self) -> Option<&Tcp> {
        self.socket.as_ref().map(Socket::tcp)
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

    /// Ready if it is an end, or an error, that comes next.
    fn poll_hangup(&mut self, watch: Watch, cx: &mut Context<'_>) -> Poll<Hangup> {
        ready!(self.poll_ahead(cx));
        match self.ahead {
            Ahead::End if watch == Watch::Fin => Poll::Ready(Hangup::Fin),
            Ahead::Failure(_) => Poll::Ready(Hangup::Reset),
            // Its reader polls again when it has taken the byte.
            _ => Poll::Pending,
        }
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
        let ahead = poll_fn(|cx| self.lock().poll_hangup(watch, cx));
        let Some(tcp) = self.tcp() else { return ahead.await };
        tokio::select! { biased;
            how = tcp.hangup(watch) => how,
            how = ahead => how,
        }
    }

    fn is_stale(&self, peek: bool) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        // Unconstrained: a task that has used its turn up would be told "not yet", whatever there is.
        let readable = pin!(tokio::task::unconstrained(poll_fn(|cx| self.lock().poll_ahead(cx))));
        // What has come to the socket since the runtime's last look is not known to be nothing but TLS's own.
        readable.poll(&mut cx).is_ready() || peek && self.tcp().is_some_and(|tcp| tcp.is_stale(true))
    }

    fn serve_client(&self, limits: &Limits) {
        if let Some(tcp) = self.tcp() {
            tcp.serve_client(limits);
        }
    }

    /// Without a socket, dropping it without a shutdown is all that can be done.
    fn abort(&self) {
        self.is_aborted.store(true, Relaxed);
        if let Some(tcp) = self.tcp() {
            tcp.abort();
        }
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
