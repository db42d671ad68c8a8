//! What is looked at when the file has been opened.
//!
//! Promises: a file whose format, counts or last revision contradict its tables is not used.
//! Deliberately does not: read every record. The database has compared the checksum of every page before, and the
//! feed's first pass reads every living key.

use redb::{Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::fault::Fault;
use super::older;
use super::open::OpenError;
use super::row::State;
use super::table::{FORMAT, Named, ReadTable, Tables, event_key};
use crate::domain::Revision;

/// Whether the file may be a new one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// It may: it is made ready then.
    MayBeNew,
    /// It was open before.
    Known,
}

/// Checks an opened file, a new one having been made ready, and answers its state.
pub(super) fn check(database: &Database, age: Age) -> Result<State, OpenError> {
    if is_new(database)? {
        match age {
            Age::MayBeNew => make_ready(database)?,
            Age::Known => return Err(OpenError::Corrupt("it is empty".into())),
        }
    }
    if format(database)? == Some(older::FORMAT) {
        older::bring_over(database)?;
    }
    match format(database)? {
        Some(FORMAT) => Ok(counted(&Tables::reading(&database.begin_read().map_err(Fault::from)?)?)?),
        Some(found) => Err(OpenError::UnknownFormat { found, known: FORMAT }),
        None => Err(OpenError::Corrupt("it has tables, but no format version".into())),
    }
}

fn format(database: &Database) -> Result<Option<u32>, Fault> {
    Tables::reading(&database.begin_read()?)?.format()
}

fn is_new(database: &Database) -> Result<bool, Fault> {
    let transaction = database.begin_read()?;
    let mut tables = transaction.list_tables()?;
    Ok(tables.next().is_none())
}

fn make_ready(database: &Database) -> Result<(), Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    Tables::writing(&transaction)?.put_beginning()?;
    Ok(transaction.commit()?)
}

fn counted(tables: &Tables<ReadTable>) -> Result<State, Fault> {
    let state = tables.state()?;
    for (living, pair) in state.living.iter().zip(tables.keys.iter().zip(&tables.names)) {
        let (keys, names) = pair;
        expect_rows(keys, *living)?;
        expect_rows(names, *living)?;
    }
    let last_event = tables.events.rows.last()?;
    if let Some((key, _)) = last_event.filter(|(key, _)| key.value() > event_key(state.last).as_slice()) {
        let what = format!("the store ends at revision {}", state.last.0);
        return Err(Fault::contradiction(&tables.events.place(key.value()), &what));
    }
    settings_known(tables, state.last)?;
    Ok(state)
}

fn expect_rows(table: &Named<ReadTable>, expected: u64) -> Result<(), Fault> {
    let found = table.rows.len()?;
    if found != expected {
        let what = format!("table {} has {found} rows, and {expected} keys are counted", table.name);
        return Err(Fault::Corrupt(what));
    }
    Ok(())
}

fn settings_known(tables: &Tables<ReadTable>, last: Revision) -> Result<(), Fault> {
    match tables.settings()? {
        Some(stored) if stored.revision > last => {
            Err(Fault::Corrupt("the settings are of a revision that was never given".into()))
        }
        Some(_) | None => Ok(()),
    }
}
