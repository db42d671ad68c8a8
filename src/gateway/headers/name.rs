//! What a header's name says about whether it may pass.
//!
//! Promises: names are compared as a careless backend may read them: `_` and `.` count as `-`, case does not count.
//! Deliberately does not: look at values.

use http::HeaderName;

/// What becomes of a request's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::gateway) enum Kind {
    /// Passes, unless `Connection` lists it.
    Plain,
    /// `TE`, of which only `trailers` passes.
    Te,
    /// `Cookie`, which passes without those of the console.
    Cookie,
    /// `traceparent` and `tracestate`, which pass together if they are sound.
    Trace,
    /// Hop-by-hop, framing, protected, or spelled with `_`.
    Dropped,
    /// Its name is not of letters, digits, `-` and `_`: the request is refused.
    Foreign,
}

impl Kind {
    /// Of a header with this name, in any case.
    pub(in crate::gateway) fn of(name: &str) -> Self {
        match spelling(name) {
            Spelling::Foreign => return Self::Foreign,
            Spelling::Underscored => return Self::Dropped,
            Spelling::Plain => {}
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            2 if is("te") => Self::Te,
            10 if is("tracestate") => Self::Trace,
            11 if is("traceparent") => Self::Trace,
            6 if is("cookie") => Self::Cookie,
            6 if is("expect") => Self::Dropped,
            12 if is("x-request-id") => Self::Dropped,
            14 if is("content-length") => Self::Dropped,
            _ if is_hop_by_hop(name) || is_protected(name) => Self::Dropped,
            _ => Self::Plain,
        }
    }
}

/// Which characters a name is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// `[a-z0-9-]`
    Plain,
    /// The same, and `_`.
    Underscored,
    /// Anything else.
    Foreign,
}

fn spelling(name: &str) -> Spelling {
    let (mut underscored, mut foreign) = (false, false);
    for byte in name.bytes() {
        underscored |= byte == b'_';
        foreign |= !byte.is_ascii_alphanumeric() && byte != b'-' && byte != b'_';
    }
    match (foreign, underscored) {
        (true, _) => Spelling::Foreign,
        (false, true) => Spelling::Underscored,
        (false, false) => Spelling::Plain,
    }
}

/// The headers that belong to one connection (RFC 9110 §7.6.1), besides those that `Connection` lists.
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    const NAMES: [&str; 10] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "proxy-authorization",
        "proxy-authenticate",
        "proxy-authentication-info",
    ];
    NAMES.iter().any(|known| known.len() == name.len() && known.eq_ignore_ascii_case(name))
}

/// The names whose values backends believe: only the gateway sets them.
pub(super) fn is_protected(name: &str) -> bool {
    const PREFIXES: [&str; 4] = ["x-relevo-", "x-forwarded-", "x-original-", "x-rewrite-"];
    match name.as_bytes().first() {
        Some(b'f' | b'F') => same(name, "forwarded"),
        Some(b'x' | b'X') => PREFIXES.iter().any(|prefix| begins(name, prefix)) || same(name, "x-real-ip"),
        _ => false,
    }
}

/// The names that `Connection` may not remove, besides the protected and the credentials': without them the backend
/// would read another message, or judge another caller.
pub(super) fn is_end_to_end(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "host",
        "content-length",
        "transfer-encoding",
        "content-type",
        "content-encoding",
        "content-range",
        "authorization",
        "cookie",
        "via",
        "x-request-id",
        "traceparent",
        "tracestate",
        "range",
        "origin",
    ];
    NAMES.iter().any(|end_to_end| same(name, end_to_end))
}

/// What a backend may not tell the client.
pub(in crate::gateway) fn is_dropped_from_response(name: &str) -> bool {
    is_hop_by_hop(name) || (matches!(name.as_bytes().first(), Some(b'r' | b'R')) && begins(name, "relevo-"))
}

/// What is not to stand in trailers.
pub(super) fn is_dropped_from_trailers(name: &HeaderName) -> bool {
    const NAMES: [&str; 11] = [
        "cache-control",
        "expect",
        "location",
        "max-forwards",
        "proxy-status",
        "retry-after",
        "set-cookie",
        "trailer",
        "vary",
        "www-authenticate",
        "te",
    ];
    let name = name.as_str();
    spelling(name) != Spelling::Plain
        || is_hop_by_hop(name)
        || is_end_to_end(name)
        || is_protected(name)
        || begins(name, "relevo-")
        || NAMES.contains(&name)
}

/// Whether `name` is, in any spelling, `plain`, which is in lower case with `-`.
pub(super) fn same(name: &str, plain: &str) -> bool {
    name.len() == plain.len() && begins(name, plain)
}

/// Whether `name` begins, in any spelling, with `plain`.
fn begins(name: &str, plain: &str) -> bool {
    let normal = |byte: u8| if matches!(byte, b'_' | b'.') { b'-' } else { byte.to_ascii_lowercase() };
    name.len() >= plain.len() && name.bytes().zip(plain.bytes()).all(|(a, b)| normal(a) == normal(b))
}
