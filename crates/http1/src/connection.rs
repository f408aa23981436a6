//! What `Connection` says (RFC 9110 §7.6.1): options of the connection, and names of fields that
//! are meant for the next recipient only.

use std::cmp::Ordering;

use crate::fields::{is_beyond_nomination, is_token};
use crate::index::{slice, span};
use crate::malformed::Malformed;

/// The options of all `Connection` fields of a head together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connection {
    /// `close`: the connection ends after this message's exchange.
    pub close: bool,
    /// `keep-alive`: an HTTP/1.0 sender would go on.
    pub keep_alive: bool,
    /// `upgrade`: the Upgrade field is meant.
    pub upgrade: bool,
    /// `te`: the TE field is meant.
    pub te: bool,
    /// Some other field is named that may be taken away: ask `is_nominated`.
    pub nominates: bool,
}

impl Connection {
    pub(crate) const NONE: Self = Self { close: false, keep_alive: false, upgrade: false, te: false, nominates: false };

    /// Notes an option. True if it is none of those with a flag of their own.
    pub(crate) fn set(&mut self, option: &[u8]) -> bool {
        let flag = match option {
            b"keep-alive" => &mut self.keep_alive,
            b"close" => &mut self.close,
            _ if option.eq_ignore_ascii_case(b"keep-alive") => &mut self.keep_alive,
            _ if option.eq_ignore_ascii_case(b"close") => &mut self.close,
            _ if option.eq_ignore_ascii_case(b"upgrade") => &mut self.upgrade,
            _ if option.eq_ignore_ascii_case(b"te") => &mut self.te,
            _ => return true,
        };
        *flag = true;
        false
    }
}

/// Names in `Connection`, sorted, so that 400 of them times 500 fields stay cheap. Bounded by the
/// limit of fields: more names than that can name nothing.
#[derive(Debug)]
pub(crate) struct Nominations(Vec<(u32, u32)>);

impl Nominations {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity().saturating_mul(size_of::<(u32, u32)>())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a name of `head`. What is no token names no field and is ignored.
    pub(crate) fn add(&mut self, head: &[u8], name: &[u8], max: usize) -> Result<(), Malformed> {
        if !is_token(name) || is_beyond_nomination(name) {
            return Ok(());
        }
        if self.0.len() >= max {
            return Err(Malformed::TooManyNominations);
        }
        self.0.push(span(head, name));
        Ok(())
    }

    pub(crate) fn sort(&mut self, head: &[u8]) {
        self.0.sort_unstable_by(|&a, &b| compare(slice(head, a), slice(head, b)));
    }

    pub(crate) fn contains(&self, head: &[u8], name: &[u8]) -> bool {
        self.0.binary_search_by(|&known| compare(slice(head, known), name)).is_ok()
    }
}

/// By length first: most comparisons end there.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| {
        let (a, b) = (a.iter(), b.iter());
        a.map(u8::to_ascii_lowercase).cmp(b.map(u8::to_ascii_lowercase))
    })
}
