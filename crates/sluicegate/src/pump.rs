//! Moving bytes through a [`Pipe`]: the one loop that reads where there is room and writes where
//! there is something, for every message and every tunnel. It tells its [`Lane`] what it did.

mod source;

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use sluicegate_http1::{Malformed, Truncated};

use crate::flow::{Lane, MOVES, PauseCause, Waits};
use crate::pipe::Pipe;
use crate::transport::Transport;

pub(crate) use source::{Drain, Feed, Slot, Source, Supply};

/// Why a pump stopped before its message was through.
#[derive(Debug)]
pub(crate) enum End {
    /// The source failed.
    Source,
    /// The source ended in the middle of its message.
    Truncated(Truncated),
    /// The source broke a rule of its body's framing.
    Malformed(Malformed),
    /// The sink failed.
    Sink,
}

/// A pump yields after this many bytes, or [`MOVES`].
const BYTES: usize = 256 * 1024;

/// A sink that takes nothing for so long reads less than 3 MiB a second.
const LONG_PAUSE: Duration = Duration::from_millis(20);

struct Turn {
    moves: u8,
    bytes: usize,
}

impl Turn {
    fn is_over(&mut self, bytes: usize) -> bool {
        self.moves = self.moves.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        self.moves >= MOVES || self.bytes >= BYTES
    }
}

/// Moves the message in `pipe` from `from` to `to` until it has been given whole.
///
/// Cancel-safe: what has been read is in the pipe, and counted.
pub(crate) async fn pump<F: Source, T: Transport>(
    pipe: &mut Pipe<'_>,
    from: &F,
    to: &T,
    lane: Lane<'_>,
) -> Result<(), End> {
    let splices = from.splices() && to.splices();
    poll_fn(|cx| {
        let mut turn = Turn { moves: 0, bytes: 0 };
        if lane.has_waited(LONG_PAUSE) {
            pipe.slow_down();
        }
        loop {
            pipe.decode().map_err(End::Malformed)?;
            if pipe.is_finished() {
                if to.poll_flush(cx).map_err(|_| End::Sink)?.is_pending() {
                    report(pipe, lane, Waits::SINK);
                    return Poll::Pending;
                }
                report(pipe, lane, Waits::NOTHING);
                lane.moved(turn.moves);
                return Poll::Ready(Ok(()));
            }
            let gave = poll_give(pipe, to, lane, cx).map_err(|_| End::Sink)?;
            let took = match pipe.is_received() {
                true => None,
                false => poll_take(pipe, from, splices, lane, cx)?,
            };
            if gave.is_none() && took.is_none() {
                if pipe.insist() {
                    continue;
                }
                let source = if pipe.is_received() { None } else { pipe.pause(lane.sink()) };
                report(pipe, lane, Waits { sink: pipe.has_output(), source });
                return Poll::Pending;
            }
            // What is taken and dropped (extensions, trailers) extends no deadline; what is taken
            // and kept is given, or the sink stands still.
            if gave.is_some() {
                lane.touch();
            }
            if turn.is_over(gave.unwrap_or(0).saturating_add(took.unwrap_or(0))) {
                report(pipe, lane, Waits { sink: gave.is_none() && pipe.has_output(), source: None });
                step_aside(cx);
                return Poll::Pending;
            }
        }
    })
    .await
}

/// [`pump`] for a response: when the source fails, what came before goes out first, as far as it is good. Unless nothing has
/// been given yet: then nothing has been said, and another answer may take its place.
pub(crate) async fn deliver<F: Source, T: Transport>(
    pipe: &mut Pipe<'_>,
    from: &F,
    to: &T,
    lane: Lane<'_>,
) -> Result<(), End> {
    let end = match pump(pipe, from, to, lane).await {
        Err(end) if pipe.has_begun() && !matches!(end, End::Sink) => end,
        ended => return ended,
    };
    flush(pipe, to, lane).await.map_err(|_| End::Sink)?;
    Err(end)
}

/// Ends a poll: gives back what is empty, and says how the pipe stands. Nothing else does.
fn report(pipe: &mut Pipe<'_>, lane: Lane<'_>, waits: Waits) {
    pipe.release();
    lane.stands(pipe.held(), waits);
}

