//! Names to addresses, as the machine's own programs find them (getaddrinfo is the reference), with what getaddrinfo
//! lacks: a look-up ends with the last client that waits for it, and has a bound.
//!
//! A look-up takes one descriptor and 8 KiB at most, and that is what its client has set aside for its origin and does
//! not use yet (docs/adr/0010). One name is looked up once at a time, whoever waits for it.

mod ask;
mod candidates;
mod explain;
mod files;
mod hosts;
mod known;
mod message;
mod resolv;
mod search;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::joined::{Joined, Running};
use super::{Found, Later, SPARE};
use crate::limits::Names;
use crate::record::Fault;
pub use explain::{Lookup, Question, Source, resolve};
use files::Files;
use known::{Cache, Remembered};
use search::{Addresses, Failure, Search};

/// After so long a client is given what was true before, if there is that (RFC 8767 §5).
const STALE_AFTER: Duration = Duration::from_millis(1800);

/// A kept connection's name is looked at again after this: where it leads is known as long as its TTL, but files change.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

/// What all workers of a proxy share: what the machine's configuration says, and the spare descriptors.
#[derive(Debug)]
pub(crate) struct Machine {
    files: Mutex<Files>,
    pub(super) spare: Semaphore,
}

impl Machine {
    pub(crate) fn new(names: &Names) -> Self {
        Self::reading("/etc/resolv.conf".into(), "/etc/hosts".into(), names)
    }

    fn reading(resolv: PathBuf, hosts: PathBuf, names: &Names) -> Self {
        let files = Files::new(resolv, hosts, names.servers.clone(), names.timeout);
        Self { files: Mutex::new(files), spare: Semaphore::new(SPARE) }
    }
}

/// One worker's resolver: its sockets belong to the worker's own runtime.
pub(crate) struct Resolver {
    pub(super) machine: Arc<Machine>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Of the configuration that everything here was found with.
    version: u64,
    cache: Cache,
    running: Joined<Result<Shared, Failure>>,
    /// Which server is asked first, if they take turns.
    turn: usize,
}

/// What a look-up has found; several may wait for it.
#[derive(Clone)]
struct Shared {
    addresses: Arc<[IpAddr]>,
    later: Option<Running<Arc<[IpAddr]>>>,
}

/// How a look-up begins.
enum Begin {
    Known(Remembered),
    Running(Running<Result<Shared, Failure>>, Option<Arc<[IpAddr]>>),
}

impl Resolver {
    pub(crate) fn new(machine: Arc<Machine>) -> Self {
        Self { machine, state: Arc::default() }
    }

    /// The addresses of `name`: of the hosts file if it knows the name, else of the name servers.
    ///
    /// # Errors
    /// What the client is told.
    pub(crate) async fn lookup(&self, name: &str) -> Result<Found, Fault> {
        let key = name.to_ascii_lowercase();
        let begun = self.begin(&key);
        self.end(name, &key, begun).await
    }

    /// The same for a client that has a connection, and so no descriptor to ask with, unless a spare one is left. None: it
    /// is not, and nothing is known without asking.
    pub(super) async fn look_again(&self, name: &str) -> Option<Result<Found, Fault>> {
        let key = name.to_ascii_lowercase();
        let begun = self.begin(&key);
        let asks = matches!(begun, Ok(Begin::Running(..)));
        let _slot = if asks { Some(self.machine.spare.try_acquire().ok()?) } else { None };
        Some(self.end(name, &key, begun).await)
    }

