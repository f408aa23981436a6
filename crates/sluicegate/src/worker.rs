//! What the connections of one worker share: settings, buffers, idle origins, time. Nothing here
//! is waited for on the hot path; what several workers share is in [`Shared`].

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{self, Handle};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::MissedTickBehavior;

use crate::flow::{Crowd, Flows, Guests, OncePerSecond, TICK};
use crate::limits::Limits;
use crate::origin::{Connector, Gate, Idle, Machine, Resolver};
use crate::pipe::buffer::Pool;
use crate::pipe::kernel::{self, KernelPipes};
use crate::policy::Policy;
use crate::record::{Client, Fault};

/// More unused buffers than this go back to the allocator.
const KEPT_BUFFERS: usize = 256;

/// More quiet connections than this give their working state (5 KB with its heads) up at once. With
/// fewer, a request that follows soon finds it, and allocates nothing.
const READY: usize = 64;

/// A clock that was turned since then was turned by the keeper of another runtime. Half a tick, so that a late one does not
/// put the next off.
const ANOTHERS_TICK: Duration = Duration::from_millis(50);

/// A number of places.
pub(crate) struct Places(AtomicUsize);

impl Places {
    /// One of them until it is dropped, if there is one left.
    pub(crate) fn take(&self) -> Option<Place<'_>> {
        self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).ok()?;
        Some(Place(&self.0))
    }
}

/// See [`Places::take`].
pub(crate) struct Place<'w>(&'w AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A connection's share of `Limits::max_memory`: room for its whole bound, or for nothing. Without such a limit
/// there is always enough.
pub(crate) struct Share<'w> {
    all: Option<&'w Semaphore>,
    held: Option<SemaphorePermit<'w>>,
}

impl<'w> Share<'w> {
    /// None of it, yet.
    pub(crate) fn of(all: Option<&'w Semaphore>) -> Self {
        Self { all, held: None }
    }

    /// Whether there is such a limit.
    pub(crate) fn is_limited(&self) -> bool {
        self.all.is_some()
    }

    pub(crate) fn give_back(&mut self) {
        self.held = None;
    }

    /// Takes it, if that needs no waiting. Whether there is room now.
    pub(crate) fn try_take(&mut self) -> bool {
        if let (Some(all), None) = (self.all, &self.held) {
            self.held = all.try_acquire().ok();
        }
        self.all.is_none() || self.held.is_some()
    }

    /// Waits until it has been taken. Whoever waits holds nothing: so no two can wait for each other.
    pub(crate) async fn take(&mut self) {
        if let (Some(all), None) = (self.all, &self.held) {
            self.held = all.acquire().await.ok();
        }
    }
}

/// What a proxy is called that nobody has given a name.
pub(crate) const NAME: &str = "sluicegate";

/// What all workers of one proxy share.
pub(crate) struct Shared<P> {
    pub(crate) limits: Limits,
    pub(crate) policy: P,
    /// Who connects to origins; None: we do.
    pub(crate) connector: Option<Arc<dyn Connector>>,
    /// Our name in `Proxy-Status`, and the beginning of that in Via.
    pub(crate) name: String,
    /// Our name in Via; different in each process, so that only a loop brings it back.
    pub(crate) pseudonym: String,
    /// Whether it is added.
    pub(crate) via: bool,
    /// One permit per client connection.
    pub(crate) permits: Arc<Semaphore>,
    /// Who gives way when there is none left.
    pub(crate) crowd: Crowd,
    /// How many each client has.
    pub(crate) guests: Guests,
    /// One permit per connection that may hold its bound, if their sum is bounded.
    pub(crate) memory: Option<Semaphore>,
    /// What is known of its names, and spare descriptors.
    pub(crate) machine: Arc<Machine>,
    /// How many pipes may be lent.
    pub(crate) bulk: Arc<Semaphore>,
    pub(crate) listeners: Mutex<Vec<SocketAddr>>,
    next_id: AtomicU64,
    /// How many client connections there have been.
    connections: Arc<AtomicU64>,
}

