//! What happened to one exchange, gathered on the way, told once when it is over.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use sluicegate_http1::RequestHead;

use super::Cx;
use crate::exchange::Told;
use crate::record::{Ended, Fault, Record};

/// The exchange so far.
pub(crate) struct Story {
    /// None when nobody wants to hear it: then no clock is read.
    began: Option<Began>,
    pub(crate) told: Told,
    pub(crate) tunnel: bool,
    pub(crate) origin: Option<SocketAddr>,
    pub(crate) reused: bool,
    pub(crate) lookup: Option<Duration>,
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
    fn now<C>(cx: &Cx<'_, C>) -> Self {
        let paused = (cx.flow.downward().blocked_for(), cx.flow.upward().blocked_for());
        Self { id: cx.worker.shared.next_id(), at: SystemTime::now(), instant: Instant::now(), paused }
    }
}

impl Story {
    pub(crate) fn begin<C>(cx: &Cx<'_, C>) -> Self {
        Self {
            began: cx.worker.shared.policy.records().then(|| Began::now(cx)),
            told: Told::default(),
            tunnel: false,
            origin: None,
            reused: false,
            lookup: None,
            connect: None,
            bytes_in: 0,
            bytes_out: 0,
            fault: None,
            ended: Ended::Stopped,
        }
    }

    /// Tells the policy.
    pub(crate) fn tell<C>(self, cx: &Cx<'_, C>, head: &RequestHead) {
        let Some(began) = self.began else { return };
        let paused = (cx.flow.downward().blocked_for(), cx.flow.upward().blocked_for());
        cx.worker.shared.policy.ended(&Record {
            id: began.id,
            client: *cx.who,
            started: began.at,
            duration: began.instant.elapsed(),
            request: head,
            tunnel: self.tunnel,
            status: self.told.status,
            origin: self.origin,
            reused: self.reused,
            lookup: self.lookup,
            connect: self.connect,
            bytes_in: self.bytes_in.saturating_add(head.bytes().len() as u64),
            bytes_out: self.bytes_out.saturating_add(self.told.heads),
            paused_by_client: paused.0.saturating_sub(began.paused.0),
            paused_by_origin: paused.1.saturating_sub(began.paused.1),
            fault: self.fault.as_ref(),
            ended: self.ended,
        });
    }
}
