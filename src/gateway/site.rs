//! What a configuration makes of the data plane, and what one worker makes of that.
//!
//! Promises: a reload swaps everything at once, between two requests; one in flight keeps what it began with. An
//! upstream that did not change keeps its connections and counts.

use std::rc::Rc;
use std::sync::Arc;

use http::{Method, Uri, request};
use tracing::error;

use crate::config::{self, Config, Credentials, Speech, UpgradeName};
use crate::net::deadline::Wheel;
use crate::net::dial::Connector;
use crate::net::guard::HeadBounds;
use crate::net::http2;
use crate::net::pulse::Times;
use crate::observe::Metrics;
use crate::observe::metrics::{NO_ROUTE, RouteMetrics};

use super::headers;
use super::own;
use super::path::{self, Normalised, PathPolicy};
use super::refusal::Refusal;
use super::rewrite::Rewrite;
use super::route::{self, Route, RouteTable};
use super::stall::Pace;
use super::target;
use super::upstream::{Addresses, Shared, Upstream};
use super::verdict::asked_by_preflight;

/// What all workers share of one configuration. Never changed, only replaced.
pub(super) struct Setup {
    pub(super) config: Arc<Config>,
    routes: RouteTable,
    /// That of requests to Relevo itself, where they are answered.
    own: Option<Route>,
    has_preflights: bool,
    has_websockets: bool,
    upstreams: Vec<Arc<Shared>>,
    /// How TLS is spoken with each upstream, where it is.
    pub(super) connectors: Vec<Option<Connector>>,
    /// What the names of endpoints stand for, as far as they have been resolved.
    pub(super) addresses: Addresses,
}

impl Setup {
    /// The setup of `config`, keeping the counts and standings of upstreams that `before` had too.
    pub(super) fn new(config: Arc<Config>, before: Option<&Self>, addresses: Addresses) -> Self {
        let shared = |upstream: &config::Upstream| {
            let known = before.and_then(|before| before.upstreams().find(|(known, _)| known.name == upstream.name));
            Arc::new(Shared::new(upstream, known.map(|(_, shared)| &**shared), &addresses))
        };
        let upstreams = config.upstreams.iter().map(shared).collect();
        let connectors = connectors(&config, before);
        let has_preflights = config.routes.iter().any(|route| route.preflight);
        let has_websockets = config.routes.iter().flat_map(|route| &route.upgrade).any(UpgradeName::is_websocket);
        Self {
            routes: RouteTable::new(&config),
            own: own::route(&config),
            has_preflights,
            has_websockets,
            upstreams,
            connectors,
            addresses,
            config,
        }
    }

    /// Every upstream, with what all workers share of it.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = (&config::Upstream, &Arc<Shared>)> {
        self.config.upstreams.iter().zip(&self.upstreams)
    }
}

/// One for each upstream with which TLS is spoken; upstreams whose TLS is the same share it. Reads files.
fn connectors(config: &Config, before: Option<&Setup>) -> Vec<Option<Connector>> {
    let known = before.map(|before| before.config.upstreams.iter().zip(&before.connectors));
    let known = known.into_iter().flatten();
    let mut made: Vec<_> =
        known.filter_map(|(upstream, connector)| Some((&upstream.tls, connector.clone()?))).collect();
    let mut each = Vec::new();
    for upstream in &config.upstreams {
        if upstream.endpoints.iter().all(|endpoint| endpoint.speech != Speech::Https) {
            each.push(None);
            continue;
        }
        if let Some((_, connector)) = made.iter().find(|(tls, _)| **tls == upstream.tls) {
            each.push(Some(connector.clone()));
            continue;
        }
        match Connector::new(&upstream.tls) {
            Ok(connector) => {
                made.push((&upstream.tls, connector.clone()));
                each.push(Some(connector));
            }
            Err(error) => {
                error!(upstream = upstream.name, %error, "TLS cannot be spoken with this upstream");
                each.push(None);
            }
        }
    }
    each
}

/// One setup as one worker has it: with its own connections and handles.
pub(super) struct Site {
    setup: Arc<Setup>,
    upstreams: Box<[Rc<Upstream>]>,
    routes: Box<[RouteMetrics]>,
    no_route: RouteMetrics,
    pub(super) pace: Pace,
}

impl Site {
    /// The site of a worker, keeping the connections of upstreams that `before` had the same.
    pub(super) fn new(setup: Arc<Setup>, before: Option<&Self>, (metrics, wheel): (&Metrics, &Rc<Wheel>)) -> Self {
        let known = |upstream: &config::Upstream| {
            let place = before?.config().upstreams.iter().position(|known| known == upstream)?;
            before?.upstreams.get(place).cloned()
        };
        let upstream = |((upstream, shared), connector): ((&config::Upstream, &Arc<Shared>), &Option<Connector>)| {
            let known = known(upstream);
            let made = || {
                let shared = Arc::clone(shared);
                Rc::new(Upstream::new(upstream, shared, connector.as_ref(), (metrics, wheel), known.as_deref()))
            };
            known.clone().filter(|known| known.is_of(shared)).unwrap_or_else(made)
        };
        Self {
            upstreams: setup
                .config
                .upstreams
                .iter()
                .zip(&setup.upstreams)
                .zip(&setup.connectors)
                .map(upstream)
                .collect(),
            routes: setup.routes.routes().iter().chain(&setup.own).map(|route| metrics.route(&route.label)).collect(),
            no_route: metrics.route(NO_ROUTE),
            pace: Pace::from(&setup.config.limits),
            setup,
        }
    }

