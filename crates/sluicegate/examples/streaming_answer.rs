//! A live page: <http://ADDRESS/events> tells every half second how many bytes the proxy has forwarded, as server-sent
//! events, for as long as somebody listens: `streaming_answer [ADDRESS]`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use sluicegate::{Body, Client, Policy, Proxy, Record, Request, Response, Route, Target, Verdict};

#[derive(Default)]
struct Live(Arc<AtomicU64>);

impl Policy for Live {
    async fn admit(&self, request: &mut Request<'_>, _client: &Client) -> Verdict {
        if !matches!((request.target(), request.path_and_query()), (Target::Origin(_), "/events")) {
            return Route::target().into();
        }
        let bytes = Arc::clone(&self.0);
        let body = Body::push(|mut sender| async move {
            loop {
                // Waits while the listener does not read; dropped when it goes.
                sender.send(format!("data: {}\n\n", bytes.load(Relaxed))).await?;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        Response::new(200, body).field("Content-Type", "text/event-stream").into()
    }

    fn ended(&self, record: &Record<'_>) {
        self.0.fetch_add(record.bytes_out, Relaxed);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:3128".into());
    let proxy = Proxy::builder().policy(Live::default()).build()?;
    Ok(proxy.serve(tokio::net::TcpListener::bind(address).await?).await?)
}
