//! Long, fast bodies move through pipes of the kernel, and nobody can tell.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test stops at the first surprise")]

mod support;

use std::fs;
use std::sync::Arc;

use support::{End, Gate, Origin, get, noise, ok, same};

const LONG: usize = 8 << 20;

/// Open pipes of this process. The proxy keeps those that it has used; so one test alone looks.
fn pipes() -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    open.filter(|target| target.to_string_lossy().starts_with("pipe:")).count()
}

/// An origin that answers with `body`, `said` bytes of which it has, framed by length or by its close,
/// or echoes what it is sent.
fn origin(body: &Arc<Vec<u8>>, said: usize) -> Origin {
    let body = Arc::clone(body);
    Origin::start(move |_, wire| {
        while let Some(request) = wire.request() {
            let target = request.head.clone();
            if target.contains("/close") {
                wire.send("HTTP/1.1 200 OK\r\n\r\n");
                wire.send(&body[..said]);
            } else if request.body.is_empty() {
                wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
                wire.send(&body[..said]);
            } else {
                wire.send(ok(if request.body == *body { "the same" } else { "another" }));
                continue;
            }
            if said < body.len() || target.contains("/close") {
                return;
            }
        }
    })
}

#[test]
fn long_bodies_pass_through_pipes_if_there_are_any() {
    let body = Arc::new(noise(LONG, 3));
    for splice_memory in [0, 16 << 20] {
        let before = pipes();
        let gate = Gate::with(|limits| limits.splice_memory = splice_memory);
        let origin = origin(&body, LONG);
        same("by length", &gate.ask(get(&origin.url("/length"))).body, &body);
        same("by close", &gate.ask(get(&origin.url("/close"))).body, &body);
        let head = format!("PUT {} HTTP/1.1\r\nHost: h\r\nContent-Length: {LONG}\r\n\r\n", origin.url("/"));
        // What is pipelined behind it is not taken for a part of it.
        let mut client = gate.client();
        client.send([head.as_bytes(), &body, &get(&origin.url("/length"))].concat());
        assert_eq!(client.response("PUT").body, b"the same");
        same("behind it", &client.response("GET").body, &body);
        assert_eq!(pipes() > before, splice_memory > 0, "{splice_memory}: {before} pipes before, {} now", pipes());
    }
}

#[test]
fn a_body_that_is_cut_in_a_pipe_does_not_look_complete() {
    let body = Arc::new(noise(LONG, 4));
    let gate = Gate::start();
    let origin = origin(&body, LONG / 2);
    let mut client = gate.client();
    client.send(get(&origin.url("/length")));
    let (got, end) = client.rest();
    assert_eq!(end, End::Reset);
    assert!(got.len() < LONG);
}
