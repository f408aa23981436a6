//! What can be seen of a connection while it lives.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Flow;
use super::pause::{Pause, PauseCause};

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum Phase {
    /// It waits for a request, and holds no buffer.
    Idle,
    /// Its handshake runs: TLS, the PROXY protocol, one of one's own.
    Handshake,
    /// It waits for memory (`Limits::max_memory`).
    Admitting,
    /// A head is being received.
    Head,
    /// A policy decides about the request.
    Deciding,
    /// The origin is looked up and dialled.
    Connecting,
    /// The request is being sent, or the origin thinks.
    Waiting,
    /// The response is being given.
    Responding,
    /// Bytes move both ways, unframed.
    Tunnel,
    /// The last answer has been given; the client is to close.
    Closing,
}

/// Who makes the response's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum BodySource {
    /// Nobody: there is none, or it was one of our own short answers.
    None,
    /// The origin.
    Origin,
    /// A handler that sends.
    Push,
    /// A handler that is asked.
    Pull,
}

/// One direction of a connection; durations have a resolution of 0.1 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectionState {
    /// Bytes read from its source, since the connection began.
    pub taken: u64,
    /// Bytes written to its sink, heads and framing included.
    pub given: u64,
    /// Bytes in its buffer.
    pub held: usize,
    /// The sink does not take what waits for it: for how long now.
    pub sink_waits: Option<Duration>,
    /// The same, in total.
    pub sink_waited: Duration,
    /// The source is not read: why, and for how long now.
    pub source_paused: Option<Pause>,
}

/// One live connection, as it stood when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionState {
    /// Which connection it is: the proxy counts them from 1, over all its workers, and gives no number twice.
    pub id: u64,
    /// The client's address.
    pub client: SocketAddr,
    /// How long it has been there, to 0.1 s.
    pub age: Duration,
    /// What it is doing.
    pub phase: Phase,
    /// For how long, to 0.1 s.
    pub phase_age: Duration,
    /// The host and port of its present request, as they were written: of its target, or of `Host` where that has none.
    /// Without path, query and credentials.
    pub host: Option<String>,
    /// Who makes the response's body.
    pub source: BodySource,
    /// Requests received so far.
    pub requests: u32,
    /// Client to origin; `up.held` beyond the current body is what is pipelined behind.
    pub up: DirectionState,
    /// Origin to client.
    pub down: DirectionState,
    paused: [Duration; PauseCause::ALL.len()],
}

impl ConnectionState {
    /// Why the client is not read, if it is not.
    #[must_use]
    pub fn client_paused_by(&self) -> Option<PauseCause> {
        self.up.source_paused.map(|pause| pause.cause)
    }

    /// Why the origin is not read, if it is not.
    #[must_use]
    pub fn origin_paused_by(&self) -> Option<PauseCause> {
        self.down.source_paused.filter(|_| self.source == BodySource::Origin).map(|pause| pause.cause)
    }

    /// For how long this has held the connection back since it began: the client and the origin by not reading, anything
    /// else by keeping a source from being read (both directions together).
    #[must_use]
    pub fn paused_for(&self, cause: PauseCause) -> Duration {
        self.paused.get(cause as usize).copied().unwrap_or_default()
    }

    /// What it waits for, in a word or two, as its line shows it.
    #[must_use]
    pub fn waits_for(&self) -> &'static str {
        let limits = [self.up.source_paused, self.down.source_paused];
        let limit = limits.into_iter().flatten().find(|pause| pause.cause.is_ours());
        match self.phase {
            Phase::Waiting | Phase::Responding | Phase::Tunnel if limit.is_some() => "limit",
            Phase::Idle => "request",
            Phase::Handshake => "handshake",
            Phase::Admitting => "memory",
            Phase::Head => "rest-of-head",
            Phase::Deciding => "policy",
            Phase::Connecting => "origin-connection",
            Phase::Waiting | Phase::Tunnel if self.up.sink_waits.is_some() => "origin-to-read",
            Phase::Responding | Phase::Tunnel | Phase::Closing if self.down.sink_waits.is_some() => "client-to-read",
            Phase::Waiting => "origin-response",
            Phase::Responding if matches!(self.source, BodySource::Push | BodySource::Pull) => "own-body",
            Phase::Responding => "origin-body",
            Phase::Tunnel => "bytes",
            Phase::Closing => "client-close",
        }
    }

    pub(super) fn of(flow: &Flow, id: u64, host: Option<String>) -> Self {
        let since = |then: u32| Duration::from_millis(flow.clock.coarse().wrapping_sub(then).into());
        Self {
            id,
            client: flow.client,
            age: since(flow.began),
            phase_age: since(flow.since.load(Relaxed)),
            host,
            phase: phase(flow.phase.load(Relaxed)),
            source: source(flow.source.load(Relaxed)),
            requests: flow.requests.load(Relaxed),
            up: flow.upward().state(),
            down: flow.downward().state(),
            paused: PauseCause::ALL.map(|cause| flow.paused_for(cause)),
        }
    }
}

pub(super) fn phase(code: u8) -> Phase {
    use Phase::{Admitting, Closing, Connecting, Deciding, Handshake, Head, Idle, Responding, Tunnel, Waiting};
    let all = [Idle, Handshake, Admitting, Head, Deciding, Connecting, Waiting, Responding, Tunnel, Closing];
    all.into_iter().find(|phase| *phase as u8 == code).unwrap_or(Idle)
}

fn source(code: u8) -> BodySource {
    use BodySource::{None, Origin, Pull, Push};
    [None, Origin, Push, Pull].into_iter().find(|source| *source as u8 == code).unwrap_or(None)
}

impl fmt::Display for ConnectionState {
    /// One line: who, what, how much, and who waits for whom.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, phase, requests, up, down, .. } = self;
        write!(f, "{client} {phase:?} host={}", self.host.as_deref().unwrap_or("-"))?;
        write!(f, " age={:.1?} waits-for={} phase-age={:.1?}", self.age, self.waits_for(), self.phase_age)?;
        write!(f, " requests={requests}")?;
        write!(f, " up={}/{} held={}", up.taken, up.given, up.held)?;
        write!(f, " down={}/{} held={}", down.taken, down.given, down.held)?;
        let fed_by = if self.source == BodySource::Origin { "origin-unread-by" } else { "own-body-unread-by" };
        let full = |cause| move |since| Pause { cause, since };
        let paused = [
            ("client-unread-by", up.source_paused),
            (fed_by, down.source_paused),
            ("origin-full-by", up.sink_waits.map(full(PauseCause::Origin))),
            ("client-full-by", down.sink_waits.map(full(PauseCause::Client))),
        ];
        for (what, pause) in paused {
            if let Some(Pause { cause, since }) = pause {
                write!(f, " {what}={cause:?} for {since:.1?}")?;
            }
        }
        Ok(())
    }
}
