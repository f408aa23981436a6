//! One request and its response: two pumps that run at once, a watch on the client, a deadline.
//!
//! ```text
//! client ──request pipe──▶ origin      the upload arm
//! client ◀─response pipe── origin      the answer arm, polled first: what is finished is delivered
//! client ──▶ gone?                     the hang-up watch
//! ```

mod blame;
mod interim;
mod larger;
mod wait;

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use sluicegate_http1::chunked::ChunkLimits;
use sluicegate_http1::{Framing, HeadLimits, Malformed, Name, Received, ResponseHead, framing, login};

use self::blame::{Sent, Standing};
use self::interim::Interim;
pub(crate) use self::larger::Larger;
use self::wait::eager_read;
pub(crate) use self::wait::{Interrupted, attend, interrupted, watch};
use super::front::{Front, Head, Said};
use crate::flow::{BodySource, Flow, Phase};
use crate::message::edits::{Edits, Room};
use crate::message::forward::Offers;
use crate::pipe::Pipe;
use crate::policy::{OriginResponse, Patience, Policy};
use crate::pump::{self, End};
use crate::record::{Client, Extensions, Fault};
use crate::transport::{Hangup, Transport};

/// Why an exchange, or the way to one, stopped early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The client has gone.
    Gone(Hangup),
    /// Something failed: a rule was broken, a peer ended, or a deadline passed; and by whose fault.
    Failed(Fault),
    /// The proxy was stopped.
    Aborted,
}

/// How an exchange ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The response was given whole.
    Whole {
        /// The origin's connection may carry another.
        origin_persists: bool,
    },
    /// The origin switched protocols, and the client knows.
    Switched,
}

/// What the client has been sent.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The final status; 0 while none has been staged.
    pub(crate) status: u16,
    /// Bytes of its head.
    pub(crate) head: u64,
    /// Bytes of the heads of interim responses.
    pub(crate) interim: u64,
    /// The origin has said something, whether it was passed on or not.
    pub(crate) heard: bool,
    /// Either side has named a login that belongs to the connection.
    pub(crate) binds: bool,
}

impl Told {
    /// Bytes of all heads.
    pub(crate) fn heads(&self) -> u64 {
        self.head.saturating_add(self.interim)
    }

    /// The final response was staged and not given: nothing has been said.
    pub(crate) fn unsay(&mut self) {
        (self.status, self.head) = (0, 0);
    }
}

/// Everything an exchange works with but the request's pipe: the upload's, while all this is the answer's.
pub(crate) struct Exchange<'e, 'p, C, O, P> {
    pub(crate) client: &'e C,
    pub(crate) origin: &'e O,
    pub(crate) response: &'e mut Pipe<'p>,
    pub(crate) head: &'e mut ResponseHead,
    /// Writes the heads that the client gets.
    pub(crate) front: &'e mut (dyn Front + 'e),
    pub(crate) method: &'e [u8],
    /// The protocols that the client may switch to.
    pub(crate) upgrade: Option<Offers<'e>>,
    /// It may be sent once more if the connection, which had been kept, turns out to have ended.
    pub(crate) may_repeat: bool,
    /// The limits, and how long this origin is waited for.
    pub(crate) patience: Patience<'e>,
    pub(crate) flow: &'e Flow,
    pub(crate) told: &'e mut Told,
    /// Memory for a large head.
    pub(crate) larger: &'e mut Larger<'p>,
    /// Sees the response's head before the client does.
    pub(crate) responder: Responder<'e, P>,
    pub(crate) progress: &'e Progress,
}

/// A policy, and what it is told with a response.
#[derive(Debug)]
pub(crate) struct Responder<'e, P> {
    pub(crate) policy: &'e P,
    pub(crate) who: &'e Client,
    pub(crate) extensions: &'e Extensions,
}

/// How far the request has got: what one arm has to know of the other. That of the response is the flow's phase.
#[derive(Debug)]
pub(crate) struct Progress(AtomicU8);

impl Default for Progress {
    fn default() -> Self {
        Self(AtomicU8::new(Sent::Part as u8))
    }
}

impl Progress {
    fn set(&self, sent: Sent) {
        self.0.store(sent as u8, Relaxed);
    }

    fn get(&self) -> Sent {
        let code = self.0.load(Relaxed);
        [Sent::Refused, Sent::Whole].into_iter().find(|sent| *sent as u8 == code).unwrap_or(Sent::Part)
    }

