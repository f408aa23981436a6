//! URLs without what must not be written down: userinfo always, query and fragment unless asked
//! for. Also of URLs that are broken, because those are refused and logged too: where nobody can
//! say for certain what is a password, nothing is shown.

use std::borrow::Cow;

use sluicegate_http1::{Authority, Malformed};

/// What of `url` may be shown; a request target in any form, or the value of `Referer`.
/// `is_whole` says that it was not cut off. None if nothing can be shown for certain.
pub(super) fn url(url: &[u8], is_whole: bool, keep_query: bool) -> Option<Cow<'_, [u8]>> {
    let (scheme, rest) = split_scheme(url);
    let end = rest.iter().position(|byte| b"/?#\\".contains(byte));
    let (authority, tail) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
    if !is_whole && end.is_none() {
        // `http://user:80` may go on with `80@host`.
        return None;
    }
    let (doubtful, at) = (tail.contains(&b'@'), authority.iter().rposition(|byte| *byte == b'@'));
    let host = match at {
        // A second `@` behind the authority: is it `user:pa/ss@host`?
        Some(_) if doubtful => return None,
        Some(at) => authority.get(at..)?.get(1..)?,
        None => authority,
    };
    let host = match Authority::parse(host) {
        // A path.
        _ if host.is_empty() && scheme.is_empty() => host,
        // `http:/user:password@host`.
        _ if doubtful && scheme.is_empty() => return None,
        Ok(_) => host,
        Err(_) if doubtful => return None,
        // `user:password` without a host.
        Err(Malformed::BadPort) => host.split(|byte| *byte == b':').next()?,
        Err(_) => host,
    };
    let tail = if keep_query { tail } else { before_query(tail) };
    if host.len() == authority.len() && !tail.contains(&b'@') {
        let length = scheme.len().saturating_add(host.len()).saturating_add(tail.len());
        return url.get(..length).map(Cow::Borrowed);
    }
    let mut shown = [scheme, host].concat();
    without_userinfo(tail, &mut shown);
    Some(Cow::Owned(shown))
}

/// `http://` and what follows it, or nothing and everything.
fn split_scheme(url: &[u8]) -> (&[u8], &[u8]) {
    let is_scheme_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let length = url.iter().position(|byte| !is_scheme_byte(byte)).unwrap_or(0);
    let begins = length > 0 && url.get(length..).is_some_and(|rest| rest.starts_with(b"://"));
    let split = begins.then(|| url.split_at_checked(length.saturating_add(3))).flatten();
    split.unwrap_or((&[], url))
}

fn before_query(tail: &[u8]) -> &[u8] {
    let end = tail.iter().position(|byte| b"?#".contains(byte)).unwrap_or(tail.len());
    tail.get(..end).unwrap_or(tail)
}

/// Paths and queries carry URLs too: `/http://user:password@host/`.
fn without_userinfo(tail: &[u8], out: &mut Vec<u8>) {
    let mut rest = tail;
    while let Some(slashes) = rest.windows(2).position(|pair| pair == b"//") {
        let Some((before, after)) = rest.split_at_checked(slashes.saturating_add(2)) else { break };
        out.extend_from_slice(before);
        let end = after.iter().position(|byte| b"/?#&".contains(byte)).unwrap_or(after.len());
        let authority = after.get(..end).unwrap_or(after);
        let skip = authority.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at.saturating_add(1));
        rest = after.get(skip..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, is_whole: bool, keep_query: bool) -> String {
        match url(text.as_bytes(), is_whole, keep_query) {
            Some(shown) => String::from_utf8(shown.into_owned()).unwrap(),
            None => "-".to_owned(),
        }
    }

    #[test]
    fn queries_and_fragments_go_unless_asked_for() {
        for (text, without) in [
            ("http://a/b?c=d", "http://a/b"),
            ("http://a/b#c?d", "http://a/b"),
            ("http://a?b", "http://a"),
            ("http://a", "http://a"),
            ("/b?c", "/b"),
            ("a:443", "a:443"),
            ("*", "*"),
            ("", ""),
            ("https://a:1/b/?x=http://y", "https://a:1/b/"),
        ] {
            assert_eq!(shown(text, true, false), without, "{text}");
            assert_eq!(shown(text, true, true), text, "{text}");
        }
    }

    #[test]
    fn credentials_always_go() {
        for (text, safe) in [
            ("http://user:secret@host/path", "http://host/path"),
            ("http://secret@host:81/", "http://host:81/"),
            ("HTTP://secret@host", "HTTP://host"),
            ("https://a@secret@host/", "https://host/"),
            ("user:secret@host:443", "host:443"),
            ("secret@host", "host"),
            ("//user:secret@host/", "//host/"),
            ("/http://user:secret@host/x", "/http://host/x"),
            ("http://a/http://u:secret@b//c:secret@d/", "http://a/http://b//d/"),
            ("http://a/?next=http://u:secret@b&x=y@z", "http://a/?next=http://b&x=y@z"),
            ("http://user:secret", "http://user"),
            ("http://user:secret/", "http://user/"),
            ("user:secret", "user"),
            ("http://user:se/cret@host/", "-"),
            ("http://user:se?cret@host/", "-"),
            ("http://user:se#cret@host/", "-"),
            ("http://user:se\\cret@host/", "-"),
            ("http://u@secret/secret@host/", "-"),
            ("http:/user:secret@host/", "-"),
            ("http:user:secret@host/", "host/"),
        ] {
            let (found, and_without_query) = (shown(text, true, true), shown(text, true, false));
            assert!(!found.contains("secret") && !and_without_query.contains("secret"), "{text}: {found}");
            assert_eq!(found, safe, "{text}");
        }
    }

    #[test]
    fn an_at_sign_in_a_path_stays() {
        for text in ["http://registry.example/@scope/package", "/users/@me", "http://a:80/b@c/d//e/f@g"] {
            assert_eq!(shown(text, true, false), text);
        }
    }

    #[test]
    fn what_was_cut_off_is_shown_up_to_what_is_certain() {
        assert_eq!(shown("http://host/pa", false, false), "http://host/pa");
        assert_eq!(shown("http://host?pa", false, false), "http://host");
        for text in ["http://host", "http://user:80", "host:44", "htt"] {
            assert_eq!(shown(text, false, false), "-", "{text}");
        }
    }

    #[test]
    fn refused_hosts_are_shown() {
        for text in ["http://0x7f.1/", "http://a b/", "http://[::1/", "ftp://a/b"] {
            assert_eq!(shown(text, true, false), text);
        }
    }
}
