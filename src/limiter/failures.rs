//! Who has failed to authenticate lately, and how often.
//!
//! Promises: beyond a bound of failures a minute from one address (of IPv6: one /64) further ones are told so, and summed up to be
//! logged; memory is bounded, and whoever fails most stays known.
//! Deliberately does not: judge a credential, or know what counts. It is asked only where the verdict was no, so that a good
//! token never pays for the failures of others.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use crate::domain::{Span, Timestamp};

/// A bound that is none: nothing is counted then.
const UNBOUNDED: u32 = u32::MAX;
/// The minute, which begins with the first failure.
const WINDOW: Span = Span::minutes(1);
/// Shards, and sources known in each: about 2 MiB when all are full.
const SHARDS: usize = 64;
const SOURCES: usize = 512;

/// From where failures came.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// One address.
    V4(Ipv4Addr),
    /// The first half of an address: the rest is one client's to choose.
    V6([u16; 4]),
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [first, second, third, fourth, ..] = address.segments();
                Self::V6([first, second, third, fourth])
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => write!(f, "{address}"),
            Self::V6(half) => {
                let mut segments = [0; 8];
                segments[..4].copy_from_slice(half);
                write!(f, "{}/64", Ipv6Addr::from(segments))
            }
        }
    }
}

/// The failures of one minute of one source.
#[derive(Clone, Copy, Debug)]
struct Count {
    since: Timestamp,
    failures: u32,
}

impl Count {
    fn is_over(self, now: Timestamp) -> bool {
        // A clock that was set back begins a new minute.
        now.since(self.since) >= WINDOW || now < self.since.minus(WINDOW)
    }

    fn surplus(self, most: u32) -> u32 {
        self.failures.saturating_sub(most)
    }
}

/// A failure among those of its minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    /// Which one of its minute it is, from 1 on.
    pub in_minute: u32,
    /// In how many seconds the minute is over, if it is one too many.
    pub retry_after_seconds: Option<u64>,
}

/// What was not logged one by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sum {
    /// From where.
    pub source: Source,
    /// How many were one too many in their minute.
    pub refused: u32,
}

/// Recent failures, by their source.
pub struct Failures {
    /// How many a minute from one source are answered each for itself.
    most: AtomicU32,
    shards: Box<[Mutex<HashMap<Source, Count, RandomState>>]>,
    hasher: RandomState,
}

impl Failures {
    /// None yet; `most` of a minute from one source are answered each for itself, all of them where it is 0.
    pub fn new(most: u32) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let failures = Self { most: AtomicU32::new(0), shards, hasher: RandomState::default() };
        failures.bound(most);
        failures
    }

    /// Changes the bound.
    pub fn bound(&self, most: u32) {
        self.most.store(if most == 0 { UNBOUNDED } else { most }, Ordering::Relaxed);
    }

    /// Counts a failure from `address` at `now`, if failures are bounded.
    pub fn count(&self, address: IpAddr, now: Timestamp) -> Counted {
        let most = self.most.load(Ordering::Relaxed);
        if most == UNBOUNDED { Counted::default() } else { self.count_source(address.into(), most, now) }
    }

    fn count_source(&self, source: Source, most: u32, now: Timestamp) -> Counted {
        let mut shard = self.shard(source);
        if !shard.contains_key(&source) && shard.len() >= SOURCES {
            make_room(&mut shard, now, most);
        }
        let count = shard.entry(source).or_insert(Count { since: now, failures: 0 });
        if count.is_over(now) && count.surplus(most) == 0 {
            *count = Count { since: now, failures: 0 };
        }
        count.failures = count.failures.saturating_add(1);
        let left = WINDOW.as_millis().saturating_sub(now.since(count.since).as_millis());
        let retry_after_seconds = (count.failures > most).then(|| left.div_ceil(1_000).max(1));
        Counted { in_minute: count.failures, retry_after_seconds }
    }

    /// Forgets the minutes that are over. What there is to say of them.
    pub fn sweep(&self, now: Timestamp) -> Vec<Sum> {
        let (mut sums, most) = (Vec::new(), self.most.load(Ordering::Relaxed));
        for shard in &self.shards {
            lock(shard).retain(|source, count| {
                if count.is_over(now) && count.surplus(most) > 0 {
                    sums.push(Sum { source: *source, refused: count.surplus(most) });
                }
                !count.is_over(now)
            });
        }
        sums
    }

    fn shard(&self, source: Source) -> MutexGuard<'_, HashMap<Source, Count, RandomState>> {
        let at = usize::try_from(self.hasher.hash_one(source) % SHARDS as u64).unwrap_or_default();
        lock(&self.shards[at])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets the minutes that are over and, if there are none, whoever has failed least.
