//! One direction of an exchange: a fixed buffer, the decoder of what comes, the encoder of what
//! goes. This is the flow control, and it is arithmetic only: bytes are read from the source
//! exactly while [`Pipe::room`] is not empty, and an empty room *is* the pause. It is the smaller of what the buffer has
//! and what an allowance grants.
//!
//! ```text
//! source ─room()→ raw ─decode()→ ready ─┐
//!                            stage ─────┴─output()→ sink
//! ```
//!
//! `stage` holds what we write ourselves: a head, a chunk's size line, trailers. At most one
//! head, one size line and one trailer section are in it at a time.

pub(crate) mod allowance;
pub(crate) mod buffer;
pub(crate) mod kernel;

use std::io::IoSlice;
use std::sync::Arc;

pub(crate) use sluicegate_http1::Encoding;
use sluicegate_http1::chunked::ChunkLimits;
use sluicegate_http1::encode::Coming;
use sluicegate_http1::{BodyDecoder, Encoder, Framing, Malformed, Stage, Step, Truncated};

use self::allowance::Allowance;
use crate::flow::PauseCause;
use crate::pipe::buffer::{Buffer, Pool};
use crate::pipe::kernel::KernelPipe;

/// No larger chunk is announced before it has come.
const LARGEST: u64 = 1 << 30;

/// One direction, for one connection's life; [`Pipe::begin`] starts each message.
#[derive(Debug)]
pub(crate) struct Pipe<'p> {
    pool: &'p Pool,
    buffer: Buffer<'p>,
    /// In place of the buffer, for the middle of a body that is long and fast.
    kernel_pipe: Option<KernelPipe>,
    /// None grants everything.
    allowance: Option<Arc<Allowance>>,
    /// Bytes that it grants for now.
    granted: usize,
    /// Body bytes given since the last long pause.
    fast: usize,
    body: BodyDecoder,
    encoder: Encoder,
    /// What we write ourselves.
    stage: Stage,
    /// Trailers end here.
    drops_trailers: bool,
    /// Body bytes given to the sink since [`Pipe::begin`], framing apart.
    given: u64,
    /// The sink has taken anything since then: the head counts.
    begun: bool,
}

impl<'p> Pipe<'p> {
    pub(crate) fn new(pool: &'p Pool) -> Self {
        Self {
            pool,
            buffer: Buffer::new(pool),
            kernel_pipe: None,
            allowance: None,
            granted: usize::MAX,
            fast: 0,
            body: BodyDecoder::new(Framing::Empty, ChunkLimits::default()),
            encoder: Encoder::new(Encoding::Identity, Framing::Empty),
            stage: Stage::new(),
            drops_trailers: false,
            given: 0,
            begun: false,
        }
    }

    /// Starts a message. What has been received stays; it is the beginning of the body.
    pub(crate) fn begin(&mut self, framing: Framing, encoding: Encoding, limits: ChunkLimits) {
        self.body = BodyDecoder::new(framing, limits);
        self.encoder = Encoder::new(encoding, framing);
        self.drops_trailers = false;
        self.given = 0;
        self.begun = false;
    }

    /// The trailers of this message are not passed on: a policy has changed its head, and what it took
    /// away or set must not come back behind the body.
    pub(crate) fn drop_trailers(&mut self) {
        self.drops_trailers = true;
    }

    /// Where a head is written; it goes out before the body, in the same write.
    pub(crate) fn stage(&mut self) -> &mut Vec<u8> {
        self.stage.open()
    }

    /// Forgets a staged head and whatever was announced (an origin connection died before it took
    /// any of the body; the head will be staged again for the next one).
    pub(crate) fn unstage(&mut self) {
        self.stage.clear();
        self.encoder.restart();
    }

    /// Whether a head has been given in part: nothing but its rest may follow.
    pub(crate) fn is_cut(&self) -> bool {
        self.stage.is_cut()
    }

    /// Forgets everything: what was received, and what was to be sent.
    pub(crate) fn clear(&mut self) {
        self.begin(Framing::Empty, Encoding::Identity, ChunkLimits::default());
        self.unstage();
        self.buffer.clear();
        self.give_kernel_pipe_back();
    }

