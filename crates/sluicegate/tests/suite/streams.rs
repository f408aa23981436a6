//! Streams that are not sockets: TLS, a duplex pipe. What holds for a socket holds for them.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use sluicegate::transport::{Socket, Stream};
use sluicegate::{Client, Connected, Connecting, Connector, Dial, Limits, Policy, Proxy};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::client::TlsStream;

use crate::embedding::{on_both, until};
use crate::support::{Origin, PATIENCE, Tls, ok, settled};

/// Anything that reads and writes.
trait Any: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Any for S {}

/// A client over a duplex pipe.
async fn over_duplex(proxy: &Proxy<impl Policy>) -> Box<dyn Any> {
    let (near, far) = tokio::io::duplex(1000);
    let one = proxy.clone();
    tokio::spawn(async move { one.serve_connection(far, Client::in_process()).await });
    Box::new(near)
}

/// A client over TLS, over a duplex pipe.
async fn over_tls(proxy: &Proxy<impl Policy>, tls: &Tls) -> Box<dyn Any> {
    let (near, far) = tokio::io::duplex(1000);
    let (near, far) = tokio::join!(tls.connect(near), tls.accept(far));
    let one = proxy.clone();
    tokio::spawn(async move { one.serve_connection(Stream::new(far), Client::in_process().over_tls()).await });
    Box::new(near)
}

