//! The options of `Connection`, over all its lines (RFC 9110 §7.6.1).
//!
//! Promises: naming a header that backends rely on is refused; any other header that is named is known.
//! Deliberately does not: keep the names of hop-by-hop headers, which go anyway; allocate where only they are named.

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::Credentials;
use crate::gateway::refusal::Refusal;

use super::name::{is_end_to_end, is_protected, same};

/// More options than any client sends; each is held against each header.
const MOST: usize = 32;

/// What needs no removing: it names no header, or one that never passes.
const COMMON: [&str; 6] = ["close", "keep-alive", "upgrade", "te", "http2-settings", "proxy-connection"];

/// The lines of `Connection` that name headers to be removed.
pub(super) struct Options(Vec<HeaderValue>);

impl Options {
    /// The options of a request.
    pub(super) fn of_request(headers: &HeaderMap, credentials: &Credentials) -> Result<Self, Refusal> {
        let forbidden =
            |name: &str| is_end_to_end(name) || is_protected(name) || super::is_credential(name, credentials);
        Self::of(headers, forbidden).ok_or(Refusal::BadRequest("Connection names what it may not, or too much"))
    }

    /// The options of a response, where only the framing is at stake.
    pub(super) fn of_response(headers: &HeaderMap) -> Result<Self, Refusal> {
        let forbidden = |name: &str| same(name, "content-length") || same(name, "transfer-encoding");
        Self::of(headers, forbidden).ok_or(Refusal::UpstreamFailed)
    }

    /// Whether `name` is to be removed.
    pub(super) fn list(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|line| options(line).any(|option| option.eq_ignore_ascii_case(name.as_str().as_bytes())))
    }

    /// `None`: an option is malformed or forbidden, or there are too many.
    fn of(headers: &HeaderMap, forbidden: impl Fn(&str) -> bool) -> Option<Self> {
        let (mut lines, mut count) = (Vec::new(), 0);
        for line in headers.get_all(CONNECTION) {
            let mut names_headers = false;
            for option in options(line) {
                count += 1;
                let name = std::str::from_utf8(option).ok().filter(|name| is_token(name))?;
                if count > MOST || forbidden(name) {
                    return None;
                }
                names_headers |= !COMMON.iter().any(|common| name.eq_ignore_ascii_case(common));
            }
            if names_headers {
                lines.push(line.clone());
            }
        }
        Some(Self(lines))
    }
}

/// The options of one line; empty members of the list are skipped (RFC 9110 §5.6.1).
fn options(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|option| !option.is_empty())
}

/// RFC 9110 §5.6.2
fn is_token(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
