//! JSON as this port reads it: a name comes once in an object (RFC 7493 §2.3).
//!
//! Promises: what two readers could understand differently is refused; so is what is short as text and large in memory.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};

/// How much memory a text's values may take, roughly. Twenty thousand keys with all their attributes take less.
const MOST_BYTES: usize = 192 * 1024 * 1024;
/// Roughly what each takes of it: a value, the text of a string besides its characters, the first places of a list,
/// those of an object, a field.
const VALUE_BYTES: usize = size_of::<Value>();
const STRING_BYTES: usize = 32;
const LIST_BYTES: usize = 128;
const OBJECT_BYTES: usize = 640;
const FIELD_BYTES: usize = 96;

/// Reads `text`; the error is what is wrong with it, as the end of a sentence.
pub fn read(text: &[u8]) -> Result<Value, String> {
    read_into(MOST_BYTES, text)
}

fn read_into(most_bytes: usize, text: &[u8]) -> Result<Value, String> {
    let room = Room(Cell::new(Some(most_bytes)));
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict(&room).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Data if room.0.get().is_none() => "holds more values than are read".into(),
            Category::Data => format!("has a name twice in an object, at line {line} column {column}"),
            Category::Io | Category::Syntax | Category::Eof => {
                format!("is not JSON, at line {line} column {column}")
            }
        }
    })
}

/// How many bytes are left for values; `None` once they were too few.
struct Room(Cell<Option<usize>>);

impl Room {
    fn take<E: Error>(&self, bytes: usize) -> Result<(), E> {
        self.0.set(self.0.get().and_then(|left| left.checked_sub(bytes)));
        self.0.get().map(|_| ()).ok_or_else(|| E::custom("too many values"))
    }
}

/// A value in whose objects no name comes twice, and for which there is room.
#[derive(Clone, Copy)]
struct Strict<'r>(&'r Room);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.take(VALUE_BYTES)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
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

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.0.take(STRING_BYTES)?;
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.0.take(LIST_BYTES)?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        self.0.take(OBJECT_BYTES)?;
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            self.0.take(FIELD_BYTES)?;
            if object.insert(name, fields.next_value_seed(self)?).is_some() {
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
    fn what_is_short_as_text_and_large_in_memory_is_refused() {
        for piece in ["1,", "\"\",", "[],", "{},", "{\"a\":1},", "[[0]],"] {
            let text = format!("[{}0]", piece.repeat(100_000));
            assert!(read_into(MOST_BYTES, text.as_bytes()).is_ok(), "{piece}");
            let refused = read_into(1_000_000, text.as_bytes());
            assert_eq!(refused, Err("holds more values than are read".into()), "{piece}");
        }
    }

    #[test]
    fn many_keys_with_all_their_attributes_are_read() {
        let roles: Vec<_> = (0..16).map(|at| format!("role-{at}")).collect();
        let labels: Map<_, _> = (0..8).map(|at| (format!("label-{at}"), json!("x"))).collect();
        let limits = json!({"rate": "1/s", "quota": "1/d", "concurrent": 1});
        let key = json!({"name": "a", "roles": roles, "labels": labels, "limits": limits, "note": "x", "owner": "x",
            "allowed_addresses": ["::1"], "duration": "1d", "digest": "x", "hint": "x", "weak": false, "status": "active"});
        let text = format!("{{\"keys\": [{}{key}]}}", format!("{key},").repeat(19_999));
        assert!(read(text.as_bytes()).is_ok());
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
