//! Assembly: every floor put together, started, and taken down again.
//!
//! Promises: sockets are bound before anything else, and listeners live as long as the process; a start that fails
//! says what stood in its way; SIGTERM and SIGINT drain before they end.
//! Deliberately does not: judge, decide or store anything itself.

mod announce;
mod background;
mod failure;
mod first;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::{self, Admin, Operations, server};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::domain::{Secret, Timestamp};
use crate::gateway;
use crate::index::Index;
use crate::keyring::{self, Follower, Keyring, Settler};
use crate::net::listener;
use crate::observe::{AccessLog, Condition, Health, Metrics, access::Sink, log};
use crate::store::{Store, embedded::EmbeddedStore};
use crate::usage::Usage;

use background::Background;
pub use failure::StartError;

/// `relevo serve`: runs until SIGTERM or SIGINT. The exit code is that of a failed start, or success.
pub fn serve(config: Config) -> Result<ExitCode, StartError> {
    log::start();
    prepare_process();
    let running = Relevo::start_as_process(config)?;
    running.print_addresses().map_err(StartError::stdout)?;
    running.wait_for_signal()?;
    Ok(ExitCode::SUCCESS)
}

/// As many descriptors as the system gives, and no core dump: memory holds tokens in flight.
fn prepare_process() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard))
        .and_then(|()| setrlimit(Resource::RLIMIT_CORE, 0, 0));
    if let Err(error) = raised {
        warn!(%error, "the limits of this process could not be set");
    }
}

/// The whole product.
pub struct Relevo;

impl Relevo {
    /// Starts everything in threads of this process, on `store` or, without one, on the store that `config` names.
    pub fn start(config: Config, clock: Clock, store: Option<Arc<dyn Store>>) -> Result<Running, StartError> {
        start(config, clock, store, None)
    }

    /// The same for a process of its own: its first administrator's token may come from the environment, and it is
    /// announced to this user's command line.
    pub fn start_as_process(config: Config) -> Result<Running, StartError> {
        let given = first::given_token()?;
        let path = config.store.path.clone();
        let mut running = start(config, Clock::system(), None, given)?;
        running.announcement = announce::write(running.admin, &path);
        Ok(running)
    }
}

/// A running gateway. Dropped without [`Running::shutdown`], it goes on until the process ends.
pub struct Running {
    gateway: Vec<SocketAddr>,
    admin: SocketAddr,
    probes: Option<SocketAddr>,
    accepting: Condition,
    drain_delay: std::time::Duration,
    drain: CancellationToken,
    stop: CancellationToken,
    workers: gateway::Workers,
    threads: Vec<JoinHandle<()>>,
    background: Background,
    access: AccessLog,
    announcement: Option<announce::Announcement>,
}

impl Running {
    /// The data plane's addresses.
    pub fn gateway_addresses(&self) -> &[SocketAddr] {
        &self.gateway
    }

    /// The admin port's address.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The probes' address.
    pub fn probes_address(&self) -> Option<SocketAddr> {
        self.probes
    }

    /// Tells the addresses on stdout, a JSON line each, and nothing else there ever.
    fn print_addresses(&self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let gateway = self.gateway.iter().map(|address| ("gateway", address));
        let others = [("admin", &self.admin)].into_iter().chain(self.probes.iter().map(|probes| ("probes", probes)));
        for (what, address) in gateway.chain(others) {
            writeln!(stdout, "{}", serde_json::json!({"listening": what, "address": address.to_string()}))?;
        }
        stdout.flush()
    }

    /// Waits for SIGTERM or SIGINT and shuts down.
    pub fn wait_for_signal(self) -> Result<(), StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::thread)?;
        let name = runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            tokio::select! {
                _ = terminate.recv() => Ok::<_, io::Error>("SIGTERM"),
                _ = interrupt.recv() => Ok("SIGINT"),
            }
        });
        info!(signal = name.map_err(StartError::thread)?, "shutting down");
        self.shutdown();
        Ok(())
    }

    /// `/readyz` 503, then `drain.delay`, then an end of accepting, then the requests in flight, then the rest.
    pub fn shutdown(self) {
        self.accepting.fail("shutting down");
        std::thread::sleep(self.drain_delay);
        self.drain.cancel();
        self.workers.join();
        self.stop.cancel();
        for thread in self.threads {
            thread.join().ok(); // a thread that panicked has said so on stderr
        }
        self.background.stop();
        self.access.flush(std::time::Duration::from_secs(2));
        drop(self.announcement);
        info!("stopped");
    }
}

/// Every socket, bound.
struct Sockets {
    workers: Vec<Vec<TcpListener>>,
    gateway: Vec<SocketAddr>,
    admin: TcpListener,
    probes: Option<TcpListener>,
}

