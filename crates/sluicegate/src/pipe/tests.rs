use std::sync::Arc;

use proptest::prelude::*;
use sluicegate_http1::chunked::ChunkLimits;
use sluicegate_http1::{BodyDecoder, Framing, Step};

use super::{Encoding, Pipe};
use crate::pipe::buffer::Pool;
use crate::pipe::kernel::KernelPipes;

fn pool(size: usize) -> Pool {
    Pool::new(size, 1, Arc::new(KernelPipes::scripted(0, 0)))
}

/// Drives a pipe as two sockets would: `cuts` says how many bytes each read finds and each write
/// takes. Gives what the sink got; checks the bound at each step.
fn through(pipe: &mut Pipe<'_>, capacity: usize, mut source: &[u8], cuts: &[(usize, usize)], ends: bool) -> Vec<u8> {
    let mut sink = Vec::new();
    let mut cuts = cuts.iter().cycle();
    let mut quiet = 0;
    while quiet < 3 {
        quiet += 1;
        pipe.decode().unwrap();
        let (reads, takes) = *cuts.next().unwrap();
        if pipe.has_output() {
            let (parts, count) = pipe.output();
            let all: Vec<u8> = parts[..count].iter().flat_map(|part| part.to_vec()).collect();
            let n = all.len().min(takes);
            sink.extend_from_slice(&all[..n]);
            pipe.wrote(n);
            quiet = 0;
        }
        if !pipe.is_received() && !pipe.is_full() && !source.is_empty() {
            let room = pipe.room();
            assert!(!room.is_empty(), "not full, but no room");
            let n = room.len().min(reads).min(source.len());
            room[..n].copy_from_slice(&source[..n]);
            pipe.received(n);
            source = &source[n..];
            quiet = 0;
        } else if ends && source.is_empty() && !pipe.is_received() && pipe.raw().is_empty() {
            pipe.end_of_input().unwrap();
            quiet = 0;
        }
        assert!(pipe.buffer.held() <= capacity, "more is held than the buffer's capacity");
    }
    sink
}