    /// Whether it is the site of `setup`.
    pub(super) fn is_of(&self, setup: &Arc<Setup>) -> bool {
        Arc::ptr_eq(&self.setup, setup)
    }

    pub(super) fn config(&self) -> &Config {
        &self.setup.config
    }

    /// The headers that carry credentials.
    pub(super) fn credentials(&self) -> &Credentials {
        &self.setup.config.credentials
    }

    /// The bounds of a request's head.
    pub(super) fn head_bounds(&self) -> HeadBounds {
        let limits = &self.setup.config.limits;
        HeadBounds { head_bytes: limits.head_bytes, header_count: limits.header_count, uri_bytes: limits.uri_bytes }
    }

    /// How long a client's connection waits for what.
    pub(super) fn times(&self) -> Times {
        let limits = &self.setup.config.limits;
        Times {
            first_byte: limits.first_byte.into(),
            head: limits.head_timeout.into(),
            keep_alive: limits.keep_alive.into(),
            write_stall: limits.write_stall.into(),
            linger: limits.linger.into(),
            life: limits.connection_life.into(),
        }
    }

    /// The bounds of a client's connection that speaks HTTP/2.
    ///
    /// `spread` makes its life up to a tenth shorter or longer.
    pub(super) fn http2_bounds(&self, spread: u8) -> http2::Bounds {
        let limits = &self.setup.config.limits;
        http2::Bounds {
            limits: limits.http2.clone(),
            first: limits.head_timeout,
            idle: limits.keep_alive,
            stall: limits.write_stall,
            life: limits.connection_life.mul_f64(0.9 + f64::from(spread) / 255.0 / 5.0),
            extended_connect: self.setup.has_websockets,
        }
    }

    /// The route of a request, and the target in the one spelling that is matched, logged and sent on.
    pub(super) fn route(&self, head: &request::Parts) -> Result<(&Route, Uri), Refusal> {
        route::judge_method(&head.method)?;
        let host = headers::host_of(&head.uri, &head.headers)?;
        let query = head.uri.query();
        let asked = if self.has_preflights() { asked_by_preflight(&head.method, &head.headers) } else { None };
        let preflight = asked.and_then(|method| self.choose(&method, &host, head.uri.path(), query).ok());
        let (route, path) = match preflight.filter(|(route, _)| route.preflight) {
            Some(chosen) => chosen,
            None => self.choose(&head.method, &host, head.uri.path(), query)?,
        };
        let path = route.rewrite.as_ref().map_or(path.as_str(), |rewrite| rewrite.path(path.as_str()));
        Ok((route, target(&head.uri, path, query)?))
    }

    /// The route of a request for this path and query at `host`, and the path in its one spelling.
    pub(super) fn choose<'p>(
        &self,
        method: &Method,
        host: &str,
        path: &'p str,
        query: Option<&str>,
    ) -> Result<(&Route, Normalised<'p>), Refusal> {
        let path = self.normalise(path)?;
        query.map_or(Ok(()), path::judge_query)?;
        if self.setup.own.is_some() && own::is_here(&path) {
            return Err(Refusal::NoRoute); // whoever came for it was answered before, and no backend is
        }
        let route = self.setup.routes.choose(host, &path, method)?;
        Ok((route, path))
    }

    /// The path in its one spelling.
    pub(super) fn normalise<'p>(&self, path: &'p str) -> Result<Normalised<'p>, Refusal> {
        let policy = PathPolicy { semicolons: self.config().paths.semicolons };
        Ok(policy.normalise(path)?)
    }

    /// The route of requests to Relevo itself, where they are answered.
    pub(super) fn own(&self) -> Option<&Route> {
        self.setup.own.as_ref()
    }

    /// Whether a request for `path` is answered by Relevo itself.
    pub(super) fn is_own(&self, path: &str) -> bool {
        self.setup.own.is_some() && own::may_be_here(path) && self.normalise(path).is_ok_and(|path| own::is_here(&path))
    }

    /// Whether requests of `route` may go without the engine.
    pub(super) fn lane_takes(&self, route: &Route) -> bool {
        !route.streaming && route.rewrite.is_none() && self.upstream(route).is_plain
    }

    /// Whether any route lets CORS preflights pass.
    pub(super) fn has_preflights(&self) -> bool {
        self.setup.has_preflights
    }

    /// What the route at this place changes.
    pub(super) fn rewrite(&self, route: usize) -> Option<&Rewrite> {
        self.setup.routes.routes().get(route)?.rewrite.as_deref()
    }

    pub(super) fn upstream(&self, route: &Route) -> &Upstream {
        &self.upstreams[route.upstream]
    }

    /// The upstream at this place.
    pub(super) fn upstream_at(&self, place: usize) -> &Rc<Upstream> {
        &self.upstreams[place]
    }

    /// The route at this place.
    pub(super) fn route_at(&self, place: usize) -> Option<&Route> {
        self.setup.routes.routes().get(place)
    }

    pub(super) fn route_metrics(&self, route: Option<usize>) -> &RouteMetrics {
        route.and_then(|route| self.routes.get(route)).unwrap_or(&self.no_route)
    }

    pub(super) fn route_label(&self, route: usize) -> &str {
        self.setup.routes.routes().get(route).or(self.setup.own.as_ref()).map_or(NO_ROUTE, |route| &route.label)
    }

    /// Closes upstream connections that have been idle too long.
    pub(super) fn sweep(&self) {
        self.upstreams.iter().for_each(|upstream| upstream.sweep());
    }
}
