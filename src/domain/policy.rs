//! The settings that hold for every key, and what a change of them would do.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ApiKey, Invalid, Lifetime, Prefix, Span, Timestamp};

/// What happens to a token at the end of its duration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExpiry {
    /// It is refused.
    #[default]
    Refuse,
    /// It is shown as outdated and goes on working.
    Warn,
}

impl FromStr for OnExpiry {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "warn" => Ok(Self::Warn),
            _ => Err(Invalid::new("is neither refuse nor warn")),
        }
    }
}

/// The settings of a store. `prefixes` grows when a new prefix is configured and never shrinks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How long tokens live, unless their key says otherwise.
    pub duration: Lifetime,
    /// What happens to them then.
    pub on_expiry: OnExpiry,
    /// Every prefix this store has ever minted with.
    pub prefixes: Vec<Prefix>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { duration: Lifetime::For(Span::days(90)), on_expiry: OnExpiry::Refuse, prefixes: vec![Prefix::default()] }
    }
}

/// How many tokens a change of duration or of its consequence would end and revive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affected {
    /// Living tokens that would be refused.
    pub ends: u64,
    /// Ended tokens that would be accepted again.
    pub revives: u64,
}

impl Affected {
    /// Whether nothing would change for any token.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// What replacing `before` by `after` does at `now` to the tokens of `key`, which carries the key's own
    /// duration before and after as `durations`.
    pub fn by(
        key: &ApiKey,
        durations: (Option<Lifetime>, Option<Lifetime>),
        settings: (&Settings, &Settings),
        now: Timestamp,
    ) -> Self {
        let (before, after) = settings;
        let refused = |created_at, own: Option<Lifetime>, settings: &Settings| {
            let end = own.unwrap_or(settings.duration).end(created_at);
            settings.on_expiry == OnExpiry::Refuse && end.is_some_and(|end| now >= end)
        };
        key.tokens.each().fold(Self::default(), |sum, token| {
            let was = refused(token.created_at, durations.0, before);
            let will = refused(token.created_at, durations.1, after);
            sum.plus(Self { ends: u64::from(!was && will), revives: u64::from(was && !will) })
        })
    }

    /// Both counts added up.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { ends: self.ends + other.ends, revives: self.revives + other.revives }
    }
}
