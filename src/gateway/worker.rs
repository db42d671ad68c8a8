//! One worker: a thread with its own runtime, listeners, upstream connections and notes.
//!
//! Promises: workers share nothing that is locked on the path of a request; a drain accepts what has already come,
//! lets requests in flight finish, and ends at its deadline.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::net::deadline::{Tick, Wheel};
use crate::net::listener::Listener;
use crate::usage::Tally;

use super::Plane;
use super::buffers::Buffers;
use super::entrance::Entrance;
use super::site::Site;
use super::vigil::Vigils;
use crate::limiter::failures::Sum;

/// How often notes are folded and idle connections looked at.
const TICK: Duration = Duration::from_secs(1);

/// One worker's own things.
pub(super) struct Worker {
    pub(super) plane: Arc<Plane>,
    pub(super) tally: RefCell<Tally>,
    pub(super) buffers: Buffers,
    /// One for this worker, and one for each client who is being told that there is no place.
    pub(super) farewells: Rc<()>,
    /// Whether no request is to begin any more.
    pub(super) is_draining: Cell<bool>,
    /// What `Date` says, and since when.
    date: Cell<(Tick, [u8; 29])>,
    /// Turns for the deadlines of all its connections.
    pub(super) wheel: Rc<Wheel>,
    /// Its streams.
    pub(super) vigils: Vigils,
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
    let worker = Rc::new(Worker::new(plane));
    let tasks = TaskTracker::new();
    for Entrance { socket, door } in entrances {
        match Listener::new(socket) {
            Ok(listener) => {
                let accepting = Rc::clone(&worker).accept(listener, Rc::new(door), tasks.clone(), drain.clone());
                tasks.spawn_local(accepting);
            }
            Err(error) => tracing::error!(%error, "a listener is lost"),
        }
    }
    tokio::task::spawn_local(Rc::clone(&worker).tick());
    tokio::task::spawn_local(Rc::clone(&worker.wheel).run());
    drain.cancelled().await;
    worker.is_draining.set(true);
    worker.wheel.wake_all();
    tasks.close();
    let timeout = worker.site().config().drain.timeout;
    if tokio::time::timeout(timeout, tasks.wait()).await.is_err() {
        tracing::warn!(worker = at, left = tasks.len(), "requests did not finish within drain.timeout");
    }
    worker.tally.borrow_mut().fold();
}

impl Worker {
    fn new(plane: Arc<Plane>) -> Self {
        let wheel = Wheel::new();
        let site = Site::new(plane.setup.load_full(), None, (&plane.metrics, &wheel));
        Self {
            buffers: Buffers::default(),
            farewells: Rc::default(),
            is_draining: Cell::new(false),
            date: Cell::new((Tick::NEVER, [0; 29])),
            tally: RefCell::new(Tally::new(plane.usage.clone())),
            wheel,
            vigils: Vigils::default(),
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
            *site = Rc::new(Site::new(Arc::clone(&setup), Some(&site), (&self.plane.metrics, &self.wheel)));
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
    pub(super) fn request_id(&self) -> [u8; 32] {
        let mut bytes = [0; 16];
        self.random.borrow_mut().fill_bytes(&mut bytes);
        let mut text = [0; 32];
        hex::encode_to_slice(bytes, &mut text).unwrap_or_default(); // they fit
        text
    }

    /// What `Date` says now (RFC 9110 §5.6.7), to within a turn of the wheel.
    pub(super) fn date(&self) -> [u8; 29] {
        let (at, mut text) = self.date.get();
        if at != self.wheel.now() {
            let now = httpdate::fmt_http_date(SystemTime::now());
            if let Some(whole) = now.as_bytes().first_chunk() {
                text = *whole;
            }
            self.date.set((self.wheel.now(), text));
        }
        text
    }

    async fn tick(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        let mut asked = self.tally.borrow().asked();
        loop {
            tokio::select! {
                _ = ticks.tick() => self.site().sweep(),
                Ok(()) = asked.changed() => {}
            }
            self.tally.borrow_mut().fold();
            self.tell_failures(); // each is told by whoever comes first
            self.vigils.judge(&self.plane.index, self.plane.clock.now());
        }
    }

    /// Says of the minutes that are over what was not logged one by one.
    fn tell_failures(&self) {
        for Sum { source, refused } in self.plane.failures.sweep(self.plane.clock.now()) {
            warn!(client = %source, refused, "too many failed authentications in a minute");
        }
    }
}
