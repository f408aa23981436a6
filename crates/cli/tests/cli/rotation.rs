//! SIGUSR1 while requests run: every line is in one of the files, whole, once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use rustix::process::Signal;
use serde_json::Value;

use crate::kit::{Dir, Proxy, eventually};
use crate::origin::Origin;

const CLIENTS: usize = 4;

#[test]
fn no_line_is_lost_or_torn() {
    let (dir, origin) = (Dir::new(), Origin::new());
    let log = dir.path("log");
    let mut proxy = Proxy::start(&["--access-log", &log, "--access-log-format", "json", "--workers", "3"]);
    let (done, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let rotations = std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let n = sent.fetch_add(1, Relaxed);
                    let answer = proxy.get(&origin.url(&format!("/{n}")));
                    assert!(answer.ends_with("hello"), "{answer}");
                }
            });
        }
        let finally = Finally(&done);
        let rotations = 5;
        for n in 0..rotations {
            let aim = sent.load(Relaxed) + 50;
            eventually("requests", || (sent.load(Relaxed) > aim).then_some(()));
            std::fs::rename(&log, dir.path(&format!("log.{n}"))).unwrap();
            proxy.signal(Signal::USR1);
            eventually("a new file", || std::fs::exists(&log).unwrap().then_some(()));
        }
        drop(finally);
        rotations
    });
    proxy.stop();
    let files = (0..rotations).map(|n| format!("log.{n}")).chain(["log".to_owned()]);
    let mut seen: HashMap<String, usize> = HashMap::new();
    for file in files {
        let text = dir.read(&file);
        assert!(text.is_empty() || text.ends_with('\n'));
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).expect(line);
            *seen.entry(line["url"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), sent.load(Relaxed));
    assert!(seen.values().all(|times| *times == 1));
}

/// Ends the clients, also when the test fails.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn without_a_file_the_signal_does_nothing() {
    for flags in [&[][..], &["--access-log", "-"]] {
        let (mut proxy, origin) = (Proxy::start(flags), Origin::new());
        for signal in [Signal::USR1, Signal::HUP] {
            proxy.signal(signal);
            assert!(proxy.get(&origin.url("/")).ends_with("hello"));
        }
        proxy.stop();
    }
}

#[test]
fn a_file_that_cannot_be_opened_anew_keeps_the_old_one() {
    let (dir, origin) = (Dir::new(), Origin::new());
    std::fs::create_dir(dir.path("logs")).unwrap();
    let mut proxy = Proxy::start(&["--access-log", &dir.path("logs/log")]);
    std::fs::rename(dir.path("logs"), dir.path("old")).unwrap();
    proxy.signal(Signal::USR1);
    proxy.wait_for("cannot be reopened");
    proxy.get(&origin.url("/"));
    proxy.stop();
    assert_eq!(dir.read("old/log").lines().count(), 1);
}

/// A FIFO in the place of the log: without a reader nothing waits for one, and no line is lost that one comes for.
#[test]
fn a_fifo_is_written_once_somebody_reads_it() {
    let (dir, origin) = (Dir::new(), Origin::new());
    let (log, fifo) = (dir.path("log"), dir.path("fifo"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
    for rotated in [false, true] {
        let mut early = 0;
        let mut proxy = Proxy::start(&["--access-log", if rotated { &log } else { &fifo }]);
        if rotated {
            proxy.get(&origin.url("/before"));
            eventually("a line", || (dir.read("log").lines().count() == 1).then_some(()));
            std::fs::rename(&log, dir.path("old")).unwrap();
            std::fs::rename(&fifo, &log).unwrap();
            proxy.signal(Signal::HUP);
            // Until it has been taken, lines go to the old file.
            eventually("the log is opened again", || {
                assert!(proxy.get(&origin.url("/early")).ends_with("hello"));
                early += 1;
                proxy.said().contains("nobody reads the FIFO").then_some(())
            });
        } else {
            proxy.wait_for("nobody reads the access log");
        }
        for n in 0..3 {
            assert!(proxy.get(&origin.url(&format!("/{n}"))).ends_with("hello"));
        }
        proxy.wait_for("nobody reads the FIFO");
        let path = if rotated { log.clone() } else { fifo.clone() };
        let reader = std::thread::spawn(move || std::fs::read_to_string(path).unwrap());
        proxy.wait_for("the access log can be written again");
        proxy.stop();
        let text = reader.join().unwrap();
        let all = if rotated { dir.read("old") + &text } else { text.clone() };
        let count = |text: &str, path: &str| text.matches(&format!("/{path} HTTP/1.1\" 200 ")).count();
        assert!((0..3).all(|n| count(&text, &n.to_string()) == 1), "{text}");
        assert_eq!(count(&all, "early"), early, "{all}");
    }
}

/// The process ends in time, and says how many lines nobody took.
#[test]
fn what_nobody_reads_at_the_end_is_counted() {
    let (dir, origin) = (Dir::new(), Origin::new());
    let fifo = dir.path("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
    let mut proxy = Proxy::start(&["--access-log", &fifo]);
    for _ in 0..7 {
        proxy.get(&origin.url("/"));
    }
    proxy.stop();
    assert!(
        proxy.said().contains("access log lines were dropped") && proxy.said().contains("lines=7"),
        "{}",
        proxy.said()
    );
}
