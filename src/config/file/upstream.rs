//! `[[upstreams]]` as they are written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::written::{At, Text};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Upstream {
    /// The name by which routes refer to it.
    pub(in crate::config) name: Option<Text>,
    /// Where it answers, one or more: `http://host:port`, `https://…`, `h2c://…` (HTTP/2 in clear) or `unix:/path`.
    pub(in crate::config) endpoints: Option<At<Vec<Text>>>,
    /// How TLS is spoken with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) tls: Option<At<UpstreamTls>>,
    /// Whether its server takes paths without regard to case; its routes then match likewise.
    pub(in crate::config) case_insensitive: bool,
    /// How long a connection may take to be made.
    pub(in crate::config) connect_timeout: Text,
    /// How long the head of a reply may take.
    pub(in crate::config) head_timeout: Text,
    /// How long a reply's body may make no progress.
    pub(in crate::config) body_timeout: Text,
    /// How long an idle connection is kept.
    pub(in crate::config) idle_timeout: Text,
    /// How many idle connections each worker keeps to each endpoint.
    pub(in crate::config) idle_connections: At<u64>,
    /// How many requests may be in flight to it, over all workers.
    pub(in crate::config) in_flight: At<u64>,
    /// How many more may wait for a place, over all workers.
    pub(in crate::config) waiting: At<u64>,
    /// How long each waits at most.
    pub(in crate::config) wait_timeout: Text,
    /// A number for each endpoint: who has twice another's gets twice as many requests. Without: all alike.
    pub(in crate::config) weights: At<Vec<u64>>,
    /// Over what time an endpoint that is back gets its share by and by.
    pub(in crate::config) slow_start: Text,
    /// After how many failures in a row an endpoint is put out; 0 is never.
    pub(in crate::config) eject_after: At<u64>,
    /// For how long, the first time.
    pub(in crate::config) eject_for: Text,
    /// How often the names of endpoints are resolved again.
    pub(in crate::config) resolve_every: Text,
    /// How endpoints are checked; without: they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) health: Option<UpstreamHealth>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct UpstreamHealth {
    /// The path of a GET that is answered by 2xx or 3xx; without: that a connection can be made is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) path: Option<Text>,
    /// How often each endpoint is checked.
    pub(in crate::config) interval: Text,
    /// How long a check may take.
    pub(in crate::config) timeout: Text,
    /// How many successes in a row bring an endpoint back.
    pub(in crate::config) healthy: At<u64>,
    /// How many failures in a row put it out.
    pub(in crate::config) unhealthy: At<u64>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct UpstreamTls {
    /// The file of those whose signatures are believed, in PEM; without it the system's roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) ca: Option<Text>,
    /// The file of the certificate that is shown to the upstream, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) certificate: Option<Text>,
    /// The file of its key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) key: Option<Text>,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            name: None,
            endpoints: None,
            tls: None,
            case_insensitive: false,
            connect_timeout: "2s".into(),
            head_timeout: "60s".into(),
            body_timeout: "30s".into(),
            idle_timeout: "30s".into(),
            idle_connections: 64.into(),
            in_flight: 10_000.into(),
            waiting: 1_000.into(),
            wait_timeout: "1s".into(),
            weights: At::default(),
            slow_start: "10s".into(),
            eject_after: 5.into(),
            eject_for: "10s".into(),
            resolve_every: "30s".into(),
            health: None,
        }
    }
}

impl Default for UpstreamHealth {
    fn default() -> Self {
        Self { path: None, interval: "5s".into(), timeout: "2s".into(), healthy: 2.into(), unhealthy: 3.into() }
    }
}
