//! Waiting for something while the client is watched: what interrupts it.

use std::future::pending;

use super::{Sent, Standing, Stop};
use crate::flow::{Alarm, Flow};
use crate::limits::{ClientFin, Limits};
use crate::pipe::Pipe;
use crate::pump;
use crate::transport::{Hangup, Transport, Watch};

/// What ends a wait before that which is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupted {
    /// The client has gone.
    Gone(Hangup),
    /// The deadline has passed.
    Overdue,
    /// The proxy has stopped.
    Stopped,
}

impl Interrupted {
    /// What it makes of a request that has got so far.
    pub(super) fn stop(self, flow: &Flow, sent: Sent) -> Stop {
        match self {
            Self::Gone(how) => Stop::Gone(how),
            Self::Overdue => Stop::Failed(Standing::of(flow, sent).fault()),
            Self::Stopped => Stop::Aborted,
        }
    }
}

/// Resolves when something else than its own end ends a wait.
pub(crate) async fn interrupted<C: Transport>(client: &C, watch: Watch, flow: &Flow) -> Interrupted {
    tokio::select! { biased;
        how = client.hangup(watch) => Interrupted::Gone(how),
        alarm = flow.alarm() => match alarm {
            Alarm::Overdue => Interrupted::Overdue,
            Alarm::Stopped => Interrupted::Stopped,
        },
    }
}

/// Runs `work` (dialling, a policy's thought) while the client is watched and eagerly read.
pub(crate) async fn attend<C: Transport, T>(
    client: &C,
    request: &mut Pipe<'_>,
    limits: &Limits,
    flow: &Flow,
    work: impl Future<Output = T>,
) -> Result<T, Stop> {
    tokio::select! { biased;
        done = work => Ok(done),
        stop = eager_read(client, request, limits, flow) => Err(stop),
        why = interrupted(client, watch(limits), flow) => Err(why.stop(flow, Sent::Nowhere)),
    }
}

/// What of a client counts as its going.
pub(crate) fn watch(limits: &Limits) -> Watch {
    match limits.client_fin {
        ClientFin::Abort => Watch::Fin,
        ClientFin::Allow => Watch::Reset,
    }
}

/// Reads the client up to its buffer, and no further; ends when the client has.
pub(super) async fn eager_read<C: Transport>(client: &C, request: &mut Pipe<'_>, limits: &Limits, flow: &Flow) -> Stop {
    match pump::attended_fill(request, client, flow.upward()).await {
        Ok(()) if limits.client_fin == ClientFin::Allow => pending().await,
        Ok(()) => Stop::Gone(Hangup::Fin),
        Err(_) => Stop::Gone(Hangup::Reset),
    }
}
