//! One worker: a thread with its own runtime, listeners, upstream connections and notes.
//!
//! Promises: workers share nothing that is locked on the path of a request; a drain accepts what has already come,
//! lets requests in flight finish, and ends at its deadline.

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::FutureExt;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::config::Limits;
use crate::net::listener::{Listener, Socket};
use crate::net::opening::{self, Opened, Protocol};
use crate::net::stream::Stream;
use crate::net::tls::Terminator;
use crate::net::{connection, http2};
use crate::usage::Tally;

use super::headers::{Peer, Scheme};
use super::site::Site;
use super::{Client, Plane};

/// How often notes are folded and idle connections looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long a connection that was accepted during a drain may take to say what it wants.
const LAST_CALL: Duration = Duration::from_secs(1);
/// As whom a client counts that comes through the file system.
const THIS_MACHINE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// One worker's own things.
pub(super) struct Worker {
    pub(super) plane: Arc<Plane>,
    pub(super) tally: RefCell<Tally>,
    at: usize,
    site: RefCell<Rc<Site>>,
    random: RefCell<SmallRng>,
}

/// Where clients come in, for one worker.
pub struct Entrance {
    /// The socket.
    pub socket: Socket,
    /// The end of TLS there; `None`: in clear.
    pub tls: Option<Terminator>,
}

/// The workers' threads.
pub struct Workers(Vec<JoinHandle<()>>);

impl Workers {
    /// Waits until every worker has drained.
    pub fn join(self) {
        for thread in self.0 {
            thread.join().ok(); // a worker that panicked has said so on stderr
        }
    }
}

/// Starts a worker for each item of `entrances`, with the sockets in it. They stop accepting and drain when `drain`
/// is called.
pub fn start(plane: &Arc<Plane>, entrances: Vec<Vec<Entrance>>, drain: &CancellationToken) -> io::Result<Workers> {
    let spawn = |(at, entrances): (usize, Vec<Entrance>)| {
        let (plane, drain) = (Arc::clone(plane), drain.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name(format!("worker-{at}"))
            .spawn(move || LocalSet::new().block_on(&runtime, run(at, plane, entrances, drain)))
    };
    entrances.into_iter().enumerate().map(spawn).collect::<io::Result<_>>().map(Workers)
}

async fn run(at: usize, plane: Arc<Plane>, entrances: Vec<Entrance>, drain: CancellationToken) {
    let worker = Rc::new(Worker::new(at, plane));
    let tasks = TaskTracker::new();
    for Entrance { socket, tls } in entrances {
        match Listener::new(socket) {
            Ok(listener) => {
                let accepting = Rc::clone(&worker).accept(listener, tls, tasks.clone(), drain.clone());
                tasks.spawn_local(accepting);
            }
            Err(error) => tracing::error!(%error, "a listener is lost"),
        }
    }
    tokio::task::spawn_local(Rc::clone(&worker).tick());
    drain.cancelled().await;
    tasks.close();
    let timeout = worker.site().config().drain.timeout;
    if tokio::time::timeout(timeout, tasks.wait()).await.is_err() {
        tracing::warn!(worker = at, left = tasks.len(), "requests did not finish within drain.timeout");
    }
    worker.tally.borrow_mut().fold();
}

impl Worker {
    fn new(at: usize, plane: Arc<Plane>) -> Self {
        let site = Site::new(plane.setup.load_full(), None, &plane.metrics, at);
        Self {
            tally: RefCell::new(Tally::new(plane.usage.clone())),
            at,
            site: RefCell::new(Rc::new(site)),
            random: RefCell::new(SmallRng::from_rng(&mut rand::rng())),
            plane,
        }
    }

    /// The configuration in force, as this worker has it.
    pub(super) fn site(&self) -> Rc<Site> {
        let setup = self.plane.setup.load();
        let mut site = self.site.borrow_mut();
        if !site.is_of(&setup) {
            *site = Rc::new(Site::new(Arc::clone(&setup), Some(&site), &self.plane.metrics, self.at));
        }
        Rc::clone(&site)
    }

    /// Random bytes for names of requests and traces, which are no secrets.
    pub(super) fn entropy(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        self.random.borrow_mut().fill_bytes(&mut bytes);
        bytes
    }

    /// A new name for a request: 32 hex digits.
    pub(super) fn request_id(&self) -> HeaderValue {
        let mut bytes = [0; 16];
        self.random.borrow_mut().fill_bytes(&mut bytes);
        let mut text = [0; 32];
        let written = hex::encode_to_slice(bytes, &mut text);
        let value = written.ok().and_then(|()| HeaderValue::from_bytes(&text).ok());
        value.unwrap_or(HeaderValue::from_static(""))
    }

    async fn tick(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            self.tally.borrow_mut().fold();
            self.site().sweep();
        }
    }

    async fn accept(
        self: Rc<Self>,
        listener: Listener,
        tls: Option<Terminator>,
        tasks: TaskTracker,
        drain: CancellationToken,
    ) {
        loop {
            let (stream, from) = tokio::select! {
                accepted = listener.accept() => accepted,
                () = drain.cancelled() => break,
            };
            self.admit(stream, from, tls.as_ref(), &tasks, &drain);
        }
        // Closing a listener would reset the connections that wait in its queue.
        while let Some((stream, from)) = listener.accept().now_or_never() {
            self.admit(stream, from, tls.as_ref(), &tasks, &drain);
        }
    }

    fn admit(
        self: &Rc<Self>,
        stream: Stream,
        from: Option<SocketAddr>,
        tls: Option<&Terminator>,
        tasks: &TaskTracker,
        drain: &CancellationToken,
    ) {
        let site = self.site();
        let Some(place) = Place::among(&self.plane, site.config().limits.connections) else {
            if tls.is_none() {
                turn_away(stream);
            }
            return;
        };
        let address = from.map_or(THIS_MACHINE, |from| from.ip());
        let Some(peer) = Peer::at(address, &site.config().gateway.trusted_proxies) else { return };
        let scheme = if tls.is_some() { Scheme::Https } else { Scheme::Http };
        let client = Rc::new(Client { address, peer, scheme });
        let (worker, tls, drain) = (Rc::clone(self), tls.cloned(), drain.clone());
        tasks.spawn_local(async move {
            let _place = place;
            if let Err(error) = worker.converse(stream, tls, client, &drain).await {
                debug!(client = %address, %error, "connection ended");
            }
        });
    }

    /// One connection, from its first byte to its last.
    async fn converse(
        self: Rc<Self>,
        stream: Stream,
        tls: Option<Terminator>,
        client: Rc<Client>,
        drain: &CancellationToken,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let site = self.site();
        let (stream, protocol) = tokio::select! {
            opened = self.open(stream, tls, &site.config().limits) => opened?,
            () = last_call(drain) => return Ok(()),
        };
        let (bounds, http2_bounds) = (site.bounds(), site.http2_bounds());
        drop(site); // a connection outlives reloads
        let serving = Rc::clone(&self);
        let service = service_fn(move |request: Request<Incoming>| {
            let (worker, client) = (Rc::clone(&serving), Rc::clone(&client));
            async move { Ok::<_, std::convert::Infallible>(worker.serve(&client, request).await) }
        });
        match protocol {
            Protocol::Http1 => connection::serve(stream, service, bounds, drain).await?,
            Protocol::Http2 => http2::serve(stream, service, &http2_bounds, drain).await?,
        }
        Ok(())
    }

    /// Ends TLS, if there is any, and finds out what is spoken: by ALPN, or by the first bytes.
    async fn open(
        &self,
        stream: Stream,
        tls: Option<Terminator>,
        limits: &Limits,
    ) -> io::Result<(Opened<Stream>, Protocol)> {
        let (stream, agreed) = match tls {
            Some(tls) => {
                let _place = Handshake::among(&self.plane, limits.handshakes)?;
                tls.accept(stream, limits.handshake_timeout).await?
            }
            None => (stream, None),
        };
        if agreed == Some(Protocol::Http2) {
            return Ok((Opened::untouched(stream), Protocol::Http2));
        }
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the first bytes took too long");
        let (stream, spoken) =
            tokio::time::timeout(limits.handshake_timeout, opening::open(stream)).await.map_err(late)??;
        Ok((stream, agreed.unwrap_or(spoken)))
    }
}

