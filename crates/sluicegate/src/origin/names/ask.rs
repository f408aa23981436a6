//! Both questions about one name, asked of one server over one socket: that it is one keeps a look-up within the
//! descriptor that its client has for its origin.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_proto::rr::RecordType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Duration, Instant, timeout_at};

use super::message::{LONGEST, Question, Reply};

/// How long the other family is waited for once one has addresses (RFC 8305 §3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// What was asked of one server, and what it has answered.
#[derive(Debug)]
pub(super) struct Inquiry {
    pub(super) server: SocketAddr,
    socket: Socket,
    questions: Vec<Question>,
    /// One for each.
    answers: Vec<Option<Reply>>,
    begun: Instant,
    patience: Duration,
    deadline: Instant,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    /// To be connected.
    Tcp,
    Stream(Framed),
}

/// Messages over TCP, each behind its length (RFC 1035 §4.2.2).
#[derive(Debug)]
struct Framed {
    stream: TcpStream,
    /// Of the message that is coming.
    length: Option<usize>,
    /// Bytes that nobody wants.
    skip: usize,
}

/// How far it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// All families have answered.
    All,
    /// One family has addresses; the other has not answered within [`RESOLUTION_DELAY`], or will not.
    Some,
    /// Nothing of use in time.
    Silence,
}

impl Inquiry {
    /// Asks `server` for the families of a name, two at most.
    ///
    /// # Errors
    /// There is no way to it, or no descriptor left.
    pub(super) async fn ask(
        server: SocketAddr,
        questions: Vec<Question>,
        patience: Duration,
        tcp: bool,
    ) -> io::Result<Self> {
        let begun = Instant::now();
        let socket = if tcp { Socket::Tcp } else { Socket::Udp(udp(server).await?) };
        if let Socket::Udp(udp) = &socket {
            for question in &questions {
                udp.send(&question.bytes).await?;
            }
        }
        let deadline = begun.checked_add(patience).unwrap_or(begun);
        let answers = questions.iter().map(|_| None).collect();
        Ok(Self { server, socket, questions, answers, begun, patience, deadline, buffer: Vec::new() })
    }

    /// Waits until there is enough to go on with. Cancel-safe.
    ///
    /// # Errors
    /// As [`Inquiry::ask`]; or nobody listens there.
    pub(super) async fn hear(&mut self) -> io::Result<Heard> {
        let mut early: Option<Instant> = None;
        while !self.is_answered() {
            if early.is_none() && self.has_addresses() {
                early = Instant::now().checked_add(RESOLUTION_DELAY);
            }
            let until = early.map_or(self.deadline, |early| early.min(self.deadline));
            match timeout_at(until, self.next()).await {
                Ok(Ok(())) => {}
                _ if self.has_addresses() => return Ok(Heard::Some),
                Ok(Err(error)) => return Err(error),
                Err(_late) => return Ok(Heard::Silence),
            }
        }
        Ok(Heard::All)
    }

    /// Waits for what [`Heard::Some`] left out, as long as the server may take.
    pub(super) async fn hear_out(&mut self) {
        while !self.is_answered() {
            if !matches!(timeout_at(self.deadline, self.next()).await, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// What was asked, and what was answered.
    pub(super) fn answers(&self) -> impl Iterator<Item = (RecordType, Option<&Reply>)> {
        self.questions.iter().map(Question::family).zip(self.answers.iter().map(Option::as_ref))
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn is_answered(&self) -> bool {
        self.answers.iter().all(Option::is_some)
    }

    fn has_addresses(&self) -> bool {
        self.answers.iter().any(|answer| matches!(answer, Some(Reply::Addresses(..))))
    }

    /// Waits for one more answer. Cancel-safe: what has come of a message stays in the buffer.
    async fn next(&mut self) -> io::Result<()> {
        loop {
            match &mut self.socket {
                Socket::Udp(socket) => {
                    self.buffer.clear();
                    self.buffer.reserve_exact(LONGEST);
                    socket.recv_buf(&mut self.buffer).await?;
                }
                Socket::Tcp => {
                    let open = self.questions.iter().zip(&self.answers).filter(|(_, answer)| answer.is_none());
                    let framed = Framed::connect(self.server, open.map(|(question, _)| &*question.bytes)).await?;
                    self.buffer.clear();
                    self.socket = Socket::Stream(framed);
                    continue;
                }
                Socket::Stream(framed) => framed.read(&mut self.buffer).await?,
            }
            if self.take() {
                return Ok(());
            }
        }
    }

    /// Whether what came is an answer. Anything else (a wrong number, another question) is passed over: a stranger may
    /// have sent it.
    fn take(&mut self) -> bool {
        let open = self.questions.iter().zip(&mut self.answers).filter(|(_, answer)| answer.is_none());
        let found = open.filter_map(|(question, slot)| Some((question.answer(&self.buffer)?, slot))).next();
        let Some((answer, slot)) = found else { return false };
        match (&self.socket, answer) {
            (Socket::Udp(_), Reply::Truncated) => {
                // The same question again, and the other with it if that is open (RFC 7766 §5).
                self.socket = Socket::Tcp;
                self.deadline = Instant::now().checked_add(self.patience).unwrap_or(self.deadline);
            }
            (_, Reply::Truncated) => *slot = Some(Reply::Rejected("a truncated answer over TCP")),
            (_, answer) => *slot = Some(answer),
        }
        true
    }
}

async fn udp(server: SocketAddr) -> io::Result<UdpSocket> {
    let any = if server.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Only the server's datagrams come then, and that nobody listens there is an error of the socket.
    socket.connect(server).await?;
    Ok(socket)
}

impl Framed {
    async fn connect(server: SocketAddr, messages: impl Iterator<Item = &[u8]>) -> io::Result<Self> {
        let mut stream = TcpStream::connect(server).await?;
        let mut bytes = Vec::new();
        for message in messages {
            bytes.extend_from_slice(&u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend_from_slice(message);
        }
        stream.write_all(&bytes).await?;
        Ok(Self { stream, length: None, skip: 0 })
    }

    /// Reads the first [`LONGEST`] bytes of a message into `buffer`. Cancel-safe.
    async fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        if self.length.is_none() && self.skip == 0 {
            // What it holds was a message.
            buffer.clear();
        }
        loop {
            let wanted = match self.length {
                _ if self.skip > 0 => self.skip.min(LONGEST),
                Some(length) => length.min(LONGEST),
                None => 2,
            };
            let missing = if self.skip > 0 { wanted } else { wanted.saturating_sub(buffer.len()) };
            if self.skip > 0 {
                buffer.clear();
            }
            buffer.reserve_exact(missing);
            let read = (&mut self.stream).take(missing as u64).read_buf(buffer).await?;
            match self.length {
                _ if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ if self.skip > 0 => {
                    self.skip = self.skip.saturating_sub(read);
                    buffer.clear();
                }
                Some(length) if buffer.len() >= wanted => {
                    (self.skip, self.length) = (length.saturating_sub(wanted), None);
                    return Ok(());
                }
                None => {
                    if let Ok(length) = <[u8; 2]>::try_from(buffer.as_slice()) {
                        self.length = Some(usize::from(u16::from_be_bytes(length)));
                        buffer.clear();
                    }
                }
                Some(_) => {}
            }
        }
    }
}