fn make_room(shard: &mut HashMap<Source, Count, RandomState>, now: Timestamp, most: u32) {
    shard.retain(|_, count| !count.is_over(now) || count.surplus(most) > 0);
    if shard.len() >= SOURCES
        && let Some(least) = shard.iter().min_by_key(|(_, count)| count.failures).map(|(source, _)| *source)
    {
        shard.remove(&least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_795_435_200_000);

    fn told(failures: &Failures, address: &str, now: Timestamp) -> Option<u64> {
        failures.count(address.parse().expect("an address"), now).retry_after_seconds
    }

    #[test]
    fn beyond_a_hundred_a_minute_they_are_too_many_until_the_minute_is_over() {
        let failures = Failures::new(100);
        for _ in 0..100 {
            assert_eq!(told(&failures, "10.0.0.7", NOON), None);
        }
        let later = NOON.plus(Span::millis(20_500));
        for _ in 0..3 {
            assert_eq!(told(&failures, "10.0.0.7", later), Some(40));
        }
        assert_eq!(told(&failures, "10.0.0.8", later), None, "another address");
        assert!(failures.sweep(later).is_empty());
        let over = NOON.plus(WINDOW);
        let sum = Sum { source: Source::V4(Ipv4Addr::new(10, 0, 0, 7)), refused: 3 };
        assert_eq!(failures.sweep(over), [sum]);
        assert_eq!(told(&failures, "10.0.0.7", over), None);
    }

    #[test]
    fn a_network_of_64_bits_is_one_source_and_an_ipv4_address_is_one_however_it_came() {
        let failures = Failures::new(100);
        for host in 0..100 {
            told(&failures, &format!("2001:db8:1:2::{host:x}"), NOON);
            told(&failures, "::ffff:10.0.0.7", NOON);
        }
        let too_many = Some(60);
        assert_eq!(told(&failures, "2001:db8:1:2:ffff::1", NOON), too_many);
        assert_eq!(told(&failures, "2001:db8:1:3::1", NOON), None);
        assert_eq!(told(&failures, "10.0.0.7", NOON), too_many);
        assert_eq!(Source::from("2001:db8:1:2::9".parse::<IpAddr>().expect("legal")).to_string(), "2001:db8:1:2::/64");
    }

    #[test]
    fn a_bound_of_none_bounds_nothing_and_another_holds_from_then_on() {
        let failures = Failures::new(0);
        for _ in 0..1_000 {
            assert_eq!(told(&failures, "10.0.0.7", NOON), None);
        }
        failures.bound(1);
        assert_eq!(told(&failures, "10.0.0.7", NOON), None);
        assert_eq!(told(&failures, "10.0.0.7", NOON), Some(60));
    }

    #[test]
    fn memory_is_bounded_and_whoever_fails_most_stays_known() {
        let failures = Failures::new(100);
        for _ in 0..150 {
            told(&failures, "203.0.113.9", NOON);
        }
        for number in 0..200_000_u32 {
            failures.count(Ipv4Addr::from(number).into(), NOON);
        }
        let known: usize = failures.shards.iter().map(|shard| lock(shard).len()).sum();
        assert!(known <= SHARDS * SOURCES, "{known}");
        assert_eq!(told(&failures, "203.0.113.9", NOON), Some(60));
    }
}
