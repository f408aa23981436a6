//! Waiting for a request. Who waits holds no buffer and no share of the memory: an idle connection is its task, its socket
//! and its flow, and for the fraction of a second until the next sweep also the working state of the request before.

use super::{Busy, Came};
use crate::flow::{Alarm, Deadline, Flow, IdleAlarm, PauseCause, Phase, Waits};
use crate::policy::Policy;
use crate::pump;
use crate::serve::exchange::watch;
use crate::serve::{Cx, Working};
use crate::transport::Transport;

/// A working state that waits for the next request without a share of the memory may hold this much, in bytes.
const KEPT_HEADS: usize = 8 * 1024;

/// Waits for bytes, holding nothing; else says what it was told, or `None` if the client has gone. Every idle connection waits
/// here.
pub(super) async fn bytes<C: Transport, P: Policy>(cx: &Cx<'_, C, P>) -> Result<(), Option<IdleAlarm>> {
    let alarm = tokio::select! { biased;
        readable = pump::readable(cx.client) => return readable.map_err(|_| None),
        alarm = cx.flow.idle_alarm() => alarm,
    };
    // A stop ends who has asked for nothing. Of a client that was just taken from the queue only
    // the kernel knows that, yet: closing on its request would reset it.
    if alarm == IdleAlarm::Leave && cx.client.is_stale(true) {
        // Boxed, so that nobody who waits has room for it.
        return Box::pin(last_bytes(cx.client, cx.flow)).await;
    }
    Err(Some(alarm))
}

/// The same of what the kernel has already: it may be less than a record of TLS.
async fn last_bytes<C: Transport>(client: &C, flow: &Flow) -> Result<(), Option<IdleAlarm>> {
    tokio::select! { biased;
        readable = pump::readable(client) => readable.map_err(|_| None),
        alarm = flow.alarm() => Err(Some(alarm.into())),
    }
}

impl<C: Transport, P: Policy> Busy<'_, '_, C, P> {
    /// Waits for the first bytes of a request, and takes them once there is memory. "Readable" is a hint, which may come to
    /// nothing once; of a stream that hints on and on, only a read can tell.
    pub(super) async fn first_bytes(&mut self) -> Result<(), Came> {
        self.working.memory.give_back();
        self.shrink();
        for _ in 0..2 {
            self.stay().await?;
            self.reserve().await?;
            let (client, lane) = (self.cx.client, self.cx.flow.upward());
            match pump::try_fill(&mut self.working.request, client, lane).await {
                Ok(Some(0)) | Err(_) => return Err(Came::Gone),
                Ok(Some(_)) => return Ok(()),
                Ok(None) => self.working.memory.give_back(),
            }
        }
        // Boxed: rare.
        Box::pin(self.wait_with_a_buffer()).await
    }

    /// Waits with the working state until the next sweep, so that a request that comes soon finds it as it was left. Who is
    /// quiet for longer, or one of many, keeps only its place.
    async fn stay(&mut self) -> Result<(), Came> {
        let cx = self.cx;
        cx.flow.wait(Phase::Idle, Deadline::Sweep);
        let place = cx.worker.ready.take();
        if place.is_none() && !pump::is_readable(cx.client).await {
            return Err(Came::Nothing);
        }
        bytes(cx).await.map_err(|alarm| match alarm {
            Some(IdleAlarm::Overdue) => Came::Nothing,
            Some(IdleAlarm::Stopped) => Came::Stopped,
            Some(IdleAlarm::Leave) | None => Came::Gone,
        })
    }

    async fn wait_with_a_buffer(&mut self) -> Result<(), Came> {
        self.reserve().await?;
        let cx = self.cx;
        cx.flow.wait(Phase::Idle, cx.worker.limits().idle_timeout);
        tokio::select! { biased;
            read = pump::fill(&mut self.working.request, cx.client, cx.flow.upward()) => match read {
                Ok(0) | Err(_) => Err(Came::Gone),
                Ok(_) => Ok(()),
            },
            alarm = cx.flow.idle_alarm() => Err(match alarm {
                IdleAlarm::Overdue | IdleAlarm::Leave => Came::Gone,
                IdleAlarm::Stopped => Came::Stopped,
            }),
        }
    }

    /// Gives the memory of large heads back: what is kept is not to count.
    fn shrink(&mut self) {
        let Self { head, working: Working { request, response, response_head, .. }, .. } = self;
        let heads = head.capacity().saturating_add(response_head.capacity());
        let staged = request.capacity().saturating_add(response.capacity());
        if heads.saturating_add(staged) > KEPT_HEADS {
            head.shrink();
            response_head.shrink();
            request.shrink();
            response.shrink();
        }
    }

    /// Reserves the connection's whole bound at once, for as long as it holds anything; it never
    /// waits for more while it holds some, so no two can wait for each other.
    async fn reserve(&mut self) -> Result<(), Came> {
        if self.working.memory.try_take() {
            return Ok(());
        }
        let (cx, limits) = (self.cx, self.cx.worker.limits());
        cx.flow.wait(Phase::Admitting, limits.memory_timeout);
        cx.flow.upward().stands(0, Waits::paused(PauseCause::Budget));
        tokio::select! { biased;
            () = self.working.memory.take() => {}
            _ = cx.client.hangup(watch(limits)) => return Err(Came::Gone),
            alarm = cx.flow.alarm() => return Err(match alarm {
                Alarm::Overdue => Came::NoMemory,
                Alarm::Stopped => Came::Stopped,
            }),
        }
        cx.flow.upward().stands(0, Waits::NOTHING);
        Ok(())
    }
}
