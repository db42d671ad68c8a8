//! What passes between client and backend in headers and trailers, and what the gateway adds.
//!
//! Promises: no protected name passes in any spelling, whether or not it is then set; hop-by-hop headers, framing and, of a
//! request's headers, the console's cookies never pass; the order of the others is kept.
//! Deliberately does not: write framing (`Content-Length`, `Transfer-Encoding`) or the backend's `Host`, which the
//! forwarder knows; look at credentials beyond dropping the lines that were taken.

mod connection;
pub(super) mod cookie;
mod forwarded;
mod host;
mod identity;
mod lines;
pub(super) mod name;

use http::header::TE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::Credentials;

use super::credential::is_taken;
use super::refusal::Refusal;
use connection::Options;
use forwarded::Told;
pub use forwarded::{Arrival, Peer, Scheme, client_address, request_id};
pub(super) use forwarded::{addresses, believed_host, believed_proto, is_traced, traceparent};
pub use host::{host_in, host_of};
pub use identity::identify;
pub use lines::Lines;
use name::Kind;

/// How many lines [`sanitise_request`] and [`identify`] add at most, with the forwarder's framing.
const ADDED: usize = 12;

/// The headers that the backend gets of a request's: everything but what must not pass, and then the forwarded
/// family, `X-Request-Id`, `Via` and `traceparent` as the gateway tells them. `Host` stays where it was, for the
/// forwarder to replace.
///
/// The credential must have been taken. One pass, two allocations for the map; one more for a new `traceparent`,
/// for the `X-Forwarded-For` of a trusted proxy, and where `Connection` names headers that must go.
pub fn sanitise_request(
    headers: HeaderMap,
    arrival: &Arrival<'_>,
    credentials: &Credentials,
) -> Result<HeaderMap, Refusal> {
    let options = Options::of_request(&headers, credentials)?;
    let told = Told::of(&headers, arrival);
    let mut kept = HeaderMap::with_capacity(headers.len() + ADDED);
    let mut last = None;
    for (name, value) in headers {
        let Some(name) = name.or(last.take()) else { continue };
        match Kind::of(name.as_str()) {
            Kind::Foreign => return Err(Refusal::BadRequest("The name of a header is not of letters, digits and -")),
            Kind::Te if is_trailers(&value) => {
                kept.insert(TE, HeaderValue::from_static("trailers"));
            }
            Kind::Trace if told.continues_trace() => {
                kept.append(&name, value);
            }
            Kind::Cookie if !is_taken(&value) => {
                cookie::without_consoles(value).map(|value| kept.append(&name, value));
            }
            Kind::Plain if !is_taken(&value) && !options.list(&name) => {
                kept.append(&name, value);
            }
            Kind::Plain | Kind::Cookie | Kind::Te | Kind::Trace | Kind::Dropped => {}
        }
        last = Some(name);
    }
    told.tell(&mut kept, arrival);
    Ok(kept)
}

/// Whether a `TE` line asks for trailers, the one thing of it that is passed on (RFC 9110 §10.1.4).
fn is_trailers(value: &HeaderValue) -> bool {
    value.as_bytes().split(|byte| *byte == b',').any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// The headers that the client gets of a backend's: without hop-by-hop headers and `Relevo-*`. `Content-Length`
/// stays: the forwarder has made sure that it stands alone. No allocation where nothing must go, else two.
pub fn sanitise_response(headers: HeaderMap) -> Result<HeaderMap, Refusal> {
    let options = Options::of_response(&headers)?;
    let goes = |name: &HeaderName| name::is_dropped_from_response(name.as_str()) || options.list(name);
    Ok(without(headers, goes))
}

/// The trailers that pass, in either direction: nothing protected in any spelling, no credential, nothing that frames,
/// routes or authenticates (RFC 9110 §6.5.1). No allocation where nothing must go, else two.
pub fn sanitise_trailers(trailers: HeaderMap, credentials: &Credentials) -> HeaderMap {
    without(trailers, |name| name::is_dropped_from_trailers(name) || is_credential(name.as_str(), credentials))
}

/// Whether a reply with this `Content-Type` is a stream.
pub(super) fn is_event_stream(kind: &[u8]) -> bool {
    [&b"text/event-stream"[..], b"application/grpc"]
        .iter()
        .any(|stream| kind.get(..stream.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(stream)))
}

fn without(headers: HeaderMap, goes: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    if !headers.keys().any(&goes) {
        return headers;
    }
    let mut kept = HeaderMap::with_capacity(headers.len());
    let mut last = None;
    for (name, value) in headers {
        let Some(name) = name.or(last.take()) else { continue };
        if !goes(&name) {
            kept.append(&name, value);
        }
        last = Some(name);
    }
    kept
}

/// Whether `name` is, in some spelling, one of the headers that carry credentials.
fn is_credential(name: &str, credentials: &Credentials) -> bool {
    let pair = credentials.pair.as_ref().map(|pair| [&pair.key, &pair.token]);
    let names = credentials.header.iter().chain(pair.into_iter().flatten());
    name::same(name, "authorization") || names.into_iter().any(|credential| name::same(name, credential.as_str()))
}

#[cfg(test)]
mod tests;
