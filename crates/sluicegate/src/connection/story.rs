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
    began: Option<(u64, SystemTime, Instant)>,
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

impl Story {
    pub(crate) fn begin<C>(cx: &Cx<'_, C>) -> Self {
        let shared = &cx.worker.shared;
        let wanted = shared.policy.records();
        Self {
            began: wanted.then(|| (shared.next_id(), SystemTime::now(), Instant::now())),
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
        let Some((id, started, began)) = self.began else { return };
        cx.worker.shared.policy.ended(&Record {
            id,
            client: *cx.who,
            started,
            duration: began.elapsed(),
            request: head,
            tunnel: self.tunnel,
            status: self.told.status,
            origin: self.origin,
            reused: self.reused,
            lookup: self.lookup,
            connect: self.connect,
            bytes_in: self.bytes_in.saturating_add(head.bytes().len() as u64),
            bytes_out: self.bytes_out.saturating_add(self.told.heads),
            fault: self.fault.as_ref(),
            ended: self.ended,
        });
    }
}
