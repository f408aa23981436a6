//! The reverse proxy: a policy that sends every request to an origin that its operator named.

use std::net::IpAddr;

use sluicegate_http1::Malformed;
use sluicegate_http1::path::Path;

use crate::message::forward::{self, MaxForwards};
use crate::message::response::Response;
use crate::message::whom::Unwanted;
use crate::policy::{Origin, OriginError, Policy, Request, Route, Verdict};
use crate::record::Client;

/// Serves clients as if it were the origin: requests in origin-form (`GET /path`), and absolute ones by their path, go to
/// the origin whose prefix is the longest that their path starts with.
///
/// ```
/// use sluicegate::{Proxy, Reverse};
///
/// // GET /foo/bar?x goes to 127.0.0.1:9000 as GET /base/bar?x, all else to 127.0.0.1:8080 as it is.
/// let reverse = Reverse::to("127.0.0.1:8080")?.mount("/foo", "127.0.0.1:9000/base")?;
/// let proxy = Proxy::builder().policy(reverse).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// * **Nothing is forwarded elsewhere.** CONNECT gets a 405, a path without an origin a 404: whoever reaches this
///   listener cannot use it to go where they like.
/// * A prefix ends where a segment does: `/foo` is not a prefix of `/foobar`; it is one of `/%66oo` and `//foo`, as an origin would
///   find. Case counts. What follows it is put behind the origin's base path as it came; the query stays.
/// * A path that can be read in two ways gets a 400: dot segments, encoded slashes, backslashes, what is encoded twice
///   ([`http1::path`](crate::http1::path) has the list), and what is under one prefix with its parameters (`;x`) and under
///   another without them.
/// * `Host` is the origin's, with its port unless that is 80 ([`Reverse::keep_host`]).
/// * `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` (RFC 7239) are replaced, and what else tells whom a request is for
///   is removed, so that no client can forge it ([`Reverse::x_forwarded`], [`Reverse::forwarded`]). Names that an origin could
///   take for another's go too ([`Reverse::keep_underscores`]), and so do trailers.
/// * TRACE gets a 405.
/// * `Policy::address` is not asked about these origins: whoever runs the proxy has named them.
#[derive(Debug, Clone)]
pub struct Reverse {
    /// The longest prefix first.
    mounts: Vec<Mount>,
    keeps_host: bool,
    keeps_underscores: bool,
    keeps_slashes: bool,
    x_forwarded: ForwardedFields,
    forwarded: ForwardedFields,
}

#[derive(Debug, Clone)]
struct Mount {
    /// Without a slash at its end, so empty for all paths.
    prefix: String,
    origin: Origin,
    /// The same of the path at the origin.
    base: String,
}

/// What becomes of a field that says whom a request was forwarded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ForwardedFields {
    /// It names this client alone, whatever came with the request: right where clients come directly.
    #[default]
    Replace,
    /// This client is added to the addresses that came (`X-Forwarded-For`, `Forwarded`), and what a proxy in front has said in
    /// other `X-Forwarded-` fields stays; it is said here only where it said nothing. Right behind a proxy that is trusted.
    Append,
    /// It is taken away.
    Remove,
    /// It is passed on as it came, for an origin that does not look at it.
    Keep,
}

/// What cannot be mounted, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReverseError {
    /// The prefix.
    #[error("{0:?} is not a valid prefix; it must be a path like /app, of letters, digits, -, ., _, ~ and /")]
    Prefix(String),
    /// The path behind the origin.
    #[error("{0:?} is not a valid path at an origin; it must be like /base, of letters, digits, -, ., _, ~ and /")]
    Base(String),
    /// The origin.
    #[error("{0}; it must be like 127.0.0.1:8080, app.internal:8080/base or http://app.internal")]
    Origin(OriginError),
    /// Two mounts of one prefix.
    #[error("the prefix {0:?} is given twice")]
    Twice(String),
}

impl Reverse {
    /// All paths go to `origin`: `host:port` or `host:port/base`, perhaps with `http://` before it. See
    /// [`Reverse::mount`].
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn to(origin: &str) -> Result<Self, ReverseError> {
        Self::new().mount("/", origin)
    }

