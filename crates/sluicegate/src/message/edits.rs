//! Changes to the fields of a head, kept beside it, pure: the head stays as it was received, for the
//! log and the retry, and what leaves is written from both.

use sluicegate_http1::{Field, Name, fields, login};

use crate::message::whom::Unwanted;

/// Why a field cannot be changed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The name is not a token (RFC 9110 §5.1).
    #[error(
        "{0:?} is not a valid field name; one is made of letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 section 5.1)"
    )]
    Name(String),
    /// The value holds a control character, or a blank at its end (RFC 9110 §5.5).
    #[error("the value for {0} has a control character in it or a blank at its end (RFC 9110 section 5.5)")]
    Value(String),
    /// The field is not for a policy to change: its name, and the rule.
    #[error("{0} cannot be changed: {1}")]
    Fixed(String, &'static str),
    /// The head would become larger than it may be: the bytes that it may have.
    #[error("with this field the head would have more than {0} bytes (see Limits::head and Limits::response_head)")]
    TooLarge(usize),
    /// The head would have more fields than it may have: how many those are.
    #[error("with this field the head would have more than {0} fields (see Limits::head and Limits::response_head)")]
    TooManyFields(usize),
}

/// How large a head with its changes may become: what was received counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Of names and values, with four bytes for each field, as on the wire.
    pub(crate) bytes: usize,
    pub(crate) fields: usize,
    /// What of both the head has taken.
    pub(crate) taken: (usize, usize),
}

/// Names that are removed and fields that are added, in one run of bytes each. Holds no memory
/// while there is none.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    bytes: Vec<u8>,
    changes: Vec<Change>,
    unwanted: Option<Unwanted>,
}

/// Offsets into the bytes: the value follows the name. Without a value, the name is removed.
#[derive(Debug, Clone, Copy)]
struct Change {
    start: u32,
    name: u32,
    value: Option<u32>,
}

impl Edits {
    pub(crate) const fn new() -> Self {
        Self { bytes: Vec::new(), changes: Vec::new(), unwanted: None }
    }

    /// These, if there are any.
    pub(crate) fn some(&self) -> Option<&Self> {
        (!self.changes.is_empty() || self.unwanted.is_some()).then_some(self)
    }

    /// None of these of what was received, beside the others that are removed.
    pub(crate) fn leave_out(&mut self, unwanted: Unwanted) {
        self.unwanted = Some(unwanted);
    }

    /// One field with this name and value instead of all there are.
    pub(crate) fn set(&mut self, name: &str, value: &[u8], room: Room) -> Result<(), EditError> {
        check(name, value)?;
        self.fits(Some(name), name.len().saturating_mul(2).saturating_add(value.len()), 2, room)?;
        self.forget(name.as_bytes());
        self.push(name.as_bytes(), None);
        self.push(name.as_bytes(), Some(value));
        Ok(())
    }

    /// One more field.
    pub(crate) fn append(&mut self, name: &str, value: &[u8], room: Room) -> Result<(), EditError> {
        check(name, value)?;
        self.fits(None, name.len().saturating_add(value.len()), 1, room)?;
        self.push(name.as_bytes(), Some(value));
        Ok(())
    }

    /// None with this name.
    pub(crate) fn remove(&mut self, name: &str, room: Room) -> Result<(), EditError> {
        check(name, b"")?;
        self.fits(Some(name), name.len(), 1, room)?;
        self.forget(name.as_bytes());
        self.push(name.as_bytes(), None);
        Ok(())
    }

    /// Whether received fields with this name are left out.
    pub(crate) fn replaces(&self, name: &[u8]) -> bool {
        self.unwanted.is_some_and(|unwanted| unwanted.takes(name))
            || self.changes.iter().any(|change| change.value.is_none() && self.is_named(change, name))
    }

    /// What is added, in its order.
    pub(crate) fn added(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        self.changes.iter().filter_map(|change| {
            let name = self.name(change);
            change.value.map(|_| Field { id: Name::of(name), name, value: self.value(change) })
        })
    }

    /// Whether they log the connection in.
    pub(crate) fn bind(&self) -> bool {
        self.added().any(|field| field.id == Name::Authorization && login::binds(field.value))
    }

    /// How many bytes these add to a head that is written.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len().saturating_add(self.changes.len().saturating_mul(4))
    }

    /// Whether there is room for more, once those of `instead` are gone.
    fn fits(&self, instead: Option<&str>, bytes: usize, changes: usize, room: Room) -> Result<(), EditError> {
        let stays = |change: &&Change| !instead.is_some_and(|name| self.is_named(change, name.as_bytes()));
        let (mut size, mut fields) = (bytes.saturating_add(changes.saturating_mul(4)), changes);
        for change in self.changes.iter().filter(stays) {
            size = size.saturating_add(self.name(change).len()).saturating_add(self.value(change).len());
            (size, fields) = (size.saturating_add(4), fields.saturating_add(1));
        }
        if room.taken.0.saturating_add(size) > room.bytes {
            return Err(EditError::TooLarge(room.bytes));
        }
        if room.taken.1.saturating_add(fields) > room.fields {
            return Err(EditError::TooManyFields(room.fields));
        }
        Ok(())
    }

    /// Drops every change of this name.
    fn forget(&mut self, name: &[u8]) {
        if !self.changes.iter().any(|change| self.is_named(change, name)) {
            return;
        }
        let old = std::mem::take(self);
        self.unwanted = old.unwanted;
        for change in old.changes.iter().filter(|change| !old.is_named(change, name)) {
            self.push(old.name(change), change.value.map(|_| old.value(change)));
        }
    }

    fn push(&mut self, name: &[u8], value: Option<&[u8]>) {
        // Both are bounded by a head's limit, of 1 MiB at most.
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let start = narrow(self.bytes.len());
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.changes.push(Change { start, name: narrow(name.len()), value: value.map(|value| narrow(value.len())) });
    }

    fn is_named(&self, change: &Change, name: &[u8]) -> bool {
        self.name(change).eq_ignore_ascii_case(name)
    }

    fn name(&self, change: &Change) -> &[u8] {
        let from = self.bytes.get(change.start as usize..).unwrap_or_default();
        from.get(..change.name as usize).unwrap_or_default()
    }

    fn value(&self, change: &Change) -> &[u8] {
        let from = self.bytes.get(change.start.saturating_add(change.name) as usize..).unwrap_or_default();
        from.get(..change.value.unwrap_or(0) as usize).unwrap_or_default()
    }
}

