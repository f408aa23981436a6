//! CONNECT and Upgrade: the same two pumps, without framing. An end on one side passes on after
//! what came before it; the other direction goes on (RFC 9110 §9.3.6).

use sluicegate_http1::Framing;
use sluicegate_http1::chunked::ChunkLimits;

use crate::exchange::Stop;
use crate::flow::{Alarm, BodySource, Flow, Lane, Phase};
use crate::limits::Limits;
use crate::pipe::{Encoding, Pipe};
use crate::record::Fault;
use crate::transport::{self, End, Hangup, Transport, Watch};

/// Moves bytes both ways until both sides have ended. What either pipe holds already goes first.
pub(crate) async fn tunnel<C: Transport, O: Transport>(
    client: &C,
    origin: &O,
    up: &mut Pipe<'_>,
    down: &mut Pipe<'_>,
    limits: &Limits,
    flow: &Flow,
) -> Result<(), Stop> {
    flow.allow(limits.tunnel_idle_timeout);
    flow.enter(Phase::Tunnel);
    flow.fed_by(BodySource::Origin);
    up.begin(Framing::UntilClose, Encoding::Identity, ChunkLimits::default());
    down.begin(Framing::UntilClose, Encoding::Identity, ChunkLimits::default());
    let upward = async {
        one_way(up, client, origin, limits, flow, flow.upward()).await.map_err(|end| match end {
            End::Sink => Stop::Origin(Fault::OriginClosed),
            _ => Stop::Gone(Hangup::Reset),
        })
    };
    let downward = async {
        one_way(down, origin, client, limits, flow, flow.downward()).await.map_err(|end| match end {
            End::Sink => Stop::Gone(Hangup::Reset),
            _ => Stop::Origin(Fault::OriginClosed),
        })
    };
    tokio::select! { biased;
        both = async { tokio::try_join!(downward, upward) } => both.map(|_| ()),
        how = client.hangup(Watch::Reset) => Err(Stop::Gone(how)),
        _ = origin.hangup(Watch::Reset) => Err(Stop::Origin(Fault::OriginClosed)),
        alarm = flow.alarm() => Err(match alarm {
            Alarm::Abort | Alarm::Drain => Stop::Aborted,
            Alarm::Deadline => Stop::ClientSlow,
        }),
    }
}

async fn one_way<F: Transport, T: Transport>(
    pipe: &mut Pipe<'_>,
    from: &F,
    to: &T,
    limits: &Limits,
    flow: &Flow,
    lane: Lane<'_>,
) -> Result<(), End> {
    transport::pump(pipe, from, to, lane).await?;
    transport::shutdown(to).await.map_err(|_| End::Sink)?;
    flow.allow(limits.half_closed_timeout);
    Ok(())
}
