//! At most two requests at once for each client address, the others are told to try again: `per_client_limit [ADDRESS]`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use sluicegate::{Client, Policy, Proxy, Request, Response, Route, Verdict};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const AT_ONCE: usize = 2;

#[derive(Default)]
struct Limit(Mutex<HashMap<IpAddr, Arc<Semaphore>>>);

impl Limit {
    fn take(&self, client: IpAddr) -> Option<OwnedSemaphorePermit> {
        let mut all = self.0.lock().ok()?;
        all.retain(|_, permits| permits.available_permits() < AT_ONCE); // who holds none costs nothing
        Arc::clone(all.entry(client).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)))).try_acquire_owned().ok()
    }
}

impl Policy for Limit {
    async fn admit(&self, request: &mut Request<'_>, client: &Client) -> Verdict {
        let Some(permit) = self.take(client.address.ip()) else {
            return Response::new(429, "Too many requests at once.\n").field("Retry-After", "1").into();
        };
        request.extensions().insert(permit); // given back when the exchange is over, however it ends
        Route::target().into()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:3128".into());
    let proxy = Proxy::builder().policy(Limit::default()).build()?;
    Ok(proxy.serve(tokio::net::TcpListener::bind(address).await?).await?)
}
