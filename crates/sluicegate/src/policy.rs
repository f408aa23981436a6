//! The trait that decides, and is told how it went.

use std::net::SocketAddr;

use crate::record::{Client, Record};

/// Rules and observers of a proxy. Every method has a default that allows all and does nothing.
pub trait Policy: Send + Sync + 'static {
    /// Whether `client` may use this proxy; asked once, when it is accepted.
    fn accept(&self, _client: &Client) -> bool {
        true
    }

    /// Whether `client` may reach `address`: asked for each resolved address before it is
    /// dialled, and of each kept connection before it is lent, so that no name, no redirect and
    /// nobody else's connection leads around it. It runs on the connection's own task, under a
    /// lock of the worker: it must be quick and must not wait.
    ///
    /// # Errors
    /// The sentence that the user is shown, with 403.
    fn address(&self, _client: &Client, _address: SocketAddr) -> Result<(), String> {
        Ok(())
    }

    /// Whether [`Policy::ended`] wants to be called; if not, no clock is read for it.
    fn records(&self) -> bool {
        false
    }

    /// Called once for each exchange and tunnel, when it is over, also when it was aborted. It
    /// runs on the connection's own task: it must not block.
    fn ended(&self, _record: &Record<'_>) {}
}

/// Allows everything, records nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Policy for AllowAll {}
