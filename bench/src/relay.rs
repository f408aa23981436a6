//! A blind relay: every connection is joined with a new one to the origin, and bytes are moved without looking at
//! them. No proxy that reads and writes through user space is cheaper on the same kernel.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Poll, ready};

use rustix::net::{Shutdown, shutdown};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::Outcome;

const SCRATCH: usize = 64 << 10;
const PIPE: usize = 256 << 10;

thread_local! {
    /// One for all connections: what a socket does not take at once is kept apart, so an idle connection holds nothing.
    static ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

pub async fn serve(listen: SocketAddr, to: SocketAddr, splice: bool) -> Outcome<()> {
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(async move {
            let origin = TcpStream::connect(to).await?;
            client.set_nodelay(true)?;
            origin.set_nodelay(true)?;
            if splice { splice_both(client, origin).await } else { copy_both(client, origin).await }
        });
    }
}

async fn copy_both(mut client: TcpStream, mut origin: TcpStream) -> io::Result<()> {
    let ((mut from_client, mut to_client), (mut from_origin, mut to_origin)) = (client.split(), origin.split());
    let up = copy(&mut from_client, &mut to_origin);
    let down = copy(&mut from_origin, &mut to_client);
    tokio::try_join!(up, down).map(|_| ())
}

async fn copy(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    loop {
        let mut rest = Vec::new();
        let read = poll_fn(|cx| {
            ROOM.with_borrow_mut(|room| {
                let mut room = ReadBuf::new(room);
                ready!(Pin::new(&mut *from).poll_read(cx, &mut room))?;
                let mut unsent = room.filled();
                if let (false, Poll::Ready(sent)) = (unsent.is_empty(), Pin::new(&mut *to).poll_write(cx, unsent)) {
                    unsent = &unsent[sent?..];
                }
                rest.extend_from_slice(unsent);
                Poll::Ready(io::Result::Ok(room.filled().len()))
            })
        });
        if read.await? == 0 {
            return to.shutdown().await;
        }
        to.write_all(&rest).await?;
    }
}

async fn splice_both(client: TcpStream, origin: TcpStream) -> io::Result<()> {
    tokio::try_join!(splice_one(&client, &origin), splice_one(&origin, &client)).map(|_| ())
}

async fn splice_one(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    let (out, into) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
    // Without the right to a larger pipe the usual 64 KiB do.
    fcntl_setpipe_size(&into, PIPE).ok();
    loop {
        // The pipe is empty here, so that "would block" means that the socket is.
        let read = || Ok(splice(from, None, &into, None, PIPE, flags)?);
        let mut left = from.async_io(Interest::READABLE, read).await?;
        if left == 0 {
            return Ok(shutdown(to, Shutdown::Write)?);
        }
        while left > 0 {
            left -= to.async_io(Interest::WRITABLE, || Ok(splice(&out, None, to, None, left, flags)?)).await?;
        }
    }
}
