//! One worker: a thread with its own runtime, listeners, upstream connections and notes.
//!
//! Promises: workers share nothing that is locked on the path of a request; a drain accepts what has already come,
//! lets requests in flight finish, and ends at its deadline.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener as StdListener};
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
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::net::deadline::Wheel;
use crate::net::guard::Heads;
use crate::net::pulse::Pulse;
use crate::net::{connection, listener};
use crate::usage::Tally;

use super::headers::Peer;
use super::refusal::Refusal;
use super::site::Site;
use super::{Client, Plane};

/// How often notes are folded and idle connections looked at.
const TICK: Duration = Duration::from_secs(1);

/// One worker's own things.
pub(super) struct Worker {
    pub(super) plane: Arc<Plane>,
    pub(super) tally: RefCell<Tally>,
    /// Turns for the deadlines of all its connections.
    pub(super) wheel: Rc<Wheel>,
    at: usize,
    site: RefCell<Rc<Site>>,
    random: RefCell<SmallRng>,
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

/// Starts a worker for each item of `listeners`, with the sockets in it. They stop accepting and drain when `drain`
/// is called.
pub fn start(plane: &Arc<Plane>, listeners: Vec<Vec<StdListener>>, drain: &CancellationToken) -> io::Result<Workers> {
    let spawn = |(at, listeners): (usize, Vec<StdListener>)| {
        let (plane, drain) = (Arc::clone(plane), drain.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name(format!("worker-{at}"))
            .spawn(move || LocalSet::new().block_on(&runtime, run(at, plane, listeners, drain)))
    };
    listeners.into_iter().enumerate().map(spawn).collect::<io::Result<_>>().map(Workers)
}

async fn run(at: usize, plane: Arc<Plane>, listeners: Vec<StdListener>, drain: CancellationToken) {
    let worker = Rc::new(Worker::new(at, plane));
    let tasks = TaskTracker::new();
    for listener in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                let accepting = Rc::clone(&worker).accept(listener, tasks.clone(), drain.clone());
                tasks.spawn_local(accepting);
            }
            Err(error) => tracing::error!(%error, "a listener is lost"),
        }
    }
    tokio::task::spawn_local(Rc::clone(&worker).tick());
    tokio::task::spawn_local(Rc::clone(&worker.wheel).run());
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
        let wheel = Wheel::new();
        let site = Site::new(plane.setup.load_full(), None, (&plane.metrics, &wheel), at);
        Self {
            tally: RefCell::new(Tally::new(plane.usage.clone())),
            wheel,
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
            *site = Rc::new(Site::new(Arc::clone(&setup), Some(&site), (&self.plane.metrics, &self.wheel), self.at));
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

    async fn accept(self: Rc<Self>, listener: TcpListener, tasks: TaskTracker, drain: CancellationToken) {
        loop {
            let (stream, from) = tokio::select! {
                accepted = listener::accept(&listener) => accepted,
                () = drain.cancelled() => break,
            };
            self.admit(stream, from, &tasks, &drain);
        }
        // Closing a listener would reset the connections that wait in its queue.
        while let Some((stream, from)) = listener::accept(&listener).now_or_never() {
            self.admit(stream, from, &tasks, &drain);
        }
    }

    fn admit(self: &Rc<Self>, stream: TcpStream, from: SocketAddr, tasks: &TaskTracker, drain: &CancellationToken) {
        let site = self.site();
        let Some(place) = Place::among(&self.plane, site.config().limits.connections) else {
            site.route_metrics(None).refused(Refusal::Overloaded.code());
            return turn_away(stream);
        };
        let Some(peer) = Peer::at(from.ip(), &site.config().gateway.trusted_proxies) else { return };
        let (worker, drain, bounds) = (Rc::clone(self), drain.clone(), site.head_bounds());
        let heads = Rc::new(Heads::new(Pulse::new(&self.wheel, site.times(), self.entropy()[0])));
        let client = Rc::new(Client { address: from.ip(), peer, heads: Some(Rc::clone(&heads)) });
        tasks.spawn_local(async move {
            let _place = place;
            let serving = (Rc::clone(&worker), Rc::clone(&client));
            let service = service_fn(move |request: Request<Incoming>| {
                let (worker, client) = serving.clone();
                async move { Ok::<_, Infallible>(worker.answer(&client, request).await) }
            });
            if let Err(end) = connection::serve(stream, heads, service, bounds, &drain).await {
                worker.ended(&client, &end);
            }
        });
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
fn turn_away(stream: TcpStream) {
    let body = Refusal::Overloaded.problem().fixed_body();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    if let Ok(mut stream) = stream.into_std() {
        stream.write_all(&[head.as_bytes(), body].concat()).ok(); // the socket does not block: what it does not take is lost
    }
}
