//! One client, from accept to close: wait without a buffer, read a head, serve it, and again.
//! Request N+1 is not looked at before response N has been written.

mod close;
mod head;
mod idle;
mod text;

use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use sluicegate_http1::{Malformed, RequestHead};
use tokio::sync::OwnedSemaphorePermit;

use self::close::Lingered;
use self::text::Http1;
pub(crate) use self::text::whole;
use crate::flow::{Entered, Phase};
use crate::message::answer;
use crate::policy::{AllowAll, Policy};
use crate::pump;
use crate::record::{Client, Ended, Fault};
use crate::serve::story::Story;
use crate::serve::{self, Cx, Served, Working};
use crate::transport::{Tcp, Transport};
use crate::worker::Worker;

/// A connection that is not idle.
struct Busy<'c, 'w, C, P> {
    cx: &'c Cx<'w, C, P>,
    head: RequestHead,
    /// The request, or its first byte, had come before the response to the one before it was through.
    is_pipelined: bool,
    working: Working<'w>,
}

/// What came instead of, or as, a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// A whole head, in its slot.
    Request,
    /// Bytes that are no head.
    Nonsense(Malformed),
    /// A head that does not end.
    TooSlowly,
    /// A head that does not end, and its place is needed.
    NeedsToLeave,
    /// Not a byte, for a while.
    Nothing,
    /// Something, but there is no memory for it.
    NoMemory,
    /// The client has ended, or was idle for too long, or the proxy is stopping.
    Gone,
    /// The proxy has stopped.
    Stopped,
}

/// What follows an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another request.
    Again,
    /// A clean end, after what has been written has arrived.
    Close,
    /// The end of a connection on which nothing is owed.
    Gone,
    /// A reset: what the client got must not look complete.
    Abort,
    /// Nothing to do for now, and nothing is held.
    Idle,
}

impl Next {
    fn after(served: Served, goes_on: bool) -> Self {
        match served {
            Served::Whole if goes_on => Self::Again,
            Served::Whole => Self::Close,
            Served::Over => Self::Gone,
            Served::Cut => Self::Abort,
        }
    }
}

/// Serves one client until its connection ends. Cancel-safe: dropping it ends the connection, by a reset if something
/// was under way, and else by a FIN.
///
/// What panics in here (a policy) takes nothing else with it: the client is reset, and the panic goes no further.
///
/// It is spawned as it is, with the client's `place` among the others, and no `async fn`: the arguments of one, and what a
/// wrapper awaits, stand twice in the future, and that was twice as large.
pub(crate) fn connection<C: Transport, P: Policy, W: Deref<Target = Worker<P>> + Send>(
    worker: W,
    client: C,
    who: Client,
    flow: Entered,
    place: Option<OwnedSemaphorePermit>,
) -> impl Future<Output = ()> + Send {
    if let Some(place) = place {
        place.forget();
        flow.hold_permit();
    }
    let guest = Guest { who, worker, flow };
    async move {
        let worker = &*guest.worker;
        let cx = Cx { worker, client: &client, who: &guest.who, flow: &guest.flow };
        // Nothing is looked at afterwards but what is atomic, or behind a lock that minds no panic.
        if AssertUnwindSafe(wait_and_serve(&cx)).catch_unwind().await.is_err() {
            cx.worker.count_panic(&guest.who);
        }
    }
}

/// A client that is there until this is dropped, and then gives its place back. Its permit is remembered elsewhere: for the
/// task that makes the difference between 384 bytes and 512 (a test counts).
struct Guest<W: Deref<Target = Worker<P>>, P> {
    who: Client,
    worker: W,
    /// Behind the end of `drop`, another client may have its number.
    flow: Entered,
}

impl<W: Deref<Target = Worker<P>>, P> Drop for Guest<W, P> {
    fn drop(&mut self) {
        self.worker.origins.leave(&self.flow);
        self.who.leave();
        if self.flow.has_permit() {
            self.worker.shared.permits.add_permits(1);
        }
        self.worker.shared.guests.leave(self.who.address.ip());
    }
}

/// The idle loop: waits without a buffer, works, and waits again.
///
/// ```text
/// quiet, holding nothing ──bytes──▶ busy ──▶ reading a head ──▶ serving ──┐
///   ▲ idle_timeout from here on      ▲                                      │
///   └──── not a byte before ─────────┴── quiet, with its working state ◀────┘
///         the next sweep                  (at most READY connections of a worker)
/// ```
async fn wait_and_serve<C: Transport, P: Policy>(cx: &Cx<'_, C, P>) {
    loop {
        cx.flow.wait(Phase::Idle, cx.worker.limits().idle_timeout);
        if idle::bytes(cx).await.is_err() {
            // Idle: nothing is owed to the client, and it is told by a plain FIN.
            return;
        }
        // Boxed, so that a connection in waiting holds none of this.
        match Box::pin(busy(cx)).await {
            Next::Idle | Next::Again => {}
            Next::Close | Next::Gone => return,
            Next::Abort => {
                cx.worker.count_abort();
                return cx.client.abort();
            }
        }
    }
}

