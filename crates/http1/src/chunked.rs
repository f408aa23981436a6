//! The chunked coding (RFC 9112 §7.1), decoded in any pieces and written canonically.
//!
//! The decoder sees each byte once and keeps none but the trailers. Extensions are checked and
//! dropped; a limit on how far they may be ahead of the data keeps a sender from hiding endless work in them.

use crate::extension::{self, Extension};
use crate::fields::{Field, Name};
use crate::index::{slice, span};
use crate::lines::{field_line, lines};
use crate::malformed::Malformed;
use crate::raw::reserve_within;
use crate::scan::Scanner;

/// The last chunk and an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What of the framing may measure how much.
#[derive(Clone, Copy, Debug)]
pub struct ChunkLimits {
    /// Bytes of chunk extensions, white space included, that a body may be ahead of its data: each chunk makes up for
    /// twice its own size and 128 bytes more, which is a signature and its name. So a stream that goes on for days with an
    /// extension in each chunk does not use it up, and one that is nearly all extensions does.
    pub extension_bytes: usize,
    /// Bytes of the trailer section, its empty line included.
    pub trailer_bytes: usize,
    /// Lines of the trailer section.
    pub trailer_fields: usize,
}

impl Default for ChunkLimits {
    /// 16 KiB of extensions, 16 KiB and 500 fields of trailers.
    fn default() -> Self {
        Self { extension_bytes: 16_384, trailer_bytes: 16_384, trailer_fields: 500 }
    }
}

/// What the first bytes of the input were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// This many were framing: drop them. If that is all of the input, more is needed.
    Framing(usize),
    /// This many, more than 0, are data.
    Data(usize),
    /// This many were framing, and with them the body is complete.
    End(usize),
}

/// What each chunk makes up for, beside twice its size: see [`ChunkLimits::extension_bytes`].
const EXTENSION_ALLOWED: usize = 128;

/// Decodes a chunked body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    limits: ChunkLimits,
    /// Bytes of extensions that no chunk has made up for yet.
    extension_bytes: usize,
    scanner: Scanner,
    trailers: Vec<u8>,
    spans: Vec<Span>,
}

/// Offsets of a trailer's name and value.
type Span = ((u32, u32), (u32, u32));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a size of so many digits.
    Size {
        digits: u8,
        size: u64,
    },
    /// Behind the digits, up to the CR.
    Extension {
        within: Extension,
        size: u64,
    },
    /// The CR of the size line has been seen.
    SizeCr {
        size: u64,
    },
    /// This many bytes of data are to come, more than 0.
    Data(u64),
    /// The data is complete.
    DataEnd,
    /// The CR behind the data has been seen.
    DataCr,
    Trailers,
    Complete,
    Refused(Malformed),
}

const SIZE: State = State::Size { digits: 0, size: 0 };

impl Decoder {
    /// A decoder at the start of a body. Allocates nothing, and later only for trailers.
    #[must_use]
    pub const fn new(limits: ChunkLimits) -> Self {
        Self {
            state: SIZE,
            limits,
            extension_bytes: 0,
            scanner: Scanner::trailers(),
            trailers: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// Says what the input starts with. Framing is consumed as far as it goes; data is not merged
    /// over chunks. Empty input is `Framing(0)`; after the end every input is `End(0)`.
    ///
    /// # Errors
    ///
    /// The first rule that the framing breaks, at the byte that breaks it, however the bytes were
    /// cut; and again if called again.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        match self.state {
            State::Complete => return Ok(Step::End(0)),
            State::Refused(why) => return Err(why),
            State::Data(left) if !input.is_empty() => {
                let have = u64::try_from(input.len()).unwrap_or(u64::MAX);
                let n = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                self.state = match left.checked_sub(have) {
                    None | Some(0) => State::DataEnd,
                    Some(left) => State::Data(left),
                };
                return Ok(Step::Data(n));
            }
            _ => {}
        }
        self.framing(input).inspect_err(|&why| {
            self.state = State::Refused(why);
            self.spans.clear();
        })
    }

    /// Bytes of data that are still to come in the current chunk.
    #[must_use]
    pub fn data_left(&self) -> u64 {
        match self.state {
            State::Data(left) => left,
            _ => 0,
        }
    }

    /// Counts `n` bytes of the current chunk's data that were moved without being seen. More than
    /// [`Decoder::data_left`] is taken for all of it.
    pub fn advance(&mut self, n: u64) {
        if let State::Data(left) = self.state {
            self.state = match left.saturating_sub(n) {
                0 => State::DataEnd,
                left => State::Data(left),
            };
        }
    }

    /// Whether the last chunk has come and the end of the trailer section has not.
    #[must_use]
    pub fn in_trailers(&self) -> bool {
        self.state == State::Trailers
    }

    /// Whether the end of the trailer section has come.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// The trailer fields in their order. None before completion.
    pub fn trailers(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        let bytes = self.trailers.as_slice();
        self.spans.iter().map(move |&(name, value)| Field {
            id: Name::of(slice(bytes, name)),
            name: slice(bytes, name),
            value: slice(bytes, value),
        })
    }

    /// Bytes of memory held: those of trailers.
    #[must_use]
    pub fn capacity(&self) -> usize {
        let spans = self.spans.capacity().saturating_mul(size_of::<Span>());
        self.trailers.capacity().saturating_add(spans)
    }

