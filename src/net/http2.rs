//! One client connection that speaks HTTP/2: its engine, its bounds, its end.
//!
//! Promises: a client that asks for nothing, or does not read what it asked for, is let go of at a deadline; a drain lets
//! the streams in flight finish and no other begin; one stream that ends early leaves the others alone.
//! Deliberately does not: look into a request.

use std::cell::{Cell, RefCell};
use std::error::Error as StdError;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::config::Http2Limits;

/// How long a client that was told to go may take to say that it has understood.
const FAREWELL: Duration = Duration::from_secs(2);

/// The bounds of one connection.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// What the protocol itself can bound.
    pub limits: Http2Limits,
    /// How long the first request may take.
    pub first: Duration,
    /// How long the connection may be idle after it.
    pub idle: Duration,
    /// How long a client may leave a reply unread.
    pub stall: Duration,
    /// How old the connection may grow.
    pub life: Duration,
    /// Whether a stream may be made a tunnel by CONNECT with a protocol (RFC 8441).
    pub extended_connect: bool,
}

/// Serves `stream` until the client leaves, a deadline passes, or `drain` has been called and the last reply is out.
pub async fn serve<I, S, B>(stream: I, service: S, bounds: &Bounds, drain: &CancellationToken) -> hyper::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let streams = Streams::new(bounds.stall);
    let watched = Watched { service, streams: streams.clone() };
    let mut connection = pin!(builder(bounds, streams.clone()).serve_connection(TokioIo::new(stream), watched));
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = streams.idle(bounds.first, bounds.idle) => {}
        () = tokio::time::sleep(bounds.life) => {}
        () = drain.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = streams.idle(FAREWELL, FAREWELL) => Ok(()),
    }
}

fn builder(bounds: &Bounds, streams: Streams) -> http2::Builder<Streams> {
    let limits = &bounds.limits;
    let mut builder = http2::Builder::new(streams);
    if bounds.extended_connect {
        builder.enable_connect_protocol();
    }
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_list_bytes)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_send_buf_size(limits.send_buffer_bytes)
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout)
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(limits.error_resets);
    builder
}

/// The streams of one connection. It spawns them on the worker's own thread.
#[derive(Clone)]
struct Streams(Rc<State>);

struct State {
    stall: Duration,
    open: Cell<usize>,
    quiet_since: Cell<Instant>,
    begun: Cell<bool>,
    /// The stream whose service was called last and whose task is about to be spawned: hyper does both at once.
    next: RefCell<Option<Rc<Reading>>>,
}

/// Whether the client of one stream owes a read.
#[derive(Default)]
struct Reading {
    /// Since when something has been waiting to be taken by it.
    owed_since: Cell<Option<Instant>>,
}

impl Streams {
    fn new(stall: Duration) -> Self {
        let quiet_since = Cell::new(Instant::now());
        Self(Rc::new(State {
            stall,
            open: Cell::default(),
            quiet_since,
            begun: Cell::default(),
            next: RefCell::default(),
        }))
    }

    /// Resolves when no stream has been open for `idle`; for `first`, while none ever was.
    async fn idle(&self, first: Duration, idle: Duration) {
        loop {
            let patience = if self.0.begun.get() { idle } else { first };
            let since = if self.0.open.get() > 0 { Instant::now() } else { self.0.quiet_since.get() };
            if since.elapsed() >= patience {
                return;
            }
            tokio::time::sleep_until(since + patience).await;
        }
    }

    fn begin(&self) -> Rc<Reading> {
        let reading = Rc::<Reading>::default();
        self.0.next.replace(Some(Rc::clone(&reading)));
        reading
    }
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Streams {
    fn execute(&self, future: F) {
        let state = &self.0;
        state.open.set(state.open.get() + 1);
        state.begun.set(true);
        let place = Open(Rc::clone(state));
        let reading = state.next.take().unwrap_or_default();
        tokio::task::spawn_local(Stream { future, reading, timer: None, place });
    }
}

/// A place among the open streams; given back when dropped.
struct Open(Rc<State>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.quiet_since.set(Instant::now());
    }
}

pin_project! {
    /// The task of one stream, which is reset if its client stops reading.
    struct Stream<F> {
        #[pin]
        future: F,
        reading: Rc<Reading>,
        timer: Option<Pin<Box<Sleep>>>,
        place: Open,
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.future.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(since) = this.reading.owed_since.get() else {
            return Poll::Pending; // it waits for the backend, which has deadlines of its own
        };
        let deadline = since + this.place.0.stall;
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        debug!("a stream is reset: its client does not read");
        Poll::Ready(())
    }
}

/// A service whose replies tell whether the client reads them.
struct Watched<S> {
    service: S,
    streams: Streams,
}

impl<S, B> Service<Request<Incoming>> for Watched<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Response = Response<WatchedBody<B>>;
    type Error = S::Error;
    type Future = Reply<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Reply { reading: self.streams.begin(), future: self.service.call(request) }
    }
}

pin_project! {
    struct Reply<F> {
        #[pin]
        future: F,
        reading: Rc<Reading>,
    }
}

impl<F, B, E> Future for Reply<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<WatchedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        this.reading.owed_since.set(Some(Instant::now()));
        Poll::Ready(Ok(response.map(|body| WatchedBody { body, reading: Rc::clone(this.reading) })))
    }
}

pin_project! {
    /// A reply's body. The engine asks for more of it only when the client has room.
    struct WatchedBody<B> {
        #[pin]
        body: B,
        reading: Rc<Reading>,
    }
}

impl<B: Body> Body for WatchedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        this.reading.owed_since.set(None);
        let frame = ready!(this.body.poll_frame(cx));
        this.reading.owed_since.set(Some(Instant::now()));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
