//! Fields by which proxies tell an origin who asks, how and for what, and names that origins take for them, pure.
//!
//! CGI, WSGI and their kind turn a name into the name of a variable: upper case, with `_` for `-` (RFC 3875 §4.1.18). So
//! `X_Forwarded_For` and `X-Forwarded-For` are one there. Some put `_` for everything that is no letter and no digit
//! (lighttpd), or for a dot (PHP) or a `=` (Go's `net/http/cgi`) too.
//!
//! `X-HTTP-Method-Override` and its kin are not among them: clients send these in earnest, they say nothing about who asks, and
//! no rule here is about methods.

use sluicegate_http1::Name;

/// What of the fields that a client sent an origin is not to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unwanted {
    /// Names with anything but letters, digits and `-`; those that could be taken for another's go in any case.
    pub(crate) odd: bool,
    /// All that begins with `X-Forwarded-`.
    pub(crate) forwarded: bool,
    /// What else is said by proxies: [`TOLD`].
    pub(crate) told: bool,
}

/// In lower case, sorted: what proxies, content networks and clouds say, and libraries look for, beside `X-Forwarded-…` and
/// `Forwarded`. Whose address it is, who it is (certificates, users), how the client connected and to which name, and
/// what path it asked for, which some serve instead. A client has no reason to send any of them.
const TOLD: &[&[u8]] = &[
    b"ali-cdn-real-ip",
    b"appengine-user-ip",
    b"cdn-src-ip",
    b"cf-connecting-ip",
    b"cf-connecting-ipv6",
    b"cf-pseudo-ipv4",
    b"cf-visitor",
    b"client-cert",
    b"client-cert-chain",
    b"client-ip",
    b"cloudfront-forwarded-proto",
    b"do-connecting-ip",
    b"fastly-client-ip",
    b"fastly-ssl",
    b"fly-client-ip",
    b"fly-forwarded-port",
    b"fly-forwarded-proto",
    b"fly-forwarded-ssl",
    b"forwarded-for",
    b"forwarded-for-ip",
    b"front-end-https",
    b"http-client-ip",
    b"incap-client-ip",
    b"oxygen-connecting-ip",
    b"proxy-client-ip",
    b"real-ip",
    b"remote-addr",
    b"remote-user",
    b"ssl-client-cert",
    b"ssl-client-verify",
    b"true-client-ip",
    b"unencoded-url",
    b"wl-proxy-client-cert",
    b"wl-proxy-client-ip",
    b"wl-proxy-ssl",
    b"x-appengine-remote-addr",
    b"x-appengine-user-ip",
    b"x-arr-clientcert",
    b"x-arr-ssl",
    b"x-azure-clientip",
    b"x-azure-socketip",
    b"x-client-cert",
    b"x-client-ip",
    b"x-client-port",
    b"x-client-verify",
    b"x-cluster-client-ip",
    b"x-connecting-ip",
    b"x-envoy-external-address",
    b"x-envoy-original-path",
    b"x-forward-for",
    b"x-forward-host",
    b"x-forward-proto",
    b"x-forwarded",
    b"x-host",
    b"x-http-host-override",
    b"x-https",
    b"x-nf-client-connection-ip",
    b"x-original-for",
    b"x-original-forwarded-for",
    b"x-original-host",
    b"x-original-path",
    b"x-original-prefix",
    b"x-original-proto",
    b"x-original-remote-addr",
    b"x-original-scheme",
    b"x-original-uri",
    b"x-original-url",
    b"x-originating-ip",
    b"x-proto",
    b"x-proxyuser-ip",
    b"x-real-host",
    b"x-real-ip",
    b"x-real-port",
    b"x-remote-addr",
    b"x-remote-ip",
    b"x-remote-port",
    b"x-remote-user",
    b"x-replaced-path",
    b"x-request-uri",
    b"x-rewrite-url",
    b"x-scheme",
    b"x-script-name",
    b"x-server-name",
    b"x-server-port",
    b"x-ssl",
    b"x-ssl-cert",
    b"x-ssl-client-cert",
    b"x-ssl-client-verify",
    b"x-sucuri-clientip",
    b"x-url-scheme",
    b"x-vercel-forwarded-for",
    b"x-vercel-proxied-for",
    b"x-waws-unencoded-url",
];

/// `HTTP_PROXY` is where many programs look for their own proxy (CVE-2016-5385).
const PROXY: &[u8] = b"proxy";
const FORWARDED: &[u8] = b"x-forwarded-";

/// No name in [`TOLD`] is longer.
const LONGEST: usize = 32;

impl Unwanted {
    /// Whether a received field with this name is left out.
    pub(crate) fn takes(self, name: &[u8]) -> bool {
        let mut plain = [0; LONGEST];
        let mut is_odd = false;
        for (slot, byte) in plain.iter_mut().zip(name) {
            *slot = if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
        }
        for byte in name {
            is_odd |= !byte.is_ascii_alphanumeric() && *byte != b'-';
        }
        let whole = plain.get(..name.len()).unwrap_or_default();
        let (forwarded, told) = (plain.starts_with(FORWARDED), TOLD.binary_search(&whole).is_ok());
        let another = forwarded || told || Name::of(whole) != Name::Other;
        is_odd && (self.odd || another) || self.forwarded && forwarded || self.told && told || whole == PROXY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Unwanted = Unwanted { odd: true, forwarded: true, told: true };
    const ODD: Unwanted = Unwanted { odd: false, forwarded: false, told: false };

    #[test]
    fn names_are_found_in_every_spelling() {
        for name in [
            "X-Forwarded-For",
            "x-forwarded-anything-however-long-the-name-of-it-may-be",
            "X-Real-IP",
            "TRUE-CLIENT-IP",
            "X-Original-URL",
            "Front-End-Https",
            "Proxy",
            "X_Forwarded_For",
            "X-Forwarded_Proto",
            "x.forwarded.for",
            "X=Forwarded=For",
            "Content_Length",
            "TRANSFER_ENCODING",
            "X_Own",
            "_",
            "a~b",
        ] {
            assert!(ALL.takes(name.as_bytes()), "{name}");
        }
        for name in ["Host", "Accept", "X-Own", "Content-Length", "X-Request-Id", "X-HTTP-Method-Override", "Forwarded"]
        {
            assert!(!ALL.takes(name.as_bytes()), "{name}");
        }
        assert!(TOLD.is_sorted());
        assert!(TOLD.iter().all(|name| name.len() <= LONGEST && ALL.takes(name)));
    }

    /// What is kept of odd names is never what could be taken for another's.
    #[test]
    fn a_disguise_goes_in_any_case() {
        for name in ["X_Forwarded_For", "X-Forwarded_Host", "x_real_ip", "Transfer_Encoding", "Proxy", "User_Agent"] {
            assert!(ODD.takes(name.as_bytes()), "{name}");
        }
        for name in ["X_Own", "X-Forwarded-For", "X-Real-IP", "X_Forwarding"] {
            assert!(!ODD.takes(name.as_bytes()), "{name}");
        }
    }
}
