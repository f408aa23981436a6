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
    /// What else is said by proxies: [`TOLD`] and [`is_kin`].
    pub(crate) told: bool,
}

/// In lower case, sorted: what proxies, content networks and clouds say, and libraries look for, beside the families of
/// [`is_kin`]: how the client connected and to which name, and what path it asked for, which some serve instead. A client has no
/// reason to send any of them.
const TOLD: &[&[u8]] = &[
    b"cf-ipcity",
    b"cf-ipcountry",
    b"cf-visitor",
    b"fastly-ssl",
    b"front-end-https",
    b"unencoded-url",
    b"wl-proxy-ssl",
    b"x-arr-ssl",
    b"x-host",
    b"x-http-destinationurl",
    b"x-http-host-override",
    b"x-https",
    b"x-proto",
    b"x-request-uri",
    b"x-scheme",
    b"x-script-name",
    b"x-server-name",
    b"x-server-port",
    b"x-ssl",
    b"x-url-scheme",
    b"x-vercel-proxied-for",
    b"x-waws-unencoded-url",
];

/// Whether a name in lower case, with `-` between its words, is of a family that only proxies write: two words that follow each
/// other decide, or one wherever it stands. The first after an `x` has nothing before it.
///
/// What programs send in earnest is of none: `X-Client-Version`, `X-User-Id`, `X-Auth-Token`, `X-Auth-User`, `X-Original-Filename`.
/// Nor is what they write about a thing that they store, in words of their own: `X-Amz-Meta-Client-IP` is signed, and without it
/// the request would be refused.
fn is_kin(plain: &[u8]) -> bool {
    let mut words = plain.split(|byte| *byte == b'-').filter(|word| !word.is_empty()).peekable();
    words.next_if_eq(b"x");
    let mut before: &[u8] = b"";
    while let Some(word) = words.next() {
        if matches!((before, word), (b"amz" | b"goog" | b"ms" | b"object" | b"container" | b"account", b"meta")) {
            return false;
        }
        let is_only = before.is_empty() && words.peek().is_none();
        if speaks_of_client(before, word) || speaks_of_user(before, word, is_only) || speaks_of_path(before, word) {
            return true;
        }
        before = word;
    }
    false
}

/// By which address it came, and by which certificate: `CF-Connecting-IP`, `X-Custom-IP-Authorization`, `Fly-Forwarded-Proto`,
/// `SSL-Client-S-DN`, `X-Client-Cert`.
fn speaks_of_client(before: &[u8], word: &[u8]) -> bool {
    matches!(
        (before, word),
        (_, b"ip" | b"ipv4" | b"ipv6" | b"addr" | b"clientip" | b"realip" | b"remoteip" | b"socketip" | b"userip")
            | (_, b"forward" | b"forwarder" | b"forwarded" | b"clientcert" | b"mtls")
            | (b"client" | b"peer" | b"real" | b"source" | b"viewer", b"address" | b"host" | b"port")
            | (b"client", b"cert" | b"certs" | b"certificate" | b"verify" | b"verified" | b"ssl" | b"tls")
            | (b"client", b"s" | b"i" | b"sdn" | b"idn" | b"dn" | b"cn" | b"subject" | b"issuer" | b"san")
            | (b"client", b"serial" | b"fingerprint")
            | (b"ssl" | b"tls", b"client" | b"cert" | b"certificate" | b"verify" | b"verified")
            | (b"cert", b"dn" | b"subject" | b"issuer" | b"serial" | b"fingerprint")
    )
}

/// Who it is, as a proxy has found that logs users in: `Remote-User`, `X-Remote-Groups`, `X-WebAuth-User`, `X-Auth-Request-Email`,
/// `X-Goog-Authenticated-User-Email`, `X-MS-Client-Principal`.
fn speaks_of_user(before: &[u8], word: &[u8], is_only: bool) -> bool {
    match (before, word) {
        (_, b"webauth" | b"authenticated" | b"oidc" | b"principal" | b"userinfo") => true,
        (b"", b"remote") => !is_only,
        (b"remote", b"user" | b"group" | b"groups" | b"email" | b"name") => true,
        (b"auth", b"request") | (b"proxy", b"user") | (b"goog", b"iap") | (b"ms", b"token") => true,
        // Of programs that stand in front of others.
        (b"", b"authelia" | b"authentik" | b"pomerium" | b"tailscale" | b"vouch") => !is_only,
        (b"", b"shib") => !is_only,
        (b"iv", b"user" | b"groups" | b"creds") | (b"sm", b"user" | b"userdn" | b"universalid") => true,
        (b"", b"appengine" | b"azure" | b"envoy" | b"ssl") => !is_only,
        (b"consumer", b"custom" | b"groups" | b"id" | b"username") => true,
        (b"credential", b"identifier" | b"username") | (b"anonymous", b"consumer") => true,
        _ => false,
    }
}

/// What it asked for, before somebody in front changed that: `X-Original-URL`, `X-Rewrite-URL`, `X-Replaced-Path`.
fn speaks_of_path(before: &[u8], word: &[u8]) -> bool {
    let is_changed = matches!(before, b"orig" | b"original" | b"override" | b"replaced" | b"rewrite" | b"rewritten");
    let is_part = matches!(
        word,
        b"for" | b"host" | b"method" | b"path" | b"port" | b"prefix" | b"proto" | b"protocol" | b"query" | b"request"
    ) || matches!(word, b"scheme" | b"server" | b"uri" | b"url");
    is_changed && is_part || matches!(before, b"originating" | b"originally")
}