impl<P: Policy> Shared<P> {
    pub(crate) fn new(limits: Limits, policy: P, via: bool) -> Self {
        let permits = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
        let bounds = |total: usize| total.checked_div(limits.bound().total()).unwrap_or(1);
        let bulk = limits.splice_bound();
        let memory = limits.max_memory.map(|total| total.saturating_sub(bulk));
        let memory = memory.map(|total| Semaphore::new(bounds(total).min(Semaphore::MAX_PERMITS)));
        let (bulk, listeners, next_id) = (kernel::budget(bulk), Mutex::default(), AtomicU64::new(1));
        let (crowd, guests) = (Crowd::default(), Guests::new(limits.max_connections_per_client));
        let (connector, machine) = (None, Arc::new(Machine::new(&limits.names)));
        let (name, pseudonym) = (NAME.to_owned(), pseudonym(NAME));
        Self {
            limits,
            policy,
            connector,
            name,
            pseudonym,
            via,
            permits,
            crowd,
            guests,
            memory,
            machine,
            bulk,
            listeners,
            next_id,
            connections: Arc::default(),
        }
    }

    /// With another name than ours.
    pub(crate) fn named(self, name: String) -> Self {
        Self { pseudonym: pseudonym(&name), name, ..self }
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Relaxed)
    }

    /// Whether a connection to `address` would be answered by one of our listeners.
    ///
    /// # Errors
    /// Those of [`is_local`].
    pub(crate) fn is_ourselves(&self, address: SocketAddr) -> io::Result<bool> {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let ip = address.ip().to_canonical();
        let mut wildcard = false;
        for listener in listeners.iter().filter(|listener| listener.port() == address.port()) {
            let bound = listener.ip().to_canonical();
            if bound == ip || ip.is_unspecified() {
                return Ok(true);
            }
            wildcard = wildcard || bound.is_unspecified();
        }
        Ok(wildcard && is_local(ip)?)
    }
}

/// Whether `ip` is an address of this machine: exactly those can be bound. Asking the kernel is
/// always up to date, also for an address that was added a second ago.
///
/// # Errors
/// Without descriptors, say, it cannot be told. A policy that has to know answers with [`Fault::Capacity`], and does
/// not remember it.
pub fn is_local(ip: IpAddr) -> io::Result<bool> {
    let ip = ip.to_canonical();
    if ip.is_loopback() || ip.is_unspecified() {
        return Ok(true);
    }
    if ip.is_multicast() {
        return Ok(false);
    }
    match UdpSocket::bind((ip, 0)) {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            // The first of a kernel that knows the family; the others of one that does not, or of an address that needs a zone.
            ErrorKind::AddrNotAvailable | ErrorKind::InvalidInput | ErrorKind::Unsupported => Ok(false),
            _ => Err(error),
        },
    }
}

fn pseudonym(name: &str) -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{name}-{:08x}", RandomState::new().hash_one(0_u8) >> 32)
}

/// One worker: its connections run on one runtime and share nothing else with other workers.
pub(crate) struct Worker<P> {
    pub(crate) shared: Arc<Shared<P>>,
    pub(crate) client_buffers: Pool,
    pub(crate) origin_buffers: Pool,
    pub(crate) flows: Arc<Flows>,
    pub(crate) origins: Idle,
    pub(crate) resolver: Resolver,
    /// Client connections that were reset by us: what was cut short, and what did not close cleanly.
    pub(crate) aborted: AtomicU64,
    /// Clients that were turned away before they could ask for anything.
    pub(crate) turned_away: AtomicU64,
    /// Panics of the policy that were caught, each with its connection.
    pub(crate) panicked: AtomicU64,
    /// Of what this process or machine has run out while it connected to origins.
    shortages: Mutex<OncePerSecond>,
    /// Places for quiet connections that keep their working state until the next sweep.
    pub(crate) ready: Places,
    /// The runtimes in which the clock is turned.
    keepers: Mutex<Vec<runtime::Id>>,
    began: Instant,
}

