//! The file of uses, beside the store and of no importance to it.
//!
//! Promises: a file that cannot be read or written costs what it knew and nothing else.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tracing::warn;

use super::callers::Callers;
use super::known::Quiet;
use super::seen::{Pair, Seen};
use crate::domain::{Span, Timestamp, TokenId};

/// Last use (0: never), quiet since (0: not watched; both wall milliseconds), quiet from (observed milliseconds), the uses in
/// the hour of the last one and in the hour before it, the same for the day.
type Columns = (u64, u64, u64, u32, u32, u32, u32);
/// By token id.
const TOKENS: TableDefinition<u128, Columns> = TableDefinition::new("uses");
/// Token id → its callers during a renewal, in JSON.
const CALLERS: TableDefinition<u128, &str> = TableDefinition::new("callers");
/// `observed`: observed time in milliseconds; `open`: 1 while a gateway runs on the file; `distrusted_at` and
/// `distrusted_observed`: where the last run ended that was not closed.
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// How many rows are told at once.
const SLICE: usize = 1_024;
/// How much of the file is kept in memory.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// What is kept of one token.
pub(super) struct Kept {
    pub(super) seen: Seen,
    pub(super) quiet: Option<Quiet>,
}

/// What the file does not know yet.
pub(super) struct News {
    pub(super) rows: Vec<Row>,
    /// Tokens of which nothing is to be kept; no row is of one of them.
    pub(super) ended: Vec<[u8; 16]>,
}

/// What is to be kept of one token.
pub(super) struct Row {
    pub(super) token: [u8; 16],
    /// `None`: as it is kept.
    pub(super) seen: Option<Seen>,
    pub(super) rare: Option<Box<Rare>>,
}

/// What there is of tokens of renewals.
pub(super) struct Rare {
    pub(super) quiet: Option<Quiet>,
    /// As [`Callers::text`].
    pub(super) callers: Option<String>,
}

impl Kept {
    fn of((last_used, since, from, hour, hour_before, day, day_before): Columns) -> Self {
        let last_used = (last_used != 0).then_some(Timestamp::from_millis(last_used));
        let hours = Pair { latest: hour, before: hour_before };
        let days = Pair { latest: day, before: day_before };
        let quiet = Quiet { since: Timestamp::from_millis(since), from: Span::millis(from) };
        Self { seen: Seen::of(last_used, hours, days), quiet: (since != 0).then_some(quiet) }
    }
}

impl Row {
    fn columns(&self, seen: Seen) -> Columns {
        let last_used = seen.last_used().map_or(0, Timestamp::as_millis);
        let quiet = self.rare.as_ref().and_then(|rare| rare.quiet);
        let (since, from) = quiet.map_or((0, 0), |quiet| (quiet.since.as_millis(), quiet.from.as_millis()));
        let (hours, days) = seen.pairs();
        (last_used, since, from, hours.latest, hours.before, days.latest, days.before)
    }
}

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

    /// What is kept of a token.
    pub(super) fn record(&self, token: TokenId) -> Option<Kept> {
        let read = self.database()?.begin_read().ok()?;
        let row = read.open_table(TOKENS).ok()?.get(token.as_bits()).ok()??.value();
        let Kept { seen, quiet } = Kept::of(row);
        let (since, from) = self.distrusted;
        Some(Kept { seen, quiet: quiet.map(|quiet| if quiet.from < from { Quiet { since, from } } else { quiet }) })
    }

    /// Every token's callers.
    pub(super) fn callers(&self) -> Vec<(TokenId, Callers)> {
        let read = || {
            let table = self.database()?.begin_read().ok()?.open_table(CALLERS).ok()?;
            let row = |row: (redb::AccessGuard<'_, u128>, redb::AccessGuard<'_, &str>)| {
                (TokenId::from_bits(row.0.value()), Callers::of_text(row.1.value()))
            };
            Some(table.iter().ok()?.filter_map(Result::ok).map(row).collect())
        };
        read().unwrap_or_default()
    }

    /// Tells of every token used at `since` or later.
    pub(super) fn used_since(&self, since: Timestamp, mut tell: impl FnMut(&[(TokenId, Seen)])) {
        let Some(read) = self.database().and_then(|database| database.begin_read().ok()) else { return };
        let Ok(table) = read.open_table(TOKENS) else { return };
        let mut slice = Vec::with_capacity(SLICE);
        for (token, row) in table.iter().into_iter().flatten().filter_map(Result::ok) {
            let Kept { seen, .. } = Kept::of(row.value());
            if seen.last_used() >= Some(since) {
                slice.push((TokenId::from_bits(token.value()), seen));
            }
            if slice.len() == SLICE {
                tell(&slice);
                slice.clear();
            }
        }
        tell(&slice);
    }

    /// Writes `news` and the observed time. `false` if it could not.
    pub(super) fn write(&self, news: &News, observed: Span) -> bool {
        let Some(database) = self.database().or_else(|| self.open_again()) else { return false };
        let written = (|| -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            {
                let mut tokens = transaction.open_table(TOKENS)?;
                let mut callers = transaction.open_table(CALLERS)?;
                for token in news.ended.iter().copied().map(u128::from_be_bytes) {
                    tokens.remove(token)?;
                    callers.remove(token)?;
                }
                for row in &news.rows {
                    let token = u128::from_be_bytes(row.token);
                    let known = match row.seen {
                        Some(seen) => Some(seen),
                        None => tokens.get(token)?.map(|row| Kept::of(row.value()).seen),
                    };
                    tokens.insert(token, row.columns(known.unwrap_or_default()))?;
                    match row.rare.as_ref().and_then(|rare| rare.callers.as_deref()) {
                        Some(text) => drop(callers.insert(token, text)?),
                        None => drop(callers.remove(token)?),
                    }
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
                transaction.open_table(CALLERS)?;
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
