//! What is known of one token, and judged by.
//!
//! Promises: it is small, and what every request reads of it lies together.
//! Deliberately does not: change but for what it counts; another state of the key is another pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::BufMut;
use ipnet::IpNet;

use super::RoleSet;
use super::identity::{self, Identity};
use super::label::Label;
use crate::domain::{
    Acceptance, ApiKey, Deadline, Digest, EndReason, Grant, KeyId, Lifetime, Limits, Role, Settings, Slot, Status,
    Timestamp, TokenId, Verdict,
};

/// What is known of one token.
///
/// 112 bytes, and 16 of its counts. The counts and the digest begin it: a look-up reads no other cache line.
#[repr(C)]
pub struct Pass {
    digest: Digest,
    key: [u8; 16],
    token: [u8; 16],
    name: Label,
    pub(super) roles: Arc<RoleSet>,
    pub(super) rare: Option<Box<Rare>>,
    standing: Standing,
    active: bool,
    first_use_told: AtomicBool,
}

/// What few tokens have.
#[derive(Default)]
pub(super) struct Rare {
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
    pub(super) fn of(
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
        identity::write_key_id(self.key(), text);
    }

    /// Writes [`Identity::key_name`].
    pub fn write_key_name(&self, text: &mut impl BufMut) {
        identity::write_key_name(self.name(), text);
    }

    /// Writes [`Identity::roles`].
    pub fn write_roles(&self, text: &mut impl BufMut) {
        identity::write_roles(self.roles.iter(), text);
    }

    pub(super) fn adoption(&self) -> Option<&Arc<Adoption>> {
        self.rare.as_ref()?.adoption.as_ref()
    }
}

/// When a token with this id was made, as its id says (RFC 9562 §5.7).
fn made_at(token: TokenId) -> Timestamp {
    Timestamp::from_millis(u64::try_from(token.as_bits() >> 80).unwrap_or_default()) // 48 bits
}

/// When the new token of a renewal was first used, shared by the passes of both its tokens.
///
/// It arms a deadline on the request itself, before the first use is durable.
pub(super) struct Adoption {
    new: TokenId,
    first_used_millis: AtomicU64,
}

impl Adoption {
    const NEVER: u64 = u64::MAX;

    pub(super) fn of(new: TokenId) -> Self {
        Self { new, first_used_millis: AtomicU64::new(Self::NEVER) }
    }

    /// Whether it is that of this token.
    pub(super) fn is_of(&self, new: TokenId) -> bool {
        self.new == new
    }

    pub(super) fn note(&self, now: Timestamp) {
        self.first_used_millis.fetch_min(now.as_millis(), Ordering::AcqRel);
    }

    fn first_used(&self) -> Option<Timestamp> {
        match self.first_used_millis.load(Ordering::Acquire) {
            Self::NEVER => None,
            millis => Some(Timestamp::from_millis(millis)),
        }
    }
}
