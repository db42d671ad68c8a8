//! `relevo settings` and `relevo status`.
//!
//! Promises: a field that a newer gateway adds is shown too.
//! Deliberately does not: interpret what it shows.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::arguments::{Set, Settings};
use super::client::{Call, Reply};
use super::failure::Failure;
use super::session::Session;
use super::text::plain;

/// Does one of `relevo settings`.
pub(super) async fn run(session: &mut Session, command: Settings) -> Result<(), Failure> {
    let path = ["v1", "settings"];
    let reply = match command {
        Settings::Show => session.send(Call::read(&path)).await?,
        Settings::Set(set) => {
            let outcome = session.send(Call::new(Method::PATCH, &path).body(changes(&set))).await;
            suggest_confirmation(session, &outcome);
            outcome?
        }
    };
    show(session, &reply)
}

/// `relevo status`
pub(super) async fn status(session: &mut Session) -> Result<(), Failure> {
    let reply = session.send(Call::read(&["v1", "status"])).await?;
    let document: Value = reply.read()?;
    session.tell(&reply, |_| Ok(lines(&with_conditions(document))))
}

/// Each condition of `health` in a word, or with what is wrong.
fn with_conditions(mut document: Value) -> Value {
    let told = |condition: &Value| {
        let (name, detail) = (condition["name"].as_str()?, condition["detail"].as_str().unwrap_or_default());
        let told = if condition["ok"].as_bool()? { "ok".to_owned() } else { format!("NOT OK: {detail}") };
        Some((name.to_owned(), Value::String(told)))
    };
    let conditions =
        document["health"].as_array().and_then(|health| health.iter().map(told).collect::<Option<Map<_, _>>>());
    if let Some(conditions) = conditions {
        document["health"] = Value::Object(conditions);
    }
    document
}

/// How a change that would end or revive tokens can be made all the same.
pub(super) fn suggest_confirmation(session: &mut Session, outcome: &Result<Reply, Failure>) {
    if let Err(Failure::Refused(problem)) = outcome
        && let Some(affected) = problem.affected()
    {
        session.terminal.note(&format!(
            "The change would end {} living tokens and revive {} ended ones. If that is meant, say the same again with --confirm {},{}",
            affected.ends, affected.revives, affected.ends, affected.revives
        ));
    }
}

fn changes(set: &Set) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    put("duration", set.duration.map(|duration| json!(duration)));
    put("on_expiry", set.on_expiry.map(|on_expiry| json!(on_expiry)));
    put("confirm", set.confirm.map(|confirm| json!(confirm)));
    Value::Object(body)
}

fn show(session: &mut Session, reply: &Reply) -> Result<(), Failure> {
    let document: Value = reply.read()?;
    session.tell(reply, |_| Ok(lines(&document)))
}

/// A document as lines of name and value; what lies deeper has its path as name.
fn lines(document: &Value) -> String {
    let mut found = Vec::new();
    flatten(String::new(), document, &mut found);
    let width = found.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    found.iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect::<Vec<_>>().join("\n")
}

fn flatten(name: String, value: &Value, found: &mut Vec<(String, String)>) {
    let below = |part: &str| {
        let part = plain(part).replace('_', " ");
        if name.is_empty() { part } else { format!("{name} {part}") }
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(field, value)| flatten(below(field), value, found)),
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (at, item) in items.iter().enumerate() {
                match item["name"].as_str() {
                    Some(name) => flatten(below(name), &without_name(item), found),
                    None => flatten(below(&(at + 1).to_string()), item, found),
                }
            }
        }
        Value::Array(items) => found.push((name, items.iter().map(word).collect::<Vec<_>>().join(", "))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => found.push((name, word(value))),
    }
}

/// The fields of an item whose name stands in its path.
fn without_name(item: &Value) -> Value {
    let fields = item.as_object().into_iter().flatten().filter(|(field, _)| *field != "name");
    fields.map(|(field, value)| (field.clone(), value.clone())).collect()
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::String(text) => plain(text).into_owned(),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_a_word_or_what_is_wrong() {
        let document = json!({"keys": 1, "health": [{"name": "keys loaded", "ok": true, "detail": "ok"},
            {"name": "store", "ok": false, "detail": "the disk is full"}]});
        let told = lines(&with_conditions(document));
        assert_eq!(
            told.lines().collect::<Vec<_>>(),
            ["health keys loaded  ok", "health store        NOT OK: the disk is full", "keys                1"]
        );
        let unknown = json!({"health": [{"name": "store", "state": "well"}]});
        assert_eq!(with_conditions(unknown.clone()), unknown);
    }

    #[test]
    fn every_field_is_shown_under_its_path() {
        let document = json!({"duration": "90d", "store": {"up": true, "revision": 7}, "prefixes": ["rlv", "ab"], "x": null,
            "routes": [{"path": "/a"}], "health": [{"name": "keys loaded", "ok": true}]});
        let text = lines(&document);
        for line in [
            "duration               90d",
            "store up               yes",
            "store revision         7",
            "prefixes               rlv, ab",
            "x                      -",
            "routes 1 path          /a",
            "health keys loaded ok  yes",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
    }
}
