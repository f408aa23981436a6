//! A connection's worth of requests: where one ends the next begins, whatever the cuts.

use sluicegate_http1::chunked::{LAST_CHUNK, write_size};
use sluicegate_http1::{
    BodyDecoder, ChunkLimits, Connection, Framing, HeadLimits, Malformed, Received, RequestHead, Step, framing,
};

use super::{Fields, Input, chunked, owned};

const SMALL: HeadLimits = HeadLimits { bytes: 100, fields: 4 };

/// Pipelined requests in any pieces: head, body, head, …
pub fn message_stream(input: &[u8]) -> bool {
    let input = Input::read(input);
    let limits = match input.small {
        true => (SMALL, chunked::SMALL),
        false => (HeadLimits::default(), ChunkLimits::default()),
    };
    let bytes = input.bytes;

    let whole = Reader::read([bytes], limits);
    assert_eq!(Reader::read(bytes.chunks(1), limits), whole, "byte by byte");
    assert_eq!(Reader::read(input.pieces(), limits), whole, "in pieces");
    let (messages, rest) = whole;

    // Each message is the same on its own, read by a head that was never used.
    let mut start = 0;
    for message in &messages {
        let (alone, _) = Reader::read([&bytes[start..message.end]], limits);
        assert_eq!(alone, [Message { end: message.end - start, ..message.clone() }], "alone");
        start = message.end;
    }
    if let Rest::Open { held } = &rest {
        assert!(*held <= bytes.len() - start);
    }

    let written: Vec<u8> = messages.iter().flat_map(Message::write).collect();
    let (again, rest) = Reader::read([&written[..]], (limits.0, ChunkLimits::default()));
    assert!(again.iter().map(Message::meaning).eq(messages.iter().map(Message::meaning)), "written again");
    assert!(matches!(rest, Rest::Open { held: 0 } | Rest::Tunnel), "{rest:?}");
    !messages.is_empty()
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    head: Vec<u8>,
    fields: Fields,
    connection: Connection,
    /// For each field, whether `Connection` takes it away.
    nominated: Vec<bool>,
    framing: Framing,
    data: Vec<u8>,
    trailers: Fields,
    /// How far into the stream it goes.
    end: usize,
}

impl Message {
    /// All but where it stood.
    fn meaning(&self) -> impl PartialEq {
        (self.head.clone(), self.framing, self.data.clone(), self.trailers.clone())
    }

    /// As a proxy would pass it on: in chunks of its own.
    fn write(&self) -> Vec<u8> {
        let mut out = self.head.clone();
        if self.framing != Framing::Chunked {
            out.extend(&self.data);
            return out;
        }
        if !self.data.is_empty() {
            write_size(self.data.len(), &mut out);
            out.extend([&self.data, &b"\r\n"[..]].concat());
        }
        let (last, end) = LAST_CHUNK.split_at(3);
        out.extend(last);
        for (name, value) in &self.trailers {
            out.extend([name, &b":"[..], value, b"\r\n"].concat());
        }
        out.extend(end);
        out
    }
}

/// What came after the last whole message.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    /// A message that is not whole, or nothing: this much of its head and data.
    Open {
        held: usize,
    },
    Refused(Malformed),
    /// It belongs to the tunnel.
    Tunnel,
}

/// Reads as a server does: one head, used again for each message.
struct Reader {
    limits: (HeadLimits, ChunkLimits),
    head: RequestHead,
    body: Option<BodyDecoder>,
    data: Vec<u8>,
    messages: Vec<Message>,
    taken: usize,
}

impl Reader {
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: (HeadLimits, ChunkLimits)) -> (Vec<Message>, Rest) {
        let (head, body, data, messages) = (RequestHead::new(), None, Vec::new(), Vec::new());
        let mut reader = Self { limits, head, body, data, messages, taken: 0 };
        for piece in pieces {
            if let Some(rest) = reader.take(piece) {
                return (reader.messages, rest);
            }
        }
        let held = reader.head.bytes().len() + reader.data.len();
        (reader.messages, Rest::Open { held })
    }

    /// Takes a whole piece, or says why it goes no further.
    fn take(&mut self, piece: &[u8]) -> Option<Rest> {
        let mut rest = piece;
        while !rest.is_empty() {
            let step = if self.body.is_some() { self.take_body(rest) } else { self.take_head(rest) };
            let n = match step {
                Ok(n) => n,
                Err(why) => return Some(Rest::Refused(why)),
            };
            self.taken += n;
            rest = &rest[n..];
            if self.body.as_ref().is_some_and(BodyDecoder::is_complete) && self.end_message() {
                return Some(Rest::Tunnel);
            }
        }
        None
    }

    fn take_head(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        let Received::Complete(n) = self.head.receive(input, &self.limits.0)? else {
            return Ok(input.len());
        };
        self.body = Some(BodyDecoder::new(framing::request(&self.head)?, self.limits.1));
        Ok(n)
    }

    fn take_body(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        let Some(body) = &mut self.body else {
            return Ok(0);
        };
        let (Step::Framing(n) | Step::Data(n) | Step::End(n)) = body.decode(input).inspect(|step| {
            if let Step::Data(n) = *step {
                self.data.extend_from_slice(&input[..n]);
            }
        })?;
        assert!(n > 0, "it goes on");
        Ok(n)
    }

    /// Keeps the message and makes room for the next. True if none follows.
    fn end_message(&mut self) -> bool {
        let Some(body) = self.body.take() else {
            return false;
        };
        self.messages.push(Message {
            head: self.head.bytes().to_vec(),
            fields: owned(self.head.fields()),
            connection: *self.head.connection(),
            nominated: self.head.fields().map(|field| self.head.is_nominated(field.name)).collect(),
            framing: body.framing(),
            data: std::mem::take(&mut self.data),
            trailers: owned(body.trailers()),
            end: self.taken,
        });
        let tunnel = self.head.method() == b"CONNECT";
        self.head.clear();
        tunnel
    }
}
