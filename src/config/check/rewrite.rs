//! `set_…_headers` and `remove_…_headers` of routes.
//!
//! Promises: what the gateway tells the backend of the caller, and what frames or routes a message, is nobody's to change.
//! Deliberately does not: apply the rules.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};

use super::super::HeaderRules;
use super::super::file::{self, File};
use super::super::mistake::Findings;
use super::super::written::{Switched, Text};
use super::{all, header};

/// Names that are needed as they are, in either direction.
const KEPT: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "ratelimit",
    "ratelimit-policy",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
    "x-real-ip",
    "x-request-id",
];

/// Families of names likewise.
const KEPT_FAMILIES: &[&str] = &["x-relevo-", "relevo-", "x-forwarded-", "x-original-", "x-rewrite-"];

/// The rules for requests, and those for replies.
pub(super) fn check(
    key: &str,
    route: &file::Route,
    file: &File,
    findings: &mut Findings,
) -> Option<(HeaderRules, HeaderRules)> {
    let mut rules = |direction: &str, set: &BTreeMap<String, Text>, remove: &[Text]| {
        let set = set_rules(&format!("{key}.set_{direction}_headers"), set, file, findings);
        let named = |text: &str| name(text, file);
        let remove = all(&format!("{key}.remove_{direction}_headers"), remove, findings, named);
        Some(HeaderRules { set: set?, remove: remove? })
    };
    let request = rules("request", &route.set_request_headers, &route.remove_request_headers);
    let response = rules("response", &route.set_response_headers, &route.remove_response_headers);
    Some((request?, response?))
}

fn set_rules(
    key: &str,
    written: &BTreeMap<String, Text>,
    file: &File,
    findings: &mut Findings,
) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let rules: Vec<_> = written
        .iter()
        .map(|(header, text)| {
            let name = findings.keep(format!("{key}.{header}"), &text.span, name(header, file));
            let plain = text.value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.value.trim() == text.value;
            let value = HeaderValue::from_str(&text.value).ok().filter(|_| plain);
            let value = value.ok_or("is not a value of visible ASCII characters");
            Some((name?, findings.keep(format!("{key}.{header}"), &text.span, value)?))
        })
        .collect();
    rules.into_iter().collect()
}

fn name(text: &str, file: &File) -> Result<HeaderName, String> {
    let name = header::name(text)?;
    let kept = KEPT.contains(&name.as_str()) || KEPT_FAMILIES.iter().any(|family| name.as_str().starts_with(family));
    if kept {
        return Err(format!("{name} is not a route's to change: the gateway or the protocol needs it as it is"));
    }
    if credentials(file).any(|credential| credential.eq_ignore_ascii_case(name.as_str())) {
        return Err(format!("{name} carries credentials: forward_credential decides about it"));
    }
    Ok(name)
}

/// The headers of `[credentials]`, as written.
fn credentials(file: &File) -> impl Iterator<Item = &str> {
    let header = match &file.credentials.header.value {
        Switched::Off => None,
        Switched::On(name) => Some(name.as_str()),
    };
    let pair = file.credentials.pair.as_ref().map(|pair| [&pair.value.key, &pair.value.token]);
    let pair = pair.into_iter().flatten().flatten().map(|text| text.value.as_str());
    header.into_iter().chain(pair)
}
