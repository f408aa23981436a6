//! A connected pair without a kernel: each direction holds at most `capacity` bytes, ends and
//! resets are seen at once, as on TCP. Tests hold one end and do by hand what a peer would.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use super::{Hangup, Transport, Watch};
use crate::pipe::kernel::KernelPipe;

/// One end of a pair.
pub(crate) struct Scripted {
    wire: Arc<Mutex<Wire>>,
    side: usize,
}

#[derive(Default)]
struct Wire {
    /// `directions[n]`: written by side n, read by the other.
    directions: [Direction; 2],
    capacity: usize,
    splices: bool,
    says_goodbye: bool,
    reset: bool,
    wakers: Vec<Waker>,
}

#[derive(Default)]
struct Direction {
    bytes: VecDeque<u8>,
    ended: bool,
    /// Bytes ever written, and ever read.
    written: u64,
    read: u64,
    /// Its writer aborts when it is dropped.
    abort: bool,
}

/// Two ends with `capacity` bytes of room in each direction.
pub(crate) fn pair(capacity: usize) -> (Scripted, Scripted) {
    let wire = Arc::new(Mutex::new(Wire { capacity, ..Wire::default() }));
    (Scripted { wire: Arc::clone(&wire), side: 0 }, Scripted { wire, side: 1 })
}

impl Scripted {
    /// From now on, long bodies move through pipes.
    pub(crate) fn let_splice(&self) {
        self.lock().splices = true;
    }

    /// From now on, a shutdown waits until all that was written has been read, as TLS does for room for its last words.
    #[cfg(test)]
    pub(crate) fn let_say_goodbye(&self) {
        self.lock().says_goodbye = true;
    }

    /// Reads what is there, at most `most` bytes, without waiting.
    pub(crate) fn take(&self, most: usize) -> Vec<u8> {
        let mut wire = self.lock();
        let direction = &mut wire.directions[1 - self.side];
        let n = most.min(direction.bytes.len());
        direction.read += n as u64;
        let taken = direction.bytes.drain(..n).collect();
        wire.wake();
        taken
    }

    /// Writes what fits, without waiting; how many bytes.
    pub(crate) fn put(&self, bytes: &[u8]) -> usize {
        let mut wire = self.lock();
        let capacity = wire.capacity;
        let direction = &mut wire.directions[self.side];
        let n = capacity.saturating_sub(direction.bytes.len()).min(bytes.len());
        direction.bytes.extend(&bytes[..n]);
        direction.written += n as u64;
        wire.wake();
        n
    }

    /// Ends this side's sending.
    pub(crate) fn end(&self) {
        let mut wire = self.lock();
        wire.directions[self.side].ended = true;
        wire.wake();
    }

    /// Resets the connection.
    pub(crate) fn reset(&self) {
        let mut wire = self.lock();
        wire.reset = true;
        wire.wake();
    }

    /// Bytes that the other end has ever taken from this one.
    pub(crate) fn taken_by_peer(&self) -> u64 {
        self.lock().directions[self.side].read
    }

    /// Bytes that the other end has ever given to this one.
    pub(crate) fn given_by_peer(&self) -> u64 {
        self.lock().directions[1 - self.side].written
    }

    /// A number that grows with every byte that moves, either way.
    pub(crate) fn moved(&self) -> u64 {
        self.lock().directions.iter().map(|one| one.written + one.read).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap()
    }
}

impl Wire {
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    /// Keeps one waker per waiting task, not one per poll.
    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        if !self.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Transport for Scripted {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.lock();
        let direction = &wire.directions[1 - self.side];
        if wire.reset || direction.ended || !direction.bytes.is_empty() { Poll::Ready(Ok(())) } else { wire.wait(cx) }
    }

    fn poll_read(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        assert!(!room.is_empty(), "a read without room");
        let mut wire = self.lock();
        if wire.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let direction = &mut wire.directions[1 - self.side];
        if direction.bytes.is_empty() {
            return if direction.ended { Poll::Ready(Ok(0)) } else { wire.wait(cx) };
        }
        let n = room.len().min(direction.bytes.len());
        for (slot, byte) in room.iter_mut().zip(direction.bytes.drain(..n)) {
            *slot = byte;
        }
        direction.read += n as u64;
        wire.wake();
        Poll::Ready(Ok(n))
    }

    fn poll_write(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut wire = self.lock();
        if wire.reset || wire.directions[self.side].ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut room = wire.capacity.saturating_sub(wire.directions[self.side].bytes.len());
        if room == 0 {
            return wire.wait(cx);
        }
        let mut written = 0;
        for part in parts {
            let n = part.len().min(room);
            wire.directions[self.side].bytes.extend(&part[..n]);
            room -= n;
            written += n;
        }
        wire.directions[self.side].written += written as u64;
        wire.wake();
        Poll::Ready(Ok(written))
    }

    fn splices(&self) -> bool {
        self.lock().splices
    }

    fn poll_splice_in(
        &self,
        cx: &mut Context<'_>,
        kernel_pipe: &mut KernelPipe,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        assert!(kernel_pipe.held() == 0 && kernel_pipe.memory().is_empty(), "'no more now' would mean either");
        let mut room = vec![0; most];
        let read = std::task::ready!(self.poll_read(cx, &mut room))?;
        kernel_pipe.memory().extend(&room[..read]);
        Poll::Ready(Ok(read))
    }

    fn poll_splice_out(&self, cx: &mut Context<'_>, kernel_pipe: &mut KernelPipe) -> Poll<io::Result<usize>> {
        assert_eq!(kernel_pipe.held(), kernel_pipe.memory().len());
        let (first, _) = kernel_pipe.memory().as_slices();
        let first = first.to_vec();
        let written = std::task::ready!(self.poll_write(cx, &[IoSlice::new(&first)]))?;
        kernel_pipe.memory().drain(..written);
        Poll::Ready(Ok(written))
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.lock();
        if wire.says_goodbye && !wire.directions[self.side].bytes.is_empty() {
            return wire.wait(cx);
        }
        drop(wire);
        self.end();
        Poll::Ready(Ok(()))
    }

    async fn hangup(&self, watch: Watch) -> Hangup {
        poll_fn(|cx| {
            let mut wire = self.lock();
            if wire.reset {
                Poll::Ready(Hangup::Reset)
            } else if watch == Watch::Fin && wire.directions[1 - self.side].ended {
                Poll::Ready(Hangup::Fin)
            } else {
                wire.wait(cx)
            }
        })
        .await
    }

    fn is_stale(&self, _peek: bool) -> bool {
        self.poll_readable(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn abort(&self) {
        self.lock().directions[self.side].abort = true;
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if self.lock().directions[self.side].abort {
            self.reset();
        } else {
            self.end();
        }
    }
}
