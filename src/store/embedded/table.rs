//! The tables of the file, and what a row of each means.
//!
//! Promises: every row read is checked, and is the row of its key: an error names table and key.
//! Deliberately does not: decide what may be written. That is `transaction`.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::fault::Fault;
use super::row::{self, Owner, Place, State};
use crate::domain::{ApiKey, Digest, Event, Head, KeyId, Realm, Revision, Settings, Timestamp};
use crate::store::record::{self, Damaged};
use crate::store::{KeyRef, Stored};

/// The version of all that `docs/store-format.md` describes but the records, which carry their own.
pub(super) const FORMAT: u32 = 2;

type Bytes = &'static [u8];
/// A table in a transaction that reads.
pub(super) type ReadTable = ReadOnlyTable<Bytes, Bytes>;
/// A table in a transaction that writes.
pub(super) type WriteTable<'t> = Table<'t, Bytes, Bytes>;

const KEYS: [&str; 2] = ["gateway.keys", "admin.keys"];
const NAMES: [&str; 2] = ["gateway.names", "admin.names"];
const DIGESTS: &str = "digests";
const DELETED: &str = "deleted";
const EVENTS: &str = "events";
const META: &str = "meta";

const FORMAT_ROW: &[u8] = b"format";
const STATE_ROW: &[u8] = b"state";
const CHAIN_ROW: &[u8] = b"chain";
const SETTINGS_ROW: &[u8] = b"settings";
const TRIAL_ROW: &[u8] = b"trial";

/// As much as a command writes, and more.
const TRIAL_LENGTH: usize = 64 * 1024;

/// The place of a realm in every pair of tables.
pub(super) const fn nth(realm: Realm) -> usize {
    match realm {
        Realm::Gateway => 0,
        Realm::Admin => 1,
    }
}

/// A table and its name.
pub(super) struct Named<T> {
    pub(super) name: &'static str,
    pub(super) rows: T,
}

impl<T> Named<T> {
    /// The place of the row under `key`.
    pub(super) fn place(&self, key: &[u8]) -> Place {
        Place { table: self.name, key: key.to_vec() }
    }
}

impl<T: ReadableTable<Bytes, Bytes>> Named<T> {
    /// What `read` makes of the row under `key`, if there is one.
    pub(super) fn row<V>(
        &self,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<V, Damaged>,
    ) -> Result<Option<V>, Fault> {
        let Some(row) = self.rows.get(key)? else {
            return Ok(None);
        };
        self.read(key, row.value(), read).map(Some)
    }

    /// What `read` makes of `row`, found under `key`.
    pub(super) fn read<V>(
        &self,
        key: &[u8],
        row: &[u8],
        read: impl FnOnce(&[u8]) -> Result<V, Damaged>,
    ) -> Result<V, Fault> {
        row::open(key, row).and_then(read).map_err(|damage| Fault::damaged(&self.place(key), &damage))
    }
}

impl Named<WriteTable<'_>> {
    /// Writes `content` under `key`, in place of what was there.
    pub(super) fn put(&mut self, key: &[u8], content: Vec<u8>) -> Result<(), Fault> {
        self.rows.insert(key, row::seal(key, content).as_slice())?;
        Ok(())
    }

    /// Removes the row under `key`.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<(), Fault> {
        self.rows.remove(key)?;
        Ok(())
    }
}

/// All tables, in one transaction.
pub(super) struct Tables<T> {
    /// Per realm: id → revision and record of a living key.
    pub(super) keys: [Named<T>; 2],
    /// Per realm: folded name → id of the living key that has it.
    pub(super) names: [Named<T>; 2],
    /// Digest → whose it is: of every token living, remembered or deleted.
    pub(super) digests: Named<T>,
    /// Realm and id → when it was deleted, and its last row.
    pub(super) deleted: Named<T>,
    /// Revision → event.
    pub(super) events: Named<T>,
    /// Format, state and settings.
    pub(super) meta: Named<T>,
}

