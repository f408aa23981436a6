//! What a pump reads from: the reading half of a [`Transport`], or the body of an answer of our own. Both are asked
//! exactly while a pipe has room, so that one flow control holds for all.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;

use crate::pipe::kernel::KernelPipe;
use crate::transport::Transport;

/// A source of bytes; see [`Transport`] for what its functions promise.
pub(crate) trait Source: Sync {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn poll_read(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>>;

    fn splices(&self) -> bool {
        false
    }

    fn poll_splice_in(
        &self,
        _cx: &mut Context<'_>,
        _kernel_pipe: &mut KernelPipe,
        _most: usize,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

impl<T: Transport> Source for T {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Transport::poll_readable(self, cx)
    }

    fn poll_read(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        Transport::poll_read(self, cx, room)
    }

    fn splices(&self) -> bool {
        Transport::splices(self)
    }

    fn poll_splice_in(
        &self,
        cx: &mut Context<'_>,
        kernel_pipe: &mut KernelPipe,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        Transport::poll_splice_in(self, cx, kernel_pipe, most)
    }
}

/// Where the bytes of a body come from.
pub(crate) enum Feed {
    /// They are there.
    Bytes(Bytes),
    /// They are asked for.
    Reader(Pin<Box<dyn AsyncRead + Send>>),
    /// They are asked for; what of the last piece did not fit waits here.
    Stream(Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>, Bytes),
    /// Somebody puts them there.
    Slot(Drain),
}

/// A body that is being given: a [`Source`] that ends where it promised to, or fails.
pub(crate) struct Supply(Mutex<Supplying>);

struct Supplying {
    feed: Feed,
    /// Bytes that were promised and have not come, if a number was promised.
    left: Option<u64>,
    /// The last byte that was promised. It waits until nothing is behind it: a body longer than its
    /// Content-Length must not look complete.
    last: Option<u8>,
    failure: Option<String>,
}

impl Supply {
    pub(crate) fn new(feed: Feed, promised: Option<u64>) -> Self {
        // What is at hand keeps its promise.
        let left = promised.filter(|_| !matches!(feed, Feed::Bytes(_)));
        Self(Mutex::new(Supplying { feed, left, last: None, failure: None }))
    }

    /// Why it failed, if it did.
    pub(crate) fn failure(&self) -> Option<String> {
        self.lock().failure.take()
    }

    /// Never contended: one task reads.
    fn lock(&self) -> MutexGuard<'_, Supplying> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Supply {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let supply = &mut *self.lock();
        match &mut supply.feed {
            Feed::Slot(drain) => drain.0.poll_ready(cx).map(Ok),
            Feed::Stream(stream, rest) if rest.is_empty() => match ready!(stream.as_mut().poll_next(cx)) {
                Some(Ok(piece)) => {
                    *rest = piece;
                    Poll::Ready(Ok(()))
                }
                // Said again by the read.
                None => Poll::Ready(Ok(())),
                Some(Err(error)) => {
                    supply.failure = Some(error.to_string());
                    Poll::Ready(Err(error))
                }
            },
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_read(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut supply = self.lock();
        let read = supply.poll_read(cx, room);
        if let Poll::Ready(Err(error)) = &read {
            supply.failure = Some(error.to_string());
        }
        read
    }
}

impl Supplying {
    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(left) = self.left else { return self.feed.poll_read(cx, room) };
        if self.last.is_none() {
            let n = ready!(self.feed.poll_read(cx, room))?;
            self.left = Some(left.checked_sub(n as u64).ok_or_else(too_long)?);
            if self.left != Some(0) || n == 0 {
                return Poll::Ready(Ok(n));
            }
            let before = n.saturating_sub(1);
            self.last = room.get(before).copied();
            if before > 0 {
                return Poll::Ready(Ok(before));
            }
        }
        let (Some(last), Some(slot)) = (self.last, room.first_mut()) else { return Poll::Ready(Ok(0)) };
        if ready!(self.feed.poll_read(cx, &mut [0]))? > 0 {
            return Poll::Ready(Err(too_long()));
        }
        *slot = last;
        (self.last, self.left) = (None, None);
        Poll::Ready(Ok(1))
    }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the body is longer than its promised length")
}

/// A stream of empty pieces lets others have their turn after so many.
const MOST_EMPTY: usize = 16;

impl Feed {
    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Bytes(bytes) => Poll::Ready(Ok(take(bytes, room))),
            Self::Reader(reader) => {
                let mut room = ReadBuf::new(room);
                ready!(reader.as_mut().poll_read(cx, &mut room))?;
                Poll::Ready(Ok(room.filled().len()))
            }
            Self::Stream(stream, rest) => {
                for _ in 0..MOST_EMPTY {
                    if !rest.is_empty() {
                        break;
                    }
                    match ready!(stream.as_mut().poll_next(cx)).transpose()? {
                        Some(piece) => *rest = piece,
                        None => return Poll::Ready(Ok(0)),
                    }
                }
                if rest.is_empty() {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(take(rest, room)))
            }
            Self::Slot(drain) => drain.0.poll_take(cx, room),
        }
    }
}

