//! The file of last uses, beside the store and of no importance to it.
//!
//! Promises: a file that cannot be read or written costs what it knew and nothing else.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, ReadableDatabase, TableDefinition};
use tracing::warn;

use super::Record;
use crate::domain::{Span, Timestamp, TokenId};

/// Token id → last use (0: never), quiet since (both wall milliseconds), quiet from (observed milliseconds).
const TOKENS: TableDefinition<u128, (u64, u64, u64)> = TableDefinition::new("tokens");
/// `observed`: observed time in milliseconds; `open`: 1 while a gateway runs on the file; `distrusted_at` and
/// `distrusted_observed`: where the last run ended that was not closed.
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// How much of the file is kept in memory.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

pub(super) struct UsageFile {
    path: PathBuf,
    database: Mutex<Option<Arc<Database>>>,
    /// Quiet that began before this (wall, observed) cannot be trusted: a run ended there without a last flush.
    distrusted: (Timestamp, Span),
}

impl UsageFile {
    /// The file and the observed time it remembers.
    pub(super) fn open(path: PathBuf, now: Timestamp) -> (Self, Span) {
        let database = open_or_replace(&path).map(Arc::new);
        let meta = |name| database.as_deref().and_then(|db| meta(db, name)).unwrap_or_default();
        let observed = Span::millis(meta("observed"));
        let distrusted = match meta("open") {
            0 => (Timestamp::from_millis(meta("distrusted_at")), Span::millis(meta("distrusted_observed"))),
            _ => (now, observed),
        };
        let file = Self { path, database: Mutex::new(database), distrusted };
        let (at, until) = (distrusted.0.as_millis(), distrusted.1.as_millis());
        if !file.write_meta(&[("open", 1), ("distrusted_at", at), ("distrusted_observed", until)]) {
            warn!(path = %file.path.display(), "last uses cannot be written; they are known only until the next start");
        }
        (file, observed)
    }

    pub(super) fn record(&self, token: TokenId) -> Option<Record> {
        let read = self.database()?.begin_read().ok()?;
        let row = read.open_table(TOKENS).ok()?.get(token.as_bits()).ok()??.value();
        let (last_used, since, from) = row;
        let record = Record {
            last_used: (last_used != 0).then_some(Timestamp::from_millis(last_used)),
            quiet_since: Timestamp::from_millis(since),
            quiet_from: Span::millis(from),
        };
        let (at, observed) = self.distrusted;
        Some(if record.quiet_from < observed {
            Record { quiet_since: at, quiet_from: observed, ..record }
        } else {
            record
        })
    }

    /// Writes `records` and the observed time. `false` if it could not.
    pub(super) fn write(&self, records: &[(TokenId, Record)], observed: Span) -> bool {
        let Some(database) = self.database().or_else(|| self.open_again()) else { return false };
        let written = (|| -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            {
                let mut tokens = transaction.open_table(TOKENS)?;
                for (token, record) in records {
                    let last_used = record.last_used.map_or(0, Timestamp::as_millis);
                    let row = (last_used, record.quiet_since.as_millis(), record.quiet_from.as_millis());
                    tokens.insert(token.as_bits(), row)?;
                }
                transaction.open_table(META)?.insert("observed", observed.as_millis())?;
            }
            Ok(transaction.commit()?)
        })();
        if let Err(error) = &written {
            warn!(path = %self.path.display(), %error, "last uses could not be written; trying again");
            self.set(None); // after an I/O error only a fresh handle writes again
        }
        written.is_ok()
    }

    /// Says that nothing will be missed between the last write and the next opening.
    pub(super) fn close(&self) {
        self.write_meta(&[("open", 0)]);
        self.set(None);
    }

    fn database(&self) -> Option<Arc<Database>> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, database: Option<Arc<Database>>) {
        *self.database.lock().unwrap_or_else(PoisonError::into_inner) = database;
    }

    fn open_again(&self) -> Option<Arc<Database>> {
        self.set(create(&self.path).ok().map(Arc::new));
        self.database()
    }

    fn write_meta(&self, rows: &[(&str, u64)]) -> bool {
        let Some(database) = self.database() else { return false };
        let written = (|| -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            {
                let mut meta = transaction.open_table(META)?;
                for (name, value) in rows {
                    meta.insert(*name, *value)?;
                }
                transaction.open_table(TOKENS)?;
            }
            Ok(transaction.commit()?)
        })();
        written.is_ok()
    }
}

fn meta(database: &Database, name: &str) -> Option<u64> {
    let read = database.begin_read().ok()?;
    Some(read.open_table(META).ok()?.get(name).ok()??.value())
}

/// Opens the file; one that is damaged is put aside under another name.
fn open_or_replace(path: &Path) -> Option<Database> {
    let error = match create(path) {
        Ok(database) => return Some(database),
        Err(redb::DatabaseError::DatabaseAlreadyOpen) => return None,
        Err(error) => error,
    };
    let aside = path.with_extension("redb.damaged");
    warn!(path = %path.display(), aside = %aside.display(), %error, "last uses cannot be read; starting anew");
    std::fs::rename(path, aside).ok()?;
    create(path).ok()
}

fn create(path: &Path) -> Result<Database, redb::DatabaseError> {
    Database::builder().set_cache_size(CACHE_BYTES).create(path)
}
