//! An HTTP proxy whose memory is bounded by construction: bytes are read from one side only when the
//! other side has room for them. So a slow peer slows its own sender and nobody else, and a peer that has gone is
//! noticed at once.
//!
//! # A proxy
//!
//! ```no_run
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3128").await?;
//!     sluicegate::Proxy::new().serve(listener).await
//! }
//! ```
//!
//! That forwards `http://` requests (HTTP/1.0 and 1.1, persistent, pipelined), WebSocket, and CONNECT tunnels for everything else,
//! for whoever reaches the listener: `curl -x http://127.0.0.1:3128 http://example.com/`. [`Proxy::builder`] changes sizes and
//! deadlines ([`Limits`]), who decides ([`Policy`]) and who connects ([`Connector`]). It works on any tokio runtime with I/O and
//! time enabled; several proxies in one process share nothing.
//!
//! # A policy
//!
//! A [`Policy`] is asked about each request before it is sent on. Here only two hosts may be reached:
//!
//! ```no_run
//! use sluicegate::{Client, Policy, Proxy, Request, Response, Route, Verdict};
//!
//! struct Only(&'static [&'static str]);
//!
//! impl Policy for Only {
//!     async fn admit(&self, request: &mut Request<'_>, _client: &Client) -> Verdict {
//!         // Of the URL, or of a CONNECT. A request that is for the proxy itself names none, and is told so.
//!         let Some(host) = request.host() else { return Verdict::Forward(Route::target()) };
//!         if self.0.iter().any(|allowed| request.host_is(allowed)) {
//!             Verdict::Forward(Route::target())
//!         } else {
//!             Verdict::Answer(Response::new(403, format!("{host} is not on the list.\n")))
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let proxy = Proxy::builder().policy(Only(&["example.com", "docs.rs"])).build()?;
//! proxy.serve(tokio::net::TcpListener::bind("127.0.0.1:3128").await?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! `admit` may wait (for a database, another service): meanwhile its client is watched, and when that goes, the future is
//! dropped. It may change fields ([`Request::set`]), leave values for later ([`Request::extensions`]), and choose another
//! [`Route`]. [`Policy::accept`] decides about clients; [`Policy::address`] about each resolved address before it is dialled, which no
//! name leads around; [`Policy::respond`] sees the origin's answer; [`Policy::ended`] is told how it went, as a [`Record`].
//! Closures and tuples are policies, and so is a `Box<dyn` [`DynPolicy`]`>`: `.policy((log, rules, |request: &mut Request<'_>, client: &Client| …))`.
//!
//! **What this crate does not decide for you.** Without a policy whoever reaches the listener may go everywhere that this machine may,
//! to its own loopback too (not to its own listeners: that would be a loop). A listener that others can reach needs `accept`, and
//! `address`; the binary's flags `--allow-client` and `--allow-destination` are two such policies, and [`is_local`] helps to write them.
//!
//! # The flow of an exchange
//!
//! ```text
//! client ──▶ request pipe ──▶ origin        each pipe holds at most its buffer, and reads only while it has room
//! client ◀── response pipe ◀── origin       an answer of your own takes the origin's place here
//! ```
//!
//! 1. A client is accepted, and gets one task, in which everything below happens. While it is idle it holds no buffer.
//! 2. A request's head is read, and refused if it breaks a rule of RFC 9110 or 9112 (the answer names it).
//! 3. `admit` is asked. The next request of this client is not looked at before the response to this one has been written.
//! 4. A kept connection is taken, or the origin looked up and dialled: `address` is asked.
//! 5. Both bodies stream at once. A client that does not read stops its origin from being read; an origin that does not
//!    read stops its client. Meanwhile a client that has gone is noticed in milliseconds (Linux; elsewhere, and for streams
//!    whose [socket](transport::Stream::over) is not known, up to `client_buffer` bytes behind), and everything done for it is dropped.
//! 6. [`Policy::ended`] is told; of what never became a request, [`Policy::refused`]. What was cut short ends in a reset and never looks
//!    complete.
//!
//! What an operator should know beside that (errors of accept, a policy that panics) is said through the `tracing` crate.
//!
//! # The bound
//!
//! What a connection holds never exceeds [`Limits::bound`], whatever client and origin do: 16 KiB of each direction and the heads,
//! 159 KiB at most with the defaults (96 more while the head of its response is larger than 16 KiB), some hundred bytes in use. [`Limits::max_memory`] bounds the sum over all connections.
//! A policy's own values, and the one piece that a [`Sender`] or stream has in hand, come on top. The kernel's buffers are
//! bounded by [`Limits::max_unsent`] and [`Limits::sockets`].
//!
//! # Answers of your own
//!
//! A [`Response`] has a [`Body`]: bytes; what a reader or stream gives, asked only while there is room; or what a sender sends, which waits while the
//! client does not read:
//!
//! ```
//! use sluicegate::{Body, Response};
//!
//! let numbers = Body::push(|mut sender| async move {
//!     for n in 0_u64.. {
//!         sender.send(format!("{n}\n")).await?; // fails, or is dropped, when the client has gone
//!     }
//!     Ok(())
//! });
//! let response = Response::new(200, numbers).field("Content-Type", "text/plain");
//! ```
//!
//! # The other half
//!
//! [`Reverse`] is a policy that makes it a reverse proxy: it sends every request to an origin of yours, and nothing elsewhere.
//!
//! # TLS, and what else comes before HTTP
//!
//! [`Serve::handshake`](proxy::Serve::handshake) is given each connection of a listener before it is served, and says what becomes of it: a
//! TLS stream, the same socket without the line of a PROXY protocol, what another protocol left. What it learns of the client is kept in
//! [`Client`]: its true address, and any value by its type ([`Client::with`], [`Client::get`]), for policies and connectors. A stream
//! that stands on a socket says so ([`Stream::over`](transport::Stream::over), [`Connected::over`]), and is then watched and reset like it.
//!
//! # Cancellation
//!
//! Every future here may be dropped at any await: no byte is lost by it that was not to be lost. Dropping [`Serve`](proxy::Serve)
//! closes the listener; dropping what [`Proxy::serve_connection`] returns ends that connection.
//!
//! # Features
//!
//! * `dns` (default): a resolver that can be cancelled, with a bounded cache. Without it names are looked up by the system's
//!   `getaddrinfo`, and the tree is 27 crates instead of 68.
//! * `http`: conversions to and from the types of the `http` crate.
//!
//! # The modules
//!
//! Each uses only those above it; ARCHITECTURE.md walks through them: [`limits`], [`flow`], `pipe`, [`transport`], `pump`, [`record`],
//! `message`, [`policy`], `origin`, `worker`, `serve`, `front`, [`proxy`].

