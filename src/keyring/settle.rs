//! What time does to keys: first uses become durable, deadlines fall due, old tokens go quiet, the dead are forgotten.
//!
//! Promises: a first use is written within a second, however much falls due at once; a deadline is settled by an ordinary
//! committed change, many in one transaction, and one that cannot be written holds up no other; a look that fails is made
//! again.
//! Deliberately does not: guard the gate. A grant carries its own ends, and a late settlement lets nothing in.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::domain::{ApiKey, KeyId, Outcome, Realm, Settings, Span, Timestamp, Tokens, transition};
use crate::store::{Conflict, KeyRef, StoreError, Stored, Write};
use crate::usage::FirstUse;

use super::settings::InForce;
use super::{ATTEMPTS, Caller, Keyring, Parts, RenewalRow};

/// How often time is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long a store that did not answer is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// After how many looks every worker has told of the uses that it saw before: they do so once a second.
const TOLD: u32 = 8;
/// How many first uses become durable in one write.
const BATCH: usize = 1_024;
/// How many renewals are settled in one write: first uses wait for one such write at most.
const SETTLED_AT_ONCE: usize = 256;

/// What time may have done to a key.
#[derive(Clone, Copy)]
enum Passing<'s> {
    /// Something has fallen due by this instant.
    Due(&'s InForce, Timestamp),
    /// Its old token has been quiet long enough.
    Quiet(&'s Settings),
}

impl Passing<'_> {
    /// How many keys are settled in one write. An old token may be used at any moment: its quiet is looked at right before
    /// the write that ends it, and not before those of others.
    fn at_once(self) -> usize {
        match self {
            Self::Due(..) => SETTLED_AT_ONCE,
            Self::Quiet(_) => 1,
        }
    }
}

/// The store does not answer: whatever else is due waits for the next look.
struct Away;

/// Settles what time has done.
pub struct Settler {
    keyring: Keyring,
    first_uses: mpsc::Receiver<FirstUse>,
    quiet_looked_at: Timestamp,
    /// What looked quiet at the last look, and after how many more it is looked at again.
    quiet: Vec<(Realm, KeyId)>,
    told_in: u32,
    forgot_at: Timestamp,
}

impl Settler {
    /// A settler for `keyring`, told of first uses by `first_uses`.
    pub fn new(keyring: Keyring, first_uses: mpsc::Receiver<FirstUse>) -> Self {
        Self {
            keyring,
            first_uses,
            quiet_looked_at: Timestamp::EPOCH,
            quiet: Vec::new(),
            told_in: 0,
            forgot_at: Timestamp::EPOCH,
        }
    }

