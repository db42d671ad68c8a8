//! What is remembered of one request while it is served, and told when it is done with.
//!
//! Promises: every request is counted and written down exactly once, when the last of its reply is out or given up.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri};

use crate::config::Credentials;
use crate::domain::{Slot, Timestamp};
use crate::index::Pass;
use crate::observe::Record;

use super::Client;
use super::body::Progress;
use super::headers;
use super::refusal::Refusal;
use super::route::Route;
use super::site::Site;
use super::upstream::EndpointLabel;
use super::verdict::Holder;
use super::worker::Worker;

/// What is counted and logged where the client left before there was an answer; never sent.
const CLIENT_GONE: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::REQUEST_TIMEOUT,
};

/// One request being served.
pub(super) struct Exchange {
    worker: Rc<Worker>,
    pub(super) site: Rc<Site>,
    begun: Instant,
    /// When it was begun: the one reading of the wall clock that a request makes.
    pub(super) at: Timestamp,
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
    target: Uri,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    holder: Option<(std::sync::Arc<Pass>, Slot)>,
    endpoint: Option<Rc<str>>,
    upstream_took: Option<Duration>,
}

impl Worker {
    /// Begins to remember `request`.
    pub(super) fn begin<B>(self: &Rc<Self>, client: &Client, request: &Request<B>) -> Exchange {
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
            site: self.site(),
            begun: Instant::now(),
            at: self.plane.clock.now(),
            method: request.method().clone(),
            route: None,
            refusal: None,
            bytes_out: 0,
            log: self.plane.access.is_on().then(|| Box::new(logged())),
            request_id: headers::request_id(headers, &client.peer).unwrap_or_else(|| self.request_id()),
            status: CLIENT_GONE,
            upload: None,
        }
    }
}

impl Exchange {
    /// It takes this route, to this target.
    pub(super) fn on_route(&mut self, route: &Route, target: &Uri) {
        self.route = Some(route.index);
        if let Some(log) = &mut self.log {
            log.target = target.clone();
        }
    }

    /// The headers that carry credentials.
    pub(super) fn credentials(&self) -> &Credentials {
        self.site.credentials()
    }

    /// It was let through.
    pub(super) fn let_through(&mut self, holder: &Holder) {
        if holder.slot() == Slot::Old {
            self.site.route_metrics(self.route).used_old_token();
        }
        if let Some(log) = &mut self.log {
            log.holder = Some((holder.pass().clone(), holder.slot()));
        }
    }

    /// A backend answered.
    pub(super) fn answered_by(&mut self, endpoint: &EndpointLabel, took: Duration) {
        endpoint.metrics.answered(took);
        if let Some(log) = &mut self.log {
            (log.endpoint, log.upstream_took) = (Some(Rc::clone(&endpoint.authority)), Some(took));
        }
    }

    /// It was refused.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        self.refusal = Some(refusal.code());
        self.site.route_metrics(self.route).refused(refusal.code());
    }

    /// Whether it was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// Some more of the reply went out.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return; // the answer to the panic counts
        }
        let took = self.begun.elapsed();
        self.site.route_metrics(self.route).answered(&self.method, self.status, took);
        let Some(log) = self.log.take() else { return };
        let worker = &self.worker;
        let (pass, slot) = log.holder.map(|(pass, slot)| (Some(pass), Some(slot))).unwrap_or_default();
        worker.plane.access.record(&Record {
            time: self.at,
            request_id: &text(&self.request_id),
            client: log.address,
            method: self.method.as_str(),
            host: log.host.as_ref().map(text).as_deref().unwrap_or_default(),
            path: log.target.path(),
            query: log.target.query(),
            route: self.route.map(|route| self.site.route_label(route)),
            upstream: log.endpoint.as_deref(),
            status: self.status.as_u16(),
            refusal: self.refusal,
            key: pass.as_ref().map(|pass| pass.key()),
            token: pass.as_ref().map(|pass| pass.token()),
            slot,
            bytes_in: self.upload.as_ref().map_or(0, |upload| upload.bytes.get()),
            bytes_out: self.bytes_out,
            duration: took,
            upstream_duration: log.upstream_took,
            user_agent: log.user_agent.as_ref().map(text).as_deref(),
        });
    }
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
