//! Answers that no origin gives: the same pump as an origin's response, with the answer's body as the source.

use std::convert::Infallible;

use sluicegate_http1::chunked::ChunkLimits;
use sluicegate_http1::{Framing, RequestHead, Version};

use super::reply::{Pipes, may_go_on};
use super::story::Story;
use super::{Cx, Next};
use crate::flow::{BodySource, Lane};
use crate::message::body::{Body, Producer};
use crate::message::response::Response;
use crate::pipe::{Encoding, Pipe};
use crate::policy::Policy;
use crate::pump::{self, End, Supply};
use crate::record::{Ended, Fault};
use crate::serve::exchange::{Stop, attend};
use crate::transport::{Hangup, Transport};

impl Pipes<'_, '_> {
    /// Answers `head` by a policy's `response`. While the client does not read, its body is not asked for
    /// more; when it goes, the body is dropped.
    pub(super) async fn own<C: Transport, P: Policy>(
        &mut self,
        cx: &Cx<'_, C, P>,
        story: &mut Story<'_, P>,
        head: &RequestHead,
        response: Response,
    ) -> Next {
        if let Err(wrong) = response.fits(head.method(), cx.worker.limits()) {
            tracing::error!(status = response.status(), %wrong, "a policy's answer cannot be sent");
            return self.fault(cx, story, head, Fault::Answer(wrong.to_string())).await;
        }
        match self.say(cx, story, head, response).await {
            Ok(next) => {
                story.ended = Ended::Complete;
                next
            }
            Err(stop) => self.stopped(cx, story, head, stop).await,
        }
    }

    /// Sends `response`: the one way to the client for all that no origin says.
    pub(super) async fn say<C: Transport, P: Policy>(
        &mut self,
        cx: &Cx<'_, C, P>,
        story: &mut Story<'_, P>,
        head: &RequestHead,
        response: Response,
    ) -> Result<Next, Stop> {
        let limits = cx.worker.limits();
        let (framing, encoding) = framed(head, &response);
        let by_close = framing == Framing::UntilClose && encoding == Encoding::Identity;
        let goes_on = may_go_on(head) && !response.is_last() && !by_close && !cx.flow.is_draining();
        // What came of this request's body stays where it is; what was to be sent on is forgotten.
        self.request.unstage();
        self.response.clear();
        let stage = self.response.stage();
        response.write_head(response.body().length(), encoding == Encoding::Chunked, !goes_on, stage);
        story.told.status = response.status();
        story.told.head = stage.len() as u64;
        self.response.begin(framing, encoding, ChunkLimits::default());
        let is_empty = matches!(framing, Framing::Empty | Framing::Length(0));
        let source = if is_empty { BodySource::None } else { response.body().source() };
        cx.flow.respond(source, limits.body_timeout);
        // A body that is not to be sent is dropped, so that its sender learns it.
        let body = if is_empty { Body::empty() } else { response.into_body() };
        let (supply, producer) = body.begin();
        let giving = give(self.response, is_empty, &supply, producer, cx.client, cx.flow.downward());
        let given = attend(cx.client, self.request, limits, cx.flow, giving).await;
        story.bytes_out = self.response.given();
        match given {
            Ok(Ok(())) => Ok(if goes_on { Next::Again } else { Next::Close }),
            Ok(Err(End::Sink)) => Err(Stop::Gone(Hangup::Reset)),
            Ok(Err(_)) => {
                let why = supply.failure().unwrap_or_else(|| "its body is shorter than was promised".to_owned());
                Err(Stop::Origin(Fault::Answer(why)))
            }
            // Nothing moved for too long: whose turn was it?
            Err(Stop::ClientSlow) if self.response.has_output() => Err(Stop::ClientNotReading),
            Err(Stop::ClientSlow) => Err(Stop::Origin(Fault::Answer("its body made no progress".to_owned()))),
            Err(stop) => Err(stop),
        }
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

/// How the body travels: not at all, with its length, in chunks, or until the connection closes.
fn framed(head: &RequestHead, response: &Response) -> (Framing, Encoding) {
    if head.method_so_far() == b"HEAD" || response.is_bodiless() {
        return (Framing::Empty, Encoding::Identity);
    }
    match (response.body().length(), head.version()) {
        (Some(length), _) => (Framing::Length(length), Encoding::Identity),
        (None, Version::Http11) => (Framing::UntilClose, Encoding::Chunked),
        (None, Version::Http10) => (Framing::UntilClose, Encoding::Identity),
    }
}

/// Runs the producer; that the body has ended is the pump's to say.
async fn produce(producer: Option<Producer>) -> Infallible {
    if let Some(producer) = producer {
        producer.await;
    }
    std::future::pending().await
}
