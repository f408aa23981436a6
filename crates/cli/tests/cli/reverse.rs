//! `--reverse`: the other half of a proxy, and nothing of the first.

use std::process::Stdio;

use crate::kit::{Dir, Proxy, refused, sluicegate};
use crate::origin::Origin;

#[test]
fn a_prefix_leads_to_its_origin_and_nowhere_else() {
    let (dir, origin, other) = (Dir::new(), Origin::new(), Origin::new());
    let mount = format!("/app={}/base", origin.address);
    let flags = ["--access-log", &dir.path("log"), "--access-log-format", "json", "--reverse", &mount];
    let mut proxy = Proxy::start(&flags);
    let get =
        |path: &str| proxy.ask(&format!("GET {path} HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n"));
    assert!(get("/app/x?y").ends_with("\r\n\r\nhello"));
    assert!(get("/").starts_with("HTTP/1.1 404 "));
    assert!(get("/app/../x").starts_with("HTTP/1.1 400 "));
    assert!(get("/%61pp/x").ends_with("\r\n\r\nhello"));
    assert!(get("/app/x%2fy").contains("Rule: ambiguous-path (RFC 3986 §7.3).\n"));
    assert!(proxy.get(&other.url("/")).starts_with("HTTP/1.1 404 "));
    let connect = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", other.address);
    assert!(proxy.ask(&connect).starts_with("HTTP/1.1 405 "));
    let said =
        format!("reverse: /app/ goes to http://{}/base/\nreverse: nothing is forwarded elsewhere\n", origin.address);
    assert!(proxy.said().contains(&said), "{}", proxy.said());
    assert!(proxy.said().contains(&format!("try: curl http://{}/app/\n", proxy.address)));
    proxy.stop();
    let log = dir.read("log");
    let first = log.lines().next().unwrap();
    assert!(
        first.contains("\"url\":\"/app/x\"") && first.contains("\"requested_host\":\"site.example:80\""),
        "{first}"
    );
    assert_eq!(log.lines().count(), 7);
    for rule in ["dot-segments", "ambiguous-path"] {
        assert!(log.contains(&format!("\"rule\":\"{rule}\"")), "{log}");
    }
}

#[test]
fn its_origin_may_be_on_this_machine_also_for_others() {
    let origin = Origin::new();
    let (mount, port) = (format!("/={}", origin.address), origin.address.port());
    let flags = ["--listen", "0.0.0.0:0", "--allow-client", "127.0.0.0/8", "--reverse", &mount];
    let proxy = Proxy::run(sluicegate(&flags).stdout(Stdio::null()));
    assert!(proxy.ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ends_with("hello"));
    // Whatever it names, it gets there and no further.
    assert!(proxy.get(&format!("http://127.0.0.2:{port}/")).ends_with("hello"));
}

#[test]
fn mistakes_are_told_in_one_line() {
    for (mount, says) in [
        ("127.0.0.1:80", "like /=127.0.0.1:8080"),
        ("app=127.0.0.1:80", "\"app\" is not a valid prefix"),
        ("/app=https://a", "the scheme of the target is not supported"),
        ("/app=a b", "is not a valid origin"),
        ("/app=a/../b", "is not a valid path at an origin"),
    ] {
        let (said, code) = refused(&["--reverse", mount]);
        assert_eq!(code, 2);
        assert!(said.contains("--reverse") && said.contains(says), "{said}");
    }
    let (said, _) = refused(&["--reverse", "/a=b", "--reverse", "/a/=c"]);
    assert!(said.contains("--reverse /a/=c: the prefix \"/a/\" is given twice"), "{said}");
    let (said, _) = refused(&["--x-forwarded", "keep"]);
    assert!(said.contains("--reverse"), "{said}");
}
