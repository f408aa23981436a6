//! The grammar of single lines, strictly by RFC 9112: what a refused head is diagnosed with, and
//! what trailer lines are read with.

use crate::fields::{is_tchar, is_token, is_value_byte, trim};
use crate::malformed::Malformed;

/// Which rule a complete request head broke that the tokenizer refused.
#[cold]
pub(crate) fn diagnose_request(head: &[u8]) -> Malformed {
    // None: the tokenizer is stricter than this grammar somewhere. Refused all the same.
    first_broken_rule(head, request_line, BeforeColon::Nothing).unwrap_or(Malformed::HeadSyntax)
}

/// Which rule a complete response head broke that the tokenizer refused.
#[cold]
pub(crate) fn diagnose_response(head: &[u8]) -> Malformed {
    first_broken_rule(head, status_line, BeforeColon::Blanks).unwrap_or(Malformed::HeadSyntax)
}

/// A field line without its CRLF: its name and its value.
pub(crate) fn field_line(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    parse_field_line(line, BeforeColon::Nothing)
}

/// What may stand between a name and its colon: blanks in the head of a response (RFC 9112 §5.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum BeforeColon {
    Nothing,
    Blanks,
}

fn parse_field_line(line: &[u8], blanks: BeforeColon) -> Result<(&[u8], &[u8]), Malformed> {
    if memchr::memchr(0, line).is_some() {
        return Err(Malformed::Nul);
    }
    if let [b' ' | b'\t', ..] = line {
        return Err(Malformed::ObsFold);
    }
    let colon = memchr::memchr(b':', line).ok_or(Malformed::MissingColon)?;
    let (name, value) = line.split_at_checked(colon).ok_or(Malformed::MissingColon)?;
    let value = value.get(1..).unwrap_or_default();
    let name = if blanks == BeforeColon::Nothing { name } else { trim(name) };
    match name.last() {
        None => return Err(Malformed::EmptyName),
        Some(b' ' | b'\t') => return Err(Malformed::SpaceBeforeColon),
        Some(_) if !name.iter().all(|&byte| is_tchar(byte)) => return Err(Malformed::BadNameByte),
        Some(_) => {}
    }
    if !value.iter().all(|&byte| is_value_byte(byte)) {
        return Err(Malformed::ControlInValue);
    }
    Ok((name, trim(value)))
}

/// The lines of a complete section, without their CRLF and without the empty one at its end.
pub(crate) fn lines(section: &[u8]) -> impl Iterator<Item = &[u8]> {
    section
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .take_while(|line| !line.is_empty())
}

fn first_broken_rule(
    head: &[u8],
    start_line: fn(&[u8]) -> Result<(), Malformed>,
    blanks: BeforeColon,
) -> Option<Malformed> {
    let mut lines = lines(head);
    let first = lines.next().unwrap_or_default();
    start_line(first).and_then(|()| lines.try_for_each(|line| parse_field_line(line, blanks).map(|_| ()))).err()
}

fn request_line(line: &[u8]) -> Result<(), Malformed> {
    if memchr::memchr(0, line).is_some() {
        return Err(Malformed::Nul);
    }
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Malformed::RequestLineWords);
    };
    if method.is_empty() || target.is_empty() || version.is_empty() {
        return Err(Malformed::RequestLineWords);
    }
    if !is_token(method) {
        return Err(Malformed::BadMethod);
    }
    if !target.iter().all(u8::is_ascii_graphic) {
        return Err(Malformed::BadTargetByte);
    }
    version_word(version)
}

fn status_line(line: &[u8]) -> Result<(), Malformed> {
    if memchr::memchr(0, line).is_some() {
        return Err(Malformed::Nul);
    }
    let (version, rest) = line.split_at_checked(8).ok_or(Malformed::StatusLine)?;
    if !version.starts_with(b"HTTP/") {
        return Err(Malformed::StatusLine);
    }
    version_word(version)?;
    let reason = match rest {
        [b' ', a, b, c, rest @ ..] if [a, b, c].iter().all(|byte| byte.is_ascii_digit()) => {
            if !matches!(a, b'1'..=b'9') {
                return Err(Malformed::StatusCode);
            }
            rest
        }
        _ => return Err(Malformed::StatusLine),
    };
    match reason {
        [] | [b' ', ..] if reason.iter().all(|&byte| is_value_byte(byte)) => Ok(()),
        [] | [b' ', ..] => Err(Malformed::ControlInValue),
        _ => Err(Malformed::StatusLine),
    }
}

