//! A test of a proxied program without a socket: client, proxy and origin are in this process, over duplex pipes.

use sluicegate::{Client, Connected, Connecting, Connector, Dial, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

/// Every origin, whatever its name: it answers with the request that it was sent.
struct Mirror;

impl Connector for Mirror {
    fn connect<'a>(&'a self, _dial: Dial<'a>) -> Connecting<'a> {
        Box::pin(async {
            let (near, mut far) = duplex(1024);
            tokio::spawn(async move {
                let mut request = vec![0; 1024];
                let n = far.read(&mut request).await?;
                request.truncate(n);
                far.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n").as_bytes()).await?;
                far.write_all(&request).await
            });
            Ok(Connected::named_by_operator(near, None))
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proxy = Proxy::builder().connector(Mirror).build()?;
    let (mut client, far) = duplex(1024);
    let serving = tokio::spawn(async move { proxy.serve_connection(far, Client::in_process()).await });
    client.write_all(b"GET http://no.such.host/path HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    drop(client);
    serving.await??;
    assert!(answer.contains("\r\n\r\nGET /path HTTP/1.1\r\nHost: no.such.host\r\nVia: 1.0 sluicegate-"), "{answer}");
    Ok(())
}
