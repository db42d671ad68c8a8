//! A backup put back: keys as they were, beside those that came since.
//!
//! Promises: all of it in one transaction or none; revisions and versions go on upwards, past those of the backup; every
//! token that is accepted again, and every one that is not any more, is told; a plan changes nothing, and names the keys
//! that could not both be as they would be.
//! Deliberately does not: read a backup's text, or touch an administrator who is there.

use std::collections::{HashMap, HashSet};

use super::{Caller, Collision, Denied, Keyring, Refused, facts};
use crate::domain::{
    Action, ApiKey, Digest, EventDraft, Facts, KeyId, KeyName, Realm, Revision, Settings, Status, Timestamp, Token,
    Version, transition,
};
use crate::store::{Conflict, Feed, KeyRef, StoreError, Stored, What, Write};

/// What a backup holds.
pub struct Backup {
    /// The last revision of the store that it is of.
    pub revision: Revision,
    /// The settings.
    pub settings: Option<Settings>,
    /// The keys.
    pub keys: Vec<ApiKey>,
    /// The administrators.
    pub administrators: Vec<ApiKey>,
}

/// What is to be put back besides the keys, and what becomes of keys that the backup does not have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restoration {
    /// Keys that the backup does not have are deleted.
    pub newer: Newer,
    /// Administrators that are not there are put back.
    pub administrators: Administrators,
    /// Whether it is done, and under which plan's mark.
    pub run: super::Run,
}

/// What becomes of keys that the backup does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Newer {
    /// They stay.
    Keep,
    /// They are deleted.
    Delete,
}

/// Whether administrators that are not there are put back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Administrators {
    /// No.
    Leave,
    /// Yes.
    Restore,
}

/// What was put back, or would be.
#[derive(Debug, Default)]
pub struct Restored {
    /// Keys that are what they were in the backup.
    pub restored: Vec<(Realm, KeyId, KeyName)>,
    /// Keys that are deleted.
    pub deleted: Vec<(KeyId, KeyName)>,
    /// Keys that the backup does not have and that stay.
    pub kept: Vec<(KeyId, KeyName)>,
    /// Tokens that are accepted again: of which key, and their last characters.
    pub revives: Vec<(KeyName, String)>,
    /// Tokens that are accepted no longer.
    pub ends: Vec<(KeyName, String)>,
    /// How many are as they were.
    pub unchanged: usize,
    /// The settings are those of the backup.
    pub settings_changed: bool,
    /// The revision of the last change; `None` if nothing was done.
    pub revision: Option<Revision>,
    /// Tells two plans apart.
    pub mark: String,
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        Self::All(denied)
    }
}

impl Keyring {
    /// Everything in the store at one revision, up to the first `Synced`.
    pub fn snapshot(&self) -> Box<dyn Feed> {
        self.0.parts.store.subscribe()
    }

    /// Puts `backup` back. A race that is lost, with a first use perhaps, is run again.
    pub async fn restore(&self, backup: &Backup, how: &Restoration, caller: &Caller) -> Result<Restored, Refused> {
        for _ in 0..super::ATTEMPTS {
            match self.try_restore(backup, how, caller).await {
                Err(Refused::All(Denied::Store(StoreError::Conflict(Conflict::Revision)))) => {}
                done => return done,
            }
        }
        Err(Refused::All(Denied::Store(StoreError::Conflict(Conflict::Revision))))
    }

    async fn try_restore(&self, backup: &Backup, how: &Restoration, caller: &Caller) -> Result<Restored, Refused> {
        let is = self.stored_settings().await?;
        let after = settings_after(&is.value, backup.settings.as_ref());
        let mut plan = Planned::new(self.0.parts.clock.now(), (is.value.clone(), after));
        plan.push(Realm::Gateway, None, What::Raise(backup.revision), Vec::new());
        let before: HashMap<_, _> = self.living(Realm::Gateway).into_iter().map(|key| (key.id, key)).collect();
        let wanted: HashSet<_> = backup.keys.iter().map(|key| key.id).collect();
        for key in before.values().filter(|key| !wanted.contains(&key.id)) {
            self.plan_newer(key, how.newer, caller, &mut plan).await?;
        }
        for key in &backup.keys {
            self.plan_key(key, caller, &mut plan).await?;
        }
        for administrator in self.living(Realm::Admin) {
            plan.compare(Realm::Admin, Some(&administrator), Some(&administrator));
        }
        if how.administrators == Administrators::Restore {
            self.plan_administrators(&backup.administrators, caller, &mut plan)?;
        }
        self.plan_settings(is.revision, caller, &mut plan).await?;
        if !plan.collisions.is_empty() {
            return Err(Refused::Collisions(plan.collisions));
        }
        let (mut told, writes) = plan.finished();
        match &how.run {
            super::Run::Dry => return Ok(told),
            super::Run::Real(Some(mark)) if *mark != told.mark => return Err(Refused::PlanChanged),
            super::Run::Real(_) if writes.len() == 1 => return Ok(told), // nothing but the revision
            super::Run::Real(_) => {}
        }
        told.revision = Some(self.commit_all(writes).await?);
        Ok(told)
    }

