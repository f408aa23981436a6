//! A request on connections that are there already allocates nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]
#![allow(clippy::arithmetic_side_effects, reason = "a test stops at the first surprise")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use allocation_counter::measure;
use sluicegate::policy::{Policy, Request, Route, Verdict};
use sluicegate::{Client, Proxy, Record};
use tokio::sync::oneshot;

const REQUESTS: u64 = 400;

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

/// Reads up to the end of a head, byte by byte: what comes is small.
fn head(stream: &mut TcpStream) -> bool {
    let (mut last, mut byte) = ([0; 4], [0]);
    while last != *b"\r\n\r\n" {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return false;
        }
        last = [last[1], last[2], last[3], byte[0]];
    }
    true
}

/// It reads a chunked body as if it were one head more.
fn origin(chunked: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            while head(&mut stream) && (!chunked || head(&mut stream)) {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nDate: x\r\nServer: y\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
                    .unwrap();
            }
        }
    });
    address
}

/// How often the proxy's thread allocates while a client sends [`REQUESTS`] requests with this body.
fn allocations(body: &'static str) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, origin) = (listener.local_addr().unwrap(), origin(body.contains("chunked")));
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
                assert!(head(&mut stream));
                stream.read_exact(&mut [0; 2]).unwrap();
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
    let proxy = Proxy::builder().policy(Watch).build().unwrap();
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
    for body in ["\r\n", "Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"] {
        let count = allocations(body);
        // The runtime's and the test's own; a scheduler that holds the client up for 0.2 s makes the
        // connection give its working state up, which then is allocated anew: a dozen each time.
        assert!(count < REQUESTS / 4, "{count} allocations in {REQUESTS} requests: {body:?}");
    }
}
