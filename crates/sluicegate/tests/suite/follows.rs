//! Kept connections follow their names.
#![cfg(feature = "dns")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::support::{Gate, Wire, eventually, get, ok};

/// A name server that knows one address of every name, 127.0.0.N, for a second.
struct NameServer {
    address: SocketAddr,
    last: Arc<AtomicU8>,
    is_silent: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl NameServer {
    fn new(last: u8) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (last, is_silent, asked) = (Arc::new(AtomicU8::new(last)), Arc::<AtomicBool>::default(), Arc::default());
        let one =
            Self { address, last: Arc::clone(&last), is_silent: Arc::clone(&is_silent), asked: Arc::clone(&asked) };
        thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok((n, from)) = socket.recv_from(&mut bytes) {
                asked.fetch_add(1, SeqCst);
                if !is_silent.load(SeqCst) {
                    socket.send_to(&answer(&bytes[..n], last.load(SeqCst)), from).unwrap();
                }
            }
        });
        one
    }
}

/// An A record; and that there is no AAAA.
fn answer(query: &[u8], last: u8) -> Vec<u8> {
    let is_v4 = query.ends_with(&[0, 1, 0, 1]);
    let mut out = [&query[..2], &[0x81, 0x80, 0, 1, 0, u8::from(is_v4), 0, 0, 0, 0], &query[12..]].concat();
    if is_v4 {
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, last]);
    }
    out
}

/// Origins on several addresses with one port; each tells its address.
fn origins(lasts: &[u8]) -> u16 {
    let mut port = 0;
    for last in lasts {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, *last), port)).unwrap();
        port = listener.local_addr().unwrap().port();
        let said = ok(&format!("127.0.0.{last}"));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut wire, said) = (Wire::new(stream.unwrap()), said.clone());
                thread::spawn(move || {
                    while wire.head().is_some() {
                        wire.send(&said);
                    }
                });
            }
        });
    }
    port
}

fn gate(server: &NameServer) -> Gate {
    Gate::with(|limits| limits.names.servers = vec![server.address])
}

/// A busy connection is used for ever, though its name has long been somebody else's.
#[test]
fn a_busy_connection_is_left_when_its_name_leads_elsewhere() {
    let (server, port) = (NameServer::new(1), origins(&[1, 2]));
    let gate = gate(&server);
    let mut client = gate.client();
    let url = format!("http://web.test.:{port}/");
    let mut reached = || {
        thread::sleep(Duration::from_millis(50));
        client.send(get(&url));
        client.response("GET").text().to_owned()
    };
    assert_eq!((reached(), reached()), ("127.0.0.1".to_owned(), "127.0.0.1".to_owned()));
    server.last.store(2, SeqCst);
    eventually("the new address", || reached() == "127.0.0.2");
    // What is on the shelf follows, too.
    drop(client);
    server.last.store(1, SeqCst);
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(gate.ask(get(&url)).text(), "127.0.0.1");
}

/// Each term of a name costs a new connection, or the silence of its server all that are there.
#[test]
fn a_connection_is_kept_while_its_name_leads_there_or_nobody_can_say() {
    let (server, port) = (NameServer::new(1), origins(&[1, 2]));
    let gate = gate(&server);
    let mut client = gate.client();
    let mut ask = || {
        client.send(get(&format!("http://web.test.:{port}/")));
        assert_eq!(client.response("GET").text(), "127.0.0.1");
    };
    let asked_before = || server.asked.load(SeqCst);
    for _ in 0..3 {
        let before = asked_before();
        eventually("it is asked again", || {
            ask();
            thread::sleep(Duration::from_millis(50));
            asked_before() > before
        });
    }
    server.is_silent.store(true, SeqCst);
    server.last.store(2, SeqCst);
    let before = asked_before();
    eventually("it is asked in vain", || {
        ask();
        thread::sleep(Duration::from_millis(50));
        asked_before() > before
    });
    ask();
    let told = gate.told(8);
    assert!(told.iter().skip(1).all(|one| one.reused), "{told:?}");
}
