//! How much each key has asked for, against its limits.
//!
//! Promises: one budget a key, over all workers, both tokens, and every change of the key; a key that nothing limits
//! costs nothing, and one that is idle soon costs nothing again; quotas outlive the process, but for its last ten seconds.
//! Deliberately does not: know which limits a key has, or what is answered when they are reached.

pub mod failures;
mod file;
mod quota;
mod rate;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use dashmap::DashMap;
use foldhash::fast::RandomState;

use crate::clock::Clock;
use crate::domain::{KeyId, Limits, Timestamp};
use crate::store::beside::Away;

use file::{Opened, QuotaFile};
use quota::Counter;
use rate::Bucket;

/// Enough that workers rarely meet in one.
const SHARDS: usize = 256;

/// What keys have asked for. Cheap to clone; every clone counts the same.
#[derive(Clone)]
pub struct Limiter(Arc<Shared>);

struct Shared {
    clock: Clock,
    budgets: DashMap<[u8; 16], Arc<Budget>, RandomState>,
    file: QuotaFile,
}

/// What one key has asked for. 32 bytes.
#[derive(Default)]
struct Budget {
    bucket: Bucket,
    counter: Counter,
    in_flight: AtomicU32,
    /// Whether the counter is to be written.
    changed: AtomicBool,
}

/// What is left of one limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Left {
    /// How many requests.
    pub units: u64,
    /// When there will be more, or all again.
    pub resets_in_seconds: u64,
}

/// What is left of each limit that a key has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// By which limits.
    pub limits: Limits,
    /// When.
    pub now: Timestamp,
    /// Of the rate.
    pub rate: Option<Left>,
    /// Of the quota.
    pub quota: Option<Left>,
    /// Of the requests at once.
    pub concurrent: Option<Left>,
}

/// A request's place among those of its key; given back when dropped.
pub struct Admitted {
    /// What is left after it.
    pub standing: Standing,
    _place: Option<Place>,
}

/// A limit is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exceeded {
    /// What is left of each limit, of one of them nothing.
    pub standing: Standing,
    /// When it is worth to ask again.
    pub retry_after_seconds: u64,
}

struct Place(Arc<Budget>);

impl Limiter {
    /// The limiter that goes on where the file at `path` ends.
    pub fn open(path: PathBuf, clock: Clock) -> Self {
        let budgets = DashMap::with_hasher_and_shard_amount(RandomState::default(), SHARDS);
        let limiter = Self(Arc::new(Shared { clock, budgets, file: QuotaFile::new(path) }));
        limiter.ready().ok(); // the next flush tries again
        limiter
    }

    /// Has the file open, and counts on from what is in it.
    fn ready(&self) -> Result<(), Away> {
        match self.0.file.ready()? {
            Some(Opened::First(rows)) => self.absorb(rows),
            Some(Opened::Anew) => {
                self.0.budgets.iter().for_each(|budget| budget.changed.store(true, Ordering::Release));
            }
            Some(Opened::Again) | None => {}
        }
        Ok(())
    }

