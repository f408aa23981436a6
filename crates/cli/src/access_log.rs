//! The access log: a line per exchange or tunnel, written when it is over. `entry` is what may be
//! written down, `combined`, `json` and `terminal` are how it looks, `spool` is how it leaves
//! without ever holding a worker up.

mod combined;
mod entry;
mod escape;
mod json;
mod redact;
mod sink;
mod spool;
mod terminal;

use std::time::{Duration, SystemTime};

use anyhow::Context;
use sluicegate::Record;

use crate::args::LogFormat;
use crate::config::LogFile;
use entry::Entry;
pub(crate) use entry::Extent;
use sink::Sink;
use spool::{Pace, Spool};

/// How long the end of the process waits for a disk or a reader that does not take the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The access log of this process.
#[derive(Debug)]
pub(crate) struct AccessLog {
    spool: Spool,
    look: Look,
    extent: Extent,
}

#[derive(Debug)]
enum Look {
    Terminal,
    Combined,
    Json(json::Process),
}

impl AccessLog {
    /// A log to `file`, for so many workers.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn to_file(file: &LogFile, extent: Extent, workers: usize) -> anyhow::Result<Self> {
        let sink = if file.path.as_os_str() == "-" { Sink::stdout() } else { Sink::file(&file.path) };
        let sink = sink.with_context(|| format!("cannot open the access log {}", file.path.display()))?;
        if sink.has_no_reader() {
            tracing::warn!(file = %file.path.display(), "nobody reads the access log, which is a FIFO; lines wait for a reader");
        }
        let look = match file.format {
            LogFormat::Combined => Look::Combined,
            LogFormat::Json => Look::Json(json::Process::new(SystemTime::now())),
        };
        Self::new(sink, look, extent, workers, Pace::Gathered)
    }

    /// Short lines on the standard error, as they come.
    ///
    /// # Errors
    /// There is no descriptor left, or no thread.
    pub(crate) fn to_terminal(extent: Extent, workers: usize) -> anyhow::Result<Self> {
        let sink = Sink::stderr().context("cannot write to the standard error")?;
        Self::new(sink, Look::Terminal, extent, workers, Pace::AtOnce)
    }

    fn new(sink: Sink, look: Look, extent: Extent, workers: usize, pace: Pace) -> anyhow::Result<Self> {
        let spool = Spool::start(sink, workers, pace).context("cannot start the thread of the access log")?;
        Ok(Self { spool, look, extent })
    }

    /// Writes a line about `record`. Never waits; what there is no room for is counted as lost.
    pub(crate) fn write(&self, record: &Record<'_>) {
        let entry = Entry::new(record, self.extent);
        self.spool.line(|out| match &self.look {
            Look::Terminal => terminal::write(&entry, out),
            Look::Combined => combined::write(&entry, out),
            Look::Json(process) => process.write(&entry, out),
        });
    }

    /// Opens the file anew, after it has been renamed.
    pub(crate) fn reopen(&self) {
        self.spool.reopen();
    }

    /// Writes what is left.
    pub(crate) fn close(&self) {
        self.spool.close(LAST_LINES);
    }
}
