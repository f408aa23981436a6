//! The combined format of NCSA and Apache, which log analysers read:
//! `ip - - [22/Nov/2026:13:15:19 +0000] "GET http://host/path HTTP/1.1" 200 1234 "referer" "agent"`.

use std::io::Write;

use jiff::Timestamp;

use super::entry::Entry;
use super::escape::{escaped, quoted};

/// Appends one line. Bytes are those that the client was sent, heads too; `-` for none.
pub(super) fn write(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let started = Timestamp::try_from(entry.started).unwrap_or_default();
    // Writing to memory does not fail.
    let _ = write!(out, "{} - - [{}] ", entry.client.ip(), started.strftime("%d/%b/%Y:%H:%M:%S +0000"));
    request(entry, out);
    match entry.status {
        Some(status) => drop(write!(out, " {status}")),
        None => out.extend_from_slice(b" -"),
    }
    match entry.bytes_out {
        0 => out.extend_from_slice(b" - "),
        bytes => drop(write!(out, " {bytes} ")),
    }
    quoted(entry.referer.as_deref(), out);
    out.push(b' ');
    quoted(entry.user_agent, out);
    out.push(b'\n');
}

fn request(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let Some(method) = entry.method else { return quoted(None, out) };
    out.push(b'"');
    escaped(method, out);
    out.push(b' ');
    escaped(entry.url.as_deref().unwrap_or(b"-"), out);
    if let Some(version) = entry.version {
        out.extend_from_slice(b" HTTP/");
        out.extend_from_slice(version.as_bytes());
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::entry::tests::entry;
    use super::*;

    fn line(entry: &Entry<'_>) -> String {
        let mut out = Vec::new();
        write(entry, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn as_apache_writes_it() {
        assert_eq!(
            line(&entry()),
            "192.0.2.7 - - [22/Nov/2026:13:15:19 +0000] \"GET http://example.com/a HTTP/1.1\" 200 1234 \
             \"http://example.com/\" \"curl/8\"\n"
        );
    }

    #[test]
    fn what_is_not_there() {
        let none = Entry {
            method: None,
            url: None,
            version: None,
            referer: None,
            user_agent: None,
            status: None,
            bytes_out: 0,
            ..entry()
        };
        assert_eq!(line(&none), "192.0.2.7 - - [22/Nov/2026:13:15:19 +0000] \"-\" - - \"-\" \"-\"\n");
    }

    #[test]
    fn nothing_breaks_the_line() {
        let odd = Entry {
            url: Some(Cow::Borrowed(b"http://a/\"\n")),
            user_agent: Some(b"x\" 200\r\n\xff\\"),
            referer: Some(Cow::Borrowed(b"\"")),
            ..entry()
        };
        let line = line(&odd);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.contains(r#""GET http://a/\"\n HTTP/1.1" 200 1234 "\"" "x\" 200\r\n\xff\\""#), "{line}");
    }
}