    /// No path goes anywhere, before [`Reverse::mount`] says where.
    #[must_use]
    pub fn new() -> Self {
        let (x_forwarded, forwarded) = (ForwardedFields::Replace, ForwardedFields::Replace);
        let (keeps_host, keeps_underscores, keeps_slashes) = (false, false, false);
        Self { mounts: Vec::new(), keeps_host, keeps_underscores, keeps_slashes, x_forwarded, forwarded }
    }

    /// Paths that start with `prefix` go to `origin`. The prefix is taken away, and the origin's base path, if it has one, stands in
    /// its place: with `mount("/foo", "127.0.0.1:9000")` a request for `/foo/bar?q` asks the origin for `/bar?q`; to keep the prefix, mount
    /// `127.0.0.1:9000/foo`. A `Location` or a cookie's `Path` that the origin sends is passed on as it is: an origin that makes them should
    /// know the prefix.
    ///
    /// # Errors
    /// What is wrong with either, or a prefix that is mounted already.
    pub fn mount(mut self, prefix: &str, origin: &str) -> Result<Self, ReverseError> {
        let trimmed = plain_path(prefix).ok_or_else(|| ReverseError::Prefix(prefix.to_owned()))?;
        let rest = match origin.split_once("://") {
            Some(("http", rest)) => rest,
            // Only the scheme that is spoken here; `https:` would else be a host without a port.
            Some(_) => {
                let error = OriginError(origin.to_owned(), Malformed::SchemeUnsupported);
                return Err(ReverseError::Origin(error));
            }
            None => origin,
        };
        let (host, base) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let base = plain_path(base).ok_or_else(|| ReverseError::Base(base.to_owned()))?.to_owned();
        let origin = host.parse().map_err(ReverseError::Origin)?;
        if self.mounts.iter().any(|mount| mount.prefix == trimmed) {
            return Err(ReverseError::Twice(prefix.to_owned()));
        }
        self.mounts.push(Mount { prefix: trimmed.to_owned(), origin, base });
        self.mounts.sort_by_key(|mount| std::cmp::Reverse(mount.prefix.len()));
        Ok(self)
    }

    /// Whether origins see the `Host` that the client sent, instead of their own. Default: their own.
    #[must_use]
    pub fn keep_host(self, keep: bool) -> Self {
        Self { keeps_host: keep, ..self }
    }

    /// Whether a path may hold an encoded slash (`%2f`), for an origin that takes it for a part of a name, as some registries
    /// do; where it could make a difference for the prefix, it is refused all the same. Default: no, a 400.
    #[must_use]
    pub fn keep_encoded_slashes(self, keep: bool) -> Self {
        Self { keeps_slashes: keep, ..self }
    }

    /// Whether fields are passed on whose names hold `_`, or another character than letters, digits and `-`: CGI and its kind
    /// take `X_User` for `X-User`. Those that they would take for a field that the proxy acts upon, or that says whom a
    /// request is for, are never. Default: no.
    #[must_use]
    pub fn keep_underscores(self, keep: bool) -> Self {
        Self { keeps_underscores: keep, ..self }
    }

    /// What becomes of `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`, and of their kin: other `X-Forwarded-`
    /// fields, `X-Real-IP`, `True-Client-IP`, `X-Original-URL` and what else proxies tell an origin. Default: replaced, and the
    /// kin removed.
    #[must_use]
    pub fn x_forwarded(self, fields: ForwardedFields) -> Self {
        Self { x_forwarded: fields, ..self }
    }

    /// What becomes of `Forwarded` (RFC 7239). Default: replaced.
    #[must_use]
    pub fn forwarded(self, fields: ForwardedFields) -> Self {
        Self { forwarded: fields, ..self }
    }

    /// Each prefix and where it leads, the longest first: `("/foo/", "127.0.0.1:9000/base/")`.
    pub fn mounts(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.mounts.iter().map(|Mount { prefix, origin, base }| (format!("{prefix}/"), format!("{origin}{base}/")))
    }