/// Resolves a little after the drain has begun: what waited in the queue is still served.
async fn last_call(drain: &CancellationToken) {
    drain.cancelled().await;
    tokio::time::sleep(LAST_CALL).await;
}

/// A place among the handshakes of the process; given back when dropped.
struct Handshake(Arc<AtomicUsize>);

impl Handshake {
    fn among(plane: &Plane, most: usize) -> io::Result<Self> {
        let before = plane.handshakes.fetch_add(1, Ordering::Relaxed);
        let taken = Self(Arc::clone(&plane.handshakes));
        let full = || io::Error::new(io::ErrorKind::QuotaExceeded, "too many TLS handshakes at once");
        (before < most).then_some(taken).ok_or_else(full)
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place among the connections of the process; given back when dropped.
struct Place {
    connections: Arc<AtomicUsize>,
    open: metrics::Gauge,
}

impl Place {
    fn among(plane: &Plane, most: usize) -> Option<Self> {
        let before = plane.connections.fetch_add(1, Ordering::Relaxed);
        plane.metrics.connections.increment(1.0);
        let taken = Self { connections: Arc::clone(&plane.connections), open: plane.metrics.connections.clone() };
        (before < most).then_some(taken)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
        self.open.decrement(1.0);
    }
}

/// Tells a client for whom there is no place so, as far as his socket takes it without waiting.
fn turn_away(stream: Stream) {
    const ANSWER: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let Stream::Tcp(stream) = stream else { return };
    if let Ok(mut stream) = stream.into_std() {
        stream.write_all(ANSWER).ok(); // the socket does not block: what it does not take is lost
    }
}
