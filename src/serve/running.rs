//! A running gateway: its addresses, and its way down.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::admin::{Console, Operations};
use crate::clock::Clock;
use crate::config::AdminTls;
use crate::domain::KeyName;
use crate::gateway;
use crate::net::listener::Bound;
use crate::observe::{AccessLog, Condition};

use super::StartError;
use super::announce::{self, Announcement};
use super::background::Background;
use super::reload::Process;
use super::watch::LOOK;

/// How long the last access records may take to be written.
const LAST_RECORDS: Duration = Duration::from_secs(2);

/// The signals that a gateway obeys. Those that come after this was made wait until they are obeyed.
pub struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Catches them from now on. To be made before anybody is told that the gateway runs.
    pub fn catch() -> Result<Self, StartError> {
        let failed = |error: io::Error| StartError::thread(&error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let caught = |kind| {
            let _entered = runtime.enter();
            signal(kind).map_err(failed)
        };
        let terminate = caught(SignalKind::terminate())?;
        let interrupt = caught(SignalKind::interrupt())?;
        let hang_up = caught(SignalKind::hangup())?;
        Ok(Self { runtime, terminate, interrupt, hang_up })
    }
}

/// A running gateway. Dropped without [`Running::shutdown`], it goes on until the process ends.
pub struct Running {
    pub(super) gateway: Vec<Bound>,
    pub(super) admin: SocketAddr,
    pub(super) admin_tls: Option<AdminTls>,
    /// The name by which people speak to the admin port, where it has one.
    pub(super) admin_host: Option<String>,
    pub(super) probes: Option<SocketAddr>,
    pub(super) accepting: Condition,
    pub(super) drain: CancellationToken,
    pub(super) stop: CancellationToken,
    pub(super) workers: gateway::Workers,
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) background: Background,
    pub(super) access: AccessLog,
    pub(super) process: Arc<Process>,
    pub(super) console: Console,
    pub(super) clock: Clock,
    pub(super) announcement: Option<Announcement>,
}

impl Running {
    /// The data plane's addresses, but for sockets in the file system.
    pub fn gateway_addresses(&self) -> Vec<SocketAddr> {
        let address = |bound: &Bound| match bound {
            Bound::Tcp(address) => Some(*address),
            Bound::Unix(_) => None,
        };
        self.gateway.iter().filter_map(address).collect()
    }

    /// The address of a page that signs in to the console as the first administrator: once, within a quarter of an hour.
    pub fn console_link(&self) -> Option<String> {
        let code = self.console.make_link(super::first::ROOT.parse::<KeyName>().ok()?, self.clock.now());
        let scheme = if self.admin_tls.is_some() { "https" } else { "http" };
        let own = announce::reachable(self.admin);
        let place = self.admin_host.as_ref().map_or(own.to_string(), |host| format!("{host}:{}", own.port()));
        Some(format!("{scheme}://{place}/console/link/{code}"))
    }

    /// Tells whoever has started this process for the first time where the console is. Not a log line: logs are kept.
    pub(super) fn tell_console_link(&self) {
        if let Some(link) = self.console_link() {
            // Whoever closed stderr does not want to be told.
            drop(writeln!(io::stderr(), "console: {link} (signs in as root, once, within 15 minutes)"));
        }
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
    pub(super) fn print_addresses(&self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let gateway = self.gateway.iter().map(|bound| ("gateway", bound.to_string()));
        let admin = [("admin", self.admin.to_string())].into_iter();
        let others = admin.chain(self.probes.iter().map(|probes| ("probes", probes.to_string())));
        for (what, address) in gateway.chain(others) {
            writeln!(stdout, "{}", serde_json::json!({"listening": what, "address": address}))?;
        }
        stdout.flush()
    }

    /// Reloads at SIGHUP and, where that is wanted, when the file has changed; shuts down at SIGTERM or SIGINT.
    pub fn obey(self, signals: Signals) {
        let Signals { runtime, mut terminate, mut interrupt, mut hang_up } = signals;
        let mut watch = self.process.watch();
        let name = runtime.block_on(async {
            let mut looks = tokio::time::interval(LOOK);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = terminate.recv() => return "SIGTERM",
                    _ = interrupt.recv() => return "SIGINT",
                    _ = hang_up.recv() => drop(self.process.reload()), // which has logged what came of it
                    _ = looks.tick() => watch.iter_mut().for_each(|watch| self.process.look(watch)),
                }
            }
        });
        info!(signal = name, "shutting down");
        self.shutdown();
    }

    /// `/readyz` 503, then `drain.delay`, then an end of accepting, then the requests in flight, then the rest.
    pub fn shutdown(self) {
        self.accepting.fail("shutting down");
        std::thread::sleep(self.process.drain_delay());
        self.drain.cancel();
        self.workers.join();
        self.stop.cancel();
        for thread in self.threads {
            thread.join().ok(); // a thread that panicked has said so on stderr
        }
        self.background.stop();
        self.access.flush(LAST_RECORDS);
        drop(self.announcement);
        info!("stopped");
    }
}
