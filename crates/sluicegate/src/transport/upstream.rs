//! A connection to an origin: a socket of the kernel, or whatever a connector has made.

use std::fmt;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Hangup, Socket, Stream, Tcp, Transport, Watch};
use crate::limits::Tuning;
use crate::pipe::kernel::KernelPipe;

/// A connection to an origin. Everything is passed on; which kind it is, is known by one branch.
#[non_exhaustive]
pub enum Upstream {
    /// A socket: kept for the next request, while it shows nothing.
    Tcp(Tcp),
    /// Any other stream: kept, too, while it shows nothing.
    Stream(Stream<Box<dyn Duplex>>),
}

/// What reads and writes: implemented for everything that can.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

impl Upstream {
    /// Any stream: TLS, a duplex pipe, a tunnel through a parent proxy.
    pub fn stream(stream: impl Duplex + 'static) -> Self {
        Self::Stream(Stream::new(Box::new(stream)))
    }

    /// What a connector has made gets what the proxy's own sockets have.
    pub(crate) fn tune(&self, tuning: Tuning) {
        if let Some(tcp) = self.tcp() {
            tcp.tune(tuning);
        }
    }

    /// From here on, more may be sent than an origin that is well need read.
    pub(crate) fn wait_for_reader(&self) {
        if let Some(tcp) = self.tcp() {
            tcp.wait_for_reader();
        }
    }

    /// A stream stands on `socket`; a socket stands on itself.
    pub(crate) fn over(self, socket: Socket) -> Self {
        match self {
            Self::Stream(stream) => Self::Stream(stream.over(socket)),
            tcp @ Self::Tcp(_) => tcp,
        }
    }

    fn tcp(&self) -> Option<&Tcp> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            Self::Stream(stream) => stream.tcp(),
        }
    }
}

impl From<Tcp> for Upstream {
    fn from(tcp: Tcp) -> Self {
        Self::Tcp(tcp)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(tcp) => tcp.fmt(f),
            Self::Stream(stream) => stream.fmt(f),
        }
    }
}

/// The same call of whichever it is.
macro_rules! either {
    ($this:expr, $one:ident => $call:expr) => {
        match $this {
            Upstream::Tcp($one) => $call,
            Upstream::Stream($one) => $call,
        }
    };
}

impl Transport for Upstream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, one => one.poll_readable(cx))
    }

    fn poll_read(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        either!(self, one => one.poll_read(cx, room))
    }

    fn poll_write(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        either!(self, one => one.poll_write(cx, parts))
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, one => one.poll_flush(cx))
    }

    fn splices(&self) -> bool {
        either!(self, one => one.splices())
    }

    fn poll_splice_in(
        &self,
        cx: &mut Context<'_>,
        kernel_pipe: &mut KernelPipe,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        either!(self, one => one.poll_splice_in(cx, kernel_pipe, most))
    }

    fn poll_splice_out(&self, cx: &mut Context<'_>, kernel_pipe: &mut KernelPipe) -> Poll<io::Result<usize>> {
        either!(self, one => one.poll_splice_out(cx, kernel_pipe))
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, one => one.poll_shutdown(cx))
    }

    async fn hangup(&self, watch: Watch) -> Hangup {
        either!(self, one => one.hangup(watch).await)
    }

    fn is_stale(&self, peek: bool) -> bool {
        either!(self, one => one.is_stale(peek))
    }

    fn abort(&self) {
        either!(self, one => one.abort());
    }
}
