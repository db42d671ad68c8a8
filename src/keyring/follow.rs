//! From the store's feed into the catalogue, then the index: the one way by which a change comes into force.
//!
//! Promises: during a resync the last known answers serve; what did not come back goes at `Synced`; the index can
//! judge from the first `Synced` on.

use std::collections::HashSet;

use crate::domain::{ApiKey, KeyId, Realm, Revision, Tokens};
use crate::index::IndexWriter;
use crate::store::{Feed, Notice};

use super::Keyring;

/// What a feed is followed into: the two indexes' writers.
pub struct Follower {
    /// The gateway's index.
    pub keys: IndexWriter,
    /// The admin plane's index.
    pub admins: IndexWriter,
}

/// Follows `feed` for ever.
pub async fn follow(keyring: Keyring, mut follower: Follower, mut feed: Box<dyn Feed>) {
    let mut returned: Option<HashSet<(Realm, KeyId)>> = None;
    loop {
        match feed.next().await {
            Notice::Reset => {
                let is_known = |realm| !keyring.0.parts.catalog.is_empty(realm);
                // Nothing known, nothing to be swept: the first load needs no list of what came.
                returned = (is_known(Realm::Gateway) || is_known(Realm::Admin)).then(HashSet::new);
            }
            Notice::Put(realm, _, key) => {
                if let Some(returned) = &mut returned {
                    returned.insert((realm, key.id));
                }
                follower.put(&keyring, realm, &key);
            }
            Notice::Remove(realm, _, id) => follower.remove(&keyring, realm, id),
            Notice::Settings(revision, settings) => {
                follower.keys.settings(settings.clone());
                follower.admins.settings(settings.clone());
                let after = keyring.0.settings.load().followed_by(settings, revision, keyring.0.parts.clock.now());
                keyring.0.settings.store(after.into());
            }
            Notice::Synced(revision) => {
                if let Some(returned) = returned.take() {
                    follower.sweep(&keyring, &returned);
                }
                follower.keys.loaded();
                follower.admins.loaded();
                announce(&keyring, revision);
            }
        }
    }
}

impl Follower {
    fn put(&mut self, keyring: &Keyring, realm: Realm, key: &ApiKey) {
        let before = keyring.0.parts.catalog.put(realm, key);
        key.tokens.each().for_each(|token| keyring.0.parts.usage.lives(token.id));
        self.writer(realm).replace(before.as_ref(), key);
        keyring.0.renewals.put(realm, key);
        if let Some(before) = &before {
            forget_uses(keyring, before, Some(key));
        }
        if let Tokens::Renewing { old, renewal, .. } = &key.tokens
            && renewal.plan.when_quiet().is_some()
        {
            keyring.0.parts.usage.quiet(old.id, renewal.opened_at); // begins to watch
        }
    }

    fn remove(&mut self, keyring: &Keyring, realm: Realm, id: KeyId) {
        if let Some(before) = keyring.0.parts.catalog.remove(realm, id) {
            self.writer(realm).remove(&before);
            forget_uses(keyring, &before, None);
        }
        keyring.0.renewals.remove(realm, id);
    }

    /// Removes every key that a resync did not bring back.
    fn sweep(&mut self, keyring: &Keyring, returned: &HashSet<(Realm, KeyId)>) {
        for realm in [Realm::Gateway, Realm::Admin] {
            for id in keyring.0.parts.catalog.ids(realm) {
                if !returned.contains(&(realm, id)) {
                    self.remove(keyring, realm, id);
                }
            }
        }
    }

    fn writer(&mut self, realm: Realm) -> &mut IndexWriter {
        match realm {
            Realm::Gateway => &mut self.keys,
            Realm::Admin => &mut self.admins,
        }
    }
}

/// When a token was used is kept while it lives, and by whom while it is one of two.
fn forget_uses(keyring: &Keyring, before: &ApiKey, after: Option<&ApiKey>) {
    let usage = &keyring.0.parts.usage;
    let is_renewing = |key: &ApiKey| matches!(key.tokens, Tokens::Renewing { .. });
    for token in before.tokens.each().map(|token| token.id) {
        match after.filter(|after| after.tokens.each().any(|kept| kept.id == token)) {
            None => usage.ended(token),
            Some(after) if is_renewing(before) && !is_renewing(after) => usage.renewal_over(token),
            Some(_) => {}
        }
    }
}

fn announce(keyring: &Keyring, revision: Revision) {
    keyring.0.in_force.send_if_modified(|applied| {
        let newer = Some(revision) > *applied;
        *applied = (*applied).max(Some(revision));
        newer
    });
}

#[cfg(test)]
mod tests;
