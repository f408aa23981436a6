//! Names to addresses, cancellable. The cache is our own and bounded in bytes: what a foreign name
//! server says is cut to [`MOST`] addresses before it is kept (the resolver's own cache counts
//! answers, and one answer can be a megabyte). The machine's configuration is read again when it
//! has changed.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{ResolverBuilder, TokioResolver};

use crate::record::Fault;

/// How long the other family is waited for once one has answered (RFC 8305 §3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// Addresses that came within the resolution delay, and the look-up that did not.
pub(crate) struct Found {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) later: Option<Later>,
}

type Looking = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, NetError>> + Send>>;

/// The slower family's look-up.
pub(crate) type Later = Pin<Box<dyn Future<Output = Vec<IpAddr>> + Send>>;

/// More addresses of one family are of no use to anyone.
const MOST: usize = 16;
/// Names kept, per family: at most 1,024 × (253 + 16 × 17) bytes, half a megabyte.
const NAMES: usize = 1024;
/// No answer is kept longer, whatever its TTL says.
const LONGEST: Duration = Duration::from_secs(3600);

/// One worker's resolver, made at the first look-up, on the worker's own runtime.
#[derive(Default)]
pub(crate) struct Resolver {
    system: Mutex<Option<System>>,
    cache: Arc<Mutex<HashMap<(String, RecordType), Answer>>>,
}

/// The machine's configuration, as of a time.
struct System {
    resolver: TokioResolver,
    read: [Option<SystemTime>; 2],
    checked: Instant,
}

struct Answer {
    addresses: Vec<IpAddr>,
    until: Instant,
}

impl Resolver {
    /// The resolver for the machine's present configuration; looked at once a second at most.
    fn system(&self) -> Result<TokioResolver, String> {
        let system = &mut *self.system.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(system) = system {
            if system.checked.elapsed() < Duration::from_secs(1) {
                return Ok(system.resolver.clone());
            }
            system.checked = Instant::now();
            if system.read == changed() {
                return Ok(system.resolver.clone());
            }
            self.cache.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let (read, resolver) = (changed(), system_resolver()?);
        *system = Some(System { resolver: resolver.clone(), read, checked: Instant::now() });
        Ok(resolver)
    }

    /// The look-up of one family, from the cache if it is there.
    fn family(&self, resolver: &TokioResolver, name: &str, family: RecordType) -> Looking {
        let (key, cache) = ((name.to_ascii_lowercase(), family), Arc::clone(&self.cache));
        if let Some(known) = cache.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
            && known.until > Instant::now()
        {
            let addresses = known.addresses.clone();
            return Box::pin(async { Ok(addresses) });
        }
        let resolver = resolver.clone();
        Box::pin(async move {
            let answer = ask(&resolver, &key.0, family).await?;
            let addresses = answer.addresses.clone();
            remember(&cache, key, answer);
            Ok(addresses)
        })
    }

    /// Both families of `name` at once; what comes first, RFC 8305's way.
    pub(crate) async fn lookup(&self, name: &str) -> Result<Found, Fault> {
        let resolver = self.system().map_err(|why| Fault::Dns(name.to_owned(), why))?;
        let mut v6 = self.family(&resolver, name, RecordType::AAAA);
        let mut v4 = self.family(&resolver, name, RecordType::A);
        let (first, mut other) = tokio::select! { biased;
            first = &mut v6 => (first, v4),
            first = &mut v4 => (first, v6),
        };
        let wait = async {
            // Only a family that has addresses is worth hurrying for.
            match &first {
                Ok(found) if !found.is_empty() => tokio::time::sleep(RESOLUTION_DELAY).await,
                _ => std::future::pending().await,
            }
        };
        let second = tokio::select! { biased;
            second = &mut other => Some(second),
            () = pin!(wait) => None,
        };
        match second {
            None => {
                let later = Box::pin(async { other.await.unwrap_or_default() });
                Ok(Found { addresses: first.unwrap_or_default(), later: Some(later) })
            }
            Some(second) => both(name, first, second),
        }
    }
}

fn both(
    name: &str,
    first: Result<Vec<IpAddr>, NetError>,
    second: Result<Vec<IpAddr>, NetError>,
) -> Result<Found, Fault> {
    let addresses = match (first, second) {
        (Ok(mut first), Ok(second)) => {
            first.extend(second);
            first
        }
        (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => found,
        (Ok(_), Err(error)) | (Err(error), _) => return Err(failed(name, &error)),
    };
    if addresses.is_empty() {
        return Err(Fault::NoSuchName(name.to_owned()));
    }
    Ok(Found { addresses, later: None })
}

fn failed(name: &str, error: &NetError) -> Fault {
    match error {
        NetError::Timeout => Fault::DnsTimeout(name.to_owned()),
        other => Fault::Dns(name.to_owned(), other.to_string()),
    }
}

/// The addresses of one family. That there are none is an answer, not an error; it is not kept.
async fn ask(resolver: &TokioResolver, name: &str, family: RecordType) -> Result<Answer, NetError> {
    match resolver.lookup(name, family).await {
        Ok(lookup) => {
            let found = lookup.answers().iter().filter_map(|record| address(&record.data));
            let longest = Instant::now().checked_add(LONGEST).unwrap_or_else(Instant::now);
            Ok(Answer { addresses: found.take(MOST).collect(), until: lookup.valid_until().min(longest) })
        }
        Err(error) if error.is_no_records_found() || error.is_nx_domain() => {
            Ok(Answer { addresses: Vec::new(), until: Instant::now() })
        }
        Err(error) => Err(error),
    }
}

/// Keeps an answer; when there are too many, those that are out of date go, else all.
fn remember(cache: &Mutex<HashMap<(String, RecordType), Answer>>, key: (String, RecordType), answer: Answer) {
    let now = Instant::now();
    if answer.addresses.is_empty() || answer.until <= now {
        return;
    }
    let cache = &mut *cache.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= NAMES {
        cache.retain(|_, kept| kept.until > now);
    }
    if cache.len() >= NAMES {
        cache.clear();
    }
    cache.insert(key, answer);
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(ip) => Some(IpAddr::V4(ip.0)),
        RData::AAAA(ip) => Some(IpAddr::V6(ip.0)),
        _ => None,
    }
}

/// When the files that the resolver is made from have last changed.
fn changed() -> [Option<SystemTime>; 2] {
    ["/etc/resolv.conf", "/etc/hosts"].map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn system_resolver() -> Result<TokioResolver, String> {
    // Without a resolv.conf only the hosts file can be asked; never somebody's public servers.
    let mut builder: ResolverBuilder<_> = TokioResolver::builder_tokio().unwrap_or_else(|_| {
        TokioResolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default())
    });
    builder.options_mut().cache_size = 0;
    builder.build().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_forgets() {
        let cache = Mutex::default();
        let answer = |lives: u64| Answer {
            addresses: vec![IpAddr::from([127, 0, 0, 1])],
            until: Instant::now() + Duration::from_secs(lives),
        };
        remember(&cache, ("none".to_owned(), RecordType::A), Answer { addresses: Vec::new(), ..answer(60) });
        assert!(cache.lock().unwrap().is_empty());
        for n in 0..3 * NAMES {
            remember(&cache, (n.to_string(), RecordType::A), answer(60));
            assert!(cache.lock().unwrap().len() <= NAMES);
        }
        assert!(cache.lock().unwrap().contains_key(&((3 * NAMES - 1).to_string(), RecordType::A)));
    }
}
