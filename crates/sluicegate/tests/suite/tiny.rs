//! Buffers of a few bytes: every boundary that a large one meets once in a thousand requests is
//! met at every byte. What arrives must not depend on sizes and cuts.

use crate::support;

use crate::support::{End, Gate, Message, Origin, Wire, chunked, get, noise, same};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// How a body is framed on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Framing {
    None,
    Length,
    Chunked(Vec<usize>, bool),
    UntilClose,
}

const TRAILERS: &str = "X-Sum: 1\r\nHost: dropped\r\nX-End: yes\r\n";
const KEPT: [&str; 2] = ["X-Sum: 1", "X-End: yes"];

/// A message with this start and body, and what its receiver is to see of the trailers.
fn message(start: &str, body: &[u8], framing: &Framing) -> Vec<u8> {
    match framing {
        Framing::None => format!("{start}\r\n").into_bytes(),
        Framing::UntilClose => [format!("{start}\r\n").as_bytes(), body].concat(),
        Framing::Length => [format!("{start}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat(),
        Framing::Chunked(sizes, trailers) => {
            let body = chunked(body, sizes, if *trailers { TRAILERS } else { "" });
            [format!("{start}Transfer-Encoding: chunked\r\n\r\n").as_bytes(), &body].concat()
        }
    }
}

#[derive(Debug, Clone)]
struct Exchange {
    up: (Vec<u8>, Framing),
    down: (Vec<u8>, Framing),
    interim: bool,
    old: bool,
    /// In how large pieces client and origin write.
    pieces: (usize, usize),
}

/// The exchange through `gate`: what the origin saw, what the client saw.
fn run(gate: &Gate, exchange: &Exchange) -> (Message, Message) {
    let Exchange { up, down, interim, old, pieces } = exchange.clone();
    let (seen, saw) = std::sync::mpsc::channel();
    let origin = Origin::start(move |_, wire| {
        seen.send(wire.request().unwrap()).unwrap();
        if interim {
            wire.send_in_pieces(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", pieces.1);
        }
        let start = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        wire.send_in_pieces(&message(start, &down.0, &down.1), pieces.1);
        if down.1 != Framing::UntilClose {
            wire.rest();
        }
    });
    let start = format!("POST {} HTTP/1.{}\r\nHost: x\r\n", origin.url("/p"), u8::from(!old));
    let mut client = gate.client();
    client.send_in_pieces(&message(&start, &up.0, &up.1), pieces.0);
    if interim && !old {
        assert_eq!(client.head().unwrap().status(), 103);
    }
    let got = client.response("POST");
    if got.field("connection").is_none() {
        // The connection is where the next request expects it to be.
        let next = Origin::mirror();
        client.send_in_pieces(&get(&next.url("/next")), pieces.0);
        let seen = support::origin::mirrored(&client.response("GET")).neutral();
        assert_eq!(seen, format!("GET /next HTTP/1.1\r\nHost: {}\r\nVia: 1.1 SLUICE\r\n\r\n", next.address));
    } else {
        assert_eq!(client.end(), End::Fin);
    }
    (saw.recv().unwrap(), got)
}

fn check(gate: &Gate, exchange: &Exchange) {
    let (seen, got) = run(gate, exchange);
    let trailers = |framing: &Framing| match framing {
        Framing::Chunked(_, true) => KEPT.map(str::to_owned).to_vec(),
        _ => Vec::new(),
    };
    same("what the origin got", &seen.body, &exchange.up.0);
    assert_eq!(seen.trailers, trailers(&exchange.up.1));
    same("what the client got", &got.body, &exchange.down.0);
    assert_eq!(got.trailers, if exchange.old { Vec::new() } else { trailers(&exchange.down.1) });
}

fn gate(client: usize, origin: usize) -> Gate {
    Gate::with(|limits| {
        limits.client_buffer = client;
        limits.origin_buffer = origin;
    })
}

/// With the smallest buffers there are, a message stalls or comes out wrong.
#[test]
fn every_framing_passes_through_tiny_buffers() {
    for size in [1, 2, 3, 7, 64] {
        let gate = gate(size, size);
        let framings = [
            Framing::None,
            Framing::Length,
            Framing::Chunked(vec![1], false),
            Framing::Chunked(vec![5, 1, 300], true),
            Framing::UntilClose,
        ];
        for (n, down) in framings.iter().enumerate() {
            for up in &framings[..4] {
                let (up_body, down_body) = (noise(600, n as u64), noise(700, 9));
                // A response without framing ends with its connection.
                let down = if *down == Framing::None { &Framing::Length } else { down };
                let up_body = if *up == Framing::None { Vec::new() } else { up_body };
                for (interim, old) in [(false, false), (true, false), (true, true)] {
                    if old && matches!(up, Framing::Chunked(..)) {
                        continue;
                    }
                    let (up, down) = ((up_body.clone(), up.clone()), (down_body.clone(), down.clone()));
                    check(&gate, &Exchange { up, down, interim, old, pieces: (1000, 1000) });
                }
            }
        }
    }
}

/// The same for tunnels.
#[test]
fn a_tunnel_passes_through_tiny_buffers() {
    for size in [1, 2, 3, 7, 64] {
        let gate = gate(size, size);
        let origin = Origin::start(|_, wire| {
            wire.send(noise(3000, 1));
            let (bytes, _) = wire.rest();
            wire.send(&bytes);
        });
        let mut client = gate.client();
        let early = format!("CONNECT {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.address);
        client.send([early.as_bytes(), &noise(5000, 2)].concat());
        assert_eq!(client.head().unwrap().status(), 200);
        same("the origin's first bytes", &client.exactly(3000), &noise(3000, 1));
        client.fin();
        let (echo, end) = client.rest();
        same("the echo", &echo, &noise(5000, 2));
        assert_eq!(end, End::Fin);
        assert_eq!(gate.told(1)[0].bytes_out, 39 + 8000);
    }
}

/// Ten pipelined requests wait in a buffer of one byte.
#[test]
fn pipelined_requests_pass_through_tiny_buffers() {
    for size in [1, 3] {
        let gate = gate(size, size);
        let origin = Origin::mirror();
        let mut client = gate.client();
        let body = |n: usize| noise(n * 37, n as u64);
        let all: Vec<u8> = (0..10)
            .flat_map(|n| {
                let start = format!("PUT {} HTTP/1.1\r\nHost: x\r\n", origin.url(&format!("/{n}")));
                message(&start, &body(n), &if n % 2 == 0 { Framing::Length } else { Framing::Chunked(vec![9], true) })
            })
            .collect();
        let writer = Wire::new(client.stream.try_clone().unwrap());
        let sending = std::thread::spawn(move || writer.send(&all));
        for n in 0..10 {
            let seen = support::origin::mirrored(&client.response("PUT"));
            assert_eq!(seen.line(), format!("PUT /{n} HTTP/1.1"));
            same("a pipelined body", &seen.body, &body(n));
        }
        sending.join().unwrap();
    }
}

fn framings(until_close: bool) -> impl Strategy<Value = Framing> {
    let chunked = (proptest::collection::vec(1_usize..400, 1..6), any::<bool>());
    let chunked = chunked.prop_map(|(sizes, trailers)| Framing::Chunked(sizes, trailers));
    let last = if until_close { Framing::UntilClose } else { Framing::Length };
    prop_oneof![3 => chunked, 2 => Just(Framing::Length), 1 => Just(last)]
}

fn exchanges() -> impl Strategy<Value = Exchange> {
    let body = || proptest::collection::vec(any::<u8>(), 0..3000);
    let pieces = (1_usize..500, 1_usize..500);
    ((body(), framings(false)), (body(), framings(true)), any::<bool>(), any::<bool>(), pieces).prop_map(
        |(mut up, down, interim, old, pieces)| {
            if old && matches!(up.1, Framing::Chunked(..)) {
                up.1 = Framing::Length;
            }
            Exchange { up, down, interim, old, pieces }
        },
    )
}

/// Some size of buffer, body, chunk or packet is the one at which a byte is lost.
#[test]
fn nothing_depends_on_sizes_and_cuts() {
    let config = Config { cases: 96, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let buffer = prop_oneof![1_usize..8, 8_usize..200, Just(16_384_usize)];
    let all = (buffer.clone(), buffer, proptest::collection::vec(exchanges(), 1..4));
    let outcome = TestRunner::new(config).run(&all, |(client, origin, exchanges)| {
        let gate = gate(client, origin);
        exchanges.iter().for_each(|exchange| check(&gate, exchange));
        Ok(())
    });
    outcome.unwrap_or_else(|why| panic!("{}", why.to_string().chars().take(4000).collect::<String>()));
}
