//! Bringing a file of an older format over.
//!
//! Promises: one transaction, so that a start that is killed leaves the file as it was.
//! Deliberately does not: judge what it brings over. Whether the events of format 1 are those that were written, nothing
//! in them tells; from here on the chain does.

use std::ops::Bound;

use redb::{Database, Durability, ReadableTable};

use super::fault::Fault;
use super::table::{Tables, WriteTable, event_key};
use crate::domain::{Head, RecordHash, Revision};
use crate::store::record;

/// The format before events were chained.
pub(super) const FORMAT: u32 = 1;

/// How many events are in memory at once.
const SLICE: usize = 1_024;

/// Chains the events of a file of format 1.
pub(super) fn bring_over(database: &Database) -> Result<(), Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    let head = chain(&mut Tables::writing(&transaction)?)?;
    transaction.commit()?;
    tracing::info!(
        revision = head.revision.0,
        "the audit log is chained from now on; older versions cannot open this store"
    );
    Ok(())
}

fn chain(tables: &mut Tables<WriteTable<'_>>) -> Result<Head, Fault> {
    let mut head = Head::of_nothing();
    loop {
        let slice = slice(tables, head.revision)?;
        for (revision, old) in &slice {
            let key = event_key(*revision);
            let damaged = |damage| Fault::damaged(&tables.events.place(&key), &damage);
            let chained = record::chain_event(old, head.hash).map_err(damaged)?;
            let hash = RecordHash::of(record::event_line(&chained).map_err(damaged)?);
            tables.events.put(&key, chained)?;
            head = Head { revision: *revision, hash };
        }
        if slice.len() < SLICE {
            tables.put_chain(head)?;
            tables.put_format()?;
            return Ok(head);
        }
    }
}

/// The next events after `after`, as they are kept.
fn slice(tables: &Tables<WriteTable<'_>>, after: Revision) -> Result<Vec<(Revision, Vec<u8>)>, Fault> {
    let table = &tables.events;
    let after = event_key(after);
    let range = (Bound::Excluded(after.as_slice()), Bound::Unbounded);
    let mut slice = Vec::new();
    for entry in table.rows.range::<&[u8]>(range)?.take(SLICE) {
        let (key, row) = entry?;
        let revision = |content: &[u8]| {
            let revision = key.value().try_into().map(u64::from_be_bytes);
            let revision = revision.map_err(|_| record::Damaged::new("its key is no revision"))?;
            Ok((Revision(revision), content.to_vec()))
        };
        slice.push(table.read(key.value(), row.value(), revision)?);
    }
    Ok(slice)
}

#[cfg(test)]
mod tests {
    use super::super::EmbeddedStore;
    use super::super::disk::Disk;
    use super::super::engine::Keep;
    use super::*;
    use crate::domain::chain::Verifier;
    use crate::store::Store;
    use crate::store::contract::{create, key};

    fn open(disk: &Disk) -> EmbeddedStore {
        let disk = disk.clone();
        EmbeddedStore::open_with(move || Ok(disk.backend())).expect("it is sound")
    }

    /// Makes of the events what format 1 had: no hashes in them, and no end of a chain.
    fn as_before(tables: &mut Tables<WriteTable<'_>>) -> Result<Keep<()>, Fault> {
        let mut last = Revision(0);
        loop {
            let slice = slice(tables, last)?;
            let Some((end, _)) = slice.last() else { break };
            last = *end;
            for (revision, chained) in &slice {
                let line = std::str::from_utf8(record::event_line(chained).expect("a record")).expect("text");
                let (open, _) = line.split_once(",\"previous\":").expect("chained");
                let mut old = [&[1], open.as_bytes(), b"}"].concat();
                old.extend_from_slice(&crc32fast::hash(&old).to_le_bytes());
                tables.events.put(&event_key(*revision), old)?;
            }
        }
        tables.meta.remove(b"chain")?;
        tables.meta.put(b"format", FORMAT.to_be_bytes().to_vec())?;
        Ok(Keep::Yes(()))
    }

    #[tokio::test]
    async fn events_of_a_store_of_format_1_are_chained_when_it_is_opened_and_the_next_goes_on() {
        let disk = Disk::default();
        let store = open(&disk);
        let many = 2 * SLICE as u64 + 1;
        let creates = (0..many).map(|number| create(&key(number, &format!("key {number}")))).collect();
        store.commit(creates).await.expect("committed");
        store.engine.tidy(as_before).await.expect("written");
        drop(store);
        let store = open(&disk);
        let head = store.head().await.expect("read");
        assert_eq!(head.revision, Revision(many));
        store.commit(vec![create(&key(many, "the next"))]).await.expect("committed");
        let mut verifier = Verifier::knowing(vec![head, store.head().await.expect("read")]);
        for record in store.records(Revision(0), usize::MAX).await.expect("read") {
            verifier.take(record.line.as_bytes()).expect("in its place");
        }
        assert_eq!(verifier.finish().expect("whole").records, many + 1);
    }
}