    fn absorb(&self, rows: Vec<(u128, u64)>) {
        let now = self.0.clock.now();
        let (over, counting): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, word)| quota::is_over(*word, now));
        for (key, word) in counting {
            let budget = self.budget(KeyId::from_bits(key));
            budget.counter.absorb(word);
        }
        let gone: Vec<_> = over.into_iter().map(|(key, _)| key).collect();
        self.0.file.write(&[], &gone).ok(); // or they are gone after the next start
    }

    /// Admits one request of `key` at `now`, or says which of `limits` is reached. What is refused is not counted.
    pub fn admit(&self, key: KeyId, limits: &Limits, now: Timestamp) -> Result<Admitted, Box<Exceeded>> {
        let budget = self.budget(key);
        let mut standing = budget.look(limits, now);
        let refused = |standing: Standing, left: Left| {
            Box::new(Exceeded { standing, retry_after_seconds: left.resets_in_seconds })
        };
        let place = match limits.concurrent {
            None => None,
            Some(most) => {
                let (place, left) = Place::among(&budget, most.get());
                standing.concurrent = Some(left);
                Some(place.ok_or_else(|| refused(standing, left))?)
            }
        };
        // A quota that is spent must not cost a place in the bucket as well.
        if let (Some(_), Some(left @ Left { units: 0, .. })) = (limits.quota, standing.quota) {
            return Err(refused(standing, left));
        }
        if let Some(rate) = limits.rate {
            let taken = budget.bucket.take(rate, now);
            standing.rate = Some(taken.unwrap_or_else(|left| left));
            taken.map_err(|left| refused(standing, left))?;
        }
        if let Some(quota) = limits.quota {
            let taken = budget.counter.take(quota, now);
            standing.quota = Some(taken.unwrap_or_else(|left| left));
            taken.map_err(|left| refused(standing, left))?;
            budget.changed.store(true, Ordering::Release);
        }
        Ok(Admitted { standing, _place: place })
    }

    fn budget(&self, key: KeyId) -> Arc<Budget> {
        let key = key.as_bits().to_be_bytes();
        if let Some(known) = self.0.budgets.get(&key) {
            return Arc::clone(&known);
        }
        Arc::clone(&self.0.budgets.entry(key).or_default())
    }

    /// Writes what was counted to the file, and lets go of what says nothing any more. Blocks on the disk.
    pub fn flush(&self) {
        if self.ready().is_err() {
            return;
        }
        let now = self.0.clock.now();
        let (mut rows, mut gone) = (Vec::new(), Vec::new());
        self.0.budgets.retain(|key, budget| {
            let (key, word) = (u128::from_be_bytes(*key), budget.counter.word());
            let over = quota::is_over(word, now);
            let changed = budget.changed.swap(false, Ordering::AcqRel);
            if changed && !over {
                rows.push((key, word));
            }
            // Nobody else can have it while its shard is locked.
            let idle = over && budget.bucket.is_full(now) && Arc::strong_count(budget) == 1;
            if idle && word != 0 {
                gone.push(key);
            }
            !idle
        });
        if self.0.file.write(&rows, &gone).is_err() {
            for (key, _) in rows {
                if let Some(budget) = self.0.budgets.get(&key.to_be_bytes()) {
                    budget.changed.store(true, Ordering::Release);
                }
            }
        }
    }

    /// Why the file of quotas cannot be read or written, if so.
    pub fn trouble(&self) -> Option<String> {
        self.0.file.trouble()
    }

    /// The last flush; the file is let go of.
    pub fn close(&self) {
        self.flush();
        self.0.file.close();
    }

    /// How many keys it knows of.
    pub fn len(&self) -> usize {
        self.0.budgets.len()
    }

    /// Whether it knows of none.
    pub fn is_empty(&self) -> bool {
        self.0.budgets.is_empty()
    }
}

impl Budget {
    fn look(&self, limits: &Limits, now: Timestamp) -> Standing {
        let at_once = |most: std::num::NonZeroU32| Left {
            units: most.get().saturating_sub(self.in_flight.load(Ordering::Relaxed)).into(),
            resets_in_seconds: 1,
        };
        Standing {
            limits: *limits,
            now,
            rate: limits.rate.map(|rate| self.bucket.look(rate, now)),
            quota: limits.quota.map(|quota| self.counter.look(quota, now)),
            concurrent: limits.concurrent.map(at_once),
        }
    }
}

impl Place {
    /// A place among `most`, if there is one, and how many there are then.
    fn among(budget: &Arc<Budget>, most: u32) -> (Option<Self>, Left) {
        let before = budget.in_flight.fetch_add(1, Ordering::AcqRel);
        let place = Self(Arc::clone(budget));
        let left = Left { units: most.saturating_sub(before.saturating_add(1)).into(), resets_in_seconds: 1 };
        ((before < most).then_some(place), left)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
