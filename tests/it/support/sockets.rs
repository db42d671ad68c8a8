//! Both ends of a WebSocket, as real ones are: a backend that echoes, and a client.
//!
//! Promises: the backend keeps what it was asked and how each conversation ended; it is gone when it is dropped.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Method};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

use super::DEADLINE;
use super::gateway::wait_until;
use super::pairs::{Pair, serving, trusting};

/// What carries a WebSocket.
pub(crate) trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

/// How a WebSocket ended: the code and reason of the Close frame that came, if one did.
pub(crate) type Closed = Option<(u16, String)>;

/// One conversation as the backend saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    /// How it ended, if it has.
    pub(crate) closed: Option<Closed>,
}

type Notes = Arc<Mutex<Vec<Seen>>>;

/// A backend that sends back each message that it gets, and speaks the subprotocol `echo` with whoever offers it.
pub(crate) struct EchoBackend {
    address: SocketAddr,
    notes: Notes,
    runtime: Option<Runtime>,
}

impl Drop for EchoBackend {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl EchoBackend {
    /// In clear.
    pub(crate) fn in_clear() -> Self {
        Self::start(None)
    }

    /// Over TLS with this pair, where HTTP/2 would be spoken too, and first, with whoever offers it.
    pub(crate) fn over_tls(pair: &Pair) -> Self {
        Self::start(Some(serving(pair, &["h2", "http/1.1"]).into()))
    }

    fn start(acceptor: Option<TlsAcceptor>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("bound");
        let (address, notes) = (listener.local_addr().expect("an address"), Notes::default());
        let kept = Arc::clone(&notes);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, notes) = (acceptor.clone(), Arc::clone(&kept));
                tokio::spawn(async move {
                    let stream: Box<dyn Carrier> = match acceptor {
                        None => Box::new(stream),
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => Box::new(stream),
                            Err(_) => return,
                        },
                    };
                    echo(stream, &notes).await;
                });
            }
        });
        Self { address, notes, runtime: Some(runtime) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every conversation so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the conversations for `target` ended, once all of them have.
    pub(crate) fn ends_of(&self, target: &str) -> Vec<Closed> {
        let of_target = || self.seen().into_iter().filter(|seen| seen.target == target).collect::<Vec<_>>();
        wait_until("the backend has seen the end", || of_target().iter().all(|seen| seen.closed.is_some()));
        of_target().into_iter().filter_map(|seen| seen.closed).collect()
    }
}

async fn echo(stream: Box<dyn Carrier>, notes: &Notes) {
    let mut place = 0;
    #[expect(clippy::result_large_err, reason = "the shape of the library's callback")]
    let note = |request: &Request, mut response: Response| {
        let (target, headers) = (request.uri().to_string(), request.headers().clone());
        if headers.get("sec-websocket-protocol").is_some_and(|offered| offered == "echo") {
            response.headers_mut().insert("sec-websocket-protocol", http::HeaderValue::from_static("echo"));
        }
        let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
        place = notes.len();
        notes.push(Seen { target, headers, closed: None });
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, note).await else { return };
    let mut closed = None;
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(frame) = message {
            closed = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
        } else if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            break;
        }
    }
    notes.lock().unwrap_or_else(PoisonError::into_inner)[place].closed = Some(closed);
}

/// A client of a WebSocket.
pub(crate) struct Socket {
    runtime: Runtime,
    stream: WebSocketStream<Box<dyn Carrier>>,
    /// What the handshake was answered with.
    pub(crate) answer: HeaderMap,
}

impl Socket {
    /// Opens one at `address` by a request for `target` with this token; `Err` is the status of a refusal.
    pub(crate) fn open(address: SocketAddr, target: &str, token: &str) -> Result<Self, u16> {
        let runtime = runtime();
        let stream = runtime.block_on(TcpStream::connect(address)).expect("connected");
        Self::over(runtime, Box::new(stream), target, token)
    }

