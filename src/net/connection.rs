//! One client connection: its HTTP/1.1 engine, its deadlines, its end.
//!
//! Promises: a head that does not come ends the connection; a drain lets the request in flight finish and no other
//! begin.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// The bounds of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long a request's head may take, and how long the connection may be idle before it.
    pub head_timeout: Duration,
    /// The largest request head in bytes; 8 KiB at least.
    pub head_bytes: usize,
    /// The most header lines of one request.
    pub header_count: usize,
}

/// Serves `stream` until the client leaves, a deadline passes, or `drain` has been called and the last reply is out.
pub async fn serve<I, S, B>(stream: I, service: S, bounds: Bounds, drain: &CancellationToken) -> hyper::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_timeout)
        .max_buf_size(bounds.head_bytes.max(8_192))
        .max_headers(bounds.header_count)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = drain.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
