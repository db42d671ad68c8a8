//! The store in a file of its own, for a single node: redb underneath.
//!
//! Promises: what [`Store`] does. A commit is answered when it is on the device (two-phase, both synced); one process
//! at a time; a damaged file is refused or reported, never guessed at; after a failure of the device the store comes
//! back by itself. `docs/store-format.md` describes the file.
//! Deliberately does not: know a rule of a key's life; repair what is damaged.

mod check;
mod engine;
mod fault;
mod folder;
mod listing;
mod older;
mod open;
mod prune;
mod row;
mod table;
mod transaction;

#[cfg(test)]
mod damage;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod failing;
#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use redb::{Durability, StorageBackend};

use self::engine::{Engine, Keep};
pub use self::open::OpenError;
use self::open::Opener;
use self::table::{Tables, nth};
use super::feed::{Changes, LocalFeed};
use super::{EventPage, EventQuery, Feed, KeyRef, Record, Store, StoreError, Stored, Write};
use crate::domain::{ApiKey, Digest, EventDraft, Head, Realm, Revision, Settings, Timestamp};

/// The store in a file. Cheap to clone; it is closed when the last clone and the last feed are gone.
#[derive(Clone)]
pub struct EmbeddedStore {
    engine: Arc<Engine>,
}

impl EmbeddedStore {
    /// Opens the store at `path`, made anew (0600, in a directory of 0700) if it is not there. Blocks: the whole file is
    /// read once and the checksum of every page compared.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::opened(Opener::of_path(path.as_ref()), Durability::Immediate, Changes::KEPT)
    }

    /// The same for a gateway: as long as the store is open, no other store is opened so in its folder.
    pub fn open_to_serve(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let opener = Opener::of_path(path.as_ref()).alone_in_folder(path.as_ref())?;
        Self::opened(opener, Durability::Immediate, Changes::KEPT)
    }

    /// Opens the store in what `make` makes, now and again after each failure of the device. Blocks.
    pub fn open_with<B: StorageBackend>(
        make: impl Fn() -> io::Result<B> + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        Self::opened(Opener::of_backend(make), Durability::Immediate, Changes::KEPT)
    }

    fn opened(opener: Opener, durability: Durability, kept: usize) -> Result<Self, OpenError> {
        let engine = Arc::new(Engine::open(opener, durability, kept)?);
        Ok(Self { engine })
    }
}

fn shared(stored: Stored<ApiKey>) -> Stored<Arc<ApiKey>> {
    Stored { value: Arc::new(stored.value), revision: stored.revision }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn load(&self, realm: Realm, key: KeyRef) -> Result<Option<Stored<Arc<ApiKey>>>, StoreError> {
        let found = self.engine.read(move |tables| tables.find(realm, &key)).await?;
        Ok(found.map(shared))
    }

    async fn find_digest(&self, realm: Realm, digest: Digest) -> Result<Option<Stored<Arc<ApiKey>>>, StoreError> {
        let found = self.engine.read(move |tables| tables.find_digest(realm, &digest)).await?;
        Ok(found.map(shared))
    }

    async fn are_taken(&self, digests: Vec<Digest>) -> Result<Vec<bool>, StoreError> {
        let is_taken = move |tables: &Tables<table::ReadTable>| {
            digests.iter().map(|digest| Ok(tables.owner(digest)?.is_some())).collect()
        };
        self.engine.read(is_taken).await
    }

    async fn settings(&self) -> Result<Option<Stored<Settings>>, StoreError> {
        self.engine.read(Tables::settings).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, StoreError> {
        if writes.is_empty() {
            return self.engine.read(|tables| Ok(tables.state()?.last)).await;
        }
        self.engine.commit(move |tables| transaction::apply(tables, writes)).await
    }

    async fn events(&self, query: EventQuery) -> Result<EventPage, StoreError> {
        self.engine.read(move |tables| listing::events(tables, &query)).await
    }

    async fn records(&self, after: Revision, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.engine.read(move |tables| listing::records(tables, after, limit)).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.engine.read(Tables::chain).await
    }

    async fn prune_events(&self, before: Timestamp, told: EventDraft) -> Result<bool, StoreError> {
        if !self.engine.read(move |tables| prune::is_due(tables, before)).await? {
            return Ok(false);
        }
        self.engine.commit(move |tables| prune::prune(tables, before, told)).await?;
        Ok(true)
    }

    async fn takes_changes(&self) -> Result<(), StoreError> {
        if self.engine.is_refusing() {
            self.engine.tidy(|tables| tables.put_trial().map(Keep::Yes)).await?;
            return self.engine.tidy(|tables| tables.remove_trial().map(Keep::Yes)).await;
        }
        self.engine.read(|tables| tables.state().map(drop)).await
    }

    async fn count(&self, realm: Realm) -> Result<u64, StoreError> {
        self.engine.read(move |tables| Ok(tables.state()?.living[nth(realm)])).await
    }

    async fn forget_deleted(&self, before: Timestamp) -> Result<u64, StoreError> {
        let (mut forgotten, mut next) = (0, Some(Vec::new()));
        while let Some(from) = next {
            let step = self.engine.tidy(move |tables| listing::forget_some(tables, before, &from)).await?;
            forgotten += step.count;
            next = step.next;
        }
        Ok(forgotten)
    }

    fn subscribe(&self) -> Box<dyn Feed> {
        Box::new(LocalFeed::new(Arc::clone(&self.engine)))
    }
}
