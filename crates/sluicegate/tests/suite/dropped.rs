//! What a connection's future, or its runtime, was in the middle of when it was dropped does not look complete.

use std::net::SocketAddr;
use std::thread;

use crate::support::ends::arrived;
use crate::support::{End, Origin, Wire, eventually, get, ok};
use sluicegate::{Body, Client, Policy, Proxy, Request, Response, Route, Verdict};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Answers `/own` itself, with a body that never ends.
struct Own;

impl Policy for Own {
    async fn admit(&self, request: &mut Request<'_>, _: &Client) -> Verdict {
        if !request.head().target().ends_with(b"/own") {
            return Verdict::Forward(Route::target());
        }
        let body = Body::push(|mut sender| async move {
            sender.send("begun").await?;
            std::future::pending().await
        });
        Verdict::Answer(Response::new(200, body))
    }
}

/// How its connections are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Future,
    Runtime,
}

/// A proxy whose connections are all dropped when it is told to.
struct Droppable {
    address: SocketAddr,
    proxy: Proxy<Own>,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Droppable {
    fn start(how: How) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Proxy::builder().policy(Own).build().unwrap();
        let (stop, stopped) = oneshot::channel();
        let one = proxy.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let mut serving = tokio::task::JoinSet::new();
                let accepting = async {
                    loop {
                        let (stream, peer) = listener.accept().await.unwrap();
                        let one = one.clone();
                        let serve = async move { one.serve_connection(stream, Client::new(peer, address)).await };
                        match how {
                            How::Future => drop(serving.spawn(serve)),
                            How::Runtime => drop(tokio::spawn(serve)),
                        }
                    }
                };
                tokio::select! {
                    () = accepting => {}
                    _ = stopped => {}
                }
                serving.shutdown().await;
            });
        });
        Self { address, proxy, stop, thread }
    }

    fn client(&self) -> Wire {
        Wire::new(std::net::TcpStream::connect(self.address).unwrap())
    }

    fn drop_all(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

#[test]
fn what_is_dropped_in_the_middle_is_reset_on_both_sides() {
    for how in [How::Future, How::Runtime] {
        let proxy = Droppable::start(how);
        let silent = Origin::start(|_, wire| drop(wire.rest()));
        let half = Origin::start(|_, wire| {
            wire.head();
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegun");
            wire.rest();
        });
        let far = Origin::start(|_, wire| {
            wire.send("begun");
            wire.rest();
        });
        let [mut waiting, mut responding, mut tunnel, mut own, mut head] = [(); 5].map(|()| proxy.client());
        waiting.send(get(&silent.url("/")));
        arrived(&silent, b"\r\n\r\n");
        responding.send(get(&half.url("/")));
        tunnel.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", far.address));
        own.send(get("http://x.example/own"));
        for client in [&mut responding, &mut tunnel, &mut own] {
            assert!(client.until(b"begun").is_some());
        }
        head.send("GET http://x.example/ HT");
        let is_read = || proxy.proxy.connections().iter().any(|it| it.phase == sluicegate::flow::Phase::Head);
        eventually("the half head is read", is_read);
        let counts = proxy.proxy.clone();
        proxy.drop_all();
        let ends = [&mut waiting, &mut responding, &mut tunnel, &mut own, &mut head].map(|wire| wire.rest().1);
        assert_eq!(ends, [End::Reset; 5], "the clients, {how:?} dropped");
        let ends = [&silent, &half, &far].map(|origin| origin.ended(0));
        assert_eq!(ends, [End::Reset; 3], "the origins, {how:?} dropped");
        assert_eq!(counts.aborted(), 5);
    }
}

/// A restart by dropping looks like a failure to those for whom nothing was done.
#[test]
fn what_is_idle_when_it_is_dropped_ends_by_a_fin() {
    for how in [How::Future, How::Runtime] {
        let proxy = Droppable::start(how);
        let origin = Origin::answering(|_| ok("served"));
        let (mut fresh, mut used) = (proxy.client(), proxy.client());
        used.send(get(&origin.url("/")));
        assert_eq!(used.response("GET").text(), "served");
        let all_idle = || {
            let states = proxy.proxy.connections();
            states.len() == 2 && states.iter().all(|it| it.phase == sluicegate::flow::Phase::Idle)
        };
        eventually("both are idle", all_idle);
        let counts = proxy.proxy.clone();
        proxy.drop_all();
        assert_eq!((fresh.end(), used.end()), (End::Fin, End::Fin), "{how:?}");
        assert_eq!(counts.aborted(), 0);
        drop(counts);
        assert_eq!(origin.ended(0), End::Fin, "{how:?}");
    }
}
