//! A store that does as it should, but for what a test has it do otherwise.
//!
//! Promises: whatever its [`Conduct`] does not alter is the embedded store's own answer.
//! Deliberately does not: keep anything itself.

use std::sync::Arc;

use async_trait::async_trait;
use relevo::domain::{Digest, EventDraft, Head, Realm, Revision, Settings, Timestamp};
use relevo::store::{EventPage, EventQuery, Feed, KeyRef, Notice, Record, Store, StoreError, Stored, Write};

type Key = Stored<Arc<relevo::domain::ApiKey>>;

/// How a store misbehaves.
pub(crate) trait Conduct: Send + Sync + 'static {
    /// What is told in place of `notice`; `None`: nothing.
    fn tell(&self, notice: Notice) -> Option<Notice> {
        Some(notice)
    }

    /// Why nothing can be read or written now.
    fn failure(&self) -> Option<StoreError> {
        None
    }

    /// Why this key cannot be read.
    fn damage(&self, _key: &KeyRef) -> Option<StoreError> {
        None
    }

    /// These are about to be written; until it returns, they are not.
    fn before_commit(&self, _writes: &[Write]) {}

    /// Why these cannot be written together.
    fn refusal(&self, _writes: &[Write]) -> Option<StoreError> {
        None
    }
}

/// The store.
pub(crate) struct Misbehaving<C> {
    inner: Arc<dyn Store>,
    conduct: Arc<C>,
}

impl<C: Conduct> Misbehaving<C> {
    /// `inner`, with this conduct.
    pub(crate) fn store(inner: Arc<dyn Store>, conduct: &Arc<C>) -> Arc<dyn Store> {
        Arc::new(Self { inner, conduct: Arc::clone(conduct) })
    }

    fn answering(&self) -> Result<&dyn Store, StoreError> {
        self.conduct.failure().map_or(Ok(&*self.inner), Err)
    }
}

#[async_trait]
impl<C: Conduct> Store for Misbehaving<C> {
    async fn load(&self, realm: Realm, key: KeyRef) -> Result<Option<Key>, StoreError> {
        self.conduct.damage(&key).map_or(Ok(()), Err)?;
        self.answering()?.load(realm, key).await
    }

    async fn find_digest(&self, realm: Realm, digest: Digest) -> Result<Option<Key>, StoreError> {
        self.answering()?.find_digest(realm, digest).await
    }

    async fn are_taken(&self, digests: Vec<Digest>) -> Result<Vec<bool>, StoreError> {
        self.answering()?.are_taken(digests).await
    }

    async fn settings(&self) -> Result<Option<Stored<Settings>>, StoreError> {
        self.answering()?.settings().await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, StoreError> {
        self.conduct.before_commit(&writes);
        self.conduct.refusal(&writes).map_or(Ok(()), Err)?;
        self.answering()?.commit(writes).await
    }

    async fn events(&self, query: EventQuery) -> Result<EventPage, StoreError> {
        self.answering()?.events(query).await
    }

    async fn records(&self, after: Revision, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.answering()?.records(after, limit).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.answering()?.head().await
    }

    async fn prune_events(&self, before: Timestamp, told: EventDraft) -> Result<bool, StoreError> {
        self.answering()?.prune_events(before, told).await
    }

    async fn takes_changes(&self) -> Result<(), StoreError> {
        self.answering()?.takes_changes().await
    }

    async fn count(&self, realm: Realm) -> Result<u64, StoreError> {
        self.answering()?.count(realm).await
    }

    async fn forget_deleted(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.answering()?.forget_deleted(before).await
    }

    fn subscribe(&self) -> Box<dyn Feed> {
        Box::new(Altered { inner: self.inner.subscribe(), conduct: Arc::clone(&self.conduct) })
    }
}

/// Its feed.
struct Altered<C> {
    inner: Box<dyn Feed>,
    conduct: Arc<C>,
}

#[async_trait]
impl<C: Conduct> Feed for Altered<C> {
    async fn next(&mut self) -> Notice {
        loop {
            if let Some(notice) = self.conduct.tell(self.inner.next().await) {
                return notice;
            }
        }
    }
}
