//! The configuration: what the operator says, every value legal by construction.
//!
//! Layers, each over the one before: defaults, the file, the environment.
//!
//! Promises: a [`Config`] comes only out of [`load`] or [`Config::parse`], so whoever holds one need not check again.
//! Deliberately does not: look at sockets or stores; a legal configuration may still not be servable. Certificates and
//! keys are read, and checked as pairs.

mod address;
pub mod certificate;
mod check;
mod effective;
mod environment;
mod file;
mod limits;
mod mistake;
mod read;
mod route;
mod schema;
#[cfg(test)]
mod tests;
mod upgrade;
mod upstream;
mod webhook;
mod written;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

pub use self::address::ListenAddress;
pub use self::certificate::Certificate;
pub use self::limits::{Http2Limits, KeyLimits, Limits};
pub use self::mistake::{Mistake, Mistakes, Place};
pub use self::route::{Auth, HeaderRules, HostPattern, MethodName, Route, Waits};
pub use self::upgrade::UpgradeName;
pub use self::upstream::{Endpoint, Health, Reach, Speech, Upstream, UpstreamTls};
pub use self::webhook::{Believed, EventPattern, SigningSecret, Webhook, is_public};
use crate::domain::{Lifetime, OnExpiry, Prefix, Span};

/// Where the configuration is looked for when nobody says where it is.
pub const DEFAULT_PATH: &str = "config/relevo.toml";

/// Reads the configuration at `path`, and `env` over it.
///
/// `None` is [`DEFAULT_PATH`] if that file exists, else the defaults. Errors are every mistake at once; that the file
/// cannot be read is one.
pub fn load(path: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Config, Mistakes> {
    let asked = path.unwrap_or(Path::new(DEFAULT_PATH));
    let name = asked.display().to_string();
    let text = match std::fs::read(asked) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| Mistakes::unreadable(&name, "is not UTF-8".to_owned()))?,
        Err(error) if path.is_none() && error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Mistakes::unreadable(&name, format!("the configuration cannot be read: {error}"))),
    };
    Config::parse(&text, &name, env)
}

/// The JSON schema of the configuration file.
pub fn schema() -> serde_json::Value {
    schema::schema()
}

impl Config {
    /// Reads a configuration from its text; `name` is what mistakes call it. Errors are every mistake at once.
    pub fn parse(text: &str, name: &str, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, Mistakes> {
        let mut source = mistake::Source::new(name, text.to_owned());
        let mut findings = mistake::Findings::default();
        let file = read::read(&mut source, env, &mut findings);
        let config = check::check(&file, &mut findings);
        if let Some(mistakes) = findings.into_mistakes(&source) {
            return Err(mistakes);
        }
        let nothing = || Mistakes::unreadable(name, "is not a configuration".to_owned());
        let mut config = config.ok_or_else(nothing)?;
        config.hash = effective::hash(&config);
        Ok(config)
    }

    /// The effective values as TOML: what was written, and the defaults of all the rest.
    pub fn effective(&self) -> String {
        effective::toml(self)
    }
}

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether a change of the file is taken up without being asked for.
    pub watch: bool,
    /// The data plane's ports and threads.
    pub gateway: Gateway,
    /// The admin port.
    pub admin: Admin,
    /// The probes' port; off by default.
    pub probes: Option<Probes>,
    /// Where the durable truth lies.
    pub store: Store,
    /// How long the audit log reaches back.
    pub audit: Audit,
    /// How tokens look and, on an empty store, how long they live.
    pub tokens: Tokens,
    /// In which forms a token may be presented.
    pub credentials: Credentials,
    /// What is logged, and to where.
    pub log: Log,
    /// How the gateway goes down.
    pub drain: Drain,
    /// How request paths are read.
    pub paths: Paths,
    /// How much a refusal tells.
    pub errors: Errors,
    /// The bounds of the data plane.
    pub limits: Limits,
    /// The backends.
    pub upstreams: Vec<Upstream>,
    /// Which request goes where.
    pub routes: Vec<Route>,
    /// Who is told of events.
    pub webhooks: Vec<Webhook>,
    /// SHA-256 over the effective values, in hex: tells two configurations apart.
    pub hash: String,
}

/// `[gateway]`
#[derive(Clone, PartialEq, Debug)]
pub struct Gateway {
    /// Where clients come in; at least one. Those in clear stand first.
    pub listeners: Vec<Listener>,
    /// How many worker threads; never 0.
    pub workers: usize,
    /// From whom the forwarded family and request ids are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether keys that carry the flag may look after themselves, at `/.relevo/self`.
    pub self_service: bool,
}