    /// The same over TLS, trusting `pair`.
    pub(crate) fn open_over_tls(address: SocketAddr, pair: &Pair, target: &str, token: &str) -> Result<Self, u16> {
        let runtime = runtime();
        let connector = TlsConnector::from(trusting(&[pair], &["http/1.1"]));
        let stream = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.expect("connected");
            connector.connect(ServerName::try_from("localhost").expect("a name"), stream).await.expect("a handshake")
        });
        Self::over(runtime, Box::new(stream), target, token)
    }

    /// The same on a stream of HTTP/2 with prior knowledge, by CONNECT (RFC 8441).
    pub(crate) fn open_over_http2(address: SocketAddr, target: &str, token: &str) -> Result<Self, u16> {
        let runtime = runtime();
        let opened = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.expect("connected");
            let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
            let (mut sender, connection) = shaken.expect("a connection");
            tokio::spawn(connection);
            let request = |method: Method| {
                let request = http::Request::builder().method(method).uri(format!("http://localhost{target}"));
                request.header("authorization", format!("Bearer {token}"))
            };
            // By then it is known what the gateway allows.
            let first = sender.send_request(request(Method::TRACE).body(Empty::<Bytes>::new()).expect("a request"));
            assert_eq!(first.await.expect("an answer").status(), 405);
            let request = request(Method::CONNECT).extension(Protocol::from_static("websocket"));
            let request = request.header("sec-websocket-version", "13").header("sec-websocket-protocol", "echo");
            let answer = sender.send_request(request.body(Empty::new()).expect("a request")).await.expect("an answer");
            if answer.status() != 200 {
                return Err(answer.status().as_u16());
            }
            let headers = answer.headers().clone();
            let stream: Box<dyn Carrier> = Box::new(TokioIo::new(hyper::upgrade::on(answer).await.expect("a stream")));
            Ok((WebSocketStream::from_raw_socket(stream, Role::Client, None).await, headers))
        });
        opened.map(|(stream, answer)| Self { runtime, stream, answer })
    }

    /// The same over `stream`, which lives in `runtime`.
    pub(crate) fn over(runtime: Runtime, stream: Box<dyn Carrier>, target: &str, token: &str) -> Result<Self, u16> {
        let request = http::Request::builder()
            .uri(format!("ws://localhost{target}"))
            .header("host", "localhost")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", "echo")
            .header("authorization", format!("Bearer {token}"))
            .body(())
            .expect("a request");
        let opened = runtime.block_on(async { tokio::time::timeout(DEADLINE, client_async(request, stream)).await });
        match opened.expect("an answer in time") {
            Ok((stream, answer)) => Ok(Self { runtime, stream, answer: answer.headers().clone() }),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, message: Message) {
        self.runtime.block_on(self.stream.send(message)).expect("sent");
    }

    /// The next message, or how the connection ended.
    pub(crate) fn receive(&mut self) -> Result<Message, Error> {
        let next = async { tokio::time::timeout(DEADLINE, self.stream.next()).await };
        self.runtime.block_on(next).expect("a message in time").unwrap_or(Err(Error::ConnectionClosed))
    }

    /// Sends a message, which must come back.
    pub(crate) fn echoes(&mut self, message: &Message) {
        self.send(message.clone());
        assert_eq!(&self.receive().expect("an answer"), message);
    }

    /// What ended it: nothing may come but a Close frame and then the end.
    pub(crate) fn closed(mut self) -> Closed {
        let mut closed = None;
        loop {
            match self.receive() {
                Ok(Message::Close(frame)) => {
                    closed = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                }
                Ok(message) => panic!("{message:?} instead of an end"),
                Err(_) => return closed,
            }
        }
    }

    /// Closes it well: both Close frames, and the end.
    pub(crate) fn close(mut self) {
        self.runtime.block_on(self.stream.close(None)).expect("closed");
        while self.receive().is_ok() {}
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
