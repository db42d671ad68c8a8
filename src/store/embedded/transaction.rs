//! What one commit writes, and what must be so for it to be written.
//!
//! Promises: names and digests are unique and revisions match, looked up in the very transaction that writes; what one
//! write lets go of, another of the same commit may take, whichever comes first; every write and its events get revisions
//! without a gap, in their order.
//! Deliberately does not: begin or end the transaction.

use std::collections::HashSet;
use std::sync::Arc;

use super::fault::Fault;
use super::row::{self, Owner, State};
use super::table::{Tables, WriteTable, event_key, nth};
use crate::domain::{ApiKey, Digest, EventDraft, Head, KeyId, Realm, RecordHash, Revision, Settings, Timestamp};
use crate::store::feed::Batch;
use crate::store::record;
use crate::store::{Conflict, Notice, Stored, What, Write};

/// Writes `writes` into `tables`. Whatever error is answered, the transaction must be given up.
pub(super) fn apply(tables: &mut Tables<WriteTable<'_>>, writes: Vec<Write>) -> Result<Batch, Fault> {
    let mut commit = Commit { state: tables.state()?, chain: tables.chain()?, tables };
    for Write { realm, what, .. } in &writes {
        commit.free(*realm, what)?;
    }
    let mut notices = Vec::with_capacity(writes.len());
    for Write { realm, what, events } in writes {
        if let What::Expect(id, revision) = what {
            commit.expect(realm, id, revision)?;
            continue;
        }
        if let What::Raise(least) = &what {
            commit.state.last = commit.state.last.max(*least);
        }
        let revision = commit.tell(realm, events)?;
        notices.extend(commit.write(realm, what, revision)?);
    }
    let Commit { state, chain, tables } = commit;
    tables.put_chain(chain)?;
    tables.put_state(state)?;
    Ok(Batch { notices, last: state.last })
}

/// A commit half done.
struct Commit<'a, 't> {
    tables: &'a mut Tables<WriteTable<'t>>,
    state: State,
    chain: Head,
}

impl Commit<'_, '_> {
    /// Lets go of the name and the digests that will not be the key's any more.
    fn free(&mut self, realm: Realm, what: &What) -> Result<(), Fault> {
        match what {
            What::Replace(key, expected) => {
                let before = self.expect(realm, key.id, *expected)?;
                if before.name.folded() != key.name.folded() {
                    self.free_name(realm, &before)?;
                }
                let has: HashSet<Digest> = key.digests().collect();
                self.free_digests(before.digests().filter(|digest| !has.contains(digest)))
            }
            What::Delete(id, expected, _) => {
                let key = self.expect(realm, *id, *expected)?;
                self.free_name(realm, &key)
            }
            What::Revive(key) => {
                let owner = Owner { realm, id: key.id };
                let Some((_, deleted)) = self.tables.deleted(owner)? else { return Ok(()) };
                self.tables.deleted.remove(&owner.to_bytes())?;
                self.free_digests(deleted.digests())
            }
            What::Create(_) | What::Settings(..) | What::Events | What::Raise(_) | What::Expect(..) => Ok(()),
        }
    }

    /// Writes the events of one write and answers its revision.
    fn tell(&mut self, realm: Realm, events: Vec<EventDraft>) -> Result<Revision, Fault> {
        if events.is_empty() {
            self.state.last = self.state.last.next();
        }
        for draft in events {
            self.state.last = self.state.last.next();
            let key = event_key(self.state.last);
            let event = draft.at_revision(realm, self.state.last, self.chain.hash);
            let damaged = |damage| Fault::damaged(&self.tables.events.place(&key), &damage);
            let record = record::encode_event(&event).map_err(damaged)?;
            let hash = RecordHash::of(record::event_line(&record).map_err(damaged)?);
            self.chain = Head { revision: self.state.last, hash };
            self.tables.events.put(&key, record)?;
        }
        Ok(self.state.last)
    }

    fn write(&mut self, realm: Realm, what: What, revision: Revision) -> Result<Option<Notice>, Fault> {
        let notice = match what {
            What::Create(key) | What::Revive(key) => self.create(realm, key, revision),
            What::Replace(key, expected) => self.replace(realm, key, expected, revision),
            What::Delete(id, expected, at) => self.delete(realm, id, (expected, at), revision),
            What::Settings(settings, expected) => self.set(settings, expected, revision),
            What::Events | What::Raise(_) | What::Expect(..) => return Ok(None),
        };
        notice.map(Some)
    }

