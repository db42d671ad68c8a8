//! The renewal: the period in which a key has two valid tokens, and the plan for its end.

use super::{Actor, Invalid, Span, Timestamp};

/// What happens at a deadline if the new token was never used before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnUnused {
    /// The renewal is held: nobody is cut off.
    #[default]
    Hold,
    /// The old token ends all the same.
    Delete,
}

/// What becomes of the old token: later (by hand), after a time, when quiet, or whichever of the two comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    after: Option<Span>,
    when_quiet: Option<Span>,
    on_unused: OnUnused,
}

impl Plan {
    /// By hand, some day.
    pub const LATER: Self = Self { after: None, when_quiet: None, on_unused: OnUnused::Hold };
    /// The shortest quiet that can be asked for: quiet is looked at once a minute.
    pub const SHORTEST_QUIET: Span = Span::minutes(1);

    /// A plan of the conditions given; none of them is [`Plan::LATER`].
    pub fn new(after: Option<Span>, when_quiet: Option<Span>, on_unused: Option<OnUnused>) -> Result<Self, Invalid> {
        if after == Some(Span::ZERO) {
            return Err(Invalid::new("after must be longer than nothing"));
        }
        if when_quiet.is_some_and(|quiet| quiet < Self::SHORTEST_QUIET) {
            return Err(Invalid::new("when_quiet must be a minute or longer"));
        }
        if after.is_none() && on_unused.is_some() {
            return Err(Invalid::new("on_unused has a meaning only beside after"));
        }
        Ok(Self { after, when_quiet, on_unused: on_unused.unwrap_or_default() })
    }

    /// How long after the opening the old token ends.
    pub const fn after(&self) -> Option<Span> {
        self.after
    }

    /// How long the old token must have been unused to end.
    pub const fn when_quiet(&self) -> Option<Span> {
        self.when_quiet
    }

    /// What happens at the deadline if the new token was not used.
    pub const fn on_unused(&self) -> OnUnused {
        self.on_unused
    }

    /// The deadline of a renewal opened at `opened_at`.
    pub fn due_at(&self, opened_at: Timestamp) -> Option<Timestamp> {
        self.after.map(|after| opened_at.plus(after))
    }
}

/// An open renewal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Renewal {
    /// When it was opened; `after` counts from here.
    pub opened_at: Timestamp,
    /// Who opened it.
    pub opened_by: Actor,
    /// What becomes of the old token. [`Plan::LATER`] once held.
    pub plan: Plan,
    /// Whether a deadline passed without the new token having been used.
    pub held: bool,
}

impl Renewal {
    /// The deadline, if there is one.
    pub fn due_at(&self) -> Option<Timestamp> {
        self.plan.due_at(self.opened_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_means_nothing_is_refused() {
        assert!(Plan::new(Some(Span::ZERO), None, None).is_err());
        assert!(Plan::new(None, Some(Span::seconds(59)), None).is_err());
        assert!(Plan::new(None, None, Some(OnUnused::Hold)).is_err());
        assert!(Plan::new(None, Some(Span::hours(1)), Some(OnUnused::Delete)).is_err());
        assert_eq!(Plan::new(None, None, None).expect("later"), Plan::LATER);
        assert!(Plan::new(Some(Span::days(7)), Some(Span::hours(24)), Some(OnUnused::Delete)).is_ok());
    }
}
