//! Names to addresses by the system's getaddrinfo, for those who leave out the feature `dns`. It runs on a thread of its
//! own for each look-up, and goes on when its client has gone; nothing is remembered here.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::joined::Joined;
use super::{Found, SPARE};
use crate::limits::Names;
use crate::record::Fault;

/// More addresses are of no use to anyone.
const MOST: usize = 32;
/// Look-ups at once: threads, each with two descriptors or three. Others wait.
const THREADS: usize = 64;

/// A kept connection's name is looked up again after this: nothing is remembered of it.
pub(super) const AGAIN: Duration = Duration::from_secs(30);

/// What all workers of a proxy share: the threads, and the spare descriptors.
#[derive(Debug)]
pub(crate) struct Machine {
    threads: Arc<Semaphore>,
    pub(super) spare: Semaphore,
}

impl Machine {
    pub(crate) fn new(_: &Names) -> Self {
        Self { threads: Arc::new(Semaphore::new(THREADS)), spare: Semaphore::new(SPARE) }
    }
}

/// One worker's resolver.
pub(crate) struct Resolver {
    pub(super) machine: Arc<Machine>,
    running: Mutex<Joined<Result<Vec<IpAddr>, String>>>,
}

impl Resolver {
    pub(crate) fn new(machine: Arc<Machine>) -> Self {
        Self { machine, running: Mutex::default() }
    }

    /// The same for a client that has a connection. A thread's descriptors are set aside for it.
    pub(super) async fn look_again(&self, name: &str) -> Option<Result<Found, Fault>> {
        Some(self.lookup(name).await)
    }

    pub(crate) async fn lookup(&self, name: &str) -> Result<Found, Fault> {
        let key = name.to_ascii_lowercase();
        let running = {
            let joined = &mut *self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let threads = Arc::clone(&self.machine.threads);
            joined.get(&key).unwrap_or_else(|| joined.start(&key, Box::pin(look_up(threads, key.clone()))))
        };
        let addresses = running.await.map_err(|error| Fault::Dns(name.to_owned(), error))?;
        if addresses.is_empty() {
            return Err(Fault::NoSuchName(name.to_owned()));
        }
        Ok(Found { addresses, later: None, is_known: false })
    }
}

async fn look_up(threads: Arc<Semaphore>, name: String) -> Result<Vec<IpAddr>, String> {
    let permit = threads.acquire_owned().await.map_err(|closed| closed.to_string())?;
    let found = tokio::task::spawn_blocking(move || {
        let found = (name.as_str(), 0).to_socket_addrs();
        // A look-up that nobody waits for any more counts as long as its thread.
        drop(permit);
        found.map(|found| found.map(|address| address.ip()).take(MOST).collect())
    });
    found.await.map_err(|error| error.to_string())?.map_err(|error: std::io::Error| error.to_string())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    /// Whoever wants a name that is being looked up waits for the same thread, and for one of so many.
    #[tokio::test]
    async fn look_ups_are_joined_and_bounded() {
        let machine = Arc::new(Machine::new(&Names::default()));
        let resolver = Resolver::new(Arc::clone(&machine));
        let all = u32::try_from(THREADS).unwrap();
        let none_left = Arc::clone(&machine.threads).try_acquire_many_owned(all).unwrap();
        let mut fifty = Box::pin(join_all((0..50).map(|_| resolver.lookup("LocalHost"))));
        assert!((&mut fifty).now_or_never().is_none());
        drop(none_left);
        assert!((&mut fifty).now_or_never().is_none());
        assert!(machine.threads.available_permits() >= THREADS - 1, "one thread for all");
        let found = fifty.await;
        assert!(found.iter().all(|one| one.as_ref().is_ok_and(|found| !found.addresses.is_empty())));
        assert_eq!(machine.threads.available_permits(), THREADS);
    }
}
