//! The index: from a token's digest to what is answered to it.
//!
//! Promises: a look-up reads memory and waits for nothing; what [`IndexWriter`] has applied is what the next look-up
//! sees; at most two digests of a key are accepted.
//! Deliberately does not: judge a request (roles, addresses, status are the caller's), look up names, or know secrets.

mod label;
mod superseded;

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::{BufMut, Bytes, BytesMut};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use http::HeaderValue;
use ipnet::IpNet;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use crate::domain::{
    Acceptance, ApiKey, Deadline, Digest, EndReason, Grant, KeyId, Lifetime, Limits, Role, Settings, Slot, Status,
    Timestamp, TokenId, Tokens, Verdict, grant,
};

use label::Label;
pub use superseded::SupersededUse;
use superseded::Uses;

/// At least as many shards as make two writers rarely meet, and a growing shard short.
const SHARDS: usize = 1_024;

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'~').remove(b'-');

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

/// What is known of one token.
///
/// 112 bytes, and 16 of its counts. The counts and the digest begin it: a look-up reads no other cache line.
#[repr(C)]
pub struct Pass {
    digest: Digest,
    key: [u8; 16],
    token: [u8; 16],
    name: Label,
    roles: Arc<RoleSet>,
    rare: Option<Box<Rare>>,
    standing: Standing,
    active: bool,
    first_use_told: AtomicBool,
}

/// What few tokens have.
#[derive(Default)]
struct Rare {
    /// When the token was made, if its id does not say so.
    created_at: Option<Timestamp>,
    addresses: Box<[IpNet]>,
    duration: Option<Lifetime>,
    deadline: Option<Deadline>,
    adoption: Option<Arc<Adoption>>,
    limits: Option<Box<Limits>>,
    /// Of an administrator.
    limited_to: Option<Box<Role>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Living(Slot),
    Ended(EndReason),
}

impl Rare {
    fn is_empty(&self) -> bool {
        let Self { created_at, addresses, duration, deadline, adoption, limits, limited_to } = self;
        let nothing = created_at.is_none() && duration.is_none() && deadline.is_none() && adoption.is_none();
        nothing && addresses.is_empty() && limits.is_none() && limited_to.is_none()
    }
}

impl Pass {
    fn of(
        key: &ApiKey,
        (digest, token, grant): (Digest, TokenId, Grant),
        roles: Arc<RoleSet>,
        adoption: Option<Arc<Adoption>>,
    ) -> Self {
        let used = key.tokens.each().any(|kept| kept.id == token && kept.first_used_at.is_some());
        let addresses = key.allowed_addresses.as_slice().into();
        let (standing, rare) = match grant {
            Grant::Living(Acceptance { slot, created_at, duration, deadline }) => {
                let created_at = Some(created_at).filter(|at| *at != made_at(token));
                let limits = key.limits.map(Box::new);
                let limited_to = key.limited_to_role.clone().map(Box::new);
                let rare = Rare { created_at, addresses, duration, deadline, adoption, limits, limited_to };
                (Standing::Living(slot), rare)
            }
            Grant::Ended(reason) => (Standing::Ended(reason), Rare { addresses, ..Rare::default() }),
        };
        Self {
            digest,
            key: key.id.as_bits().to_ne_bytes(),
            token: token.as_bits().to_ne_bytes(),
            name: Label::new(key.name.as_str()),
            roles,
            rare: (!rare.is_empty()).then(|| Box::new(rare)),
            standing,
            active: key.status == Status::Active,
            first_use_told: AtomicBool::new(used || matches!(grant, Grant::Ended(_))),
        }
    }

    /// The token's digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The key's id.
    pub fn key(&self) -> KeyId {
        KeyId::from_bits(u128::from_ne_bytes(self.key))
    }

