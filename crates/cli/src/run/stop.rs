//! Signals, and the stop that they lead to.

use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::{News, StopStage, table};
use crate::access_log::AccessLog;
use crate::args::Span;
use crate::egress::Egress;
use crate::policies::Proxy;
use crate::say;

/// The signals that the process listens to.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
    /// Never looked at: what is listened to does not end the process, and the write that met `ulimit -f` fails instead.
    _file_size: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Stop,
    Reopen,
    /// The same, and the rules anew.
    Reload,
    Table,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            quit: listen(SignalKind::quit())?,
            hangup: listen(SignalKind::hangup())?,
            user1: listen(SignalKind::user_defined1())?,
            user2: listen(SignalKind::user_defined2())?,
            _file_size: listen(SignalKind::from_raw(Number::XFSZ.as_raw()))?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.quit.recv() => Wish::Stop,
            _ = self.hangup.recv() => Wish::Reload,
            _ = self.user1.recv() => Wish::Reopen,
            _ = self.user2.recv() => Wish::Table,
        }
    }
}

/// What signals are about.
#[derive(Clone, Copy)]
pub(super) struct Watched<'a> {
    /// One per worker.
    pub(super) proxies: &'a [Proxy],
    pub(super) log: Option<&'a AccessLog>,
    pub(super) egress: Option<&'a Egress>,
    /// How long a stop waits.
    pub(super) patience: Duration,
    pub(super) quiet: bool,
}

/// Does what signals ask for, until all workers are done.
pub(super) async fn supervise(
    mut signals: Signals,
    stage: &watch::Sender<StopStage>,
    mut news: mpsc::UnboundedReceiver<News>,
    Watched { proxies, log, egress, patience, quiet }: Watched<'_>,
) {
    let mut progress = Progress::default();
    loop {
        tokio::select! { biased;
            wish = signals.next() => match wish {
                Wish::Stop => stage.send_modify(|stage| {
                    *stage = if *stage == StopStage::Serve { StopStage::Finish } else { StopStage::Abort };
                }),
                Wish::Reopen => {
                    if let Some(log) = log {
                        log.reopen();
                    }
                }
                Wish::Reload => {
                    if let Some(log) = log {
                        log.reopen();
                    }
                    if let Some(egress) = egress {
                        reload(egress, quiet);
                    }
                }
                // Also when quiet: it was asked for.
                Wish::Table => say::line(&table::of(proxies)),
            },
            news = news.recv() => match news {
                Some(news) => {
                    if let Some(line) = progress.hear(news, proxies.len(), patience).filter(|_| !quiet) {
                        say::line(&line);
                    }
                }
                // Each worker has dropped its end.
                None => break,
            },
        }
    }
    if progress.aborted > 0 && !quiet {
        say::line(&format!("aborted {}", connections(progress.aborted)));
    }
}

/// Reads the files of --config again. That the previous rules stay is told also when quiet.
fn reload(egress: &Egress, quiet: bool) {
    match egress.reload() {
        Ok(changed) => {
            if !quiet {
                say::line(&format!("rules: {}", egress.summary()));
            }
            if let Some(changed) = changed {
                say::line(&format!("warning: these settings have changed, and take effect after a restart: {changed}"));
            }
        }
        Err(told) => {
            say::line(told.trim_end());
            say::line("warning: the files of --config have mistakes; the previous rules stay in force");
        }
    }
}

/// What the workers have told so far.
#[derive(Debug, Default)]
struct Progress {
    reports: usize,
    waiting: usize,
    aborted: usize,
}

impl Progress {
    /// The line to say, when the last worker has told how many it waits for.
    fn hear(&mut self, news: News, workers: usize, patience: Duration) -> Option<String> {
        match news {
            News::Waiting(n) => {
                self.reports = self.reports.saturating_add(1);
                self.waiting = self.waiting.saturating_add(n);
                (self.reports == workers).then(|| stopping(self.waiting, patience))
            }
            News::Done(n) => {
                self.aborted = self.aborted.saturating_add(n);
                None
            }
        }
    }
}

/// What is waited for, until when, and what ends it.
fn stopping(waiting: usize, patience: Duration) -> String {
    match waiting {
        0 => "stopping".to_owned(),
        n => {
            let (what, patience) = (connections(n), Span(patience));
            format!("stopping: waiting for {what}, for {patience} at most; a second signal aborts at once")
        }
    }
}

fn connections(n: usize) -> String {
    if n == 1 { "1 connection".to_owned() } else { format!("{n} connections") }
}
