use std::pin::pin;
use std::task::{Context, Waker};

use super::*;

fn polled<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

struct Woken(AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

fn entered(flows: &Arc<Flows>) -> Entered {
    flows.enter("127.0.0.1:1".parse().unwrap())
}

#[test]
fn touching_extends_and_the_sweep_decides() {
    let flows = Arc::new(Flows::new(Arc::default()));
    let flow = entered(&flows);
    flow.wait(Phase::Head, Duration::from_secs(1));
    flows.sweep(Duration::from_millis(1000));
    assert_eq!(polled(flow.alarm()), Poll::Pending, "never early");
    flow.touch();
    flows.sweep(Duration::from_millis(2000));
    assert_eq!(polled(flow.alarm()), Poll::Pending);
    flows.sweep(Duration::from_millis(2100));
    assert_eq!(polled(flow.alarm()), Poll::Ready(Alarm::Overdue));
    flow.wait(Phase::Admitting, Deadline::Same);
    assert_eq!(polled(flow.alarm()), Poll::Ready(Alarm::Overdue), "another phase, and the same deadline");
    flow.wait(Phase::Connecting, None);
    assert_eq!(polled(flow.alarm()), Poll::Pending);
    flow.wait(Phase::Idle, Deadline::Sweep);
    assert_eq!(polled(flow.idle_alarm()), Poll::Pending);
    flows.sweep(Duration::from_millis(2101));
    assert_eq!(polled(flow.idle_alarm()), Poll::Ready(IdleAlarm::Overdue), "at the next sweep");
}

#[test]
fn a_phase_has_its_age_and_its_source_and_leaves_neither_to_the_next() {
    let flows = Arc::new(Flows::new(Arc::default()));
    let flow = entered(&flows);
    let state = |at: u64| {
        flows.sweep(Duration::from_secs(at));
        let state = flows.states().remove(0);
        (state.phase, state.source, state.phase_age.as_secs())
    };
    flow.respond(BodySource::Push, Duration::from_secs(9));
    assert_eq!(state(3), (Phase::Responding, BodySource::Push, 3));
    flow.wait(Phase::Closing, Duration::from_secs(9));
    assert_eq!(state(4), (Phase::Closing, BodySource::None, 1));
    flow.wait(Phase::Closing, Duration::from_secs(1));
    assert_eq!(state(6), (Phase::Closing, BodySource::None, 3), "it waits on, and has been there since it began");
    flow.wait(Phase::Tunnel, None);
    assert_eq!(state(6), (Phase::Tunnel, BodySource::Origin, 0));
    flow.wait(Phase::Idle, None);
    assert_eq!(state(6), (Phase::Idle, BodySource::None, 0));
}

#[test]
fn a_stop_ends_the_idle_first() {
    let flows = Arc::new(Flows::new(Arc::default()));
    let flow = entered(&flows);
    flows.drain();
    assert_eq!(polled(flow.idle_alarm()), Poll::Ready(IdleAlarm::Leave));
    assert_eq!((polled(flow.alarm()), polled(flow.head_alarm())), (Poll::Pending, Poll::Pending));
    assert_eq!(flows.abort(), 1);
    assert_eq!(polled(flow.alarm()), Poll::Ready(Alarm::Stopped));
    assert_eq!(polled(flow.idle_alarm()), Poll::Ready(IdleAlarm::Stopped));
    drop(flow);
    assert_eq!(flows.count(), 0);
}

#[test]
fn who_waits_for_whom_can_be_seen() {
    let flows = Arc::new(Flows::new(Arc::default()));
    let flow = entered(&flows);
    flow.respond(BodySource::Origin, None);
    flow.count_request();
    flow.upward().took(7);
    flow.upward().stands(7, Waits::paused(PauseCause::Order));
    flow.downward().gave(3);
    flow.downward().stands(100, Waits { sink: true, source: Some(PauseCause::Client) });
    let state = flows.states().remove(0);
    assert_eq!((state.phase, state.source, state.requests), (Phase::Responding, BodySource::Origin, 1));
    assert_eq!((state.up.taken, state.up.held, state.down.given, state.down.held), (7, 7, 3, 100));
    assert_eq!(state.client_paused_by(), Some(PauseCause::Order));
    assert_eq!(state.origin_paused_by(), Some(PauseCause::Client));
    std::thread::sleep(Duration::from_millis(2));
    flow.downward().stands(0, Waits::NOTHING);
    flow.upward().stands(0, Waits { sink: true, source: Some(PauseCause::Origin) });
    let state = flows.states().remove(0);
    assert_eq!((state.origin_paused_by(), state.client_paused_by()), (None, Some(PauseCause::Origin)));
    assert!(state.down.sink_waited >= Duration::from_millis(1) && state.down.sink_waits.is_none());
    assert!(state.to_string().contains("origin-full-by=Origin"), "{state}");
    let totals = [PauseCause::Order, PauseCause::Client].map(|cause| state.paused_for(cause));
    assert!(totals.iter().all(|total| *total >= Duration::from_millis(1)), "{totals:?}");
    assert_eq!(state.paused_for(PauseCause::Limit), Duration::ZERO);
}

#[test]
fn an_answer_of_ones_own_is_no_origin_that_is_not_read() {
    let flows = Arc::new(Flows::new(Arc::default()));
    let flow = entered(&flows);
    flow.respond(BodySource::Push, None);
    flow.downward().stands(100, Waits { sink: true, source: Some(PauseCause::Client) });
    let state = flows.states().remove(0);
    assert_eq!(state.origin_paused_by(), None);
    assert!(state.to_string().contains(" own-body-unread-by=Client for "), "{state}");
}

/// Who is paused by a limit is looked at again once per sweep: nothing else wakes it.
#[test]
fn the_sweep_wakes_who_starves_and_nobody_else() {
    for (cause, wakes) in [(PauseCause::Limit, true), (PauseCause::Client, false), (PauseCause::Budget, false)] {
        let flows = Arc::new(Flows::new(Arc::default()));
        let flow = entered(&flows);
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        flow.respond(BodySource::Origin, None);
        flow.downward().stands(0, Waits::paused(cause));
        assert!(pin!(flow.alarm()).poll(&mut Context::from_waker(&waker)).is_pending());
        flows.sweep(Duration::from_millis(100));
        assert_eq!(woken.0.load(Relaxed), wakes, "{cause:?}");
        assert_eq!(flow.downward().held_by(), Some(cause));
    }
}

#[test]
fn the_state_is_small() {
    assert!(size_of::<Flow>() <= 176, "{}", size_of::<Flow>());
}