    /// Settles for ever.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut firsts = Vec::new();
        loop {
            tokio::select! {
                told = self.first_uses.recv_many(&mut firsts, BATCH) => match told {
                    0 => return,
                    _ => self.write_first_uses(std::mem::take(&mut firsts)).await,
                },
                _ = ticks.tick() => if self.look().await.is_err() {
                    tokio::time::sleep(PAUSE).await;
                },
            }
        }
    }

    async fn look(&mut self) -> Result<(), Away> {
        if !self.keyring.0.parts.clock.is_trusted() {
            return Ok(()); // what is settled stays settled: not by a clock in doubt
        }
        let now = self.keyring.0.parts.clock.now();
        let settings = self.keyring.0.settings.load_full();
        let due = self.keyring.0.renewals.due(now, &settings.value);
        self.settle(&due, Passing::Due(&settings, now)).await?;
        self.look_for_quiet(now, &settings.value).await?;
        if self.forgot_at.is_due_again(Span::hours(1), now) {
            self.forgot_at = now;
            self.forget(now).await;
        }
        Ok(())
    }

    /// Ends the old tokens that have been quiet long enough. One that looks so is looked at again once every worker
    /// has told of the uses that it saw before.
    async fn look_for_quiet(&mut self, now: Timestamp, settings: &Settings) -> Result<(), Away> {
        if self.quiet_looked_at.is_due_again(Span::minutes(1), now) {
            self.quiet_looked_at = now;
            self.quiet = self.long_quiet();
            self.told_in = TOLD;
            return Ok(());
        }
        self.told_in = self.told_in.saturating_sub(1);
        if self.told_in > 0 || self.quiet.is_empty() {
            return Ok(());
        }
        let seen_before = std::mem::take(&mut self.quiet);
        let mut quiet = self.long_quiet();
        quiet.retain(|place| seen_before.contains(place));
        self.settle(&quiet, Passing::Quiet(settings)).await
    }

    /// The renewals whose old token has been quiet as long as was asked for.
    fn long_quiet(&self) -> Vec<(Realm, KeyId)> {
        let usage = &self.keyring.0.parts.usage;
        let is_quiet = |row: RenewalRow, asked: Span| usage.quiet(row.old, row.opened_at).0 >= asked;
        let awaiting = self.keyring.0.renewals.awaiting_quiet().into_iter();
        awaiting.filter(|(_, row, asked)| is_quiet(*row, *asked)).map(|(place, _, _)| place).collect()
    }

    /// What quiet has done to `key` by now: to end those before it has taken its time, and it may have been used.
    fn end_quiet(&self, key: &ApiKey, settings: &Settings) -> Outcome {
        let Parts { usage, clock, .. } = &self.keyring.0.parts;
        let quiet = match &key.tokens {
            Tokens::Renewing { old, renewal, .. } => usage.quiet(old.id, renewal.opened_at).0,
            Tokens::Single { .. } => Span::ZERO,
        };
        transition::end_quiet(key, quiet, clock.now(), settings)
    }

    /// Lets go of deleted keys that have been remembered long enough. The ended tokens of others go with their next change.
    async fn forget(&self, now: Timestamp) {
        let before = now.minus(self.keyring.0.parts.remember);
        match self.keyring.0.parts.store.forget_deleted(before).await {
            Ok(0) => {}
            Ok(count) => info!(count, "deleted keys forgotten"),
            Err(error) => warn!(%error, "deleted keys could not be forgotten; trying again in an hour"),
        }
    }

    /// Commits what has passed for the keys at `places`, and first uses between two writes. Where one write cannot be, by
    /// halves, until what is in its way is by itself.
    async fn settle(&mut self, places: &[(Realm, KeyId)], passing: Passing<'_>) -> Result<(), Away> {
        let mut batches: Vec<_> = places.chunks(passing.at_once()).rev().collect();
        while let Some(batch) = batches.pop() {
            match (self.settle_batch(batch, passing).await, batch) {
                (Ok(()), _) => {}
                (Err(error @ StoreError::Unavailable(_)), _) => {
                    warn!(%error, count = batch.len(), "renewals could not be settled; trying again");
                    return Err(Away);
                }
                (Err(error), [(_, key)]) => warn!(%key, %error, "a renewal could not be settled; trying again"),
                (Err(StoreError::Conflict(_) | StoreError::Corrupt(_)), _) => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    batches.extend([second, first]);
                }
            }
            let told: Vec<_> = std::iter::from_fn(|| self.first_uses.try_recv().ok()).take(BATCH).collect();
            self.write_first_uses(told).await;
        }
        Ok(())
    }

    /// Settles `batch` in one write. A race lost for one key is run again; of several, it is for the caller to part them.
    async fn settle_batch(&self, batch: &[(Realm, KeyId)], passing: Passing<'_>) -> Result<(), StoreError> {
        let attempts = if batch.len() == 1 { ATTEMPTS } else { 1 };
        let mut lost = Ok(());
        for _ in 0..attempts {
            match self.try_settle(batch, passing).await {
                Err(error @ StoreError::Conflict(_)) => lost = Err(error),
                done => return done,
            }
        }
        lost
    }

    async fn try_settle(&self, batch: &[(Realm, KeyId)], passing: Passing<'_>) -> Result<(), StoreError> {
        let keyring = &self.keyring;
        let (mut writes, mut settled) = (Vec::with_capacity(batch.len()), Vec::new());
        for &(realm, id) in batch {
            let Some(stored) = keyring.0.parts.store.load(realm, KeyRef::Id(id)).await? else { continue };
            let outcome = self.passed(realm, &stored.value, passing);
            if outcome.key != *stored.value {
                writes.push(keyring.write(realm, &stored, &outcome, &Caller::relevo())?);
                settled.push((realm, outcome));
            }
        }
        if !writes.is_empty() {
            keyring.commit_all(writes).await?;
        }
        for (realm, outcome) in settled {
            for step in &outcome.steps {
                info!(key = %outcome.key.id, action = step.action.name(realm), at = %step.at, "renewal settled");
            }
        }
        Ok(())
    }

    /// The key after what is known of its first use, and after what has passed.
    fn passed(&self, realm: Realm, key: &ApiKey, passing: Passing<'_>) -> Outcome {
        let mut outcome = self.keyring.with_known_first_use(realm, key);
        let passed = match passing {
            Passing::Due(settings, now) => settings.settle(&outcome.key, now),
            Passing::Quiet(settings) => self.end_quiet(&outcome.key, settings),
        };
        outcome.steps.extend(passed.steps);
        outcome.key = passed.key;
        outcome
    }

    /// Makes first uses durable. What the store does not take now is told again by the next request with the token.
    async fn write_first_uses(&self, mut pending: Vec<FirstUse>) {
        while !pending.is_empty() {
            let mut keys = HashSet::new(); // one write holds a key once
            let (batch, rest): (Vec<_>, Vec<_>) =
                pending.into_iter().partition(|first| keys.insert((first.realm, first.key)));
            self.write_all_but_damaged(batch).await;
            pending = rest;
        }
    }

    /// Writes `batch`. Where something is damaged, by halves, until that is by itself.
    async fn write_all_but_damaged(&self, batch: Vec<FirstUse>) {
        let mut batches = vec![batch];
        while let Some(mut batch) = batches.pop() {
            match (self.write_batch(&batch).await, &batch[..]) {
                (Ok(()), _) => {}
                // Not taken back: it is told again when the key is put in force anew, and not by every request.
                (Err(StoreError::Corrupt(error)), [first]) => {
                    warn!(key = %first.key, error, "the first use of a token cannot be written: its key's record is damaged");
                }
                (Err(StoreError::Corrupt(_)), _) => {
                    let half = batch.split_off(batch.len() / 2);
                    batches.extend([half, batch]);
                }
                (Err(error), _) => {
                    warn!(%error, count = batch.len(), "first uses could not be written; the next use tells them again");
                    tokio::time::sleep(PAUSE).await; // or every request with one of these tokens would have it tried again
                    for first in batch {
                        self.take_back(first);
                    }
                }
            }
        }
    }

    async fn write_batch(&self, batch: &[FirstUse]) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let mut writes = Vec::with_capacity(batch.len());
            for first in batch {
                writes.extend(self.first_use(*first).await?);
            }
            if writes.is_empty() {
                return Ok(());
            }
            match self.keyring.commit_all(writes).await {
                Err(StoreError::Conflict(_)) => {} // a key was changed meanwhile
                Ok(_) => return Ok(()),
                Err(error @ (StoreError::Unavailable(_) | StoreError::Corrupt(_))) => return Err(error),
            }
        }
        Err(StoreError::Conflict(Conflict::Revision))
    }

    async fn first_use(&self, first: FirstUse) -> Result<Option<Write>, StoreError> {
        let stored = self.keyring.0.parts.store.load(first.realm, KeyRef::Id(first.key)).await?;
        let settings = self.keyring.0.settings.load_full();
        let used = stored.and_then(|stored| {
            // What fell due before it comes before it: a renewal that is over is not adopted.
            let mut outcome = settings.settle(&stored.value, first.at);
            let (key, step) = transition::first_use(&outcome.key, first.token, first.at)?;
            outcome.steps.extend(step);
            Some((stored, Outcome { key, ..outcome }))
        });
        let write = |(stored, outcome): (Stored<Arc<ApiKey>>, Outcome)| {
            self.keyring.write(first.realm, &stored, &outcome, &Caller::relevo())
        };
        used.map(write).transpose()
    }

    fn take_back(&self, first: FirstUse) {
        if let Some(key) = self.keyring.0.parts.catalog.find(first.realm, &KeyRef::Id(first.key)) {
            let token = key.tokens.each().find(|token| token.id == first.token);
            if let Some(pass) = token.and_then(|token| self.keyring.index(first.realm).find(&token.digest)) {
                pass.first_use_untold();
            }
        }
    }
}
