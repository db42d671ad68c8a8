//! Assembly: every floor put together, started, and taken down again.
//!
//! Promises: sockets are bound before anything else, and listeners live as long as the process; a start that fails
//! says what stood in its way; SIGTERM and SIGINT drain before they end.
//! Deliberately does not: judge, decide or store anything itself.

mod announce;
mod background;
mod failure;
mod files;
mod first;
mod own;
mod reload;
mod rescue;
mod running;
mod watch;

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::{self, Admin, server};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::gateway;
use crate::index::Index;
use crate::keyring::{self, Follower, Keyring, Settler};
use crate::limiter::Limiter;
use crate::net::listener::{self, Bound, Inherited};
use crate::net::tls::{Certificates, Terminator};
use crate::observe::{AccessLog, Health, Metrics, access::Sink, log};
use crate::store::{Store, embedded::EmbeddedStore};
use crate::usage::Usage;
use crate::webhooks;

use background::Background;
pub use failure::StartError;
use files::Files;
use reload::Process;
pub use reload::Source;
pub use rescue::{Rescued, rescue};
pub use running::{Running, Signals};

/// `relevo serve`: runs until SIGTERM or SIGINT. The exit code is that of a failed start, or success.
pub fn serve(config: Config, source: Source) -> Result<ExitCode, StartError> {
    let _log = log::start().map_err(|error| StartError::thread(&error))?; // to the end: the last lines are written
    let is_first = !config.store.path.exists();
    let running = Relevo::start_as_process(config, source)?;
    let signals = Signals::catch()?;
    if is_first {
        running.tell_console_link();
    }
    running.print_addresses().map_err(|error| StartError::stdout(&error))?;
    running.obey(signals);
    Ok(ExitCode::SUCCESS)
}

/// As many descriptors as the system gives, and no core dump: memory holds tokens in flight. The answer is how many
/// descriptors there are, if the system says.
fn prepare_process() -> Option<Files> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard))
        .and_then(|()| setrlimit(Resource::RLIMIT_CORE, 0, 0));
    if let Err(error) = raised {
        warn!(%error, "the limits of this process could not be set");
    }
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| Files(soft))
}

/// The whole product.
pub struct Relevo;

impl Relevo {
    /// Starts everything in threads of this process, on `store` or, without one, on the store that `config` names.
    pub fn start(config: Config, clock: Clock, store: Option<Arc<dyn Store>>) -> Result<Running, StartError> {
        start(Beginning { config, clock, store, given: None, source: None, files: None })
    }

    /// The same with a configuration that was read from `source` and can be read from there again.
    pub fn start_from(source: Source, config: Config, clock: Clock) -> Result<Running, StartError> {
        start(Beginning { config, clock, store: None, given: None, source: Some(source), files: None })
    }

    /// The same for a process of its own: its first administrator's token may come from the environment, and it is
    /// announced to this user's command line.
    pub fn start_as_process(config: Config, source: Source) -> Result<Running, StartError> {
        let files = prepare_process();
        if let Some(files) = files {
            files.tell(&config);
        }
        let path = config.store.path.clone();
        let given = first::given_token();
        // Where there is no store, there is no administrator: what is wrong is told before one is made.
        let given = if path.exists() { given } else { first::needed(given)?.map(Ok) };
        let clock = Clock::system();
        let mut running = start(Beginning { config, clock, store: None, given, source: Some(source), files })?;
        running.announcement = announce::write(running.admin, running.admin_tls.as_ref(), &path);
        Ok(running)
    }
}

/// Every socket, bound.
struct Sockets {
    workers: Vec<Vec<gateway::Entrance>>,
    gateway: Vec<Bound>,
    certificates: Vec<Certificates>,
    admin: server::Door,
    probes: Option<TcpListener>,
}

