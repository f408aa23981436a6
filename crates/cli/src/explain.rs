//! What `--explain-memory` answers.

use sluicegate::Limits;

/// The bound of a connection and its parts, a line each.
pub(crate) fn memory(limits: &Limits) -> String {
    let bound = limits.bound();
    let parts = [
        (bound.client_buffer, "taken from the client (--client-buffer)"),
        (bound.origin_buffer, "taken from the origin (--origin-buffer)"),
        (bound.request_heads, "the request's head, as it came and as it leaves (--max-head)"),
        (bound.response_heads, "the response's head, as it came and as it leaves (--max-response-head)"),
        (bound.fields, "where the fields stand (--max-fields, --max-response-fields)"),
    ];
    let mut text = format!("{:>10} bytes are held for a connection at most, while it is not idle:\n", bound.total());
    for (bytes, what) in parts {
        text.push_str(&format!("{bytes:>10} {what}\n"));
    }
    text
}
