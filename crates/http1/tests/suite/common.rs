//! Every case in every cut.

use sluicegate_http1::{
    BodyDecoder, ChunkLimits, Framing, HeadLimits, Malformed, Received, RequestHead, ResponseHead, Step, Version,
};

/// Names and values.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// All that can be read from a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Method and target; or status and reason.
    pub(crate) start: (Vec<u8>, Vec<u8>),
    pub(crate) version: Version,
    pub(crate) fields: Fields,
    pub(crate) bytes: Vec<u8>,
}

/// What became of a whole input.
pub(crate) type Outcome<T> = Result<Option<(usize, T)>, Malformed>;

/// Either kind of head.
pub(crate) trait Head {
    fn new() -> Self;
    fn receive(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Received, Malformed>;
    fn seen(&self) -> Seen;
    fn is_complete(&self) -> bool;
    fn capacity(&self) -> usize;
}

macro_rules! head {
    ($head:ident, $start:expr) => {
        impl Head for $head {
            fn new() -> Self {
                Self::new()
            }
            fn receive(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Received, Malformed> {
                self.receive(input, limits)
            }
            fn seen(&self) -> Seen {
                let start: fn(&Self) -> (Vec<u8>, Vec<u8>) = $start;
                let fields = self.fields();
                Seen {
                    start: start(self),
                    version: self.version(),
                    fields: fields.map(|f| (f.name.to_vec(), f.value.to_vec())).collect(),
                    bytes: self.bytes().to_vec(),
                }
            }
            fn is_complete(&self) -> bool {
                self.is_complete()
            }
            fn capacity(&self) -> usize {
                self.capacity()
            }
        }
    };
}

head!(RequestHead, |head| (head.method().to_vec(), head.target().to_vec()));
head!(ResponseHead, |head| (head.status().to_string().into_bytes(), head.reason().to_vec()));

/// Receives a head in every cut and returns the one outcome.
pub(crate) fn receive<H: Head>(input: &[u8], limits: &HeadLimits) -> Outcome<Seen> {
    let whole = in_pieces::<H>([input], limits);
    let each_byte = in_pieces::<H>(input.chunks(1), limits);
    assert_eq!(whole, each_byte, "byte by byte: {}", input.escape_ascii());
    if input.len() <= 300 {
        for at in 0..=input.len() {
            let (a, b) = input.split_at(at);
            let cut = in_pieces::<H>([a, b], limits);
            assert_eq!(whole, cut, "cut at {at}: {}", input.escape_ascii());
        }
    }
    // What follows must not matter, unless it is what was missing.
    if whole != Ok(None) {
        for after in [&b"\n"[..], b"\r\n\r\n", b" x\0", b"GET / HTTP/1.1\r\n\r\n"] {
            let more = in_pieces::<H>([[input, after].concat().as_slice()], limits);
            assert_eq!(whole, more, "with more behind: {}", input.escape_ascii());
        }
    }
    whole
}

fn in_pieces<'a, H: Head>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &HeadLimits) -> Outcome<Seen> {
    let mut head = H::new();
    let mut before = 0;
    for piece in pieces {
        let received = head.receive(piece, limits);
        let text = head.seen().bytes.len();
        assert!(text <= limits.bytes, "{text} bytes held");
        match received {
            Ok(Received::Partial) => before += piece.len(),
            Ok(Received::Complete(n)) => {
                assert!(head.is_complete());
                assert_eq!(head.receive(b"more", limits), Ok(Received::Complete(0)));
                assert!(head.capacity() <= limits.bytes + limits.fields * 28);
                return Ok(Some((before + n, head.seen())));
            }
            Err(why) => {
                assert!(!head.is_complete());
                assert_eq!(head.receive(b"more", limits), Err(why), "it stays refused");
                return Err(why);
            }
        }
        assert!(!head.is_complete());
    }
    Ok(None)
}

/// A complete request head of these bytes, or why not.
pub(crate) fn request(input: &[u8]) -> Result<RequestHead, Malformed> {
    complete(receive::<RequestHead>(input, &HeadLimits::default()), input)?;
    let mut head = RequestHead::new();
    head.receive(input, &HeadLimits::default()).map(|_| head)
}

/// A complete response head of these bytes, or why not.
pub(crate) fn response(input: &[u8]) -> Result<ResponseHead, Malformed> {
    complete(receive::<ResponseHead>(input, &HeadLimits::default()), input)?;
    let mut head = ResponseHead::new();
    head.receive(input, &HeadLimits::default()).map(|_| head)
}

fn complete<T>(outcome: Outcome<T>, input: &[u8]) -> Result<(), Malformed> {
    let Some((taken, _)) = outcome? else {
        panic!("not complete: {}", input.escape_ascii());
    };
    assert_eq!(taken, input.len(), "all of: {}", input.escape_ascii());
    Ok(())
}

/// What a body decoder made of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) data: Vec<u8>,
    pub(crate) trailers: Fields,
}

/// Decodes a body in every cut and returns the one outcome. None: not complete.
pub(crate) fn decode(framing: Framing, input: &[u8], limits: ChunkLimits) -> Outcome<Decoded> {
    let whole = decode_pieces(framing, [input], limits);
    let each_byte = decode_pieces(framing, input.chunks(1), limits);
    assert_eq!(whole, each_byte, "byte by byte: {}", input.escape_ascii());
    if input.len() <= 300 {
        for at in 0..=input.len() {
            let (a, b) = input.split_at(at);
            let cut = decode_pieces(framing, [a, b], limits);
            assert_eq!(whole, cut, "cut at {at}: {}", input.escape_ascii());
        }
    }
    if whole != Ok(None) {
        for after in [&b"\n"[..], b"\r\n", b"0\r\n\r\n"] {
            let more = [input, after].concat();
            let more = decode_pieces(framing, [more.as_slice()], limits);
            assert_eq!(whole, more, "with more behind: {}", input.escape_ascii());
        }
    }
    whole
}

/// Decodes a body in these pieces.
pub(crate) fn decode_pieces<'a>(
    framing: Framing,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: ChunkLimits,
) -> Outcome<Decoded> {
    let mut body = BodyDecoder::new(framing, limits);
    let (mut data, mut taken) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = piece;
        loop {
            if body.is_complete() {
                assert_eq!(body.decode(rest), Ok(Step::End(0)));
                let trailers = body.trailers();
                let trailers = trailers.map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
                return Ok(Some((taken, Decoded { data, trailers })));
            }
            assert_eq!(body.trailers().count(), 0);
            let step = body.decode(rest).inspect_err(|&why| {
                assert_eq!(body.decode(b"0"), Err(why), "it stays refused");
            })?;
            let n = match step {
                Step::Data(n) => {
                    assert!(n > 0);
                    data.extend_from_slice(&rest[..n]);
                    n
                }
                Step::Framing(n) => {
                    assert!(n > 0 || rest.is_empty());
                    n
                }
                Step::End(n) => {
                    assert!(body.is_complete());
                    n
                }
            };
            rest = &rest[n..];
            taken += n;
            if rest.is_empty() && !body.is_complete() {
                break;
            }
        }
    }
    Ok(None)
}
