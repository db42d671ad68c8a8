//! `[[routes]]`: what each asks for and where it leads.
//!
//! Promises: a route names an upstream that exists and credentials that are enabled; routes do not contradict each other.
//! Deliberately does not: choose a route for a request.

use std::collections::BTreeSet;

use http::Method;

use super::super::file::{self, File};
use super::super::mistake::Findings;
use super::super::written::{At, Switched, Text};
use super::super::{Auth, CredentialForm, MethodName, Route, Speech, Upstream, Waits};
use super::{all, host, overlap, path, rewrite, size, timeout};
use crate::domain::Role;

/// Judges every route, and then all of them together.
pub(super) fn check(file: &File, upstreams: &[Option<Upstream>], findings: &mut Findings) -> Option<Vec<Route>> {
    let routes: Vec<_> = file
        .routes
        .iter()
        .enumerate()
        .map(|(place, route)| one(&format!("routes[{place}]"), route, file, findings))
        .collect();
    overlap::check(&routes, file, upstreams, findings);
    reach_upgrades(&routes, file, upstreams, findings);
    routes.into_iter().collect()
}

fn one(key: &str, at: &At<file::Route>, file: &File, findings: &mut Findings) -> Option<Route> {
    let route = &at.value;
    let path = findings.required(format!("{key}.path"), route.path.as_ref(), &at.span);
    let path = path.and_then(|text| findings.keep(format!("{key}.path"), &text.span, path::prefix(&text.value)));
    let is_own = path.as_deref().is_some_and(|path| path == "/.relevo" || path.starts_with("/.relevo/"));
    if let Some(text) = route.path.as_ref().filter(|_| is_own && file.gateway.self_service) {
        findings.push(format!("{key}.path"), &text.span, "is Relevo's own: gateway.self_service is on");
    }
    let hosts = all(&format!("{key}.hosts"), &route.hosts, findings, host::pattern);
    let methods = methods(key, route, findings);
    let auth = findings.keep(format!("{key}.auth"), &route.auth.span, auth(&route.auth.value));
    let roles = names(&format!("{key}.roles"), &route.roles, auth, findings);
    let all_roles = names(&format!("{key}.all_roles"), &route.all_roles, auth, findings);
    let credentials = credentials(key, at, auth, file, findings);
    let body_limit = findings.keep(format!("{key}.body_limit"), &route.body_limit.span, body(&route.body_limit.value));
    let waits = waits(key, route, findings);
    let upgrade = all(&format!("{key}.upgrade"), &route.upgrade.value, findings, str::parse);
    let upstream = upstream(key, at, file, findings);
    let headers = rewrite::check(key, route, file, findings);
    let (request_headers, response_headers) = headers?;
    Some(Route {
        path: path?,
        hosts: hosts?,
        methods: methods?,
        roles: roles?,
        all_roles: all_roles?,
        auth: auth?,
        credentials: credentials?,
        forward_credential: route.forward_credential,
        streaming: route.streaming,
        encoded_slash: route.encoded_slash.value,
        body_limit: body_limit?,
        waits: waits?,
        upgrade: upgrade?.into_iter().collect(),
        strip_prefix: route.strip_prefix.value,
        preflight: route.preflight.value,
        request_headers,
        response_headers,
        upstream: upstream?,
    })
}

/// A backend with which HTTP/2 is spoken in clear cannot be asked for an upgrade, which is of HTTP/1.1.
fn reach_upgrades(routes: &[Option<Route>], file: &File, upstreams: &[Option<Upstream>], findings: &mut Findings) {
    let speaks_h2c = |place: usize| {
        let upstream = upstreams.get(place).and_then(Option::as_ref);
        upstream.is_some_and(|upstream| upstream.endpoints.iter().any(|endpoint| endpoint.speech == Speech::H2c))
    };
    for (place, (route, at)) in routes.iter().zip(&file.routes).enumerate() {
        let asks = route.as_ref().filter(|route| !route.upgrade.is_empty());
        if asks.is_some_and(|route| speaks_h2c(route.upstream)) {
            let message = "asks for upgrades of an upstream with h2c endpoints: only HTTP/1.1 has them";
            findings.push(format!("routes[{place}].upgrade"), &at.value.upgrade.span, message);
        }
    }
}

fn auth(text: &str) -> Result<Auth, &'static str> {
    match text {
        "required" => Ok(Auth::Required),
        "optional" => Ok(Auth::Optional),
        "none" => Ok(Auth::None),
        _ => Err("is none of \"required\", \"optional\" and \"none\""),
    }
}

