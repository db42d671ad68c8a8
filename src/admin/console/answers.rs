//! What the admin API answers, as far as pages show it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::{Lifetime, Span, Timestamp};

/// A key, or an administrator.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) roles: Vec<String>,
    /// An administrator's.
    #[serde(default)]
    pub(super) permissions: Vec<String>,
    /// An administrator's.
    #[serde(default)]
    pub(super) limited_to_role: Option<String>,
    pub(super) status: String,
    pub(super) owner: Option<String>,
    pub(super) note: Option<String>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) allowed_addresses: Vec<String>,
    #[serde(default)]
    pub(super) limits: Option<Limits>,
    #[serde(default)]
    pub(super) self_service: bool,
    pub(super) created_at: Timestamp,
    pub(super) duration: Option<Lifetime>,
    pub(super) version: u64,
    pub(super) tokens: Vec<Token>,
    pub(super) renewal: Option<Renewal>,
}

/// What a key may do at most.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Limits {
    pub(super) rate: Option<Rate>,
    pub(super) quota: Option<Quota>,
    pub(super) concurrent: Option<u64>,
}

/// So many requests per span.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Rate {
    pub(super) requests: u64,
    pub(super) per: Span,
    pub(super) burst: Option<u64>,
}

/// So many requests per day, month, ….
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Quota {
    pub(super) requests: u64,
    pub(super) per: String,
}

/// One of its tokens.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Token {
    pub(super) state: String,
    pub(super) hint: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) outdated: bool,
    pub(super) usage: Usage,
}

/// Its use.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Usage {
    pub(super) first_used_at: Option<Timestamp>,
    pub(super) last_used_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) requests_1h: Option<u64>,
    #[serde(default)]
    pub(super) requests_24h: Option<u64>,
}

/// The open renewal.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Renewal {
    pub(super) opened_at: Timestamp,
    pub(super) opened_by: String,
    pub(super) delete_old: Plan,
    pub(super) due_at: Option<Timestamp>,
    pub(super) quiet_since: Option<Timestamp>,
    pub(super) held: bool,
    #[serde(default)]
    pub(super) old_token_callers: Option<Vec<Caller>>,
    #[serde(default)]
    pub(super) new_token_callers: Option<Vec<Caller>>,
}

/// What becomes of the old token.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Plan {
    /// By hand.
    #[expect(dead_code, reason = "the one word is later")]
    Word(String),
    /// By itself.
    Conditions { after: Option<Span>, when_quiet: Option<Span>, on_unused: Option<String> },
}

/// Somebody who used a token.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Caller {
    pub(super) address: String,
    pub(super) user_agent: Option<String>,
    pub(super) route: Option<String>,
    pub(super) last_used_at: Timestamp,
    pub(super) requests: u64,
}

/// A page of the list.
#[derive(Debug, Deserialize)]
pub(super) struct Keys {
    #[serde(alias = "admins")]
    pub(super) keys: Vec<Key>,
    #[serde(default)]
    pub(super) total: usize,
}

/// A key, and its new token in the one answer that has it.
#[derive(Debug, Deserialize)]
pub(super) struct Made {
    #[serde(alias = "admin")]
    pub(super) key: Key,
    pub(super) token: Option<String>,
}

/// How the gateway fares.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) keys: usize,
    pub(super) renewals_open: usize,
    pub(super) health: Vec<Told>,
}

/// One health condition.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    pub(super) name: String,
    pub(super) ok: bool,
    pub(super) detail: String,
}

impl Key {
    /// Whether it accepts tokens.
    pub(super) fn is_active(&self) -> bool {
        self.status == "active"
    }

    /// What it carries: roles, or an administrator's permissions.
    pub(super) fn carried(&self) -> &[String] {
        if self.permissions.is_empty() { &self.roles } else { &self.permissions }
    }

    /// The token in this state.
    pub(super) fn token(&self, state: &str) -> Option<&Token> {
        self.tokens.iter().find(|token| token.state == state)
    }
}
