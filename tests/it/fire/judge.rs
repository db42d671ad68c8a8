//! Whether a request was answered rightly, by nothing but instants: when tokens were made valid or ended, and when
//! requests were written and their answers read.
//!
//! Promises: a pure function. A change is nowhere between the instant before its command's first byte was written and
//! the instant after its answer's last byte was read; there, and only there, both answers are right.
//! Deliberately does not: know a token.

use std::collections::BTreeMap;
use std::time::Instant;

/// What became of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observation {
    /// The place of its token among the lives.
    pub(super) token: usize,
    /// Before its first byte was written.
    pub(super) written: Instant,
    /// After the last byte of its answer was read.
    pub(super) read: Instant,
    /// The answer's; 0 where there was none.
    pub(super) status: u16,
}

/// One change of what a token is worth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    /// Before the first byte of the command was written.
    pub(super) asked: Instant,
    /// After the last byte of its answer was read.
    pub(super) answered: Instant,
    /// Whether the token is accepted from then on.
    pub(super) accepts: bool,
}

/// A token's changes in their order. Before the first it is refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Life(pub(super) Vec<Change>);

/// What is wrong with an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Fault {
    /// Accepted, and the answer that ended its token had been read before it was written.
    AcceptedAfterTheEnd,
    /// Refused, and its token was valid all the time.
    RefusedWhileValid,
    /// Neither 200 nor 401, or no answer.
    Other(u16),
}

/// What the judge has found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Findings {
    /// How often each fault was found with each token.
    pub(super) faults: BTreeMap<(Fault, usize), usize>,
    /// Of each token that was ended last of all: how many requests were refused after that.
    pub(super) refusals: BTreeMap<usize, usize>,
    /// How many requests were accepted.
    pub(super) accepted: usize,
}

/// What may rightly be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Right {
    Accepted,
    Refused,
    Either,
}

impl Life {
    /// What may be answered to a request on its way from `written` to `read`.
    fn right(&self, written: Instant, read: Instant) -> Right {
        let before = self.0.iter().rev().find(|change| change.answered <= written);
        let meanwhile = self.0.iter().filter(|change| change.answered > written && change.asked <= read);
        let at_first = before.is_some_and(|change| change.accepts);
        if meanwhile.into_iter().any(|change| change.accepts != at_first) {
            return Right::Either;
        }
        if at_first { Right::Accepted } else { Right::Refused }
    }

    /// When it was ended for good.
    fn ended_at(&self) -> Option<Instant> {
        self.0.last().filter(|change| !change.accepts).map(|change| change.answered)
    }
}

/// Judges every observation by the life of its token.
pub(super) fn judge(lives: &[Life], observations: &[Observation]) -> Findings {
    let mut findings = Findings::default();
    for &Observation { token, written, read, status } in observations {
        let life = &lives[token];
        let fault = match (status, life.right(written, read)) {
            (200, Right::Refused) => Some(Fault::AcceptedAfterTheEnd),
            (401, Right::Accepted) => Some(Fault::RefusedWhileValid),
            (200, Right::Accepted | Right::Either) | (401, Right::Refused | Right::Either) => None,
            (other, Right::Accepted | Right::Refused | Right::Either) => Some(Fault::Other(other)),
        };
        if let Some(fault) = fault {
            *findings.faults.entry((fault, token)).or_default() += 1;
        }
        if status == 401 && life.ended_at().is_some_and(|end| written >= end) {
            *findings.refusals.entry(token).or_default() += 1;
        }
        findings.accepted += usize::from(status == 200);
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A life of changes (asked, answered, accepts), in milliseconds, and one request (written, read, status) on trial.
    fn found(changes: &[(u64, u64, bool)], (written, read, status): (u64, u64, u16)) -> Option<Fault> {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let change = |&(asked, answered, accepts)| Change { asked: at(asked), answered: at(answered), accepts };
        let life = Life(changes.iter().map(change).collect());
        let observation = Observation { token: 0, written: at(written), read: at(read), status };
        judge(&[life], &[observation]).faults.keys().next().map(|(fault, _)| *fault)
    }

    const LIVED: [(u64, u64, bool); 2] = [(10, 20, true), (50, 60, false)];

    #[test]
    fn a_token_valid_all_the_time_must_be_accepted() {
        assert_eq!(found(&LIVED, (20, 49, 200)), None);
        assert_eq!(found(&LIVED, (20, 49, 401)), Some(Fault::RefusedWhileValid));
    }

    #[test]
    fn a_token_whose_end_was_answered_before_the_request_must_be_refused() {
        assert_eq!(found(&LIVED, (60, 61, 401)), None);
        assert_eq!(found(&LIVED, (60, 61, 200)), Some(Fault::AcceptedAfterTheEnd));
        assert_eq!(found(&LIVED, (600, 700, 200)), Some(Fault::AcceptedAfterTheEnd));
    }

    #[test]
    fn while_a_command_is_under_way_both_answers_are_right() {
        for (written, read) in [(59, 80), (40, 50), (52, 58), (19, 30), (5, 12)] {
            assert_eq!((found(&LIVED, (written, read, 200)), found(&LIVED, (written, read, 401))), (None, None));
        }
    }

    #[test]
    fn a_request_that_saw_the_whole_life_of_a_token_may_be_answered_either_way() {
        assert_eq!((found(&LIVED, (0, 90, 200)), found(&LIVED, (0, 90, 401))), (None, None));
    }

    #[test]
    fn before_it_was_made_and_between_two_endings_a_token_is_refused() {
        assert_eq!(found(&LIVED, (0, 9, 200)), Some(Fault::AcceptedAfterTheEnd));
        let twice = [(0, 1, true), (10, 20, false), (30, 40, true), (50, 60, false)];
        assert_eq!(found(&twice, (20, 29, 200)), Some(Fault::AcceptedAfterTheEnd));
        assert_eq!(found(&twice, (40, 49, 401)), Some(Fault::RefusedWhileValid));
        assert_eq!(found(&twice, (20, 30, 200)), None);
    }

    #[test]
    fn an_ending_that_repeats_an_ending_makes_nothing_doubtful() {
        let twice = [(0, 1, true), (10, 20, false), (30, 40, false)];
        assert_eq!(found(&twice, (32, 35, 200)), Some(Fault::AcceptedAfterTheEnd));
    }

    #[test]
    fn no_answer_and_any_other_answer_are_faults_at_any_time() {
        for (written, read) in [(20, 49), (55, 56), (60, 61)] {
            assert_eq!(found(&LIVED, (written, read, 503)), Some(Fault::Other(503)));
            assert_eq!(found(&LIVED, (written, read, 0)), Some(Fault::Other(0)));
        }
    }

    #[test]
    fn only_refusals_after_the_last_end_are_counted_as_such() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let changes = [(0, 1, true), (10, 20, false)].map(|(asked, answered, accepts)| Change {
            asked: at(asked),
            answered: at(answered),
            accepts,
        });
        let seen = [(12, 15, 401), (20, 25, 401), (30, 31, 401), (5, 6, 200)]
            .map(|(written, read, status)| Observation { token: 0, written: at(written), read: at(read), status });
        let findings = judge(&[Life(changes.to_vec())], &seen);
        let expected = Findings { faults: BTreeMap::new(), refusals: [(0, 2)].into(), accepted: 1 };
        assert_eq!(findings, expected);
    }
}
