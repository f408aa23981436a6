//! A forward proxy on 127.0.0.1:3128: `curl -x http://127.0.0.1:3128 http://example.com/`.

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3128").await?;
    sluicegate::Proxy::new().serve(listener).await
}
