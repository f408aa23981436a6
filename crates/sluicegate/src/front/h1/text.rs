//! The heads of responses as HTTP/1 writes them, and what those say of the connection.

use std::time::SystemTime;

use sluicegate_http1::{Encoding, Framing, Malformed, RequestHead, ResponseHead, Version, framing};

use crate::flow::Flow;
use crate::message::forward::{self, Decimal, ResponseRoute, push, write_date};
use crate::message::response::Response;
use crate::serve::front::{Front, Head, Said};

/// Bytes of what is written beside the status line and the fields that were given: date, type, framing, end.
const AROUND: usize = 192;

/// One request that came by HTTP/1, while it is served.
pub(super) struct Http1<'e> {
    head: &'e RequestHead,
    /// Our pseudonym in Via, or none.
    via: Option<&'e str>,
    flow: &'e Flow,
    goes_on: bool,
}

impl<'e> Http1<'e> {
    pub(super) fn new(head: &'e RequestHead, via: Option<&'e str>, flow: &'e Flow) -> Self {
        Self { head, via, flow, goes_on: false }
    }

    /// Whether another request may follow, by what its response has said.
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Whether another request may follow this response: decided here, and nowhere else. A body that only the close ends takes
    /// the connection with it; and so does an answer that comes before the request's end: what follows could be taken for a
    /// request.
    fn may_go_on(&self, response: &Head<'_>, by_close: bool) -> bool {
        let is_last = matches!(response.said, Said::ByUs(response) if response.is_last());
        let persists = self.head.is_complete() && self.head.persists() && self.head.method() != b"CONNECT";
        persists && response.request_ended && !by_close && !is_last && !self.flow.is_draining()
    }

    fn relayed<'r>(&self, framing: Framing, encoding: Encoding) -> ResponseRoute<'r>
    where
        'e: 'r,
    {
        ResponseRoute {
            framing,
            encoding,
            length: None,
            close: false,
            via: self.via,
            now: SystemTime::now,
            edits: None,
        }
    }
}

impl Front for Http1<'_> {
    fn framing(&self, head: &RequestHead) -> Result<Framing, Malformed> {
        framing::request(head)
    }

    /// 1xx go to those who know them (RFC 9110 §15.2).
    fn interim(&mut self, head: &ResponseHead, stage: &mut Vec<u8>) {
        if self.head.version() != Version::Http10 {
            forward::write_response(head, &self.relayed(Framing::Empty, Encoding::Identity), stage);
        }
    }

    fn begin(&mut self, response: &Head<'_>, stage: &mut Vec<u8>) -> Encoding {
        let Head { said, framing, length, .. } = *response;
        let (encoding, by_close) = forward::encoded(framing, self.head.version());
        self.goes_on = self.may_go_on(response, by_close);
        let close = !self.goes_on;
        match said {
            Said::ByOrigin(head, edits) => {
                let route = ResponseRoute { length, close, edits, ..self.relayed(framing, encoding) };
                forward::write_response(head, &route, stage);
            }
            Said::ByUs(response) => write(response, length, encoding == Encoding::Chunked, close, stage),
        }
        encoding
    }

    fn open(&mut self, response: &Response, stage: &mut Vec<u8>) {
        write(response, None, false, false, stage);
    }
}

/// Head and body in one, of an answer that needs no pipe: to a client of which nothing has been read. Its body is a text.
pub(crate) fn whole(response: &Response) -> Vec<u8> {
    let mut all = Vec::new();
    write(response, response.body().length(), false, true, &mut all);
    all.extend_from_slice(response.body().bytes());
    all
}

/// Writes the head of an answer of our own: here, and nowhere else. `length` is announced; `chunked` and `close` as they say.
fn write(response: &Response, length: Option<u64>, chunked: bool, close: bool, out: &mut Vec<u8>) {
    let status = Decimal::new(response.status().into());
    let line: [&[u8]; 5] = [b"HTTP/1.1 ", status.as_bytes(), b" ", response.phrase().as_bytes(), b"\r\n"];
    // Before a tunnel nothing else is written, and it may stand there as long as the tunnel runs.
    let more = if response.lacks_date() { AROUND } else { 2 };
    out.reserve_exact(line.iter().map(|part| part.len()).chain([response.fields().len(), more]).sum());
    push(out, &line);
    if response.lacks_date() {
        write_date(SystemTime::now(), out);
    }
    if response.lacks_type() {
        out.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\r\n");
    }
    out.extend_from_slice(response.fields());
    // A 205 has a length, which is 0; by its status alone nobody knows that.
    let length = if response.status() == 205 { Some(0) } else { length.filter(|_| !response.is_bodiless()) };
    if let Some(length) = length {
        push(out, &[b"Content-Length: ", Decimal::new(length).as_bytes(), b"\r\n"]);
    }
    if chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if close {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}