    fn route(&self, request: &mut Request<'_>, client: &Client) -> Result<Route, Verdict> {
        let all = request.path_and_query();
        let (path, query) = all.find('?').map_or((all, ""), |at| all.split_at(at));
        let path = match path {
            // Of `http://host?query`.
            "" if !all.is_empty() => "/",
            "" => return Err(refused(405, "This is a reverse proxy: it opens no tunnels.")),
            "*" => return Err(offered()),
            path => path,
        };
        if request.method() == "TRACE" {
            // What an origin echoes holds the credentials that a page cannot read otherwise, and what we add (RFC 9110 §9.3.8).
            return Err(refused(405, "TRACE is not passed on."));
        }
        let Some((mount, rest)) = self.find(path).map_err(Verdict::Refuse)? else {
            return Err(refused(404, "There is nothing at this path."));
        };
        if request.method() == "OPTIONS" && forward::max_forwards(request.head()) == MaxForwards::Here {
            return Err(offered());
        }
        self.say_for_whom(request, client)?;
        let route = Route::reverse(mount.origin.clone(), at_origin(&mount.base, rest, query));
        let route = route.map_err(Verdict::Refuse)?;
        Ok(route.keep_host(self.keeps_host).named_by_operator())
    }

    /// The mount that a path is under, and what follows its prefix: the longest, and the same for whoever reads the path
    /// otherwise.
    fn find<'p>(&self, path: &'p str) -> Result<Option<(&Mount, &'p [u8])>, Malformed> {
        let path = Path::parse(path.as_bytes(), self.keeps_slashes)?;
        let found = self.mounts.iter().find_map(|mount| Some((mount, path.strip_prefix(&mount.prefix)?)));
        let other = self.mounts.iter().find(|mount| path.may_be_under(&mount.prefix));
        if found.map(|(mount, _)| &mount.prefix) != other.map(|mount| &mount.prefix) {
            return Err(Malformed::AmbiguousPath);
        }
        Ok(found)
    }

    fn say_for_whom(&self, request: &mut Request<'_>, client: &Client) -> Result<(), Verdict> {
        let ip = client.address.ip().to_canonical();
        let host = request.authority().map(|authority| authority.text.to_owned());
        let scheme = if client.is_tls { "https" } else { "http" };
        request.leave_out(self.unwanted());
        let fields = [
            (self.x_forwarded, "X-Forwarded-For", Some(ip.to_string())),
            (self.x_forwarded, "X-Forwarded-Proto", Some(scheme.to_owned())),
            (self.x_forwarded, "X-Forwarded-Host", host.clone()),
            (self.forwarded, "Forwarded", Some(element(ip, host.as_deref(), scheme))),
        ];
        for (action, name, value) in fields {
            let is_list = matches!(name, "X-Forwarded-For" | "Forwarded");
            match (action, value) {
                (ForwardedFields::Keep, _) => {}
                (ForwardedFields::Remove, _) | (ForwardedFields::Replace, None) => request.remove(name)?,
                (ForwardedFields::Replace, Some(value)) => request.set(name, value)?,
                (ForwardedFields::Append, Some(value)) if is_list => {
                    let joined = joined(request, name, value);
                    request.set(name, joined)?;
                }
                (ForwardedFields::Append, Some(value)) if request.field(name).is_none() => request.set(name, value)?,
                (ForwardedFields::Append, _) => {}
            }
        }
        Ok(())
    }

    /// What its origins do not get to see of what a client sent.
    fn unwanted(&self) -> Unwanted {
        Unwanted {
            odd: !self.keeps_underscores,
            forwarded: matches!(self.x_forwarded, ForwardedFields::Replace | ForwardedFields::Remove),
            told: self.x_forwarded != ForwardedFields::Keep,
        }
    }
}

impl Default for Reverse {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy for Reverse {
    async fn admit(&self, request: &mut Request<'_>, client: &Client) -> Verdict {
        self.route(request, client).map_or_else(|refused| refused, Verdict::Forward)
    }

