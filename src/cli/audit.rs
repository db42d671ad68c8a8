//! `relevo audit`: what was changed, when and by whom.
//!
//! Promises: events are told in the order of their revisions, and with `--follow` none is left out.
//! Deliberately does not: verify the record.

use std::time::Duration;

use serde_json::Value;

use super::arguments::Audit;
use super::client::Call;
use super::failure::Failure;
use super::session::{Reader, Session};
use super::shapes::{Event, EventPage};
use super::text::{plain, second};

/// How often new events are asked for.
const PAUSE: Duration = Duration::from_secs(1);

/// `relevo audit`
pub(super) async fn run(session: &mut Session, audit: Audit) -> Result<(), Failure> {
    let key = audit.key.as_ref().map(super::arguments::KeyReference::as_str);
    let mut last = tell_after(session, key, None).await?;
    let mut answering = true;
    while audit.follow {
        tokio::time::sleep(PAUSE).await;
        match tell_after(session, key, Some(last)).await {
            Ok(reached) => {
                last = reached;
                answering = true;
            }
            Err(failure @ (Failure::Lost(_) | Failure::Failed(_))) => {
                if answering {
                    session.terminal.note(&format!("relevo: {failure}; trying again"));
                }
                answering = false;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Tells what happened after a revision, or the latest page of all; the answer is the last revision told.
async fn tell_after(session: &mut Session, key: Option<&str>, after: Option<u64>) -> Result<u64, Failure> {
    let revision = after.map(|after| after.to_string());
    let mut cursor: Option<String> = None;
    let mut events = Vec::new();
    loop {
        let mut call = Call::read(&["v1", "audit"]);
        let parameters = [("key", key), ("after", revision.as_deref()), ("cursor", cursor.as_deref())];
        for (name, value) in parameters {
            if let Some(value) = value {
                call = call.with(name, value);
            }
        }
        let reply = session.send(call).await?;
        let page: EventPage = reply.read()?;
        // Nothing new is no line; but a command that is not followed always answers.
        if session.reader == Reader::Program && (after.is_none() || !page.events.is_empty()) {
            session.terminal.answer(&reply.body)?;
        }
        events.extend(page.events);
        cursor = page.next_cursor;
        if cursor.is_none() || after.is_none() {
            break;
        }
    }
    events.sort_by_key(|event| event.revision);
    if session.reader == Reader::Person {
        for event in &events {
            session.terminal.answer(&line(event))?;
        }
    }
    Ok(events.last().map(|event| event.revision).max(after).unwrap_or_default())
}

/// One event on one line.
fn line(event: &Event) -> String {
    let from = event.address.as_deref().map(|address| format!(" from {}", plain(address))).unwrap_or_default();
    let whom = event.key.as_deref().map(|key| format!("  {}", subject(event, key))).unwrap_or_default();
    format!(
        "{}  #{}  {}{whom}  by {}{from}",
        second(event.at),
        event.revision,
        plain(&event.action),
        plain(&event.actor)
    )
}

/// The key's id, and its name where the event tells it.
fn subject(event: &Event, id: &str) -> String {
    let named = [&event.after, &event.before].into_iter().find_map(|facts| facts.get("name").and_then(Value::as_str));
    named.map_or_else(|| plain(id).into_owned(), |name| format!("{} ({})", plain(name), plain(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = serde_json::json!({"id": "evt_1", "revision": 17, "at": "2026-11-23T19:12:05.000Z", "actor": "root",
            "address": "127.0.0.1", "action": "renewal.opened", "key": "key_1", "before": null, "after": {"name": "c\ni"}});
        let event: Event = serde_json::from_value(event).expect("an event");
        assert_eq!(
            line(&event),
            "2026-11-23 19:12:05 UTC  #17  renewal.opened  c\\u{a}i (key_1)  by root from 127.0.0.1"
        );
    }
}
