//! What is kept of each of many tokens: the last use, and how many uses there were of late.
//!
//! Promises: 20 bytes, whatever the traffic; what was not used for the whole of a window counts nothing in it.
//! Deliberately does not: keep single uses. A window that begins within the hour (the day) before last takes its share of
//! that one: the count is then about right, and never that of a longer time.

use crate::domain::Timestamp;

/// In seconds.
const HOUR: u32 = 3_600;
/// In seconds.
const DAY: u32 = 24 * HOUR;

/// The uses of one token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Seen {
    /// 0: never.
    last_used_s: u32,
    hours: Pair,
    days: Pair,
}

/// The uses in the hour (the day) of the last use, and in the one before it. Both as the clock has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Pair {
    pub(super) latest: u32,
    pub(super) before: u32,
}

/// How often a token was used of late.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Requests {
    /// In the hour before now, about.
    pub in_hour: u32,
    /// In the day before now, about.
    pub in_day: u32,
}

impl Seen {
    /// A token last used at `last_used`, with these counts for its hour and day.
    pub(super) fn of(last_used: Option<Timestamp>, hours: Pair, days: Pair) -> Self {
        Self { last_used_s: last_used.map_or(0, seconds), hours, days }
    }

    pub(super) fn last_used(&self) -> Option<Timestamp> {
        (self.last_used_s != 0).then(|| Timestamp::from_millis(u64::from(self.last_used_s) * 1_000))
    }

    pub(super) fn pairs(&self) -> (Pair, Pair) {
        (self.hours, self.days)
    }

    /// Adds `requests`, the last of them at `at`; another worker may have told of a later use already.
    pub(super) fn add(&mut self, at: Timestamp, requests: u32) {
        self.absorb(Self::of(Some(at), Pair::single(requests), Pair::single(requests)));
    }

    /// Adds what is known of the same token from elsewhere.
    pub(super) fn absorb(&mut self, other: Self) {
        let (older, newer) = if other.last_used_s >= self.last_used_s { (*self, other) } else { (other, *self) };
        let joined = |older_pair, newer_pair: Pair, length| {
            newer_pair.plus(older.as_of(older_pair, length, newer.last_used_s / length))
        };
        *self = Self {
            last_used_s: newer.last_used_s,
            hours: joined(older.hours, newer.hours, HOUR),
            days: joined(older.days, newer.days, DAY),
        };
    }

    /// How often it was used before `now`.
    pub(super) fn requests(&self, now: Timestamp) -> Requests {
        let now_s = seconds(now);
        Requests { in_hour: self.within(self.hours, HOUR, now_s), in_day: self.within(self.days, DAY, now_s) }
    }

    /// `pair`, which is of the hour (the day) of the last use, as it is in that with the number `number`.
    fn as_of(&self, pair: Pair, length: u32, number: u32) -> Pair {
        match number.saturating_sub(self.last_used_s / length) {
            0 => pair,
            1 => Pair { latest: 0, before: pair.latest },
            2.. => Pair::default(),
        }
    }

    /// The uses in the `length` seconds before `now_s`: all of the present hour (day), and of the one before it the
    /// share that they still hold, rounded up.
    fn within(&self, pair: Pair, length: u32, now_s: u32) -> u32 {
        if now_s.saturating_sub(self.last_used_s) >= length {
            return 0;
        }
        let Pair { latest, before } = self.as_of(pair, length, now_s / length);
        let held_s = u64::from(length - now_s % length);
        let share = (u64::from(before) * held_s).div_ceil(u64::from(length));
        latest.saturating_add(u32::try_from(share).unwrap_or(u32::MAX))
    }
}

impl Pair {
    fn single(requests: u32) -> Self {
        Self { latest: requests, before: 0 }
    }

    fn plus(self, other: Self) -> Self {
        Self { latest: self.latest.saturating_add(other.latest), before: self.before.saturating_add(other.before) }
    }
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_seconds()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Span;

    /// The beginning of an hour and of a day.
    const MIDNIGHT: Timestamp = Timestamp::from_millis(1_800_057_600_000);

    fn minutes(minutes: u64) -> Timestamp {
        MIDNIGHT.plus(Span::minutes(minutes))
    }

    fn counts(seen: &Seen, at: Timestamp) -> (u32, u32) {
        let Requests { in_hour, in_day } = seen.requests(at);
        (in_hour, in_day)
    }

    #[test]
    fn uses_count_for_an_hour_and_for_a_day() {
        let mut seen = Seen::default();
        assert_eq!(counts(&seen, minutes(0)), (0, 0));
        seen.add(minutes(10), 12);
        seen.add(minutes(20), 3);
        assert_eq!(counts(&seen, minutes(20)), (15, 15));
        assert_eq!(counts(&seen, minutes(59)), (15, 15));
        assert_eq!(counts(&seen, minutes(75)).0, 12, "a quarter of the hour before is past");
        assert_eq!(counts(&seen, minutes(80)), (0, 15));
        assert_eq!(counts(&seen, minutes(20 + 24 * 60)), (0, 0));
    }

    #[test]
    fn one_late_use_does_not_bring_a_whole_hour_back() {
        let mut seen = Seen::default();
        seen.add(minutes(1), 1_000);
        seen.add(minutes(119), 1);
        assert_eq!(counts(&seen, minutes(119)).0, 1 + 17);
        seen.add(minutes(600), 1);
        assert_eq!(counts(&seen, minutes(600)), (1, 1_002));
    }

    #[test]
    fn it_does_not_matter_who_tells_first() {
        let told = [(minutes(5), 7), (minutes(58), 2), (minutes(61), 4), (minutes(200), 1)];
        let in_order = told.iter().fold(Seen::default(), |mut seen, (at, requests)| {
            seen.add(*at, *requests);
            seen
        });
        for first in 0..told.len() {
            let mut seen = Seen::default();
            let (late, early) = told.split_at(first);
            early.iter().chain(late.iter().rev()).for_each(|(at, requests)| seen.add(*at, *requests));
            assert_eq!(seen.requests(minutes(201)), in_order.requests(minutes(201)));
            assert_eq!(seen.last_used(), Some(minutes(200)));
        }
    }

    #[test]
    fn the_memory_of_a_token_is_20_bytes() {
        assert_eq!(size_of::<Seen>(), 20);
    }
}
