//! The condition under which somebody closes a renewal: that nobody has used the token that would go.
//!
//! Promises: every use that a worker has judged before is counted in; where a part of the time asked about was not observed,
//! or what was cannot be read, the answer is that it is not known.
//! Deliberately does not: hold up requests. A use that comes after the look is cut off like any later one.

use crate::domain::{ApiKey, Slot, Span, Timestamp, Tokens};
use crate::usage::{Away, TokenCaller};

use super::order::Gap;
use super::{Denied, Keyring, Order};

/// A token has been used within the time asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InUse {
    /// Which one.
    pub slot: Slot,
    /// Its last use, to the second.
    pub last_used_at: Timestamp,
    /// Who has used it within that time, the heaviest first.
    pub callers: Vec<TokenCaller>,
}

/// For how long which token must not have been used.
#[derive(Clone, Copy)]
pub(super) struct Guard {
    slot: Slot,
    within: Span,
}

impl Guard {
    pub(super) fn of(order: &Order) -> Option<Self> {
        match order {
            Order::DeleteOldUnlessUsed(within) => Some(Self { slot: Slot::Old, within: *within }),
            Order::UndoUnlessUsed(within) => Some(Self { slot: Slot::New, within: *within }),
            Order::Renew(..)
            | Order::RenewNow(_)
            | Order::ChangePlan(_)
            | Order::DeleteOld
            | Order::Undo
            | Order::Edit(_) => None,
        }
    }

    /// Makes sure that what workers have noted is known.
    pub(super) async fn prepare(self, keyring: &Keyring) -> Result<(), Denied> {
        if keyring.0.parts.usage.gather().await { Ok(()) } else { Err(Denied::UsageUnknown { gap: Gap::Worker }) }
    }

    /// Refuses if the token that would go has been used, or may have been.
    pub(super) fn check(self, keyring: &Keyring, key: &ApiKey) -> Result<(), Denied> {
        let Tokens::Renewing { old, new, .. } = &key.tokens else { return Ok(()) };
        let token = if self.slot == Slot::Old { old } else { new };
        let usage = &keyring.0.parts.usage;
        let begin = keyring.0.parts.clock.now().minus(self.within);
        let last_used = usage.last_used(token.id);
        let known = last_used.unwrap_or_default().max(token.first_used_at);
        if let Some(last_used_at) = known.filter(|last| last.as_seconds() >= begin.as_seconds()) {
            let callers = usage.callers(token.id, begin);
            return Err(Denied::TokenInUse(Box::new(InUse { slot: self.slot, last_used_at, callers })));
        }
        last_used.map_err(|Away| Denied::UsageUnknown { gap: Gap::File })?;
        // Before it was made nobody used it.
        let begin = begin.max(token.created_at);
        let since = usage.observed_since();
        if begin < since { Err(Denied::UsageUnknown { gap: Gap::Before(since) }) } else { Ok(()) }
    }
}
