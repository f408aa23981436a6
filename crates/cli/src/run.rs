//! The proxy's life: workers, signals, stop.

mod start;
mod stop;
mod table;
mod worker;

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use crate::access_log::AccessLog;
use crate::config::Config;
use crate::descriptors::{self, Shares, advice};
use crate::listen::Listeners;
use crate::policies::{Proxy, policies};
use stop::{Signals, Watched, supervise};
use worker::Worker;

/// How far the stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum StopStage {
    /// Not begun.
    Serve,
    /// What runs is finished, nothing new is begun.
    Finish,
    /// Everything ends at once.
    Abort,
}

/// What a worker tells of its stop.
#[derive(Debug, Clone, Copy)]
enum News {
    /// It accepts no more, and this many connections are still to finish.
    Waiting(usize),
    /// It is done; so many connections had to be aborted.
    Done(usize),
}

/// Runs the proxy until it is stopped.
///
/// # Errors
/// What keeps it from starting, and what to do about it.
pub(crate) fn run(config: Config) -> anyhow::Result<()> {
    start::tracing(config.log_level)?;
    let shares = descriptors::shares(&config)?;
    let runtime = runtime()?;
    // Before a client can see that we listen, and somebody stop us.
    let signals = runtime.block_on(async { Signals::new() })?;
    let log = start::access_log(&config)?.map(Arc::new);
    let proxy = proxy(&config, &shares, log.clone())?;
    let Listeners { addresses, sockets } = Listeners::bind(&config.listen, config.workers)?;
    for address in &addresses {
        proxy.add_own_address(*address);
    }
    let (stage, stop) = watch::channel(StopStage::Serve);
    let (tell, news) = mpsc::unbounded_channel();
    let proxies = one_each(proxy, config.workers);
    let threads =
        start_workers(&proxies, sockets, |worker| worker.start(stop.clone(), tell.clone(), config.shutdown_timeout))?;
    drop(tell);
    if !config.quiet {
        start::greet(&config, &addresses);
    }
    let patience = config.shutdown_timeout;
    let egress = config.egress.as_deref();
    let watched = Watched { proxies: &proxies, log: log.as_deref(), egress, patience, quiet: config.quiet };
    runtime.block_on(supervise(signals, &stage, news, watched));
    let failed = threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
    if let Some(log) = log {
        log.close();
    }
    anyhow::ensure!(failed == 0, "{failed} workers failed; see above");
    Ok(())
}

/// The proxy of each worker.
fn one_each(proxy: Proxy, workers: usize) -> Vec<Proxy> {
    let others: Vec<_> = (1..workers).map(|_| proxy.new_worker()).collect();
    std::iter::once(proxy).chain(others).collect()
}

/// Starts a worker for each list of sockets, once all of them have what they need.
fn start_workers(
    proxies: &[Proxy],
    sockets: Vec<Vec<TcpListener>>,
    start: impl Fn(Worker) -> anyhow::Result<JoinHandle<()>>,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let workers = proxies.iter().zip(sockets).map(|(proxy, sockets)| Worker::new(proxy.clone(), sockets));
    let workers: Vec<_> = workers.collect::<anyhow::Result<_>>()?;
    workers.into_iter().map(start).collect()
}

fn proxy(config: &Config, shares: &Shares, log: Option<Arc<AccessLog>>) -> anyhow::Result<Proxy> {
    let mut limits = config.limits.clone();
    limits.max_connections = shares.max_connections;
    limits.max_idle_origins = shares.max_idle_origins;
    limits.splice_memory = shares.splice_memory;
    let policies = policies(config, log)?;
    Ok(sluicegate::Proxy::builder().limits(limits).via(config.via).policy(policies).build()?)
}

fn runtime() -> anyhow::Result<Runtime> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| {
        let advice = advice(&error).unwrap_or("try again");
        anyhow::Error::new(error).context(format!("cannot start a worker ({advice})"))
    })
}
