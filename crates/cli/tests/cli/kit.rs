//! The proxy as a process, and a client of few words.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything here takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The binary, not yet started.
pub(crate) fn sluicegate(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    command.args(flags).stdin(Stdio::null());
    command
}

/// A start that is to end by itself: what it said.
pub(crate) fn ended(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if exit_code(&mut child).is_none() {
        child.kill().unwrap();
        panic!("it runs instead of refusing to start: {command:?}");
    }
    child.wait_with_output().unwrap()
}

/// The one line that a failed start said, and its exit code.
pub(crate) fn refused(flags: &[&str]) -> (String, i32) {
    let output = ended(&mut sluicegate(flags));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("sluicegate: ") && said.ends_with('\n'), "{flags:?}: {said:?}");
    assert_eq!(said.lines().count(), 1, "{flags:?}: {said:?}");
    assert!(output.stdout.is_empty(), "{flags:?}");
    (said, output.status.code().unwrap())
}

/// Waits until `found` finds something.
pub(crate) fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn exit_code(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code().unwrap_or(-1));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// A process that is gone with the test, also if that fails.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits until it has ended by itself; it must have ended well.
    pub(crate) fn ends_well(&mut self) {
        assert_eq!(exit_code(&mut self.0), Some(0));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A proxy that runs until it is dropped.
pub(crate) struct Proxy {
    child: Child,
    said: Arc<Mutex<String>>,
    /// Ends when it says no more.
    hearing: JoinHandle<()>,
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// Starts it on a free port of 127.0.0.1.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::run(sluicegate(&["--listen", "127.0.0.1:0"]).args(flags).stdout(Stdio::null()))
    }

    /// Starts it, and waits until it has said where it listens.
    pub(crate) fn run(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (lines, heard) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(&said));
        let hearing = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                heard.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let mut proxy = Self { child, said, hearing, address: ([127, 0, 0, 1], 0).into() };
        proxy.wait_for("\ntry: ");
        proxy.address = proxy.addresses()[0];
        if proxy.address.ip().is_unspecified() {
            proxy.address.set_ip([127, 0, 0, 1].into());
        }
        proxy
    }

    /// Where it says that it listens.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.said().lines().filter_map(|line| line.strip_prefix("listening on ")?.parse().ok()).collect()
    }

    /// What it has said so far on the standard error.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn wait_for(&mut self, words: &str) {
        eventually(words, || {
            let is_all = self.hearing.is_finished();
            let said = self.said();
            assert!(said.contains(words) || !is_all, "it ended: {said}");
            said.contains(words).then_some(())
        });
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code, when it has ended by itself.
    pub(crate) fn exit_code(&mut self) -> i32 {
        let code = exit_code(&mut self.child).expect("it ends");
        eventually("its last words", || self.hearing.is_finished().then_some(code))
    }

    /// Stops it; it must end well.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.exit_code(), 0, "{}", self.said());
    }

    pub(crate) fn stdout(&mut self) -> impl Read + use<> {
        self.child.stdout.take().unwrap()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// How many descriptors it has open.
    #[cfg(target_os = "linux")]
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Sends these bytes and reads all that is answered.
    pub(crate) fn ask(&self, request: &str) -> String {
        let mut client = self.connect();
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is an end too.
        let _ = client.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The response to a GET.
    pub(crate) fn get(&self, url: &str) -> String {
        self.ask(&format!("GET {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory for one test, gone with it.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let mut text = String::new();
        File::open(self.0.join(name)).unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
