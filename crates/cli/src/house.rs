//! The policy of this proxy: its rules, and its access log.

use std::net::SocketAddr;
use std::sync::Arc;

use sluicegate::{Client, Policy, Record};

use crate::access_log::AccessLog;
use crate::rules::Rules;

/// Rules and log, as the library asks for them.
pub(crate) struct House {
    pub(crate) rules: Arc<Rules>,
    pub(crate) log: Option<Arc<AccessLog>>,
}

impl Policy for House {
    fn accept(&self, client: &Client) -> bool {
        let admitted = self.rules.admits(client.address.ip());
        if !admitted {
            tracing::info!(client = %client.address, "turned away: it is not in --allow-client");
        }
        admitted
    }

    fn address(&self, client: &Client, address: SocketAddr) -> Result<(), String> {
        self.rules.permits(client, address.ip())
    }

    fn records(&self) -> bool {
        self.log.is_some()
    }

    fn ended(&self, record: &Record<'_>) {
        if let Some(log) = &self.log {
            log.write(record);
        }
    }
}
