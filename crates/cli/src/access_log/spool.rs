//! Lines on their way out. A worker appends to a buffer of its own and never waits; one thread
//! swaps the buffers for empty ones and writes them. What a disk or a reader does not take in time
//! is dropped, as whole lines, and counted.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::sink::Sink;

/// So much in one worker's buffer is written without waiting for more.
const FLUSH: usize = 64 * 1024;

/// One worker's buffer is full: room for 100 ms at 50,000 requests a second, and no more, if the
/// disk has stopped.
const FULL: usize = 1024 * 1024;

/// Lines are written at the latest after this time; also how often a full disk is tried again, and
/// losses are told.
const SOON: Duration = Duration::from_secs(1);

/// The thread notices its end by itself, but not at once: it may be asking a reader.
const GRACE: Duration = Duration::from_secs(1);

/// When lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// When there are many, or after a second.
    Gathered,
    /// As they come.
    AtOnce,
}

/// The buffers, and the thread that empties them.
#[derive(Debug)]
pub(super) struct Spool {
    shared: Arc<Shared>,
    /// Closed by the thread's end.
    ended: Mutex<Receiver<()>>,
    /// When the thread is to end, whether everything has been written or not.
    end: Arc<OnceLock<Instant>>,
}

#[derive(Debug)]
struct Shared {
    buffers: Vec<Mutex<Vec<u8>>>,
    pace: Pace,
    bell: Bell,
    losses: Losses,
    /// Lines that the thread is about to write.
    in_hand: AtomicUsize,
}

impl Spool {
    /// Buffers for so many workers, and a thread that writes to `sink`.
    pub(super) fn start(sink: Sink, workers: usize, pace: Pace) -> io::Result<Self> {
        let buffers = std::iter::repeat_with(Mutex::default).take(workers.max(1)).collect();
        let shared = Arc::new(Shared {
            buffers,
            pace,
            bell: Bell::default(),
            losses: Losses::new(),
            in_hand: AtomicUsize::new(0),
        });
        let (alive, ended) = channel();
        let end = sink.end();
        let writer = Arc::clone(&shared);
        std::thread::Builder::new().name("access log".to_owned()).spawn(move || writer.run(sink, alive))?;
        Ok(Self { shared, ended: Mutex::new(ended), end })
    }

    /// Appends what `write` appends: a whole line or several. Without room, nothing.
    pub(super) fn line(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let Shared { buffers, pace, bell, losses, .. } = &*self.shared;
        let Some(buffer) = place().checked_rem(buffers.len()).and_then(|place| buffers.get(place)) else { return };
        let mut buffer = lock(buffer);
        let before = buffer.len();
        write(&mut buffer);
        let after = buffer.len();
        if after > FULL {
            buffer.truncate(before);
            drop(buffer);
            return losses.add(1);
        }
        drop(buffer);
        let many = before < FLUSH && after >= FLUSH;
        if before == 0 || many {
            bell.ring(|wants| {
                wants.lines = true;
                wants.now |= many || *pace == Pace::AtOnce;
            });
        }
    }

    /// Has the file opened anew, after what was written before.
    pub(super) fn reopen(&self) {
        self.shared.bell.ring(|wants| wants.reopen = true);
    }

    /// Has everything written and waits for it, for so long. What nobody has taken by then is told as lost.
    pub(super) fn close(&self, patience: Duration) {
        let _ = self.end.set(Instant::now().checked_add(patience).unwrap_or_else(Instant::now));
        self.shared.bell.ring(|wants| wants.end = true);
        let ended = lock(&self.ended).recv_timeout(patience.saturating_add(GRACE));
        if ended == Err(RecvTimeoutError::Timeout) {
            // The thread is held up in the kernel, by a disk that does not answer.
            self.shared.losses.add(self.shared.in_hand.load(Relaxed).saturating_add(self.shared.lines_left()));
        }
        self.shared.losses.tell();
    }
}

