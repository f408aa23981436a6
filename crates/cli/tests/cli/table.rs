//! SIGUSR2 shows what each connection is doing, and the access log how long it was held up.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;

use rustix::process::Signal;
use serde_json::Value;

use crate::kit::{Dir, Proxy, Running, eventually, sluicegate};
use crate::origin::{LARGE, Origin};

/// Asks for the table, and returns it without its first line, which says how long it is,
/// and its last, which says how many connections have been reset.
fn table(proxy: &Proxy) -> Vec<String> {
    let before = proxy.said().len();
    proxy.signal(Signal::USR2);
    eventually("a whole table", || {
        let said = proxy.said();
        let (count, lines) = said[before..].split_once("connections: ")?.1.split_once('\n')?;
        let (lines, reset) = lines.split_once("client connections reset so far: ")?;
        let (reset, turned_away) = reset.strip_suffix('\n')?.split_once(", turned away: ")?;
        assert!([reset, turned_away].iter().all(|count| count.parse::<u64>().is_ok()), "{reset} {turned_away}");
        let lines: Vec<_> = lines.lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), count.parse::<usize>().unwrap());
        Some(lines)
    })
}

/// Asks for the table until one of its lines holds all of `words`, and `held_up` for longer than
/// what is to be seen in the log.
fn shown(proxy: &Proxy, words: &[&str], held_up: &str) -> String {
    eventually("a connection that is held up", || {
        let is_it = |line: &String| words.iter().all(|word| line.contains(word)) && millis(line, held_up) >= 400.0;
        table(proxy).into_iter().find(is_it)
    })
}

/// The time that follows `what` and "for".
fn millis(line: &str, what: &str) -> f64 {
    let time = line.split_once(what).and_then(|(_, rest)| rest.strip_prefix(" for ")?.split(' ').next());
    match time {
        Some(time) if time.ends_with("ms") => time.trim_end_matches("ms").parse().unwrap(),
        Some(time) if !time.ends_with("µs") => time.trim_end_matches('s').parse::<f64>().unwrap() * 1000.0,
        _ => 0.0,
    }
}

/// Asks for a large response and does not read it.
fn paused(proxy: &Proxy, origin: &Origin) -> TcpStream {
    let mut client = proxy.connect();
    write!(client, "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", origin.url("/large")).unwrap();
    client
}

/// Sends a large request, as fast as it is taken, and reads the answer.
fn upload(proxy: &Proxy, origin: &Origin) -> JoinHandle<()> {
    let (mut client, url) = (proxy.connect(), origin.url("/unread"));
    std::thread::spawn(move || {
        write!(client, "PUT {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {LARGE}\r\n\r\n")
            .unwrap();
        client.write_all(&vec![b'x'; LARGE]).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("hello"), "{answer}");
    })
}

/// The one line of the log, of a proxy that has been stopped.
fn logged(dir: &Dir) -> Value {
    serde_json::from_str(dir.read("log").trim_end()).unwrap()
}

#[test]
fn a_client_that_does_not_read_is_seen_and_timed() {
    let (dir, origin) = (Dir::new(), Origin::new());
    let mut proxy = Proxy::start(&["--access-log", &dir.path("log"), "--access-log-format", "json"]);
    let mut client = paused(&proxy, &origin);
    let words = [" Responding ", " origin-unread-by=Client for "];
    let line = shown(&proxy, &words, " client-full-by=Client");
    assert!(line.starts_with(&client.local_addr().unwrap().to_string()), "{line}");
    assert!(std::io::copy(&mut client, &mut std::io::sink()).unwrap() > LARGE as u64);
    proxy.stop();
    let line = logged(&dir);
    let (paused, duration) = (line["paused_by_client_ms"].as_f64().unwrap(), line["duration_ms"].as_f64().unwrap());
    assert!((300.0..=duration + 100.0).contains(&paused), "{line}");
    assert_eq!(line["paused_by_origin_ms"], 0.0, "{line}");
}

#[test]
fn an_origin_that_does_not_read_is_seen_and_timed() {
    let (dir, origin) = (Dir::new(), Origin::new());
    let mut proxy = Proxy::start(&["--access-log", &dir.path("log"), "--access-log-format", "json"]);
    let client = upload(&proxy, &origin);
    shown(&proxy, &[" Waiting ", " client-unread-by=Origin for "], " origin-full-by=Origin");
    origin.open_gate();
    client.join().unwrap();
    proxy.stop();
    let line = logged(&dir);
    assert!(line["paused_by_origin_ms"].as_f64().unwrap() >= 300.0, "{line}");
}

#[test]
fn connections_of_all_workers_also_when_quiet() {
    let dir = Dir::new();
    // A quiet proxy does not say where it listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let flags = ["--quiet", "--log-level", "off", "--workers", "4", "--port", &free.port().to_string()];
    let heard = dir.path("stderr");
    let mut command = sluicegate(&flags);
    let mut child = Running(command.stderr(std::fs::File::create(&heard).unwrap()).spawn().unwrap());
    let first = eventually("it listens", || TcpStream::connect(free).ok());
    // Enough that the kernel gives some to each worker.
    let clients: Vec<_> = (1..40).map(|_| TcpStream::connect(free).unwrap()).chain([first]).collect();
    eventually("all of them in one table", || {
        child.signal(Signal::USR2);
        let said = dir.read("stderr");
        let (_, table) = said.rsplit_once("connections: 40\n")?;
        let is_there = |client: &TcpStream| table.contains(&format!("{} Idle ", client.local_addr().unwrap()));
        clients.iter().all(is_there).then_some(())
    });
    child.signal(Signal::TERM);
    child.ends_well();
    assert!(!dir.read("stderr").contains("stopping"));
}

#[test]
fn none_is_a_table_too() {
    let mut proxy = Proxy::start(&[]);
    proxy.signal(Signal::USR2);
    proxy.wait_for("\nconnections: 0\n");
    proxy.stop();
}
