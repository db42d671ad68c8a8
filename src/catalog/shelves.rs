//! Records by key id, side by side in pieces of memory of some kilobytes.
//!
//! Promises: a record costs its own bytes and four of length; keys that come in the order of their ids, as they are
//! made and listed, fill every shelf.
//! Deliberately does not: look into a record beyond its id.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::domain::KeyId;
use crate::store::record;

/// How many bytes a shelf holds, unless one record alone is longer.
const SHELF_BYTES: usize = 16 * 1_024;
/// By how many bytes a shelf grows.
const STEP_BYTES: usize = 4 * 1_024;
/// The bytes before a record that say how long it is.
const LENGTH_BYTES: usize = size_of::<u32>();

/// All records.
#[derive(Default)]
pub(super) struct Shelves {
    /// Each shelf by the least id that belongs on it; the first begins at zero.
    by_least: BTreeMap<KeyId, Shelf>,
    count: usize,
}

impl Shelves {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn find(&self, key: KeyId) -> Option<&[u8]> {
        let (_, found) = self.by_least.range(..=key).next_back()?;
        found.place(key).ok().map(|row| found.record(&row))
    }

    /// Puts `record` in place of what is known of `key`.
    pub(super) fn put(&mut self, key: KeyId, record: &[u8]) {
        if self.by_least.is_empty() {
            self.by_least.insert(KeyId::from_bits(0), Shelf::default());
        }
        let Some((_, found)) = self.by_least.range_mut(..=key).next_back() else { return };
        let place = found.place(key);
        let row = place.clone().unwrap_or_else(|at| at..at);
        if found.has_room(&row, record) {
            found.put(row, record);
            self.count += usize::from(place.is_err());
        } else if row.start == found.0.len() {
            // What comes in order leaves full shelves behind.
            let mut next = Shelf::default();
            next.put(0..0, record);
            self.by_least.insert(key, next);
            self.count += 1;
        } else if let Some((least, upper)) = found.split() {
            self.by_least.insert(least, upper);
            self.put(key, record);
        }
    }

    pub(super) fn remove(&mut self, key: KeyId) {
        let Some((least, found)) = self.by_least.range_mut(..=key).next_back() else { return };
        let Ok(row) = found.place(key) else { return };
        found.0.drain(row);
        self.count -= 1;
        let least = *least;
        if found.0.is_empty() && least.as_bits() != 0 {
            self.by_least.remove(&least);
        }
    }

    /// The records, the newest first and only those before `before`.
    pub(super) fn newest_first(&self, before: Option<KeyId>) -> impl Iterator<Item = &[u8]> {
        let upto = before.unwrap_or(KeyId::from_bits(u128::MAX));
        self.by_least.range(..=upto).rev().flat_map(move |(_, shelf)| {
            let is_before = |id: KeyId| before.is_none_or(|before| id < before);
            let rows: Vec<_> = shelf.rows().take_while(|(id, _)| is_before(*id)).collect();
            rows.into_iter().rev().map(|(_, row)| shelf.record(&row))
        })
    }

    pub(super) fn ids(&self) -> Vec<KeyId> {
        self.by_least.values().flat_map(|shelf| shelf.rows().map(|(id, _)| id)).collect()
    }
}

/// Some records in the order of their ids, each behind its length.
#[derive(Default)]
struct Shelf(Vec<u8>);

impl Shelf {
    /// The rows, length and record, with their ids.
    fn rows(&self) -> impl Iterator<Item = (KeyId, Range<usize>)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let length = self.0.get(at..)?.first_chunk().map(|length| u32::from_le_bytes(*length) as usize)?;
            let row = at..at + LENGTH_BYTES + length;
            at = row.end;
            Some((record::key_id(self.record(&row))?, row))
        })
    }

    fn record(&self, row: &Range<usize>) -> &[u8] {
        self.0.get(row.start + LENGTH_BYTES..row.end).unwrap_or_default()
    }

    /// The row of `id`, or where it would begin.
    fn place(&self, id: KeyId) -> Result<Range<usize>, usize> {
        match self.rows().find(|(known, _)| *known >= id) {
            Some((known, row)) if known == id => Ok(row),
            Some((_, row)) => Err(row.start),
            None => Err(self.0.len()),
        }
    }

    /// Whether `record` fits in place of `row`; where it would be alone it does, however long it is.
    fn has_room(&self, row: &Range<usize>, record: &[u8]) -> bool {
        let others = self.0.len() - row.len();
        others == 0 || others + LENGTH_BYTES + record.len() <= SHELF_BYTES
    }

    /// Puts `record` in place of `row`.
    fn put(&mut self, row: Range<usize>, record: &[u8]) {
        let more = (LENGTH_BYTES + record.len()).saturating_sub(row.len());
        if self.0.capacity() - self.0.len() < more {
            let needed = (self.0.len() + more).next_multiple_of(STEP_BYTES);
            self.0.reserve_exact(needed - self.0.len()); // and not twice what there is
        }
        let length = u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.0.splice(row, length.into_iter().chain(record.iter().copied()));
    }

    /// Takes the upper half away, with its least id; of a single row, that row.
    fn split(&mut self) -> Option<(KeyId, Self)> {
        let half = self.0.len() / 2;
        let (least, row) = self.rows().fold(None, |last, (id, row)| match last {
            Some((_, Range { start, .. })) if start >= half => last,
            Some(_) | None => Some((id, row)),
        })?;
        let (lower, upper) = self.0.split_at(row.start);
        let upper = Self(upper.to_vec());
        self.0 = lower.to_vec(); // a vector that shrinks keeps its memory
        Some((least, upper))
    }
}
