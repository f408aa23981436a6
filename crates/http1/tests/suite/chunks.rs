//! The chunked coding (RFC 9112 §7.1).

use sluicegate_http1::chunked::{Decoder, LAST_CHUNK, write_size};
use sluicegate_http1::{ChunkLimits, Framing, Malformed, Step};

use crate::common::{Decoded, Outcome, decode};

fn chunked(input: &[u8]) -> Outcome<Decoded> {
    decode(Framing::Chunked, input, ChunkLimits::default())
}

/// The data of a body that is complete with the last byte of the input.
fn data(input: &[u8]) -> Vec<u8> {
    match chunked(input) {
        Ok(Some((taken, decoded))) if taken == input.len() => decoded.data,
        other => panic!("{}: {other:?}", input.escape_ascii()),
    }
}

#[test]
fn bodies_that_are_accepted() {
    for (input, expected) in [
        (&b"0\r\n\r\n"[..], &b""[..]),
        (b"000\r\n\r\n", b""),
        (b"5\r\nabcde\r\n0\r\n\r\n", b"abcde"),
        (b"5\r\nabcde\r\n1\r\nf\r\n0\r\n\r\n", b"abcdef"),
        (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
        (b"0000000000000005\r\nabcde\r\n0\r\n\r\n", b"abcde"),
        (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"A\r\n0\r\n\r\n56789\r\n0\r\n\r\n", b"0\r\n\r\n56789"),
        (b"0A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"5;a=b\r\nhello\r\n0;c\r\n\r\n", b"hello"),
        (b"5;a\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5; a\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5 ;a\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5 \t; \ta \t= \tb ;c\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5;a=\"x;y\\\"z\\\\ \t\xe9\";b=\"\"\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5;a=b;c=d;e\r\nhello\r\n0\r\n\r\n", b"hello"),
    ] {
        assert_eq!(data(input), expected, "{}", input.escape_ascii());
    }
}

#[test]
fn what_follows_the_body_is_not_taken() {
    let outcome = chunked(b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n");
    assert_eq!(outcome.unwrap().unwrap().0, 11);
}

const REFUSED: &[(&[u8], Malformed)] = &{
    use Malformed::*;
    [
        (b"\r\n", ChunkSize),
        (b"INVALID!!!\r\n", ChunkSize),
        (b"g\r\n", ChunkSize),
        (b" 5\r\n", ChunkSize),
        (b"\t5\r\n", ChunkSize),
        (b"+5\r\n", ChunkSize),
        (b"-0\r\n\r\n", ChunkSize),
        (b"0x0\r\n\r\n", ChunkSize),
        (b"0_2e\r\n", ChunkSize),
        (b"5,5\r\n", ChunkSize),
        (b"5.0\r\n", ChunkSize),
        (b"5h\r\n", ChunkSize),
        (b"\"5\"\r\n", ChunkSize),
        (b";a=b\r\n", ChunkSize),
        (b"5\0\r\n", ChunkSize),
        (b"5\x0b\r\n", ChunkSize),
        (b"\xb2\r\n", ChunkSize),
        (b"8000000000000000\r\n", ChunkSizeTooLarge),
        (b"ffffffffffffffff\r\n", ChunkSizeTooLarge),
        (b"10000000000000005\r\n", ChunkSizeTooLarge),
        (b"00000000000000005\r\n", ChunkSizeTooLarge),
        (b"5 \r\n", ChunkExtension),
        (b"5 5\r\n", ChunkExtension),
        (b"5\ta\r\n", ChunkExtension),
        (b"5;\r\n", ChunkExtension),
        (b"5; \r\n", ChunkExtension),
        (b"5;a \r\n", ChunkExtension),
        (b"5;a=\r\n", ChunkExtension),
        (b"5;=b\r\n", ChunkExtension),
        (b"5;a=b c\r\n", ChunkExtension),
        (b"5;a=b \r\n", ChunkExtension),
        (b"5;a=b=c\r\n", ChunkExtension),
        (b"5;a b\r\n", ChunkExtension),
        (b"5;;a\r\n", ChunkExtension),
        (b"5;a=\"b\r\n", ChunkExtension),
        (b"5;a=\"b\"c\r\n", ChunkExtension),
        (b"5;a=\"b\x01\"\r\n", ChunkExtension),
        (b"5;a\0b\r\n", ChunkExtension),
        (b"5;a\x0bb\r\n", ChunkExtension),
        (b"5;\xe9\r\n", ChunkExtension),
        (b"5;a/b\r\n", ChunkExtension),
        (b"\n", BareLf),
        (b"5\nabcde", BareLf),
        (b"5;a\nb\r\n", BareLf),
        (b"5;a=\"\n", BareLf),
        (b"5 \n", BareLf),
        (b"5\r\nabcde\r\n0\n\n", BareLf),
        (b"0\r\n\n", BareLf),
        (b"0\r\nX: y\n\r\n", BareLf),
        (b"5\rabcde", BareCr),
        (b"5\r\r\n", BareCr),
        (b"5;a\rb\r\n", BareCr),
        (b"0\r\n\rX", BareCr),
        (b"0\r\nX: y\rZ: a\r\n\r\n", BareCr),
        (b"5\r\nabcdef\r\n", ChunkEnd),
        (b"5\r\nabcde\n", ChunkEnd),
        (b"5\r\nabcde0\r\n\r\n", ChunkEnd),
        (b"5\r\nabcde\rX", ChunkEnd),
        (b"5\r\nabcde\r\r\n", ChunkEnd),
        (b"0\r\n: y\r\n\r\n", TrailerSyntax),
        (b"0\r\nX : y\r\n\r\n", TrailerSyntax),
        (b"0\r\nno colon\r\n\r\n", TrailerSyntax),
        (b"0\r\nX: y\r\n z\r\n\r\n", TrailerSyntax),
        (b"0\r\n X: y\r\n\r\n", TrailerSyntax),
        (b"0\r\nX: \0\r\n\r\n", TrailerSyntax),
        (b"0\r\nX: \x07\r\n\r\n", TrailerSyntax),
        (b"0\r\nX@: y\r\n\r\n", TrailerSyntax),
        (b"0\r\nGET / HTTP/1.1\r\n\r\n", TrailerSyntax),
    ]
};

#[test]
fn framing_that_is_refused() {
    for &(input, why) in REFUSED {
        assert_eq!(chunked(input), Err(why), "{}", input.escape_ascii());
    }
}

#[test]
fn what_is_cut_short_is_not_complete() {
    let whole = b"5;a=\"b\"\r\nabcde\r\n0\r\nX: y\r\n\r\n";
    for n in 0..whole.len() {
        assert_eq!(chunked(&whole[..n]), Ok(None), "{n}");
    }
    assert!(chunked(whole).unwrap().is_some());
    // 2^63-1 is a size, and awaited.
    assert_eq!(chunked(b"7fffffffffffffff\r\nabc"), Ok(None));
}

#[test]
fn trailers_are_kept_in_order() {
    let input = b"1\r\na\r\n0\r\nX-A:  b \r\nx-a:\r\nContent-Length: 50\r\nE: \xe9\r\n\r\n";
    let (taken, decoded) = chunked(input).unwrap().unwrap();
    assert_eq!(taken, input.len());
    let expected: [(&[u8], &[u8]); 4] = [(b"X-A", b"b"), (b"x-a", b""), (b"Content-Length", b"50"), (b"E", b"\xe9")];
    let found: Vec<_> = decoded.trailers.iter().map(|(n, v)| (&n[..], &v[..])).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_decoder_says_where_it_is() {
    let mut decoder = Decoder::new(ChunkLimits::default());
    assert_eq!(decoder.decode(b""), Ok(Step::Framing(0)));
    assert_eq!(decoder.decode(b"5\r\nab"), Ok(Step::Framing(3)));
    assert_eq!(decoder.decode(b""), Ok(Step::Framing(0)));
    assert_eq!(decoder.decode(b"ab"), Ok(Step::Data(2)));
    assert_eq!(decoder.decode(b"cde\r\n0\r\n"), Ok(Step::Data(3)));
    assert_eq!(decoder.decode(b"\r\n0\r\n"), Ok(Step::Framing(5)));
    assert!(decoder.in_trailers() && !decoder.is_complete());
    assert_eq!(decoder.decode(b"X: y\r\n"), Ok(Step::Framing(6)));
    assert_eq!(decoder.trailers().count(), 0);
    assert_eq!(decoder.decode(b"\r\nmore"), Ok(Step::End(2)));
    assert!(decoder.is_complete() && !decoder.in_trailers());
    assert_eq!(decoder.trailers().count(), 1);
    assert_eq!(decoder.decode(b"more"), Ok(Step::End(0)));
    assert_eq!(decoder.decode(b""), Ok(Step::End(0)));
}

#[test]
fn refused_trailers_are_not_shown() {
    let mut decoder = Decoder::new(ChunkLimits::default());
    assert_eq!(decoder.decode(b"0\r\nX: y\r\nbad\r\n\r\n"), Err(Malformed::TrailerSyntax));
    assert_eq!(decoder.trailers().count(), 0);
}

#[test]
fn extensions_are_bounded_over_the_body() {
    let limits = ChunkLimits { extension_bytes: 10, ..ChunkLimits::default() };
    let body = |input: &[u8]| decode(Framing::Chunked, input, limits);
    assert!(body(b"1;abcdefghi\r\nx\r\n0\r\n\r\n").unwrap().is_some());
    assert_eq!(body(b"1;abcdefghij"), Err(Malformed::ChunkExtensionsTooLong));
    assert!(body(b"1;abcd\r\nx\r\n1;abcd\r\nx\r\n0\r\n\r\n").unwrap().is_some());
    assert!(body(b"1;abcd\r\nx\r\n1;abcdefghi\r\nx\r\n0\r\n\r\n").unwrap().is_some());
    assert_eq!(body(b"1;abcd\r\nx\r\n1;abcdefghij"), Err(Malformed::ChunkExtensionsTooLong));
    assert_eq!(body(b"1           ;"), Err(Malformed::ChunkExtensionsTooLong));
    // What a chunk has made up for counts no more.
    let signed = [&b"1;chunk-signature="[..], &[b'a'; 64], b"\r\nx\r\n"].concat().repeat(3_000);
    assert_eq!(data(&[&signed[..], LAST_CHUNK].concat()).len(), 3_000);
    let ahead = [&b"1;"[..], &[b'a'; 200], b"\r\nx\r\n"].concat().repeat(3_000);
    assert_eq!(chunked(&ahead), Err(Malformed::ChunkExtensionsTooLong));
    let behind = [&b"c8;"[..], &[b'a'; 500], b"\r\n", &[b'x'; 200], b"\r\n"].concat().repeat(300);
    assert_eq!(data(&[&behind[..], LAST_CHUNK].concat()).len(), 60_000);
    let endless = [b"5;", vec![b'a'; 262_144].as_slice()].concat();
    assert_eq!(chunked(&endless), Err(Malformed::ChunkExtensionsTooLong));
}

#[test]
fn trailers_are_bounded() {
    let limits = ChunkLimits { trailer_bytes: 20, trailer_fields: 2, ..ChunkLimits::default() };
    let body = |input: &[u8]| decode(Framing::Chunked, input, limits);
    // 18 bytes and the empty line.
    assert!(body(b"0\r\nX: 0123456789abc\r\n\r\n").unwrap().is_some());
    assert_eq!(body(b"0\r\nX: 0123456789abcd\r\n\r\n"), Err(Malformed::TrailersTooLarge));
    assert_eq!(body(b"0\r\nX: 0123456789abcdefghijk"), Err(Malformed::TrailersTooLarge));
    assert!(body(b"0\r\na:\r\nb:\r\n\r\n").unwrap().is_some());
    assert_eq!(body(b"0\r\na:\r\nb:\r\nc:\r\n\r\n"), Err(Malformed::TrailersTooLarge));
    let huge = [b"0\r\nX-T: ", vec![b'v'; 262_144].as_slice()].concat();
    assert_eq!(chunked(&huge), Err(Malformed::TrailersTooLarge));

    let mut decoder = Decoder::new(ChunkLimits::default());
    assert_eq!(decoder.capacity(), 0);
    for byte in [b"0\r\n", "X: y\r\n".repeat(400).as_bytes(), b"\r\n"].concat() {
        decoder.decode(&[byte]).expect("within the limits");
        assert!(decoder.capacity() <= 16_384 + 500 * 16);
    }
    assert_eq!(decoder.trailers().count(), 400);
}

#[test]
fn many_small_chunks() {
    let input = [b"1\r\nZ\r\n".repeat(20_000).as_slice(), LAST_CHUNK].concat();
    assert_eq!(data(&input).len(), 20_000);
}

#[test]
fn sizes_are_written_in_hexadecimal() {
    for (n, expected) in [
        (0, "0\r\n".to_owned()),
        (1, "1\r\n".to_owned()),
        (15, "f\r\n".to_owned()),
        (16, "10\r\n".to_owned()),
        (500, "1f4\r\n".to_owned()),
        (65_536, "10000\r\n".to_owned()),
        (usize::MAX, format!("{:x}\r\n", usize::MAX)),
    ] {
        let mut out = Vec::new();
        write_size(n, &mut out);
        assert_eq!(out, expected.as_bytes());
    }
}
