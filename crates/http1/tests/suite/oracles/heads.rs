//! Heads: one outcome however they are cut, within the limits, and nothing read from them panics.

use std::fmt::Debug;

use sluicegate_http1::{
    Authority, Connection, Field, HeadLimits, Malformed, Name, Names, Received, RequestHead, ResponseHead, Target,
    Version, framing, target,
};

use super::{Fields, Input, owned};

const SMALL: HeadLimits = HeadLimits { bytes: 100, fields: 4 };

/// A request head in any pieces, and what is read from it.
pub fn request_head(input: &[u8]) -> bool {
    let Some(head) = any_cut::<RequestHead>(input) else {
        return false;
    };
    let _ = framing::request(&head);
    let _ = (head.persists(), head.expects_continue(), head.upgrade_offers().count());
    let host = target::host_field(&head, &Target::Asterisk);
    if let Ok(Some(host)) = host {
        assert!(host.is_empty() || same_when_written_again(Authority::parse(host).expect("host_field has read it")));
    }
    if let Ok(target) = target::parse(head.method(), head.target()) {
        assert_eq!(target::host_field(&head, &target), host);
        check_target(&head, &target);
    }
    check_written(&head);
    true
}

/// Fields are written as one by one, whichever of them differ.
fn check_written(head: &RequestHead) {
    let takes_its_place = |field: &Field<'_>| [b"<", field.name, b">"].concat();
    for differing in [Names::of(&[]), Names::of(&[Name::Host, Name::Via]), Names::of(&[Name::Other])] {
        let lines = head.fields().map(|field| match differing.contains(field.id) || head.is_nominated(field.name) {
            true => takes_its_place(&field),
            false => [field.name, b": ", field.value, b"\r\n"].concat(),
        });
        let mut written = Vec::new();
        head.write_fields(&mut written, differing, None::<fn(&[u8]) -> bool>, |field, out| {
            out.extend(takes_its_place(field))
        });
        assert_eq!(written, lines.collect::<Vec<_>>().concat());
    }
    assert_eq!(head.field_count(), head.fields().count());
    for field in head.fields() {
        assert!(head.named(field.id).any(|named| named.name == field.name && named.value == field.value));
    }
}

/// A response head in any pieces, and what is read from it.
pub fn response_head(input: &[u8]) -> bool {
    let Some(head) = any_cut::<ResponseHead>(input) else {
        return false;
    };
    assert!((100..=999).contains(&head.status()));
    assert!(!head.reason().iter().any(|byte| b"\r\n\0".contains(byte)));
    let _ = head.persists();
    check_canonical(&head);
    for method in [&b"GET"[..], b"HEAD", b"CONNECT"] {
        let _ = framing::response(&head, method);
    }
    true
}

/// What is passed on is read alike by every strict reader, however it was written.
fn check_canonical(head: &ResponseHead) {
    let mut written = format!("HTTP/1.1 {} ", head.status()).into_bytes();
    written.extend([head.reason(), b"\r\n"].concat());
    head.write_fields(&mut written, Names::of(&[]), None::<fn(&[u8]) -> bool>, |field, out| {
        out.extend([field.name, b": ", field.value, b"\r\n"].concat());
    });
    written.extend(b"\r\n");
    let lines = head.fields().map(|field| [field.name, b": ", field.value, b"\r\n"].concat());
    assert!(written.ends_with(&[lines.collect::<Vec<_>>().concat(), b"\r\n".to_vec()].concat()));
    for (at, byte) in written.iter().enumerate() {
        assert_eq!(*byte == b'\n', at > 0 && written[at - 1] == b'\r', "CR and LF stand together");
    }
}

/// What an origin is sent is one word, and the authority has one reading.
fn check_target(head: &RequestHead, target: &Target<'_>) {
    let mut origin_form = Vec::new();
    target.write_origin_form(head.method(), &mut origin_form);
    assert!(!origin_form.is_empty() && origin_form.iter().all(u8::is_ascii_graphic));
    match *target {
        Target::Absolute { authority, path_and_query } => {
            let written = [authority.text.as_bytes(), path_and_query].concat();
            assert_eq!(head.target().get(b"http://".len()..), Some(&written[..]));
            assert!(same_when_written_again(authority));
        }
        Target::Authority(authority) => {
            assert!(head.method() == b"CONNECT" && authority.port.is_some());
            assert!(same_when_written_again(authority));
        }
        Target::Origin(path) => assert_eq!(path, head.target()),
        Target::Asterisk => assert_eq!(head.target(), b"*"),
    }
}

fn same_when_written_again(authority: Authority<'_>) -> bool {
    let behind_host = authority.text.rsplit(']').next().unwrap_or_default();
    let digits = behind_host.split_once(':').map_or("", |(_, digits)| digits);
    assert_eq!(digits.parse().ok(), authority.port, "the port is what the digits say");
    let text = authority.to_string();
    let again = Authority::parse(text.as_bytes()).expect("what was accepted once");
    (again.host, again.port) == (authority.host, authority.port)
}

