//! The socket beneath a stream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::{Tcp, Transport};

/// A TCP socket that another stream, such as one of TLS, is to stand on: it reads and writes, and a clone is the same socket.
///
/// The stream is given one clone, and the proxy another, by [`Stream::over`](super::Stream::over) or
/// [`Connected::over`](crate::Connected::over). Through it the proxy sees what the stream cannot show.
/// It is closed when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Socket(Arc<Tcp>);

impl Socket {
    /// Takes over a connected socket. Nagle's delay would hold back the end of every message.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        Tcp::new(stream).map(|tcp| Self(Arc::new(tcp)))
    }

    pub(super) fn tcp(&self) -> &Tcp {
        &self.0
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = ready!(self.0.poll_read(cx, room.initialize_unfilled()))?;
        room.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}
