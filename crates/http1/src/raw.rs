//! What request and response heads share: the bytes, where the fields are, and how far it is.
//!
//! The bytes are copied once and never move; everything else is offsets into them. Both vectors
//! keep their capacity from message to message and are grown by hand, because doubling could
//! hold twice the limit.

use std::mem::MaybeUninit;

use crate::connection::{Connection, Nominations};
use crate::fields::{Field, Name};
use crate::head::{HeadLimits, Received};
use crate::malformed::Malformed;
use crate::scan::Scanner;

/// Fields for which the tokenizer's slots are on the stack, uninitialised: 16 KiB, most of which
/// is never touched. The default limit, so that only a higher one ever allocates.
const SLOTS_ON_STACK: usize = 500;

/// How much of a start line is kept for the log when it is refused.
const START_LINE_FOR_LOG: usize = 256;

/// What differs between request and response before the head is parsed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Refuses a first byte that no head of this kind starts with.
    pub(crate) first_byte: fn(u8) -> Result<(), Malformed>,
    /// What a start line is that does not end within the limit.
    pub(crate) endless_start_line: Malformed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Receiving,
    Complete,
    Refused(Malformed),
}

/// Offsets of one field. u32, because 500 of them are kept.
#[derive(Debug, Clone, Copy)]
struct Span {
    name: (u32, u32),
    value: (u32, u32),
    id: Name,
}

/// The bytes and the index of one head.
#[derive(Debug)]
pub(crate) struct Raw {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    nominations: Nominations,
    connection: Connection,
    /// The set of known names that occur, one bit each.
    present: u32,
    /// Bytes taken, the skipped empty lines with them.
    taken: usize,
    scanner: Scanner,
    stage: Stage,
}

impl Raw {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            spans: Vec::new(),
            nominations: Nominations::new(),
            connection: Connection::NONE,
            present: 0,
            taken: 0,
            scanner: Scanner::head(),
            stage: Stage::Receiving,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.nominations.clear();
        self.connection = Connection::NONE;
        self.present = 0;
        self.taken = 0;
        self.scanner = Scanner::head();
        self.stage = Stage::Receiving;
    }

    pub(crate) fn capacity(&self) -> usize {
        let spans = self.spans.capacity().saturating_mul(size_of::<Span>());
        self.bytes.capacity().saturating_add(spans).saturating_add(self.nominations.capacity())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !matches!(self.stage, Stage::Refused(_))
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.stage == Stage::Complete
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn start_line_so_far(&self) -> &[u8] {
        let start = self.bytes.get(..START_LINE_FOR_LOG).unwrap_or(&self.bytes);
        let end = memchr::memchr2(b'\r', b'\n', start).unwrap_or(start.len());
        start.get(..end).unwrap_or_default()
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn is_nominated(&self, name: &[u8]) -> bool {
        self.connection.nominates && self.nominations.contains(&self.bytes, name)
    }

    #[inline]
    pub(crate) fn has(&self, id: Name) -> bool {
        self.present & id.bit() != 0
    }

    #[inline]
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        let bytes = self.bytes.as_slice();
        self.spans.iter().map(move |span| Field {
            id: span.id,
            name: slice(bytes, span.name),
            value: slice(bytes, span.value),
        })
    }

    pub(crate) fn field(&self, id: Name) -> Option<Field<'_>> {
        if !self.has(id) {
            return None;
        }
        self.fields().find(|field| field.id == id)
    }

    /// Takes bytes up to the end of the head. `None`: all of `input` was taken, more is needed;
    /// `Some(n)`: the head has ended with the first `n` bytes and waits for its `index`.
    pub(crate) fn receive(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        kind: &Kind,
    ) -> Result<Option<usize>, Malformed> {
        let room = limits.bytes.saturating_sub(self.taken);
        let window = input.get(..room).unwrap_or(input);
        let skipped = self.scanner.skip_empty_lines(window)?;
        let text = window.get(skipped..).unwrap_or_default();

        let end = match self.find_end(text, limits, kind) {
            Ok(end) => end,
            Err(why) => {
                self.keep_for_log(text, limits.bytes);
                return Err(why);
            }
        };
        let head = end.and_then(|end| text.get(..end)).unwrap_or(text);
        self.store(head, limits.bytes);
        let taken = skipped.saturating_add(head.len());
        self.taken = self.taken.saturating_add(taken);
        match end {
            Some(_) => Ok(Some(taken)),
            // Full and not complete: no continuation could be right.
            None if self.taken >= limits.bytes => Err(self.too_large(kind)),
            None => Ok(None),
        }
    }

    /// Answers `receive` once the head has ended one way or the other.
    pub(crate) fn outcome(&self) -> Option<Result<Received, Malformed>> {
        match self.stage {
            Stage::Receiving => None,
            Stage::Complete => Some(Ok(Received::Complete(0))),
            Stage::Refused(why) => Some(Err(why)),
        }
    }

    /// Remembers that the head was refused: it stays readable for the log, and stays refused.
    #[cold]
    pub(crate) fn refuse(&mut self, why: Malformed) -> Malformed {
        self.stage = Stage::Refused(why);
        why
    }

    /// Lends slots for as many fields as the head has lines to `tokenize`, then keeps where the
    /// fields are that it found. `None`: the tokenizer refused.
    pub(crate) fn index<T>(
        &mut self,
        limits: &HeadLimits,
        tokenize: impl for<'b, 's> FnOnce(&'b [u8], Slots<'b, 's>) -> Option<Tokens<'b, 's, T>>,
    ) -> Option<Result<T, Malformed>> {
        let lines = self.scanner.lines();
        let found = if lines <= SLOTS_ON_STACK {
            let mut slots = [const { MaybeUninit::uninit() }; SLOTS_ON_STACK];
            let tokens = tokenize(&self.bytes, &mut slots)?;
            self.spans.reserve_exact(tokens.fields.len());
            keep_spans(&self.bytes, &tokens, &mut self.spans, &mut self.present);
            tokens.start
        } else {
            let mut slots = Vec::with_capacity(lines);
            let tokens = tokenize(&self.bytes, slots.spare_capacity_mut())?;
            self.spans.reserve_exact(tokens.fields.len());
            keep_spans(&self.bytes, &tokens, &mut self.spans, &mut self.present);
            tokens.start
        };
        if self.has(Name::Connection)
            && let Err(why) = self.read_connection(limits)
        {
            return Some(Err(why));
        }
        self.stage = Stage::Complete;
        Some(Ok(found))
    }

    fn find_end(&mut self, text: &[u8], limits: &HeadLimits, kind: &Kind) -> Result<Option<usize>, Malformed> {
        if self.bytes.is_empty()
            && let Some(&first) = text.first()
        {
            (kind.first_byte)(first)?;
        }
        let max_lines = limits.fields.saturating_add(1);
        self.scanner.find_end(text, max_lines, Malformed::TooManyFields)
    }

    fn read_connection(&mut self, limits: &HeadLimits) -> Result<(), Malformed> {
        for span in self.spans.iter().filter(|span| span.id == Name::Connection) {
            let value = slice(&self.bytes, span.value);
            for option in crate::fields::list(value) {
                if self.connection.set(option) {
                    self.nominations.add(&self.bytes, option, limits.fields)?;
                }
            }
        }
        self.nominations.sort(&self.bytes);
        self.connection.nominates = !self.nominations.is_empty();
        Ok(())
    }

    fn store(&mut self, head: &[u8], limit: usize) {
        reserve_within(&mut self.bytes, head.len(), limit);
        self.bytes.extend_from_slice(head);
    }

    #[cold]
    fn keep_for_log(&mut self, text: &[u8], limit: usize) {
        let room = START_LINE_FOR_LOG.saturating_sub(self.bytes.len());
        self.store(text.get(..room).unwrap_or(text), limit);
    }

    #[cold]
    fn too_large(&self, kind: &Kind) -> Malformed {
        if self.scanner.lines() == 0 && !self.bytes.is_empty() {
            kind.endless_start_line
        } else {
            Malformed::HeadTooLarge
        }
    }
}

