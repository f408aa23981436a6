//! The one common test: whatever is to be a [`Transport`] passes it, in a task of its own, on both
//! kinds of runtime.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::scripted;
use super::{Hangup, Socket, Stream, Tcp, Transport, Watch};
use crate::limits::{Limits, Tuning};

const SOON: Duration = Duration::from_secs(20);

async fn read<T: Transport>(from: &T, most: usize) -> io::Result<Vec<u8>> {
    let mut room = vec![0; most];
    let n = poll_fn(|cx| from.poll_read(cx, &mut room)).await?;
    room.truncate(n);
    Ok(room)
}

async fn read_exactly<T: Transport>(from: &T, n: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < n {
        let some = read(from, n - all.len()).await.unwrap();
        assert!(!some.is_empty(), "ended after {} of {n}", all.len());
        all.extend(some);
    }
    all
}

async fn write<T: Transport>(to: &T, parts: &[&[u8]]) {
    let all = parts.concat();
    let mut done = poll_fn(|cx| {
        let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        to.poll_write(cx, &slices)
    })
    .await
    .unwrap();
    while done < all.len() {
        done += poll_fn(|cx| to.poll_write(cx, &[IoSlice::new(&all[done..])])).await.unwrap();
    }
}

/// Whether a future resolves within a moment; generous in one direction only.
async fn stays_pending<F: Future>(future: F) -> bool {
    timeout(Duration::from_millis(50), future).await.is_err()
}

/// Everything that any transport must do.
async fn common<T: Transport + 'static>(a: T, b: T) {
    // Parts arrive joined and in order; a reader that waits is woken.
    let waiting = async { read_exactly(&b, 11).await };
    let writing = async { write(&a, &[b"hello", b"", b" world"]).await };
    let (got, ()) = tokio::join!(waiting, writing);
    assert_eq!(got, b"hello world");

    // Waiting for bytes needs no buffer, and costs no byte; a stream that gets some while it is idle is stale.
    assert!(!b.is_stale(false) && !b.is_stale(true));
    let (ready, ()) = tokio::join!(crate::pump::readable(&b), write(&a, &[b"xyz"]));
    ready.unwrap();
    assert_eq!(read(&b, 1).await.unwrap(), b"x");
    crate::pump::readable(&b).await.unwrap();
    assert!(b.is_stale(true));
    assert_eq!(read_exactly(&b, 2).await, b"yz");
    assert!(!b.is_stale(true));

    // A writer is held back by a reader that does not read, and goes on where it was.
    let pattern: Vec<u8> = (0..=250).cycle().take(64 * 1024).collect();
    let (mut sent, mut stalled) = (0_usize, false);
    while !stalled {
        let rest = &pattern[sent % pattern.len()..];
        stalled = poll_fn(|cx| match a.poll_write(cx, &[IoSlice::new(rest)]) {
            Poll::Ready(n) => {
                sent += n.unwrap();
                Poll::Ready(false)
            }
            Poll::Pending => Poll::Ready(true),
        })
        .await;
        assert!(sent < 256 << 20, "no backpressure");
        tokio::task::yield_now().await;
    }
    let reading = read_exactly(&b, sent + 5);
    let more = write(&a, &[b"after"]);
    let (got, ()) = tokio::join!(reading, more);
    assert!(got[..sent].chunks(pattern.len()).all(|part| part == &pattern[..part.len()]));
    assert_eq!(&got[sent..], b"after");

    // One side ends, the other is heard to its own end.
    crate::pump::shutdown(&a).await.unwrap();
    assert_eq!(read(&b, 10).await.unwrap(), b"");
    write(&b, &[b"still here"]).await;
    crate::pump::shutdown(&b).await.unwrap();
    assert_eq!(read_exactly(&a, 10).await, b"still here");
    assert_eq!(read(&a, 10).await.unwrap(), b"");
}

/// What a transport that sees its peer go as far as it can look ahead must do.
async fn looking_ahead<T: Transport + 'static>(a: T, b: T) {
    let waiting = async { stays_pending(a.hangup(Watch::Fin)).await && stays_pending(crate::pump::readable(&a)).await };
    assert!(waiting.await, "nothing has come");
    let (how, ended) = tokio::join!(timeout(SOON, a.hangup(Watch::Fin)), async {
        write(&b, &[b"x"]).await;
        crate::pump::readable(&a).await.unwrap();
        assert!(stays_pending(a.hangup(Watch::Fin)).await, "something is in front of it, if it is there");
        assert_eq!(read(&a, 10).await.unwrap(), b"x");
        crate::pump::shutdown(&b).await
    });
    ended.unwrap();
    assert_eq!(how.unwrap(), Hangup::Fin);
    assert!(a.is_stale(true) && stays_pending(a.hangup(Watch::Reset)).await, "an end is not a reset");
    assert_eq!((read(&a, 10).await.unwrap(), read(&a, 1).await.unwrap()), (Vec::new(), Vec::new()), "it stays ended");
}

