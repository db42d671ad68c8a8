//! Which keys are being renewed: what must be looked at when time passes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::{ApiKey, KeyId, Lifetime, OnExpiry, Realm, Settings, Span, Timestamp, TokenId, Tokens};

/// Every open renewal, in memory, as new as the index.
#[derive(Default)]
pub struct Renewals(Mutex<BTreeMap<(Realm, KeyId), RenewalRow>>);

/// One open renewal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RenewalRow {
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Its deadline.
    pub due_at: Option<Timestamp>,
    /// How long the old token must be unused to end.
    pub when_quiet: Option<Span>,
    /// The old token.
    pub old: TokenId,
    /// When the old token was made.
    pub old_created_at: Timestamp,
    /// The key's own token duration.
    pub duration: Option<Lifetime>,
}

impl RenewalRow {
    fn of(key: &ApiKey) -> Option<Self> {
        let Tokens::Renewing { old, renewal, .. } = &key.tokens else { return None };
        Some(Self {
            opened_at: renewal.opened_at,
            due_at: renewal.due_at(),
            when_quiet: renewal.plan.when_quiet(),
            old: old.id,
            old_created_at: old.created_at,
            duration: key.duration,
        })
    }

    /// Whether something has fallen due by `now`: the deadline, or the end of the old token's duration.
    fn is_due(&self, now: Timestamp, settings: &Settings) -> bool {
        let expires_at = match settings.on_expiry {
            OnExpiry::Refuse => self.duration.unwrap_or(settings.duration).end(self.old_created_at),
            OnExpiry::Warn => None,
        };
        self.due_at.into_iter().chain(expires_at).any(|at| at <= now)
    }
}

impl Renewals {
    /// How many renewals in `realm` are open, and when the oldest was opened.
    pub fn open(&self, realm: Realm) -> (usize, Option<Timestamp>) {
        let rows = self.rows();
        let keys = rows.iter().filter(|((of, _), _)| *of == realm);
        let opened: Vec<_> = keys.map(|(_, row)| row.opened_at).collect();
        (opened.len(), opened.into_iter().min())
    }

    pub(super) fn put(&self, realm: Realm, key: &ApiKey) {
        match RenewalRow::of(key) {
            Some(row) => self.rows().insert((realm, key.id), row),
            None => self.rows().remove(&(realm, key.id)),
        };
    }

    pub(super) fn remove(&self, realm: Realm, key: KeyId) {
        self.rows().remove(&(realm, key));
    }

    /// The renewals in which something has fallen due.
    pub(super) fn due(&self, now: Timestamp, settings: &Settings) -> Vec<(Realm, KeyId)> {
        let rows = self.rows();
        rows.iter().filter(|(_, row)| row.is_due(now, settings)).map(|(place, _)| *place).collect()
    }

    /// The renewals that may end when quiet, with the quiet asked for.
    pub(super) fn awaiting_quiet(&self) -> Vec<((Realm, KeyId), RenewalRow, Span)> {
        let rows = self.rows();
        rows.iter().filter_map(|(place, row)| Some((*place, *row, row.when_quiet?))).collect()
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<(Realm, KeyId), RenewalRow>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