impl Tables<ReadTable> {
    /// Opens all tables to read them.
    pub(super) fn reading(transaction: &ReadTransaction) -> Result<Self, Fault> {
        Self::opened(|name| transaction.open_table(TableDefinition::new(name)))
    }
}

impl<'t> Tables<WriteTable<'t>> {
    /// Opens all tables to write them, and makes those that are not there.
    pub(super) fn writing(transaction: &'t WriteTransaction) -> Result<Self, Fault> {
        Self::opened(|name| transaction.open_table(TableDefinition::new(name)))
    }

    /// Writes down what holds for the store as a whole.
    pub(super) fn put_state(&mut self, state: State) -> Result<(), Fault> {
        self.meta.put(STATE_ROW, state.to_bytes())
    }

    /// Writes down where the chain of events ends.
    pub(super) fn put_chain(&mut self, head: Head) -> Result<(), Fault> {
        self.meta.put(CHAIN_ROW, row::head_bytes(head))
    }

    /// Writes down that the file is in this version's format.
    pub(super) fn put_format(&mut self) -> Result<(), Fault> {
        self.meta.put(FORMAT_ROW, FORMAT.to_be_bytes().to_vec())
    }

    /// Writes the settings.
    pub(super) fn put_settings(&mut self, settings: &Settings, revision: Revision) -> Result<(), Fault> {
        self.meta.put(SETTINGS_ROW, row::with_revision(&record::encode_settings(settings), revision))
    }

    /// Writes a row that says nothing, to see whether it can be written.
    pub(super) fn put_trial(&mut self) -> Result<(), Fault> {
        self.meta.put(TRIAL_ROW, vec![0; TRIAL_LENGTH])
    }

    /// Removes it, where there is one.
    pub(super) fn remove_trial(&mut self) -> Result<(), Fault> {
        self.meta.remove(TRIAL_ROW)
    }

    /// Writes what an empty store holds.
    pub(super) fn put_beginning(&mut self) -> Result<(), Fault> {
        self.put_format()?;
        self.put_chain(Head::of_nothing())?;
        self.put_state(State::default())
    }
}

