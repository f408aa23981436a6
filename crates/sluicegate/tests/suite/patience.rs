//! How long an origin is waited for, by its route.

use std::time::Duration;

use crate::support::{End, Origin, Serving, get, ok};
use sluicegate::{Client, Limits, Proxy, Request, Route, Verdict};

const SHORT: Duration = Duration::from_millis(300);

/// Short for /short, without end for /long, and else as the limits say.
fn by_path(request: &mut Request<'_>, _: &Client) -> Verdict {
    let route = Route::target();
    Verdict::Forward(match request.path_and_query() {
        "/short" => route.response_timeout(SHORT),
        "/short-body" => route.body_timeout(SHORT),
        "/long" => route.response_timeout(None).body_timeout(None),
        _ => route,
    })
}

/// What another policy behind it says does not count.
fn never(_: &mut Request<'_>, _: &Client) -> Verdict {
    Route::target().response_timeout(None).body_timeout(None).into()
}

/// The limits are obeyed instead of the route, or one request's patience is the next one's.
#[test]
fn a_route_is_less_patient_than_the_limits() {
    let serving = Serving::with((by_path, never));
    let silent = Origin::start(|_, wire| drop(wire.rest()));
    let stalls = Origin::start(|_, wire| {
        wire.request();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        wire.rest();
    });
    let quick = Origin::answering(|_| ok("served"));
    let mut client = serving.client();
    for _ in 0..2 {
        client.send(get(&silent.url("/short")));
        assert_eq!(client.response("GET").status(), 504);
        client.send(get(&quick.url("/")));
        assert_eq!(client.response("GET").text(), "served");
    }
    client.send(get(&stalls.url("/short-body")));
    assert_eq!(client.head().unwrap().status(), 200);
    assert_eq!((client.exactly(4), client.end()), (b"half".to_vec(), End::Reset));
}

/// Who may take longer is given up.
#[test]
fn a_route_is_more_patient_than_the_limits() {
    let limits = Limits::default().response_timeout(SHORT).body_timeout(SHORT);
    let serving = Serving::start(Proxy::builder().limits(limits).policy(by_path));
    let slow = Origin::start(|_, wire| {
        while wire.request().is_some() {
            std::thread::sleep(4 * SHORT);
            let _ = wire.try_send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
            std::thread::sleep(4 * SHORT);
            let _ = wire.try_send(b"lf");
        }
    });
    assert_eq!(serving.ask(get(&slow.url("/long"))).text(), "half");
    assert_eq!(serving.ask(get(&slow.url("/"))).status(), 504);
}