    fn records(&self) -> bool {
        false
    }
}

/// What an origin may be asked through this proxy.
const METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";

/// Answers an OPTIONS that goes no further (RFC 9110 §7.6.2).
fn offered() -> Verdict {
    Response::new(204, ()).field("Allow", METHODS).into()
}

fn refused(status: u16, why: &str) -> Verdict {
    let response = Response::new(status, format!("{status}: {why}\n"));
    // RFC 9110 §15.5.6.
    if status == 405 { response.field("Allow", METHODS).into() } else { response.into() }
}

/// What the origin is asked for: what follows the prefix as it came, behind the base. It never begins with two slashes, which
/// many take for a host (RFC 3986 §4.2) and drop with it: so would they with what was mounted elsewhere.
fn at_origin(base: &str, rest: &[u8], query: &str) -> Vec<u8> {
    if !base.is_empty() {
        return [base.as_bytes(), rest, query.as_bytes()].concat();
    }
    let start = rest.iter().position(|byte| *byte != b'/').unwrap_or(rest.len());
    [b"/", rest.get(start..).unwrap_or_default(), query.as_bytes()].concat()
}

/// A path as an operator may name it, without the slash at its end: nothing in it can be read in two ways.
fn plain_path(path: &str) -> Option<&str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_plain = |segment: &str| {
        !segment.is_empty()
            && !matches!(segment, "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    match path.strip_prefix('/') {
        Some(rest) => rest.split('/').all(is_plain).then_some(path),
        None => path.is_empty().then_some(""),
    }
}

/// An element of `Forwarded` (RFC 7239 §4, §6): quoted where a token cannot hold it.
fn element(ip: IpAddr, host: Option<&str>, scheme: &str) -> String {
    let client = match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("\"[{ip}]\""),
    };
    match host {
        Some(host) if host.contains([':', '[']) => format!("for={client};host=\"{host}\";proto={scheme}"),
        Some(host) => format!("for={client};host={host};proto={scheme}"),
        None => format!("for={client};proto={scheme}"),
    }
}

/// What came, in one list, and `value` behind it.
fn joined(request: &Request<'_>, name: &str, value: String) -> Vec<u8> {
    let mut list = Vec::new();
    for field in request.fields().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes())) {
        list.extend_from_slice(field.value);
        list.extend_from_slice(b", ");
    }
    list.extend(value.into_bytes());
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_origins_are_beyond_doubt() {
        for (prefix, origin) in
            [("/", "a"), ("/a", "a:81"), ("/a/b/", "[::1]:81/"), ("/a-b.c_d~", "http://a/b/c"), ("/..a", "a/b.")]
        {
            Reverse::new().mount(prefix, origin).unwrap();
        }
        for prefix in ["a", "/a//b", "/../a", "/a/.", "/a%2f", "/a?b", "/a b", "//", "/\u{e9}"] {
            assert!(
                Reverse::new().mount(prefix, "a").unwrap_err().to_string().contains("is not a valid prefix"),
                "{prefix}"
            );
        }
        for origin in ["", "https://a", "ftp://a", "a:0", "u@a", "a b", ":80", "/a"] {
            let error = Reverse::to(origin).unwrap_err().to_string();
            assert!(error.contains("is not a valid origin") && error.contains("must be like"), "{origin}: {error}");
        }
        assert!(Reverse::to("a/../b").unwrap_err().to_string().contains("is not a valid path at an origin"));
        assert_eq!(Reverse::to("a").unwrap().mount("", "b").unwrap_err(), ReverseError::Twice(String::new()));
    }

    #[test]
    fn elements_are_quoted_where_they_must_be() {
        let v6 = "2001:db8::1".parse().unwrap();
        assert_eq!(element(v6, Some("a:81"), "http"), "for=\"[2001:db8::1]\";host=\"a:81\";proto=http");
        assert_eq!(element([192, 0, 2, 1].into(), Some("a"), "https"), "for=192.0.2.1;host=a;proto=https");
    }
}
