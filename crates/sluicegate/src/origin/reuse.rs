//! Idle connections to origins, per worker. What shows anything while idle (bytes that nobody
//! asked for, an end, an error) is dropped and never lent.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::transport::{Tcp, Transport};

/// No single origin keeps more than this many, so that one of them cannot crowd out the others.
const PER_ORIGIN: usize = 64;

/// A connection that may carry another request.
#[derive(Debug)]
pub(crate) struct Kept {
    /// `host:port`, in lower case.
    pub(crate) key: Box<[u8]>,
    pub(crate) tcp: Tcp,
    pub(crate) address: SocketAddr,
}

/// Idle connections by `host:port` in lower case.
#[derive(Debug)]
pub(crate) struct Idle {
    most: usize,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    kept: HashMap<Box<[u8]>, Vec<(Kept, Duration)>>,
    count: usize,
}

impl Idle {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, shelf: Mutex::default() }
    }

    /// The one that was used last, still looks well (the kernel is asked), and leads where this
    /// client may go: it was dialled for another.
    pub(crate) fn checkout(&self, key: &[u8], may: impl Fn(SocketAddr) -> bool) -> Option<(Tcp, SocketAddr)> {
        let Shelf { kept, count } = &mut *self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let of_origin = kept.get_mut(key)?;
        loop {
            let open = of_origin.iter().rposition(|(one, _)| may(one.address))?;
            let (one, _) = of_origin.remove(open);
            *count = count.saturating_sub(1);
            if !one.tcp.is_stale(true) {
                return Some((one.tcp, one.address));
            }
        }
    }

    /// Keeps `one` for whoever asks for its origin next.
    pub(crate) fn checkin(&self, one: Kept, now: Duration) {
        let Shelf { kept, count } = &mut *self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if *count >= self.most {
            return;
        }
        match kept.get_mut(&one.key) {
            Some(of_origin) if of_origin.len() >= PER_ORIGIN => return,
            Some(of_origin) => of_origin.push((one, now)),
            None => {
                kept.insert(one.key.clone(), vec![(one, now)]);
            }
        }
        *count = count.saturating_add(1);
    }

    /// Drops what has been idle for `timeout`, or has ended.
    pub(crate) fn sweep(&self, now: Duration, timeout: Duration) {
        let Shelf { kept, count } = &mut *self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        *count = 0;
        kept.retain(|_, of_origin| {
            of_origin.retain(|(one, since)| now.saturating_sub(*since) < timeout && !one.tcp.is_stale(false));
            *count = count.saturating_add(of_origin.len());
            !of_origin.is_empty()
        });
    }

    /// How many are kept.
    pub(crate) fn count(&self) -> usize {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).count
    }
}
