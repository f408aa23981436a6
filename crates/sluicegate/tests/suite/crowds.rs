//! When there are as many clients as there may be, and who is turned away.

use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use sluicegate::flow::Phase;
use sluicegate::{Client, ConnectionState, Ended, Policy, Proxy};

use crate::support::ends::served;
use crate::support::{End, Gate, Origin, Setup, Wire, eventually, get};

const LONG: Option<Duration> = Some(Duration::from_secs(600));

fn two_places() -> Gate {
    Gate::with(|limits| {
        limits.max_connections = 2;
        limits.idle_timeout = LONG;
        limits.head_timeout = LONG;
    })
}

/// Waits until there are so many connections, and all have been idle for longer than two sweeps: idle times are told apart
/// by them.
fn rested(gate: &Gate, number: usize) {
    eventually("all have been idle for a while", || {
        let all = gate.proxy.connections();
        let idle = |one: &ConnectionState| one.phase == Phase::Idle && one.phase_age > Duration::from_millis(200);
        all.len() == number && all.iter().all(idle)
    });
}

/// Two browsers that keep their connections shut everybody else out.
#[test]
fn the_client_that_has_been_quiet_for_longest_gives_way() {
    let (gate, origin) = (two_places(), Origin::mirror());
    let mut first = served(&gate, &origin);
    rested(&gate, 1);
    let mut second = served(&gate, &origin);
    let mut third = served(&gate, &origin);
    assert_eq!(first.end(), End::Fin);
    rested(&gate, 2);
    second.send(get(&origin.url("/")));
    assert_eq!(second.response("GET").status(), 200, "it was quiet for a shorter time");
    let _fourth = served(&gate, &origin);
    assert_eq!(third.end(), End::Fin);
    assert_eq!(gate.proxy.connection_count(), 2);
}

/// Two clients that say nothing, or drip a head, do the same.
#[test]
fn who_has_asked_for_nothing_gives_way() {
    for (says, hears) in [("", ""), ("\r\n", ""), ("GET http://a/ HTTP/1.1\r\nHo", "HTTP/1.1 408 ")] {
        let (gate, origin) = (two_places(), Origin::mirror());
        let mut silent: Vec<Wire> = (0..2).map(|_| gate.client()).collect();
        silent.iter().for_each(|client| client.send(says));
        eventually("both are there", || gate.proxy.connection_count() == 2);
        let _new = [served(&gate, &origin), served(&gate, &origin)];
        for client in &mut silent {
            let (heard, end) = client.rest();
            assert!(end == End::Fin && String::from_utf8_lossy(&heard).starts_with(hears), "{says:?}: {heard:?}");
            assert_eq!(heard.is_empty(), hears.is_empty(), "{says:?}");
        }
    }
}

#[test]
fn who_waits_for_an_answer_does_not_give_way() {
    let (gate, origin) = (two_places(), Origin::mirror());
    let thinking = Origin::start(|_, wire| drop(wire.rest()));
    let busy = gate.client();
    busy.send(get(&thinking.url("/")));
    let mut tunnel = gate.client();
    tunnel.send(format!("CONNECT {} HTTP/1.1\r\nHost: x\r\n\r\n", thinking.address));
    assert_eq!(tunnel.head().unwrap().status(), 200);
    thinking.wait("both are there", |seen| seen.len() == 2);
    let mut new = gate.client();
    new.send(get(&origin.url("/")));
    // Longer than a newcomer is waited for.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(gate.proxy.connection_count(), 2);
    drop(tunnel);
    assert_eq!(new.response("GET").status(), 200);
    drop(busy);
}

#[test]
fn who_is_turned_away_is_told_and_counted() {
    let gate = Setup::new().accept(false).start();
    for (n, request) in
        [get("http://127.0.0.1:1/"), b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()].iter().enumerate()
    {
        let mut client = gate.client();
        let _ = client.try_send(request);
        assert_eq!(client.head().unwrap().status(), 403);
        let told = gate.told(n + 1).pop().unwrap();
        assert_eq!(
            (told.client.address.ip(), told.status, told.ended),
            (Ipv4Addr::LOCALHOST.into(), 403, Ended::Refused)
        );
        assert_eq!(told.token(), Some("http_request_denied"));
        assert!(told.bytes_out > 0 && told.bytes_in == 0 && told.head.is_empty(), "{told:?}");
    }
    assert_eq!(gate.proxy.turned_away(), 2);
}

