//! What is said to the client when there is no response to relay, and how an exchange's end becomes
//! its connection's: go on, close, or reset.

use sluicegate_http1::{Framing, RequestHead, ResponseHead, framing};

use super::story::Story;
use super::{Cx, KEPT_HEADS, Next};
use crate::message::answer;
use crate::message::response::Response;
use crate::origin::Kept;
use crate::pipe::Pipe;
use crate::policy::{Failure, Policy};
use crate::record::{Ended, Fault};
use crate::serve::exchange::{Larger, Stop};
use crate::serve::tunnel::Tunnel;
use crate::transport::{Cut, Transport, Upstream};
use crate::worker::Share;

/// Whether another request may follow this one, whatever it is answered: only one without a body is certain
/// to have ended.
pub(super) fn may_go_on(head: &RequestHead) -> bool {
    let ended = head.is_complete() && matches!(framing::request(head), Ok(Framing::Empty | Framing::Length(0)));
    ended && head.method() != b"CONNECT" && head.persists()
}

/// The policy's words for what failed, if they can be sent. Whether another request may follow is not for them to say.
fn worded<C, P: Policy>(
    cx: &Cx<'_, C, P>,
    story: &Story<'_, P>,
    head: &RequestHead,
    fault: &Fault,
    response: Response,
) -> Response {
    let shared = &cx.worker.shared;
    let is_last = response.is_last();
    let failure = Failure { fault, client: cx.who, request: head, extensions: &story.extensions, name: &shared.name };
    let worded = shared.policy.failed(&failure, response);
    if let Err(wrong) = worded.fits(head.method_so_far(), cx.worker.limits()) {
        tracing::error!(status = worded.status(), %wrong, "a policy's answer to a failure cannot be sent");
        return answer::fault(fault, "", &shared.name);
    }
    if is_last { worded.last() } else { worded }
}

/// The two directions, and the slot of the response's head.
pub(super) struct Pipes<'b, 'p> {
    pub(super) request: &'b mut Pipe<'p>,
    pub(super) response: &'b mut Pipe<'p>,
    pub(super) response_head: &'b mut ResponseHead,
    /// The origin of the request before.
    pub(super) last: &'b mut Option<Kept>,
    pub(super) memory: &'b mut Share<'p>,
    /// The request had come before the response to the one before it was through.
    pub(super) is_pipelined: bool,
    /// Memory for a large head of this response.
    pub(super) larger: Larger<'p>,
}

impl Pipes<'_, '_> {
    /// The request is over: memory that was taken for its response's head goes back.
    pub(super) fn give_back(self) {
        if self.larger.is_taken() {
            self.response_head.shrink();
            self.response.shrink();
        }
    }

    /// Says what failed.
    pub(super) async fn fault<C: Transport, P: Policy>(
        &mut self,
        cx: &Cx<'_, C, P>,
        story: &mut Story<'_, P>,
        head: &RequestHead,
        fault: Fault,
    ) -> Next {
        let hint = answer::hint(&fault, head.request_line_so_far(), cx.worker.limits());
        let response = answer::fault(&fault, &hint, &cx.worker.shared.name);
        self.blame(cx, story, head, fault, response).await
    }

    /// Says it by this response, or by what the policy makes of it.
    pub(super) async fn blame<C: Transport, P: Policy>(
        &mut self,
        cx: &Cx<'_, C, P>,
        story: &mut Story<'_, P>,
        head: &RequestHead,
        fault: Fault,
        response: Response,
    ) -> Next {
        let response = worded(cx, story, head, &fault, response);
        story.ended = fault.ended();
        story.fault = Some(fault);
        // Who does not hear it even so is reset.
        Box::pin(self.say(cx, story, head, response)).await.unwrap_or(Next::Abort)
    }

    /// What is left to do when something stopped before its end.
    pub(super) async fn stopped<C: Transport, P: Policy>(
        &mut self,
        cx: &Cx<'_, C, P>,
        story: &mut Story<'_, P>,
        head: &RequestHead,
        stop: Stop,
    ) -> Next {
        let fault = match stop {
            Stop::Gone(how) => {
                story.ended = Ended::ClientGone(how);
                return Next::Abort;
            }
            Stop::Aborted => {
                story.ended = Ended::Stopped;
                return Next::Abort;
            }
            Stop::Request(rule) => Fault::Request(rule),
            Stop::ClientSlow => Fault::RequestTimeout,
            Stop::ClientNotReading => Fault::ClientNotReading,
            Stop::Origin(fault) => fault,
        };
        if story.told.status != 0 && !self.response.has_begun() && fault != Fault::ClientNotReading {
            story.told.unsay();
        }
        // An interim response that is half written cannot be followed by an answer.
        if story.told.status == 0 && !self.response.is_cut() {
            return self.fault(cx, story, head, fault).await;
        }
        // The response has begun: the only honest end is a reset.
        story.ended = fault.ended();
        story.fault = Some(fault);
        Next::Abort
    }

    /// Bytes both ways until both have ended.
    pub(super) async fn tunnel<C: Transport, P: Policy>(
        &mut self,
        cx: &Cx<'_, C, P>,
        story: &mut Story<'_, P>,
        origin: &Upstream,
    ) -> Next {
        story.tunnel = true;
        origin.wait_for_reader();
        self.response_head.shrink();
        // The log needs it at the end; what it holds meanwhile is not to count.
        let is_small = story.head().capacity() <= KEPT_HEADS;
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
            Err(Stop::Gone(how)) => (Ended::ClientGone(how), None),
            Err(Stop::Origin(fault)) => (Ended::OriginFailed, Some(fault)),
            Err(Stop::Aborted) => (Ended::Stopped, None),
            Err(Stop::ClientSlow | Stop::ClientNotReading | Stop::Request(_)) => (Ended::Deadline, None),
        };
        if story.ended == Ended::Complete {
            // Both sides have ended: nothing is left to come, and nothing to wait for.
            return Next::Gone;
        }
        origin.abort();
        Next::Abort
    }
}
