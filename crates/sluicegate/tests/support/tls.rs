//! TLS of a test: a certificate that is made anew, and both sides' settings.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

const NAME: &str = "sluice.test";

/// A server that its clients trust.
#[derive(Clone)]
pub struct Tls {
    pub acceptor: TlsAcceptor,
    pub connector: TlsConnector,
    /// Its certificate and key, in PEM.
    pub files: [String; 2],
}

impl Tls {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = made.signing_key.serialize_der();
        let files = [pem("CERTIFICATE", &certificate), pem("PRIVATE KEY", &key)];
        let key = PrivateKeyDer::try_from(key).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let server = server.with_single_cert(vec![certificate.clone()], key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let client = client.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let client = client.with_no_client_auth();
        Self { acceptor: Arc::new(server).into(), connector: Arc::new(client).into(), files }
    }

    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> server::TlsStream<S> {
        self.acceptor.accept(stream).await.unwrap()
    }

    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> client::TlsStream<S> {
        self.connector.connect(ServerName::try_from(NAME).unwrap(), stream).await.unwrap()
    }
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----");
    for (n, three) in der.chunks(3).enumerate() {
        if n % 16 == 0 {
            text.push('\n');
        }
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let of = |digit: usize| char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]);
            text.push(if digit <= three.len() { of(digit) } else { '=' });
        }
    }
    text + &format!("\n-----END {label}-----\n")
}
