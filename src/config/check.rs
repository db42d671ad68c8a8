//! From [`File`] to [`Config`]: every value made legal, or a mistake.
//!
//! Promises: all mistakes are found, not only the first. Deliberately does not: touch a socket, or any file but those of
//! certificates, keys and secrets.

mod admin;
mod header;
mod host;
mod keys;
mod limits;
mod listener;
mod overlap;
mod path;
mod rewrite;
mod route;
mod upstream;
mod webhook;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::ListenAddress;
use super::file::{self, File};
use super::mistake::Findings;
use super::written::{At, Switched, Text};
use super::{
    AccessLog, Audit, Config, Credentials, Detail, Drain, Errors, Gateway, Log, Pair, Paths, Probes, Store, Tokens,
};
use crate::domain::{Lifetime, OnExpiry, Prefix, Span};

/// Judges the whole file; `None` says that there were mistakes.
pub(super) fn check(file: &File, findings: &mut Findings) -> Option<Config> {
    let gateway = gateway(&file.gateway, findings);
    let admin = admin::check(&file.admin, findings);
    let probes = probes(&file.probes, findings);
    addresses(file, findings);
    let store = store(&file.store, findings);
    let audit = audit(&file.audit, findings);
    let tokens = tokens(&file.tokens, findings);
    let credentials = credentials(&file.credentials, findings);
    let log = log(&file.log, findings);
    let drain = drain(&file.drain, findings);
    let errors = errors(&file.errors, findings);
    let limits = limits::check(&file.limits, findings);
    let upstreams = upstream::check(&file.upstreams, findings);
    let routes = route::check(file, &upstreams, findings);
    let webhooks = webhook::check(&file.webhooks, findings);
    Some(Config {
        watch: file.watch,
        gateway: gateway?,
        admin: admin?,
        probes: probes?,
        store: store?,
        audit: audit?,
        tokens: tokens?,
        credentials: credentials?,
        log: log?,
        drain: drain?,
        paths: Paths { semicolons: file.paths.semicolons },
        errors: errors?,
        limits: limits?,
        upstreams: upstreams.into_iter().collect::<Option<_>>()?,
        routes: routes?,
        webhooks: webhooks?,
        hash: String::new(),
    })
}

fn gateway(file: &file::Gateway, findings: &mut Findings) -> Option<Gateway> {
    let listeners = listener::check(file, findings);
    let trusted_proxies = all("gateway.trusted_proxies", &file.trusted_proxies, findings, network);
    let workers = number("gateway.workers", &file.workers, 0..=1024, findings);
    Some(Gateway {
        listeners: listeners?,
        workers: cores_if_zero(workers?),
        trusted_proxies: trusted_proxies?,
        self_service: file.self_service,
    })
}

fn cores_if_zero(workers: usize) -> usize {
    match workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    }
}

/// The outer `None` says that there were mistakes, the inner that probes are off.
#[expect(clippy::option_option, reason = "two different absences, told apart one call above")]
fn probes(file: &file::Probes, findings: &mut Findings) -> Option<Option<Probes>> {
    let Some(listen) = &file.listen else {
        if file.metrics.value {
            findings.push_absent("probes.metrics", &file.metrics.span, "means nothing without probes.listen");
        }
        return Some(None);
    };
    let listen = findings.keep("probes.listen", &listen.span, address(&listen.value))?;
    Some(Some(Probes { listen, metrics: file.metrics.value }))
}

/// No two ports on one address, unless the system is to choose the port.
fn addresses(file: &File, findings: &mut Findings) {
    let admin = [("admin.listen".to_owned(), &file.admin.listen)];
    let probes = file.probes.listen.iter().map(|text| ("probes.listen".to_owned(), text));
    let mut seen: Vec<(ListenAddress, String)> = Vec::new();
    for (key, text) in listener::addresses(&file.gateway).into_iter().chain(admin).chain(probes) {
        let Ok(address) = text.value.parse::<ListenAddress>() else { continue };
        match seen.iter().find(|(other, _)| *other == address && !address.is_any_port()) {
            Some((_, other)) => findings.push(key, &text.span, format!("is the address of {other} already")),
            None => seen.push((address, key)),
        }
    }
}

/// The files that a gateway keeps beside its store.
const BESIDE_STORE: [&str; 7] =
    ["usage.redb", "quotas.redb", "webhooks.json", "survey.time", "store.lock", "admin.token", "admin.json"];

fn store(file: &file::Store, findings: &mut Findings) -> Option<Store> {
    match file.kind.value.as_str() {
        "embedded" => {}
        "etcd" => findings.push("store.kind", &file.kind.span, "etcd is not supported by this version"),
        _ => findings.push("store.kind", &file.kind.span, "is not \"embedded\""),
    }
    if file.path.value.is_empty() || file.path.value.ends_with('/') {
        findings.push("store.path", &file.path.span, "names no file");
        return None;
    }
    let path = PathBuf::from(&file.path.value);
    if BESIDE_STORE.iter().any(|name| path.ends_with(name)) {
        findings.push("store.path", &file.path.span, "is the name of a file that is kept beside the store");
        return None;
    }
    Some(Store { path })
}

fn audit(file: &file::Audit, findings: &mut Findings) -> Option<Audit> {
    let retain = parsed::<Lifetime>("audit.retain", &file.retain, findings)?;
    if retain.span().is_some_and(|span| span < Span::days(1)) {
        findings.push("audit.retain", &file.retain.span, "is shorter than a day");
    }
    Some(Audit { retain })
}

