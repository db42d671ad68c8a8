//! What may be asked of the keyring, and what it answers.

use std::net::IpAddr;
use std::sync::Arc;

use crate::domain::{
    Action, Actor, Affected, ApiKey, Authority, Digest, Edit, EventDraft, EventId, KeyId, KeyName, Plan, Realm,
    Refusal, Revision, Secret, Settings, Span, Status, Timestamp, Version,
};
use crate::store::StoreError;

use super::entropy;
use super::unused::InUse;

/// Who asks, and from where.
#[derive(Clone, Debug)]
pub struct Caller {
    /// By which name the audit log knows him.
    pub actor: Actor,
    /// The other end of his connection.
    pub address: Option<IpAddr>,
    /// What he may do, and to whom.
    pub authority: Authority,
}

impl Caller {
    /// The gateway itself.
    pub fn relevo() -> Self {
        Self { actor: Actor::relevo(), address: None, authority: Authority::whole() }
    }

    /// Refuses what he may not know of, or not change.
    pub(super) fn reach(&self, realm: Realm, key: &ApiKey) -> Result<(), Denied> {
        match (self.authority.sees(realm, key), self.authority.commands(realm, key)) {
            (_, true) => Ok(()),
            (false, false) => Err(Denied::NotFound(realm)),
            (true, false) => Err(Denied::OutOfReach),
        }
    }

    /// That he does something now. Nothing is told of what was `before` and is `after` it yet.
    pub(super) fn does(&self, action: Action, key: Option<KeyId>, now: Timestamp) -> Result<EventDraft, StoreError> {
        Ok(EventDraft {
            id: EventId::new(now, entropy()?),
            at: now,
            written_at: now,
            actor: self.actor.clone(),
            address: self.address,
            action,
            key,
            before: None,
            after: None,
        })
    }

    /// Refuses what he may not make of a key, or give it: the key as it was, if it was there, and as it would be. Nor does
    /// anybody shut himself out.
    pub(super) fn grant(&self, realm: Realm, before: Option<&ApiKey>, after: &ApiKey) -> Result<(), Denied> {
        if !self.authority.commands(realm, after) || !self.authority.gives(realm, before, after) {
            return Err(Denied::OutOfReach);
        }
        let is_himself = realm == Realm::Admin && before.is_some_and(|before| self.actor.is_called(&before.name));
        let comes_in = |address| {
            after.allowed_addresses.is_empty()
                || after.allowed_addresses.iter().any(|network| network.contains(&address))
        };
        if is_himself && !self.address.is_none_or(comes_in) { Err(Denied::ShutsOut) } else { Ok(()) }
    }
}

/// What a new token is made of.
pub enum Material {
    /// Random bits drawn here; the secret is in the answer, once.
    Mint,
    /// A digest made elsewhere: the secret is never seen here.
    Digest(Digest),
    /// A secret made elsewhere, known to whoever gave it.
    Import(Secret),
}

/// A key to be created.
pub struct NewKey {
    /// Its name.
    pub name: KeyName,
    /// Its other attributes; `name`, `status` and `confirm` are not looked at.
    pub attributes: Edit,
    /// Active, unless said otherwise.
    pub status: Status,
    /// What its token is made of.
    pub material: Material,
}

/// What is asked of one key.
pub enum Order {
    /// A new token beside the old one.
    Renew(Material, Plan),
    /// A new token in place of the old one.
    RenewNow(Material),
    /// Another plan for the old token.
    ChangePlan(Plan),
    /// Close the renewal in favour of the new token.
    DeleteOld,
    /// The same, unless the old token has been used within this time.
    DeleteOldUnlessUsed(Span),
    /// Close the renewal in favour of the old token.
    Undo,
    /// The same, unless the new token has been used within this time.
    UndoUnlessUsed(Span),
    /// Change what is not a token.
    Edit(Box<Edit>),
}

/// What was done, durable and in force on this node.
pub struct Done {
    /// The key as it is now.
    pub key: Arc<ApiKey>,
    /// The change's place among all changes; `None` if nothing had to be changed.
    pub revision: Option<Revision>,
    /// The new token, if one was minted: for this one answer.
    pub secret: Option<Secret>,
}

/// A change of the settings; `None` leaves one as it is.
#[derive(Clone, Debug, Default)]
pub struct SettingsChange {
    /// Another token duration.
    pub duration: Option<crate::domain::Lifetime>,
    /// Another consequence of its end.
    pub on_expiry: Option<crate::domain::OnExpiry>,
    /// The counts that the caller has seen and accepts.
    pub confirm: Option<Affected>,
}

/// The settings as they are in force.
#[derive(Clone, Debug)]
pub struct SettingsDone {
    /// The settings.
    pub settings: Arc<Settings>,
    /// The revision at which they were last written: their `ETag`.
    pub version: Revision,
    /// The change's place among all changes; `None` if nothing had to be changed.
    pub revision: Option<Revision>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// The key's state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A change of the settings would end living tokens or revive ended ones.
    #[error("the change would end {} living tokens and revive {} ended ones", affected.ends, affected.revives)]
    TokensAffected {
        /// The counts that a confirmation must name.
        affected: Affected,
        /// The first twenty keys.
        keys: Vec<(KeyId, KeyName)>,
    },
    /// No living key of the realm has this id or name.
    #[error("there is no such key")]
    NotFound(Realm),
    /// It lies beyond what the caller may grant or change.
    #[error("it goes beyond what you may do yourself, or beyond the role that you are limited to")]
    OutOfReach,
    /// An administrator would be let in no longer from where he says so.
    #[error("it does not hold the address that you come from")]
    ShutsOut,
    /// Nobody would be left who can write all administrators.
    #[error("nobody would be left who can write all administrators: give another one admins:write first")]
    LastAdministrator,
    /// A living key has this name.
    #[error("the name is taken")]
    NameTaken,
    /// A key that is not there is to have a token that nobody has named.
    #[error("there is no such key, and no token or digest to create it with")]
    NoToken,
    /// The key is at another version than the caller's.
    #[error("the key is at version {} now", current.0)]
    VersionMismatch {
        /// The version it is at.
        current: Version,
    },
    /// The token that would go has been used within the time that was named.
    #[error("the {} token was last used at {}", .0.slot.as_str(), .0.last_used_at)]
    TokenInUse(Box<InUse>),
    /// Whether the token that would go has been used within that time is not known.
    #[error("{}", unknown(*gap))]
    UsageUnknown {
        /// What is missing.
        gap: Gap,
    },
    /// The store does not answer, or not sensibly.
    #[error(transparent)]
    Store(StoreError),
}

fn unknown(gap: Gap) -> String {
    match gap {
        Gap::Before(since) => format!("uses are known since {since}, and the time asked about begins before"),
        Gap::Worker => "a worker has not told its uses in time; try again".to_owned(),
        Gap::File => "the file of last uses cannot be read now: the condition usage says why".to_owned(),
    }
}

/// Why it is not known whether a token was used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gap {
    /// Uses are known since then, and the time asked about begins before.
    Before(Timestamp),
    /// A worker is too busy to tell.
    Worker,
    /// The file of last uses cannot be read.
    File,
}
