//! Framing: what is accepted has one length, and it is the one that a strict reader finds in the text of the head.

use sluicegate_http1::framing::{content_length, request, response};
use sluicegate_http1::{Framing, HeadLimits, Received, RequestHead, ResponseHead};

/// Any `Content-Length` and `Transfer-Encoding` fields in a request and in a response.
///
/// The first line of the input has a character for each of version, method and status. Each line after it is a
/// field: a character for the name, then the value.
pub fn framing(input: &[u8]) -> bool {
    let mut lines = input.split(|&byte| byte == b'\n');
    let start = Start::read(lines.next().unwrap_or_default());
    let mut fields = Vec::new();
    for line in lines {
        if let [name, value @ ..] = line {
            fields.extend([name_of(*name), b":", value, b"\r\n"].concat());
        }
    }
    fields.extend(b"\r\n");
    // Each is to be run, whatever the first one says.
    let accepted = [check_request(&start, &fields), check_response(&start, &fields)];
    accepted.contains(&true)
}

struct Start {
    version: &'static str,
    method: &'static str,
    status: u16,
}

impl Start {
    fn read(line: &[u8]) -> Self {
        let at = |place: usize| line.get(place).copied().unwrap_or_default();
        Self {
            version: if at(0) == b'0' { "HTTP/1.0" } else { "HTTP/1.1" },
            method: match at(1) {
                b'C' => "CONNECT",
                b'c' => "connect",
                b'H' => "HEAD",
                b'P' => "POST",
                _ => "GET",
            },
            status: match at(2) {
                b'1' => 101,
                b'3' => 304,
                b'4' => 204,
                b'5' => 502,
                b'9' => 299,
                _ => 200,
            },
        }
    }
}

fn name_of(byte: u8) -> &'static [u8] {
    match byte {
        b'c' => b"Content-Length",
        b'C' => b"CONTENT-length",
        b't' => b"Transfer-Encoding",
        b'T' => b"transfer-ENCODING",
        b'u' => b"Content_Length",
        b'l' => b"Content-Lengths",
        b'e' => b"Transfer-Encodin",
        b'k' => b"Transfer-Encoding ",
        _ => b"X-A",
    }
}

fn check_request(start: &Start, fields: &[u8]) -> bool {
    let line = format!("{} / {}\r\n", start.method, start.version);
    let text = [line.as_bytes(), fields].concat();
    let mut head = RequestHead::new();
    if !matches!(head.receive(&text, &HeadLimits::default()), Ok(Received::Complete(_))) {
        return false;
    }
    let expected = strictly(&text).and_then(|framing| match (start.method, framing) {
        ("CONNECT", None) => Some(Framing::Empty),
        ("CONNECT", Some(Framing::Length(0))) => Some(Framing::Length(0)),
        ("CONNECT", Some(_)) => None,
        (_, framing) => Some(framing.unwrap_or(Framing::Empty)),
    });
    let framing = request(&head);
    assert_eq!(framing.ok(), expected, "{framing:?}: {}", text.escape_ascii());
    if let Ok(Framing::Length(length)) = framing {
        assert_eq!(content_length(head.fields()), Ok(Some(length)));
    }
    framing.is_ok()
}

fn check_response(start: &Start, fields: &[u8]) -> bool {
    let line = format!("{} {} \r\n", start.version, start.status);
    let text = [line.as_bytes(), fields].concat();
    let mut head = ResponseHead::new();
    if !matches!(head.receive(&text, &HeadLimits::default()), Ok(Received::Complete(_))) {
        return false;
    }
    let expected = match (start.method, start.status) {
        ("CONNECT", 200..=299) => Some(Framing::Empty),
        ("HEAD", _) | (_, 101 | 204 | 304) => strictly(&text).map(|_| Framing::Empty),
        _ => strictly(&text).map(|framing| framing.unwrap_or(Framing::UntilClose)),
    };
    let framing = response(&head, start.method.as_bytes());
    assert_eq!(framing.ok(), expected, "{framing:?}: {}", text.escape_ascii());
    framing.is_ok()
}

/// The framing that the text of a head gives (RFC 9112 §6), read with strings: `None` if there is any doubt, `Some(None)`
/// if there is none at all.
fn strictly(text: &[u8]) -> Option<Option<Framing>> {
    // One char per byte, so that nothing is lost.
    let text: String = text.iter().copied().map(char::from).collect();
    let (mut lengths, mut codings) = (Vec::new(), Vec::new());
    for line in text.split("\r\n").skip(1).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let value = value.trim_matches([' ', '\t']);
        // A request with a blank there has been refused.
        match name.trim_end_matches([' ', '\t']).to_ascii_lowercase().as_str() {
            "content-length" => lengths.push(value),
            "transfer-encoding" => codings.push(value),
            _ => {}
        }
    }
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Some(None),
        ([], [coding]) => {
            let spoken = text.split("\r\n").next()?.contains("HTTP/1.1");
            (spoken && coding.eq_ignore_ascii_case("chunked")).then_some(Some(Framing::Chunked))
        }
        (lengths, []) => one_length(&lengths.join(",")).map(|length| Some(Framing::Length(length))),
        _ => None,
    }
}

/// The one number of a comma list, below 2^63 and of at most 19 digits.
fn one_length(list: &str) -> Option<u64> {
    let mut found = None;
    for word in list.split(',').map(|word| word.trim_matches([' ', '\t'])) {
        let plain = (1..=19).contains(&word.len()) && word.chars().all(|digit| digit.is_ascii_digit());
        let number = word.parse::<i64>().ok().filter(|_| plain)?;
        if found.is_some_and(|found| found != number) {
            return None;
        }
        found = Some(number);
    }
    found.map(i64::unsigned_abs)
}
