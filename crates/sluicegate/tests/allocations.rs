//! A request on connections that are there already allocates nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use allocation_counter::measure;
use sluicegate::policy::{Policy, Request, Route, Verdict};
use sluicegate::{Client, Limits, Proxy, Record};
use tokio::sync::oneshot;

const REQUESTS: u64 = 400;
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nDate: x\r\nServer: y\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok";

/// What a proxy does that lets all pass and writes down what passed.
struct Watch;

impl Policy for Watch {
    async fn admit(&self, request: &mut Request<'_>, _: &Client) -> Verdict {
        assert!(request.head().is_complete());
        Verdict::Forward(Route::target())
    }

    fn ended(&self, record: &Record<'_>) {
        assert_eq!(record.status, 200);
    }
}

/// Reads up to the end of a head, behind which nothing comes before it is answered.
fn head(stream: &mut TcpStream) -> bool {
    let (mut last, mut room) = (Vec::new(), vec![0; 1 << 16]);
    while !last.ends_with(b"\r\n\r\n") {
        let n = stream.read(&mut room).unwrap_or(0);
        if n == 0 {
            return false;
        }
        last.extend_from_slice(&room[..n]);
        last.drain(..last.len().saturating_sub(4));
    }
    true
}

/// The same of an answer, and its body of two bytes.
fn answer(stream: &mut TcpStream) {
    let mut last = Vec::new();
    while !last.ends_with(b"\r\n\r\nok") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1);
        last.push(byte[0]);
    }
}

fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                while head(&mut stream) {
                    stream.write_all(ANSWER).unwrap();
                }
            });
        }
    });
    address
}

/// How often the proxy's thread allocates while a client sends [`REQUESTS`] requests with this body.
fn allocations(body: &'static str) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, origin) = (listener.local_addr().unwrap(), origin());
    let (warm, is_warm) = oneshot::channel();
    let (done, is_done) = oneshot::channel();
    let (go, goes) = mpsc::channel();
    thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!(
            "POST http://{origin}/path HTTP/1.1\r\nHost: {origin}\r\nUser-Agent: test\r\nAccept: */*\r\n\
             Connection: keep-alive\r\n{body}"
        );
        let mut ask = |times: u64| {
            for _ in 0..times {
                stream.write_all(request.as_bytes()).unwrap();
                answer(&mut stream);
            }
        };
        ask(50);
        warm.send(()).unwrap();
        goes.recv().unwrap();
        ask(REQUESTS);
        done.send(()).unwrap();
        let _ = goes.recv();
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let proxy = Proxy::builder().policy(((Watch, Watch), Watch)).build().unwrap();
    runtime.block_on(async {
        tokio::spawn(async move { proxy.serve(listener).await });
        is_warm.await.unwrap();
    });
    let counted = measure(|| {
        go.send(()).unwrap();
        runtime.block_on(is_done).unwrap();
    });
    counted.count_total
}

#[test]
fn requests_on_kept_connections_allocate_nothing() {
    for body in ["\r\n", "Content-Length: 4\r\n\r\n\r\n\r\n"] {
        let count = allocations(body);
        // The runtime's and the test's own; a scheduler that holds the client up for 0.2 s makes the
        // connection give its working state up, which then is allocated anew: a dozen each time.
        assert!(count < REQUESTS / 4, "{count} allocations in {REQUESTS} requests: {body:?}");
    }
}

/// Connections that have just been answered wait for a while with what they worked with; but not with heads of a
/// megabyte, for which nobody has set memory aside any more.
#[test]
fn large_heads_are_not_kept_in_waiting() {
    const CLIENTS: usize = 40;
    const HEAD: usize = 200_000;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, origin) = (listener.local_addr().unwrap(), origin());
    let (done, is_done) = oneshot::channel();
    let (go, goes) = mpsc::channel::<()>();
    let client = thread::spawn(move || {
        goes.recv().unwrap();
        let long = "x".repeat(HEAD);
        let request = format!("GET http://{origin}/ HTTP/1.1\r\nHost: {origin}\r\nX-Long: {long}\r\n\r\n");
        let clients = [(); CLIENTS].map(|()| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            answer(&mut stream);
            stream
        });
        done.send(()).unwrap();
        let _ = goes.recv();
        drop(clients);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut limits = Limits::default();
    limits.head.bytes = 2 * HEAD;
    let proxy = Proxy::builder().limits(limits).build().unwrap();
    let counted = measure(|| {
        go.send(()).unwrap();
        runtime.block_on(async {
            tokio::spawn(async move { proxy.serve(listener).await });
            is_done.await.unwrap();
        });
    });
    drop(go);
    client.join().unwrap();
    let kept = counted.bytes_current;
    assert!(kept < (CLIENTS * HEAD / 8) as i64, "{kept} bytes are kept for {CLIENTS} quiet connections");
}
