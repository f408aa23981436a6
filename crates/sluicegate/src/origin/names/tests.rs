//! The resolver against name servers that follow a script, on ports of their own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Notify;

use super::*;

/// What a server does about one name and family.
#[derive(Clone)]
enum Does {
    Says(Vec<IpAddr>, u32),
    /// With an SOA of so many seconds.
    Denies(ResponseCode, Option<u32>),
    Nothing,
    /// Over UDP; what it says over TCP.
    Truncates(Box<Does>),
    /// First with a wrong number and a wrong question.
    Lies(Box<Does>),
    Waits(Duration, Box<Does>),
    /// Until it is told to go on.
    Holds(Arc<Notify>, Box<Does>),
    Alias(&'static str),
}

use Does::{Alias, Denies, Holds, Lies, Nothing, Says, Truncates, Waits};

type Script = HashMap<(&'static str, RecordType), Does>;

/// A server on UDP and TCP; names that its script does not know do not exist.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, RecordType)>>>,
    tcp: Arc<AtomicUsize>,
    tasks: tokio::task::JoinSet<()>,
}

impl Server {
    async fn new(script: impl IntoIterator<Item = (&'static str, RecordType, Does)>) -> Self {
        let script: Arc<Script> = Arc::new(script.into_iter().map(|(name, kind, does)| ((name, kind), does)).collect());
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).await.unwrap();
        let (asked, count) = (Arc::default(), Arc::default());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(serve_udp(Arc::new(udp), Arc::clone(&script), Arc::clone(&asked)));
        tasks.spawn(serve_tcp(tcp, script, Arc::clone(&count)));
        Self { address, asked, tcp: count, tasks }
    }

    fn asked(&self) -> Vec<(String, RecordType)> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until it has been asked so often.
    async fn asked_times(&self, times: usize) {
        while self.asked().len() < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn stop(&mut self) {
        self.tasks.abort_all();
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, script: Arc<Script>, asked: Arc<Mutex<Vec<(String, RecordType)>>>) {
    loop {
        let mut bytes = [0; 1500];
        let (n, from) = socket.recv_from(&mut bytes).await.unwrap();
        let query = Message::from_vec(&bytes[..n]).unwrap();
        let key = key(&query);
        asked.lock().unwrap().push((key.0.trim_end_matches('.').to_owned(), key.1));
        let does = does(&script, &key);
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            for reply in replies(&query, does, false).await {
                socket.send_to(&reply, from).await.unwrap();
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, script: Arc<Script>, count: Arc<AtomicUsize>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        count.fetch_add(1, Relaxed);
        let script = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok(length) = stream.read_u16().await {
                let mut bytes = vec![0; length.into()];
                stream.read_exact(&mut bytes).await.unwrap();
                let query = Message::from_vec(&bytes).unwrap();
                for reply in replies(&query, does(&script, &key(&query)), true).await {
                    let framed = [&u16::try_from(reply.len()).unwrap().to_be_bytes() as &[u8], &reply].concat();
                    for piece in framed.chunks(framed.len() / 3 + 1) {
                        stream.write_all(piece).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                }
            }
        });
    }
}

fn key(query: &Message) -> (String, RecordType) {
    (query.queries[0].name.to_ascii(), query.queries[0].query_type)
}

fn does(script: &Script, (name, kind): &(String, RecordType)) -> Does {
    let name = name.trim_end_matches('.');
    let found = script.iter().find(|((known, of), _)| *known == name && of == kind);
    found.map_or(Denies(ResponseCode::NXDomain, Some(60)), |(_, does)| does.clone())
}

async fn replies(query: &Message, mut does: Does, tcp: bool) -> Vec<Vec<u8>> {
    let mut reply = Message::new(query.metadata.id, MessageType::Response, query.metadata.op_code);
    reply.metadata.recursion_available = true;
    reply.add_query(query.queries[0].clone());
    let name = query.queries[0].name.clone();
    let mut lies = Vec::new();
    loop {
        match does {
            Nothing => return lies,
            Waits(time, then) => {
                tokio::time::sleep(time).await;
                does = *then;
            }
            Holds(until, then) => {
                until.notified().await;
                does = *then;
            }
            Truncates(then) if tcp => does = *then,
            Truncates(_) => {
                reply.metadata.truncation = true;
                break;
            }
            Lies(then) => {
                let mut lie = reply.clone();
                lie.add_answer(Record::from_rdata(name.clone(), 60, RData::A(A::new(6, 6, 6, 6))));
                lie.metadata.id ^= 1;
                lies.push(lie.to_vec().unwrap());
                lie.metadata.id ^= 1;
                lie.queries[0].name = Name::from_ascii("other.test.").unwrap();
                lies.push(lie.to_vec().unwrap());
                does = *then;
            }
            Alias(target) => {
                let target = Name::from_ascii(target).unwrap();
                reply.add_answer(Record::from_rdata(name, 60, RData::CNAME(CNAME(target))));
                break;
            }
            Says(addresses, ttl) => {
                reply.add_answers(addresses.into_iter().map(|ip| Record::from_rdata(name.clone(), ttl, data(ip))));
                break;
            }
            Denies(code, soa) => {
                reply.metadata.response_code = code;
                let root = Name::root();
                reply.add_authorities(soa.map(|seconds| {
                    let soa = SOA::new(root.clone(), root.clone(), 1, 1, 1, 1, seconds);
                    Record::from_rdata(root, seconds, RData::SOA(soa))
                }));
                break;
            }
        }
    }
    lies.push(reply.to_vec().unwrap());
    lies
}

fn data(ip: IpAddr) -> RData {
    match ip {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    }
}

const V4: RecordType = RecordType::A;
const V6: RecordType = RecordType::AAAA;
const OK: ResponseCode = ResponseCode::NoError;

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|ip| ip.parse().unwrap()).collect()
}

fn says(list: &[&str]) -> Does {
    Says(ips(list), 60)
}

fn nothing() -> Does {
    Denies(OK, Some(60))
}

/// A resolver with files of its own.
struct Machines {
    dir: PathBuf,
    resolver: Resolver,
}

impl Machines {
    fn new(servers: &[SocketAddr], resolv: &str, hosts: &str) -> Self {
        Self::with(Names { servers: servers.to_vec(), ..Names::default() }, resolv, hosts)
    }

