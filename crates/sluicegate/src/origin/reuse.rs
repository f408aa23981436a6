//! Idle connections to origins, per worker. What shows anything while idle (bytes that nobody
//! asked for, an end, an error) is dropped and never lent.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::transport::{Tcp, Transport};

/// No single origin keeps more than this many, so that one of them cannot crowd out the others.
const PER_ORIGIN: usize = 64;

#[derive(Debug)]
struct Kept {
    tcp: Tcp,
    address: SocketAddr,
    since: Duration,
}

/// Idle connections by `host:port` in lower case.
#[derive(Debug)]
pub(crate) struct Idle {
    most: usize,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    kept: HashMap<Box<[u8]>, Vec<Kept>>,
    count: usize,
}

impl Idle {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, shelf: Mutex::default() }
    }

    /// The one that was used last, still looks well, and leads where this client may go: it
    /// may have been dialled for another. With `peek` the kernel is asked how it looks as well: for
    /// a request that must not be sent twice.
    pub(crate) fn checkout(
        &self,
        key: &[u8],
        peek: bool,
        may: impl Fn(SocketAddr) -> bool,
    ) -> Option<(Tcp, SocketAddr)> {
        let Shelf { kept, count } = &mut *self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let of_origin = kept.get_mut(key)?;
        loop {
            let open = of_origin.iter().rposition(|one| may(one.address))?;
            let one = of_origin.remove(open);
            *count = count.saturating_sub(1);
            if !one.tcp.is_stale(peek) {
                return Some((one.tcp, one.address));
            }
        }
    }

    /// Keeps `tcp` for the next request to `key`.
    pub(crate) fn checkin(&self, key: &[u8], tcp: Tcp, address: SocketAddr, now: Duration) {
        let Shelf { kept, count } = &mut *self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if *count >= self.most {
            return;
        }
        let one = Kept { tcp, address, since: now };
        match kept.get_mut(key) {
            Some(of_origin) if of_origin.len() >= PER_ORIGIN => return,
            Some(of_origin) => of_origin.push(one),
            None => {
                kept.insert(key.into(), vec![one]);
            }
        }
        *count = count.saturating_add(1);
    }

    /// Drops what has been idle for `timeout`, or has ended.
    pub(crate) fn sweep(&self, now: Duration, timeout: Duration) {
        let Shelf { kept, count } = &mut *self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        *count = 0;
        kept.retain(|_, of_origin| {
            of_origin.retain(|one| now.saturating_sub(one.since) < timeout && !one.tcp.is_stale(false));
            *count = count.saturating_add(of_origin.len());
            !of_origin.is_empty()
        });
    }

    /// How many are kept.
    pub(crate) fn count(&self) -> usize {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).count
    }
}
