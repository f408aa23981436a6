//! The promises, over scripted sockets polled by hand: no runtime, no clock, no kernel.

use std::fs;
use std::path::Path;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use sluicegate_http1::chunked::{ChunkLimits, LAST_CHUNK, write_size};
use sluicegate_http1::{BodyDecoder, Framing, Step};

use super::oracle;
use super::stage::{Running, Setting, Stage, play, settle};
use super::{Answered, Stop};
use crate::limits::ClientFin;
use crate::record::Fault;
use crate::transport::Hangup;
use crate::transport::scripted::Scripted;

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: ";

#[test]
fn a_full_client_is_noticed_when_it_goes() {
    // (bytes behind the request, more than the buffer; how it leaves; what is noticed)
    for behind in [0, 1, 100, 1000] {
        for (leave, how) in [(Scripted::end as fn(&Scripted), Hangup::Fin), (Scripted::reset, Hangup::Reset)] {
            play(&Setting::of(Framing::Empty, 100, 400), |mut running, stage| {
                assert!(settle(&mut running, stage).is_none());
                assert_eq!(stage.origin.take(1000), b"HEAD\r\n\r\n");
                stage.client.put(&vec![b'x'; behind]);
                assert!(settle(&mut running, stage).is_none());
                assert_eq!(stage.client.taken_by_peer(), behind.min(100) as u64, "the eager read, to the byte");
                leave(&stage.client);
                let ended = settle(&mut running, stage);
                assert!(matches!(ended, Some(Err(Stop::Gone(seen))) if seen == how), "{behind} {how:?}: {ended:?}");
            });
        }
    }
}

#[test]
fn the_eager_limit_holds_to_the_byte() {
    for buffer in [1, 16_384, 1 << 20] {
        // While the origin thinks.
        let setting = Setting::of(Framing::Empty, buffer, 4 << 20);
        play(&setting, |mut running, stage| {
            stage.client.put(&vec![b'x'; 3 << 20]);
            assert!(settle(&mut running, stage).is_none());
            assert_eq!(stage.client.taken_by_peer(), buffer as u64);
            // And while the response is itself paused, whatever it has taken meanwhile.
            let long = [RESPONSE, b"99999999\r\n\r\n"].concat();
            stage.origin.put(&long);
            while stage.origin.put(&vec![b'x'; 1 << 20]) > 0 {
                assert!(settle(&mut running, stage).is_none());
            }
            stage.client.put(&vec![b'x'; 1 << 20]);
            assert!(settle(&mut running, stage).is_none());
            assert_eq!(stage.client.taken_by_peer(), buffer as u64);
            // What the client takes is made up from the origin, and from nowhere else.
            let before = stage.origin.taken_by_peer();
            stage.client.take(1000);
            assert!(settle(&mut running, stage).is_none());
            assert!(stage.origin.taken_by_peer() - before <= 1000 + buffer as u64);
            assert_eq!(stage.client.taken_by_peer(), buffer as u64);
        });
    }
}

#[test]
fn a_response_that_waits_for_its_client_holds_one_buffer() {
    for buffer in [1, 100, 16_384] {
        play(&Setting::of(Framing::Empty, buffer, 200), |mut running, stage| {
            assert!(settle(&mut running, stage).is_none());
            let head = [RESPONSE, b"99999999\r\n\r\n"].concat();
            stage.origin.put(&head);
            while stage.origin.put(&[b'x'; 200]) > 0 {
                assert!(settle(&mut running, stage).is_none());
            }
            let given = stage.client.given_by_peer();
            let held = stage.origin.taken_by_peer() - (given - 10).min(given);
            assert!(held <= (buffer + head.len()) as u64, "{held} with a buffer of {buffer}");
        });
    }
}

