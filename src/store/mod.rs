//! The durable truth: every key, every audit event, the settings.
//!
//! Promises: what [`Store::commit`] has answered survives the machine's next instant; a change and its audit events
//! are one transaction, both or neither; names and digests are unique, checked inside that transaction.
//! Deliberately does not: know a rule of a key's life, a clock or a token's secret.

pub mod aside;
pub mod beside;
#[cfg(test)]
mod contract;
pub mod embedded;
mod feed;
pub mod private;
pub mod record;

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{
    ActionName, ApiKey, Digest, Event, EventDraft, Head, KeyId, KeyName, Realm, Revision, Settings, Timestamp,
};

/// By what a key is looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyRef {
    /// Its id.
    Id(KeyId),
    /// Its name, under case folding.
    Name(KeyName),
}

/// A record and the revision at which it was last written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored<T> {
    /// The record.
    pub value: T,
    /// Its last write: what a commit is compared with.
    pub revision: Revision,
}

/// One write of a commit, with the events that tell of it. Each event takes a revision of its own, in their order;
/// a write without events takes one. The record carries the last of them.
#[derive(Clone, Debug)]
pub struct Write {
    /// Whose table.
    pub realm: Realm,
    /// What is written.
    pub what: What,
    /// What the audit log says of it.
    pub events: Vec<EventDraft>,
}

/// What is written, and what must be so for it to be written.
#[derive(Clone, Debug)]
pub enum What {
    /// A key whose id was never used ([`Conflict::Revision`] otherwise).
    Create(ApiKey),
    /// A key in place of its record of the given revision.
    Replace(ApiKey, Revision),
    /// A key's end, of the given revision: name free at once, record and digests kept apart as of the instant.
    Delete(KeyId, Revision, Timestamp),
    /// Settings in place of those of the given revision (0: none yet).
    Settings(Settings, Revision),
    /// Nothing but the events.
    Events,
    /// A key that lives no more, or never did here, from a backup. Of a deleted one the record goes.
    Revive(ApiKey),
    /// Nothing but the events, which get revisions after this one.
    Raise(Revision),
    /// Nothing at all, and no revision is taken: a key must be there, of this revision, or nothing else is written.
    Expect(KeyId, Revision),
}

/// Which events are asked for.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Only after this revision.
    pub after: Revision,
    /// Only before this revision, the newest first. `None`: the oldest first.
    pub before: Option<Revision>,
    /// Only of this key.
    pub key: Option<KeyId>,
    /// Only by this actor.
    pub actor: Option<String>,
    /// Only of this action.
    pub action: Option<ActionName>,
    /// At most this many.
    pub limit: usize,
}

/// A page of events. One that goes on (`next`) may still hold fewer than were asked for, or none: a query looks at a
/// bounded number of events.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// Where the next page begins (`after`, or `before` where one was asked for), if there may be one.
    pub next: Option<Revision>,
}

/// One record of the audit log as it is kept: what its hash is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its place.
    pub revision: Revision,
    /// The event as JSON, byte for byte, without a line break.
    pub line: Box<str>,
}

/// Why the store did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Something else was written first, or a name or digest is taken. Nothing was written.
    #[error("{0}")]
    Conflict(Conflict),
    /// The store cannot be reached or written; trying again later may help. Whether a commit so answered was
    /// written is unknown only if the text says so.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What was read is not what was written. Nothing is guessed.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}

/// What stood in a commit's way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Conflict {
    /// The record has another revision, or is gone.
    #[error("the record was changed meanwhile")]
    Revision,
    /// A living key of the realm has this name.
    #[error("the name is taken")]
    NameTaken,
    /// A token of any key or administrator, living, remembered or deleted, has this digest.
    #[error("the digest is in use")]
    DigestInUse,
}

/// The durable truth.
#[async_trait]
pub trait Store: Send + Sync {
    /// The living key that `key` refers to.
    async fn load(&self, realm: Realm, key: KeyRef) -> Result<Option<Stored<Arc<ApiKey>>>, StoreError>;

    /// The living key, if any, one of whose tokens, living or remembered, has this digest.
    async fn find_digest(&self, realm: Realm, digest: Digest) -> Result<Option<Stored<Arc<ApiKey>>>, StoreError>;

    /// Of each digest, whether a token of any key or administrator, living, remembered or deleted, has it.
    async fn are_taken(&self, digests: Vec<Digest>) -> Result<Vec<bool>, StoreError>;

    /// The settings; `None` on an empty store.
    async fn settings(&self) -> Result<Option<Stored<Settings>>, StoreError>;

    /// Writes all of `writes` durably, in their order, or none. Names and digests that one of them lets go of, any other may
    /// take. Answers the last revision written; of no writes, the
    /// last there is.
    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, StoreError>;

    /// Events of the audit log.
    async fn events(&self, query: EventQuery) -> Result<EventPage, StoreError>;

    /// The records of the audit log after this revision as they are kept, at most so many. They are not read: whether
    /// they are what was written, their chain tells.
    async fn records(&self, after: Revision, limit: usize) -> Result<Vec<Record>, StoreError>;

    /// Where the audit log's chain ends.
    async fn head(&self) -> Result<Head, StoreError>;

    /// Removes the oldest events of the audit log, of those written before `before`: a bounded number of them, in one
    /// transaction with the event `told`, whose `after` becomes what was removed. Answers whether there were any.
    async fn prune_events(&self, before: Timestamp, told: EventDraft) -> Result<bool, StoreError>;

    /// Whether changes are taken. Told at once while the last one was; after one that could not be written, it is tried, with a
    /// row that nobody sees.
    async fn takes_changes(&self) -> Result<(), StoreError>;

    /// How many keys live in `realm`: what an index reserves room for.
    async fn count(&self, realm: Realm) -> Result<u64, StoreError>;

    /// Removes the digests and records of keys deleted before `before`. Answers how many keys.
    async fn forget_deleted(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// A feed of everything that is and will be in the store.
    fn subscribe(&self) -> Box<dyn Feed>;
}

/// One thing that a feed tells.
#[derive(Clone, Debug)]
pub enum Notice {
    /// What was told before may be incomplete; everything comes again.
    Reset,
    /// A key as it is at this revision.
    Put(Realm, Revision, Arc<ApiKey>),
    /// A key is gone at this revision.
    Remove(Realm, Revision, KeyId),
    /// The settings as they are at this revision.
    Settings(Revision, Arc<Settings>),
    /// Everything up to this revision has been told.
    Synced(Revision),
}

/// The changes of a store, in order, for ever.
///
/// It begins with [`Notice::Reset`], then [`Notice::Put`]s and the settings, then [`Notice::Synced`], then live
/// changes, each commit closed by a `Synced` of its last revision. After any gap it starts again from `Reset`.
/// Per key, revisions never go back.
#[async_trait]
pub trait Feed: Send {
    /// The next thing told. Never ends: an unavailable store keeps it waiting.
    async fn next(&mut self) -> Notice;
}
