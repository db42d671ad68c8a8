//! `gateway.listen` and `[[gateway.listeners]]`: addresses and certificates.
//!
//! Promises: every certificate can be served when this was read: its files are there and are a pair; a listener knows for
//! every certificate but its first when it is shown.
//! Deliberately does not: bind anything.

use std::path::PathBuf;

use super::super::file;
use super::super::mistake::Findings;
use super::super::written::{At, Text};
use super::super::{Certificate, ListenAddress, Listener, Served, certificate::Unusable};
use super::{all, host};

/// Every listener: those in clear first.
pub(super) fn check(file: &file::Gateway, findings: &mut Findings) -> Option<Vec<Listener>> {
    if file.listen.value.is_empty() && file.listeners.is_empty() {
        findings.push("gateway.listen", &file.listen.span, "names no address");
    }
    let short = all("gateway.listen", short(file), findings, str::parse::<ListenAddress>);
    let long: Vec<_> =
        file.listeners.iter().enumerate().map(|(place, one)| listener(place, one, file, findings)).collect();
    let mut listeners: Vec<_> = short?.into_iter().map(Listener::in_clear).collect();
    listeners.extend(long.into_iter().collect::<Option<Vec<_>>>()?);
    listeners.sort_by_key(|listener| !listener.tls.is_empty());
    Some(listeners)
}

/// Every address as written, with its key.
pub(super) fn addresses(file: &file::Gateway) -> Vec<(String, &Text)> {
    let short = short(file).iter().enumerate().map(|(place, text)| (format!("gateway.listen[{place}]"), text));
    let long = file.listeners.iter().enumerate();
    let long = long.filter_map(|(place, listener)| {
        listener.value.address.as_ref().map(|text| (format!("gateway.listeners[{place}].address"), text))
    });
    short.chain(long).collect()
}

/// `gateway.listen`: its default counts only where there are no listeners besides.
fn short(file: &file::Gateway) -> &[Text] {
    let is_default = file.listen.span.is_empty();
    if is_default && !file.listeners.is_empty() { &[] } else { &file.listen.value }
}

fn listener(
    place: usize,
    at: &At<file::Listener>,
    gateway: &file::Gateway,
    findings: &mut Findings,
) -> Option<Listener> {
    let key = format!("gateway.listeners[{place}]");
    let address = findings.required(format!("{key}.address"), at.value.address.as_ref(), &at.span);
    let address = address
        .and_then(|text| findings.keep(format!("{key}.address"), &text.span, text.value.parse::<ListenAddress>()));
    let written = &at.value.tls;
    if written.value.is_empty() && !written.span.is_empty() {
        findings.push(format!("{key}.tls"), &written.span, "names no certificate: leave it out to listen in clear");
    }
    let each = written.value.iter().enumerate();
    let tls: Vec<_> = each.map(|(place, one)| served(&format!("{key}.tls[{place}]"), place, one, findings)).collect();
    let tls = tls.into_iter().collect::<Option<Vec<_>>>()?;
    shown_twice(&key, &tls, &written.value, findings);
    let file::Listener { proxy_protocol, redirect_to_https, authorization, .. } = &at.value;
    if proxy_protocol.value && gateway.trusted_proxies.is_empty() {
        let message = "nobody may speak it: gateway.trusted_proxies is empty";
        findings.push(format!("{key}.proxy_protocol"), &proxy_protocol.span, message);
    }
    if redirect_to_https.value && !tls.is_empty() {
        findings.push(format!("{key}.redirect_to_https"), &redirect_to_https.span, "leads from TLS to TLS");
    }
    if redirect_to_https.value && authorization.value {
        findings.push(format!("{key}.authorization"), &authorization.span, "redirects already, and cannot answer");
    }
    Some(Listener {
        address: address?,
        tls,
        proxy_protocol: proxy_protocol.value,
        redirect_to_https: redirect_to_https.value,
        authorization: authorization.value,
    })
}

fn served(key: &str, place: usize, at: &At<file::Served>, findings: &mut Findings) -> Option<Served> {
    let file = &at.value;
    let certificate = pair(key, (&file.certificate, &file.key), at, findings);
    let hosts = all(&format!("{key}.hosts"), &file.hosts, findings, host::pattern);
    if place > 0 && file.hosts.is_empty() {
        findings.push_absent(format!("{key}.hosts"), &at.span, "is missing: only the first certificate is the default");
    }
    Some(Served { certificate: certificate?, hosts: hosts? })
}

/// A certificate and its key, both named, both readable, and a pair.
pub(super) fn pair<T>(
    key: &str,
    (certificate, private): (&Option<Text>, &Option<Text>),
    at: &At<T>,
    findings: &mut Findings,
) -> Option<Certificate> {
    let text = findings.required(format!("{key}.certificate"), certificate.as_ref(), &at.span);
    let private = findings.required(format!("{key}.key"), private.as_ref(), &at.span);
    let (text, private) = (text?, private?);
    let files = Certificate { certificate: PathBuf::from(&text.value), key: PathBuf::from(&private.value) };
    match files.load() {
        Ok(_) => return Some(files),
        Err(Unusable::Certificate(reason)) => findings.push(format!("{key}.certificate"), &text.span, reason),
        Err(Unusable::Key(reason)) => findings.push(format!("{key}.key"), &private.span, reason),
    }
    None
}

/// One name, one certificate.
fn shown_twice(key: &str, tls: &[Served], written: &[At<file::Served>], findings: &mut Findings) {
    let mut seen = Vec::new();
    for (place, (served, written)) in tls.iter().zip(written).enumerate() {
        for (host, text) in served.hosts.iter().zip(&written.value.hosts) {
            if seen.contains(&host) {
                let key = format!("{key}.tls[{place}].hosts");
                findings.push(key, &text.span, "is named for another certificate already");
            }
            seen.push(host);
        }
    }
}
