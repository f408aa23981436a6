//! Connections that are ended by whoever runs the proxy.

use std::sync::{Arc, Mutex};

use crate::support::{End, Origin, Serving, eventually, get, ok};
use sluicegate::flow::Phase;
use sluicegate::{Client, Ended, Policy, Record, Request, Route, Verdict};

/// How each exchange ended.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<Ended>>>);

impl Policy for Ends {
    async fn admit(&self, request: &mut Request<'_>, _: &Client) -> Verdict {
        if request.path_and_query() == "/think" {
            std::future::pending::<()>().await;
        }
        Verdict::Forward(Route::target())
    }

    fn ended(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push(record.ended);
    }
}

/// The wrong one ends, or what it was given looks whole.
#[test]
fn those_that_are_meant_end_and_nobody_else() {
    let ends = Ends::default();
    let serving = Serving::with(ends.clone());
    let silent = Origin::start(|_, wire| drop(wire.rest()));
    let origin = Origin::answering(|_| ok("served"));
    let mut waiting = serving.client();
    waiting.send(get(&silent.url("/")));
    let mut thinking = serving.client();
    thinking.send(get(&origin.url("/think")));
    let mut tunnel = serving.client();
    tunnel.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", silent.address));
    assert_eq!(tunnel.head().unwrap().status(), 200);
    let mut other = serving.client();
    other.send(get(&origin.url("/")));
    assert_eq!(other.response("GET").text(), "served");
    let phases = [Phase::Waiting, Phase::Deciding, Phase::Tunnel];
    eventually("all three run", || {
        let now: Vec<_> = serving.proxy.connections().iter().map(|state| state.phase).collect();
        phases.iter().all(|phase| now.contains(phase))
    });
    assert_eq!(serving.proxy.abort_where(|state| state.client.port() == 0), 0);
    assert_eq!(serving.proxy.abort_where(|state| phases.contains(&state.phase)), 3);
    for client in [&mut waiting, &mut thinking, &mut tunnel] {
        assert_eq!(client.end(), End::Reset);
    }
    eventually("each is told", || ends.0.lock().unwrap().len() == 4);
    assert_eq!(ends.0.lock().unwrap()[1..], [Ended::Stopped; 3]);
    other.send(get(&origin.url("/")));
    assert_eq!(other.response("GET").text(), "served");
}

/// A number means another connection a moment later.
#[test]
fn a_connection_keeps_its_number_and_no_other_gets_it() {
    let serving = Serving::with(Ends::default());
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut client = serving.client();
        eventually("it is there", || serving.proxy.connection_count() == 1);
        let id = serving.proxy.connections()[0].id;
        assert!(!seen.contains(&id));
        seen.push(id);
        // It may look at connections itself.
        let meant = |state: &sluicegate::ConnectionState| serving.proxy.connection_count() == 1 && state.id == id;
        assert_eq!(serving.proxy.abort_where(meant), 1);
        client.end();
        eventually("it has gone", || serving.proxy.connection_count() == 0);
        assert_eq!(serving.proxy.abort_where(|state| state.id == id), 0);
    }
}
