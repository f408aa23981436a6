//! A look-up that is told step by step, for who wants to know why a name leads where it leads.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::candidates::Candidates;
use super::search::{Journal, Search, Step};
use super::{Machine, fault, is_localhost};
use crate::limits::Names;
use crate::origin::dial::interleave;
use crate::record::Fault;

/// A look-up as it went. See [`resolve`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Lookup {
    /// Who knew, or was asked.
    pub source: Source,
    /// The names that are asked for, in this order, until one has an address. Empty if nobody is asked.
    pub candidates: Vec<String>,
    /// The name servers, in the order in which they are asked. Empty if nobody is asked.
    pub servers: Vec<SocketAddr>,
    /// What was asked, and what came.
    pub questions: Vec<Question>,
    /// The addresses in the order in which they are tried; or what a client would be told.
    pub found: Result<Vec<IpAddr>, Fault>,
}

/// Who knows where a name leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// Nobody is asked: names under localhost are this machine (RFC 6761 §6.3).
    Localhost,
    /// The file /etc/hosts.
    Hosts,
    /// The name servers.
    Servers,
}

/// A question to a name server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Question {
    /// The name that was asked for.
    pub name: String,
    /// `A` or `AAAA`.
    pub family: &'static str,
    /// Who was asked.
    pub server: SocketAddr,
    /// What came, in words.
    pub said: String,
    /// How long that took; both families are asked at once.
    pub took: Duration,
}

/// Looks `name` up as a proxy with such settings does, and tells how that went. Nothing is remembered of it, and both
/// families are waited for.
pub async fn resolve(name: &str, names: &Names) -> Lookup {
    explain(&Machine::new(names), name, names).await
}

pub(super) async fn explain(machine: &Machine, name: &str, names: &Names) -> Lookup {
    let key = name.to_ascii_lowercase();
    let known = machine.files.lock().unwrap_or_else(PoisonError::into_inner).known().cloned();
    let in_order = |addresses| Ok(interleave(addresses, names.prefer));
    let nobody = |source, found| Lookup { source, candidates: vec![], servers: vec![], questions: vec![], found };
    let known = match known {
        Ok(known) => known,
        Err(_) => return nobody(Source::Hosts, Err(Fault::Capacity)),
    };
    if let Some(addresses) = known.hosts.get(&key) {
        return nobody(Source::Hosts, in_order(addresses.to_vec()));
    }
    if is_localhost(&key) {
        let loopback = [std::net::Ipv4Addr::LOCALHOST.into(), std::net::Ipv6Addr::LOCALHOST.into()];
        return nobody(Source::Localhost, in_order(loopback.to_vec()));
    }
    let Candidates { first, searched, last } = Candidates::of(&key, &known.conf);
    let candidates = first.into_iter().chain(searched).chain(last).collect();
    let (servers, journal) = (known.conf.servers.clone(), Journal::default());
    let search = Search { conf: known.conf, first: 0, journal: Some(Arc::clone(&journal)) };
    let found = search.run_out(&key).await.map_err(|failure| fault(name, failure)).and_then(in_order);
    let steps = std::mem::take(&mut *journal.lock().unwrap_or_else(PoisonError::into_inner));
    Lookup { source: Source::Servers, candidates, servers, questions: steps.into_iter().map(question).collect(), found }
}

fn question(Step { name, family, server, said, took }: Step) -> Question {
    Question { name, family: family.into(), server, said, took }
}
