//! The part of the audit log that one call looks at for whoever may not read all of it.
//!
//! Promises: where it begins and ends depends on what was asked for and on the two ends of the log, on no event between.

use crate::domain::Revision;
use crate::store::EventQuery;

/// How many revisions it has at most; each has one event or none.
const MOST: u64 = 50_000;
/// How many events are read at once.
const STEP: usize = 256;

/// The revisions after `after` and before `before`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    after: Revision,
    before: Revision,
    order: Order,
    /// Whether the log goes on beyond it, in its order.
    goes_on: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Oldest,
    Newest,
}

impl Stretch {
    /// What a call looks at that asks for `query`, of a log from `oldest` to `newest`.
    pub(super) fn of(query: &EventQuery, oldest: Revision, newest: Revision) -> Self {
        let least = query.after.max(Revision(oldest.0.saturating_sub(1)));
        let end = Revision(newest.0.saturating_add(1));
        match query.before {
            None => {
                let before = end.min(Revision(least.0.saturating_add(MOST + 1)));
                Self { after: least, before, order: Order::Oldest, goes_on: before < end }
            }
            Some(before) => {
                let before = before.min(end);
                let after = least.max(Revision(before.0.saturating_sub(MOST + 1)));
                Self { after, before, order: Order::Newest, goes_on: after > least }
            }
        }
    }

    /// Where it begins, in its order.
    pub(super) fn begin(&self) -> Revision {
        match self.order {
            Order::Oldest => self.after,
            Order::Newest => self.before,
        }
    }

    /// Whether this revision is in it.
    pub(super) fn holds(&self, revision: Revision) -> bool {
        self.after < revision && revision < self.before
    }

    /// Whether there is something in it beyond `place`, in its order.
    pub(super) fn holds_more_from(&self, place: Revision) -> bool {
        match self.order {
            Order::Oldest => place.0.saturating_add(1) < self.before.0,
            Order::Newest => place.0 > self.after.0.saturating_add(1),
        }
    }

    /// The next events of `query` beyond `place`; those that are not in the stretch are to be left out.
    pub(super) fn query(&self, query: &EventQuery, place: Revision) -> EventQuery {
        let (after, before) = match self.order {
            Order::Oldest => (place, None),
            Order::Newest => (self.after, Some(place)),
        };
        EventQuery { after, before, limit: STEP, ..query.clone() }
    }

    /// Where the next call begins when all of it was looked at, if there is more of the log.
    pub(super) fn after_all(&self) -> Option<Revision> {
        self.goes_on.then_some(match self.order {
            Order::Oldest => Revision(self.before.0.saturating_sub(1)),
            Order::Newest => Revision(self.after.0.saturating_add(1)),
        })
    }

    /// Where the next call begins when the last event that was shown has this revision, if there is more of the log.
    pub(super) fn after(&self, shown: Revision) -> Option<Revision> {
        (self.goes_on || self.holds_more_from(shown)).then_some(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(after: u64, before: Option<u64>) -> EventQuery {
        EventQuery { after: Revision(after), before: before.map(Revision), limit: 5, ..EventQuery::default() }
    }

    /// The first and last revision of each stretch that is looked at, and the places in between.
    fn walk(mut query: EventQuery, oldest: u64, newest: u64) -> Vec<(u64, u64)> {
        let mut walked = Vec::new();
        loop {
            let stretch = Stretch::of(&query, Revision(oldest), Revision(newest));
            walked.push((stretch.after.0 + 1, stretch.before.0.saturating_sub(1)));
            match (stretch.after_all(), query.before) {
                (None, _) => return walked,
                (Some(next), None) => query.after = next,
                (Some(next), Some(_)) => query.before = Some(next),
            }
        }
    }

    #[test]
    fn stretches_follow_each_other_without_a_gap_to_the_end_of_the_log() {
        assert_eq!(walk(asked(0, None), 1, 120_000), [(1, 50_000), (50_001, 100_000), (100_001, 120_000)]);
        assert_eq!(walk(asked(0, Some(u64::MAX)), 1, 120_000), [(70_001, 120_000), (20_001, 70_000), (1, 20_000)]);
        assert_eq!(walk(asked(0, None), 80_001, 120_000), [(80_001, 120_000)]);
        assert_eq!(walk(asked(0, Some(u64::MAX)), 80_001, 130_000), [(80_001, 130_000)]);
        assert_eq!(walk(asked(0, None), 1, 50_000), [(1, 50_000)]);
    }

    #[test]
    fn a_page_goes_on_after_what_was_shown_unless_that_is_the_end_of_the_log() {
        let oldest = Stretch::of(&asked(0, None), Revision(1), Revision(9));
        assert_eq!(oldest.after(Revision(8)), Some(Revision(8)));
        assert_eq!(oldest.after(Revision(9)), None);
        let newest = Stretch::of(&asked(0, Some(u64::MAX)), Revision(3), Revision(9));
        assert_eq!(newest.after(Revision(4)), Some(Revision(4)));
        assert_eq!(newest.after(Revision(3)), None);
    }

    #[test]
    fn beyond_the_ends_of_the_log_there_is_nothing() {
        for query in
            [asked(9, None), asked(u64::MAX, None), asked(0, Some(0)), asked(9, Some(u64::MAX)), asked(0, Some(3))]
        {
            let stretch = Stretch::of(&query, Revision(3), Revision(9));
            assert!(!stretch.holds_more_from(stretch.begin()), "{query:?}");
            assert_eq!(stretch.after_all(), None, "{query:?}");
        }
    }
}
