//! Who is slow? Prints for each exchange how long it waited for its client to read, and for its origin: `paused [ADDRESS]`.
#![allow(clippy::print_stdout, reason = "that is its purpose")]

use sluicegate::{Policy, Proxy, Record};

struct Paused;

impl Policy for Paused {
    fn ended(&self, record: &Record<'_>) {
        let Record { client, duration, paused_by_client, paused_by_origin, bytes_out, ended, .. } = record;
        let slow = match (paused_by_client, paused_by_origin) {
            (client, origin) if *client.max(origin) < duration.mul_f32(0.5) => "nobody",
            (client, origin) if client > origin => "the client",
            _ => "the origin",
        };
        println!(
            "{} {ended} {bytes_out} bytes in {duration:.1?}: {paused_by_client:.1?} for the client, \
             {paused_by_origin:.1?} for the origin; held up by {slow}",
            client.address
        );
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:3128".into());
    let proxy = Proxy::builder().policy(Paused).build()?;
    Ok(proxy.serve(tokio::net::TcpListener::bind(address).await?).await?)
}
