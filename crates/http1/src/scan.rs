//! Finds the end of a head or trailer section in pieces: each byte is looked at once.

use crate::malformed::Malformed;

/// Where the last piece stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Only empty lines so far: RFC 9112 §2.2 has them skipped before a start line.
    Before,
    /// The CR of such an empty line has been seen.
    BeforeCr,
    /// At the first byte of a line.
    LineStart,
    /// Inside a line.
    Line,
    /// The CR of a line has been seen.
    LineCr,
    /// The CR of the empty line that ends the section has been seen.
    EndCr,
}

/// Whether a LF alone ends a line too (RFC 9112 §2.2 lets a recipient take it). A CR alone never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineEnds {
    CrLf,
    LfToo,
}

/// An incremental scan for the empty line. It refuses CR and LF that are not together, but for a LF that may be alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scanner {
    state: State,
    ends: LineEnds,
    lines: usize,
}

impl Scanner {
    /// For a head: empty lines before it are skipped.
    pub(crate) const fn head(ends: LineEnds) -> Self {
        Self { state: State::Before, ends, lines: 0 }
    }

    /// For a trailer section, which may be nothing but the empty line.
    pub(crate) const fn trailers() -> Self {
        Self { state: State::LineStart, ends: LineEnds::CrLf, lines: 0 }
    }

    /// Which line ends it takes.
    pub(crate) const fn ends(&self) -> LineEnds {
        self.ends
    }

    /// How many lines have ended, without the empty ones.
    pub(crate) const fn lines(&self) -> usize {
        self.lines
    }

    /// How many of the first bytes are empty lines before the head, to be dropped.
    pub(crate) fn skip_empty_lines(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        if !matches!(self.state, State::Before | State::BeforeCr) {
            return Ok(0);
        }
        let mut skipped: usize = 0;
        for &byte in input {
            self.state = match (self.state, byte) {
                (State::Before, b'\r') => State::BeforeCr,
                (State::BeforeCr, b'\n') => State::Before,
                (State::BeforeCr, _) => return Err(Malformed::BareCr),
                (_, b'\n') => return Err(Malformed::BareLf),
                _ => {
                    self.state = State::Line;
                    return Ok(skipped);
                }
            };
            skipped = skipped.saturating_add(1);
        }
        Ok(skipped)
    }

    /// Goes on after `skip_empty_lines`. `Some(n)`: the section ends with the first `n` bytes;
    /// `None`: not yet. The line after the `max_lines`th is refused with `too_many`.
    pub(crate) fn find_end(
        &mut self,
        input: &[u8],
        max_lines: usize,
        too_many: Malformed,
    ) -> Result<Option<usize>, Malformed> {
        let mut rest = input;
        while let Some((&byte, tail)) = rest.split_first() {
            match self.state {
                State::Line => {
                    let Some(at) = memchr::memchr2(b'\r', b'\n', rest) else {
                        return Ok(None);
                    };
                    rest = rest.get(at..).unwrap_or_default();
                    match rest {
                        // Nearly always: another line follows, and the piece goes on.
                        [b'\r', b'\n', next, tail @ ..] if !matches!(next, b'\r' | b'\n') => {
                            self.end_line(max_lines, too_many)?;
                            rest = tail;
                        }
                        [b'\r', tail @ ..] => {
                            self.state = State::LineCr;
                            rest = tail;
                        }
                        [_lf, tail @ ..] if self.ends == LineEnds::LfToo => {
                            self.end_line(max_lines, too_many)?;
                            self.state = State::LineStart;
                            rest = tail;
                        }
                        _ => return Err(Malformed::BareLf),
                    }
                }
                State::LineCr => {
                    if byte != b'\n' {
                        return Err(Malformed::BareCr);
                    }
                    self.end_line(max_lines, too_many)?;
                    self.state = State::LineStart;
                    rest = tail;
                }
                State::LineStart => match byte {
                    b'\r' => {
                        self.state = State::EndCr;
                        rest = tail;
                    }
                    b'\n' if self.ends == LineEnds::LfToo => {
                        return Ok(Some(input.len().saturating_sub(tail.len())));
                    }
                    b'\n' => return Err(Malformed::BareLf),
                    _ => self.state = State::Line,
                },
                State::EndCr if byte == b'\n' => {
                    return Ok(Some(input.len().saturating_sub(tail.len())));
                }
                State::EndCr | State::BeforeCr => return Err(Malformed::BareCr),
                // Nothing to find before the start line has begun.
                State::Before => return Ok(None),
            }
        }
        Ok(None)
    }
    #[inline]
    fn end_line(&mut self, max_lines: usize, too_many: Malformed) -> Result<(), Malformed> {
        self.lines = self.lines.saturating_add(1);
        if self.lines > max_lines { Err(too_many) } else { Ok(()) }
    }
}
