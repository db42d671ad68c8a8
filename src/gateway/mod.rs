//! The data plane: the story of one request, from its head to the head of the reply.
//!
//! route → credential (taken out of the request) → verdict: [`Permit`] or [`Refusal`] → forward →
//! response. One thread per core serves it (`worker`); what the threads share is read-only on the path.
//!
//! Promises: nothing is forwarded without a permit; a refusal is answered before the body is read.
//! Deliberately does not: know the store or the keyring. Keys are what the index says.

mod answer;
mod authorize;
mod body;
mod buffers;
pub mod credential;
mod entrance;
mod exchange;
mod failures;
mod forward;
mod grpc;
pub mod headers;
mod http2;
mod lane;
mod limit;
mod own;
pub mod path;
mod redirect;
pub mod refusal;
pub mod reply;
pub mod rewrite;
pub mod route;
mod site;
mod stall;
mod tunnel;
mod upstream;
pub mod verdict;
mod vigil;
mod waits;
mod worker;

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, request};
use http_body::Body;
use hyper::body::Incoming;

use crate::clock::Clock;
use crate::config::{Auth, Config};
use crate::domain::Slot;
use crate::index::Index;
use crate::limiter::{Limiter, failures::Failures};
use crate::net::guard::Heads;
use crate::observe::{AccessLog, Metrics};
use crate::usage::{By, FirstUse, Usage, Use};

use body::{ReplyBody, RequestBody};
use exchange::{Exchange, target_in};
use forward::Reply;
use headers::{Arrival, Lines, Peer, Scheme};
use refusal::Refusal;
use route::Route;
use site::{Setup, Site};
use stall::Patience;
use tunnel::{Ask, Tunnel};
use upstream::Addresses;
use verdict::{Holder, Permit};
use vigil::Vigil;
use worker::Worker;

pub use entrance::{Door, Entrance, Purpose, Room};
pub use own::{Denied, Inquiry, SelfService, Told, What};
pub use worker::{Workers, start};

const RELEVO_TOKEN: HeaderName = HeaderName::from_static("relevo-token");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What all workers share. Read-only on the path of a request, but for counts.
pub struct Plane {
    setup: ArcSwap<Setup>,
    /// Held by whoever puts another setup in force.
    changing: Mutex<()>,
    index: Index,
    usage: Usage,
    limiter: Limiter,
    clock: Clock,
    metrics: Metrics,
    access: AccessLog,
    own: Arc<dyn SelfService>,
    failures: Failures,
    room: Room,
    connections: Arc<AtomicUsize>,
    handshakes: Arc<AtomicUsize>,
}

/// What a plane is made of.
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// What is answered to which token.
    pub index: Index,
    /// Where uses are noted.
    pub usage: Usage,
    /// Where requests are counted against their keys' limits.
    pub limiter: Limiter,
    /// What time it is.
    pub clock: Clock,
    /// Where requests are counted.
    pub metrics: Metrics,
    /// Where requests are written down.
    pub access: AccessLog,
    /// What does what keys ask about themselves.
    pub own: Arc<dyn SelfService>,
    /// How many clients there is room for.
    pub room: Room,
}

impl Plane {
    /// A data plane of `parts`.
    pub fn new(parts: Parts) -> Self {
        let Parts { config, index, usage, limiter, clock, metrics, access, own, room } = parts;
        let failures = Failures::new(config.limits.failures);
        let setup = ArcSwap::from_pointee(Setup::new(config, None, Addresses::default()));
        let (connections, handshakes, changing) = Default::default();
        Self {
            setup,
            changing,
            index,
            usage,
            limiter,
            clock,
            metrics,
            access,
            own,
            failures,
            room,
            connections,
            handshakes,
        }
    }

    /// Routes and forwards by `config` from the next request on.
    pub fn reload(&self, config: Arc<Config>) {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.setup.load();
        self.failures.bound(config.limits.failures);
        let setup = Setup::new(config, Some(&before), before.addresses.clone());
        self.setup.store(Arc::new(setup));
    }

    /// The name of endpoints stands for these addresses from the next request on.
    fn resolved(&self, name: String, found: Vec<IpAddr>) {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.setup.load();
        if found.is_empty() || before.addresses.get(&name) == Some(&found) {
            return;
        }
        tracing::info!(name, addresses = ?found, "resolved");
        let mut addresses = before.addresses.clone();
        addresses.insert(name, found);
        let setup = Setup::new(Arc::clone(&before.config), Some(&before), addresses);
        self.setup.store(Arc::new(setup));
    }
}