/// Serves requests until the client is quiet, or its connection is to end.
async fn busy<C: Transport, P: Policy>(cx: &Cx<'_, C, P>) -> Next {
    let mut busy = Busy { cx, head: RequestHead::new(), is_pipelined: false, working: Working::new(cx.worker) };
    let underway = Underway(cx);
    let next = busy.serve_all().await;
    std::mem::forget(underway);
    if busy.working.shown.is_some() {
        cx.flow.asks_no_more();
    }
    if let Some(last) = busy.working.last.take() {
        cx.worker.origins.put(last, cx.flow);
    }
    if next != Next::Close {
        return next;
    }
    cx.worker.origins.leave(cx.flow);
    Box::pin(busy.close()).await
}

/// Stands for what is done for a client. Dropped in the middle of it (with the connection's future, with its runtime, by a
/// panic), it resets the client: what was cut short must not look complete.
struct Underway<'a, 'c, C: Transport, P: Policy>(&'a Cx<'c, C, P>);

impl<C: Transport, P: Policy> Drop for Underway<'_, '_, C, P> {
    fn drop(&mut self) {
        if !self.0.flow.owes_nothing() {
            self.0.worker.count_abort();
            self.0.client.abort();
        }
    }
}

impl<C: Transport, P: Policy> Busy<'_, '_, C, P> {
    /// One request after the other. `Next::Close` when something has been said that is to arrive.
    async fn serve_all(&mut self) -> Next {
        loop {
            self.head.clear();
            pump::in_turn(self.cx.flow.upward()).await;
            let next = match self.read_head().await {
                Came::Request => {
                    self.cx.flow.count_request();
                    self.serve().await
                }
                Came::Nonsense(rule) => self.refuse(Fault::Request(rule)).await,
                Came::TooSlowly => self.refuse(Fault::RequestTimeout).await,
                Came::NeedsToLeave => return self.give_way().await,
                Came::Nothing => return Next::Idle,
                Came::NoMemory => return Box::pin(self.no_memory()).await,
                Came::Gone => return Next::Gone,
                Came::Stopped => return Next::Abort,
            };
            if next != Next::Again {
                return next;
            }
        }
    }

    /// Serves the request whose head is complete.
    async fn serve(&mut self) -> Next {
        let mut front = Http1::new(&self.head, self.cx.worker.via(), self.cx.flow);
        let served = serve::serve(self.cx, &mut front, &self.head, self.is_pipelined, &mut self.working).await;
        Next::after(served, front.goes_on())
    }

    /// Answers what was not even a request, and ends the connection.
    async fn refuse(&mut self, fault: Fault) -> Next {
        let mut front = Http1::new(&self.head, self.cx.worker.via(), self.cx.flow);
        let served = serve::refuse(self.cx, &mut front, &self.head, &mut self.working, fault).await;
        Next::after(served, front.goes_on())
    }

    /// Says that a head came too slowly, and goes at once: the place is needed.
    async fn give_way(&mut self) -> Next {
        let _ = self.refuse(Fault::RequestTimeout).await;
        close::at_once(self.cx.client, self.cx.flow).await;
        Next::Gone
    }

    /// Says that there is no memory for a request, without taking a byte of it.
    async fn no_memory(&mut self) -> Next {
        let cx = self.cx;
        let mut story = Story::begin(cx, &self.head, &mut self.working.asked);
        story.told.status = 503;
        story.fault = Some(Fault::Capacity);
        story.ended = Ended::Refused;
        let why = " (all memory that it may use is in use)";
        let answer = whole(&answer::fault(&Fault::Capacity, why, &cx.worker.shared.name));
        let sent = tokio::select! { biased;
            sent = pump::write_once(cx.client, &answer, cx.flow.downward()) => sent.is_ok(),
            _ = cx.flow.alarm() => false,
        };
        story.tell();
        if sent {
            close::unread(cx.client, cx.worker.limits(), cx.flow).await;
        }
        Next::Abort
    }

    /// Ends the connection well, or else aborts it.
    async fn close(&mut self) -> Next {
        let (cx, limits) = (self.cx, self.cx.worker.limits());
        match close::linger(cx.client, &mut self.working.request, limits, cx.flow).await {
            Lingered::Ended => return Next::Gone,
            Lingered::TooMuch => return Next::Abort,
            Lingered::StillOpen => {}
        }
        self.working.memory.give_back();
        if close::wait_for_end(cx.client, limits, cx.flow).await { Next::Abort } else { Next::Gone }
    }
}

/// Bytes of a connection's own state: in waiting, and what is boxed beside it while it works.
pub(crate) fn sizes() -> (usize, usize) {
    fn waiting<F: Future>(
        _: impl FnOnce(Arc<Worker<AllowAll>>, Tcp, Client, Entered, Option<OwnedSemaphorePermit>) -> F,
    ) -> usize {
        size_of::<F>()
    }
    fn working<F: Future>(_: impl FnOnce(&'static Cx<'static, Tcp, AllowAll>) -> F) -> usize {
        size_of::<F>()
    }
    (waiting(connection::<Tcp, AllowAll, Arc<_>>), working(busy::<Tcp, AllowAll>))
}

#[cfg(test)]
mod tests;
