//! A body decoded by its framing: what of the input is data, and when it is complete.

use crate::chunked::{ChunkLimits, Decoder, Step};
use crate::fields::Field;
use crate::framing::Framing;
use crate::malformed::Malformed;

/// The input ended before the body was complete (RFC 9112 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection ended before the body was complete")]
pub struct Truncated;

/// A body being received. It keeps no data; only trailers are held.
#[derive(Debug)]
pub struct BodyDecoder {
    framing: Framing,
    state: State,
}

#[derive(Debug)]
enum State {
    /// This many bytes are to come, perhaps 0.
    Length(u64),
    // Boxed it would be smaller, but cost an allocation per chunked message.
    Chunked(Decoder),
    UntilClose,
    Closed,
}

impl BodyDecoder {
    /// A body at its start. The limits matter to chunked ones only.
    #[must_use]
    pub const fn new(framing: Framing, limits: ChunkLimits) -> Self {
        let state = match framing {
            Framing::Empty => State::Length(0),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Decoder::new(limits)),
            Framing::UntilClose => State::UntilClose,
        };
        Self { framing, state }
    }

    /// How the body is framed.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// Says what the input starts with. While the body is not complete, empty input is
    /// `Framing(0)`; a complete one takes nothing and says `End(0)`. A body of known length is
    /// complete with its last byte of data, so ask `is_complete` after each step.
    ///
    /// # Errors
    ///
    /// A broken rule of the chunked coding.
    #[inline]
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        match &mut self.state {
            State::Length(0) | State::Closed => Ok(Step::End(0)),
            State::Chunked(decoder) => decoder.decode(input),
            _ if input.is_empty() => Ok(Step::Framing(0)),
            State::UntilClose => Ok(Step::Data(input.len())),
            State::Length(left) => {
                let n = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                let moved = u64::try_from(n).unwrap_or(u64::MAX);
                *left = left.saturating_sub(moved);
                Ok(Step::Data(n))
            }
        }
    }

    /// Bytes of data that follow without framing between them: the rest of a known length or of the
    /// current chunk; without end, if only the close ends the body.
    #[must_use]
    pub fn data_left(&self) -> u64 {
        match &self.state {
            State::Length(left) => *left,
            State::Chunked(decoder) => decoder.data_left(),
            State::UntilClose => u64::MAX,
            State::Closed => 0,
        }
    }

    /// Counts `n` bytes of data that were moved without being seen. More than `data_left` is taken
    /// for all of it.
    pub fn advance(&mut self, n: u64) {
        match &mut self.state {
            State::Length(left) => *left = left.saturating_sub(n),
            State::Chunked(decoder) => decoder.advance(n),
            State::UntilClose | State::Closed => {}
        }
    }

    /// Whether the body has been received whole.
    #[inline]
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match &self.state {
            State::Length(left) => *left == 0,
            State::Chunked(decoder) => decoder.is_complete(),
            State::UntilClose => false,
            State::Closed => true,
        }
    }

    /// Bytes of data that are still to come, where that is known.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match &self.state {
            State::Length(left) => Some(*left),
            State::Closed => Some(0),
            State::Chunked(decoder) if decoder.is_complete() => Some(0),
            State::Chunked(_) | State::UntilClose => None,
        }
    }

    /// The sender has closed its side.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if the body is not complete: it must not look complete to anybody.
    pub fn end_of_input(&mut self) -> Result<(), Truncated> {
        if let State::UntilClose = self.state {
            self.state = State::Closed;
        }
        if self.is_complete() { Ok(()) } else { Err(Truncated) }
    }

    /// Whether the last chunk has come and the end of the trailer section has not.
    #[must_use]
    pub fn in_trailers(&self) -> bool {
        matches!(&self.state, State::Chunked(decoder) if decoder.in_trailers())
    }

    /// The trailer fields in their order. None before completion.
    pub fn trailers(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        let decoder = match &self.state {
            State::Chunked(decoder) => Some(decoder),
            _ => None,
        };
        decoder.into_iter().flat_map(Decoder::trailers)
    }
}
