//! Which of a client's offers to switch to another protocol are passed on (RFC 9110 §7.8).

use sluicegate_http1::RequestHead;

use super::push;

/// What may be offered whatever the settings say.
const WEBSOCKET: &str = "websocket";

/// The offers of a request that are passed on: one at least.
#[derive(Clone, Copy)]
pub(crate) struct Offers<'a> {
    head: &'a RequestHead,
    allowed: &'a [String],
}

impl<'a> Offers<'a> {
    /// Those of `head` that are `allowed`, or WebSocket; None if there is none.
    pub(crate) fn of(head: &'a RequestHead, allowed: &'a [String]) -> Option<Self> {
        let offers = Self { head, allowed };
        offers.names().next().is_some().then_some(offers)
    }

    /// Whether `chosen`, in any case, is one of them.
    pub(crate) fn contains(&self, chosen: &[u8]) -> bool {
        self.names().any(|name| name.eq_ignore_ascii_case(chosen))
    }

    /// Writes the field, in the client's order, which says what it prefers. Without blanks: it is never longer than what came.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut lead: &[u8] = b"Upgrade: ";
        for name in self.names() {
            push(out, &[lead, name]);
            lead = b",";
        }
        push(out, &[b"\r\n"]);
    }

    /// As the settings spell them.
    fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        let allowed = self.allowed;
        let spelled = move |offer: &[u8]| {
            let mut known = std::iter::once(WEBSOCKET).chain(allowed.iter().map(String::as_str));
            known.find(|name| name.as_bytes().eq_ignore_ascii_case(offer)).map(str::as_bytes)
        };
        self.head.upgrade_offers().filter_map(spelled)
    }
}
