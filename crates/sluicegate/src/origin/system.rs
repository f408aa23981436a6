//! Names to addresses by the system's getaddrinfo, for those who leave out the feature `dns`. It runs on a thread of its
//! own for each look-up, and goes on when its client has gone; nothing is cached here.

use std::net::IpAddr;
use std::pin::Pin;

use crate::record::Fault;

/// All addresses at once.
pub(crate) struct Found {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) later: Option<Later>,
}

/// Here there are none.
pub(crate) type Later = Pin<Box<dyn Future<Output = Vec<IpAddr>> + Send>>;

/// More addresses are of no use to anyone.
const MOST: usize = 32;

/// Without a state.
#[derive(Default)]
pub(crate) struct Resolver {}

impl Resolver {
    pub(crate) async fn lookup(&self, name: &str) -> Result<Found, Fault> {
        let found = tokio::net::lookup_host((name, 0)).await;
        let found = found.map_err(|error| Fault::Dns(name.to_owned(), error.to_string()))?;
        let addresses: Vec<_> = found.map(|address| address.ip()).take(MOST).collect();
        if addresses.is_empty() {
            return Err(Fault::NoSuchName(name.to_owned()));
        }
        Ok(Found { addresses, later: None })
    }
}
