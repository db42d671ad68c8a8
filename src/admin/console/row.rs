//! A key as lists and pages show it.

use super::answers::{Key, Token};
use super::moment::{Distance, Life, Moment};
use super::page::Page;
use crate::domain::Timestamp;

/// A key's row.
#[expect(clippy::struct_excessive_bools, reason = "what a row shows or does not are flags of a template")]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) owner: Option<String>,
    pub(super) roles: Vec<String>,
    /// How many more roles there are.
    pub(super) more_roles: usize,
    pub(super) tokens: Vec<Side>,
    pub(super) created: Moment,
    pub(super) created_day: Moment,
    pub(super) last_used: Option<Distance>,
    /// Whether whoever looks at it may renew its token.
    pub(super) may_renew: bool,
    /// Whether he may change it.
    pub(super) may_write: bool,
    pub(super) is_active: bool,
    pub(super) is_renewing: bool,
    pub(super) is_held: bool,
}

/// How many roles a row shows.
const ROLES: usize = 3;

impl Row {
    pub(super) fn of(key: &Key, page: &Page, now: Timestamp) -> Self {
        let last_used = key.tokens.iter().filter_map(|token| token.usage.last_used_at).max();
        Self {
            id: key.id.clone(),
            name: key.name.clone(),
            owner: key.owner.clone(),
            roles: key.carried().iter().take(ROLES).cloned().collect(),
            more_roles: key.carried().len().saturating_sub(ROLES),
            may_renew: page.may_renew() && page.commands(&key.permissions),
            may_write: page.may_write() && page.commands(&key.permissions),
            tokens: key.tokens.iter().map(|token| Side::of(token, page, now)).collect(),
            created: page.words.moment(key.created_at),
            created_day: page.words.day(key.created_at),
            last_used: last_used.map(|at| page.words.ago(at, now)),
            is_active: key.is_active(),
            is_renewing: key.renewal.is_some(),
            is_held: key.renewal.as_ref().is_some_and(|renewal| renewal.held),
        }
    }
}

/// One token of a key.
pub(super) struct Side {
    /// `current`, `old` or `new`.
    pub(super) state: String,
    pub(super) hint: Option<String>,
    /// `None`: it never ends.
    pub(super) life: Option<Life>,
    pub(super) created: Moment,
    pub(super) expires: Option<Moment>,
    pub(super) first_used: Option<Moment>,
    pub(super) last_used: Option<Distance>,
    pub(super) requests_1h: Option<String>,
    pub(super) requests_24h: Option<String>,
}

impl Side {
    pub(super) fn of(token: &Token, page: &Page, now: Timestamp) -> Self {
        let words = page.words;
        let life = token.expires_at.map(|end| {
            let mut life = words.life(end, now);
            if token.outdated {
                life.tone = "outdated";
            }
            life
        });
        Self {
            state: token.state.clone(),
            hint: token.hint.clone(),
            life,
            created: words.moment(token.created_at),
            expires: token.expires_at.map(|at| words.moment(at)),
            first_used: token.usage.first_used_at.map(|at| words.moment(at)),
            last_used: token.usage.last_used_at.map(|at| words.ago(at, now)),
            requests_1h: token.usage.requests_1h.map(|count| words.number(count)),
            requests_24h: token.usage.requests_24h.map(|count| words.number(count)),
        }
    }
}
