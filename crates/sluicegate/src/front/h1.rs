//! One client, from accept to close: wait without a buffer, read a head, serve it, and again.
//! Request N+1 is not looked at before response N has been written.

mod close;
mod text;

use std::io;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use sluicegate_http1::{HeadLimits, Malformed, Received, RequestHead};
use tokio::sync::OwnedSemaphorePermit;

use self::close::Lingered;
use self::text::Exchanging;
pub(crate) use self::text::whole;
use crate::flow::{Alarm, Deadline, Entered, Flow, IdleAlarm, PauseCause, Phase, Waits};
use crate::message::answer;
use crate::pipe::Pipe;
use crate::policy::{AllowAll, Policy};
use crate::pump;
use crate::record::{Client, Ended, Fault, Members};
use crate::serve::exchange::watch;
use crate::serve::story::Story;
use crate::serve::{self, Cx, Served, Working};
use crate::transport::{Tcp, Transport};
use crate::worker::Worker;

/// The working state of a connection that is not idle.
struct Busy<'w> {
    head: RequestHead,
    /// The request, or its first byte, had come before the response to the one before it was through.
    is_pipelined: bool,
    working: Working<'w>,
}

/// A working state that waits for the next request without a share of the memory may hold this much, in bytes.
const KEPT_HEADS: usize = 8 * 1024;

impl Busy<'_> {
    /// Gives the memory of large heads back: what is kept is not to count.
    fn shrink(&mut self) {
        let Self { head, working: Working { request, response, response_head, .. }, .. } = self;
        let heads = head.capacity().saturating_add(response_head.capacity());
        let staged = request.capacity().saturating_add(response.capacity());
        if heads.saturating_add(staged) > KEPT_HEADS {
            head.shrink();
            response_head.shrink();
            request.shrink();
            response.shrink();
        }
    }
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

async fn wait_and_serve<C: Transport, P: Policy>(cx: &Cx<'_, C, P>) {
    loop {
        cx.flow.wait(Phase::Idle, cx.worker.limits().idle_timeout);
        if bytes(cx).await.is_err() {
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
async fn busy<'w, C: Transport, P: Policy>(cx: &Cx<'w, C, P>) -> Next {
    let mut busy = Busy { head: RequestHead::new(), is_pipelined: false, working: Working::new(cx.worker) };
    let underway = Underway(cx);
    let next = serve_all(cx, &mut busy).await;
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
    Box::pin(close(cx, &mut busy)).await
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

/// Ends the connection well, or else aborts it.
async fn close<C: Transport, P: Policy>(cx: &Cx<'_, C, P>, busy: &mut Busy<'_>) -> Next {
    let limits = cx.worker.limits();
    match close::linger(cx.client, &mut busy.working.request, limits, cx.flow).await {
        Lingered::Ended => return Next::Gone,
        Lingered::TooMuch => return Next::Abort,
        Lingered::StillOpen => {}
    }
    busy.working.memory.give_back();
    if close::wait_for_end(cx.client, limits, cx.flow).await { Next::Abort } else { Next::Gone }
}

/// One request after the other. `Next::Close` when something has been said that is to arrive.
async fn serve_all<'w, C: Transport, P: Policy>(cx: &Cx<'w, C, P>, busy: &mut Busy<'w>) -> Next {
    loop {
        busy.head.clear();
        pump::in_turn(cx.flow.upward()).await;
        let next = match read_head(cx, busy).await {
            Asks::Request => {
                cx.flow.count_request();
                serve(cx, busy).await
            }
            Asks::Nonsense(rule) => refuse(cx, busy, Fault::Request(rule)).await,
            Asks::TooSlowly => refuse(cx, busy, Fault::RequestTimeout).await,
            Asks::GivesWay => return give_way(cx, busy).await,
            Asks::Nothing => return Next::Idle,
            Asks::NoMemory => return Box::pin(no_memory(cx, &busy.head)).await,
            Asks::Gone => return Next::Gone,
            Asks::Stopped => return Next::Abort,
        };
        if next != Next::Again {
            return next;
        }
    }
}

/// Serves the request whose head is complete.
async fn serve<'w, C: Transport, P: Policy>(cx: &Cx<'w, C, P>, busy: &mut Busy<'w>) -> Next {
    let Busy { head, is_pipelined, working } = busy;
    let mut front = Exchanging::new(head, cx.worker.via(), cx.flow);
    let served = serve::serve(cx, &mut front, head, *is_pipelined, working).await;
    Next::after(served, front.goes_on())
}

/// Answers what was not even a request, and ends the connection.
async fn refuse<'w, C: Transport, P: Policy>(cx: &Cx<'w, C, P>, busy: &mut Busy<'w>, fault: Fault) -> Next {
    let Busy { head, working, .. } = busy;
    let mut front = Exchanging::new(head, cx.worker.via(), cx.flow);
    let served = serve::refuse(cx, &mut front, head, working, fault).await;
    Next::after(served, front.goes_on())
}

