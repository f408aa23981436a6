//! What is remembered of names: addresses for their time and, while servers fail, a little longer (RFC 8767); that there
//! is nothing, as long as the zone says (RFC 2308).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Names kept: at most 1,024 × (253 + 32 × 17) bytes, 0.8 MB.
const NAMES: usize = 1024;
/// No answer is kept longer, whatever its TTL says.
const LONGEST: Duration = Duration::from_secs(3600);
/// So long after their time addresses are better than none. RFC 8767 §5 allows days; an address that is
/// given to somebody else should not be ours for so long.
const STALE: Duration = Duration::from_secs(600);
/// What was served stale is not asked for again before this (RFC 8767 §5).
const RECHECK: Duration = Duration::from_secs(30);

/// Addresses, or that there are none.
pub(super) type Remembered = Option<Arc<[IpAddr]>>;

/// Names in lower case, as they were typed.
#[derive(Debug, Default)]
pub(super) struct Cache(HashMap<Box<str>, Entry>);

#[derive(Debug)]
struct Entry {
    found: Remembered,
    until: Instant,
    stale_until: Instant,
}

impl Cache {
    /// What is still true of `name`.
    pub(super) fn fresh(&self, name: &str, now: Instant) -> Option<Remembered> {
        self.0.get(name).filter(|entry| entry.until > now).map(|entry| entry.found.clone())
    }

    /// What was true of `name` not long ago.
    pub(super) fn stale(&self, name: &str, now: Instant) -> Option<Arc<[IpAddr]>> {
        self.0.get(name).filter(|entry| entry.stale_until > now)?.found.clone()
    }

    /// Goes on with what was true of `name` for a while, without asking.
    pub(super) fn extend(&mut self, name: &str, now: Instant) {
        if let Some(entry) = self.0.get_mut(name) {
            entry.until = later(now, RECHECK).min(entry.stale_until);
        }
    }

    /// Keeps what was found; when there are too many names, those whose time is over go, else all.
    pub(super) fn keep(&mut self, name: &str, found: Remembered, seconds: u32, now: Instant) {
        let until = later(now, Duration::from_secs(seconds.into()).min(LONGEST));
        let stale_until = if found.is_some() { later(until, STALE) } else { until };
        if seconds == 0 {
            // It is not to be kept, and what was known before is out of date.
            self.0.remove(name);
            return;
        }
        if self.0.len() >= NAMES && !self.0.contains_key(name) {
            self.0.retain(|_, entry| entry.until > now);
            if self.0.len() >= NAMES {
                self.0.clear();
            }
        }
        self.0.insert(name.into(), Entry { found, until, stale_until });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(last: u8) -> Remembered {
        Some([IpAddr::from([10, 0, 0, last])].into())
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_bounded_and_forgets() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        for n in 0..3 * NAMES {
            cache.keep(&n.to_string(), some(1), 60, now);
            assert!(cache.0.len() <= NAMES);
        }
        assert!(cache.fresh(&(3 * NAMES - 1).to_string(), now).is_some());
        cache.keep("never", some(1), 0, now);
        assert!(cache.fresh("never", now).is_none() && cache.stale("never", now).is_none());
    }

    #[test]
    fn everything_has_its_time() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.keep("a", some(1), 60, now);
        cache.keep("none", None, 30, now);
        cache.keep("long", some(1), u32::MAX, now);
        assert_eq!((cache.fresh("a", now + s(59)), cache.fresh("a", now + s(60))), (Some(some(1)), None));
        assert_eq!((cache.fresh("none", now + s(29)), cache.fresh("none", now + s(30))), (Some(None), None));
        assert!(cache.fresh("long", now + s(3601)).is_none());
        assert_eq!(cache.stale("a", now + s(659)), some(1));
        assert_eq!((cache.stale("a", now + s(660)), cache.stale("none", now + s(31))), (None, None));
        cache.extend("a", now + s(650));
        assert!(cache.fresh("a", now + s(659)).is_some() && cache.fresh("a", now + s(660)).is_none());
    }
}
