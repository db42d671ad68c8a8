//! The commands about renewals, of keys and of administrators.

use clap::{Args, ValueEnum};

use crate::cli::values::KeyReference;
use crate::domain::{Prefix, Span};

#[derive(Args, Debug)]
pub(in crate::cli) struct Renew {
    /// The id or name
    pub(in crate::cli) key: KeyReference,
    /// When to delete the old token: later (by hand), or now (as soon as the new one is printed)
    #[arg(long, value_name = "WHEN", conflicts_with_all = ["after", "when_quiet"])]
    pub(in crate::cli) delete_old: Option<DeleteOld>,
    #[command(flatten)]
    pub(in crate::cli) conditions: Conditions,
    /// Mint the token on this machine and send only its digest
    #[arg(long)]
    pub(in crate::cli) local: bool,
    /// What a token minted here begins with; without it, what the gateway's own begin with
    #[arg(long, requires = "local")]
    pub(in crate::cli) prefix: Option<Prefix>,
}

/// Conditions that end an old token, whichever comes first.
#[derive(Args, Debug, Default, Clone, Copy)]
pub(in crate::cli) struct Conditions {
    /// Delete the old token so long after the renewal, if the new one was used by then
    #[arg(long, value_name = "DURATION")]
    pub(in crate::cli) after: Option<Span>,
    /// Delete the old token once it has not been used for so long
    #[arg(long, value_name = "DURATION")]
    pub(in crate::cli) when_quiet: Option<Span>,
    /// At the deadline, if the new token was never used: hold (both stay) or delete (the old one ends all the same)
    #[arg(long, value_name = "WHAT", requires = "after")]
    pub(in crate::cli) on_unused: Option<OnUnused>,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Plan {
    /// The id or name
    pub(in crate::cli) key: KeyReference,
    /// By hand, some day
    #[arg(required_unless_present_any = ["after", "when_quiet"], conflicts_with_all = ["after", "when_quiet"])]
    pub(in crate::cli) later: Option<Later>,
    #[command(flatten)]
    pub(in crate::cli) conditions: Conditions,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct End {
    /// The id or name
    pub(in crate::cli) key: KeyReference,
    /// Refuse if the token that would go has been used within this time (10m, 24h)
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) unless_used_within: Option<Span>,
    /// Do not ask
    #[arg(long)]
    pub(in crate::cli) yes: bool,
}

/// When `renew` deletes the old token.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum DeleteOld {
    /// By hand.
    Later,
    /// When the new one has been printed.
    Now,
}

/// The one plan that is a word.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Later {
    /// By hand.
    Later,
}

/// What happens at a deadline if the new token was never used.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum OnUnused {
    /// Both tokens stay.
    Hold,
    /// The old one ends.
    Delete,
}
