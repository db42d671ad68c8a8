//! Many keys at once, as somebody has written them down: an import, or a file that keys are to agree with.
//!
//! Promises: all of it is done, in one transaction, or none of it; every key that stands in the way is named; a plan
//! tells what would be done and changes nothing; what is as it should be already is left alone.
//! Deliberately does not: delete a key, or end a token. Another digest for a key opens a renewal.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::{ATTEMPTS, Caller, Denied, Keyring, event_of};
use crate::domain::audit::KeyFacts;
use crate::domain::{
    Action, Command, Digest, Edit, Hint, KeyId, KeyName, Origin, Outcome, Plan as RenewalPlan, Realm, Refusal,
    Revision, Status, Token, TokenId, Tokens, transition,
};
use crate::store::{Conflict, KeyRef, StoreError, What, Write};

/// One key as it is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name.
    pub name: KeyName,
    /// Its other attributes, `status` included; what is `None` is not looked at.
    pub attributes: Edit,
    /// The token that it is to have. A key that is not there yet needs one.
    pub token: Option<Given>,
}

/// A token that is known elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Given {
    /// Its digest.
    pub digest: Digest,
    /// Its last four characters, if it has 32 or more.
    pub hint: Option<Hint>,
    /// Whether it is shorter than a token should be.
    pub weak: bool,
}

/// What is done with a key that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    /// It stands in the way, unless it has the very token that is given.
    Refuse,
    /// It is changed.
    Change,
}

/// Whether it is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Run {
    /// No: it is only told what would be.
    Dry,
    /// Yes; with a plan's mark only if the plan would still be the same.
    Real(Option<String>),
}

/// Many keys at once.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The keys.
    pub wanted: Vec<Wanted>,
    /// What is done with those that are there already.
    pub existing: Existing,
    /// Whether it is done.
    pub run: Run,
}

/// What is done to one key.
#[derive(Clone, Debug)]
pub struct Change {
    /// The key's name.
    pub name: KeyName,
    /// Its id; of a key that a plan would create there is none.
    pub id: Option<KeyId>,
    /// What is done, in order; never empty.
    pub actions: Vec<Action>,
    /// What it was.
    pub before: Option<KeyFacts>,
    /// What it is then.
    pub after: KeyFacts,
}

/// What was done, or would be.
#[derive(Debug)]
pub struct Plan {
    /// The keys that change.
    pub changes: Vec<Change>,
    /// How many are as they should be.
    pub unchanged: usize,
    /// Tells two plans apart.
    pub mark: String,
    /// The revision of the last change; `None` if nothing was done.
    pub revision: Option<Revision>,
}

/// Why none of it was done.
#[derive(Debug)]
pub enum Refused {
    /// These keys stand in the way: their places, and why.
    Rows(Vec<(usize, Denied)>),
    /// The plan would be another now.
    PlanChanged,
    /// These keys would have the same name or token.
    Collisions(Vec<Collision>),
    /// All of it was refused.
    All(Denied),
}

/// Two keys that cannot both be as they would be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Collision {
    /// What both would have: [`Conflict::NameTaken`] or [`Conflict::DigestInUse`].
    pub what: Conflict,
    /// The key, or administrator, that is to be written.
    pub key: (KeyId, KeyName),
    /// The one that would have it too.
    pub holder: (KeyId, KeyName),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::All(error.into())
    }
}

/// A change with its write.
struct Ready {
    change: Change,
    /// The tokens that the key has then.
    tokens: Vec<Given>,
    write: Write,
}

