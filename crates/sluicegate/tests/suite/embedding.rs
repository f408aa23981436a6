//! The library as its user embeds it: any listener, any stream, any runtime, any origin.

use std::future::{Future, IntoFuture};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{Origin, PATIENCE, noise, ok, same};
use sluicegate::{
    AllowAll, Client, Connected, Connecting, Connector, Dial, Fault, Limits, Policy, Proxy, Request, Response, Route,
    Verdict,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Runs it on a runtime of each flavour.
pub(crate) fn on_both<F: Future<Output = ()> + Send + 'static>(test: impl Fn() -> F) {
    for mut builder in [tokio::runtime::Builder::new_current_thread(), tokio::runtime::Builder::new_multi_thread()] {
        let runtime = builder.enable_all().build().unwrap();
        runtime.block_on(async {
            let done = tokio::spawn(test());
            tokio::time::timeout(PATIENCE, done).await.unwrap().unwrap();
        });
    }
}

pub(crate) async fn until(stream: &mut (impl AsyncRead + Unpin + ?Sized), mark: &[u8]) -> String {
    let mut all = Vec::new();
    while !all.ends_with(mark) {
        let byte = stream.read_u8().await.unwrap_or_else(|_| panic!("ended: {}", String::from_utf8_lossy(&all)));
        all.push(byte);
    }
    String::from_utf8(all).unwrap()
}

/// The example grows until nobody calls it three lines.
#[test]
fn the_minimal_example_has_at_most_three_statements() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/minimal.rs")).unwrap();
    let body = text.split_once("async fn main").unwrap().1.split_once("{\n").unwrap().1.rsplit_once('}').unwrap().0;
    let statements = body.split(';').filter(|statement| !statement.trim().is_empty()).count();
    assert!((1..=3).contains(&statements), "{statements} in {body:?}");
}

/// A listener that is bound "as usual" is not taken.
#[test]
fn any_listener_is_served() {
    on_both(|| async {
        let origin = Origin::answering(|_| ok("served"));
        let std = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let tokio = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Proxy::new();
        let (std, tokio) = (proxy.serve(std), proxy.serve(tokio));
        let addresses = [std.local_addr().unwrap(), tokio.local_addr().unwrap()];
        tokio::spawn(std.into_future());
        tokio::spawn(tokio.into_future());
        for address in addresses {
            let mut client = TcpStream::connect(address).await.unwrap();
            let ask = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/"));
            client.write_all(ask.as_bytes()).await.unwrap();
            assert!(until(&mut client, b"served").await.starts_with("HTTP/1.1 200 OK\r\n"));
        }
    });
}

