//! One worker's connections to one endpoint.
//!
//! Promises: no lock, no other worker; of connections that carry one exchange at a time the one used last is used first,
//! so that the surplus grows old and goes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tracing::debug;

use crate::config;
use crate::gateway::body::RequestBody;
use crate::net::deadline::{self, Ticks, Timer, Wheel};
use crate::net::dial::{self, Connector};
use crate::net::interim::{Replies, Watched};
use crate::net::opening::Protocol;
use crate::net::stream::Stream;

use super::dialer::Dialer;
use super::multiplex::{Berth, Multiplexed};
use super::standing::Standing;
use super::wires::Wires;

/// The largest head of a reply, in bytes.
pub(in crate::gateway) const REPLY_HEAD: usize = 64 * 1024;

pub(in crate::gateway) struct Pool {
    dialer: Dialer,
    connect_timeout: Duration,
    idle_timeout: Duration,
    idle_ticks: Ticks,
    most_idle: usize,
    wheel: Rc<Wheel>,
    idle: RefCell<VecDeque<Idle>>,
    multiplexed: Multiplexed,
    wires: Wires,
    /// What was spoken last.
    spoken: Cell<Option<Protocol>>,
    /// Held by whoever dials a connection that others will share.
    dialling: tokio::sync::Mutex<()>,
}

struct Idle {
    line: Line,
    since: Instant,
}

/// What belongs to a connection of HTTP/1.1 as long as it lives.
struct Line {
    sender: SendRequest<RequestBody>,
    replies: Rc<Replies>,
    deadline: Timer,
    /// What is left of it once its engine has ended, where somebody wants that.
    rest: Option<oneshot::Receiver<Rest>>,
}

/// A connection without its engine, and what the engine had read and not used.
type Rest = (Stream, Bytes);

/// A connection, or a place on one, that carries one exchange. Dropped, it is closed; [`Connection::give_back`] keeps it
/// for another.
pub(in crate::gateway) struct Connection {
    sender: Sender,
    /// Whether it carried an exchange before: the backend may close it at the instant it is used.
    pub(in crate::gateway) reused: bool,
    pool: Rc<Pool>,
}

enum Sender {
    Http1(Line),
    Http2(Berth, Timer),
}

impl Connection {
    /// What is spoken on it.
    pub(in crate::gateway) fn protocol(&self) -> Protocol {
        match &self.sender {
            Sender::Http1(_) => Protocol::Http1,
            Sender::Http2(..) => Protocol::Http2,
        }
    }

    /// Sends `request`. `None`: the head of the reply did not come within `patience` of the last progress of the upload,
    /// of which `moved` tells the bytes so far, twice that at most: a backend may wait for all of it.
    pub(in crate::gateway) async fn send(
        &mut self,
        request: Request<RequestBody>,
        patience: Ticks,
        moved: impl Fn() -> u64,
    ) -> Option<Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> {
        match &mut self.sender {
            Sender::Http1(line) => {
                line.replies.expect();
                in_time(&line.deadline, patience, moved, line.sender.try_send_request(request)).await
            }
            Sender::Http2(berth, deadline) => {
                in_time(deadline, patience, moved, berth.sender.try_send_request(request)).await
            }
        }
    }

    /// Whether nothing of a reply to the last request has come. Of HTTP/2 that is not known.
    pub(in crate::gateway) fn is_silent(&self) -> bool {
        match &self.sender {
            Sender::Http1(line) => line.replies.is_silent(),
            Sender::Http2(..) => false,
        }
    }

    /// The stream of a connection that was made by [`Pool::connect_alone`], after its engine has ended with a reply of
    /// status 101, and what was read behind the head of that.
    pub(in crate::gateway) async fn into_stream(self) -> Option<Rest> {
        match self.sender {
            Sender::Http1(line) => line.rest?.await.ok(),
            Sender::Http2(..) => None,
        }
    }

    /// Keeps the connection for another exchange. Only after a reply that was read to its end.
    pub(in crate::gateway) fn give_back(self) {
        let Sender::Http1(line) = self.sender else { return }; // a place on a connection is given back by itself
        let mut idle = self.pool.idle.borrow_mut();
        if line.rest.is_none() && !line.sender.is_closed() && idle.len() < self.pool.most_idle {
            idle.push_back(Idle { line, since: Instant::now() });
        }
    }
}

async fn in_time<T>(
    deadline: &Timer,
    patience: Ticks,
    moved: impl Fn() -> u64,
    sent: impl Future<Output = T>,
) -> Option<T> {
    let mut sent = pin!(sent);
    loop {
        let before = moved();
        let reply = deadline::within(deadline, patience, sent.as_mut()).await;
        if reply.is_some() || moved() == before {
            return reply;
        }
    }
}