impl Sockets {
    fn bind(config: &Config) -> Result<Self, StartError> {
        let mut workers: Vec<Vec<gateway::Entrance>> = (0..config.gateway.workers).map(|_| Vec::new()).collect();
        let (mut gateway, mut certificates) = (Vec::new(), Vec::new());
        let inherits = |listener: &config::Listener| matches!(listener.address, config::ListenAddress::Inherited(_));
        let mut inherited = config.gateway.listeners.iter().any(inherits).then(Inherited::from_environment);
        let all = addresses(config);
        for listener in &config.gateway.listeners {
            let config::Listener { address, tls, proxy_protocol, .. } = listener;
            let purpose = purpose(listener);
            let tls = (!tls.is_empty()).then(|| Terminator::new(tls)).transpose();
            let tls = tls.map_err(|error| StartError::certificate("gateway.listeners", address, &error))?;
            certificates.extend(tls.as_ref().map(|tls| tls.certificates().clone()));
            let key = if tls.is_some() { "gateway.listeners" } else { "gateway.listen" };
            let failed = |error| StartError::bind(key, address, &error);
            for sockets in listener::open(address, workers.len(), &all, inherited.as_mut()).map_err(failed)? {
                gateway.extend(sockets.first().and_then(|socket| socket.bound().ok()));
                let door = || gateway::Door { tls: tls.clone(), proxied: *proxy_protocol, purpose };
                let entrances = sockets.into_iter().map(|socket| gateway::Entrance { socket, door: door() });
                workers.iter_mut().zip(entrances).for_each(|(worker, entrance)| worker.push(entrance));
            }
        }
        let bind =
            |key, address| listener::bind(address, &all).map_err(|error| StartError::bind(key, &address, &error));
        let admin = server::Door { socket: bind("admin.listen", config.admin.listen)?, tls: admin_tls(config)? };
        // The last: a reload leaves it alone.
        certificates.extend(admin.tls.as_ref().map(|tls| tls.certificates().clone()));
        let probes = config.probes.as_ref().map(|probes| bind("probes.listen", probes.listen)).transpose()?;
        Ok(Self { workers, gateway, certificates, admin, probes })
    }
}

/// Every address and port that the configuration names to listen on.
fn addresses(config: &Config) -> Vec<SocketAddr> {
    let gateway = config.gateway.listeners.iter().filter_map(|listener| match &listener.address {
        config::ListenAddress::Tcp(address) => Some(*address),
        config::ListenAddress::Unix(_) | config::ListenAddress::Inherited(_) => None,
    });
    gateway.chain([config.admin.listen]).chain(config.probes.as_ref().map(|probes| probes.listen)).collect()
}

fn admin_tls(config: &Config) -> Result<Option<Terminator>, StartError> {
    let tls = config.admin.tls.as_ref().map(Terminator::of_admin).transpose();
    tls.map_err(|error| StartError::certificate("admin.tls", &config.admin.listen, &error))
}

fn purpose(listener: &config::Listener) -> gateway::Purpose {
    match (listener.redirect_to_https, listener.authorization) {
        (true, _) => gateway::Purpose::Redirect,
        (false, true) => gateway::Purpose::Authorize,
        (false, false) => gateway::Purpose::Forward,
    }
}

/// What a start begins with.
struct Beginning {
    config: Config,
    clock: Clock,
    store: Option<Arc<dyn Store>>,
    /// The first administrator's token, if somebody else has made it.
    given: Option<first::Given>,
    source: Option<Source>,
    /// The descriptors that there are, where this process is the gateway's own.
    files: Option<Files>,
}

