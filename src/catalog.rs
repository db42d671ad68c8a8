//! The catalogue: every living key by id and by name, in memory.
//!
//! Promises: lists and look-ups by name read it and never the store; it is as new as the index.
//! Deliberately does not: answer for commands, which load what they change from the store.
//!
//! Keys are kept in the store's own compact encoding, side by side, and decoded when read: ten million of them fit.

mod shelves;

use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::domain::{ApiKey, KeyId, Realm};
use crate::store::{KeyRef, record};

use shelves::Shelves;

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
    by_id: Shelves,
    by_name: HashTable<NameRow>,
}

/// A name's hash, so that the table can grow without reading records, and whose it is.
struct NameRow {
    hash: u32,
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
        table.by_id.newest_first(before).filter_map(decode).take(SLICE).collect()
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
        self.read(realm).by_id.ids()
    }

    /// Takes in `key` as it is now. Answers what it was.
    pub fn put(&self, realm: Realm, key: &ApiKey) -> Option<ApiKey> {
        let mut table = self.write(realm);
        let before = table.key(key.id);
        if let Some(before) = &before {
            table.forget_name(before);
        }
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
        self.by_id.find(id).and_then(decode)
    }

    fn named(&self, folded: &str) -> Option<ApiKey> {
        let (hash, mut found) = (hash(folded), None);
        self.by_name.find(spread(hash), |row| {
            let key = (row.hash == hash).then(|| self.key(row.id())).flatten();
            found = key.filter(|key| key.name.folded() == folded);
            found.is_some()
        });
        found
    }

    fn insert(&mut self, key: &ApiKey) {
        let hash = hash(&key.name.folded());
        self.by_id.put(key.id, &record::encode_key(key));
        let row = NameRow { hash, id: key.id.as_bits().to_be_bytes() };
        self.by_name.insert_unique(spread(hash), row, |row| spread(row.hash));
    }

    fn remove(&mut self, id: KeyId) -> Option<ApiKey> {
        let key = self.by_id.find(id).and_then(decode)?;
        self.by_id.remove(id);
        self.forget_name(&key);
        Some(key)
    }

    fn forget_name(&mut self, key: &ApiKey) {
        let hash = hash(&key.name.folded());
        if let Ok(row) = self.by_name.find_entry(spread(hash), |row| row.id() == key.id) {
            row.remove();
        }
    }
}

impl NameRow {
    fn id(&self) -> KeyId {
        KeyId::from_bits(u128::from_be_bytes(self.id))
    }
}

/// Half of a hash is enough to tell names apart, and costs half.
fn hash(folded: &str) -> u32 {
    use std::hash::BuildHasher;
    let [_, _, _, _, upper @ ..] = FixedState::default().hash_one(folded).to_le_bytes();
    u32::from_le_bytes(upper)
}

/// The hash as the table takes it, which looks at the lowest bits and the highest.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What was encoded here is decoded here; a record that cannot be is treated as absent.
fn decode(record: &[u8]) -> Option<ApiKey> {
    record::decode_key(record).ok()
}

#[cfg(test)]
mod tests;
