//! The write side: the story of one command, from load to "in force here".
//!
//! load → what is known of first uses → apply → commit → seen by the index. A commit that lost a race is tried again
//! from the load; a refusal changes nothing.
//!
//! Promises: a command is answered when its change is durable and the index of this node answers by it.
//! Deliberately does not: decide what a command does (the domain) or who may give it (the admin plane).

mod administrators;
mod batch;
mod examine;
mod follow;
mod notices;
mod order;
mod refused;
mod renewals;
mod restore;
mod settings;
mod settle;
mod superseded;
mod unused;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::sync::watch;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::domain::{
    Action, Actor, ApiKey, Authority, Command, Digest, Edit, EventDraft, EventId, Facts, KeyId, KeyName, Origin,
    Outcome, Prefix, Realm, Revision, Secret, Span, Status, Step, Timestamp, Token, TokenId, Tokens, Version,
    audit::KeyFacts, transition,
};
use crate::index::Index;
use crate::store::{Conflict, EventPage, EventQuery, KeyRef, Store, StoreError, Stored, What, Write};
use crate::usage::Usage;

use administrators::meant;
pub use batch::{Batch, Change, Collision, Existing, Given, Plan as BatchPlan, Refused, Run, Wanted};
pub use examine::{Examined, Examiner};
pub use follow::{Follower, follow};
pub use notices::Teller;
pub use order::{Caller, Denied, Done, Material, NewKey, Order, SettingsChange, SettingsDone};
pub use refused::RefusedCommand;
pub use renewals::{RenewalRow, Renewals};
pub use restore::{Administrators, Backup, Newer, Restoration, Restored};
use settings::InForce;
pub use settle::Settler;
pub use unused::InUse;

/// How often a command that loses the race for its key begins again.
const ATTEMPTS: usize = 32;
/// How long a change that is durable may take to be in force here.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(30);

/// Takes commands. Cheap to clone; every clone is the same keyring.
#[derive(Clone)]
pub struct Keyring(Arc<Shared>);

/// What a keyring is made of.
pub struct Parts {
    /// The durable truth.
    pub store: Arc<dyn Store>,
    /// Every key in memory.
    pub catalog: Catalog,
    /// The gateway's index.
    pub keys: Index,
    /// The admin plane's index.
    pub admins: Index,
    /// Who was used when.
    pub usage: Usage,
    /// What time it is.
    pub clock: Clock,
    /// What new tokens of keys begin with.
    pub prefix: Prefix,
    /// How long ended tokens are remembered.
    pub remember: Span,
}

struct Shared {
    parts: Parts,
    renewals: Renewals,
    settings: ArcSwap<InForce>,
    /// The last revision in force here; `None` until every key has been told once.
    in_force: watch::Sender<Option<Revision>>,
    /// What is known of the audit log's chain.
    examined: ArcSwap<Examined>,
    /// Refused commands that wait to be written down.
    refusals: refused::Refusals,
}

