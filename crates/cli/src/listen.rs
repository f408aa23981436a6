//! Listening sockets: one group per address, one member per worker.
//!
//! The first member is bound without SO_REUSEPORT, so that a port in use is an error and not a
//! port shared with a stranger; only then it gets SO_REUSEPORT and the others join it. None
//! listens before all are bound: what fails, fails before a client has been accepted.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use crate::args::Listen;
use crate::descriptors::advice;

/// Clients that the kernel keeps in waiting for each socket.
const BACKLOG: i32 = 1024;

/// How often `localhost:0` looks for a port that is free in both families.
const TRIES: usize = 32;

/// Where the kernel spreads the clients of a group over its members. Elsewhere the workers share
/// one socket.
const HAS_GROUPS: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Sockets that listen.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// With the real ports.
    pub(crate) addresses: Vec<SocketAddr>,
    /// One list per worker, in the order of `addresses`.
    pub(crate) sockets: Vec<Vec<TcpListener>>,
}

impl Listeners {
    /// Listens on all of `listen`, for each of `workers`.
    ///
    /// # Errors
    /// What cannot be listened on, why, and what to do about it.
    pub(crate) fn bind(listen: &[Listen], workers: usize) -> anyhow::Result<Self> {
        let mut groups = Vec::new();
        for listen in listen {
            match *listen {
                Listen::Address(address) => {
                    groups.push(Group::bind(address, workers).map_err(|e| explain(e, address))?)
                }
                Listen::Localhost(port) => groups.extend(localhost(port, workers)?),
            }
        }
        let addresses = groups.iter().map(|group| group.address).collect();
        let mut sockets: Vec<Vec<TcpListener>> = std::iter::repeat_with(Vec::new).take(workers).collect();
        for group in groups {
            let members = group.listen().map_err(|(e, address)| explain(e, address))?;
            for (worker, socket) in sockets.iter_mut().zip(members) {
                worker.push(socket);
            }
        }
        Ok(Self { addresses, sockets })
    }
}

/// The sockets of one address.
struct Group {
    address: SocketAddr,
    members: Vec<Socket>,
}

impl Group {
    fn bind(address: SocketAddr, workers: usize) -> io::Result<Self> {
        let first = socket(address)?;
        first.bind(&address.into())?;
        let real = first.local_addr()?.as_socket().unwrap_or(address);
        if workers > 1 && HAS_GROUPS {
            first.set_reuse_port(true)?;
        }
        let others = (1..workers).map(|_| Self::another(&first, real)).collect::<io::Result<Vec<_>>>()?;
        let members = std::iter::once(first).chain(others).collect();
        Ok(Self { address: real, members })
    }

    fn another(first: &Socket, real: SocketAddr) -> io::Result<Socket> {
        if !HAS_GROUPS {
            return first.try_clone();
        }
        let member = socket(real)?;
        member.set_reuse_port(true)?;
        member.bind(&real.into())?;
        Ok(member)
    }

    /// One socket per worker, listening.
    fn listen(self) -> Result<impl Iterator<Item = TcpListener>, (io::Error, SocketAddr)> {
        let (address, members) = (self.address, self.members);
        for member in &members {
            member.listen(BACKLOG).map_err(|e| (e, address))?;
        }
        Ok(members.into_iter().map(TcpListener::from))
    }
}

/// A socket that can be bound although connections of a predecessor are still ending.
fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // Each family has its own listener, and an address its own meaning.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Both loopback addresses with the same port, or the one that this machine has.
fn localhost(port: u16, workers: usize) -> anyhow::Result<Vec<Group>> {
    let [v4, v6] = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    let mut tries = if port == 0 { TRIES } else { 1 };
    loop {
        tries = tries.saturating_sub(1);
        let first = if_there(Group::bind((v4, port).into(), workers)).map_err(|e| explain(e, (v4, port).into()))?;
        let port = first.as_ref().map_or(port, |group| group.address.port());
        match if_there(Group::bind((v6, port).into(), workers)) {
            // A free port of one family may be taken in the other.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            Err(error) => return Err(explain(error, (v6, port).into())),
            Ok(None) if first.is_none() => {
                anyhow::bail!("cannot listen on localhost:{port}: there is no loopback address")
            }
            Ok(second) => return Ok(first.into_iter().chain(second).collect()),
        }
    }
}

/// None if the machine has no such address, or not even its family.
fn if_there(bound: io::Result<Group>) -> io::Result<Option<Group>> {
    match bound {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable || is_no_family(&error) => Ok(None),
        bound => bound.map(Some),
    }
}

fn is_no_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}

/// What failed, and what to do about it.
fn explain(error: io::Error, address: SocketAddr) -> anyhow::Error {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "address already in use; stop what listens there or choose another port with --listen or --port".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; low ports need root or CAP_NET_BIND_SERVICE: choose a port over 1023".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; `ip address` shows those it has".to_owned()
        }
        _ if is_no_family(&error) => "this machine has no addresses of that kind (IPv6 switched off?)".to_owned(),
        _ => match advice(&error) {
            Some(advice) => format!("{error}; {advice}"),
            None => error.to_string(),
        },
    };
    anyhow::anyhow!("cannot listen on {address}: {why}")
}
