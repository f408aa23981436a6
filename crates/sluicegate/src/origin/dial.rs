//! Racing addresses: IPv6 first, families in turn, a new attempt each 250 ms or as soon as one has
//! failed, the first to connect wins (RFC 8305 §4, §5).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use futures_util::stream::FuturesUnordered;
use sluicegate_http1::Host;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Later, shown};
use crate::limits::{Family, Tuning};
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

/// An attempt that others wait behind is given up after this: one retransmission of the SYN has had its time.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);

/// Where a race leads, and its rules.
#[derive(Clone, Copy)]
pub(super) struct Race<'a> {
    /// Whose addresses they are. It is shown in faults alone: to write it down costs as much as the race.
    pub(super) host: Host<'a>,
    pub(super) port: u16,
    pub(super) gate: &'a (dyn Gate + Send + Sync),
    pub(super) tuning: Tuning,
    pub(super) prefer: Family,
    /// One attempt at a time has its descriptor; what runs beside it takes one of these, or waits.
    pub(super) spare: &'a Semaphore,
}

impl Race<'_> {
    /// Connects to the first of `addresses`, joined by those that come `later`, that answers.
    pub(super) async fn run(self, addresses: Vec<IpAddr>, later: Option<Later>) -> Result<(Tcp, SocketAddr), Fault> {
        let Race { host, port, gate, prefer, spare, .. } = self;
        let mut next = interleave(addresses, prefer).into_iter();
        let late = later.and_then(|later| Some((later, spare.try_acquire().ok()?)));
        let (later, _slot) = late.unzip();
        let mut awaited = later.is_some();
        let mut later = OptionFuture::from(later);
        let mut running = FuturesUnordered::new();
        let mut fault = None;
        loop {
            let slot = if running.is_empty() { Some(None) } else { spare.try_acquire().ok().map(Some) };
            if let Some((slot, ip)) = slot.and_then(|slot| Some((slot, next.next()?))) {
                let address = SocketAddr::new(ip, port);
                let limit = (next.len() > 0).then_some(ATTEMPT_TIMEOUT);
                match gate.check(address) {
                    Ok(()) => running.push(attempt(address, self.tuning, limit, slot)),
                    Err(refused) => {
                        fault = Some(graver(fault, refused));
                        continue;
                    }
                }
            } else if running.is_empty() && !awaited {
                return Err(fault.unwrap_or_else(|| Fault::Unroutable(shown(host, port))));
            }
            tokio::select! { biased;
                Some((address, result)) = running.next() => match result {
                    Ok(tcp) => return Ok((tcp, address)),
                    Err(error) => fault = Some(graver(fault, failed(&error, Some(address), &shown(host, port)))),
                },
                more = &mut later, if awaited => {
                    awaited = false;
                    next = next.chain(interleave(more.unwrap_or_default(), prefer)).collect::<Vec<_>>().into_iter();
                }
                // Made only when it is polled.
                () = async { tokio::time::sleep(ATTEMPT_DELAY).await }, if next.len() > 0 => {}
            }
        }
    }
}

/// The last fault; but once we have run out of something, nothing can be said of the origin.
fn graver(before: Option<Fault>, now: Fault) -> Fault {
    before.filter(|before| *before == Fault::Capacity).unwrap_or(now)
}

async fn attempt(
    address: SocketAddr,
    tuning: Tuning,
    limit: Option<Duration>,
    _slot: Option<SemaphorePermit<'_>>,
) -> (SocketAddr, io::Result<Tcp>) {
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

/// One family first, then the families in turn.
pub(super) fn interleave(addresses: Vec<IpAddr>, prefer: Family) -> Vec<IpAddr> {
    let (one, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|ip| ip.is_ipv6() == (prefer == Family::Ipv6));
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut out = Vec::with_capacity(one.len().saturating_add(other.len()));
    while one.len() > 0 || other.len() > 0 {
        out.extend(one.next());
        out.extend(other.next());
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

    fn race<'a>(port: u16, gate: &'a (dyn Gate + Send + Sync), spare: &'a Semaphore) -> Race<'a> {
        Race { host: Host::Name("test"), port, gate, tuning: Tuning::default(), prefer: Family::Ipv6, spare }
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
        let spare = Semaphore::new(2);
        let racing = race(port, &Open, &spare).run(vec![dead], Some(later));
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
        // Without a spare descriptor one attempt waits for the other.
        let spare = Semaphore::new(0);
        let racing = race(port, &Open, &spare).run(addresses, None);
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
            let spare = Semaphore::new(1);
            let racing = race(port, &gate, &spare).run(addresses.clone(), None);
            assert_eq!(racing.await.unwrap_err(), Fault::Capacity, "{short}");
        }
    }

    /// However many addresses a name has, and however dead they are: a client's own descriptor, and what is spare.
    #[tokio::test]
    async fn attempts_share_the_spare_descriptors() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dead: Vec<_> = (2..9).map(|n| IpAddr::from([127, 0, 0, n])).collect();
        let _held: Vec<_> = dead.iter().map(|ip| black_hole(SocketAddr::new(*ip, port))).collect();
        let spare = Semaphore::new(2);
        let mut racing = Box::pin(race(port, &Open, &spare).run(dead, None));
        let all_taken = async {
            while spare.available_permits() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! { biased;
            reached = &mut racing => panic!("{reached:?}"),
            taken = tokio::time::timeout(Duration::from_secs(30), all_taken) => taken.expect("both are taken"),
        }
        drop(racing);
        assert_eq!(spare.available_permits(), 2);
    }

    #[test]
    fn families_take_turns() {
        let ips = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        let mixed = ips(&["10.0.0.1", "10.0.0.2", "::1", "10.0.0.3"]);
        assert_eq!(interleave(mixed.clone(), Family::Ipv6), ips(&["::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"]));
        assert_eq!(interleave(mixed, Family::Ipv4), ips(&["10.0.0.1", "::1", "10.0.0.2", "10.0.0.3"]));
    }
}