/// A stop cuts off what runs, or never comes to its end.
#[test]
fn a_graceful_shutdown_lets_what_runs_finish() {
    on_both(|| async {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = Mutex::new(released);
        let origin = Origin::start(move |_, wire| {
            wire.request();
            let _ = released.lock().unwrap().recv();
            wire.send(ok("served"));
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = Proxy::new().serve(listener).with_graceful_shutdown(async { drop(stopped.await) });
        let address = serve.local_addr().unwrap();
        let serving = tokio::spawn(serve.into_future());
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut idle = TcpStream::connect(address).await.unwrap();
        let ask = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/"));
        client.write_all(ask.as_bytes()).await.unwrap();
        while origin.connections() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stop.send(()).unwrap();
        assert_eq!(idle.read(&mut [0]).await.unwrap(), 0, "who asks for nothing is let go");
        assert!(!serving.is_finished() && TcpStream::connect(address).await.is_err());
        release.send(()).unwrap();
        assert!(until(&mut client, b"served").await.contains("\r\nConnection: close\r\n"));
        drop(client);
        serving.await.unwrap().unwrap();
    });
}

/// What runs for ever keeps the process for ever.
#[test]
fn a_graceful_shutdown_may_have_an_end() {
    on_both(|| async {
        let origin = Origin::start(|_, wire| drop(wire.rest()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = Proxy::new().serve(listener).with_graceful_shutdown(async { drop(stopped.await) });
        let address = serve.local_addr().unwrap();
        let serving = tokio::spawn(serve.shutdown_timeout(Duration::from_millis(50)).into_future());
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/")).as_bytes()).await.unwrap();
        while origin.connections() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
        assert!(client.read(&mut [0]).await.is_err(), "what did not finish does not look finished");
    });
}

/// A stream that somebody else accepted is served; a deadline passes also where no listener turns the clock.
#[test]
fn any_stream_is_served_and_its_deadlines_pass() {
    on_both(|| async {
        let origin = Origin::answering(|_| ok("served"));
        let mut limits = Limits::default();
        limits.idle_timeout = Some(Duration::from_millis(150));
        let proxy = Proxy::builder().limits(limits).build().unwrap();
        let ask = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/"));
        // Twice, with a rest between: the clock starts anew.
        for _ in 0..2 {
            let (mut near, far) = tokio::io::duplex(100);
            let one = proxy.clone();
            let serving = tokio::spawn(async move { one.serve_connection(far, Client::in_process()).await });
            near.write_all(ask.as_bytes()).await.unwrap();
            assert!(until(&mut near, b"served").await.starts_with("HTTP/1.1 200 OK\r\n"));
            let begin = Instant::now();
            assert_eq!(near.read(&mut [0]).await.unwrap(), 0, "idle for too long");
            assert!(begin.elapsed() > Duration::from_millis(100));
            serving.await.unwrap().unwrap();

            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, peer) = listener.accept().await.unwrap();
            let who = Client::new(peer, listener.local_addr().unwrap());
            let one = proxy.clone();
            let serving = tokio::spawn(async move { one.serve_connection(stream, who).await });
            client.write_all(ask.as_bytes()).await.unwrap();
            assert!(until(&mut client, b"served").await.starts_with("HTTP/1.1 200 OK\r\n"));
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "idle for too long");
            serving.await.unwrap().unwrap();
            assert_eq!(proxy.connection_count(), 0);
        }
    });
}

/// A connection outlives the future that accepted it, and nobody looks at its deadline.
#[test]
fn deadlines_pass_when_nobody_accepts_any_more() {
    on_both(|| async {
        let mut limits = Limits::default();
        limits.idle_timeout = Some(Duration::from_millis(150));
        let proxy = Proxy::builder().limits(limits).build().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let serve = proxy.serve(listener);
        let address = serve.local_addr().unwrap();
        let serving = tokio::spawn(serve.into_future());
        let mut client = TcpStream::connect(address).await.unwrap();
        while proxy.connection_count() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        serving.abort();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "idle for too long");
    });
}

/// The first runtime stands still, or has ended, and with it the deadlines of those who are served elsewhere.
#[test]
fn deadlines_pass_whatever_becomes_of_the_first_runtime() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for ends in [false, true] {
        let mut limits = Limits::default();
        limits.idle_timeout = Some(Duration::from_secs(1));
        let proxy = Proxy::builder().limits(limits).build().unwrap();
        let (_first, theirs) = tokio::io::duplex(100);
        let (one, first) = (proxy.clone(), runtime());
        first.block_on(async move {
            tokio::spawn(async move { one.serve_connection(theirs, Client::in_process()).await });
            tokio::task::yield_now().await;
        });
        let elsewhere = std::thread::spawn(move || {
            runtime().block_on(async move {
                let (_mine, theirs) = tokio::io::duplex(100);
                let served = proxy.serve_connection(theirs, Client::in_process());
                tokio::time::timeout(PATIENCE, served).await.is_ok()
            })
        });
        if ends {
            std::thread::sleep(Duration::from_millis(300));
            drop(first);
        }
        assert!(elsewhere.join().unwrap(), "an idle client of 1 s is still there after {PATIENCE:?}; ended: {ends}");
    }
}