impl Keyring {
    /// Does `batch` for API keys, whole or not at all.
    pub async fn batch(&self, batch: Batch, caller: &Caller) -> Result<Plan, Refused> {
        for attempt in 0..ATTEMPTS {
            let (ready, unchanged) = match self.prepare_batch(&batch, caller).await {
                // Somebody may have made these very keys, and the catalogue not have heard of it: it is asked again then.
                Err(Refused::Rows(_)) if attempt == 0 => {
                    self.commit_all(Vec::new()).await?;
                    continue;
                }
                prepared => prepared?,
            };
            let mark = mark(&ready);
            let (changes, writes): (_, Vec<_>) = ready.into_iter().map(|ready| (ready.change, ready.write)).unzip();
            let plan = Plan { changes, unchanged, mark, revision: None };
            match &batch.run {
                Run::Dry => return Ok(plan),
                Run::Real(Some(mark)) if *mark != plan.mark => return Err(Refused::PlanChanged),
                Run::Real(_) if writes.is_empty() => return Ok(plan),
                Run::Real(_) => {}
            }
            match self.commit_all(writes).await {
                Ok(revision) => return Ok(Plan { revision: Some(revision), ..plan }),
                // Somebody was faster: the next look names what stands in the way.
                Err(StoreError::Conflict(_)) => drop(self.commit_all(Vec::new()).await?),
                Err(error @ (StoreError::Unavailable(_) | StoreError::Corrupt(_))) => return Err(error.into()),
            }
        }
        Err(Refused::All(Denied::Store(StoreError::Conflict(crate::store::Conflict::Revision))))
    }

    async fn prepare_batch(&self, batch: &Batch, caller: &Caller) -> Result<(Vec<Ready>, usize), Refused> {
        let taken = self.taken(&batch.wanted).await?;
        let (mut ready, mut refused, mut unchanged) = (Vec::new(), Vec::new(), 0);
        let (mut names, mut digests) = (HashMap::new(), HashMap::new());
        for (at, (wanted, taken)) in batch.wanted.iter().zip(taken).enumerate() {
            let is_twice = names.insert(wanted.name.folded(), at).is_some();
            let digest = wanted.token.map(|token| token.digest);
            let is_digest_twice = digest.is_some_and(|digest| digests.insert(digest, at).is_some());
            let prepared = match (is_twice, is_digest_twice) {
                (true, _) => Err(Denied::NameTaken),
                (_, true) => Err(Denied::Refused(Refusal::DigestInUse)),
                (false, false) => self.prepare_one(wanted, taken, batch.existing, caller).await,
            };
            match prepared {
                Ok(Some(one)) => ready.push(one),
                Ok(None) => unchanged += 1,
                Err(Denied::Store(error @ (StoreError::Unavailable(_) | StoreError::Corrupt(_)))) => {
                    return Err(error.into());
                }
                Err(denied) => refused.push((at, denied)),
            }
        }
        if refused.is_empty() { Ok((ready, unchanged)) } else { Err(Refused::Rows(refused)) }
    }

    /// Of each key, whether its token is or was in use somewhere.
    async fn taken(&self, wanted: &[Wanted]) -> Result<Vec<bool>, StoreError> {
        let digests = wanted.iter().filter_map(|wanted| wanted.token).map(|token| token.digest).collect();
        let mut taken = self.0.parts.store.are_taken(digests).await?.into_iter();
        Ok(wanted.iter().map(|wanted| wanted.token.is_some() && taken.next().unwrap_or_default()).collect())
    }

    async fn prepare_one(
        &self,
        wanted: &Wanted,
        taken: bool,
        existing: Existing,
        caller: &Caller,
    ) -> Result<Option<Ready>, Denied> {
        let name = KeyRef::Name(wanted.name.clone());
        // The catalogue knows every name in force here; one that came since is a conflict of the commit.
        if self.0.parts.catalog.find(Realm::Gateway, &name).is_none() {
            return self.prepare_new(wanted, taken, caller).map(Some);
        }
        match existing {
            Existing::Refuse => {
                let key = self.load(Realm::Gateway, &name, &caller.authority).await.map_err(hidden)?;
                let has_it = |given: Given| key.tokens.each().any(|token| token.digest == given.digest);
                if wanted.token.is_some_and(has_it) { Ok(None) } else { Err(Denied::NameTaken) }
            }
            Existing::Change => self.prepare_change(wanted, taken, &name, caller).await,
        }
    }

