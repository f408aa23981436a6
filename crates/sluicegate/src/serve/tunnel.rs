//! CONNECT and Upgrade: the same two pumps, without framing. An end on one side passes on after
//! what came before it; the other direction goes on (RFC 9110 §9.3.6).

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use sluicegate_http1::Framing;
use sluicegate_http1::chunked::ChunkLimits;

use super::exchange::{Interrupted, interrupted};
use super::{Served, Serving};
use crate::flow::{Deadline, Flow, Lane, PauseCause, Phase, Waits};
use crate::limits::{ClientFin, Limits};
use crate::pipe::{Encoding, Pipe};
use crate::policy::Policy;
use crate::pump::{self, End};
use crate::record::{Ended, Fault};
use crate::transport::{Cut, Hangup, Transport, Upstream, Watch};
use crate::worker::Share;

/// Whoever has ended its side and closed answers the other's last words by a reset: TLS says goodbye on both sides
/// (RFC 8446 §6.1), and curl does not wait for it. If no more comes than this, in bytes, and that soon, all was said.
const LAST_WORDS: usize = 16 * 1024;
const SOON: Duration = Duration::from_millis(500);

/// A tunnel that rests without a share of the memory may keep a request's head of this size for the log, in bytes.
const KEPT_HEAD: usize = 8 * 1024;

impl<C: Transport, P: Policy> Serving<'_, '_, C, P> {
    /// Bytes both ways until both have ended.
    pub(super) async fn tunnel(&mut self, origin: &Upstream) -> Served {
        let (cx, story) = (self.cx, &mut self.story);
        story.tunnel = true;
        origin.wait_for_reader();
        self.response_head.shrink();
        // The log needs it at the end; what it holds meanwhile is not to count.
        let is_small = story.head().capacity() <= KEPT_HEAD;
        let cut = Cut::unless_ended(origin);
        let tunnel = Tunnel {
            client: cx.client,
            origin,
            up: &mut *self.request,
            down: &mut *self.response,
            share: is_small.then_some(&mut *self.memory),
            limits: cx.worker.limits(),
            flow: cx.flow,
        };
        let ended = Box::pin(tunnel.run()).await;
        cut.ended();
        story.bytes_in = story.bytes_in.saturating_add(self.request.given());
        story.bytes_out = story.bytes_out.saturating_add(self.response.given());
        (story.ended, story.fault) = match ended {
            Ok(()) => (Ended::Complete, None),
            Err(Torn::Client(how)) => (Ended::ClientGone(how), None),
            Err(Torn::Origin) => (Ended::OriginFailed, Some(Fault::OriginClosed)),
            Err(Torn::Stopped) => (Ended::Stopped, None),
            Err(Torn::Overdue) => (Ended::Deadline, None),
        };
        if story.ended == Ended::Complete {
            // Both sides have ended: nothing is left to come, and nothing to wait for.
            return Served::Over;
        }
        origin.abort();
        Served::Cut
    }
}

/// Two sides, the pipes between them, and the share of the memory that those may take.
struct Tunnel<'t, 'p, C, O> {
    client: &'t C,
    origin: &'t O,
    up: &'t mut Pipe<'p>,
    down: &'t mut Pipe<'p>,
    /// Given back while neither pipe holds anything; None keeps it.
    share: Option<&'t mut Share<'p>>,
    limits: &'t Limits,
    flow: &'t Flow,
}

/// Why a tunnel ended before both of its sides had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Torn {
    /// The client has gone.
    Client(Hangup),
    /// The origin's connection broke.
    Origin,
    /// Nothing moved for too long: nobody's fault.
    Overdue,
    /// The proxy has stopped.
    Stopped,
}

impl From<Interrupted> for Torn {
    fn from(why: Interrupted) -> Self {
        match why {
            Interrupted::Gone(how) => Self::Client(how),
            Interrupted::Overdue => Self::Overdue,
            Interrupted::Stopped => Self::Stopped,
        }
    }
}

/// Which sides are still read.
struct Open {
    client: AtomicBool,
    origin: AtomicBool,
}

impl Open {
    /// How many of them are read no longer.
    fn ended(&self) -> u64 {
        [&self.client, &self.origin].into_iter().map(|side| u64::from(!side.load(Relaxed))).sum()
    }
}

