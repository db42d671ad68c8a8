//! What is written down of every change: who, when, from where, what was and what is.
//!
//! Promises: no event holds a secret or a digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{
    ApiKey, EventId, Invalid, KeyId, KeyName, Label, Lifetime, Limits, OnExpiry, OnUnused, Plan, Realm, RecordHash,
    Remark, Revision, Role, Settings, Span, Status, Timestamp, Token, TokenId, Tokens, Version,
};

/// Who made a change: an administrator's name, or [`Actor::RELEVO`] for what the gateway settles by itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actor(Box<str>);

impl Actor {
    /// The name under which the gateway itself acts.
    pub const RELEVO: &'static str = "relevo";
    /// The name under which `relevo admins rescue` acts, on the gateway's machine.
    pub const RESCUE: &'static str = "rescue";
    /// The names that no administrator can have.
    pub const RESERVED: [&'static str; 2] = [Self::RELEVO, Self::RESCUE];

    /// Whether it is the administrator with this name.
    pub fn is_called(&self, name: &KeyName) -> bool {
        *self.0 == *name.as_str()
    }

    /// The actor with this name.
    pub fn named(name: impl Into<Box<str>>) -> Self {
        Self(name.into())
    }

    /// The gateway itself.
    pub fn relevo() -> Self {
        Self::named(Self::RELEVO)
    }

    /// The actor's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// A key came into being.
    Created,
    /// Name, roles, duration or another attribute changed.
    Edited,
    /// The key accepts tokens again.
    Activated,
    /// The key accepts no token.
    Deactivated,
    /// The key is gone.
    Deleted,
    /// A new token beside the old one.
    RenewalOpened,
    /// Another plan for the old token.
    RenewalPlanChanged,
    /// The new token was used for the first time.
    RenewalAdopted,
    /// The deadline passed, nobody had used the new token, and so the old one stays.
    RenewalHeld,
    /// The new token is the only one.
    RenewalCompleted,
    /// The old token is the only one.
    RenewalUndone,
    /// The settings changed.
    SettingsChanged,
    /// A key came back from a backup, or became what it was there.
    Restored,
    /// A token ends soon.
    TokenExpiring,
    /// A token's duration is over.
    TokenExpired,
    /// A token that was replaced is still being tried.
    TokenSupersededUse,
    /// A command was refused to somebody who was signed in.
    CommandRefused,
    /// The oldest events were removed for their age.
    AuditPruned,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 18] = [
        Self::Created,
        Self::Edited,
        Self::Activated,
        Self::Deactivated,
        Self::Deleted,
        Self::RenewalOpened,
        Self::RenewalPlanChanged,
        Self::RenewalAdopted,
        Self::RenewalHeld,
        Self::RenewalCompleted,
        Self::RenewalUndone,
        Self::SettingsChanged,
        Self::Restored,
        Self::TokenExpiring,
        Self::TokenExpired,
        Self::TokenSupersededUse,
        Self::CommandRefused,
        Self::AuditPruned,
    ];

    /// The action's name in events, for a subject of `realm`.
    pub const fn name(self, realm: Realm) -> &'static str {
        let (key, admin) = match self {
            Self::Created => ("key.created", "admin.created"),
            Self::Edited => ("key.edited", "admin.edited"),
            Self::Activated => ("key.activated", "admin.activated"),
            Self::Deactivated => ("key.deactivated", "admin.deactivated"),
            Self::Deleted => ("key.deleted", "admin.deleted"),
            Self::RenewalOpened => ("renewal.opened", "admin.renewal_opened"),
            Self::RenewalPlanChanged => ("renewal.plan_changed", "admin.renewal_plan_changed"),
            Self::RenewalAdopted => ("renewal.adopted", "admin.renewal_adopted"),
            Self::RenewalHeld => ("renewal.held", "admin.renewal_held"),
            Self::RenewalCompleted => ("renewal.completed", "admin.renewal_completed"),
            Self::RenewalUndone => ("renewal.undone", "admin.renewal_undone"),
            Self::SettingsChanged => ("settings.changed", "settings.changed"),
            Self::Restored => ("key.restored", "admin.restored"),
            Self::TokenExpiring => ("token.expiring", "admin.token_expiring"),
            Self::TokenExpired => ("token.expired", "admin.token_expired"),
            Self::TokenSupersededUse => ("token.superseded_use", "admin.token_superseded_use"),
            Self::CommandRefused => ("command.refused", "command.refused"),
            Self::AuditPruned => (super::chain::PRUNED, super::chain::PRUNED),
        };
        match realm {
            Realm::Gateway => key,
            Realm::Admin => admin,
        }
    }
}

