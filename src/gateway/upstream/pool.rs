//! One worker's connections to one endpoint.
//!
//! Promises: no lock, no other worker; the connection used last is used first, so that the surplus grows old and goes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tracing::debug;

use crate::config;
use crate::gateway::body::RequestBody;
use crate::net::deadline::{self, Ticks, Timer, Wheel};
use crate::net::interim::{Replies, Watched};
use crate::net::listener;

/// The largest head of a reply, in bytes.
const REPLY_HEAD: usize = 64 * 1024;

pub(in crate::gateway) struct Pool {
    host: String,
    port: u16,
    connect_timeout: Duration,
    idle_timeout: Duration,
    most_idle: usize,
    wheel: Rc<Wheel>,
    idle: RefCell<VecDeque<Idle>>,
}

struct Idle {
    line: Line,
    since: Instant,
}

/// What belongs to a connection as long as it lives.
struct Line {
    sender: SendRequest<RequestBody>,
    replies: Rc<Replies>,
    deadline: Timer,
}

/// A connection that carries one exchange. Dropped, it is closed; [`Connection::give_back`] keeps it for another.
pub(in crate::gateway) struct Connection {
    line: Line,
    /// Whether it carried an exchange before: the backend may close it at the instant it is used.
    pub(in crate::gateway) reused: bool,
    pool: Rc<Pool>,
}

impl Connection {
    /// Sends `request`. `None`: the head of the reply did not come within `patience` of the last progress of the upload,
    /// of which `moved` tells the bytes so far, twice that at most: a backend may wait for all of it.
    pub(in crate::gateway) async fn send(
        &mut self,
        request: Request<RequestBody>,
        patience: Ticks,
        moved: impl Fn() -> u64,
    ) -> Option<Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> {
        self.line.replies.expect();
        let mut sent = pin!(self.line.sender.try_send_request(request));
        loop {
            let before = moved();
            let reply = deadline::within(&self.line.deadline, patience, sent.as_mut()).await;
            if reply.is_some() || moved() == before {
                return reply;
            }
        }
    }

    /// Keeps the connection for another exchange. Only after a reply that was read to its end.
    pub(in crate::gateway) fn give_back(self) {
        let Self { line, pool, .. } = self;
        let mut idle = pool.idle.borrow_mut();
        if !line.sender.is_closed() && idle.len() < pool.most_idle {
            idle.push_back(Idle { line, since: Instant::now() });
        }
    }
}

impl Pool {
    pub(super) fn new(endpoint: &config::Endpoint, upstream: &config::Upstream, wheel: &Rc<Wheel>) -> Self {
        Self {
            host: endpoint.host.clone(),
            port: endpoint.port,
            connect_timeout: upstream.connect_timeout,
            idle_timeout: upstream.idle_timeout,
            most_idle: upstream.idle_connections,
            wheel: Rc::clone(wheel),
            idle: RefCell::default(),
        }
    }

    /// A connection that was used before and is, `now`, ready for another exchange.
    pub(in crate::gateway) async fn idle(self: &Rc<Self>, now: Instant) -> Option<Connection> {
        loop {
            let Idle { mut line, since } = self.idle.borrow_mut().pop_back()?;
            if now.saturating_duration_since(since) < self.idle_timeout && line.sender.ready().await.is_ok() {
                return Some(Connection { line, reused: true, pool: Rc::clone(self) });
            }
        }
    }

    /// A new connection.
    pub(in crate::gateway) async fn connect(self: &Rc<Self>) -> io::Result<Connection> {
        let dial = async {
            let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            for address in self.addresses().await? {
                match listener::connect(address, self.connect_timeout).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        let stream = tokio::time::timeout(self.connect_timeout, dial)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "connecting took too long"))??;
        let replies = Rc::<Replies>::default();
        let watched = Watched::new(stream, Rc::clone(&replies));
        let mut engine = http1::Builder::new();
        let engine = engine.max_header_size(REPLY_HEAD);
        let (sender, connection) = engine.handshake(TokioIo::new(watched)).await.map_err(io::Error::other)?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                debug!(%error, "upstream connection ended");
            }
        });
        let line = Line { sender, replies, deadline: Timer::new(&self.wheel) };
        Ok(Connection { line, reused: false, pool: Rc::clone(self) })
    }

    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = self.host.parse() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        Ok(tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect())
    }

    /// Closes connections that have been idle too long.
    pub(super) fn sweep(&self) {
        let mut idle = self.idle.borrow_mut();
        while idle.front().is_some_and(|oldest| oldest.since.elapsed() >= self.idle_timeout) {
            idle.pop_front();
        }
    }
}