fn start(beginning: Beginning) -> Result<Running, StartError> {
    let Beginning { config, clock, store, given, source, files } = beginning;
    let config = Arc::new(config);
    let Sockets { workers, gateway, certificates, admin: admin_door, probes: probes_socket } = Sockets::bind(&config)?;
    let admin = admin_door.socket.local_addr().map_err(|error| StartError::thread(&error))?;
    let probes = probes_socket.as_ref().and_then(|socket| socket.local_addr().ok());
    let ground = Ground::lay(config, clock)?; // before a store is made: what is wrong here leaves none behind
    let store = store.map_or_else(|| open(&ground.config), Ok)?;
    let accepting = ground.health.requirement("accepting");
    let keys = Keys::start(&ground, store, certificates.clone(), given)?;

    let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
    let plane = Arc::new(gateway::Plane::new(ground.plane_parts(&keys, files)));
    keys.background.spawn(Arc::clone(&plane).watch(ground.health.clone()));
    let workers = gateway::start(&plane, workers, &drain).map_err(|error| StartError::thread(&error))?;
    let (config, now) = (Arc::clone(&ground.config), ground.clock.now());
    let (webhooks, sending) = ground.send_events(&keys, &stop)?;
    let process = Arc::new(Process::new((source, files), Arc::clone(&plane), certificates, (config, webhooks), now));
    let state = ground.admin(&keys, Arc::clone(&process), admin, &stop);
    let console = state.console.clone();
    let admin_limits = files.map(|files| files.admin(&ground.config)).unwrap_or_default();
    let mut threads = serve_admin(state, &ground.config, (admin_door, probes_socket), admin_limits, &stop)?;
    threads.push(sending);
    accepting.ok();
    info!(gateway = ?gateway, %admin, config = ground.config.hash, "serving");
    Ok(Running {
        gateway,
        admin,
        admin_tls: ground.config.admin.tls.clone(),
        admin_host: admin_host(&ground.config),
        probes,
        accepting,
        drain,
        stop,
        workers,
        threads,
        background: keys.background,
        access: ground.access,
        process,
        console,
        clock: ground.clock,
        announcement: None,
    })
}

/// The name by which people are to speak to the admin port, where the configuration names one.
fn admin_host(config: &Config) -> Option<String> {
    config.admin.hosts.iter().find_map(|host| match host {
        config::HostPattern::Exact(name) => Some(name.clone()),
        config::HostPattern::OneLabelBefore(_) => None,
    })
}

/// What everything stands on.
struct Ground {
    config: Arc<Config>,
    clock: Clock,
    metrics: Metrics,
    health: Health,
    access: AccessLog,
}

impl Ground {
    fn lay(config: Arc<Config>, clock: Clock) -> Result<Self, StartError> {
        let metrics = Metrics::install();
        let access = AccessLog::open(sink(&config.log.access), &metrics).map_err(|error| StartError::log(&error))?;
        Ok(Self { config, clock, metrics, health: Health::default(), access })
    }

    /// Has webhooks told of events.
    fn send_events(
        &self,
        keys: &Keys,
        stop: &CancellationToken,
    ) -> Result<(webhooks::Control, JoinHandle<()>), StartError> {
        let parts = webhooks::Parts {
            keyring: keys.keyring.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            health: self.health.clone(),
            places: self.config.store.path.with_file_name("webhooks.json"),
        };
        let started = webhooks::start(parts, &self.config.webhooks, stop.clone());
        started.map_err(|error| StartError::thread(&error))
    }

    fn plane_parts(&self, keys: &Keys, files: Option<Files>) -> gateway::Parts {
        gateway::Parts {
            room: files.map(|files| files.room(&self.config)).unwrap_or_default(),
            config: Arc::clone(&self.config),
            index: keys.index.clone(),
            usage: keys.usage.clone(),
            limiter: keys.limiter.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            access: self.access.clone(),
            own: Arc::new(own::Keys::new(
                keys.keyring.clone(),
                keys.usage.clone(),
                self.clock.clone(),
                &keys.background,
            )),
        }
    }

