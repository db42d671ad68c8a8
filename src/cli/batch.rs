//! `relevo keys import`, `relevo keys export` and `relevo apply`: many keys at once.
//!
//! Promises: all or nothing; a person sees what an `apply` would do before he answers, and exactly that is done; no secret
//! is exported, as none is known.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::arguments::{Apply, Export, Rows};
use super::client::Call;
use super::failure::Failure;
use super::roster::{Form, Roster, Weak};
use super::session::{Reader, Session};
use super::terminal::Consent;
use super::text::plain;

/// What was done, or would be.
#[derive(Deserialize)]
struct Planned {
    changes: Vec<Change>,
    unchanged: usize,
    plan: String,
}

#[derive(Deserialize)]
struct Change {
    name: String,
    actions: Vec<String>,
    #[serde(default)]
    before: Value,
    #[serde(default)]
    after: Value,
}

impl Rows {
    fn read(&self) -> Result<Roster, Failure> {
        Roster::read(&self.file, self.format, if self.allow_weak { Weak::Allowed } else { Weak::Refused })
    }
}

/// `relevo keys import`
pub(super) async fn import(session: &mut Session, rows: Rows) -> Result<(), Failure> {
    let roster = rows.read()?;
    let body = json!({"keys": roster.keys(), "dry_run": rows.dry_run});
    let reply = session.send(Call::new(Method::POST, &["v1", "import"]).body(body)).await;
    let reply = reply.map_err(|failure| roster.placed(failure))?;
    let plan: Planned = reply.read()?;
    session.tell(&reply, |_| {
        let made: Vec<_> = plan.changes.iter().map(|change| format!("+ {}", plain(&change.name))).collect();
        let done = if rows.dry_run { "would be imported" } else { "imported" };
        let sum = format!("{} keys {done}, {} were there already.", plan.changes.len(), plan.unchanged);
        Ok([made, vec![sum]].concat().join("\n"))
    })
}

/// `relevo apply`
pub(super) async fn apply(session: &mut Session, apply: Apply) -> Result<(), Failure> {
    let Apply { rows, yes } = apply;
    if !yes && !rows.dry_run {
        session.terminal.need_person()?;
    }
    let roster = rows.read()?;
    let call = |body| Call::new(Method::POST, &["v1", "apply"]).body(body);
    let reply = session.send(call(json!({"keys": roster.keys(), "dry_run": true}))).await;
    let reply = reply.map_err(|failure| roster.placed(failure))?;
    let plan: Planned = reply.read()?;
    let shown: Vec<_> = plan.changes.iter().map(difference).collect();
    let sum = format!("{} keys to change, {} are as they should be.", plan.changes.len(), plan.unchanged);
    if rows.dry_run || plan.changes.is_empty() {
        return session.tell(&reply, |_| Ok([shown, vec![sum]].concat().join("\n")));
    }
    if session.reader == Reader::Person {
        session.terminal.note(&[shown, vec![sum]].concat().join("\n"));
    }
    if !yes && session.terminal.ask("Do it?")? == Consent::Withheld {
        return Err(Failure::failed("nothing was changed"));
    }
    let reply = session.send(call(json!({"keys": roster.keys(), "plan": plan.plan}))).await;
    let reply = reply.map_err(|failure| roster.placed(failure))?;
    let done: Planned = reply.read()?;
    session.tell(&reply, |_| Ok(format!("{} keys changed.", done.changes.len())))
}

/// What becomes of one key, a line for each field that differs.
fn difference(change: &Change) -> String {
    let nothing = Map::new();
    let (before, after) = (change.before.as_object(), change.after.as_object().unwrap_or(&nothing));
    let mut lines = vec![format!("{} {}", if before.is_some() { "~" } else { "+" }, plain(&change.name))];
    for (field, value) in after {
        let was = before.and_then(|before| before.get(field));
        let is_told = matches!(field.as_str(), "version" | "tokens" | "renewal" | "name");
        let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty) || *value == json!({});
        match was {
            _ if is_told => {}
            Some(was) if was != value => {
                lines.push(format!("    {field}: {} → {}", plain(&was.to_string()), plain(&value.to_string())));
            }
            None if !is_empty => lines.push(format!("    {field}: {}", plain(&value.to_string()))),
            Some(_) | None => {}
        }
    }
    if change.actions.iter().any(|action| action == "renewal.opened") {
        lines.push("    another token; the old one goes on working until it is deleted".into());
    }
    if change.actions.iter().any(|action| action == "renewal.completed") {
        lines.push("    another token in place of the one that has ended".into());
    }
    lines.join("\n")
}

/// What an export tells of a key: all that `import` and `apply` take but its token.
const EXPORTED: [&str; 10] =
    ["name", "status", "roles", "owner", "note", "labels", "allowed_addresses", "duration", "limits", "self_service"];

/// `relevo keys export`
pub(super) async fn export(session: &mut Session, export: &Export) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Page {
        keys: Vec<Map<String, Value>>,
        next_cursor: Option<String>,
    }
    let mut rows = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut call = Call::read(&["v1", "keys"]).with("limit", "500");
        if let Some(cursor) = &cursor {
            call = call.with("cursor", cursor);
        }
        let page: Page = session.send(call).await?.read()?;
        rows.extend(page.keys);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    rows.reverse(); // the oldest first, as they would be created
    let text = match export.format {
        Form::Csv => csv_of(&rows)?,
        Form::Jsonl => rows.iter().map(|row| Value::Object(exported(row)).to_string() + "\n").collect(),
        Form::Toml => {
            let keys: Vec<_> = rows.iter().map(exported).collect();
            toml::to_string(&json!({ "keys": keys })).map_err(Failure::failed)?
        }
    };
    if text.is_empty() {
        session.terminal.note("There are no keys.");
        return Ok(());
    }
    session.terminal.answer(&text)
}

fn exported(row: &Map<String, Value>) -> Map<String, Value> {
    let field = |name: &&str| row.get_key_value(*name).map(|(name, value)| (name.clone(), value.clone()));
    let is_something = |value: &Value| {
        !value.is_null()
            && *value != json!(false)
            && *value != json!([])
            && *value != json!({})
            && *value != json!("active")
    };
    EXPORTED.iter().filter_map(field).filter(|(_, value)| is_something(value)).collect()
}

fn csv_of(rows: &[Map<String, Value>]) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(EXPORTED).map_err(Failure::failed)?;
    for row in rows {
        let row = exported(row);
        writer
            .write_record(EXPORTED.map(|name| row.get(name).map(cell).unwrap_or_default()))
            .map_err(Failure::failed)?;
    }
    let bytes = writer.into_inner().map_err(Failure::failed)?;
    String::from_utf8(bytes).map_err(Failure::failed)
}

fn cell(value: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        Value::Object(fields) if fields.values().all(Value::is_string) => {
            fields.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(";")
        }
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => text(value),
    }
}
