//! The trait that decides, and is told how it went.
//!
//! ```text
//! accept ── once per connection
//!   admit ── per request: forward it (where to?), answer it, or abort
//!     address ── each resolved address, before it is dialled
//!     respond ── the head of the origin's response, before the client gets it
//!   failed ── the answer of the proxy's own to what failed
//!   ended ── once per admit, however it ended
//! ```

mod compose;
#[cfg(feature = "http")]
mod convert;
mod dynamic;
mod failure;
mod heads;
mod patience;
pub(crate) mod reverse;
mod route;
mod trial;

use std::net::SocketAddr;

pub use dynamic::{DynPolicy, PolicyFn, policy_fn};
pub use failure::Failure;
pub(crate) use heads::host_field;
pub use heads::{OriginResponse, Request};
pub(crate) use patience::Patience;
pub use route::{Origin, OriginError, Route, Verdict};
pub use trial::Trial;

use crate::message::response::Response;
use crate::record::{Client, Fault, Record};

/// Decides about clients, requests and destinations, and is told how each exchange went. Every method
/// has a default that allows all and changes nothing.
///
/// ```
/// use sluicegate::{Client, Policy, Request, Response, Route, Verdict};
///
/// /// Nobody may go to a host of this list.
/// struct Deny(Vec<String>);
///
/// impl Policy for Deny {
///     async fn admit(&self, request: &mut Request<'_>, _client: &Client) -> Verdict {
///         if self.0.iter().any(|denied| request.host_is(denied)) {
///             return Verdict::Answer(Response::new(403, "This host is on the proxy's list.\n"));
///         }
///         Verdict::Forward(Route::target())
///     }
/// }
///
/// let proxy = sluicegate::Proxy::builder().policy(Deny(vec!["example.com".to_owned()])).build()?;
/// # Ok::<(), sluicegate::LimitError>(())
/// ```
///
/// **Composing.** A tuple of two to four policies is a policy: all must accept, all addresses must be
/// allowed by all; they are asked to admit from left to right, the first verdict that does not forward is
/// taken, and those behind it are not asked; of several routes the first that is not [`Route::target`] is, in the pools of all.
/// They see a response, and the answer to a failure, from right to left, so that the first has the last word. A function or closure
/// `Fn(&mut Request<'_>, &Client) -> Verdict` is a policy (one that waits: [`policy_fn`]); so are an `Arc` of one, one that is chosen at run time ([`DynPolicy`]), and an `Option`, which
/// allows all when it is `None`.
///
/// **Testing.** [`Request::test`] makes a request that no client has sent, and asks a policy about it.
///
/// **When one panics,** its connection is reset, which is logged and counted (`Proxy::panicked`), and
/// nothing else happens: every other connection goes on.
///
/// **Where it runs.** On the task of the client's connection: no method may block, and only `admit`
/// may wait.
pub trait Policy: Send + Sync + 'static {
    /// Whether `client` may use this proxy; asked once, when it is accepted. If not, it gets a 403 that says so,
    /// and is closed.
    fn accept(&self, _client: &Client) -> bool {
        true
    }

    /// What is to happen to a request, whose head is complete and sound; its body is not waited for. Requests in
    /// origin-form (`GET /path`) are asked about too: they are for the proxy itself, and unless a verdict
    /// answers or routes them, they get a 400 that explains what a proxy is.
    ///
    /// It may wait, for [`Limits::policy_timeout`](crate::Limits::policy_timeout) at most; then the client gets a 503.
    /// Meanwhile the client is watched, and read up to `client_buffer`: when it goes, the future is dropped, within
    /// milliseconds. So whatever it awaits must be cancel-safe or not mind. The next request of this
    /// client is not asked about before the response to this one has been written.
    fn admit(&self, _request: &mut Request<'_>, _client: &Client) -> impl Future<Output = Verdict> + Send {
        std::future::ready(Verdict::Forward(Route::target()))
    }

    /// The final response of an origin, when its head has come and before it is written to the client. Not asked
    /// for answers of the proxy's own, for interim responses, nor for tunnels.
    fn respond(&self, _response: &mut OriginResponse<'_>, _client: &Client) {}

    /// The answer to a request that failed: `answer`, which is the proxy's own, or another one. Asked for each answer of the proxy's
    /// own that names a [`Fault`], also before `admit` could be; not for clients that are turned away before they ask for
    /// anything, nor when there is no memory for a request, nor when a response had begun, which only a reset can end.
    ///
    /// What is returned may be a page in the user's language, or `answer` with a field more. It is bounded, watched and logged
    /// as any other; whether the connection goes on stays the proxy's affair. One that cannot be sent is logged as an error, and
    /// the proxy's own takes its place.
    ///
    /// ```
    /// use sluicegate::{Failure, Fault, Policy, Response};
    ///
    /// /// Says whom to ask.
    /// struct Helpdesk;
    ///
    /// impl Policy for Helpdesk {
    ///     fn failed(&self, failure: &Failure<'_>, answer: Response) -> Response {
    ///         match failure.fault {
    ///             Fault::Denied(why) => Response::new(403, format!("<h1>Not from here</h1>{why}. Ask the helpdesk."))
    ///                 .field("Content-Type", "text/html; charset=utf-8")
    ///                 .field("Proxy-Status", failure.proxy_status()),
    ///             _ => answer.field("X-Helpdesk", "https://help.example/"),
    ///         }
    ///     }
    /// }
    /// ```
    fn failed(&self, _failure: &Failure<'_>, answer: Response) -> Response {
        answer
    }

    /// Whether `client` may reach `address`: asked for each resolved address before it is
    /// dialled, and of each kept connection before it is lent, so that no name, no redirect and
    /// nobody else's connection leads around it. It runs under a lock of the worker: it must be quick.
    ///
    /// # Errors
    /// What the user is told: [`Fault::Denied`] with a sentence, which is a 403; or [`Fault::Capacity`], a 503, if it cannot
    /// be decided now.
    fn address(&self, _client: &Client, _address: SocketAddr) -> Result<(), Fault> {
        Ok(())
    }

    /// Whether [`Policy::ended`] and [`Policy::refused`] are to be called; if not, no clock is read for them.
    fn records(&self) -> bool {
        true
    }

    /// Called exactly once for each `admit` (a tuple passes it on to those of its members that were asked), when its exchange or tunnel is over: also when it was
    /// aborted, when the proxy was stopped or its future dropped, and when a policy panicked. What never
    /// became a request is told to [`Policy::refused`].
    ///
    /// ```
    /// use sluicegate::{Policy, Record};
    ///
    /// /// A line for each exchange.
    /// struct Log;
    ///
    /// impl Policy for Log {
    ///     fn ended(&self, record: &Record<'_>) {
    ///         let Record { client, status, ended, bytes_out, .. } = record;
    ///         // Queries hold secrets; the access log of the binary leaves them out, too.
    ///         let target = record.target().split('?').next().unwrap_or_default();
    ///         println!("{} {} {target} {status} {bytes_out} {ended}", client.address, record.method());
    ///     }
    ///
    ///     fn refused(&self, record: &Record<'_>) {
    ///         self.ended(record);
    ///     }
    /// }
    /// ```
    fn ended(&self, _record: &Record<'_>) {}

    /// Called for each request that was refused before `admit` could be asked: a head that breaks a rule or
    /// came too slowly, or for which there was no memory. And for each client that was turned away before it could ask for
    /// anything: not accepted ([`Fault::NotAccepted`]), or one too many
    /// ([`Fault::TooManyConnections`]); then the request is empty.
    fn refused(&self, _record: &Record<'_>) {}
}

/// Allows everything, records nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Policy for AllowAll {
    fn records(&self) -> bool {
        false
    }
}
