//! One request of a connection, whatever it is and whatever becomes of it: an answer.
//!
//! Promises: what never became a request is counted and written down once, as every refusal is; a panic is one 500 and
//! ends its connection, no other; a connection says so before it closes over a body that nobody read.
//! Deliberately does not: know how a request is served.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body::Body;
use hyper::body::Incoming;
use tracing::{debug, error};

use crate::net::connection::End;
use crate::net::guard::{Fault, Heads};

use super::body::ReplyBody;
use super::exchange::Exchange;
use super::refusal::Refusal;
use super::worker::Worker;
use super::{Client, REQUEST_ID, refuse};

impl Worker {
    /// The answer to a request, whatever it is.
    pub(super) async fn answer(self: &Rc<Self>, client: &Client, request: Request<Incoming>) -> Response<ReplyBody> {
        let Some(heads) = &client.heads else { return self.outlive(client, request).await };
        let in_progress = InProgress(Rc::clone(heads));
        let mut response = match heads.next() {
            Some(fault) => refuse_head(fault, self.begin(client, &request)),
            None => self.answer_passed(client, heads, request).await,
        };
        if heads.pulse().retires() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| body.holding(in_progress))
    }

    async fn answer_passed(
        self: &Rc<Self>,
        client: &Client,
        heads: &Heads,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        // The engine keeps a connection over a body that nobody read only if the rest of it is here, and in one piece.
        let body = request.body();
        let keeps = body.is_end_stream() || (heads.is_all_here() && body.size_hint().exact().is_some());
        let mut response = self.outlive(client, request).await;
        if !keeps && response.body().is_refusal() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The answer, also where it panics.
    async fn outlive(self: &Rc<Self>, client: &Client, request: Request<Incoming>) -> Response<ReplyBody> {
        let method = request.method().clone();
        if let Some(response) = surviving(self.serve(client, request)).await {
            return response;
        }
        error!(client = %client.address, %method, "a request panicked");
        refuse(Refusal::Internal, &method, self.begin(client, &unread(method.clone())))
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
    response.headers_mut().insert(REQUEST_ID, exchange.request_id.clone());
    response.map(|()| ReplyBody::whole(Bytes::new(), exchange))
}

/// A request of which no more is known.
fn unread(method: Method) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_static("*");
    request
}

/// What comes of `future`; `None` if it panicked. What it held is gone then, and nobody sees it half done: everything
/// that requests share is counts and maps that are whole between two statements.
async fn surviving<T>(future: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(future).catch_unwind().await.ok()
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
        assert_eq!(surviving(panics).await, None);
        assert_eq!(Rc::strong_count(&shared), 1);
        assert_eq!(surviving(async { 7 }).await, Some(7));
    }
}
