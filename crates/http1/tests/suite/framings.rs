//! Framing and the known ways to smuggle a message (RFC 9112 §6, §11).

use sluicegate_http1::framing::{self, content_length};
use sluicegate_http1::{Framing, Malformed};

fn request(method: &str, version: &str, fields: &str) -> Result<Framing, Malformed> {
    let head = format!("{method} http://h/ HTTP/{version}\r\nHost: h\r\n{fields}\r\n");
    framing::request(&crate::common::request(head.as_bytes())?)
}

fn response(method: &str, line: &str, fields: &str) -> Result<Framing, Malformed> {
    let head = format!("HTTP/{line}\r\nServer: x\r\n{fields}\r\n");
    framing::response(&crate::common::response(head.as_bytes())?, method.as_bytes())
}

/// Fields that frame a message in one way only.
const CLEAR: &[(&str, Framing)] = &[
    ("Content-Length: 0\r\n", Framing::Length(0)),
    ("Content-Length: 5\r\n", Framing::Length(5)),
    ("content-length:\t5\t\r\n", Framing::Length(5)),
    ("Content-Length: 005\r\n", Framing::Length(5)),
    ("Content-Length: 5, 5\r\n", Framing::Length(5)),
    ("Content-Length: 5,05 ,\t5\r\n", Framing::Length(5)),
    ("Content-Length: 5\r\nX: y\r\nContent-Length: 5\r\n", Framing::Length(5)),
    ("Content-Length: 9223372036854775807\r\n", Framing::Length(i64::MAX as u64)),
    ("Content_Length: 7\r\nContent-Length: 5\r\n", Framing::Length(5)),
    ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
    ("transfer-encoding:\t CHUNKED\t\r\n", Framing::Chunked),
];

/// Fields that are refused in requests and responses alike.
const UNCLEAR: &[(&str, Malformed)] = &[
    ("Content-Length:\r\n", Malformed::BadContentLength),
    ("Content-Length: ,\r\n", Malformed::BadContentLength),
    ("Content-Length: ,5\r\n", Malformed::BadContentLength),
    ("Content-Length: 5,\r\n", Malformed::BadContentLength),
    ("Content-Length: 5,,5\r\n", Malformed::BadContentLength),
    ("Content-Length: +5\r\n", Malformed::BadContentLength),
    ("Content-Length: -5\r\n", Malformed::BadContentLength),
    ("Content-Length: -0\r\n", Malformed::BadContentLength),
    ("Content-Length: 5 5\r\n", Malformed::BadContentLength),
    ("Content-Length: 5;q=1\r\n", Malformed::BadContentLength),
    ("Content-Length: 0x5\r\n", Malformed::BadContentLength),
    ("Content-Length: 5Z\r\n", Malformed::BadContentLength),
    ("Content-Length: 1_0\r\n", Malformed::BadContentLength),
    ("Content-Length: 5.0\r\n", Malformed::BadContentLength),
    ("Content-Length: 5e1\r\n", Malformed::BadContentLength),
    ("Content-Length: \"5\"\r\n", Malformed::BadContentLength),
    ("Content-Length: \u{665}\r\n", Malformed::BadContentLength),
    ("Content-Length: chunked\r\n", Malformed::BadContentLength),
    ("Content-Length: 9223372036854775808\r\n", Malformed::BadContentLength),
    ("Content-Length: 18446744073709551616\r\n", Malformed::BadContentLength),
    ("Content-Length: 18446744073709551621\r\n", Malformed::BadContentLength),
    ("Content-Length: 00000000000000000005\r\n", Malformed::BadContentLength),
    ("Content-Length: 5\r\nContent-Length:\r\n", Malformed::BadContentLength),
    ("Content-Length:\r\nContent-Length: 5\r\n", Malformed::BadContentLength),
    ("Content-Length: 5\r\nContent-Length: 0\r\n", Malformed::UnequalContentLengths),
    ("Content-Length: 5, 6\r\n", Malformed::UnequalContentLengths),
    ("Content-Length: 0\r\nX: y\r\ncontent-length: 5\r\n", Malformed::UnequalContentLengths),
    ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Malformed::TwoLengths),
    ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", Malformed::TwoLengths),
    ("Transfer-Encoding: chunked\r\nContent-Length: abc\r\n", Malformed::TwoLengths),
    ("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", Malformed::TwoLengths),
    ("Transfer-Encoding:\r\nContent-Length: 5\r\n", Malformed::TwoLengths),
    ("Transfer-Encoding: chunked, chunked\r\n", Malformed::ChunkedRepeated),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: Chunked\r\n", Malformed::ChunkedRepeated),
    ("Transfer-Encoding: gzip, chunked\r\n", Malformed::UnknownCoding),
    ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", Malformed::UnknownCoding),
    ("Transfer-Encoding: gzip\r\n", Malformed::ChunkedNotLast),
    ("Transfer-Encoding: identity\r\n", Malformed::ChunkedNotLast),
    ("Transfer-Encoding: xchunked\r\n", Malformed::ChunkedNotLast),
    ("Transfer-Encoding: chunkedx\r\n", Malformed::ChunkedNotLast),
    ("Transfer-Encoding: chunked, identity\r\n", Malformed::ChunkedNotLast),
    ("Transfer-Encoding: chunke\r\n", Malformed::ChunkedNotLast),
    ("Transfer-Encoding:\r\n", Malformed::TransferEncodingSyntax),
    ("Transfer-Encoding: ,\r\n", Malformed::TransferEncodingSyntax),
    ("Transfer-Encoding: ,chunked\r\n", Malformed::TransferEncodingSyntax),
    ("Transfer-Encoding: chunked,\r\n", Malformed::TransferEncodingSyntax),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n", Malformed::TransferEncodingSyntax),
    ("Transfer-Encoding: chunked;q=1\r\n", Malformed::TransferEncodingSyntax),
    ("Transfer-Encoding: \"chunked\"\r\n", Malformed::TransferEncodingSyntax),
    ("Transfer-Encoding: chun ked\r\n", Malformed::TransferEncodingSyntax),
    ("Transfer-Encoding: chunked \u{a0}\r\n", Malformed::TransferEncodingSyntax),
    ("Transfer-Encoding: \u{212a}chunked\r\n", Malformed::TransferEncodingSyntax),
    // Refused with the head.
    ("Transfer-Encoding: chunked\x0c\r\n", Malformed::ControlInValue),
    ("Transfer-Encoding:\x0bchunked\r\n", Malformed::ControlInValue),
    ("Transfer-Encoding : chunked\r\n", Malformed::SpaceBeforeColon),
    ("Transfer-Encoding:\r\n chunked\r\n", Malformed::ObsFold),
    ("Content-Length: 5\0\r\n", Malformed::Nul),
];

