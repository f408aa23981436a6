//! One HTTP/1.1 connection, read no further than a benchmark has to.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::chunks::{self, Chunks};

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Room for a head, and for bodies that have to be looked at.
const ROOM: usize = 64 << 10;
/// What is given to the kernel, or taken from it, at once.
const BLOCK: usize = 256 << 10;

/// The length of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    Bytes(u64),
    Chunked,
    UntilClose,
}

/// The start line of a message and what its fields say about the rest.
#[derive(Debug)]
pub struct Head {
    pub start_line: String,
    pub length: Length,
    pub closes: bool,
}

impl Head {
    pub fn status(&self) -> &str {
        self.start_line.split(' ').nth(1).unwrap_or("")
    }
}

pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    taken: usize,
}

impl Wire {
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new(), taken: 0 })
    }

    pub async fn open(to: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect(to).await?)
    }

    /// The socket alone, without what has come.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// What has come and was not taken.
    fn rest(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads some more; false at the end of the stream.
    pub async fn read(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.reserve(ROOM);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// The head that is there whole, or None.
    pub fn try_head(&mut self) -> Option<Head> {
        let end = self.rest().windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = parse(&self.rest()[..end]);
        self.taken += end + 4;
        Some(head)
    }

    /// The next head, or None at the end of the stream.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(head) = self.try_head() {
                return Ok(Some(head));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// The next response with its body read; `Err` for any status but 200.
    pub async fn response(&mut self) -> Outcome<(Head, u64)> {
        let head = self.head().await?.ok_or("the connection was closed instead of a response")?;
        if head.status() != "200" {
            return Err(format!("the answer was `{}`", head.start_line).into());
        }
        let size = self.body(head.length).await?;
        Ok((head, size))
    }

    /// The next response's body as text, at most one read long.
    pub async fn text(&mut self) -> Outcome<String> {
        let head = self.head().await?.ok_or("the connection was closed instead of a response")?;
        let Length::Bytes(n) = head.length else { return Err("the answer has no length".into()) };
        while self.rest().len() < n as usize && self.read().await? {}
        let text = String::from_utf8_lossy(self.rest()).into_owned();
        self.taken = self.buffer.len();
        Ok(text)
    }

    /// Reads a body to its end; how many bytes of data it had.
    pub async fn body(&mut self, length: Length) -> Outcome<u64> {
        match length {
            Length::Bytes(n) => self.discard(n).await.map(|()| n),
            Length::Chunked => {
                let mut chunks = Chunks::default();
                loop {
                    self.taken += chunks.take(self.rest())?;
                    if chunks.is_done() {
                        return Ok(chunks.data);
                    }
                    if !self.read().await? {
                        return Err("a chunked body was cut short".into());
                    }
                }
            }
            Length::UntilClose => {
                let mut size = self.rest().len() as u64;
                while self.read().await? {
                    size += self.rest().len() as u64;
                    self.taken = self.buffer.len();
                }
                Ok(size)
            }
        }
    }

    /// Takes so many bytes without copying those that are still in the kernel.
    async fn discard(&mut self, n: u64) -> Outcome<()> {
        let here = n.min(self.rest().len() as u64);
        self.taken += here as usize;
        let mut left = n - here;
        if left > 0 && left < ROOM as u64 {
            // Small: what is behind it is read in the same call.
            while (self.rest().len() as u64) < left {
                if !self.read().await? {
                    return Err("a body was cut short".into());
                }
            }
            self.taken += left as usize;
            return Ok(());
        }
        // With TRUNC, TCP drops the bytes and writes nothing here; the slice only says how many at most.
        let mut nowhere = vec![0; if left > 0 { BLOCK } else { 0 }];
        while left > 0 {
            let most = left.min(BLOCK as u64) as usize;
            let took = self
                .stream
                .async_io(Interest::READABLE, || Ok(recv(&self.stream, &mut nowhere[..most], RecvFlags::TRUNC)?.1));
            match took.await? {
                0 => return Err("a body was cut short".into()),
                took => left -= took as u64,
            }
        }
        Ok(())
    }

    /// Sends a body of so many bytes; chunked, a multiple of 256 KiB.
    pub async fn send_body(&mut self, n: u64, chunked: bool) -> io::Result<()> {
        send_body(&mut self.stream, n, chunked).await
    }

    /// Sends one body while it reads another, of the same length.
    pub async fn exchange_bodies(&mut self, n: u64) -> Outcome<()> {
        let here = n.min(self.rest().len() as u64);
        self.taken += here as usize;
        let (mut read, mut write) = self.stream.split();
        let reading = async {
            let (mut left, mut room) = (n - here, vec![0; BLOCK]);
            while left > 0 {
                // No further: what follows the body is the next message.
                let most = left.min(BLOCK as u64) as usize;
                match read.read(&mut room[..most]).await? {
                    0 => return Err("a body was cut short".into()),
                    took => left -= took as u64,
                }
            }
            Outcome::Ok(())
        };
        let writing = async { Ok(send_body(&mut write, n, false).await?) };
        tokio::try_join!(reading, writing).map(|_| ())
    }
}

async fn send_body(to: &mut (impl AsyncWriteExt + Unpin), n: u64, chunked: bool) -> io::Result<()> {
    let block = if chunked { chunks::block() } else { vec![b'x'; BLOCK] };
    let mut left = n;
    while left > 0 {
        let part = left.min(BLOCK as u64);
        to.write_all(if chunked { &block } else { &block[..part as usize] }).await?;
        left -= part;
    }
    if chunked { to.write_all(b"0\r\n\r\n").await } else { Ok(()) }
}

fn parse(head: &[u8]) -> Head {
    let mut lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let start_line = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    // A request without a length has no body, a response goes on until its end.
    let mut length = if start_line.starts_with("HTTP/") { Length::UntilClose } else { Length::Bytes(0) };
    let mut closes = start_line.starts_with("HTTP/1.0");
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = std::str::from_utf8(value).unwrap_or("");
            length = digits.parse().map_or(length, Length::Bytes);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            length = Length::Chunked;
        } else if name.eq_ignore_ascii_case(b"connection") {
            closes |= value.eq_ignore_ascii_case(b"close");
        }
    }
    Head { start_line, length, closes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let head = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\nConnection: close");
        assert_eq!((head.status(), head.length, head.closes), ("200", Length::Bytes(12), true));
        assert_eq!(parse(b"GET / HTTP/1.1\r\nHost: a").length, Length::Bytes(0));
        assert_eq!(parse(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked").length, Length::Chunked);
        assert_eq!(parse(b"HTTP/1.1 200 OK").length, Length::UntilClose);
    }
}