    /// Room to read into; empty means "pause the source".
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let granted = self.granted;
        let room = self.buffer.room();
        let least = granted.min(room.len());
        room.get_mut(..least).unwrap_or_default()
    }

    /// Whether it has a buffer already, so that [`Pipe::room`] lends none.
    pub(crate) fn is_lent(&self) -> bool {
        self.buffer.is_lent()
    }

    /// Whether the source is to be left alone.
    pub(crate) fn is_full(&self) -> bool {
        self.holds_all() || self.granted == 0
    }

    /// Why it is, if it is: because it holds as much as it may, which is for `holder` to change, or is granted no more.
    pub(crate) fn pause(&self, holder: PauseCause) -> Option<PauseCause> {
        match (self.holds_all(), self.granted) {
            (true, _) => Some(holder),
            (false, 0) => Some(PauseCause::Limit),
            (false, _) => None,
        }
    }

    fn holds_all(&self) -> bool {
        self.buffer.is_full() || self.in_kernel_pipe() > 0
    }

    /// From now on it takes no more from its source than `allowance` grants.
    #[cfg(test)]
    pub(crate) fn limit(&mut self, allowance: Arc<Allowance>) {
        self.granted = 0;
        self.allowance = Some(allowance);
    }

    /// Asks how much may be taken, by a clock in milliseconds that moves once per sweep.
    #[inline]
    pub(crate) fn refill(&mut self, now: impl FnOnce() -> u64) {
        if let Some(allowance) = &self.allowance {
            self.granted = usize::try_from(allowance.left(now())).unwrap_or(usize::MAX);
        }
    }

    fn spend(&mut self, n: usize) {
        if let Some(allowance) = &self.allowance {
            allowance.take(n);
            self.granted = self.granted.saturating_sub(n);
        }
    }

    /// `n` bytes were read into the room. [`Pipe::decode`] looks at them.
    pub(crate) fn received(&mut self, n: usize) {
        self.buffer.received(n);
        self.spend(n);
    }

    /// Received and not decoded: a head that is still to be parsed, or what lies behind the body.
    pub(crate) fn raw(&self) -> &[u8] {
        self.buffer.raw()
    }

    /// The first `n` raw bytes were a head and have been copied.
    pub(crate) fn drop_raw(&mut self, n: usize) {
        self.buffer.drop_raw(n);
    }

    /// Bytes held.
    pub(crate) fn held(&self) -> usize {
        self.buffer.held().saturating_add(self.in_kernel_pipe())
    }

    /// Gives the buffer's memory back if it is empty.
    pub(crate) fn release(&mut self) {
        self.buffer.release();
        if self.kernel_pipe.is_some() && self.in_kernel_pipe() == 0 {
            self.give_kernel_pipe_back();
        }
    }

    /// Bytes of memory beside the buffer, used or not.
    pub(crate) fn capacity(&self) -> usize {
        self.stage.capacity()
    }

    /// Gives them back, if nothing waits to be written.
    pub(crate) fn shrink(&mut self) {
        self.stage.shrink();
    }

    /// Nothing has moved for long: what waits is to wait in the buffer.
    pub(crate) fn slow_down(&mut self) {
        self.fast = 0;
    }

    /// Whether the next bytes of the body may pass us by: nobody has to look at them, nothing stands
    /// before them, and they are many.
    pub(crate) fn is_bulk(&self) -> bool {
        self.fast >= self.pool.pipes().worth()
            && self.unseen() >= self.pool.pipes().least() as u64
            && self.buffer.held() == 0
            && !self.has_output()
    }

    /// Where they go instead, and how many at most. None if there is none to be had.
    pub(crate) fn kernel_pipe(&mut self) -> Option<(&mut KernelPipe, usize)> {
        if self.kernel_pipe.is_none() {
            self.kernel_pipe = self.pool.pipes().lend();
        }
        let left = usize::try_from(self.unseen()).unwrap_or(usize::MAX).min(self.granted);
        let Some(kernel_pipe) = &mut self.kernel_pipe else {
            // Not asked for again before as much has been copied.
            self.fast = 0;
            return None;
        };
        let most = kernel_pipe.size().min(left);
        Some((kernel_pipe, most))
    }

    /// Bytes that may pass without being looked at.
    fn unseen(&self) -> u64 {
        self.encoder.unseen(self.body.data_left())
    }

    /// `n` bytes of the body are in the kernel's pipe.
    pub(crate) fn spliced(&mut self, n: usize) {
        if let Some(kernel_pipe) = &mut self.kernel_pipe {
            kernel_pipe.filled(n);
        }
        self.spend(n);
        self.body.advance(n as u64);
        self.encoder.passed(n as u64);
        if n < self.pool.pipes().least() {
            self.fast = 0;
        }
    }

    /// What is in the kernel's pipe and waits for the sink.
    pub(crate) fn loaded(&mut self) -> Option<&mut KernelPipe> {
        self.kernel_pipe.as_mut().filter(|kernel_pipe| kernel_pipe.held() > 0)
    }

    /// The sink took `n` bytes of it.
    pub(crate) fn unloaded(&mut self, n: usize) {
        if let Some(kernel_pipe) = &mut self.kernel_pipe {
            kernel_pipe.drained(n);
        }
        self.given = self.given.saturating_add(n as u64);
        self.fast = self.fast.saturating_add(n);
    }

    fn in_kernel_pipe(&self) -> usize {
        self.kernel_pipe.as_ref().map_or(0, KernelPipe::held)
    }

    fn give_kernel_pipe_back(&mut self) {
        if let Some(kernel_pipe) = self.kernel_pipe.take() {
            self.pool.pipes().take_back(kernel_pipe);
        }
    }

    /// Decodes what has been received and announces what is ready.
    ///
    /// # Errors
    /// The rule that the body's framing breaks; what came before it has been announced.
    pub(crate) fn decode(&mut self) -> Result<(), Malformed> {
        let decoded = self.decode_raw();
        self.encode();
        decoded
    }

    fn decode_raw(&mut self) -> Result<(), Malformed> {
        while !self.body.is_complete() && !self.buffer.raw().is_empty() {
            // Trailers may be as large as a head; so they wait until none is staged.
            if self.body.in_trailers() && self.has_output() {
                break;
            }
            match self.body.decode(self.buffer.raw())? {
                Step::Framing(n) | Step::End(n) => self.buffer.drop_raw(n),
                Step::Data(n) => self.buffer.make_ready(n),
            }
        }
        Ok(())
    }

    /// The source has ended.
    ///
    /// # Errors
    /// [`Truncated`] when its message was not complete.
    pub(crate) fn end_of_input(&mut self) -> Result<(), Truncated> {
        self.body.end_of_input()?;
        self.encode();
        Ok(())
    }

    /// Whether the message has been received whole.
    pub(crate) fn is_received(&self) -> bool {
        self.body.is_complete()
    }

    /// Whether the message has been received and given whole.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_received() && self.encoder.is_ended() && !self.has_output() && self.buffer.ready().is_empty()
    }

    /// Whether there is something to write.
    pub(crate) fn has_output(&self) -> bool {
        !self.stage.is_empty() || self.encoder.has_output() || self.in_kernel_pipe() > 0
    }

    /// What to write next, in order; empty slices are left out by the count.
    pub(crate) fn output(&self) -> ([IoSlice<'_>; 3], usize) {
        let staged = self.stage.left();
        let payload = self.buffer.ready().get(..self.encoder.waiting()).unwrap_or_default();
        let mut slices = [IoSlice::new(b""); 3];
        let mut count = 0_usize;
        for part in [staged, payload, self.encoder.suffix()] {
            if let (false, Some(slot)) = (part.is_empty(), slices.get_mut(count)) {
                *slot = IoSlice::new(part);
                count = count.saturating_add(1);
            }
        }
        (slices, count)
    }

    /// The sink took `n` bytes of [`Pipe::output`].
    pub(crate) fn wrote(&mut self, n: usize) {
        self.begun |= n > 0;
        let staged = self.stage.wrote(n);
        let payload = self.encoder.wrote(n.saturating_sub(staged));
        self.buffer.given(payload);
        self.given = self.given.saturating_add(payload as u64);
        self.fast = self.fast.saturating_add(payload);
        self.encode();
    }

    /// Whether all of the body that has come is still here, to be sent once more.
    pub(crate) fn is_unspent(&self) -> bool {
        self.given == 0 && self.in_kernel_pipe() == 0
    }

    /// Whether the sink has taken anything of the message, its head included.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Body bytes given to the sink since the message began.
    pub(crate) fn given(&self) -> u64 {
        self.given
    }

    /// Announces what is ready. Without framing of our own that is all there is to it.
    #[inline]
    fn encode(&mut self) {
        match &mut self.encoder {
            Encoder::Identity { waiting } => *waiting = self.buffer.ready().len(),
            Encoder::Chunked(_) => self.encode_chunks(),
        }
    }

    fn encode_chunks(&mut self) {
        let coming = Coming {
            body: &self.body,
            ready: self.buffer.ready().len(),
            follows: self.rest_of_chunk(),
            elsewhere: self.in_kernel_pipe(),
            drops_trailers: self.drops_trailers,
        };
        self.encoder.encode(&coming, &mut self.stage);
    }

    /// See [`Encoder::insist`].
    pub(crate) fn insist(&mut self) -> bool {
        self.encoder.insist(self.in_kernel_pipe(), &mut self.stage)
    }

    /// What is to come of the chunk that the last ready byte is in, if that is much: then it is
    /// announced with them. If it does not come, the chunk is cut, and the message with it.
    fn rest_of_chunk(&self) -> u64 {
        let left = match self.body.framing() {
            Framing::Chunked if self.buffer.raw().is_empty() => self.body.data_left(),
            _ => 0,
        };
        if left >= self.pool.pipes().least() as u64 { left.min(LARGEST) } else { 0 }
    }
}

#[cfg(test)]
mod tests;