    fn living(&self, realm: Realm) -> Vec<ApiKey> {
        let mut keys = Vec::new();
        self.0.parts.catalog.newest_first(realm, None, &mut |key| {
            keys.push(key);
            std::ops::ControlFlow::Continue(())
        });
        keys
    }

    async fn plan_newer(&self, key: &ApiKey, newer: Newer, caller: &Caller, plan: &mut Planned) -> Result<(), Refused> {
        let named = (key.id, key.name.clone());
        match newer {
            Newer::Keep => {
                plan.compare(Realm::Gateway, Some(key), Some(key));
                plan.told.kept.push(named);
            }
            Newer::Delete => {
                let Some(stored) = self.0.parts.store.load(Realm::Gateway, KeyRef::Id(key.id)).await? else {
                    return Ok(());
                };
                let now = self.0.parts.clock.now();
                let told = (Action::Deleted, Some(&*stored.value), None);
                let event = event(now, key.id, told, caller)?;
                plan.push(Realm::Gateway, Some(key.id), What::Delete(key.id, stored.revision, now), vec![event]);
                plan.compare(Realm::Gateway, Some(&stored.value), None);
                plan.told.deleted.push(named);
            }
        }
        Ok(())
    }

    /// One key as it was. Of one that lives the version goes on.
    async fn plan_key(&self, was: &ApiKey, caller: &Caller, plan: &mut Planned) -> Result<(), Refused> {
        let stored = self.0.parts.store.load(Realm::Gateway, KeyRef::Id(was.id)).await?;
        let is = stored.as_ref().map(|stored| &*stored.value);
        if is.is_some_and(|is| is_as_it_was(is, was)) {
            plan.compare(Realm::Gateway, is, is);
            plan.told.unchanged += 1;
            return Ok(());
        }
        let version = is.map_or(was.version, |is| is.version.max(was.version)).next();
        let key = ApiKey { version, ..was.clone() };
        plan.compare(Realm::Gateway, is, Some(&key));
        plan.told.restored.push((Realm::Gateway, key.id, key.name.clone()));
        let event = event(self.0.parts.clock.now(), key.id, (Action::Restored, is, Some(&key)), caller)?;
        let what = match &stored {
            Some(Stored { revision, .. }) => What::Replace(key, *revision),
            None => What::Revive(key),
        };
        plan.push(Realm::Gateway, Some(was.id), what, vec![event]);
        Ok(())
    }

    /// Administrators that are not there, and whose names are free.
    fn plan_administrators(
        &self,
        administrators: &[ApiKey],
        caller: &Caller,
        plan: &mut Planned,
    ) -> Result<(), Refused> {
        for was in administrators {
            let is_there = |key| self.0.parts.catalog.find(Realm::Admin, &key).is_some();
            if is_there(KeyRef::Id(was.id)) || is_there(KeyRef::Name(was.name.clone())) {
                plan.told.unchanged += 1;
                continue;
            }
            let key = ApiKey { version: was.version.next(), ..was.clone() };
            caller.grant(Realm::Admin, None, &key)?;
            plan.compare(Realm::Admin, None, Some(&key));
            plan.told.restored.push((Realm::Admin, key.id, key.name.clone()));
            let event = event(self.0.parts.clock.now(), key.id, (Action::Restored, None, Some(&key)), caller)?;
            plan.push(Realm::Admin, Some(was.id), What::Revive(key), vec![event]);
        }
        Ok(())
    }

    async fn plan_settings(&self, expected: Revision, caller: &Caller, plan: &mut Planned) -> Result<(), Refused> {
        let (is, after) = (plan.before.clone(), plan.after.clone());
        if after == is {
            return Ok(());
        }
        let facts = |settings| Some(Facts::Settings(crate::domain::audit::SettingsFacts::of(settings)));
        let now = self.0.parts.clock.now();
        let event =
            EventDraft { before: facts(&is), after: facts(&after), ..caller.does(Action::SettingsChanged, None, now)? };
        plan.told.settings_changed = true;
        plan.writes.extend(self.somebody_left_under(&is, &after).await?);
        plan.push(Realm::Gateway, None, What::Settings(after, expected), vec![event]);
        Ok(())
    }
}

/// The settings that are in force after `was` has been put back: a prefix that was ever used stays known.
fn settings_after(is: &Settings, was: Option<&Settings>) -> Settings {
    let Some(was) = was else { return is.clone() };
    let mut after = Settings { prefixes: is.prefixes.clone(), ..was.clone() };
    let unknown: Vec<_> = was.prefixes.iter().filter(|prefix| !after.prefixes.contains(prefix)).cloned().collect();
    after.prefixes.extend(unknown);
    after
}

