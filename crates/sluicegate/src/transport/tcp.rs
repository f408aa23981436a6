//! Sockets of the kernel, on tokio's `TcpStream` in its two owned halves: the reading half behind
//! a lock that is never contended, because only `AsyncRead` clears the readiness that a short read
//! has used up (`try_read` costs one EAGAIN per request); the writing half and every watch through
//! a shared reference (docs/adr/0001).

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
#[cfg(any(target_os = "linux", target_os = "android"))]
use tokio::io::Interest;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{Hangup, Transport, Watch};
use crate::limits::{Limits, Tuning};
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::pipe::kernel::KernelPipe;

/// An origin that accepts a connection within this time is near: in one round trip of it
/// [`NEAR_RECEIVE`] is much. The kernel's own sizing grew to 2.9 MB there, which a client that stops
/// reading leaves in the queue, and cost a fifth more CPU per byte (docs/memory.md, also on why this is measured once).
const NEAR: Duration = Duration::from_millis(1);

/// In bytes; 208 KiB left too much with clients that never read, and was no faster.
const NEAR_RECEIVE: usize = 128 * 1024;

/// A connected TCP socket.
#[derive(Debug)]
pub struct Tcp {
    read: Mutex<OwnedReadHalf>,
    /// None only while it is dropped.
    write: Option<OwnedWriteHalf>,
}

impl Tcp {
    /// Takes over a connected socket. Nagle's delay would hold back the end of every message.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::adopt(stream))
    }

    /// Connects. Dropping the future closes the socket.
    ///
    /// # Errors
    /// Those of `connect(2)`.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect_with(address, Tuning::default()).await
    }

    /// The same, with bounds on what the kernel holds.
    pub(crate) async fn connect_with(address: SocketAddr, tuning: Tuning) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_nodelay(true)?;
        tune(&SockRef::from(&socket), tuning);
        let begun = Instant::now();
        let stream = socket.connect(address).await?;
        if tuning.receive.is_none() && (address.ip().is_loopback() || begun.elapsed() < NEAR) {
            // As with all of its kind: the socket works without.
            let _ = SockRef::from(&stream).set_recv_buffer_size(NEAR_RECEIVE);
        }
        Ok(Self::adopt(stream))
    }

    /// Takes over a socket that was tuned already.
    pub(crate) fn adopt(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        Self { read: Mutex::new(read), write: Some(write) }
    }

    /// Waits for a peer that does not read for as long as the proxy's own deadlines say. `TCP_USER_TIMEOUT` ends a connection
    /// whose peer has closed its window, though it answers each probe (Linux 6.18: 3.6 s with 3 s): to the kernel a slow reader
    /// has gone.
    pub(crate) fn wait_for_reader(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Ok(stream) = self.stream() {
            let _ = SockRef::from(stream).set_tcp_user_timeout(None);
        }
    }

    /// Says what the kernel may hold, and when it is to give the peer up.
    pub(crate) fn tune(&self, tuning: Tuning) {
        if let Ok(stream) = self.stream() {
            tune(&SockRef::from(stream), tuning);
        }
    }

    #[cfg(test)]
    pub(super) fn socket(&self) -> io::Result<SockRef<'_>> {
        self.stream().map(SockRef::from)
    }

    fn stream(&self) -> io::Result<&TcpStream> {
        let write = self.write.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok(write.as_ref())
    }
}

