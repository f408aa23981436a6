//! What was learned from a review: limits that are given back, requests that are sent once.

use std::future::IntoFuture;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use crate::support::{Gate, Origin, Wire, get, ok};
use sluicegate::{Limits, Proxy};

/// A listener that nobody uses would sit on a permit, and clients of another would wait for ever.
#[test]
fn a_listener_at_rest_holds_no_permit() {
    let mut limits = Limits::default();
    limits.max_connections = 1;
    let proxy = Proxy::builder().limits(limits).build().unwrap();
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let address = listeners[0].local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let [a, b, c] = listeners.map(|listener| proxy.serve(listener).into_future());
            let _ = tokio::join!(a, b, c);
        });
    });
    let origin = Origin::answering(|_| ok("served"));
    for _ in 0..12 {
        let mut client = Wire::new(TcpStream::connect(address).unwrap());
        client.send(get(&origin.url("/")));
        assert_eq!(client.response("GET").text(), "served");
    }
}

/// An origin that has begun to answer may have acted: the request is not sent again.
#[test]
fn an_interim_response_is_an_answer_to_those_who_never_see_it() {
    let origin = Origin::start(|_, wire| {
        let first = wire.request().unwrap();
        wire.send(ok("first"));
        assert!(first.line().starts_with("GET "));
        wire.request().unwrap();
        wire.send("HTTP/1.1 102 Processing\r\n\r\n");
    });
    let gate = Gate::start();
    assert_eq!(gate.ask(get(&origin.url("/"))).text(), "first");
    let delete = format!("DELETE {} HTTP/1.0\r\n\r\n", origin.url("/once"));
    assert_eq!(gate.ask(delete).status(), 502);
    let seen = origin.seen();
    let deletes: usize = seen.iter().map(|one| String::from_utf8_lossy(&one.bytes).matches("DELETE ").count()).sum();
    assert_eq!(deletes, 1);
}
