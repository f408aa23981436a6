//! What a policy may decide, see and change, and when it is told.

use crate::support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::origin::mirrored;
use crate::support::{End, Origin, Serving, eventually, get, noise, ok};
use sluicegate::transport::Gone;
use sluicegate::{
    Client, EditError, Ended, Fault, Limits, Origin as Place, OriginResponse, Policy, Proxy, Record, Request, Response,
    Route, Verdict,
};

/// Sleeps for a minute, and says when it was dropped.
struct Sleeper(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    asleep: usize,
    woken: Option<Instant>,
    ended: Vec<Ended>,
    gone: Option<Gone>,
}

struct Asleep(Arc<Mutex<Log>>);

impl Drop for Asleep {
    fn drop(&mut self) {
        self.0.lock().unwrap().woken = Some(Instant::now());
    }
}

impl Policy for Sleeper {
    async fn admit(&self, _: &mut Request<'_>, client: &Client) -> Verdict {
        let _asleep = Asleep(Arc::clone(&self.0));
        {
            let mut log = self.0.lock().unwrap();
            log.asleep += 1;
            log.gone = Some(client.gone());
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        Verdict::Abort
    }

    fn ended(&self, record: &Record<'_>) {
        self.0.lock().unwrap().ended.push(record.ended);
    }
}

/// The best of three: a busy machine is late now and then, a policy that works on is late each time.
fn cancelled_within(behind: usize, by_reset: bool) -> Duration {
    let tries = (0..3).map(|_| {
        let log = Arc::new(Mutex::new(Log::default()));
        let serving = Serving::with(Sleeper(Arc::clone(&log)));
        let client = serving.client();
        client.send(get("http://origin.invalid/"));
        eventually("the policy thinks", || log.lock().unwrap().asleep == 1);
        client.stream.set_nonblocking(true).unwrap();
        // What the kernel does not take is not needed.
        let _ = client.try_send(&noise(behind, 1));
        client.stream.set_nonblocking(false).unwrap();
        // Twice the time of a wake-up, so that the eager read has come to its end.
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(log.lock().unwrap().woken, None);
        let kept = client.stream.try_clone().unwrap();
        let left = Instant::now();
        if by_reset {
            client.reset()
        } else {
            client.fin()
        }
        drop(kept);
        eventually("it is dropped", || log.lock().unwrap().woken.is_some());
        let woken = log.lock().unwrap().woken.unwrap();
        eventually("it is told", || log.lock().unwrap().ended.len() == 1);
        assert!(matches!(log.lock().unwrap().ended[0], Ended::ClientGone(_)));
        eventually("its notice has come", || log.lock().unwrap().gone.as_ref().unwrap().is_gone());
        assert_eq!(log.lock().unwrap().asleep, 1, "nobody is left to ask for");
        woken.saturating_duration_since(left)
    });
    tries.min().unwrap()
}

/// A policy works on for minutes for somebody who has left.
#[test]
fn a_sleeping_policy_is_dropped_with_its_client() {
    for by_reset in [false, true] {
        let took = cancelled_within(0, by_reset);
        assert!(took < Duration::from_millis(50), "{took:?}, reset: {by_reset}");
    }
}

/// The same behind bytes that nobody reads, fewer and more than there is room for.
#[test]
#[cfg(any(target_os = "linux", target_os = "android"))]
fn a_sleeping_policy_is_dropped_also_behind_pipelined_bytes() {
    for behind in [1, 1_000, 100_000] {
        // Of a FIN behind a closed window nobody can know; these fit into the kernel's queue.
        let took = cancelled_within(behind, behind > 16_384);
        assert!(took < Duration::from_millis(50), "{took:?} with {behind} bytes behind");
    }
}

/// A policy that never decides holds its client for ever, and the client is told nothing.
#[test]
fn a_policy_has_a_deadline() {
    let log = Arc::new(Mutex::new(Log::default()));
    let mut limits = Limits::default();
    limits.policy_timeout = Some(Duration::from_millis(200));
    let serving = Serving::start(Proxy::builder().limits(limits).policy(Sleeper(Arc::clone(&log))));
    let mut client = serving.client();
    for n in 1..=2 {
        client.send(get("http://origin.invalid/"));
        let answer = client.response("GET");
        assert_eq!(answer.status(), 503);
        assert!(answer.field("proxy-status").unwrap().contains("error=proxy_internal_error"));
        eventually("it is told", || log.lock().unwrap().ended.len() == n);
    }
    assert_eq!(log.lock().unwrap().ended, [Ended::PolicyFailed; 2]);
}

/// Counts what it is asked and told.
#[derive(Clone, Default)]
struct Counting(Arc<(AtomicUsize, AtomicUsize, AtomicUsize)>);

impl Counting {
    fn counts(&self) -> (usize, usize, usize) {
        (self.0.0.load(SeqCst), self.0.1.load(SeqCst), self.0.2.load(SeqCst))
    }
}

impl Policy for Counting {
    async fn admit(&self, request: &mut Request<'_>, _: &Client) -> Verdict {
        let n = self.0.0.fetch_add(1, SeqCst);
        request.extensions().insert(n);
        match request.path_and_query() {
            "/abort" => Verdict::Abort,
            "/answer" => Verdict::Answer(Response::new(200, "own")),
            _ => Verdict::Forward(Route::target()),
        }
    }

