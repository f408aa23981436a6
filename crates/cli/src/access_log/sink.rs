//! Where lines end up: a file that can be opened anew, or a standard stream. Whole lines only:
//! what a full disk cut short is finished later, or written again as a whole to the next file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Who asked for what is nobody's business but the operator's and their group's.
const MODE: u32 = 0o640;

/// A file or stream, and the lines that it has not taken yet.
#[derive(Debug)]
pub(super) struct Sink {
    file: File,
    /// None for a standard stream.
    path: Option<PathBuf>,
    /// Whole lines.
    rest: Vec<u8>,
    /// How much of `rest` has been written; less than its first line, after a failure.
    written: usize,
}

impl Sink {
    /// Appends to the file, which is made if it is not there.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        Ok(Self { file: open(path)?, path: Some(path.to_owned()), rest: Vec::new(), written: 0 })
    }

    pub(super) fn stdout() -> io::Result<Self> {
        Self::stream(io::stdout().as_fd())
    }

    pub(super) fn stderr() -> io::Result<Self> {
        Self::stream(io::stderr().as_fd())
    }

    fn stream(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        let file = File::from(descriptor.try_clone_to_owned()?);
        Ok(Self { file, path: None, rest: Vec::new(), written: 0 })
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
        let old = std::mem::replace(&mut self.file, open(path)?);
        let about = old.metadata()?;
        if self.written > 0 && about.is_file() {
            // Where this fails, the line is in both files.
            let _ = old.set_len(about.len().saturating_sub(self.written as u64));
        }
        self.written = 0;
        Ok(())
    }

    fn push(&mut self) -> io::Result<()> {
        while let Some(left) = self.rest.get(self.written..).filter(|left| !left.is_empty()) {
            match self.file.write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.written = self.written.saturating_add(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn forget_whole_lines(&mut self) {
        let written = self.rest.get(..self.written).unwrap_or_default();
        let whole = written.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
        self.rest.drain(..whole);
        self.written = self.written.saturating_sub(whole);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(MODE).open(path)
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
        sink.file.write_all(b"sec").unwrap();
        sink.rest = b"second\nthird\n".to_vec();
        sink.written = 3;
        std::fs::rename(&path, &old).unwrap();
        sink.reopen().unwrap();
        sink.retry().unwrap();
        assert_eq!(std::fs::read(&old).unwrap(), b"first\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"second\nthird\n");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
