//! A short line for a person who watches:
//! `13:15:19 127.0.0.1 GET http://example.com/ 200 1.2 kB 12 ms`.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sluicegate::Ended;

use super::entry::Entry;
use super::escape::escaped;

/// Appends one line, in the machine's own time.
pub(super) fn write(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let zone = TimeZone::system();
    line(entry, zone, out);
}

fn line(entry: &Entry<'_>, zone: TimeZone, out: &mut Vec<u8>) {
    let started = Timestamp::try_from(entry.started).unwrap_or_default().to_zoned(zone);
    // Writing to memory does not fail.
    let _ = write!(out, "{} {} ", started.strftime("%H:%M:%S"), entry.client.ip());
    escaped(entry.method.unwrap_or(b"-"), out);
    out.push(b' ');
    escaped(entry.url.as_deref().unwrap_or(b"-"), out);
    match entry.status {
        Some(status) => drop(write!(out, " {status}")),
        None => out.extend_from_slice(b" -"),
    }
    let _ = write!(out, " {} {}", amount(entry.bytes_out), time(entry.duration));
    match (entry.error, entry.ended) {
        (Some(error), _) => {
            let _ = write!(out, " {error}");
            if let Some(rule) = entry.rule {
                let _ = write!(out, ": {rule}");
            }
        }
        (None, Ended::Complete) => {}
        (None, ended) => drop(write!(out, " {ended}")),
    }
    if let Some(said) = entry.said.as_ref().filter(|said| said.decision != "allow") {
        let _ = write!(out, " {}: {}", said.decision, said.reason);
    }
    if let Some(remedy) = entry.remedy {
        let _ = write!(out, " ({remedy})");
    }
    out.push(b'\n');
}

/// `999 B`, `1.2 kB`, `12.3 kB`, `1.0 MB`.
fn amount(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes / 100;
    for unit in ["kB", "MB", "GB"] {
        if tenths < 10_000 {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        tenths /= 1000;
    }
    format!("{}.{} TB", tenths / 10, tenths % 10)
}

fn time(duration: Duration) -> String {
    match duration.as_millis() {
        0 => format!("0.{} ms", duration.subsec_micros() / 100),
        millis @ 1..10_000 => format!("{millis} ms"),
        millis => format!("{} s", millis / 1000),
    }
}

#[cfg(test)]
mod tests {
    use sluicegate::transport::Hangup;

    use super::super::entry::tests::entry;
    use super::*;

    fn shown(entry: &Entry<'_>) -> String {
        let mut out = Vec::new();
        line(entry, TimeZone::fixed(jiff::tz::offset(2)), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_short_line() {
        assert_eq!(shown(&entry()), "15:15:19 192.0.2.7 GET http://example.com/a 200 1.2 kB 12 ms\n");
        let failed = Entry { status: Some(502), error: Some("dns_error"), ended: Ended::OriginFailed, ..entry() };
        assert!(shown(&failed).ends_with(" 502 1.2 kB 12 ms dns_error\n"));
        let broken =
            Entry { status: Some(400), error: Some("http_request_error"), rule: Some("bare-lf"), ..failed.clone() };
        assert!(shown(&broken).ends_with(" 400 1.2 kB 12 ms http_request_error: bare-lf\n"));
        let gone = Entry { status: None, ended: Ended::Stopped, bytes_out: 0, ..entry() };
        assert!(shown(&gone).ends_with(" - 0 B 12 ms stopped\n"));
        let half = Entry { ended: Ended::ClientGone(Hangup::Fin), remedy: Some("do this"), ..entry() };
        assert!(shown(&half).ends_with(" 12 ms client-fin (do this)\n"));
    }

    #[test]
    fn a_client_cannot_steer_the_terminal() {
        let odd = Entry { url: Some(b"http://a/\x1b[2J\xff".into()), ..entry() };
        assert!(shown(&odd).contains(r" http://a/\x1b[2J\xff 200 "));
    }

    #[test]
    fn amounts_and_times() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_999, "999.9 kB"),
            (1_000_000, "1.0 MB"),
            (1_234_567_890, "1.2 GB"),
            (20_000_000_000_000, "20.0 TB"),
        ] {
            assert_eq!(amount(bytes), text);
        }
        for (micros, text) in
            [(0, "0.0 ms"), (950, "0.9 ms"), (1000, "1 ms"), (9_999_000, "9999 ms"), (75_000_000, "75 s")]
        {
            assert_eq!(time(Duration::from_micros(micros)), text);
        }
    }
}
