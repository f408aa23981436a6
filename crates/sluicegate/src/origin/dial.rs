//! Racing addresses: IPv6 first, families in turn, a new attempt each 250 ms or as soon as one has
//! failed, the first to connect wins (RFC 8305 §4, §5).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use futures_util::stream::FuturesUnordered;

use super::resolve::Later;
use crate::limits::Tuning;
use crate::record::Fault;
use crate::transport::Tcp;

/// RFC 8305 §5: the recommended Connection Attempt Delay.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Says of each address whether it may be dialled.
pub(crate) trait Gate {
    /// # Errors
    /// The fault to answer with if no other address remains.
    fn check(&self, address: SocketAddr) -> Result<(), Fault>;
}

/// An attempt that others wait behind is given up after this: one retransmission of the SYN has had
/// its time, and no more than seven descriptors are in use at once.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);

/// Connects to the first of `addresses`, joined by those that come `later`, that answers.
pub(crate) async fn race(
    addresses: Vec<IpAddr>,
    later: Option<Later>,
    port: u16,
    gate: &(dyn Gate + Send + Sync),
    tuning: Tuning,
    shown: &str,
) -> Result<(Tcp, SocketAddr), Fault> {
    let mut next = interleave(addresses).into_iter();
    let mut awaited = later.is_some();
    let mut later = OptionFuture::from(later);
    let mut running = FuturesUnordered::new();
    let mut fault = Fault::Unroutable(shown.to_owned());
    loop {
        if let Some(ip) = next.next() {
            let address = SocketAddr::new(ip, port);
            let limit = (next.len() > 0).then_some(ATTEMPT_TIMEOUT);
            match gate.check(address) {
                Ok(()) => running.push(attempt(address, tuning, limit)),
                Err(refused) => {
                    fault = graver(fault, refused);
                    continue;
                }
            }
        } else if running.is_empty() && !awaited {
            return Err(fault);
        }
        tokio::select! { biased;
            Some((address, result)) = running.next() => match result {
                Ok(tcp) => return Ok((tcp, address)),
                Err(error) => fault = graver(fault, failed(&error, Some(address), shown)),
            },
            more = &mut later, if awaited => {
                awaited = false;
                next = next.chain(interleave(more.unwrap_or_default())).collect::<Vec<_>>().into_iter();
            }
            () = tokio::time::sleep(ATTEMPT_DELAY), if next.len() > 0 => {}
        }
    }
}

/// The last fault; but once we have run out of something, nothing can be said of the origin.
fn graver(before: Fault, now: Fault) -> Fault {
    if before == Fault::Capacity { before } else { now }
}

async fn attempt(address: SocketAddr, tuning: Tuning, limit: Option<Duration>) -> (SocketAddr, io::Result<Tcp>) {
    let connecting = Tcp::connect_with(address, tuning);
    let result = match limit {
        Some(limit) => tokio::time::timeout(limit, connecting).await.unwrap_or_else(|late| Err(late.into())),
        None => connecting.await,
    };
    (address, result)
}

/// What a connection attempt that failed says of whoever is to blame: not the origin, if it is we who have run out of something.
pub(super) fn failed(error: &io::Error, address: Option<SocketAddr>, shown: &str) -> Fault {
    let shown = shown.to_owned();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fault::Refused(shown),
        io::ErrorKind::TimedOut => Fault::ConnectTimeout(shown),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Fault::Unroutable(shown),
        io::ErrorKind::AddrNotAvailable if address.is_some_and(has_no_source) => Fault::Unroutable(shown),
        // No port is left. (`EAGAIN` and `EADDRINUSE` are the older names of that.)
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse | io::ErrorKind::WouldBlock => Fault::Capacity,
        _ if is_exhausted(error) => Fault::Capacity,
        _ => Fault::Connect(shown, error.to_string()),
    }
}

/// Whether this machine has no address to connect to `address` from, as without IPv6: connect(2) says the same then as when
/// all ports are in use. UDP needs an address too, and has ports of its own; nothing is sent.
fn has_no_source(address: SocketAddr) -> bool {
    let any = if address.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let connected = UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address));
    connected.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// Whether a system call failed because the process or the machine has no more of something.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    // EMFILE, ENFILE and ENOBUFS have no kind of their own in std; the numbers of the first two are the same on every Unix.
    const ENOBUFS: i32 = if cfg!(any(target_os = "linux", target_os = "android")) { 105 } else { 55 };
    matches!(error.raw_os_error(), Some(23 | 24 | ENOBUFS)) || error.kind() == io::ErrorKind::OutOfMemory
}

