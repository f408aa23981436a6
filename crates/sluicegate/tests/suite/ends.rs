//! docs/close.md against the tests that it names; and the end of a client's connection after its last answer.

use crate::support;
use crate::support::ends;
use crate::support::named;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::ends::{SHORT, is_broken, told_alone};
use crate::support::{End, Gate, Wire, eventually, noise};
use sluicegate::Limits;
use sluicegate::flow::Phase;

const LONG: Duration = Duration::from_secs(600);

/// The table promises what nobody tests, or is silent about what somebody does.
#[test]
fn every_row_is_a_test_and_every_test_a_row() {
    let all = named::defined();
    let rows: BTreeSet<String> = ends::rows().into_iter().map(|row| row.test).collect();
    assert_eq!(rows.difference(&all).collect::<Vec<_>>(), [""; 0], "rows without a test");
    let mut tests: BTreeSet<_> =
        all.into_iter().filter(|test| test.starts_with("ends") && !test.contains('/')).collect();
    assert!(tests.remove("ends.rs::every_row_is_a_test_and_every_test_a_row"));
    assert_eq!(tests.difference(&rows).collect::<Vec<_>>(), [""; 0], "tests without a row");
}

/// A request that is refused and closes the connection.
const REFUSED: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// A client that has been given its last answer, and the proxy's FIN.
fn closing(set: impl FnOnce(&mut Limits)) -> (Gate, Wire) {
    let gate = Gate::with(set);
    let mut client = gate.client();
    client.send(REFUSED);
    assert_eq!((client.response("GET").status(), client.end()), (400, End::Fin));
    (gate, client)
}

/// A client that goes on sending after its answer, before it has read it, loses it to a reset.
#[test]
fn linger_takes_what_still_comes() {
    let gate = Gate::start();
    let mut client = gate.client();
    client.send(REFUSED);
    eventually("it is closing", || gate.proxy.connections().iter().any(|it| it.phase == Phase::Closing));
    client.send(noise(1_000_000, 1));
    assert_eq!((client.response("GET").status(), client.end()), (400, End::Fin));
    assert!(!is_broken(&client));
    drop(client);
    told_alone("linger_takes_what_still_comes", &gate);
}

/// One that never stops is read for ever.
#[test]
fn linger_bytes() {
    let (gate, client) = closing(|limits| limits.linger_bytes = 100_000);
    let begin = Instant::now();
    while client.try_send(&noise(10_000, 1)).is_ok() {
        assert!(begin.elapsed() < support::PATIENCE, "it is not cut off");
    }
    assert!(begin.elapsed() < Limits::default().linger_timeout, "by its bytes, not by its time");
    eventually("nothing is left", || gate.proxy.connection_count() == 0);
    told_alone("linger_bytes", &gate);
}

fn short_linger(abort: Option<Duration>) -> impl FnOnce(&mut Limits) {
    move |limits| {
        limits.linger_timeout = SHORT / 3;
        limits.abort_timeout = abort;
    }
}

/// One that neither closes nor sends holds its place for ever.
#[test]
fn abort_timeout() {
    let begin = Instant::now();
    let (gate, client) = closing(short_linger(Some(SHORT)));
    eventually("it is reset", || is_broken(&client));
    assert!(begin.elapsed() >= SHORT, "early: {:?}", begin.elapsed());
    eventually("nothing is left", || gate.proxy.connection_count() == 0);
    told_alone("abort_timeout", &gate);
}

/// A client that closes well is reset all the same.
#[test]
fn clean_close() {
    for abort in [Some(SHORT), None] {
        let (gate, client) = closing(short_linger(abort));
        let (_other, witness) = closing(short_linger(Some(2 * SHORT)));
        client.fin();
        eventually("it has ended", || gate.proxy.connection_count() == 0);
        eventually("the time of an abort has passed", || is_broken(&witness));
        assert!(!is_broken(&client));
        told_alone("clean_close", &gate);
    }
}

/// The same after the time of reading is over.
#[test]
fn clean_close_after_the_linger() {
    let (gate, client) = closing(short_linger(Some(LONG)));
    let (_other, witness) = closing(short_linger(Some(2 * SHORT)));
    eventually("the linger is over", || is_broken(&witness));
    client.fin();
    eventually("it has ended", || gate.proxy.connection_count() == 0);
    assert!(!is_broken(&client));
    told_alone("clean_close_after_the_linger", &gate);
}

/// An operator who turns the abort off meets it nevertheless.
#[test]
fn abort_timeout_off() {
    let (gate, client) = closing(short_linger(None));
    let (_other, witness) = closing(short_linger(Some(3 * SHORT)));
    eventually("the time of an abort has passed", || is_broken(&witness));
    assert!(!is_broken(&client) && gate.proxy.connection_count() == 1);
    told_alone("abort_timeout_off", &gate);
    client.reset();
    eventually("it ends with its client", || gate.proxy.connection_count() == 0);
}
