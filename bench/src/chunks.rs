//! Chunked bodies, as far as a load and an origin need them: counted, not checked in every detail.

/// What is left of a chunked body.
#[derive(Default)]
pub struct Chunks {
    state: State,
    /// Bytes of data so far.
    pub data: u64,
}

#[derive(Clone, Copy)]
enum State {
    /// In a size line; the number so far, and whether its digits are over.
    Size(u64, bool),
    Data(u64),
    /// The line end behind the data.
    DataEnd,
    /// In the trailers; the length of the line so far.
    Trailers(u64),
    Done,
}

impl Default for State {
    fn default() -> Self {
        Self::Size(0, false)
    }
}

impl Chunks {
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes bytes up to the end of the body; how many.
    pub fn take(&mut self, input: &[u8]) -> Result<usize, String> {
        let mut at = 0;
        while at < input.len() && !self.is_done() {
            if let State::Data(left) = self.state {
                let n = left.min((input.len() - at) as u64);
                self.data += n;
                at += n as usize;
                self.state = if n == left { State::DataEnd } else { State::Data(left - n) };
            } else {
                self.state = self.next(input[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    fn next(&self, byte: u8) -> Result<State, String> {
        Ok(match (self.state, byte) {
            (State::Size(0, _), b'\n') => State::Trailers(0),
            (State::Size(n, _), b'\n') => State::Data(n),
            (State::Size(n, over), b'\r') => State::Size(n, over),
            (State::Size(n, true), _) | (State::Size(n, false), b';') => State::Size(n, true),
            (State::Size(n, false), digit) => {
                let digit = char::from(digit).to_digit(16).ok_or_else(|| format!("{digit:#04x} in a chunk size"))?;
                State::Size(n * 16 + u64::from(digit), false)
            }
            (State::DataEnd, b'\r') => State::DataEnd,
            (State::DataEnd, b'\n') => State::Size(0, false),
            (State::DataEnd, byte) => return Err(format!("{byte:#04x} behind a chunk")),
            (State::Trailers(0), b'\n') => State::Done,
            (State::Trailers(_), b'\n') => State::Trailers(0),
            (State::Trailers(n), b'\r') => State::Trailers(n),
            (State::Trailers(n), _) => State::Trailers(n + 1),
            (State::Data(_) | State::Done, _) => unreachable!("taken above"),
        })
    }
}

/// 256 KiB of data in chunks of 16 KiB.
pub fn block() -> Vec<u8> {
    let mut block = Vec::new();
    for _ in 0..16 {
        block.extend_from_slice(b"4000\r\n");
        block.resize(block.len() + 0x4000, b'x');
        block.extend_from_slice(b"\r\n");
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_and_byte_by_byte() {
        let mut body = block();
        body.extend_from_slice(b"3;a=b\r\nabc\r\n0\r\nTrailer: x\r\n\r\n");
        let end = body.len();
        body.extend_from_slice(b"HTTP/1.1 200");
        for step in [1, 7, 4096, body.len()] {
            let (mut chunks, mut at) = (Chunks::default(), 0);
            while !chunks.is_done() {
                at += chunks.take(&body[at..(at + step).min(body.len())]).unwrap();
            }
            assert_eq!((chunks.data, at), (16 * 0x4000 + 3, end));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Chunks::default().take(b"xyz\r\n").is_err());
        assert!(Chunks::default().take(b"1\r\nab\r\n").is_err());
    }
}
