//! Names that people give: of keys, of roles, and the remarks beside them.
//!
//! Promises: a value of these types is legal, whatever it was made from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::{UnicodeNormalization, is_nfc};
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Why a value from outside is not legal, as the end of a sentence that begins with the value's place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(std::borrow::Cow<'static, str>);

impl Invalid {
    /// A reason such as "is longer than 120 characters".
    pub fn new(reason: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self(reason.into())
    }
}

/// The name of an API key: unique, and looked up, under case folding.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct KeyName(Box<str>);

impl KeyName {
    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form under which two names are the same name.
    pub fn folded(&self) -> String {
        fold(&self.0)
    }

    /// Whether it reads like `other`, which is in lower case: in letters of another width or form too (Unicode NFKC).
    pub fn reads_like(&self, other: &str) -> bool {
        fold(&self.0.nfkc().collect::<String>()) == other
    }
}

/// The form under which names are compared: full case folding, then NFC again (Unicode §3.13, D145).
pub fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase(); // the same, and a hundred times as fast
    }
    caseless::default_case_fold_str(name).nfc().collect()
}

impl FromStr for KeyName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let length = text.chars().count();
        if !(1..=120).contains(&length) {
            return Err(Invalid::new(format!("has {length} characters, and 1 to 120 are allowed")));
        }
        if let Some(bad) = text.chars().find(|c| is_control_or_format(*c)) {
            return Err(Invalid::new(format!("holds the control or format character {}", bad.escape_unicode())));
        }
        if let Some(bad) = text.chars().find(|c| r"/\?#%".contains(*c)) {
            return Err(Invalid::new(format!("holds '{bad}'")));
        }
        if text.trim() != text {
            return Err(Invalid::new("begins or ends with a space"));
        }
        if fold(text).starts_with("key_") {
            return Err(Invalid::new("begins with key_, as only ids do"));
        }
        if text == "." || text == ".." {
            return Err(Invalid::new("is a path segment with a meaning of its own"));
        }
        if !is_nfc(text) {
            return Err(Invalid::new("is not in Unicode normalization form C"));
        }
        Ok(Self(text.into()))
    }
}

fn is_control_or_format(c: char) -> bool {
    // The separators for lines and paragraphs break a log line as a control character does.
    c.general_category_group() == GeneralCategoryGroup::Other
        || matches!(c.general_category(), GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator)
}

/// A role that a key carries and a route asks for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Role(Box<str>);

impl Role {
    /// How many roles a key carries at most.
    pub const MOST: usize = 32;

    /// The role's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Role {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if !is_slug(text) {
            return Err(Invalid::new("is not 1 to 64 of a-z 0-9 : . _ -, beginning with a letter or digit"));
        }
        Ok(Self(text.into()))
    }
}

fn is_slug(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| alphanumeric(b) || b":._-".contains(&b))
        && text.bytes().next().is_some_and(alphanumeric)
}

/// The name of a label; formed like a [`Role`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Label(Role);

impl Label {
    /// How many labels a key carries at most.
    pub const MOST: usize = 16;

    /// The label's name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Label {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse().map(Self)
    }
}

/// Free text beside a key (its owner, a note, a label's value): up to 200 characters, none of them a control character.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Remark(Box<str>);

impl Remark {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Remark {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let length = text.chars().count();
        if length > 200 {
            return Err(Invalid::new(format!("has {length} characters, and 200 are allowed")));
        }
        if text.chars().any(char::is_control) {
            return Err(Invalid::new("holds a control character"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for KeyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
impl Serialize for Remark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
impl<'de> Deserialize<'de> for KeyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
impl<'de> Deserialize<'de> for Remark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_script_are_accepted_up_to_their_length() {
        for name in ["ci", "Build server 7", "订单", "Ünïcode", "a", &"ä".repeat(120), "…", "a.b"] {
            assert!(name.parse::<KeyName>().is_ok(), "{name:?} was refused");
        }
    }

    #[test]
    fn names_that_would_confuse_a_reader_or_a_path_are_refused() {
        let decomposed = "e\u{301}";
        let long = "ä".repeat(121);
        for name in [
            "",
            " ci",
            "ci ",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "a%b",
            "key_1",
            "KEY_1",
            "\u{212a}ey_1",
            ".",
            "..",
            "a\nb",
            "a\u{202e}b",
            "a\u{200b}b",
            "a\u{2028}b",
            "\u{a0}ci",
            "a\0",
            decomposed,
            &long,
        ] {
            assert!(name.parse::<KeyName>().is_err(), "{name:?} was accepted");
        }
    }

    #[test]
    fn names_are_one_name_under_case_folding() {
        let fold = |name: &str| name.parse::<KeyName>().expect(name).folded();
        assert_eq!(fold("CI"), fold("ci"));
        assert_eq!(fold("STRASSE"), fold("straße"));
        assert_eq!(fold("Σίσυφος"), fold("ΣΊΣΥΦΟΣ"));
        assert_ne!(fold("ci"), fold("ci2"));
    }

    #[test]
    fn roles_are_short_lower_case_words() {
        for role in ["orders:read", "a", "0", "a.b_c-d", &"a".repeat(64)] {
            assert!(role.parse::<Role>().is_ok(), "{role:?} was refused");
        }
        for role in ["", ":a", "A", "a b", "a,b", &"a".repeat(65), "ä"] {
            assert!(role.parse::<Role>().is_err(), "{role:?} was accepted");
        }
    }
}
