//! Origins that do what a test says, one thread per connection, and write down all they receive.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::PATIENCE;
use super::wire::{End, Message, Wire};

/// What came on one connection.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub bytes: Vec<u8>,
    /// How the proxy ended it, if it has been read that far.
    pub end: Option<End>,
    /// The script is through.
    pub over: bool,
}

/// What came on all connections, in their order.
#[derive(Debug, Default)]
pub struct Log {
    seen: Mutex<Vec<Seen>>,
    changed: Condvar,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn change(&self, change: impl FnOnce(&mut Vec<Seen>)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// A listening origin. Its threads end with the test's process.
#[derive(Debug)]
pub struct Origin {
    pub address: SocketAddr,
    log: Arc<Log>,
}

impl Origin {
    /// Runs `script` for each connection, with its number from 0.
    pub fn start(script: impl Fn(usize, &mut Wire) + Send + Sync + 'static) -> Self {
        Self::start_owned(move |index, mut wire| script(index, &mut wire))
    }

    /// The same for scripts that end their connection their own way.
    pub fn start_owned(script: impl Fn(usize, Wire) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, log) = (listener.local_addr().unwrap(), Arc::new(Log::default()));
        let (script, writes) = (Arc::new(script), Arc::clone(&log));
        thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                let (script, log, stream) = (Arc::clone(&script), Arc::clone(&writes), stream.unwrap());
                log.change(|seen| seen.push(Seen::default()));
                thread::spawn(move || {
                    script(index, Wire::logged(stream, Arc::clone(&log), index));
                    log.change(|seen| seen[index].over = true);
                });
            }
        });
        Self { address, log }
    }

    /// Answers each request by what `answer` makes of it, and keeps the connection.
    pub fn answering(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(move |_, wire| {
            while let Some(request) = wire.request() {
                if wire.try_send(&answer(&request)).is_err() {
                    return;
                }
            }
        })
    }

    /// Answers each request with a 200 whose body is the head that it saw, the body after it.
    pub fn mirror() -> Self {
        Self::answering(|request| {
            // A head holds one char per byte.
            let head: Vec<u8> = request.head.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            let (all, n) = (head.len() + request.body.len(), head.len());
            let own = format!("HTTP/1.1 200 OK\r\nContent-Length: {all}\r\nX-Head: {n}\r\n\r\n");
            [own.as_bytes(), &head, &request.body].concat()
        })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.log.lock().clone()
    }

    pub fn connections(&self) -> usize {
        self.log.lock().len()
    }

    /// Waits until what came satisfies `condition`.
    #[track_caller]
    pub fn wait(&self, what: &str, condition: impl Fn(&[Seen]) -> bool) {
        let begin = Instant::now();
        let mut seen = self.log.lock();
        while !condition(&seen) {
            let left = PATIENCE.checked_sub(begin.elapsed());
            let left = left.unwrap_or_else(|| panic!("{what}: not within {PATIENCE:?}; seen: {seen:?}"));
            seen = self.log.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the connection with this number has been ended by the proxy; how.
    #[track_caller]
    pub fn ended(&self, index: usize) -> End {
        self.wait("the proxy ends the connection", |seen| seen.get(index).is_some_and(|one| one.end.is_some()));
        self.seen()[index].end.unwrap()
    }
}

/// What the mirror saw.
pub fn mirrored(response: &Message) -> Message {
    let n = response.field("x-head").expect("an answer of the mirror").parse().unwrap();
    let (head, body) = response.body.split_at(n);
    Message { head: head.iter().copied().map(char::from).collect(), body: body.to_vec(), trailers: Vec::new() }
}
