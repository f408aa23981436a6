//! What may happen to a request, and where it may go.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sluicegate_http1::{Authority, Host, Malformed};

use super::patience::{Patience, Waits};
use crate::limits::Limits;
use crate::message::edits::EditError;
use crate::message::response::Response;

/// What is to happen to a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It is sent on, and the response comes back.
    Forward(Route),
    /// It is answered here; no origin hears of it.
    Answer(Response),
    /// It breaks a rule: the client is told which, in the answer of the proxy's own that all broken rules get, and so is the log.
    Refuse(Malformed),
    /// The client's connection is reset, without a word.
    Abort,
}

impl From<Route> for Verdict {
    fn from(route: Route) -> Self {
        Self::Forward(route)
    }
}

impl From<Response> for Verdict {
    fn from(response: Response) -> Self {
        Self::Answer(response)
    }
}

/// A change that cannot be made: 431 if the head would become too large, which is the client's doing, and else
/// 500, which is the policy's.
impl From<EditError> for Verdict {
    fn from(error: EditError) -> Self {
        let status = match error {
            EditError::TooLarge(_) | EditError::TooManyFields(_) => 431,
            _ => 500,
        };
        Self::Answer(Response::new(status, format!("{status}: {error}.\n")))
    }
}

/// Where a request goes, and over whose connections.
#[derive(Debug, Clone)]
pub struct Route(Option<Box<Wanted>>);

/// What is not as most requests have it. Boxed: a route is moved a few times for each request, and most want nothing.
#[derive(Debug, Clone, Default)]
struct Wanted {
    /// None: where its target says.
    elsewhere: Option<Elsewhere>,
    /// See [`Route::pool`].
    pool: Option<Arc<str>>,
    waits: Waits,
}

/// Not where its target says.
#[derive(Debug, Clone)]
pub(crate) struct Elsewhere {
    pub(crate) origin: Origin,
    /// Path and query, or as they came.
    pub(crate) path: Option<Box<[u8]>>,
    /// The `Host` that was received, or the origin's.
    pub(crate) keeps_host: bool,
    /// Named by the operator: `Policy::address` is not asked.
    pub(crate) is_named: bool,
}

impl Route {
    /// To the host and port of its target.
    #[must_use]
    pub fn target() -> Self {
        Self(None)
    }

    /// To this origin, whatever its target says; `Host` and path stay. For CONNECT, where the tunnel leads.
    #[must_use]
    pub fn to(origin: impl Into<Origin>) -> Self {
        Self::to_elsewhere(Elsewhere { origin: origin.into(), path: None, keeps_host: true, is_named: false })
    }

    /// To this origin with this path and query, and the origin's own `Host`: what a reverse proxy does. The path
    /// starts with `/` and is sent as it is given.
    ///
    /// # Errors
    /// `BadTargetByte` for what is no path: it does not start with `/`, or holds blanks, controls, `#` or
    /// bytes over 0x7f, which would be read as something else than a path.
    pub fn reverse(origin: impl Into<Origin>, path_and_query: impl Into<Vec<u8>>) -> Result<Self, Malformed> {
        let path: Vec<u8> = path_and_query.into();
        if !path.starts_with(b"/") || !path.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
            return Err(Malformed::BadTargetByte);
        }
        let path = Some(path.into_boxed_slice());
        Ok(Self::to_elsewhere(Elsewhere { origin: origin.into(), path, keeps_host: false, is_named: false }))
    }

    fn to_elsewhere(elsewhere: Elsewhere) -> Self {
        Self(Some(Box::new(Wanted { elsewhere: Some(elsewhere), ..Wanted::default() })))
    }

    /// None: where its target says.
    pub(crate) fn elsewhere(&self) -> Option<&Elsewhere> {
        self.0.as_ref()?.elsewhere.as_ref()
    }

    /// See [`Route::pool`].
    pub(crate) fn pool_key(&self) -> Option<&str> {
        self.0.as_ref()?.pool.as_deref()
    }

    /// How long its origin is waited for, by these limits.
    pub(crate) fn patience<'a>(&'a self, limits: &'a Limits) -> Patience<'a> {
        Patience { limits, waits: self.0.as_ref().map(|wanted| &wanted.waits) }
    }

    fn elsewhere_mut(&mut self) -> Option<&mut Elsewhere> {
        self.0.as_mut()?.elsewhere.as_mut()
    }

    /// With the `Host` that the client sent, instead of the origin's.
    #[must_use]
    pub fn keep_host(mut self, keep: bool) -> Self {
        if let Some(elsewhere) = self.elsewhere_mut() {
            elsewhere.keeps_host = keep;
        }
        self
    }

    /// The origin was named by whoever runs the proxy, and by no client: `Policy::address` is not asked, so that it
    /// may be on this machine although clients may not go there. Does nothing to [`Route::target`].
    #[must_use]
    pub fn named_by_operator(mut self) -> Self {
        if let Some(elsewhere) = self.elsewhere_mut() {
            elsewhere.is_named = true;
        }
        self
    }

    /// Over a connection that is kept for requests with this key alone, whatever it is: a user, a tenant, a source address.
    /// Without one, a kept connection is found by the host and port that it leads to. A [`Connector`](crate::Connector) that
    /// chooses by more than these needs it to have its connections used by more than one client.
    #[must_use]
    pub fn pool(mut self, key: impl Into<Arc<str>>) -> Self {
        self.0.get_or_insert_default().pool = Some(key.into());
        self
    }

    /// How long the origin may take to answer, instead of [`Limits::response_timeout`]: from the end of the request to the end of
    /// the response's head. `None` is for ever, and 0 gives up at once. It has no meaning for a CONNECT.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sluicegate::{Client, Request, Route, Verdict};
    ///
    /// // Reports take their time; all else is to be quick.
    /// let policy = |request: &mut Request<'_>, _: &Client| {
    ///     let seconds = if request.path_and_query().starts_with("/reports") { 600 } else { 10 };
    ///     Verdict::Forward(Route::target().response_timeout(Duration::from_secs(seconds)))
    /// };
    /// let proxy = sluicegate::Proxy::builder().policy(policy).build()?;
    /// # Ok::<(), sluicegate::LimitError>(())
    /// ```
    #[must_use]
    pub fn response_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.0.get_or_insert_default().waits.response = Some(timeout.into());
        self
    }

    /// How long no byte of either body may move, instead of [`Limits::body_timeout`]. `None` is for ever, and 0 gives up at once. It
    /// has no meaning for a CONNECT, nor for a tunnel that a switch of protocols begins.
    #[must_use]
    pub fn body_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.0.get_or_insert_default().waits.body = Some(timeout.into());
        self
    }

    /// Whether it leads where the request's target says.
    #[must_use]
    pub fn is_target(&self) -> bool {
        self.elsewhere().is_none()
    }

    /// What two policies want: the first place that is not the target, and connections that are of both pools.
    #[inline]
    pub(crate) fn join(&mut self, other: Self) {
        let Some(other) = other.0 else { return };
        self.0 = Some(match self.0.take() {
            Some(one) => Box::new(one.and(*other)),
            None => other,
        });
    }
}

