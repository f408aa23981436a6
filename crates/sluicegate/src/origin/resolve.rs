//! Names to addresses, cancellable, with a bounded cache (hickory's: 1,024 answers).

use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::time::Duration;

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

/// The slower family's look-up.
pub(crate) type Later = Pin<Box<dyn Future<Output = Vec<IpAddr>> + Send>>;

/// Made at the first look-up, on the worker's own runtime.
#[derive(Default)]
pub(crate) struct Resolver(OnceLock<Result<TokioResolver, String>>);

impl Resolver {
    /// Both families of `name` at once; what comes first, RFC 8305's way.
    pub(crate) async fn lookup(&self, name: &str) -> Result<Found, Fault> {
        let resolver = self.0.get_or_init(system_resolver).as_ref();
        let resolver = resolver.map_err(|why| Fault::Dns(name.to_owned(), why.clone()))?;
        let mut v6: Pin<Box<dyn Future<Output = _> + Send>> =
            Box::pin(addresses(resolver.clone(), name.to_owned(), RecordType::AAAA));
        let mut v4: Pin<Box<dyn Future<Output = _> + Send>> =
            Box::pin(addresses(resolver.clone(), name.to_owned(), RecordType::A));
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

/// The addresses of one family. That there are none is an answer, not an error.
async fn addresses(resolver: TokioResolver, name: String, family: RecordType) -> Result<Vec<IpAddr>, NetError> {
    match resolver.lookup(name, family).await {
        Ok(lookup) => Ok(lookup.answers().iter().filter_map(|record| address(&record.data)).collect()),
        Err(error) if error.is_no_records_found() || error.is_nx_domain() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(ip) => Some(IpAddr::V4(ip.0)),
        RData::AAAA(ip) => Some(IpAddr::V6(ip.0)),
        _ => None,
    }
}

fn system_resolver() -> Result<TokioResolver, String> {
    // Without a resolv.conf only the hosts file can be asked; never somebody's public servers.
    let builder: ResolverBuilder<_> = TokioResolver::builder_tokio().unwrap_or_else(|_| {
        TokioResolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default())
    });
    builder.build().map_err(|e| e.to_string())
}
