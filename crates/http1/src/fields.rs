//! Field names that the proxy acts upon, single fields, and comma lists (RFC 9110 §5).

/// A field name that some rule of the proxy is about. All others are [`Name::Other`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Name {
    /// `Connection`, RFC 9110 §7.6.1.
    Connection,
    /// `Content-Length`, RFC 9110 §8.6.
    ContentLength,
    /// `Transfer-Encoding`, RFC 9112 §6.1.
    TransferEncoding,
    /// `Host`, RFC 9110 §7.2.
    Host,
    /// `TE`, RFC 9110 §10.1.4.
    Te,
    /// `Trailer`, RFC 9110 §6.6.2.
    Trailer,
    /// `Upgrade`, RFC 9110 §7.8.
    Upgrade,
    /// `Keep-Alive`, RFC 2068 §19.7.1.
    KeepAlive,
    /// `Proxy-Connection`, RFC 9112 §C.2.2.
    ProxyConnection,
    /// `Proxy-Authorization`, RFC 9110 §11.7.2.
    ProxyAuthorization,
    /// `Proxy-Authenticate`, RFC 9110 §11.7.1.
    ProxyAuthenticate,
    /// `Proxy-Authentication-Info`, RFC 9110 §11.7.3.
    ProxyAuthenticationInfo,
    /// `Expect`, RFC 9110 §10.1.1.
    Expect,
    /// `Max-Forwards`, RFC 9110 §7.6.2.
    MaxForwards,
    /// `Via`, RFC 9110 §7.6.3.
    Via,
    /// `Date`, RFC 9110 §6.6.1.
    Date,
    /// `HTTP2-Settings`, RFC 7540 §3.2.1.
    Http2Settings,
    /// `Authorization`, RFC 9110 §11.6.2.
    Authorization,
    /// `WWW-Authenticate`, RFC 9110 §11.6.1.
    WwwAuthenticate,
    /// `Cookie`, RFC 6265 §5.4.
    Cookie,
    /// `User-Agent`, RFC 9110 §10.1.5.
    UserAgent,
    /// `Referer`, RFC 9110 §10.1.3.
    Referer,
    /// `Set-Cookie`, RFC 6265 §4.1.
    SetCookie,
    /// Any other name.
    Other,
}

impl Name {
    /// Finds a name, whatever its case (RFC 9110 §5.1).
    #[inline]
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        // The length and one letter leave one candidate, and most names none. The usual case is
        // tried first because it compares as whole words.
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        let (known, id): (&[u8], Self) = match (name.len(), first) {
            (2, b't') => (b"TE", Self::Te),
            (3, b'v') => (b"Via", Self::Via),
            (4, b'h') => (b"Host", Self::Host),
            (4, b'd') => (b"Date", Self::Date),
            (6, b'e') => (b"Expect", Self::Expect),
            (6, b'c') => (b"Cookie", Self::Cookie),
            (7, b'u') => (b"Upgrade", Self::Upgrade),
            (7, b'r') => (b"Referer", Self::Referer),
            (7, b't') => (b"Trailer", Self::Trailer),
            (10, b'c') => (b"Connection", Self::Connection),
            (10, b'u') => (b"User-Agent", Self::UserAgent),
            (10, b's') => (b"Set-Cookie", Self::SetCookie),
            (10, b'k') => (b"Keep-Alive", Self::KeepAlive),
            (12, b'm') => (b"Max-Forwards", Self::MaxForwards),
            (13, b'a') => (b"Authorization", Self::Authorization),
            (14, b'c') => (b"Content-Length", Self::ContentLength),
            (14, b'h') => (b"HTTP2-Settings", Self::Http2Settings),
            (16, b'w') => (b"WWW-Authenticate", Self::WwwAuthenticate),
            (16, b'p') => (b"Proxy-Connection", Self::ProxyConnection),
            (17, b't') => (b"Transfer-Encoding", Self::TransferEncoding),
            (18, b'p') => (b"Proxy-Authenticate", Self::ProxyAuthenticate),
            (19, b'p') => (b"Proxy-Authorization", Self::ProxyAuthorization),
            (25, b'p') => (b"Proxy-Authentication-Info", Self::ProxyAuthenticationInfo),
            _ => return Self::Other,
        };
        if name == known || name.eq_ignore_ascii_case(known) { id } else { Self::Other }
    }

    /// The bit of this name in a set of names.
    #[inline]
    pub(crate) const fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

/// A set of names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Names(u32);

