//! What this proxy decides and writes down, each as a policy of its own: who may use it, where they may go, whether it is
//! a reverse proxy, and the access log.

mod judge;

use std::net::SocketAddr;
use std::sync::Arc;

use sluicegate::{Client, Fault, Policy, Record, Reverse};

use judge::Judge;

use crate::access_log::AccessLog;
use crate::config::Config;
use crate::egress::Logins;
use crate::rules::Rules;

/// The log stands first: whatever the others decide, it is told.
pub(crate) type Policies = (Option<Log>, Clients, (Option<Destinations>, Option<Judge>), Option<Reverse>);

/// The proxy of one worker.
pub(crate) type Proxy = sluicegate::Proxy<Policies>;

/// All of it.
///
/// # Errors
/// The kernel gives no random bytes, which remembering passwords takes.
pub(crate) fn policies(config: &Config, log: Option<Arc<AccessLog>>) -> std::io::Result<Policies> {
    let rules = || Arc::clone(&config.rules);
    // Either the flags say where clients may go, or the files do.
    let logins = Arc::new(Logins::new()?);
    let judge = config.egress.as_ref().map(|egress| Judge {
        logins,
        egress: Arc::clone(egress),
        addresses: rules(),
        is_reverse: config.reverse.is_some(),
        is_logged: log.is_some(),
    });
    let destinations = if judge.is_none() { Some(Destinations(rules())) } else { None };
    Ok((log.map(Log), Clients(rules()), (destinations, judge), config.reverse.clone()))
}

/// `--access-log`, or lines on the terminal.
pub(crate) struct Log(Arc<AccessLog>);

impl Policy for Log {
    fn ended(&self, record: &Record<'_>) {
        self.0.write(record);
    }

    fn refused(&self, record: &Record<'_>) {
        self.0.write(record);
    }
}

/// `--allow-client`.
pub(crate) struct Clients(Arc<Rules>);

impl Policy for Clients {
    fn accept(&self, client: &Client) -> bool {
        let admitted = self.0.admits(client.address.ip());
        if !admitted {
            tracing::info!(client = %client.address, "turned away: it is not in --allow-client");
        }
        admitted
    }

    fn records(&self) -> bool {
        false
    }
}

/// `--allow-destination`, `--deny-destination`, `--guard`.
pub(crate) struct Destinations(Arc<Rules>);

impl Policy for Destinations {
    fn address(&self, client: &Client, address: SocketAddr) -> Result<(), Fault> {
        self.0.permits(client, address.ip())
    }

    fn records(&self) -> bool {
        false
    }
}
