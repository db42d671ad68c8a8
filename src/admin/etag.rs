//! Versions in headers: `ETag: "v3"` and `If-Match` (RFC 9110 §8.8.3, §13.1.1).
//!
//! Promises: tags are compared strongly, so a weak one matches nothing.

use http::header::IF_MATCH;
use http::{HeaderMap, HeaderValue};

use super::problem::Problem;
use crate::domain::Version;

/// What `If-Match` asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IfMatch {
    /// Nothing, or only that there is something (`*`).
    Any,
    /// One of these versions; of none if every tag was weak or foreign.
    OneOf(Vec<Version>),
}

impl IfMatch {
    /// What the headers ask for; a field that is no list of tags is a mistake.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut fields = Vec::new();
        for field in headers.get_all(IF_MATCH) {
            fields.push(field.to_str().map_err(|_| malformed())?);
        }
        if fields.is_empty() || matches!(fields.as_slice(), [only] if only.trim() == "*") {
            return Ok(Self::Any);
        }
        tags(&fields.join(",")).map(Self::OneOf).ok_or_else(malformed)
    }
}

fn malformed() -> Problem {
    Problem::mistake("If-Match", "is neither * nor a list of tags like \"v3\"")
}

/// The versions among the tags of a list; `None` if it is not one. A list may have empty elements (RFC 9110 §5.6.1).
fn tags(list: &str) -> Option<Vec<Version>> {
    let mut versions = Vec::new();
    let mut count = 0;
    let mut rest = trimmed(list);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(',') {
            rest = trimmed(after);
            continue;
        }
        let strong = rest.strip_prefix("W/");
        let (tag, after) = strong.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        if !tag.bytes().all(|b| b == b'!' || (b'#'..=b'~').contains(&b)) {
            return None;
        }
        count += 1;
        versions.extend(version(tag).filter(|_| strong.is_none()));
        rest = trimmed(after);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
    (count > 0).then_some(versions)
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Reads `v3`, in exactly the form in which it was written.
fn version(tag: &str) -> Option<Version> {
    let number: u64 = tag.strip_prefix('v')?.parse().ok()?;
    (format!("v{number}") == tag).then_some(Version(number))
}

/// The `ETag` of what is at `version`.
pub fn etag(Version(version): Version) -> HeaderValue {
    // Digits between quotes are always a legal value.
    HeaderValue::from_str(&format!("\"v{version}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fields: &[&str]) -> Result<IfMatch, Problem> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(IF_MATCH, field.parse().expect("a header value"));
        }
        IfMatch::of(&headers)
    }

    fn one_of(versions: &[u64]) -> IfMatch {
        IfMatch::OneOf(versions.iter().copied().map(Version).collect())
    }

    #[test]
    fn tags_are_read_from_one_field_or_several() {
        assert_eq!(asked(&[]).expect("none"), IfMatch::Any);
        assert_eq!(asked(&["*"]).expect("any"), IfMatch::Any);
        assert_eq!(asked(&["\"v3\""]).expect("one"), one_of(&[3]));
        assert_eq!(asked(&["\"v3\" ,\t\"v4\",", "\"v5\""]).expect("three"), one_of(&[3, 4, 5]));
        assert_eq!(etag(Version(3)), "\"v3\"");
    }

    #[test]
    fn weak_and_foreign_tags_match_nothing() {
        for tag in ["W/\"v3\"", "\"\"", "\"3\"", "\"v03\"", "\"v+3\"", "\"abc\"", "\"v99999999999999999999\""] {
            assert_eq!(asked(&[tag]).expect(tag), one_of(&[]), "{tag}");
        }
        assert_eq!(asked(&["W/\"v3\", \"v4\""]).expect("two"), one_of(&[4]));
    }

    #[test]
    fn what_is_no_list_of_tags_is_a_mistake() {
        for field in ["", ",", "v3", "\"v3", "v3\"", "\"v3\" \"v4\"", "*, \"v3\"", "w/\"v3\"", "\"v 3\""] {
            let problem = asked(&[field]).expect_err(field);
            assert_eq!(problem.errors()[0].path, "If-Match", "{field}");
        }
        assert!(asked(&["*", "*"]).is_err());
    }
}
