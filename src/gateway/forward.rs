//! From a judged request to the head of the backend's reply.
//!
//! Promises: nothing goes out without a [`Permit`]; a request is sent a second time only when nothing of it was sent,
//! or, once, when it has no body and either is idempotent and its connection closed without a byte of reply, or the backend
//! said that it did nothing with it; the second time is paid from the upstream's budget, and both end at one deadline.
//! Deliberately does not: touch headers other than `Host` and framing.

use std::error::Error;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, request, uri};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tracing::warn;

use crate::net::opening::Protocol;
use crate::net::stream::Stream;

use super::body::{Fate, Progress, RequestBody};
use super::refusal::Refusal;
use super::tunnel::Ask;
use super::upstream::{Answering, Connection, Endpoint, EndpointLabel, InFlight, Outcome, Pool, Tried, Upstream};
use super::verdict::Permit;
use super::waits::Waits;

/// The head of a backend's reply, with what its body needs.
pub(super) struct Reply {
    pub(super) response: Response<Incoming>,
    pub(super) lease: Lease,
    /// The endpoint that answered.
    pub(super) endpoint: Rc<EndpointLabel>,
}

/// What a reply in progress holds: its connection and its place among the requests in flight.
pub(super) struct Lease {
    connection: Connection,
    upload: Option<Rc<Progress>>,
    in_flight: InFlight,
    answering: Answering,
}

impl Lease {
    /// The reply is a stream: that it has begun is as well as can be.
    pub(super) fn carries_stream(&self) {
        self.answering.report(Outcome::Answered);
    }

    /// The reply ended before its end, by this `outcome`, unless the client is to blame.
    pub(super) fn broke_off(self, outcome: Outcome) {
        if blame(self.upload.as_deref()) == Refusal::UpstreamFailed {
            self.answering.report(outcome);
        }
    }

    /// The reply has been read to its end: the connection may carry another, if the request was written to its end.
    pub(super) fn read_to_the_end(self) {
        self.answering.report(Outcome::Answered);
        if self.upload.is_none_or(|upload| upload.fate.get() == Fate::Complete) {
            self.connection.give_back();
        }
    }

    /// The connection's stream, with what came behind the head of the reply that made it a tunnel's.
    pub(super) async fn into_stream(self) -> Option<(Stream, Bytes, InFlight)> {
        let (stream, early) = self.connection.into_stream().await?;
        Some((stream, early, self.in_flight))
    }
}

/// Sends the request, `now`, to one of the upstream's endpoints; it may `ask` for another protocol on its connection.
pub(super) async fn forward(
    _permit: &Permit,
    (upstream, waits): (&Rc<Upstream>, &Waits),
    request: Request<RequestBody>,
    (upload, ask): (Option<Rc<Progress>>, Option<&Ask>),
    now: Instant,
) -> Result<Reply, Refusal> {
    let mut place = match upstream.admit() {
        Some(place) => place,
        None => upstream.wait().await.ok_or(Refusal::Overloaded)?,
    };
    let mut tried = Tried::default();
    let mut attempt = Attempt { request, upload, ask, waits: *waits, repeated: false, begun: now };
    while let Some(endpoint) = upstream.choose(now, &mut tried) {
        upstream.goes_to(endpoint, &mut place);
        attempt = match attempt.at(upstream, endpoint, &mut place).await? {
            Progressed::Answered(response, connection, upload) => {
                place.answered();
                let answering = upstream.answering(endpoint);
                let lease = Lease { connection, upload, in_flight: place, answering };
                return Ok(Reply { response, lease, endpoint: Rc::clone(&endpoint.label) });
            }
            Progressed::Unsent(attempt) => attempt,
            Progressed::Again(attempt) => {
                if upstream.is_single() {
                    tried.forget();
                }
                attempt
            }
        };
    }
    Err(Refusal::UpstreamUnavailable)
}

/// A request that has not been answered yet.
struct Attempt<'a> {
    request: Request<RequestBody>,
    upload: Option<Rc<Progress>>,
    ask: Option<&'a Ask>,
    waits: Waits,
    repeated: bool,
    begun: Instant,
}

