//! Which keys a list shows.
//!
//! Promises: a filter decides from the key, the settings and its use alone.

use std::str::FromStr;

use super::query::Query;
use super::view::Sight;
use crate::domain::name::fold;
use crate::domain::{ApiKey, Authority, Invalid, Label, Realm, Role, Span, Status, Timestamp, Tokens};

/// Whose keys are looked at, and what a key must be like to be shown; `None` asks nothing.
pub struct Filter {
    realm: Realm,
    authority: Authority,
    status: Option<Status>,
    role: Option<Role>,
    owner: Option<String>,
    label: Option<LabelFilter>,
    text: Option<String>,
    renewing: Option<bool>,
    outdated: Option<bool>,
    expiring_within: Option<Span>,
    unused_since: Option<Timestamp>,
}

/// `name`, or `name:value`.
struct LabelFilter {
    name: Label,
    value: Option<String>,
}

impl Filter {
    /// Takes the filters out of the parameters; what is wrong stays noted there.
    pub fn take(query: &mut Query, (realm, authority): (Realm, &Authority), now: Timestamp) -> Self {
        let role = match realm {
            Realm::Gateway => query.take("role"),
            Realm::Admin => query.take("permission"),
        };
        Self {
            realm,
            authority: authority.clone(),
            status: query.take::<Word<Status>>("status").map(|Word(status)| status),
            role,
            owner: query.take_text("owner"),
            label: query.take("label"),
            text: query.take_text("q").map(|text| fold(&text)),
            renewing: query.take::<Word<bool>>("renewing").map(|Word(renewing)| renewing),
            outdated: query.take::<Word<bool>>("outdated").map(|Word(outdated)| outdated),
            expiring_within: query.take("expiring_within"),
            unused_since: query.take::<Since>("unused_since").map(|since| since.before(now)),
        }
    }

    /// Whether keys are looked at, or administrators.
    pub fn realm(&self) -> Realm {
        self.realm
    }

    /// Whether only keys under renewal are shown, which come in an order of their own.
    pub fn is_of_renewals(&self) -> bool {
        self.renewing == Some(true)
    }

    /// Whether `key` is shown.
    pub fn lets_through(&self, key: &ApiKey, sight: &Sight) -> bool {
        let is_renewing = matches!(key.tokens, Tokens::Renewing { .. });
        self.authority.sees(self.realm, key)
            && self.status.is_none_or(|status| key.status == status)
            && self.role.as_ref().is_none_or(|role| key.roles.contains(role))
            && self.owner.as_ref().is_none_or(|owner| key.owner.as_ref().is_some_and(|known| known.as_str() == owner))
            && self.label.as_ref().is_none_or(|label| label.is_on(key))
            && self.text.as_ref().is_none_or(|text| is_told_by(key, text))
            && self.renewing.is_none_or(|renewing| renewing == is_renewing)
            && self.outdated.is_none_or(|outdated| outdated == is_outdated(key, sight))
            && self.expiring_within.is_none_or(|within| is_expiring(key, within, sight))
            && self.unused_since.is_none_or(|since| is_unused(key, since, sight))
    }
}

impl LabelFilter {
    fn is_on(&self, key: &ApiKey) -> bool {
        let on_key = key.labels.get(&self.name);
        on_key.is_some_and(|known| self.value.as_ref().is_none_or(|value| known.as_str() == value))
    }
}

/// Whether the folded text `wanted` is part of the key's name, id, owner or one of its roles.
fn is_told_by(key: &ApiKey, wanted: &str) -> bool {
    let tells = |text: &str| fold(text).contains(wanted);
    tells(key.name.as_str())
        || key.id.to_string().contains(wanted)
        || key.owner.as_ref().is_some_and(|owner| tells(owner.as_str()))
        || key.roles.iter().any(|role| role.as_str().contains(wanted))
}

/// Whether one of the key's tokens is past its duration.
fn is_outdated(key: &ApiKey, sight: &Sight) -> bool {
    let lifetime = key.lifetime(&sight.settings);
    key.tokens.each().any(|token| token.is_past(lifetime, sight.now))
}

/// Whether one of the key's tokens has not ended and will within `within`.
fn is_expiring(key: &ApiKey, within: Span, sight: &Sight) -> bool {
    let ends = key.tokens.each().filter_map(|token| key.lifetime(&sight.settings).end(token.created_at));
    ends.into_iter().any(|end| sight.now < end && end <= sight.now.plus(within))
}

/// Whether the key was there at `since` and none of its tokens has been used since.
fn is_unused(key: &ApiKey, since: Timestamp, sight: &Sight) -> bool {
    let is_unused = |token| sight.last_used(token).is_ok_and(|last| last.is_none_or(|used| used < since)); // and that is known
    key.created_at <= since && key.tokens.each().all(is_unused)
}

impl FromStr for LabelFilter {
    type Err = Invalid;

    /// A label's name may hold colons itself: the first one ends it.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (name, value) = text.split_once(':').map_or((text, None), |(name, value)| (name, Some(value.into())));
        Ok(Self { name: name.parse()?, value })
    }
}

/// One of two words.
struct Word<T>(T);

impl FromStr for Word<Status> {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "active" => Ok(Self(Status::Active)),
            "inactive" => Ok(Self(Status::Inactive)),
            _ => Err(Invalid::new("is neither active nor inactive")),
        }
    }
}

impl FromStr for Word<bool> {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "true" => Ok(Self(true)),
            "false" => Ok(Self(false)),
            _ => Err(Invalid::new("is neither true nor false")),
        }
    }
}

/// An instant, or how long ago.
enum Since {
    At(Timestamp),
    Ago(Span),
}

impl Since {
    fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(span) => now.minus(span),
        }
    }
}

impl FromStr for Since {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let ago = text.parse().map(Self::Ago);
        ago.or_else(|_| text.parse().map(Self::At)).map_err(|_: Invalid| {
            Invalid::new("is neither an instant like 2026-11-23T19:12:00Z nor a duration like 30d")
        })
    }
}
