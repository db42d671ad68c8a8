//! Random lives of a key, lived twice: by the real transitions and by the naive model.
//!
//! Promises: after every step both give the same answers, the same tokens and the same history.

use proptest::prelude::*;

use super::grant::grants;
use super::model::{Answer, Conditions, Duration, Ledger, Place, Said};
use super::transition::{apply, end_quiet, first_use, forget, settle};
use super::*;

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;
const BIRTH: u64 = 1_800_000_000_000;

/// Which digest a renewal brings.
#[derive(Clone, Copy, Debug)]
enum Material {
    Fresh,
    /// One seen before, counted from the latest.
    Seen(u8),
}

/// What a command confirms.
#[derive(Clone, Copy, Debug)]
enum Confirm {
    Nothing,
    Right,
    Wrong,
}

/// How far the clock goes.
#[derive(Clone, Copy, Debug)]
enum Stride {
    Millis(u64),
    /// To the deadline, this much less one millisecond.
    Deadline(u64),
    /// To the oldest token's end, likewise.
    Expiry(u64),
}

#[derive(Clone, Debug)]
enum Op {
    Pass(Stride),
    Renew(Material, Conditions, bool),
    ChangePlan(Conditions),
    DeleteOld,
    Undo,
    Activate(bool),
    Rename(u8),
    OwnDuration(Duration, Confirm),
    SetDuration(Option<u64>, Confirm),
    OnExpiry(bool, Confirm),
    /// First use of a token, counted from the latest; `true`: written down only after the stride.
    Use(u8, Option<Stride>),
    Look(u64),
    Settle,
    Forget(u64),
}

fn duration() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        1 => Just(None),
        4 => (1..120_u64).prop_map(|days| Some(days * DAY)),
        2 => (1..3_000_u64).prop_map(|minutes| Some(minutes * MINUTE)),
        1 => (1..50_u64).prop_map(Some),
    ]
}

fn own_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![1 => Just(Duration::AsSet), 3 => duration().prop_map(Duration::Own)]
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let after = prop_oneof![
        3 => Just(None),
        2 => (1..10 * MINUTE).prop_map(Some),
        3 => (1..60_u64).prop_map(|days| Some(days * DAY)),
    ];
    let quiet = proptest::option::of(MINUTE..3 * DAY);
    (after, quiet, any::<bool>()).prop_map(|(after, quiet, delete)| Conditions {
        after,
        quiet,
        delete_unused: delete && after.is_some(),
    })
}

