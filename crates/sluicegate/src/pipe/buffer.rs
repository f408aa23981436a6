//! One fixed run of bytes between two sockets, lent from a pool only while it holds something.
//!
//! ```text
//! 0        ready.start   ready.end  raw.start      raw.end        capacity
//! | given   |  decoded    |  gap     |  received    |  room         |
//! ```
//!
//! `raw` is what came from the source and has not been looked at; `ready` is payload that waits
//! for the sink. Nothing ever grows: when there is no room, nobody reads, and that is the pause.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::pipe::kernel::KernelPipes;

/// Equal boxes for one direction of a worker's connections. Each is zeroed once in its life.
#[derive(Debug)]
pub(crate) struct Pool {
    size: usize,
    /// More than this many unused boxes go back to the allocator.
    keep: usize,
    free: Mutex<Free>,
    /// What takes the place of a box for a body that is long and fast.
    pipes: Arc<KernelPipes>,
}

#[derive(Debug, Default)]
struct Free {
    boxes: Vec<Box<[u8]>>,
    /// So many of them nobody has needed since the last [`Pool::trim`].
    unneeded: usize,
}

impl Pool {
    pub(crate) fn new(size: usize, keep: usize, pipes: Arc<KernelPipes>) -> Self {
        let free = Mutex::default();
        Self { size, keep, free, pipes }
    }

    pub(crate) fn pipes(&self) -> &KernelPipes {
        &self.pipes
    }

    /// Gives half of what nobody has needed since the last time back to the allocator.
    pub(crate) fn trim(&self) {
        let mut free = self.lock();
        let kept = free.boxes.len().saturating_sub(free.unneeded.div_ceil(2));
        free.boxes.truncate(kept);
        free.unneeded = kept;
    }

    fn lend(&self) -> Box<[u8]> {
        let mut free = self.lock();
        let lent = free.boxes.pop();
        free.unneeded = free.unneeded.min(free.boxes.len());
        lent.unwrap_or_else(|| vec![0; self.size].into_boxed_slice())
    }

    fn take_back(&self, bytes: Box<[u8]>) {
        let mut free = self.lock();
        if free.boxes.len() < self.keep {
            free.boxes.push(bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Payload and unread bytes of one direction. Holds no memory while it is empty.
#[derive(Debug)]
pub(crate) struct Buffer<'p> {
    pool: &'p Pool,
    /// Empty while nothing is lent.
    bytes: Box<[u8]>,
    ready: Range<usize>,
    raw: Range<usize>,
}

impl<'p> Buffer<'p> {
    pub(crate) fn new(pool: &'p Pool) -> Self {
        Self { pool, bytes: Box::default(), ready: 0..0, raw: 0..0 }
    }

    /// Room for more, lent now if need be; empty means "pause the source".
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = self.pool.lend();
        }
        self.compact();
        self.bytes.get_mut(self.raw.end..).unwrap_or_default()
    }

    /// Whether it holds memory.
    pub(crate) fn is_lent(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Whether [`Self::room`] would be empty.
    pub(crate) fn is_full(&self) -> bool {
        self.raw.end >= self.pool.size && !self.can_compact()
    }

    /// `n` bytes have been read into the room.
    pub(crate) fn received(&mut self, n: usize) {
        self.raw.end = self.raw.end.saturating_add(n).min(self.pool.size);
    }

    /// Received and not yet looked at.
    pub(crate) fn raw(&self) -> &[u8] {
        self.bytes.get(self.raw.clone()).unwrap_or_default()
    }

    /// The first `n` raw bytes were framing, or a head that has been copied: forgotten.
    pub(crate) fn drop_raw(&mut self, n: usize) {
        self.raw.start = self.raw.start.saturating_add(n).min(self.raw.end);
    }

    /// The first `n` raw bytes are payload. Adjacent to what is ready, or with nothing ready, it
    /// stays where it is; behind a gap (a chunk's size line) it moves up.
    pub(crate) fn make_ready(&mut self, n: usize) {
        let payload = self.raw.start..self.raw.start.saturating_add(n).min(self.raw.end);
        self.raw.start = payload.end;
        if self.ready.is_empty() {
            self.ready = payload;
        } else if self.ready.end == payload.start {
            self.ready.end = payload.end;
        } else {
            let moved = payload.len();
            self.bytes.copy_within(payload, self.ready.end);
            self.ready.end = self.ready.end.saturating_add(moved);
        }
    }

    /// Payload that waits for the sink.
    pub(crate) fn ready(&self) -> &[u8] {
        self.bytes.get(self.ready.clone()).unwrap_or_default()
    }

    /// The sink took the first `n` ready bytes.
    pub(crate) fn given(&mut self, n: usize) {
        self.ready.start = self.ready.start.saturating_add(n).min(self.ready.end);
    }

    /// Bytes held: received and neither given nor dropped.
    pub(crate) fn held(&self) -> usize {
        self.ready.len().saturating_add(self.raw.len())
    }

    /// Gives the memory back if nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.is_lent() && self.held() == 0 {
            self.ready = 0..0;
            self.raw = 0..0;
            self.pool.take_back(std::mem::take(&mut self.bytes));
        }
    }

