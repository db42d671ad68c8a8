//! The catalogue: every living key by id and by name, in memory.
//!
//! Promises: lists and look-ups by name read it and never the store; it is as new as the index.
//! Deliberately does not: answer for commands, which load what they change from the store.
//!
//! Keys are kept in the store's own compact encoding and decoded when read: ten million of them fit.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::domain::{ApiKey, KeyId, Realm};
use crate::store::{KeyRef, record};

/// How many keys are read under one lock: a long list never holds up a change.
const SLICE: usize = 256;

/// Every living key. Cheap to clone; every clone sees the same.
#[derive(Clone, Default)]
pub struct Catalog(Arc<Tables>);

#[derive(Default)]
struct Tables {
    keys: RwLock<Table>,
    admins: RwLock<Table>,
}

#[derive(Default)]
struct Table {
    by_id: BTreeMap<KeyId, Box<[u8]>>,
    by_name: HashTable<NameRow>,
}

/// A name's hash, so that the table can grow without reading records, and whose it is.
struct NameRow {
    hash: u64,
    id: [u8; 16],
}

impl Catalog {
    /// The key that `key` refers to.
    pub fn find(&self, realm: Realm, key: &KeyRef) -> Option<ApiKey> {
        let table = self.read(realm);
        match key {
            KeyRef::Id(id) => table.key(*id),
            KeyRef::Name(name) => table.named(&name.folded()),
        }
    }

    /// Calls `visit` for each key, the newest first and only those before `before`, until it breaks.
    pub fn newest_first(&self, realm: Realm, before: Option<KeyId>, visit: &mut dyn FnMut(ApiKey) -> ControlFlow<()>) {
        let mut before = before;
        loop {
            let slice = self.slice(realm, before);
            let Some(last) = slice.last() else { return };
            before = Some(last.id);
            for key in slice {
                if visit(key).is_break() {
                    return;
                }
            }
        }
    }

    fn slice(&self, realm: Realm, before: Option<KeyId>) -> Vec<ApiKey> {
        let table = self.read(realm);
        let end = before.map_or(Bound::Unbounded, Bound::Excluded);
        let range = table.by_id.range((Bound::Unbounded, end)).rev();
        range.filter_map(|(_, record)| decode(record)).take(SLICE).collect()
    }

    /// How many keys there are.
    pub fn len(&self, realm: Realm) -> usize {
        self.read(realm).by_id.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self, realm: Realm) -> bool {
        self.len(realm) == 0
    }

    /// The ids of all keys.
    pub fn ids(&self, realm: Realm) -> Vec<KeyId> {
        self.read(realm).by_id.keys().copied().collect()
    }

    /// Takes in `key` as it is now. Answers what it was.
    pub fn put(&self, realm: Realm, key: &ApiKey) -> Option<ApiKey> {
        let mut table = self.write(realm);
        let before = table.remove(key.id);
        table.insert(key);
        before
    }

    /// Lets go of a key. Answers what it was.
    pub fn remove(&self, realm: Realm, id: KeyId) -> Option<ApiKey> {
        self.write(realm).remove(id)
    }

    fn table(&self, realm: Realm) -> &RwLock<Table> {
        match realm {
            Realm::Gateway => &self.0.keys,
            Realm::Admin => &self.0.admins,
        }
    }

    // A reader that panicked has changed nothing, and a writer changes a table in steps that cannot panic.
    fn read(&self, realm: Realm) -> RwLockReadGuard<'_, Table> {
        self.table(realm).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, realm: Realm) -> RwLockWriteGuard<'_, Table> {
        self.table(realm).write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn key(&self, id: KeyId) -> Option<ApiKey> {
        self.by_id.get(&id).and_then(|record| decode(record))
    }

    fn named(&self, folded: &str) -> Option<ApiKey> {
        let mut found = None;
        self.by_name.find(hash(folded), |row| {
            found = self.key(row.id()).filter(|key| key.name.folded() == folded);
            found.is_some()
        });
        found
    }

    fn insert(&mut self, key: &ApiKey) {
        let hash = hash(&key.name.folded());
        self.by_id.insert(key.id, record::encode_key(key).into());
        self.by_name.insert_unique(hash, NameRow { hash, id: key.id.as_bits().to_be_bytes() }, |row| row.hash);
    }

    fn remove(&mut self, id: KeyId) -> Option<ApiKey> {
        let key = self.by_id.remove(&id).and_then(|record| decode(&record))?;
        let hash = hash(&key.name.folded());
        if let Ok(row) = self.by_name.find_entry(hash, |row| row.id() == id) {
            row.remove();
        }
        Some(key)
    }
}

impl NameRow {
    fn id(&self) -> KeyId {
        KeyId::from_bits(u128::from_be_bytes(self.id))
    }
}

fn hash(folded: &str) -> u64 {
    use std::hash::BuildHasher;
    FixedState::default().hash_one(folded)
}

/// What was encoded here is decoded here; a record that cannot be is treated as absent.
fn decode(record: &[u8]) -> Option<ApiKey> {
    record::decode_key(record).ok()
}