    fn prepare_new(&self, wanted: &Wanted, taken: bool, caller: &Caller) -> Result<Ready, Denied> {
        let given = wanted.token.ok_or(Denied::NoToken)?;
        if taken {
            return Err(Denied::Refused(Refusal::DigestInUse));
        }
        let first = self.given(given, Origin::Created)?;
        let status = wanted.attributes.status.unwrap_or(Status::Active);
        let (name, attributes) = (wanted.name.clone(), wanted.attributes.clone());
        let (key, event) = self.newborn(name, attributes, status, first, caller)?;
        caller.grant(Realm::Gateway, None, &key)?;
        let (name, actions, after) = (key.name.clone(), vec![Action::Created], KeyFacts::of(&key));
        let change = Change { name, id: Some(key.id), actions, before: None, after };
        let tokens = material(&key.tokens);
        let write = Write { realm: Realm::Gateway, what: What::Create(key), events: vec![event] };
        Ok(Ready { change, tokens, write })
    }

    async fn prepare_change(
        &self,
        wanted: &Wanted,
        taken: bool,
        name: &KeyRef,
        caller: &Caller,
    ) -> Result<Option<Ready>, Denied> {
        let (stored, mut outcome) = self.load_settled(Realm::Gateway, name).await?;
        caller.reach(Realm::Gateway, &outcome.key).map_err(hidden)?;
        let mut commands = vec![Command::Edit(Box::new(Edit { name: None, ..wanted.attributes.clone() }))];
        if let Some(given) = wanted.token.filter(|given| !has(&outcome.key.tokens, given)) {
            if taken {
                return Err(Denied::Refused(Refusal::DigestInUse));
            }
            commands.push(Command::Renew { new: self.given(given, Origin::Renewed)?, plan: RenewalPlan::LATER });
        }
        let first = outcome.steps.len();
        let (now, settings) = (self.0.parts.clock.now(), self.0.settings.load());
        for command in commands {
            let applied = transition::apply(&outcome.key, command, &caller.actor, now, &settings.value)?;
            outcome = Outcome { key: applied.key, steps: [outcome.steps, applied.steps].concat() };
        }
        caller.grant(Realm::Gateway, Some(&stored.value), &outcome.key)?;
        let Some(steps) = outcome.steps.get(first..).filter(|steps| !steps.is_empty()) else { return Ok(None) };
        let change = Change {
            name: outcome.key.name.clone(),
            id: Some(outcome.key.id),
            actions: steps.iter().map(|step| step.action).collect(),
            before: Some(KeyFacts::of(&steps[0].before)),
            after: KeyFacts::of(&outcome.key),
        };
        let events = outcome.steps.iter().map(|step| event_of(step, caller, now)).collect::<Result<_, _>>()?;
        let tokens = material(&outcome.key.tokens);
        let what = What::Replace(outcome.key, stored.revision);
        Ok(Some(Ready { change, tokens, write: Write { realm: Realm::Gateway, what, events } }))
    }

    /// A token of which the digest is known, and perhaps more.
    fn given(&self, given: Given, origin: Origin) -> Result<Token, StoreError> {
        let now = self.0.parts.clock.now();
        let id = TokenId::new(now, super::entropy()?);
        let Given { digest, hint, weak } = given;
        Ok(Token { hint, weak, ..Token::of_digest(digest, id, now, origin) })
    }
}

/// Of a key that the caller may not know of he learns what whoever creates one learns: that its name is taken.
fn hidden(denied: Denied) -> Denied {
    if matches!(denied, Denied::NotFound(_)) { Denied::NameTaken } else { denied }
}

fn has(tokens: &Tokens, given: &Given) -> bool {
    tokens.each().any(|token| token.digest == given.digest)
}

/// A digest of which keys change, from what, how, and into what. What every run draws or dates anew is left out.
fn mark(ready: &[Ready]) -> String {
    let mut hasher = Sha256::new();
    for Ready { change: Change { name, actions, before, after, .. }, tokens, .. } in ready {
        let version = before.as_ref().map_or(0, |before| before.version);
        let attributes = KeyFacts { tokens: Vec::new(), renewal: None, ..after.clone() };
        hasher.update(format!("{name}\n{version} {actions:?}\n{attributes:?}\n{tokens:?}\n"));
    }
    hex::encode(&hasher.finalize()[..16])
}

/// What is known elsewhere too of a key's tokens.
fn material(tokens: &Tokens) -> Vec<Given> {
    tokens.each().map(|&Token { digest, hint, weak, .. }| Given { digest, hint, weak }).collect()
}
