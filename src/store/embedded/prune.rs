//! Removing the oldest events for their age.
//!
//! Promises: what is removed is the beginning of the log, without gaps, a bounded part of it at once, and an event of the
//! very same transaction tells the last hash of it: the chain can be proved as before.
//! Deliberately does not: decide what is old.

use redb::ReadableTable;

use super::fault::Fault;
use super::table::{ReadTable, Tables, WriteTable, event};
use crate::domain::audit::PrunedFacts;
use crate::domain::{EventDraft, Facts, Head, Realm, RecordHash, Revision, Timestamp};
use crate::store::feed::Batch;
use crate::store::record;
use crate::store::{What, Write};

use super::transaction;

/// How many events one transaction removes.
const SLICE: usize = 1_000;

/// Whether the oldest event was written before `before`.
pub(super) fn is_due(tables: &Tables<ReadTable>, before: Timestamp) -> Result<bool, Fault> {
    Ok(due(tables, before, 1)?.is_some())
}

/// Removes the oldest events, of those written before `before`, and writes `told` with how many and which.
pub(super) fn prune(tables: &mut Tables<WriteTable<'_>>, before: Timestamp, told: EventDraft) -> Result<Batch, Fault> {
    let mut events = Vec::new();
    if let Some(due) = due(tables, before, SLICE)? {
        for key in due.keys {
            tables.events.remove(&key)?;
        }
        events.push(EventDraft { after: Some(Facts::Pruned(due.facts)), ..told });
    }
    transaction::apply(tables, vec![Write { realm: Realm::Gateway, what: What::Events, events }])
}

struct Due {
    keys: Vec<Vec<u8>>,
    facts: PrunedFacts,
}

/// The oldest events that were written before `before`, at most so many.
fn due<T: ReadableTable<&'static [u8], &'static [u8]>>(
    tables: &Tables<T>,
    before: Timestamp,
    most: usize,
) -> Result<Option<Due>, Fault> {
    let table = &tables.events;
    let (mut keys, mut last) = (Vec::new(), Head { revision: Revision(0), hash: RecordHash::of_nothing() });
    for entry in table.rows.iter()?.take(most) {
        let (key, row) = entry?;
        let (written_at, head) = table.read(key.value(), row.value(), |content| {
            let event = event(key.value(), content)?;
            let hash = RecordHash::of(record::event_line(content)?);
            Ok((event.written_at.unwrap_or(event.at), Head { revision: event.revision, hash }))
        })?;
        if written_at >= before {
            break;
        }
        keys.push(key.value().to_vec());
        last = head;
    }
    let records = keys.len() as u64;
    let facts = PrunedFacts { through: last.revision, hash: last.hash, records };
    Ok((records > 0).then_some(Due { keys, facts }))
}
