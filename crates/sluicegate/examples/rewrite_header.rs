//! Says less about its users: one `User-Agent` for all, no `Referer`, and no `Server` on the way back:
//! `rewrite_header [ADDRESS]`.

use sluicegate::{Client, EditError, OriginResponse, Policy, Proxy, Request, Route, Verdict};

struct Discreet;

fn edit(request: &mut Request<'_>) -> Result<Route, EditError> {
    request.set("User-Agent", "Mozilla/5.0")?;
    request.remove("Referer")?;
    Ok(Route::target())
}

impl Policy for Discreet {
    async fn admit(&self, request: &mut Request<'_>, _client: &Client) -> Verdict {
        // A head that would become larger than it may be cannot be changed: then the client is told.
        edit(request).map_or_else(Verdict::from, Verdict::Forward)
    }

    fn respond(&self, response: &mut OriginResponse<'_>, _client: &Client) {
        // Nor can this, in a head that is as large as it may be: then it stays.
        let _ = response.remove("Server");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:3128".into());
    let proxy = Proxy::builder().policy(Discreet).build()?;
    Ok(proxy.serve(tokio::net::TcpListener::bind(address).await?).await?)
}
