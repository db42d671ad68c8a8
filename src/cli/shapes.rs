//! The admin API's JSON as a client reads it.
//!
//! Promises: fields that a newer gateway adds are no error, and those that an older one lacks are empty.
//! Deliberately does not: share types with the server; what meets here is the page, not the code.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::{Affected, Timestamp};

/// An API key, or an administrator.
#[derive(Deserialize, Debug, Clone)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) roles: Vec<String>,
    /// An administrator's; a key has none.
    #[serde(default)]
    pub(super) permissions: Option<Vec<String>>,
    #[serde(default)]
    pub(super) limited_to_role: Option<String>,
    pub(super) status: String,
    #[serde(default)]
    pub(super) owner: Option<String>,
    #[serde(default)]
    pub(super) note: Option<String>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) allowed_addresses: Vec<String>,
    #[serde(default)]
    pub(super) limits: Option<crate::domain::Limits>,
    #[serde(default)]
    pub(super) self_service: bool,
    pub(super) created_at: Timestamp,
    #[serde(default)]
    pub(super) duration: Option<String>,
    pub(super) version: u64,
    #[serde(default)]
    pub(super) tokens: Vec<Token>,
    #[serde(default)]
    pub(super) renewal: Option<Renewal>,
}

impl Key {
    /// The value of `If-Match` for the key as it was shown.
    pub(super) fn etag(&self) -> String {
        format!("\"v{}\"", self.version)
    }
}

/// One token of a key.
#[derive(Deserialize, Debug, Clone)]
pub(super) struct Token {
    pub(super) id: String,
    pub(super) state: String,
    #[serde(default)]
    pub(super) hint: Option<String>,
    pub(super) created_at: Timestamp,
    #[serde(default)]
    pub(super) expires_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) outdated: bool,
    #[serde(default)]
    pub(super) usage: Usage,
}

/// When a token was used.
#[derive(Deserialize, Debug, Clone, Copy, Default)]
#[serde(default)]
pub(super) struct Usage {
    pub(super) first_used_at: Option<Timestamp>,
    pub(super) last_used_at: Option<Timestamp>,
    pub(super) requests_1h: Option<u64>,
    pub(super) requests_24h: Option<u64>,
}

impl Usage {
    /// The last use that is known; the first one is known for longer.
    pub(super) fn last(self) -> Option<Timestamp> {
        self.last_used_at.max(self.first_used_at)
    }
}

/// An open renewal.
#[derive(Deserialize, Debug, Clone)]
pub(super) struct Renewal {
    pub(super) opened_at: Timestamp,
    #[serde(default)]
    pub(super) opened_by: String,
    #[serde(default)]
    pub(super) delete_old: Value,
    #[serde(default)]
    pub(super) due_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) held: bool,
    #[serde(default)]
    pub(super) adoption: Option<f64>,
    #[serde(default)]
    pub(super) old_token_callers: Vec<TokenCaller>,
    #[serde(default)]
    pub(super) new_token_callers: Vec<TokenCaller>,
}

/// Who has used a token of a renewal.
#[derive(Deserialize, Debug, Clone)]
pub(super) struct TokenCaller {
    pub(super) address: String,
    #[serde(default)]
    pub(super) user_agent: Option<String>,
    #[serde(default)]
    pub(super) route: String,
    pub(super) last_used_at: Timestamp,
    #[serde(default)]
    pub(super) requests: u64,
}

/// A page of keys.
#[derive(Deserialize, Debug)]
pub(super) struct KeyPage {
    #[serde(alias = "admins")]
    pub(super) keys: Vec<Key>,
    #[serde(default)]
    pub(super) next_cursor: Option<String>,
}

/// A key, and its new token where one was minted.
#[derive(Deserialize)]
pub(super) struct Issued {
    #[serde(alias = "admin")]
    pub(super) key: Key,
    #[serde(default)]
    pub(super) token: Option<String>,
}

/// What was changed.
#[derive(Deserialize, Debug, Clone)]
pub(super) struct Event {
    pub(super) revision: u64,
    pub(super) at: Timestamp,
    #[serde(default)]
    pub(super) actor: String,
    #[serde(default)]
    pub(super) address: Option<String>,
    pub(super) action: String,
    #[serde(default)]
    pub(super) key: Option<String>,
    #[serde(default)]
    pub(super) before: Value,
    #[serde(default)]
    pub(super) after: Value,
}

/// A page of events.
#[derive(Deserialize, Debug)]
pub(super) struct EventPage {
    pub(super) events: Vec<Event>,
    #[serde(default)]
    pub(super) next_cursor: Option<String>,
}

/// The settings, as far as the command line needs to know them.
#[derive(Deserialize, Debug)]
pub(super) struct Settings {
    pub(super) prefix: String,
}

/// Why the gateway said no (RFC 9457).
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct Problem {
    pub(super) code: String,
    pub(super) title: String,
    pub(super) detail: Option<String>,
    pub(super) errors: Vec<Mistake>,
    pub(super) ends: Option<u64>,
    pub(super) revives: Option<u64>,
    pub(super) callers: Vec<TokenCaller>,
    /// The document, word for word.
    #[serde(skip)]
    pub(super) document: String,
}

impl Problem {
    /// What it says of itself.
    pub(super) fn text(&self) -> &str {
        self.detail.as_deref().unwrap_or(&self.title)
    }

    /// The counts that a confirmation must name.
    pub(super) fn affected(&self) -> Option<Affected> {
        Some(Affected { ends: self.ends?, revives: self.revives? })
    }
}

/// One thing that is wrong with a request.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct Mistake {
    pub(super) path: String,
    pub(super) message: String,
}
