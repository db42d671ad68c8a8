//! JSON as this port reads it: a name comes once in an object (RFC 7493 §2.3).
//!
//! Promises: what two readers could understand differently is refused.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};

/// Reads `text`; the error is what is wrong with it, as the end of a sentence.
pub fn read(text: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(text).map(|Strict(value)| value).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Data => format!("has a name twice in an object, at line {line} column {column}"),
            Category::Io | Category::Syntax | Category::Eof => {
                format!("is not JSON, at line {line} column {column}")
            }
        }
    })
}

/// A value in whose objects no name comes twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = fields.next_entry::<String, Strict>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name comes twice"));
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_of_value_is_read() {
        let text = r#"{"a": [null, true, 1, -1, 1.5, "x\u00e4"], "b": {"a": {}}}"#;
        assert_eq!(read(text.as_bytes()), Ok(json!({"a": [null, true, 1, -1, 1.5, "xä"], "b": {"a": {}}})));
    }

    #[test]
    fn a_name_that_comes_twice_is_refused_wherever_it_is() {
        for text in [r#"{"a": 1, "a": 1}"#, r#"[{"b": {"a": 1, "\u0061": 2}}]"#] {
            assert!(read(text.as_bytes()).expect_err(text).starts_with("has a name twice"), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place_and_not_repeated() {
        assert_eq!(read(b"{\"secret\": tru}"), Err("is not JSON, at line 1 column 15".into()));
        let deep = "[".repeat(100_000);
        for text in [&b"{"[..], b"{}x", b"", b"\xff", b"\"\xff\"", b"{'a': 1}", b"01", deep.as_bytes()] {
            assert!(read(text).expect_err("not JSON").starts_with("is not JSON"), "{text:?}");
        }
    }
}
