//! How a connection to an origin is made, for those who want to make it themselves.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;

use sluicegate_http1::Host;

use super::dial::{Gate, failed};
use super::{Lending, Reached, Resolver, directly};
use crate::limits::Limits;
use crate::record::{Client, Fault};
use crate::transport::{Duplex, Socket, Tcp, Upstream};

/// Makes the connections to origins, instead of looking names up and dialling: through a parent proxy, in TLS, to an origin
/// in the same process.
///
/// It is asked when no kept connection leads where a request goes, which those of other clients do not ([`Connected`]). What it does has
/// [`Limits::connect_timeout`] in all, and is dropped when the client goes: it must be cancel-safe.
///
/// ```
/// use sluicegate::{Connected, Connecting, Connector, Dial, Fault};
/// use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
/// use tokio::net::TcpStream;
///
/// /// Everything goes through a tunnel of another proxy.
/// struct Parent(&'static str);
///
/// impl Connector for Parent {
///     fn connect<'a>(&'a self, dial: Dial<'a>) -> Connecting<'a> {
///         Box::pin(async move {
///             let failed = |error: std::io::Error| Fault::Connect(self.0.to_owned(), error.to_string());
///             let mut parent = BufStream::new(TcpStream::connect(self.0).await.map_err(failed)?);
///             let ask = format!("CONNECT {dial} HTTP/1.1\r\nHost: {dial}\r\n\r\n");
///             parent.write_all(ask.as_bytes()).await.map_err(failed)?;
///             parent.flush().await.map_err(failed)?;
///             // What comes from outside has a bound: a head of 8 KiB, or it has ended too early.
///             let (mut head, mut answer) = ((&mut parent).take(8 * 1024), String::new());
///             while !answer.ends_with("\r\n\r\n") {
///                 if head.read_line(&mut answer).await.map_err(failed)? == 0 {
///                     return Err(Fault::Connect(self.0.to_owned(), "its answer is too long, or was cut short".to_owned()));
///                 }
///             }
///             if !answer.starts_with("HTTP/1.1 200 ") {
///                 return Err(Fault::Connect(self.0.to_owned(), answer.lines().next().unwrap_or_default().to_owned()));
///             }
///             // The parent is the operator's, and the parent's rules decide about the origin.
///             Ok(Connected::named_by_operator(parent, None))
///         })
///     }
/// }
///
/// let proxy = sluicegate::Proxy::builder().connector(Parent("10.0.0.1:3128")).build()?;
/// # Ok::<(), sluicegate::LimitError>(())
/// ```
pub trait Connector: Send + Sync + 'static {
    /// Connects to what `dial` says. Each address that a client's request led to has to pass [`Dial::check`],
    /// whose result is needed for [`Connected::checked`].
    ///
    /// # Errors
    /// What the client is told, and the log.
    fn connect<'a>(&'a self, dial: Dial<'a>) -> Connecting<'a>;
}

/// What [`Connector::connect`] returns.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Connected, Fault>> + Send + 'a>>;

/// Where a connection is to lead, and the rules about it. It is shown as `host:port`.
#[derive(Clone, Copy)]
pub struct Dial<'a> {
    pub(crate) host: Host<'a>,
    pub(crate) port: u16,
    pub(crate) client: &'a Client,
    pub(crate) pool: Option<&'a str>,
    pub(crate) gate: &'a (dyn Gate + Send + Sync),
    pub(crate) resolver: &'a Resolver,
    pub(crate) limits: &'a Limits,
}

impl Dial<'_> {
    /// Who asks. The connection may serve others later, if [`Connected::shared`] or a [pool](Dial::pool) says so.
    #[must_use]
    pub fn client(&self) -> &Client {
        self.client
    }

    /// Whose connection it becomes: what the policy gave [`Route::pool`](crate::Route::pool).
    #[must_use]
    pub fn pool(&self) -> Option<&str> {
        self.pool
    }

    /// The host: a name in the client's case, or an address.
    #[must_use]
    pub fn host(&self) -> Host<'_> {
        self.host
    }

    /// The port, 1 to 65535.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Asks the policy and the proxy's own rules about an address, before it is dialled.
    ///
    /// # Errors
    /// What the client is told if no other address is left.
    pub fn check(&self, address: SocketAddr) -> Result<CheckedAddress, Fault> {
        self.gate.check(address).map(|()| CheckedAddress(address))
    }

    /// What a connection attempt of one's own that failed is to be called: who refused, what took too long; or that this
    /// process or machine has no more descriptors, ports or memory, which is told as its own shortage (503) and no origin's.
    #[must_use]
    pub fn failed(&self, error: &std::io::Error) -> Fault {
        failed(error, None, &self.to_string())
    }

    /// What the proxy does without a connector: looks the name up, and races its addresses (RFC 8305).
    ///
    /// # Errors
    /// What the client is told.
    pub async fn directly(&self) -> Result<Connected, Fault> {
        let Reached { stream, address, is_by_name, .. } =
            directly(self.host, self.port, self.resolver, self.gate, self.limits).await?;
        Ok(Connected { stream, address, lending: None, is_by_name })
    }
}

impl fmt::Display for Dial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Dial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dial({self})")
    }
}

/// An address that a client may be connected to: made by [`Dial::check`] only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedAddress(SocketAddr);

impl CheckedAddress {
    /// The address.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        self.0
    }
}

/// A connection to an origin.
///
/// If it can be kept, it serves the further requests of its client to the same host and port, and nobody else: by what it was
/// chosen (a user, a source address, a parent that was alive), only the [`Connector`] knows. With a
/// [pool](crate::Route::pool) it serves whoever has the same. [`Connected::shared`] and [`Connected::once`] say otherwise.
#[derive(Debug)]
pub struct Connected {
    pub(super) stream: Upstream,
    pub(super) address: Option<SocketAddr>,
    pub(super) lending: Option<Lending>,
    /// See [`Reached::is_by_name`].
    pub(super) is_by_name: bool,
}

impl Connected {
    /// A socket that is connected to an address that was checked. It is kept for further requests.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn tcp(stream: tokio::net::TcpStream, to: CheckedAddress) -> std::io::Result<Self> {
        Ok(Self { stream: Tcp::new(stream)?.into(), address: Some(to.0), lending: None, is_by_name: false })
    }

    /// A stream of any kind that leads to an address that was checked.
    pub fn checked(stream: impl Duplex + 'static, to: CheckedAddress) -> Self {
        Self { stream: Upstream::stream(stream), address: Some(to.0), lending: None, is_by_name: false }
    }

    /// A stream to what no client has named (a parent proxy, an origin in this process), so that no address is to be
    /// checked. `address` is what the log shows.
    pub fn named_by_operator(stream: impl Duplex + 'static, address: Option<SocketAddr>) -> Self {
        Self { stream: Upstream::stream(stream), address, lending: None, is_by_name: false }
    }

    /// The stream stands on `socket`, as one of TLS does: so it is tuned, watched and reset like a socket. A clone of it is
    /// what the TLS library was given.
    #[must_use]
    pub fn over(self, socket: Socket) -> Self {
        Self { stream: self.stream.over(socket), ..self }
    }

    /// It may serve every client's requests to the same host and port (in the same pool): it was chosen by nothing else.
    #[must_use]
    pub fn shared(self) -> Self {
        Self { lending: Some(Lending::Anyone), ..self }
    }

    /// It serves this request alone. So the next one asks the [`Connector`] again: after a failover, whether the first choice
    /// is back.
    #[must_use]
    pub fn once(self) -> Self {
        Self { lending: Some(Lending::Nobody), ..self }
    }
}
