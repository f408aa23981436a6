//! A stage for one exchange: scripted sockets, polled by hand, a clock that is turned by hand.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use sluicegate_http1::chunked::ChunkLimits;
use sluicegate_http1::{Framing, HeadLimits, Malformed, RequestHead, ResponseHead, Version};

use super::{Answered, Exchange, Front, Head, Larger, Progress, Responder, Said, Stop, Told};
use crate::flow::{Entered, Flows};
use crate::limits::Limits;
use crate::message::forward::{self, Offers, ResponseRoute};
use crate::message::response::Response;
use crate::pipe::buffer::Pool;
use crate::pipe::kernel::KernelPipes;
use crate::pipe::{Encoding, Pipe};
use crate::policy::{AllowAll, Patience};
use crate::record::{Client, Extensions};
use crate::transport::scripted::{Scripted, pair};

/// The two sockets as the peers hold them, and the clock.
pub(crate) struct Stage {
    pub(crate) client: Scripted,
    pub(crate) origin: Scripted,
    flows: Arc<Flows>,
    now: Duration,
}

impl Stage {
    /// Time passes.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.flows.sweep(self.now);
    }
}

pub(crate) struct Setting {
    pub(crate) limits: Limits,
    pub(crate) request: Framing,
    pub(crate) method: &'static [u8],
    pub(crate) version: Version,
    /// Whether WebSocket and a `b` are offered.
    pub(crate) upgrade: bool,
    /// What the kernel holds in each direction.
    pub(crate) wire: usize,
    /// The size of pipes, and how much must have moved before one is used; 0, 0 for none.
    pub(crate) pipes: (usize, usize),
}

impl Setting {
    pub(crate) fn of(request: Framing, buffers: usize, wire: usize) -> Self {
        let limits = Limits { client_buffer: buffers, origin_buffer: buffers, ..Limits::default() };
        Self { limits, request, method: b"POST", version: Version::Http11, upgrade: false, wire, pipes: (0, 0) }
    }
}

pub(crate) type Running<'a> = Pin<&'a mut dyn Future<Output = Result<Answered, Stop>>>;

/// Sets an exchange up for a GET or a POST, and gives it to `play` with its peers.
pub(crate) fn play(setting: &Setting, play: impl FnOnce(Running<'_>, &mut Stage)) {
    let limits = &setting.limits;
    let (near_client, client) = pair(setting.wire);
    let (near_origin, origin) = pair(setting.wire);
    let flows = Arc::new(Flows::new(Arc::default()));
    let flow: Entered = flows.enter("127.0.0.1:1".parse().unwrap());
    let (pipe, worth) = setting.pipes;
    let pipes = Arc::new(KernelPipes::scripted(pipe, worth));
    if pipe > 0 {
        near_client.let_splice();
        near_origin.let_splice();
    }
    let client_pool = Pool::new(limits.client_buffer, 1, Arc::clone(&pipes));
    let origin_pool = Pool::new(limits.origin_buffer, 1, pipes);
    let (mut request, mut response) = (Pipe::new(&client_pool), Pipe::new(&origin_pool));
    let encoding = if setting.request == Framing::Chunked { Encoding::Chunked } else { Encoding::Identity };
    request.begin(setting.request, encoding, ChunkLimits::default());
    request.stage().extend_from_slice(b"HEAD\r\n\r\n");
    let (mut head, mut told) = (ResponseHead::new(), Told::default());
    let Setting { method, version, .. } = *setting;
    let mut offering = RequestHead::new();
    let offers = b"GET http://h/ HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket, b\r\n\r\n";
    offering.receive(offers, &HeadLimits::default()).unwrap();
    let upgrade = Offers::of(&offering, &limits.upgrades).filter(|_| setting.upgrade);
    let who = Client::in_process();
    let mut exchange = Exchange {
        client: &near_client,
        origin: &near_origin,
        response: &mut response,
        head: &mut head,
        front: &mut Plain(version),
        method,
        upgrade,
        may_repeat: false,
        patience: Patience::usual(limits),
        flow: &flow,
        told: &mut told,
        larger: &mut Larger::new(limits, None),
        responder: Responder { policy: &AllowAll, who: &who, extensions: &Extensions::new() },
        progress: &Progress::default(),
    };
    let mut stage = Stage { client, origin, flows: Arc::clone(&flows), now: Duration::ZERO };
    play(pin!(exchange.run(&mut request)), &mut stage);
}

/// A client of this version.
struct Plain(Version);

impl Front for Plain {
    fn framing(&self, _: &RequestHead) -> Result<Framing, Malformed> {
        Ok(Framing::Empty)
    }

    fn interim(&mut self, head: &ResponseHead, stage: &mut Vec<u8>) {
        if self.0 == Version::Http11 {
            forward::write_response(head, &route(Framing::Empty, Encoding::Identity, None), stage);
        }
    }

    fn begin(&mut self, response: &Head<'_>, stage: &mut Vec<u8>) -> Encoding {
        let (encoding, by_close) = forward::encoded(response.framing, self.0);
        let Said::ByOrigin(head, edits) = response.said else { panic!("an origin speaks") };
        let close = by_close || !response.request_ended;
        let route = ResponseRoute { close, edits, ..route(response.framing, encoding, response.length) };
        forward::write_response(head, &route, stage);
        encoding
    }

    fn open(&mut self, _: &Response, _: &mut Vec<u8>) {}
}

fn route(framing: Framing, encoding: Encoding, length: Option<u64>) -> ResponseRoute<'static> {
    ResponseRoute { framing, encoding, length, close: false, via: None, now: SystemTime::now, edits: None }
}

/// Polls until nothing moves any more; a pump that yields counts as moving.
pub(crate) fn settle(running: &mut Running<'_>, stage: &Stage) -> Option<Result<Answered, Stop>> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut before = None;
    loop {
        if let Poll::Ready(ended) = running.as_mut().poll(&mut cx) {
            return Some(ended);
        }
        let now = (stage.client.moved(), stage.origin.moved());
        if before == Some(now) {
            return None;
        }
        before = Some(now);
    }
}
