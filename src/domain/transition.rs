//! The state machine of a key: command × state → next state or refusal, as one table.
//!
//! Promises: a refusal changes no key ([`apply`] returns a new one); what fell due is settled before a command is
//! looked at; two tokens at most, and they differ.
//! Deliberately does not: know other keys. Names and digests are unique by the store's transaction.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::{
    Action, Actor, Affected, ApiKey, EndReason, Ended, KeyName, Label, Lifetime, Limits, Origin, Plan, Remark, Renewal,
    Role, Settings, Span, Status, Timestamp, Token, TokenId, Tokens, grant::Deadline,
};

/// What an administrator may ask of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// A new token beside the old one.
    Renew {
        /// The token, just made.
        new: Token,
        /// What becomes of the old one.
        plan: Plan,
    },
    /// A new token in place of the old one, for a leaked token. Cannot be undone.
    RenewNow {
        /// The token, just made.
        new: Token,
    },
    /// Another plan for the old token.
    ChangePlan {
        /// The plan.
        plan: Plan,
    },
    /// Close the renewal in favour of the new token. Final.
    DeleteOld,
    /// Close the renewal in favour of the old token, which continues exactly as it was.
    Undo,
    /// Change what is not a token.
    Edit(Box<Edit>),
}

/// A change of a key's attributes; `None` leaves one as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Edit {
    /// Another name.
    pub name: Option<KeyName>,
    /// Other roles.
    pub roles: Option<BTreeSet<Role>>,
    /// Of an administrator: another role to be limited to, or none.
    pub limited_to_role: Option<Option<Role>>,
    /// Activate or deactivate.
    pub status: Option<Status>,
    /// Another owner, or none.
    pub owner: Option<Option<Remark>>,
    /// Another note, or none.
    pub note: Option<Option<Remark>>,
    /// Other labels.
    pub labels: Option<BTreeMap<Label, Remark>>,
    /// Other addresses.
    pub allowed_addresses: Option<Vec<IpNet>>,
    /// Limits of the key's own, or its role's.
    pub limits: Option<Option<Limits>>,
    /// Whether it may see and renew itself.
    pub self_service: Option<bool>,
    /// A duration of the key's own, or the settings'.
    pub duration: Option<Option<Lifetime>>,
    /// The counts that the caller has seen and accepts.
    pub confirm: Option<Affected>,
}

/// Why a command is refused. Nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// `renewal_open`: there are two tokens already.
    #[error("a renewal is open: delete the old token or undo it first")]
    RenewalOpen,
    /// `no_old_token`: there is no renewal to close or to plan.
    #[error("the key has no old token")]
    NoOldToken,
    /// `old_token_expired`: the old token's duration ended during the renewal.
    #[error("the old token's duration is over, so the renewal can no longer be undone")]
    OldTokenExpired,
    /// `digest_in_use`: the token is or was a token already.
    #[error("this token is, or was, in use")]
    DigestInUse,
    /// The plan's deadline is already past (400).
    #[error("the deadline {due_at} is already past")]
    DeadlinePast {
        /// The deadline: `after` counts from the opening of the renewal.
        due_at: Timestamp,
    },
    /// `tokens_affected`: the change would end living tokens or revive ended ones.
    #[error("the change would end {} living tokens and revive {} ended ones", affected.ends, affected.revives)]
    TokensAffected {
        /// The counts that a confirmation must name.
        affected: Affected,
    },
}

/// One change of a key: an audit event and a version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// What was done.
    pub action: Action,
    /// By whom.
    pub actor: Actor,
    /// When; for a settlement, when it fell due.
    pub at: Timestamp,
    /// The key before.
    pub before: ApiKey,
    /// The key after.
    pub after: ApiKey,
}

/// What came of a command or of the passing of time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The key as it is now.
    pub key: ApiKey,
    /// How it came to be so; empty when nothing changed.
    pub steps: Vec<Step>,
}

impl Outcome {
    fn unchanged(key: &ApiKey) -> Self {
        Self { key: key.clone(), steps: Vec::new() }
    }

