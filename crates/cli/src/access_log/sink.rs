//! Where lines end up: a file that can be opened anew, or a standard stream. Whole lines only:
//! what a full disk cut short is finished later, or written again as a whole to the next file.
//!
//! A pipe or terminal whose reader stalls holds the thread of the log up for [`A_WHILE`] and no longer: it is asked
//! first whether it takes something. A FIFO is opened as one that may have no reader, and lines wait for one.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// Who asked for what is nobody's business but the operator's and their group's.
const MODE: u32 = 0o640;

/// How long something that is no file may take nothing before it counts as stuck.
const A_WHILE: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// A pipe that takes anything takes this much at once (PIPE_BUF of Linux), unmixed with what others write.
const AT_ONCE: usize = 4096;

/// A file or stream, and the lines that it has not taken yet.
#[derive(Debug)]
pub(super) struct Sink {
    /// None: a FIFO that nobody reads.
    out: Option<Out>,
    /// None for a standard stream.
    path: Option<PathBuf>,
    /// Whole lines.
    rest: Vec<u8>,
    /// How much of `rest` has been written; less than its first line, after a failure.
    written: usize,
    /// When the process will not wait any longer.
    end: Arc<OnceLock<Instant>>,
}

/// What lines are written to.
#[derive(Debug)]
struct Out {
    file: File,
    /// Else it may stall: a pipe, a terminal, a socket.
    is_file: bool,
}