/// Writes what is staged in `pipe`, and nothing else.
pub(crate) async fn flush<T: Transport>(pipe: &mut Pipe<'_>, to: &T, lane: Lane<'_>) -> io::Result<()> {
    poll_fn(|cx| {
        while pipe.has_output() {
            if poll_give(pipe, to, lane, cx)?.is_none() {
                report(pipe, lane, Waits::SINK);
                return Poll::Pending;
            }
        }
        let flushed = to.poll_flush(cx)?;
        report(pipe, lane, Waits { sink: flushed.is_pending(), source: None });
        flushed.map(Ok)
    })
    .await
}

/// The eager read: goes on reading `from` up to the pipe's capacity while something else runs, so
/// that its end is noticed. Resolves with that end, or its error; never when the pipe is full.
pub(crate) async fn attended_fill<F: Transport>(pipe: &mut Pipe<'_>, from: &F, lane: Lane<'_>) -> io::Result<()> {
    poll_fn(|cx| {
        for _ in 0..MOVES {
            match poll_fill(pipe, from, lane, cx)? {
                Some(0) => return Poll::Ready(Ok(())),
                Some(_) => {}
                None => {
                    report(pipe, lane, Waits { sink: false, source: pipe.pause(PauseCause::Order) });
                    return Poll::Pending;
                }
            }
        }
        step_aside(cx);
        Poll::Pending
    })
    .await
}

/// Lets the others have their turn, if this connection has moved much since it last waited. Counts as a move itself:
/// so it stands before each step of a loop whose end a peer decides.
pub(crate) async fn in_turn(lane: Lane<'_>) {
    poll_fn(|cx| {
        if lane.is_spent() {
            lane.rest();
            step_aside(cx);
            return Poll::Pending;
        }
        lane.moved(1);
        Poll::Ready(())
    })
    .await
}