/// IPv6 first, then the families in turn.
fn interleave(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut out = Vec::with_capacity(v6.len().saturating_add(v4.len()));
    while v6.len() > 0 || v4.len() > 0 {
        out.extend(v6.next());
        out.extend(v4.next());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Open;

    impl Gate for Open {
        fn check(&self, _: SocketAddr) -> Result<(), Fault> {
            Ok(())
        }
    }

    /// An address at which SYNs are dropped: its queue is full. What fills it is kept.
    fn black_hole(address: SocketAddr) -> (socket2::Socket, Vec<socket2::Socket>) {
        let socket = |nonblocking: bool| {
            let made = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            made.set_nonblocking(nonblocking).unwrap();
            made
        };
        let listener = socket(false);
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let fill = (0..4).map(|_| {
            let one = socket(true);
            let _ = one.connect(&address.into());
            one
        });
        (listener, fill.collect())
    }

    /// Dead IPv6 must not cost a reachable host its connect timeout (RFC 8305 §3).
    #[tokio::test]
    async fn addresses_that_come_late_are_raced() {
        let good = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = good.local_addr().unwrap().port();
        let dead = IpAddr::from([127, 0, 0, 2]);
        let _held = black_hole(SocketAddr::new(dead, port));
        let later: Later = Box::pin(async {
            tokio::time::sleep(Duration::from_millis(60)).await;
            vec![IpAddr::from([127, 0, 0, 1])]
        });
        let racing = race(vec![dead], Some(later), port, &Open, Tuning::default(), "test");
        let reached = tokio::time::timeout(Duration::from_secs(30), racing).await.unwrap().unwrap();
        assert_eq!(reached.1, good.local_addr().unwrap());
    }

    #[tokio::test]
    async fn dead_addresses_are_given_up_for_those_behind_them() {
        let good = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = good.local_addr().unwrap().port();
        let mut addresses: Vec<IpAddr> = (2..5).map(|n| IpAddr::from([127, 0, 0, n])).collect();
        let _held: Vec<_> = addresses.iter().map(|ip| black_hole(SocketAddr::new(*ip, port))).collect();
        addresses.push(IpAddr::from([127, 0, 0, 1]));
        let racing = race(addresses, None, port, &Open, Tuning::default(), "test");
        let reached = tokio::time::timeout(Duration::from_secs(30), racing).await.unwrap().unwrap();
        assert_eq!(reached.1, good.local_addr().unwrap());
    }

    /// An origin is blamed for what we have no more of.
    #[test]
    fn own_shortages_are_ours() {
        let anybody = || Some(SocketAddr::from(([127, 0, 0, 1], 80)));
        let said = |number, address| failed(&io::Error::from_raw_os_error(number), address, "a:80");
        // EAGAIN, ENOMEM, ENFILE, EMFILE, EADDRINUSE, EADDRNOTAVAIL, ENOBUFS.
        #[cfg(target_os = "linux")]
        for number in [11, 12, 23, 24, 98, 99, 105] {
            assert_eq!(said(number, anybody()), Fault::Capacity, "{number}");
            assert_eq!(said(number, None), Fault::Capacity, "{number}");
        }
        #[cfg(target_os = "linux")]
        for (number, theirs) in [
            (101, Fault::Unroutable("a:80".to_owned())),
            (110, Fault::ConnectTimeout("a:80".to_owned())),
            (111, Fault::Refused("a:80".to_owned())),
            (113, Fault::Unroutable("a:80".to_owned())),
        ] {
            assert_eq!(said(number, anybody()), theirs, "{number}");
        }
    }

    /// Two addresses of a host: for the one we have run out of descriptors, the other refuses.
    #[tokio::test]
    async fn another_addresss_fault_does_not_hide_a_shortage() {
        struct Short(bool);
        impl Gate for Short {
            fn check(&self, address: SocketAddr) -> Result<(), Fault> {
                let is_first = address.ip() == IpAddr::from([127, 0, 0, 1]);
                if is_first == self.0 { Err(Fault::Capacity) } else { Ok(()) }
            }
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let addresses = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2])];
        for short in [true, false] {
            let gate = Short(short);
            let racing = race(addresses.clone(), None, port, &gate, Tuning::default(), "test");
            assert_eq!(racing.await.unwrap_err(), Fault::Capacity, "{short}");
        }
    }

    #[test]
    fn families_take_turns() {
        let ips = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        let mixed = ips(&["10.0.0.1", "10.0.0.2", "::1", "10.0.0.3"]);
        assert_eq!(interleave(mixed), ips(&["::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"]));
    }
}
