//! What is remembered of one request while it is served, and told when it is done with.
//!
//! Promises: every request is counted and written down exactly once, when the last of its reply is out or given up.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;

use crate::domain::Slot;
use crate::index::Pass;
use crate::observe::Record;

use super::Client;
use super::body::Progress;
use super::headers;
use super::refusal::Refusal;
use super::route::Route;
use super::verdict::Holder;
use super::worker::Worker;

/// One request being served.
pub(super) struct Exchange {
    worker: Rc<Worker>,
    begun: Instant,
    method: Method,
    route: Option<usize>,
    refusal: Option<&'static str>,
    bytes_out: u64,
    log: Option<Box<Logged>>,
    pub(super) request_id: HeaderValue,
    pub(super) status: StatusCode,
    pub(super) upload: Option<Rc<Progress>>,
}

/// What only the access log wants to know.
struct Logged {
    address: std::net::IpAddr,
    target: http::Uri,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    holder: Option<(std::sync::Arc<Pass>, Slot)>,
    endpoint: Option<Rc<str>>,
    upstream_took: Option<Duration>,
}

impl Worker {
    /// Begins to remember `request`.
    pub(super) fn begin(self: &Rc<Self>, client: &Client, request: &Request<Incoming>) -> Exchange {
        let headers = request.headers();
        let logged = || Logged {
            address: client.address,
            target: request.uri().clone(),
            host: headers.get(HOST).cloned(),
            user_agent: headers.get(USER_AGENT).cloned(),
            holder: None,
            endpoint: None,
            upstream_took: None,
        };
        Exchange {
            worker: Rc::clone(self),
            begun: Instant::now(),
            method: request.method().clone(),
            route: None,
            refusal: None,
            bytes_out: 0,
            log: self.plane.access.is_on().then(|| Box::new(logged())),
            request_id: headers::request_id(headers, &client.peer).unwrap_or_else(|| self.request_id()),
            status: StatusCode::INTERNAL_SERVER_ERROR,
            upload: None,
        }
    }
}

impl Exchange {
    /// It takes this route.
    pub(super) fn on_route(&mut self, route: &Route) {
        self.route = Some(route.index);
    }

    /// It was let through.
    pub(super) fn let_through(&mut self, holder: &Holder) {
        if holder.slot() == Slot::Old {
            self.worker.route_metrics(self.route).used_old_token();
        }
        if let Some(log) = &mut self.log {
            log.holder = Some((holder.pass().clone(), holder.slot()));
        }
    }

    /// A backend answered.
    pub(super) fn answered_by(&mut self, endpoint: &Rc<str>, took: Duration) {
        if let Some(log) = &mut self.log {
            (log.endpoint, log.upstream_took) = (Some(Rc::clone(endpoint)), Some(took));
        }
    }

    /// It was refused.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        self.refusal = Some(refusal.code());
        self.worker.route_metrics(self.route).refused(refusal.code());
    }

    /// Some more of the reply went out.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        self.worker.route_metrics(self.route).answered(&self.method, self.status, took);
        let Some(log) = self.log.take() else { return };
        let text = |value: &Option<HeaderValue>| value.as_ref().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let record = Record {
            at: self.worker.plane.clock.now(),
            request_id: &text(&Some(self.request_id.clone())).unwrap_or_default(),
            client: log.address,
            method: self.method.as_str(),
            host: text(&log.host).as_deref(),
            path: log.target.path(),
            query: log.target.query(),
            route: self.route.map(|route| self.worker.route_label(route)),
            endpoint: log.endpoint.as_deref(),
            status: self.status.as_u16(),
            refusal: self.refusal,
            key: log.holder.as_ref().map(|(pass, _)| pass.key()),
            token: log.holder.as_ref().map(|(pass, slot)| (pass.token(), *slot)),
            bytes_in: self.upload.as_ref().map_or(0, |upload| upload.bytes.get()),
            bytes_out: self.bytes_out,
            took,
            upstream_took: log.upstream_took,
            user_agent: text(&log.user_agent).as_deref(),
        };
        self.worker.plane.access.record(&record);
    }
}
