//! A proxy that is spoken to in TLS, and says by which of its names: `tls CERTIFICATES KEY [ADDRESS]` (files in PEM).
#![allow(clippy::print_stdout, reason = "that is its purpose")]

use std::sync::Arc;

use sluicegate::transport::{Socket, Stream};
use sluicegate::{Client, Proxy, Request, Route, Verdict};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// What the handshake has learnt of a client.
struct AskedFor(Option<String>);

fn say(request: &mut Request<'_>, client: &Client) -> Verdict {
    let name = client.get::<AskedFor>().and_then(|asked| asked.0.as_deref());
    println!("{} asks for {}", name.unwrap_or("somebody"), request.host().unwrap_or("the proxy itself"));
    Verdict::Forward(Route::target())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (certificates, key) = (args.next().ok_or("no CERTIFICATES")?, args.next().ok_or("no KEY")?);
    let certificates = CertificateDer::pem_file_iter(certificates)?.collect::<Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder().with_no_client_auth();
    let tls = TlsAcceptor::from(Arc::new(config.with_single_cert(certificates, PrivateKeyDer::from_pem_file(key)?)?));
    let handshake = move |tcp, client: Client| {
        let tls = tls.clone();
        async move {
            let socket = Socket::new(tcp)?;
            let stream = tls.accept(socket.clone()).await?;
            let name = AskedFor(stream.get_ref().1.server_name().map(str::to_owned));
            Ok((Stream::new(stream).over(socket), client.over_tls().with(name)))
        }
    };
    let listener = tokio::net::TcpListener::bind(args.next().unwrap_or("127.0.0.1:3129".into())).await?;
    Ok(Proxy::builder().policy(say).build()?.serve(listener).handshake(handshake).await?)
}
