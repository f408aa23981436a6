//! Policies made of policies: whoever was asked is told, and nobody else.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::support::origin::mirrored;
use crate::support::{Origin, Serving, eventually, get, ok};
use sluicegate::{
    Client, DynPolicy, Failure, Fault, OriginResponse, Policy, Record, Request, Response, Route, Verdict, policy_fn,
};

/// Who was asked, and who was told.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<(String, String)>>);

impl Heard {
    /// A policy that refuses the requests for `/` and its name.
    fn named(&self, name: char) -> Named {
        Named { name, heard: self.clone() }
    }

    fn take(&self) -> (String, String) {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

struct Named {
    name: char,
    heard: Heard,
}

impl Policy for Named {
    async fn admit(&self, request: &mut Request<'_>, _: &Client) -> Verdict {
        self.heard.0.lock().unwrap().0.push(self.name);
        tokio::task::yield_now().await;
        if request.path_and_query().contains(self.name) {
            return Verdict::Answer(Response::new(403, "no"));
        }
        Verdict::Forward(Route::target())
    }

    fn ended(&self, _: &Record<'_>) {
        self.heard.0.lock().unwrap().1.push(self.name);
    }
}

/// Passes on what matters to it, and knows nothing of tuples.
struct Wrapped<P>(P);

impl<P: Policy> Policy for Wrapped<P> {
    async fn admit(&self, request: &mut Request<'_>, client: &Client) -> Verdict {
        self.0.admit(request, client).await
    }

    fn address(&self, client: &Client, address: SocketAddr) -> Result<(), Fault> {
        self.0.address(client, address)
    }

    fn ended(&self, record: &Record<'_>) {
        self.0.ended(record);
    }
}

/// Asks what is in it unless the path says `skip`, and always tells it.
struct Unless<P>(P);

impl<P: Policy> Policy for Unless<P> {
    async fn admit(&self, request: &mut Request<'_>, client: &Client) -> Verdict {
        match request.path_and_query().contains("skip") {
            true => Verdict::Forward(Route::target()),
            false => self.0.admit(request, client).await,
        }
    }

    fn ended(&self, record: &Record<'_>) {
        self.0.ended(record);
    }
}

/// Asks one and the other, as a tuple would.
struct Both<P, Q>(P, Q);

impl<P: Policy, Q: Policy> Policy for Both<P, Q> {
    async fn admit(&self, request: &mut Request<'_>, client: &Client) -> Verdict {
        match self.0.admit(request, client).await {
            Verdict::Forward(_) => self.1.admit(request, client).await,
            refused => refused,
        }
    }

    fn ended(&self, record: &Record<'_>) {
        self.0.ended(record);
        self.1.ended(record);
    }
}

/// Each member refuses once, and nobody does; `all` is who is asked then.
fn whom_it_asks_it_tells<P: Policy>(all: &str, make: impl Fn(&Heard) -> P) {
    let heard = Heard::default();
    let (serving, origin) = (Serving::with(make(&heard)), Origin::answering(|_| ok("served")));
    let mut client = serving.client();
    for refuses in all.chars().chain(['-']) {
        client.send(get(&origin.url(&format!("/{refuses}"))));
        let (status, last) = match all.find(refuses) {
            Some(last) => (403, last + 1),
            None => (200, all.len()),
        };
        assert_eq!(client.response("GET").status(), status);
        let whom = &all[..last];
        eventually("they are told", || heard.0.lock().unwrap().1.len() >= whom.len());
        assert_eq!(heard.take(), (whom.to_owned(), whom.to_owned()), "{all}, {refuses} refuses");
    }
}

/// A guard of a member is released that was never taken, or never released.
#[test]
fn however_they_are_wrapped() {
    whom_it_asks_it_tells("ab", |h| Wrapped((h.named('a'), h.named('b'))));
    whom_it_asks_it_tells("abc", |h| (Wrapped((h.named('a'), h.named('b'))), h.named('c')));
    whom_it_asks_it_tells("abcd", |h| {
        (h.named('a'), Wrapped(Arc::new((h.named('b'), h.named('c')))), Some(h.named('d')))
    });
    whom_it_asks_it_tells("abcde", |h| (((h.named('a'), h.named('b')), h.named('c')), (h.named('d'), h.named('e'))));
    whom_it_asks_it_tells("abcd", |h| {
        (Some(Wrapped(((h.named('a'), Wrapped(h.named('b'))), h.named('c')))), h.named('d'))
    });
    whom_it_asks_it_tells("abcd", |h| {
        let shared = Arc::new((h.named('b'), (h.named('c'), h.named('d'))));
        (Arc::new((h.named('a'), Arc::clone(&shared))), None::<Named>)
    });
}

/// The same of somebody's own way to put two together, each of which is a tuple.
#[test]
fn whoever_asks_them() {
    whom_it_asks_it_tells("abcd", |h| Both((h.named('a'), h.named('b')), (h.named('c'), h.named('d'))));
    whom_it_asks_it_tells("abcde", |h| {
        let second = Arc::new((h.named('c'), h.named('d')));
        (Both((h.named('a'), h.named('b')), second), Wrapped(h.named('e')))
    });
}

/// Refuses every second time that it is asked.
struct EverySecond(Named, AtomicUsize);

impl Policy for EverySecond {
    async fn admit(&self, request: &mut Request<'_>, client: &Client) -> Verdict {
        match self.1.fetch_add(1, Relaxed) % 2 {
            0 => self.0.admit(request, client).await,
            _ => {
                self.0.heard.0.lock().unwrap().0.push(self.0.name);
                Verdict::Answer(Response::new(403, "no"))
            }
        }
    }

    fn ended(&self, record: &Record<'_>) {
        self.0.ended(record);
    }
}

/// One that is asked twice about a request, and the second time not whole, is told of both.
#[test]
fn the_same_one_in_two_places() {
    let heard = Heard::default();
    let shared = Arc::new((EverySecond(heard.named('a'), AtomicUsize::new(0)), heard.named('b')));
    let serving = Serving::with((Arc::clone(&shared), shared));
    let origin = Origin::answering(|_| ok("served"));
    let mut client = serving.client();
    for _ in 0..2 {
        client.send(get(&origin.url("/-")));
        assert_eq!(client.response("GET").status(), 403);
        eventually("they are told", || heard.0.lock().unwrap().1.len() >= 3);
        assert_eq!(heard.take(), ("aba".to_owned(), "aba".to_owned()));
    }
}

/// What is behind a pointer is another policy than it was.
#[test]
fn whatever_is_chosen_at_run_time() {
    let boxed = |policy: (Named, Named)| -> Box<dyn DynPolicy> { Box::new(policy) };
    let shared = |policy: (Named, Named)| -> Arc<dyn DynPolicy> { Arc::new(policy) };
    whom_it_asks_it_tells("ab", |h| boxed((h.named('a'), h.named('b'))));
    whom_it_asks_it_tells("abcd", |h| (boxed((h.named('a'), h.named('b'))), shared((h.named('c'), h.named('d')))));
    whom_it_asks_it_tells("abc", |h| -> Box<dyn DynPolicy> {
        Box::new((h.named('a'), Wrapped(boxed((h.named('b'), h.named('c'))))))
    });
}

/// A method is not passed on: an address is allowed that is not, a client is let in, a response stays as it is.
#[test]
fn every_question_is_passed_on() {
    struct Everything;
    impl Policy for Everything {
        fn accept(&self, client: &Client) -> bool {
            client.listener.port() != 0
        }

        async fn admit(&self, request: &mut Request<'_>, _: &Client) -> Verdict {
            request.set("X-Asked", "yes").unwrap();
            Verdict::Forward(Route::target())
        }

        fn respond(&self, response: &mut OriginResponse<'_>, _: &Client) {
            response.set("X-Answered", "yes").unwrap();
        }

        fn failed(&self, _: &Failure<'_>, answer: Response) -> Response {
            answer.field("X-Failed", "yes")
        }

        fn address(&self, _: &Client, address: SocketAddr) -> Result<(), Fault> {
            if address.port() == 1 { Err(Fault::Denied("not there".to_owned())) } else { Ok(()) }
        }
    }
    let all: [Box<dyn DynPolicy>; 4] = [
        Box::new(Everything),
        Box::new(Some(Everything)),
        Box::new(Arc::new(Everything)),
        Box::new((None::<Everything>, (Everything, sluicegate::AllowAll))),
    ];
    for policy in all {
        let origin = Origin::mirror();
        assert!(!policy.accept(&Client::in_process()));
        let serving = Serving::with(policy);
        let answer = serving.ask(get(&origin.url("/")));
        assert_eq!(answer.field("x-answered"), Some("yes"));
        assert_eq!(mirrored(&answer).field("x-asked"), Some("yes"));
        let answer = serving.ask("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!((answer.status(), answer.field("x-failed")), (403, Some("yes")));
    }
}

/// It is not awaited, or it may not borrow what it is asked about.
#[test]
fn a_function_may_wait() {
    let serving = Serving::with(policy_fn(|request, client| {
        Box::pin(async move {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            Response::new(200, format!("{} {}", request.method(), client.address.ip())).into()
        })
    }));
    assert_eq!(serving.ask("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").text(), "GET 127.0.0.1");
}

/// What a wrapper did not ask is told by it, though it is not the last.
#[test]
fn who_was_passed_over_is_not_told() {
    let heard = Heard::default();
    let n = |name| heard.named(name);
    let policy = (n('a'), Unless((n('b'), n('c'))), Wrapped((n('d'), n('e'))));
    let (serving, origin) = (Serving::with(policy), Origin::answering(|_| ok("served")));
    for (path, whom) in
        [("/", "abcde"), ("/skip", "ade"), ("/skip/d", "ad"), ("/c", "abc"), ("/skip/a", "a"), ("/", "abcde")]
    {
        serving.ask(get(&origin.url(path)));
        eventually("they are told", || heard.0.lock().unwrap().1.len() >= whom.len());
        assert_eq!(heard.take(), (whom.to_owned(), whom.to_owned()), "{path}");
    }
}
