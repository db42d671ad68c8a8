//! `[[upstreams]]`: names and endpoints.
//!
//! Promises: an endpoint is a host and a port, or a path of a socket, and nothing else; no two upstreams share a name; the
//! files of TLS were there and sound when this was read.
//! Deliberately does not: resolve or dial anything.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use http::uri::Authority;
use sha2::{Digest, Sha256};

use super::super::file;
use super::super::mistake::Findings;
use super::super::written::{At, Text};
use super::super::{
    Certificate, Endpoint, Health, HostPattern, ListenAddress, Reach, Speech, Upstream, UpstreamTls, certificate,
};
use super::{all, host, listener, number, parsed, timeout};
use crate::domain::Span;

/// Judges every upstream; one with mistakes is `None` in its place.
pub(super) fn check(file: &[At<file::Upstream>], findings: &mut Findings) -> Vec<Option<Upstream>> {
    for (place, upstream) in file.iter().enumerate() {
        let name = |upstream: &At<file::Upstream>| upstream.value.name.as_ref().map(|name| name.value.clone());
        let Some(own) = &upstream.value.name else { continue };
        if file[..place].iter().any(|other| name(other).as_ref() == Some(&own.value)) {
            findings.push(format!("upstreams[{place}].name"), &own.span, "is the name of another upstream already");
        }
    }
    file.iter().enumerate().map(|(place, upstream)| one(&format!("upstreams[{place}]"), upstream, findings)).collect()
}

fn one(key: &str, at: &At<file::Upstream>, findings: &mut Findings) -> Option<Upstream> {
    let file = &at.value;
    let name = findings.required(format!("{key}.name"), file.name.as_ref(), &at.span);
    let name = name.and_then(|text| findings.keep(format!("{key}.name"), &text.span, self::name(&text.value)));
    let endpoints = endpoints(&format!("{key}.endpoints"), at, findings);
    let tls = tls(&format!("{key}.tls"), file, endpoints.as_deref(), findings);
    let mut wait = |name: &str, text: &Text| timeout(&format!("{key}.{name}"), text, findings);
    let connect_timeout = wait("connect_timeout", &file.connect_timeout);
    let head_timeout = wait("head_timeout", &file.head_timeout);
    let body_timeout = wait("body_timeout", &file.body_timeout);
    let idle_timeout = wait("idle_timeout", &file.idle_timeout);
    let idle_connections = number(&format!("{key}.idle_connections"), &file.idle_connections, 0..=100_000, findings);
    let in_flight = number(&format!("{key}.in_flight"), &file.in_flight, 1..=10_000_000, findings);
    let waiting = number(&format!("{key}.waiting"), &file.waiting, 0..=10_000_000, findings);
    let wait_timeout = timeout(&format!("{key}.wait_timeout"), &file.wait_timeout, findings);
    let weights = weights(&format!("{key}.weights"), file, findings);
    let slow_start = parsed::<Span>(&format!("{key}.slow_start"), &file.slow_start, findings);
    let eject_after = small(&format!("{key}.eject_after"), &file.eject_after, 0..=10_000, findings);
    let eject_for = timeout(&format!("{key}.eject_for"), &file.eject_for, findings);
    let resolve_every = timeout(&format!("{key}.resolve_every"), &file.resolve_every, findings);
    let health = file.health.as_ref().map(|file| health(&format!("{key}.health"), file, findings));
    Some(Upstream {
        name: name?,
        endpoints: endpoints?,
        tls: tls?,
        case_insensitive: file.case_insensitive,
        connect_timeout: connect_timeout?,
        head_timeout: head_timeout?,
        body_timeout: body_timeout?,
        idle_timeout: idle_timeout?,
        idle_connections: idle_connections?,
        in_flight: in_flight?,
        waiting: waiting?,
        wait_timeout: wait_timeout?,
        weights: weights?,
        slow_start: slow_start?.into(),
        eject_after: eject_after?,
        eject_for: eject_for?,
        resolve_every: resolve_every?,
        health: match health {
            None => None,
            Some(health) => Some(health?),
        },
    })
}

