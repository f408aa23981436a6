//! What long bodies move through once they have moved fast for a while: pipes of the kernel, so
//! that their bytes never come to us (splice(2)). Lent from a fixed number, and only while there is
//! something in them. A peer that stops after a fast start leaves what is in its pipe there, and gets
//! no other before it is fast again.

#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::PIPE_SIZE;

/// So many bytes must have moved without a long pause before a pipe is worth it: more than a client
/// that reads nothing takes, and little of a body of 16 MiB.
pub(crate) const WORTH: usize = 256 * 1024;

/// A splice that moves less was not worth it: a copy knows by a short read that it was the last.
const LEAST: usize = 16 * 1024;

/// KernelPipes that one worker keeps open unused: they are two descriptors each.
const KEPT: usize = 4;

/// How many pipes of `bytes` in all may be lent, for all workers of a proxy together.
pub(crate) fn budget(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new((bytes / PIPE_SIZE).min(Semaphore::MAX_PERMITS)))
}

/// The pipes of one worker.
#[derive(Debug)]
pub(crate) struct KernelPipes {
    budget: Arc<Semaphore>,
    free: Mutex<Vec<PipeEnds>>,
    /// `PIPE_SIZE`, [`WORTH`] and [`LEAST`]; smaller in tests.
    size: usize,
    worth: usize,
    least: usize,
    open: fn(usize) -> Option<PipeEnds>,
}

impl KernelPipes {
    pub(crate) fn new(budget: Arc<Semaphore>) -> Self {
        Self { budget, free: Mutex::default(), size: PIPE_SIZE, worth: WORTH, least: LEAST, open: PipeEnds::of_kernel }
    }

    /// One that is smaller, and in memory.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn scripted(size: usize, worth: usize) -> Self {
        let budget = budget(if size == 0 { 0 } else { 2 * PIPE_SIZE });
        Self {
            size,
            worth,
            least: 1,
            open: |_| Some(PipeEnds::Memory(std::collections::VecDeque::new())),
            ..Self::new(budget)
        }
    }

    /// How many bytes must have moved without a long pause before one is lent.
    pub(crate) fn worth(&self) -> usize {
        self.worth
    }

    /// How many bytes must be there, or still come, for one to be used.
    pub(crate) fn least(&self) -> usize {
        self.least
    }

    /// One, if the budget and the kernel have one to give: an unprivileged user gets about 250 of
    /// this size (`pipe-user-pages-soft`), and a process only so many descriptors.
    pub(crate) fn lend(&self) -> Option<KernelPipe> {
        let lent = Arc::clone(&self.budget).try_acquire_owned().ok()?;
        let kept = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let ends = kept.or_else(|| (self.open)(self.size))?;
        Some(KernelPipe { ends, size: self.size, held: 0, _lent: lent })
    }

    /// Takes it back, for whoever comes next. One that holds something is closed.
    pub(crate) fn take_back(&self, kernel_pipe: KernelPipe) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if kernel_pipe.held == 0 && free.len() < KEPT {
            free.push(kernel_pipe.ends);
        }
    }
}

/// A pipe of the kernel, and how much is in it.
#[derive(Debug)]
#[expect(
    unnameable_types,
    reason = "the methods of `Transport` that take it are for our own sockets; others leave their defaults"
)]
pub struct KernelPipe {
    ends: PipeEnds,
    size: usize,
    held: usize,
    _lent: OwnedSemaphorePermit,
}

impl KernelPipe {
    /// Bytes in it.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Bytes that may be put in while it is empty. How much more it takes then depends on how the
    /// bytes lie in pages, and "no more now" could mean it or the socket.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn read_end(&self) -> Option<BorrowedFd<'_>> {
        match &self.ends {
            PipeEnds::Kernel { read, .. } => Some(read.as_fd()),
            #[cfg(any(test, fuzzing))]
            PipeEnds::Memory(_) => None,
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn write_end(&self) -> Option<BorrowedFd<'_>> {
        match &self.ends {
            PipeEnds::Kernel { write, .. } => Some(write.as_fd()),
            #[cfg(any(test, fuzzing))]
            PipeEnds::Memory(_) => None,
        }
    }

    /// The bytes of one that is not the kernel's.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn memory(&mut self) -> &mut std::collections::VecDeque<u8> {
        match &mut self.ends {
            PipeEnds::Memory(bytes) => bytes,
            PipeEnds::Kernel { .. } => panic!("scripted sockets have scripted pipes"),
        }
    }

    /// `n` bytes have been put in.
    pub(crate) fn filled(&mut self, n: usize) {
        self.held = self.held.saturating_add(n);
    }

    /// `n` bytes have been taken out.
    pub(crate) fn drained(&mut self, n: usize) {
        self.held = self.held.saturating_sub(n);
    }
}

/// The two ends of a pipe.
#[derive(Debug)]
enum PipeEnds {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Kernel { read: OwnedFd, write: OwnedFd },
    #[cfg(any(test, fuzzing))]
    Memory(std::collections::VecDeque<u8>),
}

impl PipeEnds {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn of_kernel(size: usize) -> Option<Self> {
        use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok()?;
        // Smaller than it should be, it is worth less than copying.
        fcntl_setpipe_size(&write, size).ok().filter(|got| *got >= size)?;
        Some(Self::Kernel { read, write })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn of_kernel(_size: usize) -> Option<Self> {
        None
    }
}
