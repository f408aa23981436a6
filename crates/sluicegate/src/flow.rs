//! The flow state of a connection: what it is doing, which of its four directions is held back, by
//! whom, since when; and its deadline. All of it is numbers that moving bytes only store to, and
//! that anyone may read ([`ConnectionState`]).
//!
//! No connection has a timer. One sweep per worker compares all deadlines with the clock ten times
//! a second and wakes those that have run out (docs/adr/0002); so none is re-armed per read, and a
//! test turns the clock by hand.

mod clock;
mod crowd;
mod deadline;
mod lane;
mod notice;
mod pause;
mod registry;
mod state;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use futures_util::task::AtomicWaker;

use clock::Clock;
pub(crate) use clock::TICK;
pub(crate) use crowd::{Crowd, Guests};
pub(crate) use deadline::Deadline;
pub(crate) use lane::Lane;
use lane::{Direction, Sink};
pub(crate) use notice::OncePerSecond;
pub(crate) use pause::Waits;
pub use pause::{Pause, PauseCause};
pub(crate) use registry::{Entered, Flows};
pub use state::{BodySource, ConnectionState, DirectionState, Phase};

/// A connection lets others have their turn after this many moves, and a pump after as many of its own, so that the arms
/// beside it are polled: without it one `select!` arm was seen to make 7,877 moves before the next had its turn, and one
/// client's pipelined requests held a worker for 33 ms.
pub(crate) const MOVES: u8 = 16;

/// Why a connection that works is told to stop waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// Its deadline has passed.
    Overdue,
    /// The proxy has stopped and everything ends, or this connection was told to.
    Stopped,
}

/// Why a connection is told so to which nothing is owed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdleAlarm {
    /// Its deadline has passed.
    Overdue,
    /// It is to leave: the proxy is stopping, or somebody else needs the place.
    Leave,
    /// The proxy has stopped and everything ends, or this connection was told to.
    Stopped,
}

impl From<Alarm> for IdleAlarm {
    fn from(alarm: Alarm) -> Self {
        match alarm {
            Alarm::Overdue => Self::Overdue,
            Alarm::Stopped => Self::Stopped,
        }
    }
}

/// Who has just come is not quiet yet, nor is a head that has just begun: a round trip, or a packet that was lost once.
const NEWCOMER: u32 = 1000;

/// One connection's state. At most 176 bytes, for 50,000 of them (a test counts): shared, they are 192, and those the
/// allocator has a place for.
#[derive(Debug)]
pub(crate) struct Flow {
    clock: Arc<Clock>,
    client: SocketAddr,
    /// Milliseconds of the clock.
    deadline: AtomicU64,
    /// What [`Flow::touch`] extends the deadline by, in milliseconds.
    period: AtomicU32,
    waker: AtomicWaker,
    requests: AtomicU32,
    /// When it began, and when it entered its phase, in milliseconds of the clock; they wrap.
    began: u32,
    since: AtomicU32,
    phase: AtomicU8,
    source: AtomicU8,
    /// Its place is needed by somebody else.
    gives_way: AtomicBool,
    /// It is to end at once.
    is_aborted: AtomicBool,
    /// Connections to origins are, or were, kept for this client alone.
    keeps_origins: AtomicBool,
    /// It has one of the permits of `Limits::max_connections`, and gives it back.
    has_permit: AtomicBool,
    /// Moves since it last waited, see [`Flow::is_spent`].
    moves: AtomicU8,
    /// How long sources were not read, see [`PauseCause::total`], in tenths of a millisecond.
    paused: [AtomicU32; PauseCause::TOTALS],
    /// By whom, see [`Lane`].
    up_paused: AtomicU8,
    down_paused: AtomicU8,
    up: Direction,
    down: Direction,
}

impl Flow {
    fn new(clock: Arc<Clock>, client: SocketAddr) -> Self {
        Self {
            paused: Default::default(),
            up_paused: AtomicU8::new(PauseCause::Origin as u8),
            down_paused: AtomicU8::new(PauseCause::Client as u8),
            up: Direction::default(),
            down: Direction::default(),
            began: clock.coarse(),
            since: AtomicU32::new(clock.coarse()),
            gives_way: AtomicBool::new(false),
            is_aborted: AtomicBool::new(false),
            clock,
            client,
            deadline: AtomicU64::new(deadline::NEVER),
            period: AtomicU32::new(deadline::FOR_EVER),
            waker: AtomicWaker::new(),
            requests: AtomicU32::new(0),
            phase: AtomicU8::new(Phase::Idle as u8),
            source: AtomicU8::new(BodySource::None as u8),
            keeps_origins: AtomicBool::new(false),
            has_permit: AtomicBool::new(false),
            moves: AtomicU8::new(0),
        }
    }