    fn framing(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let mut rest = input;
        let taken = |rest: &[u8]| input.len().saturating_sub(rest.len());
        loop {
            match self.state {
                State::Trailers => {
                    return self.take_trailers(rest, taken(rest));
                }
                State::Data(_) => return Ok(Step::Framing(taken(rest))),
                _ => {}
            }
            let Some((&byte, tail)) = rest.split_first() else {
                return Ok(Step::Framing(input.len()));
            };
            self.state = self.next(byte)?;
            rest = tail;
        }
    }

    /// The state after one byte of framing.
    #[inline]
    fn next(&mut self, byte: u8) -> Result<State, Malformed> {
        match self.state {
            State::Size { digits, size } => self.next_in_size(byte, digits, size),
            State::Extension { within, size } => {
                if byte == b'\r' && within.may_end() {
                    return Ok(State::SizeCr { size });
                }
                self.count_extension_byte()?;
                let within = within.next(byte)?;
                Ok(State::Extension { within, size })
            }
            State::SizeCr { size } => match (byte, size) {
                (b'\n', 0) => Ok(State::Trailers),
                (b'\n', size) => {
                    self.make_up_for_extensions(size);
                    Ok(State::Data(size))
                }
                _ => Err(Malformed::BareCr),
            },
            State::DataEnd if byte == b'\r' => Ok(State::DataCr),
            State::DataCr if byte == b'\n' => Ok(SIZE),
            State::DataEnd | State::DataCr => Err(Malformed::ChunkEnd),
            // Not reached: `framing` handles these.
            state => Ok(state),
        }
    }

    #[inline]
    fn next_in_size(&mut self, byte: u8, digits: u8, size: u64) -> Result<State, Malformed> {
        let digit = match byte {
            b'0'..=b'9' => byte.wrapping_sub(b'0'),
            b'a'..=b'f' => byte.wrapping_sub(b'a').wrapping_add(10),
            b'A'..=b'F' => byte.wrapping_sub(b'A').wrapping_add(10),
            _ if digits == 0 && byte != b'\n' => return Err(Malformed::ChunkSize),
            b'\r' => return Ok(State::SizeCr { size }),
            b'\n' => return Err(Malformed::BareLf),
            b';' | b' ' | b'\t' => {
                self.count_extension_byte()?;
                let within = extension::start(byte);
                return Ok(State::Extension { within, size });
            }
            _ => return Err(Malformed::ChunkSize),
        };
        // 16 digits fill a u64 exactly, so the shift below loses nothing.
        let size = (size << 4) | u64::from(digit);
        if digits >= 16 || i64::try_from(size).is_err() {
            return Err(Malformed::ChunkSizeTooLarge);
        }
        Ok(State::Size { digits: digits.saturating_add(1), size })
    }

    fn count_extension_byte(&mut self) -> Result<(), Malformed> {
        self.extension_bytes = self.extension_bytes.saturating_add(1);
        if self.extension_bytes > self.limits.extension_bytes {
            return Err(Malformed::ChunkExtensionsTooLong);
        }
        Ok(())
    }

    #[inline]
    fn make_up_for_extensions(&mut self, size: u64) {
        let data = usize::try_from(size).unwrap_or(usize::MAX).saturating_mul(2);
        self.extension_bytes = self.extension_bytes.saturating_sub(data.saturating_add(EXTENSION_ALLOWED));
    }

    /// Takes what there is of the trailer section; `before` bytes of framing came before it.
    fn take_trailers(&mut self, input: &[u8], before: usize) -> Result<Step, Malformed> {
        let limit = self.limits.trailer_bytes;
        let room = limit.saturating_sub(self.trailers.len());
        let window = input.get(..room).unwrap_or(input);
        let too_many = Malformed::TrailersTooLarge;
        let end = self.scanner.find_end(window, self.limits.trailer_fields, too_many)?;
        let section = end.and_then(|end| window.get(..end)).unwrap_or(window);
        let taken = before.saturating_add(section.len());
        if end == Some(2) && self.trailers.is_empty() {
            // No trailers, as nearly always: nothing to keep.
            self.state = State::Complete;
            return Ok(Step::End(taken));
        }
        reserve_within(&mut self.trailers, section.len(), limit);
        self.trailers.extend_from_slice(section);
        if end.is_some() {
            self.index_trailers()?;
            self.state = State::Complete;
            return Ok(Step::End(taken));
        }
        if self.trailers.len() >= limit {
            return Err(too_many);
        }
        Ok(Step::Framing(taken))
    }

    fn index_trailers(&mut self) -> Result<(), Malformed> {
        self.spans.reserve_exact(self.scanner.lines());
        for line in lines(&self.trailers) {
            let (name, value) = field_line(line).map_err(|_| Malformed::TrailerSyntax)?;
            let span = |part| span(&self.trailers, part);
            self.spans.push((span(name), span(value)));
        }
        Ok(())
    }
}

/// Appends the size line of a chunk of `n` bytes: `1f4\r\n`. (A size of 0 would end the body.)
pub fn write_size(n: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = usize::BITS.saturating_sub(n.leading_zeros()).div_ceil(4);
    for place in (0..digits.max(1)).rev() {
        let digit = (n >> place.saturating_mul(4)) & 0xf;
        out.extend(DIGITS.get(digit));
    }
    out.extend_from_slice(b"\r\n");
}
