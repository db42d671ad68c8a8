//! The names of headers, and which may carry a credential.
//!
//! Promises: taking a credential out of such a header never breaks framing, routing or the gateway's own headers.
//! Deliberately does not: know which forms of credential are enabled.

use http::HeaderName;

/// Headers that the protocol, the gateway or another form of credential needs for itself.
const TAKEN: &[&str] = &[
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-real-ip",
    "x-request-id",
];

/// Families of headers that are removed from what a client sends, or are the gateway's.
const TAKEN_FAMILIES: &[&str] = &["x-relevo-", "x-forwarded-", "x-original-", "x-rewrite-", "relevo-", "sec-", "if-"];

/// The name of a header that carries a credential.
pub(super) fn credential(text: &str) -> Result<HeaderName, String> {
    let name = name(text)?;
    let taken = TAKEN.contains(&name.as_str()) || TAKEN_FAMILIES.iter().any(|family| name.as_str().starts_with(family));
    if taken { Err(format!("{name} cannot carry a credential: it has another meaning")) } else { Ok(name) }
}

/// The name of a header, in letters that every server reads alike.
pub(super) fn name(text: &str) -> Result<HeaderName, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let name = HeaderName::from_bytes(text.as_bytes()).ok().filter(|_| plain);
    name.ok_or_else(|| "is not a header name of A-Z a-z 0-9 and -".to_owned())
}
