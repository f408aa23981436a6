//! Paths of rules: what can be compared with certainty, and what servers read in different ways.

use std::fmt;

use crate::entry::Mistake;

/// A path of a rule: whole, or with all that begins with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathPattern {
    text: Box<[u8]>,
    /// `*` stood at the end.
    open: bool,
}

/// Whether a path is one of a rule's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fits {
    Yes,
    No,
    /// It could be read as one of them: a dot segment, an encoded slash, an empty segment.
    Unsure,
}

impl PathPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let (path, open) = match text.strip_suffix('*') {
            Some(path) => (path, true),
            None => (text, false),
        };
        if !path.starts_with('/') {
            // What has a dot before its first slash is a host.
            let host = text.find('/').and_then(|at| text.split_at_checked(at)).filter(|(host, _)| host.contains('.'));
            let meant = host.map_or_else(|| format!("/{text}"), |(_, path)| path.to_owned());
            return Err(Mistake::new("a path begins with /").meant(&meant));
        }
        if path.contains('*') {
            return Err(Mistake::new("`*` stands only at the end of a path")
                .meant(&format!("{}*", path.split('*').next().unwrap_or("/"))));
        }
        if let Some((before, _)) = path.split_once(['?', '#']) {
            return Err(Mistake::new("a path is compared without its query").meant(before));
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Mistake::new("write what is not ASCII in a path as %XX"));
        }
        if is_unsure(path.as_bytes()) {
            return Err(Mistake::new(
                "servers read `..`, `//`, `\\`, `%2f` and the like in different ways; no request with them fits",
            ));
        }
        Ok(Self { text: Decoded(path.as_bytes()).collect(), open })
    }

    fn is(&self, path: &[u8]) -> bool {
        let mut decoded = Decoded(path);
        let begins = self.text.iter().all(|byte| decoded.next() == Some(*byte));
        begins && (self.open || decoded.next().is_none())
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text.escape_ascii(), if self.open { "*" } else { "" })
    }
}

/// Whether one of `patterns` fits the path of `path_and_query`.
pub(crate) fn fits(patterns: &[PathPattern], path_and_query: &[u8]) -> Fits {
    let end = path_and_query.iter().position(|byte| b"?#".contains(byte)).unwrap_or(path_and_query.len());
    let path = path_and_query.get(..end).unwrap_or_default();
    let path: &[u8] = if path.is_empty() { b"/" } else { path };
    if is_unsure(path) {
        Fits::Unsure
    } else if patterns.iter().any(|pattern| pattern.is(path)) {
        Fits::Yes
    } else {
        Fits::No
    }
}

/// Whether two servers could take the path for different ones: dot segments (RFC 3986 §5.2.4), also encoded, with blanks around
/// them or before `;`; empty segments; what ends a segment or a path if it is decoded early or twice; backslashes; what is
/// not ASCII, or in more bytes of UTF-8 than it needs.
fn is_unsure(path: &[u8]) -> bool {
    let bad_byte = path.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b'\\');
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    let mut bad_segment = false;
    while let Some(segment) = segments.next() {
        // The last may be empty: that is a slash at the end.
        bad_segment |= (segment.is_empty() && segments.peek().is_some()) || is_dots(segment);
    }
    bad_byte || bad_segment || has_bad_encoding(path)
}

/// `.`, `..`, or nothing before a parameter.
fn is_dots(segment: &[u8]) -> bool {
    let mut name = Decoded(segment).take_while(|byte| *byte != b';').filter(|byte| *byte != b' ');
    match [name.next(), name.next(), name.next()] {
        [None, ..] => !segment.is_empty(),
        dots => matches!(dots, [Some(b'.'), None, _] | [Some(b'.'), Some(b'.'), None]),
    }
}

