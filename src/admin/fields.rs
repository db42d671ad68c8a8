//! A JSON object read field by field.
//!
//! Promises: every mistake is found at once, the first hundred each with its path; a field that nobody asked for is a mistake.
//! Deliberately does not: repeat a value in a message, as it might be a secret in the wrong place.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde_json::{Map, Value};

use super::mistakes::{Mistake, Mistakes};
use super::problem::Problem;

/// The fields of an object that have not been taken yet, and the mistakes found so far.
pub struct Fields {
    rest: Map<String, Value>,
    within: String,
    mistakes: Mistakes,
}

/// A field that was read as a value or as a mistake.
pub type Read<T> = Result<T, String>;

impl Fields {
    /// The fields of a request's body; none of them if there was no body.
    pub fn of_body(body: Option<Value>) -> Result<Self, Problem> {
        match body {
            None => Ok(Self::within("", Map::new())),
            Some(Value::Object(fields)) => Ok(Self::within("", fields)),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                Err(Problem::mistake("body", "is not a JSON object"))
            }
        }
    }

    fn within(path: &str, rest: Map<String, Value>) -> Self {
        Self { rest, within: path.into(), mistakes: Mistakes::default() }
    }

    /// Takes the field `name` and reads it, if it is there.
    pub fn take<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Read<T>) -> Option<T> {
        let value = self.rest.remove(name)?;
        read(value).map_err(|message| self.mistake(name, message)).ok()
    }

    /// The same, `null` being a value of its own: none.
    pub fn take_nullable<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Read<T>) -> Option<Option<T>> {
        self.take(name, |value| if value.is_null() { Ok(None) } else { read(value).map(Some) })
    }

    /// Takes a field that must be there.
    pub fn take_required<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Read<T>) -> Option<T> {
        if !self.rest.contains_key(name) {
            self.mistake(name, "is missing");
        }
        self.take(name, read)
    }

    /// Takes a list of at most `most` strings.
    pub fn take_list<T: FromStr<Err: ToString>>(&mut self, name: &str, most: usize) -> Option<Vec<T>> {
        let items = self.take(name, |value| match value {
            Value::Array(items) if items.len() <= most => Ok(items),
            Value::Array(items) => Err(format!("has {} entries, and {most} are allowed", items.len())),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                Err("is not a list".into())
            }
        })?;
        let read: Vec<_> = items.into_iter().map(text::<T>).collect();
        self.collect(read.into_iter().enumerate().map(|(at, item)| (format!("{name}[{at}]"), item)))
    }

    /// Takes a list of strings as a set.
    pub fn take_set<T: FromStr<Err: ToString> + Ord>(&mut self, name: &str, most: usize) -> Option<BTreeSet<T>> {
        self.take_list(name, most).map(BTreeSet::from_iter)
    }

    /// Takes an object of at most `most` strings.
    pub fn take_map<K, V>(&mut self, name: &str, most: usize) -> Option<BTreeMap<K, V>>
    where
        K: FromStr<Err: ToString> + Ord,
        V: FromStr<Err: ToString>,
    {
        let entries = self.take(name, object)?;
        if entries.len() > most {
            self.mistake(name, format!("has {} entries, and {most} are allowed", entries.len()));
            return None;
        }
        let read = entries.into_iter().map(|(key, value)| {
            let entry = key.parse().map_err(|error: K::Err| format!("has a name that {}", error.to_string()));
            (format!("{name}.{key}"), entry.and_then(|key| Ok((key, text(value)?))))
        });
        self.collect(read)
    }

    /// Takes an object, whose own fields `read` takes.
    pub fn take_object<T>(&mut self, name: &str, read: impl FnOnce(&mut Fields) -> Option<T>) -> Option<T> {
        let fields = self.take(name, object)?;
        let mut inner = Self::within(&self.path(name), fields);
        let value = read(&mut inner);
        let is_whole = inner.refuse_the_rest();
        self.mistakes.append(inner.mistakes);
        value.filter(|_| is_whole)
    }

    /// Takes a list of at most `most` objects, whose own fields `read` takes, each with its place in the list.
    pub fn take_objects<T>(
        &mut self,
        name: &str,
        most: usize,
        read: impl Fn(&mut Fields) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.take(name, |value| match value {
            Value::Array(items) if items.len() <= most => Ok(items),
            Value::Array(items) => Err(format!("has {} entries, and {most} are allowed", items.len())),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                Err("is not a list".into())
            }
        })?;
        let mut read_all = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            let place = format!("{name}[{at}]");
            match object(item) {
                Ok(fields) => {
                    let mut inner = Self::within(&self.path(&place), fields);
                    let value = read(&mut inner);
                    let is_whole = inner.refuse_the_rest();
                    self.mistakes.append(inner.mistakes);
                    read_all.extend(value.filter(|_| is_whole));
                }
                Err(message) => self.mistake(&place, message),
            }
        }
        self.mistakes.is_empty().then_some(read_all)
    }

    /// Whether the field `name` is there and an object.
    pub fn is_object(&self, name: &str) -> bool {
        self.rest.get(name).is_some_and(Value::is_object)
    }

    /// Whether the field `name` is there.
    pub fn has(&self, name: &str) -> bool {
        self.rest.contains_key(name)
    }

    /// Whether a mistake has been noted in this object.
    pub fn has_mistakes(&self) -> bool {
        !self.mistakes.is_empty()
    }

    /// Notes what is wrong with the object as a whole.
    pub fn mistake_of_all(&mut self, message: impl Into<String>) {
        let path = if self.within.is_empty() { "body".into() } else { self.within.clone() };
        self.mistakes.push(Mistake { path, message: message.into() });
    }

    /// Notes what is wrong with the field `name`.
    pub fn mistake(&mut self, name: &str, message: impl Into<String>) {
        let path = self.path(name);
        self.mistakes.push(Mistake { path, message: message.into() });
    }

    /// Answers everything that was wrong, or nothing.
    pub fn finish(mut self) -> Result<(), Problem> {
        if self.refuse_the_rest() { Ok(()) } else { Err(Problem::invalid(self.mistakes)) }
    }

    /// Answers what was made of the fields, or everything that was wrong.
    pub fn finish_with<T>(self, value: Option<T>) -> Result<T, Problem> {
        self.finish()?;
        value.ok_or_else(|| Problem::mistake("body", "is not what this call takes"))
    }

    /// Notes the fields that nobody asked for. `false` if there is any mistake.
    fn refuse_the_rest(&mut self) -> bool {
        for (name, _) in std::mem::take(&mut self.rest) {
            self.mistake(&name, "is not a field of this call");
        }
        self.mistakes.is_empty()
    }

    fn collect<T, C: FromIterator<T>>(&mut self, read: impl Iterator<Item = (String, Read<T>)>) -> Option<C> {
        let before = self.mistakes.count();
        let values: Vec<T> =
            read.filter_map(|(path, item)| item.map_err(|message| self.mistake(&path, message)).ok()).collect();
        (self.mistakes.count() == before).then(|| values.into_iter().collect())
    }

    fn path(&self, name: &str) -> String {
        if self.within.is_empty() { name.into() } else { format!("{}.{name}", self.within) }
    }
}

