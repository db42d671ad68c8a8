//! The index: from a token's digest to what is answered to it.
//!
//! Promises: a look-up reads memory and waits for nothing; what [`IndexWriter`] has applied is what the next look-up
//! sees; at most two digests of a key are accepted.
//! Deliberately does not: judge a request (roles, addresses, status are the caller's), look up names, or know secrets.

mod identity;
mod label;
mod pass;
mod superseded;

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::domain::{ApiKey, Digest, KeyId, Role, Settings, Timestamp, Tokens, grant};

pub use identity::Identity;
use pass::Adoption;
pub use pass::Pass;
pub use superseded::SupersededUse;
use superseded::Uses;

/// At least as many shards as make two writers rarely meet, and a growing shard short.
const SHARDS: usize = 1_024;

type Map = DashMap<Held, (), BuildHasherDefault<DigestHasher>>;

/// The read side. Cheap to clone; every clone sees the same.
#[derive(Clone)]
pub struct Index(Arc<Shared>);

struct Shared {
    map: Map,
    settings: ArcSwap<Settings>,
    loaded: AtomicBool,
    superseded: Uses,
}

impl Index {
    /// An empty index, not loaded yet, with room for `capacity` digests, and the one writer it will ever have.
    pub fn with_capacity(capacity: usize) -> (Self, IndexWriter) {
        let map = Map::with_capacity_and_hasher_and_shard_amount(capacity, BuildHasherDefault::default(), SHARDS);
        let settings = ArcSwap::from_pointee(Settings::default());
        let index =
            Self(Arc::new(Shared { map, settings, loaded: AtomicBool::new(false), superseded: Uses::default() }));
        let writer = IndexWriter { index: index.clone(), role_sets: HashSet::new() };
        (index, writer)
    }

    /// Whether every key has been told once. Before that nothing can be judged.
    pub fn is_loaded(&self) -> bool {
        self.0.loaded.load(Ordering::Acquire)
    }

    /// What is known of the token with this digest.
    pub fn find(&self, digest: &Digest) -> Option<Arc<Pass>> {
        self.0.map.get(digest).map(|held| Arc::clone(&held.key().0))
    }

    /// Notes that a replaced token was tried from `address` at `now`. Waits for nobody; a note may be lost.
    pub fn note_superseded(&self, pass: &Pass, address: std::net::IpAddr, now: Timestamp) {
        self.0.superseded.note(pass, address, now);
    }

    /// Takes what [`Index::note_superseded`] has noted since the last time.
    pub fn take_superseded(&self) -> Vec<SupersededUse> {
        self.0.superseded.take()
    }

    /// The settings in force.
    pub fn settings(&self) -> arc_swap::Guard<Arc<Settings>> {
        self.0.settings.load()
    }

    /// How many digests are known, living and remembered.
    pub fn len(&self) -> usize {
        self.0.map.len()
    }

    /// Whether no digest is known.
    pub fn is_empty(&self) -> bool {
        self.0.map.is_empty()
    }
}

/// A pass under its own digest.
struct Held(Arc<Pass>);

impl Borrow<Digest> for Held {
    fn borrow(&self) -> &Digest {
        self.0.digest()
    }
}

impl Hash for Held {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.digest().hash(state);
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest() == other.0.digest()
    }
}

impl Eq for Held {}

/// The roles of a key, sorted; shared by all keys with the same ones.
#[derive(PartialEq, Eq, Hash)]
pub struct RoleSet {
    roles: Box<[Role]>,
}

impl RoleSet {
    /// Whether the role is among them.
    pub fn contains(&self, role: &Role) -> bool {
        self.roles.binary_search(role).is_ok()
    }

    /// The roles in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Role> {
        self.roles.iter()
    }
}

/// The write side: one owner, fed by the store's feed.
pub struct IndexWriter {
    index: Index,
    role_sets: HashSet<Arc<RoleSet>>,
}

impl IndexWriter {
    /// Puts `after` in force in place of `before`.
    pub fn replace(&mut self, before: Option<&ApiKey>, after: &ApiKey) {
        // First, so that at no instant more than two are accepted: a restoration may bring two others.
        for digest in before.into_iter().flat_map(ApiKey::digests) {
            if after.digests().all(|kept| kept != digest) {
                self.forget(&digest, after.id);
            }
        }
        let adoption = self.adoption_of(after);
        let roles = self.intern(after);
        for granted in grant::grants(after) {
            let pass = Pass::of(after, granted, Arc::clone(&roles), adoption.clone());
            match self.index.0.map.entry(Held(Arc::new(pass))) {
                Entry::Occupied(known) => drop(known.replace_entry(())), // at once: no look-up finds neither
                Entry::Vacant(place) => drop(place.insert(())),
            }
        }
    }

    /// Takes every digest of `before` out of force.
    pub fn remove(&mut self, before: &ApiKey) {
        for digest in before.digests() {
            self.forget(&digest, before.id);
        }
    }

    /// Takes `digest` out of force, if it is still that of `key`: another key may have come by it, and been told first.
    fn forget(&self, digest: &Digest, key: KeyId) {
        self.index.0.map.remove_if(digest, |held, ()| held.0.key() == key);
    }

    /// Puts the settings in force.
    pub fn settings(&mut self, settings: Arc<Settings>) {
        self.index.0.settings.store(settings);
    }

    /// From now on the index can judge. Forgets role sets that no key carries any longer.
    pub fn loaded(&mut self) {
        self.role_sets.retain(|roles| Arc::strong_count(roles) > 1);
        self.index.0.loaded.store(true, Ordering::Release);
    }

    /// The adoption cell of `key`'s renewal: the one already there, so that no use of the new token is lost.
    fn adoption_of(&self, key: &ApiKey) -> Option<Arc<Adoption>> {
        let Tokens::Renewing { new, .. } = &key.tokens else { return None };
        let known = self.index.find(&new.digest).and_then(|pass| pass.adoption().cloned());
        let adoption =
            known.filter(|adoption| adoption.is_of(new.id)).unwrap_or_else(|| Arc::new(Adoption::of(new.id)));
        if let Some(at) = new.first_used_at {
            adoption.note(at);
        }
        Some(adoption)
    }

    fn intern(&mut self, key: &ApiKey) -> Arc<RoleSet> {
        let set = RoleSet { roles: key.roles.iter().cloned().collect() };
        if let Some(known) = self.role_sets.get(&set) {
            return Arc::clone(known);
        }
        let set = Arc::new(set);
        self.role_sets.insert(Arc::clone(&set));
        set
    }
}

/// A SHA-256 digest is as good a hash as there is: its first eight bytes are taken as they are.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length of a fixed-size array, written before its bytes, says nothing.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