impl Shared {
    /// The thread, until its end. `_alive` is dropped with it.
    fn run(&self, mut sink: Sink, _alive: Sender<()>) {
        let mut batch = Vec::new();
        loop {
            let wants = self.bell.wait(sink.is_stuck());
            self.empty(&mut sink, &mut batch);
            if wants.reopen {
                if let Err(error) = sink.reopen() {
                    tracing::error!(%error, "the access log cannot be reopened; the old file stays in use");
                }
                self.empty(&mut sink, &mut batch);
            }
            if wants.end {
                return self.losses.add(sink.lines_left().saturating_add(self.lines_left()));
            }
        }
    }

    /// Lines that no sink has taken over.
    fn lines_left(&self) -> usize {
        self.buffers.iter().map(|buffer| lines(&lock(buffer))).sum()
    }

    /// Writes all buffers, as far as they can be written.
    fn empty(&self, sink: &mut Sink, batch: &mut Vec<u8>) {
        let was_stuck = sink.is_stuck();
        let mut result = sink.retry();
        for buffer in &self.buffers {
            if result.is_err() {
                break;
            }
            batch.clear();
            batch.shrink_to(FLUSH);
            std::mem::swap(&mut *lock(buffer), batch);
            self.in_hand.store(lines(batch), Relaxed);
            result = sink.write(batch);
        }
        self.in_hand.store(sink.lines_left(), Relaxed);
        match result {
            Err(error) if !was_stuck => {
                tracing::error!(%error, "the access log cannot be written; trying again every second");
            }
            Ok(()) if was_stuck => tracing::warn!("the access log can be written again"),
            _ => {}
        }
    }
}

fn lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// What the thread is woken for.
#[derive(Debug, Default)]
struct Bell {
    wants: Mutex<Wants>,
    rung: Condvar,
}

#[derive(Debug, Clone, Copy, Default)]
struct Wants {
    /// There are lines.
    lines: bool,
    /// And they are not to wait for more.
    now: bool,
    reopen: bool,
    end: bool,
}

impl Bell {
    fn ring(&self, want: impl FnOnce(&mut Wants)) {
        want(&mut lock(&self.wants));
        self.rung.notify_one();
    }

    /// What is wanted since the last call. Waits for it, or if there is something to be tried
    /// again, for that time.
    fn wait(&self, try_again: bool) -> Wants {
        let mut wants = lock(&self.wants);
        if !try_again {
            let nothing = |wants: &mut Wants| !(wants.lines || wants.reopen || wants.end);
            wants = self.rung.wait_while(wants, nothing).unwrap_or_else(PoisonError::into_inner);
        }
        // A disk that takes nothing is not asked for each line.
        let patient = |wants: &mut Wants| !(wants.now && !try_again || wants.reopen || wants.end);
        let waited = self.rung.wait_timeout_while(wants, SOON, patient).unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *{ waited.0 })
    }
}

/// Lines that were dropped; told once a second at most.
#[derive(Debug)]
struct Losses {
    began: Instant,
    untold: AtomicU64,
    /// Milliseconds since `began`; 0 for never.
    told: AtomicU64,
}

impl Losses {
    fn new() -> Self {
        Self { began: Instant::now(), untold: AtomicU64::new(0), told: AtomicU64::new(0) }
    }

    fn add(&self, lines: usize) {
        self.untold.fetch_add(lines as u64, Relaxed);
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let told = self.told.load(Relaxed);
        let is_due = told == 0 || u128::from(now.saturating_sub(told)) >= SOON.as_millis();
        // One of several workers tells it.
        if is_due && self.told.compare_exchange(told, now, Relaxed, Relaxed).is_ok() {
            self.tell();
        }
    }

    fn tell(&self) {
        let lines = self.untold.swap(0, Relaxed);
        if lines > 0 {
            tracing::warn!(lines, "access log lines were dropped, because they come faster than they are written");
        }
    }
}

/// The number of this thread among those that write lines.
fn place() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    PLACE.with(|place| {
        let mine = place.get().unwrap_or_else(|| THREADS.fetch_add(1, Relaxed));
        place.set(Some(mine));
        mine
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