/// The other end of a client's connection.
struct Client {
    address: IpAddr,
    peer: Peer,
    scheme: Scheme,
    /// What it came for.
    purpose: Purpose,
    /// What the guard of the connection tells, where there is one: on HTTP/1.1.
    heads: Option<Rc<Heads>>,
    /// What is to become of the connection when its engine has ended.
    tunnel: Cell<Option<Box<Tunnel>>>,
}

impl Worker {
    /// One request, from its head to the head of the reply. Never fails: what goes wrong is a reply too.
    async fn serve(self: &Rc<Self>, client: &Client, mut request: Request<Incoming>) -> Response<ReplyBody> {
        let settled = http2::settle(&mut request, self.site().config().limits.header_count);
        let mut exchange = self.begin(client, &request);
        match client.purpose {
            Purpose::Forward => {}
            Purpose::Redirect => return redirect::to_https(&request, exchange),
            Purpose::Authorize => return self.authorize(request, exchange),
        }
        let site = Rc::clone(&exchange.site);
        if settled.is_ok() && site.is_own(request.uri().path()) {
            return Box::pin(self.answer_itself(request, exchange)).await;
        }
        exchange.is_grpc = grpc::is_grpc(request.method(), request.headers());
        let method = request.method().clone();
        let passed = match settled {
            Ok(()) => self.pass(client, &site, request, &mut exchange).await,
            Err(refusal) => Err(refusal),
        };
        let response = match passed {
            Ok(passed) => deliver(passed, &method, &mut exchange),
            Err(refusal) => Err(refusal),
        };
        match response {
            Ok((head, body)) if head.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Box::pin(self.raise(client, head, body, exchange)).await
            }
            Ok((head, body)) => head.map(|()| body.into_reply(exchange)),
            Err(refusal) => refuse(refusal, &method, exchange),
        }
    }

    /// From a request to the backend's reply.
    async fn pass(
        self: &Rc<Self>,
        client: &Client,
        site: &Rc<Site>,
        request: Request<Incoming>,
        exchange: &mut Exchange,
    ) -> Result<Passed, Refusal> {
        let (mut head, body) = request.into_parts();
        let (route, target) = site.route(&head)?;
        exchange.on_route(route, || target_in(&target));
        let ask = Ask::of(route, &mut head, || !body.is_end_stream(), || self.entropy())?;
        let permit = self.judge(exchange, route, &mut head)?;
        self.note_use(&permit, exchange, (route, &head.headers));
        self.limit(&permit, exchange)?;
        admit_length(&body, route)?;

        let mut headers = self.headers(client, &permit, &mut head, exchange)?;
        if let Some(rewrite) = &route.rewrite {
            rewrite.request(&mut headers);
        }
        if let Some(ask) = &ask {
            ask.put(&mut headers);
        }
        let upstream = site.upstream_at(route.upstream);
        let asked = Instant::now();
        let (is_stream, address) = (route.streaming || exchange.is_grpc, exchange.address);
        let stream = is_stream.then(|| self.stream(client, route));
        let due = exchange.is_grpc.then(|| grpc::timeout(&headers)).flatten().and_then(|span| asked.checked_add(span));
        let begin = |due| self.vigils.begin(&permit, (site, route.index), address, due);
        let vigil = if is_stream { begin(due) } else { None };
        let patience = stream.clone().unwrap_or_else(|| Patience::with_request(&self.wheel, &site.pace));
        let (body, upload) = RequestBody::new(body, route.body_limit, patience, (site, vigil.as_ref()));
        exchange.upload.clone_from(&upload);
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = target;
        *request.headers_mut() = headers;

        let forwarded = forward::forward(&permit, (upstream, &route.waits), request, (upload, ask.as_deref()), asked);
        let reply = vigil::watched(vigil.as_deref(), forwarded).await?;
        exchange.answered_by(&reply.endpoint, asked.elapsed());
        if ask.as_ref().is_some_and(|ask| !ask.can_be_answered_by(reply.response.status())) {
            return Err(Refusal::UpstreamFailed);
        }
        let turns_stream = stream.is_none() && self::is_stream(&reply.response);
        let vigil = if turns_stream { begin(None) } else { vigil };
        let stream = stream.or_else(|| turns_stream.then(|| self.stream(client, route)));
        if stream.is_some() {
            reply.lease.carries_stream();
        }
        let patience = stream.unwrap_or_else(|| Patience::with_reply(&self.wheel, route.waits.body));
        Ok(Passed { permit, route: route.index, reply, patience: (patience, vigil), ask })
    }

    /// The exchange in progress is a stream: the patience with its bodies.
    fn stream(&self, client: &Client, route: &Route) -> Patience {
        let idle = route.waits.stream_idle;
        client.heads.iter().for_each(|heads| heads.pulse().is_stream(idle));
        Patience::with_stream(&self.wheel, idle)
    }

    fn judge(&self, exchange: &Exchange, route: &Route, head: &mut request::Parts) -> Result<Permit, Refusal> {
        if route.auth != Auth::None && !self.plane.index.is_loaded() {
            return Err(Refusal::NotReady);
        }
        let settings = self.plane.index.settings();
        let presented = credential::take(&mut head.headers, route, exchange.credentials(), &settings.prefixes);
        if route.preflight
            && let Ok(presented) = &presented
            && let Some(permit) = verdict::preflight(presented, route, &head.method, &head.headers)
        {
            return Ok(permit);
        }
        let judge = |presented| verdict::judge(&presented, route, exchange.address, exchange.at, &self.plane.index);
        presented
            .and_then(judge)
            .map_err(|refusal| failures::weigh(&self.plane.failures, refusal, exchange.address, exchange.at))
    }

    /// Notes who used which token; a first use is told to the keyring.
    fn note_use(&self, permit: &Permit, exchange: &mut Exchange, (route, lines): (&Route, &impl Lines)) {
        let Some(holder) = permit.holder() else { return };
        exchange.let_through(holder);
        let (pass, slot, now) = (holder.pass(), holder.slot(), exchange.at);
        // Who calls matters during a renewal alone.
        let user_agent = if slot == Slot::Current { None } else { lines.named(&USER_AGENT).next() };
        let by = By { address: exchange.address, user_agent, route: &route.label };
        self.tally.borrow_mut().note(Use { token: pass.token(), slot, at: now, by });
        if pass.note_use(now) && !self.plane.usage.tell(first_use(holder, now)) {
            pass.first_use_untold();
        }
    }

    /// Counts the request against its key's limits. Its place among them is given back with the exchange.
    fn limit(&self, permit: &Permit, exchange: &mut Exchange) -> Result<(), Refusal> {
        let Some(holder) = permit.holder() else { return Ok(()) };
        let others = &exchange.site.config().limits.keys;
        exchange.admitted = limit::admit(holder.pass(), others, &self.plane.limiter, exchange.at)?;
        Ok(())
    }

    /// The headers that the backend gets.
    fn headers(
        &self,
        client: &Client,
        permit: &Permit,
        head: &mut request::Parts,
        exchange: &Exchange,
    ) -> Result<HeaderMap, Refusal> {
        let arrival = Arrival {
            peer: &client.peer,
            scheme: client.scheme,
            version: head.version,
            request_id: exchange.request_id.value(),
            entropy: self.entropy(),
        };
        let mut headers =
            headers::sanitise_request(std::mem::take(&mut head.headers), &arrival, exchange.credentials())?;
        if let Some(holder) = permit.holder() {
            headers::identify(&mut headers, holder.pass().identity(), holder.slot());
        }
        Ok(headers)
    }
}

