//! Every problem that the two ports can answer with, provoked over real sockets.
//!
//! Promises: a code that is in the source or among the published ones and has no case here fails a test; each case is
//! held to the published shape, status and headers.

mod admin;
mod gateway;
mod order;

use std::collections::BTreeSet;

use relevo::admin::problem::Code;
use serde_json::Value;

use crate::support::client::RawResponse;

/// One problem: what is told of it, and a way to it.
pub(crate) struct Case {
    code: &'static str,
    status: u16,
    /// The one header that belongs to it alone.
    header: Option<(&'static str, &'static str)>,
    provoke: fn() -> RawResponse,
}

/// Headers of which a problem has none but its own.
const OWN: [&str; 3] = ["www-authenticate", "retry-after", "allow"];

impl Case {
    const fn new(code: &'static str, status: u16, provoke: fn() -> RawResponse) -> Self {
        Self { code, status, header: None, provoke }
    }

    const fn with(self, name: &'static str, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// Provokes it, and holds the answer to what is published.
    fn check(&self) {
        let answer = (self.provoke)();
        assert_eq!(problem_of(&answer), (self.status, self.code.to_owned()), "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", self.code);
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(body["type"], format!("urn:relevo:problem:{}", self.code));
        assert_eq!(body["status"], self.status);
        for text in ["title", "detail"] {
            assert!(body[text].as_str().is_some_and(|text| !text.is_empty()), "{}: no {text}", self.code);
        }
        let mut fields: Vec<_> = body.as_object().expect("an object").keys().map(String::as_str).collect();
        fields.retain(|field| !["code", "detail", "status", "title", "type"].contains(field));
        let more: &[&str] = match self.code {
            "invalid_request" => &["errors"],
            "old_token_in_use" | "new_token_in_use" => &["callers", "last_used_at"],
            "tokens_affected" => &["ends", "keys", "revives"],
            _ => &[],
        };
        assert_eq!(fields, more, "{}", self.code);
        for name in OWN {
            let expected = self.header.filter(|(own, _)| *own == name).map(|(_, value)| value);
            assert_eq!(answer.header(name), expected, "{}: {name}", self.code);
        }
    }
}

/// Status and code of an answer; no code if it is no problem.
pub(crate) fn problem_of(answer: &RawResponse) -> (u16, String) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, body["code"].as_str().unwrap_or_default().to_owned())
}

/// The published codes of the gateway.
const GATEWAYS: [&str; 32] = [
    "head_too_large",
    "uri_too_long",
    "not_ready",
    "credential_ambiguous",
    "credential_missing",
    "credential_invalid",
    "token_superseded",
    "token_expired",
    "role_missing",
    "rate_limited",
    "bad_request",
    "no_route",
    "method_not_allowed",
    "body_timeout",
    "body_too_large",
    "unknown_host",
    "too_many_failures",
    "internal",
    "upstream_failed",
    "upstream_unavailable",
    "overloaded",
    "upstream_timeout",
    "self_service_not_allowed",
    "new_token_needed",
    "old_token_needed",
    "renewal_open",
    "no_old_token",
    "old_token_expired",
    "digest_in_use",
    "invalid_request",
    "unsupported_media_type",
    "store_unavailable",
];

/// The published codes of the admin port.
const ADMINS: [&str; 26] = [
    "invalid_request",
    "unauthenticated",
    "forbidden",
    "unknown_host",
    "key_not_found",
    "admin_not_found",
    "not_found",
    "method_not_allowed",
    "name_taken",
    "digest_in_use",
    "tokens_affected",
    "renewal_open",
    "no_old_token",
    "old_token_expired",
    "old_token_in_use",
    "new_token_in_use",
    "usage_unknown",
    "last_administrator",
    "needs_restart",
    "version_mismatch",
    "body_too_large",
    "unsupported_media_type",
    "too_many_failures",
    "too_many_streams",
    "internal",
    "store_unavailable",
];

/// Codes of the gateway that its source has and no answer tells: those of answers by their status alone, and one that no
/// request is known to provoke.
const DEFECTS: [&str; 3] = ["internal", "head_too_large", "uri_too_long"];

/// The codes that stand in the gateway's source: the first text of each `Problem::new`.
fn gateways_own() -> BTreeSet<&'static str> {
    let sources = [include_str!("../../src/gateway/refusal.rs"), include_str!("../../src/gateway/own/denied.rs")];
    let texts = sources.into_iter().flat_map(|source| source.split("Problem::new(").skip(1));
    texts.map(|rest| rest.split('"').nth(1).expect("a code")).collect()
}

/// Every code of `source` has a case, unless it is a defect; every published one has, unless `source` lacks it.
fn assert_complete(cases: &[Case], source: &BTreeSet<&str>, published: &[&str], defects: &[&str]) {
    let provoked: BTreeSet<_> = cases.iter().map(|case| case.code).chain(defects.iter().copied()).collect();
    assert_eq!(&provoked, source, "cases, and codes of the source");
    let published: BTreeSet<_> = published.iter().copied().collect();
    let unpublished: Vec<_> = source.difference(&published).collect();
    assert!(unpublished.is_empty(), "{unpublished:?} is not published");
}

#[test]
fn every_code_of_the_gateway_has_a_case() {
    let source = gateways_own();
    assert!(source.len() >= 18, "{source:?}");
    assert_complete(&gateway::CASES, &source, &GATEWAYS, &DEFECTS);
}

#[test]
fn every_code_of_the_admin_port_has_a_case() {
    let source = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_complete(&admin::CASES, &source, &ADMINS, &[]);
}

#[test]
fn every_problem_of_the_gateway_is_told_as_published() {
    gateway::CASES.iter().for_each(Case::check);
}

#[test]
fn every_problem_of_the_admin_port_is_told_as_published() {
    admin::CASES.iter().for_each(Case::check);
}

#[test]
fn the_page_of_problems_tells_every_code_once_with_its_status() {
    let page = include_str!("../../docs/problems.md");
    let rows: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ")).collect();
    let told: BTreeSet<_> = rows.iter().map(|(code, _)| *code).collect();
    assert_eq!(told.len(), rows.len(), "a code is told twice");
    let mut expected = gateways_own();
    expected.extend(Code::ALL.iter().map(|code| code.as_str()));
    assert_eq!(told, expected);
    for code in Code::ALL {
        let (_, row) = rows.iter().find(|(told, _)| *told == code.as_str()).expect("told");
        assert!(row.starts_with(code.status().as_str()), "{}: {row}", code.as_str());
    }
}
