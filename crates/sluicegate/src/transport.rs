//! What everything stands on: a stream of bytes that can be read, written, watched, shut down and
//! aborted through a shared reference, so that two directions move in one task without locks or
//! channels between them. All polling by hand is here.
//!
//! * [`Tcp`]: a socket of the kernel. A short read or write clears readiness, so that waiting for
//!   more costs no extra system call; [`Transport::hangup`] sees FIN and RST behind unread bytes.
//! * [`Stream`]: any `AsyncRead + AsyncWrite` (TLS, a duplex pipe), behind a lock of its own that
//!   is never held across an await.

mod cut;
mod gone;
mod into;
#[cfg(any(test, fuzzing))]
pub(crate) mod scripted;
mod socket;
mod stream;
mod tcp;
#[cfg(test)]
mod tests;
mod upstream;

use std::future::Future;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use crate::limits::Limits;
use crate::pipe::kernel::KernelPipe;

pub(crate) use cut::Cut;
pub use gone::Gone;
pub(crate) use gone::Latch;
pub use into::{IntoListener, IntoTransport};
pub use socket::Socket;
pub use stream::Stream;
pub use tcp::{Listener, Tcp};
pub use upstream::{Duplex, Upstream};

/// What counts as "the peer has gone".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// The end of its sending side, or a reset.
    Fin,
    /// A reset only: the peer may have shut its sending side and still read.
    Reset,
}

/// How the peer went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// It has ended its sending side.
    Fin,
    /// It has reset the connection.
    Reset,
}

/// A connected byte stream.
///
/// Each of the poll functions keeps the waker of its last call; all calls for one stream come from
/// one task. Every future here may be dropped at any await without losing a byte: bytes are only
/// ever in a pipe, never in a future.
pub trait Transport: Send + Sync {
    /// A hint that a read may find something, so that no buffer is held before. For a stream that cannot tell and is
    /// always ready, one is held while it waits.
    ///
    /// # Errors
    /// Whatever the stream reports.
    fn poll_readable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Reads into `room`, which is not empty. 0 is the end of the stream.
    ///
    /// # Errors
    /// Whatever the stream reports; `ConnectionReset` for a reset.
    fn poll_read(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes some of `parts`, in order; how many bytes.
    ///
    /// # Errors
    /// Whatever the stream reports.
    fn poll_write(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Sends on what the stream has taken and still holds. A socket holds nothing.
    ///
    /// # Errors
    /// Whatever the stream reports.
    fn poll_flush(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Whether bytes can move between this stream and a pipe of the kernel without coming to us.
    fn splices(&self) -> bool {
        false
    }

    /// Moves at most `most` bytes into `kernel_pipe`, which is empty. 0 is the end of the stream.
    ///
    /// # Errors
    /// As [`Transport::poll_read`]; `InvalidInput` or `Unsupported` if it cannot be done.
    #[doc(hidden)]
    fn poll_splice_in(
        &self,
        _cx: &mut Context<'_>,
        _kernel_pipe: &mut KernelPipe,
        _most: usize,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// Moves some of what is in `kernel_pipe` to the peer; how many bytes.
    ///
    /// # Errors
    /// As [`Transport::poll_write`].
    #[doc(hidden)]
    fn poll_splice_out(&self, _cx: &mut Context<'_>, _kernel_pipe: &mut KernelPipe) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// Ends the sending side after what has been written.
    ///
    /// # Errors
    /// Whatever the stream reports.
    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Resolves when the peer has gone, also behind bytes that nobody has read, also when it went
    /// long ago. Never, where the stream cannot tell: then its reader is the only watch.
    fn hangup(&self, watch: Watch) -> impl Future<Output = Hangup> + Send;

    /// Whether an idle connection shows anything at all: bytes that nobody asked for, an end, an
    /// error. `peek` asks the kernel too, at the cost of a system call.
    fn is_stale(&self, peek: bool) -> bool;

    /// It is the connection to a client: the sizes and probes that `limits` asks for.
    #[doc(hidden)]
    fn serve_client(&self, _limits: &Limits) {}

    /// From here on, dropping the stream resets the connection, so that what was cut short does
    /// not look complete.
    fn abort(&self);
}
