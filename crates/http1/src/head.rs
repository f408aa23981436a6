//! Heads: received in pieces, refused at the first byte that cannot be right, then read in place.
//!
//! A head owns its bytes and is meant to be used again: `clear` keeps the memory. It never holds
//! more than [`HeadLimits::bytes`] of text, and beside that 20 bytes per field.

use crate::connection::Connection;
use crate::fields::{Field, Name, Names, is_tchar, list};
use crate::index::slice;
use crate::lines::{diagnose_request, diagnose_response};
use crate::malformed::Malformed;
pub use crate::message::{HeadLimits, Received, Version};
use crate::raw::{Kind, Raw};
use crate::scan::LineEnds;
use crate::tokenize;

/// The head of a request: request line and fields (RFC 9112 §3, §5).
#[derive(Debug)]
pub struct RequestHead {
    raw: Raw,
    method: (u32, u32),
    target: (u32, u32),
    version: Version,
    expects_continue: bool,
}

/// The head of a response: status line and fields (RFC 9112 §4, §5).
///
/// Devices and scripts send two things that no request may have, and that all read alike: a LF alone at the end of a line
/// (§2.2), and blanks between a field's name and its colon, which a proxy must remove (§5.1). Both are taken, the fields
/// are read as if they were not there, and [`ResponseHead::write_fields`] writes lines without them. What begins a line
/// with a blank (§5.2) is refused: what it continues, parsers do not agree on.
#[derive(Debug)]
pub struct ResponseHead {
    raw: Raw,
    status: u16,
    reason: (u32, u32),
    version: Version,
}

/// What both heads have in common, written once.
macro_rules! common {
    ($head:ident, $kind:expr) => {
        impl $head {
            /// Forgets the message and keeps the memory.
            pub fn clear(&mut self) {
                let mut raw = std::mem::replace(&mut self.raw, Self::new().raw);
                raw.clear();
                *self = Self { raw, ..Self::new() };
            }

            /// Forgets the message and gives the memory back.
            pub fn shrink(&mut self) {
                *self = Self::new();
            }

            /// Bytes of memory held, used or not.
            #[must_use]
            pub fn capacity(&self) -> usize {
                self.raw.capacity()
            }

            /// Takes bytes until the head is complete, and only those of the head. Empty lines
            /// before the start line are skipped (RFC 9112 §2.2). The end is looked for once,
            /// however small the pieces.
            ///
            /// # Errors
            ///
            /// The first rule that the head breaks: line ends, limits and the first byte as soon
            /// as they are seen, the rest when the head is complete. The same error however the
            /// bytes were cut, and again if called again.
            pub fn receive(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Received, Malformed> {
                if let Some(outcome) = self.raw.outcome() {
                    return outcome;
                }
                if let Some(whole) = self.take_whole(input, limits) {
                    return whole.map(Received::Complete).map_err(|why| self.raw.refuse(why));
                }
                let received = self.raw.receive(input, limits, &$kind);
                let parsed = received.and_then(|end| match end {
                    None => Ok(Received::Partial),
                    Some(end) => self.parse(limits).map(|()| Received::Complete(end)),
                });
                parsed.map_err(|why| self.raw.refuse(why))
            }

            /// Whether no byte has come yet; skipped empty lines do not count.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.raw.is_empty()
            }

            /// Whether the head is complete and in order.
            #[must_use]
            pub fn is_complete(&self) -> bool {
                self.raw.is_complete()
            }

            /// The head as received so far, from its start line on.
            #[must_use]
            pub fn bytes(&self) -> &[u8] {
                self.raw.bytes()
            }

            /// The version of the sender. HTTP/1.1 before completion.
            #[must_use]
            pub fn version(&self) -> Version {
                self.version
            }

            /// The fields in their order. None before completion.
            #[inline]
            pub fn fields(&self) -> impl Iterator<Item = Field<'_>> + Clone {
                self.raw.fields()
            }

            /// How many fields there are.
            #[inline]
            #[must_use]
            pub fn field_count(&self) -> usize {
                self.raw.field_count()
            }

            /// Appends the field lines to `out` in their order: `name: value`, CRLF. Of those that
            /// are named in `differing`, or by `also` if it is given, and of those that
            /// [`Self::is_nominated`], `instead` writes what takes their place, or nothing.
            #[inline]
            pub fn write_fields(
                &self,
                out: &mut Vec<u8>,
                differing: Names,
                also: Option<impl Fn(&[u8]) -> bool>,
                instead: impl FnMut(&Field<'_>, &mut Vec<u8>),
            ) {
                self.raw.write_fields(out, differing, also, instead);
            }

            /// The fields of this name, in their order. Costs one comparison if there is none.
            #[inline]
            pub fn named(&self, id: Name) -> impl Iterator<Item = Field<'_>> + Clone {
                self.raw.named(id)
            }

            /// The first field of this name. For [`Name::Other`], the first unknown one.
            #[must_use]
            pub fn field(&self, id: Name) -> Option<Field<'_>> {
                self.named(id).next()
            }

            /// Whether there is a field of this name; costs one comparison.
            #[inline]
            #[must_use]
            pub fn has(&self, id: Name) -> bool {
                self.raw.has(id)
            }

            /// What the `Connection` fields say together.
            #[must_use]
            pub fn connection(&self) -> &Connection {
                self.raw.connection()
            }

            /// Whether a `Connection` field names this field, so that it is not passed on
            /// (RFC 9110 §7.6.1). Never for what a sender must not be able to take away: routing,
            /// framing, representation and credentials. `TE`, `Upgrade` and `Keep-Alive` have
            /// flags in [`Connection`] and are not looked up here.
            #[must_use]
            pub fn is_nominated(&self, name: &[u8]) -> bool {
                self.raw.is_nominated(name)
            }
        }

        impl Default for $head {
            fn default() -> Self {
                Self::new()
            }
        }
    };
}

