//! Connections to backends: TCP, sockets in the file system, TLS.
//!
//! Promises: every dial ends at a deadline; over TLS the backend has shown a certificate for the host that the
//! configuration names, signed by whom the configuration believes.
//! Deliberately does not: resolve names, or keep connections.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{TlsConnector, TlsStream};
use tracing::warn;

use crate::config::UpstreamTls;
use crate::config::certificate::{provider, read_certificates, roots};

use super::opening::Protocol;
use super::stream::Stream;

/// Connects to `address` within `deadline`.
pub async fn tcp(address: SocketAddr, deadline: Duration) -> io::Result<Stream> {
    let stream = tokio::time::timeout(deadline, TcpStream::connect(address)).await.map_err(late)??;
    stream.set_nodelay(true)?;
    Ok(Stream::Tcp(stream))
}

/// Connects to the socket at `path` within `deadline`.
pub async fn unix(path: &Path, deadline: Duration) -> io::Result<Stream> {
    tokio::time::timeout(deadline, UnixStream::connect(path)).await.map_err(late)?.map(Stream::Unix)
}

/// What a dial ends with that took longer than it may.
pub fn late(_: tokio::time::error::Elapsed) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "connecting took too long")
}

/// How TLS is spoken with one upstream. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    both: TlsConnector,
    http1: TlsConnector,
}

/// What may be spoken over TLS; the backend chooses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offer {
    /// HTTP/2 or HTTP/1.1.
    Both,
    /// HTTP/1.1 alone.
    Http1,
}

impl Connector {
    /// Speaks TLS as `tls` says. Reads files.
    pub fn new(tls: &UpstreamTls) -> io::Result<Self> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous() // the one way to name a verifier: both below are the library's own
            .with_custom_certificate_verifier(verifier(tls)?);
        let mut config = match &tls.client {
            Some(client) => {
                let pair = client.load().map_err(io::Error::other)?;
                config.with_client_cert_resolver(Arc::new(Shown(pair)))
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1 = Arc::new(config.clone()).into();
        config.alpn_protocols.insert(0, b"h2".to_vec());
        Ok(Self { both: Arc::new(config).into(), http1 })
    }

    /// Shakes hands with `host` over `stream`; tells what was agreed to be spoken. The caller keeps time.
    pub async fn connect(&self, host: &str, stream: Stream, offer: Offer) -> io::Result<(Stream, Protocol)> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = match offer {
            Offer::Both => &self.both,
            Offer::Http1 => &self.http1,
        };
        let stream = connector.connect(name, stream).await?;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            Some(_) | None => Protocol::Http1,
        };
        Ok((Stream::Tls(Box::new(TlsStream::Client(stream))), protocol))
    }
}

fn verifier(tls: &UpstreamTls) -> io::Result<Arc<dyn ServerCertVerifier>> {
    let roots = if let Some(file) = &tls.ca {
        read_certificates(file).and_then(roots).map_err(io::Error::other)?
    } else {
        match Verifier::new(provider()) {
            Ok(verifier) => return Ok(Arc::new(verifier)),
            Err(error) => {
                warn!(%error, "the system has no roots; the built-in ones are believed instead");
                webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
            }
        }
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    Ok(verifier.map_err(io::Error::other)?)
}

/// The one certificate that is shown to whoever asks for one.
#[derive(Debug)]
pub struct Shown(pub Arc<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