/// Reads a string as whatever it is the text of.
pub fn text<T: FromStr<Err: ToString>>(value: Value) -> Read<T> {
    match value {
        Value::String(text) => text.parse().map_err(|error: T::Err| error.to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err("is not a string".into())
        }
    }
}

/// Reads `true` or `false`.
#[expect(clippy::needless_pass_by_value, reason = "fields are read by value")]
pub fn flag(value: Value) -> Read<bool> {
    value.as_bool().ok_or_else(|| "is neither true nor false".into())
}

/// Reads a count.
pub fn count(value: Value) -> Read<u64> {
    serde_json::from_value(value).map_err(|_| "is not a count".into())
}

fn object(value: Value) -> Read<Map<String, Value>> {
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err("is not an object".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{KeyName, Label, Remark, Role};
    use serde_json::json;

    fn paths(problem: &Problem) -> Vec<&str> {
        problem.errors().iter().map(|mistake| mistake.path.as_str()).collect()
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_path() {
        let body = json!({"name": 7, "roles": ["ok", "NOT", 3], "labels": {"a": 1, "B": "x"}, "typo": true});
        let mut fields = Fields::of_body(Some(body)).expect("an object");
        assert_eq!(fields.take_required::<KeyName>("name", text), None);
        assert_eq!(fields.take_set::<Role>("roles", 32), None);
        assert_eq!(fields.take_map::<Label, Remark>("labels", 16), None);
        let problem = fields.finish().expect_err("mistakes");
        assert_eq!(paths(&problem), ["name", "roles[1]", "roles[2]", "labels.B", "labels.a", "typo"]);
    }

    #[test]
    fn a_field_within_a_field_has_a_path_of_both() {
        let mut fields = Fields::of_body(Some(json!({"confirm": {"ends": -1, "more": 1}}))).expect("an object");
        assert_eq!(fields.take_object("confirm", |inner| inner.take_required("ends", count)), None);
        assert_eq!(paths(&fields.finish().expect_err("mistakes")), ["confirm.ends", "confirm.more"]);
    }

    #[test]
    fn null_clears_what_can_be_cleared_and_is_a_mistake_elsewhere() {
        let mut fields = Fields::of_body(Some(json!({"owner": null, "name": null}))).expect("an object");
        assert_eq!(fields.take_nullable::<Remark>("owner", text), Some(None));
        assert_eq!(fields.take::<KeyName>("name", text), None);
        assert_eq!(paths(&fields.finish().expect_err("a mistake")), ["name"]);
    }

    #[test]
    fn of_very_many_mistakes_the_first_are_told_and_all_are_counted() {
        let body: Map<_, _> = (0..20_000).map(|at| (format!("typo{at}"), json!(1))).collect();
        let many = json!({"keys": [body, {"name": 7}], "more": 1});
        let mut fields = Fields::of_body(Some(many)).expect("an object");
        assert!(fields.take_objects("keys", 9, |inner| inner.take::<KeyName>("name", text)).is_none());
        let problem = fields.finish().expect_err("mistakes");
        assert_eq!(problem.errors().len(), 100);
        let sent = format!("{problem:?}");
        assert!(
            sent.contains("20002 mistakes; the first 100 are listed under errors") && sent.len() < 20_000,
            "{sent}"
        );
    }

    #[test]
    fn a_message_repeats_no_value() {
        let mut fields = Fields::of_body(Some(json!({"owner": 123_456_789}))).expect("an object");
        fields.take::<Remark>("owner", text);
        assert!(!format!("{:?}", fields.finish().expect_err("a mistake")).contains("123456789"));
    }
}
