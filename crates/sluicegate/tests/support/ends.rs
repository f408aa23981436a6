//! The rows of docs/close.md, peers that end in every way, and an end that no read shows.

#![allow(dead_code, unreachable_pub, reason = "each test crate uses its own part of the harness")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]
#![allow(clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::support::{End, Gate, Origin, Told, Wire, get, ok};

/// A deadline that a test waits for.
pub const SHORT: Duration = Duration::from_millis(300);

/// A line of a table.
#[derive(Debug)]
pub struct Row {
    pub ended: String,
    pub error: String,
    /// `file.rs::name`
    pub test: String,
}

/// Every row whose last cell names a test.
pub fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/close.md")).unwrap();
    let mut rows = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix('|')) {
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        if let [_, _, _, _, ended, error, test, ""] = &cells.iter().map(String::as_str).collect::<Vec<_>>()[..]
            && test.contains("::")
        {
            rows.push(Row { ended: (*ended).to_owned(), error: (*error).to_owned(), test: (*test).to_owned() });
        }
    }
    rows
}

/// One of the rows that name this test has the record's `ended` and `error`.
#[track_caller]
pub fn as_written(test: &str, told: &Told) {
    let (ended, error) = (told.ended.to_string(), told.token().unwrap_or("none"));
    let rows = rows();
    let mut of_test = rows.iter().filter(|row| row.test.ends_with(&format!("::{test}")));
    let found = of_test.any(|row| row.ended == ended && row.error == error);
    assert!(found, "docs/close.md has no row for {test} with {ended}, {error}: {told:?}");
}

/// Only this one has been told, and as it is written.
#[track_caller]
pub fn told_alone(test: &str, gate: &Gate) -> Told {
    let told = gate.told(1);
    assert_eq!(told.len(), 1, "{told:?}");
    as_written(test, &told[0]);
    told[0].clone()
}

/// Whether the connection was reset after its end had been read: no read tells that any more.
pub fn is_broken(wire: &Wire) -> bool {
    SockRef::from(&wire.stream).take_error().is_ok_and(|error| error.is_some())
}

/// Ends the connection this way, and reads what still comes.
pub fn cut(mut wire: Wire, how: End) {
    match how {
        End::Reset => wire.reset(),
        End::Fin => {
            wire.fin();
            wire.rest();
        }
    }
}

/// An origin that takes everything and says nothing.
pub fn thinking() -> Origin {
    Origin::start(|_, wire| drop(wire.rest()))
}

/// Waits until the origin has received this.
#[track_caller]
pub fn arrived(origin: &Origin, bytes: &[u8]) {
    origin.wait("the bytes arrive", |seen| {
        seen.iter().any(|one| one.bytes.windows(bytes.len()).any(|window| window == bytes))
    });
}

/// An origin that takes a head, sends `first`, and goes on as `then` says when it is released.
pub fn in_two_steps(first: &[u8], then: impl Fn(Wire) + Send + Sync + 'static) -> (Origin, mpsc::Sender<()>) {
    let (release, released) = mpsc::channel();
    let (released, first) = (Mutex::new(released), first.to_vec());
    let origin = Origin::start_owned(move |_, mut wire| {
        wire.head();
        wire.send(&first);
        let _ = released.lock().unwrap().recv();
        then(wire);
    });
    (origin, release)
}

/// A connection that has been served, and an origin's that is kept.
pub fn served(gate: &Gate, origin: &Origin) -> Wire {
    let mut client = gate.client();
    client.send(get(&origin.url("/")));
    assert_eq!(client.response("GET").status(), 200);
    client
}

/// An address that neither accepts nor refuses: its queue is full, and the kernel drops what else comes.
pub struct Blackhole {
    pub address: SocketAddr,
    _held: (Socket, Vec<TcpStream>),
}

impl Blackhole {
    pub fn new() -> Self {
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        full.bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        full.listen(0).unwrap();
        let address = full.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        while let Ok(one) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            waiting.push(one);
            assert!(waiting.len() < 100, "the queue does not fill");
        }
        Self { address, _held: (full, waiting) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

/// The client's connection still works: a request on it is answered.
#[track_caller]
pub fn goes_on(client: &mut Wire) {
    let next = Origin::answering(|_| ok("next"));
    client.send(get(&next.url("/")));
    assert_eq!(client.response("GET").text(), "next");
}

/// A POST with a head like this.
pub fn post(url: &str, framing: &str) -> String {
    format!("POST {url} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n")
}

/// A tunnel to `origin`, established.
#[track_caller]
pub fn tunnel(gate: &Gate, origin: &Origin) -> Wire {
    let mut client = gate.client();
    client.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address));
    assert_eq!(client.head().unwrap().status(), 200);
    client
}
