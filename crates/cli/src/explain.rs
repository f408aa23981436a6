//! What `--explain-memory` answers.

use std::fmt::Write;

use crate::args::{Size, SizeOrOff};
use crate::config::Config;

/// What an idle connection adds to the process: its task, its registration with the runtime, its
/// flow state. Measured with 5,000 of them after a request each; a change of any moves it a little.
const IDLE: usize = 1000;

/// The bound of a connection and its parts, the sum of `max_connections` of them, and what comes on
/// top.
pub(crate) fn memory(config: &Config, max_connections: usize) -> String {
    let bound = config.limits.bound();
    let parts = [
        (bound.client_buffer, "taken from the client (--client-buffer)"),
        (bound.origin_buffer, "taken from the origin (--origin-buffer)"),
        (bound.request_heads, "the request's head, as it came and as it leaves (--max-head)"),
        (bound.response_heads, "the response's head, as it came and as it leaves (--max-response-head)"),
        (bound.fields, "where the fields stand (--max-fields, --max-response-fields)"),
    ];
    let mut text = format!("{:>12} bytes are held for a connection at most, while it is not idle:\n", bound.total());
    for (bytes, what) in parts {
        // Writing to memory does not fail.
        let _ = writeln!(text, "{bytes:>12} {what}");
    }
    let larger = config.limits.larger_head();
    let _ =
        writeln!(text, "{larger:>12} more while the head of its response is larger than 16 KiB (--max-response-head)");
    text.push_str(&sum(config, bound.total(), max_connections));
    let _ = writeln!(text, "{IDLE:>12} bytes, about, for each idle connection: task, socket registration, flow state");
    let (waiting, working) = sluicegate::proxy::future_sizes();
    let _ = writeln!(text, "{waiting:>12} of them are its future; {working} more are boxed beside it while it works");
    text.push_str(&kernel(config));
    text
}

fn sum(config: &Config, bound: usize, max_connections: usize) -> String {
    let bulk = config.limits.splice_bound();
    let from = if config.max_connections.is_some() { "" } else { ", from the limit of open descriptors" };
    let limit = format!("--max-connections {max_connections}{from}");
    match config.limits.max_memory {
        Some(total) => {
            let at_once = total.saturating_sub(bulk).checked_div(bound).unwrap_or(0).min(max_connections);
            format!(
                "{total:>12} for all (--max-memory): {at_once} connections work at once ({limit})\n\
                 {bulk:>12} of them in pipes of the kernel (--splice-memory)\n"
            )
        }
        None => {
            let most = bound.saturating_add(config.limits.larger_head());
            let total = most.saturating_mul(max_connections).saturating_add(bulk);
            format!(
                "{total:>12} for all: {max_connections} connections work at once ({limit})\n\
                 {bulk:>12} of them in pipes of the kernel (--splice-memory)\n"
            )
        }
    }
}

/// Two lines about what is not ours.
fn kernel(config: &Config) -> String {
    let unsent = match config.limits.max_unsent {
        Some(_) => format!("at most {} that is not yet on its way (--max-unsent)", SizeOrOff(config.limits.max_unsent)),
        None => "whatever a peer leaves unread, up to megabytes (--max-unsent off)".to_owned(),
    };
    let sockets = config.limits.sockets;
    let size = |set: Option<usize>| set.map_or("the kernel's to size".to_owned(), |bytes| Size::of(bytes).to_string());
    let (clients, origins) = (size(sockets.client_receive), size(sockets.origin_receive));
    format!(
        "The kernel adds to that, for each socket: in its send queue {unsent};\n\
         its receive queue, from clients: {clients}, from origins: {origins} (docs/memory.md).\n"
    )
}
