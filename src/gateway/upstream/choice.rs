//! Which of several endpoints takes a request: of two drawn by weight, the one with less in flight for its weight.
//!
//! Promises: no allocation; every candidate with a share can be drawn.
//! Deliberately does not: know what an endpoint is, or whether it is well.

/// The most endpoints that an upstream has, names resolved: a request remembers in one word whom it tried.
pub(in crate::gateway) const MOST: usize = 64;

/// Whom one request has tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::gateway) struct Tried(u64);

impl Tried {
    pub(super) fn has(self, place: usize) -> bool {
        self.0 & bit(place) != 0
    }

    pub(super) fn add(&mut self, place: usize) {
        self.0 |= bit(place);
    }

    /// Nobody was tried.
    pub(in crate::gateway) fn forget(&mut self) {
        self.0 = 0;
    }
}

fn bit(place: usize) -> u64 {
    u32::try_from(place).ok().and_then(|place| 1_u64.checked_shl(place)).unwrap_or_default()
}

/// One that may be chosen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Candidate {
    pub(super) place: usize,
    /// Its weight; never 0.
    pub(super) share: u64,
    pub(super) in_flight: usize,
}

/// The place of one of `candidates`; `random` are two draws.
pub(super) fn choose(candidates: &[Candidate], random: [u64; 2]) -> Option<usize> {
    let one = draw(candidates, None, random[0])?;
    let Some(other) = draw(candidates, Some(one.place), random[1]) else { return Some(one.place) };
    let load = |of: Candidate, against: Candidate| of.in_flight as u128 * u128::from(against.share);
    Some(if load(other, one) < load(one, other) { other.place } else { one.place })
}

/// One of them but `without`, each as likely as its share.
fn draw(candidates: &[Candidate], without: Option<usize>, random: u64) -> Option<Candidate> {
    let drawn = || candidates.iter().filter(|candidate| Some(candidate.place) != without);
    let total: u64 = drawn().map(|candidate| candidate.share).sum();
    let mut left = random.checked_rem(total)?;
    for candidate in drawn() {
        match left.checked_sub(candidate.share) {
            Some(rest) => left = rest,
            None => return Some(*candidate),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn candidates(all: &[(u64, usize)]) -> Vec<Candidate> {
        let one = |(place, &(share, in_flight))| Candidate { place, share, in_flight };
        all.iter().enumerate().map(one).collect()
    }

    fn chosen(all: &[(u64, usize)]) -> Vec<u32> {
        let (candidates, mut random) = (candidates(all), SmallRng::seed_from_u64(7));
        let mut counts = vec![0; all.len()];
        for _ in 0..10_000 {
            counts[choose(&candidates, [random.next_u64(), random.next_u64()]).expect("one")] += 1;
        }
        counts
    }

    #[test]
    fn with_nothing_in_flight_each_gets_its_weight() {
        let counts = chosen(&[(1_000, 0), (3_000, 0)]);
        assert!((2_300..2_700).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn the_fullest_for_its_weight_is_never_chosen_where_there_is_another() {
        assert_eq!(chosen(&[(1_000, 2), (1_000, 9), (1_000, 2)])[1], 0);
        let counts = chosen(&[(1_000, 2), (4_000, 5)]);
        assert_eq!(counts[0], 0, "5 of 4 is less than 2 of 1");
    }

    #[test]
    fn one_is_chosen_and_of_none_none() {
        assert_eq!(choose(&candidates(&[(1_000, 70)]), [5, 6]), Some(0));
        assert_eq!(choose(&[], [5, 6]), None);
    }

    #[test]
    fn a_request_remembers_whom_it_tried() {
        let mut tried = Tried::default();
        tried.add(0);
        tried.add(63);
        assert!(tried.has(0) && !tried.has(1) && tried.has(63));
        tried.forget();
        assert!(!tried.has(63));
    }
}
