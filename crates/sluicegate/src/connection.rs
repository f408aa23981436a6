//! One client, from accept to close: wait without a buffer, read a head, serve it, and again.
//! Request N+1 is not looked at before response N has been written.

mod serve;
mod story;

use sluicegate_http1::{HeadLimits, Malformed, Received, RequestHead, ResponseHead};

use crate::close;
use crate::flow::{Alarm, Flow};
use crate::pipe::Pipe;
use crate::record::{Client, Fault};
use crate::transport::{self, Transport};
use crate::worker::Worker;

/// A connection that has been quiet for this long gives up its working state and keeps only its
/// place; requests that follow each other closer than this find it as they left it.
const GRACE: std::time::Duration = std::time::Duration::from_millis(200);

/// What every step of a connection needs, and none changes.
pub(crate) struct Cx<'a, C> {
    pub(crate) worker: &'a Worker,
    pub(crate) client: &'a C,
    pub(crate) who: &'a Client,
    pub(crate) flow: &'a Flow,
}

/// The working state of a connection that is not idle.
pub(crate) struct Busy<'w> {
    request: Pipe<'w>,
    response: Pipe<'w>,
    head: RequestHead,
    response_head: ResponseHead,
}

/// What follows an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another request.
    Again,
    /// A clean end.
    Close,
    /// A reset: what the client got must not look complete.
    Abort,
    /// Nothing to do for now, and nothing is held.
    Idle,
}

/// Serves one client until its connection ends. Cancel-safe: dropping it drops the sockets.
pub(crate) async fn connection<C: Transport>(worker: &Worker, client: C, who: Client) {
    let flow = worker.flows.enter();
    let cx = Cx { worker, client: &client, who: &who, flow: &flow };
    loop {
        flow.allow(worker.limits().idle_timeout);
        let readable = tokio::select! { biased;
            readable = transport::readable(&client) => readable.is_ok(),
            _ = flow.idle_alarm() => false,
        };
        if !readable {
            // Idle: nothing is owed to the client, and it is told by a plain FIN.
            return;
        }
        // Boxed, so that a connection in waiting holds none of this.
        match Box::pin(busy(&cx)).await {
            Next::Idle | Next::Again => {}
            Next::Close => return,
            Next::Abort => return client.abort(),
        }
    }
}

/// Serves requests until the client is quiet, or its connection is to end.
async fn busy<C: Transport>(cx: &Cx<'_, C>) -> Next {
    let mut busy = Busy {
        request: Pipe::new(&cx.worker.client_buffers),
        response: Pipe::new(&cx.worker.origin_buffers),
        head: RequestHead::new(),
        response_head: ResponseHead::new(),
    };
    loop {
        busy.head.clear();
        let next = match read_head(cx, &mut busy).await {
            Asks::Request => serve::serve(cx, &mut busy).await,
            Asks::Nonsense(rule) => serve::refuse(cx, &mut busy, Fault::Request(rule)).await,
            Asks::TooSlowly => serve::refuse(cx, &mut busy, Fault::RequestTimeout).await,
            Asks::Nothing => return Next::Idle,
            Asks::Gone => return Next::Close,
            Asks::Stopped => return Next::Abort,
        };
        match next {
            Next::Again => {}
            Next::Close => {
                close::gracefully(cx.client, &mut busy.request, cx.worker.limits(), cx.flow).await;
                return Next::Close;
            }
            other => return other,
        }
    }
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
    /// Not a byte, for a while.
    Nothing,
    /// The client has ended, or was idle for too long, or the proxy is stopping.
    Gone,
    /// The proxy has stopped.
    Stopped,
}

async fn read_head<C: Transport>(cx: &Cx<'_, C>, busy: &mut Busy<'_>) -> Asks {
    let limits = cx.worker.limits();
    let mut begun = !busy.request.raw().is_empty();
    cx.flow.allow(if begun {
        limits.head_timeout
    } else if C::KNOWS_READABLE {
        Some(GRACE)
    } else {
        limits.idle_timeout
    });
    loop {
        match receive(&mut busy.head, &mut busy.request, &limits.head) {
            Ok(true) => return Asks::Request,
            Ok(false) => {}
            Err(rule) => return Asks::Nonsense(rule),
        }
        let alarm = tokio::select! { biased;
            read = transport::fill(&mut busy.request, cx.client) => match read {
                Ok(0) | Err(_) => return Asks::Gone,
                Ok(_) => {
                    // From its first byte on, a head has a deadline that no byte extends.
                    if !begun {
                        cx.flow.allow(limits.head_timeout);
                    }
                    begun = true;
                    continue;
                }
            },
            alarm = cx.flow.idle_alarm(), if !begun => alarm,
            alarm = cx.flow.alarm(), if begun => alarm,
        };
        return match (alarm, begun) {
            // Nothing but empty lines is no request that could be answered (RFC 9112 §2.2).
            (Alarm::Deadline, true) if busy.head.is_empty() => Asks::Gone,
            (Alarm::Deadline, true) => Asks::TooSlowly,
            (Alarm::Deadline, false) if C::KNOWS_READABLE => Asks::Nothing,
            (Alarm::Deadline, false) => Asks::Gone,
            (Alarm::Drain, _) => Asks::Gone,
            (Alarm::Abort, _) => Asks::Stopped,
        };
    }
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