#[expect(clippy::option_option, reason = "the outer one says that there were mistakes, the inner is the route's own")]
fn methods(key: &str, route: &file::Route, findings: &mut Findings) -> Option<Option<BTreeSet<MethodName>>> {
    let Some(list) = &route.methods else { return Some(None) };
    let key = format!("{key}.methods");
    if list.value.is_empty() {
        findings.push(&key, &list.span, "names no method: leave it out for all that are left");
    }
    all(&key, &list.value, findings, method).map(|methods| Some(methods.into_iter().collect()))
}

fn method(text: &str) -> Result<MethodName, &'static str> {
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| "is not a method")?;
    match text {
        "CONNECT" | "TRACE" => Err("is never forwarded"),
        _ if text.bytes().any(|byte| byte.is_ascii_lowercase()) => Err("is not in capitals, as methods are written"),
        _ => Ok(MethodName(method)),
    }
}

fn names(key: &str, list: &At<Vec<Text>>, auth: Option<Auth>, findings: &mut Findings) -> Option<BTreeSet<Role>> {
    if !list.value.is_empty() && auth.is_some_and(|auth| auth != Auth::Required) {
        findings.push(key, &list.span, "asks for roles where auth is not \"required\"");
    }
    all(key, &list.value, findings, str::parse::<Role>).map(|roles| roles.into_iter().collect())
}

/// The forms that a route accepts: those it names, else all that are enabled; none where nothing is judged.
fn credentials(
    key: &str,
    at: &At<file::Route>,
    auth: Option<Auth>,
    file: &File,
    findings: &mut Findings,
) -> Option<BTreeSet<CredentialForm>> {
    let key = format!("{key}.credentials");
    let enabled = enabled(file);
    let Some(list) = &at.value.credentials else {
        if auth? == Auth::None {
            return Some(BTreeSet::new());
        }
        if enabled.is_empty() {
            findings.push_absent(
                key,
                &at.span,
                "no form of credential is enabled in [credentials], and this route judges",
            );
        }
        return Some(enabled);
    };
    if auth == Some(Auth::None) {
        findings.push(&key, &list.span, "names credentials where auth is \"none\"");
    } else if list.value.is_empty() {
        findings.push(&key, &list.span, "names no form: leave it out for all that are enabled");
    }
    let known = |text: &str| form(text, &enabled);
    all(&key, &list.value, findings, known).map(|forms| forms.into_iter().collect())
}

fn enabled(file: &File) -> BTreeSet<CredentialForm> {
    let credentials = &file.credentials;
    let bearer = credentials.bearer.then_some(CredentialForm::Bearer);
    let header = (credentials.header.value != Switched::Off).then_some(CredentialForm::Header);
    let pair = credentials.pair.is_some().then_some(CredentialForm::Pair);
    [bearer, header, pair].into_iter().flatten().collect()
}

fn form(text: &str, enabled: &BTreeSet<CredentialForm>) -> Result<CredentialForm, &'static str> {
    let form = match text {
        "bearer" => CredentialForm::Bearer,
        "header" => CredentialForm::Header,
        "pair" => CredentialForm::Pair,
        _ => return Err("is none of \"bearer\", \"header\" and \"pair\""),
    };
    if enabled.contains(&form) { Ok(form) } else { Err("is not enabled in [credentials]") }
}

fn body(text: &str) -> Result<Option<u64>, &'static str> {
    match text {
        "unlimited" => Ok(None),
        _ => size(text).map(Some).map_err(|_| "is neither a size like 512KiB or 10MiB nor \"unlimited\""),
    }
}

/// What the route says of its own waits; `None`: there are mistakes.
fn waits(key: &str, route: &file::Route, findings: &mut Findings) -> Option<Waits> {
    let mut is_sound = true;
    let mut wait = |name: &str, text: Option<&Text>| {
        let wait = timeout(&format!("{key}.{name}"), text?, findings);
        is_sound &= wait.is_some();
        wait
    };
    let head = wait("head_timeout", route.head_timeout.as_ref());
    let body = wait("body_timeout", route.body_timeout.as_ref());
    let stream_idle = wait("stream_idle", route.stream_idle.as_ref());
    is_sound.then_some(Waits { head, body, stream_idle })
}

fn upstream(key: &str, at: &At<file::Route>, file: &File, findings: &mut Findings) -> Option<usize> {
    let key = format!("{key}.upstream");
    let name = findings.required(&key, at.value.upstream.as_ref(), &at.span)?;
    let named = |upstream: &At<file::Upstream>| upstream.value.name.as_ref().is_some_and(|own| own.value == name.value);
    let place = file.upstreams.iter().position(named);
    if place.is_none() {
        findings.push_absent(key, &name.span, format!("no upstream is named {:?}", name.value));
    }
    place
}
