//! The API key: the lasting identity of one integration. Administrators are keys of a realm of their own.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{
    Digest, Ended, KeyId, KeyName, Label, Lifetime, Limits, OnExpiry, Remark, Renewal, Role, Settings, Timestamp, Token,
};

/// Which plane accepts a key's tokens. The two never mix: own table, own index, own names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Realm {
    /// API keys: the gateway's port.
    Gateway,
    /// Administrators: the admin port. Their roles are their permissions.
    Admin,
}

/// Counts the changes of one key; what its `ETag` shows. A first use leaves it alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// The version of a key just created.
    pub const FIRST: Self = Self(1);

    /// The version after one more change.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Counts the changes of the whole store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Whether a key accepts tokens at all. Independent of its tokens, which it keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its tokens are accepted.
    Active,
    /// None of its tokens is accepted.
    Inactive,
}

/// The tokens of a key: one, or two during a renewal. Never three.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tokens {
    /// One token.
    Single {
        /// The one.
        current: Token,
    },
    /// Two valid tokens: the overlap.
    Renewing {
        /// The token that integrations are to leave.
        old: Token,
        /// The token that they are to take.
        new: Token,
        /// Since when, by whom, and what becomes of the old one.
        renewal: Renewal,
    },
}

impl Tokens {
    /// The tokens, the older first.
    pub fn each(&self) -> impl Iterator<Item = &Token> {
        let (first, second) = match self {
            Self::Single { current } => (current, None),
            Self::Renewing { old, new, .. } => (old, Some(new)),
        };
        std::iter::once(first).chain(second)
    }

    /// The same, to be changed.
    pub fn each_mut(&mut self) -> impl Iterator<Item = &mut Token> {
        let (first, second) = match self {
            Self::Single { current } => (current, None),
            Self::Renewing { old, new, .. } => (old, Some(new)),
        };
        std::iter::once(first).chain(second)
    }

    /// The open renewal, if there is one.
    pub fn renewal(&self) -> Option<&Renewal> {
        match self {
            Self::Single { .. } => None,
            Self::Renewing { renewal, .. } => Some(renewal),
        }
    }
}

/// An API key as it stands at one version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    /// Never used twice.
    pub id: KeyId,
    /// Unique under case folding among living keys of its realm.
    pub name: KeyName,
    /// What its routes ask for; at most [`Role::MOST`].
    pub roles: BTreeSet<Role>,
    /// Of an administrator: the role of the keys that he sees and changes; `None`: of all keys.
    pub limited_to_role: Option<Role>,
    /// Whether it accepts tokens.
    pub status: Status,
    /// Who answers for it.
    pub owner: Option<Remark>,
    /// Anything worth knowing.
    pub note: Option<Remark>,
    /// For people's own scripts; at most [`Label::MOST`].
    pub labels: BTreeMap<Label, Remark>,
    /// From where its tokens are accepted; empty: from everywhere.
    pub allowed_addresses: Vec<IpNet>,
    /// How much it may ask for; `None`: as its role or the default of the configuration says.
    pub limits: Option<Limits>,
    /// Whether it may see and renew itself, with its own tokens.
    pub self_service: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// How long its tokens live; `None`: as the settings say.
    pub duration: Option<Lifetime>,
    /// Counts its changes.
    pub version: Version,
    /// Its tokens.
    pub tokens: Tokens,
    /// Tokens that have ended, the latest last; at most [`Ended::MOST`].
    pub ended: Vec<Ended>,
}

#[cfg(test)]
impl ApiKey {
    /// A key as old as its one token, with nothing besides: for tests, each of which adds what it is about.
    pub(crate) fn plain(id: KeyId, name: &str, token: Token) -> Self {
        Self {
            id,
            name: name.parse().expect("a legal name"),
            roles: BTreeSet::new(),
            limited_to_role: None,
            status: Status::Active,
            owner: None,
            note: None,
            labels: BTreeMap::new(),
            allowed_addresses: Vec::new(),
            limits: None,
            self_service: false,
            created_at: token.created_at,
            duration: None,
            version: Version::FIRST,
            tokens: Tokens::Single { current: token },
            ended: Vec::new(),
        }
    }
}

impl ApiKey {
    /// How long this key's tokens live under `settings`.
    pub fn lifetime(&self, settings: &Settings) -> Lifetime {
        self.duration.unwrap_or(settings.duration)
    }

    /// Whether `token` is refused at `now` because its duration is over.
    pub fn is_expired(&self, token: &Token, settings: &Settings, now: Timestamp) -> bool {
        settings.on_expiry == OnExpiry::Refuse && token.is_past(self.lifetime(settings), now)
    }

    /// Every digest that belongs to this key: of its tokens and of those it remembers.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        self.tokens.each().map(|token| token.digest).chain(self.ended.iter().map(|ended| ended.digest))
    }
}
