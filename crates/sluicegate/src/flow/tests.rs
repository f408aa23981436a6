use std::pin::pin;
use std::task::{Context, Waker};

use super::*;

fn polled(future: impl Future<Output = Alarm>) -> Poll<Alarm> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn entered(flows: &Arc<Flows>) -> Entered {
    flows.enter("127.0.0.1:1".parse().unwrap())
}

#[test]
fn touching_extends_and_the_sweep_decides() {
    let flows = Arc::new(Flows::new());
    let flow = entered(&flows);
    flow.allow(Some(Duration::from_secs(1)));
    flows.sweep(Duration::from_millis(1000));
    assert_eq!(polled(flow.alarm()), Poll::Pending, "never early");
    flow.touch();
    flows.sweep(Duration::from_millis(2000));
    assert_eq!(polled(flow.alarm()), Poll::Pending);
    flows.sweep(Duration::from_millis(2100));
    assert_eq!(polled(flow.alarm()), Poll::Ready(Alarm::Deadline));
    flow.allow(None);
    assert_eq!(polled(flow.alarm()), Poll::Pending);
}

#[test]
fn a_stop_ends_the_idle_first() {
    let flows = Arc::new(Flows::new());
    let flow = entered(&flows);
    flows.drain();
    assert_eq!(polled(flow.idle_alarm()), Poll::Ready(Alarm::Drain));
    assert_eq!(polled(flow.alarm()), Poll::Pending);
    assert_eq!(flows.abort(), 1);
    assert_eq!(polled(flow.alarm()), Poll::Ready(Alarm::Abort));
    drop(flow);
    assert_eq!(flows.count(), 0);
}

#[test]
fn who_waits_for_whom_can_be_seen() {
    let flows = Arc::new(Flows::new());
    let flow = entered(&flows);
    flow.enter(Phase::Responding);
    flow.fed_by(BodySource::Origin);
    flow.count_request();
    flow.upward().took(7);
    flow.upward().stands(7, false, true);
    flow.downward().gave(3);
    flow.downward().stands(100, true, true);
    let state = flows.states().remove(0);
    assert_eq!((state.phase, state.source, state.requests), (Phase::Responding, BodySource::Origin, 1));
    assert_eq!((state.up.taken, state.up.held, state.down.given, state.down.held), (7, 7, 3, 100));
    assert_eq!(state.client_paused_by(), Some(PausedBy::Order));
    assert_eq!(state.origin_paused_by(), Some(PausedBy::Client));
    std::thread::sleep(Duration::from_millis(2));
    flow.downward().stands(0, false, false);
    flow.upward().stands(0, true, true);
    let state = flows.states().remove(0);
    assert_eq!((state.origin_paused_by(), state.client_paused_by()), (None, Some(PausedBy::Origin)));
    assert!(state.down.sink_waited >= Duration::from_millis(1) && state.down.sink_waits.is_none());
    assert!(state.to_string().contains("origin-full-by=Origin"), "{state}");
}

#[test]
fn the_state_is_small() {
    assert!(size_of::<Flow>() <= 192, "{}", size_of::<Flow>());
}
