//! Going through many rows: the listing that a feed begins with, the audit log, keys long deleted.
//!
//! Promises: memory and time of each step are bounded, a listing's for each slice that its reader takes.
//! Deliberately does not: skip a damaged row. It is an error, and nothing after it is told.

use std::ops::Bound;
use std::sync::Arc;

use redb::{AccessGuard, ReadableTable, StorageError};

use super::engine::{Engine, Keep};
use super::fault::Fault;
use super::row::Owner;
use super::table::{ReadTable, Tables, WriteTable, deleted_key, event, event_key, living_key, nth};
use crate::domain::{ApiKey, Event, Realm, Revision, Timestamp};
use crate::store::feed::{Changes, Listed, Lister, Slices, Untold};
use crate::store::record::{self, Damaged};
use crate::store::{EventPage, EventQuery, Notice, Record, StoreError, Stored};

/// How many keys are told at once.
const SLICE: usize = 256;
/// How many events one query returns at most, whatever its limit.
const MOST_EVENTS: usize = 10_000;
/// How many events one query looks at.
const MOST_LOOKED_AT: usize = 50_000;
/// How many deleted keys one transaction forgets.
const FORGOTTEN_AT_ONCE: usize = 1_000;

impl Lister for Engine {
    fn list(self: &Arc<Self>, into: &Slices) -> Result<(), StoreError> {
        match self.read_here(|tables| list(tables, into))? {
            Ok(()) | Err(Untold::Left) => Ok(()),
            Err(Untold::Stalled(patience)) => {
                Err(StoreError::Unavailable(format!("its reader has taken nothing for {patience:?}")))
            }
        }
    }

    fn changes(&self) -> &Changes {
        self.changes()
    }
}

fn list(tables: &Tables<ReadTable>, into: &Slices) -> Result<Result<(), Untold>, Fault> {
    let state = tables.state()?;
    let settings = tables.settings()?.map(|stored| Notice::Settings(stored.revision, Arc::new(stored.value)));
    let mut slice: Vec<Notice> = settings.into_iter().collect();
    for realm in [Realm::Admin, Realm::Gateway] {
        let table = &tables.keys[nth(realm)];
        let mut told = 0;
        for entry in table.rows.iter()? {
            told += 1;
            let (key, row) = entry?;
            let Stored { value, revision } =
                table.read(key.value(), row.value(), |content| living_key(key.value(), content))?;
            slice.push(Notice::Put(realm, revision, Arc::new(value)));
            if slice.len() >= SLICE
                && let Err(untold) = into.tell(Listed::Slice(std::mem::take(&mut slice)))
            {
                return Ok(Err(untold));
            }
        }
        if told != state.living[nth(realm)] {
            let what = format!("table {} shows {told} rows of {}", table.name, state.living[nth(realm)]);
            return Err(Fault::Corrupt(what)); // a damaged page hides some
        }
    }
    Ok(into.tell(Listed::Slice(slice)).and_then(|()| into.tell(Listed::End(state.last))))
}

/// The events that `query` asks for. Fewer than its limit, with a `next`, once [`MOST_LOOKED_AT`] were looked at.
pub(super) fn events(tables: &Tables<ReadTable>, query: &EventQuery) -> Result<EventPage, Fault> {
    if query.before.is_some_and(|before| before <= query.after) {
        return Ok(EventPage::default());
    }
    let (after, before) = (event_key(query.after), query.before.map(event_key));
    let before = before.as_ref().map_or(Bound::Unbounded, |before| Bound::Excluded(before.as_slice()));
    let rows = tables.events.rows.range::<&[u8]>((Bound::Excluded(after.as_slice()), before))?;
    match query.before {
        None => page(tables, query, rows),
        Some(_) => page(tables, query, rows.rev()),
    }
}

type EventRow = Result<(AccessGuard<'static, &'static [u8]>, AccessGuard<'static, &'static [u8]>), StorageError>;

