//! What reading a message costs: heads, framing, chunked bodies. `cargo bench -p sluicegate-http1`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark stops at the first surprise")]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a benchmark reads its own input")]

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use sluicegate_http1::{BodyDecoder, ChunkLimits, Framing, HeadLimits, Received, RequestHead, ResponseHead, Step};
use sluicegate_http1::{framing, target};

/// What curl sends.
const SHORT: &[u8] = b"GET http://example.com/index.html HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/8.5.0\r\n\
    Accept: */*\r\nProxy-Connection: Keep-Alive\r\n\r\n";

/// About what a browser sends.
const BROWSER: &[u8] = b"GET http://www.example.com/assets/app.3f2a9c.js?v=17 HTTP/1.1\r\nHost: www.example.com\r\n\
    Proxy-Connection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\nAccept-Encoding: gzip, deflate\r\n\
    Referer: http://www.example.com/start\r\nCache-Control: max-age=0\r\nIf-None-Match: \"33a64df551425fcc55e\"\r\n\
    Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=1; last=2026-01-01T00:00:00Z\r\n\
    Upgrade-Insecure-Requests: 1\r\nDNT: 1\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: nginx/1.26.0\r\n\
    Content-Type: text/html; charset=utf-8\r\nContent-Length: 1024\r\nConnection: keep-alive\r\n\
    Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT\r\nETag: \"695463a3-400\"\r\nAccept-Ranges: bytes\r\n\r\n";

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    heads(&mut criterion);
    framings(&mut criterion);
    chunked(&mut criterion);
    criterion.final_summary();
}

/// A head that is used again, as a connection does. `cut` is one that comes in two pieces.
fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head");
    let limits = HeadLimits::default();
    for (name, bytes) in [("request, 5 lines", SHORT), ("request, 13 lines", BROWSER)] {
        let mut head = RequestHead::new();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                head.clear();
                assert_eq!(head.receive(black_box(bytes), &limits), Ok(Received::Complete(bytes.len())));
            });
        });
    }
    let mut head = RequestHead::new();
    let (first, second) = BROWSER.split_at(BROWSER.len() / 2);
    group.bench_function("request, 13 lines, cut", |bencher| {
        bencher.iter(|| {
            head.clear();
            assert_eq!(head.receive(black_box(first), &limits), Ok(Received::Partial));
            assert_eq!(head.receive(black_box(second), &limits), Ok(Received::Complete(second.len())));
        });
    });
    let mut head = ResponseHead::new();
    group.throughput(Throughput::Bytes(RESPONSE.len() as u64));
    group.bench_function("response, 9 lines", |bencher| {
        bencher.iter(|| {
            head.clear();
            assert_eq!(head.receive(black_box(RESPONSE), &limits), Ok(Received::Complete(RESPONSE.len())));
        });
    });
    group.finish();
}

/// Where a request is to go and where bodies end, once the heads are read.
fn framings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("framing");
    let limits = HeadLimits::default();
    let (mut request, mut response) = (RequestHead::new(), ResponseHead::new());
    request.receive(BROWSER, &limits).unwrap();
    response.receive(RESPONSE, &limits).unwrap();
    group.bench_function("target and Host", |bencher| {
        bencher.iter(|| {
            let head = black_box(&request);
            target::parse(head.method(), head.target()).map(|target| target::host_field(head, &target).is_ok())
        });
    });
    group.bench_function("request, no body", |bencher| bencher.iter(|| framing::request(black_box(&request))));
    group.bench_function("response, a length", |bencher| {
        bencher.iter(|| framing::response(black_box(&response), b"GET"));
    });
    group.finish();
}

/// A body of 256 KiB in pieces of 16 KiB, the size of the buffers. The elements are chunks: data is not looked at.
fn chunked(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunked");
    for size in [64_usize, 1024, 16_384] {
        let mut body = Vec::new();
        for _ in 0..(256 << 10) / size {
            body.extend_from_slice(format!("{size:x}\r\n").as_bytes());
            body.resize(body.len() + size, b'x');
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\n\r\n");
        group.throughput(Throughput::Elements((256 << 10) / size as u64));
        group.bench_function(format!("chunks of {size}"), |bencher| {
            bencher.iter(|| assert_eq!(decode(black_box(&body)), 256 << 10));
        });
    }
    group.finish();
}

fn decode(input: &[u8]) -> usize {
    let (mut body, mut data) = (BodyDecoder::new(Framing::Chunked, ChunkLimits::default()), 0);
    for mut piece in input.chunks(16 << 10) {
        while !piece.is_empty() {
            let n = match body.decode(piece).unwrap() {
                Step::Framing(n) | Step::End(n) => n,
                Step::Data(n) => {
                    data += n;
                    n
                }
            };
            piece = &piece[n..];
        }
    }
    assert!(body.is_complete());
    data
}