#![cfg_attr(
    any(test, fuzzing),
    allow(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "a test stops at the first surprise; what is not a test is linted without this"
    )
)]

pub mod limits;

pub mod flow;

mod pipe;

pub mod transport;

mod pump;

pub mod record;

mod message;

pub mod policy;

mod origin;

mod worker;

mod serve;

mod front;

pub mod proxy;

/// Where names lead, told step by step.
#[cfg(feature = "dns")]
pub mod names {
    pub use crate::origin::{Lookup, Question, Source, resolve};
}

/// What the fuzzer calls.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::serve::exchange::oracle::exchange;
}

pub use flow::ConnectionState;
pub use limits::{Bound, ClientFin, LimitError, Limits};
pub use message::body::{Body, ClientGone, Sender};
pub use message::edits::EditError;
pub use message::response::{Response, ResponseError};
pub use origin::{CheckedAddress, Connected, Connecting, Connector, Dial};
pub use policy::reverse::{ForwardedFields, Reverse, ReverseError};
pub use policy::{
    AllowAll, DynPolicy, Failure, Origin, OriginError, OriginResponse, Policy, Request, Route, Verdict, policy_fn,
};
pub use proxy::{Builder, Proxy};
pub use record::{Client, Ended, Extensions, Fault, Record};
/// What requests and responses are made of, as far as policies see it: of the crate `sluicegate-http1`, which has more.
pub mod http1 {
    pub use sluicegate_http1::path;
    pub use sluicegate_http1::{
        Authority, Connection, Field, HeadLimits, Host, Malformed, Name, Names, Received, RequestHead, ResponseHead,
        Target, Version,
    };
}
pub use sluicegate_http1::{Host, Target};
pub use worker::is_local;
