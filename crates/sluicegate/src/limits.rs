//! Every size and every deadline, checked when the proxy is made.

mod setters;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use sluicegate_http1::HeadLimits;
use sluicegate_http1::fields::is_token;

/// What a client's FIN means while its exchange runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ClientFin {
    /// The client has gone: the origin's work is cancelled at once.
    #[default]
    Abort,
    /// The client still waits for its answer (`printf … | nc`): only a reset says that it has gone.
    Allow,
}

/// Whom to ask for the addresses of a name, and which of them to try first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Names {
    /// Name servers, asked in this order instead of those of `/etc/resolv.conf`; empty, the default: those. Of the feature `dns`.
    pub servers: Vec<SocketAddr>,
    /// How long the first of them may take to answer before the next is asked. `None`, the default: as resolv.conf says, or 5 s.
    /// Of the feature `dns`.
    pub timeout: Option<Duration>,
    /// The family that is dialled first.
    pub prefer: Family,
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Family {
    /// Four bytes.
    Ipv4,
    /// Sixteen bytes.
    #[default]
    Ipv6,
}

/// Sizes in bytes and deadlines; `None` as a deadline means "never".
///
/// Checked by [`Limits::check`], which `Builder::build` calls. Each field has a setter of its name, too.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes taken from a client and not yet passed on, heads apart. Default 16 KiB.
    pub client_buffer: usize,
    /// Bytes taken from an origin and not yet passed on, heads apart. Default 16 KiB.
    pub origin_buffer: usize,
    /// A request's line and fields. Default 16,384 bytes, 500 fields.
    pub head: HeadLimits,
    /// A response's status line and fields. Default 64 KiB, as Squid's, because origins send such (cookies, policies of
    /// content), and 500 fields. What is over 16 KiB is no part of the bound, and taken when it comes
    /// ([`Limits::larger_head`]).
    pub response_head: HeadLimits,
    /// Bytes for all connections at once, over all workers: each that is not idle reserves its
    /// whole bound, and waits for it; a tunnel in which nothing is on its way gives it back meanwhile. Default `None`: `max_connections` times the bound.
    pub max_memory: Option<usize>,
    /// How long a request waits for `max_memory` before it is answered with 503. Default 1 s.
    pub memory_timeout: Duration,
    /// Bytes of all pipes of the kernel together that long bodies may move through (Linux; 256 KiB
    /// each). They are part of `max_memory`, and no more than a quarter of it; 0: none. Default 16 MiB.
    pub splice_memory: usize,
    /// Bytes that the kernel takes for a peer beyond what is on its way (`TCP_NOTSENT_LOWAT`); Linux
    /// only. Default 64 KiB (docs/memory.md).
    pub max_unsent: Option<u32>,
    /// Sizes of the kernel's buffers.
    pub sockets: SocketBuffers,
    /// How names are looked up.
    pub names: Names,
    /// How long a peer may be silent before TCP asks whether it is still there: three times within as long again, and then its
    /// connection has ended. Clients, origins and tunnels. At least 1 s, or `None`: never. Default 30 s.
    pub tcp_keepalive: Option<Duration>,
    /// How long what was sent to an origin may stay unacknowledged (`TCP_USER_TIMEOUT`, Linux), before its connection has
    /// ended. Not in tunnels, nor while a body of more than 16 KiB is sent, nor for clients: Linux counts the time for
    /// which a peer that is there does not read, and for them the other deadlines say how long that may be. `None`: what the kernel
    /// thinks right, about 15 min. Default 60 s, which is when `tcp_keepalive` gives a silent peer up.
    pub tcp_user_timeout: Option<Duration>,
    /// Client connections at once, over all listeners. Beyond them the one that has been quiet for longest gives way to a
    /// new one; while none is quiet, new ones wait in the kernel's queue. Default 10,000.
    pub max_connections: usize,
    /// Client connections of one address at once, or of one /64 of IPv6, over all listeners; more get 429 and are closed. Default
    /// `None`: many users may share an address.
    pub max_connections_per_client: Option<usize>,
    /// Idle connections kept per worker, over all origins. Default 512.
    pub max_idle_origins: usize,
    /// Protocols beside `websocket` that an `Upgrade` is passed on for, as `tcp` (attach and exec of Docker) or `SPDY/3.1`
    /// (of Kubernetes), in any case. What follows a switch is a tunnel that no rule sees into; so HTTP itself (`h2c`) is
    /// refused here. Default: none.
    pub upgrades: Vec<String>,
    /// What a client's FIN means in mid-exchange. Default [`ClientFin::Abort`].
    pub client_fin: ClientFin,
    /// From a request's first byte to the end of its head. Default 30 s.
    pub head_timeout: Option<Duration>,
    /// A client connection without a request. Default 60 s.
    pub idle_timeout: Option<Duration>,
    /// An origin connection without a request. Default 30 s.
    pub origin_idle_timeout: Duration,
    /// A policy that decides about a request (`Policy::admit`). Default 5 min.
    pub policy_timeout: Option<Duration>,
    /// Looking up and dialling, all addresses together. Default 10 s.
    pub connect_timeout: Option<Duration>,
    /// From the end of the request to the end of the response's head; a 102 or
    /// 103 begins it anew, at most a hundred times. Default 5 min.
    pub response_timeout: Option<Duration>,
    /// No body byte in either direction. Default 5 min.
    pub body_timeout: Option<Duration>,
    /// No byte in either direction of a tunnel. Default 1 h.
    pub tunnel_idle_timeout: Option<Duration>,
    /// The same once one side has ended. Default 5 min. If that was the client, the origin has no longer than
    /// `abort_timeout`, unless `client_fin` is [`ClientFin::Allow`].
    pub half_closed_timeout: Option<Duration>,
    /// How long a client that still sends is read after the last answer. Default 5 s.
    pub linger_timeout: Duration,
    /// How much of it. Default 1 MiB.
    pub linger_bytes: u64,
    /// A connection that was shut down and does not end is reset. Default 15 s.
    pub abort_timeout: Option<Duration>,
    /// How an answer that tells a client which setting was too small spells the field's name (`head.bytes`). Default: as it is
    /// here; a program that has a flag for it says the flag. It goes into a response: it must be ASCII, and on one line.
    pub setting_name: fn(&'static str) -> Cow<'static, str>,
}

