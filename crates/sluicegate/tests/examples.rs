//! Each example is run, and does what it says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test stops at the first surprise")]

mod support;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use support::{Message, Origin, Tls, Wire, eventually, get, ok};

/// Where the examples are. `cargo test --test examples` does not build them, so this does.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let profile = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "sluicegate", "--examples", "--offline"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        cargo.arg("--target-dir").arg(profile.parent().unwrap());
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
        profile.join("examples")
    })
}

/// One of them, listening.
struct Example {
    child: Child,
    address: SocketAddr,
}

impl Example {
    fn start(name: &str, args: &[&str]) -> Self {
        // Free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(built().join(name));
        command.args(args).arg(address.to_string()).stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        eventually("it listens", || TcpStream::connect(address).is_ok());
        Self { child, address }
    }

    fn client(&self) -> Wire {
        Wire::new(TcpStream::connect(self.address).unwrap())
    }

    fn ask(&self, request: impl AsRef<[u8]>) -> Message {
        let mut client = self.client();
        client.send(request);
        client.response("GET")
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An example grows until nobody reads it, or there is one that nobody runs.
#[test]
fn each_is_short_and_run() {
    let tests = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.rs")).unwrap();
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap();
    let mut n = 0;
    for path in folder.map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(text.lines().count() < 40, "{name} has {} lines", text.lines().count());
        assert!(text.starts_with("//! "), "{name} does not say what it is for");
        assert!(tests.contains(&format!("fn {name}()")), "{name} is not run");
        n += 1;
    }
    assert!(n >= 10, "{n} examples");
}

#[test]
fn minimal() {
    let mut child = Command::new(built().join("minimal")).stderr(Stdio::piped()).spawn().unwrap();
    let origin = Origin::answering(|_| ok("served"));
    let mut served = false;
    eventually("it serves, or somebody else has its port", || {
        if let Ok(stream) = TcpStream::connect("127.0.0.1:3128")
            && child.try_wait().unwrap().is_none()
        {
            let mut client = Wire::new(stream);
            client.send(get(&origin.url("/")));
            assert_eq!(client.response("GET").text(), "served");
            served = true;
        }
        served || child.try_wait().unwrap().is_some()
    });
    let _ = child.kill();
    let said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).collect::<String>();
    child.wait().unwrap();
    assert!(served || said.contains("AddrInUse"), "{said}");
}

#[test]
fn deny_list() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("denied");
    std::fs::write(&file, "denied.example\nlocalhost\n").unwrap();
    let (origin, example) =
        (Origin::answering(|_| ok("served")), Example::start("deny_list", &[file.to_str().unwrap()]));
    assert_eq!(example.ask(get(&origin.url("/"))).text(), "served");
    for host in ["denied.example", "www.Denied.Example.:81", "localhost"] {
        let answer = example.ask(get(&format!("http://{host}/")));
        assert_eq!(answer.status(), 403, "{host}");
    }
    let tunnel = example.ask("CONNECT a.denied.example:443 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(tunnel.status(), 403);
}

#[test]
fn per_client_limit() {
    let (origin, example) = (Origin::start(|_, wire| drop(wire.rest())), Example::start("per_client_limit", &[]));
    let two = [example.client(), example.client()];
    for (n, client) in two.iter().enumerate() {
        client.send(get(&origin.url("/")));
        origin.wait("it is dispatched", |seen| seen.len() == n + 1);
    }
    let answer = example.ask(get(&origin.url("/")));
    assert_eq!((answer.status(), answer.field("retry-after")), (429, Some("1")));
    for client in two {
        client.reset();
    }
    let quick = Origin::answering(|_| ok("served"));
    eventually("both have been given back", || example.ask(get(&quick.url("/"))).status() == 200);
}

