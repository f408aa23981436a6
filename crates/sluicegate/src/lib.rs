//! An HTTP forward proxy whose memory is bounded by construction: bytes are read from one side
//! only when the other side has room for them.
//!
//! ```no_run
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3128").await?;
//!     sluicegate::Proxy::new().serve(listener).await
//! }
//! ```
//!
//! The rooms, each using only those above it: [`limits`], `flow`, `bulk`, `buffer`, `pipe`,
//! [`transport`], [`record`], `forward`, `answer`, [`policy`], `origin`, `worker`, `exchange`,
//! `tunnel`, `close`, `connection`, [`proxy`]. ARCHITECTURE.md walks through them.

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

mod bulk;

mod buffer;
mod pipe;
pub mod transport;

pub mod record;

mod edits;

mod forward;

mod answer;

pub mod body;

mod response;

pub mod policy;

mod reverse;

#[cfg(feature = "http")]
mod convert;

mod origin;

mod worker;

mod exchange;

mod tunnel;

mod close;

mod connection;

pub mod proxy;

/// What the fuzzer calls.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::exchange::oracle::exchange;
}

pub use body::{Body, ClientGone, Sender};
pub use edits::EditError;
pub use flow::ConnectionState;
pub use limits::{Bound, HalfClose, LimitError, Limits};
pub use origin::{Checked, Connected, Connecting, Connector, Dial};
pub use policy::{AllowAll, Origin, OriginError, OriginResponse, Policy, Request, Route, Verdict};
pub use proxy::{Builder, Proxy};
pub use record::{Client, Ended, Extensions, Fault, Record};
pub use response::{Response, Wrong};
pub use reverse::{Hops, Reverse, ReverseError};
/// What requests and responses are made of: pure HTTP/1.
pub use sluicegate_http1 as http1;
pub use sluicegate_http1::{Host, Target};
pub use worker::is_local;
