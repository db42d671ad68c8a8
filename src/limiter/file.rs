//! The file of quotas, beside the store and of no importance to it.
//!
//! Promises: a file that cannot be read or written costs what it counted and nothing else.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Database, Error, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use crate::store::beside::{Age, Away, Beside};

/// Key id → window and count, as the counter packs them.
const QUOTAS: TableDefinition<u128, u64> = TableDefinition::new("quotas");

/// How much of the file is kept in memory: it is read once and then only written.
const CACHE_BYTES: usize = 1024 * 1024;

pub(super) struct QuotaFile {
    beside: Beside,
    was_read: AtomicBool,
}

/// What there is to do after the file was opened.
pub(super) enum Opened {
    /// It was for the first time: these rows are in it.
    First(Vec<(u128, u64)>),
    /// It is as it was written.
    Again,
    /// It has lost everything.
    Anew,
}

impl QuotaFile {
    /// The file at `path`, which is not opened yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { beside: Beside::new(path, "quotas", CACHE_BYTES), was_read: AtomicBool::new(false) }
    }

    /// Has the file open. If it had to be opened, says what there is to do.
    pub(super) fn ready(&self) -> Result<Option<Opened>, Away> {
        let Some((rows, age)) = self.beside.ready(|database, age| Ok((rows(database)?, age)))? else { return Ok(None) };
        let was_read = self.was_read.swap(true, Ordering::AcqRel);
        Ok(Some(match (was_read, age) {
            (false, _) => Opened::First(rows),
            (true, Age::Old) => Opened::Again,
            (true, Age::New) => Opened::Anew,
        }))
    }

    /// Writes `rows` and takes out those of `gone`.
    pub(super) fn write(&self, rows: &[(u128, u64)], gone: &[u128]) -> Result<(), Away> {
        if rows.is_empty() && gone.is_empty() {
            return Ok(());
        }
        self.beside.write(|database| {
            let transaction = database.begin_write()?;
            {
                let mut quotas = transaction.open_table(QUOTAS)?;
                for (key, word) in rows {
                    quotas.insert(key, word)?;
                }
                for key in gone {
                    quotas.remove(key)?;
                }
            }
            Ok(transaction.commit()?)
        })
    }

    /// Why the file cannot be read or written, if so.
    pub(super) fn trouble(&self) -> Option<String> {
        self.beside.trouble()
    }

    /// Lets go of the file: another process may open it.
    pub(super) fn close(&self) {
        self.beside.close();
    }
}

fn rows(database: &Database) -> Result<Vec<(u128, u64)>, Error> {
    let table = match database.begin_read()?.open_table(QUOTAS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut rows = Vec::new();
    for row in table.iter()? {
        let (key, word) = row?;
        rows.push((key.value(), word.value()));
    }
    Ok(rows)
}
