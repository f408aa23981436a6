//! Signals, and the stop that they lead to.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::{News, Phase, table};
use crate::access_log::AccessLog;
use crate::house::Proxy;
use crate::say;

/// The signals that the process listens to.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    user1: Signal,
    user2: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Stop,
    Reopen,
    Table,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            user1: listen(SignalKind::user_defined1())?,
            user2: listen(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.terminate.recv() => Wish::Stop,
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
    pub(super) quiet: bool,
}

/// Does what signals ask for, until all workers are done.
pub(super) async fn supervise(
    mut signals: Signals,
    phase: &watch::Sender<Phase>,
    mut news: mpsc::UnboundedReceiver<News>,
    Watched { proxies, log, quiet }: Watched<'_>,
) {
    let mut told = Told::default();
    loop {
        tokio::select! { biased;
            wish = signals.next() => match wish {
                Wish::Stop => phase.send_modify(|phase| {
                    *phase = if *phase == Phase::Serve { Phase::Finish } else { Phase::Abort };
                }),
                Wish::Reopen => {
                    if let Some(log) = log {
                        log.reopen();
                    }
                }
                // Also when quiet: it was asked for.
                Wish::Table => say::line(&table::of(proxies)),
            },
            news = news.recv() => match news {
                Some(news) => {
                    if let Some(line) = told.hear(news, proxies.len()).filter(|_| !quiet) {
                        say::line(&line);
                    }
                }
                // Each worker has dropped its end.
                None => break,
            },
        }
    }
    if told.aborted > 0 && !quiet {
        say::line(&format!("aborted {}", connections(told.aborted)));
    }
}

/// What the workers have told so far.
#[derive(Debug, Default)]
struct Told {
    reports: usize,
    waiting: usize,
    aborted: usize,
}

impl Told {
    /// The line to say, when the last worker has told how many it waits for.
    fn hear(&mut self, news: News, workers: usize) -> Option<String> {
        match news {
            News::Waiting(n) => {
                self.reports = self.reports.saturating_add(1);
                self.waiting = self.waiting.saturating_add(n);
                (self.reports == workers).then(|| format!("stopping: waiting for {}", connections(self.waiting)))
            }
            News::Done(n) => {
                self.aborted = self.aborted.saturating_add(n);
                None
            }
        }
    }
}

fn connections(n: usize) -> String {
    if n == 1 { "1 connection".to_owned() } else { format!("{n} connections") }
}
