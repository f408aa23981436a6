//! Idle connections to origins, per worker. What shows anything while idle (bytes that nobody
//! asked for, an end, an error) is dropped and never lent.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sluicegate_http1::Authority;

use crate::transport::{Transport, Upstream};

/// No single origin keeps more than this many, so that one of them cannot crowd out the others.
const PER_ORIGIN: usize = 64;

/// A connection that may carry more than one request.
#[derive(Debug)]
pub(crate) struct Kept {
    /// See [`key`]. Built once in the connection's life.
    key: Box<[u8]>,
    pub(crate) stream: Upstream,
    /// None if it leads to no address: then it is not lent to others.
    pub(crate) address: Option<SocketAddr>,
}

impl Kept {
    pub(crate) fn new(to: Authority<'_>, stream: Upstream, address: Option<SocketAddr>) -> Self {
        Self { key: key(to).into(), stream, address }
    }

    /// Whether it leads to `to`: by its key, which needs none built to compare.
    fn leads_to(&self, to: Authority<'_>) -> bool {
        let (host, rest) = self.key.split_at_checked(text(to).len()).unwrap_or_default();
        let same = host == text(to).as_bytes() || host.eq_ignore_ascii_case(text(to).as_bytes());
        same && rest == if to.port.is_none() { DEFAULT_PORT } else { b"" }
    }
}

/// What an idle connection is found by: `host:port`, in lower case.
fn key(to: Authority<'_>) -> Vec<u8> {
    let mut key = text(to).to_ascii_lowercase().into_bytes();
    if to.port.is_none() {
        key.extend_from_slice(DEFAULT_PORT);
    }
    key
}

const DEFAULT_PORT: &[u8] = b":80";

/// An authority without the colon of an empty port.
fn text(to: Authority<'_>) -> &str {
    to.text.strip_suffix(':').unwrap_or(to.text)
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

    /// A connection to `to`: the one of this client's last request if it leads there, else one that
    /// another left behind. Of that one the kernel is always asked (of the first if it says `peek`):
    /// what its last user's origin sent too late must not become a stranger's answer. `may` says
    /// which addresses this client may reach: it was dialled for another.
    pub(crate) fn take(
        &self,
        last: &mut Option<Kept>,
        to: Authority<'_>,
        peek: bool,
        now: Duration,
        may: impl Fn(SocketAddr) -> bool,
    ) -> Option<Kept> {
        if let Some(own) = last.take() {
            if !own.leads_to(to) {
                self.checkin(own, now);
            } else if !own.stream.is_stale(peek) && own.address.is_none_or(&may) {
                return Some(own);
            }
        }
        self.checkout(to, may)
    }

    /// The one that was used last, still looks well, and leads where it may.
    fn checkout(&self, to: Authority<'_>, may: impl Fn(SocketAddr) -> bool) -> Option<Kept> {
        let Shelf { kept, count } = &mut *self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if *count == 0 {
            return None;
        }
        let of_origin = kept.get_mut(&*key(to))?;
        loop {
            let open = of_origin.iter().rposition(|(one, _)| one.address.is_some_and(&may))?;
            let (one, _) = of_origin.remove(open);
            *count = count.saturating_sub(1);
            if !one.stream.is_stale(true) {
                return Some(one);
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
            of_origin.retain(|(one, since)| now.saturating_sub(*since) < timeout && !one.stream.is_stale(false));
            *count = count.saturating_add(of_origin.len());
            !of_origin.is_empty()
        });
    }

    /// How many are kept.
    pub(crate) fn count(&self) -> usize {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Tcp;

    #[tokio::test]
    async fn leads_where_its_key_says() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let all = ["a", "A:80", "a:", "a:81", "b", "ab", "a:8", "a:80", "[::1]", "[::1]:80", "1.2.3.4:80"];
        let all = all.map(|text| Authority::parse(text.as_bytes()).unwrap());
        for one in all {
            let kept = Kept::new(one, Tcp::connect(address).await.unwrap().into(), Some(address));
            for other in all {
                assert_eq!(kept.leads_to(other), key(one) == key(other), "{one:?} {other:?}");
            }
        }
    }
}
