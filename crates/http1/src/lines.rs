//! The grammar of single lines, strictly by RFC 9112: what a refused head is diagnosed with, and
//! what trailer lines are read with.

use crate::fields::{is_tchar, is_token, is_value_byte, trim};
use crate::malformed::Malformed;

/// Which rule a complete request head broke that the tokenizer refused.
#[cold]
pub(crate) fn diagnose_request(head: &[u8]) -> Malformed {
    diagnose(head, request_line)
}

/// Which rule a complete response head broke that the tokenizer refused.
#[cold]
pub(crate) fn diagnose_response(head: &[u8]) -> Malformed {
    diagnose(head, status_line)
}

/// A field line without its CRLF: its name and its value.
pub(crate) fn field_line(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    if memchr::memchr(0, line).is_some() {
        return Err(Malformed::Nul);
    }
    if let [b' ' | b'\t', ..] = line {
        return Err(Malformed::ObsFold);
    }
    let colon = memchr::memchr(b':', line).ok_or(Malformed::MissingColon)?;
    let (name, value) = line
        .split_at_checked(colon)
        .ok_or(Malformed::MissingColon)?;
    let value = value.get(1..).unwrap_or_default();
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

fn diagnose(head: &[u8], start_line: fn(&[u8]) -> Result<(), Malformed>) -> Malformed {
    let mut lines = lines(head);
    let first = lines.next().unwrap_or_default();
    start_line(first)
        .and_then(|()| lines.try_for_each(|line| field_line(line).map(|_| ())))
        .err()
        // The tokenizer is stricter than this grammar somewhere: refused all the same.
        .unwrap_or(Malformed::HeadSyntax)
}

fn request_line(line: &[u8]) -> Result<(), Malformed> {
    if memchr::memchr(0, line).is_some() {
        return Err(Malformed::Nul);
    }
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
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
            if !matches!(a, b'1'..=b'5') {
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
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Malformed::UnsupportedVersion)
        }
        _ => Err(Malformed::VersionSyntax),
    }
}
