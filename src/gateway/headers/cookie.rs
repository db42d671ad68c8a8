//! The console's own cookies, which a browser sends to every port of a host (RFC 6265 §8.5) and over every path.
//!
//! Promises: no backend gets a session of the console; whatever else a line holds passes as it is.
//! Deliberately does not: know whether a session is one.

use http::HeaderValue;
use memchr::memmem;

/// What the names of the console's cookies have in them.
const MARK: &[u8] = b"relevo";

/// Whether a `Cookie` line may hold one of the console's. Cheap, and true of some others.
pub(in crate::gateway) fn may_be_of_console(line: &[u8]) -> bool {
    memmem::find(line, MARK).is_some()
}

/// The line without the console's cookies; `None` if nothing is left.
pub(super) fn without_consoles(line: HeaderValue) -> Option<HeaderValue> {
    if !may_be_of_console(line.as_bytes()) {
        return Some(line);
    }
    let pairs = || line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    if !pairs().any(is_consoles) {
        return Some(line);
    }
    let kept: Vec<_> = pairs().filter(|pair| !pair.is_empty() && !is_consoles(pair)).collect();
    if kept.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok()
}

/// Whether a pair has a name that the console gives: `__Host-relevo` over TLS, and `relevo-` with its port in clear.
fn is_consoles(pair: &[u8]) -> bool {
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
    let is_port = |rest: &[u8]| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit);
    name == b"__Host-relevo" || name.strip_prefix(b"relevo-").is_some_and(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_consoles_cookies_go_and_all_others_stay_as_they_are() {
        for (line, kept) in [
            ("a=b; c=\"d;\";  e", Some("a=b; c=\"d;\";  e")),
            ("relevo-8081=x", None),
            (" relevo-8081 = x ;", None),
            ("__Host-relevo=x; relevo-8081=y", None),
            ("a=b; relevo-8081=x;c=d", Some("a=b; c=d")),
            ("a=b;__Host-relevo=x", Some("a=b")),
            (
                "relevo-language=en; relevo-=1; relevo-8081x=y; a=relevo-8081",
                Some("relevo-language=en; relevo-=1; relevo-8081x=y; a=relevo-8081"),
            ),
            ("relevo-80=x; relevo-language=en", Some("relevo-language=en")),
        ] {
            let left = without_consoles(HeaderValue::from_static(line));
            assert_eq!(left.as_ref().map(|left| left.to_str().expect("text")), kept, "{line}");
        }
    }
}