impl Keyring {
    /// A keyring of `parts`, knowing nothing until it [follows](follow) the store.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Shared {
            parts,
            renewals: Renewals::default(),
            settings: ArcSwap::from_pointee(InForce::at_first()),
            in_force: watch::Sender::new(None),
            examined: ArcSwap::default(),
            refusals: refused::Refusals::default(),
        }))
    }

    /// Creates a key.
    pub async fn create(&self, realm: Realm, new: NewKey, caller: &Caller) -> Result<Done, Denied> {
        let NewKey { name, attributes, status, material } = new;
        let attributes = meant(realm, Edit { duration: Some(attributes.duration.flatten()), ..attributes });
        let digest = material.digest();
        let (token, secret) = self.token(realm, material, Origin::Created)?;
        let (key, event) = self.newborn(name, attributes, status, token, caller)?;
        caller.grant(realm, None, &key)?;
        let name = KeyRef::Name(key.name.clone());
        match self.commit(Write { realm, what: What::Create(key.clone()), events: vec![event] }).await {
            Ok(revision) => Ok(Done { key: Arc::new(key), revision: Some(revision), secret }),
            Err(error @ StoreError::Conflict(_)) => self.created_before(realm, &name, (digest, error), caller).await,
            Err(error) => Err(error.into()),
        }
    }

    /// A key that is created now, and what is told of it.
    fn newborn(
        &self,
        name: KeyName,
        attributes: Edit,
        status: Status,
        token: Token,
        caller: &Caller,
    ) -> Result<(ApiKey, EventDraft), StoreError> {
        let now = self.0.parts.clock.now();
        let key = ApiKey {
            id: KeyId::new(now, entropy()?),
            name,
            roles: attributes.roles.unwrap_or_default(),
            limited_to_role: attributes.limited_to_role.flatten(),
            status,
            owner: attributes.owner.flatten(),
            note: attributes.note.flatten(),
            labels: attributes.labels.unwrap_or_default(),
            allowed_addresses: attributes.allowed_addresses.unwrap_or_default(),
            limits: attributes.limits.flatten(),
            self_service: attributes.self_service.unwrap_or_default(),
            created_at: now,
            duration: attributes.duration.flatten(),
            version: Version::FIRST,
            tokens: Tokens::Single { current: token },
            ended: Vec::new(),
        };
        let event = EventDraft { after: Some(facts(&key)), ..caller.does(Action::Created, Some(key.id), now)? };
        Ok((key, event))
    }

    /// The answer to a `create` that collided: a repetition of one with the same digest is harmless.
    async fn created_before(
        &self,
        realm: Realm,
        name: &KeyRef,
        (digest, error): (Option<Digest>, StoreError),
        caller: &Caller,
    ) -> Result<Done, Denied> {
        let known = self.0.parts.store.load(realm, name.clone()).await?;
        let known = known.filter(|known| caller.authority.sees(realm, &known.value));
        let repeated = known.filter(|known| match &known.value.tokens {
            Tokens::Single { current } => current.origin == Origin::Created && Some(current.digest) == digest,
            Tokens::Renewing { .. } => false,
        });
        let key = repeated.ok_or(error)?.value;
        Ok(Done { key, revision: None, secret: None })
    }

    /// Does what `order` says to the key, if it is at version `if_match` or none is named.
    pub async fn command(
        &self,
        realm: Realm,
        key: &KeyRef,
        order: Order,
        if_match: Option<Version>,
        caller: &Caller,
    ) -> Result<Done, Denied> {
        let guard = unused::Guard::of(&order);
        if let Some(guard) = guard {
            guard.prepare(self).await?;
        }
        let (command, secret) = self.prepare(realm, order)?;
        for _ in 0..ATTEMPTS {
            let (stored, mut outcome) = self.load_settled(realm, key).await?;
            caller.reach(realm, &outcome.key)?;
            check_version(&outcome.key, if_match)?;
            guard.map_or(Ok(()), |guard| guard.check(self, &outcome.key))?;
            let (now, settings) = (self.0.parts.clock.now(), self.0.settings.load());
            let applied = transition::apply(&outcome.key, command.clone(), &caller.actor, now, &settings.value)?;
            let renewed = applied.steps.iter().any(|step| step.before.tokens != step.after.tokens);
            outcome.key = applied.key;
            outcome.steps.extend(applied.steps);
            caller.grant(realm, Some(&stored.value), &outcome.key)?;
            let besides = self.somebody_left(realm, &stored.value, Some(&outcome.key)).await?;
            match self.write_steps(realm, &stored, &outcome, (caller, besides)).await {
                Ok(revision) => {
                    let secret = secret.filter(|_| renewed);
                    return Ok(Done { key: Arc::new(outcome.key), revision, secret });
                }
                Err(StoreError::Conflict(Conflict::Revision)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Denied::Store(StoreError::Conflict(Conflict::Revision)))
    }

    /// Deletes the key: every one of its tokens is refused from now on.
    pub async fn delete(
        &self,
        realm: Realm,
        key: &KeyRef,
        if_match: Option<Version>,
        caller: &Caller,
    ) -> Result<Revision, Denied> {
        for _ in 0..ATTEMPTS {
            let (stored, outcome) = self.load_settled(realm, key).await?;
            caller.reach(realm, &outcome.key)?;
            check_version(&outcome.key, if_match)?;
            let besides = self.somebody_left(realm, &stored.value, None).await?;
            let now = self.0.parts.clock.now();
            let id = stored.value.id;
            let event =
                EventDraft { before: Some(facts(&outcome.key)), ..caller.does(Action::Deleted, Some(id), now)? };
            let what = What::Delete(id, stored.revision, now);
            let write = Write { realm, what, events: vec![event] };
            match self.commit_all(std::iter::once(write).chain(besides).collect()).await {
                Ok(revision) => return Ok(revision),
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Denied::Store(StoreError::Conflict(Conflict::Revision)))
    }

    /// The key as it is now, what has fallen due settled, if whoever has this authority may know of it.
    pub async fn load(&self, realm: Realm, key: &KeyRef, authority: &Authority) -> Result<Arc<ApiKey>, Denied> {
        let (_, outcome) = self.load_settled(realm, key).await?;
        if authority.sees(realm, &outcome.key) { Ok(Arc::new(outcome.key)) } else { Err(Denied::NotFound(realm)) }
    }

    /// A page of the audit log.
    pub async fn events(&self, query: EventQuery) -> Result<EventPage, Denied> {
        Ok(self.0.parts.store.events(query).await?)
    }

    /// The last revision in force on this node.
    pub fn revision(&self) -> Revision {
        self.0.in_force.borrow().unwrap_or_default()
    }

    /// Waits until a revision after `revision` is in force on this node.
    pub async fn after(&self, revision: Revision) {
        // The sender lives as long as this keyring, so the wait ends with that revision only.
        self.0.in_force.subscribe().wait_for(|applied| *applied > Some(revision)).await.ok();
    }

    /// Waits until every key has been told once.
    pub async fn loaded(&self) {
        // The sender lives as long as this keyring, so the wait ends with the first revision only.
        self.0.in_force.subscribe().wait_for(Option::is_some).await.ok();
    }

    /// What new tokens of keys begin with.
    pub fn prefix(&self) -> &Prefix {
        &self.0.parts.prefix
    }

    /// Which keys are being renewed.
    pub fn renewals(&self) -> &Renewals {
        &self.0.renewals
    }

    fn prepare(&self, realm: Realm, order: Order) -> Result<(Command, Option<Secret>), Denied> {
        Ok(match order {
            Order::Renew(material, plan) => {
                let (new, secret) = self.token(realm, material, Origin::Renewed)?;
                (Command::Renew { new, plan }, secret)
            }
            Order::RenewNow(material) => {
                let (new, secret) = self.token(realm, material, Origin::Renewed)?;
                (Command::RenewNow { new }, secret)
            }
            Order::ChangePlan(plan) => (Command::ChangePlan { plan }, None),
            Order::DeleteOld | Order::DeleteOldUnlessUsed(_) => (Command::DeleteOld, None),
            Order::Undo | Order::UndoUnlessUsed(_) => (Command::Undo, None),
            Order::Edit(edit) => (Command::Edit(Box::new(meant(realm, *edit))), None),
        })
    }

    /// A token of `material`, and its secret if it was drawn here.
    fn token(&self, realm: Realm, material: Material, origin: Origin) -> Result<(Token, Option<Secret>), Denied> {
        let now = self.0.parts.clock.now();
        let id = TokenId::new(now, entropy()?);
        Ok(match material {
            Material::Mint => {
                let administrators = Prefix::administrators();
                let prefix = match realm {
                    Realm::Gateway => &self.0.parts.prefix,
                    Realm::Admin => &administrators,
                };
                let secret = Secret::mint(prefix, &mut rand::rng());
                (Token::of(&secret, id, now, origin), Some(secret))
            }
            Material::Digest(digest) => (Token::of_digest(digest, id, now, origin), None),
            Material::Import(secret) => (Token::of(&secret, id, now, origin), None),
        })
    }

    /// The key's record, and the key with everything done to it that is known here and due by now.
    async fn load_settled(&self, realm: Realm, key: &KeyRef) -> Result<(Stored<Arc<ApiKey>>, Outcome), Denied> {
        let stored = self.0.parts.store.load(realm, key.clone()).await?.ok_or(Denied::NotFound(realm))?;
        let mut used = self.with_known_first_use(realm, &stored.value);
        let now = self.0.parts.clock.now();
        let settled = self.0.settings.load().settle(&used.key, now);
        used.steps.extend(settled.steps);
        Ok((stored, Outcome { key: settled.key, steps: used.steps }))
    }

    /// A first use of a new token that the index has seen and the store has not: it decides about a deadline.
    fn with_known_first_use(&self, realm: Realm, key: &ApiKey) -> Outcome {
        let unchanged = Outcome { key: key.clone(), steps: Vec::new() };
        let Tokens::Renewing { new, .. } = &key.tokens else { return unchanged };
        let seen = self.index(realm).find(&new.digest).and_then(|pass| pass.new_first_used());
        match seen.and_then(|at| transition::first_use(key, new.id, at)) {
            Some((key, step)) => Outcome { key, steps: step.into_iter().collect() },
            None => unchanged,
        }
    }

    fn index(&self, realm: Realm) -> &Index {
        match realm {
            Realm::Gateway => &self.0.parts.keys,
            Realm::Admin => &self.0.parts.admins,
        }
    }

    /// Commits what `outcome` has made of `stored`, and what must be so besides. `None` if that is nothing.
    async fn write_steps(
        &self,
        realm: Realm,
        stored: &Stored<Arc<ApiKey>>,
        outcome: &Outcome,
        (caller, besides): (&Caller, Option<Write>),
    ) -> Result<Option<Revision>, StoreError> {
        if outcome.key == *stored.value {
            return Ok(None);
        }
        let write = self.write(realm, stored, outcome, caller)?;
        self.commit_all(std::iter::once(write).chain(besides).collect()).await.map(Some)
    }

    fn write(
        &self,
        realm: Realm,
        stored: &Stored<Arc<ApiKey>>,
        outcome: &Outcome,
        caller: &Caller,
    ) -> Result<Write, StoreError> {
        let now = self.0.parts.clock.now();
        let key = transition::forget(&outcome.key, now, self.0.parts.remember).unwrap_or_else(|| outcome.key.clone());
        let events = outcome.steps.iter().map(|step| event_of(step, caller, now)).collect::<Result<_, _>>()?;
        Ok(Write { realm, what: What::Replace(key, stored.revision), events })
    }

    /// Commits one write and waits until it is in force on this node.
    async fn commit(&self, write: Write) -> Result<Revision, StoreError> {
        self.commit_all(vec![write]).await
    }

    async fn commit_all(&self, writes: Vec<Write>) -> Result<Revision, StoreError> {
        let revision = self.0.parts.store.commit(writes).await?;
        let mut in_force = self.0.in_force.subscribe();
        let seen = in_force.wait_for(|applied| *applied >= Some(revision));
        match tokio::time::timeout(IN_FORCE_WITHIN, seen).await {
            Ok(Ok(_)) => Ok(revision),
            Ok(Err(_)) | Err(_) => {
                Err(StoreError::Unavailable("the change is durable, but not yet in force on this node".into()))
            }
        }
    }
}

fn check_version(key: &ApiKey, if_match: Option<Version>) -> Result<(), Denied> {
    match if_match {
        Some(version) if version != key.version => Err(Denied::VersionMismatch { current: key.version }),
        Some(_) | None => Ok(()),
    }
}

fn event_of(step: &Step, caller: &Caller, now: Timestamp) -> Result<EventDraft, StoreError> {
    let own = step.actor.as_str() == Actor::RELEVO;
    Ok(EventDraft {
        id: EventId::new(step.at, entropy()?),
        at: step.at,
        written_at: now,
        actor: step.actor.clone(),
        address: caller.address.filter(|_| !own),
        action: step.action,
        key: Some(step.after.id),
        before: Some(facts(&step.before)),
        after: Some(facts(&step.after)),
    })
}

/// What an event says of a key.
fn facts(key: &ApiKey) -> Facts {
    Facts::Key(Box::new(KeyFacts::of(key)))
}

/// Ten bytes from the system's source of randomness.
fn entropy() -> Result<[u8; 10], StoreError> {
    let mut bytes = [0; 10];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| StoreError::Unavailable(format!("the system gives no randomness: {error}")))?;
    Ok(bytes)
}

impl Material {
    fn digest(&self) -> Option<Digest> {
        match self {
            Self::Mint => None,
            Self::Digest(digest) => Some(*digest),
            Self::Import(secret) => Some(secret.digest()),
        }
    }
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(Conflict::NameTaken) => Self::NameTaken,
            StoreError::Conflict(Conflict::DigestInUse) => Self::Refused(crate::domain::Refusal::DigestInUse),
            error
            @ (StoreError::Conflict(Conflict::Revision) | StoreError::Unavailable(_) | StoreError::Corrupt(_)) => {
                Self::Store(error)
            }
        }
    }
}
