//! What request and response heads share: the bytes, where the fields are, and how far it is.
//!
//! The bytes are copied once and never move; everything else is offsets into them. Both vectors
//! keep their capacity from message to message and are grown by hand, because doubling could
//! hold twice the limit.

use crate::connection::{Connection, Nominations};
use crate::fields::{Field, Name, Names, list};
use crate::index::{Index, Slots, Tokens, ends_lines_in_crlf, with_slots};
use crate::malformed::Malformed;
use crate::message::{HeadLimits, Received};
use crate::scan::{LineEnds, Scanner};

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

/// The bytes and the index of one head.
#[derive(Debug)]
pub(crate) struct Raw {
    bytes: Vec<u8>,
    index: Index,
    nominations: Nominations,
    connection: Connection,
    /// Bytes taken, the skipped empty lines with them.
    taken: usize,
    scanner: Scanner,
    stage: Stage,
}

impl Raw {
    pub(crate) const fn new(ends: LineEnds) -> Self {
        Self {
            bytes: Vec::new(),
            index: Index::new(),
            nominations: Nominations::new(),
            connection: Connection::NONE,
            taken: 0,
            scanner: Scanner::head(ends),
            stage: Stage::Receiving,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.index.clear();
        self.nominations.clear();
        self.connection = Connection::NONE;
        self.taken = 0;
        self.scanner = Scanner::head(self.scanner.ends());
        self.stage = Stage::Receiving;
    }

    pub(crate) fn capacity(&self) -> usize {
        let beside = self.index.capacity().saturating_add(self.nominations.capacity());
        self.bytes.capacity().saturating_add(beside)
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
        self.index.has(id)
    }

    #[inline]
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        self.index.fields(&self.bytes)
    }

    #[inline]
    pub(crate) fn field_count(&self) -> usize {
        self.index.len()
    }

    #[inline]
    pub(crate) fn write_fields(
        &self,
        out: &mut Vec<u8>,
        differing: Names,
        also: Option<impl Fn(&[u8]) -> bool>,
        instead: impl FnMut(&Field<'_>, &mut Vec<u8>),
    ) {
        if self.connection.nominates || also.is_some() {
            let nominated = |name: &[u8]| self.nominations.contains(&self.bytes, name);
            let differs = |name: &[u8]| nominated(name) || also.as_ref().is_some_and(|also| also(name));
            self.index.write(&self.bytes, out, differing, differs, instead);
        } else {
            self.index.write(&self.bytes, out, differing, |_| false, instead);
        }
    }

    #[inline]
    pub(crate) fn named(&self, id: Name) -> impl Iterator<Item = Field<'_>> + Clone {
        self.index.named(&self.bytes, id)
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

    /// Remembers that the head was refused: its text stays readable for the log, nothing else, and
    /// it stays refused.
    #[cold]
    pub(crate) fn refuse(&mut self, why: Malformed) -> Malformed {
        self.index.clear();
        self.nominations.clear();
        self.connection = Connection::NONE;
        self.stage = Stage::Refused(why);
        why
    }

    /// Takes a head that stands whole at the start of the first input, as nearly all do: one pass
    /// less than `receive` and `index`. `None`: nothing was taken, go the long way, which comes to
    /// the same end or knows why not.
    pub(crate) fn take_whole<T>(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        tokenize: impl for<'b, 's> FnOnce(&'b [u8], Slots<'b, 's>) -> Option<Tokens<'b, 's, T>>,
    ) -> Option<Result<(usize, T), Malformed>> {
        // The tokenizer would skip empty lines.
        if self.taken > 0 || matches!(input.first(), None | Some(b'\r' | b'\n')) {
            return None;
        }
        let window = input.get(..limits.bytes).unwrap_or(input);
        let (len, start) = with_slots(0, |slots| {
            let tokens = tokenize(window, slots)?;
            let ends_well = self.scanner.ends() == LineEnds::LfToo || ends_lines_in_crlf(window, &tokens);
            if tokens.fields.len() > limits.fields || !ends_well {
                return None;
            }
            self.index.keep(window, &tokens);
            Some((tokens.len, tokens.start))
        })?;
        self.store(window.get(..len).unwrap_or_default(), limits.bytes);
        Some(self.complete(limits).map(|()| (len, start)))
    }

    /// Finds the fields of a head that has been received. `None`: the tokenizer refused.
    pub(crate) fn index<T>(
        &mut self,
        limits: &HeadLimits,
        tokenize: impl for<'b, 's> FnOnce(&'b [u8], Slots<'b, 's>) -> Option<Tokens<'b, 's, T>>,
    ) -> Option<Result<T, Malformed>> {
        let start = with_slots(self.scanner.lines(), |slots| {
            let tokens = tokenize(&self.bytes, slots).filter(|tokens| tokens.len == self.bytes.len())?;
            self.index.keep(&self.bytes, &tokens);
            Some(tokens.start)
        })?;
        Some(self.complete(limits).map(|()| start))
    }

    fn complete(&mut self, limits: &HeadLimits) -> Result<(), Malformed> {
        if self.has(Name::Connection) {
            self.read_connection(limits)?;
        }
        self.stage = Stage::Complete;
        Ok(())
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
        for value in self.index.named(&self.bytes, Name::Connection).map(|field| field.value) {
            // Mostly the value is one option.
            if !self.connection.set(value) {
                continue;
            }
            for option in list(value) {
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