/// `SO_SNDBUF` and `SO_RCVBUF` in bytes (Linux doubles them); `None`, the default, leaves them to the kernel, which
/// grows them with the connection's speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SocketBuffers {
    /// To clients.
    pub client_send: Option<usize>,
    /// From clients.
    pub client_receive: Option<usize>,
    /// To origins.
    pub origin_send: Option<usize>,
    /// From origins. `None`: 128 KiB for those on this machine and those that accept a connection within a millisecond; behind
    /// a firewall that accepts in their name (a SYN proxy) that is all of them, and a size should be set.
    pub origin_receive: Option<usize>,
}

/// What one connection holds at most, in bytes, and its parts. The promise of this proxy: taken
/// minus given minus dropped never exceeds it, whatever client and origin do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bound {
    /// Taken from the client, and pipelined behind.
    pub client_buffer: usize,
    /// Taken from the origin.
    pub origin_buffer: usize,
    /// The request's head as it came, as it leaves, and its trailers.
    pub request_heads: usize,
    /// The same of the response.
    pub response_heads: usize,
    /// Where the fields of both heads and their trailers stand: 44 bytes each.
    pub fields: usize,
}

impl Bound {
    /// The sum.
    #[must_use]
    pub fn total(&self) -> usize {
        let parts = [self.client_buffer, self.origin_buffer, self.request_heads, self.response_heads, self.fields];
        parts.into_iter().fold(0, usize::saturating_add)
    }
}

impl Default for Limits {
    fn default() -> Self {
        const fn s(seconds: u64) -> Option<Duration> {
            Some(Duration::from_secs(seconds))
        }
        Self {
            client_buffer: 16 * 1024,
            origin_buffer: 16 * 1024,
            head: HeadLimits::default(),
            response_head: HeadLimits { bytes: 64 * 1024, ..HeadLimits::default() },
            max_memory: None,
            memory_timeout: Duration::from_secs(1),
            splice_memory: 16 << 20,
            max_unsent: Some(64 * 1024),
            sockets: SocketBuffers::default(),
            names: Names::default(),
            tcp_keepalive: s(30),
            tcp_user_timeout: s(60),
            max_connections: 10_000,
            max_connections_per_client: None,
            max_idle_origins: 512,
            upgrades: Vec::new(),
            client_fin: ClientFin::default(),
            head_timeout: s(30),
            idle_timeout: s(60),
            origin_idle_timeout: Duration::from_secs(30),
            policy_timeout: s(300),
            connect_timeout: s(10),
            response_timeout: s(300),
            body_timeout: s(300),
            tunnel_idle_timeout: s(3600),
            half_closed_timeout: s(300),
            linger_timeout: Duration::from_secs(5),
            linger_bytes: 1 << 20,
            abort_timeout: s(15),
            setting_name: Cow::Borrowed,
        }
    }
}