    fn is_sent(&self) -> bool {
        self.get() == Sent::Whole
    }
}

impl<C: Transport, O: Transport, P: Policy> Exchange<'_, '_, C, O, P> {
    /// Runs it. The request's head is staged in its pipe; nothing of the response has been read.
    ///
    /// Cancel-safe as a whole: what it leaves behind is only on the sockets and in the pipes.
    pub(crate) async fn run(&mut self, request: &mut Pipe<'_>) -> Result<Answered, Stop> {
        let Self { client, origin, patience, flow, progress, .. } = *self;
        flow.wait(Phase::Waiting, patience.body_timeout());
        let upload = upload(client, origin, &mut *request, patience, flow, progress);
        let why = tokio::select! { biased;
            answered = self.answer() => return answered,
            stop = upload => return Err(stop),
            why = interrupted(client, watch(patience.limits), flow) => why,
        };
        Err(why.stop(flow, progress.get()))
    }

    /// The answer arm.
    async fn answer(&mut self) -> Result<Answered, Stop> {
        let mut interim = Interim::new(self.flow.now());
        loop {
            self.read_head().await.map_err(Stop::Failed)?;
            match self.head.status() {
                101 => return self.switch().await,
                100..200 => self.relay_interim(&mut interim).await?,
                // It is about the time before the request, which it has crossed (RFC 9110 §15.5.9).
                408 if self.may_repeat && !self.told.heard => {
                    self.head.clear();
                    return Err(Stop::Failed(Fault::OriginClosed));
                }
                _ => return self.relay_final().await,
            }
        }
    }

    async fn read_head(&mut self) -> Result<(), Fault> {
        self.head.clear();
        pump::in_turn(self.flow.downward()).await;
        loop {
            let raw = self.response.raw();
            let window = raw.get(..self.larger.room(self.head.bytes().len())).unwrap_or(raw);
            let received = self.head.receive(window, &self.larger.head()).map_err(Fault::Response)?;
            match received {
                Received::Complete(n) => {
                    self.response.drop_raw(n);
                    self.told.binds |= login::response_binds(self.head);
                    return Ok(());
                }
                Received::Partial => {
                    let taken = window.len();
                    self.response.drop_raw(taken);
                }
            }
            if self.larger.room(self.head.bytes().len()) == 0 {
                self.larger.take()?;
            }
            if !self.response.raw().is_empty() {
                continue;
            }
            match pump::fill(self.response, self.origin, self.flow.downward()).await {
                Ok(0) | Err(_) => return Err(Fault::OriginClosed),
                Ok(_) => {}
            }
        }
    }

    /// A 1xx goes to those who know them (RFC 9110 §15.2).
    async fn relay_interim(&mut self, interim: &mut Interim) -> Result<(), Stop> {
        self.told.heard = true;
        interim.count(self.head.bytes().len(), self.flow.now()).map_err(Stop::Failed)?;
        if interim.extends(self.head.status()) && self.progress.is_sent() {
            self.flow.wait(Phase::Waiting, self.patience.response_timeout());
        }
        let written = self.stage_interim();
        self.told.interim = self.told.interim.saturating_add(written);
        if written == 0 { Ok(()) } else { self.flush().await }
    }

    /// Only to what was offered (RFC 9110 §7.8), and not before the origin has the whole request: what is left of its
    /// body would be taken for the other protocol. Bytes that came with it belong to the tunnel.
    async fn switch(&mut self) -> Result<Answered, Stop> {
        if !self.is_offered() || !self.has_sent().await {
            return Err(Stop::Failed(Fault::Upgrade));
        }
        self.told.status = 101;
        self.told.head = self.stage_interim();
        self.flush().await?;
        Ok(Answered::Switched)
    }

    /// Whether the head names one protocol, and it was offered.
    fn is_offered(&self) -> bool {
        let mut chosen = self.head.named(Name::Upgrade);
        match (chosen.next(), chosen.next()) {
            (Some(one), None) => self.upgrade.is_some_and(|offers| offers.contains(one.value)),
            _ => false,
        }
    }

    /// Whether the origin has been given the whole request. The upload may have given its last byte and stepped aside
    /// before it could say so: then its turn comes after this one.
    async fn has_sent(&self) -> bool {
        if !self.progress.is_sent() {
            tokio::task::yield_now().await;
        }
        self.progress.is_sent()
    }

