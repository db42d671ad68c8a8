//! One client connection: its HTTP/1.1 engine, its deadlines, its end.
//!
//! Promises: a head that does not come ends the connection; a drain lets the request in flight finish and no other
//! begin.

use std::error::Error as StdError;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::guard::{Guard, HeadBounds, Heads};

/// The bounds of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long a request's head may take, and how long the connection may be idle before it.
    pub head_timeout: Duration,
    /// Those of a request's head.
    pub head: HeadBounds,
}

/// Serves `stream` until the client leaves, a deadline passes, or `drain` has been called and the last reply is out.
/// The service learns from `heads` which requests it must refuse.
pub async fn serve<IO, S, B>(
    stream: IO,
    heads: Rc<Heads>,
    service: S,
    bounds: Bounds,
    drain: &CancellationToken,
) -> hyper::Result<()>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_timeout)
        .max_buf_size(bounds.head.head_bytes.max(8_192))
        .max_headers(bounds.head.header_count)
        .serve_connection(TokioIo::new(Guard::new(stream, bounds.head, heads)), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = drain.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