#[test]
fn a_client_that_only_listens_is_served_if_that_is_allowed() {
    let mut setting = Setting::of(Framing::Empty, 100, 400);
    setting.limits.client_fin = ClientFin::Allow;
    play(&setting, |mut running, stage| {
        stage.client.end();
        assert!(settle(&mut running, stage).is_none());
        stage.origin.put(&[RESPONSE, b"2\r\n\r\nok"].concat());
        assert!(matches!(settle(&mut running, stage), Some(Ok(Answered::Whole { .. }))));
        assert!(stage.client.take(1000).ends_with(b"\r\n\r\nok"));
    });
    play(&setting, |mut running, stage| {
        stage.client.end();
        assert!(settle(&mut running, stage).is_none());
        stage.client.reset();
        assert!(matches!(settle(&mut running, stage), Some(Err(Stop::Gone(Hangup::Reset)))));
    });
}

#[test]
fn a_finished_response_is_delivered_to_a_client_that_has_just_gone() {
    play(&Setting::of(Framing::Empty, 100, 400), |mut running, stage| {
        assert!(settle(&mut running, stage).is_none());
        stage.origin.put(&[RESPONSE, b"2\r\n\r\nok"].concat());
        stage.client.end();
        assert!(matches!(settle(&mut running, stage), Some(Ok(Answered::Whole { .. }))));
    });
}

#[test]
fn a_body_cut_short_never_looks_complete() {
    for framing in [Framing::Length(10), Framing::Chunked] {
        play(&Setting::of(framing, 100, 400), |mut running, stage| {
            stage.client.put(if framing == Framing::Chunked { b"5\r\nhello\r\n" } else { b"hello" });
            assert!(settle(&mut running, stage).is_none());
            stage.client.end();
            assert!(matches!(settle(&mut running, stage), Some(Err(Stop::Gone(_)))));
        });
    }
    for response in [&b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"[..], b"HTTP/1.1 200 OK\r\n", b""] {
        play(&Setting::of(Framing::Empty, 100, 400), |mut running, stage| {
            stage.origin.put(response);
            stage.origin.end();
            assert!(matches!(settle(&mut running, stage), Some(Err(Stop::Failed(Fault::OriginClosed)))));
        });
    }
}

#[test]
fn bytes_behind_a_response_cost_the_origin_its_connection() {
    for (extra, keeps) in [(&b""[..], true), (b"HTTP/1.1 200 EVIL\r\n\r\n", false)] {
        play(&Setting::of(Framing::Empty, 100, 400), |mut running, stage| {
            assert!(settle(&mut running, stage).is_none());
            stage.origin.put(&[RESPONSE, b"2\r\n\r\nok", extra].concat());
            let ended = settle(&mut running, stage);
            assert!(matches!(ended, Some(Ok(Answered::Whole { origin_persists })) if origin_persists == keeps));
            assert!(stage.client.take(1000).ends_with(b"\r\n\r\nok"), "and nothing of them goes on");
        });
    }
}

#[test]
fn interim_responses_are_relayed_and_counted() {
    play(&Setting::of(Framing::Empty, 100, 4000), |mut running, stage| {
        let hints = b"HTTP/1.1 103 Hint\r\n\r\n".repeat(100);
        let mut relayed = 0;
        let mut relay = |running: &mut Running<'_>, stage: &mut Stage| {
            stage.origin.put(&hints);
            let ended = settle(running, stage);
            relayed += stage.client.take(4000).windows(5).filter(|part| part == b" 103 ").count();
            ended
        };
        // 256 KiB in 2,100 bytes.
        for _ in 0..124 {
            assert!(relay(&mut running, stage).is_none());
        }
        // Two seconds earn about as much again, and no more.
        stage.pass(Duration::from_secs(2));
        assert!(relay(&mut running, stage).is_none());
        let ended = relay(&mut running, stage);
        assert!(matches!(ended, Some(Err(Stop::Failed(Fault::TooManyInterim)))), "{ended:?}");
        assert!(relayed >= 12_500, "{relayed} are relayed");
    });
}

