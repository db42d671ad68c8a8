//! What holds for administrators beside what holds for every key: one who can write all others is left.
//!
//! Promises: whoever would be the last is looked for among the records of the store, and the commit that goes on without
//! the other holds only if he is still what he was: of two who remove each other at once one is refused.
//! Deliberately does not: hold up time. A token that ends by its own duration ends.

use crate::domain::{ApiKey, Edit, KeyId, Lifetime, OnExpiry, Realm, Settings, permission};
use crate::store::{KeyRef, What, Write};

use super::{Denied, Keyring};

/// A change of attributes as it is meant in `realm`: an administrator's tokens last, unless their duration is set.
pub(super) fn meant(realm: Realm, edit: Edit) -> Edit {
    match realm {
        Realm::Gateway => edit,
        Realm::Admin => {
            let duration = edit.duration.map(|duration| Some(duration.unwrap_or(Lifetime::Never)));
            Edit { duration, ..edit }
        }
    }
}

impl Keyring {
    /// What a commit needs besides that makes `before` into `after`, or ends him: somebody else who is left.
    pub(super) async fn somebody_left(
        &self,
        realm: Realm,
        before: &ApiKey,
        after: Option<&ApiKey>,
    ) -> Result<Option<Write>, Denied> {
        let settings = &self.settings().settings;
        let now = self.0.parts.clock.now();
        let is_guardian = |administrator| permission::is_guardian(administrator, settings, now);
        if realm == Realm::Gateway || !is_guardian(before) || after.is_some_and(is_guardian) {
            return Ok(None);
        }
        self.guardian(Some(before.id), settings).await?.map(Some).ok_or(Denied::LastAdministrator)
    }

    /// What a commit needs besides that puts the settings `after` in the place of `before`.
    pub(super) async fn somebody_left_under(
        &self,
        before: &Settings,
        after: &Settings,
    ) -> Result<Option<Write>, Denied> {
        if (before.on_expiry, after.on_expiry) != (OnExpiry::Warn, OnExpiry::Refuse) {
            return Ok(None); // durations are administrators' own
        }
        let guardian = self.guardian(None, after).await?;
        let was_there = guardian.is_some() || self.guardian(None, before).await?.is_some();
        if guardian.is_none() && was_there { Err(Denied::LastAdministrator) } else { Ok(guardian) }
    }

    /// The condition that an administrator other than `except` who can write all others stays as he is.
    async fn guardian(&self, except: Option<KeyId>, settings: &Settings) -> Result<Option<Write>, Denied> {
        let now = self.0.parts.clock.now();
        for id in self.0.parts.catalog.ids(Realm::Admin).into_iter().filter(|id| Some(*id) != except) {
            let stored = self.0.parts.store.load(Realm::Admin, KeyRef::Id(id)).await?;
            if let Some(stored) = stored.filter(|stored| permission::is_guardian(&stored.value, settings, now)) {
                let what = What::Expect(id, stored.revision);
                return Ok(Some(Write { realm: Realm::Admin, what, events: Vec::new() }));
            }
        }
        Ok(None)
    }
}