/// Whether a policy may write a field like this.
pub(crate) fn check(name: &str, value: &[u8]) -> Result<(), EditError> {
    if !fields::is_token(name.as_bytes()) {
        return Err(EditError::Name(name.to_owned()));
    }
    if let Some(rule) = fixed(name.as_bytes()) {
        return Err(EditError::Fixed(name.to_owned(), rule));
    }
    if fields::is_value(value) { Ok(()) } else { Err(EditError::Value(name.to_owned())) }
}

/// The same for an answer of one's own, which is from this connection's proxy: it may ask for credentials.
pub(crate) fn check_own(name: &str, value: &[u8]) -> Result<(), EditError> {
    match Name::of(name.as_bytes()) {
        Name::ProxyAuthenticate | Name::ProxyAuthenticationInfo if fields::is_value(value) => Ok(()),
        _ => check(name, value),
    }
}

/// Why a field is the proxy's own.
fn fixed(name: &[u8]) -> Option<&'static str> {
    match Name::of(name) {
        Name::ContentLength | Name::TransferEncoding | Name::Trailer => {
            Some("how a message is framed is for the proxy to say (RFC 9112 section 6)")
        }
        Name::Connection
        | Name::KeepAlive
        | Name::ProxyConnection
        | Name::Te
        | Name::Upgrade
        | Name::Http2Settings
        | Name::ProxyAuthorization
        | Name::ProxyAuthenticate
        | Name::ProxyAuthenticationInfo => {
            Some("it is for one connection only, and each has its own (hop-by-hop, RFC 9110 section 7.6.1)")
        }
        Name::Host => Some("it says where the request goes: choose a Route (RFC 9110 section 7.2)"),
        Name::Expect | Name::MaxForwards => {
            Some("it is answered or counted by each proxy on the way (RFC 9110 sections 10.1.1, 7.6.2)")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { bytes: 100, fields: 6, taken: (20, 2) };

    fn added(edits: &Edits) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        edits.added().map(|field| (text(field.name), text(field.value))).collect()
    }

    #[test]
    fn the_last_word_counts() {
        let mut edits = Edits::new();
        assert!(edits.some().is_none());
        edits.append("X-A", b"1", ROOM).unwrap();
        edits.set("x-a", b"2", ROOM).unwrap();
        edits.append("X-A", b"3", ROOM).unwrap();
        assert_eq!(added(&edits), [("x-a".into(), "2".into()), ("X-A".into(), "3".into())]);
        assert!(edits.replaces(b"X-a") && !edits.replaces(b"X-B"));
        edits.remove("X-A", ROOM).unwrap();
        assert!(added(&edits).is_empty() && edits.replaces(b"X-A"));
        for n in 0..100 {
            edits.set("X-B", n.to_string().as_bytes(), ROOM).unwrap();
        }
        assert_eq!(added(&edits), [("X-B".into(), "99".into())]);
    }

    #[test]
    fn what_is_not_a_policys_to_say_is_refused_by_name() {
        let mut edits = Edits::new();
        let mut said = |name: &str, value: &[u8]| edits.set(name, value, ROOM).unwrap_err().to_string();
        for name in ["Content-Length", "transfer-encoding", "Trailer"] {
            assert!(said(name, b"1").contains("RFC 9112 section 6"), "{name}");
        }
        for name in ["Connection", "TE", "Upgrade", "Keep-Alive", "Proxy-Authorization", "HTTP2-Settings"] {
            assert!(said(name, b"x").contains("hop-by-hop"), "{name}");
        }
        assert!(said("Host", b"x").contains("Route"));
        assert!(["a b", ""].iter().all(|name| said(name, b"x").contains("not a valid field name")));
        for value in [&b"a\r\nB: c"[..], b"a\0", b" a", b"a\t", b"\x7f"] {
            assert!(said("X", value).contains("control character"));
        }
        assert!(edits.some().is_none());
    }

    #[test]
    fn a_head_grows_to_its_limit_and_no_further() {
        let mut edits = Edits::new();
        let large = edits.append("X", &[b'x'; 76], ROOM).unwrap_err();
        assert_eq!(large, EditError::TooLarge(100));
        edits.append("X", &[b'x'; 75], ROOM).unwrap();
        assert_eq!(edits.append("Y", b"", ROOM), Err(EditError::TooLarge(100)));
        let mut edits = Edits::new();
        for _ in 0..4 {
            edits.append("X", b"", ROOM).unwrap();
        }
        assert_eq!(edits.append("X", b"", ROOM), Err(EditError::TooManyFields(6)));
    }
}
