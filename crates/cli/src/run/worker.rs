//! One worker: a thread with a runtime of its own, which serves its share of every listener.

use std::net::TcpListener;
use std::pin::pin;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use sluicegate::transport::Listener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::{News, StopStage, runtime};
use crate::policies::Proxy;

/// Connections that are idle end within this time; they are not among those that are waited for.
const A_MOMENT: Duration = Duration::from_millis(20);

/// A worker that has everything it needs.
pub(super) struct Worker {
    runtime: Runtime,
    proxy: Proxy,
    listeners: Vec<Listener>,
}

impl Worker {
    /// Takes everything that could be lacking, so that a worker that was made will run.
    pub(super) fn new(proxy: Proxy, sockets: Vec<TcpListener>) -> anyhow::Result<Self> {
        let runtime = runtime()?;
        let guard = runtime.enter();
        let listeners = sockets.into_iter().map(Listener::new).collect::<Result<_, _>>();
        let listeners = listeners.context("cannot watch a listener")?;
        drop(guard);
        Ok(Self { runtime, proxy, listeners })
    }

    /// Serves until `stop` says otherwise.
    pub(super) fn start(
        self,
        stop: watch::Receiver<StopStage>,
        tell: UnboundedSender<News>,
        patience: Duration,
    ) -> anyhow::Result<JoinHandle<()>> {
        let thread = std::thread::Builder::new().name("worker".to_owned());
        let started = thread.spawn(move || {
            let Self { runtime, proxy, listeners } = self;
            runtime.block_on(work(&proxy, listeners, stop, &tell, patience));
            // A name that is still looked up holds nobody up.
            runtime.shutdown_background();
        });
        started.context("cannot start a worker's thread")
    }
}

async fn work(
    proxy: &Proxy,
    listeners: Vec<Listener>,
    stop: watch::Receiver<StopStage>,
    tell: &UnboundedSender<News>,
    patience: Duration,
) {
    let mut serving = tokio::task::JoinSet::new();
    for listener in listeners {
        let (proxy, stop) = (proxy.clone(), stop.clone());
        let serve = proxy.serve(listener).shutdown_timeout(patience);
        serving.spawn(async move { serve.until(reached(stop, StopStage::Finish)).await });
    }
    reached(stop.clone(), StopStage::Finish).await;
    let stopped = Instant::now();
    // Who is in the queue while there are no descriptors is waited for, unless there is no more time.
    tokio::select! { biased;
        () = async { while serving.join_next().await.is_some() {} } => {}
        () = reached(stop.clone(), StopStage::Abort) => serving.shutdown().await,
    }
    let mut drain = pin!(proxy.drain(patience.saturating_sub(stopped.elapsed())));
    let early = tokio::select! { biased;
        aborted = &mut drain => Some(aborted),
        () = tokio::time::sleep(A_MOMENT) => None,
    };
    // Nobody listens any more only if the process is ending anyway.
    // What is idle ends of its own, and is not waited for.
    let busy = proxy.connections().into_iter().filter(|one| one.phase != sluicegate::flow::Phase::Idle);
    let _ = tell.send(News::Waiting(busy.count()));
    let aborted = match early {
        Some(aborted) => aborted,
        None => tokio::select! { biased;
            aborted = drain => aborted,
            () = reached(stop, StopStage::Abort) => proxy.drain(Duration::ZERO).await,
        },
    };
    let _ = tell.send(News::Done(aborted));
}

/// Resolves when the stop has come this far.
async fn reached(mut stop: watch::Receiver<StopStage>, stage: StopStage) {
    // A sender that is gone says that the process is ending.
    let _ = stop.wait_for(|now| *now >= stage).await;
}
