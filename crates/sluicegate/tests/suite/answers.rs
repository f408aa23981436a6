//! Answers of a policy's own: framing, flow control, and how they end.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::support::{End, Serving, eventually, noise, same, settled};
use sluicegate::flow::BodySource;
use sluicegate::{Body, Client, Ended, Limits, Policy, Proxy, Record, Request, Response, Sender, Verdict};

const ASK: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Answers each request by what it makes, and keeps what it is told.
struct Making<F>(F, Arc<Mutex<Vec<(Ended, String)>>>);

impl<F: Fn(&Request<'_>) -> Response + Send + Sync + 'static> Policy for Making<F> {
    async fn admit(&self, request: &mut Request<'_>, _: &Client) -> Verdict {
        self.0(request).into()
    }

    fn ended(&self, record: &Record<'_>) {
        let fault = record.fault.map(ToString::to_string).unwrap_or_default();
        self.1.lock().unwrap().push((record.ended, fault));
    }
}

fn making<F: Fn(&Request<'_>) -> Response + Send + Sync + 'static>(make: F) -> Serving<Making<F>> {
    Serving::with(Making(make, Arc::default()))
}

/// A stream of these pieces.
fn pieces(pieces: &'static [&'static str]) -> impl futures_util::Stream<Item = io::Result<&'static str>> + Send {
    futures_util::stream::iter(pieces.iter().map(|piece| Ok(*piece)))
}

/// A response with each kind of body.
fn of_each_kind(request: &Request<'_>) -> Response {
    match request.path_and_query() {
        "/text" => Response::new(200, "text"),
        "/bytes" => Response::new(200, b"bytes".to_vec()),
        "/reader" => Response::new(200, Body::reader(&b"reader"[..])),
        "/sized" => Response::new(200, Body::reader(&b"sized"[..]).with_length(5)),
        "/stream" => Response::new(200, Body::stream(pieces(&["st", "", "ream"]))),
        "/push" => Response::new(
            200,
            Body::push(|mut sender| async move {
                for piece in ["p", "", "ush"] {
                    sender.send(piece).await?;
                }
                Ok(())
            }),
        ),
        "/channel" => {
            let (mut sender, body) = Body::channel();
            tokio::spawn(async move {
                // To a HEAD nobody takes it.
                if sender.send("channel").await.is_ok() {
                    sender.finish();
                }
            });
            Response::new(200, body)
        }
        "/nothing" => Response::new(204, "dropped"),
        "/unmodified" => Response::new(304, "dropped"),
        _ => Response::new(200, ()),
    }
}

