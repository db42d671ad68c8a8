//! A list in an order that was asked for: `sort=name`, `created`, `last_used` or `expires`, `-` before it for the reverse.
//!
//! Promises: memory is bounded by how far into the list the page is, and that by `MOST_SKIPPED`.
//! Deliberately does not: give cursors. A page of a sorted list is told by how many keys are before it, for people who
//! turn pages; programs that want every key exactly once take the list in its own order.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::str::FromStr;

use super::filter::Filter;
use super::list::settled;
use super::query::Query;
use super::view::Sight;
use crate::catalog::Catalog;
use crate::domain::{ApiKey, Authority, Invalid, KeyId, Realm, Timestamp};

/// How many keys can be skipped at most.
const MOST_SKIPPED: usize = 100_000;

/// What a list is sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Column {
    Name,
    Created,
    LastUsed,
    Expires,
}

/// From the least to the greatest, or the other way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Rising,
    Falling,
}

/// An order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sort {
    column: Column,
    direction: Direction,
}

/// Which keys are wanted, in which order, and which part of them.
pub(super) struct Sorted {
    filter: Filter,
    sort: Sort,
    skip: usize,
    limit: usize,
}

/// A key's place in a list. What was never used was used before everything, and what never ends does so after everything.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Name(String),
    BeforeAll,
    At(Timestamp),
    AfterAll,
}

impl Sorted {
    /// Takes what is wanted out of the parameters, if an order is asked for; what is wrong stays noted there.
    pub(super) fn take(query: &mut Query, whose: (Realm, &Authority), now: Timestamp) -> Option<Self> {
        let sort = query.take::<Sort>("sort")?;
        let filter = Filter::take(query, whose, now);
        let skip = query.take::<usize>("skip").unwrap_or_default();
        if skip > MOST_SKIPPED {
            query.mistake("skip", format!("is more than {MOST_SKIPPED}"));
        }
        Some(Self { filter, sort, skip, limit: query.take_limit() })
    }

    /// The page, and how many keys the whole list has.
    pub(super) fn page(&self, catalog: &Catalog, sight: &Sight) -> (Vec<ApiKey>, usize) {
        match self.sort.direction {
            Direction::Rising => self.first(catalog, sight, |place| place),
            Direction::Falling => self.first(catalog, sight, Reverse),
        }
    }

    /// Looks at every key and keeps those up to the end of the page.
    fn first<P: Ord>(
        &self,
        catalog: &Catalog,
        sight: &Sight,
        rank: impl Fn((Place, KeyId)) -> P,
    ) -> (Vec<ApiKey>, usize) {
        let mut first = BTreeMap::new();
        let mut total = 0;
        catalog.newest_first(self.filter.realm(), None, &mut |key| {
            let key = settled(key, sight);
            if self.filter.lets_through(&key, sight) {
                total += 1;
                first.insert(rank((self.sort.column.place(&key, sight), key.id)), key);
                if first.len() > self.skip.saturating_add(self.limit) {
                    first.pop_last();
                }
            }
            ControlFlow::Continue(())
        });
        (first.into_values().skip(self.skip).collect(), total)
    }
}

impl Column {
    fn place(self, key: &ApiKey, sight: &Sight) -> Place {
        let lifetime = key.lifetime(&sight.settings);
        match self {
            Self::Name => Place::Name(key.name.folded()),
            Self::Created => Place::At(key.created_at),
            Self::LastUsed => {
                let last = key.tokens.each().filter_map(|token| sight.last_used(token).ok()?).max();
                last.map_or(Place::BeforeAll, Place::At)
            }
            Self::Expires => {
                let first = key.tokens.each().filter_map(|token| lifetime.end(token.created_at)).min();
                first.map_or(Place::AfterAll, Place::At)
            }
        }
    }
}

impl FromStr for Sort {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (word, direction) = match text.strip_prefix('-') {
            Some(word) => (word, Direction::Falling),
            None => (text, Direction::Rising),
        };
        let column = match word {
            "name" => Column::Name,
            "created" => Column::Created,
            "last_used" => Column::LastUsed,
            "expires" => Column::Expires,
            _ => return Err(Invalid::new("is none of name, created, last_used, expires")),
        };
        Ok(Self { column, direction })
    }
}
