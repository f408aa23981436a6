//! What a proxy takes listeners and connections from.

use std::io;

use tokio::io::DuplexStream;

use super::{Listener, Stream, Tcp, Transport};
use crate::limits::Limits;

/// A socket that listens: ours, the standard library's or tokio's.
pub trait IntoListener {
    /// Takes it over.
    ///
    /// # Errors
    /// Those of the system calls.
    fn into_listener(self) -> io::Result<Listener>;
}

impl IntoListener for Listener {
    fn into_listener(self) -> io::Result<Listener> {
        Ok(self)
    }
}

impl IntoListener for std::net::TcpListener {
    fn into_listener(self) -> io::Result<Listener> {
        Listener::new(self)
    }
}

impl IntoListener for tokio::net::TcpListener {
    fn into_listener(self) -> io::Result<Listener> {
        self.into_std().and_then(Listener::new)
    }
}

/// A connected stream: a socket, or anything that is wrapped in a [`Stream`] (TLS, a Unix socket, a duplex pipe).
pub trait IntoTransport {
    /// What it becomes.
    type Transport: Transport + 'static;

    /// Takes it over, as the connection to a client; a socket of the kernel gets the sizes that `limits` asks for.
    ///
    /// # Errors
    /// Those of the system calls.
    fn into_transport(self, limits: &Limits) -> io::Result<Self::Transport>;
}

impl<T: Transport + 'static> IntoTransport for T {
    type Transport = Self;

    fn into_transport(self, limits: &Limits) -> io::Result<Self> {
        self.serve_client(limits);
        Ok(self)
    }
}

impl IntoTransport for tokio::net::TcpStream {
    type Transport = Tcp;

    fn into_transport(self, limits: &Limits) -> io::Result<Tcp> {
        Tcp::new(self)?.into_transport(limits)
    }
}

impl IntoTransport for DuplexStream {
    type Transport = Stream<Self>;

    fn into_transport(self, _limits: &Limits) -> io::Result<Stream<Self>> {
        Ok(Stream::new(self))
    }
}
