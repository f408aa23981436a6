//! One socket, read by rules that share nothing with the library.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;

use super::PATIENCE;
use super::origin::Log;

/// How a peer ended its side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Cleanly.
    Fin,
    /// By a reset.
    Reset,
}

/// A head, and the body that came with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// As received, with the empty line.
    pub head: String,
    pub body: Vec<u8>,
    /// Lines of the trailer section.
    pub trailers: Vec<String>,
}

impl Message {
    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap()
    }

    pub fn status(&self) -> u16 {
        self.line().split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// All values of a field, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1);
        let fields = lines.filter_map(|line| line.split_once(':'));
        fields.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The head with the proxy's pseudonym and the date replaced by words that do not change.
    pub fn neutral(&self) -> String {
        let mut out = String::new();
        for line in self.head.split_inclusive("\r\n") {
            match line.split_once("sluicegate-") {
                Some((before, after)) if line.starts_with("Via:") => {
                    assert!(after.len() == 10 && after[..8].bytes().all(|b| b.is_ascii_hexdigit()), "{line:?}");
                    out.push_str(&format!("{before}SLUICE\r\n"));
                }
                _ if line.starts_with("Date: ") => {
                    assert!(line.ends_with(" GMT\r\n") && line.len() == 37, "{line:?}");
                    out.push_str("Date: NOW\r\n");
                }
                _ => out.push_str(line),
            }
        }
        out
    }

    /// The proxy's own name, as Via shows it.
    pub fn pseudonym(&self) -> String {
        self.all("via").last().unwrap().split(' ').nth(1).unwrap().to_owned()
    }
}

/// A connected socket with what was received and not yet asked for.
#[derive(Debug)]
pub struct Wire {
    pub stream: TcpStream,
    unread: Vec<u8>,
    end: Option<End>,
    /// Where an origin writes down what it receives.
    log: Option<(Arc<Log>, usize)>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, unread: Vec::new(), end: None, log: None }
    }

    pub fn logged(stream: TcpStream, log: Arc<Log>, index: usize) -> Self {
        Self { log: Some((log, index)), ..Self::new(stream) }
    }

    /// A client's bytes are taken; an origin finds out when it reads.
    #[track_caller]
    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        let sent = self.try_send(bytes.as_ref());
        assert!(sent.is_ok() || self.log.is_some(), "the proxy takes what is sent: {sent:?}");
    }

    pub fn try_send(&self, bytes: &[u8]) -> io::Result<()> {
        let sent = (&self.stream).write_all(bytes);
        if let (Err(_), Some((log, index))) = (&sent, &self.log) {
            log.change(|seen| seen[*index].end = Some(End::Reset));
        }
        sent
    }

    /// Each piece in a write of its own, with time for the other side to see it alone.
    pub fn send_in_pieces(&self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size.max(1)) {
            self.send(piece);
            std::thread::yield_now();
        }
    }

    /// Ends the sending side.
    pub fn fin(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends everything by a reset.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// One read; false at the end of the other side.
    fn fill(&mut self) -> bool {
        if self.end.is_some() {
            return false;
        }
        let mut piece = [0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => self.end = Some(End::Fin),
            Ok(n) => {
                self.unread.extend_from_slice(&piece[..n]);
                if let Some((log, index)) = &self.log {
                    log.change(|seen| seen[*index].bytes.extend_from_slice(&piece[..n]));
                }
                return true;
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                let tail = &self.unread[self.unread.len().saturating_sub(300)..];
                panic!("nothing came within {PATIENCE:?}; unread: {:?}", String::from_utf8_lossy(tail));
            }
            Err(_) => self.end = Some(End::Reset),
        }
        if let Some((log, index)) = &self.log {
            log.change(|seen| seen[*index].end = self.end);
        }
        false
    }

    /// The next `n` bytes, or as many as there are.
    pub fn exactly(&mut self, n: usize) -> Vec<u8> {
        while self.unread.len() < n && self.fill() {}
        let n = n.min(self.unread.len());
        self.unread.drain(..n).collect()
    }

    /// The bytes up to and including `mark`. None if they do not come.
    pub fn until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        let mut from = 0_usize;
        loop {
            if let Some(at) = self.unread[from..].windows(mark.len()).position(|w| w == mark) {
                return Some(self.unread.drain(..from + at + mark.len()).collect());
            }
            from = self.unread.len().saturating_sub(mark.len() - 1);
            if !self.fill() {
                return None;
            }
        }
    }

    /// All that comes until the other side ends, and how it does.
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        while self.fill() {}
        (std::mem::take(&mut self.unread), self.end.unwrap())
    }

    /// How the other side ends. Nothing may come before that.
    #[track_caller]
    pub fn end(&mut self) -> End {
        let (rest, end) = self.rest();
        assert!(rest.is_empty(), "unexpected bytes before the end: {:?}", String::from_utf8_lossy(&rest));
        end
    }

    /// A head without a look at its body. None if the other side ends instead.
    pub fn head(&mut self) -> Option<Message> {
        let head = self.until(b"\r\n\r\n")?.into_iter().map(char::from).collect();
        Some(Message { head, ..Message::default() })
    }

    /// A request with its body.
    pub fn request(&mut self) -> Option<Message> {
        let head = self.head()?;
        self.body(head, false)
    }

    /// The final response to a request with this method, with its body.
    #[track_caller]
    pub fn response(&mut self, method: &str) -> Message {
        let head = self.head().unwrap_or_else(|| panic!("{:?} instead of a response", self.end));
        assert!(head.head.starts_with("HTTP/1.1 "), "{:?}", head.head);
        let status = head.status();
        assert!(status >= 200, "an interim response: {:?}", head.head);
        if method == "HEAD" || matches!(status, 204 | 304) {
            return head;
        }
        self.body(head, true).expect("a whole response")
    }

    /// The body that the head announces; None if it is cut short.
    pub fn body(&mut self, mut message: Message, until_close: bool) -> Option<Message> {
        let lengths = message.all("content-length").len();
        let codings = message.all("transfer-encoding").len();
        assert!(lengths + codings <= 1, "ambiguous framing: {:?}", message.head);
        if codings == 1 {
            assert_eq!(message.field("transfer-encoding"), Some("chunked"));
            (message.body, message.trailers) = self.chunks()?;
        } else if let Some(n) = message.field("content-length") {
            let n = n.parse().unwrap();
            message.body = self.exactly(n);
            if message.body.len() < n {
                return None;
            }
        } else if until_close {
            let (rest, end) = self.rest();
            message.body = rest;
            if end != End::Fin {
                return None;
            }
        }
        Some(message)
    }

    fn chunks(&mut self) -> Option<(Vec<u8>, Vec<String>)> {
        let (mut body, mut trailers) = (Vec::new(), Vec::new());
        loop {
            let line = self.until(b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&line[..line.len() - 2]).unwrap(), 16).unwrap();
            if size == 0 {
                break;
            }
            let chunk = self.exactly(size);
            if chunk.len() < size {
                return None;
            }
            body.extend_from_slice(&chunk);
            let after = self.exactly(2);
            if after.len() < 2 {
                return None;
            }
            assert_eq!(after, b"\r\n");
        }
        loop {
            let line = self.until(b"\r\n")?;
            if line == b"\r\n" {
                return Some((body, trailers));
            }
            trailers.push(String::from_utf8(line[..line.len() - 2].to_vec()).unwrap());
        }
    }
}
