//! A web server of few words: every path is answered with `hello`; one that begins with `/gate`
//! only half, until the gate is opened; `/large` with [`LARGE`] bytes. The body of a request to
//! `/unread` is not read before the gate is opened.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// More than all buffers between an origin and a client that does not read.
pub(crate) const LARGE: usize = 32 << 20;

pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Origin {
    pub(crate) fn new() -> Self {
        Self::on([127, 0, 0, 1].into())
    }

    pub(crate) fn on(ip: IpAddr) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Arc::new(Gate::default());
        let for_all = Arc::clone(&gate);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let gate = Arc::clone(&for_all);
                std::thread::spawn(move || serve(client, &gate));
            }
        });
        Self { address, gate }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn open_gate(&self) {
        *self.gate.is_open.lock().unwrap() = true;
        self.gate.opened.notify_all();
    }
}

impl Gate {
    fn wait(&self) {
        drop(self.opened.wait_while(self.is_open.lock().unwrap(), |open| !*open));
    }
}

fn serve(client: TcpStream, gate: &Gate) -> Option<()> {
    client.set_nodelay(true).ok()?;
    let (mut reader, mut writer) = (BufReader::new(client.try_clone().ok()?), client);
    loop {
        let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
        reader.read_line(&mut first).ok()?;
        while reader.read_line(&mut line).ok()? > 2 {
            length = line.strip_prefix("Content-Length: ").map_or(length, |n| n.trim().parse().unwrap());
            line.clear();
        }
        if first.is_empty() {
            return None;
        }
        if first.contains(" /large") {
            write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").ok()?;
            writer.write_all(&vec![b'x'; LARGE]).ok()?;
            continue;
        }
        if first.contains(" /unread") {
            gate.wait();
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel").ok()?;
        if first.contains(" /gate") {
            gate.wait();
        }
        writer.write_all(b"lo").ok()?;
    }
}