fn small(key: &str, at: &At<u64>, range: RangeInclusive<usize>, findings: &mut Findings) -> Option<u32> {
    number(key, at, range, findings).and_then(|number| u32::try_from(number).ok())
}

/// One for each endpoint; all alike where none is given.
fn weights(key: &str, file: &file::Upstream, findings: &mut Findings) -> Option<Vec<u32>> {
    let endpoints = file.endpoints.as_ref().map_or(0, |endpoints| endpoints.value.len());
    let At { value: written, span } = &file.weights;
    if written.is_empty() {
        return Some(vec![1; endpoints]);
    }
    if written.len() != endpoints {
        findings.push(key, span, format!("names {} for {endpoints} endpoints", written.len()));
        return None;
    }
    let weight = |number: &u64| u32::try_from(*number).ok().filter(|weight| (1..=1_000).contains(weight));
    let weights: Option<Vec<_>> = written.iter().map(weight).collect();
    findings.keep(key, span, weights.ok_or("is not of numbers from 1 to 1000"))
}

fn health(key: &str, file: &file::UpstreamHealth, findings: &mut Findings) -> Option<Health> {
    let path = match &file.path {
        None => Some(None),
        Some(text) => findings.keep(format!("{key}.path"), &text.span, check_path(&text.value)).map(Some),
    };
    let interval = timeout(&format!("{key}.interval"), &file.interval, findings);
    let timeout = timeout(&format!("{key}.timeout"), &file.timeout, findings);
    let healthy = small(&format!("{key}.healthy"), &file.healthy, 1..=100, findings);
    let unhealthy = small(&format!("{key}.unhealthy"), &file.unhealthy, 1..=100, findings);
    Some(Health { path: path?, interval: interval?, timeout: timeout?, healthy: healthy?, unhealthy: unhealthy? })
}

fn check_path(text: &str) -> Result<String, &'static str> {
    let is_path = text.starts_with('/') && text.parse::<http::uri::PathAndQuery>().is_ok();
    if is_path { Ok(text.to_owned()) } else { Err("is not a path like /healthz") }
}

fn name(text: &str) -> Result<String, &'static str> {
    let legal =
        (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if legal { Ok(text.to_owned()) } else { Err("is not 1 to 64 of A-Z a-z 0-9 . _ -") }
}

fn endpoints(key: &str, at: &At<file::Upstream>, findings: &mut Findings) -> Option<Vec<Endpoint>> {
    let list = findings.required(key, at.value.endpoints.as_ref(), &at.span)?;
    if list.value.is_empty() {
        findings.push(key, &list.span, "names no endpoint");
    }
    if list.value.len() > 64 {
        findings.push(key, &list.span, "names more than 64 endpoints");
    }
    let made = all(key, &list.value, findings, endpoint)?;
    for (place, endpoint) in made.iter().enumerate() {
        if made[..place].contains(endpoint) {
            findings.push(format!("{key}[{place}]"), &list.value[place].span, "is named twice");
        }
    }
    Some(made)
}

/// The files of TLS; they mean something only where TLS is spoken.
fn tls(
    key: &str,
    file: &file::Upstream,
    endpoints: Option<&[Endpoint]>,
    findings: &mut Findings,
) -> Option<UpstreamTls> {
    let Some(at) = &file.tls else { return Some(UpstreamTls::default()) };
    if endpoints.is_some_and(|all| all.iter().all(|endpoint| endpoint.speech != Speech::Https)) {
        findings.push(key, &at.span, "means nothing without an endpoint of https");
    }
    let written = &at.value;
    let mut content = Sha256::new();
    let ca = match &written.ca {
        None => Some(None),
        Some(text) => {
            let path = PathBuf::from(&text.value);
            let read = certificate::read_certificates(&path).map(|all| all.iter().for_each(|one| content.update(one)));
            findings.keep(format!("{key}.ca"), &text.span, read).map(|()| Some(path))
        }
    };
    let client = match (&written.certificate, &written.key) {
        (None, None) => Some(None),
        pair => listener::pair(key, pair, at, findings).map(Some),
    };
    let shown = client.as_ref().and_then(Option::as_ref).and_then(|client: &Certificate| client.read().ok());
    content.update(shown.map(|pem| pem.digest()).unwrap_or_default());
    Some(UpstreamTls { ca: ca?, client: client?, content: content.finalize().into() })
}

