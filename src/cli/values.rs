//! Values on the command line that the domain has no type for.
//!
//! Promises: a value of these types can be sent as it is; a key's reference is one path segment that means nothing else.
//! Deliberately does not: ask whether such a key exists.

use std::str::FromStr;

use unicode_normalization::UnicodeNormalization;

use crate::domain::{Affected, Invalid, KeyId, KeyName, Label, Lifetime, Remark};

/// A key's id or name; never empty, and never a path segment with a meaning of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct KeyReference(String);

impl KeyReference {
    /// The id or name.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// A reference to the key that has just been shown with this id.
    pub(super) fn to_id(id: &str) -> Result<Self, Invalid> {
        id.parse::<KeyId>().map(|id| Self(id.to_string()))
    }
}

impl FromStr for KeyReference {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.starts_with("key_") {
            return Self::to_id(text);
        }
        let composed: String = text.nfc().collect(); // a terminal may send letters and accents apart
        composed.parse::<KeyName>().map(|name| Self(name.as_str().to_owned()))
    }
}

/// A label and its value.
#[derive(Clone, Debug)]
pub(super) struct LabelPair {
    /// The label.
    pub(super) name: Label,
    /// Its value.
    pub(super) value: Remark,
}

impl FromStr for LabelPair {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (name, value) = text.split_once('=').ok_or_else(|| Invalid::new("is not name=value"))?;
        Ok(Self { name: name.parse()?, value: value.parse()? })
    }
}

/// A key's own duration, or that of the settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OwnDuration {
    /// The setting counts.
    Default,
    /// This one counts.
    Own(Lifetime),
}

impl FromStr for OwnDuration {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "default" {
            return Ok(Self::Default);
        }
        text.parse().map(Self::Own)
    }
}

/// Reads `ENDS,REVIVES`.
pub(super) fn affected(text: &str) -> Result<Affected, Invalid> {
    let counts = text.split_once(',').and_then(|(ends, revives)| {
        Some(Affected { ends: ends.trim().parse().ok()?, revives: revives.trim().parse().ok()? })
    });
    counts.ok_or_else(|| Invalid::new("is not two counts like 3,0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_typed_with_its_accents_apart_is_the_same_name() {
        let apart: KeyReference = "cafe\u{301}".parse().expect("legal");
        assert_eq!(apart.as_str(), "caf\u{e9}");
    }
}
