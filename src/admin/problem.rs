//! A refusal of the admin API, as RFC 9457 writes it: `application/problem+json` with a stable `code`.
//!
//! Promises: every refusal of this port is one of [`Code`]; the cause of a failure goes to the log and never to the caller.
//! Deliberately does not: repeat anything that a caller has sent but the place of his mistake and what is wrong there.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use super::mistakes::{Mistake, Mistakes};
use super::view::CallerView;
use crate::domain::{Affected, KeyId, KeyName, Realm, Refusal, Slot, Timestamp};
use crate::keyring::{Denied, InUse};
use crate::store::{Conflict, StoreError};

/// What kind of problem it is; its name is what programs look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// The request cannot be understood; `errors` says where.
    InvalidRequest,
    /// No administrator's token that is accepted.
    Unauthenticated,
    /// A permission is missing, or the request comes from where none may come from.
    Forbidden,
    /// The request names a host that is none of this port's.
    UnknownHost,
    /// No living API key has this id or name.
    KeyNotFound,
    /// No administrator has this id or name.
    AdminNotFound,
    /// There is nothing at this path.
    NotFound,
    /// There is something at this path, but not for this method.
    MethodNotAllowed,
    /// A living key has this name.
    NameTaken,
    /// The token is or was a token already.
    DigestInUse,
    /// Tokens would end or be revived, and the change does not confirm it.
    TokensAffected,
    /// There are two tokens already.
    RenewalOpen,
    /// There is no renewal to close or to plan.
    NoOldToken,
    /// The old token's duration ended during the renewal.
    OldTokenExpired,
    /// The old token has been used within the time that was named.
    OldTokenInUse,
    /// The new token has been used within the time that was named.
    NewTokenInUse,
    /// Whether a token has been used within the time that was named is not known.
    UsageUnknown,
    /// Nobody would be left who can write all administrators.
    LastAdministrator,
    /// The new configuration asks for what only a restart can do.
    NeedsRestart,
    /// `If-Match` names another version.
    VersionMismatch,
    /// The body is longer than this port reads.
    BodyTooLarge,
    /// The body is not `application/json`.
    UnsupportedMediaType,
    /// Too many tokens from this address were refused within a minute.
    TooManyFailures,
    /// As many streams of events are open as there may be.
    TooManyStreams,
    /// Relevo failed; the log says why.
    Internal,
    /// The store does not answer.
    StoreUnavailable,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 26] = [
        Self::InvalidRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::UnknownHost,
        Self::KeyNotFound,
        Self::AdminNotFound,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NameTaken,
        Self::DigestInUse,
        Self::TokensAffected,
        Self::RenewalOpen,
        Self::NoOldToken,
        Self::OldTokenExpired,
        Self::OldTokenInUse,
        Self::NewTokenInUse,
        Self::UsageUnknown,
        Self::LastAdministrator,
        Self::NeedsRestart,
        Self::VersionMismatch,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::TooManyFailures,
        Self::TooManyStreams,
        Self::Internal,
        Self::StoreUnavailable,
    ];

    /// Name, status and title.
    const fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::InvalidRequest => ("invalid_request", StatusCode::BAD_REQUEST, "The request is not valid"),
            Self::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED, "No valid administrator's token"),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "Not allowed"),
            Self::UnknownHost => ("unknown_host", StatusCode::MISDIRECTED_REQUEST, "Another host is spoken to here"),
            Self::KeyNotFound => ("key_not_found", StatusCode::NOT_FOUND, "There is no such key"),
            Self::AdminNotFound => ("admin_not_found", StatusCode::NOT_FOUND, "There is no such administrator"),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "There is nothing here"),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::NameTaken => ("name_taken", StatusCode::CONFLICT, "The name is taken"),
            Self::DigestInUse => ("digest_in_use", StatusCode::CONFLICT, "The token is or was in use"),
            Self::TokensAffected => ("tokens_affected", StatusCode::CONFLICT, "Tokens would end or be revived"),
            Self::RenewalOpen => ("renewal_open", StatusCode::CONFLICT, "A renewal is open"),
            Self::NoOldToken => ("no_old_token", StatusCode::CONFLICT, "There is no old token"),
            Self::OldTokenExpired => ("old_token_expired", StatusCode::CONFLICT, "The old token has expired"),
            Self::OldTokenInUse => ("old_token_in_use", StatusCode::CONFLICT, "The old token is in use"),
            Self::NewTokenInUse => ("new_token_in_use", StatusCode::CONFLICT, "The new token is in use"),
            Self::UsageUnknown => {
                ("usage_unknown", StatusCode::CONFLICT, "It is not known whether the token is in use")
            }
            Self::LastAdministrator => ("last_administrator", StatusCode::CONFLICT, "Nobody else could do this again"),
            Self::NeedsRestart => ("needs_restart", StatusCode::CONFLICT, "Only a restart can do that"),
            Self::VersionMismatch => ("version_mismatch", StatusCode::PRECONDITION_FAILED, "Another version"),
            Self::BodyTooLarge => ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not JSON")
            }
            Self::TooManyFailures => {
                ("too_many_failures", StatusCode::TOO_MANY_REQUESTS, "Too many tokens were refused")
            }
            Self::TooManyStreams => {
                ("too_many_streams", StatusCode::TOO_MANY_REQUESTS, "Too many streams of events are open")
            }
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Relevo failed"),
            Self::StoreUnavailable => {
                ("store_unavailable", StatusCode::SERVICE_UNAVAILABLE, "The store does not answer")
            }
        }
    }

    /// The code's name.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Whether it says no to what was asked, rather than that nobody is known to ask or that Relevo could not.
    pub fn is_refusal(self) -> bool {
        !matches!(self, Self::Unauthenticated | Self::Internal | Self::StoreUnavailable)
    }

    /// The status that goes with it.
    pub const fn status(self) -> StatusCode {
        self.row().1
    }
}