impl Pool {
    pub(super) fn new(
        standing: &Standing,
        upstream: &config::Upstream,
        connector: Option<Connector>,
        wheel: &Rc<Wheel>,
    ) -> Self {
        let dialer = Dialer::new(standing, connector, upstream.connect_timeout);
        Self {
            spoken: Cell::new(dialer.expected()),
            dialer,
            connect_timeout: upstream.connect_timeout,
            idle_timeout: upstream.idle_timeout,
            idle_ticks: upstream.idle_timeout.into(),
            most_idle: upstream.idle_connections,
            wheel: Rc::clone(wheel),
            idle: RefCell::default(),
            multiplexed: Multiplexed::default(),
            wires: Wires::default(),
            dialling: tokio::sync::Mutex::default(),
        }
    }

    /// A connection that was used before and is, `now`, ready for another exchange.
    pub(in crate::gateway) async fn idle(self: &Rc<Self>, now: Instant) -> Option<Connection> {
        if let Some(berth) = self.multiplexed.find() {
            return Some(self.lend(self.http2(berth), true));
        }
        loop {
            let Idle { mut line, since } = self.idle.borrow_mut().pop_back()?;
            if now.saturating_duration_since(since) < self.idle_timeout && line.sender.ready().await.is_ok() {
                return Some(self.lend(Sender::Http1(line), true));
            }
        }
    }

    /// A new connection; where exchanges share connections, perhaps a place on one that another has just dialled.
    pub(in crate::gateway) async fn connect(self: &Rc<Self>) -> io::Result<Connection> {
        if self.spoken.get() != Some(Protocol::Http2) {
            return self.dial().await;
        }
        let shared = async {
            let _dialling = self.dialling.lock().await;
            match self.multiplexed.find() {
                Some(berth) => Ok(self.lend(self.http2(berth), false)),
                None => self.dial().await,
            }
        };
        tokio::time::timeout(self.connect_timeout, shared).await.map_err(dial::late)?
    }

    /// A connection without an engine that was used before.
    pub(in crate::gateway) fn idle_wire(&self, cx: &mut Context<'_>) -> Option<Stream> {
        self.wires.take(cx, self.wheel.now(), self.idle_ticks)
    }

    /// A new connection without an engine.
    pub(in crate::gateway) async fn new_wire(&self) -> io::Result<Stream> {
        self.dialer.dial().await.map(|(stream, _)| stream)
    }

    /// Keeps a connection without an engine for another exchange. Only after a reply that was read to its end.
    pub(in crate::gateway) fn keep_wire(&self, wire: Stream) {
        self.wires.keep(wire, self.wheel.now(), self.most_idle);
    }

    /// A new connection for one exchange in HTTP/1.1, after which it may be a tunnel's.
    pub(in crate::gateway) async fn connect_alone(self: &Rc<Self>) -> io::Result<Connection> {
        let stream = self.dialer.dial_http1().await?;
        let (told, rest) = oneshot::channel();
        let line = self.http1(stream, Some(told)).await?;
        Ok(self.lend(Sender::Http1(Line { rest: Some(rest), ..line }), false))
    }

    async fn dial(self: &Rc<Self>) -> io::Result<Connection> {
        let (stream, protocol) = self.dialer.dial().await?;
        self.spoken.set(Some(protocol));
        let sender = match protocol {
            Protocol::Http1 => Sender::Http1(self.http1(stream, None).await?),
            Protocol::Http2 => self.http2(self.multiplexed.add(stream).await?),
        };
        Ok(self.lend(sender, false))
    }

    /// Begins to speak HTTP/1.1 over `stream`; what is left in the end is `told`.
    async fn http1(&self, stream: Stream, told: Option<oneshot::Sender<Rest>>) -> io::Result<Line> {
        let replies = Rc::<Replies>::default();
        let watched = Watched::new(stream, Rc::clone(&replies));
        let mut engine = http1::Builder::new();
        let engine = engine.max_header_size(REPLY_HEAD);
        let (sender, mut connection) = engine.handshake(TokioIo::new(watched)).await.map_err(io::Error::other)?;
        tokio::task::spawn_local(async move {
            match (&mut connection).await {
                Err(error) => debug!(%error, "upstream connection ended"),
                Ok(()) => {
                    if let Some(told) = told {
                        let rest = connection.into_parts();
                        told.send((rest.io.into_inner().into_inner(), rest.read_buf)).ok(); // nobody asked for a tunnel
                    }
                }
            }
        });
        Ok(Line { sender, replies, deadline: Timer::new(&self.wheel), rest: None })
    }

    fn http2(&self, berth: Berth) -> Sender {
        Sender::Http2(berth, Timer::new(&self.wheel))
    }

    fn lend(self: &Rc<Self>, sender: Sender, reused: bool) -> Connection {
        Connection { sender, reused, pool: Rc::clone(self) }
    }

    /// Closes connections that have been idle too long.
    pub(super) fn sweep(&self) {
        self.multiplexed.sweep(self.idle_timeout);
        self.wires.sweep(self.wheel.now(), self.idle_ticks);
        let mut idle = self.idle.borrow_mut();
        while idle.front().is_some_and(|oldest| oldest.since.elapsed() >= self.idle_timeout) {
            idle.pop_front();
        }
    }
}
