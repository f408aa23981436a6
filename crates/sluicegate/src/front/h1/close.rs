//! How a client's connection ends: shutdown, linger, and what does not close cleanly is aborted.
//!
//! Closing while the client still sends makes its kernel throw away the answer that it has not
//! read yet (RFC 9112 §9.6); so its bytes are read and dropped for a while, limited in time and
//! in number. Twisted's `HTTPChannel._abortingCall` is the last step.

use crate::flow::{Deadline, Flow, Phase};
use crate::limits::Limits;
use crate::pipe::Pipe;
use crate::pump;
use crate::transport::{Transport, Watch};

/// Ends our side, and reads and drops what the client still sends, for a while. What has been
/// written arrives, unless the client does not take it.
pub(crate) async fn linger<C: Transport>(client: &C, request: &mut Pipe<'_>, limits: &Limits, flow: &Flow) -> Lingered {
    flow.wait(Phase::Closing, limits.linger_timeout);
    request.clear();
    let lingered = tokio::select! { biased;
        over = drain(client, request, limits.linger_bytes, flow) => over,
        _ = flow.alarm() => Lingered::StillOpen,
    };
    request.clear();
    lingered
}

/// Waits, holding nothing, until the client has ended its side as well. True when it has not, in
/// its time: what does not close cleanly is to be aborted.
pub(crate) async fn wait_for_end<C: Transport>(client: &C, limits: &Limits, flow: &Flow) -> bool {
    let rest = limits.abort_timeout.map(|all| all.saturating_sub(limits.linger_timeout));
    flow.wait(Phase::Closing, rest);
    tokio::select! { biased;
        _ = client.hangup(Watch::Fin) => false,
        _ = flow.alarm() => true,
    }
}

/// Ends a connection of which nothing has been read, and for which there is no buffer: what it sent
/// stays with the kernel until it has closed, or has had its time to read the answer.
pub(crate) async fn unread<C: Transport>(client: &C, limits: &Limits, flow: &Flow) {
    flow.wait(Phase::Closing, limits.linger_timeout);
    let ended = async {
        if pump::shutdown(client).await.is_ok() {
            client.hangup(Watch::Fin).await;
        }
    };
    tokio::select! { biased;
        () = ended => {}
        _ = flow.alarm() => {}
    }
}

/// Ends our side, and waits for nothing else: somebody needs the place.
pub(crate) async fn at_once<C: Transport>(client: &C, flow: &Flow) {
    flow.wait(Phase::Closing, Deadline::Sweep);
    tokio::select! { biased;
        _ = pump::shutdown(client) => {}
        _ = flow.alarm() => {}
    }
}

/// How lingering ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lingered {
    /// The client has closed too.
    Ended,
    /// It sends more than it may.
    TooMuch,
    /// Nothing has been heard of its end.
    StillOpen,
}

async fn drain<C: Transport>(client: &C, request: &mut Pipe<'_>, most: u64, flow: &Flow) -> Lingered {
    if pump::shutdown(client).await.is_err() {
        return Lingered::Ended; // it is gone already
    }
    let mut dropped = 0_u64;
    while dropped <= most {
        match pump::fill(request, client, flow.upward()).await {
            Ok(0) | Err(_) => return Lingered::Ended,
            Ok(n) => {
                dropped = dropped.saturating_add(n as u64);
                request.clear();
            }
        }
    }
    Lingered::TooMuch
}