/// A setting out of its bounds: which, what it was, what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}; it must be {rule}")]
#[non_exhaustive]
pub struct LimitError {
    /// The field of [`Limits`], as `head_timeout` or `head.bytes`; or `name` of a [`Builder`](crate::Builder).
    pub name: &'static str,
    /// What it was set to.
    pub value: String,
    /// What would be right.
    pub rule: &'static str,
}

/// A response's head of this size is part of every connection's bound.
const HEAD_SHARE: usize = 16 * 1024;

/// What we add to a head at most: a Host of 253 bytes, Via, Date and the fields of this connection.
pub(crate) const ADDED_TO_HEADS: usize = 512;

/// No buffer may be larger: offsets and the kernel's own limits stay far away.
pub const MAX_BUFFER: usize = 64 << 20;

/// What one pipe of the kernel takes, in bytes.
pub const PIPE_SIZE: usize = 256 * 1024;

/// What is asked of the kernel for one kind of socket.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tuning {
    pub(crate) unsent: Option<u32>,
    pub(crate) send: Option<usize>,
    pub(crate) receive: Option<usize>,
    pub(crate) keepalive: Option<Duration>,
    pub(crate) user_timeout: Option<Duration>,
}

impl Limits {
    pub(crate) fn to_clients(&self) -> Tuning {
        let SocketBuffers { client_send: send, client_receive: receive, .. } = self.sockets;
        Tuning { unsent: self.max_unsent, send, receive, keepalive: self.tcp_keepalive, user_timeout: None }
    }

    pub(crate) fn to_origins(&self) -> Tuning {
        let SocketBuffers { origin_send: send, origin_receive: receive, .. } = self.sockets;
        let Self { max_unsent: unsent, tcp_keepalive: keepalive, tcp_user_timeout: user_timeout, .. } = *self;
        Tuning { unsent, send, receive, keepalive, user_timeout }
    }

    /// What all pipes together may hold, in bytes.
    #[must_use]
    pub fn splice_bound(&self) -> usize {
        let spare = |total: usize| (total / 4).min(total.saturating_sub(self.bound().total()));
        let most = self.splice_memory.min(self.max_memory.map_or(usize::MAX, spare));
        most.saturating_sub(most % PIPE_SIZE)
    }

    /// What one connection holds at most, but for what is in pipes ([`Limits::splice_bound`]).
    #[must_use]
    pub fn bound(&self) -> Bound {
        // As it came, as it leaves (a space and a CR more per field, and what we add), trailers of half its size.
        let heads = |of: HeadLimits| {
            let twice = of.bytes.saturating_mul(2).saturating_add(of.bytes / 2);
            twice.saturating_add(of.fields.saturating_mul(2)).saturating_add(ADDED_TO_HEADS)
        };
        // A list of spans grows in powers of two.
        let listed = |fields: usize| fields.checked_next_power_of_two().unwrap_or(fields).saturating_mul(44);
        Bound {
            client_buffer: self.client_buffer,
            origin_buffer: self.origin_buffer,
            request_heads: heads(self.head),
            response_heads: heads(self.response_share()),
            fields: listed(self.head.fields).saturating_add(listed(self.response_head.fields)),
        }
    }

    /// What a connection holds beyond its bound, in bytes, while the head of its response is larger than 16 KiB: as it came,
    /// and as it leaves. It is a part of `max_memory`, and takes as many shares of a connection as it needs; if none is
    /// left, the client gets a 503.
    #[must_use]
    pub fn larger_head(&self) -> usize {
        self.response_head.bytes.saturating_sub(self.response_share().bytes).saturating_mul(2)
    }

    /// What of a response's head is a part of every connection's bound.
    pub(crate) fn response_share(&self) -> HeadLimits {
        HeadLimits { bytes: self.response_head.bytes.min(HEAD_SHARE), ..self.response_head }
    }