common!(RequestHead, REQUEST);
common!(ResponseHead, RESPONSE);

impl RequestHead {
    /// An empty head. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            raw: Raw::new(LineEnds::CrLf),
            method: (0, 0),
            target: (0, 0),
            version: Version::Http11,
            expects_continue: false,
        }
    }

    /// The method, a token. Empty before completion.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        slice(self.raw.bytes(), self.method)
    }

    /// The request target as written: visible ASCII. Empty before completion.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        slice(self.raw.bytes(), self.target)
    }

    /// What has come of the request line, at most 256 bytes: for the log, also after an error.
    #[must_use]
    pub fn request_line_so_far(&self) -> &[u8] {
        self.raw.start_line_so_far()
    }

    /// The method, or as much of it as has come: also after an error, where what may follow depends on it (an answer to
    /// HEAD has no content, RFC 9110 §9.3.2).
    #[must_use]
    pub fn method_so_far(&self) -> &[u8] {
        let line = self.raw.start_line_so_far();
        let end = line.iter().position(|&byte| !is_tchar(byte)).unwrap_or(line.len());
        line.get(..end).unwrap_or_default()
    }

    /// Whether the client's connection may serve another request. An HTTP/1.0 client's never
    /// does: a proxy does not keep it, because old proxies pass `keep-alive` on blindly
    /// (RFC 9112 §9.3).
    #[must_use]
    pub fn persists(&self) -> bool {
        self.version == Version::Http11 && !self.connection().close
    }

    /// Whether the client waits for a 100 (RFC 9110 §10.1.1). Never in HTTP/1.0.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// The protocols of `Upgrade`, if it is meant: in HTTP/1.1 and listed in `Connection`
    /// (RFC 9110 §7.8).
    pub fn upgrade_offers(&self) -> impl Iterator<Item = &[u8]> {
        let meant = self.version == Version::Http11 && self.connection().upgrade;
        self.named(Name::Upgrade).filter(move |_| meant).flat_map(|field| list(field.value))
    }

    fn take_whole(&mut self, input: &[u8], limits: &HeadLimits) -> Option<Result<usize, Malformed>> {
        let taken = self.raw.take_whole(input, limits, tokenize::request)?;
        Some(taken.map(|(n, line)| {
            self.set(line);
            n
        }))
    }

    fn parse(&mut self, limits: &HeadLimits) -> Result<(), Malformed> {
        let line = self.raw.index(limits, tokenize::request);
        self.set(line.unwrap_or_else(|| Err(diagnose_request(self.raw.bytes())))?);
        Ok(())
    }

    fn set(&mut self, line: tokenize::RequestLine) {
        (self.method, self.target, self.version) = (line.method, line.target, line.version);
        self.expects_continue = self.version == Version::Http11 && self.lists_continue();
    }

    fn lists_continue(&self) -> bool {
        self.has(Name::Expect)
            && self
                .named(Name::Expect)
                .flat_map(|field| list(field.value))
                .any(|what| what.eq_ignore_ascii_case(b"100-continue"))
    }
}

impl ResponseHead {
    /// An empty head. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { raw: Raw::new(LineEnds::LfToo), status: 0, reason: (0, 0), version: Version::Http11 }
    }

    /// The status, 100 to 999: what is over 599 has no class, and is still a response (RFC 9110 §15). 0 before completion.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, often empty. It may contain bytes over 0x7f.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        slice(self.raw.bytes(), self.reason)
    }

    /// What has come of the status line, at most 256 bytes: for the log, also after an error.
    #[must_use]
    pub fn status_line_so_far(&self) -> &[u8] {
        self.raw.start_line_so_far()
    }

    /// Whether the origin would serve another request on this connection: HTTP/1.1 without
    /// `close`, HTTP/1.0 with `keep-alive` (RFC 9112 §9.3).
    #[must_use]
    pub fn persists(&self) -> bool {
        let connection = self.connection();
        !connection.close && (self.version == Version::Http11 || connection.keep_alive)
    }

    fn take_whole(&mut self, input: &[u8], limits: &HeadLimits) -> Option<Result<usize, Malformed>> {
        let taken = self.raw.take_whole(input, limits, tokenize::response)?;
        Some(taken.map(|(n, line)| {
            self.set(line);
            n
        }))
    }

    fn parse(&mut self, limits: &HeadLimits) -> Result<(), Malformed> {
        let line = self.raw.index(limits, tokenize::response);
        self.set(line.unwrap_or_else(|| Err(diagnose_response(self.raw.bytes())))?);
        Ok(())
    }

    fn set(&mut self, line: tokenize::StatusLine) {
        (self.status, self.reason, self.version) = (line.status, line.reason, line.version);
    }
}

const REQUEST: Kind = Kind {
    first_byte: |byte| match byte {
        // A TLS record of type handshake.
        0x16 => Err(Malformed::TlsClientHello),
        // The versions of SOCKS.
        4 | 5 => Err(Malformed::Socks),
        0 => Err(Malformed::Nul),
        byte if is_tchar(byte) => Ok(()),
        _ => Err(Malformed::BadMethod),
    },
    endless_start_line: Malformed::RequestLineTooLong,
};

const RESPONSE: Kind = Kind {
    first_byte: |byte| match byte {
        b'H' => Ok(()),
        0 => Err(Malformed::Nul),
        _ => Err(Malformed::StatusLine),
    },
    endless_start_line: Malformed::HeadTooLarge,
};
