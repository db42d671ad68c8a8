//! A service of gRPC by tonic, with a call of each kind, and its client. Messages are text.
//!
//! Promises: what goes over the wire is written and read by tonic on both sides; the service is gone when it is dropped.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::HeaderMap;
use http::uri::PathAndQuery;
use tokio::runtime::Runtime;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{ClientStreamingService, ServerStreamingService, StreamingService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

/// Text as it is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, item: String, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(item.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        String::from_utf8(bytes.to_vec()).map(Some).map_err(|_| Status::internal("no text"))
    }
}

type Answer<T> = BoxFuture<'static, Result<Response<T>, Status>>;
type Texts = BoxStream<'static, Result<String, Status>>;

/// A reply with metadata of the service's own.
fn answer<T>(message: T) -> Response<T> {
    let mut response = Response::new(message);
    response.metadata_mut().insert("x-desk", "open".parse().expect("a value"));
    response
}

fn refusal() -> Status {
    let mut status = Status::failed_precondition("not today: 100%");
    status.metadata_mut().insert("x-why", "closed".parse().expect("a value"));
    status
}

/// One in, one out: in capitals; `fail` fails, and `wait` never ends.
struct Upper;

impl UnaryService<String> for Upper {
    type Response = String;
    type Future = Answer<String>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            match &**request.get_ref() {
                "fail" => Err(refusal()),
                "wait" => std::future::pending().await,
                text => Ok(answer(text.to_uppercase())),
            }
        })
    }
}

/// Many in, one out: all of them.
struct Join;

impl ClientStreamingService<String> for Join {
    type Response = String;
    type Future = Answer<String>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        Box::pin(async move {
            let (mut incoming, mut all) = (request.into_inner(), Vec::new());
            while let Some(text) = incoming.message().await? {
                all.push(text);
            }
            Ok(answer(all.join(" ")))
        })
    }
}

/// One in, many out: so many numbers, and then a failure; more than a hundred never end.
struct Count;

impl ServerStreamingService<String> for Count {
    type Response = String;
    type ResponseStream = Texts;
    type Future = Answer<Texts>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let most: usize = request.get_ref().parse().unwrap_or_default();
        let numbers = stream::iter(1..=most.min(100)).map(|number| Ok(number.to_string()));
        let rest = if most > 100 { stream::pending().boxed() } else { stream::iter([Err(refusal())]).boxed() };
        Box::pin(async move { Ok(answer(numbers.chain(rest).boxed())) })
    }
}

/// Many in, many out: each as it comes.
struct Echo;

impl StreamingService<String> for Echo {
    type Response = String;
    type ResponseStream = Texts;
    type Future = Answer<Texts>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        Box::pin(async move { Ok(answer(request.into_inner().boxed())) })
    }
}

/// What was called, and with what metadata.
type Calls = Arc<Mutex<Vec<(String, HeaderMap)>>>;

#[derive(Clone)]
struct Service(Calls);

impl tower::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((path.clone(), headers));
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Text);
            Ok(match &*path {
                "/desk/Upper" => grpc.unary(Upper, request).await,
                "/desk/Join" => grpc.client_streaming(Join, request).await,
                "/desk/Count" => grpc.server_streaming(Count, request).await,
                "/desk/Echo" => grpc.streaming(Echo, request).await,
                _ => Status::unimplemented("no such call").into_http(),
            })
        })
    }
}

/// A running service, which speaks HTTP/2 in clear.
pub(crate) struct Desk {
    address: SocketAddr,
    calls: Calls,
    runtime: Option<Runtime>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Desk {
    pub(crate) fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("bound");
        let (address, calls) = (listener.local_addr().expect("an address"), Calls::default());
        let service = Service(Arc::clone(&calls));
        runtime.spawn(Server::builder().serve_with_incoming(service, TcpIncoming::from(listener)));
        Self { address, calls, runtime: Some(runtime) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was called so far.
    pub(crate) fn calls(&self) -> Vec<(String, HeaderMap)> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A client of the service, at the gateway.
#[derive(Clone)]
pub(crate) struct Caller {
    grpc: tonic::client::Grpc<Channel>,
    token: String,
}

impl Caller {
    pub(crate) async fn connect(address: SocketAddr, token: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = endpoint.connect().await.expect("connected");
        Self { grpc: tonic::client::Grpc::new(channel), token: token.to_owned() }
    }

    /// A request with the token.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse().expect("a value"));
        request
    }

    pub(crate) async fn upper(&mut self, request: Request<String>) -> Result<Response<String>, Status> {
        self.unary("/desk/Upper", request).await
    }

    pub(crate) async fn unary(
        &mut self,
        path: &'static str,
        request: Request<String>,
    ) -> Result<Response<String>, Status> {
        self.ready().await;
        self.grpc.unary(request, PathAndQuery::from_static(path), Text).await
    }

    pub(crate) async fn join(&mut self, texts: &'static [&'static str]) -> Result<Response<String>, Status> {
        let request = self.request(stream::iter(texts).map(|text| (*text).to_owned()));
        self.ready().await;
        self.grpc.client_streaming(request, PathAndQuery::from_static("/desk/Join"), Text).await
    }

    pub(crate) async fn count(&mut self, most: usize) -> Result<Response<Streaming<String>>, Status> {
        let request = self.request(most.to_string());
        self.ready().await;
        self.grpc.server_streaming(request, PathAndQuery::from_static("/desk/Count"), Text).await
    }

    pub(crate) async fn echo(
        &mut self,
        texts: impl stream::Stream<Item = String> + Send + 'static,
    ) -> Result<Response<Streaming<String>>, Status> {
        let request = self.request(texts);
        self.ready().await;
        self.grpc.streaming(request, PathAndQuery::from_static("/desk/Echo"), Text).await
    }

    async fn ready(&mut self) {
        self.grpc.ready().await.expect("a connection");
    }
}
