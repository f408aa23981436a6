//! One client over a scripted socket: order, pauses, resumptions. What needs no origin is asked
//! (an OPTIONS that goes no further), so that nothing but the client moves.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::flow::PauseCause;
use crate::limits::{ClientFin, Limits};
use crate::message::body::Body;
use crate::message::response::Response;
use crate::policy::{AllowAll, Request, Verdict};
use crate::record::Record;
use crate::transport;
use crate::transport::scripted::{Scripted, pair};
use crate::worker::Shared;

const ASK: &[u8] = b"OPTIONS http://h/ HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n";

fn client() -> Client {
    Client::new("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap())
}

/// Runs a connection; `play` polls it by the closure that it is given, which says whether it ended.
fn play(limits: Limits, wire: usize, play: impl FnOnce(&Worker<AllowAll>, Scripted, &mut dyn FnMut() -> bool)) {
    play_with(AllowAll, limits, wire, play);
}

/// The same with a policy.
fn play_with<P: Policy>(
    policy: P,
    limits: Limits,
    wire: usize,
    play: impl FnOnce(&Worker<P>, Scripted, &mut dyn FnMut() -> bool),
) {
    play_by_turns(policy, limits, wire, |worker, far, poll| {
        // 64 polls are more than anything here needs to come to rest.
        play(worker, far, &mut || (0..64).any(|_| poll()));
    });
}

/// The same, with a closure that polls once.
fn play_by_turns<P: Policy>(
    policy: P,
    limits: Limits,
    wire: usize,
    play: impl FnOnce(&Worker<P>, Scripted, &mut dyn FnMut() -> bool),
) {
    let worker = Worker::new(Arc::new(Shared::new(limits, policy, true)));
    let (near, far) = pair(wire);
    let flow = worker.flows.enter(client().address);
    let mut running = pin!(connection(&worker, near, client(), flow, None));
    let mut cx = Context::from_waker(Waker::noop());
    let mut poll = || matches!(running.as_mut().poll(&mut cx), Poll::Ready(()));
    play(&worker, far, &mut poll);
}

fn requests(worker: &Worker<AllowAll>) -> u32 {
    worker.flows.states()[0].requests
}

fn take_response(far: &Scripted, poll: &mut dyn FnMut() -> bool) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let some = far.take(1);
        assert!(!some.is_empty() || !poll() && !text.is_empty(), "{}", String::from_utf8_lossy(&text));
        text.extend(some);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn request_n_plus_one_waits_until_response_n_is_written() {
    // Room for less than one response: the first is stuck, so nothing behind it is looked at.
    play(Limits::default(), 100, |worker, far, poll| {
        assert!(!poll());
        let asked = ASK.repeat(3);
        let mut sent = 0;
        while sent < asked.len() {
            sent += far.put(&asked[sent..]);
            assert!(!poll());
        }
        assert_eq!(requests(worker), 1, "the second was dispatched before the first was written");
        for n in 1..=3 {
            assert_eq!(requests(worker), n, "exactly one thing resumes");
            assert!(take_response(&far, poll).starts_with("HTTP/1.1 200 OK\r\n"));
            assert!(!poll());
        }
        assert_eq!(worker.flows.states()[0].phase, Phase::Idle);
        assert!(far.take(1).is_empty());
    });
}

#[test]
fn a_client_that_reads_nothing_is_in_the_end_not_read() {
    for buffer in [64, 1000] {
        let limits = Limits { client_buffer: buffer, ..Limits::default() };
        play(limits, 100, |worker, far, poll| {
            assert!(!poll());
            let mut quiet = 0;
            while quiet < 3 {
                quiet = if far.put(ASK) == 0 { quiet + 1 } else { 0 };
                assert!(!poll());
                assert!(far.taken_by_peer() < 10_000, "it is read on and on");
            }
            // What was answered (and is stuck) and what waits behind it, to the byte.
            let answered = u64::from(requests(worker)) * ASK.len() as u64;
            assert_eq!(far.taken_by_peer(), answered + buffer as u64);
            let state = worker.flows.states().remove(0);
            assert_eq!(state.client_paused_by(), Some(PauseCause::Order));
            assert!(state.down.sink_waits.is_some(), "and who holds it up can be seen: {state}");
        });
    }
}

#[test]
fn an_idle_connection_holds_nothing() {
    play(Limits::default(), 1000, |worker, far, poll| {
        far.put(ASK);
        assert!(!poll());
        take_response(&far, poll);
        assert!(!poll());
        worker.flows.sweep(Duration::from_secs(1));
        assert!(!poll());
        let state = worker.flows.states().remove(0);
        assert_eq!((state.phase, state.up.held, state.down.held), (Phase::Idle, 0, 0));
        worker.flows.sweep(Duration::from_secs(62));
        assert!(poll(), "and ends by its deadline");
    });
}

/// The runtime's task is 104 bytes larger than its future, and has a multiple of 128: with 8 bytes more it would be 512.
#[test]
fn who_is_idle_is_small() {
    let (waiting, _) = sizes();
    assert!(waiting <= 280, "{waiting}");
}

#[test]
fn what_does_not_close_cleanly_is_aborted_and_counted() {
    let refused = |closes: bool, limits: Limits, after: u64| {
        let mut aborted = 0;
        play(limits, 1000, |worker, far, poll| {
            far.put(b"nonsense\r\n\r\n");
            assert!(!poll());
            assert!(far.take(1000).starts_with(b"HTTP/1.1 400 "));
            if closes {
                far.end();
            }
            let mut ended = poll();
            for second in 1..=after {
                worker.flows.sweep(Duration::from_secs(second));
                ended |= ended || poll();
            }
            aborted = worker.aborted.load(Relaxed);
            assert_eq!(ended, closes || aborted > 0);
        });
        aborted
    };
    assert_eq!(refused(true, Limits::default(), 30), 0, "a clean close cancels the timer");
    assert_eq!(refused(false, Limits::default(), 14), 0, "not before 15 s");
    assert_eq!(refused(false, Limits::default(), 17), 1);
    assert_eq!(refused(false, Limits { abort_timeout: None, ..Limits::default() }, 60), 0, "off is off");
}

#[test]
fn memory_is_waited_for_and_given_back() {
    let one = Limits::default().bound().total();
    let limits = || Limits { max_memory: Some(one), ..Limits::default() };
    // Taken by another connection: 503 after a second, without a byte having been read.
    play(limits(), 1000, |worker, far, poll| {
        let taken = worker.shared.memory.as_ref().unwrap().try_acquire().unwrap();
        far.put(ASK);
        assert!(!poll());
        assert_eq!((worker.flows.states()[0].phase, far.taken_by_peer()), (Phase::Admitting, 0));
        worker.flows.sweep(Duration::from_millis(1200));
        poll();
        let text = String::from_utf8(far.take(1000)).unwrap();
        assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("\r\nRetry-After: 1\r\n"), "{text}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{text}");
        drop(taken);
    });
    // Free again in time: served; and free again afterwards.
    play(limits(), 1000, |worker, far, poll| {
        let memory = worker.shared.memory.as_ref().unwrap();
        let taken = memory.try_acquire().unwrap();
        far.put(ASK);
        assert!(!poll());
        drop(taken);
        assert!(!poll());
        assert!(take_response(&far, poll).starts_with("HTTP/1.1 200 "));
        assert!(!poll());
        assert_eq!(memory.available_permits(), 1, "an idle connection reserves nothing");
    });
}

