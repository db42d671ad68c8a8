//! What is different about gRPC: who asks, how long he waits, and how he is refused.
//!
//! Promises: a refusal is one that every client of gRPC understands: status 200, no body, `grpc-status` and `grpc-message`
//! where the trailers would be.
//! Deliberately does not: read messages. They are bytes, as all bodies are.

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS};

use super::headers::Lines;
use super::refusal::Refusal;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// What may not stand in `grpc-message` as it is.
const MESSAGE_SET: &AsciiSet = &CONTROLS.add(b'%');

/// Whether a request with these lines is one of gRPC.
pub(super) fn is_grpc(method: &Method, lines: &impl Lines) -> bool {
    let is_it = |kind: &[u8]| kind.get(..16).is_some_and(|kind| kind.eq_ignore_ascii_case(b"application/grpc"));
    *method == Method::POST && lines.named(&CONTENT_TYPE).next().is_some_and(is_it)
}

/// How long the client waits for the end of the call, if it says so.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// `refusal` in the place of trailers.
pub(super) fn trailers(refusal: &Refusal) -> HeaderMap {
    let detail = refusal.detail();
    let message = percent_encoding::utf8_percent_encode(&detail, MESSAGE_SET).to_string();
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(STATUS, HeaderValue::from(status(refusal)));
    if let Ok(message) = HeaderValue::try_from(message) {
        trailers.insert(MESSAGE, message);
    }
    trailers
}

/// A reply of trailers only.
pub(super) fn refuse(refusal: &Refusal) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::OK;
    *response.headers_mut() = trailers(refusal);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The code of gRPC that says what the status of HTTP does.
fn status(refusal: &Refusal) -> u16 {
    const CODES: [(u16, u16); 10] = [
        (401, 16), // UNAUTHENTICATED
        (403, 7),  // PERMISSION_DENIED
        (404, 12), // UNIMPLEMENTED
        (405, 12),
        (408, 4), // DEADLINE_EXCEEDED
        (504, 4),
        (413, 8),  // RESOURCE_EXHAUSTED
        (429, 14), // UNAVAILABLE
        (502, 14),
        (503, 14),
    ];
    const INTERNAL: u16 = 13;
    let status = refusal.status().as_u16();
    CODES.iter().find(|(http, _)| *http == status).map_or(INTERNAL, |(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::refusal::tests::every;

    #[test]
    fn every_refusal_has_a_code_of_its_kind_and_no_body() {
        for refusal in every() {
            let reply = refuse(&refusal);
            let code: u16 = reply.headers()["grpc-status"].to_str().expect("text").parse().expect("a number");
            let expected: &[u16] = match refusal.status().as_u16() {
                401 => &[16],
                403 => &[7],
                503 | 502 | 429 => &[14],
                504 | 408 => &[4],
                404 | 405 => &[12],
                413 => &[8],
                _ => &[13],
            };
            assert!(expected.contains(&code), "{refusal}: {code}");
            assert_eq!(reply.status(), StatusCode::OK);
            assert!(reply.headers().contains_key("grpc-message"), "{refusal}");
        }
    }

    #[test]
    fn a_timeout_is_up_to_eight_digits_and_a_unit() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT, HeaderValue::from_static(text));
            timeout(&headers)
        };
        assert_eq!(read("100m"), Some(Duration::from_millis(100)));
        assert_eq!(read("99999999H"), Some(Duration::from_hours(99_999_999)));
        for wrong in ["", "m", "1", "1x", "-1S", "123456789S", "1.5S", " 1S"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
