//! The numbered rules of `docs/domain.md`, each with an example that a reader can check by hand.
//!
//! Deliberately does not: look for the odd case; `model_test` does that.

use std::collections::BTreeSet;

use super::grant::grants;
use super::transition::{apply, end_quiet, first_use, forget, settle};
use super::*;

const BIRTH: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const MILLI: Span = Span::millis(1);

fn token(number: u8, at: Timestamp, origin: Origin) -> Token {
    Token::of_digest(digest(number), TokenId::from_bits(u128::from(number)), at, origin)
}

fn digest(number: u8) -> Digest {
    Digest::of(&[number])
}

fn days(days: u64) -> Span {
    Span::days(days)
}

fn after(span: Span) -> Plan {
    Plan::new(Some(span), None, None).expect("legal")
}

fn when_quiet(span: Span) -> Plan {
    Plan::new(None, Some(span), None).expect("legal")
}

fn delete_after(span: Span) -> Plan {
    Plan::new(Some(span), None, Some(OnUnused::Delete)).expect("legal")
}

/// A key named `ci`, made at [`BIRTH`] with token 1, its clock and its settings.
struct Bench {
    key: ApiKey,
    now: Timestamp,
    settings: Settings,
}

impl Bench {
    fn new() -> Self {
        let key = ApiKey {
            roles: BTreeSet::from(["orders:read".parse().expect("legal")]),
            ..ApiKey::plain(KeyId::from_bits(7), "ci", token(1, BIRTH, Origin::Created))
        };
        Self { key, now: BIRTH, settings: Settings::default() }
    }

    /// The same, its renewal with token 2 open.
    fn renewing(plan: Plan) -> Self {
        let mut bench = Self::new();
        bench.renew(2, plan).expect("renewed");
        bench
    }

    fn pass(&mut self, span: Span) {
        self.now = self.now.plus(span);
    }

    fn apply(&mut self, command: Command) -> Result<Vec<Step>, Refusal> {
        let outcome = apply(&self.key, command, &Actor::named("root"), self.now, &self.settings)?;
        self.key = outcome.key;
        Ok(outcome.steps)
    }

    fn renew(&mut self, number: u8, plan: Plan) -> Result<Vec<Step>, Refusal> {
        let new = token(number, self.now, Origin::Renewed);
        self.apply(Command::Renew { new, plan })
    }

    fn renew_now(&mut self, number: u8) -> Result<Vec<Step>, Refusal> {
        let new = token(number, self.now, Origin::Renewed);
        self.apply(Command::RenewNow { new })
    }

    fn edit(&mut self, edit: Edit) -> Result<Vec<Step>, Refusal> {
        self.apply(Command::Edit(Box::new(edit)))
    }

    fn use_token(&mut self, number: u8) -> Option<Step> {
        let (key, step) = first_use(&self.key, TokenId::from_bits(u128::from(number)), self.now)?;
        self.key = key;
        step
    }

    fn settle(&mut self) -> Vec<Step> {
        let outcome = settle(&self.key, self.now, &self.settings);
        self.key = outcome.key;
        outcome.steps
    }

    /// What a request with this token is answered, whether or not the key has been settled; `None`: unknown.
    fn judge(&self, number: u8) -> Option<Verdict> {
        let new_used = match &self.key.tokens {
            Tokens::Single { .. } => None,
            Tokens::Renewing { new, .. } => new.first_used_at,
        };
        let (_, _, grant) = grants(&self.key).find(|(each, _, _)| *each == digest(number))?;
        Some(match grant {
            Grant::Living(living) => living.judge(self.now, self.settings.duration, self.settings.on_expiry, new_used),
            Grant::Ended(reason) => Err(reason),
        })
    }

    fn accepts(&self, number: u8) -> bool {
        matches!(self.judge(number), Some(Ok(_)))
    }
}

