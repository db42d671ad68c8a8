//! `[[webhooks]]`: names, places, secrets.
//!
//! Promises: no two webhooks share a name; every secret and every certificate was there when this was read, and no mistake
//! shows a secret.
//! Deliberately does not: resolve a name. Whether it leads to a private address is looked at before each connection.

use std::net::IpAddr;
use std::path::Path;

use reqwest::Url;

use super::super::file;
use super::super::mistake::Findings;
use super::super::webhook::is_public;
use super::super::written::{At, Text};
use super::super::{Believed, EventPattern, SigningSecret, Webhook};
use super::{all, timeout};

/// How long a webhook's name is at most.
const NAME_LENGTH: usize = 64;
/// How many webhooks there are at most: each has connections and a place of its own.
const MOST: usize = 32;

/// Judges every webhook.
pub(super) fn check(file: &[At<file::Webhook>], findings: &mut Findings) -> Option<Vec<Webhook>> {
    let name = |webhook: &At<file::Webhook>| webhook.value.name.as_ref().map(|name| name.value.clone());
    for (place, webhook) in file.iter().enumerate() {
        let Some(own) = &webhook.value.name else { continue };
        if file[..place].iter().any(|other| name(other).as_ref() == Some(&own.value)) {
            findings.push(format!("webhooks[{place}].name"), &own.span, "is the name of another webhook already");
        }
    }
    if let Some(one_too_many) = file.get(MOST) {
        findings.push("webhooks", &one_too_many.span, format!("is one more than {MOST}"));
    }
    let checked: Vec<_> =
        file.iter().enumerate().map(|(place, webhook)| one(&format!("webhooks[{place}]"), webhook, findings)).collect();
    checked.into_iter().collect()
}

fn one(key: &str, at: &At<file::Webhook>, findings: &mut Findings) -> Option<Webhook> {
    let file = &at.value;
    let name = findings.required(format!("{key}.name"), file.name.as_ref(), &at.span);
    let name = name.and_then(|text| findings.keep(format!("{key}.name"), &text.span, self::name(&text.value)));
    let url = findings.required(format!("{key}.url"), file.url.as_ref(), &at.span);
    let url = url
        .and_then(|text| findings.keep(format!("{key}.url"), &text.span, self::url(&text.value, file.allow_private)));
    let ca = ca(&format!("{key}.ca"), file, url.as_deref(), findings);
    let secrets = some(key, "secrets", &file.secrets, &at.span, findings);
    let secrets = secrets && file.secrets.len() <= 8;
    let secrets = all(&format!("{key}.secrets"), &file.secrets, findings, SigningSecret::read).filter(|_| secrets);
    let events = some(key, "events", &file.events, &at.span, findings);
    let events = all(&format!("{key}.events"), &file.events, findings, EventPattern::read).filter(|_| events);
    let attempt = timeout(&format!("{key}.timeout"), &file.timeout, findings);
    let longest_pause = timeout(&format!("{key}.longest_pause"), &file.longest_pause, findings);
    Some(Webhook {
        name: name?,
        url: url?,
        ca,
        secrets: secrets?,
        events: events?,
        allow_private: file.allow_private,
        timeout: attempt?,
        longest_pause: longest_pause?,
    })
}

/// Those who are believed; `None` also where their file is a mistake. It means something only where TLS is spoken.
fn ca(key: &str, file: &file::Webhook, url: Option<&str>, findings: &mut Findings) -> Option<Believed> {
    let text = file.ca.as_ref()?;
    if url.is_some_and(|url| url.starts_with("http:")) {
        findings.push(key, &text.span, "means nothing without a url of https");
    }
    findings.keep(key, &text.span, Believed::read(Path::new(&text.value)))
}

/// Whether the list of this name has anything in it.
fn some(key: &str, name: &str, list: &[Text], table: &std::ops::Range<usize>, findings: &mut Findings) -> bool {
    if list.is_empty() {
        findings.push_absent(format!("{key}.{name}"), table, "is missing or empty");
    }
    !list.is_empty()
}

fn name(text: &str) -> Result<String, String> {
    let is_legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > NAME_LENGTH || !text.chars().all(is_legal) {
        return Err(format!("is not 1 to {NAME_LENGTH} of a-z, 0-9, -, _ and ."));
    }
    Ok(text.to_owned())
}

fn url(text: &str, allow_private: bool) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL ({error})"))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        "http" => {
            return Err("is not https: in clear only with allow_private = true, in a network of your own".to_owned());
        }
        _ => return Err("is not an https URL".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("holds a user, a password or a fragment".to_owned());
    }
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if !allow_private && literal.is_ok_and(|address| !is_public(address)) {
        return Err("is at an address that is not public; allow_private = true allows that".to_owned());
    }
    Ok(url.into())
}
