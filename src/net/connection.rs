//! One client connection: its HTTP/1.1 engine, its deadlines, its end.
//!
//! Promises: a client that is late ends the connection, whatever he is late with; a drain lets the request in flight
//! finish and no other begin.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::guard::{Guard, HeadBounds, Heads};
use super::pulse::Late;

/// How a connection ended, if not well.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// The engine gave it up.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// The client was late.
    #[error("the client was late: {}", .0.word())]
    Late(Late),
}

/// What is left of a connection when its engine has ended.
#[derive(Debug)]
pub struct Rest<IO> {
    /// The stream; closed, unless the last reply was one of status 101.
    pub stream: IO,
    /// What the client sent behind the last request.
    pub unread: Vec<u8>,
}

/// Serves `stream` until the client leaves or is late, or `drain` has been called and the last reply is out. The
/// service learns from `heads` which requests it must refuse.
pub async fn serve<IO, S, B>(
    stream: IO,
    heads: Rc<Heads>,
    service: S,
    bounds: HeadBounds,
    drain: &CancellationToken,
) -> Result<Rest<IO>, End>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut engine = http1::Builder::new();
    engine.max_buf_size(bounds.head_bytes.max(8_192));
    if bounds.header_count > 100 {
        engine.max_headers(bounds.header_count); // costs an allocation per request; the guard counts anyhow
    }
    let guard = Guard::new(stream, bounds, Rc::clone(&heads));
    let mut connection = engine.serve_connection(TokioIo::new(guard), service);
    let mut late = std::pin::pin!(poll_fn(|cx| heads.pulse().poll(cx)));
    let ended = tokio::select! {
        biased;
        ended = &mut connection => Some(ended),
        late = late.as_mut() => return Err(End::Late(late)),
        () = drain.cancelled() => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        Pin::new(&mut connection).graceful_shutdown();
        tokio::select! {
            biased;
            ended = &mut connection => ended,
            late = late => return Err(End::Late(late)),
        }
    };
    ended?;
    let parts = connection.into_parts();
    let (stream, unread) = parts.io.into_inner().into_parts(&parts.read_buf);
    Ok(Rest { stream, unread })
}