fn version_word(word: &[u8]) -> Result<(), Malformed> {
    match word {
        b"HTTP/1.0" | b"HTTP/1.1" => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(Malformed::UnsupportedVersion)
        }
        _ => Err(Malformed::VersionSyntax),
    }
}

#[cfg(test)]
mod tests {
    //! The tokenizer is ours to trust only as far as this goes: it must accept exactly what the
    //! strict grammar above accepts, for heads that are nearly right.

    use proptest::prelude::*;

    use super::*;
    use crate::head::{HeadLimits, Received, RequestHead, ResponseHead};

    const REQUEST: &[u8] = b"GET http://h/ HTTP/1.1\r\nHost: h\r\nX-A:b\t\xe9 \r\nE:\r\n\r\n";
    const RESPONSE: &[u8] = b"HTTP/1.1 200 O\xe9 K\nX-A: b\r\nE \t:\r\n\r\n";

    /// Bytes that mean something to some parser.
    fn odd_byte() -> impl Strategy<Value = u8> {
        prop_oneof![
            4 => prop::sample::select(&b" \t:/.\0\x01\x0b\x0c\x7f\x80\xa0\xffH1,;()\"@[]{}=?\\<>"[..]),
            1 => any::<u8>(),
        ]
    }

    /// `base` with some bytes replaced, inserted or removed. The first one stays, because it is
    /// judged before all others, and so do the line ends.
    fn damaged(base: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
        let change = (any::<prop::sample::Index>(), 0..3_u8, odd_byte());
        prop::collection::vec(change, 0..4).prop_map(move |changes| {
            let mut head = base.to_vec();
            for (at, what, byte) in changes {
                let at = at.index(head.len()).max(1);
                if matches!(head[at], b'\r' | b'\n') || matches!(byte, b'\r' | b'\n') {
                    continue;
                }
                match what {
                    0 => head[at] = byte,
                    1 => head.insert(at, byte),
                    _ => drop(head.remove(at)),
                }
            }
            // A line of which nothing is left has become the end.
            let end = memchr::memmem::find(&head, b"\r\n\r\n").unwrap();
            head.truncate(end);
            head.extend(b"\r\n\r\n");
            head
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn requests_are_accepted_exactly_by_the_grammar(input in damaged(REQUEST)) {
            let mut head = RequestHead::new();
            let received = head.receive(&input, &HeadLimits::default());
            match first_broken_rule(&input, request_line, BeforeColon::Nothing) {
                None => prop_assert_eq!(received, Ok(Received::Complete(input.len()))),
                Some(why) => prop_assert_eq!(received, Err(why)),
            }
        }

        #[test]
        fn responses_are_accepted_exactly_by_the_grammar(input in damaged(RESPONSE)) {
            let mut head = ResponseHead::new();
            let received = head.receive(&input, &HeadLimits::default());
            match first_broken_rule(&input, status_line, BeforeColon::Blanks) {
                None => prop_assert_eq!(received, Ok(Received::Complete(input.len()))),
                Some(why) => prop_assert_eq!(received, Err(why)),
            }
        }

        #[test]
        fn fields_are_what_the_grammar_says(input in damaged(REQUEST)) {
            let mut head = RequestHead::new();
            if head.receive(&input, &HeadLimits::default()).is_ok() {
                let strict: Vec<_> = lines(&input).skip(1).map(|l| field_line(l).unwrap()).collect();
                let found: Vec<_> = head.fields().map(|f| (f.name, f.value)).collect();
                prop_assert_eq!(found, strict);
            }
        }
    }
}