/// `http://host:port` and the like, the scheme's own port where none is given; `unix:/path`.
fn endpoint(text: &str) -> Result<Endpoint, String> {
    const FORM: &str = "is not of the form http://host:port, https://host:port, h2c://host:port or unix:/path";
    if text.starts_with("unix:") {
        let address = text.parse::<ListenAddress>()?;
        let ListenAddress::Unix(path) = address else { return Err(FORM.to_owned()) };
        let authority = Authority::from_static("localhost");
        return Ok(Endpoint { speech: Speech::Http, reach: Reach::Unix(path), authority });
    }
    let schemes = [("http://", Speech::Http, 80), ("https://", Speech::Https, 443), ("h2c://", Speech::H2c, 80)];
    let of_scheme = |(scheme, speech, port)| text.strip_prefix(scheme).map(|rest| (rest, speech, port));
    let (rest, speech, default_port) = schemes.into_iter().find_map(of_scheme).ok_or(FORM)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err("holds a path or query: an endpoint is a host and a port only".to_owned());
    }
    if rest.contains('@') {
        return Err("holds user information: an endpoint is a host and a port only".to_owned());
    }
    let authority: Authority = rest.parse().map_err(|_| FORM)?;
    host::pattern(authority.host()).ok().filter(|pattern| matches!(pattern, HostPattern::Exact(_))).ok_or(FORM)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = match rest.strip_prefix(authority.host()) {
        Some("") => default_port,
        Some(port) => {
            let digits = port.strip_prefix(':').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|digits| digits.parse().ok()).ok_or(FORM)?
        }
        None => return Err(FORM.to_owned()),
    };
    if port == 0 {
        return Err(FORM.to_owned());
    }
    Ok(Endpoint { speech, reach: Reach::Tcp { host, port }, authority })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for (text, host, port) in [
            ("http://127.0.0.1:9000", "127.0.0.1", 9000),
            ("http://orders.internal", "orders.internal", 80),
            ("http://[::1]:9000/", "::1", 9000),
            ("https://orders.internal", "orders.internal", 443),
            ("h2c://orders.internal", "orders.internal", 80),
        ] {
            let endpoint = endpoint(text).expect(text);
            assert_eq!(endpoint.reach, Reach::Tcp { host: host.to_owned(), port }, "{text}");
            assert_eq!(endpoint.to_string(), text.trim_end_matches('/'));
        }
        assert_eq!(endpoint("unix:/run/a.sock").expect("legal").to_string(), "unix:/run/a.sock");
    }

    #[test]
    fn an_endpoint_with_anything_more_is_refused() {
        for text in [
            "",
            "http://",
            "127.0.0.1:9000",
            "http://a/b",
            "http://a?b",
            "http://u:p@a",
            "http://a:0",
            "http://a:",
            "http://a:x",
            "http://a:65536",
            "https://a/b",
            "h2c://",
            "unix:a.sock",
            "https:a",
            "http://a b",
            "ftp://a",
            "http://:80",
            "http://a,b:80/",
            "http://*.a:80",
            "http://[::1",
            "http://a:+80",
        ] {
            let made = endpoint(text);
            assert!(made.is_err(), "{text:?} was accepted: {made:?}");
        }
    }
}