    /// Everything that is held is forgotten.
    pub(crate) fn clear(&mut self) {
        self.ready = 0..0;
        self.raw = 0..0;
        self.release();
    }

    fn first_used(&self) -> usize {
        if self.ready.is_empty() { self.raw.start } else { self.ready.start }
    }

    /// Moving costs; so only when nothing is held, or at least half of the capacity is regained.
    fn can_compact(&self) -> bool {
        let front = self.first_used();
        self.held() == 0 || front >= self.pool.size.div_ceil(2)
    }

    fn compact(&mut self) {
        if self.held() == 0 {
            self.ready = 0..0;
            self.raw = 0..0;
        } else if self.raw.end >= self.pool.size && self.can_compact() {
            let front = self.first_used();
            if self.ready.is_empty() {
                self.ready = front..front;
            }
            self.bytes.copy_within(front..self.raw.end, 0);
            for end in [&mut self.ready.start, &mut self.ready.end, &mut self.raw.start, &mut self.raw.end] {
                *end = end.saturating_sub(front);
            }
        }
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffer: &mut Buffer<'_>, bytes: &[u8]) -> usize {
        let room = buffer.room();
        let n = room.len().min(bytes.len());
        room[..n].copy_from_slice(&bytes[..n]);
        buffer.received(n);
        n
    }

    #[test]
    fn never_takes_more_than_its_capacity() {
        let pool = Pool::new(8, 4, Arc::new(KernelPipes::scripted(0, 0)));
        let mut buffer = Buffer::new(&pool);
        assert_eq!(fill(&mut buffer, b"0123456789"), 8);
        assert!(buffer.room().is_empty() && buffer.is_full());
        assert_eq!(buffer.raw(), b"01234567");
    }

    #[test]
    fn payload_behind_framing_moves_up() {
        let pool = Pool::new(16, 4, Arc::new(KernelPipes::scripted(0, 0)));
        let mut buffer = Buffer::new(&pool);
        fill(&mut buffer, b"ab__cd__ef");
        for _ in 0..2 {
            buffer.make_ready(2);
            buffer.drop_raw(2);
        }
        buffer.make_ready(2);
        assert_eq!(buffer.ready(), b"abcdef");
        buffer.given(5);
        assert_eq!((buffer.ready(), buffer.held()), (&b"f"[..], 1));
    }

    #[test]
    fn half_given_makes_room_again_without_losing_a_byte() {
        let pool = Pool::new(8, 4, Arc::new(KernelPipes::scripted(0, 0)));
        let mut buffer = Buffer::new(&pool);
        fill(&mut buffer, b"01234567");
        buffer.make_ready(6);
        buffer.given(3);
        assert!(buffer.is_full());
        buffer.given(1);
        assert!(!buffer.is_full());
        assert_eq!(fill(&mut buffer, b"89ab-"), 4);
        assert_eq!((buffer.ready(), buffer.raw()), (&b"45"[..], &b"6789ab"[..]));
    }

    #[test]
    fn empty_holds_no_memory() {
        let pool = Pool::new(8, 1, Arc::new(KernelPipes::scripted(0, 0)));
        let mut buffer = Buffer::new(&pool);
        fill(&mut buffer, b"x");
        buffer.release();
        assert_eq!(buffer.raw(), b"x");
        buffer.drop_raw(1);
        buffer.release();
        assert!(buffer.bytes.is_empty());
        assert_eq!(pool.lock().boxes.len(), 1);
        drop(buffer);
        assert_eq!(pool.lock().boxes.len(), 1);
    }

    #[test]
    fn what_nobody_needs_is_given_back_and_no_more() {
        let pool = Pool::new(8, 64, Arc::new(KernelPipes::scripted(0, 0)));
        let lend = |n: usize| (0..n).map(|_| pool.lend()).collect::<Vec<_>>();
        let give_back = |boxes: Vec<_>| boxes.into_iter().for_each(|one| pool.take_back(one));
        give_back(lend(40));
        pool.trim();
        assert_eq!(pool.lock().boxes.len(), 40, "all of them were needed");
        for _ in 0..8 {
            give_back(lend(10));
            pool.trim();
        }
        assert_eq!(pool.lock().boxes.len(), 10);
        (0..8).for_each(|_| pool.trim());
        assert_eq!(pool.lock().boxes.len(), 0);
    }
}
