//! HTTP/1 as pure functions on bytes: heads, request targets, framing, bodies (RFC 9110, 9112).
//!
//! There is no socket, no runtime, no clock and no log in here. Bytes go in, in whatever pieces
//! they come; values come out, or [`Malformed`]: the rule that was broken, with the status to
//! answer with. What two parsers could read in two ways is refused, never repaired.
//!
//! * [`RequestHead`], [`ResponseHead`]: received in pieces up to a limit, then read in place.
//! * [`target::parse`]: where a request is to go; [`target::host_field`]: its `Host`.
//! * [`path::Path`]: whether a path begins with a prefix, beyond doubt.
//! * [`framing::request`], [`framing::response`]: how long the body is.
//! * [`login`]: whether a login belongs to the connection; [`keep_alive`]: how long that is kept.
//! * [`BodyDecoder`]: which of the bytes are data, and when it is complete.
//! * [`Encoder`]: how the body leaves, and what is written around it.
//!
//! Each of them gives the same outcome however the bytes were cut, never starts over, and
//! holds no more than the limits that it is given.
//!
//! ```
//! use sluicegate_http1::{BodyDecoder, ChunkLimits, HeadLimits, Received, RequestHead, Step, Target};
//! use sluicegate_http1::{framing, target};
//!
//! let input = b"POST http://example.com/a HTTP/1.1\r\nHost: example.com\r\n\
//!     Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
//!
//! let mut head = RequestHead::new();
//! let Received::Complete(n) = head.receive(input, &HeadLimits::default())? else {
//!     unreachable!("the head is whole");
//! };
//! let to = target::parse(head.method(), head.target())?;
//! let Target::Absolute { authority, path_and_query } = to else {
//!     unreachable!("the target is absolute");
//! };
//! assert_eq!(authority.text, "example.com");
//! assert_eq!(path_and_query, b"/a");
//! assert_eq!(target::host_field(&head, &to)?, Some(&b"example.com"[..]));
//!
//! let mut body = BodyDecoder::new(framing::request(&head)?, ChunkLimits::default());
//! let (mut rest, mut data) = (&input[n..], Vec::new());
//! while !body.is_complete() {
//!     let n = match body.decode(rest)? {
//!         Step::Framing(n) | Step::End(n) => n,
//!         Step::Data(n) => {
//!             data.extend_from_slice(&rest[..n]);
//!             n
//!         }
//!     };
//!     rest = &rest[n..];
//! }
//! assert_eq!(data, b"abc");
//! # Ok::<(), sluicegate_http1::Malformed>(())
//! ```

// The modules, from top to bottom: each uses only those above it.
pub mod malformed;

pub mod fields;

mod index;

mod message;

pub mod reasons;

mod tokenize;

mod scan;

mod extension;

pub mod connection;

mod lines;

mod raw;

pub mod head;

pub mod target;

pub mod path;

pub mod framing;

pub mod keep_alive;

pub mod login;

pub mod chunked;

pub mod body;

pub mod encode;

pub use body::{BodyDecoder, Truncated};
pub use chunked::{ChunkLimits, Step};
pub use connection::Connection;
pub use encode::{Encoder, Encoding, Stage};
pub use fields::{Field, Name, Names};
pub use framing::Framing;
pub use head::{HeadLimits, Received, RequestHead, ResponseHead, Version};
pub use malformed::Malformed;
pub use target::{Authority, Host, Target};
