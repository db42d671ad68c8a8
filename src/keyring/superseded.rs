//! Which uses of replaced tokens are told now, and which are kept for later.
//!
//! Promises: each token is told of at most once an hour, and every use that was counted is told within the next hour; both
//! of the [`MOST`] tokens told of last. Memory is bounded.
//! Deliberately does not: tell.

use std::collections::HashMap;

use crate::domain::{Realm, Span, Timestamp, TokenId};
use crate::index::SupersededUse;

/// How often, at most, a token is told of.
const EVERY: Span = Span::hours(1);
/// How many tokens are remembered as told.
const MOST: usize = 4_096;

/// The tokens that were told of within the hour.
#[derive(Default)]
pub(super) struct Tried(HashMap<TokenId, Entry>);

#[derive(Default)]
struct Entry {
    told_at: Option<Timestamp>,
    /// What has come since: the last use, and how many.
    untold: Option<(Realm, SupersededUse)>,
}

impl Tried {
    /// Takes in `uses` and answers what is to be told at `now`.
    pub(super) fn take(
        &mut self,
        uses: impl Iterator<Item = (Realm, SupersededUse)>,
        now: Timestamp,
    ) -> Vec<(Realm, SupersededUse)> {
        for (realm, used) in uses {
            let entry = self.0.entry(used.token).or_default();
            let before = entry.untold.map_or(0, |(_, untold)| untold.uses);
            entry.untold = Some((realm, SupersededUse { uses: before + used.uses, ..used }));
        }
        let mut due = Vec::new();
        self.0.retain(|_, entry| {
            let is_due = entry.told_at.is_none_or(|at| at.is_due_again(EVERY, now));
            if is_due && let Some(untold) = entry.untold.take() {
                due.push(untold);
                entry.told_at = Some(now);
                return true;
            }
            !is_due
        });
        self.make_room();
        due
    }

    /// Lets go of those that were told of first, where there are too many.
    fn make_room(&mut self) {
        let Some(excess) = self.0.len().checked_sub(MOST).filter(|excess| *excess > 0) else { return };
        let mut oldest: Vec<_> = self.0.iter().map(|(token, entry)| (entry.told_at, *token)).collect();
        oldest.sort_unstable();
        for (_, token) in oldest.into_iter().take(excess) {
            self.0.remove(&token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::KeyId;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn used(token: u128, uses: u64) -> (Realm, SupersededUse) {
        let (key, token, address) = (KeyId::from_bits(1), TokenId::from_bits(token), [10, 0, 0, 7].into());
        (Realm::Gateway, SupersededUse { key, token, uses, address, at: START })
    }

    #[test]
    fn uses_within_the_hour_are_told_once_it_is_over_though_no_further_one_comes() {
        let mut tried = Tried::default();
        assert_eq!(tried.take([used(1, 2)].into_iter(), START), [used(1, 2)]);
        let later = START.plus(Span::minutes(10));
        assert_eq!(tried.take([used(1, 3)].into_iter(), later), []);
        assert_eq!(tried.take([used(1, 4)].into_iter(), later), []);
        let over = START.plus(EVERY);
        assert_eq!(tried.take([].into_iter(), over.minus(Span::millis(1))), []);
        assert_eq!(tried.take([].into_iter(), over), [used(1, 7)]);
        assert_eq!(tried.take([used(1, 1)].into_iter(), over), [], "an hour begins again");
        let end = over.plus(EVERY);
        assert_eq!(tried.take([].into_iter(), end), [used(1, 1)]);
        assert_eq!(tried.take([].into_iter(), end.plus(EVERY)), []);
        assert!(tried.0.is_empty());
    }

    // Once, whatever was tried again within its hour stayed for ever, and 4,096 of those kept every other one from being told.
    #[test]
    fn where_there_are_too_many_the_oldest_makes_room() {
        let (mut tried, most) = (Tried::default(), u128::try_from(MOST).expect("small"));
        for token in 0..most {
            let now = START.plus(Span::millis(u64::try_from(token).expect("small")));
            assert_eq!(tried.take([used(token, 1)].into_iter(), now).len(), 1);
        }
        let now = START.plus(Span::minutes(1));
        assert_eq!(tried.take((0..most).map(|token| used(token, 1)), now), []);
        assert_eq!(tried.take([used(most, 1)].into_iter(), now), [used(most, 1)]);
        assert_eq!(tried.0.len(), MOST);
        assert!(!tried.0.contains_key(&TokenId::from_bits(0)));
        assert_eq!(tried.take([].into_iter(), START.plus(Span::hours(3))).len(), MOST - 1, "all but the oldest's");
    }
}
