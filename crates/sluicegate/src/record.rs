//! What log, metrics and policies see: who asks, and of an exchange, when it is over, how it went.

mod extensions;
mod members;

use std::any::Any;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use sluicegate_http1::{Malformed, RequestHead};

pub use extensions::Extensions;
pub(crate) use members::Members;

use crate::transport::{Gone, Hangup, Latch};

/// Who asks: one client connection. A clone is the same connection.
#[derive(Debug)]
#[non_exhaustive]
pub struct Client {
    /// The client's address.
    pub address: SocketAddr,
    /// The listener that accepted it, as it was bound.
    pub listener: SocketAddr,
    /// Whether it speaks TLS to whoever took its connection in, so that its requests are of the scheme `https`.
    pub is_tls: bool,
    /// Made when somebody asks for it: most connections never need it.
    more: OnceLock<Arc<More>>,
}

/// What few clients need.
#[derive(Debug)]
struct More {
    latch: Latch,
    learnt: Option<Learnt>,
}

/// A value, and what was learnt before it.
struct Learnt {
    value: Box<dyn Any + Send + Sync>,
    before: Arc<More>,
}

impl fmt::Debug for Learnt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may be a secret.
        f.debug_struct("Learnt").finish_non_exhaustive()
    }
}

impl Client {
    /// A client that was accepted by `listener`.
    #[must_use]
    pub fn new(address: SocketAddr, listener: SocketAddr) -> Self {
        Self { address, listener, is_tls: false, more: OnceLock::new() }
    }

    /// The same client, over TLS that was ended before its bytes came here: by the stream that is served, or by a program in
    /// front. [`Reverse`](crate::Reverse) tells its origins `https`.
    #[must_use]
    pub fn over_tls(self) -> Self {
        Self { is_tls: true, ..self }
    }

    /// The same client, of which a [handshake](crate::proxy::Serve::handshake) has learnt this: a certificate's name, an
    /// account, what stood before the first request. Policies, connectors and the record find it by its type
    /// ([`Client::get`]); it lives as long as the client's connection, and replaces an earlier one of its type.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(self, value: T) -> Self {
        let before = Arc::clone(self.more());
        let latch = before.latch.clone();
        let learnt = Some(Learnt { value: Box::new(value), before });
        Self { more: OnceLock::from(Arc::new(More { latch, learnt })), ..self }
    }

    /// What has been learnt of this type, if anything.
    #[must_use]
    pub fn get<T: 'static>(&self) -> Option<&T> {
        let all = std::iter::successors(self.more.get(), |more| more.learnt.as_ref().map(|one| &one.before));
        all.filter_map(|more| more.learnt.as_ref()).find_map(|one| one.value.downcast_ref())
    }

    /// A client in this process, over a stream without addresses: both are 127.0.0.1, port 0.
    #[must_use]
    pub fn in_process() -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::new(nowhere, nowhere)
    }

    /// Resolves when this client's connection has ended, by whomever. What Twisted calls `notifyFinish`,
    /// for work that goes on outside of the policy's own future: that future needs no such notice, because it is
    /// dropped when its client goes.
    ///
    /// For a client that was made by [`Client::new`] and given to no proxy it never resolves.
    pub fn gone(&self) -> Gone {
        self.more().latch.wait()
    }

    fn more(&self) -> &Arc<More> {
        self.more.get_or_init(|| Arc::new(More { latch: Latch::new(), learnt: None }))
    }

    /// Its connection has ended.
    pub(crate) fn leave(&self) {
        if let Some(more) = self.more.get() {
            more.latch.open();
        }
    }
}

impl Clone for Client {
    fn clone(&self) -> Self {
        let more = Arc::clone(self.more());
        Self { more: OnceLock::from(more), is_tls: self.is_tls, ..Self::new(self.address, self.listener) }
    }
}

/// Two are equal if their addresses are.
impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        (self.address, self.listener) == (other.address, other.listener)
    }
}

impl Eq for Client {}

