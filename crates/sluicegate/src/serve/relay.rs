//! A request on its way to an origin: over a kept connection or a new one, and what comes of it.

use std::net::IpAddr;

use sluicegate_http1::chunked::ChunkLimits;
use sluicegate_http1::keep_alive::KeepAlive;
use sluicegate_http1::{Encoding, Framing, Malformed, Target, login};

use super::exchange::{Answered, Exchange, Progress, Responder, Stop, attend};
use super::understood::{Destination, Understood};
use super::{Served, Serving};
use crate::flow::{Deadline, Phase};
use crate::message::answer;
use crate::message::edits::Edits;
use crate::message::forward::{self, MaxForwards, Offers, RequestRoute};
use crate::origin::{self, Asking, Dial, Kept, Reached};
use crate::policy::{Policy, Route};
use crate::record::{Ended, Fault};
use crate::transport::{Cut, Transport, Upstream};

impl<C: Transport, P: Policy> Serving<'_, '_, C, P> {
    /// Sends it where `route` leads.
    pub(super) async fn forward(&mut self, asks: &Understood<'_>, route: &Route) -> Served {
        match asks.destination(route) {
            None => {
                self.blame(Fault::Request(Malformed::TargetForm), answer::not_a_website(&self.cx.worker.shared.name))
                    .await
            }
            Some(to) if matches!(to.target, Target::Authority(_)) => self.connect(&to).await,
            Some(to) => self.plain(asks, &to).await,
        }
    }

    /// CONNECT: reach the target, say so, and move bytes.
    async fn connect(&mut self, to: &Destination<'_>) -> Served {
        let reached = match self.reach(to).await {
            Ok(reached) => reached,
            Err(stop) => return self.stopped(stop).await,
        };
        self.note(&reached);
        let (response, stage) = (answer::established(), self.response.stage());
        self.front.open(&response, stage);
        self.story.told.status = response.status();
        self.story.told.head = stage.len() as u64;
        self.tunnel(&reached.stream).await
    }

