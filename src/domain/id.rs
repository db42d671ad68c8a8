//! Identifiers: a `UUIDv7` behind a prefix that says of what.
//!
//! Promises: an id sorts by the time it was made. Deliberately does not: draw its own randomness.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Invalid, Timestamp};

/// The id of an API key: `key_` and 32 hex digits.
pub type KeyId = Id<Key>;
/// The id of a token: `tok_` and 32 hex digits.
pub type TokenId = Id<Token>;
/// The id of an audit event: `evt_` and 32 hex digits.
pub type EventId = Id<Event>;

/// What an id is the id of.
pub trait Kind {
    /// The text before the hex digits, underscore included.
    const PREFIX: &'static str;
}

/// Ids of API keys.
pub enum Key {}
/// Ids of tokens.
pub enum Token {}
/// Ids of audit events.
pub enum Event {}

impl Kind for Key {
    const PREFIX: &'static str = "key_";
}
impl Kind for Token {
    const PREFIX: &'static str = "tok_";
}
impl Kind for Event {
    const PREFIX: &'static str = "evt_";
}

/// A `UUIDv7` (RFC 9562 §5.7), written as its kind's prefix and 32 lower-case hex digits.
pub struct Id<K>(u128, PhantomData<fn() -> K>);

impl<K: Kind> Id<K> {
    /// A new id made at `now` from ten random bytes.
    pub fn new(now: Timestamp, entropy: [u8; 10]) -> Self {
        let uuid = uuid::Builder::from_unix_timestamp_millis(now.as_millis(), &entropy);
        Self::from_bits(uuid.as_uuid().as_u128())
    }

    /// The id with these 128 bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits, PhantomData)
    }

    /// The 128 bits of the id.
    pub const fn as_bits(&self) -> u128 {
        self.0
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:032x}", K::PREFIX, self.0)
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.strip_prefix(K::PREFIX).unwrap_or_default();
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if digits.len() != 32 || !digits.bytes().all(lower_hex) {
            return Err(Invalid::new("is not an id: a prefix and 32 lower-case hex digits"));
        }
        u128::from_str_radix(digits, 16).map(Self::from_bits).map_err(|_| Invalid::new("is not an id"))
    }
}

// Derives would ask the same of `K`, which is only a name.
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_the_time_they_were_made_and_survive_text() {
        let early = KeyId::new(Timestamp::from_millis(1_000), [0xff; 10]);
        let late = KeyId::new(Timestamp::from_millis(1_001), [0; 10]);
        assert!(early < late);
        assert_eq!(early.to_string().parse::<KeyId>().expect("own text"), early);
        assert!(early.to_string().parse::<TokenId>().is_err());
        assert!(early.to_string().to_uppercase().parse::<KeyId>().is_err());
    }
}
