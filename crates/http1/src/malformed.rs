//! One variant per broken rule: what to tell the user, the status, and where it is written.
//!
//! The same rules hold for requests and responses. A request that breaks one is answered with
//! [`Malformed::status`]; a response that breaks one is the origin's fault, so the caller answers
//! 502 whatever the status here says.

/// Makes the enum and its three tables from one list, so that no rule can lack an answer.
macro_rules! rules {
    ($($variant:ident, $status:literal, $rfc:literal, $name:literal, $sentence:literal;)+) => {
        /// A rule of HTTP/1 that a message broke. Its `Display` is a sentence for the user whose
        /// message was refused: what is wrong and what would be right.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        #[non_exhaustive]
        pub enum Malformed {
            $(
                #[doc = concat!($rfc, ": ", $sentence, ".")]
                #[error($sentence)]
                $variant,
            )+
        }

        impl Malformed {
            /// Every rule, in the order of a message: for tables, counters and tests.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The status to answer a request with: 400, 414, 431, 501 or 505.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }

            /// What is wrong, without the remedy: that is for whoever can change the message.
            #[must_use]
            pub fn complaint(self) -> &'static str {
                let sentence = match self { $(Self::$variant => $sentence),+ };
                sentence.split_once("; ").map_or(sentence, |(complaint, _)| complaint)
            }

            /// Where the rule is written, such as `RFC 9112 §2.2`.
            #[must_use]
            pub const fn rfc(self) -> &'static str {
                match self { $(Self::$variant => $rfc),+ }
            }

            /// A short name in kebab case, for logs and metrics. It never changes.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

rules! {
    // Lines and limits.
    BareLf, 400, "RFC 9112 §2.2", "bare-lf",
        "a line ends in a bare LF; lines end in CRLF";
    BareCr, 400, "RFC 9112 §2.2", "bare-cr",
        "a CR is not followed by LF; lines end in CRLF";
    Nul, 400, "RFC 9110 §5.5", "nul",
        "the head contains a NUL byte; remove it";
    TlsClientHello, 400, "RFC 9112 §3", "tls-client-hello",
        "this port speaks plain HTTP; use http:// in the proxy's URL, not https://";
    Socks, 400, "RFC 1928 §3", "socks",
        "this port speaks HTTP, not SOCKS; use http:// in the proxy's URL, not socks5://";
    RequestLineTooLong, 414, "RFC 9112 §3", "request-line-too-long",
        "the request line is too long; shorten the URL";
    HeadTooLarge, 431, "RFC 6585 §5", "head-too-large",
        "the head is too large; send fewer or shorter fields";
    TooManyFields, 431, "RFC 6585 §5", "too-many-fields",
        "the head has too many fields; send fewer";
    TooManyNominations, 431, "RFC 6585 §5", "too-many-nominations",
        "the Connection field names more fields than a head may have; name fewer";
    HeadSyntax, 400, "RFC 9112 §2.1", "head-syntax",
        "the head does not follow the grammar of HTTP/1.1";

    // The start line.
    RequestLineWords, 400, "RFC 9112 §3", "request-line-words",
        "the request line is not three words with one space between them: method, target, version";
    BadMethod, 400, "RFC 9110 §9.1", "bad-method",
        "the method is not a token; it is made of letters, digits and !#$%&'*+-.^_`|~";
    BadTargetByte, 400, "RFC 9112 §3.2", "bad-target-byte",
        "the request target contains a control or non-ASCII byte; percent-encode it";
    VersionSyntax, 400, "RFC 9112 §2.3", "version-syntax",
        "the version is not written as HTTP/1.1 or HTTP/1.0";
    UnsupportedVersion, 505, "RFC 9110 §15.6.6", "unsupported-version",
        "this version of HTTP is not spoken here; use HTTP/1.1 or HTTP/1.0";
    StatusLine, 400, "RFC 9112 §4", "status-line",
        "the status line is not a version, three digits and a reason phrase";
    StatusCode, 400, "RFC 9110 §15", "status-code",
        "the status code is not between 100 and 999";

    // Field lines.
    ObsFold, 400, "RFC 9112 §5.2", "obs-fold",
        "a line of the head starts with white space; write each field in one line";
    SpaceBeforeColon, 400, "RFC 9112 §5.1", "space-before-colon",
        "there is white space between a field name and its colon; remove it";
    EmptyName, 400, "RFC 9112 §5", "empty-name",
        "a field line has no name before its colon";
    BadNameByte, 400, "RFC 9110 §5.1", "bad-name-byte",
        "a field name is not a token; it is made of letters, digits and !#$%&'*+-.^_`|~";
    MissingColon, 400, "RFC 9112 §5", "missing-colon",
        "a field line has no colon; write it as name: value";
    ControlInValue, 400, "RFC 9110 §5.5", "control-in-value",
        "there is a control character in the status line or in a field value; only HTAB is allowed";

    // The request target.
    TargetForm, 400, "RFC 9112 §3.2", "target-form",
        "the request target is not an absolute URI; a proxy is asked for http://host/path";
    AuthorityFormRequired, 400, "RFC 9112 §3.2.3", "authority-form-required",
        "the target of CONNECT is not host:port";
    AsteriskForm, 400, "RFC 9112 §3.2.4", "asterisk-form",
        "the target * belongs to OPTIONS alone";
    HttpsTarget, 400, "RFC 9110 §9.3.6", "https-target",
        "an https:// URL is not fetched by this proxy; use CONNECT host:443 and speak TLS inside";
    SchemeUnsupported, 400, "RFC 9112 §3.2.2", "scheme-unsupported",
        "the scheme of the target is not supported; use http://, or CONNECT for anything else";
    Userinfo, 400, "RFC 9110 §4.2.4", "userinfo",
        "there is a user name or an @ before the host; remove it and use Authorization";
    EmptyHost, 400, "RFC 9110 §4.2.1", "empty-host",
        "the target has no host";
    BadHost, 400, "RFC 3986 §3.2.2", "bad-host",
        "the host is neither a DNS name nor an address in its usual form";
    BadIpv6, 400, "RFC 3986 §3.2.2", "bad-ipv6",
        "what stands in brackets is not an IPv6 address, or is followed by something else than :port";
    BadPort, 400, "RFC 3986 §3.2.3", "bad-port",
        "the port is not a number between 1 and 65535";
    Fragment, 400, "RFC 9112 §3.2", "fragment",
        "the target contains a #; a fragment is never sent";

    // The path, where an origin is chosen by its prefix.
    PathEncoding, 400, "RFC 3986 §2.1", "path-encoding",
        "a % in the path is not followed by two hexadecimal digits; write it as %25";
    DotSegments, 400, "RFC 3986 §5.2.4", "dot-segments",
        "the path has dot segments (. or ..) in it; send it without them";
    AmbiguousPath, 400, "RFC 3986 §7.3", "ambiguous-path",
        "the path can be read in two ways: it holds an encoded slash, a backslash, a control character, a parameter where an \
         origin is chosen, or is encoded twice or overlong; send it without these";

    BadMaxForwards, 400, "RFC 9110 §7.6.2", "bad-max-forwards",
        "Max-Forwards of a TRACE or OPTIONS is not a number";

    // Host.
    HostMissing, 400, "RFC 9112 §3.2", "host-missing",
        "the Host field is missing; HTTP/1.1 requires it";
    HostRepeated, 400, "RFC 9112 §3.2", "host-repeated",
        "there is more than one Host field; send one";
    HostInvalid, 400, "RFC 9112 §3.2", "host-invalid",
        "the Host field is not host or host:port";

    // Framing.
    TwoLengths, 400, "RFC 9112 §6.1", "two-lengths",
        "there are both Content-Length and Transfer-Encoding; send one of them";
    BadContentLength, 400, "RFC 9110 §8.6", "bad-content-length",
        "Content-Length is not a decimal number below 2^63";
    UnequalContentLengths, 400, "RFC 9112 §6.3", "unequal-content-lengths",
        "there are several different Content-Lengths; send one";
    UnknownCoding, 501, "RFC 9112 §6.1", "unknown-coding",
        "this transfer coding is not understood; send Transfer-Encoding: chunked";
    ChunkedNotLast, 400, "RFC 9112 §6.3", "chunked-not-last",
        "chunked is not the last transfer coding, so the end of the body is unknown";
    ChunkedRepeated, 400, "RFC 9112 §6.1", "chunked-repeated",
        "chunked is applied more than once";
    TransferEncodingSyntax, 400, "RFC 9112 §6.1", "transfer-encoding-syntax",
        "Transfer-Encoding is not exactly: chunked";
    TransferEncodingIn10, 400, "RFC 9112 §6.1", "transfer-encoding-in-1.0",
        "Transfer-Encoding does not exist in HTTP/1.0; use HTTP/1.1 or Content-Length";
    ConnectWithContent, 400, "RFC 9110 §9.3.6", "connect-with-content",
        "a CONNECT request has no content; remove Content-Length and Transfer-Encoding";

    // Chunks and trailers.
    ChunkSize, 400, "RFC 9112 §7.1", "chunk-size",
        "a chunk does not start with its size in hexadecimal digits and CRLF";
    ChunkSizeTooLarge, 400, "RFC 9112 §7.1", "chunk-size-too-large",
        "a chunk size has more than 16 digits or is not below 2^63";
    ChunkExtension, 400, "RFC 9112 §7.1.1", "chunk-extension",
        "a chunk extension is not written as ;name=value";
    ChunkExtensionsTooLong, 400, "RFC 9112 §7.1.1", "chunk-extensions-too-long",
        "the chunk extensions of this body are too long; leave them out";
    ChunkEnd, 400, "RFC 9112 §7.1", "chunk-end",
        "the data of a chunk is not followed by CRLF: it is longer than the chunk's size";
    TrailersTooLarge, 431, "RFC 6585 §5", "trailers-too-large",
        "the trailer section is too large; send fewer or shorter fields";
    TrailerSyntax, 400, "RFC 9112 §7.1.2", "trailer-syntax",
        "a line of the trailer section is not name: value";
}
