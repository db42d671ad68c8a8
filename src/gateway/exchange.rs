//! What is remembered of one request while it is served, and told when it is done with.
//!
//! Promises: every request is counted and written down exactly once, when the last of its reply is out or given up.

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri};

use crate::config::Credentials;
use crate::domain::{Slot, Timestamp};
use crate::index::Pass;
use crate::limiter::Admitted;
use crate::observe::Record;

use super::Client;
use super::body::Progress;
use super::headers::{self, Lines};
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
    /// The client's address, as a trusted proxy tells it.
    pub(super) address: IpAddr,
    method: Method,
    route: Option<usize>,
    refusal: Option<&'static str>,
    bytes_in: u64,
    bytes_out: u64,
    log: Option<Box<Logged>>,
    pub(super) request_id: RequestId,
    pub(super) status: StatusCode,
    pub(super) upload: Option<Rc<Progress>>,
    /// Its place among its key's requests, where they are limited.
    pub(super) admitted: Option<Box<Admitted>>,
    /// Whether the client speaks gRPC.
    pub(super) is_grpc: bool,
}

/// What a request is called: what a trusted proxy calls it, or 32 hex digits.
pub(super) enum RequestId {
    Given(Box<[u8]>),
    Made([u8; 32]),
}

impl RequestId {
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Given(name) => name,
            Self::Made(name) => name,
        }
    }

    /// Either is visible ASCII, so the empty value is never taken.
    pub(super) fn value(&self) -> HeaderValue {
        HeaderValue::from_bytes(self.as_bytes()).unwrap_or(HeaderValue::from_static(""))
    }
}

/// What only the access log wants to know.
pub(super) struct Logged {
    target: Box<str>,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    holder: Option<(std::sync::Arc<Pass>, Slot)>,
    endpoint: Option<Rc<str>>,
    upstream_took: Option<Duration>,
}

impl Worker {
    /// Begins to remember `request`.
    pub(super) fn begin<B>(self: &Rc<Self>, client: &Client, request: &Request<B>) -> Exchange {
        let (method, target) = (request.method().clone(), || target_in(request.uri()));
        self.begin_with(client, self.site(), method, request.headers(), target)
    }

    /// Begins to remember a request of these lines; `target` is asked for its target if somebody wants to know it.
    pub(super) fn begin_with(
        self: &Rc<Self>,
        client: &Client,
        site: Rc<Site>,
        method: Method,
        lines: &impl Lines,
        target: impl FnOnce() -> Box<str>,
    ) -> Exchange {
        let value = |name| lines.named(name).next().and_then(|value| HeaderValue::from_bytes(value).ok());
        let logged = || Logged {
            target: target(),
            host: value(&HOST),
            user_agent: value(&USER_AGENT),
            holder: None,
            endpoint: None,
            upstream_took: None,
        };
        let address =
            headers::client_address(lines, &client.peer, client.address, &site.config().gateway.trusted_proxies);
        let given = headers::request_id(lines, &client.peer).map(|name| RequestId::Given(name.into()));
        Exchange {
            worker: Rc::clone(self),
            site,
            begun: Instant::now(),
            at: self.plane.clock.now(),
            address,
            method,
            route: None,
            refusal: None,
            bytes_in: 0,
            bytes_out: 0,
            log: self.plane.access.is_on().then(|| Box::new(logged())),
            request_id: given.unwrap_or_else(|| RequestId::Made(self.request_id())),
            status: CLIENT_GONE,
            upload: None,
            admitted: None,
            is_grpc: false,
        }
    }
}

impl Exchange {
    /// It takes this route, to this target.
    pub(super) fn on_route(&mut self, route: &Route, target: impl FnOnce() -> Box<str>) {
        self.route = Some(route.index);
        if let Some(log) = &mut self.log {
            log.target = target();
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
        if let Refusal::TooManyFailures { .. } = refusal {
            self.log = None; // they are summed up
        }
        self.site.route_metrics(self.route).refused(refusal.code());
    }

    /// It was let through, and its stream is ended before its end.
    pub(super) fn stream_ended(&mut self, refusal: &Refusal) {
        self.refusal = Some(refusal.code());
    }

    /// It was a tunnel, which has ended for this reason.
    pub(super) fn tunnel_ended(&self, reason: &'static str) {
        self.site.route_metrics(self.route).ended_tunnel(reason);
    }

    /// The place of its route.
    pub(super) fn route(&self) -> Option<usize> {
        self.route
    }

    /// Whether it was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// Its method.
    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// Some more of its body came, and nobody else counts.
    pub(super) fn received(&mut self, bytes: u64) {
        self.bytes_in += bytes;
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
        let (path, query) =
            log.target.split_once('?').map_or((&*log.target, None), |(path, query)| (path, Some(query)));
        let (pass, slot) = log.holder.map(|(pass, slot)| (Some(pass), Some(slot))).unwrap_or_default();
        worker.plane.access.record(&Record {
            time: self.at,
            request_id: &String::from_utf8_lossy(self.request_id.as_bytes()),
            client: self.address,
            method: self.method.as_str(),
            host: log.host.as_ref().map(text).as_deref().unwrap_or_default(),
            path,
            query,
            route: self.route.map(|route| self.site.route_label(route)),
            upstream: log.endpoint.as_deref(),
            status: self.status.as_u16(),
            refusal: self.refusal,
            key: pass.as_ref().map(|pass| pass.key()),
            token: pass.as_ref().map(|pass| pass.token()),
            slot,
            bytes_in: self.upload.as_ref().map_or(self.bytes_in, |upload| upload.bytes.get()),
            bytes_out: self.bytes_out,
            duration: took,
            upstream_duration: log.upstream_took,
            user_agent: log.user_agent.as_ref().map(text).as_deref(),
        });
    }
}

/// Path and query, as the access log splits them.
pub(super) fn target_in(uri: &Uri) -> Box<str> {
    uri.path_and_query().map_or("", |target| target.as_str()).into()
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