/// What failed, and by whose fault. Its [`Fault::token`] is the same word in `Proxy-Status`, in
/// the log and here (RFC 9209 §2.3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The client broke a rule of HTTP.
    #[error("{0}")]
    Request(Malformed),
    /// The client's request came too slowly.
    #[error("the request did not arrive in time; send it faster, or ask the operator of the proxy to allow more time")]
    RequestTimeout,
    /// The client's connection did not become one that is served ([`Serve::handshake`](crate::proxy::Serve::handshake)); why.
    #[error("the client's handshake failed: {0}")]
    Handshake(String),
    /// The client did not read the response.
    #[error("the client stopped reading the response")]
    ClientNotReading,
    /// The policy does not accept the client.
    #[error("the client's address may not use this proxy; ask its operator to allow it")]
    NotAccepted,
    /// The client has as many connections as it may.
    #[error(
        "the client's address has as many connections to this proxy as it may have; close some, or try again later"
    )]
    TooManyConnections,
    /// A rule of this proxy refuses the destination.
    #[error("{0}")]
    Denied(String),
    /// Its Via says that the request has been here before.
    #[error(
        "the request has already passed through this proxy, whose name is in its Via; check which proxies point at each other"
    )]
    PassedBefore,
    /// The destination is this proxy.
    #[error("the request would come back to this proxy; its destination is the proxy's own address")]
    Loop,
    /// The name could not be looked up in time.
    #[error("looking up {0} took too long; the name server that the proxy asks does not answer")]
    DnsTimeout(String),
    /// The look-up failed.
    #[error("looking up {0} failed: {1}")]
    Dns(String, String),
    /// There is no such name.
    #[error("the name {0} does not exist, or has no address; check its spelling")]
    NoSuchName(String),
    /// No address of the origin is reachable from here.
    #[error("there is no route from the proxy to {0}")]
    Unroutable(String),
    /// The origin refused the connection.
    #[error("{0} refused the connection; nothing listens on that port, or a firewall forbids it")]
    Refused(String),
    /// The origin did not answer the connection in time.
    #[error("{0} did not accept a connection in time")]
    ConnectTimeout(String),
    /// Connecting failed otherwise.
    #[error("connecting to {0} failed: {1}")]
    Connect(String, String),
    /// The origin closed or reset the connection before its response was whole.
    #[error(
        "the origin closed the connection before its response was complete; if it speaks TLS, use https:// instead of http://"
    )]
    OriginClosed,
    /// The origin did not answer in time.
    #[error("the origin accepted the request but did not answer in time")]
    ResponseTimeout,
    /// The origin's response stopped in the middle.
    #[error("the origin stopped sending in the middle of its response")]
    OriginStalled,
    /// The origin took no more of the request.
    #[error("the origin stopped reading the request")]
    OriginNotReading,
    /// The origin's response breaks a rule of HTTP.
    #[error("{}", of_response(*.0))]
    Response(Malformed),
    /// The origin switched to a protocol that nobody asked for, or in the middle of the request.
    #[error("the origin switched to a protocol that was not asked for, or before it had the whole request")]
    Upgrade,
    /// The origin sent more bytes of interim responses than the proxy relays: 256 KiB, and 1 KiB more for each second.
    #[error("the origin sent too many interim responses")]
    TooManyInterim,
    /// No more descriptors, connections or memory.
    #[error("the proxy has no capacity left; try again later")]
    Capacity,
    /// A policy took longer than `policy_timeout` to decide.
    #[error("the proxy did not decide in time what to do with the request; try again later")]
    Undecided,
    /// An answer of a policy's own cannot be sent, or its body failed; why.
    #[error("the proxy's own answer failed: {0}")]
    Answer(String),
    /// A policy sent the request where it cannot go; why.
    #[error("the proxy is set up wrongly: {0}")]
    Route(String),
}

impl Fault {
    /// The status of the answer that names this fault.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Request(rule) => rule.status(),
            Self::RequestTimeout | Self::ClientNotReading => 408,
            Self::Handshake(_) => 400,
            Self::Denied(_) | Self::NotAccepted => 403,
            Self::TooManyConnections => 429,
            Self::Loop | Self::PassedBefore => 508,
            Self::DnsTimeout(_) | Self::ConnectTimeout(_) | Self::ResponseTimeout => 504,
            Self::OriginStalled | Self::OriginNotReading => 504,
            Self::Capacity | Self::Undecided => 503,
            Self::Answer(_) | Self::Route(_) => 500,
            _ => 502,
        }
    }

    /// How an exchange has ended in which this failed.
    pub(crate) fn ended(&self) -> Ended {
        match self {
            Self::NotAccepted | Self::TooManyConnections | Self::Handshake(_) => Ended::Refused,
            Self::Request(_) | Self::Denied(_) | Self::Loop | Self::PassedBefore | Self::Capacity => Ended::Refused,
            Self::RequestTimeout | Self::ClientNotReading => Ended::Deadline,
            Self::Undecided | Self::Answer(_) | Self::Route(_) => Ended::PolicyFailed,
            _ => Ended::OriginFailed,
        }
    }

    /// The error type of RFC 9209 §2.3.
    #[must_use]
    pub fn token(&self) -> &'static str {
        match self {
            Self::Request(_) | Self::RequestTimeout | Self::Handshake(_) => "http_request_error",
            Self::NotAccepted | Self::TooManyConnections => "http_request_denied",
            Self::Denied(_) => "destination_ip_prohibited",
            Self::Loop | Self::PassedBefore => "proxy_loop_detected",
            Self::DnsTimeout(_) => "dns_timeout",
            Self::Dns(..) | Self::NoSuchName(_) => "dns_error",
            Self::Unroutable(_) => "destination_ip_unroutable",
            Self::Refused(_) => "connection_refused",
            Self::ConnectTimeout(_) => "connection_timeout",
            Self::Connect(..) => "destination_unavailable",
            Self::OriginClosed => "connection_terminated",
            Self::ResponseTimeout => "http_response_timeout",
            Self::OriginStalled => "connection_read_timeout",
            Self::OriginNotReading | Self::ClientNotReading => "connection_write_timeout",
            Self::Response(_) | Self::TooManyInterim => "http_protocol_error",
            Self::Upgrade => "http_upgrade_failed",
            Self::Capacity => "connection_limit_reached",
            Self::Undecided | Self::Answer(_) => "proxy_internal_error",
            Self::Route(_) => "proxy_configuration_error",
        }
    }
}