/// What came instead of, or as, a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// A whole head, in its slot.
    Request,
    /// Bytes that are no head.
    Nonsense(Malformed),
    /// A head that does not end.
    TooSlowly,
    /// A head that does not end, and its place is needed.
    GivesWay,
    /// Not a byte, for a while.
    Nothing,
    /// Something, but there is no memory for it.
    NoMemory,
    /// The client has ended, or was idle for too long, or the proxy is stopping.
    Gone,
    /// The proxy has stopped.
    Stopped,
}

async fn read_head<'w, C: Transport, P: Policy>(cx: &Cx<'w, C, P>, busy: &mut Busy<'w>) -> Asks {
    let limits = cx.worker.limits();
    busy.is_pipelined = !busy.working.request.raw().is_empty();
    if !busy.is_pipelined
        && let Err(instead) = first_bytes(cx, busy).await
    {
        return instead;
    }
    // From its first byte on, a head has a deadline that no byte extends.
    cx.flow.wait(Phase::Head, limits.head_timeout);
    loop {
        match receive(&mut busy.head, &mut busy.working.request, &limits.head) {
            Ok(true) => return Asks::Request,
            Ok(false) if busy.head.is_empty() => busy.working.memory.give_back(),
            Ok(false) => {}
            Err(rule) => return Asks::Nonsense(rule),
        }
        tokio::select! { biased;
            read = fill(cx, busy) => match read {
                Ok(0) | Err(_) => return Asks::Gone,
                Ok(_) => {}
            },
            alarm = cx.flow.head_alarm() => return unfinished(alarm, &busy.head),
        }
    }
}

/// Reads more of a head. While nothing but empty lines has come, nothing is held for it: their sender's deadline goes on.
async fn fill<C: Transport, P: Policy>(cx: &Cx<'_, C, P>, busy: &mut Busy<'_>) -> io::Result<usize> {
    busy.working.request.release();
    if busy.head.is_empty() {
        pump::readable(cx.client).await?;
    }
    busy.working.memory.take().await;
    pump::fill(&mut busy.working.request, cx.client, cx.flow.upward()).await
}

/// What a head is that did not end before the alarm.
fn unfinished(alarm: IdleAlarm, head: &RequestHead) -> Asks {
    match alarm {
        // Nothing but empty lines is no request that could be answered (RFC 9112 §2.2).
        IdleAlarm::Overdue | IdleAlarm::Leave if head.is_empty() => Asks::Gone,
        IdleAlarm::Overdue => Asks::TooSlowly,
        IdleAlarm::Leave => Asks::GivesWay,
        IdleAlarm::Stopped => Asks::Stopped,
    }
}

/// Says that a head came too slowly, and goes at once: the place is needed.
async fn give_way<'w, C: Transport, P: Policy>(cx: &Cx<'w, C, P>, busy: &mut Busy<'w>) -> Next {
    let _ = refuse(cx, busy, Fault::RequestTimeout).await;
    close::at_once(cx.client, cx.flow).await;
    Next::Gone
}

