//! What failed, for a policy that words the answer.

use sluicegate_http1::RequestHead;

use crate::message::answer;
use crate::record::{Client, Extensions, Fault};

/// What failed, and for whom: see [`Policy::failed`](super::Policy::failed).
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure<'a> {
    /// What it was; its [`status`](Fault::status) is that of the proxy's own answer.
    pub fault: &'a Fault,
    /// Who asked.
    pub client: &'a Client,
    /// The request as it was received; not complete if its head is what failed.
    pub request: &'a RequestHead,
    /// What `admit` has put there, if it was asked.
    pub extensions: &'a Extensions,
    /// The proxy's.
    pub(crate) name: &'a str,
}

impl Failure<'_> {
    /// The value of `Proxy-Status` that says what failed (RFC 9209): the proxy's name, the error, and which rule was broken.
    #[must_use]
    pub fn proxy_status(&self) -> String {
        answer::proxy_status(self.fault, self.name)
    }
}