/// A refusal on its way out.
#[derive(Debug)]
pub struct Problem(Box<Case>);

#[derive(Debug)]
struct Case {
    code: Code,
    detail: String,
    errors: Vec<Mistake>,
    tokens: Option<TokensAffected>,
    in_use: Option<TokenInUse>,
    header: Option<(HeaderName, HeaderValue)>,
}

#[derive(Debug, Serialize)]
struct TokensAffected {
    ends: u64,
    revives: u64,
    keys: Vec<KeyMention>,
}

#[derive(Debug, Serialize)]
struct KeyMention {
    id: KeyId,
    name: KeyName,
}

#[derive(Debug, Serialize)]
struct TokenInUse {
    last_used_at: Timestamp,
    callers: Vec<CallerView>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Mistake],
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    tokens: Option<&'a TokensAffected>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    in_use: Option<&'a TokenInUse>,
}

impl Problem {
    /// A problem of this kind with a sentence about this case.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Case {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            tokens: None,
            in_use: None,
            header: None,
        }))
    }

    /// Everything that is wrong with a request.
    pub fn invalid(mistakes: Mistakes) -> Self {
        let count = mistakes.count();
        let detail = match mistakes.first() {
            [only] => format!("{} {}", only.path, only.message),
            all if all.len() == count => format!("{count} mistakes, listed under errors"),
            first => format!("{count} mistakes; the first {} are listed under errors", first.len()),
        };
        let mut problem = Self::new(Code::InvalidRequest, detail);
        problem.0.errors = mistakes.into_first();
        problem
    }

    /// One thing that is wrong with a request, at `path`.
    pub fn mistake(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid([Mistake { path: path.into(), message: message.into() }].into_iter().collect())
    }

    /// No accepted token: one and the same answer, whatever the reason.
    pub fn unauthenticated() -> Self {
        let challenge = HeaderValue::from_static("Bearer realm=\"relevo admin\"");
        Self::new(Code::Unauthenticated, "send Authorization: Bearer with an administrator's token")
            .with(WWW_AUTHENTICATE, challenge)
    }

    /// Too many tokens from there were refused.
    pub fn too_many_failures(retry_after_seconds: u64) -> Self {
        let detail =
            "too many tokens from this address were refused within a minute; one that is accepted is let in at once";
        Self::new(Code::TooManyFailures, detail).with(RETRY_AFTER, HeaderValue::from(retry_after_seconds))
    }

    /// There is no such key or administrator, or the name could be nobody's.
    pub fn nobody(realm: Realm) -> Self {
        match realm {
            Realm::Gateway => Self::new(Code::KeyNotFound, "no living key has this id or name"),
            Realm::Admin => Self::new(Code::AdminNotFound, "no administrator has this id or name"),
        }
    }

    /// The store did not do it now; later it may.
    pub fn store_unavailable(detail: impl Into<String>) -> Self {
        Self::new(Code::StoreUnavailable, detail).with(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Relevo failed; the cause has been logged.
    pub fn internal() -> Self {
        Self::new(Code::Internal, "the log says why")
    }

    /// The counts that a confirmation must name, and the keys concerned, as far as they are told.
    pub fn tokens_affected(affected: Affected, keys: Vec<(KeyId, KeyName)>) -> Self {
        let Affected { ends, revives } = affected;
        let keys = keys.into_iter().map(|(id, name)| KeyMention { id, name }).collect();
        let detail = format!("to do so, send \"confirm\": {{\"ends\": {ends}, \"revives\": {revives}}}");
        let mut problem = Self::new(Code::TokensAffected, detail);
        problem.0.tokens = Some(TokensAffected { ends, revives, keys });
        problem
    }

    /// The token that would go is in use.
    pub fn in_use(in_use: InUse) -> Self {
        let code = match in_use.slot {
            Slot::Old | Slot::Current => Code::OldTokenInUse,
            Slot::New => Code::NewTokenInUse,
        };
        let InUse { slot, last_used_at, callers } = in_use;
        let mut problem = Self::new(code, format!("the {} token was last used at {last_used_at}", slot.as_str()));
        let callers = callers.into_iter().map(CallerView::of).collect();
        problem.0.in_use = Some(TokenInUse { last_used_at, callers });
        problem
    }

    /// What kind of problem it is.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The mistakes of an invalid request.
    pub fn errors(&self) -> &[Mistake] {
        &self.0.errors
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let detail = denied.to_string();
        match denied {
            Denied::Refused(refusal) => refused(&refusal, detail),
            Denied::TokensAffected { affected, keys } => Self::tokens_affected(affected, keys),
            Denied::NotFound(realm) => Self::nobody(realm),
            Denied::OutOfReach => Self::new(Code::Forbidden, detail),
            Denied::ShutsOut => Self::mistake("allowed_addresses", detail),
            Denied::LastAdministrator => Self::new(Code::LastAdministrator, detail),
            Denied::NameTaken => Self::new(Code::NameTaken, detail),
            Denied::NoToken => Self::mistake("digest", "is missing, and there is no such key"),
            Denied::VersionMismatch { .. } => Self::new(Code::VersionMismatch, detail),
            Denied::TokenInUse(in_use) => Self::in_use(*in_use),
            Denied::UsageUnknown { .. } => Self::new(Code::UsageUnknown, detail),
            Denied::Store(error) => of_store(&error),
        }
    }
}

fn refused(refusal: &Refusal, detail: String) -> Problem {
    match refusal {
        Refusal::RenewalOpen => Problem::new(Code::RenewalOpen, detail),
        Refusal::NoOldToken => Problem::new(Code::NoOldToken, detail),
        Refusal::OldTokenExpired => Problem::new(Code::OldTokenExpired, detail),
        Refusal::DigestInUse => Problem::new(Code::DigestInUse, detail),
        Refusal::DeadlinePast { due_at } => Problem::mistake(
            "delete_old.after",
            format!("counts from the opening of the renewal, and {due_at} is past"),
        ),
        Refusal::TokensAffected { affected } => Problem::tokens_affected(*affected, Vec::new()),
    }
}

fn of_store(error: &StoreError) -> Problem {
    match error {
        StoreError::Conflict(Conflict::NameTaken) => Problem::new(Code::NameTaken, "the name is taken"),
        StoreError::Conflict(Conflict::DigestInUse) => Problem::new(Code::DigestInUse, "this token is, or was, in use"),
        StoreError::Conflict(Conflict::Revision) => {
            Problem::store_unavailable("others were faster again and again; nothing was changed")
        }
        StoreError::Unavailable(_) => {
            tracing::error!(%error, "store does not answer the admin port");
            Problem::store_unavailable("the store cannot be read or written now")
        }
        StoreError::Corrupt(_) => {
            tracing::error!(%error, "store is damaged");
            Problem::internal()
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Case { code, detail, errors, tokens, in_use, header } = *self.0;
        let kind = code;
        let (code, status, title) = code.row();
        let body = Body {
            r#type: format!("urn:relevo:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: &detail,
            code,
            errors: &errors,
            tokens: tokens.as_ref(),
            in_use: in_use.as_ref(),
        };
        // Strings and numbers: there is nothing that could not be written.
        let text = serde_json::to_string(&body).unwrap_or_default();
        let media_type = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(CONTENT_TYPE, media_type)], text).into_response();
        response.extensions_mut().insert(kind); // for whoever counts refusals on their way out
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// The answer where a path has something, but not for this method; `Allow` is added by the router.
pub fn method_not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed, format!("this path answers the methods named in {ALLOW}"))
}

