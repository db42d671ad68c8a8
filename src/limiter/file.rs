//! The file of quotas, beside the store and of no importance to it.
//!
//! Promises: a file that cannot be read or written costs what it counted and nothing else.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tracing::warn;

/// Key id → window and count, as the counter packs them.
const QUOTAS: TableDefinition<u128, u64> = TableDefinition::new("quotas");

/// How much of the file is kept in memory: it is read once and then only written.
const CACHE_BYTES: usize = 1024 * 1024;

pub(super) struct QuotaFile {
    path: PathBuf,
    database: Mutex<Option<Database>>,
}

impl QuotaFile {
    /// The file at `path` and every row in it; one that is damaged is put aside under another name.
    pub(super) fn open(path: PathBuf) -> (Self, Vec<(u128, u64)>) {
        let opened = read_or_replace(&path);
        if opened.is_none() {
            warn!(path = %path.display(), "quotas cannot be written; they are counted only until the next start");
        }
        let (database, rows) = opened.unzip();
        (Self { path, database: Mutex::new(database) }, rows.unwrap_or_default())
    }

    /// Writes `rows` and takes out those of `gone`. `false` if it could not.
    pub(super) fn write(&self, rows: &[(u128, u64)], gone: &[u128]) -> bool {
        if rows.is_empty() && gone.is_empty() {
            return true;
        }
        let mut held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = held.take().or_else(|| create(&self.path).ok()) else { return false };
        let written = (|| -> Result<(), redb::Error> {
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
        })();
        match &written {
            Ok(()) => *held = Some(database),
            // After an I/O error only a fresh handle writes again.
            Err(error) => warn!(path = %self.path.display(), %error, "quotas could not be written; trying again"),
        }
        written.is_ok()
    }

    /// Lets go of the file: another process may open it.
    pub(super) fn close(&self) {
        *self.database.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn read_or_replace(path: &Path) -> Option<(Database, Vec<(u128, u64)>)> {
    let error = match read(path) {
        Ok(read) => return Some(read),
        Err(redb::Error::DatabaseAlreadyOpen) => return None,
        Err(error) => error,
    };
    let aside = path.with_extension("redb.damaged");
    warn!(path = %path.display(), aside = %aside.display(), %error, "quotas cannot be read; counting anew");
    std::fs::rename(path, aside).ok()?;
    read(path).ok()
}

fn read(path: &Path) -> Result<(Database, Vec<(u128, u64)>), redb::Error> {
    let database = create(path)?;
    let transaction = database.begin_write()?;
    drop(transaction.open_table(QUOTAS)?);
    transaction.commit()?;
    let mut rows = Vec::new();
    for row in database.begin_read()?.open_table(QUOTAS)?.iter()? {
        let (key, word) = row?;
        rows.push((key.value(), word.value()));
    }
    Ok((database, rows))
}

fn create(path: &Path) -> Result<Database, redb::DatabaseError> {
    Database::builder().set_cache_size(CACHE_BYTES).create(path)
}
