//! Why a key is not told, or not renewed by itself.
//!
//! Promises: code, status and texts are fixed and public; nothing of a token or of another key stands in them.

use http::StatusCode;

use super::super::refusal::{Header, Problem};

/// Why it is not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denied {
    /// The key does not carry the flag.
    NotAllowed,
    /// Its old token was shown, and deleting that asks for the new one.
    NewTokenNeeded,
    /// Its new token was shown, and undoing the renewal asks for the old one.
    OldTokenNeeded,
    /// It has two tokens already.
    RenewalOpen,
    /// There is no renewal to close.
    NoOldToken,
    /// The old token's duration ended during the renewal.
    OldTokenExpired,
    /// The token is or was a token already.
    DigestInUse,
    /// The call is not understood.
    Invalid {
        /// Where: a field, or `query`, or `body`.
        path: &'static str,
        /// What is wrong there.
        message: String,
    },
    /// The body is not `application/json`.
    NotJson,
    /// The store does not answer in time.
    StoreUnavailable,
}

static NOT_ALLOWED: Problem = Problem::new(
    StatusCode::FORBIDDEN,
    "self_service_not_allowed",
    "Self-service not allowed",
    "The credential is valid, but its key may not look after itself.",
)
.with(Header::InsufficientScope);
static NEW_TOKEN_NEEDED: Problem = Problem::new(
    StatusCode::CONFLICT,
    "new_token_needed",
    "New token needed",
    "The old token is deleted by whoever shows the new one.",
);
static OLD_TOKEN_NEEDED: Problem = Problem::new(
    StatusCode::CONFLICT,
    "old_token_needed",
    "Old token needed",
    "A renewal is undone by whoever shows the old token.",
);
static RENEWAL_OPEN: Problem = Problem::new(
    StatusCode::CONFLICT,
    "renewal_open",
    "A renewal is open",
    "The key has two tokens already: delete the old one or undo the renewal first.",
);
static NO_OLD_TOKEN: Problem =
    Problem::new(StatusCode::CONFLICT, "no_old_token", "No old token", "The key has no old token.");
static OLD_TOKEN_EXPIRED: Problem = Problem::new(
    StatusCode::CONFLICT,
    "old_token_expired",
    "Old token expired",
    "The old token's duration is over, so the renewal cannot be undone any more.",
);
static DIGEST_IN_USE: Problem =
    Problem::new(StatusCode::CONFLICT, "digest_in_use", "Digest in use", "This token is, or was, in use.");
static INVALID: Problem =
    Problem::new(StatusCode::BAD_REQUEST, "invalid_request", "Invalid request", "The call is not valid.");
static NOT_JSON: Problem = Problem::new(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "unsupported_media_type",
    "Unsupported media type",
    "The body is not application/json.",
);
static STORE_UNAVAILABLE: Problem = Problem::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "store_unavailable",
    "Store unavailable",
    "The store did not answer in time; whether it was done is not known.",
)
.with(Header::RetrySoon);

impl Denied {
    pub(in crate::gateway) fn problem(&self) -> &'static Problem {
        match self {
            Self::NotAllowed => &NOT_ALLOWED,
            Self::NewTokenNeeded => &NEW_TOKEN_NEEDED,
            Self::OldTokenNeeded => &OLD_TOKEN_NEEDED,
            Self::RenewalOpen => &RENEWAL_OPEN,
            Self::NoOldToken => &NO_OLD_TOKEN,
            Self::OldTokenExpired => &OLD_TOKEN_EXPIRED,
            Self::DigestInUse => &DIGEST_IN_USE,
            Self::Invalid { .. } => &INVALID,
            Self::NotJson => &NOT_JSON,
            Self::StoreUnavailable => &STORE_UNAVAILABLE,
        }
    }
}
