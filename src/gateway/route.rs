//! Which route a request takes: host, then path, then method, without falling back.
//!
//! Promises: the choice of `docs/configuration.md`, "Which route takes a request", for every request and without an
//! allocation (but for the `Allow` of a 405 where routes of both kinds of case meet).
//! Deliberately does not: judge credentials, or know backends beyond their place in the configuration.

mod prefix;

use std::collections::HashMap;

use http::{HeaderValue, Method};

use crate::config::{self, Auth, Config, CredentialForm, Credentials, HostPattern, UpgradeName};
use crate::domain::Role;

use super::path::Normalised;
use super::refusal::Refusal;
use super::rewrite::Rewrite;
use super::waits::Waits;
use prefix::{Case, Paths};

/// One route, as the later stages of a request need it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "as the configuration has them")]
pub struct Route {
    /// Its place in the configuration; metrics keep a handle per place.
    pub index: usize,
    /// Its hosts and path, for logs and metrics.
    pub label: Box<str>,
    /// One of these suffices; sorted; empty: none is asked for.
    pub roles: Vec<Role>,
    /// All of these are needed; sorted.
    pub all_roles: Vec<Role>,
    /// Whether a token is asked for.
    pub auth: Auth,
    /// The forms of credential that it accepts: those that the gateway knows and the route names.
    pub credentials: Credentials,
    /// Whether the credential's header goes on to the backend.
    pub forward_credential: bool,
    /// Whether every exchange on it counts as a stream.
    pub streaming: bool,
    /// Whether `%2F` may stand in its paths.
    pub encoded_slash: bool,
    /// The largest request body in bytes; `None`: unlimited.
    pub body_limit: Option<u64>,
    /// How long its requests wait.
    pub waits: Waits,
    /// The protocols to which a request may change its connection.
    pub upgrade: Box<[UpgradeName]>,
    /// Whether CORS preflights pass without a credential.
    pub preflight: bool,
    /// What it changes of requests and replies.
    pub rewrite: Option<Box<Rewrite>>,
    /// The place of its upstream in [`Config::upstreams`].
    pub upstream: usize,
}

/// All routes of one configuration, ready to be chosen from.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Route>,
    exact: HashMap<Box<str>, Paths, foldhash::fast::RandomState>,
    /// By what follows the one label, which begins with a dot.
    one_label: HashMap<Box<str>, Paths, foldhash::fast::RandomState>,
    /// The routes without hosts.
    any: Option<Paths>,
}

/// What is taken where no route names methods.
pub(super) const EVERY_METHOD: HeaderValue = HeaderValue::from_static("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");

/// Refuses the methods that no route takes, whatever it says: a tunnel and an echo of credentials are not offered.
/// To be asked before the path is read: that of CONNECT is none.
pub fn judge_method(method: &Method) -> Result<(), Refusal> {
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(Refusal::MethodNotAllowed { allow: EVERY_METHOD });
    }
    Ok(())
}

impl RouteTable {
    /// The routes of `config`.
    pub fn new(config: &Config) -> Self {
        let routes = config.routes.iter().enumerate().map(|(index, route)| Route::of(route, index, config)).collect();
        let mut table = Self { routes, exact: HashMap::default(), one_label: HashMap::default(), any: None };
        for (index, route) in config.routes.iter().enumerate() {
            let folds = config.upstreams.get(route.upstream).is_some_and(|upstream| upstream.case_insensitive);
            let case = if folds { Case::Folded } else { Case::Kept };
            if route.hosts.is_empty() {
                table.paths_of(None).add(route, index, case);
            }
            for host in &route.hosts {
                table.paths_of(Some(host)).add(route, index, case);
            }
        }
        let hosts = table.exact.values_mut().chain(table.one_label.values_mut());
        hosts.chain(&mut table.any).for_each(Paths::seal);
        table
    }

    /// Every route, in the order of the configuration.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The route of a request for `path` at `host`, which is lower-case and without a port.
    pub fn choose(&self, host: &str, path: &Normalised<'_>, method: &Method) -> Result<&Route, Refusal> {
        judge_method(method)?;
        let paths = self.host(host).ok_or(Refusal::UnknownHost)?;
        let index = paths.find(path).ok_or(Refusal::NoRoute)?.choose(method)?;
        let route = self.routes.get(index).ok_or(Refusal::Internal)?;
        if path.has_encoded_slash() && !route.encoded_slash {
            return Err(Refusal::BadRequest("The path holds an encoded slash"));
        }
        Ok(route)
    }

    fn host(&self, host: &str) -> Option<&Paths> {
        let exact = if self.exact.is_empty() { None } else { self.exact.get(host) };
        let one_label = || match host.find('.') {
            Some(dot) if dot > 0 && !self.one_label.is_empty() => self.one_label.get(host.get(dot..)?),
            _ => None,
        };
        exact.or_else(one_label).or(self.any.as_ref())
    }

    /// The paths of the routes that name `host`, or of those without hosts.
    fn paths_of(&mut self, host: Option<&HostPattern>) -> &mut Paths {
        match host {
            Some(HostPattern::Exact(name)) => self.exact.entry(name.as_str().into()).or_default(),
            Some(HostPattern::OneLabelBefore(suffix)) => self.one_label.entry(suffix.as_str().into()).or_default(),
            None => self.any.get_or_insert_default(),
        }
    }
}

impl Route {
    fn of(route: &config::Route, index: usize, config: &Config) -> Self {
        Self {
            index,
            label: label(route),
            roles: route.roles.iter().cloned().collect(),
            all_roles: route.all_roles.iter().cloned().collect(),
            auth: route.auth,
            credentials: narrowed(&config.credentials, route),
            forward_credential: route.forward_credential,
            streaming: route.streaming,
            encoded_slash: route.encoded_slash,
            body_limit: route.body_limit,
            waits: Waits::of(route, config),
            upgrade: route.upgrade.iter().cloned().collect(),
            preflight: route.preflight,
            rewrite: Rewrite::of(route),
            upstream: route.upstream,
        }
    }
}

/// The forms of `enabled` that `route` accepts.
fn narrowed(enabled: &Credentials, route: &config::Route) -> Credentials {
    let accepts = |form| route.credentials.contains(&form);
    Credentials {
        bearer: enabled.bearer && accepts(CredentialForm::Bearer),
        header: enabled.header.clone().filter(|_| accepts(CredentialForm::Header)),
        pair: enabled.pair.clone().filter(|_| accepts(CredentialForm::Pair)),
    }
}

/// `a.example.com,*.example.org/path`
fn label(route: &config::Route) -> Box<str> {
    let host = |host: &HostPattern| match host {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::OneLabelBefore(suffix) => format!("*{suffix}"),
    };
    let hosts: Vec<_> = route.hosts.iter().map(host).collect();
    format!("{}{}", hosts.join(","), route.path).into()
}

#[cfg(test)]
pub(super) mod tests;
