//! Answers that we make ourselves, pure: typed, and saying who failed, how, and what a user can do (RFC 9110 §15, RFC 9209).

mod hint;

use sluicegate_http1::reasons::reason;
use sluicegate_http1::{Malformed, Name, RequestHead};

use crate::message::response::Response;
use crate::record::Fault;

pub(crate) use hint::hint;

/// What a person sees who opens the proxy's address in a browser, or forgets the `-x`.
pub(crate) const NOT_A_WEBSITE: &str = "This is an HTTP proxy, not a web site. Requests to it name the whole URL \
     (RFC 9112 section 3.2.2): set it as the proxy of your program, for example with\n\
     \n    curl -x http://ADDRESS-OF-THIS-PROXY http://example.com/\n";

/// The answer of the proxy called `name` that names `fault`, with its [`hint`].
pub(crate) fn fault(fault: &Fault, hint: &str, name: &str) -> Response {
    let mut text = format!("{} {}: {fault}{hint}.\n", fault.status(), reason(fault.status()));
    if let Fault::Request(rule) = fault {
        text.push_str(&format!("Rule: {} ({}).\n", rule.name(), rule.rfc()));
    }
    let response = blaming(fault, text, name);
    match fault {
        Fault::Capacity | Fault::TooManyConnections => response.field("Retry-After", "1"),
        _ => response,
    }
}

/// The answer to a request that is meant for a web server.
pub(crate) fn not_a_website(name: &str) -> Response {
    blaming(&Fault::Request(Malformed::TargetForm), NOT_A_WEBSITE.to_owned(), name)
}

/// The answer with which a tunnel begins.
pub(crate) fn established() -> Response {
    Response::new(200, ()).reason("Connection established").undated()
}

/// The answer to a TRACE or OPTIONS that goes no further (RFC 9110 §7.6.2, §9.3.7, §9.3.8).
pub(crate) fn last_recipient(head: &RequestHead) -> Response {
    if head.method() == b"OPTIONS" {
        return Response::new(200, ()).field("Allow", "CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE");
    }
    let mut echo = Vec::with_capacity(head.bytes().len());
    echo.extend_from_slice(head.bytes().split_inclusive(|b| *b == b'\n').next().unwrap_or_default());
    for field in head.fields().filter(|field| !is_secret(field.id)) {
        for part in [field.name, b": ", field.value, b"\r\n"] {
            echo.extend_from_slice(part);
        }
    }
    echo.extend_from_slice(b"\r\n");
    Response::new(200, echo).field("Content-Type", "message/http")
}

fn is_secret(id: Name) -> bool {
    matches!(id, Name::Authorization | Name::ProxyAuthorization | Name::Cookie)
}

/// An answer with this text that says by `Proxy-Status` what failed. Behind a 400 nobody knows where the next request begins.
fn blaming(fault: &Fault, text: String, name: &str) -> Response {
    let status = proxy_status(fault, name);
    let response = Response::new(fault.status(), text).field("Cache-Control", "no-store").field("Proxy-Status", status);
    if fault.status() == 400 { response.last() } else { response }
}

/// What failed, as the proxy called `name` says it in `Proxy-Status` (RFC 9209 §2).
pub(crate) fn proxy_status(fault: &Fault, name: &str) -> String {
    let mut status = format!("{name}; error={}", fault.token());
    if let Fault::Request(rule) | Fault::Response(rule) = fault {
        status.push_str(&format!("; details=\"{}\"", rule.name()));
    }
    status
}
