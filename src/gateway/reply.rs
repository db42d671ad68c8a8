//! A refusal as an HTTP reply: `application/problem+json` (RFC 9457).
//!
//! Promises: a refusal whose text is fixed costs no allocation but the reply's header map; a reply to HEAD has the
//! headers of the reply to GET and no body.
//! Deliberately does not: add `X-Request-Id`, decide whether the connection closes, or write anything.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response};

use crate::config::Detail;

use super::limit;
use super::refusal::Refusal;

pub(super) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Room for the headers of a refusal, and for those that the caller and the connection add.
const HEADERS: usize = 8;

/// The reply that tells `refusal` to a request with `method`, as far as `detail` allows.
///
/// Its body's length is exact, so hyper writes `Content-Length`; only for HEAD, where there is no body to measure,
/// the header is set here.
pub fn reply(refusal: Refusal, method: &Method, detail: Detail) -> Response<Bytes> {
    let refusal = refusal.told(detail);
    let body = body(&refusal);
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(CONTENT_TYPE, PROBLEM_JSON);
    headers.insert(CACHE_CONTROL, NO_STORE);
    if let Some((name, value)) = refusal.header() {
        headers.insert(name, value);
    }
    if let Some(standing) = refusal.standing() {
        limit::tell(&mut headers, standing);
    }
    let mut response = if method == Method::HEAD {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Response::new(Bytes::new())
    } else {
        Response::new(body)
    };
    *response.status_mut() = refusal.status();
    *response.headers_mut() = headers;
    response
}

/// The body of the reply that tells it.
pub(super) fn body(refusal: &Refusal) -> Bytes {
    refusal.own_body().map_or_else(|| Bytes::from_static(refusal.problem().fixed_body()), Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Denied;
    use crate::gateway::refusal::tests::every;

    #[test]
    fn every_refusal_is_a_problem_with_its_code_status_and_texts() {
        for refusal in every() {
            let reply = reply(refusal.clone(), &Method::GET, Detail::Full);
            let body: serde_json::Value = serde_json::from_slice(reply.body()).expect("a body of JSON");
            let mut expected = serde_json::json!({
                "type": format!("urn:relevo:problem:{}", refusal.code()),
                "title": refusal.title(),
                "status": refusal.status().as_u16(),
                "detail": refusal.detail(),
                "code": refusal.code(),
            });
            if let Refusal::SelfService(Denied::Invalid { path, message }) = &refusal {
                expected["errors"] = serde_json::json!([{ "path": path, "message": message }]);
            }
            assert_eq!(body, expected);
            assert_eq!(reply.status(), refusal.status());
            assert_eq!(reply.headers()[CONTENT_TYPE], "application/problem+json");
            assert_eq!(reply.headers()[CACHE_CONTROL], "no-store");
            for (name, value) in
                refusal.header().into_iter().chain(refusal.standing().into_iter().flat_map(limit::lines))
            {
                assert_eq!(reply.headers()[name], value);
            }
        }
    }

    #[test]
    fn a_reply_to_head_has_the_same_headers_and_no_body() {
        for refusal in every() {
            let get = reply(refusal.clone(), &Method::GET, Detail::Full);
            let mut head = reply(refusal, &Method::HEAD, Detail::Full);
            assert!(head.body().is_empty());
            let length = head.headers_mut().remove(CONTENT_LENGTH).expect("a length");
            assert_eq!(length, get.body().len().to_string());
            assert_eq!(head.headers(), get.headers());
        }
    }

    #[test]
    fn minimal_detail_gives_ended_tokens_the_very_answer_of_unknown_ones() {
        let told = |refusal| {
            let reply = reply(refusal, &Method::GET, Detail::Minimal);
            (reply.status(), reply.headers().clone(), reply.into_body())
        };
        let unknown = told(Refusal::CredentialInvalid);
        assert_eq!(told(Refusal::TokenSuperseded), unknown);
        assert_eq!(told(Refusal::TokenExpired), unknown);
    }

    #[test]
    fn a_fixed_body_is_rendered_once() {
        let body = || reply(Refusal::CredentialInvalid, &Method::GET, Detail::Full).into_body();
        assert_eq!(body().as_ptr(), body().as_ptr());
    }
}
