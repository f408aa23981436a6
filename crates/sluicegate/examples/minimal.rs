//! A forward proxy on 127.0.0.1:3128.

use sluicegate::{Proxy, transport::Listener};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = std::net::TcpListener::bind("127.0.0.1:3128")?;
    Proxy::builder().build()?.serve(Listener::new(listener)?, std::future::pending()).await;
    Ok(())
}
