//! Every reason for which the gateway itself answers a request, with what it tells the client.
//!
//! Promises: code, status and texts of a refusal are fixed and public (`docs/gateway.md`, "Refusals"); nothing of a
//! credential, a key or a backend ever stands in them.
//! Deliberately does not: build a response (`reply`), or decide what becomes of the connection.

mod problem;

use std::fmt;

use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::config::Detail;
use crate::limiter::{Exceeded, Standing};

use super::own::Denied;

pub(super) use problem::{Header, Problem};

/// Why a request is not forwarded, or its reply not delivered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The route judges, and keys are not loaded yet or too stale to decide.
    NotReady,
    /// Two accepted credentials.
    CredentialAmbiguous {
        /// The header of the one.
        first: HeaderName,
        /// The header of the other; the same where a header came twice.
        second: HeaderName,
    },
    /// No credential where one is asked for.
    CredentialMissing,
    /// Malformed, unknown, wrong or half pair, inactive or deleted key, wrong address: one and the same answer.
    CredentialInvalid,
    /// A remembered token that was replaced.
    TokenSuperseded,
    /// A remembered token past its duration.
    TokenExpired,
    /// The key is good, the route wants another role.
    RoleMissing,
    /// A limit of the key is reached.
    RateLimited(Box<Exceeded>),
    /// A credential that is not good, from where too many came lately.
    TooManyFailures {
        /// When they are answered each for itself again.
        retry_after_seconds: u64,
    },
    /// Framing, Host, header and path rules; the text says which, as a whole sentence without the period.
    BadRequest(&'static str),
    /// The request's head has too many bytes or lines (RFC 6585 §5).
    HeadTooLarge,
    /// The request's target is too long.
    UriTooLong,
    /// No route's path fits.
    NoRoute,
    /// Routes fit, but none takes the method.
    MethodNotAllowed {
        /// The methods that are taken there (RFC 9110 §10.2.1).
        allow: HeaderValue,
    },
    /// The client's body made no progress.
    BodyTimeout,
    /// The client's body is over the route's limit.
    BodyTooLarge,
    /// No route names the host and none is without hosts.
    UnknownHost,
    /// The backend broke off, or answered what is not HTTP.
    UpstreamFailed,
    /// No endpoint of the upstream can be reached.
    UpstreamUnavailable,
    /// A bound of the gateway is reached.
    Overloaded,
    /// The backend did not answer in time.
    UpstreamTimeout,
    /// A defect of the gateway.
    Internal,
    /// The key asked something about itself.
    SelfService(Denied),
}

static NOT_READY: Problem = Problem::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "not_ready",
    "Not ready",
    "The gateway cannot judge credentials yet; try again shortly.",
)
.with(Header::RetrySoon);
static CREDENTIAL_AMBIGUOUS: Problem = Problem::new(
    StatusCode::BAD_REQUEST,
    "credential_ambiguous",
    "Ambiguous credential",
    "The request carries more than one credential.",
);
static CREDENTIAL_MISSING: Problem = Problem::new(
    StatusCode::UNAUTHORIZED,
    "credential_missing",
    "Credential missing",
    "The request carries no credential.",
)
.with(Header::Challenge);
static CREDENTIAL_INVALID: Problem =
    Problem::new(StatusCode::UNAUTHORIZED, "credential_invalid", "Invalid credential", "The credential is not valid.")
        .with(Header::InvalidToken);
static TOKEN_SUPERSEDED: Problem =
    Problem::new(StatusCode::UNAUTHORIZED, "token_superseded", "Token superseded", "The token was replaced.")
        .with(Header::InvalidToken);
static TOKEN_EXPIRED: Problem =
    Problem::new(StatusCode::UNAUTHORIZED, "token_expired", "Token expired", "The token is past its duration.")
        .with(Header::InvalidToken);