// Rule 1.
#[test]
fn both_tokens_work_until_somebody_deletes_the_old_one() {
    let mut bench = Bench::renewing(Plan::LATER);
    bench.pass(days(60));
    assert_eq!(bench.judge(1), Some(Ok(Slot::Old)));
    assert_eq!(bench.judge(2), Some(Ok(Slot::New)));
    bench.apply(Command::DeleteOld).expect("deleted");
    assert_eq!(bench.judge(1), Some(Err(EndReason::Superseded)));
    assert_eq!(bench.judge(2), Some(Ok(Slot::Current)));
}

// Rule 2.
#[test]
fn after_counts_from_the_opening_also_when_the_plan_is_changed_later() {
    let mut bench = Bench::renewing(Plan::LATER);
    bench.use_token(2);
    bench.pass(days(5));
    bench.apply(Command::ChangePlan { plan: after(days(7)) }).expect("changed");
    bench.pass(days(2));
    assert!(!bench.accepts(1));
}

// Rule 2.
#[test]
fn a_deadline_that_is_already_past_is_refused_and_one_a_millisecond_ahead_is_not() {
    let mut bench = Bench::renewing(Plan::LATER);
    bench.pass(days(7));
    let refusal = bench.apply(Command::ChangePlan { plan: after(days(7)) }).expect_err("past");
    assert_eq!(refusal, Refusal::DeadlinePast { due_at: bench.now });
    bench.apply(Command::ChangePlan { plan: after(days(7).plus(MILLI)) }).expect("ahead");
}

// Rule 2.
#[test]
fn a_new_plan_ends_being_held() {
    let mut bench = Bench::renewing(after(days(1)));
    bench.pass(days(1));
    let steps = bench.apply(Command::ChangePlan { plan: after(days(3)) }).expect("changed");
    let actions: Vec<_> = steps.iter().map(|step| step.action).collect();
    assert_eq!(actions, [Action::RenewalHeld, Action::RenewalPlanChanged]);
    let renewal = bench.key.tokens.renewal().expect("open");
    assert!(!renewal.held && renewal.plan == after(days(3)));
}

// Rule 3.
#[test]
fn renewing_now_leaves_only_the_new_token_and_cannot_be_undone() {
    let mut bench = Bench::new();
    bench.renew_now(2).expect("renewed");
    assert_eq!(bench.judge(1), Some(Err(EndReason::Superseded)));
    assert_eq!(bench.judge(2), Some(Ok(Slot::Current)));
    assert_eq!(bench.apply(Command::Undo), Err(Refusal::NoOldToken));
}

// Rule 3. Once, the new token of an open renewal was taken for a retry, and the leaked token lived on behind a 200.
#[test]
fn renewing_now_with_the_new_token_of_an_open_renewal_is_refused() {
    let mut bench = Bench::renewing(Plan::LATER);
    assert_eq!(bench.renew_now(2), Err(Refusal::RenewalOpen));
    assert!(bench.accepts(1));
}

// Rule 4.
#[test]
fn an_armed_deadline_ends_the_old_token_to_the_millisecond_before_anything_is_settled() {
    let mut bench = Bench::renewing(after(days(7)));
    let step = bench.use_token(2).expect("told");
    assert_eq!(step.action, Action::RenewalAdopted);
    bench.pass(days(7));
    bench.now = bench.now.minus(MILLI);
    assert!(bench.accepts(1));
    bench.pass(MILLI);
    assert_eq!(bench.judge(1), Some(Err(EndReason::Superseded)));
    assert!(bench.accepts(2));
    let steps = bench.settle();
    assert_eq!((steps[0].action, steps[0].at), (Action::RenewalCompleted, bench.now));
    assert_eq!(bench.judge(1), Some(Err(EndReason::Superseded)));
}