    fn create(&mut self, realm: Realm, key: ApiKey, revision: Revision) -> Result<Notice, Fault> {
        let owner = Owner { realm, id: key.id };
        if self.tables.key(realm, key.id)?.is_some() || self.tables.deleted(owner)?.is_some() {
            return Err(Conflict::Revision.into());
        }
        self.take_name(realm, &key)?;
        self.take_digests(owner, key.digests())?;
        self.state.living[nth(realm)] += 1;
        self.put(realm, key, revision)
    }

    fn replace(&mut self, realm: Realm, key: ApiKey, expected: Revision, revision: Revision) -> Result<Notice, Fault> {
        let before = self.expect(realm, key.id, expected)?;
        if before.name.folded() != key.name.folded() {
            self.take_name(realm, &key)?;
        }
        let (had, has): (HashSet<Digest>, HashSet<Digest>) = (before.digests().collect(), key.digests().collect());
        self.take_digests(Owner { realm, id: key.id }, has.difference(&had).copied())?;
        self.put(realm, key, revision)
    }

    fn delete(
        &mut self,
        realm: Realm,
        id: KeyId,
        (expected, at): (Revision, Timestamp),
        revision: Revision,
    ) -> Result<Notice, Fault> {
        let key = self.expect(realm, id, expected)?;
        self.tables.keys[nth(realm)].remove(&row::id_bytes(id))?;
        let living = row::with_revision(&record::encode_key(&key), revision);
        self.tables.deleted.put(&Owner { realm, id }.to_bytes(), row::with_end(&living, at))?;
        let place = self.tables.keys[nth(realm)].place(&row::id_bytes(id));
        let living = &mut self.state.living[nth(realm)];
        *living = living
            .checked_sub(1)
            .ok_or_else(|| Fault::contradiction(&place, "the store counts no key, and yet there is one"))?;
        Ok(Notice::Remove(realm, revision, id))
    }

    fn set(&mut self, settings: Settings, expected: Revision, revision: Revision) -> Result<Notice, Fault> {
        let current = self.tables.settings()?.map_or(Revision::default(), |stored| stored.revision);
        if current != expected {
            return Err(Conflict::Revision.into());
        }
        self.tables.put_settings(&settings, revision)?;
        Ok(Notice::Settings(revision, Arc::new(settings)))
    }

    /// The living key as it is, if it is of the expected revision.
    fn expect(&self, realm: Realm, id: KeyId, expected: Revision) -> Result<ApiKey, Fault> {
        match self.tables.key(realm, id)? {
            Some(Stored { value, revision }) if revision == expected => Ok(value),
            Some(_) | None => Err(Conflict::Revision.into()),
        }
    }

    fn put(&mut self, realm: Realm, key: ApiKey, revision: Revision) -> Result<Notice, Fault> {
        let content = row::with_revision(&record::encode_key(&key), revision);
        self.tables.keys[nth(realm)].put(&row::id_bytes(key.id), content)?;
        Ok(Notice::Put(realm, revision, Arc::new(key)))
    }

    fn take_name(&mut self, realm: Realm, key: &ApiKey) -> Result<(), Fault> {
        let folded = key.name.folded();
        if self.tables.named(realm, &folded)?.is_some() {
            return Err(Conflict::NameTaken.into());
        }
        self.tables.names[nth(realm)].put(folded.as_bytes(), row::id_bytes(key.id).to_vec())
    }

    fn free_name(&mut self, realm: Realm, key: &ApiKey) -> Result<(), Fault> {
        self.tables.names[nth(realm)].remove(key.name.folded().as_bytes())
    }

    fn free_digests(&mut self, mut digests: impl Iterator<Item = Digest>) -> Result<(), Fault> {
        digests.try_for_each(|digest| self.tables.digests.remove(digest.as_bytes()))
    }

    /// Gives `owner` digests that nobody has; one that comes twice is somebody's already.
    fn take_digests(&mut self, owner: Owner, digests: impl Iterator<Item = Digest>) -> Result<(), Fault> {
        for digest in digests {
            if self.tables.owner(&digest)?.is_some() {
                return Err(Conflict::DigestInUse.into());
            }
            self.tables.digests.put(digest.as_bytes(), owner.to_bytes())?;
        }
        Ok(())
    }
}
