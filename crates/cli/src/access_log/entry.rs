//! What of a record may be written down: no credentials, no query unless it was asked for.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use sluicegate::transport::Hangup;
use sluicegate::{ClientFin, Ended, Fault, Record};
use sluicegate_http1::{Authority, Name, RequestHead, Target, target};

use super::redact;
use crate::egress::{Judged, Said};

/// One line of the log, before it is given a look. Bytes that a client sent are still as they came.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    pub(super) id: u64,
    pub(super) started: SystemTime,
    pub(super) duration: Duration,
    pub(super) client: SocketAddr,
    pub(super) origin: Option<SocketAddr>,
    /// None if the client sent none that can be shown.
    pub(super) method: Option<&'a [u8]>,
    /// None if the client sent none that can be shown.
    pub(super) url: Option<Cow<'a, [u8]>>,
    /// `host:port`, of a target that is beyond doubt.
    pub(super) requested_host: Option<String>,
    /// None if the head was never complete.
    pub(super) version: Option<&'static str>,
    pub(super) referer: Option<Cow<'a, [u8]>>,
    pub(super) user_agent: Option<&'a [u8]>,
    /// None if the client was sent none.
    pub(super) status: Option<u16>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) lookup: Option<Duration>,
    pub(super) lookup_cached: bool,
    pub(super) connect: Option<Duration>,
    /// The token of RFC 9209 §2.3.
    pub(super) error: Option<&'static str>,
    /// What the rules of the files said.
    pub(super) said: Option<Said>,
    /// The rule of HTTP that was broken.
    pub(super) rule: Option<&'static str>,
    pub(super) ended: Ended,
    /// What to do about how it ended.
    pub(super) remedy: Option<&'static str>,
    /// How long the response waited for the client to read.
    pub(super) paused_by_client: Duration,
    /// How long the request waited for the origin to read.
    pub(super) paused_by_origin: Duration,
}

/// What the configuration says about lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Query strings are written too.
    pub(crate) query: bool,
    /// What a client's FIN meant.
    pub(crate) client_fin: ClientFin,
}

impl<'a> Entry<'a> {
    pub(super) fn new(record: &Record<'a>, extent: Extent) -> Self {
        let (head, query) = (record.request, extent.query);
        let asked = RequestLine::of(head, query);
        Self {
            id: record.id,
            started: record.started,
            duration: record.duration,
            client: canonical(record.client.address),
            origin: record.origin.map(canonical),
            method: asked.method,
            url: asked.url,
            requested_host: requested_host(head),
            version: asked.is_whole.then(|| head.version().as_str()),
            referer: head.field(Name::Referer).and_then(|field| redact::url(field.value, true, query)),
            user_agent: head.field(Name::UserAgent).map(|field| field.value),
            status: Some(record.status).filter(|status| *status != 0),
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            lookup: record.lookup,
            lookup_cached: record.lookup_cached,
            connect: record.connect,
            error: record.fault.map(|fault| fault.token()),
            said: said(record),
            rule: record.fault.and_then(|fault| match fault {
                Fault::Request(rule) | Fault::Response(rule) => Some(rule.name()),
                _ => None,
            }),
            ended: record.ended,
            remedy: remedy(record.ended, record.bytes_out, extent.client_fin),
            paused_by_client: record.paused_by_client,
            paused_by_origin: record.paused_by_origin,
        }
    }

    /// Whether it asked for a tunnel by CONNECT.
    pub(super) fn is_connect(&self) -> bool {
        self.method == Some(b"CONNECT")
    }
}

/// What the rules of the files said, if there are any.
fn said(record: &Record<'_>) -> Option<Said> {
    let judged = record.extensions.get::<Judged>()?;
    Some(judged.said(record.origin, matches!(record.fault, Some(Fault::Denied(_)))))
}

/// What a request line may show.
#[derive(Debug, PartialEq, Eq)]
struct RequestLine<'a> {
    method: Option<&'a [u8]>,
    url: Option<Cow<'a, [u8]>>,
    is_whole: bool,
}

impl<'a> RequestLine<'a> {
    fn of(head: &'a RequestHead, query: bool) -> Self {
        if head.method().is_empty() {
            return Self::guess(head.request_line_so_far(), query);
        }
        Self { method: Some(head.method()), url: redact::url(head.target(), true, query), is_whole: true }
    }

    /// From a line that is cut, or broken, or no HTTP at all and perhaps a secret: only what looks
    /// like a method and is followed by a space, and after it only what looks like a target.
    fn guess(line: &'a [u8], query: bool) -> Self {
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let (method, target, rest) = (words.next(), words.next(), words.next());
        let is_method =
            |word: &&[u8]| (1..=24).contains(&word.len()) && word.iter().all(|b| b.is_ascii_uppercase() || *b == b'-');
        match (method.filter(is_method), target) {
            (Some(method), Some(target)) => {
                Self { method: Some(method), url: redact::url(target, rest.is_some(), query), is_whole: false }
            }
            _ => Self { method: None, url: None, is_whole: false },
        }
    }
}