    /// From the client to the origin.
    pub(crate) fn upward(&self) -> Lane<'_> {
        Lane { flow: self, sink: Sink::Origin }
    }

    /// From the origin to the client.
    pub(crate) fn downward(&self) -> Lane<'_> {
        Lane { flow: self, sink: Sink::Client }
    }

    /// What the clock said at the last sweep.
    pub(crate) fn now(&self) -> Duration {
        Duration::from_millis(self.clock.millis())
    }

    /// What it is doing from now on, and until when at the latest. This and [`Flow::respond`] are the only ways to set
    /// either, so that neither is forgotten. Who waits on in the same phase has been in it since it began.
    pub(crate) fn wait(&self, phase: Phase, deadline: impl Into<Deadline>) {
        self.begin(phase, if phase == Phase::Tunnel { BodySource::Origin } else { BodySource::None }, deadline.into());
    }

    /// [`Flow::wait`] while a response is given whose body comes from `source`.
    pub(crate) fn respond(&self, source: BodySource, deadline: impl Into<Deadline>) {
        self.begin(Phase::Responding, source, deadline.into());
    }

    fn begin(&self, phase: Phase, source: BodySource, deadline: Deadline) {
        if self.phase.load(Relaxed) != phase as u8 {
            self.phase.store(phase as u8, Relaxed);
            self.since.store(self.clock.coarse(), Relaxed);
        }
        self.source.store(source as u8, Relaxed);
        if let Some(period) = deadline.period() {
            self.period.store(period, Relaxed);
            self.touch();
        }
    }

    /// What it is doing.
    pub(crate) fn phase(&self) -> Phase {
        state::phase(self.phase.load(Relaxed))
    }

    /// Whether its client waits for nothing: it has asked for nothing yet, or got its last answer.
    pub(crate) fn owes_nothing(&self) -> bool {
        let phase = self.phase.load(Relaxed);
        phase == Phase::Idle as u8 || phase == Phase::Closing as u8
    }

    /// From now on, connections to origins may be kept for this client alone.
    pub(crate) fn keep_origins(&self) {
        self.keeps_origins.store(true, Relaxed);
    }

    /// Whether there may be any.
    pub(crate) fn keeps_origins(&self) -> bool {
        self.keeps_origins.load(Relaxed)
    }

    /// It has a permit now.
    pub(crate) fn hold_permit(&self) {
        self.has_permit.store(true, Relaxed);
    }

    /// Whether it has one.
    pub(crate) fn has_permit(&self) -> bool {
        self.has_permit.load(Relaxed)
    }

    /// One more request has been received.
    pub(crate) fn count_request(&self) {
        self.gives_way.store(false, Relaxed);
        self.requests.store(self.requests.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// It has read, answered or moved something, so many times.
    pub(crate) fn moved(&self, times: u8) {
        self.moves.store(self.moves.load(Relaxed).saturating_add(times), Relaxed);
    }

    /// Whether it has moved so often without waiting that it is the others' turn.
    pub(crate) fn is_spent(&self) -> bool {
        self.moves.load(Relaxed) >= MOVES
    }

    /// Others have their turn now.
    pub(crate) fn rest(&self) {
        self.moves.store(0, Relaxed);
    }

    /// Something moved: the deadline begins anew.
    pub(crate) fn touch(&self) {
        self.deadline.store(deadline::after(self.clock.millis(), self.period.load(Relaxed)), Relaxed);
    }

    /// Resolves when the deadline passes or the proxy has stopped. While it is stopping, what runs goes on.
    pub(crate) fn alarm(&self) -> impl Future<Output = Alarm> {
        self.until(Self::alarmed)
    }

    /// The same for a connection that waits for a request: a stopping proxy ends it too.
    pub(crate) fn idle_alarm(&self) -> impl Future<Output = IdleAlarm> {
        self.until(|flow| flow.dismissed(flow.is_draining() || flow.has_to_go()))
    }

    /// The same for a head that has begun: a stopping proxy lets it come, but it may have to give way.
    pub(crate) fn head_alarm(&self) -> impl Future<Output = IdleAlarm> {
        self.until(|flow| flow.dismissed(flow.has_to_go()))
    }

    /// Resolves when both ways hold nothing and wait for nothing but their sources, if anything has moved since `before`:
    /// with how much that was. What has `ended` is counted with it. Polled only after both.
    pub(crate) fn rests(&self, before: Option<u64>, ended: impl Fn() -> u64) -> impl Future<Output = u64> {
        poll_fn(move |_| {
            let moved = self.up.taken().wrapping_add(self.down.taken()).wrapping_add(ended());
            match self.up.is_at_rest() && self.down.is_at_rest() && before != Some(moved) {
                true => Poll::Ready(moved),
                false => Poll::Pending,
            }
        })
    }

    /// For how many milliseconds it has been quiet, if it may give way to others: it has asked for nothing, or not come
    /// further than a handshake or the beginning of a head.
    fn quiet(&self) -> Option<u32> {
        let long = self.clock.coarse().wrapping_sub(self.since.load(Relaxed));
        let phase = self.phase.load(Relaxed);
        let is_quiet = match phase == Phase::Idle as u8 {
            true => self.requests.load(Relaxed) > 0 || long >= NEWCOMER,
            false => [Phase::Head as u8, Phase::Handshake as u8].contains(&phase) && long >= NEWCOMER,
        };
        is_quiet.then_some(long)
    }

    /// Has it give way, unless it has not been quiet since then, or has been told so before.
    fn give_way(&self, since: u32) -> bool {
        let is_quiet = self.quiet().is_some() && self.since.load(Relaxed) == since;
        let goes = is_quiet && !self.gives_way.swap(true, Relaxed);
        if goes {
            self.waker.wake();
        }
        goes
    }

    /// Has it end at once, as if the proxy had stopped, unless it has been told so before.
    fn abort(&self) -> bool {
        let ends = !self.is_aborted.swap(true, Relaxed);
        if ends {
            self.waker.wake();
        }
        ends
    }

    fn has_to_go(&self) -> bool {
        self.gives_way.load(Relaxed) && self.quiet().is_some()
    }

    /// Whether no further request is to be begun.
    pub(crate) fn is_draining(&self) -> bool {
        self.clock.is_draining()
    }

    /// No `async fn`, which would be three times as large; and what `rings` holds would be there for each idle client.
    fn until<T>(&self, rings: impl Fn(&Self) -> Option<T>) -> impl Future<Output = T> {
        poll_fn(move |cx| {
            self.waker.register(cx.waker());
            // An alarm is waited for by who cannot go on.
            self.rest();
            rings(self).map_or(Poll::Pending, Poll::Ready)
        })
    }

    fn alarmed(&self) -> Option<Alarm> {
        if self.clock.is_aborted() || self.is_aborted.load(Relaxed) {
            return Some(Alarm::Stopped);
        }
        (self.deadline.load(Relaxed) <= self.clock.millis()).then_some(Alarm::Overdue)
    }

    /// A deadline goes before an order to leave.
    fn dismissed(&self, leaves: bool) -> Option<IdleAlarm> {
        self.alarmed().map(IdleAlarm::from).or(leaves.then_some(IdleAlarm::Leave))
    }

    /// Whether it is to be polled now that the clock has moved: an alarm may ring, or a limit grants something.
    fn is_called(&self) -> bool {
        let starves = |lane: Lane<'_>| lane.paused_by() == Some(PauseCause::Limit);
        let rings = self.dismissed(self.is_draining() || self.has_to_go()).is_some();
        rings || starves(self.upward()) || starves(self.downward())
    }

    /// For how long this has held it back, until now.
    fn paused_for(&self, cause: PauseCause) -> Duration {
        let Some(total) = cause.total().and_then(|total| self.paused.get(total)) else {
            return match cause {
                PauseCause::Client => self.downward().blocked_for(),
                PauseCause::Origin => self.upward().blocked_for(),
                _ => Duration::ZERO,
            };
        };
        let now =
            |lane: Lane<'_>| lane.pause().filter(|now| now.cause == cause).map_or(Duration::ZERO, |now| now.since);
        lane::tenths(total.load(Relaxed)).saturating_add(now(self.upward())).saturating_add(now(self.downward()))
    }
}

#[cfg(test)]
mod tests;
