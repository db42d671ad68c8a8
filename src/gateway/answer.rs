//! One request of a connection, whatever it is and whatever becomes of it: an answer.
//!
//! Promises: what never became a request is counted and written down once, as every refusal is; a panic is one 500 and
//! ends its connection, no other; a connection says so before it closes over a body that nobody read.
//! Deliberately does not: know how a request is served.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt;
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body::Body;
use hyper::body::Incoming;
use tracing::{debug, error};

use crate::net::guard::{Fault, Heads};

use super::body::ReplyBody;
use super::refusal::Refusal;
use super::worker::Worker;
use super::{Client, refuse};

impl Worker {
    /// The answer to a request: `refused` is what the guard found wrong with its head, which is not here then.
    pub(super) async fn answer(
        self: &Rc<Self>,
        client: &Client,
        heads: &Heads,
        request: Request<Incoming>,
        refused: Option<Fault>,
    ) -> Response<ReplyBody> {
        if let Some(fault) = refused {
            return refuse(refusal(fault), request.method(), self.begin(client, &request));
        }
        let method = request.method().clone();
        // The engine keeps a connection over a body that nobody read only if the rest of it is here, and in one piece.
        let body = request.body();
        let keeps = body.is_end_stream() || (heads.is_all_here() && body.size_hint().exact().is_some());
        let Some(mut response) = surviving(self.serve(client, request)).await else {
            error!(client = %client.address, %method, "a request panicked");
            return refuse(Refusal::Internal, &method, self.begin(client, &unread(method.clone())));
        };
        if !keeps && response.body().is_refusal() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// A connection ended with an error of the engine. What the engine answered by itself is counted here.
    pub(super) fn ended(self: &Rc<Self>, client: &Client, error: &hyper::Error) {
        debug!(client = %client.address, %error, "connection ended");
        let refusal = match (error.is_parse(), error.is_parse_too_large()) {
            (true, true) => Refusal::HeadTooLarge,
            (true, false) => Refusal::BadRequest("The head of the request is malformed"),
            (false, _) => return,
        };
        let mut exchange = self.begin(client, &unread(Method::from_bytes(b"-").unwrap_or_default()));
        exchange.refused(&refusal);
        exchange.status = refusal.status();
    }
}

fn refusal(fault: Fault) -> Refusal {
    match fault {
        Fault::Malformed(why) => Refusal::BadRequest(why),
        Fault::HeadTooLarge => Refusal::HeadTooLarge,
        Fault::UriTooLong => Refusal::UriTooLong,
    }
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
