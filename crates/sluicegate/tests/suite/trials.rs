//! A policy's own tests, as its author writes them: no proxy, no sockets.

use std::sync::{Arc, Mutex};

use sluicegate::http1::Malformed;
use sluicegate::{Client, EditError, Ended, Policy, Record, Request, Response, Reverse, Route, Verdict};

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u16>>>);

impl Policy for Told {
    async fn admit(&self, request: &mut Request<'_>, _: &Client) -> Verdict {
        tokio::task::yield_now().await;
        let before = request.extensions().insert(1_u8);
        let verdict =
            if request.path_and_query() == "/no" { Response::new(403, "no").into() } else { Route::target().into() };
        if before.is_none() { verdict } else { Verdict::Abort }
    }

    fn ended(&self, record: &Record<'_>) {
        assert_eq!(record.extensions.get(), Some(&1_u8));
        self.0.lock().unwrap().push(record.status);
    }

    fn refused(&self, record: &Record<'_>) {
        assert_eq!((record.method(), record.ended), ("", Ended::Complete));
        self.0.lock().unwrap().push(record.status);
    }
}

/// A request of a test is another than one of a client.
#[tokio::test]
async fn a_policy_is_asked_and_told_without_a_proxy() {
    let reverse = Reverse::to("127.0.0.1:1").unwrap();
    let mut trial = Request::test("GET /x?y HTTP/1.1\r\nHost: a.example\r\nX-Real-IP: 6.6.6.6").unwrap();
    let client = Client::new("192.0.2.1:5".parse().unwrap(), "192.0.2.2:80".parse().unwrap());
    trial = trial.from(client);
    assert!(matches!(trial.admit(&reverse).await, Verdict::Forward(route) if !route.is_target()));
    trial.look(|request| {
        assert_eq!(request.field("X-Forwarded-For"), Some(&b"192.0.2.1"[..]));
        assert_eq!((request.field("x-real-ip"), request.path_and_query()), (None, "/x?y"));
        assert!(matches!(request.set("X", [b'x'; 1 << 15]), Err(EditError::TooLarge(_))));
    });
    let told = Told::default();
    Record::test(|record| {
        record.status = 400;
        told.refused(record);
    });
    assert_eq!(*told.0.lock().unwrap(), [400]);
}

/// A tuple tells whom it did not ask.
#[tokio::test]
async fn a_tuple_tells_whom_it_asked_in_the_trial() {
    for (path, count) in [("/", 2), ("/no", 1)] {
        let (one, two) = (Told::default(), Told::default());
        let clear = |request: &mut Request<'_>, _: &Client| {
            request.extensions().remove::<u8>();
            Route::target().into()
        };
        let both = (one.clone(), clear, two.clone());
        let mut trial = Request::test(&format!("GET http://a{path} HTTP/1.1\r\nHost: a\r\n\r\n")).unwrap();
        trial.record(|record| both.ended(record));
        assert!(one.0.lock().unwrap().is_empty(), "nobody has been asked");
        let _ = trial.admit(&both).await;
        trial.record(|record| {
            record.status = 7;
            both.ended(record);
        });
        assert_eq!(one.0.lock().unwrap().len() + two.0.lock().unwrap().len(), count);
    }
}

/// What a proxy would refuse reaches a policy.
#[test]
fn what_is_not_a_request_is_refused_by_its_rule() {
    for (head, rule) in [
        ("GET http://a/ HTTP/1.1", Malformed::HostMissing),
        ("GET http://a b/ HTTP/1.1\r\nHost: a", Malformed::RequestLineWords),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a", Malformed::SchemeUnsupported),
        ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\nGET http://b/ HTTP/1.1\r\nHost: b", Malformed::HeadSyntax),
        ("", Malformed::HeadSyntax),
    ] {
        assert_eq!(Request::test(head).err(), Some(rule), "{head}");
    }
}
