//! Whatever both peers send, in whatever pieces: nothing panics, no more is taken than fits, what the
//! client and the origin get can be read in one way, nothing that was cut short looks complete,
//! and it ends. Run by the fuzzer, and over its corpus by a test.

use std::time::Duration;

use sluicegate_http1::chunked::ChunkLimits;
use sluicegate_http1::{BodyDecoder, Framing, HeadLimits, Received, ResponseHead, Step, Version, framing};

use super::stage::{Setting, play, settle};
use super::{Answered, Stop};
use crate::limits::ClientFin;

const STAGED: usize = b"HEAD\r\n\r\n".len();

/// True when the exchange came to its end whole. Panics when a promise is broken.
#[allow(unreachable_pub, reason = "the door of the fuzzer, in its build alone")]
pub fn exchange(input: &[u8]) -> bool {
    let Some((&[flags, buffer, wire, split, first, second], rest)) = input.split_first_chunk() else {
        return false;
    };
    let (from_client, from_origin) = rest.split_at(rest.len().min(usize::from(split)));
    let request = match flags & 3 {
        0 => Framing::Empty,
        1 => Framing::Length(from_client.len() as u64 / 2),
        _ => Framing::Chunked,
    };
    let mut setting = Setting::of(request, 1 + usize::from(buffer), 1 + usize::from(wire));
    setting.limits.response_head = HeadLimits { bytes: 256, fields: 8 };
    setting.method = if flags & 4 == 0 { b"POST" } else { b"HEAD" };
    setting.version = if flags & 8 == 0 { Version::Http11 } else { Version::Http10 };
    setting.upgrade = flags & 16 != 0;
    if flags & 32 != 0 {
        setting.limits.client_fin = ClientFin::Allow;
    }
    if wire & 1 != 0 {
        setting.pipes = (usize::from(buffer) + 1, usize::from(wire));
    }
    let steps = (1 + usize::from(first % 32), 1 + usize::from(second % 32));
    let ends = (flags & 64 != 0, flags & 128 != 0);
    let (ended, to_client, to_origin) = run(&setting, from_client, from_origin, steps, ends);
    judge(&setting, &ended, &to_client, &to_origin, from_client);
    matches!(ended, Ok(Answered::Whole { .. }))
}

type Ended = (Result<Answered, Stop>, Vec<u8>, Vec<u8>);

fn run(setting: &Setting, mut up: &[u8], mut down: &[u8], steps: (usize, usize), ends: (bool, bool)) -> Ended {
    let (mut to_client, mut to_origin, mut result) = (Vec::new(), Vec::new(), None);
    play(setting, |mut running, stage| {
        let all = up.len();
        // Far more turns than bytes; then silence, until the deadlines have passed.
        for turn in 0..4 * (all + down.len()) + 400 {
            let sent = stage.client.put(&up[..up.len().min(steps.0)]);
            let said = stage.origin.put(&down[..down.len().min(steps.1)]);
            (up, down) = (&up[sent..], &down[said..]);
            if up.is_empty() && ends.0 {
                stage.client.end();
            }
            if down.is_empty() && ends.1 {
                stage.origin.end();
            }
            result = settle(&mut running, stage);
            let taken = stage.client.taken_by_peer();
            let given = stage.origin.given_by_peer();
            let room = setting.limits.client_buffer as u64;
            // A chunk's framing is dropped on the way in and made anew on the way out.
            let framed = setting.request == Framing::Chunked;
            assert!(framed || taken <= given.saturating_sub(STAGED as u64) + room, "more is held than fits");
            to_client.extend(stage.client.take(steps.1));
            to_origin.extend(stage.origin.take(steps.0));
            if result.is_some() {
                break;
            }
            if sent + said == 0 && turn % 16 == 15 {
                stage.pass(Duration::from_secs(301));
            }
        }
        to_client.extend(stage.client.take(usize::MAX));
        to_origin.extend(stage.origin.take(usize::MAX));
    });
    (result.expect("it never ends"), to_client, to_origin)
}

fn judge(setting: &Setting, ended: &Result<Answered, Stop>, to_client: &[u8], to_origin: &[u8], from_client: &[u8]) {
    // The origin: our head, then a body that is complete only if the client's was.
    let (head, body) = to_origin.split_at(to_origin.len().min(STAGED));
    assert!(b"HEAD\r\n\r\n".starts_with(head));
    let got = read(setting.request, body).expect("the origin got a malformed body");
    if ended.as_ref().is_ok_and(|how| *how == Answered::Switched) {
        assert!(got.complete, "a tunnel in the middle of a request");
        return; // what follows is a tunnel's
    }
    if got.complete && setting.request != Framing::Empty {
        assert!(read(setting.request, from_client).is_ok_and(|sent| sent.complete), "a cut request looks complete");
    }
    assert_eq!(got.left, 0, "bytes behind the request's end");
    // The client: interim responses, one final response, and nothing behind it.
    let mut rest = to_client;
    loop {
        let mut head = ResponseHead::new();
        let Ok(received) = head.receive(rest, &HeadLimits::default()) else {
            panic!("the client got a malformed head: {:?}", String::from_utf8_lossy(to_client));
        };
        let Received::Complete(n) = received else {
            assert!(ended.is_err(), "a whole exchange with half a head");
            return;
        };
        rest = &rest[n..];
        if head.status() >= 200 {
            let framing = framing::response(&head, setting.method).expect("the client got an ambiguous response");
            let got = read(framing, rest).expect("the client got a malformed body");
            assert_eq!(got.left, 0, "bytes behind the response's end");
            assert!(ended.is_err() || got.complete || framing == Framing::UntilClose, "whole, but cut");
            return;
        }
    }
}

struct Read {
    complete: bool,
    left: usize,
}

fn read(framing: Framing, mut bytes: &[u8]) -> Result<Read, sluicegate_http1::Malformed> {
    let mut body = BodyDecoder::new(framing, ChunkLimits::default());
    while !body.is_complete() && !bytes.is_empty() {
        let (Step::Data(n) | Step::Framing(n) | Step::End(n)) = body.decode(bytes)?;
        bytes = &bytes[n..];
    }
    Ok(Read { complete: body.is_complete(), left: bytes.len() })
}
