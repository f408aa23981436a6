//! What happened to one exchange, gathered on the way, told once when it is over: also when it is over because
//! its future was dropped, or because a policy panicked.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use sluicegate_http1::RequestHead;

use super::Cx;
use crate::flow::Flow;
use crate::message::edits::Edits;
use crate::policy::Policy;
use crate::record::{Client, Ended, Extensions, Fault, Members, Record};
use crate::serve::exchange::Told;
use crate::worker::Worker;

/// The exchange so far.
pub(crate) struct Story<'s, P: Policy> {
    worker: &'s Worker<P>,
    who: &'s Client,
    flow: &'s Flow,
    head: &'s RequestHead,
    /// None when nobody wants to hear it, or it has been told: then no clock is read.
    began: Option<Began>,
    /// The policy has been asked about it.
    pub(crate) admitted: bool,
    /// Which members of the policy have been asked.
    pub(crate) asked: &'s mut Members,
    /// What the policy changed in the request's head.
    pub(crate) edits: Edits,
    pub(crate) extensions: Extensions,
    pub(crate) told: Told,
    pub(crate) tunnel: bool,
    pub(crate) origin: Option<SocketAddr>,
    pub(crate) reused: bool,
    pub(crate) lookup: Option<Duration>,
    /// It asked nobody.
    pub(crate) is_known: bool,
    pub(crate) connect: Option<Duration>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) fault: Option<Fault>,
    pub(crate) ended: Ended,
}

struct Began {
    id: u64,
    at: SystemTime,
    instant: Instant,
    /// Pauses of the connection before: to the client, to the origin.
    paused: (Duration, Duration),
}

impl Began {
    fn now<C, P: Policy>(cx: &Cx<'_, C, P>) -> Self {
        let paused = (cx.flow.downward().blocked_for(), cx.flow.upward().blocked_for());
        Self { id: cx.worker.shared.next_id(), at: SystemTime::now(), instant: Instant::now(), paused }
    }
}

impl<'s, P: Policy> Story<'s, P> {
    pub(crate) fn begin<C>(cx: &Cx<'s, C, P>, head: &'s RequestHead, asked: &'s mut Members) -> Self {
        asked.clear();
        Self {
            worker: cx.worker,
            who: cx.who,
            flow: cx.flow,
            head,
            began: cx.worker.shared.policy.records().then(|| Began::now(cx)),
            admitted: false,
            asked,
            edits: Edits::new(),
            extensions: Extensions::new(),
            told: Told::default(),
            tunnel: false,
            origin: None,
            reused: false,
            lookup: None,
            is_known: false,
            connect: None,
            bytes_in: 0,
            bytes_out: 0,
            fault: None,
            ended: Ended::Stopped,
        }
    }

    /// The request's head.
    pub(crate) fn head(&self) -> &RequestHead {
        self.head
    }

    /// Tells the policy, unless it has been told.
    pub(crate) fn tell(&mut self) {
        let Some(began) = self.began.take() else { return };
        let paused = (self.flow.downward().blocked_for(), self.flow.upward().blocked_for());
        let record = Record {
            id: began.id,
            client: self.who,
            started: began.at,
            duration: began.instant.elapsed(),
            request: self.head,
            tunnel: self.tunnel,
            status: self.told.status,
            origin: self.origin,
            reused: self.reused,
            lookup: self.lookup,
            lookup_cached: self.is_known,
            connect: self.connect,
            bytes_in: self.bytes_in.saturating_add(self.head.bytes().len() as u64),
            bytes_out: self.bytes_out.saturating_add(self.told.heads()),
            paused_by_client: paused.0.saturating_sub(began.paused.0),
            paused_by_origin: paused.1.saturating_sub(began.paused.1),
            fault: self.fault.as_ref(),
            ended: self.ended,
            extensions: &self.extensions,
            asked: self.asked,
        };
        let policy = &self.worker.shared.policy;
        if self.admitted { policy.ended(&record) } else { policy.refused(&record) }
    }
}

/// Tells of a client that was turned away before it could ask for anything, with so many bytes.
pub(crate) fn turned_away<P: Policy>(worker: &Worker<P>, who: &Client, fault: Option<&Fault>, given: usize) {
    worker.turned_away.fetch_add(1, Relaxed);
    let policy = &worker.shared.policy;
    let tell = || {
        if !policy.records() {
            return;
        }
        let (head, extensions, asked) = (RequestHead::new(), Extensions::new(), Members::new());
        let record = Record::of(who, &head, &extensions, &asked);
        policy.refused(&Record {
            id: worker.shared.next_id(),
            status: fault.filter(|_| given > 0).map_or(0, Fault::status),
            bytes_out: given as u64,
            fault,
            ended: fault.map_or(Ended::PolicyFailed, Fault::ended),
            ..record
        });
    };
    if catch_unwind(AssertUnwindSafe(tell)).is_err() {
        worker.count_panic(who);
    }
}

impl<P: Policy> Drop for Story<'_, P> {
    /// Whoever dropped it half-way is not to be met by a panic of the policy; and a second one, while a first unwinds, would
    /// end the process.
    fn drop(&mut self) {
        if self.began.is_some() {
            if std::thread::panicking() {
                self.ended = Ended::PolicyFailed;
            }
            if catch_unwind(AssertUnwindSafe(|| self.tell())).is_err() {
                self.worker.count_panic(self.who);
            }
        }
    }
}
