//! Chunked bodies: one outcome however they are cut, the data that a second reader finds, and bounded memory.

use sluicegate_http1::chunked::{Decoder, LAST_CHUNK, write_size};
use sluicegate_http1::{BodyDecoder, ChunkLimits, Framing, Malformed, Step};

use super::{Fields, Input, owned};

pub(super) const SMALL: ChunkLimits = ChunkLimits { extension_bytes: 10, trailer_bytes: 30, trailer_fields: 2 };

/// A chunked body in any pieces.
pub fn chunked(input: &[u8]) -> bool {
    let input = Input::read(input);
    let limits = if input.small { SMALL } else { ChunkLimits::default() };
    let bytes = input.bytes;

    let whole = decode([bytes], limits);
    assert_eq!(decode(bytes.chunks(1), limits), whole, "byte by byte");
    assert_eq!(decode(input.pieces(), limits), whole, "in pieces");
    if !matches!(whole.end, Ok(None)) {
        let more = [bytes, b"\r\n0\r\n\r\n"].concat();
        assert_eq!(decode([&more[..]], limits), whole, "with more behind");
    }
    check_memory(bytes, limits);

    let Ok(Some((taken, trailers))) = &whole.end else {
        return false;
    };
    assert_eq!(slowly(bytes), Some((*taken, whole.data.clone())), "another reader");
    let again = decode([&encode(&whole.data, trailers)[..]], ChunkLimits::default());
    assert_eq!(again.data, whole.data, "encoded again");
    assert_eq!(again.end.expect("canonical").expect("complete").1, *trailers, "encoded again");
    true
}

/// The data up to the end; and how many bytes were taken, with the trailers. `None`: more is needed.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    data: Vec<u8>,
    end: Result<Option<(usize, Fields)>, Malformed>,
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: ChunkLimits) -> Decoded {
    let mut body = BodyDecoder::new(Framing::Chunked, limits);
    let (mut data, mut taken) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = piece;
        loop {
            assert!(!body.is_complete() && body.trailers().next().is_none() && body.remaining().is_none());
            let n = match body.decode(rest) {
                Err(why) => {
                    assert_eq!(body.decode(b"0"), Err(why), "it stays refused");
                    assert!(!body.is_complete() && body.trailers().next().is_none() && body.end_of_input().is_err());
                    return Decoded { data, end: Err(why) };
                }
                Ok(Step::End(n)) => {
                    assert!(body.is_complete() && body.end_of_input().is_ok());
                    assert_eq!(body.decode(b"0"), Ok(Step::End(0)), "it stays complete");
                    return Decoded { data, end: Ok(Some((taken + n, owned(body.trailers())))) };
                }
                Ok(Step::Data(n)) => {
                    data.extend_from_slice(&rest[..n]);
                    n
                }
                Ok(Step::Framing(n)) => n,
            };
            rest = &rest[n..];
            taken += n;
            if rest.is_empty() {
                break;
            }
            assert!(n > 0, "it goes on");
        }
    }
    assert!(body.end_of_input().is_err(), "cut short");
    Decoded { data, end: Ok(None) }
}

/// Only trailers are held, and only within their limits.
fn check_memory(bytes: &[u8], limits: ChunkLimits) {
    let mut decoder = Decoder::new(limits);
    let mut rest = bytes;
    while !rest.is_empty() {
        // In small pieces, because memory grows with each.
        let piece = &rest[..rest.len().min(3)];
        let Ok(Step::Data(n) | Step::Framing(n)) = decoder.decode(piece) else {
            break;
        };
        assert!(decoder.in_trailers() || decoder.capacity() == 0, "{} bytes", decoder.capacity());
        rest = &rest[n..];
        assert!(decoder.capacity() <= limits.trailer_bytes, "{} bytes", decoder.capacity());
    }
    let bound = limits.trailer_bytes + limits.trailer_fields * 16;
    assert!(decoder.capacity() <= bound, "{} bytes", decoder.capacity());
}

/// The data in chunks of growing size, and the trailers.
fn encode(data: &[u8], trailers: &Fields) -> Vec<u8> {
    let (mut out, mut rest, mut size) = (Vec::new(), data, 1);
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        write_size(chunk.len(), &mut out);
        out.extend([chunk, b"\r\n"].concat());
        (rest, size) = (after, size * 3);
    }
    let (last, end) = LAST_CHUNK.split_at(3);
    out.extend(last);
    for (name, value) in trailers {
        out.extend([name, &b": "[..], value, b"\r\n"].concat());
    }
    out.extend(end);
    out
}

/// Reads a complete body line by line, without any of the decoder: what it takes, and its data.
fn slowly(input: &[u8]) -> Option<(usize, Vec<u8>)> {
    let (mut at, mut data) = (0, Vec::new());
    let line = |at: usize| {
        let rest = input.get(at..)?;
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        Some((&rest[..end], at + end + 2))
    };
    loop {
        let (size_line, after) = line(at)?;
        let digits = size_line.split(|byte| b"; \t".contains(byte)).next()?;
        let size = usize::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
        at = after;
        if size == 0 {
            break;
        }
        let end = at.checked_add(size)?;
        data.extend_from_slice(input.get(at..end)?);
        at = end + 2;
        if input.get(end..at)? != b"\r\n" {
            return None;
        }
    }
    loop {
        let (trailer, after) = line(at)?;
        at = after;
        if trailer.is_empty() {
            return Some((at, data));
        }
    }
}