    fn with(names: Names, resolv: &str, hosts: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Relaxed);
        let dir = std::env::temp_dir().join(format!("sluicegate-names-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("resolv"), resolv).unwrap();
        std::fs::write(dir.join("hosts"), hosts).unwrap();
        let machine = Arc::new(Machine::reading(dir.join("resolv"), dir.join("hosts"), &names));
        Self { dir, resolver: Resolver::new(machine) }
    }

    async fn of(server: &Server) -> Self {
        Self::new(&[server.address], "search .\n", "")
    }

    async fn find(&self, name: &str) -> Result<Vec<IpAddr>, Fault> {
        let looking = tokio::time::timeout(Duration::from_secs(60), self.resolver.lookup(name));
        let mut found = looking.await.expect("a look-up ends")?.addresses;
        found.sort();
        Ok(found)
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[tokio::test]
async fn fifty_clients_and_one_cold_name_are_two_questions() {
    let slow = |ip| Waits(Duration::from_millis(100), Box::new(says(&[ip])));
    let server = Server::new([("cold.test", V4, slow("10.0.0.1")), ("cold.test", V6, slow("::2"))]).await;
    let machine = Machines::of(&server).await;
    let all = futures_util::future::join_all((0..50).map(|_| machine.find("Cold.Test"))).await;
    assert!(all.iter().all(|found| *found == Ok(ips(&["10.0.0.1", "::2"]))), "{all:?}");
    assert_eq!(machine.find("cold.test").await, Ok(ips(&["10.0.0.1", "::2"])));
    assert_eq!(server.asked().len(), 2, "{:?}", server.asked());
}

#[tokio::test]
async fn what_does_not_exist_is_remembered_and_so_is_a_family_that_is_absent() {
    let server = Server::new([("four.test", V4, says(&["10.0.0.1"])), ("four.test", V6, nothing())]).await;
    let machine = Machines::of(&server).await;
    for _ in 0..20 {
        assert_eq!(machine.find("no.test").await, Err(Fault::NoSuchName("no.test".to_owned())));
        assert_eq!(machine.find("four.test").await, Ok(ips(&["10.0.0.1"])));
    }
    assert_eq!(server.asked().len(), 4, "{:?}", server.asked());
}

#[tokio::test]
async fn without_a_term_nothing_is_remembered() {
    let server = Server::new([("no.test", V4, Denies(ResponseCode::NXDomain, None))]).await;
    let machine = Machines::of(&server).await;
    for _ in 0..3 {
        assert!(machine.find("no.test").await.is_err());
    }
    assert_eq!(server.asked().len(), 6);
}

/// A pin or block in the hosts file counts for both families, and nobody is asked.
#[tokio::test]
async fn hosts_go_first() {
    let server = Server::new([("pin.test", V6, says(&["::6"])), ("web", V4, says(&["10.0.0.6"]))]).await;
    let hosts = "10.0.0.1 pin.test web\n::1 six.test\n";
    let machine = Machines::new(&[server.address], "search lan.test\n", hosts);
    assert_eq!(machine.find("PIN.test").await, Ok(ips(&["10.0.0.1"])));
    assert_eq!(machine.find("web").await, Ok(ips(&["10.0.0.1"])));
    assert_eq!(machine.find("six.test").await, Ok(ips(&["::1"])));
    assert_eq!(machine.find("a.localhost").await, Ok(ips(&["127.0.0.1", "::1"])));
    assert!(server.asked().is_empty(), "{:?}", server.asked());
}

/// Both families are of one candidate: those of two would be two hosts.
#[tokio::test]
async fn candidates_are_never_mixed() {
    let script = [
        ("app.one.test", V6, says(&["::1"])),
        ("app.one.test", V4, nothing()),
        ("app.two.test", V4, says(&["10.0.0.2"])),
    ];
    let server = Server::new(script).await;
    let machine = Machines::new(&[server.address], "search one.test two.test\n", "");
    assert_eq!(machine.find("app").await, Ok(ips(&["::1"])));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn an_alias_of_nothing_ends_the_search() {
    let script = [
        ("app.one.test", V4, Alias("gone.test.")),
        ("app.one.test", V6, Alias("gone.test.")),
        ("app.two.test", V4, says(&["10.0.0.2"])),
    ];
    let server = Server::new(script).await;
    let machine = Machines::new(&[server.address], "search one.test two.test\n", "");
    assert!(machine.find("app").await.is_err());
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn one_servers_refusal_is_not_the_end() {
    for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotImp, ResponseCode::FormErr] {
        let bad = Server::new([("a.test", V4, Denies(code, None)), ("a.test", V6, Denies(code, None))]).await;
        let good = Server::new([("a.test", V4, says(&["10.0.0.1"])), ("a.test", V6, nothing())]).await;
        let machine = Machines::new(&[bad.address, good.address], "", "");
        assert_eq!(machine.find("a.test").await, Ok(ips(&["10.0.0.1"])), "{code}");
        let machine = Machines::new(&[bad.address], "search .\n", "");
        let said = machine.find("a.test").await.unwrap_err();
        assert!(matches!(&said, Fault::Dns(_, why) if why.contains("the name server 127.0.0.1:")), "{said:?}");
    }
}

/// An unreachable server costs nothing, and if there is no other, the client is told so at once.
#[tokio::test]
async fn nobody_listens() {
    let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let good = Server::new([("a.test", V4, says(&["10.0.0.1"])), ("a.test", V6, nothing())]).await;
    // Longer than [`Machines::find`] waits: no time-out is.
    let of = |servers: &[SocketAddr]| Names {
        servers: servers.to_vec(),
        timeout: Some(Duration::from_secs(600)),
        ..Names::default()
    };
    assert_eq!(Machines::with(of(&[nobody, good.address]), "", "").find("a.test").await, Ok(ips(&["10.0.0.1"])));
    let said = Machines::with(of(&[nobody]), "search a.test b.test\n", "").find("a").await.unwrap_err();
    assert!(matches!(&said, Fault::Dns(_, why) if why.contains("cannot be reached")), "{said:?}");
}

#[tokio::test]
async fn a_silent_server_costs_its_time_and_no_more() {
    let silent = Server::new([("a.test", V4, Nothing), ("a.test", V6, Nothing)]).await;
    let good = Server::new([("a.test", V4, says(&["10.0.0.1"])), ("a.test", V6, nothing())]).await;
    let machine = Machines::new(&[silent.address, good.address], "options timeout:1\n", "");
    assert_eq!(machine.find("a.test").await, Ok(ips(&["10.0.0.1"])));
    let machine = Machines::new(&[silent.address], "search .\noptions timeout:1 attempts:1\n", "");
    assert_eq!(machine.find("a.test").await, Err(Fault::DnsTimeout("a.test".to_owned())));
}

/// One family does not wait for the other, and what comes late is there for who waits for it.
#[tokio::test]
async fn a_slow_family_holds_nobody_up() {
    let go_on = Arc::new(Notify::new());
    let late = Holds(Arc::clone(&go_on), Box::new(says(&["::2"])));
    let script = [
        ("late.test", V4, says(&["10.0.0.1"])),
        ("late.test", V6, late),
        ("never.test", V4, says(&["10.0.0.1"])),
        ("never.test", V6, Nothing),
        ("fails.test", V4, says(&["10.0.0.1"])),
        ("fails.test", V6, Denies(ResponseCode::ServFail, None)),
    ];
    let server = Server::new(script).await;
    let machine = Machines::of(&server).await;
    assert_eq!(machine.find("never.test").await, Ok(ips(&["10.0.0.1"])));
    assert_eq!(machine.find("fails.test").await, Ok(ips(&["10.0.0.1"])));
    let found = machine.resolver.lookup("late.test").await.unwrap();
    go_on.notify_one();
    assert_eq!((found.addresses, found.later.unwrap().await), (ips(&["10.0.0.1"]), ips(&["::2"])));
    assert_eq!(machine.find("late.test").await, Ok(ips(&["10.0.0.1", "::2"])));
}

#[tokio::test]
async fn truncated_answers_and_lies() {
    let many: Vec<IpAddr> = (0..2000_u32).map(|n| Ipv4Addr::from(0x0a00_0000 + n).into()).collect();
    let script = [
        ("tc.test", V4, Truncates(Box::new(says(&["10.0.0.1"])))),
        ("tc.test", V6, says(&["::1"])),
        ("big.test", V4, Truncates(Box::new(Says(many, 60)))),
        ("big.test", V6, Truncates(Box::new(says(&["::1"])))),
        ("lies.test", V4, Lies(Box::new(says(&["10.0.0.1"])))),
        ("lies.test", V6, nothing()),
    ];
    let server = Server::new(script).await;
    let machine = Machines::of(&server).await;
    assert_eq!(machine.find("tc.test").await, Ok(ips(&["10.0.0.1", "::1"])));
    let big = machine.find("big.test").await.unwrap();
    assert!(big.len() == 17 && big.contains(&Ipv6Addr::LOCALHOST.into()), "{big:?}");
    assert_eq!(server.tcp.load(Relaxed), 2, "one connection each");
    assert_eq!(machine.find("lies.test").await, Ok(ips(&["10.0.0.1"])));
    let machine = Machines::new(&[server.address], "options use-vc\n", "");
    let before = server.asked().len();
    assert_eq!(machine.find("tc.test").await, Ok(ips(&["10.0.0.1", "::1"])));
    assert_eq!(server.asked().len(), before, "nothing over UDP");
}

/// Once nobody waits for it any more, a look-up is over.
#[tokio::test]
async fn the_last_that_leaves_ends_it() {
    let server = Server::new([("a.test", V4, Nothing), ("a.test", V6, Nothing)]).await;
    let machine = Machines::of(&server).await;
    let state = Arc::downgrade(&machine.resolver.state);
    let (mut one, mut two) = (Box::pin(machine.find("a.test")), Box::pin(machine.find("a.test")));
    tokio::select! { biased;
        found = &mut one => panic!("nobody has answered: {found:?}"),
        found = &mut two => panic!("nobody has answered: {found:?}"),
        () = server.asked_times(2) => {}
    }
    assert_eq!((state.strong_count(), server.asked().len()), (2, 2), "one look-up holds it beside the resolver");
    drop(one);
    assert_eq!(state.strong_count(), 2);
    drop(two);
    assert_eq!(state.strong_count(), 1);
}

/// RFC 8767: while servers fail, what was true a moment ago is better than nothing.
#[tokio::test]
async fn what_is_stale_is_served_while_servers_fail() {
    let mut server = Server::new([("a.test", V4, Says(ips(&["10.0.0.1"]), 1)), ("a.test", V6, nothing())]).await;
    let machine = Machines::of(&server).await;
    assert_eq!(machine.find("a.test").await, Ok(ips(&["10.0.0.1"])));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    server.stop();
    assert_eq!(machine.find("a.test").await, Ok(ips(&["10.0.0.1"])));
    assert!(machine.find("b.test").await.is_err());
}

#[tokio::test]
async fn what_another_configuration_has_found_is_forgotten() {
    let one = Server::new([("a.test", V4, says(&["10.0.0.1"])), ("a.test", V6, nothing())]).await;
    let machine = Machines::of(&one).await;
    assert_eq!(machine.find("a.test").await, Ok(ips(&["10.0.0.1"])));
    std::fs::write(machine.dir.join("hosts"), "10.9.9.9 a.test\n").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(machine.find("a.test").await, Ok(ips(&["10.9.9.9"])));
    std::fs::write(machine.dir.join("hosts"), "").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(machine.find("a.test").await, Ok(ips(&["10.0.0.1"])));
    assert_eq!(one.asked().len(), 4, "asked anew");
}

/// A kept connection is compared with what is known now; that nobody knows speaks neither for it nor against it.
#[tokio::test]
async fn where_a_name_leads_is_here_elsewhere_or_unknown() {
    use crate::origin::{Leads, leads};
    let slow = Waits(Duration::from_millis(200), Box::new(says(&["10.0.0.4"])));
    let server = Server::new([
        ("web.test", V4, says(&["10.0.0.1"])),
        ("web.test", V6, nothing()),
        ("late.test", V6, says(&["::1"])),
        ("late.test", V4, slow),
        ("mute.test", V4, Nothing),
        ("mute.test", V6, Nothing),
    ])
    .await;
    let machine = Machines::new(&[server.address], "", "10.0.0.7 pin.test\n");
    let ask =
        async |name, ip: &str| leads(&machine.resolver, sluicegate_http1::Host::Name(name), ip.parse().unwrap()).await;
    for (name, ip, found) in [
        ("web.test", "10.0.0.1", Leads::Here),
        ("WEB.test", "10.0.0.2", Leads::Elsewhere),
        ("late.test", "10.0.0.4", Leads::Here),
        ("no.test", "10.0.0.1", Leads::Elsewhere),
        ("mute.test", "10.0.0.1", Leads::Unknown),
        ("pin.test", "10.0.0.7", Leads::Here),
        ("pin.test", "10.0.0.1", Leads::Elsewhere),
    ] {
        assert_eq!(ask(name, ip).await, found, "{name} {ip}");
    }
    // Whoever has a connection has no descriptor to ask with.
    let _none = machine.resolver.machine.spare.try_acquire_many(u32::try_from(SPARE).unwrap()).unwrap();
    assert_eq!(ask("web.test", "10.0.0.1").await, Leads::Here, "it is remembered");
    assert_eq!(ask("mute.test", "10.0.0.1").await, Leads::Elsewhere);
}

#[tokio::test]
async fn a_family_that_is_not_to_be_asked_for_is_not() {
    let server = Server::new([("web.test", V4, says(&["10.0.0.1"])), ("web.test", V6, says(&["::1"]))]).await;
    let machine = Machines::new(&[server.address], "options no-aaaa\n", "::5 six.test\n");
    assert_eq!(machine.find("web.test").await, Ok(ips(&["10.0.0.1"])));
    assert_eq!(machine.find("six.test").await, Ok(ips(&["::5"])));
    assert_eq!(server.asked(), [("web.test".to_owned(), V4)]);
}

/// The log says that a server was asked, or was not.
#[tokio::test]
async fn what_asked_nobody_says_so() {
    let server = Server::new([("web.test", V4, says(&["10.0.0.1"])), ("web.test", V6, nothing())]).await;
    let machine = Machines::new(&[server.address], "", "10.0.0.7 pin.test\n");
    for (name, is_known) in [("web.test", false), ("web.test", true), ("pin.test", true), ("localhost", true)] {
        let found = machine.resolver.lookup(name).await.unwrap();
        assert_eq!(found.is_known, is_known, "{name}");
    }
}
