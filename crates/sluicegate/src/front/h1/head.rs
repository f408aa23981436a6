//! Reading the head of a request, from the first byte to the last.

use std::io;

use sluicegate_http1::{HeadLimits, Malformed, Received, RequestHead};

use super::{Busy, Came};
use crate::flow::{IdleAlarm, Phase};
use crate::pipe::Pipe;
use crate::policy::Policy;
use crate::pump;
use crate::transport::Transport;

impl<C: Transport, P: Policy> Busy<'_, '_, C, P> {
    pub(super) async fn read_head(&mut self) -> Came {
        let limits = self.cx.worker.limits();
        self.is_pipelined = !self.working.request.raw().is_empty();
        if !self.is_pipelined
            && let Err(instead) = self.first_bytes().await
        {
            return instead;
        }
        // From its first byte on, a head has a deadline that no byte extends.
        self.cx.flow.wait(Phase::Head, limits.head_timeout);
        loop {
            match receive(&mut self.head, &mut self.working.request, &limits.head) {
                Ok(true) => return Came::Request,
                Ok(false) if self.head.is_empty() => self.working.memory.give_back(),
                Ok(false) => {}
                Err(rule) => return Came::Nonsense(rule),
            }
            let flow = self.cx.flow;
            tokio::select! { biased;
                read = self.fill() => match read {
                    Ok(0) | Err(_) => return Came::Gone,
                    Ok(_) => {}
                },
                alarm = flow.head_alarm() => return unfinished(alarm, &self.head),
            }
        }
    }

    /// Reads more of a head. While nothing but empty lines has come, nothing is held for it: their sender's deadline goes on.
    async fn fill(&mut self) -> io::Result<usize> {
        self.working.request.release();
        if self.head.is_empty() {
            pump::readable(self.cx.client).await?;
        }
        self.working.memory.take().await;
        pump::fill(&mut self.working.request, self.cx.client, self.cx.flow.upward()).await
    }
}

/// What a head is that did not end before the alarm.
fn unfinished(alarm: IdleAlarm, head: &RequestHead) -> Came {
    match alarm {
        // Nothing but empty lines is no request that could be answered (RFC 9112 §2.2).
        IdleAlarm::Overdue | IdleAlarm::Leave if head.is_empty() => Came::Gone,
        IdleAlarm::Overdue => Came::TooSlowly,
        IdleAlarm::Leave => Came::NeedsToLeave,
        IdleAlarm::Stopped => Came::Stopped,
    }
}

/// Moves received bytes into the head's slot. True when the head is complete.
fn receive(head: &mut RequestHead, request: &mut Pipe<'_>, limits: &HeadLimits) -> Result<bool, Malformed> {
    let raw = request.raw();
    match head.receive(raw, limits)? {
        Received::Complete(n) => {
            request.drop_raw(n);
            Ok(true)
        }
        Received::Partial => {
            let all = raw.len();
            request.drop_raw(all);
            Ok(false)
        }
    }
}
