//! Idle connections to origins, per worker. What shows anything while idle (bytes that nobody
//! asked for, an end, an error) is dropped and never lent.
//!
//! A connection is found by where it leads and for whom it was made, and has one of three fates when its response is
//! through: anyone may have it next, from the shelf; or its client alone, which finds it again as long as it is here;
//! or nobody. A login by NTLM or Negotiate makes it its client's for good: whoever had it next would be that user.

mod kept;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use kept::{Asking, Kept, Lending};

use crate::flow::Entered;

/// No single origin keeps more than this many, so that one of them cannot crowd out the others.
const PER_ORIGIN: usize = 64;

/// Nor may a client keep more than this many for itself: the longest unused one gives way.
const PER_CLIENT: usize = 4;

/// Idle connections.
#[derive(Debug)]
pub(crate) struct Idle {
    most: usize,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    /// By [`Asking::key`].
    shared: HashMap<Box<[u8]>, Vec<Kept>>,
    /// By the client's number.
    private: HashMap<usize, Vec<Kept>>,
    /// All that are shared, and the second and further ones of each client. The first stands in the place of the
    /// origin that its client's request would need anyway.
    count: usize,
}

impl Idle {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, shelf: Mutex::default() }
    }

    /// A connection for `asking`: the one of this client's last request if it leads there, else another of its own,
    /// else one that others left behind. Of those the kernel is always asked (of the first if it says `peek`):
    /// what its last user's origin sent too late must not become a stranger's answer. `may` says
    /// which addresses this client may reach: it was dialled for another.
    pub(crate) fn take(
        &self,
        last: &mut Option<Kept>,
        asking: &Asking<'_>,
        client: &Entered,
        may: impl Fn(SocketAddr) -> bool,
    ) -> Option<Kept> {
        if let Some(own) = last.take() {
            if !own.leads_to(asking) {
                self.put(own, client);
            } else if own.is_well(asking.peek, asking.now) && own.address.is_none_or(&may) {
                return Some(own);
            }
        }
        let own = client.keeps_origins().then(|| self.lock().take_private(asking, client.key(), &may));
        own.flatten().or_else(|| self.lock().take_shared(asking, may))
    }

    /// Keeps `one`, which its `client` has no use for now, for whoever may have it next.
    pub(crate) fn put(&self, one: Kept, client: &Entered) {
        match one.lending {
            Lending::Anyone => self.lock().put_shared(one, self.most),
            Lending::Client => {
                client.keep_origins();
                self.lock().put_private(one, client.key(), self.most);
            }
            Lending::Nobody => {}
        }
    }

    /// Drops what was kept for a client that is gone.
    pub(crate) fn leave(&self, client: &Entered) {
        if client.keeps_origins() {
            let mut shelf = self.lock();
            let kept = shelf.private.remove(&client.key()).unwrap_or_default();
            shelf.count = shelf.count.saturating_sub(kept.len().saturating_sub(1));
        }
    }

    /// Drops what has been idle for too long, or has ended.
    pub(crate) fn sweep(&self, now: Duration) {
        let Shelf { shared, private, count } = &mut *self.lock();
        *count = 0;
        shared.retain(|_, of_origin| {
            of_origin.retain(|one| one.is_well(false, now));
            *count = count.saturating_add(of_origin.len());
            !of_origin.is_empty()
        });
        private.retain(|_, of_client| {
            of_client.retain(|one| one.is_well(false, now));
            *count = count.saturating_add(of_client.len().saturating_sub(1));
            !of_client.is_empty()
        });
    }

    /// How many are kept that count.
    pub(crate) fn count(&self) -> usize {
        self.lock().count
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// The one that was used last, still looks well, and leads where it may.
    fn take_shared(&mut self, asking: &Asking<'_>, may: impl Fn(SocketAddr) -> bool) -> Option<Kept> {
        if self.count == 0 {
            return None;
        }
        let of_origin = self.shared.get_mut(&*asking.key())?;
        loop {
            let open = of_origin.iter().rposition(|one| one.address.is_some_and(&may))?;
            let one = of_origin.remove(open);
            self.count = self.count.saturating_sub(1);
            if one.is_well(true, asking.now) {
                return Some(one);
            }
        }
    }

    fn put_shared(&mut self, one: Kept, most: usize) {
        if self.count >= most {
            return;
        }
        match self.shared.get_mut(one.key()) {
            Some(of_origin) if of_origin.len() >= PER_ORIGIN => return,
            Some(of_origin) => of_origin.push(one),
            None => {
                self.shared.insert(one.key().into(), vec![one]);
            }
        }
        self.count = self.count.saturating_add(1);
    }

    /// The same among those of `client`.
    fn take_private(&mut self, asking: &Asking<'_>, client: usize, may: impl Fn(SocketAddr) -> bool) -> Option<Kept> {
        let of_client = self.private.get_mut(&client)?;
        loop {
            let open = of_client.iter().rposition(|one| one.leads_to(asking) && one.address.is_none_or(&may))?;
            let one = of_client.remove(open);
            if !of_client.is_empty() {
                self.count = self.count.saturating_sub(1);
            }
            if one.is_well(true, asking.now) {
                return Some(one);
            }
        }
    }

    fn put_private(&mut self, one: Kept, client: usize, most: usize) {
        let of_client = self.private.entry(client).or_default();
        let has_place = of_client.is_empty() || self.count < most && of_client.len() < PER_CLIENT;
        if !has_place {
            of_client.remove(0);
        } else if !of_client.is_empty() {
            self.count = self.count.saturating_add(1);
        }
        of_client.push(one);
    }
}
