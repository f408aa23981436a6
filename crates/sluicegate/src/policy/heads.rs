//! Heads as a policy sees them: what was received, and what it changes.

use std::net::IpAddr;

use sluicegate_http1::{Authority, Field, Host, Name, RequestHead, ResponseHead, Target};

use crate::message::edits::{EditError, Edits, Room};
use crate::message::whom::Unwanted;
use crate::record::{Extensions, Members};

/// A request whose head is complete, and the changes to it.
///
/// Changes are kept beside the head, so that the log sees what was received. A name's case does not
/// matter when it is looked for; it is sent as it was given.
#[derive(Debug)]
pub struct Request<'h> {
    pub(crate) head: &'h RequestHead,
    pub(crate) target: &'h Target<'h>,
    pub(crate) edits: &'h mut Edits,
    pub(crate) room: Room,
    pub(crate) extensions: &'h mut Extensions,
    /// Which members of a composed policy have been asked.
    pub(crate) asked: &'h mut Members,
}

/// The head of an origin's final response, and the changes to it.
#[derive(Debug)]
pub struct OriginResponse<'h> {
    pub(crate) head: &'h ResponseHead,
    pub(crate) edits: &'h mut Edits,
    pub(crate) room: Room,
    pub(crate) extensions: &'h Extensions,
}

/// What both have.
macro_rules! common {
    ($of:ident, $limits:literal) => {
        impl<'h> $of<'h> {
            /// The value of the first field with this name, changes applied; without the blanks around it. It
            /// may contain bytes over 0x7f.
            #[must_use]
            pub fn field(&self, name: &str) -> Option<&[u8]> {
                self.fields().find(|field| field.name.eq_ignore_ascii_case(name.as_bytes())).map(|field| field.value)
            }

            /// All fields, changes applied: those received in their order, then those added. What is for
            /// this connection only is still among them, and is not passed on.
            pub fn fields(&self) -> impl Iterator<Item = Field<'_>> + Clone {
                let edits = &*self.edits;
                self.head.fields().filter(|field| !edits.replaces(field.name)).chain(edits.added())
            }

            /// One field with this name and value, instead of all that there are. It stands behind
            /// those received.
            ///
            /// # Errors
            #[doc = $limits]
            pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EditError> {
                self.edits.set(name, value.as_ref(), self.room)
            }

            /// One more field.
            ///
            /// # Errors
            #[doc = $limits]
            pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EditError> {
                self.edits.append(name, value.as_ref(), self.room)
            }

            /// No field with this name.
            ///
            /// # Errors
            #[doc = $limits]
            pub fn remove(&mut self, name: &str) -> Result<(), EditError> {
                self.edits.remove(name, self.room)
            }
        }
    };
}

common!(
    Request,
    "What is no name or value (RFC 9110 §5); framing, hop-by-hop fields and others that are the proxy's own; and more than \
     `Limits::head` allows, what was received included. Nothing is changed then."
);
common!(
    OriginResponse,
    "What is no name or value (RFC 9110 §5); framing and hop-by-hop fields, which are the proxy's own; and more than \
     `Limits::response_head` allows, what was received included. Nothing is changed then."
);

impl<'h> Request<'h> {
    /// Leaves these out of what was received. What policies have added stays.
    pub(crate) fn leave_out(&mut self, unwanted: Unwanted) {
        self.edits.leave_out(unwanted);
    }

    /// The method: a token, in the case that it came in.
    #[must_use]
    pub fn method(&self) -> &'h str {
        str::from_utf8(self.head.method()).unwrap_or_default()
    }

    /// Whether `name` is the host that is asked for, however it is written: in any case, with a dot at its end, an address in any
    /// notation (`::1` or `[::1]`). A name is not its address: for those see [`Policy::address`](super::Policy::address).
    #[must_use]
    pub fn host_is(&self, name: &str) -> bool {
        let plain = |host: &str| host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        match (self.ip(), name.trim_matches(['[', ']']).parse::<IpAddr>()) {
            (Some(ip), Ok(named)) => ip.to_canonical() == named.to_canonical(),
            (None, Err(_)) => self.host().is_some_and(|host| plain(host) == plain(name)),
            _ => false,
        }
    }

    /// The host that is asked for, in the sender's case (so compare with [`Request::host_is`]): of the target, or of the `Host` field if the
    /// target names none. IPv6 in its brackets. None if neither names one.
    #[must_use]
    pub fn host(&self) -> Option<&'h str> {
        let Authority { text, .. } = self.authority()?;
        let end = match text.strip_prefix('[') {
            Some(_) => text.find(']').map(|end| end.saturating_add(1)),
            None => text.find(':'),
        };
        text.get(..end.unwrap_or(text.len()))
    }

    /// The same as an address, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self.authority()?.host {
            Host::V4(ip) => Some(ip.into()),
            Host::V6(ip) => Some(ip.into()),
            Host::Name(_) => None,
        }
    }

    /// The port that is asked for; 80 if the target names a host without one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.authority().map(|authority| authority.port.unwrap_or(80))
    }

    /// Path and query as they came: visible ASCII, percent-encoded as it was sent, `/` if there is none. Empty
    /// for CONNECT, and `*` for `OPTIONS *`.
    #[must_use]
    pub fn path_and_query(&self) -> &'h str {
        let text = match *self.target {
            Target::Absolute { path_and_query: b"", .. } => b"/",
            Target::Absolute { path_and_query, .. } | Target::Origin(path_and_query) => path_and_query,
            Target::Asterisk => b"*",
            Target::Authority(_) => b"",
        };
        str::from_utf8(text).unwrap_or_default()
    }

    /// The form of the target (RFC 9112 §3.2): whether it names a host, is a CONNECT, or a path only.
    #[must_use]
    pub fn target(&self) -> &'h Target<'h> {
        self.target
    }

    /// The head as it was received, without the changes.
    #[must_use]
    pub fn head(&self) -> &'h RequestHead {
        self.head
    }

    /// Values that travel with this exchange, to the response and to `ended`.
    pub fn extensions(&mut self) -> &mut Extensions {
        self.extensions
    }

    pub(crate) fn authority(&self) -> Option<Authority<'h>> {
        match *self.target {
            Target::Absolute { authority, .. } | Target::Authority(authority) => Some(authority),
            Target::Origin(_) | Target::Asterisk => host_field(self.head),
        }
    }
}

/// What `Host` names.
pub(crate) fn host_field(head: &RequestHead) -> Option<Authority<'_>> {
    head.field(Name::Host).and_then(|host| Authority::parse(host.value).ok())
}

impl<'h> OriginResponse<'h> {
    /// The status, 200 to 599.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The head as it was received, without the changes.
    #[must_use]
    pub fn head(&self) -> &'h ResponseHead {
        self.head
    }

    /// What `admit` has put there.
    #[must_use]
    pub fn extensions(&self) -> &'h Extensions {
        self.extensions
    }
}
