//! One request: what it asks, the way to its origin, the exchange, and how it ended.

pub(crate) mod exchange;
pub(crate) mod story;
mod tunnel;

mod reply;

mod own;

use std::future::ready;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use sluicegate_http1::chunked::ChunkLimits;
use sluicegate_http1::keep_alive::KeepAlive;
use sluicegate_http1::{Authority, Framing, Malformed, RequestHead, ResponseHead, Target, framing, login, target};

use self::exchange::{Answered, Asked, Exchange, Larger, Responder, Stop, attend};
use self::reply::Pipes;
use self::story::Story;
use crate::flow::{Deadline, Entered, Phase};
use crate::message::answer;
use crate::message::edits::{Edits, Room};
use crate::message::forward::{self, MaxForwards, Offers, RequestRoute};
use crate::origin::{self, Asking, Dial, Kept, Reached};
use crate::pipe::{Encoding, Pipe};
use crate::policy::{Policy, Request, Route, Verdict, host_field};
use crate::record::{Client, Ended, Fault, Members};
use crate::transport::{Cut, Transport, Upstream};
use crate::worker::{Share, Worker};

/// What every step of a connection needs, and none changes.
pub(crate) struct Cx<'a, C, P> {
    pub(crate) worker: &'a Worker<P>,
    pub(crate) client: &'a C,
    pub(crate) who: &'a Client,
    pub(crate) flow: &'a Entered,
}

/// The working state of a connection that is not idle.
pub(crate) struct Busy<'w> {
    pub(crate) request: Pipe<'w>,
    pub(crate) response: Pipe<'w>,
    pub(crate) head: RequestHead,
    pub(crate) response_head: ResponseHead,
    /// The origin's connection of the request before, for the next one.
    pub(crate) last: Option<Kept>,
    /// The request, or its first byte, had come before the response to the one before it was through.
    pub(crate) is_pipelined: bool,
    /// The host that its flow shows.
    pub(crate) shown: Option<Arc<str>>,
    /// Which members of the policy have been asked about the present request.
    pub(crate) asked: Members,
    /// Its share of `Limits::max_memory`, while it may hold anything.
    pub(crate) memory: Share<'w>,
}

/// A working state that waits for the next request without a share of the memory may hold this much, in bytes.
const KEPT_HEADS: usize = 8 * 1024;

impl Busy<'_> {
    /// Gives the memory of large heads back: what is kept is not to count.
    pub(crate) fn shrink(&mut self) {
        let heads = self.head.capacity().saturating_add(self.response_head.capacity());
        let staged = self.request.capacity().saturating_add(self.response.capacity());
        if heads.saturating_add(staged) > KEPT_HEADS {
            self.head.shrink();
            self.response_head.shrink();
            self.request.shrink();
            self.response.shrink();
        }
    }
}

/// What follows an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another request.
    Again,
    /// A clean end, after what has been written has arrived.
    Close,
    /// The end of a connection on which nothing is owed.
    Gone,
    /// A reset: what the client got must not look complete.
    Abort,
    /// Nothing to do for now, and nothing is held.
    Idle,
}

/// Serves the request whose head is complete.
pub(crate) async fn serve<'w, C: Transport, P: Policy>(cx: &Cx<'w, C, P>, busy: &mut Busy<'w>) -> Next {
    let Busy { request, response, head, response_head, last, is_pipelined, shown, asked, memory } = busy;
    let mut story = Story::begin(cx, head, asked);
    let larger = Larger::new(cx.worker.limits(), cx.worker.shared.memory.as_ref());
    let mut pipes = Pipes { request, response, response_head, last, memory, is_pipelined: *is_pipelined, larger };
    let understood = understand(head);
    if let Ok(ask) = &understood {
        show(cx, ask, shown);
    }
    let next = match understood {
        Err(rule) => pipes.fault(cx, &mut story, head, Fault::Request(rule)).await,
        Ok(ask) => match decide(cx, pipes.request, &mut story, &ask).await {
            Ok(Verdict::Forward(route)) => forward(cx, &mut pipes, &mut story, &ask, &route).await,
            // Boxed: it is not what a proxy does all day.
            Ok(Verdict::Answer(response)) => Box::pin(pipes.own(cx, &mut story, head, response)).await,
            Ok(Verdict::Refuse(rule)) => pipes.fault(cx, &mut story, head, Fault::Request(rule)).await,
            Ok(Verdict::Abort) => {
                story.ended = Ended::Refused;
                Next::Abort
            }
            Err(stop) => pipes.stopped(cx, &mut story, head, stop).await,
        },
    };
    pipes.give_back();
    story.tell();
    next
}