impl Names {
    /// These names. [`Name::Other`] stands for all that have no name of their own here.
    #[must_use]
    pub const fn of(names: &[Name]) -> Self {
        let (mut set, mut rest) = (0, names);
        while let [name, more @ ..] = rest {
            set |= name.bit();
            rest = more;
        }
        Self(set)
    }

    /// The same and `name`.
    #[must_use]
    pub const fn with(self, name: Name) -> Self {
        Self(self.0 | name.bit())
    }

    /// Whether `name` is one of them.
    #[inline]
    #[must_use]
    pub const fn contains(self, name: Name) -> bool {
        self.0 & name.bit() != 0
    }
}

/// One field line.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// The name, if it is one that the proxy acts upon.
    pub id: Name,
    /// The name in the sender's case.
    pub name: &'a [u8],
    /// The value without the SP and HTAB around it. It may contain bytes over 0x7f.
    pub value: &'a [u8],
}

/// The elements of a comma list, without the white space around them. Empty elements are skipped
/// (RFC 9110 §5.6.1.2). A comma inside a quoted string splits too: what is read with this
/// (`Connection`, `Upgrade`, `Expect`, `Via`, codings) is a list of tokens.
#[inline]
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    value.split(|&byte| byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// Whether `bytes` is a token: one or more `tchar` (RFC 9110 §5.6.2).
#[inline]
#[must_use]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_tchar(byte))
}

/// Whether `bytes` is a field value: visible bytes, SP and HTAB, none of these two at its ends
/// (RFC 9110 §5.5). It may be empty.
#[must_use]
pub fn is_value(bytes: &[u8]) -> bool {
    trim(bytes).len() == bytes.len() && bytes.iter().all(|&byte| is_value_byte(byte))
}

/// Whether a field with this name may be passed on in a trailer section (RFC 9110 §6.5.1).
///
/// Not so for what frames, routes, modifies or authenticates a message, controls its response or
/// tells how to process its content: a recipient that merges trailers into the head would act on
/// it after the decision has been made.
#[must_use]
pub fn is_forwardable_trailer(name: &[u8]) -> bool {
    const NEVER: &[&[u8]] = &[
        b"age",
        b"authentication-info",
        b"authorization",
        b"cache-control",
        b"connection",
        b"cookie",
        b"date",
        b"expect",
        b"expires",
        b"forwarded",
        b"host",
        b"http2-settings",
        b"keep-alive",
        b"location",
        b"max-forwards",
        b"pragma",
        b"range",
        b"retry-after",
        b"set-cookie",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"vary",
        b"via",
        b"warning",
        b"www-authenticate",
        b"x-real-ip",
    ];
    const NEVER_STARTING: &[&[u8]] = &[b"content-", b"if-", b"proxy-", b"x-forwarded-"];
    is_token(name)
        && !NEVER.iter().any(|never| never.eq_ignore_ascii_case(name))
        && !NEVER_STARTING.iter().any(|start| starts_with_ignore_case(name, start))
}

/// Whether `Connection` may not take this field away, whoever names it there: removing it would
/// change where the message goes, how long it is, what it means or who it is from.
pub(crate) fn is_beyond_nomination(name: &[u8]) -> bool {
    const KEPT: &[&[u8]] = &[
        b"authorization",
        b"cache-control",
        b"cookie",
        b"date",
        b"expect",
        b"forwarded",
        b"host",
        b"max-forwards",
        b"set-cookie",
        b"transfer-encoding",
        b"via",
        b"x-real-ip",
    ];
    KEPT.iter().any(|kept| kept.eq_ignore_ascii_case(name))
        || starts_with_ignore_case(name, b"content-")
        || starts_with_ignore_case(name, b"x-forwarded-")
}

/// `bytes` without the SP and HTAB around it: OWS (RFC 9110 §5.6.3), which is not all ASCII white
/// space.
#[inline]
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [b' ' | b'\t', tail @ ..] = rest {
        rest = tail;
    }
    while let [head @ .., b' ' | b'\t'] = rest {
        rest = head;
    }
    rest
}

/// Whether a byte may be part of a token.
#[inline]
pub(crate) const fn is_tchar(byte: u8) -> bool {
    matches!(byte,
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9'
        | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+'
        | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// Whether a byte may be part of a field value or reason phrase: HTAB, SP, VCHAR, obs-text.
#[inline]
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn starts_with_ignore_case(name: &[u8], start: &[u8]) -> bool {
    name.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}
