//! The configuration as it is written: the TOML file's tables and keys, with their defaults.
//!
//! Promises: an unknown key is refused; every value knows where in the text it stands; a default is written here once.
//! Deliberately does not: judge values. That is [`check`](super::check)'s.

mod limits;
mod route;
mod upstream;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use limits::{Http2, KeyLimits, Limits, RoleLimits};
pub(super) use route::Route;
pub(super) use upstream::{Upstream, UpstreamHealth, UpstreamTls};

use super::written::{At, Switched, Text};

/// The whole file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Relevo's configuration")]
pub(super) struct File {
    /// Whether the file is read again, as by SIGHUP, once it has changed and then been still for two seconds.
    pub(super) watch: bool,
    /// The data plane's ports and threads.
    pub(super) gateway: Gateway,
    /// The admin port.
    pub(super) admin: Admin,
    /// The probes' port, off without an address: `GET /livez`, `/readyz` and, with metrics = true, `/metrics`.
    pub(super) probes: Probes,
    /// Where keys and the audit trail are kept.
    pub(super) store: Store,
    /// How long the audit log reaches back.
    pub(super) audit: Audit,
    /// How tokens look and how long they live.
    pub(super) tokens: Tokens,
    /// In which forms a token may be presented.
    pub(super) credentials: Credentials,
    /// What is logged, and to where.
    pub(super) log: Log,
    /// How the gateway goes down.
    pub(super) drain: Drain,
    /// How request paths are read.
    pub(super) paths: Paths,
    /// How much a refusal tells.
    pub(super) errors: Errors,
    /// The bounds of the data plane that hold for every route.
    pub(super) limits: Limits,
    /// The backends.
    pub(super) upstreams: Vec<At<Upstream>>,
    /// Which request goes where.
    pub(super) routes: Vec<At<Route>>,
    /// Who is told of events.
    pub(super) webhooks: Vec<At<Webhook>>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Gateway {
    /// Where clients come in, in clear: `host:port`, port 0 lets the system choose; `unix:/path`; `fd:NAME`. Without it
    /// and without listeners: `127.0.0.1:8080`.
    pub(super) listen: At<Vec<Text>>,
    /// Where clients come in, with what there is to say about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) listeners: Vec<At<Listener>>,
    /// Worker threads; 0 is one per core.
    pub(super) workers: At<u64>,
    /// The networks whose X-Forwarded-* and X-Request-Id are believed.
    pub(super) trusted_proxies: Vec<Text>,
    /// Whether keys that carry the flag may look after themselves, at `/.relevo/self`.
    pub(super) self_service: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listener {
    /// `host:port`, `unix:/path`, or `fd:NAME` for a socket that is inherited.
    pub(super) address: Option<Text>,
    /// The certificates, chosen by the name that the client asks for; the first is the default. Without: in clear.
    pub(super) tls: At<Vec<At<Served>>>,
    /// Whether a connection begins with a header of the PROXY protocol, version 1 or 2, from one of `trusted_proxies`.
    pub(super) proxy_protocol: At<bool>,
    /// Whether every request is answered 308 with where to find the same over TLS.
    pub(super) redirect_to_https: At<bool>,
    /// Whether nothing is forwarded here: other proxies ask whether a request may pass (docs/authorization.md).
    pub(super) authorization: At<bool>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Served {
    /// The file of the certificate and those that it is signed with, in PEM.
    pub(super) certificate: Option<Text>,
    /// The file of its key, in PEM.
    pub(super) key: Option<Text>,
    /// The names it is shown for, exact or `*.example.com`.
    pub(super) hosts: Vec<Text>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Admin {
    /// The admin port's address; one that is not a loopback address needs `tls`.
    pub(super) listen: Text,
    /// TLS there; without it the port speaks in clear, on a loopback address only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<At<AdminTls>>,
    /// The hosts that a request to this port may name, besides loopback's and the address that it listens on.
    pub(super) hosts: Vec<Text>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AdminTls {
    /// The file of the certificate and those that it is signed with, in PEM.
    pub(super) certificate: Option<Text>,
    /// The file of its key, in PEM.
    pub(super) key: Option<Text>,
    /// The file of those whose certificates clients must show, in PEM; without it none is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_ca: Option<Text>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Probes {
    /// The probes' address; without it there are no probes.
    pub(super) listen: Option<Text>,
    /// Whether `/metrics` is answered there too.
    pub(super) metrics: At<bool>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Store {
    /// The kind of store: "embedded".
    pub(super) kind: Text,
    /// The embedded store's file.
    pub(super) path: Text,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Audit {
    /// How long events are kept, or "never": none is removed.
    pub(super) retain: Text,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tokens {
    /// What new tokens begin with.
    pub(super) prefix: Text,
    /// How long a token lives, or "never"; the first value of an empty store, afterwards the settings count.
    pub(super) duration: Text,
    /// What happens then, "refuse" or "warn"; the first value of an empty store, afterwards the settings count.
    pub(super) on_expiry: Text,
    /// How long ended tokens are remembered.
    pub(super) remember: Text,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Credentials {
    /// Whether `Authorization: Bearer` is read.
    pub(super) bearer: bool,
    /// The header that holds a token, or false.
    pub(super) header: At<Switched>,
    /// Two headers: a key's name or id in one, its token in the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pair: Option<At<Pair>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Pair {
    /// The header that holds a key's name or id.
    pub(super) key: Option<Text>,
    /// The header that holds the key's token.
    pub(super) token: Option<Text>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    /// Where access records go: "stderr", a file, or false.
    pub(super) access: At<Switched>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Drain {
    /// Between /readyz 503 and the end of accepting; "0s" is allowed.
    pub(super) delay: Text,
    /// How long requests in flight may take to finish.
    pub(super) timeout: Text,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Paths {
    /// Whether `;` may stand in a path; a segment is then compared up to it.
    pub(super) semicolons: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Errors {
    /// "full", or "minimal": replaced and expired tokens are then answered like unknown ones.
    pub(super) detail: Text,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Webhook {
    /// The name by which its place is kept, and by which logs and metrics call it.
    pub(super) name: Option<Text>,
    /// Where events are sent: https, or http with `allow_private`.
    pub(super) url: Option<Text>,
    /// The file of those whose signatures on the receiver's certificate are believed, in PEM; without it the system's roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ca: Option<Text>,
    /// What deliveries are signed with: `file:PATH` or `env:NAME`, each of which holds `whsec_…`; all of them sign.
    pub(super) secrets: Vec<Text>,
    /// Which events: `key.created`, a group such as `renewal.*`, or `*`.
    pub(super) events: Vec<Text>,
    /// Whether an address may be dialled that is not public.
    pub(super) allow_private: bool,
    /// How long one attempt may take.
    pub(super) timeout: Text,
    /// The longest pause between two attempts.
    pub(super) longest_pause: Text,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            listen: vec!["127.0.0.1:8080".into()].into(),
            listeners: Vec::new(),
            workers: 0.into(),
            trusted_proxies: Vec::new(),
            self_service: false,
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8081".into(), tls: None, hosts: Vec::new() }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self { kind: "embedded".into(), path: "relevo-data/relevo.redb".into() }
    }
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            name: None,
            url: None,
            ca: None,
            secrets: Vec::new(),
            events: Vec::new(),
            allow_private: false,
            timeout: "10s".into(),
            longest_pause: "5m".into(),
        }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self { retain: "never".into() }
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self { prefix: "rlv".into(), duration: "90d".into(), on_expiry: "refuse".into(), remember: "90d".into() }
    }
}

impl Default for Credentials {
    fn default() -> Self {
        Self { bearer: true, header: Switched::On("x-api-key".into()).into(), pair: None }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { access: Switched::On("stderr".into()).into() }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { delay: "5s".into(), timeout: "30s".into() }
    }
}

impl Default for Errors {
    fn default() -> Self {
        Self { detail: "full".into() }
    }
}
