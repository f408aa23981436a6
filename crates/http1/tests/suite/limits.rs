//! The limits of heads: never more is held, and no cut changes where they fall.

use sluicegate_http1::{HeadLimits, Malformed, Received, RequestHead, ResponseHead};

use crate::common::{Outcome, Seen, receive};

const SMALL: HeadLimits = HeadLimits { bytes: 64, fields: 3 };

fn small(input: &[u8]) -> Outcome<Seen> {
    receive::<RequestHead>(input, &SMALL)
}

/// A request of exactly `n` bytes.
fn request_of(n: usize) -> Vec<u8> {
    let frame = b"GET / HTTP/1.1\r\nX: \r\n\r\n".len();
    format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "v".repeat(n - frame)).into_bytes()
}

#[test]
fn a_head_may_be_as_large_as_the_limit_and_not_larger() {
    assert_eq!(small(&request_of(64)).unwrap().unwrap().0, 64);
    assert_eq!(small(&request_of(65)), Err(Malformed::HeadTooLarge));
    assert_eq!(small(&request_of(63)[..62]), Ok(None));
    // Full and not complete is refused at once.
    assert_eq!(small(&request_of(65)[..64]), Err(Malformed::HeadTooLarge));
}

#[test]
fn empty_lines_count() {
    let two = [b"\r\n\r\n", request_of(60).as_slice()].concat();
    assert_eq!(small(&two).unwrap().unwrap().0, 64);
    let two = [b"\r\n\r\n", request_of(61).as_slice()].concat();
    assert_eq!(small(&two), Err(Malformed::HeadTooLarge));
    assert_eq!(small(&b"\r\n".repeat(31)), Ok(None));
    assert_eq!(small(&b"\r\n".repeat(32)), Err(Malformed::HeadTooLarge));
}

#[test]
fn a_request_line_without_end_is_414() {
    let line = [b"GET /", [b'a'; 100].as_slice()].concat();
    assert_eq!(small(&line[..63]), Ok(None));
    assert_eq!(small(&line[..64]), Err(Malformed::RequestLineTooLong));
    assert_eq!(small(&line), Err(Malformed::RequestLineTooLong));
    let long = [b"GET /", vec![b'a'; 262_144].as_slice(), b" HTTP/1.1\r\n\r\n"].concat();
    let outcome = receive::<RequestHead>(&long, &HeadLimits::default());
    assert_eq!(outcome, Err(Malformed::RequestLineTooLong));
    let line = [b"HTTP/1.1 200 ", [b'a'; 100].as_slice()].concat();
    assert_eq!(receive::<ResponseHead>(&line, &SMALL), Err(Malformed::HeadTooLarge));
}

#[test]
fn fields_are_counted_as_their_lines_end() {
    let head = |n: usize| format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(n)).into_bytes();
    let end = b"\r\n".as_slice();
    assert_eq!(small(&[&head(3), end].concat()).unwrap().unwrap().1.fields.len(), 3);
    assert_eq!(small(&head(4)), Err(Malformed::TooManyFields));
    assert_eq!(small(&[&head(4), end].concat()), Err(Malformed::TooManyFields));

    let defaults = HeadLimits::default();
    let outcome = receive::<RequestHead>(&[&head(500), end].concat(), &defaults);
    assert_eq!(outcome.unwrap().unwrap().1.fields.len(), 500);
    let outcome = receive::<RequestHead>(&[&head(501), end].concat(), &defaults);
    assert_eq!(outcome, Err(Malformed::TooManyFields));
    let outcome = receive::<RequestHead>(&head(5000), &defaults);
    assert_eq!(outcome, Err(Malformed::TooManyFields));
}

#[test]
fn higher_limits_work_too() {
    let many = HeadLimits { bytes: 1 << 20, fields: 20_000 };
    for n in [499, 500, 501, 20_000] {
        let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(n));
        let outcome = receive::<ResponseHead>(head.as_bytes(), &many);
        assert_eq!(outcome.unwrap().unwrap().1.fields.len(), n);
    }
}

#[test]
fn a_large_field_is_taken_up_to_the_limit() {
    let head = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "a".repeat(12_000));
    let outcome = receive::<ResponseHead>(head.as_bytes(), &HeadLimits::default());
    assert_eq!(outcome.unwrap().unwrap().1.fields[0].1.len(), 12_000);
    let head = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "a".repeat(1 << 20));
    let outcome = receive::<ResponseHead>(head.as_bytes(), &HeadLimits::default());
    assert_eq!(outcome, Err(Malformed::HeadTooLarge));
}

#[test]
fn what_follows_the_head_is_not_taken() {
    let mut head = RequestHead::new();
    let first = b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n";
    let input = [first.as_slice(), b"GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
    let limits = HeadLimits::default();
    assert_eq!(head.receive(&input, &limits), Ok(Received::Complete(first.len())));
    assert_eq!(head.bytes(), first);
    assert_eq!(head.receive(&[], &limits), Ok(Received::Complete(0)));
}

#[test]
fn memory_is_never_doubled_past_the_limit() {
    let limits = HeadLimits { bytes: 10_000, fields: 10 };
    let mut head = RequestHead::new();
    for byte in request_of(10_000) {
        head.receive(&[byte], &limits).expect("within the limit");
        assert!(head.capacity() <= 10_000 + 10 * 20, "{}", head.capacity());
    }
    assert!(head.is_complete());
}