/// Of those no byte goes through a pipe.
#[test]
fn who_is_turned_away_gets_a_whole_response() {
    for fault in [Fault::NotAccepted, Fault::TooManyConnections, Fault::Capacity] {
        let text = String::from_utf8(whole(&answer::fault(&fault, "", "sluicegate"))).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{text}");
        assert!(body.contains(&fault.to_string()) && head.ends_with("\r\nConnection: close"), "{text}");
    }
}

/// Answers by itself, and counts: asked, told, bytes that were sent.
struct Answering {
    answer: fn(&Arc<[AtomicUsize; 3]>) -> Verdict,
    counts: Arc<[AtomicUsize; 3]>,
    asleep: bool,
}

impl Answering {
    fn new(answer: fn(&Arc<[AtomicUsize; 3]>) -> Verdict) -> Self {
        Self { answer, counts: Arc::default(), asleep: false }
    }
}

impl Policy for Answering {
    async fn admit(&self, _: &mut Request<'_>, _: &Client) -> Verdict {
        self.counts[0].fetch_add(1, Relaxed);
        if self.asleep {
            std::future::pending::<()>().await;
        }
        (self.answer)(&self.counts)
    }

    fn ended(&self, _: &Record<'_>) {
        self.counts[1].fetch_add(1, Relaxed);
    }
}

fn count(worker: &Worker<Answering>, which: usize) -> usize {
    worker.shared.policy.counts[which].load(Relaxed)
}

const GET: &[u8] = b"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n";

const PIECE: usize = 50;

/// Of 4,000 bytes, as fast as they are taken.
fn pushing(counts: &Arc<[AtomicUsize; 3]>) -> Verdict {
    let counts = Arc::clone(counts);
    let body = Body::push(move |mut sender| async move {
        for _ in 0..80 {
            sender.send(vec![b'x'; PIECE]).await?;
            counts[2].fetch_add(PIECE, Relaxed);
        }
        Ok(())
    });
    Response::new(200, body.with_length(4000)).into()
}