/// Answers what was not even a request, and ends the connection.
pub(crate) async fn refuse<'w, C: Transport, P: Policy>(cx: &Cx<'w, C, P>, busy: &mut Busy<'w>, fault: Fault) -> Next {
    let Busy { request, response, head, response_head, last, is_pipelined, asked, memory, .. } = busy;
    let mut story = Story::begin(cx, head, asked);
    let larger = Larger::new(cx.worker.limits(), cx.worker.shared.memory.as_ref());
    let mut pipes = Pipes { request, response, response_head, last, memory, is_pipelined: *is_pipelined, larger };
    let next = pipes.fault(cx, &mut story, head, fault).await;
    story.tell();
    next
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

/// Shows what is asked for to whoever looks at the connection, unless it is what was `shown` before: so that costs a
/// comparison on a kept connection, and no lock.
fn show<C, P>(cx: &Cx<'_, C, P>, ask: &Ask<'_>, shown: &mut Option<Arc<str>>) {
    let host = match ask.target {
        Target::Absolute { authority, .. } | Target::Authority(authority) => authority.text,
        Target::Origin(_) | Target::Asterisk => host_field(ask.head).map_or("", |host| host.text),
    };
    if shown.as_deref().unwrap_or_default() != host {
        let host = Arc::from(host);
        *shown = Some(Arc::clone(&host));
        cx.flow.asks_for(host);
    }
}

/// Asks the policy, while the client is watched.
async fn decide<C: Transport, P: Policy>(
    cx: &Cx<'_, C, P>,
    pipe: &mut Pipe<'_>,
    story: &mut Story<'_, P>,
    ask: &Ask<'_>,
) -> Result<Verdict, Stop> {
    let limits = cx.worker.limits();
    cx.flow.wait(Phase::Deciding, limits.policy_timeout);
    let room = Room {
        bytes: limits.head.bytes,
        fields: limits.head.fields,
        taken: (ask.head.bytes().len(), ask.head.field_count()),
    };
    story.admitted = true;
    let mut request = Request {
        head: ask.head,
        target: &ask.target,
        edits: &mut story.edits,
        room,
        extensions: &mut story.extensions,
        asked: story.asked,
    };
    let mut deciding = pin!(cx.worker.shared.policy.admit(&mut request, cx.who));
    // Most decide at once: for them nobody need be watched, and nothing be moved about.
    tokio::select! { biased;
        verdict = &mut deciding => return Ok(verdict),
        () = ready(()) => {}
    }
    attend(cx.client, pipe, limits, cx.flow, deciding).await.map_err(|stop| match stop {
        // It was not the client's turn.
        Stop::ClientSlow => Stop::Origin(Fault::Undecided),
        stop => stop,
    })
}

/// Where a request goes, and what is shown there.
struct Way<'w> {
    /// Absolute, with the authority that becomes `Host`, and the path; or the authority of a CONNECT.
    target: Target<'w>,
    dial: Authority<'w>,
    /// By the operator: no address rule is asked.
    is_named: bool,
    /// For whom its connection is.
    pool: Option<&'w str>,
}

/// None for a request that is meant for the proxy itself, and is not routed elsewhere.
fn way<'w>(ask: &Ask<'w>, route: &'w Route) -> Option<Way<'w>> {
    let pool = route.pool_key();
    let Some(elsewhere) = route.elsewhere() else {
        let (Target::Absolute { authority: dial, .. } | Target::Authority(dial)) = ask.target else { return None };
        return Some(Way { target: ask.target, dial, is_named: false, pool });
    };
    let (dial, is_named) = (elsewhere.origin.authority(), elsewhere.is_named);
    let (asked, path) = match ask.target {
        Target::Authority(_) => return Some(Way { target: ask.target, dial, is_named, pool }),
        Target::Absolute { authority, path_and_query } => (Some(authority), path_and_query),
        Target::Origin(path_and_query) => (host_field(ask.head), path_and_query),
        Target::Asterisk => (host_field(ask.head), &b""[..]),
    };
    let authority = asked.filter(|_| elsewhere.keeps_host).unwrap_or(dial);
    let path_and_query = elsewhere.path.as_deref().unwrap_or(path);
    Some(Way { target: Target::Absolute { authority, path_and_query }, dial, is_named, pool })
}

