//! The body of an answer of our own. However it is made, it is a source for the same pump as an origin's
//! response: it is asked exactly while the client's pipe has room.
//!
//! | made by | asked or sending | known length |
//! |---|---|---|
//! | [`Body::from`] bytes or text | | yes |
//! | [`Body::reader`], [`Body::stream`] | asked: polled only while there is room (pull) | if promised |
//! | [`Body::push`], [`Body::channel`] | sending: `send` waits while there is none (push) | if promised |

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::io::AsyncRead;

use crate::flow::BodySource;
use crate::pump::{Drain, Feed, Slot, Supply};

/// A body. There is one per answer, and it is given once: it cannot be cloned.
///
/// With a known length it travels with `Content-Length`; else in chunks, or to an HTTP/1.0 client until the
/// connection closes. A body that fails, or is shorter or longer than was promised, ends in a reset of the
/// client's connection, so that it does not look complete.
pub struct Body {
    feed: Feed,
    length: Option<u64>,
    is_text: bool,
    producer: Option<Producer>,
}

/// What sends, on the connection's own task.
pub(crate) type Producer = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::of(Feed::Bytes(Bytes::new()), Some(0))
    }

    /// What `reader` gives, until it ends. It is polled only while there is room for what it gives; when the client
    /// goes it is dropped.
    #[must_use]
    pub fn reader(reader: impl AsyncRead + Send + 'static) -> Self {
        Self::of(Feed::Reader(Box::pin(reader)), None)
    }

    /// The pieces that `stream` gives, until it ends or fails. It is polled only when the piece before
    /// has been taken; so beside the bound one piece is held, whose size is the stream's affair.
    #[must_use]
    pub fn stream<S, B, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<B, E>> + Send + 'static,
        B: Into<Bytes> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        // Asked again after its end, many a stream panics.
        let pieces = stream.map_ok(Into::into).map_err(io::Error::other).fuse();
        Self::of(Feed::Stream(Box::pin(pieces), Bytes::new()), None)
    }

    /// What `produce` sends. It runs on the client connection's own task, beside the pump that takes from it: no other task,
    /// no channel. When it returns `Ok` the body is complete; `Err`, and the client is reset. When the
    /// client goes it is dropped, wherever it waits.
    ///
    /// ```
    /// use sluicegate::{Body, Response};
    ///
    /// let body = Body::push(|mut sender| async move {
    ///     for n in 0..1_000_000 {
    ///         sender.send(format!("line {n}\n")).await?; // waits while the client does not read
    ///     }
    ///     Ok(())
    /// });
    /// let response = Response::new(200, body);
    /// ```
    #[must_use]
    pub fn push<F, R>(produce: F) -> Self
    where
        F: FnOnce(Sender) -> R + Send + 'static,
        R: Future<Output = io::Result<()>> + Send + 'static,
    {
        let slot = Arc::new(Slot::new());
        let producing = produce(Sender { slot: Arc::clone(&slot), cuts: false });
        let body = Self::of(Feed::Slot(Drain(Arc::clone(&slot))), None);
        let producer = Box::pin(async move { slot.end(producing.await) });
        Self { producer: Some(producer), ..body }
    }

    /// A body, and the sender for it, which may live in any task.
    #[must_use]
    pub fn channel() -> (Sender, Self) {
        let slot = Arc::new(Slot::new());
        (Sender { slot: Arc::clone(&slot), cuts: true }, Self::of(Feed::Slot(Drain(slot)), None))
    }

    /// Promises that it has exactly `length` bytes, which are announced by `Content-Length`. Of a body of length 0
    /// nothing is asked.
    #[must_use]
    pub fn with_length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    /// How many bytes it has, if that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether it came from a `str` or `String`.
    pub(crate) fn is_text(&self) -> bool {
        self.is_text
    }

    /// All of it, if it was given as bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        if let Feed::Bytes(bytes) = &self.feed { bytes } else { b"" }
    }

    /// Who makes it.
    pub(crate) fn source(&self) -> BodySource {
        match &self.feed {
            Feed::Bytes(_) => BodySource::None,
            Feed::Reader(_) | Feed::Stream(..) => BodySource::Pull,
            Feed::Slot(_) => BodySource::Push,
        }
    }

    /// What is pumped, and what has to run beside the pump.
    pub(crate) fn begin(self) -> (Supply, Option<Producer>) {
        (Supply::new(self.feed, self.length), self.producer)
    }

    fn of(feed: Feed, length: Option<u64>) -> Self {
        Self { feed, length, is_text: false, producer: None }
    }

    fn whole(bytes: Bytes, is_text: bool) -> Self {
        let length = Some(bytes.len() as u64);
        Self { is_text, ..Self::of(Feed::Bytes(bytes), length) }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("source", &self.source()).field("length", &self.length).finish_non_exhaustive()
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::whole(text.into(), true)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::whole(text.into(), true)
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Self::whole(bytes.into(), false)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::whole(bytes.into(), false)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::whole(bytes, false)
    }
}

/// Sends a body, piece by piece, as fast as the client takes it and no faster: the push producer.
///
/// Dropping the sender of [`Body::channel`] without [`Sender::finish`] cuts the body short, and the client is
/// reset; that of [`Body::push`] is complete when its future returns `Ok`.
#[derive(Debug)]
pub struct Sender {
    slot: Arc<Slot>,
    /// Whether dropping it says how the body ended.
    cuts: bool,
}

/// The client has gone, or its answer has ended: nobody takes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has gone")]
pub struct ClientGone;

impl From<ClientGone> for io::Error {
    fn from(gone: ClientGone) -> Self {
        Self::new(io::ErrorKind::BrokenPipe, gone)
    }
}

impl Sender {
    /// Sends a piece; resolves when the client's pipe has taken all of it. So whoever sends holds one
    /// piece at a time, and waits while the client does not read.
    ///
    /// Dropping this future does not take the piece back: it is sent, and the next `send` waits for that first.
    ///
    /// # Errors
    /// At once when the client has gone, also while it waits.
    pub async fn send(&mut self, piece: impl Into<Bytes>) -> Result<(), ClientGone> {
        self.taken().await?;
        let piece: Bytes = piece.into();
        if !piece.is_empty() {
            self.slot.put(piece);
        }
        self.taken().await
    }

    /// Whether the client holds this body up: a piece sent now would wait. (Twisted's `pauseProducing` has been
    /// called, and `resumeProducing` not yet.)
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.slot.wanted() != Some(true)
    }

    /// Resolves when a piece would be taken now. Cancel-safe.
    ///
    /// # Errors
    /// At once when the client has gone.
    pub async fn resumed(&self) -> Result<(), ClientGone> {
        let wanted = |slot: &Slot| match slot.wanted() {
            Some(wanted) => wanted.then_some(Ok(())),
            None => Some(Err(ClientGone)),
        };
        self.slot.until(wanted).await
    }

    /// Resolves when the client has gone, or its answer has ended. Cancel-safe.
    pub async fn gone(&self) {
        self.slot.until(|slot| slot.wanted().is_none().then_some(())).await;
    }

    /// The body is complete.
    pub fn finish(self) {
        self.slot.end(Ok(()));
    }

    async fn taken(&self) -> Result<(), ClientGone> {
        let taken = |slot: &Slot| match slot.taken() {
            Some(taken) => taken.then_some(Ok(())),
            None => Some(Err(ClientGone)),
        };
        self.slot.until(taken).await
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if self.cuts {
            let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "its sender was dropped before it had finished");
            self.slot.end(Err(cut));
        }
    }
}
