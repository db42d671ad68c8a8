//! The effective values, written as the file would be.
//!
//! Promises: what is written, read again, is the same configuration. Deliberately does not: hold secrets; of
//! keys and webhooks' secrets the configuration has the names of their files.

use std::fmt::Display;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::file::{self, File};
use super::written::{At, Switched, Text};
use super::{
    AccessLog, Auth, Config, CredentialForm, Credentials, Detail, HostPattern, Http2Limits, Route, Served, Upstream,
    UpstreamTls, Webhook,
};
use crate::domain::{OnExpiry, Span};

/// The configuration as TOML, every key with its value.
pub(super) fn toml(config: &Config) -> String {
    toml::to_string_pretty(&file(config)).unwrap_or_default() // tables and plain values only: nothing TOML lacks
}

/// SHA-256 over the effective values, in hex.
pub(super) fn hash(config: &Config) -> String {
    hex::encode(Sha256::digest(toml(config)))
}

fn file(config: &Config) -> File {
    File {
        watch: config.watch,
        gateway: file::Gateway {
            listen: in_clear(config).into(),
            listeners: with_more(config),
            workers: (config.gateway.workers as u64).into(),
            trusted_proxies: texts(&config.gateway.trusted_proxies),
            self_service: config.gateway.self_service,
        },
        admin: admin(&config.admin),
        probes: file::Probes {
            listen: config.probes.as_ref().map(|probes| text(probes.listen)),
            metrics: config.probes.as_ref().is_some_and(|probes| probes.metrics).into(),
        },
        store: file::Store { kind: "embedded".into(), path: text(config.store.path.display()) },
        audit: file::Audit { retain: text(config.audit.retain) },
        tokens: tokens(config),
        credentials: credentials(&config.credentials),
        log: file::Log { access: access(&config.log.access).into() },
        drain: file::Drain {
            delay: text(Span::from(config.drain.delay)),
            timeout: text(Span::from(config.drain.timeout)),
        },
        paths: file::Paths { semicolons: config.paths.semicolons },
        errors: file::Errors {
            detail: match config.errors.detail {
                Detail::Full => "full".into(),
                Detail::Minimal => "minimal".into(),
            },
        },
        limits: limits(config),
        upstreams: config.upstreams.iter().map(|upstream| one_upstream(upstream).into()).collect(),
        routes: config.routes.iter().map(|route| one_route(route, config).into()).collect(),
        webhooks: config.webhooks.iter().map(|webhook| one_webhook(webhook).into()).collect(),
    }
}

fn in_clear(config: &Config) -> Vec<Text> {
    let listeners = config.gateway.listeners.iter().filter(|listener| listener.is_plain());
    listeners.map(|listener| text(&listener.address)).collect()
}

fn with_more(config: &Config) -> Vec<At<file::Listener>> {
    let served = |served: &Served| {
        let certificate = &served.certificate;
        let served = file::Served {
            certificate: Some(text(certificate.certificate.display())),
            key: Some(text(certificate.key.display())),
            hosts: served.hosts.iter().map(host).collect(),
        };
        At::from(served)
    };
    let listeners = config.gateway.listeners.iter().filter(|listener| !listener.is_plain());
    let written = listeners.map(|listener| {
        let tls: Vec<_> = listener.tls.iter().map(served).collect();
        At::from(file::Listener {
            address: Some(text(&listener.address)),
            tls: tls.into(),
            proxy_protocol: listener.proxy_protocol.into(),
            redirect_to_https: listener.redirect_to_https.into(),
            authorization: listener.authorization.into(),
        })
    });
    written.collect()
}

fn admin(admin: &super::Admin) -> file::Admin {
    let tls = admin.tls.as_ref().map(|tls| file::AdminTls {
        certificate: Some(path(&tls.certificate.certificate)),
        key: Some(path(&tls.certificate.key)),
        client_ca: tls.client_ca.as_deref().map(path),
    });
    file::Admin { listen: text(admin.listen), tls: tls.map(At::from), hosts: admin.hosts.iter().map(host).collect() }
}

fn one_webhook(webhook: &Webhook) -> file::Webhook {
    file::Webhook {
        name: Some(text(&webhook.name)),
        url: Some(text(&webhook.url)),
        ca: webhook.ca.as_ref().map(|ca| path(&ca.file)),
        secrets: webhook.secrets.iter().map(|secret| text(&secret.source)).collect(),
        events: texts(&webhook.events),
        allow_private: webhook.allow_private,
        timeout: text(Span::from(webhook.timeout)),
        longest_pause: text(Span::from(webhook.longest_pause)),
    }
}