    /// A request in absolute-form: over a kept connection if there is one, else over a new one; and
    /// once more if the kept one turns out to have been closed (RFC 9112 §9.3.1).
    async fn plain(&mut self, asks: &Understood<'_>, to: &Destination<'_>) -> Served {
        let (cx, worker, head) = (self.cx, self.cx.worker, asks.head);
        if asks.max_forwards == MaxForwards::Here {
            return Box::pin(self.own(answer::last_recipient(head))).await;
        }
        if forward::has_passed(head, &worker.shared.pseudonym) {
            return self.fault(Fault::PassedBefore).await;
        }
        self.expect_body(asks);
        let idempotent = matches!(head.method(), b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE");
        // What was pipelined has been waited for by nobody: readiness is older than the response before it.
        let peek = !idempotent || self.is_pipelined;
        let asking = Asking { to: to.dial, pool: to.pool, peek, now: worker.flows.now() };
        let may = |address| to.is_named || worker.allows(cx.who, address);
        let mut kept = worker.origins.take(self.last, &asking, cx.flow, may);
        if let Some(old) = &mut kept
            && let Some(address) = old.doubtful(asking.now)
        {
            match self.leads_on(to, old, address).await {
                Ok(true) => {}
                Ok(false) => kept = None,
                Err(stop) => return self.stopped(stop).await,
            }
        }
        loop {
            let reused = kept.is_some();
            let mut origin = match kept.take() {
                Some(kept) => {
                    self.story.origin = kept.address;
                    kept
                }
                None => match self.reach(to).await {
                    Ok(reached) => {
                        self.note(&reached);
                        Kept::new(&asking, reached)
                    }
                    Err(stop) => return self.stopped(stop).await,
                },
            };
            self.story.reused = reused;
            origin.sends(asks.framing);
            let ended = self.exchange(asks, to, &origin.stream, reused && idempotent).await;
            let unspent = self.request.is_unspent() && self.response_head.is_empty() && !self.story.told.heard;
            match ended {
                Err(Stop::Failed(Fault::OriginClosed)) if reused && idempotent && unspent => {
                    self.request.unstage();
                    self.response.clear();
                }
                ended => return self.finish(ended, origin).await,
            }
        }
    }

    /// The request's body is what comes next from the client.
    fn expect_body(&mut self, asks: &Understood<'_>) {
        let encoding = match asks.framing {
            Framing::Empty | Framing::Length(_) => Encoding::Identity,
            Framing::Chunked | Framing::UntilClose => Encoding::Chunked,
        };
        let limits = &self.cx.worker.limits().head;
        // Trailers are held twice, decoded and staged: together no more than a head.
        let (trailer_bytes, trailer_fields) = (limits.bytes / 2, limits.fields);
        self.request.begin(
            asks.framing,
            encoding,
            ChunkLimits { trailer_bytes, trailer_fields, ..ChunkLimits::default() },
        );
    }

    async fn exchange(
        &mut self,
        asks: &Understood<'_>,
        to: &Destination<'_>,
        origin: &Upstream,
        may_repeat: bool,
    ) -> Result<Answered, Stop> {
        let (cx, story) = (self.cx, &mut self.story);
        let Understood { head, framing, max_forwards, .. } = *asks;
        let (via, edits) = (cx.worker.via(), story.edits.some());
        story.told.binds = login::request_binds(head) || edits.is_some_and(Edits::bind);
        if edits.is_some() {
            self.request.drop_trailers();
        }
        let upgrade = Offers::of(head, &cx.worker.limits().upgrades);
        let route = RequestRoute { target: &to.target, framing, max_forwards, upgrade, via, edits };
        forward::write_request(head, &route, self.request.stage());
        let mut exchange = Exchange {
            client: cx.client,
            origin,
            response: self.response,
            head: self.response_head,
            front: self.front,
            method: head.method(),
            upgrade,
            may_repeat: may_repeat && matches!(framing, Framing::Empty | Framing::Length(0)),
            patience: to.route.patience(cx.worker.limits()),
            flow: cx.flow,
            told: &mut story.told,
            larger: &mut self.larger,
            responder: Responder { policy: &cx.worker.shared.policy, who: cx.who, extensions: &story.extensions },
            progress: &Progress::default(),
        };
        let cut = Cut::unless_ended(origin);
        let ended = exchange.run(self.request).await;
        cut.ended();
        ended
    }

    async fn finish(&mut self, ended: Result<Answered, Stop>, mut origin: Kept) -> Served {
        self.story.bytes_in = self.request.given();
        self.story.bytes_out = self.response.given();
        match ended {
            Ok(Answered::Switched) => self.tunnel(&origin.stream).await,
            Ok(Answered::Whole { origin_persists }) => {
                self.story.ended = Ended::Complete;
                if self.story.told.binds {
                    origin.log_in();
                }
                let worker = self.cx.worker;
                let (said, idle) = (KeepAlive::of(self.response_head), worker.limits().origin_idle_timeout);
                if origin_persists && origin.may_rest(said, idle, worker.flows.now()) {
                    *self.last = Some(origin);
                }
                self.response.clear();
                Served::Whole
            }
            Err(stop) => {
                // An exchange that was cut short must not look complete to the origin either.
                origin.stream.abort();
                drop(origin);
                self.stopped(stop).await
            }
        }
    }

    /// Whether a kept connection's name still leads to its `address`, or nobody can say. The client is watched.
    async fn leads_on(&mut self, to: &Destination<'_>, kept: &mut Kept, address: IpAddr) -> Result<bool, Stop> {
        let (cx, worker) = (self.cx, self.cx.worker);
        cx.flow.wait(Phase::Connecting, Deadline::Never);
        // Boxed: rare.
        let asking = Box::pin(origin::leads(&worker.resolver, to.dial.host, address));
        let leads = attend(cx.client, self.request, worker.limits(), cx.flow, asking).await?;
        Ok(kept.follow(leads, worker.flows.now()))
    }

    /// A new connection, while the client is watched.
    async fn reach(&mut self, to: &Destination<'_>) -> Result<Reached, Stop> {
        let (cx, worker, limits) = (self.cx, self.cx.worker, self.cx.worker.limits());
        // Looking up and dialling have a deadline of their own.
        cx.flow.wait(Phase::Connecting, Deadline::Never);
        let gate = worker.gate(cx.who, to.is_named);
        let connector = worker.shared.connector.as_deref();
        let dial = Dial {
            host: to.dial.host,
            port: to.dial.port.unwrap_or(80),
            client: cx.who,
            pool: to.pool,
            gate: &gate,
            resolver: &worker.resolver,
            limits,
        };
        // Boxed: rare, and larger than all the rest of an exchange.
        let reaching = Box::pin(origin::reach(dial, connector));
        attend(cx.client, self.request, limits, cx.flow, reaching).await?.map_err(|fault| {
            if fault == Fault::Capacity {
                worker.warn_of_shortage();
            }
            Stop::Failed(fault)
        })
    }

    fn note(&mut self, reached: &Reached) {
        self.story.origin = reached.address;
        self.story.lookup = reached.lookup;
        self.story.is_known = reached.is_known;
        self.story.connect = reached.connect;
    }
}