impl<P: Policy> Worker<P> {
    pub(crate) fn new(shared: Arc<Shared<P>>) -> Self {
        let limits = &shared.limits;
        let pipes = Arc::new(KernelPipes::new(Arc::clone(&shared.bulk)));
        let flows = Arc::new(Flows::new(Arc::clone(&shared.connections)));
        shared.crowd.join(&flows);
        Self {
            client_buffers: Pool::new(limits.client_buffer, KEPT_BUFFERS, Arc::clone(&pipes)),
            origin_buffers: Pool::new(limits.origin_buffer, KEPT_BUFFERS, pipes),
            flows,
            origins: Idle::new(limits.max_idle_origins),
            resolver: Resolver::new(Arc::clone(&shared.machine)),
            aborted: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            panicked: AtomicU64::new(0),
            shortages: Mutex::default(),
            ready: Places(AtomicUsize::new(READY)),
            keepers: Mutex::default(),
            began: Instant::now(),
            shared,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    pub(crate) fn via(&self) -> Option<&str> {
        self.shared.via.then_some(self.shared.pseudonym.as_str())
    }

    /// Counts a client connection that is reset.
    pub(crate) fn count_abort(&self) {
        self.aborted.fetch_add(1, Relaxed);
    }

    /// Counts a panic, and says so.
    pub(crate) fn count_panic(&self, client: &Client) {
        self.panicked.fetch_add(1, Relaxed);
        tracing::error!(client = %client.address, "a policy has panicked; its client's connection is reset");
    }

    /// Says that there is no more of what connections to origins need.
    pub(crate) fn warn_of_shortage(&self) {
        let times = self.shortages.lock().unwrap_or_else(PoisonError::into_inner).due(1);
        if let Some(times) = times {
            tracing::warn!(
                times,
                "no descriptors, ports or memory left for connections to origins; raise the limit of open descriptors \
                 (ulimit -n) or the range of ports (net.ipv4.ip_local_port_range)"
            );
        }
    }

    /// Turns the clock, wakes what is overdue, forgets idle origins that have ended.
    pub(crate) fn sweep(&self) {
        let now = self.began.elapsed();
        self.flows.sweep(now);
        self.origins.sweep(now);
        self.client_buffers.trim();
        self.origin_buffers.trim();
    }

    /// Turns the clock ten times a second from now until there is nothing left to sweep, in a task of this runtime's own,
    /// unless it has one. Each runtime that serves connections has: another's may stand still, or have ended.
    pub(crate) fn keep_time(self: &Arc<Self>) {
        let runtime = Handle::current().id();
        let mut kept = self.keepers();
        if kept.contains(&runtime) {
            return;
        }
        kept.push(runtime);
        drop(kept);
        let mut keeper = Keeper { worker: Arc::clone(self), runtime, is_relieved: false };
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !keeper.may_rest() {
                ticks.tick().await;
                keeper.worker.sweep_if_due();
            }
        });
    }

    /// However many runtimes keep the time, there are no more sweeps than with one, or twice as many while they run apart.
    fn sweep_if_due(&self) {
        if self.began.elapsed().saturating_sub(self.flows.now()) >= ANOTHERS_TICK {
            self.sweep();
        }
    }

    fn keepers(&self) -> MutexGuard<'_, Vec<runtime::Id>> {
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is anything to sweep.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.flows.count() == 0 && self.origins.count() == 0
    }

    /// Whether `client` may use a connection to `address` that is there already.
    pub(crate) fn allows(&self, client: &Client, address: SocketAddr) -> bool {
        self.shared.policy.address(client, address).is_ok()
    }

    /// What may be dialled for `client`; what the operator `named`, without asking the policy.
    pub(crate) fn gate<'a>(&'a self, client: &'a Client, named: bool) -> impl Gate + Send + Sync + 'a {
        PolicyGate { shared: &self.shared, client, named }
    }
}

/// Whoever turns the clock in one runtime.
struct Keeper<P: Policy> {
    worker: Arc<Worker<P>>,
    runtime: runtime::Id,
    is_relieved: bool,
}

impl<P: Policy> Keeper<P> {
    /// Leaves if there is nothing to turn the clock for. Who comes meanwhile finds that nobody keeps it and does, or is
    /// seen here: both look under the lock.
    fn may_rest(&mut self) -> bool {
        let mut keepers = self.worker.keepers();
        if self.worker.is_at_rest() {
            keepers.retain(|runtime| *runtime != self.runtime);
            self.is_relieved = true;
        }
        self.is_relieved
    }
}

/// A runtime that ends drops its tasks.
impl<P: Policy> Drop for Keeper<P> {
    fn drop(&mut self) {
        if !self.is_relieved {
            self.worker.keepers().retain(|runtime| *runtime != self.runtime);
        }
    }
}

struct PolicyGate<'a, P> {
    shared: &'a Shared<P>,
    client: &'a Client,
    named: bool,
}

impl<P: Policy> Gate for PolicyGate<'_, P> {
    fn check(&self, address: SocketAddr) -> Result<(), Fault> {
        match self.shared.is_ourselves(address) {
            Ok(false) => {}
            Ok(true) => return Err(Fault::Loop),
            Err(_) => return Err(Fault::Capacity),
        }
        if self.named {
            return Ok(());
        }
        self.shared.policy.address(self.client, address)
    }
}