impl Sink {
    /// Appends to the file, which is made if it is not there. A FIFO need not have a reader yet.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::new(Out::open(path)?, Some(path.to_owned())))
    }

    pub(super) fn stdout() -> io::Result<Self> {
        Self::stream(io::stdout().as_fd())
    }

    pub(super) fn stderr() -> io::Result<Self> {
        Self::stream(io::stderr().as_fd())
    }

    fn stream(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        let out = Out::new(File::from(descriptor.try_clone_to_owned()?))?;
        Ok(Self::new(Some(out), None))
    }

    fn new(out: Option<Out>, path: Option<PathBuf>) -> Self {
        Self { out, path, rest: Vec::new(), written: 0, end: Arc::default() }
    }

    /// Where the time is set after which nothing more is written.
    pub(super) fn end(&self) -> Arc<OnceLock<Instant>> {
        Arc::clone(&self.end)
    }

    /// Whether it is a FIFO that nobody reads.
    pub(super) fn has_no_reader(&self) -> bool {
        self.out.is_none()
    }

    /// Whether there are lines that could not be written.
    pub(super) fn is_stuck(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Takes the lines out of `batch`. Not to be called while stuck.
    ///
    /// # Errors
    /// Some could not be written; [`Sink::retry`] tries again.
    pub(super) fn write(&mut self, batch: &mut Vec<u8>) -> io::Result<()> {
        debug_assert!(!self.is_stuck(), "lines would be lost");
        std::mem::swap(&mut self.rest, batch);
        self.retry()
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// There is still something left.
    pub(super) fn retry(&mut self) -> io::Result<()> {
        let result = self.push();
        self.forget_whole_lines();
        result
    }

    /// Lines that are lost if nobody tries again.
    pub(super) fn lines_left(&self) -> usize {
        self.rest.iter().filter(|byte| **byte == b'\n').count()
    }

    /// Opens the file anew, so that the old one can be taken away after it was renamed. A line
    /// that is only half in the old file is taken out of there and written to the new one.
    ///
    /// # Errors
    /// There is no new file; the old one stays in use.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let new = Out::open(path)?;
        if let Some(old) = std::mem::replace(&mut self.out, new) {
            // Where this fails, the line is in both files.
            let _ = old.take_back(self.written);
        }
        self.written = 0;
        Ok(())
    }

    fn push(&mut self) -> io::Result<()> {
        while self.written < self.rest.len() {
            if self.end.get().is_some_and(|end| Instant::now() >= *end) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match self.push_some() {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.written = self.written.saturating_add(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.forget_reader(&error);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn push_some(&mut self) -> io::Result<usize> {
        if let (None, Some(path)) = (&self.out, &self.path) {
            self.out = Out::open(path)?;
        }
        let left = self.rest.get(self.written..).unwrap_or_default();
        match &mut self.out {
            Some(out) => out.push(left),
            None => Err(io::Error::new(io::ErrorKind::NotConnected, "nobody reads the FIFO")),
        }
    }

    /// The reader of a FIFO has gone: the next one gets the line that this one had half of.
    fn forget_reader(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::BrokenPipe && self.path.is_some() {
            self.forget_whole_lines();
            self.out = None;
            self.written = 0;
        }
    }

    fn forget_whole_lines(&mut self) {
        let written = self.rest.get(..self.written).unwrap_or_default();
        let whole = written.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
        self.rest.drain(..whole);
        self.written = self.written.saturating_sub(whole);
    }
}

impl Out {
    fn new(file: File) -> io::Result<Self> {
        let is_file = file.metadata()?.is_file();
        Ok(Self { file, is_file })
    }

    /// Opens what is at `path`, without waiting for anybody. None for a FIFO that nobody reads.
    ///
    /// # Errors
    /// It cannot be opened, or is nothing that a log can be written to.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
        let flags = i32::try_from(flags).map_err(io::Error::other)?;
        let opened = OpenOptions::new().append(true).create(true).mode(MODE).custom_flags(flags).open(path);
        let about = || std::fs::metadata(path).map(|about| about.file_type());
        match opened {
            Ok(file) => {
                let is = file.metadata()?.file_type();
                if is.is_file() || is.is_fifo() || is.is_char_device() {
                    Self::new(file).map(Some)
                } else {
                    Err(unfit(is))
                }
            }
            // What open(2) says of a FIFO without a reader, and of a socket.
            Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => match about() {
                Ok(is) if is.is_fifo() => Ok(None),
                Ok(is) if is.is_socket() => Err(unfit(is)),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Writes some of `left`. What may stall is waited for, but only for [`A_WHILE`].
    fn push(&mut self, left: &[u8]) -> io::Result<usize> {
        if self.is_file {
            return self.file.write(left);
        }
        if poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&A_WHILE))? == 0 {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "its reader takes nothing"));
        }
        // Whole lines if possible: others may write to the same pipe.
        let piece = left.get(..AT_ONCE).unwrap_or(left);
        let lines = piece.iter().rposition(|byte| *byte == b'\n').map_or(piece.len(), |end| end.saturating_add(1));
        self.file.write(piece.get(..lines).unwrap_or(piece))
    }

    /// Takes the last `n` bytes that were written out of the file again, unless another process has appended
    /// to it since: then they are not its last.
    fn take_back(mut self, n: usize) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        // Where our last write ended.
        let ours = io::Seek::stream_position(&mut self.file)?;
        if n > 0 && self.is_file && ours == length {
            self.file.set_len(length.saturating_sub(n as u64))?;
        }
        Ok(())
    }
}

fn unfit(is: FileType) -> io::Error {
    let advice = if is.is_socket() {
        "it is a socket; write --access-log - for the standard output, or name a file or a FIFO"
    } else {
        "it is neither a file nor a FIFO nor a terminal"
    };
    io::Error::new(io::ErrorKind::InvalidInput, advice)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn lines(n: usize) -> Vec<u8> {
        (0..n).flat_map(|n| format!("line {n} {}\n", "x".repeat(100)).into_bytes()).collect()
    }

    #[test]
    fn what_is_cut_short_is_finished_later() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        reader.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        let mut sink = Sink::stream(writer.as_fd()).unwrap();
        drop(writer);
        let all = lines(5_000);
        assert_eq!(sink.write(&mut all.clone()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut seen = Vec::new();
        let mut room = [0; 10_007];
        while sink.is_stuck() {
            assert!(sink.rest.starts_with(b"line ") && sink.rest.ends_with(b"\n") && sink.lines_left() > 0);
            let n = reader.read(&mut room).unwrap();
            seen.extend_from_slice(&room[..n]);
            // Fails until the reader has taken enough.
            let _ = sink.retry();
        }
        drop(sink);
        reader.read_to_end(&mut seen).unwrap();
        assert!(seen == all);
    }

    #[test]
    fn a_line_that_is_half_written_goes_to_the_next_file_as_a_whole() {
        let dir = std::env::temp_dir().join(format!("sluicegate-sink-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (path, old) = (dir.join("log"), dir.join("old"));
        let mut sink = Sink::file(&path).unwrap();
        sink.write(&mut b"first\n".to_vec()).unwrap();
        // As a full disk leaves it.
        sink.out.as_mut().unwrap().file.write_all(b"sec").unwrap();
        sink.rest = b"second\nthird\n".to_vec();
        sink.written = 3;
        std::fs::rename(&path, &old).unwrap();
        sink.reopen().unwrap();
        sink.retry().unwrap();
        assert_eq!(std::fs::read(&old).unwrap(), b"first\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"second\nthird\n");
        std::fs::remove_dir_all(dir).unwrap();
    }

    /// A directory that is gone with the test.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("sluicegate-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn fifo(&self) -> PathBuf {
            let path = self.0.join("fifo");
            rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
            path
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Two processes append to one log, as an old and a new one do for a while: what the other wrote stays.
    #[test]
    fn what_another_process_appended_is_not_taken_back() {
        let dir = Dir::new("appended");
        let (path, old) = (dir.0.join("log"), dir.0.join("old"));
        let (mut ours, mut other) = (Sink::file(&path).unwrap(), Sink::file(&path).unwrap());
        ours.out.as_mut().unwrap().file.write_all(b"sec").unwrap();
        ours.rest = b"second\n".to_vec();
        ours.written = 3;
        other.write(&mut b"its own line\n".to_vec()).unwrap();
        std::fs::rename(&path, &old).unwrap();
        ours.reopen().unwrap();
        ours.retry().unwrap();
        assert_eq!(std::fs::read(&old).unwrap(), b"secits own line\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"second\n");
    }

    #[test]
    fn lines_wait_for_the_reader_of_a_fifo_and_for_the_next() {
        let dir = Dir::new("fifo");
        let path = dir.fifo();
        let mut sink = Sink::file(&path).unwrap();
        assert!(sink.has_no_reader());
        assert_eq!(sink.write(&mut b"first\n".to_vec()).unwrap_err().to_string(), "nobody reads the FIFO");
        let reader = || OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(&path).unwrap();
        let mut seen = Vec::new();
        for line in [&b"first\n"[..], b"second\n"] {
            let mut one = reader();
            sink.retry().unwrap();
            let mut room = [0; 64];
            let n = one.read(&mut room).unwrap();
            assert_eq!(&room[..n], line);
            seen.push(n);
            drop(one);
            assert!(sink.write(&mut b"second\n".to_vec()).is_err() && sink.is_stuck());
        }
        assert_eq!(sink.lines_left(), 1);
    }

    /// The reader is there and takes nothing: after a while that is an error, and nothing waits for ever.
    #[test]
    fn a_reader_that_stalls_is_not_waited_for() {
        let dir = Dir::new("stalled");
        let path = dir.fifo();
        let reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut sink = Sink::file(&path).unwrap();
        assert!(!sink.has_no_reader());
        let error = sink.write(&mut lines(5_000)).unwrap_err();
        assert_eq!(error.to_string(), "its reader takes nothing");
        let waiting = sink.lines_left();
        assert!(waiting > 0);
        sink.end().set(Instant::now()).unwrap();
        assert_eq!(sink.retry().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(sink.lines_left(), waiting);
        drop(reader);
    }

    #[test]
    fn a_socket_is_no_place_for_a_log() {
        let dir = Dir::new("socket");
        let path = dir.0.join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(Sink::file(&path).unwrap_err().to_string().starts_with("it is a socket; write --access-log -"));
    }
}