/// One token as an event shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TokenFacts {
    /// The token's id.
    pub id: TokenId,
    /// `current`, `old` or `new`.
    pub state: String,
    /// Its last four characters.
    pub hint: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was first used.
    pub first_used_at: Option<Timestamp>,
}

/// An open renewal as an event shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RenewalFacts {
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Who opened it.
    pub opened_by: Actor,
    /// What becomes of the old token.
    pub delete_old: PlanText,
    /// Whether its deadline passed unused.
    pub held: bool,
}

/// A plan as the outside writes it: `"later"` or an object of conditions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PlanText {
    /// A word: `later`.
    Word(String),
    /// Conditions, of which the first to come true ends the old token.
    Conditions(PlanConditions),
}

/// The conditions of a plan.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanConditions {
    /// This long after the renewal was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Span>,
    /// Once the old token has been unused this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_quiet: Option<Span>,
    /// `hold` or `delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unused: Option<String>,
}

impl From<Plan> for PlanText {
    fn from(plan: Plan) -> Self {
        if plan == Plan::LATER {
            return Self::Word("later".into());
        }
        let on_unused = match plan.on_unused() {
            OnUnused::Hold => None,
            OnUnused::Delete => Some("delete".into()),
        };
        Self::Conditions(PlanConditions { after: plan.after(), when_quiet: plan.when_quiet(), on_unused })
    }
}

impl TryFrom<PlanText> for Plan {
    type Error = Invalid;

    fn try_from(text: PlanText) -> Result<Self, Invalid> {
        match text {
            PlanText::Word(word) if word == "later" => Ok(Self::LATER),
            PlanText::Word(_) => Err(Invalid::new("is neither \"later\" nor an object with after or when_quiet")),
            PlanText::Conditions(PlanConditions { after: None, when_quiet: None, .. }) => {
                Err(Invalid::new("has neither after nor when_quiet"))
            }
            PlanText::Conditions(conditions) => {
                let on_unused = match conditions.on_unused.as_deref() {
                    None => None,
                    Some("hold") => Some(OnUnused::Hold),
                    Some("delete") => Some(OnUnused::Delete),
                    Some(_) => return Err(Invalid::new("has an on_unused that is neither hold nor delete")),
                };
                Self::new(conditions.after, conditions.when_quiet, on_unused)
            }
        }
    }
}

/// An API key as an event shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyFacts {
    /// Its name.
    pub name: KeyName,
    /// Its roles.
    pub roles: BTreeSet<Role>,
    /// Of an administrator who is limited to keys with a role: the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_to_role: Option<Role>,
    /// Whether it accepts tokens.
    pub status: Status,
    /// Who answers for it.
    pub owner: Option<Remark>,
    /// Anything worth knowing.
    pub note: Option<Remark>,
    /// For people's own scripts.
    pub labels: BTreeMap<Label, Remark>,
    /// From where its tokens are accepted.
    pub allowed_addresses: Vec<ipnet::IpNet>,
    /// How much it may ask for; null, and absent in older events: as its role or the default says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Whether it may see and renew itself; absent where it may not, and in older events.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub self_service: bool,
    /// How long its tokens live; null: as the settings say.
    pub duration: Option<Lifetime>,
    /// Counts its changes.
    pub version: u64,
    /// Its tokens.
    pub tokens: Vec<TokenFacts>,
    /// Its open renewal.
    pub renewal: Option<RenewalFacts>,
}

impl KeyFacts {
    /// What an event shows of `key`.
    pub fn of(key: &ApiKey) -> Self {
        let tokens = match &key.tokens {
            Tokens::Single { current } => vec![token_facts(current, "current")],
            Tokens::Renewing { old, new, .. } => vec![token_facts(old, "old"), token_facts(new, "new")],
        };
        let renewal = key.tokens.renewal().map(|renewal| RenewalFacts {
            opened_at: renewal.opened_at,
            opened_by: renewal.opened_by.clone(),
            delete_old: renewal.plan.into(),
            held: renewal.held,
        });
        let Version(version) = key.version;
        Self {
            name: key.name.clone(),
            roles: key.roles.clone(),
            limited_to_role: key.limited_to_role.clone(),
            status: key.status,
            owner: key.owner.clone(),
            note: key.note.clone(),
            labels: key.labels.clone(),
            allowed_addresses: key.allowed_addresses.clone(),
            limits: key.limits,
            self_service: key.self_service,
            duration: key.duration,
            version,
            tokens,
            renewal,
        }
    }
}

