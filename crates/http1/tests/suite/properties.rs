//! For all bytes and all cuts.

use proptest::prelude::*;
use sluicegate_http1::chunked::{LAST_CHUNK, write_size};
use sluicegate_http1::target::{host_field, parse};
use sluicegate_http1::{ChunkLimits, Framing, HeadLimits, Received, RequestHead, ResponseHead, Target, framing};

use crate::common::{Fields, decode, decode_pieces, receive};

const LIMITS: HeadLimits = HeadLimits { bytes: 200, fields: 6 };

/// Scraps of which near-messages are made, so that random input gets past the first line.
fn scrap() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "GET ",
        "CONNECT ",
        "http://h/",
        "h:443",
        "*",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 ",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        " ",
        "\t",
        "\0",
        ":",
        ",",
        ";",
        "Host: h\r\n",
        "Content-Length: 5\r\n",
        "Content-Length",
        "5, 5",
        "Transfer-Encoding: chunked\r\n",
        "Connection: x, close\r\n",
        "X-A: b\r\n",
        "0\r\n",
        "5",
        "abcde",
        "f;a=b\r\n",
        "\"",
        "\\",
        "\x7f",
        "@",
        "#",
        "[::1]",
    ])
    .prop_map(|scrap| scrap.as_bytes().to_vec());
    prop_oneof![6 => known, 1 => prop::collection::vec(any::<u8>(), 0..4)]
}

fn near_message() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(scrap(), 0..24).prop_map(|scraps| scraps.concat())
}

fn token() -> impl Strategy<Value = Vec<u8>> {
    "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}".prop_map(String::into_bytes)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(b'\t'), 0x20..0x7f_u8, 0x80..=0xff_u8];
    prop::collection::vec(byte, 0..20)
}

/// Cuts `bytes` at random places.
fn cut<'a>(bytes: &'a [u8], at: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<_> = at.iter().map(|i| i.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_cut_changes_a_request(input in near_message()) {
        let outcome = receive::<RequestHead>(&input, &LIMITS);
        if let Ok(Some((taken, seen))) = outcome {
            prop_assert!(input[..taken].ends_with(&seen.bytes));
            prop_assert!(seen.bytes.ends_with(b"\r\n\r\n"));
            let mut head = RequestHead::new();
            let _ = head.receive(&input, &LIMITS);
            // Whatever they say, they do not panic.
            let _ = (framing::request(&head), host_field(&head, &Target::Asterisk), head.upgrade_offers().count());
            let _ = parse(head.method(), head.target());
        }
    }

    #[test]
    fn no_cut_changes_a_response(input in near_message()) {
        let input = [b"HTTP/1.1 200 OK\r\n", input.as_slice()].concat();
        if let Ok(Some(_)) = receive::<ResponseHead>(&input, &LIMITS) {
            let mut head = ResponseHead::new();
            let _ = head.receive(&input, &LIMITS);
            let _ = framing::response(&head, b"GET");
        }
    }

    #[test]
    fn no_cut_changes_a_chunked_body(input in near_message()) {
        let limits = ChunkLimits { extension_bytes: 20, trailer_bytes: 60, trailer_fields: 3 };
        let _ = decode(Framing::Chunked, &input, limits);
    }

    #[test]
    fn any_bytes_at_all_are_survived(input in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = receive::<RequestHead>(&input, &LIMITS);
        let _ = receive::<ResponseHead>(&input, &LIMITS);
        let _ = decode(Framing::Chunked, &input, ChunkLimits::default());
        let _ = (parse(b"GET", &input), parse(b"CONNECT", &input));
    }

    #[test]
    fn what_is_written_is_read(
        method in token(),
        target in "[!-~]{1,20}",
        fields in prop::collection::vec((token(), value()), 0..8),
    ) {
        let mut text = [&method[..], b" ", target.as_bytes(), b" HTTP/1.1\r\n"].concat();
        for (name, value) in &fields {
            text.extend([name.as_slice(), b": ", value, b"\r\n"].concat());
        }
        text.extend(b"\r\n");
        let (taken, seen) = receive::<RequestHead>(&text, &HeadLimits::default()).unwrap().unwrap();
        let trim = |value: &[u8]| {
            let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
            let start = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
            let end = value.iter().rposition(|b| !blank(b)).map_or(start, |at| at + 1);
            value[start..end].to_vec()
        };
        let expected: Fields = fields.iter().map(|(n, v)| (n.clone(), trim(v))).collect();
        prop_assert_eq!(taken, text.len());
        prop_assert_eq!(seen.start, (method, target.into_bytes()));
        prop_assert_eq!(seen.fields, expected);
    }

    #[test]
    fn what_is_accepted_can_be_written_and_read_again(input in near_message()) {
        let mut head = ResponseHead::new();
        let input = [b"HTTP/1.1 200 OK\r\n", input.as_slice()].concat();
        if let Ok(Received::Complete(_)) = head.receive(&input, &LIMITS) {
            let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
            for field in head.fields() {
                text.extend([field.name, b": ", field.value, b"\r\n"].concat());
            }
            text.extend(b"\r\n");
            let again = receive::<ResponseHead>(&text, &HeadLimits::default()).unwrap().unwrap().1;
            let fields: Fields =
                head.fields().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
            prop_assert_eq!(again.fields, fields);
        }
    }

    #[test]
    fn what_is_chunked_is_unchunked(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..12),
        extended in any::<bool>(),
        trailers in prop::collection::vec((token(), "[a-z]{0,9}"), 0..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut text = Vec::new();
        for chunk in &chunks {
            write_size(chunk.len(), &mut text);
            if extended {
                text.truncate(text.len() - 2);
                text.extend(b" ; a = \"b;\\\"\"\r\n");
            }
            text.extend_from_slice(chunk);
            text.extend(b"\r\n");
        }
        text.extend(&LAST_CHUNK[..3]);
        for (name, value) in &trailers {
            text.extend([name, &b":"[..], value.as_bytes(), b"\r\n"].concat());
        }
        text.extend(b"\r\n");
        let pieces = cut(&text, &cuts);
        let outcome = decode_pieces(Framing::Chunked, pieces, ChunkLimits::default());
        let (taken, decoded) = outcome.unwrap().unwrap();
        prop_assert_eq!(taken, text.len());
        prop_assert_eq!(decoded.data, chunks.concat());
        let expected: Fields = trailers.into_iter().map(|(n, v)| (n, v.into_bytes())).collect();
        prop_assert_eq!(decoded.trailers, expected);
    }
}