/// Says that there is no memory for a request, without taking a byte of it.
async fn no_memory<C: Transport, P: Policy>(cx: &Cx<'_, C, P>, head: &RequestHead) -> Next {
    let mut asked = Members::new();
    let mut story = Story::begin(cx, head, &mut asked);
    story.told.status = 503;
    story.fault = Some(Fault::Capacity);
    story.ended = Ended::Refused;
    let answer =
        whole(&answer::fault(&Fault::Capacity, " (all memory that it may use is in use)", &cx.worker.shared.name));
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

/// Waits, holding nothing, for the first bytes of a request; takes them once there is memory.
async fn first_bytes<'w, C: Transport, P: Policy>(cx: &Cx<'w, C, P>, busy: &mut Busy<'w>) -> Result<(), Asks> {
    busy.working.memory.give_back();
    busy.shrink();
    // A hint may come to nothing once; of a stream that hints on and on it cannot be known without a buffer.
    let mut knows = true;
    let mut is_hinted = false;
    loop {
        // A connection that is still quiet at the next sweep, or one of many, gives up its working
        // state and keeps only its place; else the next request finds it as it was left.
        let deadline = if knows { Deadline::Sweep } else { cx.worker.limits().idle_timeout.into() };
        cx.flow.wait(Phase::Idle, deadline);
        let lane = cx.flow.upward();
        let place = cx.worker.ready.take();
        if place.is_none() && knows && !pump::is_readable(cx.client).await {
            return Err(Asks::Nothing);
        }
        bytes(cx).await.map_err(|alarm| alarm.map_or(Asks::Gone, |alarm| quiet(alarm, knows)))?;
        drop(place);
        reserve(cx, busy).await?;
        let read = if knows {
            pump::try_fill(&mut busy.working.request, cx.client, lane).await
        } else {
            // It cannot be known without a buffer: so one is held meanwhile.
            tokio::select! { biased;
                read = pump::fill(&mut busy.working.request, cx.client, lane) => read.map(Some),
                alarm = cx.flow.idle_alarm() => return Err(quiet(alarm, knows)),
            }
        };
        match read {
            Ok(Some(0)) | Err(_) => return Err(Asks::Gone),
            Ok(Some(_)) => return Ok(()),
            // "Readable" was a hint.
            Ok(None) => {
                busy.working.memory.give_back();
                knows = !std::mem::replace(&mut is_hinted, true);
            }
        }
    }
}

/// Waits for bytes, holding nothing; else says what it was told, or `None` if the client has gone.
async fn bytes<C: Transport, P: Policy>(cx: &Cx<'_, C, P>) -> Result<(), Option<IdleAlarm>> {
    let alarm = tokio::select! { biased;
        readable = pump::readable(cx.client) => return readable.map_err(|_| None),
        alarm = cx.flow.idle_alarm() => alarm,
    };
    // A stop ends who has asked for nothing. Of a client that was just taken from the queue only
    // the kernel knows that, yet: closing on its request would reset it.
    if alarm == IdleAlarm::Leave && cx.client.is_stale(true) {
        // Boxed, so that nobody who waits has room for it.
        return Box::pin(last_bytes(cx.client, cx.flow)).await;
    }
    Err(Some(alarm))
}

/// The same of what the kernel has already: it may be less than a record of TLS.
async fn last_bytes<C: Transport>(client: &C, flow: &Flow) -> Result<(), Option<IdleAlarm>> {
    tokio::select! { biased;
        readable = pump::readable(client) => readable.map_err(|_| None),
        alarm = flow.alarm() => Err(Some(alarm.into())),
    }
}

fn quiet(alarm: IdleAlarm, knows: bool) -> Asks {
    match alarm {
        IdleAlarm::Overdue if knows => Asks::Nothing,
        IdleAlarm::Overdue | IdleAlarm::Leave => Asks::Gone,
        IdleAlarm::Stopped => Asks::Stopped,
    }
}

/// Reserves the connection's whole bound at once, for as long as it holds anything; it never
/// waits for more while it holds some, so no two can wait for each other.
async fn reserve<'w, C: Transport, P: Policy>(cx: &Cx<'w, C, P>, busy: &mut Busy<'w>) -> Result<(), Asks> {
    if busy.working.memory.try_take() {
        return Ok(());
    }
    cx.flow.wait(Phase::Admitting, cx.worker.limits().memory_timeout);
    cx.flow.upward().stands(0, Waits::paused(PauseCause::Budget));
    tokio::select! { biased;
        () = busy.working.memory.take() => {}
        _ = cx.client.hangup(watch(cx.worker.limits())) => return Err(Asks::Gone),
        alarm = cx.flow.alarm() => return Err(match alarm {
            Alarm::Overdue => Asks::NoMemory,
            Alarm::Stopped => Asks::Stopped,
        }),
    }
    cx.flow.upward().stands(0, Waits::NOTHING);
    Ok(())
}

/// Moves received bytes into the head's slot. True when the head is complete.
fn receive(head: &mut RequestHead, request: &mut Pipe<'_>, limits: &HeadLimits) -> Result<bool, Malformed> {
    let raw = request.raw();
    match head.receive(raw, limits)? {
        Received::Complete(n) => {
            request.drop_raw(n);
            Ok(true)
        }
        Received::Partial => {
            let all = raw.len();
            request.drop_raw(all);
            Ok(false)
        }
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