static ROLE_MISSING: Problem = Problem::new(
    StatusCode::FORBIDDEN,
    "role_missing",
    "Role missing",
    "The credential is valid, but does not carry a role that is asked for here.",
)
.with(Header::InsufficientScope);
static RATE_LIMITED: Problem = Problem::new(
    StatusCode::TOO_MANY_REQUESTS,
    "rate_limited",
    "Rate limited",
    "The key has asked for as much as it may; try again later.",
)
.with(Header::Own);
static TOO_MANY_FAILURES: Problem = Problem::new(
    StatusCode::TOO_MANY_REQUESTS,
    "too_many_failures",
    "Too many failures",
    "Too many requests with a credential that is not valid came from this address; try again later.",
)
.with(Header::Own);
static BAD_REQUEST: Problem =
    Problem::new(StatusCode::BAD_REQUEST, "bad_request", "Bad request", "The request is malformed.").closing();
static HEAD_TOO_LARGE: Problem = Problem::new(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    "head_too_large",
    "Head too large",
    "The head of the request has more bytes or lines than are taken here.",
)
.closing();
static URI_TOO_LONG: Problem = Problem::new(
    StatusCode::URI_TOO_LONG,
    "uri_too_long",
    "URI too long",
    "The target of the request is longer than is taken here.",
)
.closing();
static NO_ROUTE: Problem =
    Problem::new(StatusCode::NOT_FOUND, "no_route", "No route", "Nothing is served at this path.");
static METHOD_NOT_ALLOWED: Problem = Problem::new(
    StatusCode::METHOD_NOT_ALLOWED,
    "method_not_allowed",
    "Method not allowed",
    "The method is not served at this path.",
)
.with(Header::Own);
static BODY_TIMEOUT: Problem = Problem::new(
    StatusCode::REQUEST_TIMEOUT,
    "body_timeout",
    "Body timeout",
    "The body of the request did not arrive in time.",
)
.closing();
static BODY_TOO_LARGE: Problem = Problem::new(
    StatusCode::PAYLOAD_TOO_LARGE,
    "body_too_large",
    "Body too large",
    "The body of the request is larger than is served here.",
)
.closing();
static UNKNOWN_HOST: Problem =
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", "Unknown host", "This host is not served here.");
static UPSTREAM_FAILED: Problem =
    Problem::new(StatusCode::BAD_GATEWAY, "upstream_failed", "Upstream failed", "The backend gave no valid answer.");
static UPSTREAM_UNAVAILABLE: Problem = Problem::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "upstream_unavailable",
    "Upstream unavailable",
    "The backend cannot be reached.",
)
.with(Header::RetrySoon);
static OVERLOADED: Problem =
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Overloaded", "The gateway is at its limit.")
        .with(Header::RetrySoon);
static UPSTREAM_TIMEOUT: Problem = Problem::new(
    StatusCode::GATEWAY_TIMEOUT,
    "upstream_timeout",
    "Upstream timeout",
    "The backend did not answer in time.",
);
static INTERNAL: Problem =
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", "The gateway failed.").closing();