/// `HTTP_PROXY` is where many programs look for their own proxy (CVE-2016-5385).
const PROXY: &[u8] = b"proxy";
const FORWARDED: &[u8] = b"x-forwarded-";
/// Has a setting of its own ([`Reverse::forwarded`](crate::Reverse::forwarded)).
const RFC7239: &[u8] = b"forwarded";

/// Of a longer name the beginning is read.
const LONGEST: usize = 64;

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
        let read = plain.get(..name.len()).unwrap_or(&plain);
        let forwarded = read.starts_with(FORWARDED);
        let told = !forwarded && (TOLD.binary_search(&read).is_ok() || read != RFC7239 && is_kin(read));
        let another = forwarded || told || Name::of(read) != Name::Other;
        is_odd && (self.odd || another) || self.forwarded && forwarded || self.told && told || read == PROXY
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
        for name in [
            "Host",
            "Accept",
            "X-Own",
            "Content-Length",
            "X-Request-Id",
            "X-HTTP-Method-Override",
            "Forwarded",
            "X",
            "-",
            "",
        ] {
            assert!(!ALL.takes(name.as_bytes()), "{name}");
        }
        assert!(TOLD.is_sorted());
        assert!(TOLD.iter().all(|name| name.len() <= LONGEST && ALL.takes(name) && !is_kin(name)));
    }

    /// One line for each kind: by which address, by which certificate, who, how and for what.
    #[test]
    fn families_are_known_by_their_words() {
        let lines = "
            Client-IP X-Client-IP X-Cluster-Client-IP Fastly-Client-IP Ali-CDN-Real-IP CF-Connecting-IPv6 CF-Pseudo-IPv4
            X-Azure-SocketIP X-Sucuri-ClientIP Remote-Addr X-Original-Remote-Addr Forwarded-For-IP X-Forward-For Z-Forwarded-For
            X-Custom-IP-Authorization X-Source-IP X-IP X-Client-Port X-Real-Port X-Real-Host X-Originating-Whatever
            Client-Cert Client-Cert-Chain X-Client-Cert X-Client-DN X-Client-S-DN X-Client-Verify X-ARR-ClientCert X-SSL-Cert
            SSL-Client-S-DN SSL-Client-Cert X-SSL-Client-S-DN X-SSL-Client-Verify X-SSL-Client-Anything X-TLS-Client-Subject
            X-Amzn-Mtls-Clientcert-Leaf WL-Proxy-Client-Cert X-Cert-Subject X-Client-Fingerprint
            Remote-User Remote-Groups Remote-Email Remote-Name X-Remote-User X-Remote-Extra-Scopes X-Proxy-Remote-User Proxy-User
            X-WebAuth-User WebAuth-Groups X-Auth-Request-User X-Auth-Request-Email X-Auth-Request-Preferred-Username
            X-Auth-Request-Access-Token X-Authenticated-User X-Authenticated-Groups X-Goog-Authenticated-User-Email
            CF-Access-Authenticated-User-Email X-Amzn-Oidc-Data OIDC_CLAIM_email X-MS-Client-Principal-Name X-MS-Token-AAD-Id-Token
            X-Consumer-Username X-Credential-Identifier X-authentik-groups Tailscale-User-Login X-Pomerium-Claim-Email
            X-Apigateway-Api-Userinfo X-Endpoint-API-UserInfo X-Userinfo IV-User IV-Groups IV-Creds SM-User SM-UserDN SM-UniversalID
            Shib-Identity-Provider CloudFront-Viewer-Address
            X-Original-URL X-Original-Method X-Rewrite-URL X-Replaced-Path X-Override-Host Fly-Forwarded-Proto X-Envoy-Original-Path";
        for name in lines.split_whitespace() {
            assert!(ALL.takes(name.as_bytes()), "{name}");
            assert!(ODD.takes(name.replace('-', "_").as_bytes()) || !name.contains('-'), "{name} with _");
        }
    }

    /// What programs send for themselves.
    #[test]
    fn what_clients_say_in_earnest_is_left() {
        let lines = "
            Authorization Cookie Referer Origin Max-Forwards Proxy-Authorization X-Client-Version X-Client-Data X-Client-Id X-User-Id
            X-User X-Auth-Token X-Auth-User X-Auth-Key X-Auth-Email X-Access-Token X-Api-Key X-Requested-With X-CSRF-Token
            X-Original-Filename X-Shipping-Address X-Amz-Date X-Amz-Content-Sha256 X-Amzn-Trace-Id X-Goog-Api-Key
            X-MS-Client-Request-Id X-GitHub-Event X-Hub-Signature-256 X-Device-Serial X-Zip X-Tip X-Consumer-Key Traceparent Remote SSL
            X-Amz-Meta-Client-IP X-Amz-Meta-Original-Path X-Goog-Meta-Source-Host X-MS-Meta-Addr X-Object-Meta-Forwarded
            X-Container-Meta-IP X-Account-Meta-Remote-User X-Prometheus-Remote-Write-Version
            Sec-WebSocket-Key Sec-CH-UA Content-MD5 Upload-Offset Tus-Resumable Idempotency-Key Destination Depth If-Match";
        for name in lines.split_whitespace() {
            assert!(!ALL.takes(name.as_bytes()), "{name}");
        }
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
