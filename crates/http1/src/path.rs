//! The path of a request, for whoever chooses an origin by its prefix (RFC 3986 §3.3).
//!
//! An origin decodes a path, merges its slashes, takes its dots out and perhaps its parameters, some of them twice. If
//! the choice is made on other text than the origin serves, a client reaches through one prefix what was mounted under
//! another. So a prefix is found as an origin would find it, and what origins are known to read in different ways is refused:
//!
//! | refused | for example |
//! |---|---|
//! | a `%` without two hexadecimal digits | `/%`, `/%u002e`, `/%zz` |
//! | `.` and `..`, also encoded, before a parameter, behind an encoded `?` or `#`, or with blanks around them | `/../x`, `/%2e%2E/x`, `/..;a/x`, `/a%3f/../x`, `/..%20` |
//! | an encoded slash, unless it is permitted | `/a%2fb` |
//! | a backslash, also encoded | `/a\b`, `/a%5cb` |
//! | an encoded control character | `/a%00`, `/a%0ab` |
//! | what a second decoding would turn into a letter, digit, dot, slash and the like | `/%252e`, `/%2561` |
//! | overlong UTF-8 | `/%c0%ae`, `/%e0%80%ae` |

use crate::malformed::Malformed;

/// A path that is read in one way, as far as that can be seen without a prefix.
#[derive(Debug, Clone)]
pub struct Path<'a> {
    raw: &'a [u8],
    /// As those read it who go furthest: decoded, slashes merged, without parameters, blanks around segments, and what follows
    /// an encoded `?` or `#`. Each segment has a slash before it.
    loose: Vec<u8>,
}

impl<'a> Path<'a> {
    /// Reads a path, without its query. `slashes`: an encoded slash is permitted.
    ///
    /// # Errors
    ///
    /// `PathEncoding`, `DotSegments` or `AmbiguousPath`; see the table above.
    pub fn parse(raw: &'a [u8], slashes: bool) -> Result<Self, Malformed> {
        is_plain(raw, slashes)?;
        let mut loose = Vec::with_capacity(raw.len());
        let whole: Vec<u8> = decoded(raw).collect();
        // Whoever keeps an encoded `?` or `#` in the path reads on behind it: for dots, all is looked at.
        let mut is_cut = false;
        for segment in whole.split(|byte| *byte == b'/') {
            let name = segment.split(|byte| b";?#".contains(byte)).next().unwrap_or_default().trim_ascii();
            if matches!(name, b"." | b"..") {
                return Err(Malformed::DotSegments);
            }
            if !name.is_empty() && !is_cut {
                loose.push(b'/');
                loose.extend_from_slice(name);
            }
            is_cut = is_cut || segment.iter().any(|byte| b"?#".contains(byte));
        }
        Ok(Self { raw, loose })
    }

    /// What follows `prefix`, as it came: empty, or with a slash at its start. `prefix` is `/a/b` or empty, and of unreserved
    /// characters only; it ends where a segment does.
    #[must_use]
    pub fn strip_prefix(&self, prefix: &str) -> Option<&'a [u8]> {
        let mut rest = self.raw;
        for wanted in prefix.split('/').filter(|segment| !segment.is_empty()) {
            let start = rest.iter().position(|byte| *byte != b'/')?;
            let from = rest.get(start..)?;
            let (segment, after) = from.split_at(from.iter().position(|byte| *byte == b'/').unwrap_or(from.len()));
            if !decoded(segment).eq(wanted.bytes()) {
                return None;
            }
            rest = after;
        }
        Some(rest)
    }

    /// Whether somebody may take it for a path under `prefix`: if this and [`Path::strip_prefix`] find different prefixes, the
    /// path can be read in two ways.
    #[must_use]
    pub fn may_be_under(&self, prefix: &str) -> bool {
        self.loose.strip_prefix(prefix.as_bytes()).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    }
}

/// What a second decoding may bring forth: a blank and the reserved characters that separate nothing.
const HARMLESS: &[u8] = b" !\"$&'()*+,:<=>@[]^`{|}";

/// Refuses what is doubtful byte by byte.
fn is_plain(raw: &[u8], slashes: bool) -> Result<(), Malformed> {
    let mut rest = raw;
    let mut before = 0;
    while let Some((byte, after)) = next(rest) {
        let is_encoded = rest.first() == Some(&b'%');
        if is_encoded && byte == b'%' && rest.get(..3).is_none_or(|triplet| hex(triplet).is_none()) {
            return Err(Malformed::PathEncoding);
        }
        let doubtful = match byte {
            b'/' => is_encoded && !slashes,
            b'\\' => true,
            b'%' => is_double(after),
            _ => byte.is_ascii_control() || is_overlong(before, byte),
        };
        if doubtful {
            return Err(Malformed::AmbiguousPath);
        }
        (rest, before) = (after, byte);
    }
    Ok(())
}

/// Whether what follows a `%` that was decoded would be decoded a second time, into something that matters.
fn is_double(after: &[u8]) -> bool {
    let mut ahead = [0; 5];
    for (slot, byte) in ahead.iter_mut().zip(decoded(after)) {
        *slot = byte;
    }
    let [a, b, digits @ ..] = ahead;
    // `%u002e` of IIS.
    let is_wide = matches!(a, b'u' | b'U') && b.is_ascii_hexdigit() && digits.iter().all(u8::is_ascii_hexdigit);
    is_wide || hex(&[b'%', a, b]).is_some_and(|byte| !HARMLESS.contains(&byte))
}

/// Whether two bytes begin a character in more bytes of UTF-8 than it needs (RFC 3629 §3), in the forms of six bytes of
/// old too.
fn is_overlong(before: u8, byte: u8) -> bool {
    matches!(
        (before, byte),
        (_, 0xc0 | 0xc1) | (0xe0, 0x80..=0x9f) | (0xf0, 0x80..=0x8f) | (0xf8, 0x80..=0x87) | (0xfc, 0x80..=0x83)
    )
}

/// The bytes that a path means; a `%` that begins no triplet means itself.
fn decoded(raw: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let (byte, after) = next(rest)?;
        rest = after;
        Some(byte)
    })
}

/// The next byte that is meant, and what stands behind it.
fn next(rest: &[u8]) -> Option<(u8, &[u8])> {
    let (first, after) = rest.split_first()?;
    let triplet = rest.split_at_checked(3).and_then(|(triplet, behind)| Some((hex(triplet)?, behind)));
    Some(triplet.unwrap_or((*first, after)))
}

/// The byte of a percent-encoded triplet.
fn hex(triplet: &[u8]) -> Option<u8> {
    let &[b'%', high, low] = triplet else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}
