//! The encoder: what it writes is decoded to what came, however little the sink takes, and however the source
//! brings it; and what was announced and did not come never looks complete.

use proptest::prelude::*;
use sluicegate_http1::encode::Coming;
use sluicegate_http1::{BodyDecoder, ChunkLimits, Encoder, Encoding, Framing, Stage, Step};

/// What is worth announcing before it has come.
const LEAST: u64 = 8;

/// A message on its way: what has come and waits, and what the sink has taken.
struct Passage {
    body: BodyDecoder,
    encoder: Encoder,
    stage: Stage,
    ready: Vec<u8>,
    written: Vec<u8>,
}

impl Passage {
    fn new(framing: Framing, encoding: Encoding) -> Self {
        let body = BodyDecoder::new(framing, ChunkLimits::default());
        let encoder = Encoder::new(encoding, framing);
        Self { body, encoder, stage: Stage::new(), ready: Vec::new(), written: Vec::new() }
    }

    fn encode(&mut self) {
        let left = if self.body.framing() == Framing::Chunked { self.body.data_left() } else { 0 };
        let follows = if left >= LEAST { left } else { 0 };
        let (body, ready) = (&self.body, self.ready.len());
        let coming = Coming { body, ready, follows, elsewhere: 0, drops_trailers: false };
        self.encoder.encode(&coming, &mut self.stage);
    }

    /// Takes all of `input`, which is part of the message.
    fn receive(&mut self, mut input: &[u8]) {
        while !input.is_empty() {
            let (n, is_data) = match self.body.decode(input).unwrap() {
                Step::Framing(n) | Step::End(n) => (n, false),
                Step::Data(n) => (n, true),
            };
            if is_data {
                self.ready.extend_from_slice(&input[..n]);
            }
            input = &input[n..];
        }
        self.encode();
    }

    /// The sink takes `most` bytes; whether it was given any.
    fn give(&mut self, most: usize) -> bool {
        let waiting = self.encoder.waiting();
        let output = [self.stage.left(), &self.ready[..waiting], self.encoder.suffix()].concat();
        let n = most.min(output.len());
        self.written.extend_from_slice(&output[..n]);
        let staged = self.stage.wrote(n);
        let payload = self.encoder.wrote(n - staged);
        self.ready.drain(..payload);
        self.encode();
        n > 0
    }

    /// Whether nothing is left to do.
    fn is_over(&self) -> bool {
        self.body.is_complete() && self.encoder.is_ended() && self.stage.is_empty() && !self.encoder.has_output()
    }
}

/// The data and trailers of a chunked message, and whether it is complete.
fn decoded(mut input: &[u8]) -> (Vec<u8>, Vec<String>, bool) {
    let mut body = BodyDecoder::new(Framing::Chunked, ChunkLimits::default());
    let mut data = Vec::new();
    while !input.is_empty() && !body.is_complete() {
        let n = match body.decode(input).expect("what we write is valid") {
            Step::Framing(n) | Step::End(n) => n,
            Step::Data(n) => {
                data.extend_from_slice(&input[..n]);
                n
            }
        };
        input = &input[n..];
    }
    assert!(input.is_empty() || !body.is_complete(), "bytes behind the end: {input:?}");
    let trailers = body.trailers().map(|field| String::from_utf8_lossy(field.name).into_owned()).collect();
    (data, trailers, body.is_complete())
}

fn chunked(chunks: &[Vec<u8>], trailers: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    out
}

#[test]
fn a_known_length_is_passed_as_it_is() {
    let mut passage = Passage::new(Framing::Length(5), Encoding::Identity);
    passage.receive(b"he");
    passage.receive(b"llo");
    while passage.give(2) {}
    assert_eq!((passage.written.as_slice(), passage.is_over()), (&b"hello"[..], true));
}

#[test]
fn a_message_without_content_needs_no_chunks() {
    let mut passage = Passage::new(Framing::Empty, Encoding::Chunked);
    passage.receive(b"");
    assert!(!passage.give(100) && passage.is_over());
}

#[test]
fn the_last_bytes_and_the_end_leave_together() {
    let mut passage = Passage::new(Framing::Length(3), Encoding::Chunked);
    passage.receive(b"abc");
    assert!(passage.give(usize::MAX));
    assert_eq!((passage.written.as_slice(), passage.is_over()), (&b"3\r\nabc\r\n0\r\n\r\n"[..], true));
}

/// The end of a chunk that was announced before it came waits for what follows, unless it is insisted upon.
#[test]
fn an_end_that_waits_can_be_had() {
    let mut passage = Passage::new(Framing::Chunked, Encoding::Chunked);
    passage.receive(b"14\r\n01234");
    while passage.give(usize::MAX) {}
    passage.receive(b"567890123456789");
    while passage.give(usize::MAX) {}
    assert_eq!(passage.written, b"14\r\n01234567890123456789");
    assert!(passage.encoder.insist(0, &mut passage.stage) && passage.give(usize::MAX));
    assert_eq!(passage.written, b"14\r\n01234567890123456789\r\n");
    assert!(!passage.encoder.insist(0, &mut passage.stage), "it was said already");
}

/// What was announced and forgotten is announced anew.
#[test]
fn a_restart_announces_again() {
    let mut passage = Passage::new(Framing::Length(3), Encoding::Chunked);
    passage.receive(b"abc");
    passage.stage.clear();
    passage.encoder.restart();
    passage.encode();
    while passage.give(1) {}
    assert_eq!((passage.written.as_slice(), passage.is_over()), (&b"3\r\nabc\r\n0\r\n\r\n"[..], true));
}

proptest! {
    #[test]
    fn what_is_written_is_what_came(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        has_trailer in any::<bool>(),
        pieces in prop::collection::vec((1_usize..50, 0_usize..50), 1..20),
        cut in prop::option::of(0_usize..300),
    ) {
        let trailers = if has_trailer { "X-Sum: 1\r\nContent-Length: 3\r\n" } else { "" };
        let whole = chunked(&chunks, trailers);
        let input = &whole[..cut.unwrap_or(whole.len()).min(whole.len())];
        let mut passage = Passage::new(Framing::Chunked, Encoding::Chunked);
        let mut rest = input;
        for (bring, take) in pieces.iter().cycle().take(400) {
            let n = rest.len().min(*bring);
            passage.receive(&rest[..n]);
            rest = &rest[n..];
            passage.give(*take);
        }
        while passage.give(usize::MAX) || passage.encoder.insist(0, &mut passage.stage) {}
        let (data, names, complete) = decoded(&passage.written);
        prop_assert_eq!(complete, input.len() == whole.len());
        let all = chunks.concat();
        prop_assert!(all.starts_with(&data), "{:?} is not the beginning", data);
        if complete {
            prop_assert_eq!(data, all);
            prop_assert!(passage.is_over());
            prop_assert_eq!(names, if has_trailer { vec!["X-Sum".to_owned()] } else { vec![] });
        }
    }
}