/// Asks to be polled again once everybody else has been, and the sockets have been looked at. Waking alone would not
/// do: Tokio looks at them only after 61 tasks, or when none is left.
fn step_aside(cx: &mut Context<'_>) {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

/// Reads once, when there is something; how many bytes, 0 at the end. There must be room.
pub(crate) async fn fill<F: Transport>(pipe: &mut Pipe<'_>, from: &F, lane: Lane<'_>) -> io::Result<usize> {
    in_turn(lane).await;
    poll_fn(|cx| match poll_fill(pipe, from, lane, cx)? {
        Some(n) => Poll::Ready(Ok(n)),
        None => {
            report(pipe, lane, Waits { sink: false, source: pipe.pause(lane.sink()) });
            Poll::Pending
        }
    })
    .await
}

/// Reads and drops what still comes, so many bytes at most: whether the stream ended there.
pub(crate) async fn ends_within<F: Source>(from: &F, most: usize) -> bool {
    let (mut room, mut dropped) = ([0; 1024], 0_usize);
    while dropped <= most {
        match poll_fn(|cx| from.poll_read(cx, &mut room)).await {
            Ok(0) => return true,
            Ok(n) => dropped = dropped.saturating_add(n),
            Err(_) => return false,
        }
    }
    false
}

/// Reads once, if there is something now, as [`readable`] has hinted. There must be room.
pub(crate) async fn try_fill<F: Source>(pipe: &mut Pipe<'_>, from: &F, lane: Lane<'_>) -> io::Result<Option<usize>> {
    poll_fn(|cx| {
        let read = if is_paused(pipe, lane) { Ok(None) } else { poll_read(pipe, from, lane, cx) };
        pipe.release();
        Poll::Ready(read)
    })
    .await
}

/// Writes a short text, that an empty send queue takes whole.
pub(crate) async fn write_once<T: Transport>(to: &T, text: &[u8], lane: Lane<'_>) -> io::Result<()> {
    let n = poll_fn(|cx| to.poll_write(cx, &[io::IoSlice::new(text)])).await?;
    lane.gave(n);
    if n == text.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Waits, without a buffer, until a read may find something.
pub(crate) fn readable<F: Transport>(from: &F) -> impl Future<Output = io::Result<()>> {
    poll_fn(|cx| from.poll_readable(cx))
}

/// Whether a read may find something now.
pub(crate) async fn is_readable<F: Transport>(from: &F) -> bool {
    poll_fn(|cx| Poll::Ready(from.poll_readable(cx).is_ready())).await
}

/// Ends the sending side of a direction's sink: the end is on its way like a byte that the sink has to take.
pub(crate) async fn pass_end<T: Transport>(to: &T, lane: Lane<'_>) -> io::Result<()> {
    poll_fn(|cx| {
        let ended = to.poll_shutdown(cx);
        lane.stands(0, Waits { sink: ended.is_pending(), source: None });
        ended
    })
    .await
}

/// Ends the sending side.
pub(crate) async fn shutdown<T: Transport>(to: &T) -> io::Result<()> {
    poll_fn(|cx| to.poll_shutdown(cx)).await
}

/// One write, if there is anything to write and the sink takes it.
fn poll_give<T: Transport>(
    pipe: &mut Pipe<'_>,
    to: &T,
    lane: Lane<'_>,
    cx: &mut Context<'_>,
) -> io::Result<Option<usize>> {
    if let Some(kernel_pipe) = pipe.loaded() {
        return match to.poll_splice_out(cx, kernel_pipe)? {
            Poll::Pending => Ok(None),
            Poll::Ready(0) => Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(n) => {
                pipe.unloaded(n);
                lane.gave(n);
                Ok(Some(n))
            }
        };
    }
    let (parts, count) = pipe.output();
    let Some(parts) = parts.get(..count).filter(|parts| !parts.is_empty()) else {
        // What was written before is not to wait for what comes.
        let _ = to.poll_flush(cx)?;
        return Ok(None);
    };
    match to.poll_write(cx, parts) {
        Poll::Pending => Ok(None),
        Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
        Poll::Ready(Ok(n)) => {
            pipe.wrote(n);
            lane.gave(n);
            Ok(Some(n))
        }
        Poll::Ready(Err(e)) => Err(e),
    }
}

/// One read of a message that is not complete. `Some(0)` when its end has been taken.
fn poll_take<F: Source>(
    pipe: &mut Pipe<'_>,
    from: &F,
    splices: bool,
    lane: Lane<'_>,
    cx: &mut Context<'_>,
) -> Result<Option<usize>, End> {
    let read = match splices && pipe.is_bulk() {
        true => poll_splice(pipe, from, lane, cx),
        false => poll_fill(pipe, from, lane, cx),
    };
    let read = read.map_err(|_| End::Source)?;
    if read == Some(0) {
        pipe.end_of_input().map_err(End::Truncated)?;
    }
    Ok(read)
}

/// One read, if there is room and the source has something. `Some(0)` at its end.
#[inline]
fn poll_fill<F: Source>(
    pipe: &mut Pipe<'_>,
    from: &F,
    lane: Lane<'_>,
    cx: &mut Context<'_>,
) -> io::Result<Option<usize>> {
    // A full pipe is the pause; and no buffer is lent before the source may have something.
    if is_paused(pipe, lane) || !pipe.is_lent() && from.poll_readable(cx)?.is_pending() {
        return Ok(None);
    }
    poll_read(pipe, from, lane, cx)
}

/// Whether the source is to be left alone. What a limit grants is asked for once per poll, and grows once per sweep.
#[inline]
fn is_paused(pipe: &mut Pipe<'_>, lane: Lane<'_>) -> bool {
    pipe.refill(|| lane.millis());
    pipe.is_full()
}

fn poll_read<F: Source>(
    pipe: &mut Pipe<'_>,
    from: &F,
    lane: Lane<'_>,
    cx: &mut Context<'_>,
) -> io::Result<Option<usize>> {
    match from.poll_read(cx, pipe.room()) {
        Poll::Pending => Ok(None),
        Poll::Ready(Ok(n)) => {
            pipe.received(n);
            lane.took(n);
            Ok(Some(n))
        }
        Poll::Ready(Err(e)) => Err(e),
    }
}

/// The same past our own buffer; into it, if that cannot be.
fn poll_splice<F: Source>(
    pipe: &mut Pipe<'_>,
    from: &F,
    lane: Lane<'_>,
    cx: &mut Context<'_>,
) -> io::Result<Option<usize>> {
    if is_paused(pipe, lane) || from.poll_readable(cx)?.is_pending() {
        return Ok(None);
    }
    let Some((kernel_pipe, most)) = pipe.kernel_pipe() else {
        return poll_fill(pipe, from, lane, cx);
    };
    match from.poll_splice_in(cx, kernel_pipe, most) {
        Poll::Pending => Ok(None),
        Poll::Ready(Ok(0)) => Ok(Some(0)),
        Poll::Ready(Ok(n)) => {
            pipe.spliced(n);
            lane.took(n);
            Ok(Some(n))
        }
        Poll::Ready(Err(e)) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            pipe.slow_down();
            poll_fill(pipe, from, lane, cx)
        }
        Poll::Ready(Err(e)) => Err(e),
    }
}

#[cfg(test)]
mod tests;
