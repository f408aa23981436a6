//! Answers that no origin gives: the same pump as an origin's response, with the answer's body as the source. And what is left
//! to say when something stopped before its end.

use std::convert::Infallible;

use sluicegate_http1::chunked::ChunkLimits;
use sluicegate_http1::{Encoding, Framing};

use super::exchange::{Stop, attend};
use super::front::{Head, Said};
use super::{Served, Serving};
use crate::flow::{BodySource, Lane};
use crate::message::answer;
use crate::message::body::{Body, Producer};
use crate::message::response::Response;
use crate::pipe::Pipe;
use crate::policy::{Failure, Policy};
use crate::pump::{self, End, Supply};
use crate::record::{Ended, Fault};
use crate::transport::{Hangup, Transport};

impl<C: Transport, P: Policy> Serving<'_, '_, C, P> {
    /// Answers by a policy's `response`. While the client does not read, its body is not asked for more; when it goes, the body
    /// is dropped.
    pub(super) async fn own(&mut self, response: Response) -> Served {
        if let Err(wrong) = response.fits(self.head.method(), self.cx.worker.limits()) {
            tracing::error!(status = response.status(), %wrong, "a policy's answer cannot be sent");
            return self.fault(Fault::Answer(wrong.to_string())).await;
        }
        match self.say(response).await {
            Ok(()) => {
                self.story.ended = Ended::Complete;
                Served::Whole
            }
            Err(stop) => self.stopped(stop).await,
        }
    }

    /// Says what failed.
    pub(super) async fn fault(&mut self, fault: Fault) -> Served {
        let hint = answer::hint(&fault, self.head.request_line_so_far(), self.cx.worker.limits());
        let response = answer::fault(&fault, &hint, &self.cx.worker.shared.name);
        self.blame(fault, response).await
    }

    /// Says it by this response, or by what the policy makes of it.
    pub(super) async fn blame(&mut self, fault: Fault, response: Response) -> Served {
        let response = self.worded(&fault, response);
        self.story.ended = fault.ended();
        self.story.fault = Some(fault);
        // Boxed: it is not what a proxy does all day. Who does not hear it even so is reset.
        Box::pin(self.say(response)).await.map_or(Served::Cut, |()| Served::Whole)
    }

    /// The policy's words for what failed, if they can be sent. Whether another request may follow is not for them to say.
    fn worded(&self, fault: &Fault, response: Response) -> Response {
        let (cx, head, shared) = (self.cx, self.head, &self.cx.worker.shared);
        let is_last = response.is_last();
        let extensions = &self.story.extensions;
        let failure = Failure { fault, client: cx.who, request: head, extensions, name: &shared.name };
        let worded = shared.policy.failed(&failure, response);
        if let Err(wrong) = worded.fits(head.method_so_far(), cx.worker.limits()) {
            tracing::error!(status = worded.status(), %wrong, "a policy's answer to a failure cannot be sent");
            return answer::fault(fault, "", &shared.name);
        }
        if is_last { worded.last() } else { worded }
    }

    /// What is left to do when something stopped before its end.
    pub(super) async fn stopped(&mut self, stop: Stop) -> Served {
        let fault = match stop {
            Stop::Gone(how) => {
                self.story.ended = Ended::ClientGone(how);
                return Served::Cut;
            }
            Stop::Aborted => {
                self.story.ended = Ended::Stopped;
                return Served::Cut;
            }
            Stop::Failed(fault) => fault,
        };
        let told = &mut self.story.told;
        if told.status != 0 && !self.response.has_begun() && fault != Fault::ClientNotReading {
            told.unsay();
        }
        // An interim response that is half written cannot be followed by an answer.
        if told.status == 0 && !self.response.is_cut() {
            return self.fault(fault).await;
        }
        // The response has begun: the only honest end is a reset.
        self.story.ended = fault.ended();
        self.story.fault = Some(fault);
        Served::Cut
    }

    /// Sends `response`: the one way to the client for all that no origin says.
    async fn say(&mut self, response: Response) -> Result<(), Stop> {
        let (cx, limits) = (self.cx, self.cx.worker.limits());
        // What came of this request's body stays where it is; what was to be sent on is forgotten.
        self.request.unstage();
        self.response.clear();
        let framing = self.framed(&response);
        let encoding = self.begin(&response, framing);
        // What the supply gives is the body itself, which ends where the supply does.
        let given = if framing == Framing::Chunked { Framing::UntilClose } else { framing };
        self.response.begin(given, encoding, ChunkLimits::default());
        let is_empty = matches!(framing, Framing::Empty | Framing::Length(0));
        let source = if is_empty { BodySource::None } else { response.body().source() };
        cx.flow.respond(source, limits.body_timeout);
        // A body that is not to be sent is dropped, so that its sender learns it.
        let body = if is_empty { Body::empty() } else { response.into_body() };
        let (supply, producer) = body.begin();
        let giving = give(self.response, is_empty, &supply, producer, cx.client, cx.flow.downward());
        let given = attend(cx.client, self.request, limits, cx.flow, giving).await;
        self.story.bytes_out = self.response.given();
        match given {
            Ok(Ok(())) => Ok(()),
            Ok(Err(End::Sink)) => Err(Stop::Gone(Hangup::Reset)),
            Ok(Err(_)) => {
                let why = supply.failure().unwrap_or_else(|| "its body is shorter than was promised".to_owned());
                Err(Stop::Failed(Fault::Answer(why)))
            }
            Err(stop) => Err(stop),
        }
    }

    /// Stages the head of `response`; how its body is to be encoded.
    fn begin(&mut self, response: &Response, framing: Framing) -> Encoding {
        let (length, request_ended) = (response.body().length(), self.has_no_body());
        let stage = self.response.stage();
        let encoding = self.front.begin(&Head { said: Said::ByUs(response), framing, length, request_ended }, stage);
        self.story.told.status = response.status();
        self.story.told.head = stage.len() as u64;
        encoding
    }

    /// How the body comes to its end: there is none, by its length, or when its source says so.
    fn framed(&self, response: &Response) -> Framing {
        if self.head.method_so_far() == b"HEAD" || response.is_bodiless() {
            return Framing::Empty;
        }
        response.body().length().map_or(Framing::Chunked, Framing::Length)
    }

    /// Whether the request is known to have ended with its head.
    fn has_no_body(&self) -> bool {
        self.head.is_complete() && matches!(self.front.framing(self.head), Ok(Framing::Empty | Framing::Length(0)))
    }
}

/// Gives the body to the client. What of it is there leaves in one write with the head: a client that closes behind the head
/// would reset the rest. And a body that fails before it begins is an answer that was never said.
async fn give<C: Transport>(
    pipe: &mut Pipe<'_>,
    is_empty: bool,
    supply: &Supply,
    producer: Option<Producer>,
    client: &C,
    lane: Lane<'_>,
) -> Result<(), End> {
    match if is_empty { Ok(None) } else { pump::try_fill(pipe, supply, lane).await } {
        Ok(Some(0)) => pipe.end_of_input().map_err(End::Truncated)?,
        Ok(_) => {}
        Err(_) => return Err(End::Source),
    }
    tokio::select! { biased;
        given = pump::deliver(pipe, supply, client, lane) => given,
        never = produce(producer) => match never {},
    }
}

/// Runs the producer; that the body has ended is the pump's to say.
async fn produce(producer: Option<Producer>) -> Infallible {
    if let Some(producer) = producer {
        producer.await;
    }
    std::future::pending().await
}
