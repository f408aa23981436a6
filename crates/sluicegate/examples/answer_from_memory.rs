//! A proxy that configures its own clients: browsers that are given the URL <http://ADDRESS/proxy.pac> send plain HTTP
//! through it and go elsewhere directly: `answer_from_memory [ADDRESS]`.

use sluicegate::{Client, Proxy, Request, Response, Route, Verdict};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:3128".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    let script = format!(
        "function FindProxyForURL(url, host) {{\n  return url.startsWith('http:') ? 'PROXY {local}; DIRECT' : 'DIRECT';\n}}\n"
    );
    // A request to the proxy itself names no host in its target, and none but the proxy's in Host.
    let policy = move |request: &mut Request<'_>, _client: &Client| match (request.target(), request.path_and_query()) {
        (sluicegate::Target::Origin(_), "/proxy.pac") => Verdict::Answer(
            Response::new(200, script.clone()).field("Content-Type", "application/x-ns-proxy-autoconfig"),
        ),
        _ => Verdict::Forward(Route::target()),
    };
    Ok(Proxy::builder().policy(policy).build()?.serve(listener).await?)
}