// Rule 4.
#[test]
fn a_deadline_before_which_the_new_token_was_not_used_cuts_nobody_off() {
    let mut bench = Bench::renewing(after(days(7)));
    bench.pass(days(7));
    assert!(bench.accepts(1), "due, not armed, not settled");
    assert_eq!(bench.settle()[0].action, Action::RenewalHeld);
    let renewal = bench.key.tokens.renewal().expect("open");
    assert!(renewal.held && renewal.due_at().is_none());
    bench.use_token(2);
    bench.pass(days(30));
    assert!(bench.settle().is_empty() && bench.accepts(1), "a later first use ends nothing");
}

// Rule 4.
#[test]
fn a_first_use_at_the_deadline_itself_does_not_arm_it() {
    let mut bench = Bench::renewing(after(days(7)));
    bench.pass(days(7));
    bench.use_token(2);
    assert!(bench.accepts(1));
    assert_eq!(bench.settle()[0].action, Action::RenewalHeld);
}

// Rule 4.
#[test]
fn deleting_when_unused_is_armed_from_the_start() {
    let mut bench = Bench::renewing(delete_after(days(7)));
    bench.pass(days(7));
    assert_eq!(bench.judge(1), Some(Err(EndReason::Superseded)));
}

// Rule 4.
#[test]
fn a_first_use_is_known_once_and_leaves_the_version_alone() {
    let mut bench = Bench::renewing(Plan::LATER);
    let version = bench.key.version;
    assert!(bench.use_token(1).is_none(), "the old token's first use is no event");
    assert!(bench.use_token(2).is_some());
    assert!(first_use(&bench.key, TokenId::from_bits(2), bench.now).is_none());
    assert_eq!(bench.key.version, version);
}

// Rule 5.
#[test]
fn quiet_ends_the_old_token_only_if_the_new_one_was_used() {
    let mut bench = Bench::renewing(when_quiet(Span::hours(24)));
    let quiet = |bench: &Bench, span| end_quiet(&bench.key, span, bench.now, &bench.settings).key.tokens;
    bench.pass(days(2));
    assert!(quiet(&bench, days(2)).renewal().is_some());
    bench.use_token(2);
    assert!(quiet(&bench, Span::millis(24 * 3_600_000 - 1)).renewal().is_some());
    assert!(quiet(&bench, Span::hours(24)).renewal().is_none());
    bench.apply(Command::ChangePlan { plan: Plan::LATER }).expect("changed");
    assert!(quiet(&bench, days(9)).renewal().is_some());
}

// Rule 6.
#[test]
fn undo_after_the_old_token_is_gone_is_refused() {
    let mut bench = Bench::renewing(Plan::LATER);
    bench.apply(Command::DeleteOld).expect("deleted");
    for command in [Command::Undo, Command::DeleteOld, Command::ChangePlan { plan: Plan::LATER }] {
        assert_eq!(bench.apply(command), Err(Refusal::NoOldToken));
    }
}

// Rule 6 and the table.
#[test]
fn undo_gives_the_old_token_back_with_its_own_dates() {
    let mut bench = Bench::new();
    bench.pass(days(10));
    bench.use_token(1);
    let original = bench.key.tokens.clone();
    bench.pass(days(10));
    bench.renew(2, Plan::LATER).expect("renewed");
    bench.pass(days(10));
    bench.apply(Command::Undo).expect("undone");
    assert_eq!(bench.key.tokens, original);
    assert_eq!(bench.judge(2), Some(Err(EndReason::Superseded)));
}

// Rule 7.
#[test]
fn a_token_is_accepted_strictly_before_its_end_and_refused_at_it() {
    let mut bench = Bench::new();
    bench.pass(days(90));
    assert_eq!(bench.judge(1), Some(Err(EndReason::Expired)));
    bench.settings.on_expiry = OnExpiry::Warn;
    assert!(bench.accepts(1));
    bench.settings.on_expiry = OnExpiry::Refuse;
    bench.now = bench.now.minus(MILLI);
    assert!(bench.accepts(1));
}