/// One of `gateway.listen`, or of `[[gateway.listeners]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Where it listens.
    pub address: ListenAddress,
    /// The certificates that are shown there, by the name that the client asks for; the first is the default. Empty: in
    /// clear.
    pub tls: Vec<Served>,
    /// Whether a connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Whether every request is answered with where to find the same over TLS.
    pub redirect_to_https: bool,
    /// Whether other proxies ask here whether a request may pass.
    pub authorization: bool,
}

impl Listener {
    /// Clients come in at `address`, in clear.
    pub fn in_clear(address: ListenAddress) -> Self {
        Self { address, tls: Vec::new(), proxy_protocol: false, redirect_to_https: false, authorization: false }
    }

    /// Whether there is nothing to say of it but its address.
    pub fn is_plain(&self) -> bool {
        self.tls.is_empty() && !self.proxy_protocol && !self.redirect_to_https && !self.authorization
    }
}

/// A certificate, and for whom it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Served {
    /// The certificate and its key.
    pub certificate: Certificate,
    /// The names that it is shown for; never empty but for the first of a listener.
    pub hosts: Vec<HostPattern>,
}

/// `[admin]`
#[derive(Clone, PartialEq, Debug)]
pub struct Admin {
    /// The admin port's address; loopback, or there is TLS.
    pub listen: SocketAddr,
    /// TLS there; `None`: in clear.
    pub tls: Option<AdminTls>,
    /// The hosts that a request may name there, besides loopback's and the listening address.
    pub hosts: Vec<HostPattern>,
}

/// `admin.tls`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminTls {
    /// What the port shows.
    pub certificate: Certificate,
    /// The file of those whose certificates clients must show; `None`: none is asked for.
    pub client_ca: Option<PathBuf>,
}

/// `[probes]`
#[derive(Clone, PartialEq, Debug)]
pub struct Probes {
    /// The probes' address.
    pub listen: SocketAddr,
    /// Whether `/metrics` is answered there too.
    pub metrics: bool,
}

/// `[store]`
#[derive(Clone, PartialEq, Debug)]
pub struct Store {
    /// The file of the embedded store.
    pub path: PathBuf,
}

/// `[audit]`
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Audit {
    /// How long events are kept.
    pub retain: Lifetime,
}

/// `[tokens]`
#[derive(Clone, PartialEq, Debug)]
pub struct Tokens {
    /// What new tokens begin with.
    pub prefix: Prefix,
    /// The first value of an empty store; later the settings count.
    pub duration: Lifetime,
    /// The first value of an empty store; later the settings count.
    pub on_expiry: OnExpiry,
    /// How long ended tokens are remembered.
    pub remember: Span,
}

/// `[credentials]`
#[derive(Clone, Debug)]
pub struct Credentials {
    /// `Authorization: Bearer <token>`
    pub bearer: bool,
    /// `X-API-Key: <token>`, under this name.
    pub header: Option<HeaderName>,
    /// A key's name or id in one header, its token in another.
    pub pair: Option<Pair>,
}

/// The two headers of a pair; they differ.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Holds the key's name or id.
    pub key: HeaderName,
    /// Holds the token.
    pub token: HeaderName,
}

/// One form in which a token may be presented.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CredentialForm {
    /// `Authorization: Bearer <token>`
    Bearer,
    /// `X-API-Key: <token>`
    Header,
    /// Two headers.
    Pair,
}

/// `[log]`
#[derive(Clone, PartialEq, Debug)]
pub struct Log {
    /// Where access records go.
    pub access: AccessLog,
}

/// Where access records go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccessLog {
    /// To stderr, beside the log.
    Stderr,
    /// To a file of their own.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// `[drain]`
#[derive(Clone, Debug)]
pub struct Drain {
    /// Between `/readyz` 503 and the end of accepting.
    pub delay: Duration,
    /// How long requests in flight may take to finish.
    pub timeout: Duration,
}

/// `[paths]`
#[derive(Clone, Debug)]
pub struct Paths {
    /// Whether `;` may stand in a path.
    pub semicolons: bool,
}

/// `[errors]`
#[derive(Clone, Debug)]
pub struct Errors {
    /// How much a refusal tells.
    pub detail: Detail,
}

/// How much a refusal tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Whether a token was replaced or has expired.
    Full,
    /// Only that it is not valid.
    Minimal,
}
