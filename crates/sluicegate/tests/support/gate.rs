//! A running proxy in a thread and a runtime of its own, and what it told its policy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sluicegate::{Client, Ended, Fault, Limits, Policy, Proxy, Record};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::sync::oneshot;

use super::PATIENCE;
use super::wire::{Message, Wire};

/// A record, owned.
#[derive(Debug, Clone)]
pub struct Told {
    pub client: Client,
    pub head: Vec<u8>,
    pub tunnel: bool,
    pub status: u16,
    pub origin: Option<SocketAddr>,
    pub reused: bool,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub fault: Option<Fault>,
    pub ended: Ended,
}

impl Told {
    pub fn token(&self) -> Option<&'static str> {
        self.fault.as_ref().map(Fault::token)
    }
}

type AddressRule = Box<dyn Fn(&Client, SocketAddr) -> Result<(), String> + Send + Sync>;

/// Rules of a test, and what the proxy tells.
struct Watching {
    accept: bool,
    address: AddressRule,
    told: Mutex<Vec<Told>>,
    changed: Condvar,
}

impl Watching {
    fn told(&self) -> MutexGuard<'_, Vec<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Shared(Arc<Watching>);

impl Policy for Shared {
    fn accept(&self, _client: &Client) -> bool {
        self.0.accept
    }

    fn address(&self, client: &Client, address: SocketAddr) -> Result<(), Fault> {
        (self.0.address)(client, address).map_err(Fault::Denied)
    }

    fn records(&self) -> bool {
        true
    }

    fn ended(&self, record: &Record<'_>) {
        self.0.told().push(Told {
            client: record.client.clone(),
            head: record.request.bytes().to_vec(),
            tunnel: record.tunnel,
            status: record.status,
            origin: record.origin,
            reused: record.reused,
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            fault: record.fault.cloned(),
            ended: record.ended,
        });
        self.0.changed.notify_all();
    }

    fn refused(&self, record: &Record<'_>) {
        self.ended(record);
    }
}

/// How a proxy is to run.
pub struct Setup {
    limits: Limits,
    via: bool,
    threads: usize,
    accept: bool,
    address: AddressRule,
    late: bool,
}

impl Setup {
    pub fn new() -> Self {
        let address: AddressRule = Box::new(|_, _| Ok(()));
        Self { limits: Limits::default(), via: true, threads: 0, accept: true, address, late: false }
    }

    pub fn limits(mut self, set: impl FnOnce(&mut Limits)) -> Self {
        set(&mut self.limits);
        self
    }

    pub fn via(self, via: bool) -> Self {
        Self { via, ..self }
    }

    /// A runtime with this many threads, instead of a current-thread one.
    pub fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    pub fn accept(self, accept: bool) -> Self {
        Self { accept, ..self }
    }

    pub fn address(self, rule: impl Fn(&Client, SocketAddr) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { address: Box::new(rule), ..self }
    }

    /// It listens, but does not accept before [`Gate::begin`].
    pub fn late(self) -> Self {
        Self { late: true, ..self }
    }

    pub fn start(self) -> Gate {
        let watching =
            Watching { accept: self.accept, address: self.address, told: Mutex::default(), changed: Condvar::new() };
        let watching = Arc::new(watching);
        let policy = Shared(Arc::clone(&watching));
        let proxy = Proxy::builder().limits(self.limits).policy(policy).via(self.via).build().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (begin, may_begin) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let (say_served, served) = mpsc::channel();
        let (say_drained, drained) = mpsc::channel();
        let (one, threads) = (proxy.clone(), self.threads);
        thread::spawn(move || {
            let runtime = match threads {
                0 => tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
                n => tokio::runtime::Builder::new_multi_thread().worker_threads(n).enable_all().build().unwrap(),
            };
            let _ = may_begin.recv();
            runtime.block_on(async {
                let drain = async { stopped.await.unwrap_or(Duration::ZERO) };
                let mut timeout = Duration::ZERO;
                one.serve(listener).until(async { timeout = drain.await }).await.unwrap();
                let _ = say_served.send(());
                let _ = say_drained.send(one.drain(timeout).await);
            });
        });
        if !self.late {
            begin.send(()).unwrap();
        }
        Gate { address, proxy, watching, begin, stop: Some(stop), served, drained }
    }
}

/// A running proxy. Dropping it aborts what runs.
pub struct Gate {
    pub address: SocketAddr,
    pub proxy: Proxy<Shared>,
    watching: Arc<Watching>,
    begin: mpsc::Sender<()>,
    stop: Option<oneshot::Sender<Duration>>,
    served: mpsc::Receiver<()>,
    drained: mpsc::Receiver<usize>,
}

impl Gate {
    /// With the default settings.
    pub fn start() -> Self {
        Setup::new().start()
    }

    pub fn with(set: impl FnOnce(&mut Limits)) -> Self {
        Setup::new().limits(set).start()
    }

    pub fn begin(&self) {
        self.begin.send(()).unwrap();
    }

    pub fn client(&self) -> Wire {
        Wire::new(TcpStream::connect(self.address).unwrap())
    }

    /// From another address of loopback, and with a receive buffer of about this size.
    pub fn special_client(&self, from: IpAddr, receives: Option<usize>) -> Wire {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        if let Some(size) = receives {
            socket.set_recv_buffer_size(size).unwrap();
        }
        socket.bind(&SockAddr::from(SocketAddr::new(from, 0))).unwrap();
        socket.connect(&SockAddr::from(self.address)).unwrap();
        Wire::new(socket.into())
    }

    /// One request on a connection of its own.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Message {
        let mut client = self.client();
        client.send(request.as_ref());
        let method = request.as_ref().split(|b| *b == b' ').next().unwrap();
        client.response(std::str::from_utf8(method).unwrap())
    }

    /// What the policy has been told, once that is at least `n`.
    #[track_caller]
    pub fn told(&self, n: usize) -> Vec<Told> {
        let begin = Instant::now();
        let mut told = self.watching.told();
        while told.len() < n {
            let left = PATIENCE.checked_sub(begin.elapsed());
            let left = left.unwrap_or_else(|| panic!("{n} records: not within {PATIENCE:?}; told: {told:?}"));
            told = self.watching.changed.wait_timeout(told, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        told.clone()
    }

    /// What the policy has been told when no connection is left: nothing can come after that.
    #[track_caller]
    pub fn told_in_the_end(&self) -> Vec<Told> {
        super::eventually("all connections end", || self.proxy.connection_count() == 0);
        self.told(0)
    }

    /// Stops accepting; what runs may run for `timeout`.
    pub fn stop(&mut self, timeout: Duration) {
        self.stop.take().unwrap().send(timeout).unwrap();
    }

    /// Waits until `serve` has returned.
    pub fn served(&self) {
        self.served.recv_timeout(PATIENCE).expect("serve returns after a stop");
    }

    /// Waits until `drain` has returned; what it said.
    pub fn drained(&self) -> usize {
        self.drained.recv_timeout(PATIENCE).expect("drain returns after its timeout")
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(Duration::ZERO);
        }
    }
}
