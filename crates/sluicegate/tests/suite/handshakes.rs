//! What stands between accept and serve: TLS, the PROXY protocol, a handshake of one's own.

use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sluicegate::flow::Phase;
use sluicegate::proxy::Serve;
use sluicegate::transport::{Socket, Stream};
use sluicegate::{Client, Connected, Connecting, Connector, Dial, Fault, Limits, Policy, Proxy, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::embedding::{on_both, until};
use crate::support::{Origin, PATIENCE, Tls, ok};

/// Who a client said to be.
#[derive(Debug, PartialEq)]
struct Name(String);

/// What was seen of clients, by whom.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn note(&self, what: &str, client: &Client) {
        let name = client.get::<Name>().map_or("-", |name| &name.0);
        self.0.lock().unwrap().push(format!("{what} {} {name}", client.address));
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Policy for Seen {
    fn accept(&self, client: &Client) -> bool {
        self.note("accept", client);
        client.get::<Name>().is_none_or(|name| name.0 != "nobody")
    }

    fn address(&self, client: &Client, _: SocketAddr) -> Result<(), Fault> {
        self.note("address", client);
        Ok(())
    }

    fn records(&self) -> bool {
        true
    }

    fn ended(&self, record: &Record<'_>) {
        self.note("ended", record.client);
    }

    fn refused(&self, record: &Record<'_>) {
        let fault = record.fault.map(ToString::to_string).unwrap_or_default();
        self.note(&format!("refused by {fault:?}"), record.client);
    }
}

impl Connector for Seen {
    fn connect<'a>(&'a self, dial: Dial<'a>) -> Connecting<'a> {
        self.note("connect", dial.client());
        Box::pin(async move { dial.directly().await.map(Connected::shared) })
    }
}

/// A proxy that is being served, and its address.
async fn serving<P: Policy>(proxy: &Proxy<P>, with: impl FnOnce(Serve<P>) -> Serve<P>) -> SocketAddr {
    let serve = with(proxy.serve(TcpListener::bind("127.0.0.1:0").await.unwrap()));
    let address = serve.local_addr().unwrap();
    tokio::spawn(serve.into_future());
    address
}

/// A line says who the client is, and at which address: `NAME ADDRESS`.
async fn hello(mut tcp: TcpStream, mut client: Client) -> io::Result<(TcpStream, Client)> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.push(tcp.read_u8().await?);
    }
    let line = String::from_utf8(line).unwrap();
    let (name, address) = line.trim().split_once(' ').ok_or_else(|| io::Error::other("the greeting is not valid"))?;
    assert_ne!(name, "panic", "it was asked for");
    client.address = address.parse().map_err(io::Error::other)?;
    Ok((tcp, client.with(Name("another".to_owned())).with(Name(name.to_owned()))))
}

async fn connected(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

fn get(origin: &Origin) -> String {
    format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/"))
}

/// Waits for what comes to be true.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
}

#[test]
fn what_a_handshake_learns_is_known_to_all_that_decide() {
    on_both(|| async {
        let (seen, origin) = (Seen::default(), Origin::answering(|_| ok("served")));
        let proxy = Proxy::builder().policy(seen.clone()).connector(seen.clone()).build().unwrap();
        let address = serving(&proxy, |serve| serve.handshake(hello)).await;
        let mut client = connected(address).await;
        client.write_all(format!("alice 192.0.2.1:5\r\n{}", get(&origin)).as_bytes()).await.unwrap();
        assert!(until(&mut client, b"served").await.starts_with("HTTP/1.1 200 OK\r\n"));
        assert_eq!(proxy.connections()[0].client.to_string(), "192.0.2.1:5");
        let mut stranger = connected(address).await;
        stranger.write_all(b"nobody 192.0.2.2:6\r\n").await.unwrap();
        assert!(until(&mut stranger, b"to allow it.\n").await.starts_with("HTTP/1.1 403 "));
        eventually("both are told", || seen.all().len() == 6).await;
        let all = ["accept", "connect", "address", "ended"].map(|what| format!("{what} 192.0.2.1:5 alice"));
        assert_eq!(seen.all()[..4], all);
        assert_eq!(seen.all()[4], "accept 192.0.2.2:6 nobody");
        assert!(seen.all()[5].starts_with("refused by ") && seen.all()[5].ends_with(" 192.0.2.2:6 nobody"));
    });
}

#[test]
fn tls_is_served() {
    on_both(|| async {
        let (tls, origin) = (Tls::new(), Origin::answering(|_| ok("served")));
        let proxy = Proxy::new();
        let acceptor = tls.acceptor.clone();
        let address = serving(&proxy, |serve| {
            serve.handshake(move |tcp, client| {
                let acceptor = acceptor.clone();
                async move {
                    let socket = Socket::new(tcp)?;
                    let stream = acceptor.accept(socket.clone()).await?;
                    Ok((Stream::new(stream).over(socket), client.over_tls()))
                }
            })
        })
        .await;
        let mut client = tls.connect(connected(address).await).await;
        for _ in 0..2 {
            client.write_all(get(&origin).as_bytes()).await.unwrap();
            assert!(until(&mut client, b"served").await.starts_with("HTTP/1.1 200 OK\r\n"));
        }
        // Whoever speaks no TLS is told so by TLS's alert, and nobody else minds.
        let mut plain = connected(address).await;
        plain.write_all(get(&origin).as_bytes()).await.unwrap();
        let mut said = Vec::new();
        let _ = plain.read_to_end(&mut said).await;
        assert_eq!(said.first(), Some(&21), "an alert: {said:?}");
        eventually("it is counted", || proxy.turned_away() == 1).await;
        client.write_all(get(&origin).as_bytes()).await.unwrap();
        until(&mut client, b"served").await;
    });
}