/// A restoration about to be done.
struct Planned {
    told: Restored,
    now: Timestamp,
    /// The settings that are in force, and those that will be.
    before: Settings,
    after: Settings,
    writes: Vec<Write>,
    mark: Vec<u8>,
    /// Who will have what only one can have.
    holders: HashMap<Sole, (KeyId, KeyName)>,
    collisions: Vec<Collision>,
}

/// What only one key can have.
#[derive(PartialEq, Eq, Hash)]
enum Sole {
    /// A folded name in a realm.
    Name(Realm, String),
    /// A token, living or remembered.
    Token(Digest),
}

impl Planned {
    fn new(now: Timestamp, (before, after): (Settings, Settings)) -> Self {
        let (told, holders) = (Restored::default(), HashMap::new());
        Self { told, now, before, after, writes: Vec::new(), mark: Vec::new(), holders, collisions: Vec::new() }
    }

    /// Tells which tokens are accepted again, and which not any more, where a key `is` and `will` be so.
    fn compare(&mut self, realm: Realm, is: Option<&ApiKey>, will: Option<&ApiKey>) {
        if let Some(key) = will {
            self.hold(realm, key);
        }
        let accepted = |key, settings| accepted(key, settings, self.now);
        let had = is.map(|key| accepted(key, &self.before)).unwrap_or_default();
        let has = will.map(|key| accepted(key, &self.after)).unwrap_or_default();
        let revives = will.map(|key| hints(key, |digest| has.contains(digest) && !had.contains(digest)));
        let ends = is.map(|key| hints(key, |digest| had.contains(digest) && !has.contains(digest)));
        self.told.revives.extend(revives.unwrap_or_default());
        self.told.ends.extend(ends.unwrap_or_default());
    }

    /// Notes what `key` will have, and who would have it too.
    fn hold(&mut self, realm: Realm, key: &ApiKey) {
        let own = (key.id, key.name.clone());
        let name = (Conflict::NameTaken, Sole::Name(realm, key.name.folded()));
        let tokens = key.digests().map(|digest| (Conflict::DigestInUse, Sole::Token(digest)));
        for (what, sole) in std::iter::once(name).chain(tokens) {
            let before = self.holders.insert(sole, own.clone());
            let other = before.filter(|(id, _)| *id != key.id);
            self.collisions.extend(other.map(|holder| Collision { what, key: own.clone(), holder }));
        }
    }

    fn push(&mut self, realm: Realm, id: Option<KeyId>, what: What, events: Vec<EventDraft>) {
        let kind = match &what {
            What::Raise(revision) | What::Settings(_, revision) => format!("s{}", revision.0),
            What::Create(key) | What::Revive(key) => format!("c{:?}", key.version),
            What::Replace(key, revision) => format!("r{:?}{}", key.version, revision.0),
            What::Delete(_, revision, _) => format!("d{}", revision.0),
            What::Events | What::Expect(..) => String::new(),
        };
        self.mark.extend_from_slice(format!("{kind}{id:?}\n").as_bytes());
        self.writes.push(Write { realm, what, events });
    }

    fn finished(self) -> (Restored, Vec<Write>) {
        let Self { mut told, writes, mark, .. } = self;
        told.mark = hex::encode(&Digest::of(&mark).as_bytes()[..16]);
        (told, writes)
    }
}

/// Whether nothing differs but what counts and what was used.
fn is_as_it_was(is: &ApiKey, was: &ApiKey) -> bool {
    let plain = |key: &ApiKey| {
        let mut key = ApiKey { version: Version::FIRST, ended: Vec::new(), ..key.clone() };
        key.tokens.each_mut().for_each(|token| token.first_used_at = None);
        key
    };
    plain(is) == plain(was)
}

/// The digests of the tokens of `key` that are accepted at `now` under `settings`.
fn accepted(key: &ApiKey, settings: &Settings, now: Timestamp) -> HashSet<Digest> {
    if key.status == Status::Inactive {
        return HashSet::new();
    }
    let key = transition::settle(key, now, settings).key;
    let lives = |token: &&Token| !key.is_expired(token, settings, now);
    key.tokens.each().filter(lives).map(|token| token.digest).collect()
}

/// The last characters of those tokens of `key` that `which` lets through; of a token without them, its id.
fn hints(key: &ApiKey, which: impl Fn(&Digest) -> bool) -> Vec<(KeyName, String)> {
    let tokens = key.tokens.each().filter(|token| which(&token.digest));
    let shown = tokens.map(|token| token.hint.map_or_else(|| token.id.to_string(), |hint| format!("…{hint}")));
    shown.map(|shown| (key.name.clone(), shown)).collect()
}

fn event(
    now: Timestamp,
    id: KeyId,
    (action, before, after): (Action, Option<&ApiKey>, Option<&ApiKey>),
    caller: &Caller,
) -> Result<EventDraft, StoreError> {
    let (before, after) = (before.map(facts), after.map(facts));
    Ok(EventDraft { before, after, ..caller.does(action, Some(id), now)? })
}
