//! The seam between serving a request and the version of HTTP that it came in: what each version does in its own way.
//!
//! ```text
//! front::h1 ── reads heads, waits, keeps order, closes; says goodbye
//!   serve(request) ── decide ─ reach ─ exchange | tunnel | own ─ tell
//!     Front ── writes the heads of responses, and frames their bodies
//! ```

use sluicegate_http1::{Encoding, Framing, Malformed, RequestHead, ResponseHead};

use crate::message::edits::Edits;
use crate::message::response::Response;

/// The client's side of one request.
pub(crate) trait Front: Send + Sync {
    /// How the body of this request comes to its end.
    ///
    /// # Errors
    /// The rule that it breaks.
    fn framing(&self, head: &RequestHead) -> Result<Framing, Malformed>;

    /// Stages the head of an interim response, or that of a switch to another protocol (101), behind what is staged. Nothing,
    /// if the client does not know such responses.
    fn interim(&mut self, head: &ResponseHead, stage: &mut Vec<u8>);

    /// Stages the head of the final response; how its body is to be encoded.
    fn begin(&mut self, head: &Head<'_>, stage: &mut Vec<u8>) -> Encoding;

    /// Stages the head of a response behind which a tunnel begins.
    fn open(&mut self, response: &Response, stage: &mut Vec<u8>);
}

/// The head of a final response, as a value.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) said: Said<'a>,
    /// How its body comes to its end. `Chunked`: when its source says so. `UntilClose`: nobody can tell an end from a cut.
    pub(crate) framing: Framing,
    /// Bytes of the body, or what they would be (RFC 9110 §8.6).
    pub(crate) length: Option<u64>,
    /// The request is known to have come to its end: what follows it is not its body.
    pub(crate) request_ended: bool,
}

/// Who says it.
#[derive(Clone, Copy)]
pub(crate) enum Said<'a> {
    /// An origin, with what the policy changes.
    ByOrigin(&'a ResponseHead, Option<&'a Edits>),
    /// The proxy.
    ByUs(&'a Response),
}
