//! The reverse proxy: prefixes, paths, Host, and whom it was forwarded for.

use crate::support;

use std::net::SocketAddr;

use crate::support::origin::mirrored;
use crate::support::{Origin, Serving, get, ok};
use sluicegate::ForwardedFields::{self, Append, Keep, Remove, Replace};
use sluicegate::{Client, Fault, Policy, Proxy, Reverse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What an origin is sent for this request.
fn seen(reverse: Reverse, request: &str) -> String {
    let serving = Serving::start(Proxy::builder().via(false).policy(reverse));
    let answer = serving.ask(request);
    assert_eq!(answer.status(), 200, "{request}: {}", answer.text());
    mirrored(&answer).head
}

/// A prefix catches a path that only looks like it, or the query is lost.
#[test]
fn paths_are_joined_and_the_longest_prefix_wins() {
    let origin = Origin::mirror();
    let at = |base: &str| format!("{}{base}", origin.address);
    let plain = || {
        let all = Reverse::new().x_forwarded(Remove).forwarded(Remove);
        let all = all.mount("/", &at("")).unwrap().mount("/foo", &at("/base")).unwrap();
        all.mount("/foo/deep/", &at("/deep/er/")).unwrap().mount("/bare", &at("")).unwrap()
    };
    for (asked, sent) in [
        ("/", "/"),
        ("/a?b=/../c", "/a?b=/../c"),
        ("/?", "/?"),
        ("/foo", "/base"),
        ("/foo?x", "/base?x"),
        ("/foo/", "/base/"),
        ("/foo/bar?x&y", "/base/bar?x&y"),
        ("/foobar", "/foobar"),
        ("/foo/deep", "/deep/er"),
        ("/foo/deep/x%20y", "/deep/er/x%20y"),
        ("/foo/deeper", "/base/deeper"),
        ("/bare", "/"),
        ("/bare?q", "/?q"),
        ("/bare/x", "/x"),
        ("/FOO/x", "/FOO/x"),
        ("//foo", "/base"),
        ("/%66o%6f/bar", "/base/bar"),
        ("//foo///deep//x", "/deep/er//x"),
        ("/foo//bar", "/base//bar"),
        ("/bare//evil.example/x", "/evil.example/x"),
        ("//evil.example//x?y=//z", "/evil.example//x?y=//z"),
        ("/bare//", "/"),
        ("/%7e/a%20b;c=d", "/%7e/a%20b;c=d"),
        ("/%46OO/x", "/%46OO/x"),
        ("http://any.host/foo/x", "/base/x"),
        ("http://any.host?q", "/?q"),
    ] {
        let head = seen(plain(), &format!("GET {asked} HTTP/1.1\r\nHost: any.host\r\n\r\n"));
        assert_eq!(head, format!("GET {sent} HTTP/1.1\r\nHost: {}\r\n\r\n", origin.address), "{asked}");
    }
}

/// It leads out of its prefix; or somebody else's proxy is found behind it.
#[test]
fn it_leads_nowhere_else() {
    let (inside, outside) = (Origin::mirror(), Origin::answering(|_| ok("outside")));
    let serving = Serving::with(Reverse::new().mount("/app", &inside.address.to_string()).unwrap());
    for (request, status) in [
        (format!("CONNECT {} HTTP/1.1\r\nHost: x\r\n\r\n", outside.address), 405),
        (format!("GET http://{}/other HTTP/1.1\r\nHost: x\r\n\r\n", outside.address), 404),
        ("GET /app/../secret HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET /app/%2e%2E/secret HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET /app/..%2fsecret HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET /app/x%3f/../../secret HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET /app/x%23/%2e%2e/%2e%2e/secret HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET /app;x/secret HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET /application HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 404),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 204),
    ] {
        let answer = serving.ask(&request);
        assert_eq!(answer.status(), status, "{request}");
        assert_eq!(answer.field("allow").is_some(), matches!(status, 405 | 204), "{request}");
    }
    assert_eq!((inside.connections(), outside.connections()), (0, 0));
    let through = serving.ask(get(&format!("http://{}/app/x", outside.address)));
    assert!(mirrored(&through).head.starts_with("GET /x HTTP/1.1\r\n"));
    assert_eq!(outside.connections(), 0, "whatever host it names");
}

/// What is mounted elsewhere is reached through the origin that everything else goes to.
#[test]
fn no_spelling_of_a_prefix_leads_to_another_origin() {
    let (public, admin) = (Origin::answering(|_| ok("public")), Origin::answering(|_| ok("admin")));
    let all = Reverse::to(&public.address.to_string()).unwrap().mount("/admin", &admin.address.to_string()).unwrap();
    let (serving, keeping) = (Serving::with(all.clone()), Serving::with(all.keep_encoded_slashes(true)));
    for (path, status, text) in [
        ("/admin/x", 200, "admin"),
        ("/%61dmin/x", 200, "admin"),
        ("//admin/x", 200, "admin"),
        ("/admin", 200, "admin"),
        ("/administrator", 200, "public"),
        ("/x//admin", 200, "public"),
        ("/ADMIN/x", 200, "public"),
        ("/x;y/admin", 200, "public"),
        ("/%2fadmin/x", 400, "ambiguous-path"),
        ("/x%2f..%2fadmin", 400, "ambiguous-path"),
        ("/\\admin", 400, "ambiguous-path"),
        ("/%5cadmin", 400, "ambiguous-path"),
        ("/%2561dmin", 400, "ambiguous-path"),
        ("/admin%00", 400, "ambiguous-path"),
        ("/admin;x/y", 400, "ambiguous-path"),
        ("/;x/admin/y", 400, "ambiguous-path"),
        ("/admin%3fy", 400, "ambiguous-path"),
        ("/admin%20/y", 400, "ambiguous-path"),
        ("/x/../admin", 400, "dot-segments"),
        ("/x/..;y/admin", 400, "dot-segments"),
        ("/%u0061dmin", 400, "path-encoding"),
    ] {
        for target in [path.to_owned(), format!("http://b.example{path}")] {
            let answer = serving.ask(get(&target));
            assert_eq!(answer.status(), status, "{target}");
            assert!(answer.text().contains(text), "{target}: {}", answer.text());
            if status == 400 {
                assert!(answer.field("proxy-status").unwrap().contains(&format!("details=\"{text}\"")), "{target}");
            }
        }
    }
    for (path, status) in
        [("/a/group%2Fproject", 200), ("/%2fadmin/x", 400), ("/admin%2fx", 400), ("/x%2f..%2fadmin", 400)]
    {
        assert_eq!(keeping.ask(get(path)).status(), status, "{path}");
    }
}

/// An origin that tells its sites apart by Host finds none; or one on port 80 is shown a port.
#[test]
fn host_is_the_origins_or_the_clients() {
    let origin = Origin::mirror();
    let plain = || Reverse::to(&origin.address.to_string()).unwrap().x_forwarded(Keep).forwarded(Keep);
    let ask = "GET / HTTP/1.1\r\nHost: Site.example:81\r\n\r\n";
    assert_eq!(seen(plain(), ask), format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", origin.address));
    assert_eq!(seen(plain().keep_host(true), ask), ask);
    // Without a Host there is none to keep.
    assert!(
        seen(plain().keep_host(true), "GET / HTTP/1.0\r\n\r\n").contains(&format!("\r\nHost: {}\r\n", origin.address))
    );
    // Nobody can listen on port 80 here, but what is shown is known.
    assert_eq!(Reverse::to("a.example").unwrap().mounts().next(), Some(("/".to_owned(), "a.example:80/".to_owned())));
}

/// A client says that it is another, and the origin believes it.
#[test]
fn whom_it_was_forwarded_for_is_replaced_appended_removed_or_kept() {
    let origin = Origin::mirror();
    let forged = "GET / HTTP/1.1\r\nHost: site.example:81\r\nX-Forwarded-For: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\n\
                  X-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: https\r\nConnection: Forwarded, X-Forwarded-For\r\n\r\n";
    let fields = |hops: ForwardedFields| {
        let reverse = Reverse::to(&origin.address.to_string()).unwrap().x_forwarded(hops).forwarded(hops);
        let head = seen(reverse, forged);
        head.split_once("\r\n").unwrap().1.split_once("\r\n").unwrap().1.to_owned()
    };
    assert_eq!(
        fields(Replace),
        "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: site.example:81\r\n\
         Forwarded: for=127.0.0.1;host=\"site.example:81\";proto=http\r\n\r\n"
    );
    assert_eq!(
        fields(Append),
        "X-Forwarded-Proto: https\r\nX-Forwarded-For: 6.6.6.6, 7.7.7.7, 127.0.0.1\r\nX-Forwarded-Host: site.example:81\r\n\
         Forwarded: for=6.6.6.6, for=127.0.0.1;host=\"site.example:81\";proto=http\r\n\r\n"
    );
    assert_eq!(fields(Remove), "\r\n");
    assert_eq!(
        fields(Keep),
        "X-Forwarded-For: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: https\r\n\r\n"
    );
}

/// Names that an origin could take for what this proxy, or another, says of a client.
const FORGED: &[&str] = &[
    "X_Forwarded_For",
    "x-forwarded_proto",
    "X_Forwarded-Host",
    "X.Forwarded.For",
    "X~Forwarded~For",
    "X-Real-IP",
    "X_Real_IP",
    "X-Client-IP",
    "Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "X-Cluster-Client-IP",
    "Forwarded-For",
    "X-Forwarded",
    "X-Forwarded-Port",
    "X-Forwarded-Ssl",
    "X-Forwarded-Server",
    "X-Forwarded-Prefix",
    "X-Forwarded-User",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X_Original_URL",
    "Front-End-Https",
    "Remote-User",
    "Remote-Groups",
    "Remote_Email",
    "X-WebAuth-User",
    "X-Auth-Request-User",
    "X-Auth-Request-Access-Token",
    "X-Authenticated-User",
    "X-Custom-IP-Authorization",
    "SSL-Client-S-DN",
    "X-SSL-Client-Verify",
    "X_SSL_Client_Subject",
    "X-Client-DN",
    "X-Client-Cert",
    "X-Forwarded-Client-Cert",
    "Proxy",
    "Transfer_Encoding",
    "Content_Length",
    "Content_length",
];

/// What an origin of CGI's kind would read as ours, or as a proxy's, comes from the client.
#[test]
fn whom_it_is_for_cannot_be_forged() {
    let origin = Origin::mirror();
    let all = || Reverse::to(&origin.address.to_string()).unwrap();
    let seen = |reverse: Reverse, fields: &[&str], end: &str| {
        let fields: String = fields.iter().map(|name| format!("{name}: 6.6.6.6\r\n")).collect();
        seen(reverse, &format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}{end}"))
    };
    let whole = "Content-Length: 0\r\n\r\n";
    for reverse in [all(), all().keep_underscores(true), all().x_forwarded(Remove).forwarded(Remove)] {
        let head = seen(reverse, FORGED, whole);
        assert!(!head.contains("6.6.6.6"), "{head}");
    }
    // In a trailer, which an origin may add to its variables.
    let trailing: String = FORGED.iter().map(|name| format!("{name}: 6.6.6.6\r\n")).collect();
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n{trailing}X-Own: 6.6.6.6\r\n\r\n");
    let trailed = Origin::answering(|request| ok(&format!("trailers: {:?}", request.trailers)));
    for hops in [Replace, Append, Keep] {
        let reverse = Reverse::to(&trailed.address.to_string()).unwrap().x_forwarded(hops).forwarded(hops);
        let answer = Serving::with(reverse).ask(format!("POST / HTTP/1.1\r\nHost: a\r\n{chunked}"));
        assert_eq!(answer.text(), "trailers: []");
    }
    // What is nobody else's is kept when it is asked for; and what a trusted proxy may say, but in its own name only.
    let head = seen(all().keep_underscores(true), &["X_Own", "X-Own"], whole);
    assert!(head.contains("\r\nX_Own: ") && head.contains("\r\nX-Own: "), "{head}");
    let head = seen(all(), &["X_Own", "X-Own"], whole);
    assert!(!head.contains("X_Own") && head.contains("\r\nX-Own: "), "{head}");
    let head = seen(all().x_forwarded(Append), &["X-Forwarded-Port", "X_Forwarded_Port", "X-Real-IP"], whole);
    assert!(head.contains("\r\nX-Forwarded-Port: 6.6.6.6\r\n") && head.matches("6.6.6.6").count() == 1, "{head}");
    let head = seen(all().x_forwarded(Keep), &["X-Real-IP", "X_Real_IP"], whole);
    assert!(head.contains("\r\nX-Real-IP: ") && head.matches("6.6.6.6").count() == 1, "{head}");
}

/// An origin echoes what a page may not see; or is said to offer tunnels.
#[test]
fn trace_ends_here_and_options_says_what_is_offered() {
    let origin = Origin::mirror();
    let serving = Serving::with(Reverse::new().mount("/app", &origin.address.to_string()).unwrap());
    for (request, status) in [
        ("TRACE /app HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n", 405),
        ("TRACE /app HTTP/1.1\r\nHost: a\r\nCookie: secret\r\nMax-Forwards: 0\r\n\r\n", 405),
        ("TRACE http://a/app HTTP/1.1\r\nHost: a\r\nCookie: secret\r\nMax-Forwards: 5\r\n\r\n", 405),
        ("OPTIONS /app HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", 204),
        ("OPTIONS http://a/app/x HTTP/1.1\r\nHost: a\r\nMax-Forwards: 00\r\n\r\n", 204),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 204),
    ] {
        let answer = serving.ask(request);
        assert_eq!(answer.status(), status, "{request}");
        assert_eq!(answer.field("allow"), Some("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"), "{request}");
        assert!(!answer.text().contains("secret"), "{request}");
    }
    assert_eq!(serving.ask("OPTIONS /else HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n").status(), 404);
    assert_eq!(origin.connections(), 0);
    let through = serving.ask("OPTIONS /app HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\n\r\n");
    assert!(mirrored(&through).head.contains("\r\nMax-Forwards: 0\r\n"));
}

/// Behind the library's own TLS an origin redirects to https for ever, or leaves `Secure` off its cookies.
#[test]
fn the_scheme_is_that_of_the_client() {
    let origin = Origin::mirror();
    let proxy = Proxy::builder().policy(Reverse::to(&origin.address.to_string()).unwrap()).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let head = runtime.block_on(async {
        let (mut near, far) = tokio::io::duplex(4096);
        tokio::spawn(async move { proxy.serve_connection(far, Client::in_process().over_tls()).await });
        near.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        answer
    });
    assert!(head.contains("X-Forwarded-Proto: https\r\n") && head.contains(";host=a;proto=https\r\n"), "{head}");
}

/// Its origin is refused as an address of this machine, or opens the way to the others.
#[test]
fn the_operators_origin_may_be_where_clients_may_not_go() {
    struct NoLoopback;
    impl Policy for NoLoopback {
        fn address(&self, _: &Client, address: SocketAddr) -> Result<(), Fault> {
            if address.ip().is_loopback() { Err(Fault::Denied("not there".to_owned())) } else { Ok(()) }
        }
    }
    let origin = Origin::answering(|_| ok("inside"));
    for to in [origin.address.to_string(), format!("localhost:{}", origin.address.port())] {
        let serving = Serving::with((Reverse::to(&to).unwrap(), NoLoopback));
        assert_eq!(serving.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").text(), "inside");
    }
}

/// A slow client makes a reverse proxy hold what its origin sends.
#[test]
fn the_flow_control_is_the_same() {
    let origin = Origin::start(|_, wire| {
        wire.request();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = vec![b'x'; 100_000];
        while wire.try_send(&piece).is_ok() {}
    });
    let serving = Serving::with(Reverse::to(&origin.address.to_string()).unwrap());
    let mut client = serving.client();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    client.exactly(1);
    let given = support::settled("the client is full", || serving.proxy.connections()[0].down.given);
    let state = serving.proxy.connections().remove(0);
    assert!(state.down.taken - given <= state.down.held as u64 + 1024, "{state}");
    assert!(state.down.source_paused.is_some() || state.down.sink_waits.is_some(), "{state}");
    client.reset();
    origin.wait("the origin is cut off", |seen| seen[0].over);
}
