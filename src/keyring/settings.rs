//! The settings: read from memory, changed by one compared write with its audit event.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::domain::{
    Action, Affected, ApiKey, Authority, EventDraft, Facts, KeyId, KeyName, Outcome, Prefix, Realm, Revision, Settings,
    Timestamp, Version, audit::SettingsFacts, transition,
};
use crate::store::{Conflict, StoreError, Stored, What, Write};

use super::{ATTEMPTS, Caller, Denied, Keyring, SettingsChange, SettingsDone};

/// The settings in force.
pub(super) struct InForce {
    pub(super) value: Arc<Settings>,
    pub(super) revision: Revision,
    /// Since when, as far as is known here: no duration of theirs ended a token before.
    since: Timestamp,
}

impl InForce {
    /// What holds before anything is known.
    pub(super) fn at_first() -> Self {
        Self { value: Arc::default(), revision: Revision::default(), since: Timestamp::EPOCH }
    }

    /// What holds after these came at `now`. The first that come have held before; others hold from now on.
    pub(super) fn followed_by(&self, value: Arc<Settings>, revision: Revision, now: Timestamp) -> Self {
        let is_known = self.revision > Revision::default();
        let since = if is_known && self.value != value { now } else { self.since };
        Self { value, revision, since }
    }

    /// What time alone has done to `key` by `now`.
    pub(super) fn settle(&self, key: &ApiKey, now: Timestamp) -> Outcome {
        transition::settle_since(key, self.since, now, &self.value)
    }
}

/// How many of the affected keys a refusal names.
const NAMED: usize = 20;

impl Keyring {
    /// The settings in force.
    pub fn settings(&self) -> SettingsDone {
        let stored = self.0.settings.load();
        SettingsDone { settings: Arc::clone(&stored.value), version: stored.revision, revision: None }
    }

    /// Changes the settings.
    pub async fn change_settings(
        &self,
        change: SettingsChange,
        if_match: Option<Version>,
        caller: &Caller,
    ) -> Result<SettingsDone, Denied> {
        for _ in 0..ATTEMPTS {
            let stored = self.stored_settings().await?;
            let current = Version(stored.revision.0);
            if if_match.is_some_and(|version| version != current) {
                return Err(Denied::VersionMismatch { current });
            }
            let after = Settings {
                duration: change.duration.unwrap_or(stored.value.duration),
                on_expiry: change.on_expiry.unwrap_or(stored.value.on_expiry),
                prefixes: stored.value.prefixes.clone(),
            };
            if after == stored.value {
                return Ok(SettingsDone { settings: Arc::new(after), version: stored.revision, revision: None });
            }
            self.confirm(&stored.value, &after, change.confirm, caller).await?;
            let besides = self.somebody_left_under(&stored.value, &after).await?;
            if let Some(done) = self.write_settings(&stored, after, (caller, besides)).await? {
                return Ok(done);
            }
        }
        Err(Denied::Store(StoreError::Conflict(Conflict::Revision)))
    }

    /// Writes the first settings of an empty store, and the configured prefix if this store has never minted with it.
    pub async fn establish_settings(&self, first: Settings, caller: &Caller) -> Result<(), Denied> {
        let prefix: Prefix = self.0.parts.prefix.clone();
        for _ in 0..ATTEMPTS {
            let known = self.0.parts.store.settings().await?;
            let stored = known.unwrap_or_else(|| Stored { value: first.clone(), revision: Revision::default() });
            let mut after = stored.value.clone();
            if !after.prefixes.contains(&prefix) {
                after.prefixes.push(prefix.clone());
            }
            let is_written = stored.revision.0 > 0 && after == stored.value;
            if is_written || self.write_settings(&stored, after, (caller, None)).await?.is_some() {
                return Ok(());
            }
        }
        Err(Denied::Store(StoreError::Conflict(Conflict::Revision)))
    }

    pub(super) async fn stored_settings(&self) -> Result<Stored<Settings>, Denied> {
        let stored = self.0.parts.store.settings().await?;
        Ok(stored.unwrap_or_else(|| Stored { value: Settings::default(), revision: Revision::default() }))
    }

    /// `None` if somebody else was first.
    async fn write_settings(
        &self,
        stored: &Stored<Settings>,
        after: Settings,
        (caller, besides): (&Caller, Option<Write>),
    ) -> Result<Option<SettingsDone>, Denied> {
        let now = self.0.parts.clock.now();
        let is_first = stored.revision.0 == 0;
        let facts = |settings| Facts::Settings(SettingsFacts::of(settings));
        let event = EventDraft {
            before: (!is_first).then(|| facts(&stored.value)),
            after: Some(facts(&after)),
            ..caller.does(Action::SettingsChanged, None, now)?
        };
        let what = What::Settings(after.clone(), stored.revision);
        let write = Write { realm: Realm::Gateway, what, events: vec![event] };
        match self.commit_all(std::iter::once(write).chain(besides).collect()).await {
            Ok(revision) => {
                Ok(Some(SettingsDone { settings: Arc::new(after), version: revision, revision: Some(revision) }))
            }
            Err(StoreError::Conflict(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses a change that touches tokens, unless the caller has named exactly how many; and one that touches those of an
    /// administrator who may do more than the caller, whatever he has named.
    async fn confirm(
        &self,
        before: &Settings,
        after: &Settings,
        confirm: Option<Affected>,
        caller: &Caller,
    ) -> Result<(), Denied> {
        let (affected, keys) =
            self.affected(before.clone(), after.clone(), caller.authority.clone()).await?.ok_or(Denied::OutOfReach)?;
        if affected.is_none() || confirm == Some(affected) {
            return Ok(());
        }
        Err(Denied::TokensAffected { affected, keys })
    }

    /// How many tokens a change touches, and the first keys of them; `None` if one of these is an administrator beyond
    /// `authority`. Reads every key, off this thread.
    async fn affected(
        &self,
        before: Settings,
        after: Settings,
        authority: Authority,
    ) -> Result<Option<(Affected, Vec<(KeyId, KeyName)>)>, StoreError> {
        let catalog = self.0.parts.catalog.clone();
        let now = self.0.parts.clock.now();
        let count = move || {
            let (mut sum, mut keys, mut is_within) = (Affected::default(), Vec::new(), true);
            for realm in [Realm::Gateway, Realm::Admin] {
                catalog.newest_first(realm, None, &mut |key| {
                    let key = transition::settle(&key, now, &before).key;
                    let affected = Affected::by(&key, (key.duration, key.duration), (&before, &after), now);
                    if affected.is_none() {
                        return ControlFlow::Continue(());
                    }
                    is_within &= realm == Realm::Gateway || authority.commands(realm, &key);
                    sum = sum.plus(affected);
                    if keys.len() < NAMED {
                        keys.push((key.id, key.name));
                    }
                    ControlFlow::Continue(())
                });
            }
            is_within.then_some((sum, keys))
        };
        let counted = tokio::task::spawn_blocking(count).await;
        counted.map_err(|error| StoreError::Unavailable(format!("the keys could not be counted: {error}")))
    }
}