    async fn relay_final(&mut self) -> Result<Answered, Stop> {
        let malformed = |rule| Stop::Failed(Fault::Response(rule));
        let framing = framing::response(self.head, self.method).map_err(malformed)?;
        let length = self.length(framing).map_err(malformed)?;
        let source = if framing == Framing::Empty { BodySource::None } else { BodySource::Origin };
        self.flow.respond(source, self.patience.body_timeout());
        let sent = self.progress.is_sent();
        self.told.status = self.head.status();
        let edits = self.edited();
        let said = Said::ByOrigin(self.head, edits.some());
        let stage = self.response.stage();
        let before = stage.len();
        let encoding = self.front.begin(&Head { said, framing, length, request_ended: sent }, stage);
        self.told.head = stage.len().saturating_sub(before) as u64;
        let limits = ChunkLimits {
            // They are held twice, decoded and staged: together no more than a head.
            trailer_bytes: self.patience.limits.response_share().bytes / 2,
            trailer_fields: self.patience.limits.response_head.fields,
            ..ChunkLimits::default()
        };
        self.response.begin(framing, encoding, limits);
        if edits.some().is_some() {
            self.response.drop_trailers();
        }
        let (from, to, lane) = (self.origin, self.client, self.flow.downward());
        pump::deliver(self.response, from, to, lane).await.map_err(response_end)?;
        let untouched = self.response.raw().is_empty();
        let origin_persists = sent && untouched && framing != Framing::UntilClose && self.head.persists();
        Ok(Answered::Whole { origin_persists })
    }

    /// What Content-Length says: the body's length, or what it would be (RFC 9110 §8.6).
    fn length(&self, framing: Framing) -> Result<Option<u64>, Malformed> {
        match (framing, self.head.status()) {
            (Framing::Length(n), _) => Ok(Some(n)),
            (Framing::Empty, 204) => Ok(None),
            (Framing::Empty, _) => framing::content_length(self.head.named(Name::ContentLength)),
            _ => Ok(None),
        }
    }

    /// What the policy changes in the head.
    fn edited(&self) -> Edits {
        let Responder { policy, who, extensions } = self.responder;
        let HeadLimits { fields, .. } = self.patience.limits.response_head;
        let bytes = self.larger.room(0);
        let room = Room { bytes, fields, taken: (self.head.bytes().len(), self.head.field_count()) };
        let mut edits = Edits::new();
        policy.respond(&mut OriginResponse { head: self.head, edits: &mut edits, room, extensions }, who);
        edits
    }

    /// Writes an interim response's head where the pump finds it; how many bytes those are.
    fn stage_interim(&mut self) -> u64 {
        let stage = self.response.stage();
        let before = stage.len();
        self.front.interim(self.head, stage);
        stage.len().saturating_sub(before) as u64
    }

    async fn flush(&mut self) -> Result<(), Stop> {
        pump::flush(self.response, self.client, self.flow.downward()).await.map_err(|_| Stop::Gone(Hangup::Reset))
    }
}

/// Sends the request, then goes on reading the client up to its buffer. Ends only when the client
/// is at fault; if only the origin has stopped listening, its answer may still come.
async fn upload<C: Transport, O: Transport>(
    client: &C,
    origin: &O,
    request: &mut Pipe<'_>,
    patience: Patience<'_>,
    flow: &Flow,
    progress: &Progress,
) -> Stop {
    match pump::pump(request, client, origin, flow.upward()).await {
        Ok(()) => {
            progress.set(Sent::Whole);
            if flow.phase() == Phase::Waiting {
                flow.wait(Phase::Waiting, patience.response_timeout());
            }
        }
        Err(End::Source) => return Stop::Gone(Hangup::Reset),
        Err(End::Truncated(_)) => return Stop::Gone(Hangup::Fin),
        Err(End::Malformed(rule)) => return Stop::Failed(Fault::Request(rule)),
        Err(End::Sink) => progress.set(Sent::Refused),
    }
    eager_read(client, request, patience.limits, flow).await
}

fn response_end(end: End) -> Stop {
    match end {
        End::Source | End::Truncated(_) => Stop::Failed(Fault::OriginClosed),
        End::Malformed(rule) => Stop::Failed(Fault::Response(rule)),
        End::Sink => Stop::Gone(Hangup::Reset),
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod oracle;
#[cfg(any(test, fuzzing))]
mod stage;
#[cfg(test)]
mod tests;
