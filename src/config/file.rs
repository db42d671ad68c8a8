//! The configuration as it is written: the TOML file's tables and keys, with their defaults.
//!
//! Promises: an unknown key is refused; every value knows where in the text it stands; a default is written here once.
//! Deliberately does not: judge values. That is [`check`](super::check)'s.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
pub(super) struct Limits {
    /// Client connections of the whole process at once.
    pub(super) connections: At<u64>,
    /// TLS handshakes of the whole process at once.
    pub(super) handshakes: At<u64>,
    /// How long a TLS handshake may take.
    pub(super) handshake_timeout: Text,
    /// How long a connection may be idle between requests.
    pub(super) keep_alive: Text,
    /// How long a request's head may take.
    pub(super) head_timeout: Text,
    /// The largest request head.
    pub(super) head_bytes: Text,
    /// The most header lines of one request.
    pub(super) header_count: At<u64>,
    /// The longest request target.
    pub(super) uri_bytes: Text,
    /// How long a new connection may be silent.
    pub(super) first_byte: Text,
    /// How long a client may take nothing of what is sent to it.
    pub(super) write_stall: Text,
    /// How long a request's body may make no progress.
    pub(super) body_stall: Text,
    /// The least bytes a second of a request's body; 0 is no floor.
    pub(super) body_rate: At<u64>,
    /// The time over which that is averaged.
    pub(super) body_rate_over: Text,
    /// How many failed authentications a minute from one address are answered each for itself; 0 is no bound.
    pub(super) failures: At<u64>,
    /// How long a stream may be idle, in both directions.
    pub(super) stream_idle: Text,
    /// How old a connection may grow, give or take a tenth.
    pub(super) connection_life: Text,
    /// How long a closing connection is read on, so that the client sees its last reply.
    pub(super) linger: Text,
    /// The bounds of one HTTP/2 connection.
    pub(super) http2: Http2,
    /// The limits of keys that have none of their own, and whose roles have none.
    pub(super) default: KeyLimits,
    /// The limits of keys that have none of their own, by role: of several the first counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) roles: Vec<At<RoleLimits>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct KeyLimits {
    /// How fast requests may come, such as `100/1s`, or with a burst of its own `100/1s/200`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<Text>,
    /// How many there may be in each `hour`, `day` or `month` of the calendar, such as `100000/month`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quota: Option<Text>,
    /// How many there may be at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) concurrent: Option<At<u64>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RoleLimits {
    /// The role.
    pub(super) role: Option<Text>,
    /// As in `[limits.default]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<Text>,
    /// As in `[limits.default]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quota: Option<Text>,
    /// As in `[limits.default]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) concurrent: Option<At<u64>>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Http2 {
    /// Streams at once.
    pub(super) streams: At<u64>,
    /// The largest header list.
    pub(super) header_list_bytes: Text,
    /// How much of a request's body may come before some of it went on.
    pub(super) stream_window_bytes: Text,
    /// The same over all streams of a connection.
    pub(super) connection_window_bytes: Text,
    /// How much of one reply is held for a client that does not read.
    pub(super) send_buffer_bytes: Text,
    /// How often a client is asked whether it is there.
    pub(super) ping_interval: Text,
    /// How long it may take to answer.
    pub(super) ping_timeout: Text,
    /// Streams that a client reset before they were looked at, at once.
    pub(super) pending_resets: At<u64>,
    /// Streams that were reset for a client's mistakes, over the life of a connection.
    pub(super) error_resets: At<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Upstream {
    /// The name by which routes refer to it.
    pub(super) name: Option<Text>,
    /// Where it answers, one or more: `http://host:port`, `https://…`, `h2c://…` (HTTP/2 in clear) or `unix:/path`.
    pub(super) endpoints: Option<At<Vec<Text>>>,
    /// How TLS is spoken with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<At<UpstreamTls>>,
    /// Whether its server takes paths without regard to case; its routes then match likewise.
    pub(super) case_insensitive: bool,
    /// How long a connection may take to be made.
    pub(super) connect_timeout: Text,
    /// How long the head of a reply may take.
    pub(super) head_timeout: Text,
    /// How long a reply's body may make no progress.
    pub(super) body_timeout: Text,
    /// How long an idle connection is kept.
    pub(super) idle_timeout: Text,
    /// How many idle connections each worker keeps to each endpoint.
    pub(super) idle_connections: At<u64>,
    /// How many requests may be in flight to it, over all workers.
    pub(super) in_flight: At<u64>,
    /// How many more may wait for a place, over all workers.
    pub(super) waiting: At<u64>,
    /// How long each waits at most.
    pub(super) wait_timeout: Text,
    /// A number for each endpoint: who has twice another's gets twice as many requests. Without: all alike.
    pub(super) weights: At<Vec<u64>>,
    /// Over what time an endpoint that is back gets its share by and by.
    pub(super) slow_start: Text,
    /// After how many failures in a row an endpoint is put out; 0 is never.
    pub(super) eject_after: At<u64>,
    /// For how long, the first time.
    pub(super) eject_for: Text,
    /// How often the names of endpoints are resolved again.
    pub(super) resolve_every: Text,
    /// How endpoints are checked; without: they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) health: Option<UpstreamHealth>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UpstreamHealth {
    /// The path of a GET that is answered by 2xx or 3xx; without: that a connection can be made is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<Text>,
    /// How often each endpoint is checked.
    pub(super) interval: Text,
    /// How long a check may take.
    pub(super) timeout: Text,
    /// How many successes in a row bring an endpoint back.
    pub(super) healthy: At<u64>,
    /// How many failures in a row put it out.
    pub(super) unhealthy: At<u64>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UpstreamTls {
    /// The file of those whose signatures are believed, in PEM; without it the system's roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ca: Option<Text>,
    /// The file of the certificate that is shown to the upstream, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<Text>,
    /// The file of its key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Text>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Route {
    /// The path prefix; it ends at a segment boundary.
    pub(super) path: Option<Text>,
    /// The hosts it answers for, exact or `*.example.com`; without any: every host that no other route names.
    pub(super) hosts: Vec<Text>,
    /// The methods it takes; without any: those that no other route with that host and path names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) methods: Option<At<Vec<Text>>>,
    /// One of these roles is needed.
    pub(super) roles: At<Vec<Text>>,
    /// All of these roles are needed.
    pub(super) all_roles: At<Vec<Text>>,
    /// Whether a token is asked for: "required", "optional" or "none".
    pub(super) auth: Text,
    /// The forms of credential that it accepts, of those enabled in `[credentials]`; without: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credentials: Option<At<Vec<Text>>>,
    /// Whether the credential's header goes on to the backend.
    pub(super) forward_credential: bool,
    /// Whether every exchange on it counts as a stream.
    pub(super) streaming: bool,
    /// Whether `%2F` may stand in its paths.
    pub(super) encoded_slash: At<bool>,
    /// The largest request body, or "unlimited".
    pub(super) body_limit: Text,
    /// How long the head of a reply may take; without: as its upstream says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) head_timeout: Option<Text>,
    /// How long a reply's body may make no progress; without: as its upstream says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body_timeout: Option<Text>,
    /// How long a stream may be silent in both directions; without: as `[limits]` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream_idle: Option<Text>,
    /// The protocols to which a request may change its connection, such as "websocket".
    pub(super) upgrade: At<Vec<Text>>,
    /// Whether the backend is asked for what follows the path prefix, and not for all of it.
    pub(super) strip_prefix: At<bool>,
    /// Whether CORS preflights (`OPTIONS` with `Origin` and `Access-Control-Request-Method`) go to the backend without a
    /// credential.
    pub(super) preflight: At<bool>,
    /// Headers that the backend gets, in the place of the client's of the same name.
    pub(super) set_request_headers: BTreeMap<String, Text>,
    /// Headers of the client that the backend does not get.
    pub(super) remove_request_headers: Vec<Text>,
    /// Headers that the client gets, in the place of the backend's of the same name.
    pub(super) set_response_headers: BTreeMap<String, Text>,
    /// Headers of the backend that the client does not get.
    pub(super) remove_response_headers: Vec<Text>,
    /// The name of its upstream.
    pub(super) upstream: Option<Text>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Webhook {
    /// The name by which its place is kept, and by which logs and metrics call it.
    pub(super) name: Option<Text>,
    /// Where events are sent: https, or http with `allow_private`.
    pub(super) url: Option<Text>,
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000.into(),
            handshakes: 1_000.into(),
            handshake_timeout: "10s".into(),
            keep_alive: "60s".into(),
            head_timeout: "10s".into(),
            head_bytes: "32KiB".into(),
            header_count: 100.into(),
            uri_bytes: "8KiB".into(),
            first_byte: "10s".into(),
            write_stall: "30s".into(),
            body_stall: "30s".into(),
            body_rate: 500.into(),
            body_rate_over: "20s".into(),
            failures: 100.into(),
            stream_idle: "5m".into(),
            connection_life: "1h".into(),
            linger: "10s".into(),
            http2: Http2::default(),
            default: KeyLimits::default(),
            roles: Vec::new(),
        }
    }
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            streams: 100.into(),
            header_list_bytes: "16KiB".into(),
            stream_window_bytes: "64KiB".into(),
            connection_window_bytes: "1MiB".into(),
            send_buffer_bytes: "64KiB".into(),
            ping_interval: "20s".into(),
            ping_timeout: "10s".into(),
            pending_resets: 20.into(),
            error_resets: 1_024.into(),
        }
    }
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

impl Default for Route {
    fn default() -> Self {
        Self {
            path: None,
            hosts: Vec::new(),
            methods: None,
            roles: At::default(),
            all_roles: At::default(),
            auth: "required".into(),
            credentials: None,
            forward_credential: false,
            streaming: false,
            encoded_slash: At::default(),
            body_limit: "10MiB".into(),
            head_timeout: None,
            body_timeout: None,
            stream_idle: None,
            upgrade: At::default(),
            strip_prefix: At::default(),
            preflight: At::default(),
            set_request_headers: BTreeMap::new(),
            remove_request_headers: Vec::new(),
            set_response_headers: BTreeMap::new(),
            remove_response_headers: Vec::new(),
            upstream: None,
        }
    }
}
