//! The file of uses, beside the store and of no importance to it.
//!
//! Promises: a file that cannot be read or written costs what it knew and nothing else; "nothing is kept" is never said of
//! one that cannot be read.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use redb::{Database, Error, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::callers::Callers;
use super::known::Quiet;
use super::seen::{Pair, Seen};
use crate::clock::{Clock, Mark};
use crate::domain::{Span, Timestamp, TokenId};
use crate::store::beside::{Age, Away, Beside};

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
    beside: Beside,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    opened_at: Mark,
    /// Since when every use is in the file or in memory.
    whole_since: Mark,
    /// Quiet that began before this (wall, observed) cannot be trusted: a run ended there without a last flush. `None` until
    /// the file was read.
    distrusted: Option<(Timestamp, Span)>,
}

/// What there is to do after the file was opened.
pub(super) enum Opened {
    /// It was for the first time: this much time it remembers as observed, and these callers.
    First(Span, Vec<(TokenId, Callers)>),
    /// It is as it was written.
    Again,
    /// It has lost everything.
    Anew,
}

/// What is read when it is opened.
struct Found {
    age: Age,
    observed: Span,
    /// `None`: the last run ended without a last flush.
    distrusted: Option<(Timestamp, Span)>,
    callers: Vec<(TokenId, Callers)>,
}

impl UsageFile {
    /// The file, which is not opened yet.
    pub(super) fn new(path: PathBuf, clock: &Clock) -> Self {
        let opened_at = clock.mark();
        let state = State { opened_at, whole_since: opened_at, distrusted: None };
        Self { beside: Beside::new(path, "last uses", CACHE_BYTES), state: Mutex::new(state) }
    }

    /// Has the file open. If it had to be opened, says what there is to do.
    pub(super) fn ready(&self, clock: &Clock) -> Result<Option<Opened>, Away> {
        let is_first = self.state().distrusted.is_none();
        // All of it before anybody else reads from the file.
        let read = |database: &Database, age| {
            let found = Found::read(database, age)?;
            self.change(|state| {
                if age == Age::New {
                    state.whole_since = clock.mark();
                }
                let here = (clock.time_of(state.opened_at), found.observed);
                state.distrusted.get_or_insert(found.distrusted.unwrap_or(here));
            });
            Ok(found)
        };
        let Some(found) = self.beside.ready(read)? else { return Ok(None) };
        Ok(Some(match (is_first, found.age) {
            (true, _) => Opened::First(found.observed, found.callers),
            (false, Age::Old) => Opened::Again,
            (false, Age::New) => Opened::Anew,
        }))
    }

    /// Since when every use is in the file or in memory: the start, or a later loss.
    pub(super) fn whole_since(&self) -> Mark {
        self.state().whole_since
    }

    /// Why the file cannot be read or written, if so.
    pub(super) fn trouble(&self) -> Option<String> {
        self.beside.trouble()
    }

    /// What is kept of a token.
    pub(super) fn record(&self, token: TokenId) -> Result<Option<Kept>, Away> {
        let row = self.beside.read(|database| {
            let Some(tokens) = table(database, TOKENS)? else { return Ok(None) };
            Ok(tokens.get(token.as_bits())?.map(|row| row.value()))
        })?;
        let (since, from) = self.state().distrusted.unwrap_or((Timestamp::EPOCH, Span::ZERO));
        let trusted = |quiet: Quiet| if quiet.from < from { Quiet { since, from } } else { quiet };
        Ok(row.map(Kept::of).map(|Kept { seen, quiet }| Kept { seen, quiet: quiet.map(trusted) }))
    }

    /// Every token's callers.
    #[cfg(test)]
    pub(super) fn callers(&self) -> Vec<(TokenId, Callers)> {
        self.beside.read(callers).unwrap_or_default()
    }

    /// Tells of every token used at `since` or later. An error comes instead of more.
    pub(super) fn used_since(&self, since: Timestamp, mut tell: impl FnMut(&[(TokenId, Seen)])) -> Result<(), Away> {
        self.beside.read(|database| {
            let Some(table) = table(database, TOKENS)? else { return Ok(()) };
            let mut slice = Vec::with_capacity(SLICE);
            for row in table.iter()? {
                let (token, row) = row?;
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
            Ok(())
        })
    }

    /// Writes `news` and the observed time, and that a gateway runs on the file.
    pub(super) fn write(&self, news: &News, observed: Span) -> Result<(), Away> {
        let distrusted = self.state().distrusted.unwrap_or((Timestamp::EPOCH, Span::ZERO));
        self.beside.write(|database| {
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
                let mut meta = transaction.open_table(META)?;
                meta.insert("observed", observed.as_millis())?;
                meta.insert("open", 1)?;
                meta.insert("distrusted_at", distrusted.0.as_millis())?;
                meta.insert("distrusted_observed", distrusted.1.as_millis())?;
            }
            Ok(transaction.commit()?)
        })
    }

    /// Says that nothing will be missed between the last write and the next opening.
    pub(super) fn say_whole(&self) {
        let written = self.beside.write(|database| {
            let transaction = database.begin_write()?;
            transaction.open_table(META)?.insert("open", 0)?;
            Ok(transaction.commit()?)
        });
        written.ok(); // quiet then starts anew
    }

    /// Lets go of the file.
    pub(super) fn close(&self) {
        self.beside.close();
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Found {
    fn read(database: &Database, age: Age) -> Result<Self, Error> {
        let meta = table(database, META)?;
        let meta = |name| match &meta {
            Some(meta) => Ok::<_, Error>(meta.get(name)?.map_or(0, |value| value.value())),
            None => Ok(0),
        };
        let observed = Span::millis(meta("observed")?);
        let distrusted = (Timestamp::from_millis(meta("distrusted_at")?), Span::millis(meta("distrusted_observed")?));
        let distrusted = (meta("open")? == 0).then_some(distrusted);
        Ok(Self { age, observed, distrusted, callers: callers(database)? })
    }
}

fn callers(database: &Database) -> Result<Vec<(TokenId, Callers)>, Error> {
    let Some(table) = table(database, CALLERS)? else { return Ok(Vec::new()) };
    let mut callers = Vec::new();
    for row in table.iter()? {
        let (token, text) = row?;
        callers.push((TokenId::from_bits(token.value()), Callers::of_text(text.value())));
    }
    Ok(callers)
}

/// A table, unless nothing was ever written.
fn table<K: redb::Key + 'static, V: redb::Value + 'static>(
    database: &Database,
    definition: TableDefinition<'_, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>, Error> {
    match database.begin_read()?.open_table(definition) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
