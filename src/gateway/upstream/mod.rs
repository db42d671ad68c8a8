//! The backends as one worker sees them: its own connections, and counts shared by all workers.
//!
//! Promises: the address dialled comes from the configuration only; a connection is used again only after a reply
//! that ended well; every wait has a deadline; who is chosen, admitted or put out is judged over all workers.
//! Deliberately does not: send anything. Whoever does admits, chooses, and reports.

mod choice;
mod dialer;
mod multiplex;
mod pool;
mod probe;
mod shared;
mod standing;
mod watch;
mod wires;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use http::HeaderValue;
use http::uri::{Authority, Scheme};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tracing::warn;

use crate::config::{self, Speech};
use crate::net::deadline::Wheel;
use crate::net::dial::Connector;
use crate::observe::{Metrics, UpstreamMetrics};

use choice::{Candidate, MOST, choose};
use standing::{Millis, Standing};

pub(super) use choice::Tried;
pub(super) use pool::{Connection, Pool, REPLY_HEAD};
pub(super) use shared::{Addresses, InFlight, Outcome, Shared};

/// One upstream, as one worker sees it.
pub(super) struct Upstream {
    pub(super) name: Rc<str>,
    pub(super) endpoints: Box<[Endpoint]>,
    /// Whether HTTP/1.1 in clear is spoken with every endpoint.
    pub(super) is_plain: bool,
    shared: Arc<Shared>,
    random: RefCell<SmallRng>,
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
    standing: Arc<Standing>,
    /// Its place among the endpoints.
    place: usize,
}

/// Whoever answers: how he did is known when the reply has ended.
pub(super) struct Answering {
    upstream: Rc<Upstream>,
    place: usize,
}

impl Answering {
    /// Says how the reply went.
    pub(super) fn report(&self, outcome: Outcome) {
        if let Some(endpoint) = self.upstream.endpoints.get(self.place) {
            self.upstream.report(endpoint, outcome);
        }
    }
}

impl Upstream {
    /// `config` as a worker sees it; `before`, where it is the same upstream with other addresses, lends its connections.
    pub(super) fn new(
        config: &config::Upstream,
        shared: Arc<Shared>,
        connector: Option<&Connector>,
        (metrics, wheel): (&Metrics, &Rc<Wheel>),
        before: Option<&Self>,
    ) -> Self {
        let known = |standing: &Arc<Standing>| {
            let known = before?.endpoints.iter().find(|known| Arc::ptr_eq(&known.standing, standing))?;
            Some(Rc::clone(&known.pool))
        };
        let endpoint = |(place, member): (usize, &shared::Member)| {
            let (standing, endpoint) = (&member.standing, &member.standing.endpoint);
            let new = || Rc::new(Pool::new(standing, config, connector.cloned(), wheel));
            Endpoint {
                host: host(endpoint),
                origin: (scheme(endpoint.speech), endpoint.authority.clone()),
                label: Rc::new(EndpointLabel {
                    authority: endpoint.label().into(),
                    metrics: metrics.upstream(&config.name, &endpoint.label()),
                }),
                pool: known(standing).unwrap_or_else(new),
                standing: Arc::clone(standing),
                place,
            }
        };
        Self {
            name: config.name.as_str().into(),
            endpoints: shared.members.iter().enumerate().map(endpoint).collect(),
            is_plain: config.endpoints.iter().all(|endpoint| endpoint.speech == Speech::Http),
            shared,
            random: RefCell::new(SmallRng::from_rng(&mut rand::rng())),
        }
    }

    /// Whether it is what `shared` says.
    pub(super) fn is_of(&self, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }

    /// The endpoint that a request tries next, at `now`: one that is well before one that is not, and none twice.
    pub(super) fn choose(&self, now: Instant, tried: &mut Tried) -> Option<&Endpoint> {
        let place = if self.is_single() {
            (!tried.has(0)).then_some(0)
        } else {
            let now = now.into();
            self.draw(now, *tried, Standing::is_available).or_else(|| self.draw(now, *tried, |_, _| true))
        }?;
        tried.add(place);
        self.endpoints.get(place)
    }

    /// One of those who were not tried and of whom `suits` holds.
    fn draw(&self, now: Millis, tried: Tried, suits: impl Fn(&Standing, Millis) -> bool) -> Option<usize> {
        let mut candidates = [Candidate::default(); MOST];
        let mut count = 0;
        for (place, member) in self.shared.members.iter().enumerate() {
            let standing = &*member.standing;
            if !tried.has(place)
                && suits(standing, now)
                && let Some(candidate) = candidates.get_mut(count)
            {
                let share = standing.share(member.weight, now, self.shared.rules().slow_start);
                *candidate = Candidate { place, share, in_flight: standing.in_flight.load(Ordering::Relaxed) };
                count += 1;
            }
        }
        let mut random = self.random.borrow_mut();
        choose(candidates.get(..count).unwrap_or_default(), [random.next_u64(), random.next_u64()])
    }

    /// A place among the requests in flight, over all workers; `None` if there is none now: [`Upstream::wait`] for one.
    pub(super) fn admit(&self) -> Option<InFlight> {
        self.shared.admit()
    }

    /// A place among the requests in flight once one is free; `None` if none is in time, or too many wait already.
    pub(super) async fn wait(&self) -> Option<InFlight> {
        self.shared.wait().await
    }

    /// The request that has this place goes to `endpoint`, for as long as it is not sent to another.
    pub(super) fn goes_to(&self, endpoint: &Endpoint, place: &mut InFlight) {
        if self.endpoints.len() > 1 {
            place.goes_to(&endpoint.standing); // nobody compares the load of one
        }
    }

    /// Who answers is `endpoint`.
    pub(super) fn answering(self: &Rc<Self>, endpoint: &Endpoint) -> Answering {
        Answering { upstream: Rc::clone(self), place: endpoint.place }
    }

    /// Says how a request went at `endpoint`.
    pub(super) fn report(&self, endpoint: &Endpoint, outcome: Outcome) {
        if let Some(span) = self.shared.report(&endpoint.standing, outcome) {
            endpoint.label.metrics.ejected();
            let (seconds, last) = (span.as_secs_f64(), outcome);
            warn!(upstream = &*self.name, endpoint = &*endpoint.label.authority, seconds, ?last, "put out for a while");
        }
    }

    /// Whether there is no other endpoint.
    pub(super) fn is_single(&self) -> bool {
        self.endpoints.len() == 1
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
