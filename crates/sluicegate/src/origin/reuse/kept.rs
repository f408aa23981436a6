//! A connection that may carry more than one request: where it leads, for whom, and for how long.

use std::net::{IpAddr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sluicegate_http1::keep_alive::KeepAlive;
use sluicegate_http1::{Authority, Framing};

use crate::origin::names::AGAIN;
use crate::origin::{Leads, Reached};
use crate::transport::{Transport, Upstream};

/// An origin that says when it closes is believed this much earlier: a request that is sent now has to arrive before, and
/// the clock is up to 0.2 s late.
const MARGIN: Duration = Duration::from_secs(1);

/// So much, in bytes, any origin takes before it reads: what stays unacknowledged longer has not arrived.
const WINDOW: u64 = 16 * 1024;

/// While nobody can say where its name leads, it is not asked more often than this: each time costs a client a wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// Nor is a connection used for longer than this without anyone who can say (as an address, see RFC 8767 §5).
const LONGEST_DOUBT: Duration = Duration::from_secs(600);

/// Who may have a connection after its client's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lending {
    /// Whoever asks for the same.
    Anyone,
    /// Its client, as long as that is here.
    Client,
    /// Nobody.
    Nobody,
}

/// What a connection is wanted for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) to: Authority<'a>,
    /// See `Route::pool`.
    pub(crate) pool: Option<&'a str>,
    /// The kernel is to be asked, too, whether a connection is well.
    pub(crate) peek: bool,
    /// By the worker's clock.
    pub(crate) now: Duration,
}

impl Asking<'_> {
    /// What an idle connection is found by: `host:port`, in lower case, and its pool.
    pub(super) fn key(&self) -> Vec<u8> {
        let (host, port) = parts(self.to);
        let pool = self.pool.map_or(0, |pool| pool.len().saturating_add(1));
        let size = [host.len(), 1, port.len(), pool].into_iter().fold(0, usize::saturating_add);
        let mut key = Vec::with_capacity(size);
        key.extend_from_slice(host.as_bytes());
        key.make_ascii_lowercase();
        key.push(b':');
        key.extend_from_slice(port.as_bytes());
        if let Some(pool) = self.pool {
            key.push(BEHIND);
            key.extend_from_slice(pool.as_bytes());
        }
        key
    }
}

/// Stands in no authority.
const BEHIND: u8 = b'/';

/// Host and port in their one form, the port also where it was left out.
fn parts(to: Authority<'_>) -> (&str, &str) {
    let (host, port) = to.parts();
    (host, if port.is_empty() { "80" } else { port })
}

/// A connection that may carry more than one request. It is handed from request to request, so it is boxed once in
/// its life: 168 bytes in each of ten moves were 2 % of a request.
#[derive(Debug)]
pub(crate) struct Kept(Box<Facts>);

/// What is known of it.
#[derive(Debug)]
pub(crate) struct Facts {
    /// See [`Asking::key`]. Built once in the connection's life.
    key: Box<[u8]>,
    pub(crate) stream: Upstream,
    /// None if it leads to no address: then it is not lent to others.
    pub(crate) address: Option<SocketAddr>,
    pub(super) lending: Lending,
    /// Somebody has logged in on it, or is about to.
    has_login: bool,
    /// From then on it is not used; by the worker's clock.
    until: Duration,
    /// How long its origin keeps it, if it has said so.
    origin_keeps: Option<Duration>,
    /// How many requests its origin still takes.
    left: u64,
    /// See `Upstream::wait_for_reader`.
    waits_for_reader: bool,
    /// When its name was known last to lead to its address; by the worker's clock.
    sure: Duration,
    /// From then on that is looked at again before it is used; never, if it was not found by a name.
    doubt: Duration,
}

impl Deref for Kept {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl DerefMut for Kept {
    fn deref_mut(&mut self) -> &mut Facts {
        &mut self.0
    }
}

impl Kept {
    pub(crate) fn new(asking: &Asking<'_>, reached: Reached) -> Self {
        let Reached { stream, address, lending, is_by_name, .. } = reached;
        let (has_login, until, origin_keeps, left) = (false, Duration::MAX, None, u64::MAX);
        let (key, waits_for_reader, sure) = (asking.key().into(), false, asking.now);
        let doubt = if is_by_name { sure.saturating_add(AGAIN) } else { Duration::MAX };
        let facts = Facts {
            key,
            stream,
            address,
            lending,
            has_login,
            until,
            origin_keeps,
            left,
            waits_for_reader,
            sure,
            doubt,
        };
        Self(Box::new(facts))
    }

    /// The address that its name has to have still, if it is time to look.
    pub(crate) fn doubtful(&self, now: Duration) -> Option<IpAddr> {
        if now < self.doubt { None } else { self.address.map(|address| address.ip()) }
    }