async fn forward<C: Transport, P: Policy>(
    cx: &Cx<'_, C, P>,
    pipes: &mut Pipes<'_, '_>,
    story: &mut Story<'_, P>,
    ask: &Ask<'_>,
    route: &Route,
) -> Next {
    match way(ask, route) {
        None => {
            let fault = Fault::Request(Malformed::TargetForm);
            pipes.blame(cx, story, ask.head, fault, answer::not_a_website(&cx.worker.shared.name)).await
        }
        Some(way) if matches!(way.target, Target::Authority(_)) => connect(cx, pipes, story, ask.head, &way).await,
        Some(way) => plain(cx, pipes, story, ask, &way).await,
    }
}

/// CONNECT: reach the target, say so, and move bytes.
async fn connect<C: Transport, P: Policy>(
    cx: &Cx<'_, C, P>,
    pipes: &mut Pipes<'_, '_>,
    story: &mut Story<'_, P>,
    head: &RequestHead,
    way: &Way<'_>,
) -> Next {
    let reached = match reach(cx, pipes.request, way).await {
        Ok(reached) => reached,
        Err(stop) => return pipes.stopped(cx, story, head, stop).await,
    };
    note(story, &reached);
    let stage = pipes.response.stage();
    answer::established().write_head(None, false, false, stage);
    story.told.status = 200;
    story.told.head = stage.len() as u64;
    pipes.tunnel(cx, story, &reached.stream).await
}