/// Says what the kernel may hold, and when it is to give a peer up. An option that it refuses is left: the socket works without.
fn tune(socket: &SockRef<'_>, tuning: Tuning) {
    let Tuning { unsent, send, receive, keepalive, user_timeout } = tuning;
    if let Some(silence) = keepalive {
        let _ = socket.set_tcp_keepalive(&probes(silence));
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if user_timeout.is_some() {
        let _ = socket.set_tcp_user_timeout(user_timeout);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = user_timeout;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(bytes) = unsent {
        let _ = socket.set_tcp_notsent_lowat(bytes);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = unsent;
    if let Some(bytes) = send {
        let _ = socket.set_send_buffer_size(bytes);
    }
    if let Some(bytes) = receive {
        let _ = socket.set_recv_buffer_size(bytes);
    }
}

/// Three probes after `silence`, within as long again.
fn probes(silence: Duration) -> TcpKeepalive {
    let probes = TcpKeepalive::new().with_time(silence);
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
    let probes = probes
        .with_interval(silence.checked_div(PROBES).unwrap_or(silence).max(Duration::from_secs(1)))
        .with_retries(PROBES);
    probes
}

/// One lost on its way is not a peer lost.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
const PROBES: u32 = 3;

impl Drop for Tcp {
    fn drop(&mut self) {
        // Tokio's half would say FIN first, and an abort would look like a clean end.
        if let Some(write) = self.write.take() {
            write.forget();
        }
    }
}

impl Transport for Tcp {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_read_ready(cx)
    }

    fn poll_read(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut room = ReadBuf::new(room);
        ready!(Pin::new(&mut *read).poll_read(cx, &mut room))?;
        Poll::Ready(Ok(room.filled().len()))
    }

    fn poll_write(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let stream = self.stream()?;
        loop {
            let result = match parts {
                [one] => stream.try_write(one),
                more => stream.try_write_vectored(more),
            };
            match result {
                // Without a system call, if the last one said so. Asked first: mostly there is room.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready!(stream.poll_write_ready(cx))?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn splices(&self) -> bool {
        cfg!(any(target_os = "linux", target_os = "android"))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn poll_splice_in(
        &self,
        cx: &mut Context<'_>,
        kernel_pipe: &mut KernelPipe,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let stream = self.stream()?;
        let Some(pipe) = kernel_pipe.write_end() else { return Poll::Ready(Err(io::ErrorKind::Unsupported.into())) };
        loop {
            // The pipe is empty, so that "no more now" is the socket's.
            match stream.try_io(Interest::READABLE, || splice(stream, pipe, most)) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready!(stream.poll_read_ready(cx))?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn poll_splice_out(&self, cx: &mut Context<'_>, kernel_pipe: &mut KernelPipe) -> Poll<io::Result<usize>> {
        let stream = self.stream()?;
        let held = kernel_pipe.held();
        let Some(pipe) = kernel_pipe.read_end() else { return Poll::Ready(Err(io::ErrorKind::Unsupported.into())) };
        loop {
            // The pipe is not empty, so here too.
            match stream.try_io(Interest::WRITABLE, || splice(pipe, stream, held)) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready!(stream.poll_write_ready(cx))?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_shutdown(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(self.stream()?).shutdown(std::net::Shutdown::Write))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    async fn hangup(&self, watch: Watch) -> Hangup {
        // Not in tokio's documents, so the common test proves it on both runtimes: PRIORITY also
        // completes on the end of the peer's side, ERROR on a reset alone.
        let interest = match watch {
            Watch::Fin => Interest::PRIORITY,
            Watch::Reset => Interest::ERROR,
        };
        let Ok(stream) = self.stream() else { return Hangup::Reset };
        match stream.ready(interest).await {
            Ok(_) if watch == Watch::Fin && !has_failed(stream) => Hangup::Fin,
            // Or the runtime is shutting down: nobody is left to serve.
            _ => Hangup::Reset,
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    async fn hangup(&self, _watch: Watch) -> Hangup {
        std::future::pending().await
    }

    fn is_stale(&self, peek: bool) -> bool {
        let Ok(stream) = self.stream() else { return true };
        let mut cx = Context::from_waker(Waker::noop());
        // Unconstrained: a task that has used its turn up would be told "not yet", whatever there is.
        let readable = pin!(tokio::task::unconstrained(poll_fn(|cx| stream.poll_read_ready(cx))));
        if !peek && readable.poll(&mut cx).is_pending() {
            return false;
        }
        // Readiness is a hint: a full read leaves it set on an empty queue.
        let seen = SockRef::from(stream).peek(&mut [std::mem::MaybeUninit::uninit()]);
        !seen.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
    }

    fn serve_client(&self, limits: &Limits) {
        self.tune(limits.to_clients());
    }

    fn abort(&self) {
        if let Ok(stream) = self.stream() {
            // Fails only on a socket that is gone already.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn splice(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    use rustix::pipe::SpliceFlags;
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    rustix::pipe::splice(from, None, to, None, most, flags).map_err(io::Error::from)
}

/// Whether the socket ended in an error, without taking the error from whoever reads next.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn has_failed(stream: &TcpStream) -> bool {
    stream.peer_addr().is_err()
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes over a listening socket. `TCP_NODELAY` is set here; what it accepts inherits it.
    ///
    /// # Errors
    /// Those of the system calls.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    pub fn new(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        SockRef::from(&listener).set_tcp_nodelay(true)?;
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self { listener, address })
    }

    /// What it accepts inherits this.
    pub(crate) fn tune(&self, tuning: Tuning) {
        tune(&SockRef::from(&self.listener), tuning);
    }

    /// Where it listens; the real port if it was bound to port 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The next client. Cancel-safe: a connection is taken or left in the queue.
    ///
    /// # Errors
    /// Those of `accept4(2)`; of `EMFILE` and its like the caller backs off.
    pub async fn accept(&self) -> io::Result<(Tcp, SocketAddr)> {
        let (stream, peer) = self.accept_stream().await?;
        Ok((Tcp::adopt(stream), peer))
    }

    /// The same, as the runtime's own socket.
    pub(crate) async fn accept_stream(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept().await.and_then(Self::welcome)
    }

    /// A client that is already in the queue, if there is one. The kernel is asked: readiness is
    /// only as fresh as the runtime's last look, and a listener that is closed resets its queue.
    ///
    /// # Errors
    /// As [`Listener::accept`].
    pub fn try_accept(&self) -> io::Result<Option<(Tcp, SocketAddr)>> {
        Ok(self.try_accept_stream()?.map(|(stream, peer)| (Tcp::adopt(stream), peer)))
    }

    /// The same, as the runtime's own socket.
    pub(crate) fn try_accept_stream(&self) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        match SockRef::from(&self.listener).accept() {
            Ok((socket, peer)) => {
                let Some(peer) = peer.as_socket() else { return Ok(None) };
                socket.set_nonblocking(true)?;
                TcpStream::from_std(socket.into()).and_then(|stream| Self::welcome((stream, peer))).map(Some)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn welcome((stream, peer): (TcpStream, SocketAddr)) -> io::Result<(TcpStream, SocketAddr)> {
        // Only Linux inherits it from the listener.
        if cfg!(not(target_os = "linux")) {
            stream.set_nodelay(true)?;
        }
        Ok((stream, peer))
    }
}