#[test]
fn a_policy_is_asked_in_its_turn_and_told_once() {
    play_with(Answering::new(pushing), Limits::default(), 100, |worker, far, poll| {
        assert!(!poll());
        for turn in 1..=3 {
            // In the way of one wire: the next request is there before the response has been read.
            assert_eq!(far.put(GET), GET.len());
            assert!(!poll());
            assert_eq!(count(worker, 0), 1, "asked too early, in turn {turn}");
        }
        for n in 1..=3 {
            let head = take_response(&far, poll);
            assert!(head.contains("\r\nContent-Length: 4000\r\n"), "{head}");
            let mut got = 0;
            while got < 4000 {
                // The wire holds 100: the rest has not been written.
                let is_written = got >= 3900;
                assert!(is_written || (count(worker, 0), count(worker, 1)) == (n, n - 1), "before it is written");
                got += far.take(4000 - got).len();
                assert!(!poll());
            }
            assert_eq!((count(worker, 0), count(worker, 1)), ((n + 1).min(3), n));
        }
    });
}

#[test]
fn a_push_producer_waits_for_its_client() {
    let limits = Limits { origin_buffer: 200, ..Limits::default() };
    play_with(Answering::new(pushing), limits, 100, |worker, far, poll| {
        far.put(GET);
        let mut got = Vec::new();
        for _ in 0..5000 {
            assert!(!poll());
            // In the wire, in the pipe; what is being sent is not sent yet.
            let head = got.windows(4).position(|w| w == b"\r\n\r\n").map_or(got.len(), |at| at + 4);
            let body = got.len() - head;
            assert!(count(worker, 2) <= body + 100 + 200, "{} sent, {body} read", count(worker, 2));
            got.extend(far.take(7));
        }
        assert!(got.ends_with(&[b'x'; 4000]));
        assert_eq!((count(worker, 1), count(worker, 2)), (1, 4000));
    });
}

#[test]
fn a_policy_is_told_the_end_also_of_what_is_dropped() {
    let counts = Arc::<[AtomicUsize; 3]>::default();
    let policy = Answering { counts: Arc::clone(&counts), asleep: true, ..Answering::new(pushing) };
    play_with(policy, Limits::default(), 100, |_, far, poll| {
        far.put(GET);
        assert!(!poll());
    });
    assert_eq!((counts[0].load(Relaxed), counts[1].load(Relaxed)), (1, 1));
}

#[test]
fn a_policy_is_dropped_when_its_client_goes() {
    for (client_fin, resets) in [(ClientFin::Abort, false), (ClientFin::Abort, true), (ClientFin::Allow, true)] {
        let limits = Limits { client_fin, ..Limits::default() };
        let policy = Answering { asleep: true, ..Answering::new(pushing) };
        play_with(policy, limits, 1000, |worker, far, poll| {
            far.put(GET);
            far.put(GET);
            assert!(!poll());
            assert_eq!((count(worker, 0), worker.flows.states()[0].phase), (1, Phase::Deciding));
            if resets {
                far.reset()
            } else {
                far.end()
            }
            assert!(poll(), "it waits for a policy, for nobody");
            assert_eq!((count(worker, 0), count(worker, 1)), (1, 1));
        });
    }
}

#[test]
fn a_body_longer_than_promised_is_cut_before_its_end() {
    let answer = |_: &Arc<[AtomicUsize; 3]>| {
        let pieces = futures_util::stream::iter([Ok::<_, io::Error>("1234"), Ok("5")]);
        Response::new(200, Body::stream(pieces).with_length(4)).into()
    };
    play_with(Answering::new(answer), Limits::default(), 1000, |_, far, poll| {
        far.put(GET);
        assert!(poll());
        let text = String::from_utf8(far.take(1000)).unwrap();
        assert!(text.ends_with("\r\n\r\n123"), "what looks like all: {text}");
    });
}

/// Answers `/own` itself, with one more body than a move takes, and lets nobody reach an address.
struct Nowhere;

impl Policy for Nowhere {
    async fn admit(&self, request: &mut Request<'_>, _: &Client) -> Verdict {
        match request.head().target().ends_with(b"/own") {
            true => Verdict::Answer(Response::new(404, "x".repeat(40_000))),
            false => Verdict::Forward(crate::policy::Route::target()),
        }
    }

    fn address(&self, _: &Client, _: std::net::SocketAddr) -> Result<(), Fault> {
        Err(Fault::Denied("nowhere".to_owned()))
    }
}

