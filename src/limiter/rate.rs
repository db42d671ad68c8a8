//! A rate: a bucket of requests that fills evenly (the generic cell rate algorithm).
//!
//! Promises: one atomic word; no more than the burst at once and no more than the rate for long, over all threads.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Left;
use crate::domain::{Rate, Timestamp};

const NANOS_PER_MILLI: u64 = 1_000_000;
/// How far apart two threads may be that ask what time it is.
const APART: u64 = 1_000_000_000;

/// When the bucket will be full, in nanoseconds of wall time. 0: it is.
#[derive(Default)]
pub(super) struct Bucket(AtomicU64);

impl Bucket {
    /// Takes one request out of the bucket at `now`; `Err`: it is empty.
    pub(super) fn take(&self, rate: Rate, now: Timestamp) -> Result<Left, Left> {
        let level = Level::of(rate, now);
        let taken = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| level.after_one(full_at));
        match taken {
            Ok(before) => Ok(level.left(level.after_one(before).unwrap_or(before))),
            Err(full_at) => Err(level.left(full_at)),
        }
    }

    /// What is in the bucket at `now`.
    pub(super) fn look(&self, rate: Rate, now: Timestamp) -> Left {
        Level::of(rate, now).left(self.0.load(Ordering::Acquire))
    }

    /// Whether it is full at `now`: nothing is lost with it.
    pub(super) fn is_full(&self, now: Timestamp) -> bool {
        self.0.load(Ordering::Acquire) <= nanos(now)
    }
}

/// A bucket's measures at one instant, in nanoseconds.
#[derive(Clone, Copy)]
struct Level {
    now: u64,
    interval: u64,
    depth: u64,
}

impl Level {
    fn of(rate: Rate, now: Timestamp) -> Self {
        let interval = rate.interval_nanos();
        // Time comes in milliseconds: a burst below what one of them brings would make the rate a smaller one.
        let burst = u64::from(rate.burst()).max(NANOS_PER_MILLI.div_ceil(interval));
        Self { now: nanos(now), interval, depth: burst * interval }
    }

    /// A bucket is never emptier than empty. One that would be by far was filled by narrower limits, or before time was
    /// set back: it begins anew. By little, another thread has looked at the time later.
    fn kept(self, full_at: u64) -> u64 {
        let empty = self.now + self.depth;
        if full_at > empty + APART { self.now } else { full_at.clamp(self.now, empty) }
    }

    fn after_one(self, full_at: u64) -> Option<u64> {
        let after = self.kept(full_at) + self.interval;
        (after <= self.now + self.depth).then_some(after)
    }

    fn left(self, full_at: u64) -> Left {
        let missing = self.kept(full_at) - self.now;
        let units = (self.depth - missing) / self.interval;
        // An empty bucket says when the next request may come, any other when it is full.
        let wait = if units == 0 { missing + self.interval - self.depth } else { missing };
        Left { units, resets_in_seconds: wait.div_ceil(1_000_000_000) }
    }
}

fn nanos(at: Timestamp) -> u64 {
    at.as_millis().saturating_mul(NANOS_PER_MILLI)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Span;

    const NOON: Timestamp = Timestamp::from_millis(1_795_435_200_000);

    fn rate(text: &str) -> Rate {
        text.parse().expect("legal")
    }

    #[test]
    fn a_burst_passes_at_once_and_then_as_many_as_the_rate() {
        let (bucket, rate) = (Bucket::default(), rate("10/1s/20"));
        let passed = |bucket: &Bucket, now| (0..100).filter(|_| bucket.take(rate, now).is_ok()).count();
        assert_eq!(passed(&bucket, NOON), 20);
        assert_eq!(bucket.take(rate, NOON), Err(Left { units: 0, resets_in_seconds: 1 }));
        assert_eq!(passed(&bucket, NOON.plus(Span::millis(99))), 0);
        assert_eq!(passed(&bucket, NOON.plus(Span::millis(100))), 1);
        assert_eq!(passed(&bucket, NOON.plus(Span::millis(1_100))), 10);
        assert_eq!(passed(&bucket, NOON.plus(Span::seconds(60))), 20);
    }

    #[test]
    fn what_is_left_is_told_with_the_time_of_the_next_request_or_of_a_full_bucket() {
        let (bucket, rate) = (Bucket::default(), rate("1/10s/3"));
        assert_eq!(bucket.look(rate, NOON), Left { units: 3, resets_in_seconds: 0 });
        assert_eq!(bucket.take(rate, NOON), Ok(Left { units: 2, resets_in_seconds: 10 }));
        assert_eq!(bucket.take(rate, NOON), Ok(Left { units: 1, resets_in_seconds: 20 }));
        assert_eq!(bucket.take(rate, NOON), Ok(Left { units: 0, resets_in_seconds: 10 }));
        let later = NOON.plus(Span::millis(9_999));
        assert_eq!(bucket.take(rate, later), Err(Left { units: 0, resets_in_seconds: 1 }));
        assert!(bucket.take(rate, later.plus(Span::millis(1))).is_ok());
    }

    #[test]
    fn a_rate_finer_than_the_clock_is_kept_with_the_smallest_burst() {
        let (bucket, rate) = (Bucket::default(), rate("10000/1s/1"));
        let passed: usize = (0..1_000)
            .map(|milli| (0..50).filter(|_| bucket.take(rate, NOON.plus(Span::millis(milli))).is_ok()).count())
            .sum();
        assert_eq!(passed, 10_000);
    }

    #[test]
    fn a_wider_limit_and_a_clock_set_back_leave_no_debt() {
        let bucket = Bucket::default();
        assert!(bucket.take(rate("1/24h"), NOON).is_ok());
        assert!(bucket.take(rate("1/24h"), NOON).is_err());
        assert_eq!(bucket.take(rate("10/1s"), NOON), Ok(Left { units: 9, resets_in_seconds: 1 }));
        assert!(bucket.take(rate("10/1s"), NOON.minus(Span::hours(1))).is_ok());
    }

    #[test]
    fn a_thread_that_lags_behind_finds_an_empty_bucket_empty() {
        let (bucket, rate) = (Bucket::default(), rate("10/1s"));
        while bucket.take(rate, NOON).is_ok() {}
        for millis in [0, 1, 50, 900] {
            assert!(bucket.take(rate, NOON.minus(Span::millis(millis))).is_err(), "{millis}");
        }
    }

    #[test]
    fn threads_share_one_budget() {
        let (bucket, rate) = (Bucket::default(), rate("1000/1m/1000"));
        let passed: usize = std::thread::scope(|scope| {
            let thread = || (0..500).filter(|_| bucket.take(rate, NOON).is_ok()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(thread)).collect();
            threads.into_iter().map(|thread| thread.join().expect("joined")).sum()
        });
        assert_eq!(passed, 1_000);
    }
}