/// The backend's reply as the client gets it.
fn deliver(passed: Passed, method: &Method, exchange: &mut Exchange) -> Result<(Response<()>, Delivery), Refusal> {
    let Passed { permit, route, reply, patience, ask } = passed;
    let (mut head, incoming) = reply.response.into_parts();
    let had_length = head.headers.contains_key(CONTENT_LENGTH);
    // Without a body to measure, the length is the backend's word.
    let said =
        (method == Method::HEAD || head.status == StatusCode::NOT_MODIFIED).then(|| length(&head.headers)).flatten();
    head.headers = headers::sanitise_response(head.headers)?;
    if let Some(rewrite) = exchange.site.rewrite(route) {
        rewrite.response(&mut head.headers);
    }
    head.version = http::Version::HTTP_11;
    head.extensions = http::Extensions::default();
    let exact = incoming.size_hint().exact().filter(|_| had_length);
    // Never the backend's spelling of a length: the number that was parsed.
    if said.is_some() || !exact.is_some_and(|length| is_written_plainly(&head.headers, length)) {
        match said.or_else(|| exact.map(HeaderValue::from)) {
            Some(length) => head.headers.insert(CONTENT_LENGTH, length),
            None => head.headers.remove(CONTENT_LENGTH),
        };
    }
    head.headers.insert(REQUEST_ID, exchange.request_id.value());
    if let Some(value) = permit.holder().and_then(old_token) {
        head.headers.insert(RELEVO_TOKEN, value);
    }
    if let Some(admitted) = &exchange.admitted {
        limit::tell(&mut head.headers, &admitted.standing);
    }
    exchange.status = head.status;
    let delivery = Delivery { incoming, patience, lease: reply.lease, ask };
    Ok((Response::from_parts(head, ()), delivery))
}

