//! What a limit grants, and nothing more: over scripted sockets, with a clock that is turned by hand.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use sluicegate_http1::Framing;
use sluicegate_http1::chunked::ChunkLimits;

use super::{End, pump};
use crate::flow::{BodySource, Entered, Flows, PauseCause};
use crate::pipe::allowance::Allowance;
use crate::pipe::buffer::Pool;
use crate::pipe::kernel::KernelPipes;
use crate::pipe::{Encoding, Pipe};
use crate::transport::scripted::{Scripted, pair};

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

struct Stage {
    origin: Scripted,
    client: Scripted,
    flows: Arc<Flows>,
    flow: Entered,
    woken: Arc<Woken>,
}

type Pumping<'a> = Pin<&'a mut dyn Future<Output = Result<(), End>>>;

impl Stage {
    /// Polls as a connection does, with its alarm beside the pump, until nothing moves.
    fn settle(&self, pumping: &mut Pumping<'_>) {
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut cx = Context::from_waker(&waker);
        for _ in 0..8 {
            assert!(pumping.as_mut().poll(&mut cx).is_pending());
            assert_eq!(pin!(self.flow.alarm()).poll(&mut cx), Poll::Pending);
        }
        self.woken.0.store(0, Relaxed);
    }
}

/// A body of 10,000 bytes that is all there, through a pipe with an allowance, for a client whose kernel holds `wire` bytes.
fn play(splices: bool, wire: usize, allowance: &Arc<Allowance>, play: impl FnOnce(&Stage, &mut Pumping<'_>)) {
    let flows = Arc::new(Flows::new(Arc::default()));
    let flow = flows.enter("127.0.0.1:1".parse().unwrap());
    let (near_origin, origin) = pair(20_000);
    let (near_client, client) = pair(wire);
    if splices {
        near_origin.let_splice();
        near_client.let_splice();
    }
    let pool = Pool::new(4096, 1, Arc::new(KernelPipes::scripted(if splices { 4096 } else { 0 }, 0)));
    let mut pipe = Pipe::new(&pool);
    pipe.begin(Framing::Length(10_000), Encoding::Identity, ChunkLimits::default());
    pipe.limit(Arc::clone(allowance));
    origin.put(&[b'x'; 10_000]);
    flow.respond(BodySource::Origin, Duration::from_secs(300));
    let stage = Stage { origin, client, flows, flow, woken: Arc::default() };
    let mut pumping = pin!(pump(&mut pipe, &near_origin, &near_client, stage.flow.downward()));
    play(&stage, &mut { pumping.as_mut() });
}

#[test]
fn reads_stop_at_what_is_granted_to_the_byte_and_go_on_with_the_sweep() {
    for splices in [false, true] {
        play(splices, 20_000, &Arc::new(Allowance::new(1000, 300)), |stage, pumping| {
            for (at, taken) in [(0, 300), (100, 400), (200, 500), (1000, 800), (9000, 1100)] {
                stage.flows.sweep(Duration::from_millis(at));
                assert_eq!(stage.woken.0.load(Relaxed) > 0, at > 0, "who starves is woken, once there is more");
                for _ in 0..3 {
                    stage.settle(pumping);
                    assert_eq!(stage.origin.taken_by_peer(), taken, "at {at}, splices: {splices}");
                }
                assert_eq!(stage.client.given_by_peer(), taken, "and all of it is passed on");
                assert_eq!(stage.flow.downward().held_by(), Some(PauseCause::Limit));
                let state = stage.flows.states().remove(0);
                assert_eq!((state.origin_paused_by(), state.waits_for()), (Some(PauseCause::Limit), "limit"));
            }
        });
    }
}

/// A client that does not read is named before the limit: it is what has to change first.
#[test]
fn a_limit_is_not_blamed_for_a_client_that_does_not_read() {
    play(false, 100, &Arc::new(Allowance::new(1 << 20, 1 << 20)), |stage, pumping| {
        stage.settle(pumping);
        assert_eq!(stage.flow.downward().held_by(), Some(PauseCause::Client));
    });
}

#[test]
fn pipes_that_share_an_allowance_share_its_bytes() {
    let allowance = Arc::new(Allowance::new(7, 300));
    play(false, 20_000, &allowance, |one, pumping| {
        one.settle(pumping);
        play(true, 20_000, &allowance, |other, pumping| {
            other.settle(pumping);
            assert_eq!((one.origin.taken_by_peer(), other.origin.taken_by_peer()), (300, 0));
            // A low rate earns its bytes too, from one sweep to the next.
            for tick in 1..=10 {
                other.flows.sweep(Duration::from_millis(100 * tick));
                other.settle(pumping);
            }
            assert_eq!((one.origin.taken_by_peer(), other.origin.taken_by_peer()), (300, 7));
        });
    });
}