    fn admin(&self, keys: &Keys, process: Arc<Process>, address: SocketAddr, stop: &CancellationToken) -> Admin {
        Admin {
            keyring: keys.keyring.clone(),
            catalog: keys.catalog.clone(),
            usage: keys.usage.clone(),
            admins: keys.admins.clone(),
            metrics: self.metrics.clone(),
            health: self.health.clone(),
            operations: process,
            clock: self.clock.clone(),
            hosts: admin::Hosts::of(address, &self.config.admin.hosts),
            streams: admin::Streams::until(stop.clone()),
            console: admin::Console::default(),
            sign_ins: admin::SignIns::new(self.metrics.clone()),
        }
    }
}

/// The write side, and what it feeds.
struct Keys {
    keyring: Keyring,
    catalog: Catalog,
    usage: Usage,
    limiter: Limiter,
    index: Index,
    admins: Index,
    background: Background,
}

impl Keys {
    fn start(
        ground: &Ground,
        store: Arc<dyn Store>,
        certificates: Vec<Certificates>,
        given: Option<first::Given>,
    ) -> Result<Self, StartError> {
        let Ground { config, clock, metrics, health, .. } = ground;
        let prepared = Background::prepare(&store)?;
        let (index, key_writer) = Index::with_capacity(prepared.capacity);
        let (admins, admin_writer) = Index::with_capacity(0);
        let (usage, first_uses) = Usage::open(config.store.path.with_file_name("usage.redb"), clock.clone());
        let limiter = Limiter::open(config.store.path.with_file_name("quotas.redb"), clock.clone());
        let catalog = Catalog::default();
        let keyring = Keyring::new(keyring::Parts {
            store: Arc::clone(&store),
            catalog: catalog.clone(),
            keys: index.clone(),
            admins: admins.clone(),
            usage: usage.clone(),
            clock: clock.clone(),
            prefix: config.tokens.prefix.clone(),
            remember: config.tokens.remember,
        });
        let background = prepared.run(background::Work {
            keyring: keyring.clone(),
            follower: Follower { keys: key_writer, admins: admin_writer },
            settler: Settler::new(keyring.clone(), first_uses),
            catalog: catalog.clone(),
            store,
            usage: usage.clone(),
            limiter: limiter.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            health: health.clone(),
            config: Arc::clone(config),
            certificates,
            given,
        })?;
        Ok(Self { keyring, catalog, usage, limiter, index, admins, background })
    }
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
    let store = EmbeddedStore::open_to_serve(path).map_err(|error| StartError::store(path, &error))?;
    Ok(Arc::new(store))
}

/// The admin port and the probes' port, on one thread that the workers cannot starve.
fn serve_admin(
    state: Admin,
    config: &Config,
    (admin_door, probes_socket): (server::Door, Option<TcpListener>),
    limits: server::Limits,
    stop: &CancellationToken,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let kind = |probes: &config::Probes| {
        if probes.metrics { admin::Probes::WithMetrics } else { admin::Probes::Alone }
    };
    let probes = config.probes.as_ref().map(kind);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| StartError::thread(&error))?;
    let stop = stop.clone();
    let run = async move {
        let probes = probes.zip(probes_socket).map(|(kind, socket)| {
            let router = admin::probes_router(state.clone(), kind);
            let door = server::Door { socket, tls: None };
            server::serve(door, router, limits, stop.clone())
        });
        let (console, metrics) = (state.console.clone(), state.metrics.clone());
        let admin = server::serve(admin_door, admin::router(state), limits, stop);
        let served = async {
            match probes {
                Some(probes) => tokio::try_join!(admin, probes).map(|((), ())| ()),
                None => admin.await,
            }
        };
        let served = tokio::select! {
            served = served => served,
            never = console.watch_traffic(&metrics) => match never {},
        };
        if let Err(error) = served {
            tracing::error!(%error, "the admin port is lost");
        }
    };
    let thread = std::thread::Builder::new().name("admin".into()).spawn(move || runtime.block_on(run));
    Ok(vec![thread.map_err(|error| StartError::thread(&error))?])
}