async fn ask(client: &mut impl Any, url: &str) -> String {
    client.write_all(format!("GET {url} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    client.flush().await.unwrap();
    let head = until(client, b"\r\n\r\n").await;
    let length = head.split_once("Content-Length: ").unwrap().1.split_once("\r\n").unwrap().0.parse().unwrap();
    let mut body = vec![0; length];
    client.read_exact(&mut body).await.unwrap();
    head + std::str::from_utf8(&body).unwrap()
}

/// A proxy with memory for one connection.
fn room_for_one() -> Proxy {
    let mut limits = Limits::default();
    limits.max_memory = Some(limits.bound().total());
    Proxy::builder().limits(limits).build().unwrap()
}

/// One idle TLS client took a share of the memory from everybody else, for a minute; a silent tunnel, for an hour.
#[test]
fn idle_streams_hold_no_memory() {
    on_both(|| async {
        let (proxy, tls, origin) = (room_for_one(), Tls::new(), Origin::answering(|_| ok("served")));
        let echo = Origin::start(|_, wire| {
            while let Some(byte) = wire.exactly(1).first() {
                wire.send([*byte]);
            }
        });
        let mut clients = vec![over_duplex(&proxy).await, over_tls(&proxy, &tls).await, over_duplex(&proxy).await];
        let mut tunnels = vec![over_duplex(&proxy).await, over_tls(&proxy, &tls).await];
        for tunnel in &mut tunnels {
            tunnel
                .write_all(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", echo.address).as_bytes())
                .await
                .unwrap();
            assert!(until(tunnel, b"\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
        }
        for round in 0..3 {
            for client in &mut clients {
                let answer = ask(client, &origin.url("/")).await;
                assert!(answer.ends_with("served"), "round {round}: {answer}");
            }
            for tunnel in &mut tunnels {
                tunnel.write_all(&[b'a' + round]).await.unwrap();
                tunnel.flush().await.unwrap();
                assert_eq!(tunnel.read_u8().await.unwrap(), b'a' + round);
            }
        }
    });
}

/// A connection to an origin over a stream was made anew for each request; and one that has said something unasked is not
/// to be used.
#[test]
fn a_stream_to_an_origin_is_kept_while_it_is_well() {
    #[derive(Clone, Default)]
    struct Talking {
        made: Arc<AtomicUsize>,
        behind: &'static str,
        may_go_on: Arc<Notify>,
        has_gone_on: Arc<Notify>,
    }
    impl Talking {
        async fn talk(self, mut stream: DuplexStream) {
            loop {
                until(&mut stream, b"\r\n\r\n").await;
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserved").await.unwrap();
                self.may_go_on.notified().await;
                stream.write_all(self.behind.as_bytes()).await.unwrap();
                self.has_gone_on.notify_one();
            }
        }
    }
    impl Connector for Talking {
        fn connect<'a>(&'a self, _: Dial<'a>) -> Connecting<'a> {
            Box::pin(async move {
                self.made.fetch_add(1, SeqCst);
                let (near, far) = tokio::io::duplex(1000);
                tokio::spawn(self.clone().talk(far));
                Ok(Connected::named_by_operator(near, None))
            })
        }
    }
    on_both(|| async {
        for (behind, connections) in [("", 1), ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", 3)] {
            let origin = Talking { behind, ..Talking::default() };
            let proxy = Proxy::builder().connector(origin.clone()).build().unwrap();
            let mut client = over_duplex(&proxy).await;
            for _ in 0..3 {
                assert!(ask(&mut client, "http://origin/").await.ends_with("served"));
                origin.may_go_on.notify_one();
                origin.has_gone_on.notified().await;
            }
            assert_eq!(origin.made.load(SeqCst), connections, "{behind:?}");
        }
    });
}

/// A client over TLS, over TCP, and its TCP connection.
async fn over_tcp(proxy: &Proxy<impl Policy>, tls: &Tls) -> TlsStream<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let socket = Socket::new(far.unwrap().0).unwrap();
    let (near, far) = tokio::join!(tls.connect(near.unwrap()), tls.accept(socket.clone()));
    let (one, far) = (proxy.clone(), Stream::new(far).over(socket));
    tokio::spawn(async move { one.serve_connection(far, Client::in_process().over_tls()).await });
    near
}

/// A client's going was hidden behind what it had pipelined, until the origin answered.
#[test]
#[cfg(target_os = "linux")]
fn a_reset_beneath_tls_is_noticed_behind_what_was_pipelined() {
    on_both(|| async {
        let (proxy, origin) = (Proxy::new(), Origin::start(|_, wire| drop(wire.rest())));
        let mut client = over_tcp(&proxy, &Tls::new()).await;
        client.write_all(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/")).as_bytes()).await.unwrap();
        client.write_all(&[b'x'; 60_000]).await.unwrap();
        client.flush().await.unwrap();
        let proxy_reads = proxy.clone();
        let full = tokio::task::spawn_blocking(move || {
            settled("what is read of the client", || proxy_reads.connections().iter().map(|one| one.up.taken).sum())
        });
        assert!(full.await.unwrap() < 60_000, "all of it has been read");
        socket2::SockRef::from(client.get_ref().0).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let gone = async {
            while proxy.connection_count() > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("it is noticed");
    });
}

/// What was cut short looked like a clean end to whoever does not insist on a close_notify.
#[test]
fn what_is_cut_short_over_tls_ends_in_a_reset() {
    on_both(|| async {
        let origin = Origin::start_owned(|_, mut wire| {
            wire.head();
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
            wire.reset();
        });
        let mut client = over_tcp(&Proxy::new(), &Tls::new()).await;
        client.write_all(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/")).as_bytes()).await.unwrap();
        let error = loop {
            match client.read_u8().await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    });
}

/// The same towards an origin: half a request looked like a whole connection's end.
#[test]
fn a_request_cut_short_over_tls_ends_in_a_reset() {
    struct Over(Tls, Arc<Notify>);
    impl Connector for Over {
        fn connect<'a>(&'a self, _: Dial<'a>) -> Connecting<'a> {
            Box::pin(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
                let socket = Socket::new(near.unwrap()).unwrap();
                let (near, far) = tokio::join!(self.0.connect(socket.clone()), self.0.accept(far.unwrap().0));
                tokio::spawn(hear(far, Arc::clone(&self.1)));
                Ok(Connected::named_by_operator(near, None).over(socket))
            })
        }
    }
    async fn hear(mut stream: impl Any, cut: Arc<Notify>) {
        until(&mut stream, b"half").await;
        // The client goes once the origin has what it sent.
        cut.notify_one();
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        cut.notify_one();
    }
    on_both(|| async {
        let cut = Arc::default();
        let proxy = Proxy::builder().connector(Over(Tls::new(), Arc::clone(&cut))).build().unwrap();
        let mut client = over_duplex(&proxy).await;
        client.write_all(b"POST http://origin/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
        cut.notified().await;
        drop(client);
        cut.notified().await;
    });
}

/// A stop looked like an attack to a client that insists on a close_notify.
#[test]
fn at_a_stop_tls_is_told_the_end() {
    on_both(|| async {
        let (proxy, origin) = (Proxy::new(), Origin::answering(|_| ok("served")));
        let mut idle = over_tcp(&proxy, &Tls::new()).await;
        let mut served = over_tcp(&proxy, &Tls::new()).await;
        assert!(ask(&mut served, &origin.url("/")).await.ends_with("served"));
        assert_eq!(proxy.drain(PATIENCE).await, 0);
        for client in [&mut idle, &mut served] {
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "a close_notify, not a bare end");
        }
    });
}