/// An origin that says that it is at work is waited for; one that says nothing else is not waited for for ever.
#[test]
fn progress_extends_the_time_for_a_response_but_not_for_ever() {
    let nearly = Duration::from_secs(290);
    play(&Setting::of(Framing::Empty, 100, 4000), |mut running, stage| {
        for turn in 0..100 {
            stage.origin.put(if turn % 2 == 0 { b"HTTP/1.1 102 At\r\n\r\n" } else { b"HTTP/1.1 103 At\r\n\r\n" });
            assert!(settle(&mut running, stage).is_none(), "{turn}");
            stage.pass(nearly);
        }
        stage.origin.put(b"HTTP/1.1 102 At\r\n\r\n");
        assert!(settle(&mut running, stage).is_none());
        stage.pass(nearly);
        assert!(matches!(settle(&mut running, stage), Some(Err(Stop::Failed(Fault::ResponseTimeout)))));
    });
}

#[test]
fn nobody_switches_to_a_protocol_that_was_not_asked_for() {
    // The exchanges of these tests offer none.
    play(&Setting::of(Framing::Empty, 100, 400), |mut running, stage| {
        stage.origin.put(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nEVIL");
        assert!(matches!(settle(&mut running, stage), Some(Err(Stop::Failed(Fault::Upgrade)))));
        assert!(stage.client.take(1000).is_empty());
    });
}

#[test]
fn a_switch_is_to_one_protocol_that_was_offered() {
    // WebSocket and b are offered, and b is not allowed.
    for (named, switches) in [
        ("Upgrade: websocket\r\n", true),
        ("upgrade: WEBSOCKET\r\n", true),
        ("", false),
        ("Upgrade:\r\n", false),
        ("Upgrade: b\r\n", false),
        ("Upgrade: c\r\n", false),
        ("Upgrade: websocket/13\r\n", false),
        ("Upgrade: websocket, b\r\n", false),
        ("Upgrade: websocket\r\nUpgrade: b\r\n", false),
    ] {
        let setting = Setting { upgrade: true, ..Setting::of(Framing::Empty, 100, 400) };
        play(&setting, |mut running, stage| {
            stage.origin.put(format!("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\n{named}\r\n").as_bytes());
            match settle(&mut running, stage) {
                Some(Ok(Answered::Switched)) => assert!(switches, "{named}"),
                Some(Err(Stop::Failed(Fault::Upgrade))) => assert!(!switches, "{named}"),
                other => panic!("{named}: {other:?}"),
            }
        });
    }
}

/// What is left of a body is taken for the other protocol, by an origin that switches before it.
#[test]
fn nobody_switches_in_the_middle_of_a_request() {
    for (framing, body, whole) in [
        (Framing::Length(5), &b"hell"[..], false),
        (Framing::Length(5), b"hello", true),
        (Framing::Chunked, b"5\r\nhello\r\n", false),
        (Framing::Chunked, b"5\r\nhello\r\n0\r\n\r\n", true),
    ] {
        let setting = Setting { upgrade: true, ..Setting::of(framing, 100, 400) };
        play(&setting, |mut running, stage| {
            stage.client.put(body);
            assert!(settle(&mut running, stage).is_none());
            stage.origin.put(SWITCH);
            match settle(&mut running, stage) {
                Some(Ok(Answered::Switched)) => assert!(whole, "{framing:?}"),
                Some(Err(Stop::Failed(Fault::Upgrade))) => assert!(!whole, "{framing:?}"),
                other => panic!("{framing:?} {whole}: {other:?}"),
            }
        });
    }
}

/// An upload that steps aside behind its last byte is not yet known to be whole when the origin, which has it, switches.
#[test]
fn a_switch_right_behind_the_last_byte_is_none_in_the_middle() {
    let body = vec![b'x'; 256 << 10];
    let setting = Setting { upgrade: true, ..Setting::of(Framing::Length(body.len() as u64), 512 << 10, 512 << 10) };
    play(&setting, |mut running, stage| {
        stage.client.put(&body);
        let mut cx = Context::from_waker(Waker::noop());
        while stage.origin.given_by_peer() < body.len() as u64 + 8 {
            assert!(running.as_mut().poll(&mut cx).is_pending());
        }
        stage.origin.put(SWITCH);
        assert!(matches!(settle(&mut running, stage), Some(Ok(Answered::Switched))));
    });
}

#[test]
fn whose_turn_it_was_decides_who_is_blamed() {
    let late = Duration::from_secs(301);
    // Sent, and not a word.
    play(&Setting::of(Framing::Empty, 100, 400), |mut running, stage| {
        assert!(settle(&mut running, stage).is_none());
        stage.pass(late);
        assert!(matches!(settle(&mut running, stage), Some(Err(Stop::Failed(Fault::ResponseTimeout)))));
    });
    // A 100 and half a head extend nothing.
    play(&Setting::of(Framing::Empty, 100, 400), |mut running, stage| {
        for part in [&b"HTTP/1.1 100 Continue\r\n\r\n"[..], b"HTTP/1.1 200"] {
            assert!(settle(&mut running, stage).is_none());
            stage.pass(late / 3);
            stage.origin.put(part);
        }
        assert!(settle(&mut running, stage).is_none());
        stage.pass(late / 3);
        assert!(matches!(settle(&mut running, stage), Some(Err(Stop::Failed(Fault::ResponseTimeout)))));
    });
    // The client does not send what it promised.
    play(&Setting::of(Framing::Length(9), 100, 400), |mut running, stage| {
        assert!(settle(&mut running, stage).is_none());
        stage.pass(late);
        assert!(matches!(settle(&mut running, stage), Some(Err(Stop::Failed(Fault::RequestTimeout)))));
    });
    // The origin does not take it.
    play(&Setting::of(Framing::Length(9000), 100, 400), |mut running, stage| {
        while stage.client.put(&[b'x'; 400]) > 0 {
            assert!(settle(&mut running, stage).is_none());
        }
        stage.pass(late);
        assert!(matches!(settle(&mut running, stage), Some(Err(Stop::Failed(Fault::OriginNotReading)))));
    });
    // Framing that is dropped extends nothing: chunk extensions from the client, trailers from the origin.
    play(&Setting::of(Framing::Chunked, 100, 400), |mut running, stage| {
        stage.client.put(b"5;a=");
        for _ in 0..2 {
            assert!(settle(&mut running, stage).is_none());
            stage.pass(late / 3);
            stage.client.put(b"x");
        }
        assert!(settle(&mut running, stage).is_none());
        stage.pass(late / 3);
        assert!(matches!(settle(&mut running, stage), Some(Err(Stop::Failed(Fault::RequestTimeout)))));
    });
    // A stream that moves in one direction only lives on; then it stalls.
    play(&Setting::of(Framing::Empty, 100, 400), |mut running, stage| {
        stage.origin.put(&[RESPONSE, b"99\r\n\r\n"].concat());
        for _ in 0..9 {
            assert!(settle(&mut running, stage).is_none());
            stage.pass(late / 2);
            stage.origin.put(b"x");
        }
        assert!(settle(&mut running, stage).is_none());
        stage.pass(late);
        assert!(matches!(settle(&mut running, stage), Some(Err(Stop::Failed(Fault::OriginStalled)))));
    });
    // The client does not read.
    play(&Setting::of(Framing::Empty, 100, 400), |mut running, stage| {
        stage.origin.put(&[RESPONSE, b"9999\r\n\r\n"].concat());
        assert!(settle(&mut running, stage).is_none());
        while stage.origin.put(&[b'x'; 400]) > 0 {
            assert!(settle(&mut running, stage).is_none());
        }
        stage.pass(late);
        assert!(matches!(settle(&mut running, stage), Some(Err(Stop::Failed(Fault::ClientNotReading)))));
    });
}

/// It is the client's turn as well when it does not read what comes before the response.
#[test]
fn an_interim_response_that_is_not_read_is_no_fault_of_the_origin() {
    play(&Setting::of(Framing::Empty, 100, 20), |mut running, stage| {
        stage.origin.put(b"HTTP/1.1 103 Hi\r\n");
        assert!(settle(&mut running, stage).is_none());
        stage.origin.put(b"Link: </a>\r\n\r\n");
        assert!(settle(&mut running, stage).is_none());
        stage.pass(Duration::from_secs(301));
        assert!(matches!(settle(&mut running, stage), Some(Err(Stop::Failed(Fault::ClientNotReading)))));
    });
}

#[test]
fn no_arm_starves() {
    // An origin that always has more and a client that always takes it: who leaves is still seen
    // within one turn of the pump, 16 moves of at most a buffer each.
    play(&Setting::of(Framing::Empty, 64, 1 << 20), |mut running, stage| {
        stage.origin.put(&[RESPONSE, b"999999\r\n\r\n"].concat());
        stage.origin.put(&[b'x'; 900_000]);
        stage.client.end();
        let mut cx = Context::from_waker(Waker::noop());
        let ended = running.as_mut().poll(&mut cx);
        assert!(matches!(ended, Poll::Ready(Err(Stop::Gone(_)))), "{ended:?}");
        assert!(stage.client.take(1 << 20).len() < 16 * 64 + 200);
    });
}

/// The inputs that the fuzzer and we found worth keeping (`fuzz/corpus/exchange`), without the fuzzer.
#[test]
fn the_corpus_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/exchange");
    let files = fs::read_dir(folder).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    let whole = files.filter(|input| oracle::exchange(input)).count();
    assert!(whole > 5, "only {whole} of the seeds end in a whole exchange");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever both peers send, in whatever pieces.
    #[test]
    fn nonsense_is_survived(input in prop::collection::vec(any::<u8>(), 0..300)) {
        oracle::exchange(&input);
    }

    /// Both bodies arrive whatever the sizes and the order of events; never more is taken than
    /// has room; what can move has moved; it ends when both are through, and not before.
    #[test]
    fn both_bodies_arrive_within_the_bound(
        up in prop::collection::vec(any::<u8>(), 0..600),
        down in prop::collection::vec(any::<u8>(), 0..600),
        buffers in 1_usize..64,
        wire in 1_usize..128,
        pipes in prop::sample::select(vec![(0, 0), (1, 0), (50, 0), (300, 100)]),
        moves in prop::collection::vec((0_usize..4, 1_usize..200), 1..40),
    ) {
        let setting = Setting { pipes, ..Setting::of(Framing::Length(up.len() as u64), buffers, wire) };
        let (up, down) = (Sent::plain(up), Sent::plain(down));
        let mut result = Ok(());
        play(&setting, |running, stage| result = carry(running, stage, &up, &down, (buffers, pipes.0), &moves));
        result?;
    }

    /// The same in chunks of any size, large ones of which are announced before they have come.
    #[test]
    fn chunked_bodies_arrive_through_pipes(
        up in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..4),
        down in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..4),
        buffers in 8_usize..64,
        wire in 1_usize..128,
        pipes in prop::sample::select(vec![(0, 0), (1, 0), (50, 0), (300, 100)]),
        moves in prop::collection::vec((0_usize..4, 1_usize..200), 1..40),
    ) {
        let setting = Setting { pipes, ..Setting::of(Framing::Chunked, buffers, wire) };
        let (up, down) = (Sent::chunked(&up), Sent::chunked(&down));
        let mut result = Ok(());
        play(&setting, |running, stage| result = carry(running, stage, &up, &down, (buffers, pipes.0), &moves));
        result?;
    }
}