fn tokens(file: &file::Tokens, findings: &mut Findings) -> Option<Tokens> {
    let prefix = parsed::<Prefix>("tokens.prefix", &file.prefix, findings);
    if prefix.as_ref() == Some(&Prefix::administrators()) {
        findings.push("tokens.prefix", &file.prefix.span, "is the prefix of administrators' tokens");
    }
    let duration = parsed("tokens.duration", &file.duration, findings);
    let on_expiry = parsed::<OnExpiry>("tokens.on_expiry", &file.on_expiry, findings);
    let remember = lasting("tokens.remember", &file.remember, findings);
    Some(Tokens { prefix: prefix?, duration: duration?, on_expiry: on_expiry?, remember: remember? })
}

fn credentials(file: &file::Credentials, findings: &mut Findings) -> Option<Credentials> {
    let header = match &file.header.value {
        Switched::Off => Some(None),
        Switched::On(name) => {
            findings.keep("credentials.header", &file.header.span, header::credential(name)).map(Some)
        }
    };
    let pair = file.pair.as_ref().map(|pair| check_pair(pair, findings));
    if let (Some(Some(header)), Some(Some(pair))) = (&header, &pair)
        && (pair.key == *header || pair.token == *header)
    {
        findings.push("credentials.pair", &file.pair.as_ref()?.span, "uses the header of credentials.header");
    }
    let pair = match pair {
        None => None,
        Some(pair) => Some(pair?),
    };
    Some(Credentials { bearer: file.bearer, header: header?, pair })
}

fn check_pair(file: &At<file::Pair>, findings: &mut Findings) -> Option<Pair> {
    let mut one = |name: &str, text: &Option<Text>| {
        let key = format!("credentials.pair.{name}");
        let Some(text) = text else {
            findings.push_absent(key, &file.span, "is missing: a pair needs both headers");
            return None;
        };
        findings.keep(key, &text.span, header::credential(&text.value))
    };
    let (key, token) = (one("key", &file.value.key), one("token", &file.value.token));
    let pair = Pair { key: key?, token: token? };
    if pair.key == pair.token {
        findings.push("credentials.pair", &file.span, "uses one header for both");
    }
    Some(pair)
}

fn log(file: &file::Log, findings: &mut Findings) -> Option<Log> {
    let wrong = match &file.access.value {
        Switched::Off => return Some(Log { access: AccessLog::Off }),
        Switched::On(text) if text == "stderr" => return Some(Log { access: AccessLog::Stderr }),
        Switched::On(text) if text == "stdout" => "stdout is for the listening addresses: \"stderr\", a file, or false",
        Switched::On(text) if text.is_empty() || text.ends_with('/') => "names no file",
        Switched::On(text) => return Some(Log { access: AccessLog::File(PathBuf::from(text)) }),
    };
    findings.push("log.access", &file.access.span, wrong);
    None
}

fn drain(file: &file::Drain, findings: &mut Findings) -> Option<Drain> {
    let delay = parsed::<Span>("drain.delay", &file.delay, findings);
    let timeout = timeout("drain.timeout", &file.timeout, findings);
    Some(Drain { delay: delay?.into(), timeout: timeout? })
}

fn errors(file: &file::Errors, findings: &mut Findings) -> Option<Errors> {
    let detail = match file.detail.value.as_str() {
        "full" => Detail::Full,
        "minimal" => Detail::Minimal,
        _ => {
            findings.push("errors.detail", &file.detail.span, "is neither \"full\" nor \"minimal\"");
            return None;
        }
    };
    Some(Errors { detail })
}

/// A number of bytes such as `10MiB`.
fn size(text: &str) -> Result<u64, &'static str> {
    text.parse::<bytesize::ByteSize>().map(|size| size.as_u64()).map_err(|_| "is not a size like 512KiB or 10MiB")
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "is not an address and port like 127.0.0.1:8080 or [::1]:8080")
}

/// A CIDR network, or one address.
fn network(text: &str) -> Result<IpNet, &'static str> {
    let one = |_| text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse().or_else(one).map(|net: IpNet| net.trunc()).map_err(|_| "is not a network like 10.0.0.0/8")
}

/// Makes every text of a list into a value; each that is none is a mistake of its own.
fn all<T, E: std::fmt::Display>(
    key: &str,
    texts: &[Text],
    findings: &mut Findings,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Option<Vec<T>> {
    let made: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(place, text)| findings.keep(format!("{key}[{place}]"), &text.span, parse(&text.value)))
        .collect();
    made.into_iter().collect()
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(key: &str, text: &Text, findings: &mut Findings) -> Option<T> {
    findings.keep(key, &text.span, text.value.parse())
}

/// A span that is longer than nothing.
fn lasting(key: &str, text: &Text, findings: &mut Findings) -> Option<Span> {
    let span = parsed(key, text, findings)?;
    if span == Span::ZERO {
        findings.push(key, &text.span, "must be longer than nothing");
        return None;
    }
    Some(span)
}

fn timeout(key: &str, text: &Text, findings: &mut Findings) -> Option<Duration> {
    lasting(key, text, findings).map(Into::into)
}

fn number(key: &str, at: &At<u64>, range: std::ops::RangeInclusive<usize>, findings: &mut Findings) -> Option<usize> {
    let wrong = || format!("is not a number from {} to {}", range.start(), range.end());
    let value = usize::try_from(at.value).ok().filter(|value| range.contains(value));
    findings.keep(key, &at.span, value.ok_or_else(wrong))
}