fn page(
    tables: &Tables<ReadTable>,
    query: &EventQuery,
    rows: impl Iterator<Item = EventRow>,
) -> Result<EventPage, Fault> {
    let limit = query.limit.min(MOST_EVENTS);
    let mut page = EventPage::default();
    let mut last = None; // of none looked at there is no next, or the query would go round in circles
    for (looked_at, entry) in rows.enumerate() {
        if page.events.len() == limit || looked_at == MOST_LOOKED_AT {
            page.next = last;
            break;
        }
        let (key, row) = entry?;
        let event = tables.events.read(key.value(), row.value(), |content| event(key.value(), content))?;
        last = Some(event.revision);
        if is_asked_for(&event, query) {
            page.events.push(event);
        }
    }
    Ok(page)
}

/// The records after `after` as they are kept, at most so many.
pub(super) fn records(tables: &Tables<ReadTable>, after: Revision, limit: usize) -> Result<Vec<Record>, Fault> {
    let table = &tables.events;
    let after = event_key(after);
    let range = (Bound::Excluded(after.as_slice()), Bound::Unbounded);
    let mut records = Vec::new();
    for entry in table.rows.range::<&[u8]>(range)?.take(limit.min(MOST_EVENTS)) {
        let (key, row) = entry?;
        records.push(table.read(key.value(), row.value(), |content| record(key.value(), content))?);
    }
    Ok(records)
}

fn record(key: &[u8], content: &[u8]) -> Result<Record, Damaged> {
    let revision = key.try_into().map(u64::from_be_bytes).map_err(|_| Damaged::new("its key is no revision"))?;
    let line = std::str::from_utf8(record::event_line(content)?).map_err(|_| Damaged::new("it is not text"))?;
    Ok(Record { revision: Revision(revision), line: line.into() })
}

fn is_asked_for(event: &Event, query: &EventQuery) -> bool {
    query.key.is_none_or(|key| event.key == Some(key))
        && query.actor.as_ref().is_none_or(|actor| event.actor.as_str() == actor)
        && query.action.is_none_or(|action| event.action == action)
}

/// What one step of forgetting did.
pub(super) struct Forgotten {
    /// How many keys went.
    pub(super) count: u64,
    /// After which row to go on, if there is more to look at.
    pub(super) next: Option<Vec<u8>>,
}

/// Removes, of the next keys in the order of their rows after `from`, those deleted before `before`.
pub(super) fn forget_some(
    tables: &mut Tables<WriteTable<'_>>,
    before: Timestamp,
    from: &[u8],
) -> Result<Keep<Forgotten>, Fault> {
    let (due, next) = due(tables, before, from)?;
    let count = due.len() as u64;
    for (owner, key) in due {
        forget(tables, owner, &key)?;
    }
    let forgotten = Forgotten { count, next };
    Ok(if count == 0 { Keep::No(forgotten) } else { Keep::Yes(forgotten) })
}

type Due = (Vec<(Owner, ApiKey)>, Option<Vec<u8>>);

fn due(tables: &Tables<WriteTable<'_>>, before: Timestamp, from: &[u8]) -> Result<Due, Fault> {
    let mut due = Vec::new();
    let table = &tables.deleted;
    let range = (Bound::Excluded(from), Bound::Unbounded);
    for (looked_at, entry) in table.rows.range::<&[u8]>(range)?.enumerate() {
        let (key, row) = entry?;
        let (owner, at, deleted) = table.read(key.value(), row.value(), |content| {
            let owner = Owner::from_bytes(key.value())?;
            deleted_key(owner, content).map(|(at, deleted)| (owner, at, deleted))
        })?;
        if at < before {
            due.push((owner, deleted));
        }
        if looked_at + 1 == FORGOTTEN_AT_ONCE {
            return Ok((due, Some(key.value().to_vec())));
        }
    }
    Ok((due, None))
}

fn forget(tables: &mut Tables<WriteTable<'_>>, owner: Owner, key: &ApiKey) -> Result<(), Fault> {
    for digest in key.digests() {
        if tables.owner(&digest)? != Some(owner) {
            let place = tables.digests.place(digest.as_bytes());
            return Err(Fault::contradiction(&place, "it does not name the deleted key that has the digest"));
        }
        tables.digests.remove(digest.as_bytes())?;
    }
    tables.deleted.remove(&owner.to_bytes())
}