#[test]
fn answer_from_memory() {
    let (origin, example) = (Origin::answering(|_| ok("served")), Example::start("answer_from_memory", &[]));
    let answer = example.ask("GET /proxy.pac HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(answer.field("content-type"), Some("application/x-ns-proxy-autoconfig"));
    assert!(answer.text().contains(&format!("'PROXY {}; DIRECT'", example.address)));
    assert_eq!(example.ask(get(&origin.url("/proxy.pac"))).text(), "served", "of another host");
}

#[test]
fn streaming_answer() {
    let (origin, example) = (Origin::answering(|_| ok("served")), Example::start("streaming_answer", &[]));
    let mut listener = example.client();
    listener.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    let first = String::from_utf8(listener.until(b"data: 0\n\n").unwrap()).unwrap();
    assert!(first.contains("\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"), "{first}");
    example.ask(get(&origin.url("/")));
    let more = eventually_not(&mut listener, "data: 0\n");
    assert!(more.starts_with("data: "), "{more}");
}

/// The next event that is none of these.
fn eventually_not(listener: &mut Wire, old: &str) -> String {
    loop {
        let event = String::from_utf8(listener.until(b"\n\n").unwrap()).unwrap();
        let data = event.split("\r\n").find(|line| line.starts_with("data: ")).unwrap().to_owned();
        if !data.starts_with(old) {
            return data;
        }
    }
}

#[test]
fn rewrite_header() {
    let example = Example::start("rewrite_header", &[]);
    let origin = Origin::answering(|request| {
        assert_eq!((request.all("user-agent"), request.all("referer")), (vec!["Mozilla/5.0"], Vec::new()));
        b"HTTP/1.1 200 OK\r\nServer: x/1\r\nContent-Length: 0\r\n\r\n".to_vec()
    });
    let ask = format!("GET {} HTTP/1.1\r\nHost: x\r\nReferer: http://a/\r\nUser-Agent: curl\r\n\r\n", origin.url("/"));
    let answer = example.ask(ask);
    assert_eq!((answer.status(), answer.field("server")), (200, None));
}

#[test]
fn paused() {
    let (origin, mut example) = (Origin::answering(|_| ok(&"x".repeat(16 << 20))), Example::start("paused", &[]));
    let mut client = example.client();
    client.send(get(&origin.url("/")));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(client.response("GET").body.len(), 16 << 20);
    drop(client);
    let mut lines = BufReader::new(example.child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert!(line.contains(" complete 16777") && line.ends_with("held up by the client"), "{line}");
}

#[test]
fn harness() {
    assert!(Command::new(built().join("harness")).status().unwrap().success());
}

/// What a running example says next.
fn line(example: &mut Example) -> String {
    BufReader::new(example.child.stdout.as_mut().unwrap()).lines().next().unwrap().unwrap()
}

#[test]
fn tls() {
    let (tls, origin) = (Tls::new(), Origin::answering(|_| ok("served")));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let files = [folder.join("tls.certificate"), folder.join("tls.key")];
    for (file, text) in files.iter().zip(&tls.files) {
        std::fs::write(file, text).unwrap();
    }
    let mut example = Example::start("tls", &files.each_ref().map(|file| file.to_str().unwrap()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(async {
        let mut client = tls.connect(tokio::net::TcpStream::connect(example.address).await.unwrap()).await;
        client.write_all(&get(&origin.url("/"))).await.unwrap();
        let mut answer = vec![0; 4096];
        let n = client.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..n]).into_owned()
    });
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(line(&mut example), "sluice.test asks for 127.0.0.1");
}

#[test]
fn proxy_protocol() {
    let (origin, mut example) = (Origin::answering(|_| ok("served")), Example::start("proxy_protocol", &["127.0.0.1"]));
    let mut client = example.client();
    client.send("PROXY TCP4 192.0.2.1 192.0.2.9 55000 3128\r\n");
    client.send(get(&origin.url("/")));
    assert_eq!(client.response("GET").text(), "served");
    assert_eq!(line(&mut example), "192.0.2.1:55000 asks for 127.0.0.1");
    let mut nameless = example.client();
    nameless.send(get(&origin.url("/")));
    assert!(nameless.rest().0.is_empty(), "who says nothing of a client is not served");
}
