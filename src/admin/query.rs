//! The parameters after a path's question mark.
//!
//! Promises: every mistake is found at once; a parameter that nobody asked for, or that comes twice, is a mistake.

use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::mistakes::{Mistake, Mistakes};
use super::problem::Problem;

/// The parameters that have not been taken yet, and the mistakes found so far.
pub struct Query {
    parameters: Vec<(String, String)>,
    mistakes: Mistakes,
}

impl Query {
    /// Reads `name=value&…` as forms write it (`+` is a space).
    pub fn of(text: Option<&str>) -> Self {
        let mut query = Self { parameters: Vec::new(), mistakes: Mistakes::default() };
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decoded(name), decoded(value)) {
                (Some(name), Some(value)) => query.keep(name, value),
                (Some(name), None) => query.mistake(&name, "is not UTF-8"),
                (None, _) => query.mistake("query", "has a name that is not UTF-8"),
            }
        }
        query
    }

    fn keep(&mut self, name: String, value: String) {
        if self.parameters.iter().any(|(known, _)| *known == name) {
            self.mistake(&name, "is given twice");
        } else {
            self.parameters.push((name, value));
        }
    }

    /// Takes the parameter `name` as it is, if it is there.
    pub fn take_text(&mut self, name: &str) -> Option<String> {
        let at = self.parameters.iter().position(|(known, _)| known == name)?;
        Some(self.parameters.swap_remove(at).1)
    }

    /// Takes the parameter `name` and reads it, if it is there.
    pub fn take<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Option<T> {
        let value = self.take_text(name)?;
        value.parse().map_err(|error: T::Err| self.mistake(name, error.to_string())).ok()
    }

    /// Takes how many entries a page has: 50 unless said otherwise, 1 to 500.
    pub fn take_limit(&mut self) -> usize {
        const LIMITS: std::ops::RangeInclusive<usize> = 1..=500;
        const USUAL: usize = 50;
        let Some(value) = self.take_text("limit") else { return USUAL };
        let limit = value.parse().ok().filter(|limit| LIMITS.contains(limit));
        limit.unwrap_or_else(|| {
            self.mistake("limit", "is not a number from 1 to 500");
            USUAL
        })
    }

    /// Notes what is wrong with the parameter `name`.
    pub fn mistake(&mut self, name: &str, message: impl Into<String>) {
        self.mistakes.push(Mistake { path: name.into(), message: message.into() });
    }

    /// Answers everything that was wrong, or nothing.
    pub fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.parameters) {
            self.mistake(&name, "is not a parameter of this call");
        }
        if self.mistakes.is_empty() { Ok(()) } else { Err(Problem::invalid(self.mistakes)) }
    }
}

fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Span;

    #[test]
    fn parameters_are_decoded_and_taken_once() {
        let mut query = Query::of(Some("q=a%20b+c&within=7d&&flag"));
        assert_eq!(query.take_text("q").as_deref(), Some("a b c"));
        assert_eq!(query.take::<Span>("within"), Some(Span::days(7)));
        assert_eq!(query.take_text("flag").as_deref(), Some(""));
        assert_eq!(query.take_text("q"), None);
        assert!(query.finish().is_ok());
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let mut query = Query::of(Some("limit=501&a=%ff&b=1&b=2&within=x&typo=1"));
        assert_eq!(query.take_limit(), 50);
        query.take::<Span>("within");
        query.take_text("b");
        let problem = query.finish().expect_err("mistakes");
        let mut paths: Vec<_> = problem.errors().iter().map(|mistake| mistake.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["a", "b", "limit", "typo", "within"]);
    }

    #[test]
    fn a_page_has_fifty_entries_unless_said_otherwise() {
        assert_eq!(Query::of(None).take_limit(), 50);
        assert_eq!(Query::of(Some("limit=500")).take_limit(), 500);
        for wrong in ["limit=0", "limit=", "limit=-1", "limit=1e2"] {
            let mut query = Query::of(Some(wrong));
            query.take_limit();
            assert!(query.finish().is_err(), "{wrong}");
        }
    }
}