impl Sockets {
    fn bind(config: &Config) -> Result<Self, StartError> {
        let mut workers: Vec<Vec<TcpListener>> = (0..config.gateway.workers).map(|_| Vec::new()).collect();
        let mut gateway = Vec::new();
        for address in &config.gateway.listen {
            let failed = |error| StartError::bind("gateway.listen", *address, &error);
            let sockets = listener::bind_shared(*address, workers.len()).map_err(failed)?;
            gateway.extend(sockets.first().and_then(|socket| socket.local_addr().ok()));
            workers.iter_mut().zip(sockets).for_each(|(worker, socket)| worker.push(socket));
        }
        let bind = |key, address| listener::bind(address).map_err(|error| StartError::bind(key, address, &error));
        let admin = bind("admin.listen", config.admin.listen)?;
        let probes = config.probes.as_ref().map(|probes| bind("probes.listen", probes.listen)).transpose()?;
        Ok(Self { workers, gateway, admin, probes })
    }
}

/// What the admin plane may ask of the process.
struct Process {
    config_hash: String,
    started_at: Timestamp,
}

impl Operations for Process {
    fn config_hash(&self) -> String {
        self.config_hash.clone()
    }

    fn started_at(&self) -> Timestamp {
        self.started_at
    }
}

fn start(
    config: Config,
    clock: Clock,
    store: Option<Arc<dyn Store>>,
    given: Option<Secret>,
) -> Result<Running, StartError> {
    let config = Arc::new(config);
    let sockets = Sockets::bind(&config)?;
    let store = store.map_or_else(|| open(&config), Ok)?;
    let metrics = Metrics::install();
    let health = Health::default();
    let accepting = health.requirement("accepting");
    let access = AccessLog::open(sink(&config.log.access), &metrics).map_err(StartError::log)?;
    let background = Background::prepare(&store, &config)?;

    let (keys, key_writer) = Index::with_capacity(background.capacity);
    let (admins, admin_writer) = Index::with_capacity(0);
    let (usage, first_uses) = Usage::open(config.store.path.with_file_name("usage.redb"), clock.clone());
    let catalog = Catalog::default();
    let keyring = Keyring::new(keyring::Parts {
        store: Arc::clone(&store),
        catalog: catalog.clone(),
        keys: keys.clone(),
        admins: admins.clone(),
        usage: usage.clone(),
        clock: clock.clone(),
        prefix: config.tokens.prefix.clone(),
        remember: config.tokens.remember,
    });
    let background = background.run(background::Work {
        keyring: keyring.clone(),
        follower: Follower { keys: key_writer, admins: admin_writer },
        settler: Settler::new(keyring.clone(), first_uses),
        catalog: catalog.clone(),
        store,
        usage: usage.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        health: health.clone(),
        config: Arc::clone(&config),
        given,
    })?;

    let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
    let plane = Arc::new(gateway::Plane::new(gateway::Parts {
        config: Arc::clone(&config),
        index: keys,
        usage: usage.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        access: access.clone(),
    }));
    let Sockets { workers, gateway, admin: admin_socket, probes: probes_socket } = sockets;
    let workers = gateway::start(&plane, workers, &drain).map_err(StartError::thread)?;
    let admin = admin_socket.local_addr().map_err(StartError::thread)?;
    let probes = probes_socket.as_ref().and_then(|socket| socket.local_addr().ok());
    let process = Process { config_hash: config.hash.clone(), started_at: clock.now() };
    let hosts = admin::Hosts::of(admin);
    let operations = Arc::new(process);
    let state = Admin { keyring, catalog, usage, admins, metrics, health, operations, clock, hosts };
    let threads = serve_admin(state, &config, (admin_socket, probes_socket), &stop)?;
    accepting.ok();
    info!(gateway = ?gateway, %admin, config = config.hash, "serving");
    Ok(Running {
        gateway,
        admin,
        probes,
        accepting,
        drain_delay: config.drain.delay,
        drain,
        stop,
        workers,
        threads,
        background,
        access,
        announcement: None,
    })
}

fn sink(log: &config::AccessLog) -> Sink<'_> {
    match log {
        config::AccessLog::Stderr => Sink::Stderr,
        config::AccessLog::File(path) => Sink::File(path),
        config::AccessLog::Off => Sink::Off,
    }
}

fn open(config: &Config) -> Result<Arc<dyn Store>, StartError> {
    let path = &config.store.path;
    let store = EmbeddedStore::open(path).map_err(|error| StartError::store(path, error))?;
    Ok(Arc::new(store))
}

/// The admin port and the probes' port, on one thread that the workers cannot starve.
fn serve_admin(
    state: Admin,
    config: &Config,
    (admin_socket, probes_socket): (TcpListener, Option<TcpListener>),
    stop: &CancellationToken,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let probes = config.probes.as_ref().map(|probes| match probes.metrics {
        true => admin::Probes::WithMetrics,
        false => admin::Probes::Alone,
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::thread)?;
    let stop = stop.clone();
    let run = async move {
        let probes = probes.zip(probes_socket).map(|(kind, socket)| {
            let router = admin::probes_router(state.clone(), kind);
            server::serve(socket, router, server::Limits::default(), stop.clone())
        });
        let admin = server::serve(admin_socket, admin::router(state), server::Limits::default(), stop);
        let served = match probes {
            Some(probes) => tokio::try_join!(admin, probes).map(|((), ())| ()),
            None => admin.await,
        };
        if let Err(error) = served {
            tracing::error!(%error, "the admin port is lost");
        }
    };
    let thread = std::thread::Builder::new().name("admin".into()).spawn(move || runtime.block_on(run));
    Ok(vec![thread.map_err(StartError::thread)?])
}
