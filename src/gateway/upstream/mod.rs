//! The backends as one worker sees them: its own connections, and counts shared by all workers.
//!
//! Promises: the address dialled comes from the configuration only; a connection is used again only after a reply
//! that ended well; every wait has a deadline.
//! Deliberately does not: judge health. A connection that cannot be made is tried at the next endpoint.

mod dialer;
mod multiplex;
mod pool;
mod wires;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;
use http::uri::{Authority, Scheme};

use crate::config::{self, Speech};
use crate::net::deadline::{Ticks, Wheel};
use crate::net::dial::Connector;
use crate::observe::{Metrics, UpstreamMetrics};

pub(super) use pool::{Connection, Pool, REPLY_HEAD};

/// What all workers share of one upstream.
#[derive(Debug, Default)]
pub(super) struct Shared {
    in_flight: AtomicUsize,
}

/// One upstream, as one worker sees it.
pub(super) struct Upstream {
    pub(super) name: Rc<str>,
    pub(super) endpoints: Box<[Endpoint]>,
    pub(super) head_timeout: Ticks,
    pub(super) body_timeout: Ticks,
    /// Whether HTTP/1.1 in clear is spoken with every endpoint.
    pub(super) is_plain: bool,
    most_in_flight: usize,
    shared: Arc<Shared>,
    turn: Cell<usize>,
}

/// An endpoint in logs and metrics.
pub(super) struct EndpointLabel {
    pub(super) authority: Rc<str>,
    pub(super) metrics: UpstreamMetrics,
}

/// One address of an upstream, with this worker's connections to it.
pub(super) struct Endpoint {
    /// What `Host` says.
    pub(super) host: HeaderValue,
    /// What HTTP/2 says instead of it.
    pub(super) origin: (Scheme, Authority),
    /// What logs and metrics say.
    pub(super) label: Rc<EndpointLabel>,
    pub(super) pool: Rc<Pool>,
}

impl Upstream {
    /// `config` as a worker sees it that takes its first turn at endpoint `first`.
    pub(super) fn new(
        config: &config::Upstream,
        shared: Arc<Shared>,
        connector: Option<&Connector>,
        (metrics, wheel): (&Metrics, &Rc<Wheel>),
        first: usize,
    ) -> Self {
        let endpoint = |endpoint: &config::Endpoint| Endpoint {
            host: host(endpoint),
            origin: (scheme(endpoint.speech), endpoint.authority.clone()),
            label: Rc::new(EndpointLabel {
                authority: endpoint.label().into(),
                metrics: metrics.upstream(&config.name, &endpoint.label()),
            }),
            pool: Rc::new(Pool::new(endpoint, config, connector.cloned(), wheel)),
        };
        Self {
            name: config.name.as_str().into(),
            endpoints: config.endpoints.iter().map(endpoint).collect(),
            head_timeout: config.head_timeout.into(),
            body_timeout: config.body_timeout.into(),
            is_plain: config.endpoints.iter().all(|endpoint| endpoint.speech == Speech::Http),
            most_in_flight: config.in_flight,
            shared,
            turn: Cell::new(first),
        }
    }

    /// The endpoints in the order in which this request tries them: each worker goes round.
    pub(super) fn turn(&self) -> impl Iterator<Item = &Endpoint> {
        let first = self.turn.get() % self.endpoints.len();
        self.turn.set(first + 1);
        let (before, from) = self.endpoints.split_at(first);
        from.iter().chain(before)
    }

    /// A place among the requests in flight, over all workers; `None` if there is none.
    pub(super) fn admit(&self) -> Option<InFlight> {
        let before = self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = InFlight(Arc::clone(&self.shared));
        (before < self.most_in_flight).then_some(place)
    }

    /// Closes connections that have been idle too long.
    pub(super) fn sweep(&self) {
        self.endpoints.iter().for_each(|endpoint| endpoint.pool.sweep());
    }
}

fn scheme(speech: Speech) -> Scheme {
    match speech {
        Speech::Http | Speech::H2c => Scheme::HTTP,
        Speech::Https => Scheme::HTTPS,
    }
}

/// An authority is visible ASCII, so the empty value is never taken.
fn host(endpoint: &config::Endpoint) -> HeaderValue {
    HeaderValue::from_str(endpoint.authority.as_str()).unwrap_or(HeaderValue::from_static(""))
}

/// A place among the requests in flight; given back when dropped.
pub(super) struct InFlight(Arc<Shared>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