/// The gateway's own answer.
fn refuse(refusal: Refusal, method: &Method, mut exchange: Exchange) -> Response<ReplyBody> {
    let closes = refusal.closes();
    exchange.refused(&refusal);
    let detail = exchange.site.config().errors.detail;
    let mut response = if exchange.is_grpc {
        grpc::refuse(&refusal.told(detail)).map(|()| Bytes::new())
    } else {
        reply::reply(refusal, method, detail)
    };
    exchange.status = response.status();
    response.headers_mut().insert(REQUEST_ID, exchange.request_id.value());
    if closes {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| ReplyBody::whole(body, exchange))
}

/// A request that passed, with its backend's reply.
struct Passed {
    permit: Permit,
    /// Its place in the configuration.
    route: usize,
    reply: Reply,
    patience: (Patience, Option<Rc<Vigil>>),
    ask: Option<Box<Ask>>,
}

/// A reply's body, about to be delivered.
struct Delivery {
    incoming: Incoming,
    patience: (Patience, Option<Rc<Vigil>>),
    lease: forward::Lease,
    /// What its request asked to be made of its connection.
    ask: Option<Box<Ask>>,
}

impl Delivery {
    fn into_reply(self, exchange: Exchange) -> ReplyBody {
        ReplyBody::download(self.incoming, self.patience, self.lease, exchange)
    }
}

/// Refuses a body whose announced length is over the route's limit, before any of it is read.
fn admit_length(body: &Incoming, route: &Route) -> Result<(), Refusal> {
    let announced = body.size_hint().lower();
    match route.body_limit {
        Some(limit) if announced > limit => Err(Refusal::BodyTooLarge),
        Some(_) | None => Ok(()),
    }
}

/// Whether a reply is a stream by what it says of itself.
fn is_stream(response: &Response<Incoming>) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS
        || response.headers().get(CONTENT_TYPE).is_some_and(|kind| headers::is_event_stream(kind.as_bytes()))
}

/// The request target in origin form (RFC 9112 §3.2.1).
fn target(received: &Uri, path: &str, query: Option<&str>) -> Result<Uri, Refusal> {
    if let Some(as_it_came) = received.path_and_query().filter(|_| received.path() == path) {
        return Ok(Uri::from(as_it_came.clone()));
    }
    let text = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let target = PathAndQuery::try_from(text).map_err(|_| Refusal::BadRequest("The path is not legal"))?;
    Ok(Uri::from(target))
}

/// `Relevo-Token: old`, with the deadline if there is one: an integration can see that it must move.
fn old_token(holder: &Holder) -> Option<HeaderValue> {
    match holder.slot() {
        Slot::Current | Slot::New => None,
        Slot::Old => Some(match holder.pass().due_at() {
            None => HeaderValue::from_static("old"),
            Some(due) => HeaderValue::try_from(format!("old;due={}", due.as_seconds())).ok()?,
        }),
    }
}

fn first_use(holder: &Holder, at: crate::domain::Timestamp) -> FirstUse {
    let pass = holder.pass();
    FirstUse { realm: crate::domain::Realm::Gateway, key: pass.key(), token: pass.token(), at }
}

/// Whether `length` stands in the head once, in digits without a leading zero: as it would be written here.
fn is_written_plainly(headers: &HeaderMap, length: u64) -> bool {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let plain = |digits: &str| !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    line.to_str().is_ok_and(|digits| plain(digits) && digits.parse() == Ok(length))
}

/// The one parsed length of a head, as a number.
fn length(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let length: u64 = lines.next()?.to_str().ok()?.parse().ok()?;
    lines.next().is_none().then(|| HeaderValue::from(length))
}