impl<T: ReadableTable<Bytes, Bytes>> Tables<T> {
    fn opened(open: impl Fn(&'static str) -> Result<T, TableError>) -> Result<Self, Fault> {
        let named = |name| open(name).map(|rows| Named { name, rows });
        Ok(Self {
            keys: [named(KEYS[0])?, named(KEYS[1])?],
            names: [named(NAMES[0])?, named(NAMES[1])?],
            digests: named(DIGESTS)?,
            deleted: named(DELETED)?,
            events: named(EVENTS)?,
            meta: named(META)?,
        })
    }

    /// The version of the file's format, if it has one.
    pub(super) fn format(&self) -> Result<Option<u32>, Fault> {
        self.meta.row(FORMAT_ROW, |content| {
            content.try_into().map(u32::from_be_bytes).map_err(|_| Damaged::new("it is not a number"))
        })
    }

    /// What holds for the store as a whole.
    pub(super) fn state(&self) -> Result<State, Fault> {
        let state = self.meta.row(STATE_ROW, State::from_bytes)?;
        state.ok_or_else(|| Fault::contradiction(&self.meta.place(STATE_ROW), "the row is missing"))
    }

    /// Where the chain of events ends.
    pub(super) fn chain(&self) -> Result<Head, Fault> {
        let head = self.meta.row(CHAIN_ROW, row::head_from)?;
        head.ok_or_else(|| Fault::contradiction(&self.meta.place(CHAIN_ROW), "the row is missing"))
    }

    /// The settings.
    pub(super) fn settings(&self) -> Result<Option<Stored<Settings>>, Fault> {
        self.meta.row(SETTINGS_ROW, |content| {
            let Stored { value, revision } = row::split_revision(content)?;
            Ok(Stored { value: record::decode_settings(value)?, revision })
        })
    }

    /// The living key with this id.
    pub(super) fn key(&self, realm: Realm, id: KeyId) -> Result<Option<Stored<ApiKey>>, Fault> {
        let key = row::id_bytes(id);
        self.keys[nth(realm)].row(&key, |content| living_key(&key, content))
    }

    /// The living key that `key` refers to.
    pub(super) fn find(&self, realm: Realm, key: &KeyRef) -> Result<Option<Stored<ApiKey>>, Fault> {
        let folded = match key {
            KeyRef::Id(id) => return self.key(realm, *id),
            KeyRef::Name(name) => name.folded(),
        };
        let Some(id) = self.named(realm, &folded)? else {
            return Ok(None);
        };
        let found = self.key(realm, id)?.filter(|found| found.value.name.folded() == folded);
        let place = || self.names[nth(realm)].place(folded.as_bytes());
        found
            .map(Some)
            .ok_or_else(|| Fault::contradiction(&place(), "the key it names has another name, or is missing"))
    }

    /// The id of the living key whose folded name this is.
    pub(super) fn named(&self, realm: Realm, folded: &str) -> Result<Option<KeyId>, Fault> {
        self.names[nth(realm)].row(folded.as_bytes(), row::id_from)
    }

    /// Whose `digest` is.
    pub(super) fn owner(&self, digest: &Digest) -> Result<Option<Owner>, Fault> {
        self.digests.row(digest.as_bytes(), Owner::from_bytes)
    }

    /// The living key one of whose tokens has this digest.
    pub(super) fn find_digest(&self, realm: Realm, digest: &Digest) -> Result<Option<Stored<ApiKey>>, Fault> {
        let Some(owner) = self.owner(digest)?.filter(|owner| owner.realm == realm) else {
            return Ok(None);
        };
        let contradiction = |what| Err(Fault::contradiction(&self.digests.place(digest.as_bytes()), what));
        match self.key(realm, owner.id)? {
            Some(found) if found.value.digests().any(|own| own == *digest) => Ok(Some(found)),
            Some(_) => contradiction("its owner does not know the digest"),
            None if self.deleted(owner)?.is_some() => Ok(None),
            None => contradiction("its owner is missing"),
        }
    }

    /// A deleted key, and when it was deleted.
    pub(super) fn deleted(&self, owner: Owner) -> Result<Option<(Timestamp, ApiKey)>, Fault> {
        self.deleted.row(&owner.to_bytes(), |content| deleted_key(owner, content))
    }
}

/// The key in the content of a row of `keys`, found under `key`.
pub(super) fn living_key(key: &[u8], content: &[u8]) -> Result<Stored<ApiKey>, Damaged> {
    let Stored { value, revision } = row::split_revision(content)?;
    let value = record::decode_key(value)?;
    if row::id_bytes(value.id) != key {
        return Err(Damaged::new("it holds another key"));
    }
    Ok(Stored { value, revision })
}

/// The key in the content of a row of `deleted`, found under `owner`, and when it was deleted.
pub(super) fn deleted_key(owner: Owner, content: &[u8]) -> Result<(Timestamp, ApiKey), Damaged> {
    let (at, living) = row::split_end(content)?;
    living_key(&row::id_bytes(owner.id), living).map(|stored| (at, stored.value))
}

/// The event in the content of a row of `events`, found under `key`.
pub(super) fn event(key: &[u8], content: &[u8]) -> Result<Event, Damaged> {
    let event = record::decode_event(content)?;
    if event_key(event.revision) != key {
        return Err(Damaged::new("it holds an event of another revision"));
    }
    Ok(event)
}

/// The key of an event in `events`: ascending as revisions are.
pub(super) fn event_key(Revision(revision): Revision) -> [u8; 8] {
    revision.to_be_bytes()
}