/// What a transport that sees its peer go must do.
async fn watching<T: Transport + 'static>(fresh: impl AsyncFn() -> (T, T)) {
    // An end is seen behind unread bytes, before and after it is watched for; a reset watch is
    // silent on it.
    let (a, b) = fresh().await;
    assert!(!a.is_stale(false) && !a.is_stale(true));
    assert!(stays_pending(a.hangup(Watch::Fin)).await);
    let armed = async { timeout(SOON, a.hangup(Watch::Fin)).await };
    let leaving = async {
        write(&b, &[&[7; 100]]).await;
        crate::pump::shutdown(&b).await.unwrap();
    };
    let (how, ()) = tokio::join!(armed, leaving);
    assert_eq!(how.unwrap(), Hangup::Fin);
    assert_eq!(timeout(SOON, a.hangup(Watch::Fin)).await.unwrap(), Hangup::Fin, "and stays seen");
    assert!(stays_pending(a.hangup(Watch::Reset)).await, "an end is no reset");
    assert!(a.is_stale(false));
    assert_eq!(read_exactly(&a, 100).await, [7; 100], "and costs no byte");
    assert_eq!(timeout(SOON, a.hangup(Watch::Fin)).await.unwrap(), Hangup::Fin);

    // A reset is seen by both watches, also after an end.
    let (watch_a, abort_b) = (a.hangup(Watch::Reset), async {
        b.abort();
        write(&a, &[b"provoke"]).await;
        drop(b);
    });
    let (how, ()) = tokio::join!(timeout(SOON, watch_a), abort_b);
    assert_eq!(how.unwrap(), Hangup::Reset);

    // A reset in the middle, behind unread bytes.
    let (a, b) = fresh().await;
    write(&b, &[&[7; 100]]).await;
    b.abort();
    drop(b);
    assert_eq!(timeout(SOON, a.hangup(Watch::Fin)).await.unwrap(), Hangup::Reset);
    assert_eq!(timeout(SOON, a.hangup(Watch::Reset)).await.unwrap(), Hangup::Reset);

    // Dropping after an abort is a reset, and never looks like an end.
    let (a, b) = fresh().await;
    b.abort();
    drop(b);
    assert!(timeout(SOON, read(&a, 10)).await.unwrap().is_err());

    // Waiting for bytes needs no buffer, and an idle stream that gets some is stale.
    let (a, b) = fresh().await;
    let (ready, ()) = tokio::join!(crate::pump::readable(&a), write(&b, &[b"x"]));
    ready.unwrap();
    assert_eq!(read_exactly(&a, 1).await, b"x");
    write(&b, &[b"unasked"]).await;
    crate::pump::readable(&a).await.unwrap();
    assert!(a.is_stale(true));
}

async fn tcp_pair() -> (Tcp, Tcp) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(Tcp::connect(address), listener.accept());
    (client.unwrap(), Tcp::new(accepted.unwrap().0).unwrap())
}