// Rule 7.
#[test]
fn renewing_an_expired_key_goes_straight_to_the_new_token_and_voids_the_plan() {
    let mut bench = Bench::new();
    bench.pass(days(90));
    bench.renew(2, after(days(7))).expect("renewed");
    assert_eq!(bench.judge(2), Some(Ok(Slot::Current)));
    assert_eq!(bench.judge(1), Some(Err(EndReason::Expired)));
    assert_eq!(bench.apply(Command::Undo), Err(Refusal::NoOldToken));
}

// Rule 7.
#[test]
fn a_renewal_whose_old_token_expires_is_settled_and_undo_says_why_it_cannot() {
    let mut bench = Bench::new();
    bench.pass(days(80));
    bench.renew(2, Plan::LATER).expect("renewed");
    bench.pass(days(10));
    assert_eq!(bench.judge(1), Some(Err(EndReason::Expired)));
    assert_eq!(bench.apply(Command::Undo), Err(Refusal::OldTokenExpired));
    assert_eq!(bench.settle()[0].action, Action::RenewalCompleted);
    assert_eq!(bench.judge(2), Some(Ok(Slot::Current)));
}

// Rule 7. Once, the end was dated by the shorter duration, before the renewal was opened, and undo denied the reason.
#[test]
fn an_old_token_ended_by_a_shorter_duration_ends_when_it_is_shortened_and_undo_says_why_it_cannot() {
    let mut bench = Bench::new();
    bench.pass(days(80));
    bench.renew(2, Plan::LATER).expect("renewed");
    bench.pass(days(1));
    let affected = Affected { ends: 1, revives: 0 };
    let duration = Some(Some(Lifetime::For(days(30))));
    let steps = bench.edit(Edit { duration, confirm: Some(affected), ..Edit::default() }).expect("edited");
    let told: Vec<_> = steps.iter().map(|step| (step.action, step.at)).collect();
    assert_eq!(told, [(Action::Edited, bench.now), (Action::RenewalCompleted, bench.now)]);
    assert_eq!(bench.apply(Command::Undo), Err(Refusal::OldTokenExpired));
}

// Rule 7.
#[test]
fn in_warn_mode_an_outdated_key_renews_like_any_other() {
    let mut bench = Bench::new();
    bench.settings.on_expiry = OnExpiry::Warn;
    bench.pass(days(100));
    bench.renew(2, Plan::LATER).expect("renewed");
    assert!(bench.accepts(1) && bench.accepts(2));
}

// Rule 7.
#[test]
fn a_duration_that_ends_or_revives_tokens_needs_the_right_counts() {
    let mut bench = Bench::renewing(Plan::LATER);
    bench.pass(days(40));
    let shorten = |confirm| Edit { duration: Some(Some(Lifetime::For(days(40)))), confirm, ..Edit::default() };
    let affected = Affected { ends: 2, revives: 0 };
    let refused = Err(Refusal::TokensAffected { affected });
    assert_eq!(bench.edit(shorten(None)), refused);
    assert_eq!(bench.edit(shorten(Some(Affected { ends: 1, revives: 0 }))), refused);
    assert!(bench.accepts(1) && bench.accepts(2));
    bench.edit(shorten(Some(affected))).expect("confirmed");
    assert!(!bench.accepts(1) && !bench.accepts(2));
    let lengthen = |confirm| Edit { duration: Some(None), confirm, ..Edit::default() };
    let affected = Affected { ends: 0, revives: 1 };
    assert_eq!(bench.edit(lengthen(None)), Err(Refusal::TokensAffected { affected }));
    bench.edit(lengthen(Some(affected))).expect("confirmed");
    assert!(!bench.accepts(1), "what was settled stays settled");
    assert!(bench.accepts(2));
}

// Rule 8.
#[test]
fn renewing_changes_nothing_but_tokens_and_version() {
    let before = Bench::new().key;
    let after = Bench::renewing(after(days(7))).key;
    assert_eq!(after.version, before.version.next());
    assert_eq!(ApiKey { tokens: before.tokens.clone(), version: before.version, ..after }, before);
}