/// Moves what fits.
fn take(bytes: &mut Bytes, room: &mut [u8]) -> usize {
    let n = bytes.len().min(room.len());
    if let (Some(room), Some(some)) = (room.get_mut(..n), bytes.get(..n)) {
        room.copy_from_slice(some);
    }
    bytes.advance(n);
    n
}

/// One place for one piece, between a sender and the pump of its body. It buffers nothing: the piece
/// stays the sender's, who waits until it has been taken.
#[derive(Debug)]
pub(crate) struct Slot {
    state: Mutex<State>,
    pump: AtomicWaker,
    sender: Notify,
}

#[derive(Debug)]
struct State {
    piece: Bytes,
    /// The pump has asked, and found nothing.
    wanted: bool,
    end: Option<io::Result<()>>,
    /// Nobody will ask any more.
    gone: bool,
}

/// The pump's end: when it is dropped, the sender learns it.
#[derive(Debug)]
pub(crate) struct Drain(pub(crate) Arc<Slot>);

impl Slot {
    pub(crate) fn new() -> Self {
        let state = State { piece: Bytes::new(), wanted: false, end: None, gone: false };
        Self { state: Mutex::new(state), pump: AtomicWaker::new(), sender: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the pump asks for more; None when it has gone.
    pub(crate) fn wanted(&self) -> Option<bool> {
        let state = self.lock();
        (!state.gone).then_some(state.wanted)
    }

    /// Whether the last piece has been taken whole; None when the pump has gone.
    pub(crate) fn taken(&self) -> Option<bool> {
        let state = self.lock();
        (!state.gone).then_some(state.piece.is_empty())
    }

    pub(crate) fn put(&self, piece: Bytes) {
        let mut state = self.lock();
        state.wanted = false;
        state.piece = piece;
        drop(state);
        self.pump.wake();
    }

    /// Says that no more comes; the first word counts.
    pub(crate) fn end(&self, end: io::Result<()>) {
        self.lock().end.get_or_insert(end);
        self.pump.wake();
    }

    /// Resolves when `done` says something, looked at whenever the pump has moved.
    pub(crate) async fn until<T>(&self, done: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            let mut moved = std::pin::pin!(self.sender.notified());
            moved.as_mut().enable();
            if let Some(done) = done(self) {
                return done;
            }
            moved.await;
        }
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if !state.piece.is_empty() || state.end.is_some() {
            return Poll::Ready(());
        }
        self.pump.register(cx.waker());
        if !std::mem::replace(&mut state.wanted, true) {
            drop(state);
            self.sender.notify_waiters();
        }
        Poll::Pending
    }

    fn poll_take(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_ready(cx));
        let mut state = self.lock();
        if state.piece.is_empty() {
            // Once said, an error has been said.
            return Poll::Ready(state.end.replace(Ok(())).unwrap_or(Ok(())).map(|()| 0));
        }
        let n = take(&mut state.piece, room);
        if state.piece.is_empty() {
            drop(state);
            self.sender.notify_waiters();
        }
        Poll::Ready(Ok(n))
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.gone = true;
        state.piece = Bytes::new();
        drop(state);
        self.0.sender.notify_waiters();
    }
}
