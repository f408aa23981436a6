//! Bytes of a client between quotes or on a terminal: one line stays one line, a quote does not
//! end early, and no terminal is told anything.

use std::io::Write;

/// Appends `bytes` as Apache and Twisted do: `"` and `\` behind a backslash, other bytes that are
/// not printable ASCII as `\xHH`. `-` for none.
pub(super) fn quoted(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    out.push(b'"');
    match bytes {
        None | Some([]) => out.push(b'-'),
        Some(bytes) => escaped(bytes, out),
    }
    out.push(b'"');
}

/// The same without quotes.
pub(super) fn escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            // Writing to memory does not fail.
            _ => drop(write!(out, "\\x{byte:02x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        for (bytes, shown) in [
            (&b"curl/8"[..], r#""curl/8""#),
            (b"", r#""-""#),
            (b"a\" \"b", r#""a\" \"b""#),
            (b"a\\\"", r#""a\\\"""#),
            (b"a\r\nb\t\0\x1b[31m\x7f\xff", r#""a\r\nb\t\x00\x1b[31m\x7f\xff""#),
        ] {
            let mut out = Vec::new();
            quoted(Some(bytes), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), shown);
        }
        let mut out = Vec::new();
        quoted(None, &mut out);
        assert_eq!(out, b"\"-\"");
    }
}