// Rule 10.
#[test]
fn the_same_digest_again_is_harmless_while_it_is_new_or_current_since_a_renewal() {
    let mut bench = Bench::renewing(Plan::LATER);
    assert_eq!(bench.renew(2, after(days(1))), Ok(vec![]));
    bench.apply(Command::DeleteOld).expect("deleted");
    assert_eq!(bench.renew(2, Plan::LATER), Ok(vec![]));
    assert_eq!(bench.renew_now(2), Ok(vec![]));
}

// Rule 10.
#[test]
fn a_digest_is_in_use_everywhere_else() {
    let mut bench = Bench::new();
    assert_eq!(bench.renew(1, Plan::LATER), Err(Refusal::DigestInUse), "current since its creation");
    bench.renew(2, Plan::LATER).expect("renewed");
    assert_eq!(bench.renew(1, Plan::LATER), Err(Refusal::DigestInUse), "its own old token");
    bench.apply(Command::Undo).expect("undone");
    assert_eq!(bench.renew(2, Plan::LATER), Err(Refusal::DigestInUse), "an ended token");
}

// Rule 11.
#[test]
fn a_command_that_changes_nothing_gives_no_step_and_no_version() {
    let mut bench = Bench::renewing(after(days(7)));
    let before = bench.key.clone();
    let same = Edit { name: Some(before.name.clone()), status: Some(Status::Active), ..Edit::default() };
    assert_eq!(bench.edit(same), Ok(vec![]));
    assert_eq!(bench.apply(Command::ChangePlan { plan: after(days(7)) }), Ok(vec![]));
    assert_eq!(bench.key, before);
}

// Rule 12.
#[test]
fn of_two_renewals_the_second_finds_one_open() {
    let mut bench = Bench::renewing(Plan::LATER);
    assert_eq!(bench.renew(3, Plan::LATER), Err(Refusal::RenewalOpen));
    assert_eq!(bench.renew_now(3), Err(Refusal::RenewalOpen));
    assert_eq!(bench.judge(3), None);
}

// Rule 14.
#[test]
fn what_was_settled_stays_settled_when_the_clock_goes_back() {
    let mut bench = Bench::renewing(delete_after(days(7)));
    bench.pass(days(7));
    bench.settle();
    bench.now = BIRTH;
    assert!(bench.settle().is_empty());
    assert!(!bench.accepts(1) && bench.accepts(2));
}

// Rule 15.
#[test]
fn eight_ended_tokens_are_remembered_until_their_time_is_over() {
    let mut bench = Bench::new();
    for number in 2..=11 {
        bench.pass(days(1));
        bench.renew_now(number).expect("renewed");
    }
    assert_eq!(bench.key.ended.len(), Ended::MOST);
    assert_eq!((bench.judge(2), bench.judge(3)), (None, Some(Err(EndReason::Superseded))));
    assert!(forget(&bench.key, bench.now, days(8)).is_none());
    bench.key = forget(&bench.key, bench.now, days(7)).expect("one is due");
    assert_eq!((bench.judge(3), bench.judge(4)), (None, Some(Err(EndReason::Superseded))));
    bench.renew(3, Plan::LATER).expect("a forgotten digest is free");
}

// The table's last lines: a key's status and attributes are independent of its tokens.
#[test]
fn editing_a_key_keeps_its_tokens_and_its_renewal() {
    let mut bench = Bench::renewing(after(days(7)));
    let tokens = bench.key.tokens.clone();
    let name = Some("other".parse().expect("legal"));
    let edit = Edit { name, roles: Some(BTreeSet::new()), status: Some(Status::Inactive), ..Edit::default() };
    let steps = bench.edit(edit).expect("edited");
    let actions: Vec<_> = steps.iter().map(|step| step.action).collect();
    assert_eq!(actions, [Action::Edited, Action::Deactivated]);
    assert_eq!(bench.key.tokens, tokens);
}