    /// Refuses what could not work.
    ///
    /// # Errors
    /// The first setting that is out of its bounds.
    pub fn check(&self) -> Result<(), LimitError> {
        let sizes = [
            ("client_buffer", self.client_buffer, 1, MAX_BUFFER, "between 1 byte and 64 MiB"),
            ("origin_buffer", self.origin_buffer, 1, MAX_BUFFER, "between 1 byte and 64 MiB"),
            ("head.bytes", self.head.bytes, 256, 1 << 20, "between 256 bytes and 1 MiB"),
            ("head.fields", self.head.fields, 1, 10_000, "between 1 and 10000"),
            ("response_head.bytes", self.response_head.bytes, 256, 1 << 20, "between 256 bytes and 1 MiB"),
            ("response_head.fields", self.response_head.fields, 1, 10_000, "between 1 and 10000"),
            ("max_connections", self.max_connections, 1, usize::MAX, "at least 1"),
        ];
        let one = self.max_connections_per_client.unwrap_or(1);
        for (name, value, low, high, rule) in
            sizes.into_iter().chain([("max_connections_per_client", one, 1, usize::MAX, "at least 1, or not set")])
        {
            if !(low..=high).contains(&value) {
                return Err(LimitError { name, value: value.to_string(), rule });
            }
        }
        self.upgrades.iter().try_for_each(|name| check_upgrade(name))?;
        if let Some(total) = self.max_memory.filter(|total| *total < self.bound().total()) {
            let rule = "at least what one connection may hold (Limits::bound says how much)";
            return Err(LimitError { name: "max_memory", value: total.to_string(), rule });
        }
        if let Some(short) = self.tcp_keepalive.filter(|time| *time < Duration::from_secs(1)) {
            return Err(LimitError { name: "tcp_keepalive", value: format!("{short:?}"), rule: "at least 1s, or off" });
        }
        let deadlines = [
            ("head_timeout", self.head_timeout),
            ("idle_timeout", self.idle_timeout),
            ("policy_timeout", self.policy_timeout),
            ("connect_timeout", self.connect_timeout),
            ("response_timeout", self.response_timeout),
            ("body_timeout", self.body_timeout),
            ("tunnel_idle_timeout", self.tunnel_idle_timeout),
            ("half_closed_timeout", self.half_closed_timeout),
            ("abort_timeout", self.abort_timeout),
            ("names.timeout", self.names.timeout),
            ("tcp_user_timeout", self.tcp_user_timeout),
        ];
        for (name, value) in deadlines {
            if value.is_some_and(|d| d.is_zero()) {
                let rule = "more than 0, or off";
                return Err(LimitError { name, value: "0s".to_owned(), rule });
            }
        }
        Ok(())
    }
}

/// A protocol is a name, and may have a version (RFC 9110 §7.8). Requests of HTTP in a tunnel would go around every rule.
fn check_upgrade(protocol: &str) -> Result<(), LimitError> {
    let (name, version) = protocol.split_once('/').unwrap_or((protocol, "1"));
    let wrong = |rule| Err(LimitError { name: "upgrades", value: format!("{protocol:?}"), rule });
    if !is_token(name.as_bytes()) || !is_token(version.as_bytes()) {
        return wrong("a protocol's name, like tcp or SPDY/3.1");
    }
    if ["h2c", "h2", "h3", "http"].iter().any(|http| name.eq_ignore_ascii_case(http)) {
        return wrong("another protocol than HTTP; h2c cannot be passed on");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_hold() {
        Limits::default().check().unwrap();
    }

    /// Some pipes and one connection at least are never more than the whole.
    #[test]
    fn pipes_are_part_of_the_whole() {
        let bound = Limits::default().bound().total();
        for total in [bound, bound + 1, 4 * PIPE_SIZE, 1 << 20, 64 << 20, 1 << 30] {
            let limits = Limits { max_memory: Some(total), ..Limits::default() };
            limits.check().unwrap();
            assert!(
                limits.splice_bound().is_multiple_of(PIPE_SIZE)
                    && limits.splice_bound() <= total / 4
                    && limits.splice_bound() + bound <= total
            );
        }
        assert_eq!(Limits::default().splice_bound(), 16 << 20);
    }

    #[test]
    fn each_bound_is_named() {
        let limits = Limits { client_buffer: 0, ..Limits::default() };
        let said = limits.check().unwrap_err().to_string();
        assert_eq!(said, "client_buffer is 0; it must be between 1 byte and 64 MiB");
        let limits = Limits { idle_timeout: Some(Duration::ZERO), ..Limits::default() };
        assert_eq!(limits.check().unwrap_err().name, "idle_timeout");
    }

    #[test]
    fn http_is_not_passed_on_by_an_upgrade() {
        let said = |name: &str| Limits { upgrades: vec![name.to_owned()], ..Limits::default() }.check();
        for name in ["tcp", "SPDY/3.1", "TLS/1.0", "connect-udp", "websocket"] {
            said(name).unwrap();
        }
        for name in ["h2c", "H2C", "h2c/1", "h2", "HTTP/2.0", "http"] {
            assert!(said(name).unwrap_err().to_string().ends_with("than HTTP; h2c cannot be passed on"), "{name}");
        }
        for name in ["", "/1", "tcp/", "tcp, x", "tcp x", "a/b/c", "t\r\ncp"] {
            assert!(said(name).unwrap_err().to_string().ends_with("like tcp or SPDY/3.1"), "{name}");
        }
    }
}
