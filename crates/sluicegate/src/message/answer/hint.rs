//! What helps whoever is told of a fault, and stands in no fault itself: the form that a target should have had, and the
//! limit that was met with its number.

use std::borrow::Cow;
use std::fmt::Write;

use sluicegate_http1::{HeadLimits, Malformed};

use crate::limits::Limits;
use crate::record::Fault;

/// What is added to the sentence about `fault`; empty for most.
pub(crate) fn hint(fault: &Fault, request_line: &[u8], limits: &Limits) -> String {
    match fault {
        Fault::Request(Malformed::BadTargetByte) => encoded(request_line),
        Fault::Request(rule) => limit(*rule, &limits.head, ["head.bytes", "head.fields"].map(limits.setting_name)),
        Fault::Response(rule) => {
            let names = ["response_head.bytes", "response_head.fields"].map(limits.setting_name);
            limit(*rule, &limits.response_head, names)
        }
        _ => String::new(),
    }
}

/// The limit that this rule is about: its number, and what raises it.
fn limit(rule: Malformed, of: &HeadLimits, [bytes, fields]: [Cow<'_, str>; 2]) -> String {
    match rule {
        Malformed::HeadTooLarge | Malformed::RequestLineTooLong => {
            format!(" (the limit is {} bytes; {bytes} raises it)", of.bytes)
        }
        Malformed::TooManyFields | Malformed::TooManyNominations => {
            format!(" (the limit is {}; {fields} raises it)", of.fields)
        }
        _ => String::new(),
    }
}

/// The target in this line, percent-encoded. Not if its host is what needs it: that has another form (RFC 3490).
fn encoded(request_line: &[u8]) -> String {
    let mut words = request_line.splitn(3, |&byte| byte == b' ').skip(1);
    let target = words.next().unwrap_or_default();
    let host = target.windows(3).position(|three| three == b"://").map_or(0, |scheme| scheme.saturating_add(3));
    let mut beyond_scheme = target.iter().skip(host);
    let host_end =
        beyond_scheme.position(|byte| b"/?".contains(byte)).map_or(target.len(), |at| host.saturating_add(at));
    if !target.get(..host_end).unwrap_or_default().iter().all(u8::is_ascii_graphic) {
        return String::new();
    }
    let mut text = String::from(", as ");
    for &byte in target {
        // Writing to memory does not fail.
        let _ =
            if byte.is_ascii_graphic() { write!(text, "{}", char::from(byte)) } else { write!(text, "%{byte:02X}") };
    }
    if words.next().is_none() {
        // No more of the line is kept.
        text.push_str("...");
    }
    text
}
