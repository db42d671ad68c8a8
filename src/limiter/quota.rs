//! A quota: how many requests there were in a window of the calendar.
//!
//! Promises: one atomic word, which is also what is written to the file.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Left;
use crate::domain::{Period, Quota, Timestamp, Window};

/// How many bits of the word count: more than the largest quota.
const COUNT_BITS: u32 = 40;
/// The bits of the word that count.
const COUNT: u64 = (1 << COUNT_BITS) - 1;
/// How many bits say which window: over two bits for its kind, hours suffice until the year 2448.
const NUMBER_BITS: u32 = 22;

/// The window that was counted in last, and the count. 0: nothing was counted.
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// A counter that goes on where `word` of [`Counter::word`] was.
    #[cfg(test)]
    pub(super) fn from_word(word: u64) -> Self {
        Self(AtomicU64::new(word))
    }

    /// The counter as it is written.
    pub(super) fn word(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Adds what `word` of [`Counter::word`] had counted before, if nothing newer was counted since.
    pub(super) fn absorb(&self, word: u64) {
        let joined = |now: u64| match now {
            0 => Some(word),
            now if now & !COUNT == word & !COUNT => Some(now & !COUNT | ((now & COUNT) + (word & COUNT)).min(COUNT)),
            _ => None,
        };
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, joined).ok();
    }

    /// Counts one request at `now`; `Err`: the quota is spent.
    pub(super) fn take(&self, quota: Quota, now: Timestamp) -> Result<Left, Left> {
        let (tag, period) = window(quota.per(), now);
        let more = |word| {
            let count = counted(word, tag) + 1;
            (count <= quota.requests()).then(|| tag.max(ahead(word, tag)) | count)
        };
        let taken = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        match taken {
            Ok(before) => Ok(left(quota, counted(before, tag) + 1, period, now)),
            Err(word) => Err(left(quota, counted(word, tag), period, now)),
        }
    }

    /// What is left of the quota at `now`.
    pub(super) fn look(&self, quota: Quota, now: Timestamp) -> Left {
        let (tag, period) = window(quota.per(), now);
        left(quota, counted(self.word(), tag), period, now)
    }
}

/// Whether a word of [`Counter::word`] counts in a window that is over at `now`, or in none.
pub(super) fn is_over(word: u64, now: Timestamp) -> bool {
    Window::ALL.iter().all(|kind| counted(word, window(*kind, now).0) == 0)
}

fn left(quota: Quota, count: u64, period: Period, now: Timestamp) -> Left {
    let units = quota.requests().saturating_sub(count);
    Left { units, resets_in_seconds: period.ends.since(now).as_millis().div_ceil(1_000) }
}

/// The window's part of a word, and the window.
fn window(kind: Window, now: Timestamp) -> (u64, Period) {
    let period = kind.period(now);
    let kind = match kind {
        Window::Hour => 1,
        Window::Day => 2,
        Window::Month => 3,
    };
    let number = u64::from(period.number) & ((1 << NUMBER_BITS) - 1);
    (((kind << NUMBER_BITS) | number) << COUNT_BITS, period)
}

/// What `word` has counted in the window of `tag`, or in the next.
fn counted(word: u64, tag: u64) -> u64 {
    if [tag, ahead(word, tag)].contains(&(word & !COUNT)) { word & COUNT } else { 0 }
}

/// The window of `word`, if it is the one after that of `tag`: another thread has looked at the time later.
fn ahead(word: u64, tag: u64) -> u64 {
    let next = tag + (1 << COUNT_BITS);
    if word & !COUNT == next { next } else { tag }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Span;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn quota(text: &str) -> Quota {
        text.parse().expect("legal")
    }

    #[test]
    fn a_spent_quota_comes_back_whole_with_the_next_window() {
        let (counter, quota) = (Counter::default(), quota("2/day"));
        let evening = at("2026-11-23T23:59:50Z");
        assert_eq!(counter.take(quota, evening), Ok(Left { units: 1, resets_in_seconds: 10 }));
        assert_eq!(counter.take(quota, evening), Ok(Left { units: 0, resets_in_seconds: 10 }));
        assert_eq!(counter.take(quota, evening), Err(Left { units: 0, resets_in_seconds: 10 }));
        let midnight = at("2026-11-24T00:00:00Z");
        assert_eq!(counter.take(quota, midnight.minus(Span::millis(1))), Err(Left { units: 0, resets_in_seconds: 1 }));
        assert_eq!(counter.take(quota, midnight), Ok(Left { units: 1, resets_in_seconds: 86_400 }));
    }

    #[test]
    fn a_word_that_is_written_goes_on_counting_until_its_window_is_over() {
        let (counter, quota) = (Counter::default(), quota("10/month"));
        let now = at("2026-11-30T12:00:00Z");
        for _ in 0..7 {
            assert!(counter.take(quota, now).is_ok());
        }
        let again = Counter::from_word(counter.word());
        assert_eq!(again.look(quota, now).units, 3);
        assert!(!is_over(counter.word(), now));
        assert!(is_over(counter.word(), at("2026-12-01T00:00:00Z")));
        assert!(is_over(0, now));
    }

    #[test]
    fn a_thread_that_lags_behind_at_the_end_of_a_window_counts_in_the_next() {
        let (counter, quota) = (Counter::default(), quota("2/day"));
        let midnight = at("2026-11-24T00:00:00Z");
        let before = midnight.minus(Span::millis(1));
        assert!(counter.take(quota, midnight).is_ok());
        assert_eq!(counter.take(quota, before).map(|left| left.units), Ok(0));
        for now in [before, midnight] {
            assert_eq!(counter.take(quota, now).map_err(|left| left.units), Err(0), "{now}");
        }
    }

    #[test]
    fn the_largest_quota_has_room_in_a_word() {
        let most = Quota::new(Quota::MOST, Window::Hour).expect("legal");
        let now = at("2100-01-01T00:00:00Z");
        let counter = Counter::from_word(window(Window::Hour, now).0 | (Quota::MOST - 1));
        assert_eq!(counter.take(most, now).map(|left| left.units), Ok(0));
        assert_eq!(counter.take(most, now).map_err(|left| left.units), Err(0));
    }
}