    /// Waits for what has begun.
    async fn end(&self, name: &str, key: &str, begun: std::io::Result<Begin>) -> Result<Found, Fault> {
        let (running, stale) = match begun {
            Ok(Begin::Known(found)) => return known(name, found),
            Ok(Begin::Running(running, stale)) => (running, stale),
            Err(error) if super::dial::is_exhausted(&error) => return Err(Fault::Capacity),
            Err(error) => return Err(Fault::Dns(name.to_owned(), error.to_string())),
        };
        let found = match &stale {
            Some(_) => tokio::time::timeout(STALE_AFTER, running).await.unwrap_or(Err(Failure::Silent)),
            None => running.await,
        };
        match (found, stale) {
            (Ok(Shared { addresses, later }), _) => {
                let later = later.map(|later| -> Later { Box::pin(async move { later.await.to_vec() }) });
                Ok(Found { addresses: addresses.to_vec(), later, is_known: false })
            }
            (Err(Failure::Silent | Failure::Unreachable(_) | Failure::Rejected { .. }), Some(stale)) => {
                self.state().cache.extend(key, Instant::now());
                known(name, Some(stale))
            }
            (Err(failure), _) => Err(fault(name, failure)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of `key`, or the look-up that finds it: the one that runs, if one does.
    fn begin(&self, key: &str) -> std::io::Result<Begin> {
        let known = {
            let mut files = self.machine.files.lock().unwrap_or_else(PoisonError::into_inner);
            files.known()?.clone()
        };
        if let Some(addresses) = known.hosts.get(key) {
            return Ok(Begin::Known(Some(addresses.into())));
        }
        if is_localhost(key) {
            let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Ok(Begin::Known(Some(loopback.into())));
        }
        let state = &mut *self.state();
        if state.version != known.version {
            state.version = known.version;
            state.cache.clear();
            state.running.forget();
        }
        let now = Instant::now();
        if let Some(found) = state.cache.fresh(key, now) {
            return Ok(Begin::Known(found));
        }
        let stale = state.cache.stale(key, now);
        let running = state.running.get(key).unwrap_or_else(|| {
            let first = if known.conf.rotate { state.turn } else { 0 };
            state.turn = first.wrapping_add(1).checked_rem(known.conf.servers.len()).unwrap_or(0);
            let search = Search { conf: known.conf, first, journal: None };
            state.running.start(key, look_up(search, key.to_owned(), known.version, Arc::clone(&self.state)))
        });
        Ok(Begin::Running(running, stale))
    }
}

type Looking = Pin<Box<dyn Future<Output = Result<Shared, Failure>> + Send>>;

/// The whole look-up, which leaves in the cache what it finds.
fn look_up(search: Search, name: String, version: u64, state: Arc<Mutex<State>>) -> Looking {
    Box::pin(async move {
        let keep = move |name: &str, found: Remembered, seconds| {
            let state = &mut *state.lock().unwrap_or_else(PoisonError::into_inner);
            // What was found by a configuration of yesterday is of no use.
            if state.version == version {
                state.cache.keep(name, found, seconds, Instant::now());
            }
        };
        match search.run(&name).await {
            Ok(Addresses { addresses, ttl, rest }) => {
                let addresses: Arc<[IpAddr]> = addresses.into();
                keep(&name, Some(Arc::clone(&addresses)), ttl);
                let later = rest.map(|asked| {
                    let (addresses, few) = (Arc::clone(&addresses), addresses.len());
                    Running::new(Box::pin(async move {
                        let (all, ttl) = search::wait_for_rest(asked).await;
                        let more = all.iter().filter(|ip| !addresses.contains(ip)).copied().collect();
                        if all.len() > few {
                            keep(&name, Some(all.into()), ttl);
                        }
                        more
                    }))
                });
                Ok(Shared { addresses, later })
            }
            Err(failure) => {
                if let Failure::Nothing { negative, .. } = &failure {
                    keep(&name, None, negative.unwrap_or(0));
                }
                Err(failure)
            }
        }
    })
}

/// RFC 6761 §6.3: names of this machine, which are nobody else's business.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

fn known(name: &str, found: Remembered) -> Result<Found, Fault> {
    let addresses = found.ok_or_else(|| Fault::NoSuchName(name.to_owned()))?;
    Ok(Found { addresses: addresses.to_vec(), later: None, is_known: true })
}

fn fault(name: &str, failure: Failure) -> Fault {
    let name = name.to_owned();
    match failure {
        Failure::Exhausted => Fault::Capacity,
        Failure::Silent => Fault::DnsTimeout(name),
        Failure::Nothing { .. } => Fault::NoSuchName(name),
        Failure::Unreachable(said) | Failure::Rejected { said, .. } => Fault::Dns(name, said),
    }
}