fn tokens(config: &Config) -> file::Tokens {
    let tokens = &config.tokens;
    file::Tokens {
        prefix: text(&tokens.prefix),
        duration: text(tokens.duration),
        on_expiry: match tokens.on_expiry {
            OnExpiry::Refuse => "refuse".into(),
            OnExpiry::Warn => "warn".into(),
        },
        remember: text(tokens.remember),
    }
}

fn limits(config: &Config) -> file::Limits {
    let limits = &config.limits;
    file::Limits {
        connections: (limits.connections as u64).into(),
        handshakes: (limits.handshakes as u64).into(),
        handshake_timeout: text(Span::from(limits.handshake_timeout)),
        keep_alive: text(Span::from(limits.keep_alive)),
        head_timeout: text(Span::from(limits.head_timeout)),
        head_bytes: bytes(limits.head_bytes as u64),
        header_count: (limits.header_count as u64).into(),
        uri_bytes: bytes(limits.uri_bytes as u64),
        first_byte: text(Span::from(limits.first_byte)),
        write_stall: text(Span::from(limits.write_stall)),
        body_stall: text(Span::from(limits.body_stall)),
        body_rate: limits.body_rate.into(),
        body_rate_over: text(Span::from(limits.body_rate_over)),
        failures: u64::from(limits.failures).into(),
        stream_idle: text(Span::from(limits.stream_idle)),
        connection_life: text(Span::from(limits.connection_life)),
        linger: text(Span::from(limits.linger)),
        http2: http2(&limits.http2),
        default: key_limits(limits.keys.default.unwrap_or_default()),
        roles: limits.keys.roles.iter().map(|(role, limits)| role_limits(role, *limits).into()).collect(),
    }
}

fn key_limits(limits: crate::domain::Limits) -> file::KeyLimits {
    file::KeyLimits {
        rate: limits.rate.map(text),
        quota: limits.quota.map(text),
        concurrent: limits.concurrent.map(|most| u64::from(most.get()).into()),
    }
}

fn role_limits(role: &crate::domain::Role, limits: crate::domain::Limits) -> file::RoleLimits {
    let file::KeyLimits { rate, quota, concurrent } = key_limits(limits);
    file::RoleLimits { role: Some(text(role)), rate, quota, concurrent }
}

fn http2(limits: &Http2Limits) -> file::Http2 {
    file::Http2 {
        streams: u64::from(limits.streams).into(),
        header_list_bytes: bytes(limits.header_list_bytes.into()),
        stream_window_bytes: bytes(limits.stream_window_bytes.into()),
        connection_window_bytes: bytes(limits.connection_window_bytes.into()),
        send_buffer_bytes: bytes(limits.send_buffer_bytes as u64),
        ping_interval: text(Span::from(limits.ping_interval)),
        ping_timeout: text(Span::from(limits.ping_timeout)),
        pending_resets: (limits.pending_resets as u64).into(),
        error_resets: (limits.error_resets as u64).into(),
    }
}

fn credentials(credentials: &Credentials) -> file::Credentials {
    let pair = |pair: &super::Pair| file::Pair { key: Some(text(&pair.key)), token: Some(text(&pair.token)) }.into();
    file::Credentials {
        bearer: credentials.bearer,
        header: credentials.header.as_ref().map_or(Switched::Off, |name| Switched::On(name.to_string())).into(),
        pair: credentials.pair.as_ref().map(pair),
    }
}

fn access(access: &AccessLog) -> Switched {
    match access {
        AccessLog::Stderr => Switched::On("stderr".into()),
        AccessLog::File(path) => Switched::On(path.display().to_string()),
        AccessLog::Off => Switched::Off,
    }
}

