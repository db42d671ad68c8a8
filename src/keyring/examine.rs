//! Goes along the audit log's chain while the gateway runs, and removes what is older than it is to be kept.
//!
//! Promises: every record is looked at after a start and once a day, each new one soon after it was written; where the
//! chain is broken is reported by name until it is looked at again; a broken log is not cut. Work is done in slices with
//! pauses between them.
//! Deliberately does not: mend the chain, or refuse changes because of it.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, warn};

use crate::domain::chain::Verifier;
use crate::domain::{Action, Actor, EventDraft, EventId, Head, Lifetime, Revision, Span, Timestamp};
use crate::observe::Condition;
use crate::store::{Record, StoreError};

use super::{Denied, Keyring, entropy};

/// How many records are read at once.
const SLICE: usize = 512;
/// How long to rest after a slice, so that a long log takes little of the machine.
const REST: Duration = Duration::from_millis(20);
/// How long to wait for more new records after the first one.
const GATHER: Duration = Duration::from_secs(1);
/// How long to wait when the store cannot be read.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(10);
/// How often it is asked, without a change, whether a day is over.
const LOOK: Duration = Duration::from_mins(10);
/// How often the whole log is looked at.
const WHOLE: Span = Span::days(1);

/// What is known of the audit log's chain.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// Through which revision every record has been found in its place.
    pub through: Revision,
    /// When the last of them was looked at.
    pub at: Option<Timestamp>,
    /// What is wrong, if anything is: the first revision concerned, and a sentence.
    pub broken: Option<(Revision, String)>,
}

/// Looks at the chain for ever.
pub struct Examiner {
    keyring: Keyring,
    condition: Condition,
    retain: Lifetime,
    verifier: Verifier,
    /// When the last look at the whole log began.
    begun: Option<Timestamp>,
}

/// How a walk along the log ended.
enum Walk {
    /// All of it is in its place.
    Whole,
    /// It is broken, or a row of it is damaged.
    Broken(Revision, String),
    /// The store does not answer.
    Away(StoreError),
}

impl Keyring {
    /// Where the audit log's chain ends, and how far it is known to be whole.
    pub async fn chain(&self) -> Result<(Head, Arc<Examined>), Denied> {
        let head = self.0.parts.store.head().await?;
        Ok((head, self.0.examined.load_full()))
    }

    /// The records of the audit log after this revision as they are kept, at most so many.
    pub async fn records(&self, after: Revision, limit: usize) -> Result<Vec<Record>, Denied> {
        Ok(self.0.parts.store.records(after, limit).await?)
    }
}

impl Examiner {
    /// An examiner of the log of `keyring` that reports to `condition` and removes what is older than `retain`.
    pub fn new(keyring: Keyring, condition: Condition, retain: Lifetime) -> Self {
        Self { keyring, condition, retain, verifier: Verifier::knowing(Vec::new()), begun: None }
    }

    /// Looks for ever. To be begun when every key is known.
    pub async fn run(mut self) {
        loop {
            let begins = self.is_to_begin();
            if begins {
                self.begun = Some(self.now());
                self.verifier = Verifier::knowing(Vec::new());
            }
            let reached = self.keyring.revision();
            match self.walk().await {
                Walk::Whole => {
                    self.report(None);
                    if begins {
                        self.prune().await;
                        continue;
                    }
                    let more = tokio::time::timeout(LOOK, self.keyring.after(reached)).await;
                    if more.is_ok() {
                        tokio::time::sleep(GATHER).await;
                    }
                }
                Walk::Broken(revision, why) => {
                    error!(revision = revision.0, why, "the audit log is not what was written");
                    self.report(Some((revision, why)));
                    while !self.is_to_begin() {
                        tokio::time::sleep(LOOK).await;
                    }
                }
                Walk::Away(error) => {
                    warn!(%error, "the audit log cannot be read; looked at again in a moment");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }

    fn is_to_begin(&self) -> bool {
        self.begun.is_none_or(|begun| begun.is_due_again(WHOLE, self.now()))
    }

    /// Goes along the log from where the last walk ended.
    async fn walk(&mut self) -> Walk {
        loop {
            match self.slice().await {
                Ok(0) => break,
                Ok(_) => tokio::time::sleep(REST).await,
                Err(walk) => return walk,
            }
        }
        match self.verifier.finish() {
            Ok(_) => Walk::Whole,
            Err(broken) => Walk::Broken(broken.revision(), broken.to_string()),
        }
    }

    /// Takes the next records; answers how many there were.
    async fn slice(&mut self) -> Result<usize, Walk> {
        let after = self.verifier.head().revision;
        let store = &self.keyring.0.parts.store;
        // The head first: what is written meanwhile comes behind it.
        let head = store.head().await.map_err(|error| failed(after, error))?;
        let records = store.records(after, SLICE).await.map_err(|error| failed(after, error))?;
        self.verifier.expect(head);
        let count = records.len();
        let mut verifier = self.verifier.clone();
        let hashed = tokio::task::spawn_blocking(move || {
            let outcome = records.iter().try_for_each(|record| verifier.take(record.line.as_bytes()));
            (verifier, outcome)
        });
        let Ok((verifier, outcome)) = hashed.await else { return Ok(0) }; // the process is shutting down
        self.verifier = verifier;
        outcome.map_err(|broken| Walk::Broken(broken.revision(), broken.to_string()))?;
        Ok(count)
    }

    /// Removes what is older than it is to be kept.
    async fn prune(&self) {
        let (Some(retain), true) = (self.retain.span(), self.keyring.0.parts.clock.is_trusted()) else { return };
        loop {
            let now = self.now();
            match self.prune_some(now, now.minus(retain)).await {
                Ok(true) => tokio::time::sleep(REST).await,
                Ok(false) => return,
                Err(error) => return warn!(%error, "old events could not be removed; trying again tomorrow"),
            }
        }
    }

    async fn prune_some(&self, now: Timestamp, before: Timestamp) -> Result<bool, StoreError> {
        let told = EventDraft {
            id: EventId::new(now, entropy()?),
            at: now,
            written_at: now,
            actor: Actor::relevo(),
            address: None,
            action: Action::AuditPruned,
            key: None,
            before: None,
            after: None,
        };
        self.keyring.0.parts.store.prune_events(before, told).await
    }

    fn report(&self, broken: Option<(Revision, String)>) {
        match &broken {
            None => self.condition.ok(),
            Some((_, why)) => self.condition.fail(why.clone()),
        }
        let through = match &broken {
            None => self.verifier.head().revision,
            Some((revision, _)) => Revision(revision.0.saturating_sub(1)),
        };
        self.keyring.0.examined.store(Arc::new(Examined { through, at: Some(self.now()), broken }));
    }

    fn now(&self) -> Timestamp {
        self.keyring.0.parts.clock.now()
    }
}

/// A store that cannot be read after this revision. A damaged row is a break like any other.
fn failed(after: Revision, error: StoreError) -> Walk {
    match error {
        StoreError::Corrupt(what) => Walk::Broken(after.next(), what),
        error @ (StoreError::Unavailable(_) | StoreError::Conflict(_)) => Walk::Away(error),
    }
}
