//! What must hold for any bytes at all: one function for each fuzz target of `fuzz/`. They panic where it does not
//! hold, and return whether the input was accepted.
//!
//! Of the library they use what everybody may; a second opinion is read from the bytes, on purpose in another way.
#![allow(unreachable_pub, reason = "the fuzz targets call these from another crate")]

mod chunked;
mod framing;
mod heads;
mod stream;

pub use chunked::chunked;
pub use framing::framing;
pub use heads::{request_head, response_head};
pub use stream::message_stream;

/// An input: a line that says in which pieces it comes, LF, and the bytes.
///
/// Each character of the line is the length of a piece, counted from `0`; what they leave over is the last piece. An
/// `s` in front asks for small limits, so that short inputs reach them.
struct Input<'a> {
    small: bool,
    lengths: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    fn read(input: &'a [u8]) -> Self {
        let (line, bytes) = match input.iter().position(|&byte| byte == b'\n') {
            Some(at) => (&input[..at], &input[at + 1..]),
            None => (&[][..], input),
        };
        match line {
            [b's', lengths @ ..] => Self { small: true, lengths, bytes },
            lengths => Self { small: false, lengths, bytes },
        }
    }

    fn pieces(&self) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        let mut rest = self.bytes;
        for &length in self.lengths {
            let length = usize::from(length.wrapping_sub(b'0')).min(rest.len());
            let (piece, after) = rest.split_at(length);
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        pieces
    }
}

/// Names and values.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn owned<'a>(fields: impl Iterator<Item = sluicegate_http1::Field<'a>>) -> Fields {
    fields.map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}
