//! `[[upstreams]]`: names and endpoints.
//!
//! Promises: an endpoint is a host and a port and nothing else; no two upstreams share a name.

use http::uri::Authority;

use super::super::file::{self, At, Text};
use super::super::mistake::Findings;
use super::super::{Endpoint, HostPattern, Upstream};
use super::{all, host, number, timeout};

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
    let mut wait = |name: &str, text: &Text| timeout(&format!("{key}.{name}"), text, findings);
    let connect_timeout = wait("connect_timeout", &file.connect_timeout);
    let head_timeout = wait("head_timeout", &file.head_timeout);
    let body_timeout = wait("body_timeout", &file.body_timeout);
    let idle_timeout = wait("idle_timeout", &file.idle_timeout);
    let idle_connections = number(&format!("{key}.idle_connections"), &file.idle_connections, 0..=100_000, findings);
    let in_flight = number(&format!("{key}.in_flight"), &file.in_flight, 1..=10_000_000, findings);
    Some(Upstream {
        name: name?,
        endpoints: endpoints?,
        case_insensitive: file.case_insensitive,
        connect_timeout: connect_timeout?,
        head_timeout: head_timeout?,
        body_timeout: body_timeout?,
        idle_timeout: idle_timeout?,
        idle_connections: idle_connections?,
        in_flight: in_flight?,
    })
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
    let made = all(key, &list.value, findings, endpoint)?;
    for (place, endpoint) in made.iter().enumerate() {
        if made[..place].contains(endpoint) {
            findings.push(format!("{key}[{place}]"), &list.value[place].span, "is named twice");
        }
    }
    Some(made)
}

/// `http://host:port`, the port 80 where none is given.
fn endpoint(text: &str) -> Result<Endpoint, String> {
    const FORM: &str = "is not of the form http://host:port";
    for scheme in ["https", "h2c", "unix"] {
        if text.strip_prefix(scheme).is_some_and(|rest| rest.starts_with(':')) {
            return Err(format!("an endpoint of {scheme} is not supported by this version"));
        }
    }
    let rest = text.strip_prefix("http://").ok_or(FORM)?;
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
        Some("") => 80,
        Some(port) => {
            let digits = port.strip_prefix(':').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|digits| digits.parse().ok()).ok_or(FORM)?
        }
        None => return Err(FORM.to_owned()),
    };
    if port == 0 {
        return Err(FORM.to_owned());
    }
    Ok(Endpoint { authority, host, port })
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
        ] {
            let endpoint = endpoint(text).expect(text);
            assert_eq!((endpoint.host.as_str(), endpoint.port), (host, port), "{text}");
        }
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
            "https://a",
            "h2c://a",
            "unix:/run/a.sock",
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
