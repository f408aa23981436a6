//! Policies that are chosen at run time, and functions that wait.

use std::net::SocketAddr;
use std::pin::Pin;

use super::{Failure, OriginResponse, Policy, Request, Verdict};
use crate::message::response::Response;
use crate::record::{Client, Fault, Record};

/// What a policy decides, later.
type Deciding<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// A [`Policy`] whose type is not known until the program runs: `Box<dyn DynPolicy>` and `Arc<dyn DynPolicy>` are policies.
/// Every policy is one of these; implement [`Policy`], and use this as a type.
///
/// Each `admit` costs one allocation, which a policy of a known type does not need.
///
/// ```
/// use sluicegate::{AllowAll, DynPolicy, Proxy, Reverse};
///
/// # let origin = Some("127.0.0.1:8080");
/// let policy: Box<dyn DynPolicy> = match origin {
///     Some(origin) => Box::new(Reverse::to(origin)?),
///     None => Box::new(AllowAll),
/// };
/// let proxy = Proxy::builder().policy(policy).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait DynPolicy: Send + Sync + 'static {
    #[doc(hidden)]
    fn dyn_accept(&self, client: &Client) -> bool;
    #[doc(hidden)]
    fn dyn_admit<'a>(&'a self, request: &'a mut Request<'_>, client: &'a Client) -> Deciding<'a>;
    #[doc(hidden)]
    fn dyn_respond(&self, response: &mut OriginResponse<'_>, client: &Client);
    #[doc(hidden)]
    fn dyn_failed(&self, failure: &Failure<'_>, answer: Response) -> Response;
    #[doc(hidden)]
    fn dyn_address(&self, client: &Client, address: SocketAddr) -> Result<(), Fault>;
    #[doc(hidden)]
    fn dyn_records(&self) -> bool;
    #[doc(hidden)]
    fn dyn_ended(&self, record: &Record<'_>);
    #[doc(hidden)]
    fn dyn_refused(&self, record: &Record<'_>);
}

impl<P: Policy> DynPolicy for P {
    fn dyn_accept(&self, client: &Client) -> bool {
        self.accept(client)
    }

    fn dyn_admit<'a>(&'a self, request: &'a mut Request<'_>, client: &'a Client) -> Deciding<'a> {
        Box::pin(self.admit(request, client))
    }

    fn dyn_respond(&self, response: &mut OriginResponse<'_>, client: &Client) {
        self.respond(response, client);
    }

    fn dyn_failed(&self, failure: &Failure<'_>, answer: Response) -> Response {
        self.failed(failure, answer)
    }

    fn dyn_address(&self, client: &Client, address: SocketAddr) -> Result<(), Fault> {
        self.address(client, address)
    }

    fn dyn_records(&self) -> bool {
        self.records()
    }

    fn dyn_ended(&self, record: &Record<'_>) {
        self.ended(record);
    }

    fn dyn_refused(&self, record: &Record<'_>) {
        self.refused(record);
    }
}

impl Policy for dyn DynPolicy {
    fn accept(&self, client: &Client) -> bool {
        self.dyn_accept(client)
    }

    async fn admit(&self, request: &mut Request<'_>, client: &Client) -> Verdict {
        self.dyn_admit(request, client).await
    }

    fn respond(&self, response: &mut OriginResponse<'_>, client: &Client) {
        self.dyn_respond(response, client);
    }

    fn failed(&self, failure: &Failure<'_>, answer: Response) -> Response {
        self.dyn_failed(failure, answer)
    }

    fn address(&self, client: &Client, address: SocketAddr) -> Result<(), Fault> {
        self.dyn_address(client, address)
    }

    fn records(&self) -> bool {
        self.dyn_records()
    }

    fn ended(&self, record: &Record<'_>) {
        self.dyn_ended(record);
    }

    fn refused(&self, record: &Record<'_>) {
        self.dyn_refused(record);
    }
}

/// A policy that decides about requests by a function that may wait. One that does not is a policy as it is, and needs no box.
///
/// The function is asked as [`Policy::admit`] is: while it waits, its client is watched, and when that goes, its future is
/// dropped.
///
/// ```
/// use sluicegate::{Proxy, Response, Route, Verdict, policy_fn};
///
/// # async fn is_known(user: &[u8]) -> bool { user == b"alice" }
/// let known = policy_fn(|request, _client| Box::pin(async move {
///     let user = request.field("X-User").unwrap_or_default();
///     if is_known(user).await { Verdict::Forward(Route::target()) } else { Response::new(403, "Who is it?\n").into() }
/// }));
/// let proxy = Proxy::builder().policy(known).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn policy_fn<F>(decide: F) -> PolicyFn<F>
where
    F: for<'a> Fn(&'a mut Request<'_>, &'a Client) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>,
    F: Send + Sync + 'static,
{
    PolicyFn(decide)
}

/// See [`policy_fn`].
#[derive(Debug, Clone, Copy)]
pub struct PolicyFn<F>(F);

impl<F> Policy for PolicyFn<F>
where
    F: for<'a> Fn(&'a mut Request<'_>, &'a Client) -> Deciding<'a> + Send + Sync + 'static,
{
    async fn admit(&self, request: &mut Request<'_>, client: &Client) -> Verdict {
        (self.0)(request, client).await
    }

    fn records(&self) -> bool {
        false
    }
}
