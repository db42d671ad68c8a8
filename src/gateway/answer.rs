//! One request of a connection, whatever it is and whatever becomes of it: an answer.
//!
//! Promises: what never became a request is counted and written down once, as every refusal is; a panic is one 500 and
//! ends its connection, no other; a connection says so before it closes over a body that nobody read.
//! Deliberately does not: know how a request is served.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use hyper::body::Incoming;
use tracing::{debug, error};

use crate::net::connection::End;
use crate::net::guard::{Fault, Heads};
use crate::net::pulse::Late;

use super::body::ReplyBody;
use super::entrance::Purpose;
use super::exchange::Exchange;
use super::refusal::Refusal;
use super::worker::Worker;
use super::{Client, REQUEST_ID, refuse};

impl Worker {
    /// The answer to a request, whatever it is. One future holds it all: each layer would copy what is in it.
    pub(super) async fn answer(self: &Rc<Self>, client: &Client, request: Request<Incoming>) -> Response<ReplyBody> {
        let in_progress = client.heads.clone().map(InProgress);
        if let Some(fault) = client.heads.as_ref().and_then(|heads| heads.next()) {
            return refuse_head(fault, self.begin(client, &request)).map(|body| body.holding(in_progress));
        }
        let keeps = client.heads.as_ref().is_none_or(|heads| outlives(heads, request.body()));
        let method = request.method().clone();
        let served = {
            let mut serving = pin!(self.serve(client, request));
            poll_fn(|cx| poll_surviving(serving.as_mut(), cx)).await
        };
        let mut response = served.unwrap_or_else(|Panicked| {
            error!(client = %client.address, %method, "a request panicked");
            refuse(Refusal::Internal, &method, self.begin(client, &unread(method.clone())))
        });
        let retires = client.heads.as_ref().is_some_and(|heads| heads.pulse().retires());
        let is_tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let nobody_reads = client.purpose != Purpose::Forward || response.body().is_refusal();
        if (retires && !is_tunnel) || (!keeps && nobody_reads) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| body.holding(in_progress))
    }

    /// A connection was late before anything was said.
    pub(super) fn late(&self, address: std::net::IpAddr, late: Late) {
        debug!(client = %address, wait = late.word(), "no conversation began");
        self.plane.metrics.late(late.word()).increment(1);
    }

    /// A connection did not end well. What the engine answered by itself is counted here, and who was late.
    pub(super) fn ended(self: &Rc<Self>, client: &Client, end: &End) {
        debug!(client = %client.address, %end, "connection ended");
        let refusal = match end {
            End::Late(late) => return self.plane.metrics.late(late.word()).increment(1),
            End::Broken(error) if error.is_parse_too_large() => Refusal::HeadTooLarge,
            End::Broken(error) if error.is_parse() => Refusal::BadRequest("The head of the request is malformed"),
            End::Broken(_) => return,
        };
        let mut exchange = self.begin(client, &unread(Method::from_bytes(b"-").unwrap_or_default()));
        exchange.refused(&refusal);
        exchange.status = refusal.status();
    }
}

/// A reply that is not done with; dropped, it is.
pub(super) struct InProgress(Rc<Heads>);

impl InProgress {
    /// A reply on the connection of `heads` has begun.
    pub(super) fn new(heads: &Rc<Heads>) -> Self {
        Self(Rc::clone(heads))
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.pulse().replied();
    }
}

/// The answer to a head that the guard refused. One that is too long is answered by its status alone.
fn refuse_head(fault: Fault, mut exchange: Exchange) -> Response<ReplyBody> {
    let refusal = match fault {
        Fault::Malformed(why) => return refuse(Refusal::BadRequest(why), &Method::GET, exchange),
        Fault::HeadTooLarge => Refusal::HeadTooLarge,
        Fault::UriTooLong => Refusal::UriTooLong,
    };
    exchange.refused(&refusal);
    exchange.status = refusal.status();
    let mut response = Response::new(());
    *response.status_mut() = refusal.status();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response.headers_mut().insert(REQUEST_ID, exchange.request_id.value());
    response.map(|()| ReplyBody::whole(Bytes::new(), exchange))
}

/// A request of which no more is known.
pub(super) fn unread(method: Method) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_static("*");
    request
}

/// Whether the engine keeps the connection also where nobody reads this body: if there is none, or the rest of it is
/// here, and in one piece.
fn outlives(heads: &Heads, body: &Incoming) -> bool {
    body.is_end_stream() || (heads.is_all_here() && body.size_hint().exact().is_some())
}

/// A future did.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Panicked;

/// Polls `future`, which must not be polled again if it panicked. Nobody sees half done what it shares with others:
/// counts, and maps that are whole between two statements.
pub(super) fn poll_surviving<T>(
    future: Pin<&mut impl Future<Output = T>>,
    cx: &mut Context<'_>,
) -> Poll<Result<T, Panicked>> {
    match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)), // the hook has said what
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_one_future_and_is_told() {
        let shared = Rc::new(());
        let held = Rc::clone(&shared);
        let panics = async move {
            tokio::task::yield_now().await;
            assert_eq!(Rc::strong_count(&held), 0, "never so");
        };
        {
            let mut panics = pin!(panics);
            assert_eq!(poll_fn(|cx| poll_surviving(panics.as_mut(), cx)).await, Err(Panicked));
        }
        assert_eq!(Rc::strong_count(&shared), 1);
        let mut well = pin!(async { 7 });
        assert_eq!(poll_fn(|cx| poll_surviving(well.as_mut(), cx)).await, Ok(7));
    }
}
