//! The loads. Each is bounded in time, checks every answer, and prints one JSON object.

mod bulk;
mod hold;
mod latency;
mod requests;

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::flags::Flags;
use crate::on_one_thread;
use crate::wire::{Outcome, Wire};

/// How much longer than asked a load may take: a body is finished, a slow proxy is waited for.
const GRACE: Duration = Duration::from_secs(30);

/// What all loads are told.
#[derive(Clone, Copy)]
pub struct Plan {
    pub proxy: SocketAddr,
    pub origin: SocketAddr,
    pub seconds: f64,
    pub connections: usize,
    /// Units of work at most.
    pub count: u64,
    /// Bytes of a body.
    pub size: u64,
    pub depth: usize,
    /// Requests per second, for `latency`.
    pub rate: f64,
    /// Without a handshake: what is connected to is the tunnel.
    pub raw: bool,
    /// A connection for each body, where the proxy keeps none and does not say so.
    pub fresh: bool,
}

impl Plan {
    fn of(flags: &Flags) -> Outcome<Self> {
        Ok(Self {
            proxy: flags.address("proxy")?,
            origin: flags.address("origin")?,
            seconds: flags.get("seconds", 1.0)?,
            connections: flags.get("connections", 1)?,
            count: flags.get("count", u64::MAX)?,
            size: flags.get("size", 1024)?,
            depth: flags.get("depth", 16)?,
            rate: flags.get("rate", 2000.0)?,
            raw: flags.is_set("raw"),
            fresh: flags.is_set("fresh"),
        })
    }

    /// A request by way of the proxy.
    pub fn request(&self, method: &str, path: &str, fields: &str) -> Vec<u8> {
        let origin = self.origin;
        format!(
            "{method} http://{origin}/{path} HTTP/1.1\r\nHost: {origin}\r\nUser-Agent: sluicegate-bench\r\n\
             Accept: */*\r\n{fields}\r\n"
        )
        .into_bytes()
    }

    /// A connection to the origin through a tunnel of the proxy.
    pub async fn tunnel(&self) -> Outcome<Wire> {
        let mut wire = Wire::open(self.proxy).await?;
        if !self.raw {
            let origin = self.origin;
            wire.send(format!("CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\n\r\n").as_bytes()).await?;
            let head = wire.head().await?.ok_or("the connection was closed instead of an answer to CONNECT")?;
            if head.status() != "200" {
                return Err(format!("the answer to CONNECT was `{}`", head.start_line).into());
            }
        }
        Ok(wire)
    }

    /// A request inside a tunnel.
    pub fn inner_request(&self, method: &str, path: &str, fields: &str) -> Vec<u8> {
        format!("{method} /{path} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", self.origin).into_bytes()
    }
}

pub fn run(flags: &Flags) -> Outcome<()> {
    let plan = Plan::of(flags)?;
    let bounded = Duration::from_secs_f64(plan.seconds) + GRACE;
    match flags.word(1) {
        "small" => within(bounded, requests::small(plan)),
        "conn" => within(bounded, requests::conn(plan)),
        "pipeline" => within(bounded, requests::pipeline(plan)),
        "download" => within(bounded, bulk::download(plan, false)),
        "chunked" => within(bounded, bulk::download(plan, true)),
        "upload" => within(bounded, bulk::upload(plan, flags.is_set("chunked"))),
        "tunnel" => within(bounded, bulk::tunnel(plan, bulk::Way::of(flags.word(2))?)),
        "connect" => within(bounded, requests::connect(plan)),
        "latency" => latency::run(plan),
        "idle" => within(bounded, hold::idle(plan)),
        "slow" => within(bounded, hold::slow(plan)),
        "gone" => within(bounded, hold::gone(plan, flags.get("behind", 0)?)),
        other => Err(format!("`{other}` is no load").into()),
    }
}

fn within(bounded: Duration, load: impl Future<Output = Outcome<()>>) -> Outcome<()> {
    on_one_thread(async {
        let late = |_| format!("the load was not done after {} s", bounded.as_secs());
        tokio::time::timeout(bounded, load).await.map_err(late)?
    })
}

/// Runs as many of these at once as there are connections, adds up the units that they report, and prints the sum.
async fn at_once<F>(plan: Plan, one: impl Fn(Turns) -> F) -> Outcome<()>
where
    F: Future<Output = Outcome<u64>> + Send + 'static,
{
    let began = Instant::now();
    let turns = Turns {
        until: began + Duration::from_secs_f64(plan.seconds),
        left: plan.count.div_ceil(plan.connections as u64),
    };
    let tasks: Vec<_> = (0..plan.connections).map(|_| tokio::spawn(one(turns))).collect();
    let mut units = 0;
    for task in tasks {
        units += task.await??;
    }
    println!("{{\"units\": {units}, \"seconds\": {:.6}}}", began.elapsed().as_secs_f64());
    Ok(())
}

/// How long one connection goes on.
#[derive(Clone, Copy)]
pub struct Turns {
    until: Instant,
    left: u64,
}

impl Turns {
    /// Whether there is time and number for another one.
    pub fn next(&mut self) -> bool {
        let more = self.left > 0 && Instant::now() < self.until;
        self.left = self.left.saturating_sub(1);
        more
    }
}