impl Wanted {
    /// See [`Route::join`].
    fn and(self, other: Self) -> Self {
        let pool = match (self.pool, other.pool) {
            // The length keeps "a", "bc" and "ab", "c" apart.
            (Some(one), Some(another)) => Some(format!("{}:{one}{another}", one.len()).into()),
            (one, another) => one.or(another),
        };
        Self { elsewhere: self.elsewhere.or(other.elsewhere), pool, waits: self.waits.and(other.waits) }
    }
}

/// A host and a port to connect to. A clone shares its text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// `host:port`, in lower case, with IPv6 in brackets.
    text: Arc<str>,
    ip: Option<IpAddr>,
    port: u16,
}

/// What is no `host:port`: the text, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid origin: {1}")]
pub struct OriginError(pub String, pub Malformed);

impl Origin {
    /// The host: a name in lower case, or an address, IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.text.rsplit_once(':').map_or(&*self.text, |(host, _)| host)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn authority(&self) -> Authority<'_> {
        let host = match self.ip {
            Some(IpAddr::V4(ip)) => Host::V4(ip),
            Some(IpAddr::V6(ip)) => Host::V6(ip),
            None => Host::Name(self.host()),
        };
        // Shown as in a URL of the scheme http: the port unless it is 80.
        let text = if self.port == 80 { self.host() } else { &self.text };
        Authority { text, host, port: (self.port != 80).then_some(self.port) }
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    /// Reads `host`, `host:port` or an address, IPv6 in brackets. Without a port it is 80.
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let authority = Authority::parse(text.as_bytes()).map_err(|why| OriginError(text.to_owned(), why))?;
        let (host, port) = (authority.host, authority.port.unwrap_or(80));
        let ip = match host {
            Host::V4(ip) => Some(ip.into()),
            Host::V6(ip) => Some(ip.into()),
            Host::Name(_) => None,
        };
        Ok(Self { text: format!("{host}:{port}").to_ascii_lowercase().into(), ip, port })
    }
}

impl From<SocketAddr> for Origin {
    fn from(address: SocketAddr) -> Self {
        let (ip, port) = (address.ip(), address.port());
        // Without a zone, which no target can carry either.
        let text = SocketAddr::new(ip, port).to_string().into();
        Self { text, ip: Some(ip), port }
    }
}

impl TryFrom<&str> for Origin {
    type Error = OriginError;

    fn try_from(text: &str) -> Result<Self, OriginError> {
        text.parse()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_and_shown() {
        for (text, full, shown) in [
            ("Example.COM", "example.com:80", "example.com"),
            ("example.com:80", "example.com:80", "example.com"),
            ("10.0.0.1:8080", "10.0.0.1:8080", "10.0.0.1:8080"),
            ("[::1]", "[::1]:80", "[::1]"),
            ("[::1]:81", "[::1]:81", "[::1]:81"),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!((origin.to_string().as_str(), origin.authority().text), (full, shown));
        }
        for text in ["", ":80", "a b", "http://a", "a:0", "a/b", "u@a"] {
            assert!(
                text.parse::<Origin>()
                    .unwrap_err()
                    .to_string()
                    .starts_with(&format!("{text:?} is not a valid origin: "))
            );
        }
        let address: SocketAddr = "[fe80::1%2]:80".parse().unwrap();
        assert_eq!(Origin::from(address).to_string(), "[fe80::1]:80");
    }

    #[test]
    fn a_path_is_nothing_but_a_path() {
        let origin: Origin = "h".parse().unwrap();
        for bad in ["", "a", "/a b", "/a\r\nX: y", "/a#b", "/\u{e9}", "http://h/"] {
            assert!(Route::reverse(origin.clone(), bad).is_err(), "{bad:?}");
        }
        assert!(Route::reverse(origin, "/a?b=%20").is_ok_and(|route| !route.is_target()));
    }
}