    /// Goes on to `tokens`, as one change.
    fn step(&mut self, action: Action, actor: Actor, at: Timestamp, change: impl FnOnce(&mut ApiKey)) {
        let before = self.key.clone();
        change(&mut self.key);
        self.key.version = before.version.next();
        self.steps.push(Step { action, actor, at, before, after: self.key.clone() });
    }
}

/// Applies `command`, given by `actor` at `now`, to `key`.
pub fn apply(
    key: &ApiKey,
    command: Command,
    actor: &Actor,
    now: Timestamp,
    settings: &Settings,
) -> Result<Outcome, Refusal> {
    let mut outcome = settle(key, now, settings);
    match command {
        Command::Edit(edit) => {
            apply_edit(&mut outcome, *edit, actor, now, settings)?;
            // A shorter duration may have ended an old token: now, whatever its new end is.
            while settle_next(&mut outcome, now, now, settings) {}
        }
        Command::Renew { .. }
        | Command::RenewNow { .. }
        | Command::ChangePlan { .. }
        | Command::DeleteOld
        | Command::Undo => apply_renewal(&mut outcome, command, actor, now, settings)?,
    }
    Ok(outcome)
}

/// The table of `docs/domain.md`, a line per line.
fn apply_renewal(
    outcome: &mut Outcome,
    command: Command,
    actor: &Actor,
    now: Timestamp,
    settings: &Settings,
) -> Result<(), Refusal> {
    use Command::{ChangePlan, DeleteOld, Edit, Renew, RenewNow, Undo};
    use Tokens::{Renewing, Single};

    let key = &outcome.key;
    if let Renew { new, .. } | RenewNow { new } = &command
        && is_repeated(key, new)?
    {
        // Whoever asks for "now" must not read 200 while the old token lives.
        let overlaps = matches!((&key.tokens, &command), (Renewing { .. }, RenewNow { .. }));
        return if overlaps { Err(Refusal::RenewalOpen) } else { Ok(()) };
    }
    let (action, tokens, ended) = match (key.tokens.clone(), command) {
        (Single { current }, Renew { new, .. }) if key.is_expired(&current, settings, now) => {
            (Action::RenewalCompleted, Single { current: new }, Some(current))
        }
        (Single { current }, Renew { new, plan }) => {
            let renewal = Renewal { opened_at: now, opened_by: actor.clone(), plan, held: false };
            (Action::RenewalOpened, Renewing { old: current, new, renewal }, None)
        }
        (Single { current }, RenewNow { new }) => (Action::RenewalCompleted, Single { current: new }, Some(current)),
        (Renewing { old, new, renewal }, ChangePlan { plan }) => {
            if let Some(due_at) = plan.due_at(renewal.opened_at).filter(|due_at| *due_at <= now) {
                return Err(Refusal::DeadlinePast { due_at });
            }
            let renewal = Renewal { plan, held: false, ..renewal };
            (Action::RenewalPlanChanged, Renewing { old, new, renewal }, None)
        }
        (Renewing { old, new, .. }, DeleteOld) => (Action::RenewalCompleted, Single { current: new }, Some(old)),
        (Renewing { old, new, .. }, Undo) => (Action::RenewalUndone, Single { current: old }, Some(new)),
        (Renewing { .. }, Renew { .. } | RenewNow { .. }) => return Err(Refusal::RenewalOpen),
        (Single { .. }, Undo) if lost_its_old_token_to_time(key) => return Err(Refusal::OldTokenExpired),
        (Single { .. }, DeleteOld | Undo | ChangePlan { .. }) => return Err(Refusal::NoOldToken),
        (_, Edit(_)) => return Ok(()), // attributes are not tokens
    };
    if tokens == key.tokens {
        return Ok(());
    }
    outcome.step(action, actor.clone(), now, |key| {
        if let Some(token) = ended {
            remember(key, &token, now, settings);
        }
        key.tokens = tokens;
    });
    Ok(())
}