fn token_facts(token: &Token, state: &str) -> TokenFacts {
    TokenFacts {
        id: token.id,
        state: state.into(),
        hint: token.hint.map(|hint| hint.to_string()),
        created_at: token.created_at,
        first_used_at: token.first_used_at,
    }
}

/// The settings as an event shows them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SettingsFacts {
    /// How long tokens live.
    pub duration: Lifetime,
    /// What happens to them then.
    pub on_expiry: OnExpiry,
    /// Every prefix ever minted with.
    pub prefixes: Vec<String>,
}

impl SettingsFacts {
    /// What an event shows of `settings`.
    pub fn of(settings: &Settings) -> Self {
        let prefixes = settings.prefixes.iter().map(ToString::to_string).collect();
        Self { duration: settings.duration, on_expiry: settings.on_expiry, prefixes }
    }
}

/// What an event tells of one token of a key that has not changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TokenNotice {
    /// The key's name.
    pub name: KeyName,
    /// The token's id.
    pub token: TokenId,
    /// Its last four characters, if it lives.
    pub hint: Option<String>,
    /// When its duration is over, if it lives.
    pub expires_at: Option<Timestamp>,
    /// For a token that ends soon: it ends within this time.
    pub within: Option<Span>,
    /// For a token that was replaced: how often it was tried since the last such event.
    pub uses: Option<u64>,
}

/// What an event tells of a command that was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefusedFacts {
    /// The method and the pattern of the path; nothing that was sent.
    pub command: String,
    /// The problem's code.
    pub code: String,
    /// How many more were refused since the last such event without one of their own.
    pub unrecorded: u64,
}

/// What an event tells of events that were removed for their age.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PrunedFacts {
    /// The last of them.
    pub through: Revision,
    /// Its hash, which the oldest event that is left holds.
    pub hash: RecordHash,
    /// How many they were.
    pub records: u64,
}

/// What an event shows of its subject, before or after.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Facts {
    /// A key or administrator.
    Key(Box<KeyFacts>),
    /// The settings.
    Settings(SettingsFacts),
    /// One token.
    Token(Box<TokenNotice>),
    /// A command that was refused.
    Refused(RefusedFacts),
    /// Events that were removed.
    Pruned(PrunedFacts),
}

/// An event before the store has given it a revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventDraft {
    /// Its id.
    pub id: EventId,
    /// When what it tells of happened; for a settlement, when it fell due.
    pub at: Timestamp,
    /// When it is written down.
    pub written_at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// From where, if it came over the network.
    pub address: Option<IpAddr>,
    /// What was done.
    pub action: Action,
    /// To which key.
    pub key: Option<KeyId>,
    /// What was.
    pub before: Option<Facts>,
    /// What is.
    pub after: Option<Facts>,
}

/// One line of the audit log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its place among all changes.
    pub revision: Revision,
    /// When what it tells of happened; for a settlement, when it fell due.
    pub at: Timestamp,
    /// When it was written down; absent in the oldest events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_at: Option<Timestamp>,
    /// Who did it.
    pub actor: Actor,
    /// From where.
    pub address: Option<IpAddr>,
    /// What was done: `key.created`, `renewal.opened`, …
    pub action: ActionName,
    /// To which key.
    pub key: Option<KeyId>,
    /// What was.
    pub before: Option<Facts>,
    /// What is.
    pub after: Option<Facts>,
    /// The hash of the event before this one: see [`super::chain`].
    pub previous: RecordHash,
}

impl EventDraft {
    /// The event at its place among all changes, behind one of this hash.
    pub fn at_revision(self, realm: Realm, revision: Revision, previous: RecordHash) -> Event {
        let Self { id, at, written_at, actor, address, action, key, before, after } = self;
        let (action, written_at) = (ActionName(action, realm), Some(written_at));
        Event { id, revision, at, written_at, actor, address, action, key, before, after, previous }
    }
}

/// An action together with the realm of its subject, written as the event's name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ActionName(pub Action, pub Realm);

impl FromStr for ActionName {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        [Realm::Gateway, Realm::Admin]
            .into_iter()
            .flat_map(|realm| Action::ALL.map(|action| Self(action, realm)))
            .find(|Self(action, realm)| action.name(*realm) == name)
            .ok_or_else(|| Invalid::new("is not the name of an action"))
    }
}

impl Serialize for ActionName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name(self.1))
    }
}

impl<'de> Deserialize<'de> for ActionName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
