//! Behind a load balancer that says for whom it asks (PROXY protocol, version 1): `proxy_protocol BALANCER [ADDRESS]`.
#![allow(clippy::print_stdout, reason = "that is its purpose")]

use std::io::{Error, Result};
use std::net::{IpAddr, SocketAddr};

use sluicegate::{Client, Proxy, Request, Route, Verdict};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Where `PROXY TCP4 192.0.2.1 192.0.2.9 55000 3128` says that the client is.
fn source(line: &str) -> Option<SocketAddr> {
    let mut words = line.strip_prefix("PROXY TCP")?.strip_suffix("\r\n")?.split(' ').skip(1);
    let (ip, _, port) = (words.next()?, words.next()?, words.next()?);
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
}

async fn handshake(mut tcp: TcpStream, mut client: Client, balancer: IpAddr) -> Result<(TcpStream, Client)> {
    let mut line = String::new(); // the first line, and nothing behind it; at most 107 bytes, says the protocol
    while client.address.ip() == balancer && line.len() < 107 && !line.ends_with("\r\n") {
        line.push(tcp.read_u8().await?.into());
    }
    client.address = source(&line).ok_or_else(|| Error::other("no load balancer says whose connection it is"))?;
    Ok((tcp, client))
}

fn say(request: &mut Request<'_>, client: &Client) -> Verdict {
    println!("{} asks for {}", client.address, request.host().unwrap_or("the proxy itself"));
    Verdict::Forward(Route::target())
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let balancer = args.next().ok_or("no BALANCER")?.parse()?;
    let listener = tokio::net::TcpListener::bind(args.next().unwrap_or("127.0.0.1:3128".into())).await?;
    let serve = Proxy::builder().policy(say).build()?.serve(listener);
    Ok(serve.handshake(move |tcp, client| handshake(tcp, client, balancer)).await?)
}