/// One client's requests, each answered without waiting for anybody, hold the worker.
#[test]
fn no_connection_starves_the_others() {
    let get = |url: &str| format!("GET {url} HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n");
    let trace = "TRACE http://h/ HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n".to_owned();
    // Dialling asks for its timer.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let kinds = [
        (String::from_utf8(ASK.to_vec()).unwrap(), 64 * 1024),
        (trace, 64 * 1024),
        // Denied, before anybody is dialled; and so small a buffer that a head takes many reads.
        (get("http://127.0.0.1:1/"), 64 * 1024),
        (get("http://127.0.0.1:1/"), 7),
        (get("http://127.0.0.1:1/own"), 64 * 1024),
        // Refused, and nothing behind it is more than thrown away.
        ("nonsense\r\n\r\n".to_owned(), 7),
        ("\r\n".to_owned(), 64),
    ];
    for (request, buffer) in kinds {
        let limits = Limits { client_buffer: buffer, ..Limits::default() };
        play_by_turns(Nowhere, limits, 1 << 24, |worker, far, poll| {
            let asked = request.repeat(500);
            assert_eq!(far.put(asked.as_bytes()), asked.len());
            let count = || worker.flows.states()[0].requests;
            let most = u64::from(crate::flow::MOVES);
            let mut before = (0, 0, 0);
            for turn in 0.. {
                assert!(turn < 200_000 && !poll(), "{request:?}: it ends, or nothing moves");
                let now = (u64::from(count()), far.taken_by_peer(), far.given_by_peer());
                assert!(now.0 - before.0 <= most, "{request:?}: {} requests in one turn", now.0 - before.0);
                assert!(now.1 - before.1 <= most * buffer as u64, "{request:?}: {} bytes", now.1 - before.1);
                assert!(now.2 - before.2 <= 2 * 256 * 1024, "{request:?}: {} bytes of answers", now.2 - before.2);
                if now.1 == asked.len() as u64 && now == before {
                    break;
                }
                before = now;
                far.take(usize::MAX);
            }
        });
    }
}

/// A stream that says that it is readable whether it is or not, and counts how often it is read.
struct Hinting(Scripted, AtomicUsize);

impl Transport for Hinting {
    fn poll_read(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Relaxed);
        self.0.poll_read(cx, room)
    }

    fn poll_write(&self, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, parts)
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }

    async fn hangup(&self, watch: transport::Watch) -> transport::Hangup {
        self.0.hangup(watch).await
    }

    fn is_stale(&self, peek: bool) -> bool {
        self.0.is_stale(peek)
    }

    fn abort(&self) {
        self.0.abort();
    }
}

/// TLS cannot say goodbye to a client that reads nothing: its connection ends all the same.
#[test]
fn a_last_word_that_is_not_taken_is_not_waited_for_for_ever() {
    play(Limits::default(), 1000, |worker, far, poll| {
        far.let_say_goodbye();
        far.put(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(!poll());
        assert_eq!(worker.flows.states()[0].phase, Phase::Closing);
        worker.flows.sweep(Duration::from_secs(6));
        assert!(!poll(), "it lingers, and then waits for the client's end");
        worker.flows.sweep(Duration::from_secs(17));
        assert!(poll() && worker.aborted.load(Relaxed) == 1, "and then it is reset");
    });
}

/// One that hints in vain spins the processor, or is never found idle.
#[test]
fn a_stream_that_hints_in_vain_is_waited_for() {
    let worker = Worker::new(Arc::new(Shared::new(Limits::default(), AllowAll, true)));
    let (near, far) = pair(1000);
    let near = Arc::new(Hinting(near, AtomicUsize::new(0)));
    let flow = worker.flows.enter(client().address);
    let cx = Cx { worker: &worker, client: &*near, who: &client(), flow: &flow };
    let mut running = pin!(wait_and_serve(&cx));
    let mut context = Context::from_waker(Waker::noop());
    for n in 1..=3 {
        assert!(running.as_mut().poll(&mut context).is_pending());
        far.put(ASK);
        for _ in 0..4 {
            assert!(running.as_mut().poll(&mut context).is_pending());
        }
        assert!(far.take(1000).starts_with(b"HTTP/1.1 200 OK\r\n"));
        let reads = near.1.load(Relaxed);
        assert!(reads <= 12 * n, "{reads} reads for {n} requests");
    }
    let mut ended = false;
    for second in 0..70 {
        worker.flows.sweep(Duration::from_secs(second));
        ended = ended || running.as_mut().poll(&mut context).is_ready();
    }
    assert!(ended, "it is never idle for too long");
}

/// An idle connection says who made the last answer.
#[test]
fn nobody_feeds_an_idle_connection() {
    play_with(Answering::new(pushing), Limits::default(), 1 << 16, |worker, far, poll| {
        far.put(GET);
        assert!(!poll());
        assert!(far.take(1 << 16).ends_with(b"xxx"));
        assert!(!poll());
        let state = worker.flows.states().remove(0);
        assert_eq!((state.phase, state.source), (Phase::Idle, crate::flow::BodySource::None));
    });
}
