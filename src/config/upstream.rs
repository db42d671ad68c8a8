//! The backends, judged: where they are, and how they are spoken to.

use std::path::PathBuf;
use std::time::Duration;

use super::Certificate;

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