    /// Whether it may be used, now that its name was looked at.
    pub(crate) fn follow(&mut self, leads: Leads, now: Duration) -> bool {
        let is_fit = match leads {
            Leads::Here => true,
            Leads::Elsewhere => false,
            Leads::Unknown => now.saturating_sub(self.sure) < LONGEST_DOUBT,
        };
        let calm = if leads == Leads::Unknown { PATIENCE } else { AGAIN };
        self.sure = if leads == Leads::Here { now } else { self.sure };
        self.doubt = now.saturating_add(calm);
        is_fit
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// A request with such a body is sent. Once in the connection's life, a longer one costs a system call.
    pub(crate) fn sends(&mut self, body: Framing) {
        let is_short = match body {
            Framing::Empty => true,
            Framing::Length(n) => n <= WINDOW,
            Framing::Chunked | Framing::UntilClose => false,
        };
        if !is_short && !self.waits_for_reader {
            self.waits_for_reader = true;
            self.stream.wait_for_reader();
        }
    }

    /// From now on it belongs to its client: a login is under way.
    pub(crate) fn log_in(&mut self) {
        self.has_login = true;
        if self.lending == Lending::Anyone {
            self.lending = Lending::Client;
        }
    }

    /// Its response is through. Whether it may wait for another request: for `idle`, or with a login as long as its client
    /// is here; and never for longer than its origin says.
    pub(crate) fn may_rest(&mut self, said: KeepAlive, idle: Duration, now: Duration) -> bool {
        self.left = said.max.unwrap_or(self.left.saturating_sub(1));
        self.origin_keeps = said.timeout.map(Duration::from_secs).or(self.origin_keeps);
        let ours = if self.has_login { Duration::MAX } else { idle };
        let rest = self.origin_keeps.map_or(ours, |theirs| ours.min(theirs.saturating_sub(MARGIN)));
        self.until = now.saturating_add(rest);
        self.left > 0 && !rest.is_zero() && self.lending != Lending::Nobody
    }

    /// Whether nothing speaks against using it.
    pub(super) fn is_well(&self, peek: bool, now: Duration) -> bool {
        now < self.until && !self.stream.is_stale(peek)
    }

    /// Whether it is what is wanted: by its key, which needs none built to compare.
    pub(super) fn leads_to(&self, asking: &Asking<'_>) -> bool {
        // Mostly it is asked for in the form that the key has.
        if asking.pool.is_none() && *self.key == *asking.to.text.as_bytes() {
            return true;
        }
        let (asked, port) = parts(asking.to);
        let (host, rest) = self.key.split_at_checked(asked.len()).unwrap_or_default();
        let same = host == asked.as_bytes() || host.eq_ignore_ascii_case(asked.as_bytes());
        let rest = rest.strip_prefix(b":").and_then(|rest| rest.strip_prefix(port.as_bytes()));
        same && match (asking.pool, rest) {
            (None, Some(rest)) => rest.is_empty(),
            (Some(pool), Some([BEHIND, rest @ ..])) => rest == pool.as_bytes(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Tcp;

    fn reached(stream: Upstream, address: SocketAddr) -> Reached {
        let (address, lending) = (Some(address), Lending::Anyone);
        Reached { stream, address, lending, is_by_name: true, lookup: None, is_known: false, connect: None }
    }

    #[tokio::test]
    async fn is_left_when_its_name_leads_elsewhere_or_nobody_can_say_for_long() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (to, minute) = (Authority::parse(b"a").unwrap(), Duration::from_secs(60));
        let asking = Asking { to, pool: None, peek: false, now: minute };
        let stream = Tcp::connect(address).await.unwrap().into();
        let mut kept = Kept::new(&asking, reached(stream, address));
        assert_eq!(kept.doubtful(minute), None);
        assert_eq!(kept.doubtful(minute + AGAIN), Some(address.ip()));
        assert!(kept.follow(Leads::Here, 2 * minute) && kept.doubtful(2 * minute).is_none());
        assert!(kept.follow(Leads::Unknown, 3 * minute) && kept.doubtful(3 * minute + PATIENCE / 2).is_none());
        assert!(kept.doubtful(3 * minute + PATIENCE).is_some());
        assert!(kept.follow(Leads::Unknown, 11 * minute), "nine minutes are no reason");
        assert!(!kept.follow(Leads::Unknown, 12 * minute), "ten are");
        assert!(!kept.follow(Leads::Elsewhere, minute));
        let literal = Reached { is_by_name: false, ..reached(Tcp::connect(address).await.unwrap().into(), address) };
        assert_eq!(Kept::new(&asking, literal).doubtful(100 * minute), None);
    }

    #[tokio::test]
    async fn leads_where_its_key_says_and_for_whom() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let all = ["a", "A:80", "a:", "a:81", "b", "ab", "a:8", "a:80", "a:0080", "[::1]", "[::1]:080", "1.2.3.4:80"];
        let all = all.map(|text| Authority::parse(text.as_bytes()).unwrap());
        let all =
            all.into_iter().flat_map(|to| [None, Some(""), Some("x"), Some("xy"), Some("X")].map(|pool| (to, pool)));
        let all: Vec<_> = all.map(|(to, pool)| Asking { to, pool, peek: false, now: Duration::ZERO }).collect();
        for one in &all {
            let stream = Tcp::connect(address).await.unwrap().into();
            let kept = Kept::new(one, reached(stream, address));
            for other in &all {
                assert_eq!(kept.leads_to(other), one.key() == other.key(), "{one:?} {other:?}");
            }
        }
    }
}