/// A body that is framed wrongly makes the next response part of this one.
#[test]
fn every_kind_is_framed_for_its_client() {
    let serving = making(of_each_kind);
    let mut client = serving.client();
    for (path, length) in [
        ("text", Some("4")),
        ("bytes", Some("5")),
        ("reader", None),
        ("sized", Some("5")),
        ("stream", None),
        ("push", None),
        ("channel", None),
    ] {
        client.send(format!("GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let answer = client.response("GET");
        assert_eq!((answer.status(), answer.text()), (200, path));
        assert_eq!(answer.field("content-length"), length, "{path}");
        assert_eq!(answer.field("transfer-encoding"), length.is_none().then_some("chunked"), "{path}");
        assert!(answer.field("date").is_some() && answer.field("connection").is_none());
        client.send(format!("HEAD /{path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let head = client.response("HEAD");
        assert_eq!((head.status(), head.field("content-length")), (200, length), "{path}");
        let mut old = serving.client();
        old.send(format!("GET /{path} HTTP/1.0\r\n\r\n"));
        let (all, end) = old.rest();
        let text = String::from_utf8(all).unwrap();
        assert!(text.ends_with(&format!("\r\n\r\n{path}")) && !text.contains("chunked"), "{text}");
        assert_eq!((end, text.contains("\r\nConnection: close\r\n")), (End::Fin, true));
    }
    for (path, status) in [("nothing", 204), ("unmodified", 304), ("empty", 200)] {
        client.send(format!("GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let answer = client.response("GET");
        assert_eq!((answer.status(), answer.body.len()), (status, 0));
    }
    // Of a request with a body nobody knows where it ends.
    client.send("POST /text HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response("POST").field("connection"), Some("close"));
    assert_eq!(client.end(), End::Fin);
}

/// What cannot be sent is sent in part, or says nothing.
#[test]
fn a_mistake_of_the_policy_is_a_500_that_says_so() {
    let serving = making(|request| match request.path_and_query() {
        "/1xx" => Response::new(103, ()),
        "/length" => Response::new(200, ()).field("Content-Length", "5"),
        "/split" => Response::new(200, ()).field("X", "a\r\nSet-Cookie: b"),
        "/reason" => Response::new(403, ()).reason("No\r\nSet-Cookie: b"),
        "/reasons" => Response::new(403, ()).reason("é".repeat(100)),
        "/none" => Response::new(403, ()).reason(""),
        _ => Response::new(200, ()).field("X", "x".repeat(20_000)),
    });
    for (path, says) in [
        ("/1xx", "final status"),
        ("/length", "framed"),
        ("/split", "control character"),
        ("/reason", "valid reason phrase"),
        ("/reasons", "valid reason phrase"),
        ("/none", "valid reason phrase"),
        ("/large", "16384 bytes"),
    ] {
        let answer = serving.ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(answer.status(), 500);
        assert!(answer.text().contains(says), "{}", answer.text());
    }
    assert!(serving.proxy.policy().1.lock().unwrap().iter().all(|(ended, _)| *ended == Ended::PolicyFailed));
}

/// A body that is cut, or longer than was said, looks complete.
#[test]
fn a_body_that_is_not_as_promised_never_looks_complete() {
    let cut = |mut sender: Sender| async move {
        sender.send("some").await?;
        Err(io::Error::other("broken"))
    };
    let serving = making(move |request| match request.path_and_query() {
        "/short" => Response::new(200, Body::reader(&b"four"[..]).with_length(5)),
        "/long" => Response::new(200, Body::reader(&b"sixsix"[..]).with_length(5)),
        "/long-one" => Response::new(200, Body::stream(pieces(&["a", "b"])).with_length(1)),
        "/broken" => Response::new(200, Body::push(cut)),
        "/stream" => {
            let broken = futures_util::stream::iter([Ok("some"), Err(io::Error::other("broken"))]);
            Response::new(200, Body::stream(broken))
        }
        _ => {
            let (mut sender, body) = Body::channel();
            tokio::spawn(async move { sender.send("some").await });
            Response::new(200, body)
        }
    });
    for path in ["/short", "/long", "/long-one", "/broken", "/stream", "/dropped"] {
        for version in ["1.1", "1.0"] {
            let mut client = serving.client();
            client.send(format!("GET {path} HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n"));
            let (all, end) = client.rest();
            let text = String::from_utf8_lossy(&all).into_owned();
            if path.starts_with("/long") {
                // Seen before anything was said.
                assert!(text.starts_with("HTTP/1.1 500 ") && end == End::Fin, "{path}: {text}");
                continue;
            }
            assert_eq!(end, End::Reset, "{path}: {text}");
            assert!(!text.ends_with("0\r\n\r\n"), "{path}: {text}");
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && head.contains("Content-Length: ")
            {
                assert!(!head.contains(&format!("Content-Length: {}\r\n", body.len())), "{path}: {text}");
            }
        }
    }
    eventually("all are told", || serving.proxy.policy().1.lock().unwrap().len() == 12);
    let told = serving.proxy.policy().1.lock().unwrap();
    assert!(
        told.iter().all(|(ended, fault)| *ended == Ended::PolicyFailed && fault.contains("answer failed")),
        "{told:?}"
    );
    assert!(told.iter().filter(|(_, fault)| fault.contains("longer than its promised")).count() == 4, "{told:?}");
}

/// A client that gets nothing but a reset sends its request again.
#[test]
fn a_body_that_fails_at_once_is_a_500() {
    let serving = making(|request| {
        let failing = futures_util::stream::iter([Err::<bytes::Bytes, _>(io::Error::other("no such file"))]);
        let body = Body::stream(failing);
        Response::new(200, if request.path_and_query() == "/length" { body.with_length(5) } else { body })
    });
    let mut client = serving.client();
    for path in ["/length", "/chunks"] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let response = client.response("GET");
        assert_eq!((response.status(), response.field("connection")), (500, None));
        assert!(response.text().contains("no such file"), "{}", response.text());
    }
    eventually("both are told", || serving.proxy.policy().1.lock().unwrap().len() == 2);
    assert!(serving.proxy.policy().1.lock().unwrap().iter().all(|(ended, _)| *ended == Ended::PolicyFailed));
}

/// A client believes that its tunnel is open and speaks TLS to nobody; or it waits for the content of a 205, or takes it for
/// the next response.
#[test]
fn statuses_that_mean_more_are_kept_to() {
    let serving = making(|request| Response::new(if request.method() == "CONNECT" { 200 } else { 205 }, "text"));
    let mut client = serving.client();
    for _ in 0..2 {
        client.send("GET /reset HTTP/1.1\r\nHost: x\r\n\r\n");
        let response = client.head().unwrap();
        assert_eq!((response.status(), response.field("content-length")), (205, Some("0")), "{}", response.head);
    }
    let mut client = serving.client();
    client.send("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n");
    let response = client.response("GET");
    assert_eq!(response.status(), 500);
    assert!(response.text().contains("leads nowhere"), "{}", response.text());
}

/// The longest that is allowed, and the next.
#[test]
fn a_reason_phrase_may_be_ones_own() {
    let serving = making(|request| {
        let reason = if request.path_and_query() == "/long" { "~".repeat(128) } else { "Not Here".to_owned() };
        Response::new(404, ()).reason(reason)
    });
    for (path, reason) in [("/", "Not Here"), ("/long", &"~".repeat(128))] {
        let answer = serving.ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(answer.head.starts_with(&format!("HTTP/1.1 404 {reason}\r\n")), "{}", answer.head);
    }
    assert!(Response::new(200, ()).reason("~".repeat(129)).check().is_err());
}

/// What a push producer did.
#[derive(Default)]
struct Produced {
    sent: AtomicU64,
    /// Of the sends that have begun.
    begun: AtomicU64,
    paused: AtomicUsize,
    resumed: AtomicUsize,
    over: AtomicBool,
}

const PIECE: usize = 16 * 1024;

/// Sends all of it, and says how far it is.
fn producer(noise: bytes::Bytes, produced: &Arc<Produced>) -> Body {
    let (total, produced) = (noise.len(), Arc::clone(produced));
    Body::push(move |mut sender| async move {
        struct Over(Arc<Produced>);
        impl Drop for Over {
            fn drop(&mut self) {
                self.0.over.store(true, SeqCst);
            }
        }
        let over = Over(produced);
        for at in (0..total).step_by(PIECE) {
            let piece = noise.slice(at..(at + PIECE).min(total));
            let n = piece.len() as u64;
            if sender.is_paused() {
                over.0.paused.fetch_add(1, SeqCst);
                sender.resumed().await?;
                over.0.resumed.fetch_add(1, SeqCst);
            }
            over.0.begun.fetch_add(n, SeqCst);
            sender.send(piece).await?;
            over.0.sent.fetch_add(n, SeqCst);
        }
        Ok(())
    })
}

/// More is in memory than the bound: what was sent, and has not been written to the client.
#[test]
fn a_push_producer_sends_as_fast_as_its_client_reads() {
    // The whole of it: SLUICEGATE_PUSH=256 cargo test --release -p sluicegate --test answers push
    let mib = std::env::var("SLUICEGATE_PUSH").map_or(24, |n| n.parse().unwrap());
    let total: usize = mib << 20;
    let produced = Arc::new(Produced::default());
    let (one, whole) = (Arc::clone(&produced), bytes::Bytes::from(noise(total, 7)));
    let sent = whole.clone();
    let policy = move |_: &mut Request<'_>, _: &Client| Response::new(200, producer(sent.clone(), &one)).into();
    let serving = Serving::start(Proxy::builder().limits(Limits::default()).policy(policy));
    let mut client = serving.client();
    client.send(ASK);
    eventually("it sends", || produced.sent.load(SeqCst) > 0);
    settled("the producer waits", || produced.sent.load(SeqCst));
    assert!(produced.sent.load(SeqCst) < total as u64 / 2, "it does not wait for its client");
    let state = serving.proxy.connections().remove(0);
    assert_eq!(state.source, BodySource::Push);
    assert!(state.down.sink_waits.is_some(), "and who holds it up can be seen: {state}");
    // Pieces of the body, each in its time: 32 MiB/s.
    let (begin, mut most, mut got) = (Instant::now(), 0, Vec::with_capacity(total + (total >> 6)));
    while !got.ends_with(b"\r\n0\r\n\r\n") {
        got.extend(client.exactly(256 * 1024));
        // First what has left, then what was begun: so the difference is never too small.
        if let Some(state) = serving.proxy.connections().first() {
            let (given, begun) = (state.down.given, produced.begun.load(SeqCst));
            most = most.max(begun.saturating_sub(given));
        }
        let due = Duration::from_secs_f64(got.len() as f64 / (32 << 20) as f64);
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
        if got.len() >= total {
            got.extend(client.until(b"\r\n0\r\n\r\n").unwrap());
        }
    }
    let rate = total as f64 / begin.elapsed().as_secs_f64() / f64::from(1 << 20);
    // The pipe, the piece that is being sent; and between the two looks above it may write some more.
    let bound = Limits::default().origin_buffer + PIECE;
    println!("{mib} MiB at {rate:.0} MiB/s: at most {most} bytes of {bound} held");
    println!("paused {} times", produced.paused.load(SeqCst));
    assert!(most <= bound as u64 + RACE, "{most} bytes held, of {bound}");
    assert!(produced.paused.load(SeqCst) > 0 && produced.resumed.load(SeqCst) > 0);
    let at = got.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    same("the body", &unchunked(&got[at..]), &whole);
    eventually("it is over", || produced.over.load(SeqCst));
}

/// What the proxy may write between the test's two looks at it: some turns of the pump.
const RACE: u64 = 4 * 16 * 1024;

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    loop {
        let end = bytes.windows(2).position(|w| w == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return out;
        }
        out.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 4 + size..];
    }
}

/// A producer goes on for a client that has left.
#[test]
fn a_producer_learns_at_once_that_its_client_has_gone() {
    for reads in [true, false] {
        let produced = Arc::new(Produced::default());
        let (one, learned) = (Arc::clone(&produced), Arc::new(AtomicUsize::new(0)));
        let whole = bytes::Bytes::from(vec![0; 64 << 20]);
        let learns = Arc::clone(&learned);
        let policy = move |request: &mut Request<'_>, _: &Client| {
            if request.path_and_query() == "/push" {
                return Response::new(200, producer(whole.clone(), &one)).into();
            }
            let (mut sender, body) = Body::channel();
            let learns = Arc::clone(&learns);
            tokio::spawn(async move {
                while sender.send(vec![b'x'; PIECE]).await.is_ok() {}
                sender.gone().await;
                assert!(sender.resumed().await.is_err() && sender.is_paused());
                learns.fetch_add(1, SeqCst);
            });
            Response::new(200, body).into()
        };
        let serving = Serving::with(policy);
        let clients = ["/push", "/channel"].map(|path| {
            let mut client = serving.client();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
            client.exactly(if reads { 1 << 20 } else { 1 });
            client
        });
        settled("the producer waits", || produced.sent.load(SeqCst));
        assert!(!produced.over.load(SeqCst) && learned.load(SeqCst) == 0);
        let left = Instant::now();
        for client in clients {
            client.reset();
        }
        eventually("both know", || produced.over.load(SeqCst) && learned.load(SeqCst) == 1);
        assert!(left.elapsed() < Duration::from_millis(500), "{:?}", left.elapsed());
        eventually("nothing is left", || serving.proxy.connection_count() == 0);
    }
}

/// A reader is polled although there is no room for what it gives.
#[test]
fn a_pull_producer_is_asked_only_while_there_is_room() {
    struct Endless(Arc<AtomicU64>);
    impl tokio::io::AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            room: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let n = room.remaining().min(100_000);
            assert!(n > 0, "asked without room");
            room.initialize_unfilled_to(n).fill(b'x');
            room.advance(n);
            self.0.fetch_add(n as u64, SeqCst);
            Poll::Ready(Ok(()))
        }
    }
    let asked = Arc::new(AtomicU64::new(0));
    let one = Arc::clone(&asked);
    let policy =
        move |_: &mut Request<'_>, _: &Client| Response::new(200, Body::reader(Endless(Arc::clone(&one)))).into();
    let serving = Serving::with(policy);
    let mut client = serving.client();
    client.send(ASK);
    let at_rest = settled("it is not asked any more", || asked.load(SeqCst));
    let state = serving.proxy.connections().remove(0);
    assert_eq!(state.source, BodySource::Pull);
    assert!(at_rest - state.down.given.min(at_rest) <= Limits::default().origin_buffer as u64, "{state}");
    client.exactly(8 << 20);
    eventually("it is asked again", || asked.load(SeqCst) > at_rest + (4 << 20));
}

/// A client that pipelines and does not read makes the proxy produce on and on.
#[test]
fn answers_are_produced_one_after_the_other() {
    let asked = Arc::new(AtomicUsize::new(0));
    let one = Arc::clone(&asked);
    let serving = making(move |_| {
        one.fetch_add(1, SeqCst);
        Response::new(
            200,
            Body::push(|mut sender| async move {
                for _ in 0..512 {
                    sender.send(vec![b'x'; PIECE]).await?;
                }
                Ok(())
            }),
        )
    });
    let mut client = serving.client();
    client.send(ASK.repeat(3));
    settled("the client is full", || serving.proxy.connections().first().map_or(0, |state| state.down.given));
    assert_eq!(asked.load(SeqCst), 1);
    for n in 1..=3 {
        assert_eq!(client.response("GET").body.len(), 512 * PIECE);
        assert!(asked.load(SeqCst) <= n + 1);
    }
}

/// Who never sends, or never reads, is never given up; or the wrong one is blamed.
#[test]
fn a_body_that_stands_still_ends_by_whose_turn_it_was() {
    let mut limits = Limits::default();
    limits.body_timeout = Some(Duration::from_millis(300));
    let make = |request: &Request<'_>| match request.path_and_query() {
        "/silent" => Response::new(
            200,
            Body::push(|mut sender| async move {
                sender.send("some").await?;
                std::future::pending().await
            }),
        ),
        _ => Response::new(200, vec![b'x'; 64 << 20]),
    };
    let told = Arc::default();
    let serving = Serving::start(Proxy::builder().limits(limits).policy(Making(make, Arc::clone(&told))));
    let mut client = serving.client();
    client.send("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.rest().1, End::Reset);
    let client = serving.client();
    client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("both are told", || told.lock().unwrap().len() == 2);
    let told: Vec<Ended> = told.lock().unwrap().iter().map(|(ended, _)| *ended).collect();
    assert_eq!(told, [Ended::PolicyFailed, Ended::Deadline]);
    drop(client);
}

/// Many a stream panics if it is asked again after its end; and one that waits before each item is asked then.
#[test]
fn a_stream_is_not_asked_after_its_end() {
    let slow = |count: usize, then: fn() -> Option<io::Result<&'static str>>| {
        futures_util::stream::unfold(0, move |n| async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let item = if n < count { Some(Ok("piece")) } else { then() };
            item.map(|item| (item, n + 1))
        })
    };
    let whole = making(move |_| Response::new(200, Body::stream(slow(3, || None))));
    let mut client = whole.client();
    client.send(ASK);
    assert_eq!(client.response("GET").body, b"piecepiecepiece");
    assert_eq!(whole.proxy.panicked(), 0);
    let failing = making(move |_| {
        Response::new(200, Body::stream(slow(1, || Some(Err(io::Error::other("the database is down"))))))
    });
    let mut client = failing.client();
    client.send(ASK);
    assert_eq!(client.rest().1, End::Reset);
    eventually("it is told", || !failing.proxy.policy().1.lock().unwrap().is_empty());
    let told = failing.proxy.policy().1.lock().unwrap()[0].1.clone();
    assert!(told.contains("the database is down"), "{told}");
}