/// What a strict recipient makes of a chunked body: data, trailers as text.
fn decoded(bytes: &[u8]) -> (Vec<u8>, String) {
    let mut body = BodyDecoder::new(Framing::Chunked, ChunkLimits::default());
    let (mut data, mut at) = (Vec::new(), 0);
    while !body.is_complete() {
        match body.decode(&bytes[at..]).unwrap() {
            Step::Data(n) => {
                data.extend_from_slice(&bytes[at..at + n]);
                at += n;
            }
            Step::Framing(n) | Step::End(n) => at += n,
        }
        assert!(at <= bytes.len() && (at < bytes.len() || body.is_complete()), "cut short: {bytes:?}");
    }
    assert_eq!(at, bytes.len(), "bytes behind the end");
    let text = |field: sluicegate_http1::Field<'_>| format!("{}={};", show(field.name), show(field.value));
    (data, body.trailers().map(text).collect())
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn chunked(parts: &[Vec<u8>], extension: &str, trailer: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        out.extend_from_slice(format!("{:x}{extension}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
    out
}

#[test]
fn head_and_body_leave_in_one_write() {
    let pool = pool(64);
    let mut pipe = Pipe::new(&pool);
    pipe.stage().extend_from_slice(b"HEAD\r\n\r\n");
    pipe.begin(Framing::Chunked, Encoding::Chunked, ChunkLimits::default());
    let n = chunked(&[b"hello".to_vec()], "", "").len();
    pipe.room()[..n].copy_from_slice(&chunked(&[b"hello".to_vec()], "", ""));
    pipe.received(n);
    pipe.decode().unwrap();
    let (parts, count) = pipe.output();
    let all: Vec<u8> = parts[..count].iter().flat_map(|part| part.to_vec()).collect();
    assert_eq!(show(&all), "HEAD\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    pipe.wrote(all.len());
    assert!(pipe.is_finished());
}

#[test]
fn what_follows_the_body_is_left_alone() {
    let pool = pool(64);
    let mut pipe = Pipe::new(&pool);
    pipe.begin(Framing::Length(3), Encoding::Identity, ChunkLimits::default());
    pipe.room()[..10].copy_from_slice(b"abcGET /ne");
    pipe.received(10);
    pipe.decode().unwrap();
    pipe.wrote(3);
    assert!(pipe.is_finished());
    assert_eq!((pipe.raw(), pipe.given()), (&b"GET /ne"[..], 3));
}

#[test]
fn a_retry_stages_the_head_anew_and_keeps_the_body() {
    let pool = pool(64);
    let mut pipe = Pipe::new(&pool);
    pipe.begin(Framing::Chunked, Encoding::Chunked, ChunkLimits::default());
    pipe.stage().extend_from_slice(b"FIRST\r\n\r\n");
    let body = chunked(&[b"hello".to_vec()], "", "");
    pipe.room()[..body.len()].copy_from_slice(&body);
    pipe.received(body.len());
    pipe.decode().unwrap();
    pipe.wrote(4);
    pipe.unstage();
    pipe.stage().extend_from_slice(b"SECOND\r\n\r\n");
    let sent = through(&mut pipe, 64, b"", &[(1, 1)], false);
    assert_eq!(show(&sent), "SECOND\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
}

#[test]
fn only_trailers_that_may_travel_do() {
    let pool = pool(512);
    let mut pipe = Pipe::new(&pool);
    pipe.begin(Framing::Chunked, Encoding::Chunked, ChunkLimits::default());
    let source = chunked(&[b"x".to_vec()], "", "X-Sum: 1\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\nX-More: 2\r\n");
    let sent = through(&mut pipe, 512, &source, &[(100, 100)], false);
    assert_eq!(decoded(&sent), (b"x".to_vec(), "X-Sum=1;X-More=2;".to_owned()));
}

#[test]
fn trailers_wait_until_the_head_has_gone() {
    let pool = pool(512);
    let mut pipe = Pipe::new(&pool);
    pipe.stage().extend_from_slice(&[b'h'; 100]);
    pipe.begin(Framing::Chunked, Encoding::Chunked, ChunkLimits::default());
    let source = b"0\r\nX-T: 1\r\n\r\n";
    pipe.room()[..source.len()].copy_from_slice(source);
    pipe.received(source.len());
    pipe.decode().unwrap();
    assert_eq!(pipe.stage.left().len(), 100, "both stand in it at once");
    pipe.wrote(99);
    assert!(!pipe.is_finished());
    pipe.wrote(1);
    assert_eq!(show(&pipe.output().0[0]), "0\r\nX-T: 1\r\n\r\n");
}

/// A pipe that may splice after `worth` bytes, in the middle of a long body.
fn spliced(pool: &Pool) -> Pipe<'_> {
    let mut pipe = Pipe::new(pool);
    pipe.begin(Framing::Length(1000), Encoding::Identity, ChunkLimits::default());
    pipe.room()[..10].copy_from_slice(b"0123456789");
    pipe.received(10);
    pipe.decode().unwrap();
    assert!(!pipe.is_bulk(), "what was received goes first");
    pipe.wrote(10);
    pipe
}

#[test]
fn a_pipe_is_lent_to_the_fast_alone() {
    let pool = Pool::new(64, 1, Arc::new(KernelPipes::scripted(100, 10)));
    let mut pipe = spliced(&pool);
    assert!(pipe.is_bulk());
    pipe.slow_down();
    assert!(!pipe.is_bulk());
    // And it is lent again when as much has been copied.
    let mut pipe = spliced(&pool);
    let (kernel_pipe, most) = pipe.kernel_pipe().unwrap();
    assert_eq!((kernel_pipe.held(), most), (0, 100));
    pipe.spliced(100);
    assert_eq!((pipe.held(), pipe.is_full(), pipe.is_bulk()), (100, true, false));
    pipe.slow_down();
    pipe.unloaded(100);
    pipe.release();
    assert_eq!((pipe.held(), pipe.is_full(), pipe.is_bulk()), (0, false, true), "100 bytes in one go are fast enough");
}

#[test]
fn what_is_in_a_pipe_cannot_be_sent_twice() {
    let pool = Pool::new(64, 1, Arc::new(KernelPipes::scripted(100, 0)));
    let mut pipe = Pipe::new(&pool);
    pipe.begin(Framing::Length(1000), Encoding::Identity, ChunkLimits::default());
    assert!(pipe.is_unspent() && pipe.is_bulk() && pipe.kernel_pipe().is_some());
    pipe.spliced(7);
    assert!(!pipe.is_unspent());
}

#[test]
fn a_large_chunk_is_announced_as_it_came() {
    let pool = pool(64);
    let mut pipe = Pipe::new(&pool);
    pipe.begin(Framing::Chunked, Encoding::Chunked, ChunkLimits::default());
    let body = chunked(&[vec![b'x'; 1000]], "", "");
    let sent = through(&mut pipe, 64, &body, &[(64, 64)], false);
    assert_eq!(sent, body);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn chunked_bodies_arrive_whatever_the_cuts(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
        capacity in 1_usize..60,
        cuts in prop::collection::vec((1_usize..30, 1_usize..30), 1..6),
        extended in any::<bool>(),
        trailer in prop::sample::select(vec!["", "X-T: v\r\n", "A: 1\r\nB: 2\r\n"]),
        as_chunks in any::<bool>(),
    ) {
        let pool = pool(capacity);
        let mut pipe = Pipe::new(&pool);
        let encoding = if as_chunks { Encoding::Chunked } else { Encoding::Identity };
        pipe.begin(Framing::Chunked, encoding, ChunkLimits::default());
        let source = chunked(&parts, if extended { ";a=\"b c\"" } else { "" }, trailer);
        let sent = through(&mut pipe, capacity, &source, &cuts, false);
        let data = parts.concat();
        prop_assert!(pipe.is_finished());
        prop_assert_eq!(pipe.given(), data.len() as u64);
        if as_chunks {
            let fields: String = trailer.lines().map(|line| line.replace(": ", "=") + ";").collect();
            prop_assert_eq!(decoded(&sent), (data, fields));
        } else {
            prop_assert_eq!(sent, data);
        }
    }

    #[test]
    fn plain_bodies_arrive_whatever_the_cuts(
        data in prop::collection::vec(any::<u8>(), 0..300),
        behind in prop::collection::vec(any::<u8>(), 0..20),
        capacity in 1_usize..60,
        cuts in prop::collection::vec((1_usize..30, 1_usize..30), 1..6),
        by_length in any::<bool>(),
    ) {
        let pool = pool(capacity);
        let mut pipe = Pipe::new(&pool);
        let framing = if by_length { Framing::Length(data.len() as u64) } else { Framing::UntilClose };
        pipe.begin(framing, Encoding::Identity, ChunkLimits::default());
        let source = if by_length { [data.clone(), behind].concat() } else { data.clone() };
        let sent = through(&mut pipe, capacity, &source, &cuts, !by_length);
        prop_assert!(pipe.is_finished());
        prop_assert_eq!(sent, data);
    }
}
