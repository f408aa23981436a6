//! Bodies of each framing, and their ends (RFC 9112 §8).

use sluicegate_http1::{BodyDecoder, ChunkLimits, Framing, Step, Truncated};

fn body(framing: Framing) -> BodyDecoder {
    BodyDecoder::new(framing, ChunkLimits::default())
}

#[test]
fn an_empty_body_is_complete_from_the_start() {
    for framing in [Framing::Empty, Framing::Length(0)] {
        let mut body = body(framing);
        assert!(body.is_complete());
        assert_eq!((body.framing(), body.remaining()), (framing, Some(0)));
        assert_eq!(body.decode(b"next"), Ok(Step::End(0)));
        assert_eq!(body.decode(b""), Ok(Step::End(0)));
        assert_eq!(body.end_of_input(), Ok(()));
    }
}

#[test]
fn a_length_is_complete_with_its_last_byte() {
    let mut body = body(Framing::Length(5));
    assert_eq!(body.decode(b""), Ok(Step::Framing(0)));
    assert_eq!(body.decode(b"ab"), Ok(Step::Data(2)));
    assert_eq!(body.remaining(), Some(3));
    assert_eq!(body.end_of_input(), Err(Truncated));
    assert_eq!(body.decode(b"cdeNEXT"), Ok(Step::Data(3)));
    assert!(body.is_complete());
    assert_eq!(body.decode(b"NEXT"), Ok(Step::End(0)));
    assert_eq!(body.end_of_input(), Ok(()));
}

#[test]
fn a_length_can_be_moved_unseen() {
    let mut moved = body(Framing::Length(u64::MAX >> 1));
    moved.advance((u64::MAX >> 1) - 3);
    assert_eq!(moved.remaining(), Some(3));
    moved.advance(10);
    assert!(moved.is_complete());
    assert_eq!(moved.data_left(), 0);
    let mut endless = body(Framing::UntilClose);
    endless.advance(10);
    assert_eq!((endless.data_left(), endless.is_complete()), (u64::MAX, false));
    endless.end_of_input().unwrap();
    assert_eq!(endless.data_left(), 0);
}

#[test]
fn a_chunk_can_be_moved_unseen_but_not_what_is_between() {
    let mut moved = body(Framing::Chunked);
    moved.advance(10);
    assert_eq!((moved.data_left(), moved.decode(b"a\r\nab")), (0, Ok(Step::Framing(3))));
    assert_eq!((moved.data_left(), moved.decode(b"ab")), (10, Ok(Step::Data(2))));
    moved.advance(5);
    assert_eq!(moved.data_left(), 3);
    moved.advance(9);
    assert_eq!((moved.data_left(), moved.is_complete()), (0, false));
    assert_eq!(moved.decode(b"\r\n0\r\n\r\nX"), Ok(Step::End(7)));
    assert!(moved.is_complete());
}

#[test]
fn until_close_is_complete_only_with_the_close() {
    let mut body = body(Framing::UntilClose);
    assert_eq!(body.decode(b""), Ok(Step::Framing(0)));
    assert_eq!(body.decode(b"0\r\n\r\n"), Ok(Step::Data(5)));
    assert_eq!((body.remaining(), body.is_complete()), (None, false));
    assert_eq!(body.end_of_input(), Ok(()));
    assert!(body.is_complete());
    assert_eq!((body.remaining(), body.decode(b"x")), (Some(0), Ok(Step::End(0))));
}

#[test]
fn a_chunked_body_is_truncated_before_its_very_last_byte() {
    let whole = b"5\r\nabcde\r\n0\r\nX: y\r\n\r\n";
    for n in 0..=whole.len() {
        let mut body = body(Framing::Chunked);
        let mut rest = &whole[..n];
        while !rest.is_empty() {
            let (Step::Framing(n) | Step::Data(n) | Step::End(n)) = body.decode(rest).unwrap();
            rest = &rest[n..];
        }
        assert_eq!(body.end_of_input().is_ok(), n == whole.len(), "{n}");
        assert_eq!(body.is_complete(), n == whole.len());
        assert_eq!(body.remaining(), (n == whole.len()).then_some(0));
        assert_eq!(body.in_trailers(), (13..whole.len()).contains(&n), "{n}");
        assert_eq!(body.trailers().count(), usize::from(n == whole.len()));
    }
}
