//! One request: what it asks, the way to its origin, the exchange, and how it ended.

use sluicegate_http1::chunked::ChunkLimits;
use sluicegate_http1::{Authority, Framing, Malformed, RequestHead, Target, framing, target};

use super::reply::Pipes;
use super::story::Story;
use super::{Busy, Cx, Next};
use crate::answer;
use crate::close;
use crate::exchange::{Answered, Asked, Exchange, Stop, attend};
use crate::flow::Phase;
use crate::forward::{self, MaxForwards, RequestRoute};
use crate::origin::{self, Kept, Reached};
use crate::pipe::{Encoding, Pipe};
use crate::record::{Ended, Fault};
use crate::transport::{self, Tcp, Transport};

/// Serves the request whose head is complete.
pub(super) async fn serve<C: Transport>(cx: &Cx<'_, C>, busy: &mut Busy<'_>) -> Next {
    let mut story = Story::begin(cx);
    let Busy { request, response, head, response_head, last, .. } = busy;
    let mut pipes = Pipes { request, response, response_head, last };
    let next = match understand(head) {
        Err(rule) => pipes.fault(cx, &mut story, head, Fault::Request(rule)).await,
        Ok(ask) => match ask.target {
            Target::Authority(to) => connect(cx, &mut pipes, &mut story, head, to).await,
            Target::Absolute { authority, .. } => plain(cx, &mut pipes, &mut story, &ask, authority).await,
            Target::Origin(_) | Target::Asterisk => pipes.not_a_website(cx, &mut story, head).await,
        },
    };
    story.tell(cx, head);
    next
}

/// Answers what was not even a request, and ends the connection.
pub(super) async fn refuse<C: Transport>(cx: &Cx<'_, C>, busy: &mut Busy<'_>, fault: Fault) -> Next {
    let mut story = Story::begin(cx);
    let Busy { request, response, head, response_head, last, .. } = busy;
    let mut pipes = Pipes { request, response, response_head, last };
    let next = pipes.fault(cx, &mut story, head, fault).await;
    story.tell(cx, head);
    next
}

/// Says that there is no memory for a request, without taking a byte of it.
pub(super) async fn no_memory<C: Transport>(cx: &Cx<'_, C>, head: &RequestHead) -> Next {
    let mut story = Story::begin(cx);
    story.told.status = 503;
    story.fault = Some(Fault::Capacity);
    story.ended = Ended::Refused;
    let sent = tokio::select! { biased;
        sent = transport::write_once(cx.client, answer::NO_MEMORY, cx.flow.downward()) => sent.is_ok(),
        _ = cx.flow.alarm() => false,
    };
    story.tell(cx, head);
    if sent {
        close::unread(cx.client, cx.worker.limits(), cx.flow).await;
    }
    Next::Abort
}

/// A request that has passed every check that needs nothing but its head.
struct Ask<'h> {
    head: &'h RequestHead,
    target: Target<'h>,
    framing: Framing,
    max_forwards: MaxForwards,
}

fn understand(head: &RequestHead) -> Result<Ask<'_>, Malformed> {
    let target = target::parse(head.method(), head.target())?;
    target::host_field(head, &target)?;
    let framing = framing::request(head)?;
    let max_forwards = forward::max_forwards(head);
    if max_forwards == MaxForwards::Invalid {
        return Err(Malformed::BadMaxForwards);
    }
    Ok(Ask { head, target, framing, max_forwards })
}

/// CONNECT: reach the target, say so, and move bytes.
async fn connect<C: Transport>(
    cx: &Cx<'_, C>,
    pipes: &mut Pipes<'_, '_>,
    story: &mut Story,
    head: &RequestHead,
    to: Authority<'_>,
) -> Next {
    let reached = match reach(cx, pipes.request, to).await {
        Ok(reached) => reached,
        Err(stop) => return pipes.stopped(cx, story, head, stop).await,
    };
    note(story, &reached);
    let stage = pipes.response.stage();
    stage.extend_from_slice(b"HTTP/1.1 200 Connection established\r\n\r\n");
    story.told.status = 200;
    story.told.heads = stage.len() as u64;
    pipes.tunnel(cx, story, &reached.tcp).await
}

