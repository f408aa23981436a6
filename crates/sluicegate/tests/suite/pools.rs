//! For whom a connection was made: what a connector chose for one user is not another's.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::support::serving::Serving;
use crate::support::{Origin, Wire, get};
use sluicegate::{Client, Connected, Connecting, Connector, Dial, Fault, Policy, Proxy, Request, Route, Verdict};
use tokio::net::TcpSocket;

/// Chooses the source address by whoever asks.
struct BySource(fn(Connected) -> Connected);

impl Connector for BySource {
    fn connect<'a>(&'a self, dial: Dial<'a>) -> Connecting<'a> {
        Box::pin(async move {
            let from = match dial.pool() {
                Some(pool) => pool.len(),
                None => usize::from(dial.client().address.port() % 200),
            };
            let from = Ipv4Addr::new(127, 0, 1, u8::try_from(from).unwrap());
            let to = dial.check(dial.to_string().parse().unwrap())?;
            let failed = |error: std::io::Error| Fault::Connect(dial.to_string(), error.to_string());
            let socket = TcpSocket::new_v4().map_err(failed)?;
            socket.bind(SocketAddr::from((from, 0))).map_err(failed)?;
            let stream = socket.connect(to.address()).await.map_err(failed)?;
            Ok((self.0)(Connected::tcp(stream, to).map_err(failed)?))
        })
    }
}

fn ask(client: &mut Wire, origin: &Origin, user: &str) {
    let request = String::from_utf8(get(&origin.url("/"))).unwrap();
    client.send(request.replace("Host:", &format!("X-User: {user}\r\nHost:")));
    assert_eq!(client.response("GET").status(), 200);
    // Until its connection is quiet, nobody else could have what it leaves behind.
    std::thread::sleep(Duration::from_millis(350));
}

/// How many connections these users need, in this order, each over a connection of its own.
fn connections(users: &[&str], policy: impl Policy, made: fn(Connected) -> Connected) -> usize {
    let serving = Serving::start(Proxy::builder().policy(policy).connector(BySource(made)));
    let (origin, mut names) = (Origin::mirror(), users.to_vec());
    names.sort_unstable();
    names.dedup();
    let mut clients: Vec<Wire> = names.iter().map(|_| serving.client()).collect();
    for user in users {
        let which = names.iter().position(|name| name == user).unwrap();
        ask(&mut clients[which], &origin, user);
    }
    origin.connections()
}

fn anywhere(_: &mut Request<'_>, _: &Client) -> Verdict {
    Route::target().into()
}

fn by_user(request: &mut Request<'_>, _: &Client) -> Verdict {
    let user = request.head().fields().find(|field| field.name == b"X-User").unwrap();
    // Alice and Al are of one tenant.
    let tenant = String::from_utf8_lossy(user.value).chars().take(2).collect::<String>();
    Route::target().pool(if tenant == "al" { "tenant" } else { "other tenant" }).into()
}

#[test]
fn what_a_connector_made_is_its_clients() {
    assert_eq!(connections(&["alice", "bob", "alice", "bob"], anywhere, |made| made), 2);
}

#[test]
fn what_may_be_shared_is_shared() {
    assert_eq!(connections(&["alice", "bob", "alice"], anywhere, Connected::shared), 1);
}

/// After a failover everybody would stay with the second origin for as long as somebody asks.
#[test]
fn what_is_for_once_is_not_kept() {
    assert_eq!(connections(&["alice", "alice", "bob"], anywhere, Connected::once), 3);
}

#[test]
fn a_pool_is_shared_by_those_who_are_in_it() {
    let users = ["alice", "al", "bob", "alice", "ben", "al"];
    assert_eq!(connections(&users, by_user, |made| made), 2);
    // Also with a policy before or behind it that wants nothing, and one that sends to the same place by itself.
    assert_eq!(connections(&users, (anywhere, by_user), |made| made), 2);
    assert_eq!(connections(&users, (by_user, anywhere), |made| made), 2);
    assert_eq!(connections(&users, (by_user, by_user), |made| made), 2);
}

/// Without a connector too.
#[test]
fn pools_keep_connections_apart() {
    let serving = Serving::with(by_user);
    let origin = Origin::mirror();
    let (mut alice, mut bob) = (serving.client(), serving.client());
    for (client, user) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        ask(client, &origin, user);
        ask(client, &origin, user);
    }
    assert_eq!(origin.connections(), 2);
    // One client that is another user each time.
    ask(&mut bob, &origin, "alice");
    ask(&mut bob, &origin, "bob");
    assert_eq!(origin.connections(), 2);
}
