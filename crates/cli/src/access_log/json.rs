//! One JSON object per line, with the field names of Smokescreen.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::ser::Formatter;

use super::entry::Entry;

/// What makes ids unique beyond this process.
#[derive(Debug)]
pub(super) struct Process {
    began: u128,
}

/// Smokescreen's times are in whole milliseconds, as there; the others go to the microsecond.
#[derive(Serialize)]
struct Line<'a> {
    id: String,
    start_time: String,
    proxy_type: &'static str,
    inbound_remote_addr: String,
    outbound_remote_addr: Option<String>,
    requested_host: Option<&'a str>,
    method: Option<Cow<'a, str>>,
    url: Option<Cow<'a, str>>,
    user_agent: Option<Cow<'a, str>>,
    status: Option<u16>,
    error: Option<&'static str>,
    who: Option<&'a str>,
    decision: Option<&'static str>,
    /// Of HTTP, that was broken, or of the files, that decided: never both.
    rule: Option<&'a str>,
    reason: Option<&'static str>,
    ended: String,
    remedy: Option<&'static str>,
    dns_lookup_time_ms: Option<u128>,
    dns_cached: Option<bool>,
    conn_establish_time_ms: Option<u128>,
    duration_ms: f64,
    paused_by_client_ms: f64,
    paused_by_origin_ms: f64,
    bytes_in: u64,
    bytes_out: u64,
}

impl Process {
    /// A process that began at this time.
    pub(super) fn new(began: SystemTime) -> Self {
        Self { began: began.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() }
    }

    /// Appends one line.
    pub(super) fn write(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let line = self.line(entry);
        // Nothing in it can fail to be JSON, and writing to memory does not fail.
        let _ = line.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Ascii));
        out.push(b'\n');
    }

    fn line<'a>(&self, entry: &'a Entry<'_>) -> Line<'a> {
        let said = entry.said.as_ref();
        let started = Timestamp::try_from(entry.started).unwrap_or_default();
        Line {
            id: format!("{:x}-{:x}", self.began, entry.id),
            start_time: format!("{started:.3}"),
            proxy_type: if entry.is_connect() { "connect" } else { "http" },
            inbound_remote_addr: entry.client.to_string(),
            outbound_remote_addr: entry.origin.map(|origin| origin.to_string()),
            requested_host: entry.requested_host.as_deref(),
            method: entry.method.map(String::from_utf8_lossy),
            url: entry.url.as_deref().map(String::from_utf8_lossy),
            user_agent: entry.user_agent.map(String::from_utf8_lossy),
            status: entry.status,
            error: entry.error,
            who: said.and_then(|said| said.who.as_deref()),
            decision: said.map(|said| said.decision),
            rule: entry.rule.or(said.and_then(|said| said.rule.as_deref())),
            reason: said.map(|said| said.reason),
            ended: entry.ended.to_string(),
            remedy: entry.remedy,
            dns_lookup_time_ms: entry.lookup.map(|time| time.as_millis()),
            dns_cached: entry.lookup.map(|_| entry.lookup_cached),
            conn_establish_time_ms: entry.connect.map(|time| time.as_millis()),
            duration_ms: millis(entry.duration),
            paused_by_client_ms: millis(entry.paused_by_client),
            paused_by_origin_ms: millis(entry.paused_by_origin),
            bytes_in: entry.bytes_in,
            bytes_out: entry.bytes_out,
        }
    }
}

/// Writes what is not printable ASCII as `\uXXXX`: a JSON reader finds the same text, and whoever looks at the line
/// itself meets no terminal control (also of C1), no U+2028 that breaks a line, and nothing that turns it around.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| c > '~') {
            let Some((plain, more)) = rest.split_at_checked(at) else { break };
            writer.write_all(plain.as_bytes())?;
            let mut letters = more.chars();
            for unit in letters.next().into_iter().flat_map(|c| c.encode_utf16(&mut [0; 2]).to_vec()) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = letters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::entry::tests::entry;
    use super::*;

    fn line(entry: &Entry<'_>) -> Value {
        let mut out = Vec::new();
        Process { began: 0xabc }.write(entry, &mut out);
        assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
        assert_eq!(out.last(), Some(&b'\n'));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn the_names_that_smokescreen_users_know() {
        assert_eq!(
            line(&entry()),
            json!({
                "id": "abc-1f",
                "start_time": "2026-11-22T13:15:19.042Z",
                "proxy_type": "http",
                "inbound_remote_addr": "192.0.2.7:50000",
                "outbound_remote_addr": "203.0.113.9:80",
                "requested_host": "example.com:80",
                "method": "GET",
                "url": "http://example.com/a",
                "user_agent": "curl/8",
                "status": 200,
                "error": null,
                "who": null,
                "decision": null,
                "rule": null,
                "reason": null,
                "ended": "complete",
                "remedy": null,
                "dns_lookup_time_ms": 1,
                "dns_cached": true,
                "conn_establish_time_ms": 20,
                "duration_ms": 12.345,
                "paused_by_client_ms": 1.5,
                "paused_by_origin_ms": 0.0,
                "bytes_in": 100,
                "bytes_out": 1234,
            })
        );
    }

    #[test]
    fn stays_json_whatever_comes() {
        let odd = Entry {
            method: Some(b"CONNECT"),
            url: Some(Cow::Borrowed(b"a\"\\\n\0\xff")),
            user_agent: Some(b"\xc3\x28\x1b"),
            status: None,
            origin: None,
            lookup: None,
            connect: None,
            error: Some("connection_refused"),
            ..entry()
        };
        let line = line(&odd);
        assert_eq!(line["url"], "a\"\\\n\0\u{fffd}");
        assert_eq!(line["proxy_type"], "connect");
        assert_eq!(line["error"], "connection_refused");
        let mut out = Vec::new();
        let hidden = "\u{7f}\u{9b}31m\u{2028}\u{202e}\u{feff}\u{1f600}é";
        Process { began: 0 }.write(&Entry { user_agent: Some(hidden.as_bytes()), ..entry() }, &mut out);
        assert!(out.is_ascii() && out.iter().all(|byte| (b' '..=b'~').contains(byte) || *byte == b'\n'));
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(r#""\u007f\u009b31m\u2028\u202e\ufeff\ud83d\ude00\u00e9""#), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["user_agent"], hidden);
        for absent in ["status", "outbound_remote_addr", "dns_lookup_time_ms", "dns_cached", "conn_establish_time_ms"] {
            assert_eq!(line[absent], Value::Null, "{absent}");
        }
    }
}
