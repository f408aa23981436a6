//! What the kernel is told about peers that go without a word: when to ask, when to give them up, and when not to.
#![cfg(target_os = "linux")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Origin, Serving, get, ok};
use sluicegate::transport::{IntoTransport, Tcp};
use sluicegate::{Connected, Connecting, Connector, Dial, Limits, Proxy};
use socket2::{SockRef, Socket};
use tokio::net::{TcpListener, TcpStream};

/// Keeps a second descriptor of each socket that it makes.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Socket>>>);

impl Connector for Seen {
    fn connect<'a>(&'a self, dial: Dial<'a>) -> Connecting<'a> {
        Box::pin(async move {
            let to = dial.check(dial.to_string().parse().unwrap())?;
            let stream = TcpStream::connect(to.address()).await.map_err(|error| dial.failed(&error))?;
            self.0.lock().unwrap().push(SockRef::from(&stream).try_clone().unwrap());
            Connected::tcp(stream, to).map_err(|error| dial.failed(&error))
        })
    }
}

impl Seen {
    /// Of the last one: when it is asked, if it is, and what may be unacknowledged for how long.
    fn last(&self) -> (Option<Duration>, Option<Duration>) {
        let sockets = self.0.lock().unwrap();
        let last = sockets.last().unwrap();
        (last.keepalive().unwrap().then(|| last.tcp_keepalive_time().unwrap()), last.tcp_user_timeout().unwrap())
    }
}

fn s(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

/// After a change of the network the next request hangs for five minutes.
#[test]
fn an_origin_that_vanished_is_noticed_and_one_that_reads_slowly_is_not_taken_for_it() {
    let seen = Seen::default();
    let serving = Serving::start(Proxy::builder().connector(seen.clone()));
    let origin = Origin::answering(|_| ok("served"));
    let mut client = serving.client();
    let post = |n: usize| {
        format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {n}\r\n\r\n{}", origin.url("/"), "x".repeat(n))
    };
    for request in [get(&origin.url("/")), post(16_384).into()] {
        client.send(request);
        assert_eq!(client.response("GET").text(), "served");
        assert_eq!(seen.last(), (s(30), s(60)));
    }
    // An origin need not read so much before it answers.
    client.send(post(16_385));
    assert_eq!(client.response("POST").text(), "served");
    assert_eq!(seen.last(), (s(30), None));
    assert_eq!(origin.connections(), 1);
    let address = origin.address;
    let mut client = serving.client();
    client.send(format!("CONNECT {address} HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_eq!(client.head().unwrap().status(), 200);
    client.send(get("/"));
    assert!(client.until(b"served").is_some());
    assert_eq!(seen.last(), (s(30), None), "a tunnel");
}

#[test]
fn what_is_set_is_asked_for() {
    let seen = Seen::default();
    let mut limits = Limits::default();
    (limits.tcp_keepalive, limits.tcp_user_timeout) = (s(7), None);
    let serving = Serving::start(Proxy::builder().limits(limits.clone()).connector(seen.clone()));
    let origin = Origin::answering(|_| ok("served"));
    assert_eq!(serving.ask(get(&origin.url("/"))).text(), "served");
    assert_eq!(seen.last(), (s(7), None));
    limits.tcp_keepalive = Some(Duration::from_millis(999));
    assert_eq!(limits.check().unwrap_err().name, "tcp_keepalive");
}

/// A library's own accept loop misses what the proxy's has.
#[tokio::test]
async fn clients_of_an_accept_loop_of_ones_own_are_asked_too() {
    let mut limits = Limits::default();
    (limits.tcp_keepalive, limits.max_unsent) = (s(9), Some(50_000));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let told = |socket: &Socket| {
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(9));
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 50_000);
        assert_eq!(socket.tcp_user_timeout().unwrap(), None, "a client that reads slowly has not gone");
    };
    let _client = TcpStream::connect(address).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let socket = SockRef::from(&stream).try_clone().unwrap();
    let _tcp = stream.into_transport(&limits).unwrap();
    told(&socket);
    // A socket of the transport's own kind.
    let _client = TcpStream::connect(address).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let socket = SockRef::from(&stream).try_clone().unwrap();
    let _tcp = Tcp::new(stream).unwrap().into_transport(&limits).unwrap();
    told(&socket);
}
