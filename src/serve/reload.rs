//! Another configuration for a running gateway.
//!
//! Promises: it is read and checked whole, then in force whole, or the one before stays.
//! Deliberately does not: close a listener or a store. What needs a restart is refused by name.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::admin::{Operations, ReloadRefused};
use crate::config::{self, Config, ListenAddress, Mistakes};
use crate::domain::Timestamp;
use crate::gateway::Plane;
use crate::net::tls::Certificates;

use crate::webhooks::Control;

use super::files::Files;
use super::watch::Watch;

/// Where a configuration comes from, to be read again.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file; `None`: `./config/relevo.toml` if it is there by the next time it is looked for, else the defaults.
    pub path: Option<PathBuf>,
    /// The environment, as it was at the start.
    pub variables: Vec<(String, String)>,
}

impl Source {
    /// The file at `path` and this process's environment.
    pub fn of_process(path: Option<PathBuf>) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { path, variables: std::env::vars_os().filter_map(text).collect() }.found()
    }

    /// The same, with the file that nobody named by its name if it is there: once it counts, it is missed when it is gone.
    fn found(self) -> Self {
        let is_there = |path: &Path| path.try_exists().unwrap_or(true); // whoever reads it says what is wrong with it
        let path = self.path.or_else(|| Some(PathBuf::from(config::DEFAULT_PATH)).filter(|path| is_there(path)));
        Self { path, ..self }
    }

    /// Reads and checks it.
    pub fn load(&self) -> Result<Config, Mistakes> {
        config::load(self.path.as_deref(), self.variables.iter().cloned())
    }
}

/// The process, as the admin plane and signals may act on it.
pub(super) struct Process {
    source: Mutex<Option<Source>>,
    files: Option<Files>,
    plane: Arc<Plane>,
    /// Those of the listeners with TLS, in their order, and then the admin port's if it has TLS.
    certificates: Vec<Certificates>,
    in_force: Mutex<Arc<Config>>,
    webhooks: Control,
    started_at: Timestamp,
}

impl Process {
    pub(super) fn new(
        (source, files): (Option<Source>, Option<Files>),
        plane: Arc<Plane>,
        certificates: Vec<Certificates>,
        (config, webhooks): (Arc<Config>, Control),
        started_at: Timestamp,
    ) -> Self {
        Self {
            source: Mutex::new(source),
            files,
            plane,
            certificates,
            in_force: Mutex::new(config),
            webhooks,
            started_at,
        }
    }

    /// A watch over the file, if there is one.
    pub(super) fn watch(&self) -> Option<Watch> {
        let path = self.source()?.path.unwrap_or_else(|| config::DEFAULT_PATH.into());
        Some(Watch::over(path, Instant::now()))
    }

    /// Takes up what `watch` has seen, where the configuration in force asks for that. A file that says what is in force
    /// already is left alone.
    pub(super) fn look(&self, watch: &mut Watch) {
        let in_force = Arc::clone(&self.in_force.lock().unwrap_or_else(PoisonError::into_inner));
        if !in_force.watch || !watch.is_due(Instant::now()) {
            return;
        }
        let says_the_same = |config: Config| config.hash == in_force.hash;
        if !self.source().is_some_and(|source| source.load().is_ok_and(says_the_same)) {
            drop(self.reload()); // which has logged what came of it
        }
    }

    /// `drain.delay` as it is in force.
    pub(super) fn drain_delay(&self) -> Duration {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner).drain.delay
    }

    fn source(&self) -> Option<Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn try_reload(&self) -> Result<String, ReloadRefused> {
        let mut known = self.source.lock().unwrap_or_else(PoisonError::into_inner); // one at a time, read and swapped
        let source = known.clone().ok_or(ReloadRefused::NoFile)?.found();
        let config = Arc::new(source.load().map_err(|mistakes| refused(&mistakes))?);
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let fixed = needs_restart(&in_force, &config);
        if !fixed.is_empty() {
            return Err(ReloadRefused::NeedsRestart(fixed));
        }
        let certificates = certificates(&config)?;
        self.certificates.iter().zip(certificates).for_each(|(shown, loaded)| shown.replace(&loaded));
        if let Some(files) = self.files {
            files.tell(&config);
        }
        self.plane.reload(Arc::clone(&config));
        self.webhooks.reload(&config.webhooks);
        in_force.clone_from(&config);
        *known = Some(source);
        Ok(config.hash.clone())
    }
}

impl Operations for Process {
    fn config_hash(&self) -> String {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner).hash.clone()
    }

    fn started_at(&self) -> Timestamp {
        self.started_at
    }

    fn reload(&self) -> Result<String, ReloadRefused> {
        let reloaded = self.try_reload();
        match &reloaded {
            Ok(config) => info!(config, "configuration reloaded"),
            Err(ReloadRefused::Mistakes(mistakes)) => warn!(?mistakes, "configuration not reloaded: it has mistakes"),
            Err(ReloadRefused::NeedsRestart(keys)) => warn!(?keys, "configuration not reloaded: it needs a restart"),
            Err(ReloadRefused::NoFile) => warn!("configuration not reloaded: it was not read from a file"),
        }
        reloaded
    }
}

/// The certificates of every listener with TLS. They were sound when the configuration was checked.
fn certificates(config: &Config) -> Result<Vec<Certificates>, ReloadRefused> {
    let listeners = config.gateway.listeners.iter().filter(|listener| !listener.tls.is_empty());
    let loaded = listeners.map(|listener| Certificates::load(&listener.tls)).collect::<Result<_, _>>();
    loaded.map_err(|error| ReloadRefused::Mistakes(vec![("gateway.listeners".to_owned(), error.to_string())]))
}

/// Where each listener listens, and what for.
fn places(config: &Config) -> Vec<(&ListenAddress, [bool; 4])> {
    config
        .gateway
        .listeners
        .iter()
        .map(|listener| {
            let kind =
                [!listener.tls.is_empty(), listener.proxy_protocol, listener.redirect_to_https, listener.authorization];
            (&listener.address, kind)
        })
        .collect()
}

fn refused(mistakes: &Mistakes) -> ReloadRefused {
    ReloadRefused::Mistakes(mistakes.iter().map(|mistake| (mistake.key.clone(), mistake.message.clone())).collect())
}

/// The keys that differ and that only a restart can change.
fn needs_restart(before: &Config, after: &Config) -> Vec<&'static str> {
    let differs = [
        ("gateway.listen", places(before) != places(after)),
        ("gateway.workers", before.gateway.workers != after.gateway.workers),
        ("admin", before.admin != after.admin),
        ("probes", before.probes != after.probes),
        ("store", before.store != after.store),
        ("audit", before.audit != after.audit),
        ("tokens", before.tokens != after.tokens),
        ("log", before.log != after.log),
    ];
    differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}