/// The answer where a path has nothing.
pub fn not_found() -> Problem {
    Problem::new(Code::NotFound, "no call of this API has this path")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    async fn sent(problem: Problem) -> (StatusCode, http::HeaderMap, Value) {
        let (head, body) = problem.into_response().into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (head.status, head.headers, serde_json::from_slice(&body).expect("JSON"))
    }

    #[test]
    fn codes_are_told_apart_documented_and_never_422() {
        let page = include_str!("../../docs/admin-api.md");
        let names: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_ne!(code.status(), StatusCode::UNPROCESSABLE_ENTITY);
            let row = format!("| {} | `{}` |", code.status().as_u16(), code.as_str());
            assert!(page.contains(&row), "docs/admin-api.md lacks {row}");
        }
    }

    #[tokio::test]
    async fn a_problem_has_the_published_shape() {
        let denied = Denied::Refused(Refusal::RenewalOpen);
        let (status, headers, body) = sent(denied.into()).await;
        assert_eq!(
            (status.as_u16(), &headers[CONTENT_TYPE]),
            (409, &"application/problem+json".parse().expect("text"))
        );
        let expected = json!({"type": "urn:relevo:problem:renewal_open", "title": "A renewal is open", "status": 409,
            "detail": "a renewal is open: delete the old token or undo it first", "code": "renewal_open"});
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn affected_tokens_are_counted_and_their_keys_named() {
        let (id, name) = (KeyId::from_bits(7), "ci".parse().expect("a name"));
        let denied = Denied::TokensAffected { affected: Affected { ends: 2, revives: 1 }, keys: vec![(id, name)] };
        let (_, _, body) = sent(denied.into()).await;
        assert_eq!((&body["ends"], &body["revives"]), (&json!(2), &json!(1)));
        assert_eq!(body["keys"], json!([{"id": id, "name": "ci"}]));
    }

    #[tokio::test]
    async fn what_the_store_says_stays_in_the_log() {
        for (error, status) in [
            (StoreError::Unavailable("/var/lib/relevo.redb: no space".into()), 503),
            (StoreError::Corrupt("/var/lib/relevo.redb: page 7".into()), 500),
            (StoreError::Conflict(Conflict::Revision), 503),
        ] {
            let (answered, headers, body) = sent(Denied::Store(error).into()).await;
            assert_eq!(answered.as_u16(), status);
            assert_eq!(headers.contains_key(RETRY_AFTER), status == 503);
            assert!(!body.to_string().contains("/var/lib"), "{body}");
        }
    }

    #[test]
    fn every_denial_is_its_own_problem() {
        let current = crate::domain::Version(3);
        let due_at = crate::domain::Timestamp::EPOCH;
        for (denied, code) in [
            (Denied::Refused(Refusal::NoOldToken), Code::NoOldToken),
            (Denied::Refused(Refusal::OldTokenExpired), Code::OldTokenExpired),
            (Denied::Refused(Refusal::DigestInUse), Code::DigestInUse),
            (Denied::Refused(Refusal::DeadlinePast { due_at }), Code::InvalidRequest),
            (Denied::NotFound(Realm::Gateway), Code::KeyNotFound),
            (Denied::NotFound(Realm::Admin), Code::AdminNotFound),
            (Denied::OutOfReach, Code::Forbidden),
            (Denied::ShutsOut, Code::InvalidRequest),
            (Denied::LastAdministrator, Code::LastAdministrator),
            (Denied::NameTaken, Code::NameTaken),
            (Denied::VersionMismatch { current }, Code::VersionMismatch),
            (Denied::Store(StoreError::Conflict(Conflict::NameTaken)), Code::NameTaken),
            (Denied::Store(StoreError::Conflict(Conflict::DigestInUse)), Code::DigestInUse),
        ] {
            assert_eq!(Problem::from(denied).code(), code);
        }
    }
}