/// A body, as it is framed and as it is sent.
struct Sent {
    framing: Framing,
    data: Vec<u8>,
    bytes: Vec<u8>,
}

impl Sent {
    fn plain(data: Vec<u8>) -> Self {
        Self { framing: Framing::Length(data.len() as u64), bytes: data.clone(), data }
    }

    fn chunked(parts: &[Vec<u8>]) -> Self {
        let mut bytes = Vec::new();
        for part in parts {
            write_size(part.len(), &mut bytes);
            bytes.extend([part, &b"\r\n"[..]].concat());
        }
        bytes.extend_from_slice(LAST_CHUNK);
        Self { framing: Framing::Chunked, data: parts.concat(), bytes }
    }

    fn head(&self) -> Vec<u8> {
        match self.framing {
            Framing::Chunked => b"HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
            _ => [RESPONSE, self.data.len().to_string().as_bytes(), b"\r\n\r\n"].concat(),
        }
    }

    /// The data of `bytes`, if they are a whole body that is framed like this one, and no more.
    fn read(&self, mut bytes: &[u8]) -> Option<Vec<u8>> {
        let (mut body, mut data) = (BodyDecoder::new(self.framing, ChunkLimits::default()), Vec::new());
        while !body.is_complete() && !bytes.is_empty() {
            let step = body.decode(bytes).unwrap();
            let (Step::Data(n) | Step::Framing(n) | Step::End(n)) = step;
            data.extend_from_slice(if let Step::Data(n) = step { &bytes[..n] } else { b"" });
            bytes = &bytes[n..];
        }
        (body.is_complete() && bytes.is_empty()).then_some(data)
    }
}

