//! One worker's connections to one endpoint.
//!
//! Promises: no lock, no other worker; the connection used last is used first, so that the surplus grows old and goes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tracing::debug;

use crate::config;
use crate::gateway::body::RequestBody;
use crate::net::listener;

pub(in crate::gateway) struct Pool {
    host: String,
    port: u16,
    connect_timeout: Duration,
    idle_timeout: Duration,
    most_idle: usize,
    idle: RefCell<VecDeque<Idle>>,
}

struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

/// A connection that carries one exchange. Dropped, it is closed; [`Connection::give_back`] keeps it for another.
pub(in crate::gateway) struct Connection {
    pub(in crate::gateway) sender: SendRequest<RequestBody>,
    /// Whether it carried an exchange before: the backend may close it at the instant it is used.
    pub(in crate::gateway) reused: bool,
    pool: Rc<Pool>,
}

impl Connection {
    /// Keeps the connection for another exchange. Only after a reply that was read to its end.
    pub(in crate::gateway) fn give_back(self) {
        let Self { sender, pool, .. } = self;
        let mut idle = pool.idle.borrow_mut();
        if !sender.is_closed() && idle.len() < pool.most_idle {
            idle.push_back(Idle { sender, since: Instant::now() });
        }
    }
}

impl Pool {
    pub(super) fn new(endpoint: &config::Endpoint, upstream: &config::Upstream) -> Self {
        Self {
            host: endpoint.host.clone(),
            port: endpoint.port,
            connect_timeout: upstream.connect_timeout,
            idle_timeout: upstream.idle_timeout,
            most_idle: upstream.idle_connections,
            idle: RefCell::default(),
        }
    }

    /// A connection that was used before and is ready for another exchange.
    pub(in crate::gateway) async fn idle(self: &Rc<Self>) -> Option<Connection> {
        loop {
            let Idle { mut sender, since } = self.idle.borrow_mut().pop_back()?;
            if since.elapsed() < self.idle_timeout && sender.ready().await.is_ok() {
                return Some(Connection { sender, reused: true, pool: Rc::clone(self) });
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
        let (sender, connection) =
            http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                debug!(%error, "upstream connection ended");
            }
        });
        Ok(Connection { sender, reused: false, pool: Rc::clone(self) })
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