/// With `allow`, a FIN ends only what lacks the rest of its request: there is none for that. And a client that was
/// being answered has gone: one that only waits for its answer ends its sending side before.
fn remedy(ended: Ended, given: u64, client_fin: ClientFin) -> Option<&'static str> {
    let is_fin = ended == Ended::ClientGone(Hangup::Fin) && given == 0 && client_fin == ClientFin::Abort;
    is_fin.then_some("a client that only shuts its sending side is served with --client-fin allow")
}

fn requested_host(head: &RequestHead) -> Option<String> {
    let authority = match target::parse(head.method(), head.target()).ok()? {
        Target::Absolute { authority, .. } | Target::Authority(authority) => authority,
        // To a reverse proxy.
        Target::Origin(_) | Target::Asterisk => Authority::parse(head.field(Name::Host)?.value).ok()?,
    };
    Some(format!("{}:{}", authority.host, authority.port.unwrap_or(80)))
}

/// IPv4 as IPv4, however the socket spells it.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(v4.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use sluicegate_http1::HeadLimits;

    use super::*;

    /// An entry with something in every place.
    pub(in super::super) fn entry() -> Entry<'static> {
        Entry {
            id: 31,
            started: "2026-11-22T13:15:19.042Z".parse::<jiff::Timestamp>().unwrap().into(),
            duration: Duration::from_micros(12_345),
            client: "192.0.2.7:50000".parse().unwrap(),
            origin: Some("203.0.113.9:80".parse().unwrap()),
            method: Some(b"GET"),
            url: Some(Cow::Borrowed(b"http://example.com/a")),
            requested_host: Some("example.com:80".to_owned()),
            version: Some("1.1"),
            referer: Some(Cow::Borrowed(b"http://example.com/")),
            user_agent: Some(b"curl/8"),
            status: Some(200),
            bytes_in: 100,
            bytes_out: 1234,
            lookup: Some(Duration::from_micros(1900)),
            lookup_cached: true,
            connect: Some(Duration::from_millis(20)),
            error: None,
            ended: Ended::Complete,
            said: None,
            rule: None,
            remedy: None,
            paused_by_client: Duration::from_micros(1_500),
            paused_by_origin: Duration::ZERO,
        }
    }

    fn head(bytes: &[u8]) -> RequestHead {
        let mut head = RequestHead::new();
        let _ = head.receive(bytes, &HeadLimits::default());
        head
    }

    fn asked(bytes: &[u8]) -> String {
        let head = head(bytes);
        let asked = RequestLine::of(&head, false);
        let text = |bytes: Option<&[u8]>| bytes.map_or("-".to_owned(), |b| String::from_utf8_lossy(b).into_owned());
        let end = if asked.is_whole { "." } else { "" };
        format!("{} {}{end}", text(asked.method), text(asked.url.as_deref()))
    }

    #[test]
    fn whole_and_broken_request_lines() {
        for (sent, shown) in [
            (&b"GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n"[..], "GET http://a/b."),
            (b"GET http://u:p@a/b HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a/b."),
            (b"CONNECT u:p@a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:443."),
            (b"GET http://a/b?c HTTP/1.1\r\nHos t: a\r\n\r\n", "GET http://a/b"),
            (b"GET http://a/b?c HTTP/1.1\r\nHost: a\r\n", "GET http://a/b"),
            (b"GET http://a/b?c", "GET http://a/b"),
            (b"GET http://us", "GET -"),
            (b"GET http://user:80", "GET -"),
            (b"GET", "- -"),
            (b"GE", "- -"),
            (b"Hunter2 http://a/ HTTP/1.1\r\nHos t: a\r\n\r\n", "- -"),
            (b"\x16\x03\x01\x02\0\x01", "- -"),
            (b"password=hunter2&user=x HTTP/1.1\r\n\r\n", "- -"),
        ] {
            assert_eq!(asked(sent), shown, "{}", String::from_utf8_lossy(sent));
        }
    }

    #[test]
    fn only_a_fin_that_was_taken_for_the_end_has_a_remedy() {
        let fin = Ended::ClientGone(Hangup::Fin);
        assert!(remedy(fin, 0, ClientFin::Abort).unwrap().ends_with("--client-fin allow"));
        assert_eq!(remedy(fin, 1, ClientFin::Abort), None, "it was being answered");
        assert_eq!(remedy(fin, 0, ClientFin::Allow), None);
        for ended in [Ended::ClientGone(Hangup::Reset), Ended::Complete, Ended::Deadline] {
            assert_eq!(remedy(ended, 0, ClientFin::Abort), None, "{ended}");
        }
    }

    #[test]
    fn hosts_have_their_port() {
        let host = |line: &str| requested_host(&head(format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()));
        assert_eq!(host("GET http://a.example/"), Some("a.example:80".to_owned()));
        assert_eq!(host("GET http://a.example:/"), Some("a.example:80".to_owned()));
        assert_eq!(host("GET http://[::1]:81/"), Some("[::1]:81".to_owned()));
        assert_eq!(host("CONNECT a.example:443"), Some("a.example:443".to_owned()));
        assert_eq!(host("GET /"), Some("x:80".to_owned()));
        assert_eq!(host("GET http://u@a/"), None);
    }
}
