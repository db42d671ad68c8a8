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
mod mistake;
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod upgrade;
mod webhook;
mod written;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use ipnet::IpNet;

pub use self::address::ListenAddress;
pub use self::certificate::Certificate;
pub use self::mistake::{Mistake, Mistakes, Place};
pub use self::upgrade::UpgradeName;
pub use self::webhook::{EventPattern, SigningSecret, Webhook, is_public};
use crate::domain::{self, Lifetime, OnExpiry, Prefix, Role, Span};

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

/// `[limits]`: the bounds of the data plane that hold for every route.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Client connections of the whole process at once.
    pub connections: usize,
    /// TLS handshakes of the whole process at once.
    pub handshakes: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub keep_alive: Duration,
    /// How long a request's head may take.
    pub head_timeout: Duration,
    /// The largest request head, in bytes.
    pub head_bytes: usize,
    /// The most header lines of one request.
    pub header_count: usize,
    /// The longest request target, in bytes.
    pub uri_bytes: usize,
    /// How long a new connection may be silent.
    pub first_byte: Duration,
    /// How long a client may take nothing of what is sent to it.
    pub write_stall: Duration,
    /// How long a request's body may make no progress.
    pub body_stall: Duration,
    /// The least bytes a second of a request's body; 0 is no floor.
    pub body_rate: u64,
    /// The time over which that is averaged.
    pub body_rate_over: Duration,
    /// How many failed authentications a minute from one address are answered each for itself; 0 is no bound.
    pub failures: u32,
    /// How long a stream may be idle, in both directions.
    pub stream_idle: Duration,
    /// How old a connection may grow, give or take a tenth.
    pub connection_life: Duration,
    /// How long a closing connection is read on, so that the client sees its last reply.
    pub linger: Duration,
    /// What holds for HTTP/2 only.
    pub http2: Http2Limits,
    /// What keys without limits of their own may ask for.
    pub keys: KeyLimits,
}

/// `[limits.default]` and `[[limits.roles]]`: what keys without limits of their own may ask for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyLimits {
    /// By role; the first that a key carries counts.
    pub roles: Vec<(Role, domain::Limits)>,
    /// Where no role says anything; `None`: without limits.
    pub default: Option<domain::Limits>,
}

impl KeyLimits {
    /// Whether they limit nobody.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.default.is_none()
    }
}

/// `[limits.http2]`: the bounds of one HTTP/2 connection.
#[derive(Clone, Debug)]
pub struct Http2Limits {
    /// Streams at once.
    pub streams: u32,
    /// The largest header list, in bytes as RFC 9113 §6.5.2 counts them.
    pub header_list_bytes: u32,
    /// How much of a request's body may come before some of it went on, in bytes.
    pub stream_window_bytes: u32,
    /// The same over all streams of a connection, in bytes.
    pub connection_window_bytes: u32,
    /// How much of one reply is held for a client that does not read, in bytes.
    pub send_buffer_bytes: usize,
    /// How often a client is asked whether it is there.
    pub ping_interval: Duration,
    /// How long it may take to answer.
    pub ping_timeout: Duration,
    /// Streams that a client reset before they were looked at, at once.
    pub pending_resets: usize,
    /// Streams that were reset for a client's mistakes, over the life of a connection.
    pub error_resets: usize,
}

/// `[[upstreams]]`: a backend of one or more endpoints.
#[derive(Clone, PartialEq, Debug)]
pub struct Upstream {
    /// The name by which routes refer to it.
    pub name: String,
    /// Where it answers; at least one.
    pub endpoints: Vec<Endpoint>,
    /// How TLS is spoken with it; the system's roots and no client certificate unless said otherwise.
    pub tls: UpstreamTls,
    /// Whether its server takes paths without regard to case, and so its routes match likewise.
    pub case_insensitive: bool,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long the head of a reply may take.
    pub head_timeout: Duration,
    /// How long a reply's body may make no progress.
    pub body_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// How many idle connections each worker keeps to each endpoint.
    pub idle_connections: usize,
    /// How many requests may be in flight to it, over all workers.
    pub in_flight: usize,
    /// How many more may wait for a place, over all workers.
    pub waiting: usize,
    /// How long each waits at most.
    pub wait_timeout: Duration,
    /// The weight of each endpoint, in their order; never 0.
    pub weights: Vec<u32>,
    /// Over what time an endpoint that is back gets its share by and by.
    pub slow_start: Duration,
    /// After how many failures in a row an endpoint is put out; 0 is never.
    pub eject_after: u32,
    /// For how long, the first time.
    pub eject_for: Duration,
    /// How often the names of endpoints are resolved again.
    pub resolve_every: Duration,
    /// How endpoints are checked; `None`: they are not.
    pub health: Option<Health>,
}

