//! A whole exchange on loopback: client, proxy and origin on one thread, one kept connection. `cargo bench -p sluicegate`.
//!
//! Writing heads is not public, so it is not measured alone: what `60 fields` takes more than `4 fields` is what
//! reading, judging and writing 56 fields costs, and the rest is the same, most of it the kernel's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark stops at the first surprise")]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a benchmark reads its own input")]

use std::net::SocketAddr;

use criterion::Criterion;
use sluicegate::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut group = criterion.benchmark_group("exchange");
    for fields in [4, 60] {
        let (mut client, request) = runtime.block_on(connected(fields));
        group.bench_function(format!("{fields} fields"), |bencher| {
            bencher.iter(|| exchange(&runtime, &mut client, &request));
        });
    }
    group.finish();
    criterion.final_summary();
}

/// A client of a proxy of its own, and its request with so many fields.
async fn connected(fields: usize) -> (TcpStream, Vec<u8>) {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = origin.local_addr().unwrap();
    tokio::spawn(answer_all(origin));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { Proxy::new().serve(listener).await });
    let client = TcpStream::connect(address).await.unwrap();
    client.set_nodelay(true).unwrap();
    (client, request(target, fields))
}

fn request(target: SocketAddr, fields: usize) -> Vec<u8> {
    let mut request = format!("GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n");
    for n in 1..fields {
        request.push_str(&format!("X-Field-Number-{n:02}: a value of usual length\r\n"));
    }
    request.push_str("\r\n");
    request.into_bytes()
}

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello, world";

async fn answer_all(origin: TcpListener) {
    loop {
        let (mut stream, _) = origin.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            while read_until(&mut stream, b"\r\n\r\n").await {
                stream.write_all(RESPONSE).await.unwrap();
            }
        });
    }
}

fn exchange(runtime: &Runtime, client: &mut TcpStream, request: &[u8]) {
    runtime.block_on(async {
        client.write_all(request).await.unwrap();
        assert!(read_until(client, b"\r\n\r\nhello, world").await, "the proxy closed the connection");
    });
}

/// Reads one message, which ends in these bytes; false at the end of the stream.
async fn read_until(stream: &mut TcpStream, end: &[u8]) -> bool {
    let (mut room, mut filled) = ([0; 8192], 0);
    while !room[..filled].ends_with(end) {
        match stream.read(&mut room[filled..]).await {
            Ok(n) if n > 0 => filled += n,
            _ => return false,
        }
    }
    true
}
