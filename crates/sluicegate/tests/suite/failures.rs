//! What a policy makes of the answers to failures, and what a proxy is called.

use std::net::SocketAddr;

use crate::support::origin::mirrored;
use crate::support::{End, Origin, Serving, get};
use sluicegate::{Client, EditError, Failure, Fault, Policy, Proxy, Response};

/// Nobody may go to a loopback address; says so in its own way.
struct Page;

impl Policy for Page {
    fn address(&self, _: &Client, address: SocketAddr) -> Result<(), Fault> {
        if address.port() == 1 { Ok(()) } else { Err(Fault::Denied("it is not for you".to_owned())) }
    }

    fn failed(&self, failure: &Failure<'_>, answer: Response) -> Response {
        match failure.fault {
            Fault::Denied(why) => Response::new(451, format!("<p>{why}</p>"))
                .field("Content-Type", "text/html")
                .field("Proxy-Status", failure.proxy_status()),
            Fault::Request(_) => Response::new(499, "what?"),
            Fault::Refused(_) => Response::new(200, "as if a tunnel were open"),
            _ => answer,
        }
    }
}

/// The page is not sent, or does not say what failed; or it tells a HEAD more than it may.
#[test]
fn failures_are_answered_in_the_policys_words() {
    let serving = Serving::with(Page);
    let origin = Origin::mirror();
    let mut client = serving.client();
    for (method, text) in [("GET", "<p>it is not for you</p>"), ("HEAD", "")] {
        client.send(format!("{method} {} HTTP/1.1\r\nHost: x\r\n\r\n", origin.url("/")));
        let answer = client.response(method);
        assert_eq!((answer.status(), answer.text()), (451, text));
        assert_eq!(answer.field("content-type"), Some("text/html"));
        assert_eq!(answer.field("proxy-status"), Some("sluicegate; error=destination_ip_prohibited"));
    }
}

/// Behind a request that nobody understood, what follows is read as another; or a tunnel seems to be open.
#[test]
fn what_is_not_the_policys_to_say_stays_so() {
    let serving = Serving::with(Page);
    let mut client = serving.client();
    client.send("GET http://a b/ HTTP/1.1\r\nHost: x\r\n\r\nGET http://origin.example/ HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = client.response("GET");
    assert_eq!((answer.status(), answer.text()), (499, "what?"));
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(client.end(), End::Fin);
    let answer = serving.ask("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(answer.status(), 502, "its own answer would open a tunnel");
    assert_eq!(answer.field("proxy-status"), Some("sluicegate; error=connection_refused"));
}

/// Adds a letter to a field of every answer to a failure.
struct Adds(&'static str);

impl Policy for Adds {
    fn failed(&self, _: &Failure<'_>, answer: Response) -> Response {
        answer.field("X-Said", self.0)
    }
}

/// One of two is not asked, or the wrong one has the last word.
#[test]
fn the_first_of_several_has_the_last_word() {
    let serving = Serving::with((Adds("a"), Some(Adds("b")), std::sync::Arc::new((Adds("c"), Adds("d")))));
    let answer = serving.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(answer.status(), 400);
    let said: Vec<_> = answer.head.lines().filter_map(|line| line.strip_prefix("X-Said: ")).collect();
    assert_eq!(said, ["d", "c", "b", "a"]);
    assert!(answer.text().contains("This is an HTTP proxy"));
}

/// A field that is not allowed makes it a reset, or a panic.
#[test]
fn what_cannot_be_sent_is_not() {
    struct Wrong;
    impl Policy for Wrong {
        fn failed(&self, _: &Failure<'_>, answer: Response) -> Response {
            let wrong = answer.field("Content-Length", "7");
            assert!(matches!(wrong.check(), Err(sluicegate::ResponseError::Field(EditError::Fixed(..)))));
            wrong
        }
    }
    let answer = Serving::with(Wrong).ask("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(answer.status(), 502);
}

/// A proxy says a name that is not its own, or one that nobody can read.
#[test]
fn a_proxy_has_the_name_that_it_was_given() {
    let serving = Serving::start(Proxy::builder().name("Acme-Gate_2.0"));
    let origin = Origin::mirror();
    let head = mirrored(&serving.ask(get(&origin.url("/")))).head;
    let via = head.lines().find_map(|line| line.strip_prefix("Via: 1.1 ")).unwrap();
    let number = via.strip_prefix("Acme-Gate_2.0-").unwrap();
    assert!(number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_hexdigit()), "{via}");
    let answer = serving.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.field("proxy-status").unwrap().starts_with("Acme-Gate_2.0; error="));
    for name in ["", "1a", "-a", "a b", "a,b", "a\r\nb", "\u{e9}", &"a".repeat(33)] {
        let error = Proxy::builder().name(name).build().err().unwrap();
        assert_eq!((error.name, error.value), ("name", format!("{name:?}")));
    }
}
