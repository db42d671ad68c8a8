//! What must be known of one token to judge it on a request, without looking at its key.
//!
//! Promises: a grant carries its own ends (duration, deadline) and decides exactly as the key's settled state
//! would; a settlement that is late lets nothing in.

use super::{ApiKey, Digest, EndReason, Lifetime, OnExpiry, OnUnused, Timestamp, TokenId, Tokens};

/// Which of its key's tokens a token is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Slot {
    /// The only one.
    Current,
    /// The one that integrations are to leave.
    Old,
    /// The one that they are to take.
    New,
}

impl Slot {
    /// `current`, `old` or `new`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Old => "old",
            Self::New => "new",
        }
    }
}

/// An old token's deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadline {
    /// The instant.
    pub at: Timestamp,
    /// What happens if the new token was not used before it.
    pub on_unused: OnUnused,
}

impl Deadline {
    /// Whether the deadline ends the old token, the new one having first been used at `new_first_used`.
    pub fn is_armed(&self, new_first_used: Option<Timestamp>) -> bool {
        self.on_unused == OnUnused::Delete || new_first_used.is_some_and(|used| used < self.at)
    }
}

/// A living token as its key's state has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acceptance {
    /// Which of the key's tokens it is.
    pub slot: Slot,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its key's own token duration, if it has one.
    pub duration: Option<Lifetime>,
    /// For an old token: when its renewal ends it.
    pub deadline: Option<Deadline>,
}

/// Whether a token is accepted, as which, or why not.
pub type Verdict = Result<Slot, EndReason>;

impl Acceptance {
    /// Judges the token at `now` under the settings' `duration` and `on_expiry`; `new_first_used` is when the
    /// renewal's new token was first used.
    pub fn judge(
        &self,
        now: Timestamp,
        duration: Lifetime,
        on_expiry: OnExpiry,
        new_first_used: Option<Timestamp>,
    ) -> Verdict {
        let expires_at = match on_expiry {
            OnExpiry::Refuse => self.expires_at(duration),
            OnExpiry::Warn => None,
        };
        let due_at = self.deadline.filter(|deadline| deadline.is_armed(new_first_used)).map(|deadline| deadline.at);
        match (due_at, expires_at) {
            (Some(due), expires) if now >= due && expires.is_none_or(|expires| due <= expires) => {
                Err(EndReason::Superseded)
            }
            (_, Some(expires)) if now >= expires => Err(EndReason::Expired),
            _ => Ok(self.slot),
        }
    }

    /// When the token's duration is over, `duration` being the settings'.
    pub fn expires_at(&self, duration: Lifetime) -> Option<Timestamp> {
        self.duration.unwrap_or(duration).end(self.created_at)
    }
}

/// What the gateway answers to one digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grant {
    /// It is one of the key's tokens.
    Living(Acceptance),
    /// It was one.
    Ended(EndReason),
}

/// Every digest that `key` knows, with its token's id and what is answered to it.
pub fn grants(key: &ApiKey) -> impl Iterator<Item = (Digest, TokenId, Grant)> {
    let deadline = key
        .tokens
        .renewal()
        .and_then(|renewal| renewal.due_at().map(|at| Deadline { at, on_unused: renewal.plan.on_unused() }));
    let slots: &[_] = match key.tokens {
        Tokens::Single { .. } => &[(Slot::Current, false)],
        Tokens::Renewing { .. } => &[(Slot::Old, true), (Slot::New, false)],
    };
    let living = key.tokens.each().zip(slots).map(move |(token, (slot, ends))| {
        let (slot, deadline) = (*slot, deadline.filter(|_| *ends));
        let acceptance = Acceptance { slot, created_at: token.created_at, duration: key.duration, deadline };
        (token.digest, token.id, Grant::Living(acceptance))
    });
    living.chain(key.ended.iter().map(|ended| (ended.digest, ended.id, Grant::Ended(ended.reason))))
}
