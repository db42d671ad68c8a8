//! A client of HTTP/2 and of TLS: requests one after another on one connection, each with a deadline.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, NamedGroup, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::DEADLINE;
use super::gateway::Holder;

/// What goes wrong on the way.
pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// A reply, read to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What was agreed upon in a handshake.
#[derive(Clone, Debug)]
pub(crate) struct Agreed {
    pub(crate) protocol: Option<String>,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) version: Option<ProtocolVersion>,
    pub(crate) group: Option<NamedGroup>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        let response = match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body: body.collect().await?.to_bytes() })
    }
}

/// One connection, with a thread of its own that drives it.
pub(crate) struct Modern {
    runtime: Runtime,
    sender: Arc<Mutex<Sender>>,
    is_http2: bool,
    scheme: &'static str,
    host: String,
    pub(crate) agreed: Option<Agreed>,
}

async fn in_time<T>(what: impl Future<Output = T>) -> Result<T, Fault> {
    Ok(tokio::time::timeout(DEADLINE, what).await?)
}

impl Modern {
    /// HTTP/2 with prior knowledge.
    pub(crate) fn in_clear(address: SocketAddr) -> Result<Self, Fault> {
        let runtime = runtime()?;
        let sender = runtime.block_on(async { http2(in_time(TcpStream::connect(address)).await??).await })?;
        Ok(Self::on(runtime, Sender::Http2(sender), "http", "localhost", None))
    }

    /// Over TLS, asking for `host`; HTTP/2 if that was agreed upon, else HTTP/1.1.
    pub(crate) fn over_tls(address: SocketAddr, host: &str, config: &Arc<ClientConfig>) -> Result<Self, Fault> {
        let runtime = runtime()?;
        let (sender, agreed) = runtime.block_on(Self::shake(address, host, config))?;
        Ok(Self::on(runtime, sender, "https", host, Some(agreed)))
    }

    fn on(runtime: Runtime, sender: Sender, scheme: &'static str, host: &str, agreed: Option<Agreed>) -> Self {
        let is_http2 = matches!(sender, Sender::Http2(_));
        Self { runtime, sender: Arc::new(Mutex::new(sender)), is_http2, scheme, host: host.to_owned(), agreed }
    }

    async fn shake(address: SocketAddr, host: &str, config: &Arc<ClientConfig>) -> Result<(Sender, Agreed), Fault> {
        let stream = in_time(TcpStream::connect(address)).await??;
        let name = ServerName::try_from(host.to_owned())?;
        let stream = in_time(TlsConnector::from(Arc::clone(config)).connect(name, stream)).await??;
        let session = stream.get_ref().1;
        let certificates = session.peer_certificates().ok_or("no certificate")?;
        let agreed = Agreed {
            protocol: session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            certificate: certificates[0].clone().into_owned(),
            version: session.protocol_version(),
            group: session.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name),
        };
        let sender = match agreed.protocol.as_deref() {
            Some("h2") => Sender::Http2(http2(stream).await?),
            _ => Sender::Http1(http1(stream).await?),
        };
        Ok((sender, agreed))
    }

    /// A GET of `path` with the holder's token.
    pub(crate) fn get(&mut self, path: &str, holder: &Holder) -> Result<Answer, Fault> {
        self.ask(self.request(path).header("authorization", format!("Bearer {}", holder.token)), "")
    }

    /// A request of `path`, to be added to.
    pub(crate) fn request(&self, path: &str) -> http::request::Builder {
        if self.is_http2 {
            Request::builder().uri(format!("{}://{}{path}", self.scheme, self.host))
        } else {
            Request::builder().uri(path).header("host", &self.host)
        }
    }

    /// Sends a request, for the host that it names, and reads the reply.
    pub(crate) fn ask_for(&mut self, asked: &super::request::Request) -> Result<Answer, Fault> {
        let ((_, host), headers) = asked.headers.split_first().ok_or("no host")?;
        let request = Request::builder().method(&*asked.method);
        let request = if self.is_http2 {
            request.uri(format!("{}://{host}{}", self.scheme, asked.target))
        } else {
            request.uri(&asked.target).header("host", host)
        };
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        self.say(request.body(Full::from(asked.body.clone()))?)
    }

    /// Sends a request with this body and reads the reply.
    pub(crate) fn ask(&mut self, request: http::request::Builder, body: &str) -> Result<Answer, Fault> {
        self.say(request.body(Full::from(body.to_owned()))?)
    }

    fn say(&self, request: Request<Full<Bytes>>) -> Result<Answer, Fault> {
        let sender = Arc::clone(&self.sender);
        // On the thread that drives the connection: hyper never answers what another hands over while the connection ends.
        let asking = self.runtime.spawn(in_time(async move { sender.lock().await.ask(request).await }));
        Ok(self.runtime.block_on(asking)???)
    }
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

async fn http1<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: I,
) -> Result<http1::SendRequest<Full<Bytes>>, Fault> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn http2<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: I,
) -> Result<http2::SendRequest<Full<Bytes>>, Fault> {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
