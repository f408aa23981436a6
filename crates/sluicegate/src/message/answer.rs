//! Answers that we make ourselves, pure: well framed, typed, dated, and saying who failed, how,
//! and what a user can do (RFC 9110 §15, RFC 9209).

mod hint;

use std::time::SystemTime;

use sluicegate_http1::{Name, RequestHead};

use crate::message::forward::write_date;
use crate::record::Fault;

pub(crate) use hint::hint;

/// What a person sees who opens the proxy's address in a browser, or forgets the `-x`.
pub(crate) const NOT_A_WEBSITE: &str = "This is an HTTP proxy, not a web site. Requests to it name the whole URL \
     (RFC 9112 section 3.2.2): set it as the proxy of your program, for example with\n\
     \n    curl -x http://ADDRESS-OF-THIS-PROXY http://example.com/\n";

/// An answer without its framing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// Whole field lines, each with its CRLF.
    pub(crate) fields: &'a [u8],
    pub(crate) content_type: &'a str,
    pub(crate) body: &'a [u8],
}

/// Writes `answer`, head and body; of the body only its length for a HEAD.
pub(crate) fn write(answer: &Answer<'_>, is_head: bool, close: bool, out: &mut Vec<u8>) {
    let line = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
    out.extend_from_slice(line.as_bytes());
    write_date(SystemTime::now(), out);
    let framing = format!("Content-Type: {}\r\nContent-Length: {}\r\n", answer.content_type, answer.body.len());
    out.extend_from_slice(framing.as_bytes());
    out.extend_from_slice(answer.fields);
    if close {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    if !is_head {
        out.extend_from_slice(answer.body);
    }
}

/// Writes the answer that names `fault`, with its [`hint`].
pub(crate) fn write_fault(fault: &Fault, hint: &str, is_head: bool, close: bool, out: &mut Vec<u8>) {
    let mut body = format!("{} {}: {fault}{hint}.\n", fault.status(), reason(fault.status()));
    let mut fields = String::from("Cache-Control: no-store\r\n");
    if let Fault::Request(rule) = fault {
        body.push_str(&format!("Rule: {} ({}).\n", rule.name(), rule.rfc()));
    }
    fields.push_str(&format!("Proxy-Status: sluicegate; error={}", fault.token()));
    if let Fault::Request(rule) | Fault::Response(rule) = fault {
        fields.push_str(&format!("; details=\"{}\"", rule.name()));
    }
    fields.push_str("\r\n");
    if *fault == Fault::Capacity {
        fields.push_str("Retry-After: 1\r\n");
    }
    let answer = Answer {
        status: fault.status(),
        fields: fields.as_bytes(),
        content_type: "text/plain; charset=utf-8",
        body: body.as_bytes(),
    };
    write(&answer, is_head, close, out);
}

/// Writes the 400 for a request that is meant for a web server.
pub(crate) fn write_not_a_website(is_head: bool, close: bool, out: &mut Vec<u8>) {
    let answer = Answer {
        status: 400,
        fields: b"Cache-Control: no-store\r\nProxy-Status: sluicegate; error=http_request_error; details=\"target-form\"\r\n",
        content_type: "text/plain; charset=utf-8",
        body: NOT_A_WEBSITE.as_bytes(),
    };
    write(&answer, is_head, close, out);
}

/// Writes the answer to a TRACE or OPTIONS that goes no further (RFC 9110 §7.6.2, §9.3.7, §9.3.8).
pub(crate) fn write_last_recipient(head: &RequestHead, close: bool, out: &mut Vec<u8>) {
    if head.method() == b"OPTIONS" {
        let answer = Answer {
            status: 200,
            fields: b"Allow: CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE\r\n",
            content_type: "text/plain",
            body: b"",
        };
        return write(&answer, false, close, out);
    }
    let mut echo = Vec::with_capacity(head.bytes().len());
    echo.extend_from_slice(head.bytes().split_inclusive(|b| *b == b'\n').next().unwrap_or_default());
    for field in head.fields().filter(|field| !is_secret(field.id)) {
        for part in [field.name, b": ", field.value, b"\r\n"] {
            echo.extend_from_slice(part);
        }
    }
    echo.extend_from_slice(b"\r\n");
    let answer = Answer { status: 200, fields: b"", content_type: "message/http", body: &echo };
    write(&answer, false, close, out);
}

fn is_secret(id: Name) -> bool {
    matches!(id, Name::Authorization | Name::ProxyAuthorization | Name::Cookie)
}

/// The 403 for a client that may not use this proxy: whole, so that it can be sent from a constant.
pub(crate) const NOT_ALLOWED: &[u8] = b"HTTP/1.1 403 Forbidden\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 82\r\n\
    Proxy-Status: sluicegate; error=http_request_denied\r\n\
    Connection: close\r\n\
    \r\n\
    403 Forbidden: your address may not use this proxy; ask its operator to allow it.\n";

/// The 429 for a client that has as many connections as it may have, whole.
pub(crate) const TOO_MANY: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 122\r\n\
    Retry-After: 1\r\n\
    Proxy-Status: sluicegate; error=http_request_denied\r\n\
    Connection: close\r\n\
    \r\n\
    429 Too Many Requests: your address has as many connections to this proxy as it may have; close some, or try again later.\n";

/// The 503 for a request that there is no memory for, whole: it takes none.
pub(crate) const NO_MEMORY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 87\r\n\
    Retry-After: 1\r\n\
    Proxy-Status: sluicegate; error=connection_limit_reached\r\n\
    Connection: close\r\n\
    \r\n\
    503 Service Unavailable: all memory that the proxy may use is in use; try again later.\n";

/// The reason phrases of RFC 9110 §15 and RFC 6585; none for others, which is allowed (RFC 9112 §4).
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}
