//! One worker's connections to one endpoint that speaks HTTP/2: each carries many exchanges at once.
//!
//! Promises: no connection carries more than its share; one that carries nothing for long is closed.
//! Deliberately does not: dial.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tracing::debug;

use crate::gateway::body::RequestBody;
use crate::net::stream::Stream;

/// The most exchanges that one connection carries at once. What a backend allows may be less; the engine then waits.
const MOST: usize = 100;
/// How much of a reply may come before some of it went on to the client, in bytes.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same over all replies of one connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// The largest head of a reply, in bytes.
const HEADER_LIST: u32 = 32 * 1024;
/// How often a backend that is working is asked whether it is there, and how long it may take to answer.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

#[derive(Default)]
pub(super) struct Multiplexed(RefCell<Vec<Rc<Carrier>>>);

struct Carrier {
    sender: SendRequest<RequestBody>,
    carries: Cell<usize>,
    quiet_since: Cell<Instant>,
}

/// A place on a connection; given back when dropped.
pub(super) struct Berth {
    pub(super) sender: SendRequest<RequestBody>,
    carrier: Rc<Carrier>,
}

impl Drop for Berth {
    fn drop(&mut self) {
        self.carrier.carries.set(self.carrier.carries.get() - 1);
        self.carrier.quiet_since.set(Instant::now());
    }
}

impl Multiplexed {
    /// A place on a connection that is there.
    pub(super) fn find(&self) -> Option<Berth> {
        let mut all = self.0.borrow_mut();
        if all.is_empty() {
            return None;
        }
        all.retain(|carrier| !carrier.sender.is_closed());
        all.iter().find(|carrier| carrier.carries.get() < MOST).map(berth)
    }

    /// Begins to speak HTTP/2 over `stream`, and gives the first place on it.
    pub(super) async fn add(&self, stream: Stream) -> io::Result<Berth> {
        let mut builder = Builder::new(Local);
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_LIST)
            .keep_alive_interval(PING.0)
            .keep_alive_timeout(PING.1);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                debug!(%error, "upstream connection ended");
            }
        });
        let carrier = Rc::new(Carrier { sender, carries: Cell::default(), quiet_since: Cell::new(Instant::now()) });
        self.0.borrow_mut().push(Rc::clone(&carrier));
        Ok(berth(&carrier))
    }

    /// Closes connections that have carried nothing for `idle`.
    pub(super) fn sweep(&self, idle: Duration) {
        let is_idle = |carrier: &Carrier| carrier.carries.get() == 0 && carrier.quiet_since.get().elapsed() >= idle;
        self.0.borrow_mut().retain(|carrier| !carrier.sender.is_closed() && !is_idle(carrier));
    }
}

fn berth(carrier: &Rc<Carrier>) -> Berth {
    carrier.carries.set(carrier.carries.get() + 1);
    Berth { sender: carrier.sender.clone(), carrier: Rc::clone(carrier) }
}

/// Spawns on the worker's own thread.
#[derive(Clone)]
struct Local;

impl<F: Future<Output: 'static> + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