    /// The token's id.
    pub fn token(&self) -> TokenId {
        TokenId::from_bits(u128::from_ne_bytes(self.token))
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The key's roles.
    pub fn roles(&self) -> &RoleSet {
        &self.roles
    }

    /// Whether the key accepts tokens at all.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Whether the key's tokens are accepted from `address`.
    pub fn is_allowed_from(&self, address: std::net::IpAddr) -> bool {
        let Some(rare) = &self.rare else { return true };
        let address = address.to_canonical();
        rare.addresses.is_empty() || rare.addresses.iter().any(|net| net.contains(&address))
    }

    /// Judges the token alone at `now`.
    pub fn judge(&self, now: Timestamp, settings: &Settings) -> Verdict {
        let slot = match self.standing {
            Standing::Living(slot) => slot,
            Standing::Ended(reason) => return Err(reason),
        };
        let rare = self.rare.as_ref().map(|rare| (rare.created_at, rare.duration, rare.deadline));
        let (created_at, duration, deadline) = rare.unwrap_or_default();
        let created_at = created_at.unwrap_or_else(|| made_at(self.token()));
        let acceptance = Acceptance { slot, created_at, duration, deadline };
        acceptance.judge(now, settings.duration, settings.on_expiry, self.new_first_used())
    }

    /// The key's own limits, if it has any.
    pub fn limits(&self) -> Option<&Limits> {
        self.rare.as_ref()?.limits.as_deref()
    }

    /// Of an administrator: the role that he is limited to.
    pub fn limited_to_role(&self) -> Option<&Role> {
        self.rare.as_ref()?.limited_to.as_deref()
    }

    /// Which of its key's tokens it is, if it lives.
    pub fn slot(&self) -> Option<Slot> {
        match self.standing {
            Standing::Living(slot) => Some(slot),
            Standing::Ended(_) => None,
        }
    }

    /// When the old token that this is ends by its renewal's plan, if it will.
    pub fn due_at(&self) -> Option<Timestamp> {
        self.rare.as_ref()?.deadline.map(|deadline| deadline.at)
    }

    /// Notes that a request carried the token at `now`. Answers `true` if nobody has been told of a first use yet:
    /// the caller tells the keyring, or calls [`Pass::first_use_untold`] if he cannot.
    pub fn note_use(&self, now: Timestamp) -> bool {
        if self.first_use_told.load(Ordering::Relaxed) {
            return false;
        }
        if let Some(adoption) = self.adoption()
            && self.standing == Standing::Living(Slot::New)
        {
            adoption.note(now);
        }
        !self.first_use_told.swap(true, Ordering::Relaxed)
    }

    /// Takes back that the first use has been told.
    pub fn first_use_untold(&self) {
        self.first_use_told.store(false, Ordering::Relaxed);
    }

    /// When the renewal's new token was first used.
    pub fn new_first_used(&self) -> Option<Timestamp> {
        self.adoption().and_then(|adoption| adoption.first_used())
    }

    /// How a backend learns the caller. Made at each call: kept, it would cost a token more than all the rest.
    pub fn identity(&self) -> Identity {
        Identity::of(self.key(), self.name(), self.roles.iter())
    }

    /// Writes [`Identity::key_id`].
    pub fn write_key_id(&self, text: &mut impl BufMut) {
        write_key_id(self.key(), text);
    }

    /// Writes [`Identity::key_name`].
    pub fn write_key_name(&self, text: &mut impl BufMut) {
        write_key_name(self.name(), text);
    }

    /// Writes [`Identity::roles`].
    pub fn write_roles(&self, text: &mut impl BufMut) {
        write_roles(self.roles.iter(), text);
    }

    fn adoption(&self) -> Option<&Arc<Adoption>> {
        self.rare.as_ref()?.adoption.as_ref()
    }
}

/// When a token with this id was made, as its id says (RFC 9562 §5.7).
fn made_at(token: TokenId) -> Timestamp {
    Timestamp::from_millis(u64::try_from(token.as_bits() >> 80).unwrap_or_default()) // 48 bits
}

/// A pass under its own digest.
struct Held(Arc<Pass>);

impl Borrow<Digest> for Held {
    fn borrow(&self) -> &Digest {
        &self.0.digest
    }
}

impl Hash for Held {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.digest.hash(state);
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest == other.0.digest
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

/// The headers by which a backend learns the caller, ready to be set.
pub struct Identity {
    /// `X-Relevo-Key-Id`
    pub key_id: HeaderValue,
    /// `X-Relevo-Key-Name`, percent-encoded outside `[A-Za-z0-9._~-]`
    pub key_name: HeaderValue,
    /// `X-Relevo-Roles`, comma-separated
    pub roles: HeaderValue,
}

impl Identity {
    /// The identity of the key with this id, name and roles. Its texts are one piece of memory.
    pub fn of<'a>(key: KeyId, name: &str, roles: impl IntoIterator<Item = &'a Role>) -> Self {
        let mut text = BytesMut::with_capacity(128);
        write_key_id(key, &mut text);
        let key_end = text.len();
        write_key_name(name, &mut text);
        let name_end = text.len();
        write_roles(roles, &mut text);
        let text = text.freeze();
        let [key_id, key_name, roles] =
            [0..key_end, key_end..name_end, name_end..text.len()].map(|part| header(text.slice(part)));
        Self { key_id, key_name, roles }
    }
}

fn write_key_id(key: KeyId, text: &mut impl BufMut) {
    let mut digits = [0; 32];
    hex::encode_to_slice(key.as_bits().to_be_bytes(), &mut digits).unwrap_or_default(); // they fit
    text.put_slice(b"key_");
    text.put_slice(&digits);
}

fn write_key_name(name: &str, text: &mut impl BufMut) {
    percent_encoding::utf8_percent_encode(name, RESERVED).for_each(|part| text.put_slice(part.as_bytes()));
}

fn write_roles<'a>(roles: impl IntoIterator<Item = &'a Role>, text: &mut impl BufMut) {
    for (at, role) in roles.into_iter().enumerate() {
        if at > 0 {
            text.put_u8(b',');
        }
        text.put_slice(role.as_str().as_bytes());
    }
}