/// Client and server, over sockets that are known.
async fn tls_pair() -> (Stream<Box<dyn Duplex>>, Stream<Box<dyn Duplex>>) {
    use tokio_rustls::rustls::{self, pki_types::ServerName};
    let made = rcgen::generate_simple_self_signed(["origin.test".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let server = server.unwrap().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let client = client.unwrap().with_root_certificates(roots).with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connecting = async {
        let socket = Socket::new(TcpStream::connect(address).await.unwrap()).unwrap();
        let name = ServerName::try_from("origin.test").unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        (connector.connect(name, socket.clone()).await.unwrap(), socket)
    };
    let accepting = async {
        let socket = Socket::new(listener.accept().await.unwrap().0).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
        (acceptor.accept(socket.clone()).await.unwrap(), socket)
    };
    let ((client, near), (server, far)) = tokio::join!(connecting, accepting);
    (Stream::new(Box::new(client) as _).over(near), Stream::new(Box::new(server) as _).over(far))
}

trait Duplex: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Duplex for S {}

/// Spawned, on a runtime of each kind: a future that is not `Send` does not compile here.
fn on_both<F: Future<Output = ()> + Send + 'static>(test: impl Fn() -> F) {
    let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for runtime in [current, multi] {
        let task = runtime.spawn(test());
        runtime.block_on(async { timeout(Duration::from_secs(60), task).await }).unwrap().unwrap();
    }
}

#[test]
fn tcp() {
    on_both(|| async {
        let (a, b) = tcp_pair().await;
        common(a, b).await;
    });
}

#[test]
#[cfg(target_os = "linux")]
fn tcp_sees_its_peer_go() {
    on_both(|| watching(tcp_pair));
}

#[test]
fn duplex() {
    on_both(|| async {
        let (a, b) = tokio::io::duplex(1000);
        common(Stream::new(a), Stream::new(b)).await;
        let (a, b) = tokio::io::duplex(1000);
        looking_ahead(Stream::new(a), Stream::new(b)).await;
    });
}

#[test]
fn tls() {
    on_both(|| async {
        let (a, b) = tls_pair().await;
        common(a, b).await;
        let (a, b) = tls_pair().await;
        looking_ahead(a, b).await;
    });
}

#[test]
#[cfg(target_os = "linux")]
fn tls_sees_its_peer_go() {
    on_both(|| {
        watching(async || {
            let (client, server) = tls_pair().await;
            (server, client)
        })
    });
}

#[test]
fn scripted() {
    on_both(|| async {
        let (a, b) = scripted::pair(1000);
        common(a, b).await;
        watching(async || scripted::pair(1000)).await;
    });
}

/// A task that has had its turn is told "not yet" by the runtime, whatever its sockets show: a connection whose origin has
/// closed, or said something that nobody asked for, must not look idle to it.
#[tokio::test]
async fn what_is_stale_is_stale_to_a_task_that_has_used_its_turn_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = Tcp::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    assert!(!near.is_stale(false) && !near.is_stale(true));
    far.writable().await.unwrap();
    far.try_write(b"x").unwrap();
    timeout(SOON, poll_fn(|cx| near.poll_readable(cx))).await.unwrap().unwrap();
    let turns = tokio::sync::Semaphore::new(1);
    let stale = poll_fn(|cx| {
        // Each costs a part of the turn.
        while std::pin::pin!(turns.acquire()).poll(cx).is_ready() {}
        assert!(near.poll_readable(cx).is_pending(), "the turn is not used up");
        Poll::Ready(near.is_stale(false))
    });
    assert!(stale.await);
}

/// An error that comes with the byte behind which it stands, and would look like an end afterwards.
#[tokio::test]
async fn an_error_behind_the_byte_ahead_is_not_lost() {
    struct Failing(u8);
    impl tokio::io::AsyncRead for Failing {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            room: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.0 += 1;
            if self.0 == 1 {
                room.put_slice(b"x");
            }
            Poll::Ready(match self.0 {
                2 => Err(io::ErrorKind::ConnectionReset.into()),
                _ => Ok(()),
            })
        }
    }
    let stream = Stream::new(tokio::io::join(Failing(0), tokio::io::sink()));
    crate::pump::readable(&stream).await.unwrap();
    assert_eq!(read(&stream, 10).await.unwrap(), b"x");
    assert_eq!(timeout(SOON, stream.hangup(Watch::Reset)).await.unwrap(), Hangup::Reset);
    assert!(read(&stream, 10).await.is_err());
}

/// A cut that looks like an end, or an end like a cut.
#[test]
fn tls_tells_an_end_from_a_cut() {
    on_both(|| async {
        let (b, a) = tls_pair().await;
        write(&a, &[b"all"]).await;
        drop(a);
        assert_eq!(read_exactly(&b, 3).await, b"all");
        assert_eq!(read(&b, 10).await.unwrap(), b"", "an end is told");
        let (b, a) = tls_pair().await;
        write(&a, &[b"some"]).await;
        a.abort();
        drop(a);
        assert_eq!(read_exactly(&b, 4).await, b"some");
        assert!(read(&b, 10).await.is_err(), "a cut is not");
    });
}

/// What is accepted inherits what the listener was told, at no cost: so Linux does it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn clients_are_asked_whether_they_are_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = super::Listener::new(listener).unwrap();
    listener.tune(Limits::default().to_clients());
    let _client = TcpStream::connect(listener.local_addr()).await.unwrap();
    let (near, _) = listener.accept().await.unwrap();
    let socket = near.socket().unwrap();
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    assert_eq!(socket.tcp_user_timeout().unwrap(), None);
}

/// A peer that is there and does not read is not given up by the kernel once it has been told to wait.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_slow_reader_has_not_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tuning = Tuning { user_timeout: Some(Duration::from_millis(300)), ..Tuning::default() };
    let near = Tcp::connect_with(listener.local_addr().unwrap(), tuning).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    assert_eq!(near.socket().unwrap().tcp_user_timeout().unwrap(), Some(Duration::from_millis(300)));
    near.wait_for_reader();
    let piece = vec![b'x'; 1 << 20];
    let full = async { while poll_fn(|cx| near.poll_write(cx, &[IoSlice::new(&piece)])).await.unwrap() > 0 {} };
    assert!(timeout(Duration::from_millis(1500), full).await.is_err(), "it takes everything");
    assert!(near.socket().unwrap().take_error().unwrap().is_none());
    drop(far);
}