fn has_bad_encoding(path: &[u8]) -> bool {
    let (mut rest, mut before) = (path, 0);
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        rest = rest.get(at.saturating_add(1)..).unwrap_or_default();
        before = if at == 2 { before } else { 0 };
        let Some(byte) = hex(rest) else { return true };
        // RFC 3629 §3, and the forms of six bytes of old.
        let overlong = matches!(
            (before, byte),
            (_, 0xc0 | 0xc1) | (0xe0, 0x80..=0x9f) | (0xf0, 0x80..=0x8f) | (0xf8, 0x80..=0x87) | (0xfc, 0x80..=0x83)
        );
        if overlong || byte.is_ascii_control() || b"/\\%?#".contains(&byte) {
            return true;
        }
        before = byte;
    }
    false
}

/// The bytes of a path, with percent-encodings resolved.
struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        if *first == b'%'
            && let Some(byte) = hex(rest)
        {
            self.0 = rest.get(2..).unwrap_or_default();
            return Some(byte);
        }
        self.0 = rest;
        Some(*first)
    }
}

fn hex(bytes: &[u8]) -> Option<u8> {
    let digits = bytes.get(..2)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(pattern: &str, path: &str) -> Fits {
        fits(&[PathPattern::parse(pattern).unwrap()], path.as_bytes())
    }

    #[test]
    fn paths_that_fit() {
        for (pattern, path, is) in [
            ("/repos/corp/*", "/repos/corp/", Fits::Yes),
            ("/repos/corp/*", "/repos/corp/x/y?q=/../", Fits::Yes),
            ("/repos/corp/*", "/repos/corp", Fits::No),
            ("/repos/corp/*", "/repos/corporate/x", Fits::No),
            ("/repos/corp/*", "/repos/%63orp/x", Fits::Yes),
            ("/repos/corp/*", "/Repos/corp/x", Fits::No),
            ("/a", "/a", Fits::Yes),
            ("/a", "/a/", Fits::No),
            ("/a", "/ab", Fits::No),
            ("/*", "", Fits::Yes),
            ("/*", "?x", Fits::Yes),
            ("/a%20b", "/a%20b", Fits::Yes),
            ("/a%c3%bc", "/a%C3%BC", Fits::Yes),
            ("/a", "/a;v=1", Fits::No),
        ] {
            assert_eq!(fit(pattern, path), is, "{path}");
        }
    }

    #[test]
    fn what_servers_read_differently() {
        for path in [
            "/repos/corp/../x",
            "/repos/corp/..",
            "/repos/corp/./x",
            "/repos/corp/%2e%2e/x",
            "/repos/corp/.%2E/x",
            "/repos/corp/..;/x",
            "/repos/corp/..;a=b/x",
            "/repos/corp//x",
            "//repos/corp/x",
            "/repos/corp/a%2fb",
            "/repos/corp/%2F..",
            "/repos/corp/a%5cb",
            "/repos/corp/..\\x",
            "/repos/corp/%252e%252e/x",
            "/repos/corp/%",
            "/repos/corp/%zz",
            "/repos/corp/%00",
            "/repos/corp/\u{e9}",
            "/repos/corp/;/x",
            "/repos/corp/%0a",
            "/repos/corp/..%20/x",
            "/repos/corp/%20../x",
            "/repos/corp/%3f/x",
            "/repos/corp/%23/x",
            "/repos/corp/%c0%ae%c0%ae/x",
            "/repos/corp/%e0%80%ae/x",
        ] {
            assert_eq!(fit("/repos/corp/*", path), Fits::Unsure, "{path}");
        }
        for path in ["/repos/corp/...", "/repos/corp/.x", "/repos/corp/x.", "/repos/corp/a;b/"] {
            assert_eq!(fit("/repos/corp/*", path), Fits::Yes, "{path}");
        }
    }

    #[test]
    fn patterns_that_are_refused() {
        for (text, meant) in
            [("repos/*", "/repos/*"), ("/a/*/b", "/a/*"), ("/a?b", "/a"), ("api.x/repos", "/repos"), ("*", "/*")]
        {
            let mistake = PathPattern::parse(text).unwrap_err();
            assert_eq!(mistake.meant.as_deref(), Some(meant), "{text}");
        }
        for text in ["", "/a/../b", "/ä", "/a b", "/a%2fb", "//a"] {
            assert!(PathPattern::parse(text).is_err(), "{text}");
        }
    }
}