/// Room for the tokenizer's fields.
pub(crate) type Slots<'b, 's> = &'s mut [MaybeUninit<httparse::Header<'b>>];

/// What the tokenizer found.
pub(crate) struct Tokens<'b, 's, T> {
    pub(crate) fields: &'s [httparse::Header<'b>],
    pub(crate) start: T,
}

fn keep_spans<T>(bytes: &[u8], tokens: &Tokens<'_, '_, T>, to: &mut Vec<Span>, present: &mut u32) {
    for field in tokens.fields {
        let id = Name::of(field.name.as_bytes());
        *present |= id.bit();
        to.push(Span { name: span(bytes, field.name.as_bytes()), value: span(bytes, field.value), id });
    }
}

/// Where `part`, a slice of `whole`, stands in it. (A slice of something else gives a span that
/// `slice` reads as empty.)
#[inline]
pub(crate) fn span(whole: &[u8], part: &[u8]) -> (u32, u32) {
    let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
    let end = start.wrapping_add(part.len());
    // A head over 4 GiB is beyond every limit that anyone could set.
    let narrow = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
    (narrow(start), narrow(end))
}

#[inline]
pub(crate) fn slice(bytes: &[u8], (start, end): (u32, u32)) -> &[u8] {
    bytes.get(start as usize..end as usize).unwrap_or_default()
}

/// Makes room for `more` bytes without ever holding more than `limit`, which `Vec` would by
/// doubling. Doubles below it, so that a head that comes byte by byte is not copied each time.
pub(crate) fn reserve_within(bytes: &mut Vec<u8>, more: usize, limit: usize) {
    let needed = bytes.len().saturating_add(more);
    if needed > bytes.capacity() {
        let doubled = bytes.capacity().saturating_mul(2).min(limit);
        let wanted = needed.max(doubled);
        bytes.reserve_exact(wanted.saturating_sub(bytes.len()));
    }
}
