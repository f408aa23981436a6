//! What `Keep-Alive` says of a connection (RFC 2068 §19.7.1; its parameters were never registered, and are sent by all).

use crate::fields::{Name, list, trim};
use crate::head::ResponseHead;

/// How long, and for how many more requests, a server keeps its connection. `None` where it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeepAlive {
    /// Seconds without a request after which it closes. The least, if it says several.
    pub timeout: Option<u64>,
    /// Requests that it still takes. The least, if it says several.
    pub max: Option<u64>,
}

impl KeepAlive {
    /// What `head` says. A parameter that is not a number says nothing.
    #[must_use]
    pub fn of(head: &ResponseHead) -> Self {
        let mut said = Self::default();
        for parameter in head.named(Name::KeepAlive).flat_map(|field| list(field.value)) {
            said.note(parameter);
        }
        said
    }

    fn note(&mut self, parameter: &[u8]) {
        let Some(equals) = memchr::memchr(b'=', parameter) else { return };
        let (name, value) = parameter.split_at_checked(equals).unwrap_or_default();
        let slot = match trim(name) {
            name if name.eq_ignore_ascii_case(b"timeout") => &mut self.timeout,
            name if name.eq_ignore_ascii_case(b"max") => &mut self.max,
            _ => return,
        };
        if let Some(number) = number(value.get(1..).unwrap_or_default()) {
            *slot = Some(slot.map_or(number, |least| least.min(number)));
        }
    }
}

/// A number, which may be quoted; more digits than it can hold are the largest. A fraction is left out.
fn number(value: &[u8]) -> Option<u64> {
    let value = trim(value);
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    let value = value.split(|&byte| byte == b'.').next().filter(|digits| !digits.is_empty())?;
    value.iter().try_fold(0_u64, |sum, &digit| {
        let digit = char::from(digit).to_digit(10)?;
        Some(sum.saturating_mul(10).saturating_add(u64::from(digit)))
    })
}