/// One client takes all the places there are.
#[test]
fn a_client_has_so_many_connections_and_no_more() {
    let gate = Gate::with(|limits| limits.max_connections_per_client = Some(2));
    let origin = Origin::mirror();
    let mut own = [served(&gate, &origin), served(&gate, &origin)];
    let mut more = gate.client();
    let head = more.head().unwrap();
    assert_eq!((head.status(), head.field("retry-after")), (429, Some("1")));
    let told = gate.told(3).pop().unwrap();
    assert_eq!((told.status, told.ended, told.token()), (429, Ended::Refused, Some("http_request_denied")));
    let mut other = gate.special_client(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), None);
    other.send(get(&origin.url("/")));
    assert_eq!(other.response("GET").status(), 200);
    own[0].send(get(&origin.url("/")));
    assert_eq!(own[0].response("GET").status(), 200, "those that are there go on");
    drop(own);
    eventually("they are gone", || gate.proxy.connection_count() == 1);
    drop(served(&gate, &origin));
    assert_eq!(gate.proxy.turned_away(), 1);
}

#[test]
fn what_a_connection_is_for_can_be_seen() {
    let gate = Gate::start();
    let origin = Origin::start(|_, wire| drop(wire.rest()));
    let client = gate.client();
    client.send(format!("GET http://{}/path?secret HTTP/1.1\r\nHost: x\r\n\r\n", origin.address));
    origin.wait("it has arrived", |seen| seen.iter().any(|one| one.bytes.ends_with(b"\r\n\r\n")));
    let state = gate.proxy.connections().remove(0);
    assert_eq!(state.host, Some(origin.address.to_string()));
    assert_eq!(state.waits_for(), "origin-response");
    let shown = state.to_string();
    assert!(shown.contains(&format!(" host={} ", origin.address)) && !shown.contains("secret"), "{shown}");
    eventually("it grows older", || {
        let later = gate.proxy.connections().remove(0);
        assert!(later.age >= later.phase_age, "{later}");
        later.age > state.age && later.phase_age > state.phase_age
    });
    drop(client);
    eventually("it is gone", || gate.proxy.connection_count() == 0);
    let mut tunnel = gate.client();
    tunnel.send(format!("CONNECT {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.address));
    assert_eq!(tunnel.head().unwrap().status(), 200);
    let state = gate.proxy.connections().remove(0);
    assert_eq!((state.host.as_deref(), state.waits_for()), (Some(&*origin.address.to_string()), "bytes"));
}

/// Counts the turns of others between its clients.
struct Turns {
    others: Arc<AtomicU32>,
    seen: AtomicU32,
    in_a_row: AtomicU32,
    most: Arc<AtomicU32>,
}

impl Policy for Turns {
    fn accept(&self, _: &Client) -> bool {
        let others = self.others.load(Relaxed);
        let in_a_row = if self.seen.swap(others, Relaxed) == others { self.in_a_row.load(Relaxed) + 1 } else { 1 };
        self.in_a_row.store(in_a_row, Relaxed);
        self.most.fetch_max(in_a_row, Relaxed);
        true
    }
}

/// At a stop, a full queue keeps a worker from everything else.
#[test]
fn a_queue_is_served_in_turn_with_others() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    let (others, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let turns = Turns {
        others: Arc::clone(&others),
        seen: AtomicU32::new(0),
        in_a_row: AtomicU32::new(0),
        most: Arc::clone(&most),
    };
    runtime.block_on(async {
        let proxy = Proxy::builder().policy(turns).build().unwrap();
        let other = tokio::spawn(async move {
            loop {
                others.fetch_add(1, Relaxed);
                tokio::task::yield_now().await;
            }
        });
        proxy.serve(listener).until(async {}).await.unwrap();
        other.abort();
    });
    drop(clients);
    assert!((1..=16).contains(&most.load(Relaxed)), "{} in a row", most.load(Relaxed));
}
