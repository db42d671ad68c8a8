//! The paths of routes, in the one spelling in which requests are matched.
//!
//! Promises: a path that no request could ever match is a mistake.
//! Deliberately does not: judge the paths of requests; that is the gateway's.

/// The path of a route in its one spelling; a slash at its end says nothing and is taken off.
pub(super) fn prefix(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("does not begin with /".to_owned());
    }
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        at += match bytes[at] {
            b'%' => escape(bytes, at)?,
            byte => plain(byte)?,
        };
    }
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    let mut segments = trimmed.split('/').skip(1);
    if text.contains("//") || segments.clone().any(str::is_empty) {
        return Err("holds an empty segment (//)".to_owned());
    }
    if segments.any(|segment| segment == "." || segment == "..") {
        return Err("holds a dot segment".to_owned());
    }
    Ok(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() })
}

/// One byte that stands for itself (RFC 3986 §3.3 `pchar`, less `;`).
fn plain(byte: u8) -> Result<usize, String> {
    let shown = char::from(byte);
    match byte {
        b'/' => Ok(1),
        b'?' | b'#' => Err(format!("holds {shown}: a route is chosen by its path alone")),
        b';' => Err("holds ;, which matching never sees".to_owned()),
        _ if is_unreserved(byte) || b"!$&'()*+,=:@".contains(&byte) => Ok(1),
        _ if byte.is_ascii_graphic() => Err(format!("holds {shown}, which does not stand in a path (RFC 3986 §3.3)")),
        _ => Err("holds a space, a control character or one outside ASCII: percent-encode it".to_owned()),
    }
}

/// A percent-encoded byte: three characters long.
fn escape(bytes: &[u8], at: usize) -> Result<usize, String> {
    let digits = bytes.get(at + 1..at + 3).unwrap_or_default();
    let mut decoded = [0];
    if hex::decode_to_slice(digits, &mut decoded).is_err() {
        return Err("holds a % that two hex digits do not follow".to_owned());
    }
    let shown: String = digits.iter().map(|digit| char::from(*digit)).collect();
    match decoded[0] {
        byte if is_unreserved(byte) => Err(format!("holds %{shown}, whose one spelling is {}", char::from(byte))),
        b'/' | b'\\' => Err(format!("holds %{shown}, which is no part of a route's path")),
        byte if byte.is_ascii_control() => Err(format!("holds the control character %{shown}")),
        _ if digits.iter().any(u8::is_ascii_lowercase) => {
            Err(format!("holds %{shown}, whose one spelling is %{}", shown.to_uppercase()))
        }
        _ => Ok(3),
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_its_one_spelling_is_kept_but_for_a_slash_at_its_end() {
        for (text, kept) in [
            ("/", "/"),
            ("/orders", "/orders"),
            ("/orders/", "/orders"),
            ("/a/%C3%A4", "/a/%C3%A4"),
            ("/a.b/..c", "/a.b/..c"),
        ] {
            assert_eq!(prefix(text).as_deref(), Ok(kept), "{text}");
        }
    }

    #[test]
    fn a_path_that_no_request_can_match_is_refused() {
        for text in [
            "", "orders", "//", "/a//b", "/a//", "/.", "/a/..", "/a/../b", "/%61", "/%2f", "/%2F", "/%5C", "/%00",
            "/%c3", "/%", "/%4", "/%zz", "/a?b", "/a#b", "/a;b", "/a\\b", "/ä", "/a b", "/{id}", "/%2E%2E", "/\u{7f}",
        ] {
            assert!(prefix(text).is_err(), "{text:?} was accepted");
        }
    }
}