fn one_upstream(upstream: &Upstream) -> file::Upstream {
    let endpoints: Vec<Text> = upstream.endpoints.iter().map(text).collect();
    let UpstreamTls { ca, client, .. } = &upstream.tls;
    let tls = file::UpstreamTls {
        ca: ca.as_deref().map(path),
        certificate: client.as_ref().map(|client| path(&client.certificate)),
        key: client.as_ref().map(|client| path(&client.key)),
    };
    file::Upstream {
        name: Some(text(&upstream.name)),
        endpoints: Some(endpoints.into()),
        tls: (ca.is_some() || client.is_some()).then(|| tls.into()),
        case_insensitive: upstream.case_insensitive,
        connect_timeout: text(Span::from(upstream.connect_timeout)),
        head_timeout: text(Span::from(upstream.head_timeout)),
        body_timeout: text(Span::from(upstream.body_timeout)),
        idle_timeout: text(Span::from(upstream.idle_timeout)),
        idle_connections: (upstream.idle_connections as u64).into(),
        in_flight: (upstream.in_flight as u64).into(),
        waiting: (upstream.waiting as u64).into(),
        wait_timeout: text(Span::from(upstream.wait_timeout)),
        weights: upstream.weights.iter().copied().map(u64::from).collect::<Vec<_>>().into(),
        slow_start: text(Span::from(upstream.slow_start)),
        eject_after: u64::from(upstream.eject_after).into(),
        eject_for: text(Span::from(upstream.eject_for)),
        resolve_every: text(Span::from(upstream.resolve_every)),
        health: upstream.health.as_ref().map(health),
    }
}

fn health(health: &super::Health) -> file::UpstreamHealth {
    file::UpstreamHealth {
        path: health.path.as_ref().map(text),
        interval: text(Span::from(health.interval)),
        timeout: text(Span::from(health.timeout)),
        healthy: u64::from(health.healthy).into(),
        unhealthy: u64::from(health.unhealthy).into(),
    }
}

fn one_route(route: &Route, config: &Config) -> file::Route {
    let form = |form: &CredentialForm| match form {
        CredentialForm::Bearer => "bearer".into(),
        CredentialForm::Header => "header".into(),
        CredentialForm::Pair => "pair".into(),
    };
    let auth = match route.auth {
        Auth::Required => "required",
        Auth::Optional => "optional",
        Auth::None => "none",
    };
    let credentials: Vec<Text> = route.credentials.iter().map(form).collect();
    let methods = |names: &std::collections::BTreeSet<super::MethodName>| -> At<Vec<Text>> {
        names.iter().map(|name| text(&name.0)).collect::<Vec<_>>().into()
    };
    file::Route {
        path: Some(text(&route.path)),
        hosts: route.hosts.iter().map(host).collect(),
        methods: route.methods.as_ref().map(methods),
        roles: texts(&route.roles).into(),
        all_roles: texts(&route.all_roles).into(),
        auth: auth.into(),
        credentials: (!credentials.is_empty()).then(|| credentials.into()),
        forward_credential: route.forward_credential,
        streaming: route.streaming,
        encoded_slash: route.encoded_slash.into(),
        body_limit: route.body_limit.map_or_else(|| "unlimited".into(), bytes),
        head_timeout: route.waits.head.map(|wait| text(Span::from(wait))),
        body_timeout: route.waits.body.map(|wait| text(Span::from(wait))),
        stream_idle: route.waits.stream_idle.map(|wait| text(Span::from(wait))),
        upgrade: texts(&route.upgrade).into(),
        strip_prefix: route.strip_prefix.into(),
        preflight: route.preflight.into(),
        set_request_headers: set(&route.request_headers),
        remove_request_headers: texts(&route.request_headers.remove),
        set_response_headers: set(&route.response_headers),
        remove_response_headers: texts(&route.response_headers.remove),
        upstream: config.upstreams.get(route.upstream).map(|upstream| text(&upstream.name)),
    }
}

fn set(rules: &super::HeaderRules) -> std::collections::BTreeMap<String, Text> {
    let value = |value: &http::HeaderValue| text(String::from_utf8_lossy(value.as_bytes()));
    rules.set.iter().map(|(name, set)| (name.to_string(), value(set))).collect()
}

fn host(host: &HostPattern) -> Text {
    match host {
        HostPattern::Exact(name) => text(name),
        HostPattern::OneLabelBefore(suffix) => text(format_args!("*{suffix}")),
    }
}

/// A size in the largest unit that holds it without a remainder.
fn bytes(count: u64) -> Text {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(size, _)| count > 0 && count.is_multiple_of(*size)) {
        Some((size, unit)) => text(format_args!("{}{unit}", count / size)),
        None => text(format_args!("{count}B")),
    }
}

fn path(path: &Path) -> Text {
    text(path.display())
}

fn text(value: impl Display) -> Text {
    value.to_string().into()
}

fn texts<'a, T: Display + 'a>(values: impl IntoIterator<Item = &'a T>) -> Vec<Text> {
    values.into_iter().map(text).collect()
}