#[test]
fn requests() {
    for method in ["GET", "POST", "HEAD", "DELETE", "connect"] {
        assert_eq!(request(method, "1.1", ""), Ok(Framing::Empty));
        for &(fields, framing) in CLEAR {
            assert_eq!(request(method, "1.1", fields), Ok(framing), "{fields:?}");
        }
        for &(fields, why) in UNCLEAR {
            assert_eq!(request(method, "1.1", fields), Err(why), "{fields:?}");
        }
    }
}

#[test]
fn transfer_encoding_in_http_1_0_is_refused() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    assert_eq!(request("POST", "1.0", chunked), Err(Malformed::TransferEncodingIn10));
    assert_eq!(response("GET", "1.0 200 OK", chunked), Err(Malformed::TransferEncodingIn10));
    assert_eq!(request("POST", "1.0", "Content-Length: 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(request("POST", "1.0", ""), Ok(Framing::Empty));
}

#[test]
fn connect_has_no_content() {
    use Malformed::*;
    for (fields, expected) in [
        ("", Ok(Framing::Empty)),
        ("Content-Length: 0\r\n", Ok(Framing::Length(0))),
        ("Content-Length: 1\r\n", Err(ConnectWithContent)),
        ("Transfer-Encoding: chunked\r\n", Err(ConnectWithContent)),
        ("Transfer-Encoding: x\r\nContent-Length: 0\r\n", Err(ConnectWithContent)),
        ("Content-Length: x\r\n", Err(BadContentLength)),
    ] {
        let head = format!("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n{fields}\r\n");
        let head = crate::common::request(head.as_bytes()).expect(fields);
        assert_eq!(framing::request(&head), expected, "{fields:?}");
    }
}

#[test]
fn responses() {
    assert_eq!(response("GET", "1.1 200 OK", ""), Ok(Framing::UntilClose));
    assert_eq!(response("GET", "1.0 200 OK", ""), Ok(Framing::UntilClose));
    for line in ["1.1 200 OK", "1.1 404 No", "1.1 206 Part", "1.1 599 Odd"] {
        for &(fields, framing) in CLEAR {
            assert_eq!(response("GET", line, fields), Ok(framing), "{fields:?}");
        }
    }
    for (method, line) in
        [("GET", "1.1 200 OK"), ("HEAD", "1.1 200 OK"), ("GET", "1.1 204 No Content"), ("GET", "1.1 304 Not Modified")]
    {
        // Blanks before the colon are removed from a response, and not judged.
        for &(fields, why) in UNCLEAR.iter().filter(|(_, why)| *why != Malformed::SpaceBeforeColon) {
            assert_eq!(response(method, line, fields), Err(why), "{line} {fields:?}");
        }
    }
}

#[test]
fn responses_that_have_no_body_whatever_they_say() {
    for (method, line) in [
        ("HEAD", "1.1 200 OK"),
        ("HEAD", "1.1 404 No"),
        ("GET", "1.1 100 Continue"),
        ("GET", "1.1 101 Switching Protocols"),
        ("GET", "1.1 103 Early Hints"),
        ("GET", "1.1 199 X"),
        ("GET", "1.1 204 No Content"),
        ("GET", "1.1 304 Not Modified"),
        ("CONNECT", "1.1 200 Connected"),
        ("CONNECT", "1.1 299 X"),
    ] {
        assert_eq!(response(method, line, ""), Ok(Framing::Empty), "{method} {line}");
        for &(fields, _) in CLEAR {
            assert_eq!(response(method, line, fields), Ok(Framing::Empty), "{method} {line}");
        }
    }
    // RFC 9112 §6.3 step 2: ignored, not judged.
    let both = "Content-Length: x\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(response("CONNECT", "1.1 200 Connected", both), Ok(Framing::Empty));
    let five = "Content-Length: 5\r\n";
    assert_eq!(response("CONNECT", "1.1 407 Auth", five), Ok(Framing::Length(5)));
}

#[test]
fn the_length_to_pass_on() {
    let head = |fields: &str| {
        let head = format!("HTTP/1.1 304 X\r\n{fields}\r\n");
        content_length(crate::common::response(head.as_bytes()).expect("a head").fields())
    };
    assert_eq!(head(""), Ok(None));
    assert_eq!(head("Content-Length: 7\r\nContent-Length: 7, 7\r\n"), Ok(Some(7)));
    assert_eq!(head("Content-Length: 7, 8\r\n"), Err(Malformed::UnequalContentLengths));
}