/// `health` of an upstream: how its endpoints are checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// The path of a GET that is answered by 2xx or 3xx; `None`: that a connection can be made is enough.
    pub path: Option<String>,
    /// How often each endpoint is checked.
    pub interval: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// How many successes in a row bring an endpoint back.
    pub healthy: u32,
    /// How many failures in a row put it out.
    pub unhealthy: u32,
}

/// One address of an upstream, nothing behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What is spoken there.
    pub speech: Speech,
    /// Where it is.
    pub reach: Reach,
    /// The host and port as configured, for `Host`: `127.0.0.1:9000`. Of a socket in the file system: `localhost`.
    pub authority: http::uri::Authority,
}

/// What is spoken with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// HTTP/1.1 in clear.
    Http,
    /// HTTP/2 or HTTP/1.1 over TLS, as is agreed upon.
    Https,
    /// HTTP/2 in clear.
    H2c,
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At a host, to be resolved, and a port.
    Tcp {
        /// A name or an address.
        host: String,
        /// Never 0.
        port: u16,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Endpoint {
    /// What logs and metrics call it.
    pub fn label(&self) -> String {
        match &self.reach {
            Reach::Tcp { .. } => self.authority.to_string(),
            Reach::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match (self.speech, &self.reach) {
            (_, Reach::Unix(_)) => "",
            (Speech::Http, Reach::Tcp { .. }) => "http://",
            (Speech::Https, Reach::Tcp { .. }) => "https://",
            (Speech::H2c, Reach::Tcp { .. }) => "h2c://",
        };
        write!(f, "{scheme}{}", self.label())
    }
}

/// How TLS is spoken with an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Whose signatures are believed; `None`: the system's roots.
    pub ca: Option<PathBuf>,
    /// What is shown to the upstream if it asks.
    pub client: Option<Certificate>,
    /// SHA-256 over the content of the files when they were read: a reload tells by it that they have changed.
    pub content: [u8; 32],
}

/// `[[routes]]`
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file, and none excludes another")]
pub struct Route {
    /// The path prefix, in the one spelling of the path policy; begins with `/`.
    pub path: String,
    /// The hosts it answers for; empty: every host that no other route names.
    pub hosts: Vec<HostPattern>,
    /// The methods it takes; `None`: those that no other route with that host and path names.
    pub methods: Option<BTreeSet<MethodName>>,
    /// One of these suffices; empty: none is asked for.
    pub roles: BTreeSet<Role>,
    /// All of these are needed.
    pub all_roles: BTreeSet<Role>,
    /// Whether a token is asked for.
    pub auth: Auth,
    /// The forms of credential that it accepts; never empty unless `auth` is `none`.
    pub credentials: BTreeSet<CredentialForm>,
    /// Whether the credential's header goes on to the backend.
    pub forward_credential: bool,
    /// Whether every exchange on it counts as a stream.
    pub streaming: bool,
    /// Whether `%2F` may stand in its paths.
    pub encoded_slash: bool,
    /// The largest request body in bytes; `None`: unlimited.
    pub body_limit: Option<u64>,
    /// Its own waits.
    pub waits: Waits,
    /// The protocols to which a request may change its connection.
    pub upgrade: BTreeSet<UpgradeName>,
    /// Whether the backend is asked for what follows [`Route::path`] only.
    pub strip_prefix: bool,
    /// Whether CORS preflights pass without a credential.
    pub preflight: bool,
    /// What becomes of the headers of requests.
    pub request_headers: HeaderRules,
    /// What becomes of the headers of replies.
    pub response_headers: HeaderRules,
    /// The place of its upstream in [`Config::upstreams`].
    pub upstream: usize,
}

/// How long a route waits, where it says so itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Waits {
    /// For the head of a reply.
    pub head: Option<Duration>,
    /// For a reply's body to make progress.
    pub body: Option<Duration>,
    /// For anything in either direction of a stream.
    pub stream_idle: Option<Duration>,
}

/// What becomes of headers on their way. None of them is one that the gateway or the protocol needs for itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HeaderRules {
    /// Those that are set, in the place of any of the same name.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Those that are removed.
    pub remove: Vec<HeaderName>,
}

impl HeaderRules {
    /// Whether they change nothing.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

/// A method's name, ordered as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MethodName(pub Method);

impl PartialOrd for MethodName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MethodName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

/// The hosts that a route names, lower-case and without a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// Any one label before this suffix, which begins with a dot: `*.example.com` is `.example.com`.
    OneLabelBefore(String),
}

/// Whether a route asks for a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Auth {
    /// None is refused.
    Required,
    /// None is anonymous, a bad one is refused.
    Optional,
    /// Nothing is judged.
    None,
}