impl<C: Transport, O: Transport> Tunnel<'_, '_, C, O> {
    /// Moves bytes both ways until both sides have ended. What either pipe holds already goes first.
    async fn run(self) -> Result<(), Torn> {
        let Tunnel { client, origin, up, down, share, limits, flow } = self;
        flow.wait(Phase::Tunnel, limits.tunnel_idle_timeout);
        up.begin(Framing::UntilClose, Encoding::Identity, ChunkLimits::default());
        down.begin(Framing::UntilClose, Encoding::Identity, ChunkLimits::default());
        let open = &Open { client: AtomicBool::new(true), origin: AtomicBool::new(true) };
        let upward = async {
            one_way(up, client, origin, flow.upward(), &open.client).await.map_err(|end| match end {
                End::Sink => Torn::Origin,
                _ => Torn::Client(Hangup::Reset),
            })?;
            flow.wait(Phase::Tunnel, after_the_client(limits));
            Ok(())
        };
        let downward = async {
            one_way(down, origin, client, flow.downward(), &open.origin).await.map_err(|end| match end {
                End::Sink => Torn::Client(Hangup::Reset),
                _ => Torn::Origin,
            })?;
            flow.wait(Phase::Tunnel, limits.half_closed_timeout);
            Ok(())
        };
        let both = async { tokio::try_join!(downward, upward).map(|_| ()) };
        let share = share.filter(|share| share.is_limited());
        let over = tokio::select! { biased;
            both = move_and_rest(both, client, origin, share, flow, open) => both,
            why = interrupted(client, Watch::Reset, flow) => Err(why.into()),
            _ = origin.hangup(Watch::Reset) => Err(Torn::Origin),
        };
        match over {
            Err(torn) => after_a_goodbye(torn, client, origin, open, flow).await,
            over => over,
        }
    }
}

/// What a reset means in a tunnel of which one side had ended: that this one has closed, or else what it says.
async fn after_a_goodbye<C: Transport, O: Transport>(
    torn: Torn,
    client: &C,
    origin: &O,
    open: &Open,
    flow: &Flow,
) -> Result<(), Torn> {
    let (client_ended, origin_ended) = (!open.client.load(Relaxed), !open.origin.load(Relaxed));
    match torn {
        // It has closed, and the origin had nothing more to say. What else the client wanted to say was cut.
        Torn::Client(_) if origin_ended => {
            origin.abort();
            Ok(())
        }
        Torn::Client(_) if client_ended && ends_soon(origin, flow).await => Ok(()),
        Torn::Origin if origin_ended && ends_soon(client, flow).await => Ok(()),
        torn => Err(torn),
    }
}

/// Whether this side, whose peer has closed, ends within its last words.
async fn ends_soon<F: Transport>(from: &F, flow: &Flow) -> bool {
    flow.wait(Phase::Tunnel, SOON);
    tokio::select! { biased;
        ended = pump::ends_within(from, LAST_WORDS) => ended,
        _ = flow.alarm() => false,
    }
}

/// How long the origin may be silent once its client has ended. Most clients that end have gone, and their places are
/// not to be held by whoever ignores it; `ClientFin::Allow` gives the origin its whole time.
fn after_the_client(limits: &Limits) -> Option<Duration> {
    let short = limits.abort_timeout.filter(|_| limits.client_fin == ClientFin::Abort);
    limits.half_closed_timeout.into_iter().chain(short).min()
}

/// Runs `both` directions; while neither holds anything, and nothing comes, the share of the memory is given back. It is
/// waited for anew before anything is read, when nothing is held: so no two tunnels can wait for each other.
async fn move_and_rest<C: Transport, O: Transport>(
    both: impl Future<Output = Result<(), Torn>>,
    client: &C,
    origin: &O,
    share: Option<&mut Share<'_>>,
    flow: &Flow,
    open: &Open,
) -> Result<(), Torn> {
    let mut both = pin!(both);
    let Some(share) = share else { return both.await };
    let mut moved = None;
    loop {
        tokio::select! { biased;
            ended = &mut both => return ended,
            // A share that was taken for a hint that came to nothing is kept, or two hints would chase each other.
            now = flow.rests(moved, || open.ended()) => moved = Some(now),
        }
        share.give_back();
        tokio::select! { biased;
            _ = pump::readable(client), if open.client.load(Relaxed) => {}
            _ = pump::readable(origin), if open.origin.load(Relaxed) => {}
            else => {}
        }
        if !share.try_take() {
            let lanes = [flow.upward(), flow.downward()];
            flow.wait(Phase::Admitting, Deadline::Same);
            lanes.into_iter().for_each(|lane| lane.stands(0, Waits::paused(PauseCause::Budget)));
            share.take().await;
            lanes.into_iter().for_each(|lane| lane.stands(0, Waits::NOTHING));
            flow.wait(Phase::Tunnel, Deadline::Same);
        }
    }
}

async fn one_way<F: Transport, T: Transport>(
    pipe: &mut Pipe<'_>,
    from: &F,
    to: &T,
    lane: Lane<'_>,
    is_open: &AtomicBool,
) -> Result<(), End> {
    pump::pump(pipe, from, to, lane).await?;
    is_open.store(false, Relaxed);
    pump::pass_end(to, lane).await.map_err(|_| End::Sink)
}
