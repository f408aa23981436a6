//! Policies made of policies: whoever was asked is told, and nobody else.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::support::{Origin, Serving, eventually, get, ok};
use sluicegate::{Client, Fault, Policy, Record, Request, Response, Route, Verdict};

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