/// Ids, encoded names and roles are visible ASCII, so the empty value is never taken.
fn header(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).unwrap_or(HeaderValue::from_static(""))
}

/// When the new token of a renewal was first used, shared by the passes of both its tokens.
///
/// It arms a deadline on the request itself, before the first use is durable.
struct Adoption {
    new: TokenId,
    first_used_millis: AtomicU64,
}

impl Adoption {
    const NEVER: u64 = u64::MAX;

    fn note(&self, now: Timestamp) {
        self.first_used_millis.fetch_min(now.as_millis(), Ordering::AcqRel);
    }

    fn first_used(&self) -> Option<Timestamp> {
        match self.first_used_millis.load(Ordering::Acquire) {
            Self::NEVER => None,
            millis => Some(Timestamp::from_millis(millis)),
        }
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
        let adoption = self.adoption_of(after);
        let roles = self.intern(after);
        for granted in grant::grants(after) {
            let pass = Pass::of(after, granted, Arc::clone(&roles), adoption.clone());
            match self.index.0.map.entry(Held(Arc::new(pass))) {
                Entry::Occupied(known) => drop(known.replace_entry(())), // at once: no look-up finds neither
                Entry::Vacant(place) => drop(place.insert(())),
            }
        }
        for digest in before.into_iter().flat_map(ApiKey::digests) {
            if after.digests().all(|kept| kept != digest) {
                self.index.0.map.remove(&digest);
            }
        }
    }

    /// Takes every digest of `before` out of force.
    pub fn remove(&mut self, before: &ApiKey) {
        for digest in before.digests() {
            self.index.0.map.remove(&digest);
        }
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
        let adoption = known
            .filter(|adoption| adoption.new == new.id)
            .unwrap_or_else(|| Arc::new(Adoption { new: new.id, first_used_millis: AtomicU64::new(Adoption::NEVER) }));
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