    fn respond(&self, response: &mut OriginResponse<'_>, _: &Client) {
        assert!(response.extensions().get::<usize>().is_some());
    }

    fn ended(&self, record: &Record<'_>) {
        assert!(record.extensions.get::<usize>().is_some(), "what was put there is there");
        self.0.1.fetch_add(1, SeqCst);
    }

    fn refused(&self, _: &Record<'_>) {
        self.0.2.fetch_add(1, SeqCst);
    }
}

/// A guard is released twice, or never.
#[test]
fn ended_comes_once_per_admit_however_it_ends() {
    let policy = Counting::default();
    let mut serving = Serving::with(policy.clone());
    let origin = Origin::answering(|_| ok("served"));
    let silent = Origin::start(|_, wire| drop(wire.rest()));
    assert_eq!(serving.ask(get(&origin.url("/"))).text(), "served");
    assert_eq!(serving.ask(get(&origin.url("/answer"))).text(), "own");
    let mut aborted = serving.client();
    aborted.send(get(&origin.url("/abort")));
    assert_eq!(aborted.end(), End::Reset);
    assert_eq!(serving.ask("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n").status(), 502);
    assert_eq!(serving.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").status(), 400);
    eventually("all are told", || policy.counts() == (5, 5, 0));
    // Never asked about, so told apart.
    assert_eq!(serving.ask("GET http://a b/ HTTP/1.1\r\nHost: x\r\n\r\n").status(), 400);
    eventually("it is told", || policy.counts() == (5, 5, 1));
    // Left in the middle; and dropped with the runtime, one of them in a tunnel.
    let client = serving.client();
    client.send(get(&silent.url("/")));
    eventually("it waits", || policy.counts().0 == 6);
    client.reset();
    eventually("it is told", || policy.counts() == (6, 6, 1));
    let client = serving.client();
    client.send(get(&silent.url("/")));
    let mut tunnel = serving.client();
    tunnel.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", silent.address));
    assert_eq!(tunnel.head().unwrap().status(), 200);
    eventually("both run", || policy.counts().0 == 8);
    serving.end();
    assert_eq!(policy.counts(), (8, 8, 1));
}

/// A policy that counts requests would count those that nobody will answer.
#[test]
fn the_next_request_is_asked_about_when_this_one_is_answered() {
    let policy = Counting::default();
    let serving = Serving::with(policy.clone());
    let large = Origin::answering(|_| ok(&"x".repeat(8 << 20)));
    let mut client = serving.client();
    client.send([get(&large.url("/")), get(&large.url("/answer"))].concat());
    large.wait("the first is dispatched", |seen| !seen.is_empty());
    let held = support::settled("the client is full", || serving.proxy.connections()[0].down.given);
    assert!(held < 8 << 20);
    assert_eq!(policy.counts().0, 1, "asked about before the first was written");
    assert_eq!(client.response("GET").body.len(), 8 << 20);
    assert_eq!(client.response("GET").text(), "own");
    assert_eq!(policy.counts().0, 2);
}

/// Says its name to the next, and what it is told.
struct Named {
    name: &'static str,
    verdict: fn() -> Verdict,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Named {
    fn say(&self, what: &str) {
        self.heard.lock().unwrap().push(format!("{} {what}", self.name));
    }
}

impl Policy for Named {
    async fn admit(&self, _: &mut Request<'_>, _: &Client) -> Verdict {
        self.say("admit");
        tokio::task::yield_now().await;
        (self.verdict)()
    }

    fn respond(&self, response: &mut OriginResponse<'_>, _: &Client) {
        self.say("respond");
        response.set("X-Last", self.name).unwrap();
    }

    fn ended(&self, _: &Record<'_>) {
        self.say("ended");
    }
}

/// A log behind a rule writes down what never came to it; one before it misses what was refused.
#[test]
fn tuples_ask_in_order_and_tell_whom_they_asked() {
    let origin = Origin::answering(|_| ok("served"));
    let forward: fn() -> Verdict = || Verdict::Forward(Route::target());
    let refuse: fn() -> Verdict = || Verdict::Answer(Response::new(403, "no"));
    for (verdicts, want) in [
        ([forward; 4], "abcd"),
        ([refuse, forward, forward, forward], "a"),
        ([forward, refuse, forward, forward], "ab"),
        ([forward, forward, refuse, forward], "abc"),
        ([forward, forward, forward, refuse], "abcd"),
    ] {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let named = |n: usize| {
            let name = ["a", "b", "c", "d"][n];
            Named { name, verdict: verdicts[n], heard: Arc::clone(&heard) }
        };
        let nested = (named(0), Arc::new((named(1), named(2))), Some(named(3)));
        let serving = Serving::with(nested);
        let answer = serving.ask(get(&origin.url("/")));
        let refused = verdicts.iter().any(|verdict| matches!(verdict(), Verdict::Answer(_)));
        assert_eq!(answer.status(), if refused { 403 } else { 200 });
        eventually("all are told", || {
            heard.lock().unwrap().iter().filter(|s| s.ends_with("ended")).count() == want.len()
        });
        let all = |what: &str, names: &str| names.chars().map(|c| format!("{c} {what}")).collect::<Vec<_>>();
        let responded = if refused { Vec::new() } else { all("respond", "dcba") };
        let expected = [all("admit", want), responded, all("ended", want)].concat();
        assert_eq!(*heard.lock().unwrap(), expected);
        if !refused {
            assert_eq!(answer.field("x-last"), Some("a"), "the first has the last word");
        }
    }
}

/// The first that says where to go is heard.
#[test]
fn of_several_routes_the_first_counts() {
    let [one, two] = ["one", "two"].map(|name| Origin::answering(move |_| ok(name)));
    let to = |origin: &Origin| {
        let address = origin.address;
        move |_: &mut Request<'_>, _: &Client| Verdict::Forward(Route::to(address))
    };
    let target = |_: &mut Request<'_>, _: &Client| Route::target().into();
    let serving = Serving::with((target, to(&one), to(&two)));
    assert_eq!(serving.ask(get("http://elsewhere.invalid/")).text(), "one");
}

/// Changes heads in every way, and keeps what was received.
struct Editing(Arc<Mutex<Vec<u8>>>);
impl Policy for Editing {
    async fn admit(&self, request: &mut Request<'_>, _: &Client) -> Verdict {
        assert_eq!(request.field("user-AGENT"), Some(&b"curl"[..]));
        request.set("User-Agent", "sluicegate").unwrap();
        request.append("X-Tag", "1").unwrap();
        request.append("X-Tag", "2").unwrap();
        request.remove("cookie").unwrap();
        request.set("X-Nominated", "ours").unwrap();
        assert_eq!(request.field("User-Agent"), Some(&b"sluicegate"[..]));
        assert_eq!(request.field("Cookie"), None);
        assert!(matches!(request.set("Content-Length", "1"), Err(EditError::Fixed(..))));
        assert!(matches!(request.set("X", "a\r\nb"), Err(EditError::Value(_))));
        match request.append("X-Large", vec![b'x'; 16_384]) {
            Err(error) if request.path_and_query() == "/large" => error.into(),
            other => {
                assert_eq!(other, Err(EditError::TooLarge(16_384)));
                Verdict::Forward(Route::target())
            }
        }
    }

    fn respond(&self, response: &mut OriginResponse<'_>, _: &Client) {
        assert_eq!(response.status(), 200);
        response.remove("Server").unwrap();
        response.set("Date", "now").unwrap();
        assert!(matches!(response.set("Connection", "close"), Err(EditError::Fixed(..))));
    }

    fn ended(&self, record: &Record<'_>) {
        self.0.lock().unwrap().extend_from_slice(record.request.bytes());
    }
}

/// The changes are lost, doubled, or written down as if the client had sent them.
#[test]
fn heads_are_changed_on_their_way() {
    let origin = Origin::answering(|request| {
        let head = request.head.as_bytes();
        [
            format!(
                "HTTP/1.1 200 OK\r\nServer: x\r\nDate: then\r\nX-Head: {0}\r\nContent-Length: {0}\r\n\r\n",
                head.len()
            )
            .as_bytes(),
            head,
        ]
        .concat()
    });
    let logged = Arc::new(Mutex::new(Vec::new()));
    let serving = Serving::start(Proxy::builder().via(false).policy(Editing(Arc::clone(&logged))));
    let ask = |path: &str| {
        format!(
            "GET {} HTTP/1.1\r\nHost: x\r\nUser-Agent: curl\r\nX-Keep: a\r\nCookie: secret\r\nConnection: X-Nominated\r\n\
             X-Nominated: theirs\r\nX-Tag: 0\r\n\r\n",
            origin.url(path)
        )
    };
    let answer = serving.ask(ask("/"));
    let host = origin.address;
    let want = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nX-Keep: a\r\nX-Tag: 0\r\nUser-Agent: sluicegate\r\nX-Tag: 1\r\nX-Tag: 2\r\n\
         X-Nominated: ours\r\n\r\n"
    );
    assert_eq!(mirrored(&answer).head, want);
    assert_eq!((answer.all("date"), answer.field("server")), (vec!["now"], None));
    eventually("it is told", || *logged.lock().unwrap() == ask("/").into_bytes());
    let refused = serving.ask(ask("/large"));
    assert_eq!(refused.status(), 431);
    assert!(refused.text().contains("more than 16384 bytes"), "{}", refused.text());
}

/// What a proxy is asked for itself never reaches the policy, or is lost without one.
#[test]
fn requests_to_the_proxy_itself_are_asked_about() {
    let policy = |request: &mut Request<'_>, _: &Client| match (request.host(), request.path_and_query()) {
        (Some("status.local"), "/status?all") => Verdict::Answer(Response::new(200, "fine")),
        (None, "*") => Verdict::Answer(Response::new(204, ()).field("Allow", "GET")),
        _ => Route::target().into(),
    };
    let serving = Serving::with(policy);
    let mut client = serving.client();
    client.send("GET /status?all HTTP/1.1\r\nHost: status.local:81\r\n\r\n");
    let answer = client.response("GET");
    assert_eq!((answer.text(), answer.field("content-type")), ("fine", Some("text/plain; charset=utf-8")));
    client.send("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n");
    let answer = client.response("OPTIONS");
    assert_eq!((answer.status(), answer.field("content-length"), answer.field("allow")), (204, None, Some("GET")));
    client.send("GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.response("GET").text().starts_with("This is an HTTP proxy"));
}

/// A request that was sent elsewhere says so, or does not arrive.
#[test]
fn routes_lead_elsewhere() {
    let origin = Origin::mirror();
    let address = origin.address;
    let policy = move |request: &mut Request<'_>, _: &Client| match request.host() {
        Some("keep.invalid") => Route::to(address).into(),
        Some("reverse.invalid") => Route::reverse(address, "/other?x").unwrap().into(),
        Some("both.invalid") => Route::reverse(address, "/other").unwrap().keep_host(true).into(),
        Some("named.invalid") => Route::to(format!("localhost:{}", address.port()).parse::<Place>().unwrap()).into(),
        _ => Verdict::Abort,
    };
    let serving = Serving::start(Proxy::builder().via(false).policy(policy));
    let mut client = serving.client();
    let mut seen = |request: &str| {
        client.send(request);
        mirrored(&client.response("GET")).head
    };
    let head = seen("GET http://keep.invalid:8/a?b HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(head, "GET /a?b HTTP/1.1\r\nHost: keep.invalid:8\r\n\r\n");
    let head = seen("GET /a HTTP/1.1\r\nHost: keep.invalid\r\n\r\n");
    assert_eq!(head, "GET /a HTTP/1.1\r\nHost: keep.invalid\r\n\r\n");
    let head = seen("GET /a HTTP/1.1\r\nHost: reverse.invalid\r\n\r\n");
    assert_eq!(head, format!("GET /other?x HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    let head = seen("GET http://both.invalid/a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(head, "GET /other HTTP/1.1\r\nHost: both.invalid\r\n\r\n");
    let head = seen("GET http://named.invalid/ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(head, "GET / HTTP/1.1\r\nHost: named.invalid\r\n\r\n");
    assert_eq!(origin.connections(), 2, "one connection for all that lead to one address, one for its name");
    let mut tunnel = serving.client();
    tunnel.send("CONNECT keep.invalid:443 HTTP/1.1\r\nHost: keep.invalid:443\r\n\r\n");
    assert_eq!(tunnel.head().unwrap().status(), 200);
    tunnel.send("GET /t HTTP/1.1\r\nHost: y\r\n\r\n");
    assert_eq!(mirrored(&tunnel.response("GET")).head, "GET /t HTTP/1.1\r\nHost: y\r\n\r\n");
}

/// An origin that the operator named is refused as loopback; or, through its connection, everyone gets there.
#[test]
fn a_named_origin_passes_the_address_rule_and_nobody_else_does() {
    let origin = Origin::answering(|_| ok("inside"));
    let address = origin.address;
    struct NoLoopback;
    impl Policy for NoLoopback {
        fn address(&self, _: &Client, address: std::net::SocketAddr) -> Result<(), Fault> {
            if address.ip().is_loopback() { Err(Fault::Denied("not there".to_owned())) } else { Ok(()) }
        }
    }
    let policy = move |request: &mut Request<'_>, _: &Client| match request.path_and_query() {
        "/named" => Route::to(address).named_by_operator().into(),
        "/unnamed" => Route::to(address).into(),
        _ => Verdict::Forward(Route::target()),
    };
    let serving = Serving::with((policy, NoLoopback));
    let mut client = serving.client();
    for _ in 0..2 {
        for (request, status) in [
            ("GET /named HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 200),
            ("GET /unnamed HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 403),
            ("GET /named HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 200),
            (format!("GET http://{address}/ HTTP/1.1\r\nHost: x\r\n\r\n"), 403),
        ] {
            client.send(&request);
            assert_eq!(client.response("GET").status(), status, "{request}");
        }
    }
}

/// An awaited notice keeps a connection alive, or never comes.
#[test]
fn gone_resolves_when_the_connection_has_ended() {
    let (told, waiting) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (tell, wait) = (Arc::clone(&told), Arc::clone(&waiting));
    let policy = move |_: &mut Request<'_>, client: &Client| {
        for gone in [client.gone(), client.clone().gone(), client.gone().clone()] {
            let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
            tokio::spawn(async move {
                wait.fetch_add(1, SeqCst);
                gone.clone().await;
                gone.await;
                tell.fetch_add(1, SeqCst);
            });
        }
        Verdict::Answer(Response::new(200, "ok"))
    };
    let serving = Serving::with(policy);
    let mut client = serving.client();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response("GET").text(), "ok");
    eventually("they wait", || waiting.load(SeqCst) == 3);
    assert_eq!(told.load(SeqCst), 0);
    client.fin();
    eventually("they know", || told.load(SeqCst) == 3);
}

/// What a policy sets or takes away does not come back behind the body.
#[test]
fn an_edited_head_has_no_trailers() {
    for edits in [false, true] {
        let serving = Serving::with(move |request: &mut Request<'_>, _: &Client| {
            if edits {
                request.set("X-User", "nobody").unwrap();
            }
            Verdict::Forward(Route::target())
        });
        let origin = Origin::mirror();
        let mut client = serving.client();
        let url = origin.url("/");
        client.send(format!(
            "POST {url} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-User: admin\r\n\r\n"
        ));
        assert_eq!(client.response("POST").status(), 200);
        let seen = String::from_utf8_lossy(&origin.seen()[0].bytes).into_owned();
        assert_eq!(seen.contains("admin"), !edits, "{seen}");
    }
}

/// What was taken in `accept` resolves also for a client that another turns away.
#[test]
fn who_is_turned_away_is_gone() {
    struct Counter(Arc<AtomicBool>);
    impl Policy for Counter {
        fn accept(&self, client: &Client) -> bool {
            let (gone, seen) = (client.gone(), Arc::clone(&self.0));
            tokio::spawn(async move {
                gone.await;
                seen.store(true, SeqCst);
            });
            true
        }
    }
    struct Nobody;
    impl Policy for Nobody {
        fn accept(&self, _: &Client) -> bool {
            false
        }
    }
    let seen = Arc::new(AtomicBool::new(false));
    let serving = Serving::with((Counter(Arc::clone(&seen)), Nobody));
    let _client = serving.client();
    eventually("it is told", || seen.load(SeqCst));
}

/// A list of hosts that compares what it was written would let `LOCALHOST.` pass.
#[test]
fn a_host_is_the_same_however_it_is_written() {
    let rows = [
        ("http://Example.COM./", "example.com", true),
        ("http://example.com:81/", "EXAMPLE.com.", true),
        ("http://example.com/", "ample.com", false),
        ("http://[::1]/", "::1", true),
        ("http://[0:0::1]:80/", "[::1]", true),
        ("http://[::ffff:127.0.0.1]/", "127.0.0.1", true),
        ("http://127.0.0.1/", "localhost", false),
    ];
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let serving = Serving::with(move |request: &mut Request<'_>, _: &Client| {
        let name = request.field("X-Name").map(|name| String::from_utf8_lossy(name).into_owned()).unwrap();
        seen.lock().unwrap().push(request.host_is(&name));
        Verdict::from(Response::new(200, ""))
    });
    let mut client = serving.client();
    for (url, name, _) in rows {
        client.send(format!("GET {url} HTTP/1.1\r\nHost: h\r\nX-Name: {name}\r\n\r\n"));
        assert_eq!(client.response("GET").status(), 200);
    }
    assert_eq!(*asked.lock().unwrap(), rows.map(|(.., same)| same));
}