fn carry(
    mut running: Running<'_>,
    stage: &mut Stage,
    up: &Sent,
    down: &Sent,
    (buffers, pipe): (usize, usize),
    moves: &[(usize, usize)],
) -> Result<(), TestCaseError> {
    let head = b"HEAD\r\n\r\n".len();
    let response = [down.head(), down.bytes.clone()].concat();
    let (mut to_client, mut to_origin, mut sent, mut said) = (Vec::new(), Vec::new(), 0, 0);
    // Chance first; then everything is moved in turn until it is through.
    let all = [(0, 500), (1, 500), (2, 500), (3, 500)];
    for (who, n) in moves.iter().chain(all.iter().cycle().take(40_000)) {
        match who {
            0 => sent += stage.client.put(&up.bytes[sent..up.bytes.len().min(sent + n)]),
            1 => {
                let asked = to_origin.get(head..).and_then(|body| up.read(body));
                said += asked.map_or(0, |_| stage.origin.put(&response[said..response.len().min(said + n)]));
            }
            2 => to_client.extend(stage.client.take(*n)),
            _ => to_origin.extend(stage.origin.take(*n)),
        }
        let ended = settle(&mut running, stage);
        let taken = stage.client.taken_by_peer();
        let given = stage.origin.given_by_peer().saturating_sub(head as u64);
        // A chunk's framing is dropped on the way in and made anew on the way out.
        if up.framing != Framing::Chunked {
            prop_assert!(taken <= given + buffers.max(pipe) as u64, "more of the request is held than fits");
            // A pipe is not filled up while there is something in it.
            if taken < given + (if pipe == 0 { buffers as u64 / 2 } else { 1 }) {
                prop_assert_eq!(taken, sent as u64, "there was room, and it was not used");
            }
        }
        match ended {
            None => {}
            Some(Ok(Answered::Whole { origin_persists: true })) => {
                to_client.extend(stage.client.take(usize::MAX));
                let body = to_client.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
                prop_assert!(down.read(&to_client[body..]).is_some_and(|data| data == down.data));
                prop_assert!(up.read(&to_origin[head..]).is_some_and(|data| data == up.data));
                return Ok(());
            }
            Some(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
    }
    Err(TestCaseError::fail("it never ended"))
}