/// Some stranger gets in by a way that `accept` does not guard, or over the limit.
#[test]
fn a_stream_is_accepted_like_any_client() {
    struct Nobody;
    impl Policy for Nobody {
        fn accept(&self, _: &Client) -> bool {
            false
        }
    }
    on_both(|| async {
        let proxy = Proxy::builder().policy(Nobody).build().unwrap();
        let (mut near, far) = tokio::io::duplex(1000);
        proxy.serve_connection(far, Client::in_process()).await.unwrap();
        assert!(until(&mut near, b"to allow it.\n").await.starts_with("HTTP/1.1 403 "));
        let mut limits = Limits::default();
        limits.max_connections = 1;
        let proxy = Proxy::builder().limits(limits).build().unwrap();
        let (first, far) = tokio::io::duplex(1000);
        let one = proxy.clone();
        let serving = tokio::spawn(async move { one.serve_connection(far, Client::in_process()).await });
        while proxy.connection_count() == 0 {
            tokio::task::yield_now().await;
        }
        let (mut second, far) = tokio::io::duplex(1000);
        let two = proxy.clone();
        let waiting = tokio::spawn(async move { two.serve_connection(far, Client::in_process()).await });
        second.write_all(b"OPTIONS http://h/ HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n").await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(50), second.read_u8()).await.is_err(), "one too many");
        drop(first);
        serving.await.unwrap().unwrap();
        assert!(until(&mut second, b"\r\n\r\n").await.starts_with("HTTP/1.1 200 OK\r\n"));
        drop(second);
        waiting.await.unwrap().unwrap();
    });
}

/// Something is shared by all proxies of a process.
#[test]
fn proxies_of_one_process_share_nothing() {
    on_both(|| async {
        let inner = Proxy::builder().policy(answering("inner")).build().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let serve = inner.serve(listener);
        let address = serve.local_addr().unwrap();
        tokio::spawn(serve.into_future());
        // Each is an origin to the other, not a loop.
        let outer = Proxy::new();
        let (mut near, far) = tokio::io::duplex(1000);
        let one = outer.clone();
        tokio::spawn(async move { one.serve_connection(far, Client::in_process()).await });
        near.write_all(format!("GET http://{address}/ HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        assert!(until(&mut near, b"inner").await.starts_with("HTTP/1.1 200 OK\r\n"));
        assert_eq!((outer.connection_count(), inner.connection_count()), (1, 1));
    });
}

fn answering(text: &'static str) -> impl Policy {
    move |_: &mut Request<'_>, _: &Client| Verdict::Answer(Response::new(200, text))
}

/// Origins in this process: each connection is served by what it is given.
struct InMemory<F> {
    serve: F,
    asked: Arc<Mutex<Vec<String>>>,
}

impl<F, R> Connector for InMemory<F>
where
    F: Fn(DuplexStream) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    fn connect<'a>(&'a self, dial: Dial<'a>) -> Connecting<'a> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(dial.to_string());
            let (near, far) = tokio::io::duplex(300);
            tokio::spawn((self.serve)(far));
            Ok(Connected::named_by_operator(near, None))
        })
    }
}

/// A harness that needs sockets for what is between two tasks.
#[test]
fn an_origin_in_memory_is_reached_over_a_duplex() {
    on_both(|| async {
        let asked = Arc::default();
        let body = noise(100_000, 3);
        let sent = body.clone();
        let serve = move |mut stream: DuplexStream| {
            let sent = sent.clone();
            async move {
                until(&mut stream, b"\r\n\r\n").await;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sent.len());
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&sent).await.unwrap();
            }
        };
        let connector = InMemory { serve, asked: Arc::clone(&asked) };
        let proxy = Proxy::builder().connector(connector).build().unwrap();
        let (mut near, far) = tokio::io::duplex(300);
        tokio::spawn(async move { proxy.serve_connection(far, Client::in_process()).await });
        for _ in 0..2 {
            near.write_all(b"GET http://Some.where:81/ HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            until(&mut near, b"\r\n\r\n").await;
            let mut got = vec![0; body.len()];
            near.read_exact(&mut got).await.unwrap();
            same("the body", &got, &body);
        }
        assert_eq!(*asked.lock().unwrap(), ["Some.where:81"; 2], "what has ended is not kept");
    });
}

