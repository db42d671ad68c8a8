//! `relevo keys`: list, create, show, edit, activate, deactivate, delete.
//!
//! Promises: the token of a new key goes to stdout, alone on its line.
//! Deliberately does not: renew; see [`super::renew`].

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::arguments::{Attributes, Close, Create, Edit, KeyReference, Keys, LabelPair, List, OwnDuration};
use super::client::Call;
use super::failure::Failure;
use super::session::{Reader, Session};
use super::shapes::{Issued, Key, KeyPage};
use super::table;
use super::terminal::{Consent, Person};
use super::text::plain;

/// How many keys are asked for at once: as many as the gateway gives.
const PAGE: &str = "500";

/// Does one of `relevo keys`.
pub(super) async fn run(session: &mut Session, command: Keys) -> Result<(), Failure> {
    match command {
        Keys::List(list) => self::list(session, list).await,
        Keys::Create(create) => self::create(session, create).await,
        Keys::Show(named) => {
            let (key, reply) = session.key(&named.key).await?;
            session.tell(&reply, |session| Ok(table::key(&key, session.clock.now())))
        }
        Keys::Edit(edit) => change(session, &edit.key, changes(&edit)).await,
        Keys::Activate(named) => change(session, &named.key, json!({"status": "active"})).await,
        Keys::Deactivate(named) => change(session, &named.key, json!({"status": "inactive"})).await,
        Keys::Delete(close) => delete(session, close).await,
    }
}

async fn list(session: &mut Session, list: List) -> Result<(), Failure> {
    let limit = list.limit.map_or(PAGE.to_owned(), |limit| limit.to_string());
    let mut cursor = list.cursor;
    let mut keys = Vec::new();
    loop {
        let mut call = Call::read(&["v1", "keys"]).with("limit", &limit);
        if let Some(cursor) = &cursor {
            call = call.with("cursor", cursor);
        }
        let reply = session.send(call).await?;
        if session.reader == Reader::Program {
            return session.terminal.answer(&reply.body); // one page; `next_cursor` tells whether there is more
        }
        let page: KeyPage = reply.read()?;
        keys.extend(page.keys);
        cursor = page.next_cursor;
        if cursor.is_none() || list.limit.is_some() {
            break;
        }
    }
    if keys.is_empty() {
        session.terminal.note(&format!("There are no keys. Create one: {}", session.command("keys create", "NAME")));
        return Ok(());
    }
    session.terminal.answer(&table::keys(&keys, session.clock.now()))?;
    if let Some(cursor) = cursor {
        session.terminal.note(&format!("There are more: --cursor {}", plain(&cursor)));
    }
    Ok(())
}

async fn create(session: &mut Session, create: Create) -> Result<(), Failure> {
    let Attributes { roles, labels, allowed_addresses } = &create.attributes;
    let mut body = Map::from_iter([("name".to_owned(), json!(create.name))]);
    let mut put = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    put("roles", (!roles.is_empty()).then(|| json!(roles)));
    put("labels", (!labels.is_empty()).then(|| label_map(labels)));
    put("allowed_addresses", (!allowed_addresses.is_empty()).then(|| json!(allowed_addresses)));
    put("duration", create.duration.map(|duration| json!(duration)));
    put("owner", create.owner.map(|owner| json!(owner)));
    put("note", create.note.map(|note| json!(note)));
    let reply = session.send(Call::new(Method::POST, &["v1", "keys"]).body(Value::Object(body))).await?;
    let Issued { key, token } = reply.read()?;
    let Some(token) = token else {
        return Err(Failure::failed("the gateway created the key and sent no token: renew it to have one"));
    };
    if session.reader == Reader::Person {
        session.terminal.note(&format!("The token of {}, shown this once:", plain(&key.name)));
    }
    session.tell(&reply, |_| Ok(token))
}

/// The body of an edit: only what is to change.
fn changes(edit: &Edit) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    let remark = |text: &crate::domain::Remark| if text.as_str().is_empty() { Value::Null } else { json!(text) };
    put("name", edit.name.as_ref().map(|name| json!(name)));
    put("roles", (edit.no_roles || !edit.roles.is_empty()).then(|| json!(edit.roles)));
    put("owner", edit.owner.as_ref().map(remark));
    put("note", edit.note.as_ref().map(remark));
    put("labels", (edit.no_labels || !edit.labels.is_empty()).then(|| label_map(&edit.labels)));
    let addresses = &edit.allowed_addresses;
    put("allowed_addresses", (edit.any_address || !addresses.is_empty()).then(|| json!(addresses)));
    put("duration", edit.duration.map(own_duration));
    put("confirm", edit.confirm.map(|confirm| json!(confirm)));
    Value::Object(body)
}

fn own_duration(duration: OwnDuration) -> Value {
    match duration {
        OwnDuration::Default => Value::Null,
        OwnDuration::Own(own) => json!(own),
    }
}

fn label_map(labels: &[LabelPair]) -> Value {
    labels
        .iter()
        .map(|pair| (pair.name.as_str(), pair.value.as_str()))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .collect()
}

async fn change(session: &mut Session, key: &KeyReference, body: Value) -> Result<(), Failure> {
    let outcome = session.send(Call::new(Method::PATCH, &["v1", "keys", key.as_str()]).body(body)).await;
    super::settings::suggest_confirmation(session, &outcome);
    let reply = outcome?;
    let key: Key = reply.read()?;
    session.tell(&reply, |session| Ok(table::key(&key, session.clock.now())))
}

/// Deletes a key. A person is asked; a script has said what it wants.
async fn delete(session: &mut Session, close: Close) -> Result<(), Failure> {
    let call = |name| Call::new(Method::DELETE, &["v1", "keys", name]);
    let mut call = call(close.key.as_str());
    if !close.yes && session.terminal.person() == Person::Present {
        let (key, _) = session.key(&close.key).await?;
        match session.ask(&key, "Delete this key? Its tokens are refused from then on, and it cannot be undone.")? {
            Consent::Given => call = call.if_match(key.etag()),
            Consent::Withheld => return Err(Failure::failed("nothing was deleted")),
        }
    }
    let reply = session.send(call).await?;
    let name = close.key.as_str().to_owned();
    session.tell(&reply, |_| Ok(format!("{} is deleted.", plain(&name))))
}