/// A request in absolute-form: over a kept connection if there is one, else over a new one; and
/// once more if the kept one turns out to have been closed (RFC 9112 §9.3.1).
async fn plain<C: Transport, P: Policy>(
    cx: &Cx<'_, C, P>,
    pipes: &mut Pipes<'_, '_>,
    story: &mut Story<'_, P>,
    ask: &Ask<'_>,
    way: &Way<'_>,
) -> Next {
    let head = ask.head;
    if ask.max_forwards == MaxForwards::Here {
        return Box::pin(pipes.own(cx, story, head, answer::last_recipient(head))).await;
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
    // What was pipelined has been waited for by nobody: readiness is older than the response before it.
    let peek = !idempotent || pipes.is_pipelined;
    let asking = Asking { to: way.dial, pool: way.pool, peek, now: cx.worker.flows.now() };
    let may = |address| way.is_named || cx.worker.allows(cx.who, address);
    let mut kept = cx.worker.origins.take(pipes.last, &asking, cx.flow, may);
    if let Some(old) = &mut kept
        && let Some(address) = old.doubtful(asking.now)
    {
        match leads_on(cx, pipes.request, way, old, address).await {
            Ok(true) => {}
            Ok(false) => kept = None,
            Err(stop) => return pipes.stopped(cx, story, head, stop).await,
        }
    }
    loop {
        let reused = kept.is_some();
        let mut origin = match kept.take() {
            Some(kept) => {
                story.origin = kept.address;
                kept
            }
            None => match reach(cx, pipes.request, way).await {
                Ok(reached) => {
                    note(story, &reached);
                    Kept::new(&asking, reached)
                }
                Err(stop) => return pipes.stopped(cx, story, head, stop).await,
            },
        };
        story.reused = reused;
        origin.sends(ask.framing);
        let ended = exchange(cx, pipes, story, ask, &way.target, &origin.stream, reused && idempotent).await;
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

async fn exchange<C: Transport, P: Policy>(
    cx: &Cx<'_, C, P>,
    pipes: &mut Pipes<'_, '_>,
    story: &mut Story<'_, P>,
    ask: &Ask<'_>,
    target: &Target<'_>,
    origin: &Upstream,
    may_repeat: bool,
) -> Result<Answered, Stop> {
    let Ask { head, framing, max_forwards, .. } = ask;
    let (via, edits) = (cx.worker.via(), story.edits.some());
    story.told.binds = login::request_binds(head) || edits.is_some_and(Edits::bind);
    if edits.is_some() {
        pipes.request.drop_trailers();
    }
    let upgrade = Offers::of(head, &cx.worker.limits().upgrades);
    let route = RequestRoute { target, framing: *framing, max_forwards: *max_forwards, upgrade, via, edits };
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
            upgrade,
            may_repeat: may_repeat && matches!(framing, Framing::Empty | Framing::Length(0)),
        },
        limits: cx.worker.limits(),
        flow: cx.flow,
        via,
        told: &mut story.told,
        larger: &mut pipes.larger,
        responder: Responder { policy: &cx.worker.shared.policy, who: cx.who, extensions: &story.extensions },
    };
    let cut = Cut::unless_ended(origin);
    let ended = exchange.run().await;
    cut.ended();
    ended
}

async fn finish<C: Transport, P: Policy>(
    cx: &Cx<'_, C, P>,
    pipes: &mut Pipes<'_, '_>,
    story: &mut Story<'_, P>,
    head: &RequestHead,
    ended: Result<Answered, Stop>,
    mut origin: Kept,
) -> Next {
    story.bytes_in = pipes.request.given();
    story.bytes_out = pipes.response.given();
    match ended {
        Ok(Answered::Switched) => pipes.tunnel(cx, story, &origin.stream).await,
        Ok(Answered::Whole { client_persists, origin_persists }) => {
            story.ended = Ended::Complete;
            if story.told.binds {
                origin.log_in();
            }
            let (said, idle) = (KeepAlive::of(pipes.response_head), cx.worker.limits().origin_idle_timeout);
            if origin_persists && origin.may_rest(said, idle, cx.worker.flows.now()) {
                *pipes.last = Some(origin);
            }
            pipes.response.clear();
            if client_persists { Next::Again } else { Next::Close }
        }
        Err(stop) => {
            // An exchange that was cut short must not look complete to the origin either.
            origin.stream.abort();
            drop(origin);
            pipes.stopped(cx, story, head, stop).await
        }
    }
}

/// Whether a kept connection's name still leads to its `address`, or nobody can say. The client is watched.
async fn leads_on<C: Transport, P: Policy>(
    cx: &Cx<'_, C, P>,
    request: &mut Pipe<'_>,
    way: &Way<'_>,
    kept: &mut Kept,
    address: IpAddr,
) -> Result<bool, Stop> {
    let worker = cx.worker;
    cx.flow.wait(Phase::Connecting, Deadline::Never);
    // Boxed: rare.
    let asking = Box::pin(origin::leads(&worker.resolver, way.dial.host, address));
    let leads = attend(cx.client, request, worker.limits(), cx.flow, asking).await?;
    Ok(kept.follow(leads, worker.flows.now()))
}

/// A new connection, while the client is watched.
async fn reach<C: Transport, P: Policy>(
    cx: &Cx<'_, C, P>,
    request: &mut Pipe<'_>,
    way: &Way<'_>,
) -> Result<Reached, Stop> {
    let (worker, limits) = (cx.worker, cx.worker.limits());
    // Looking up and dialling have a deadline of their own.
    cx.flow.wait(Phase::Connecting, Deadline::Never);
    let gate = worker.gate(cx.who, way.is_named);
    let port = way.dial.port.unwrap_or(80);
    // Boxed: rare, and larger than all the rest of an exchange.
    let connector = worker.shared.connector.as_deref();
    let dial = Dial {
        host: way.dial.host,
        port,
        client: cx.who,
        pool: way.pool,
        gate: &gate,
        resolver: &worker.resolver,
        limits,
    };
    let reaching = Box::pin(origin::reach(dial, connector));
    attend(cx.client, request, limits, cx.flow, reaching).await?.map_err(|fault| {
        if fault == Fault::Capacity {
            worker.warn_of_shortage();
        }
        Stop::Origin(fault)
    })
}

fn note<P: Policy>(story: &mut Story<'_, P>, reached: &Reached) {
    story.origin = reached.address;
    story.lookup = reached.lookup;
    story.is_known = reached.is_known;
    story.connect = reached.connect;
}