/// Whether a renewal with `new` has been done already: the same digest is the new token, or current since a renewal.
fn is_repeated(key: &ApiKey, new: &Token) -> Result<bool, Refusal> {
    let repeated = match &key.tokens {
        Tokens::Single { current } => current.digest == new.digest && current.origin == Origin::Renewed,
        Tokens::Renewing { new: pending, .. } => pending.digest == new.digest,
    };
    if !repeated && key.digests().any(|digest| digest == new.digest) {
        return Err(Refusal::DigestInUse);
    }
    Ok(repeated)
}

/// Whether the key's last renewal was settled because its old token's duration ended. A token that had ended before it
/// was renewed has an end no later than the making of its successor.
fn lost_its_old_token_to_time(key: &ApiKey) -> bool {
    key.tokens.each().zip(key.ended.last()).any(|(current, last)| {
        current.origin == Origin::Renewed && last.reason == EndReason::Expired && last.ended_at > current.created_at
    })
}

/// Takes `token` from the living to the remembered.
fn remember(key: &mut ApiKey, token: &Token, now: Timestamp, settings: &Settings) {
    let (reason, ended_at) = match key.lifetime(settings).end(token.created_at) {
        Some(end) if key.is_expired(token, settings, now) => (EndReason::Expired, end),
        _ => (EndReason::Superseded, now),
    };
    remember_as(key, token, reason, ended_at);
}

fn remember_as(key: &mut ApiKey, token: &Token, reason: EndReason, ended_at: Timestamp) {
    key.ended.push(Ended { id: token.id, digest: token.digest, ended_at, reason });
    let surplus = key.ended.len().saturating_sub(Ended::MOST);
    key.ended.drain(..surplus);
}

fn apply_edit(
    outcome: &mut Outcome,
    edit: Edit,
    actor: &Actor,
    now: Timestamp,
    settings: &Settings,
) -> Result<(), Refusal> {
    let key = &outcome.key;
    let Edit {
        name,
        roles,
        limited_to_role,
        status,
        owner,
        note,
        labels,
        allowed_addresses,
        limits,
        self_service,
        duration,
        confirm,
    } = edit;
    let edited = ApiKey {
        name: name.unwrap_or_else(|| key.name.clone()),
        roles: roles.unwrap_or_else(|| key.roles.clone()),
        limited_to_role: limited_to_role.unwrap_or_else(|| key.limited_to_role.clone()),
        owner: owner.unwrap_or_else(|| key.owner.clone()),
        note: note.unwrap_or_else(|| key.note.clone()),
        labels: labels.unwrap_or_else(|| key.labels.clone()),
        allowed_addresses: allowed_addresses.unwrap_or_else(|| key.allowed_addresses.clone()),
        limits: limits.unwrap_or(key.limits),
        self_service: self_service.unwrap_or(key.self_service),
        duration: duration.unwrap_or(key.duration),
        ..key.clone()
    };
    let affected = Affected::by(key, (key.duration, edited.duration), (settings, settings), now);
    if !affected.is_none() && confirm != Some(affected) {
        return Err(Refusal::TokensAffected { affected });
    }
    if edited != *key {
        outcome.step(Action::Edited, actor.clone(), now, |key| *key = edited);
    }
    let action = match status {
        Some(Status::Active) => Action::Activated,
        Some(Status::Inactive) => Action::Deactivated,
        None => return Ok(()),
    };
    if status != Some(outcome.key.status) {
        outcome.step(action, actor.clone(), now, |key| key.status = status.unwrap_or(key.status));
    }
    Ok(())
}

/// What time alone has done to `key` by `now`: deadlines passed and durations ended, in the order in which they fell due.
pub fn settle(key: &ApiKey, now: Timestamp, settings: &Settings) -> Outcome {
    settle_since(key, Timestamp::EPOCH, now, settings)
}

/// The same under `settings` that hold since `durations_since` only: no duration ended before.
pub fn settle_since(key: &ApiKey, durations_since: Timestamp, now: Timestamp, settings: &Settings) -> Outcome {
    let mut outcome = Outcome::unchanged(key);
    while settle_next(&mut outcome, durations_since, now, settings) {}
    outcome
}

