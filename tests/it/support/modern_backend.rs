//! A backend of HTTP/2, of TLS, or on a socket in the file system, which answers with what it was asked.
//!
//! Promises: it is gone when it is dropped.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use super::pairs::Pair;

/// What was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    pub(crate) version: Version,
    pub(crate) method: String,
    /// The authority and path of HTTP/2, the target and `Host` of HTTP/1.1.
    pub(crate) target: String,
    pub(crate) host: Option<String>,
    pub(crate) body: Bytes,
    pub(crate) headers: http::HeaderMap,
}

#[derive(Clone, Default)]
struct Notes {
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

/// A running backend.
pub(crate) struct ModernBackend {
    address: SocketAddr,
    notes: Notes,
    runtime: Option<Runtime>,
}

impl Drop for ModernBackend {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl ModernBackend {
    /// HTTP/2 with prior knowledge.
    pub(crate) fn in_clear() -> Self {
        Self::start(|listener, notes| async move {
            while let Ok((stream, _)) = listener.accept().await {
                notes.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(http2(stream, notes.clone()));
            }
        })
    }

    /// HTTP/2 with prior knowledge, which refuses the first stream of each connection and closes in the middle of nothing.
    pub(crate) fn refusing_first() -> Self {
        Self::start(|listener, notes| async move {
            while let Ok((stream, _)) = listener.accept().await {
                notes.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await?;
                    let mut refused = false;
                    while let Some(accepted) = connection.accept().await {
                        let (_, mut respond) = accepted?;
                        if std::mem::replace(&mut refused, true) {
                            respond.send_response(Response::new(()), true)?;
                        } else {
                            respond.send_reset(h2::Reason::REFUSED_STREAM);
                        }
                    }
                    Ok::<_, h2::Error>(())
                });
            }
        })
    }

    /// TLS with this pair, speaking one of these protocols; a client must show `client` if there is one.
    pub(crate) fn over_tls(pair: &Pair, protocols: &[&str], client: Option<&Pair>) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        let builder = match client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(client.der()).expect("a root");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
        let mut config = builder.with_single_cert(vec![pair.der()], key).expect("a pair");
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::start(|listener, notes| async move {
            while let Ok((stream, _)) = listener.accept().await {
                notes.connections.fetch_add(1, Ordering::Relaxed);
                let (acceptor, notes) = (acceptor.clone(), notes.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    match stream.get_ref().1.alpn_protocol() {
                        Some(b"h2") => http2(stream, notes).await,
                        Some(_) | None => http1(stream, notes).await,
                    }
                });
            }
        })
    }

    /// HTTP/1.1 on a socket at `path`.
    pub(crate) fn at_path(path: &Path) -> Self {
        let path = path.to_owned();
        Self::start(|_, notes| async move {
            let listener = UnixListener::bind(path).expect("bound");
            while let Ok((stream, _)) = listener.accept().await {
                notes.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(http1(stream, notes.clone()));
            }
        })
    }

    /// Its address; of one with a path it means nothing.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.notes.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.notes.connections.load(Ordering::Relaxed)
    }

    fn start<F: Future<Output = ()> + Send + 'static>(serve: impl FnOnce(TcpListener, Notes) -> F) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("bound");
        let (address, notes) = (listener.local_addr().expect("an address"), Notes::default());
        runtime.spawn(serve(listener, notes.clone()));
        Self { address, notes, runtime: Some(runtime) }
    }
}

async fn http1<I: AsyncRead + AsyncWrite + Unpin>(stream: I, notes: Notes) {
    let service = service_fn(move |request| answer(request, notes.clone()));
    // How a connection ends is told by what was asked on it.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn http2<I: AsyncRead + AsyncWrite + Unpin>(stream: I, notes: Notes) {
    let service = service_fn(move |request| answer(request, notes.clone()));
    drop(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
}

async fn answer(request: Request<Incoming>, notes: Notes) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let asked = Asked {
        version: head.version,
        method: head.method.to_string(),
        target: head.uri.to_string(),
        host: head.headers.get("host").map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned()),
        body: body.clone(),
        headers: head.headers,
    };
    notes.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    Ok(Response::new(Full::new(body)))
}