/// The head of these bytes, if they are one: whole, byte by byte, in the pieces asked for, and with more behind it.
fn any_cut<H: Head>(input: &[u8]) -> Option<H> {
    let input = Input::read(input);
    let limits = if input.small { SMALL } else { HeadLimits::default() };
    let bytes = input.bytes;

    let whole = receive::<H>([bytes], &limits);
    assert_eq!(seen(&receive::<H>(bytes.chunks(1), &limits)), seen(&whole), "byte by byte");
    assert_eq!(seen(&receive::<H>(input.pieces(), &limits)), seen(&whole), "in pieces");
    if !matches!(whole, Ok(None)) {
        let more = [bytes, b"\r\n\r\nX: y\n"].concat();
        assert_eq!(seen(&receive::<H>([&more[..]], &limits)), seen(&whole), "with more behind");
    }

    let (taken, head) = whole.ok()??;
    assert!(bytes[..taken].ends_with(head.bytes()) && H::ENDS.iter().any(|end| head.bytes().ends_with(end)));
    assert!(bytes[..taken - head.bytes().len()].chunks(2).all(|line| line == b"\r\n"), "empty lines before it");
    let alone = seen(&receive::<H>([head.bytes()], &limits));
    assert_eq!(alone, Ok(Some((head.bytes().len(), head.bytes().to_vec(), head.seen()))), "without them");
    Some(head)
}

/// How many bytes were taken, and the head. `None`: more is needed.
type Outcome<H> = Result<Option<(usize, H)>, Malformed>;

type Comparable = Result<Option<(usize, Vec<u8>, Seen)>, Malformed>;

fn seen<H: Head>(outcome: &Outcome<H>) -> Comparable {
    match outcome {
        Ok(head) => Ok(head.as_ref().map(|(taken, head)| (*taken, head.bytes().to_vec(), head.seen()))),
        Err(why) => Err(*why),
    }
}

fn receive<'a, H: Head>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &HeadLimits) -> Outcome<H> {
    let mut head = H::new();
    let mut before = 0;
    for piece in pieces {
        let received = head.receive(piece, limits);
        check_what_is_held(&head, limits);
        assert_eq!(head.is_complete(), matches!(received, Ok(Received::Complete(_))));
        match received {
            Ok(Received::Partial) => before += piece.len(),
            Ok(Received::Complete(n)) => {
                assert_eq!(head.receive(b"more", limits), Ok(Received::Complete(0)));
                return Ok(Some((before + n, head)));
            }
            Err(why) => {
                assert_eq!(head.receive(b"more", limits), Err(why), "it stays refused");
                return Err(why);
            }
        }
    }
    Ok(None)
}

fn check_what_is_held<H: Head>(head: &H, limits: &HeadLimits) {
    // 20 for each field, and 8 for each name in `Connection`, which come in powers of two.
    let beside = limits.fields * 20 + limits.fields.next_power_of_two().max(4) * 8;
    assert!(head.bytes().len() <= limits.bytes && head.capacity() <= limits.bytes + beside);
    let Seen { start: (first, second), fields, connection, .. } = head.seen();
    if head.is_complete() {
        assert!(fields.len() <= limits.fields);
    } else {
        assert!(first.is_empty() && second.is_empty() && fields.is_empty() && connection == Connection::default());
    }
}

/// All that can be read from a head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Method and target; or status and reason. Empty before completion.
    start: (Vec<u8>, Vec<u8>),
    version: Version,
    fields: Fields,
    connection: Connection,
    /// For each field, whether `Connection` takes it away.
    nominated: Vec<bool>,
}

/// Either kind of head.
pub(super) trait Head: Debug {
    /// What it may end in.
    const ENDS: &[&[u8]];
    fn new() -> Self;
    fn receive(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Received, Malformed>;
    fn seen(&self) -> Seen;
    fn is_complete(&self) -> bool;
    fn capacity(&self) -> usize;
    fn bytes(&self) -> &[u8];
}

macro_rules! head {
    ($head:ident, $ends:expr, $start:expr) => {
        impl Head for $head {
            const ENDS: &[&[u8]] = $ends;
            fn new() -> Self {
                Self::new()
            }
            fn receive(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Received, Malformed> {
                self.receive(input, limits)
            }
            fn seen(&self) -> Seen {
                let start: fn(&Self) -> (Vec<u8>, Vec<u8>) = $start;
                for field in self.fields() {
                    assert!(self.has(field.id) && Name::of(field.name) == field.id);
                }
                Seen {
                    start: start(self),
                    version: self.version(),
                    fields: owned(self.fields()),
                    connection: *self.connection(),
                    nominated: self.fields().map(|field| self.is_nominated(field.name)).collect(),
                }
            }
            fn is_complete(&self) -> bool {
                self.is_complete()
            }
            fn capacity(&self) -> usize {
                self.capacity()
            }
            fn bytes(&self) -> &[u8] {
                self.bytes()
            }
        }
    };
}

head!(RequestHead, &[b"\r\n\r\n"], |head| (head.method().to_vec(), head.target().to_vec()));
head!(ResponseHead, &[b"\n\r\n", b"\n\n"], |head| match head.status() {
    0 => Default::default(),
    status => (status.to_string().into_bytes(), head.reason().to_vec()),
});