/// Settles the earliest thing that has fallen due; `false` if nothing has. No duration ended before `durations_since`.
fn settle_next(outcome: &mut Outcome, durations_since: Timestamp, now: Timestamp, settings: &Settings) -> bool {
    let Tokens::Renewing { old, new, renewal } = &outcome.key.tokens else {
        return false;
    };
    let deadline = renewal
        .due_at()
        .map(|at| Deadline { at, on_unused: renewal.plan.on_unused() })
        .filter(|deadline| deadline.at <= now);
    let expired_at =
        outcome.key.lifetime(settings).end(old.created_at).filter(|_| outcome.key.is_expired(old, settings, now));
    let (old, new) = (old.clone(), new.clone());
    match (deadline, expired_at) {
        (Some(deadline), expired_at) if expired_at.is_none_or(|expired_at| deadline.at <= expired_at) => {
            if deadline.is_armed(new.first_used_at) {
                complete(outcome, &old, new, EndReason::Superseded, deadline.at);
            } else {
                hold(outcome, deadline.at);
            }
        }
        (_, Some(expired_at)) => {
            // Durations that were made shorter end nothing in the past; an end during the renewal is told from one
            // before it by being later than its opening (`lost_its_old_token_to_time`).
            let after_opening = renewal.opened_at.plus(Span::millis(1));
            if durations_since > now {
                return false; // by then it had not ended
            }
            let at = expired_at.max(after_opening).max(durations_since);
            complete(outcome, &old, new, EndReason::Expired, at);
        }
        (_, None) => return false,
    }
    true
}

fn complete(outcome: &mut Outcome, old: &Token, new: Token, reason: EndReason, at: Timestamp) {
    outcome.step(Action::RenewalCompleted, Actor::relevo(), at, |key| {
        remember_as(key, old, reason, at);
        key.tokens = Tokens::Single { current: new };
    });
}

fn hold(outcome: &mut Outcome, at: Timestamp) {
    outcome.step(Action::RenewalHeld, Actor::relevo(), at, |key| {
        if let Tokens::Renewing { renewal, .. } = &mut key.tokens {
            renewal.plan = Plan::LATER;
            renewal.held = true;
        }
    });
}

/// Ends the old token because it has been unused for `quiet`, if the plan asks for no more and the new one was used.
pub fn end_quiet(key: &ApiKey, quiet: Span, now: Timestamp, settings: &Settings) -> Outcome {
    let mut outcome = settle(key, now, settings);
    let Tokens::Renewing { old, new, renewal } = outcome.key.tokens.clone() else {
        return outcome;
    };
    let asked = renewal.plan.when_quiet().is_some_and(|asked| quiet >= asked);
    if asked && new.first_used_at.is_some() {
        complete(&mut outcome, &old, new, EndReason::Superseded, now);
    }
    outcome
}

/// The key with the first use of its token `token` at `at` written down, and the event if it is a renewal's new token.
/// Version and `ETag` stay. `None` if it was known before, or the token is no longer one of the key's.
pub fn first_use(key: &ApiKey, token: TokenId, at: Timestamp) -> Option<(ApiKey, Option<Step>)> {
    let mut after = key.clone();
    let used = after.tokens.each_mut().find(|candidate| candidate.id == token)?;
    if used.first_used_at.is_some() {
        return None;
    }
    used.first_used_at = Some(at);
    let adopted = matches!(&after.tokens, Tokens::Renewing { new, .. } if new.id == token);
    let step = adopted.then(|| Step {
        action: Action::RenewalAdopted,
        actor: Actor::relevo(),
        at,
        before: key.clone(),
        after: after.clone(),
    });
    Some((after, step))
}

/// The key without the ended tokens that have been remembered long enough; `None` if there are none.
pub fn forget(key: &ApiKey, now: Timestamp, remember: Span) -> Option<ApiKey> {
    let is_due = |ended: &Ended| ended.ended_at.plus(remember) <= now;
    key.ended.iter().any(is_due).then(|| {
        let mut after = key.clone();
        after.ended.retain(|ended| !is_due(ended));
        after
    })
}