#[test]
fn an_answer_may_ask_for_credentials() {
    let serving = making(|_| Response::new(407, "who?\n").field("Proxy-Authenticate", "Basic realm=\"x\""));
    let mut client = serving.client();
    client.send(ASK);
    let answer = client.response("GET");
    assert_eq!((answer.status(), &*answer.body), (407, &b"who?\n"[..]));
    assert!(answer.head.contains("\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"));
}

/// A stream that buffers is told to send what it holds, also if it cannot at once.
#[tokio::test]
async fn a_buffered_stream_gives_all_of_it() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream, duplex};
    let proxy =
        Proxy::builder().policy(|_: &mut Request<'_>, _: &Client| Verdict::from(Response::new(200, "x".repeat(300))));
    let proxy = proxy.build().unwrap();
    let (mut client, theirs) = duplex(64);
    let theirs = sluicegate::transport::Stream::new(BufStream::new(theirs));
    tokio::spawn(async move { proxy.serve_connection(theirs, Client::in_process()).await });
    client.write_all(format!("{}Connection: close\r\n\r\n", &ASK[..ASK.len() - 2]).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut got = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), client.read_to_end(&mut got)).await.unwrap().unwrap();
    assert!(got.ends_with("x".repeat(300).as_bytes()), "{} bytes", got.len());
}
