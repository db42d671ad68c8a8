//! One worker's connections to one endpoint.
//!
//! Promises: no lock, no other worker; of connections that carry one exchange at a time the one used last is used first,
//! so that the surplus grows old and goes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
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
use crate::net::dial::{self, Connector};
use crate::net::opening::Protocol;
use crate::net::stream::Stream;

use super::dialer::Dialer;
use super::multiplex::{Berth, Multiplexed};

pub(in crate::gateway) struct Pool {
    dialer: Dialer,
    connect_timeout: Duration,
    idle_timeout: Duration,
    most_idle: usize,
    idle: RefCell<VecDeque<Idle>>,
    multiplexed: Multiplexed,
    /// What was spoken last.
    spoken: Cell<Option<Protocol>>,
    /// Held by whoever dials a connection that others will share.
    dialling: tokio::sync::Mutex<()>,
}

struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

/// A connection, or a place on one, that carries one exchange. Dropped, it is closed; [`Connection::give_back`] keeps it
/// for another.
pub(in crate::gateway) struct Connection {
    sender: Sender,
    /// Whether it carried an exchange before: the backend may close it at the instant it is used.
    pub(in crate::gateway) reused: bool,
    pool: Rc<Pool>,
}

enum Sender {
    Http1(SendRequest<RequestBody>),
    Http2(Berth),
}

impl Connection {
    /// What is spoken on it.
    pub(in crate::gateway) fn protocol(&self) -> Protocol {
        match &self.sender {
            Sender::Http1(_) => Protocol::Http1,
            Sender::Http2(_) => Protocol::Http2,
        }
    }

    /// Sends a request and waits for the head of the reply.
    pub(in crate::gateway) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.try_send_request(request).await,
            Sender::Http2(berth) => berth.sender.try_send_request(request).await,
        }
    }

    /// Keeps the connection for another exchange. Only after a reply that was read to its end.
    pub(in crate::gateway) fn give_back(self) {
        let Sender::Http1(sender) = self.sender else { return }; // a place on a connection is given back by itself
        let mut idle = self.pool.idle.borrow_mut();
        if !sender.is_closed() && idle.len() < self.pool.most_idle {
            idle.push_back(Idle { sender, since: Instant::now() });
        }
    }
}

impl Pool {
    pub(super) fn new(endpoint: &config::Endpoint, upstream: &config::Upstream, connector: Option<Connector>) -> Self {
        let dialer = Dialer::new(endpoint, connector, upstream.connect_timeout);
        Self {
            spoken: Cell::new(dialer.expected()),
            dialer,
            connect_timeout: upstream.connect_timeout,
            idle_timeout: upstream.idle_timeout,
            most_idle: upstream.idle_connections,
            idle: RefCell::default(),
            multiplexed: Multiplexed::default(),
            dialling: tokio::sync::Mutex::default(),
        }
    }

    /// A connection that was used before and is ready for another exchange.
    pub(in crate::gateway) async fn idle(self: &Rc<Self>) -> Option<Connection> {
        if let Some(berth) = self.multiplexed.find() {
            return Some(self.lend(Sender::Http2(berth), true));
        }
        loop {
            let Idle { mut sender, since } = self.idle.borrow_mut().pop_back()?;
            if since.elapsed() < self.idle_timeout && sender.ready().await.is_ok() {
                return Some(self.lend(Sender::Http1(sender), true));
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
                Some(berth) => Ok(self.lend(Sender::Http2(berth), false)),
                None => self.dial().await,
            }
        };
        tokio::time::timeout(self.connect_timeout, shared).await.map_err(dial::late)?
    }

    async fn dial(self: &Rc<Self>) -> io::Result<Connection> {
        let (stream, protocol) = self.dialer.dial().await?;
        self.spoken.set(Some(protocol));
        let sender = match protocol {
            Protocol::Http1 => Sender::Http1(http1(stream).await?),
            Protocol::Http2 => Sender::Http2(self.multiplexed.add(stream).await?),
        };
        Ok(self.lend(sender, false))
    }

    fn lend(self: &Rc<Self>, sender: Sender, reused: bool) -> Connection {
        Connection { sender, reused, pool: Rc::clone(self) }
    }

    /// Closes connections that have been idle too long.
    pub(super) fn sweep(&self) {
        self.multiplexed.sweep(self.idle_timeout);
        let mut idle = self.idle.borrow_mut();
        while idle.front().is_some_and(|oldest| oldest.since.elapsed() >= self.idle_timeout) {
            idle.pop_front();
        }
    }
}

async fn http1(stream: Stream) -> io::Result<SendRequest<RequestBody>> {
    let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            debug!(%error, "upstream connection ended");
        }
    });
    Ok(sender)
}