/// One that fails or panics keeps its place, or takes others along.
#[test]
fn a_handshake_that_fails_harms_nobody() {
    on_both(|| async {
        let (seen, origin) = (Seen::default(), Origin::answering(|_| ok("served")));
        let proxy = Proxy::builder().policy(seen.clone()).build().unwrap();
        let address = serving(&proxy, |serve| serve.handshake(hello)).await;
        for line in ["nonsense\r\n", "panic now\r\n"] {
            let mut client = connected(address).await;
            client.write_all(line.as_bytes()).await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0, "{line:?}");
        }
        eventually("all are gone", || proxy.connection_count() == 0).await;
        assert_eq!((proxy.panicked(), proxy.turned_away()), (1, 1));
        let told = seen.all().join("\n");
        assert!(told.contains("the client's handshake failed: the greeting is not valid"), "{told}");
        let mut client = connected(address).await;
        client.write_all(format!("alice 192.0.2.1:5\r\n{}", get(&origin)).as_bytes()).await.unwrap();
        until(&mut client, b"served").await;
    });
}

/// One that says nothing keeps its place for ever.
#[test]
fn a_handshake_has_a_deadline() {
    on_both(|| async {
        let seen = Seen::default();
        let mut limits = Limits::default();
        limits.head_timeout = Some(Duration::from_millis(200));
        let proxy = Proxy::builder().limits(limits).policy(seen.clone()).build().unwrap();
        let address = serving(&proxy, |serve| serve.handshake(hello)).await;
        let mut silent = connected(address).await;
        assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0, "it had its time");
        eventually("it is gone", || proxy.connection_count() == 0).await;
        let told = seen.all().join("\n");
        assert!(told.contains("the request did not arrive in time"), "{told}");
    });
}

/// Silent handshakes shut everybody out for `head_timeout`.
#[test]
fn a_slow_handshake_gives_way_when_its_place_is_needed() {
    on_both(|| async {
        let origin = Origin::answering(|_| ok("served"));
        let mut limits = Limits::default();
        limits.max_connections = 1;
        let proxy = Proxy::builder().limits(limits).build().unwrap();
        let address = serving(&proxy, |serve| serve.handshake(hello)).await;
        let mut silent = connected(address).await;
        eventually("it has begun", || proxy.connections().iter().any(|one| one.phase == Phase::Handshake)).await;
        let mut client = connected(address).await;
        client.write_all(format!("alice 192.0.2.1:5\r\n{}", get(&origin)).as_bytes()).await.unwrap();
        until(&mut client, b"served").await;
        assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
    });
}

/// A load balancer's clients counted as one, or nobody's handshake was counted to anybody.
#[test]
fn the_limit_of_each_client_counts_its_true_address() {
    on_both(|| async {
        let mut limits = Limits::default();
        limits.max_connections_per_client = Some(1);
        let proxy = Proxy::builder().limits(limits).build().unwrap();
        let address = serving(&proxy, |serve| serve.handshake(hello)).await;
        let ask = "OPTIONS http://h/ HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n";
        let mut here = Vec::new();
        for (ip, status) in [("192.0.2.1", 200), ("192.0.2.2", 200), ("192.0.2.1", 429)] {
            let mut client = connected(address).await;
            client.write_all(format!("x {ip}:5\r\n{ask}").as_bytes()).await.unwrap();
            let head = until(&mut client, b"\r\n\r\n").await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{ip}: {head}");
            here.push(client);
        }
    });
}

/// A stop cut off who was about to ask.
#[test]
fn a_stop_waits_for_a_handshake_and_what_was_asked_behind_it() {
    on_both(|| async {
        let origin = Origin::answering(|_| ok("served"));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let proxy = Proxy::new();
        let address =
            serving(&proxy, |serve| serve.handshake(hello).with_graceful_shutdown(async { drop(stopped.await) })).await;
        let mut client = connected(address).await;
        eventually("it has begun", || proxy.connection_count() == 1).await;
        stop.send(()).unwrap();
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        client.write_all(format!("alice 192.0.2.1:5\r\n{}", get(&origin)).as_bytes()).await.unwrap();
        assert!(until(&mut client, b"served").await.contains("\r\nConnection: close\r\n"));
    });
}

/// The handshake makes a client of its own, and somebody waits for the end of the one that it was given.
#[test]
fn whoever_was_put_out_of_its_place_has_gone_too() {
    on_both(|| async {
        let proxy = Proxy::new();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let address = serving(&proxy, |serve| {
            serve.handshake(move |tcp: TcpStream, client: Client| {
                tell.send(client.gone()).unwrap();
                async move { Ok((tcp, Client::new(client.address, client.listener))) }
            })
        })
        .await;
        let client = TcpStream::connect(address).await.unwrap();
        let gone = told.recv().await.unwrap();
        assert!(!gone.is_gone());
        drop(client);
        tokio::time::timeout(PATIENCE, gone).await.unwrap();
    });
}
