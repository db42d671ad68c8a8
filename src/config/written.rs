//! A value as it is written in the file, and where it stands there.
//!
//! Promises: a mistake in a value can be drawn at its place in the text.
//! Deliberately does not: know any key. Those are [`file`](super::file)'s.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value and the place in the text where it stands; a default stands nowhere.
#[derive(Clone, Debug, Default)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A text as written.
pub(super) type Text = At<String>;

/// A text, or `false` for nothing at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Switched {
    Off,
    On(String),
}

impl<T> From<T> for At<T> {
    fn from(value: T) -> Self {
        Self { value, span: 0..0 }
    }
}

impl From<&str> for Text {
    fn from(value: &str) -> Self {
        value.to_owned().into()
    }
}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        let span = spanned.span();
        Ok(Self { value: spanned.into_inner(), span })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl Serialize for Switched {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_bool(false),
            Self::On(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Switched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SwitchedVisitor)
    }
}

struct SwitchedVisitor;

impl Visitor<'_> for SwitchedVisitor {
    type Value = Switched;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or false")
    }

    fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<Switched, E> {
        if on { Err(E::custom("true says too little: give a string, or false")) } else { Ok(Switched::Off) }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Switched, E> {
        Ok(Switched::On(text.to_owned()))
    }
}

impl JsonSchema for Switched {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Switched".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, { "const": false }] })
    }
}