/// A request in absolute-form: over a kept connection if there is one, else over a new one; and
/// once more if the kept one turns out to have been closed (RFC 9112 §9.3.1).
async fn plain<C: Transport>(
    cx: &Cx<'_, C>,
    pipes: &mut Pipes<'_, '_>,
    story: &mut Story,
    ask: &Ask<'_>,
    to: Authority<'_>,
) -> Next {
    let head = ask.head;
    if ask.max_forwards == MaxForwards::Here {
        story.ended = Ended::Complete;
        let write = |_, close, out: &mut Vec<u8>| answer::write_last_recipient(head, close, out);
        return pipes.answer(cx, story, head, 200, write).await;
    }
    if forward::has_passed(head, &cx.worker.shared.pseudonym) {
        return pipes.fault(cx, story, head, Fault::PassedBefore).await;
    }
    let encoding = if ask.framing == Framing::Chunked { Encoding::Chunked } else { Encoding::Identity };
    let limits = cx.worker.limits();
    let chunks = ChunkLimits {
        // They are held twice, decoded and staged: together no more than a head.
        trailer_bytes: limits.head.bytes / 2,
        trailer_fields: limits.head.fields,
        ..ChunkLimits::default()
    };
    pipes.request.begin(ask.framing, encoding, chunks);
    let idempotent = matches!(head.method(), b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE");
    let (origins, now) = (&cx.worker.origins, cx.worker.flows.now());
    let mut kept = origins.take(pipes.last, to, !idempotent, now, |address| cx.worker.allows(cx.who, address));
    loop {
        let reused = kept.is_some();
        let origin = match kept.take() {
            Some(kept) => {
                story.origin = Some(kept.address);
                kept
            }
            None => match reach(cx, pipes.request, to).await {
                Ok(reached) => {
                    note(story, &reached);
                    Kept::new(to, reached.tcp, reached.address)
                }
                Err(stop) => return pipes.stopped(cx, story, head, stop).await,
            },
        };
        story.reused = reused;
        let ended = exchange(cx, pipes, story, ask, &origin.tcp).await;
        let unspent = pipes.request.is_unspent() && pipes.response_head.is_empty() && !story.told.heard;
        match ended {
            Err(Stop::Origin(Fault::OriginClosed)) if reused && idempotent && unspent => {
                pipes.request.unstage();
                pipes.response.clear();
            }
            ended => return finish(cx, pipes, story, head, ended, origin).await,
        }
    }
}

async fn exchange<C: Transport>(
    cx: &Cx<'_, C>,
    pipes: &mut Pipes<'_, '_>,
    story: &mut Story,
    ask: &Ask<'_>,
    origin: &Tcp,
) -> Result<Answered, Stop> {
    let Ask { head, target, framing, max_forwards } = ask;
    let via = cx.worker.via();
    let route = RequestRoute { target, framing: *framing, max_forwards: *max_forwards, via };
    forward::write_request(head, &route, pipes.request.stage());
    let exchange = Exchange {
        client: cx.client,
        origin,
        request: pipes.request,
        response: pipes.response,
        head: pipes.response_head,
        asked: Asked {
            method: head.method(),
            version: head.version(),
            persists: head.persists(),
            upgrade: forward::offers_upgrade(head, *framing),
        },
        limits: cx.worker.limits(),
        flow: cx.flow,
        via,
        told: &mut story.told,
    };
    exchange.run().await
}

async fn finish<C: Transport>(
    cx: &Cx<'_, C>,
    pipes: &mut Pipes<'_, '_>,
    story: &mut Story,
    head: &RequestHead,
    ended: Result<Answered, Stop>,
    origin: Kept,
) -> Next {
    story.bytes_in = pipes.request.given();
    story.bytes_out = pipes.response.given();
    match ended {
        Ok(Answered::Switched) => pipes.tunnel(cx, story, &origin.tcp).await,
        Ok(Answered::Whole { client_persists, origin_persists }) => {
            story.ended = Ended::Complete;
            if origin_persists {
                *pipes.last = Some(origin);
            }
            pipes.response.clear();
            if client_persists { Next::Again } else { Next::Close }
        }
        Err(stop) => {
            // An exchange that was cut short must not look complete to the origin either.
            origin.tcp.abort();
            drop(origin);
            pipes.stopped(cx, story, head, stop).await
        }
    }
}

/// A new connection, while the client is watched.
async fn reach<C: Transport>(cx: &Cx<'_, C>, request: &mut Pipe<'_>, to: Authority<'_>) -> Result<Reached, Stop> {
    let (worker, limits) = (cx.worker, cx.worker.limits());
    // Looking up and dialling have a deadline of their own.
    cx.flow.allow(None);
    cx.flow.enter(Phase::Connecting);
    let gate = worker.gate(cx.who);
    let port = to.port.unwrap_or(80);
    // Boxed: rare, and larger than all the rest of an exchange.
    let reaching = Box::pin(origin::reach(to.host, port, &worker.resolver, &gate, limits));
    attend(cx.client, request, limits, cx.flow, reaching).await?.map_err(Stop::Origin)
}

fn note(story: &mut Story, reached: &Reached) {
    story.origin = Some(reached.address);
    story.lookup = reached.lookup;
    story.connect = reached.connect;
}