fn stride() -> impl Strategy<Value = Stride> {
    prop_oneof![
        1 => Just(Stride::Millis(0)),
        2 => (1..2_000_u64).prop_map(Stride::Millis),
        2 => (1..600_u64).prop_map(|minutes| Stride::Millis(minutes * MINUTE)),
        2 => (1..=200 * DAY).prop_map(Stride::Millis),
        4 => (0..3_u64).prop_map(Stride::Deadline),
        3 => (0..3_u64).prop_map(Stride::Expiry),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let material = || prop_oneof![5 => Just(Material::Fresh), 2 => (0..12_u8).prop_map(Material::Seen)];
    let confirm = || prop_oneof![Just(Confirm::Nothing), Just(Confirm::Right), Just(Confirm::Wrong)];
    prop_oneof![
        8 => stride().prop_map(Op::Pass),
        8 => (material(), conditions()).prop_map(|(material, plan)| Op::Renew(material, plan, false)),
        2 => material().prop_map(|material| Op::Renew(material, Conditions::default(), true)),
        4 => conditions().prop_map(Op::ChangePlan),
        3 => Just(Op::DeleteOld),
        3 => Just(Op::Undo),
        1 => any::<bool>().prop_map(Op::Activate),
        1 => (0..3_u8).prop_map(Op::Rename),
        2 => (own_duration(), confirm()).prop_map(|(own, confirm)| Op::OwnDuration(own, confirm)),
        2 => (duration(), confirm()).prop_map(|(set, confirm)| Op::SetDuration(set, confirm)),
        2 => (any::<bool>(), confirm()).prop_map(|(refuses, confirm)| Op::OnExpiry(refuses, confirm)),
        6 => (0..3_u8, proptest::option::of(stride())).prop_map(|(token, late)| Op::Use(token, late)),
        3 => (0..4 * DAY).prop_map(Op::Look),
        2 => Just(Op::Settle),
        1 => (DAY..120 * DAY).prop_map(Op::Forget),
    ]
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn digest(number: u32) -> Digest {
    Digest::of(&number.to_be_bytes())
}

fn lifetime(duration: Option<u64>) -> Lifetime {
    duration.map_or(Lifetime::Never, |millis| Lifetime::For(Span::millis(millis)))
}

fn own_lifetime(duration: Duration) -> Option<Lifetime> {
    match duration {
        Duration::AsSet => None,
        Duration::Own(own) => Some(lifetime(own)),
    }
}

fn plan(conditions: Conditions) -> Plan {
    let on_unused = conditions.after.map(|_| if conditions.delete_unused { OnUnused::Delete } else { OnUnused::Hold });
    Plan::new(conditions.after.map(Span::millis), conditions.quiet.map(Span::millis), on_unused).expect("legal")
}

fn name(number: u8) -> KeyName {
    format!("name {number}").parse().expect("legal")
}

fn action(action: Action) -> &'static str {
    action.name(Realm::Gateway).rsplit_once('.').expect("two words").1
}

/// One key, lived twice.
struct Life {
    key: ApiKey,
    settings: Settings,
    model: Ledger,
    /// What the real steps told, first uses left out.
    told: Vec<(&'static str, u64)>,
    digests: u32,
    tokens: u128,
}

impl Life {
    fn new() -> Self {
        let token = Token::of_digest(digest(0), TokenId::from_bits(0), at(BIRTH), Origin::Created);
        let key = ApiKey { name: name(0), ..ApiKey::plain(KeyId::from_bits(1), "ci", token) };
        let settings = Settings::default();
        let model = Ledger::new(BIRTH, 0, Some(90 * DAY));
        Self { key, settings, model, told: Vec::new(), digests: 1, tokens: 1 }
    }

    fn now(&self) -> Timestamp {
        at(self.model.now)
    }

    fn pass(&mut self, stride: Stride) {
        let near = |instant: Option<u64>, plus: u64| instant.map(|instant| instant + plus - 1);
        let until = match stride {
            Stride::Millis(millis) => Some(self.model.now + millis),
            Stride::Deadline(plus) => near(self.model.deadline(), plus),
            Stride::Expiry(plus) => near(self.model.expiry(), plus),
        };
        self.model.pass(until.unwrap_or(self.model.now).max(self.model.now));
    }

    /// Takes what came of a step, after looking at its form.
    fn take(&mut self, outcome: Outcome) {
        let grown = outcome.key.version.0 - self.key.version.0;
        assert_eq!(grown, outcome.steps.len() as u64, "a version is a step");
        let mut before = &self.key;
        for step in &outcome.steps {
            assert_eq!(&step.before, before, "steps follow each other");
            assert_ne!(step.before, step.after, "a step changes something");
            before = &step.after;
        }
        assert_eq!(before, &outcome.key, "the steps lead to the outcome");
        self.told.extend(outcome.steps.iter().map(|step| (action(step.action), step.at.as_millis())));
        self.key = outcome.key;
    }

    fn settle(&mut self) {
        let outcome = settle(&self.key, self.now(), &self.settings);
        self.take(outcome);
    }

    fn command(&mut self, command: Command) -> Said {
        let before = self.key.clone();
        let result = apply(&self.key, command, &Actor::named("test"), self.now(), &self.settings);
        assert_eq!(before, self.key);
        match result {
            Ok(outcome) => {
                self.take(outcome);
                Said::Done
            }
            Err(Refusal::RenewalOpen) => Said::RenewalOpen,
            Err(Refusal::NoOldToken) => Said::NoOldToken,
            Err(Refusal::OldTokenExpired) => Said::OldTokenExpired,
            Err(Refusal::DigestInUse) => Said::DigestInUse,
            Err(Refusal::DeadlinePast { .. }) => Said::Past,
            Err(Refusal::TokensAffected { affected }) => Said::Affects(affected.ends, affected.revives),
        }
    }

    fn edit(&mut self, edit: Edit) -> Said {
        self.command(Command::Edit(Box::new(edit)))
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Pass(stride) => self.pass(*stride),
            Op::Renew(material, conditions, at_once) => self.renew(*material, *conditions, *at_once),
            Op::ChangePlan(conditions) => {
                let said = self.command(Command::ChangePlan { plan: plan(*conditions) });
                assert_eq!(said, self.model.change_plan(*conditions));
            }
            Op::DeleteOld => assert_eq!(self.command(Command::DeleteOld), self.model.delete_old()),
            Op::Undo => assert_eq!(self.command(Command::Undo), self.model.undo()),
            Op::Activate(active) => {
                let status = if *active { Status::Active } else { Status::Inactive };
                self.model.set_active(*active);
                assert_eq!(self.edit(Edit { status: Some(status), ..Edit::default() }), Said::Done);
            }
            Op::Rename(to) => {
                self.model.rename(*to);
                assert_eq!(self.edit(Edit { name: Some(name(*to)), ..Edit::default() }), Said::Done);
            }
            Op::OwnDuration(own, confirm) => self.change_duration(*own, *confirm),
            Op::SetDuration(duration, confirm) => self.change_settings(*duration, self.model.refuses, *confirm),
            Op::OnExpiry(refuses, confirm) => self.change_settings(self.model.set_duration, *refuses, *confirm),
            Op::Use(back, late) => self.use_token(*back, *late),
            Op::Look(quiet) => {
                let outcome = end_quiet(&self.key, Span::millis(*quiet), self.now(), &self.settings);
                self.take(outcome);
                self.model.look(*quiet);
            }
            Op::Settle => self.settle(),
            Op::Forget(remember) => {
                self.settle();
                if let Some(key) = forget(&self.key, self.now(), Span::millis(*remember)) {
                    assert_eq!(key.version, self.key.version);
                    assert!(key.ended.len() < self.key.ended.len());
                    self.key = key;
                }
                self.model.forget(*remember);
            }
        }
    }

    fn renew(&mut self, material: Material, conditions: Conditions, at_once: bool) {
        let number = match material {
            Material::Fresh => {
                self.digests += 1;
                self.digests - 1
            }
            Material::Seen(back) => self.digests.saturating_sub(1 + u32::from(back)),
        };
        let id = TokenId::from_bits(self.tokens);
        self.tokens += 1;
        let new = Token::of_digest(digest(number), id, self.now(), Origin::Renewed);
        let command = if at_once { Command::RenewNow { new } } else { Command::Renew { new, plan: plan(conditions) } };
        assert_eq!(self.command(command), self.model.renew(number, conditions, at_once));
    }

    fn change_duration(&mut self, to: Duration, confirm: Confirm) {
        let (ends, revives) = self.model.affected(|ledger| ledger.duration = to);
        let confirm = match confirm {
            Confirm::Nothing => None,
            Confirm::Right => Some((ends, revives)),
            Confirm::Wrong => Some((ends + 1, revives)),
        };
        let affected = confirm.map(|(ends, revives)| Affected { ends, revives });
        let edit = Edit { duration: Some(own_lifetime(to)), confirm: affected, ..Edit::default() };
        assert_eq!(self.edit(edit), self.model.change_duration(to, confirm));
    }

    /// What the keyring does to one key when the settings change: settle, count, and from then on judge anew.
    fn change_settings(&mut self, duration: Option<u64>, refuses: bool, confirm: Confirm) {
        self.settle();
        let on_expiry = if refuses { OnExpiry::Refuse } else { OnExpiry::Warn };
        let after = Settings { duration: lifetime(duration), on_expiry, ..self.settings.clone() };
        let own = self.key.duration;
        let count = Affected::by(&self.key, (own, own), (&self.settings, &after), self.now());
        let change = |ledger: &mut Ledger| (ledger.set_duration, ledger.refuses) = (duration, refuses);
        assert_eq!((count.ends, count.revives), self.model.affected(change));
        let confirmed = match confirm {
            Confirm::Right => true,
            Confirm::Nothing | Confirm::Wrong => count.is_none(),
        };
        if confirmed {
            self.settings = after;
            change(&mut self.model);
            self.model.pass(self.model.now);
        }
    }

    fn use_token(&mut self, back: u8, late: Option<Stride>) {
        let Some(coin) = self.model.coins.len().checked_sub(1 + usize::from(back)) else { return };
        let number = self.model.coins[coin].digest;
        let used_at = self.now();
        let living = matches!(self.model.coins[coin].place, Place::Current | Place::Old | Place::New);
        if !living || !self.model.active || self.model.answer(number) != Answer::Accepted {
            return;
        }
        let known = grants(&self.key).find(|(each, _, _)| *each == digest(number));
        let (_, id, _) = known.expect("an accepted token is granted");
        let adopted = self.model.use_token(coin);
        if let Some(stride) = late {
            self.pass(stride);
        } else {
            self.settle();
        }
        let version = self.key.version;
        let used = first_use(&self.key, id, used_at);
        if late.is_none() {
            let told = used.as_ref().and_then(|(_, step)| step.as_ref());
            assert_eq!(told.is_some(), adopted, "an adoption is told once");
            assert!(told.is_none_or(|step| step.action == Action::RenewalAdopted && step.at == used_at));
        }
        if let Some((key, _)) = used {
            assert_eq!(key.version, version, "a first use leaves the version alone");
            self.key = key;
        }
    }

    fn check(&self) {
        let settled = settle(&self.key, self.now(), &self.settings);
        self.check_state(&settled.key);
        self.check_answers(&settled.key);
        let mut told = self.told.clone();
        told.extend(settled.steps.iter().map(|step| (action(step.action), step.at.as_millis())));
        assert_eq!(told, self.model.told, "the history");
        let again = settle(&settled.key, self.now(), &self.settings);
        assert!(again.steps.is_empty() && again.key == settled.key, "settled stays settled");
        assert!(settled.key.ended.len() <= Ended::MOST);
    }

    fn check_state(&self, key: &ApiKey) {
        let place = |place| self.model.at(place).map(|coin| &self.model.coins[coin]);
        let expected = match (place(Place::Current), place(Place::Old), place(Place::New)) {
            (Some(current), None, None) => vec![current],
            (None, Some(old), Some(new)) => vec![old, new],
            other => panic!("the model itself is lost: {other:?}"),
        };
        let tokens: Vec<_> = key.tokens.each().map(|t| (t.digest, t.created_at, t.first_used_at)).collect();
        let expected: Vec<_> =
            expected.into_iter().map(|c| (digest(c.digest), at(c.born), c.first_used.map(at))).collect();
        assert_eq!(tokens, expected, "the tokens and their dates");
        assert!(tokens.len() < 2 || tokens[0].0 != tokens[1].0, "two tokens differ");
        let overlap = self.model.overlap.map(|o| (at(o.opened), plan(o.conditions), o.held));
        assert_eq!(key.tokens.renewal().map(|r| (r.opened_at, r.plan, r.held)), overlap);
        assert_eq!(key.version.0, self.model.version);
        assert_eq!(key.status == Status::Active, self.model.active);
        assert_eq!(key.name, name(self.model.name));
        assert_eq!(key.duration, own_lifetime(self.model.duration));
    }

    /// Every digest that was ever seen is answered as the model says, settled or not.
    fn check_answers(&self, settled: &ApiKey) {
        let mut accepted = 0;
        for number in 0..self.digests {
            let expected = self.model.answer(number);
            accepted += u32::from(expected == Answer::Accepted);
            assert_eq!(self.judge(settled, number), expected, "digest {number} by the settled key");
            let unsettled = self.judge(&self.key, number);
            // Only a settlement makes the key forget its ninth ended token.
            if expected == Answer::Unknown {
                assert_ne!(unsettled, Answer::Accepted, "digest {number} by the unsettled key");
            } else {
                assert_eq!(unsettled, expected, "digest {number} by the unsettled key");
            }
        }
        assert!(accepted <= 2);
    }

    fn judge(&self, key: &ApiKey, number: u32) -> Answer {
        let new_used = match &key.tokens {
            Tokens::Single { .. } => None,
            Tokens::Renewing { new, .. } => new.first_used_at,
        };
        let mut known = grants(key).filter(|(each, _, _)| *each == digest(number));
        let Some((_, _, grant)) = known.next() else { return Answer::Unknown };
        assert!(known.next().is_none(), "a digest is granted once");
        let verdict = match grant {
            Grant::Living(token) => token.judge(self.now(), self.settings.duration, self.settings.on_expiry, new_used),
            Grant::Ended(reason) => Err(reason),
        };
        match verdict {
            Ok(_) => Answer::Accepted,
            Err(EndReason::Superseded) => Answer::Superseded,
            Err(EndReason::Expired) => Answer::Expired,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_key_lives_as_the_rules_say(ops in proptest::collection::vec(op(), 1..60)) {
        let mut life = Life::new();
        for op in &ops {
            life.step(op);
            life.check();
        }
    }
}