/// A connector that dials for itself gets around the rules.
#[test]
fn a_connector_is_bound_by_the_address_rules() {
    struct Itself(Arc<AtomicUsize>);
    impl Connector for Itself {
        fn connect<'a>(&'a self, dial: Dial<'a>) -> Connecting<'a> {
            Box::pin(async move {
                if matches!(dial.host(), sluicegate::Host::Name(_)) {
                    return dial.directly().await;
                }
                let address = dial.to_string().parse().unwrap();
                let checked = dial.check(address)?;
                self.0.fetch_add(1, SeqCst);
                let failed = |error: std::io::Error| Fault::Connect(dial.to_string(), error.to_string());
                Connected::tcp(TcpStream::connect(checked.address()).await.map_err(failed)?, checked).map_err(failed)
            })
        }
    }
    struct Only(u16);
    impl Policy for Only {
        fn address(&self, _: &Client, address: std::net::SocketAddr) -> Result<(), Fault> {
            if address.port() == self.0 { Ok(()) } else { Err(Fault::Denied("another port".to_owned())) }
        }
    }
    on_both(|| async {
        let (allowed, denied) = (Origin::answering(|_| ok("served")), Origin::answering(|_| ok("not")));
        let dialled = Arc::new(AtomicUsize::new(0));
        let builder = Proxy::builder().connector(Itself(Arc::clone(&dialled)));
        let proxy = builder.policy(Only(allowed.address.port())).build().unwrap();
        let (mut near, far) = tokio::io::duplex(1000);
        let one = proxy.clone();
        tokio::spawn(async move { one.serve_connection(far, Client::in_process()).await });
        let localhost = format!("localhost:{}", denied.address.port());
        let many = [allowed.address.to_string(), allowed.address.to_string(), denied.address.to_string(), localhost];
        for (to, status) in many.iter().zip(["200", "200", "403", "403"]) {
            near.write_all(format!("GET http://{to}/ HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
            let head = until(&mut near, b"\r\n\r\n").await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{to}: {head}");
            let length = head.split_once("Content-Length: ").unwrap().1.split_once("\r\n").unwrap().0.parse().unwrap();
            near.read_exact(&mut vec![0; length]).await.unwrap();
        }
        assert_eq!((dialled.load(SeqCst), denied.connections()), (1, 0), "one connection, used twice");
    });
}

/// A connector that never comes to an end holds its client for ever.
#[test]
fn a_connector_has_a_deadline_and_is_dropped_with_its_client() {
    struct Never(Arc<AtomicUsize>);
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    impl Connector for Never {
        fn connect<'a>(&'a self, _: Dial<'a>) -> Connecting<'a> {
            Box::pin(async move {
                let _dropped = Dropped(Arc::clone(&self.0));
                std::future::pending().await
            })
        }
    }
    on_both(|| async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut limits = Limits::default();
        limits.connect_timeout = Some(Duration::from_millis(100));
        let proxy = Proxy::builder().limits(limits).connector(Never(Arc::clone(&dropped))).build().unwrap();
        let (mut near, far) = tokio::io::duplex(1000);
        tokio::spawn(async move { proxy.serve_connection(far, Client::in_process()).await });
        near.write_all(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").await.unwrap();
        assert!(until(&mut near, b"\r\n\r\n").await.starts_with("HTTP/1.1 504 "));
        assert_eq!(dropped.load(SeqCst), 1);
        let proxy = Proxy::builder().connector(Never(Arc::clone(&dropped))).build().unwrap();
        let (mut near, far) = tokio::io::duplex(1000);
        tokio::spawn(async move { proxy.serve_connection(far, Client::in_process()).await });
        near.write_all(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(near);
        while dropped.load(SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
}

/// What is said in the types: a proxy and what it makes can be spawned and shared.
#[test]
fn everything_can_be_sent_and_shared() {
    fn sent<T: Send + Sync + 'static>() {}
    sent::<Proxy<AllowAll>>();
    sent::<sluicegate::transport::Gone>();
    sent::<Route>();
    fn moved<T: Send + 'static>() {}
    moved::<Verdict>();
    moved::<sluicegate::Body>();
    moved::<sluicegate::Sender>();
    moved::<sluicegate::proxy::Serve<AllowAll>>();
}
