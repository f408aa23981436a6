//! How many connections there are descriptors for.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};

use sluicegate::limits::PIPE_SIZE;

use crate::config::Config;

/// For the standard streams, the log, what looking up and dialling take beyond a client's own descriptor (32, which all
/// share), and whatever the process was started with.
const RESERVE: u64 = 64;

/// For a worker's runtime, and four pipes that it keeps open.
const PER_WORKER: u64 = 24;

/// A client and its origin; before that, the look-up of its name and an attempt to connect.
const PER_CONNECTION: u64 = 2;

/// More than this is no limit, and nobody's wish either.
const ENOUGH: u64 = 1 << 20;

/// Idle origin connections per worker, if there are descriptors for them.
const IDLE_ORIGINS: u64 = 512;

/// A pipe's two ends. All pipes together get a sixteenth of the descriptors, unless they need less.
const PER_PIPE: u64 = 2;

/// How the descriptors are shared out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) max_connections: usize,
    /// See `Limits::splice_memory`.
    pub(crate) splice_memory: usize,
    /// Per worker.
    pub(crate) max_idle_origins: usize,
}

/// Raises the limit and shares the descriptors out as `config` wants.
///
/// # Errors
/// There are too few for a single connection; what to do about it.
pub(crate) fn shares(config: &Config) -> anyhow::Result<Shares> {
    let addresses = config.listen.iter().map(|listen| listen.addresses().len()).sum();
    let limit = raise_limit();
    let bulk = config.limits.splice_bound();
    let shares = share(limit, config.workers, addresses, bulk, config.max_connections, config.max_idle_origins)?;
    tracing::info!(limit, ?shares, "descriptors");
    Ok(shares)
}

/// Raises the soft limit of open descriptors to the hard one. How many there may be.
fn raise_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current.unwrap_or(ENOUGH);
    }
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.maximum.unwrap_or(ENOUGH),
        Err(error) => {
            tracing::warn!(%error, "the limit of open descriptors cannot be raised");
            before.unwrap_or(ENOUGH)
        }
    }
}

/// What to do about a call that failed for want of descriptors.
pub(crate) fn advice(error: &io::Error) -> Option<&'static str> {
    let number = error.raw_os_error()?;
    let out = [Errno::MFILE, Errno::NFILE].iter().any(|errno| errno.raw_os_error() == number);
    out.then_some("raise the limit of open descriptors (ulimit -n) or start fewer --workers")
}

/// Shares `limit` descriptors out between `workers` with `listeners` each. What the user wants
/// goes before what would be right.
///
/// # Errors
/// There are too few for a single connection; what to do about it.
fn share(
    limit: u64,
    workers: usize,
    listeners: usize,
    bulk: usize,
    connections: Option<usize>,
    idle_origins: Option<usize>,
) -> anyhow::Result<Shares> {
    let (workers, listeners) = (workers as u64, listeners as u64);
    let pipes = (limit.min(ENOUGH) / 16 / PER_PIPE).min(bulk.checked_div(PIPE_SIZE).unwrap_or(0) as u64);
    let fixed = RESERVE
        .saturating_add(pipes.saturating_mul(PER_PIPE))
        .saturating_add(workers.saturating_mul(PER_WORKER.saturating_add(listeners)));
    let left = limit.min(ENOUGH).saturating_sub(fixed);
    if left < PER_CONNECTION {
        let needed = fixed.saturating_add(PER_CONNECTION);
        anyhow::bail!(
            "only {limit} descriptors may be open, and {needed} are needed for {workers} workers; \
             raise the limit (ulimit -n) or start fewer with --workers"
        );
    }
    let quarter = (left / 4).checked_div(workers).unwrap_or(0);
    let idle = idle_origins.map_or(IDLE_ORIGINS.min(quarter), |n| n as u64);
    // Beyond the limit, each listener has accepted one client more, which waits for its place.
    let kept = idle.saturating_mul(workers).saturating_add(listeners.saturating_mul(workers));
    let for_clients = left.saturating_sub(kept) / PER_CONNECTION;
    if let Some(wanted) = connections.filter(|wanted| *wanted as u64 > for_clients) {
        tracing::warn!(
            limit,
            "the limit of open descriptors is enough for {for_clients} connections, not for --max-connections {wanted}; \
             raise it (ulimit -n)"
        );
    }
    let max_connections = connections.or_else(|| usize::try_from(for_clients).ok()).unwrap_or(usize::MAX).max(1);
    let splice_memory = usize::try_from(pipes).unwrap_or(0).saturating_mul(PIPE_SIZE);
    Ok(Shares { max_connections, splice_memory, max_idle_origins: usize::try_from(idle).unwrap_or(usize::MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_fits_under_the_limit() {
        for (limit, workers) in [(116, 1), (256, 1), (1024, 2), (1024, 32), (65_536, 8), (1 << 20, 64), (u64::MAX, 64)]
        {
            let Shares { max_connections, splice_memory, max_idle_origins } =
                share(limit, workers, 2, 16 << 20, None, None).unwrap();
            // Where there is a single place, nothing is left for those that wait.
            let listeners = if max_connections > 1 { 2 * 2 } else { 2 };
            let used = 64
                + 2 * splice_memory / PIPE_SIZE
                + workers * (24 + listeners + max_idle_origins)
                + 2 * max_connections;
            assert!(used as u64 <= limit.max(116), "{limit} {workers}: {used}");
            assert!(max_connections >= 1 && max_idle_origins <= 512);
        }
        let usual = share(1024, 2, 1, 16 << 20, None, None).unwrap();
        assert_eq!(usual, Shares { max_connections: 317, splice_memory: 8 << 20, max_idle_origins: 105 });
    }

    #[test]
    fn the_user_decides() {
        let asked = share(1024, 2, 1, 0, Some(5000), Some(7)).unwrap();
        assert_eq!(asked, Shares { max_connections: 5000, splice_memory: 0, max_idle_origins: 7 });
    }

    #[test]
    fn too_few_are_an_error_that_says_how_many() {
        let said = share(20, 2, 1, 0, None, None).unwrap_err().to_string();
        assert!(said.contains("only 20 descriptors") && said.contains("116 are needed for 2 workers"), "{said}");
    }
}
