//! Who asks for what.

use std::fmt;

use crate::host::{self, Host};

/// Who asks: somebody without a name, or a user of the rules that gave it out.
///
/// It is a number within those rules; after a reload, ask the new ones by name ([`crate::Rules::who`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Who(pub(crate) Option<u32>);

impl Who {
    /// Somebody who has shown no name.
    pub const NOBODY: Self = Self(None);

    /// Whoever it is: what is denied to anybody is denied, and only what everybody may is allowed. For addresses that are judged
    /// where it is not known who asks.
    pub const ANYBODY: Self = Self(Some(u32::MAX));
}

/// What is asked for, as far as a proxy can see it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method; CONNECT for a tunnel.
    pub method: &'a [u8],
    /// Where to, as the request says.
    pub host: Host<'a>,
    /// The port.
    pub port: u16,
    /// Path and query; `None` for a tunnel, in which nobody sees them.
    pub path: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// A tunnel.
    pub const fn connect(host: Host<'a>, port: u16) -> Self {
        Self { method: b"CONNECT", host, port, path: None }
    }

    /// A request in plain HTTP, also one that asks for an upgrade.
    pub const fn http(method: &'a [u8], host: Host<'a>, port: u16, path_and_query: &'a [u8]) -> Self {
        Self { method, host, port, path: Some(path_and_query) }
    }
}

/// A request as people write it: `https://pypi.org/simple`, `POST http://hooks.example/in`, `db.corp:5432`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    method: String,
    host: String,
    port: u16,
    path: Option<String>,
}

/// Why a text is not a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct BadAsk {
    why: String,
    pub(crate) meant: Option<String>,
}

impl Ask {
    /// Reads a URL, perhaps with a method before it, or `host:port` for a tunnel.
    ///
    /// `https://` and `wss://` are tunnels to port 443 if there is no other; `http://` and `ws://` are plain requests.
    ///
    /// # Errors
    /// What is not understood, as a sentence.
    pub fn parse(text: &str) -> Result<Self, BadAsk> {
        let (method, target) = match text.split_once(' ') {
            Some((method, target)) => (Some(method), target.trim_start()),
            None => (None, text),
        };
        if let Some(method) = method {
            check_method(method)?;
        }
        let Some((scheme, rest)) = target.split_once("://") else {
            return Self::tunnel(method, target);
        };
        let tunnel = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(BadAsk::new("only http, https, ws and wss are known here; write host:port for others")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (host, port) = read_authority(authority)?;
        let port = port.unwrap_or(if tunnel { 443 } else { 80 });
        if tunnel {
            return Ok(Self { method: "CONNECT".to_owned(), host, port, path: None });
        }
        let path = path.split('#').next().unwrap_or_default().to_owned();
        Ok(Self { method: method.unwrap_or("GET").to_owned(), host, port, path: Some(path) })
    }

    /// What a proxy sees of it.
    pub fn request(&self) -> Request<'_> {
        // It was read once already, so it can be read again.
        let host = Host::read(&self.host).unwrap_or(Host::Name(&self.host));
        let path = self.path.as_deref().map(str::as_bytes);
        Request { method: self.method.as_bytes(), host, port: self.port, path }
    }

    fn tunnel(method: Option<&str>, target: &str) -> Result<Self, BadAsk> {
        let (host, port) = read_authority(target)?;
        let Some(port) = port else {
            return Err(BadAsk {
                meant: Some(format!("https://{target}")),
                ..BadAsk::new("it has neither a scheme nor a port")
            });
        };
        if method.is_some_and(|method| method != "CONNECT") {
            let meant = method.map(|method| format!("{method} http://{target}"));
            return Err(BadAsk { meant, ..BadAsk::new("a method needs a URL with http://") });
        }
        Ok(Self { method: "CONNECT".to_owned(), host, port, path: None })
    }
}

impl fmt::Display for Ask {
    /// As a proxy gets it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            None => write!(f, "CONNECT {}:{}", self.host, self.port),
            Some(path) if self.port == 80 => write!(f, "{} http://{}{path}", self.method, self.host),
            Some(path) => write!(f, "{} http://{}:{}{path}", self.method, self.host, self.port),
        }
    }
}

impl BadAsk {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), meant: None }
    }
}

/// A method as requests have it: case matters (RFC 9110 §9.1), and those that are known are in capitals.
pub(crate) fn check_method(text: &str) -> Result<(), BadAsk> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(token) {
        return Err(BadAsk::new("a method is one word of letters"));
    }
    let capitals = text.to_ascii_uppercase();
    if capitals != text {
        return Err(BadAsk { meant: Some(capitals), ..BadAsk::new("methods are written in capitals") });
    }
    Ok(())
}

/// The host in its folded form, an IPv6 address with its brackets, and the port.
fn read_authority(text: &str) -> Result<(String, Option<u16>), BadAsk> {
    if text.contains('@') {
        return Err(BadAsk::new("a user in a URL is not passed on, and hides where it leads; remove it"));
    }
    let colon = match text.rfind(']') {
        Some(end) => text.get(end..).and_then(|after| after.find(':')).and_then(|at| at.checked_add(end)),
        None => text.rfind(':'),
    };
    let (host, port) = match colon.and_then(|at| text.split_at_checked(at)) {
        Some((host, port)) => (host, Some(read_port(port)?)),
        None => (text, None),
    };
    let bad = |why: host::BadHost| BadAsk::new(why.to_string());
    match Host::read(host) {
        Ok(Host::Name(name)) => Ok((host::fold(name).map_err(bad)?, port)),
        Ok(address @ Host::Address(_)) => Ok((address.to_string(), port)),
        Err(host::BadHost::NotAscii) => Ok((host::fold(host).map_err(bad)?, port)),
        Err(why) => Err(bad(why)),
    }
}

fn read_port(colon: &str) -> Result<u16, BadAsk> {
    let digits = colon.strip_prefix(':').unwrap_or_default();
    let number = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    number.filter(|port| *port > 0).ok_or_else(|| BadAsk::new("a port is a number from 1 to 65535"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_as_people_write_them() {
        for (text, means) in [
            ("https://PyPI.org/simple", "CONNECT pypi.org:443"),
            ("https://pypi.org:8443", "CONNECT pypi.org:8443"),
            ("wss://x.org/ws", "CONNECT x.org:443"),
            ("http://x.org", "GET http://x.org"),
            ("http://x.org:8080/a?b#c", "GET http://x.org:8080/a?b"),
            ("POST http://x.org/a", "POST http://x.org/a"),
            ("db.corp:5432", "CONNECT db.corp:5432"),
            ("CONNECT db.corp:5432", "CONNECT db.corp:5432"),
            ("http://[::1]:80/", "GET http://[::1]/"),
            ("https://[0:0::1]", "CONNECT [::1]:443"),
            ("http://Bücher.example./", "GET http://xn--bcher-kva.example/"),
        ] {
            assert_eq!(Ask::parse(text).map(|ask| ask.to_string()), Ok(means.to_owned()), "{text}");
        }
        for (text, meant) in [
            ("pypi.org", Some("https://pypi.org")),
            ("get http://x/", Some("GET")),
            ("GET x.org:80", Some("GET http://x.org:80")),
        ] {
            assert_eq!(Ask::parse(text).unwrap_err().meant.as_deref(), meant, "{text}");
        }
        for text in [
            "",
            "ftp://x.org",
            "http://u@x.org",
            "http://127.1/",
            "http://x.org:0/",
            "http://x.org:+1",
            "https://",
            "::1",
        ] {
            assert!(Ask::parse(text).is_err(), "{text}");
        }
    }
}
