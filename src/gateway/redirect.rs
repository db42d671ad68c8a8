//! A listener whose every answer is where to find the same over TLS.
//!
//! Promises: nothing of such a request is judged or forwarded; where it leads is the host and path that were asked for.

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, Request, Response, StatusCode};

use super::body::ReplyBody;
use super::exchange::Exchange;
use super::path::{self, PathPolicy};
use super::refusal::Refusal;
use super::{REQUEST_ID, headers, refuse};

/// The answer to `request`.
pub(super) fn to_https<B>(request: &Request<B>, mut exchange: Exchange) -> Response<ReplyBody> {
    let policy = PathPolicy { semicolons: exchange.site.config().paths.semicolons };
    match location(request, policy) {
        Ok(location) => {
            exchange.status = StatusCode::PERMANENT_REDIRECT;
            let mut response = Response::new(());
            *response.status_mut() = exchange.status;
            response.headers_mut().insert(LOCATION, location);
            response.headers_mut().insert(REQUEST_ID, exchange.request_id.value());
            response.map(|()| ReplyBody::whole(Bytes::new(), exchange))
        }
        Err(refusal) => refuse(refusal, request.method(), exchange),
    }
}

fn location<B>(request: &Request<B>, policy: PathPolicy) -> Result<HeaderValue, Refusal> {
    super::route::judge_method(request.method())?;
    let host = headers::host_of(request.uri(), request.headers())?;
    let path = policy.normalise(request.uri().path())?;
    let query = request.uri().query();
    query.map_or(Ok(()), path::judge_query)?;
    let mark = if query.is_some() { "?" } else { "" };
    let location = format!("https://{host}{}{mark}{}", path.as_str(), query.unwrap_or_default());
    HeaderValue::try_from(location).map_err(|_| Refusal::BadRequest("The path is not legal"))
}
