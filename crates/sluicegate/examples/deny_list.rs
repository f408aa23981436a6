//! Nobody reaches the hosts of a file, one per line, nor their subdomains: `deny_list FILE [ADDRESS]`.

use std::collections::HashSet;

use sluicegate::{Client, Policy, Proxy, Request, Response, Route, Verdict};

struct DenyList(HashSet<String>);

impl DenyList {
    fn denies(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let mut names = std::iter::successors(Some(&*host), |name| Some(name.split_once('.')?.1));
        names.any(|name| self.0.contains(name))
    }
}

impl Policy for DenyList {
    async fn admit(&self, request: &mut Request<'_>, _client: &Client) -> Verdict {
        match request.host() {
            Some(host) if self.denies(host) => Response::new(403, format!("{host} is on this proxy's list.\n")).into(),
            _ => Route::target().into(),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("name a file with a host per line")?;
    let hosts = std::fs::read_to_string(file)?.lines().map(str::to_ascii_lowercase).collect();
    let listener = tokio::net::TcpListener::bind(args.next().unwrap_or("127.0.0.1:3128".into())).await?;
    let proxy = Proxy::builder().policy(DenyList(hosts)).build()?;
    Ok(proxy.serve(listener).await?)
}