const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Bearer realm="relevo""#);
const INVALID_TOKEN: HeaderValue = HeaderValue::from_static(r#"Bearer realm="relevo", error="invalid_token""#);
const INSUFFICIENT_SCOPE: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="relevo", error="insufficient_scope""#);
const ONE_SECOND: HeaderValue = HeaderValue::from_static("1");

impl Refusal {
    /// The stable code: what programs, metrics and logs go by.
    pub fn code(&self) -> &'static str {
        self.problem().code
    }

    /// The status of the reply.
    pub fn status(&self) -> StatusCode {
        self.problem().status
    }

    /// A few words for people, the same for every refusal of this code.
    pub fn title(&self) -> &'static str {
        self.problem().title
    }

    /// The sentence for people where it depends on the request; `None`: the code's own.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are told in the words of the table")]
    pub(super) fn own_detail(&self) -> Option<String> {
        match self {
            Self::CredentialAmbiguous { first, second } if first == second => {
                Some(format!("The request carries more than one credential: {first} came twice."))
            }
            Self::CredentialAmbiguous { first, second } => {
                Some(format!("The request carries more than one credential: {first} and {second}."))
            }
            Self::BadRequest(reason) => Some(format!("{reason}.")),
            Self::SelfService(Denied::Invalid { path, message }) => Some(format!("{path} {message}")),
            _ => None,
        }
    }

    /// The body of the reply that tells it; `None`: the fixed one.
    pub(super) fn own_body(&self) -> Option<String> {
        let mut body = self.problem().body_with(&self.own_detail()?);
        if let Self::SelfService(Denied::Invalid { path, message }) = self {
            let errors = serde_json::json!([{ "path": path, "message": message }]);
            body.truncate(body.len() - 1);
            body.extend([",\"errors\":", &errors.to_string(), "}"]);
        }
        Some(body)
    }

    /// The sentence for people.
    pub fn detail(&self) -> String {
        self.own_detail().unwrap_or_else(|| self.problem().detail.to_owned())
    }

    /// What is left of the limits of which one is reached: it is told besides.
    pub(super) fn standing(&self) -> Option<&Standing> {
        if let Self::RateLimited(exceeded) = self { Some(&exceeded.standing) } else { None }
    }

    /// The one header that belongs to this refusal alone: `WWW-Authenticate` (RFC 6750 §3), `Allow`, `Retry-After`.
    pub fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match (self.problem().header, self) {
            (Header::Challenge, _) => Some((WWW_AUTHENTICATE, CHALLENGE)),
            (Header::InvalidToken, _) => Some((WWW_AUTHENTICATE, INVALID_TOKEN)),
            (Header::InsufficientScope, _) => Some((WWW_AUTHENTICATE, INSUFFICIENT_SCOPE)),
            (Header::RetrySoon, _) => Some((RETRY_AFTER, ONE_SECOND)),
            (Header::Own, Self::RateLimited(exceeded)) => {
                Some((RETRY_AFTER, HeaderValue::from(exceeded.retry_after_seconds)))
            }
            (Header::Own, Self::TooManyFailures { retry_after_seconds }) => {
                Some((RETRY_AFTER, HeaderValue::from(*retry_after_seconds)))
            }
            (Header::Own, Self::MethodNotAllowed { allow }) => Some((ALLOW, allow.clone())),
            (Header::None | Header::Own, _) => None,
        }
    }

    /// Whether [`Refusal::header`] is the same for every refusal of this code.
    pub(super) fn header_is_fixed(&self) -> bool {
        !matches!(self.problem().header, Header::Own)
    }

    /// The refusal as it is told under `errors.detail`: `minimal` does not say what became of a token.
    #[must_use]
    pub fn told(self, detail: Detail) -> Self {
        match (detail, self) {
            (Detail::Minimal, Self::TokenSuperseded | Self::TokenExpired) => Self::CredentialInvalid,
            (Detail::Full | Detail::Minimal, refusal) => refusal,
        }
    }

    /// Whether the connection ends with it.
    pub(super) fn closes(&self) -> bool {
        self.problem().closes
    }

    pub(super) fn problem(&self) -> &'static Problem {
        match self {
            Self::NotReady => &NOT_READY,
            Self::CredentialAmbiguous { .. } => &CREDENTIAL_AMBIGUOUS,
            Self::CredentialMissing => &CREDENTIAL_MISSING,
            Self::CredentialInvalid => &CREDENTIAL_INVALID,
            Self::TokenSuperseded => &TOKEN_SUPERSEDED,
            Self::TokenExpired => &TOKEN_EXPIRED,
            Self::RoleMissing => &ROLE_MISSING,
            Self::RateLimited(_) => &RATE_LIMITED,
            Self::TooManyFailures { .. } => &TOO_MANY_FAILURES,
            Self::BadRequest(_) => &BAD_REQUEST,
            Self::HeadTooLarge => &HEAD_TOO_LARGE,
            Self::UriTooLong => &URI_TOO_LONG,
            Self::NoRoute => &NO_ROUTE,
            Self::MethodNotAllowed { .. } => &METHOD_NOT_ALLOWED,
            Self::BodyTimeout => &BODY_TIMEOUT,
            Self::BodyTooLarge => &BODY_TOO_LARGE,
            Self::UnknownHost => &UNKNOWN_HOST,
            Self::UpstreamFailed => &UPSTREAM_FAILED,
            Self::UpstreamUnavailable => &UPSTREAM_UNAVAILABLE,
            Self::Overloaded => &OVERLOADED,
            Self::UpstreamTimeout => &UPSTREAM_TIMEOUT,
            Self::Internal => &INTERNAL,
            Self::SelfService(denied) => denied.problem(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.detail())
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn exceeded() -> Exceeded {
        let limits = crate::domain::Limits { concurrent: std::num::NonZeroU32::new(1), ..Default::default() };
        let concurrent = Some(crate::limiter::Left { units: 0, resets_in_seconds: 1 });
        let now = crate::domain::Timestamp::EPOCH;
        let standing = crate::limiter::Standing { limits, now, rate: None, quota: None, concurrent };
        Exceeded { standing, retry_after_seconds: 1 }
    }

    /// One refusal of every kind.
    pub(in crate::gateway) fn every() -> Vec<Refusal> {
        let (first, second) = (http::header::AUTHORIZATION, HeaderName::from_static("x-api-key"));
        vec![
            Refusal::NotReady,
            Refusal::CredentialAmbiguous { first, second },
            Refusal::CredentialMissing,
            Refusal::CredentialInvalid,
            Refusal::TokenSuperseded,
            Refusal::TokenExpired,
            Refusal::RoleMissing,
            Refusal::RateLimited(Box::new(exceeded())),
            Refusal::TooManyFailures { retry_after_seconds: 60 },
            Refusal::BadRequest("the path holds a \"quote\""),
            Refusal::HeadTooLarge,
            Refusal::UriTooLong,
            Refusal::NoRoute,
            Refusal::MethodNotAllowed { allow: HeaderValue::from_static("GET, HEAD") },
            Refusal::BodyTimeout,
            Refusal::BodyTooLarge,
            Refusal::UnknownHost,
            Refusal::UpstreamFailed,
            Refusal::UpstreamUnavailable,
            Refusal::Overloaded,
            Refusal::UpstreamTimeout,
            Refusal::Internal,
            Refusal::SelfService(Denied::NotAllowed),
            Refusal::SelfService(Denied::Invalid { path: "body", message: "has \"fields\"".to_owned() }),
            Refusal::SelfService(Denied::StoreUnavailable),
        ]
    }

    #[test]
    fn codes_and_statuses_are_those_of_the_interface() {
        let table: Vec<_> = every().iter().map(|refusal| (refusal.code(), refusal.status().as_u16())).collect();
        let expected = [
            ("not_ready", 503),
            ("credential_ambiguous", 400),
            ("credential_missing", 401),
            ("credential_invalid", 401),
            ("token_superseded", 401),
            ("token_expired", 401),
            ("role_missing", 403),
            ("rate_limited", 429),
            ("too_many_failures", 429),
            ("bad_request", 400),
            ("head_too_large", 431),
            ("uri_too_long", 414),
            ("no_route", 404),
            ("method_not_allowed", 405),
            ("body_timeout", 408),
            ("body_too_large", 413),
            ("unknown_host", 421),
            ("upstream_failed", 502),
            ("upstream_unavailable", 503),
            ("overloaded", 503),
            ("upstream_timeout", 504),
            ("internal", 500),
            ("self_service_not_allowed", 403),
            ("invalid_request", 400),
            ("store_unavailable", 503),
        ];
        assert_eq!(table, expected);
    }

    #[test]
    fn every_401_carries_a_challenge_and_nothing_else_does_but_a_missing_role() {
        for refusal in every() {
            let challenges = refusal.header().is_some_and(|(name, _)| name == WWW_AUTHENTICATE);
            assert_eq!(challenges, [401, 403].contains(&refusal.status().as_u16()), "{refusal}");
        }
    }

    #[test]
    fn minimal_detail_does_not_tell_what_became_of_a_token() {
        assert_eq!(Refusal::TokenSuperseded.told(Detail::Minimal), Refusal::CredentialInvalid);
        assert_eq!(Refusal::TokenExpired.told(Detail::Minimal), Refusal::CredentialInvalid);
        for refusal in every() {
            assert_eq!(refusal.clone().told(Detail::Full), refusal);
        }
    }

    #[test]
    fn an_ambiguous_credential_names_both_headers() {
        let (first, second) = (http::header::AUTHORIZATION, HeaderName::from_static("x-api-key"));
        let detail = Refusal::CredentialAmbiguous { first, second }.detail();
        assert!(detail.contains("authorization") && detail.contains("x-api-key"), "{detail}");
    }
}