/// What is wrong with a response, for somebody who can change nothing about it.
fn of_response(rule: Malformed) -> String {
    match rule {
        Malformed::HeadTooLarge => "the head of the origin's response is larger than this proxy accepts".to_owned(),
        Malformed::TooManyFields => "the origin's response has more fields than this proxy accepts".to_owned(),
        Malformed::TrailersTooLarge => "the origin's response has more trailers than this proxy accepts".to_owned(),
        rule => format!("the origin's response is not valid HTTP: {}", rule.complaint()),
    }
}

/// How an exchange or tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The response was written whole; a tunnel was closed by both sides.
    Complete,
    /// The client broke a rule, or a rule of ours refused it; it was answered, or reset by
    /// `Verdict::Abort`.
    Refused,
    /// The origin, or the way to it, failed.
    OriginFailed,
    /// The client went before its response was written.
    ClientGone(Hangup),
    /// A deadline passed, and it was the client's turn; or nothing moved in a tunnel.
    Deadline,
    /// The proxy was stopped, the connection was told to end ([`Proxy::abort_where`](crate::Proxy::abort_where)), or its
    /// future was dropped.
    Stopped,
    /// A policy failed: it panicked, took too long, or gave an answer that could not be sent whole.
    PolicyFailed,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complete => "complete",
            Self::Refused => "refused",
            Self::OriginFailed => "origin-failed",
            Self::ClientGone(Hangup::Fin) => "client-fin",
            Self::ClientGone(Hangup::Reset) => "client-reset",
            Self::Deadline => "deadline",
            Self::Stopped => "stopped",
            Self::PolicyFailed => "policy-failed",
        })
    }
}

/// One exchange, or one tunnel, from its head to its end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Record<'a> {
    /// Unique in this process, and ascending per worker.
    pub id: u64,
    /// Who asked.
    pub client: &'a Client,
    /// When the head was complete.
    pub started: SystemTime,
    /// From then to the end.
    pub duration: Duration,
    /// The request as it was received; empty if its head was never complete.
    pub request: &'a RequestHead,
    /// Whether it became a tunnel (CONNECT or Upgrade).
    pub tunnel: bool,
    /// The status that the client was sent; 0 if none.
    pub status: u16,
    /// The origin's address, if one was reached.
    pub origin: Option<SocketAddr>,
    /// Whether its connection had been used before.
    pub reused: bool,
    /// How long the name took to look up, if it was.
    pub lookup: Option<Duration>,
    /// Whether that asked nobody: the name was in the hosts file, or an answer was remembered.
    pub lookup_cached: bool,
    /// How long connecting took, if it was necessary.
    pub connect: Option<Duration>,
    /// Bytes taken from the client: the head, and the body without its framing.
    pub bytes_in: u64,
    /// Bytes given to the client: heads, and the body without its framing.
    pub bytes_out: u64,
    /// How long the response waited for the client to read.
    pub paused_by_client: Duration,
    /// How long the request waited for the origin to read.
    pub paused_by_origin: Duration,
    /// What failed.
    pub fault: Option<&'a Fault>,
    /// How it ended.
    pub ended: Ended,
    /// What policies have put there.
    pub extensions: &'a Extensions,
    /// Which members of a composed policy are told.
    pub(crate) asked: &'a Members,
}

impl<'a> Record<'a> {
    /// Of an exchange that has just begun, and is complete.
    pub(crate) fn of(
        client: &'a Client,
        request: &'a RequestHead,
        extensions: &'a Extensions,
        asked: &'a Members,
    ) -> Self {
        Self {
            id: 0,
            client,
            started: SystemTime::now(),
            duration: Duration::ZERO,
            request,
            tunnel: false,
            status: 0,
            origin: None,
            reused: false,
            lookup: None,
            lookup_cached: false,
            connect: None,
            bytes_in: 0,
            bytes_out: 0,
            paused_by_client: Duration::ZERO,
            paused_by_origin: Duration::ZERO,
            fault: None,
            ended: Ended::Complete,
            extensions,
            asked,
        }
    }

    /// The method; empty if the head was never complete.
    #[must_use]
    pub fn method(&self) -> &str {
        str::from_utf8(self.request.method()).unwrap_or_default()
    }

    /// The target as it was asked for (a URL, `host:port` for CONNECT, a path); empty if the head was never complete.
    /// Its query may hold secrets.
    #[must_use]
    pub fn target(&self) -> &str {
        str::from_utf8(self.request.target()).unwrap_or_default()
    }
}