enum Progressed<'a> {
    Answered(Response<Incoming>, Connection, Option<Rc<Progress>>),
    /// Nothing was sent: another endpoint may be tried.
    Unsent(Attempt<'a>),
    /// It was sent, may be sent once more, and better elsewhere.
    Again(Attempt<'a>),
}

impl<'a> Attempt<'a> {
    /// A connection for it: one that was used before if that will do.
    async fn connection(&self, pool: &Rc<Pool>) -> io::Result<Connection> {
        if self.ask.is_some() {
            return pool.connect_alone().await;
        }
        let idle = if self.repeated { None } else { pool.idle(self.begun).await };
        match idle {
            Some(connection) => Ok(connection),
            None => pool.connect().await,
        }
    }

    async fn at(
        mut self,
        upstream: &Upstream,
        endpoint: &Endpoint,
        place: &mut InFlight,
    ) -> Result<Progressed<'a>, Refusal> {
        loop {
            let mut connection = match self.connection(&endpoint.pool).await {
                Ok(connection) => connection,
                Err(error) => {
                    upstream.report(endpoint, Outcome::Unreachable);
                    warn!(upstream = &*upstream.name, endpoint = &*endpoint.label.authority, %error, "no connection");
                    return Ok(Progressed::Unsent(self));
                }
            };
            address(&mut self.request, endpoint, connection.protocol());
            let may_repeat = !self.repeated && is_repeatable(&self.request, &connection);
            let spare = may_repeat.then(|| head_of(&self.request));
            let moved = || self.upload.as_ref().map_or(0, |upload| upload.bytes.get());
            let patience = self.waits.head(self.repeated.then_some(self.begun));
            let mut error = match connection.send(self.request, patience, moved).await {
                Some(Ok(response)) => {
                    let response =
                        judged(response, self.ask).inspect_err(|_| upstream.report(endpoint, Outcome::Broken))?;
                    return Ok(Progressed::Answered(response, connection, self.upload));
                }
                Some(Err(error)) => error,
                None => {
                    upstream.report(endpoint, Outcome::Late);
                    return Err(Refusal::UpstreamTimeout);
                }
            };
            self.request = match (error.take_message(), spare) {
                (Some(unsent), _) if connection.reused => unsent,
                (Some(request), _) => {
                    upstream.report(endpoint, Outcome::Unreachable);
                    return Ok(Progressed::Unsent(Self { request, ..self }));
                }
                (None, Some(head)) if may_be_sent_again(&head, &connection, &error) && place.may_retry() => {
                    endpoint.label.metrics.retried();
                    let request = Request::from_parts(head, RequestBody::Empty);
                    if connection.reused {
                        request // it may have closed for its age: a new one to the same endpoint will do
                    } else {
                        upstream.report(endpoint, Outcome::Broken);
                        return Ok(Progressed::Again(Self { request, repeated: true, ..self }));
                    }
                }
                (None, _) => {
                    let refusal = blame(self.upload.as_deref());
                    if refusal == Refusal::UpstreamFailed {
                        upstream.report(endpoint, Outcome::Broken);
                    }
                    warn!(upstream = &*upstream.name, endpoint = &*endpoint.label.authority, error = %error.error(), "no reply");
                    return Err(refusal);
                }
            };
            // A connection that was used before has closed: from now on only a new one will do.
            self.repeated = true;
        }
    }
}

/// Whether a request that was sent may be sent again, after all that is known of what became of it.
fn may_be_sent_again(
    head: &request::Parts,
    connection: &Connection,
    error: &TrySendError<Request<RequestBody>>,
) -> bool {
    let nothing_came = match connection.protocol() {
        Protocol::Http1 => connection.is_silent(),
        Protocol::Http2 => connection.reused,
    };
    is_idempotent(&head.method) && nothing_came || is_unprocessed(error.error())
}

/// Whether a request may have to be sent a second time, and can be: it has no body, and is idempotent or goes out over
/// HTTP/2, where a backend can say that it did nothing with it.
fn is_repeatable(request: &Request<RequestBody>, connection: &Connection) -> bool {
    let may_have_to = match connection.protocol() {
        Protocol::Http1 => is_idempotent(request.method()),
        Protocol::Http2 => true,
    };
    may_have_to && request.body().is_end_stream()
}

/// RFC 9110 §9.2.2
fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE].contains(method)
}

/// Whether the backend says that it did nothing with the request (RFC 9113 §8.7).
fn is_unprocessed(error: &hyper::Error) -> bool {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    let mut of_http2 = causes.filter_map(|error| error.downcast_ref::<h2::Error>());
    of_http2
        .any(|error| error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM)))
}

fn head_of(request: &Request<RequestBody>) -> request::Parts {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy.into_parts().0
}

/// Says to whom the request goes, and how its body is framed, in the manner of the protocol.
fn address(request: &mut Request<RequestBody>, endpoint: &Endpoint, protocol: Protocol) {
    frame(request);
    let path = request.uri().path_and_query().cloned();
    let mut target = uri::Parts::default();
    target.path_and_query = path;
    match protocol {
        Protocol::Http1 => {
            request.headers_mut().insert(HOST, endpoint.host.clone());
            if request.uri().authority().is_none() {
                return;
            }
        }
        Protocol::Http2 => {
            request.headers_mut().remove(HOST);
            request.headers_mut().remove(TRANSFER_ENCODING);
            let (scheme, authority) = endpoint.origin.clone();
            (target.scheme, target.authority) = (Some(scheme), Some(authority));
        }
    }
    if let Ok(target) = Uri::from_parts(target) {
        *request.uri_mut() = target; // legal parts are a legal whole
    }
}

/// Says the framing out loud: hyper leaves the body of a GET unsent otherwise.
fn frame(request: &mut Request<RequestBody>) {
    if request.body().is_end_stream() {
        if [Method::POST, Method::PUT, Method::PATCH].contains(request.method()) {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0)); // RFC 9110 §8.6
        }
        return;
    }
    match request.body().size_hint().exact() {
        Some(length) => request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length)),
        None => request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
    };
}

/// Refuses a reply that could mean two things, or another protocol that was not asked for.
fn judged(response: Response<Incoming>, ask: Option<&Ask>) -> Result<Response<Incoming>, Refusal> {
    let headers = response.headers();
    let two_framings = headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH);
    let unasked =
        response.status() == StatusCode::SWITCHING_PROTOCOLS && !ask.is_some_and(|ask| ask.is_granted(headers));
    if two_framings || unasked {
        return Err(Refusal::UpstreamFailed);
    }
    Ok(response)
}

/// Whose fault it is that there is no reply.
fn blame(upload: Option<&Progress>) -> Refusal {
    match upload.map(|upload| upload.fate.get()) {
        Some(Fate::TooLarge) => Refusal::BodyTooLarge,
        Some(Fate::Stalled) => Refusal::BodyTimeout,
        Some(Fate::Broken) => Refusal::BadRequest("The body ends before its end"),
        Some(Fate::Unfinished | Fate::Complete) | None => Refusal::UpstreamFailed,
    }
}
