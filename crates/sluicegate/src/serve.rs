//! Serving one request, whatever version of HTTP it came in: what it asks, the way to its origin, the exchange, and how it
//! ended. The version is a [`Front`], which calls this and is called by it.

pub(crate) mod front;

pub(crate) mod exchange;
pub(crate) mod story;
mod understood;

mod own;
mod relay;
mod tunnel;

use std::future::ready;
use std::pin::pin;
use std::sync::Arc;

use sluicegate_http1::{RequestHead, ResponseHead};

use self::exchange::{Larger, Stop, attend};
use self::front::Front;
use self::story::Story;
use self::understood::Understood;
use crate::flow::{Entered, Phase};
use crate::message::edits::Room;
use crate::origin::Kept;
use crate::pipe::Pipe;
use crate::policy::{Policy, Request, Verdict};
use crate::record::{Client, Ended, Fault, Members};
use crate::transport::Transport;
use crate::worker::{Share, Worker};

/// What every step of a connection needs, and none changes.
pub(crate) struct Cx<'a, C, P> {
    pub(crate) worker: &'a Worker<P>,
    pub(crate) client: &'a C,
    pub(crate) who: &'a Client,
    pub(crate) flow: &'a Entered,
}

/// What requests that follow each other use one after the other.
pub(crate) struct Working<'w> {
    pub(crate) request: Pipe<'w>,
    pub(crate) response: Pipe<'w>,
    pub(crate) response_head: ResponseHead,
    /// The origin's connection of the request before, for the next one.
    pub(crate) last: Option<Kept>,
    /// The host that its flow shows.
    pub(crate) shown: Option<Arc<str>>,
    /// Which members of the policy have been asked about the present request.
    pub(crate) asked: Members,
    /// Its share of `Limits::max_memory`, while it may hold anything.
    pub(crate) memory: Share<'w>,
}

impl<'w> Working<'w> {
    pub(crate) fn new<P>(worker: &'w Worker<P>) -> Self {
        Self {
            request: Pipe::new(&worker.client_buffers),
            response: Pipe::new(&worker.origin_buffers),
            response_head: ResponseHead::new(),
            last: None,
            shown: None,
            asked: Members::new(),
            memory: Share::of(worker.shared.memory.as_ref()),
        }
    }
}

/// What the client's side is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// Nothing more for this request: its response has been given whole.
    Whole,
    /// The end of what carried it: a tunnel whose sides have both ended.
    Over,
    /// An end that does not look like one: what the client got is not whole.
    Cut,
}

/// One request that is being served.
struct Serving<'s, 'w, C, P: Policy> {
    cx: &'s Cx<'w, C, P>,
    front: &'s mut (dyn Front + 's),
    head: &'s RequestHead,
    request: &'s mut Pipe<'w>,
    response: &'s mut Pipe<'w>,
    response_head: &'s mut ResponseHead,
    last: &'s mut Option<Kept>,
    memory: &'s mut Share<'w>,
    /// The request had come before the response to the one before it was through.
    is_pipelined: bool,
    /// Memory for a large head of this response.
    larger: Larger<'w>,
    story: Story<'s, P>,
}

/// Serves the request whose `head` is complete. `is_pipelined`: it had come before the response to the one before was through.
pub(crate) async fn serve<'w, C: Transport, P: Policy>(
    cx: &Cx<'w, C, P>,
    front: &mut dyn Front,
    head: &RequestHead,
    is_pipelined: bool,
    working: &mut Working<'w>,
) -> Served {
    let understood = Understood::of(head, front);
    if let Ok(understood) = &understood {
        show(cx, understood.host(), &mut working.shown);
    }
    let mut serving = Serving::new(cx, front, head, is_pipelined, working);
    let served = match understood {
        Ok(understood) => serving.run(&understood).await,
        Err(rule) => serving.fault(Fault::Request(rule)).await,
    };
    serving.tell();
    served
}

/// Answers what is not even a request.
pub(crate) async fn refuse<'w, C: Transport, P: Policy>(
    cx: &Cx<'w, C, P>,
    front: &mut dyn Front,
    head: &RequestHead,
    working: &mut Working<'w>,
    fault: Fault,
) -> Served {
    let mut serving = Serving::new(cx, front, head, false, working);
    let served = serving.fault(fault).await;
    serving.tell();
    served
}

/// Shows what is asked for to whoever looks at the connection, unless it is what was `shown` before: so that costs a
/// comparison on a kept connection, and no lock.
fn show<C, P>(cx: &Cx<'_, C, P>, host: &str, shown: &mut Option<Arc<str>>) {
    if shown.as_deref().unwrap_or_default() != host {
        let host = Arc::from(host);
        *shown = Some(Arc::clone(&host));
        cx.flow.asks_for(host);
    }
}

impl<'s, 'w, C: Transport, P: Policy> Serving<'s, 'w, C, P> {
    fn new(
        cx: &'s Cx<'w, C, P>,
        front: &'s mut (dyn Front + 's),
        head: &'s RequestHead,
        is_pipelined: bool,
        working: &'s mut Working<'w>,
    ) -> Self {
        let Working { request, response, response_head, last, asked, memory, .. } = working;
        let larger = Larger::new(cx.worker.limits(), cx.worker.shared.memory.as_ref());
        let story = Story::begin(cx, head, asked);
        Self { cx, front, head, request, response, response_head, last, memory, is_pipelined, larger, story }
    }

    async fn run(&mut self, asks: &Understood<'_>) -> Served {
        match self.decide(asks).await {
            Ok(Verdict::Forward(route)) => self.forward(asks, &route).await,
            // Boxed: it is not what a proxy does all day.
            Ok(Verdict::Answer(response)) => Box::pin(self.own(response)).await,
            Ok(Verdict::Refuse(rule)) => self.fault(Fault::Request(rule)).await,
            Ok(Verdict::Abort) => {
                self.story.ended = Ended::Refused;
                Served::Cut
            }
            Err(stop) => self.stopped(stop).await,
        }
    }

    /// Asks the policy, while the client is watched.
    async fn decide(&mut self, asks: &Understood<'_>) -> Result<Verdict, Stop> {
        let (cx, limits) = (self.cx, self.cx.worker.limits());
        cx.flow.wait(Phase::Deciding, limits.policy_timeout);
        let room = Room {
            bytes: limits.head.bytes,
            fields: limits.head.fields,
            taken: (asks.head.bytes().len(), asks.head.field_count()),
        };
        self.story.admitted = true;
        let mut request = Request {
            head: asks.head,
            target: &asks.target,
            edits: &mut self.story.edits,
            room,
            extensions: &mut self.story.extensions,
            asked: self.story.asked,
        };
        let mut deciding = pin!(cx.worker.shared.policy.admit(&mut request, cx.who));
        // Most decide at once: for them nobody need be watched, and nothing be moved about.
        tokio::select! { biased;
            verdict = &mut deciding => return Ok(verdict),
            () = ready(()) => {}
        }
        attend(cx.client, self.request, limits, cx.flow, deciding).await
    }

    /// It is over: memory that was taken for its response's head goes back, and the policy is told.
    fn tell(&mut self) {
        if self.larger.is_taken() {
            self.response_head.shrink();
            self.response.shrink();
        }
        self.story.tell();
    }
}
