//! `relevo audit`: what was changed, when and by whom.
//!
//! Promises: events are told in the order of their revisions, and with `--follow` none is left out.
//! Deliberately does not: verify the log. `proof` does.

use std::time::Duration;

use serde_json::Value;

use super::arguments::{Audit, AuditCommand};
use super::client::Call;
use super::failure::Failure;
use super::proof;
use super::session::{Reader, Session};
use super::shapes::{Event, EventPage};
use super::stream::Events;
use super::text::{plain, second};
use super::values::KeyReference;

/// How long to wait before a stream that ended is opened again.
const PAUSE: Duration = Duration::from_secs(1);
/// How many events are asked for at once: as many as the gateway gives.
const PAGE: &str = "500";

/// `relevo audit`
pub(super) async fn run(session: &mut Session, audit: Audit) -> Result<(), Failure> {
    match &audit.command {
        Some(AuditCommand::Export) => return proof::export(session).await,
        Some(AuditCommand::Verify(verify)) => return proof::verify_gateway(session, verify).await,
        None => {}
    }
    let key = audit.key.as_ref().map(KeyReference::as_str);
    let last = tell_after(session, key, 0).await?;
    if audit.follow { follow(session, key, last, PAUSE).await } else { Ok(()) }
}

/// Tells what happens after the revision `last`, until the gateway says no.
async fn follow(session: &mut Session, key: Option<&str>, mut last: u64, pause: Duration) -> Result<(), Failure> {
    let mut answering = true;
    loop {
        match follow_once(session, key, &mut last).await {
            Ok(()) => answering = true, // it had answered
            Err(failure @ (Failure::Lost(_) | Failure::Failed(_))) => {
                if answering {
                    session.terminal.note(&format!("relevo: {failure}; trying again"));
                }
                answering = false;
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(pause).await;
    }
}

/// Tells what happens until the connection ends.
async fn follow_once(session: &mut Session, key: Option<&str>, last: &mut u64) -> Result<(), Failure> {
    let mut events = match Events::after(&session.client, *last, key).await {
        Err(Failure::Refused(problem)) => {
            if session.reader == Reader::Program {
                drop(session.terminal.answer(&problem.document)); // heard or not, it is refused
            }
            return Err(Failure::Refused(problem));
        }
        opened => opened?,
    };
    while let Some(text) = events.next().await? {
        let event: Event = serde_json::from_str(&text)
            .map_err(|error| Failure::failed(format!("the gateway's event was not understood: {error}")))?;
        match session.reader {
            Reader::Program => {
                session.terminal.answer(&format!("{{\"events\": [{text}], \"next_cursor\": null}}"))?;
            }
            Reader::Person => session.terminal.answer(&line(&event))?,
        }
        *last = event.revision.max(*last);
    }
    Ok(())
}

/// Tells what happened after a revision, page by page; the answer is the last revision told.
async fn tell_after(session: &mut Session, key: Option<&str>, after: u64) -> Result<u64, Failure> {
    let revision = after.to_string();
    let mut reached = after;
    let mut cursor: Option<String> = None;
    loop {
        let mut call = Call::read(&["v1", "audit"]).with("after", &revision).with("limit", PAGE);
        for (name, value) in [("key", key), ("cursor", cursor.as_deref())] {
            if let Some(value) = value {
                call = call.with(name, value);
            }
        }
        let reply = session.send(call).await?;
        let EventPage { mut events, next_cursor } = reply.read()?;
        events.sort_by_key(|event| event.revision);
        match session.reader {
            // Nothing new is nothing to say; but what is asked for the first time is answered.
            Reader::Program if events.is_empty() && after > 0 => {}
            Reader::Program => session.terminal.answer(&reply.body)?,
            Reader::Person => events.iter().try_for_each(|event| session.terminal.answer(&line(event)))?,
        }
        reached = reached.max(events.last().map_or(0, |event| event.revision));
        if next_cursor.is_none() {
            return Ok(reached);
        }
        cursor = next_cursor;
    }
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
    use serde_json::json;

    use super::super::double::{Answer, Double, locally, refusal};
    use super::*;

    fn page(revisions: &[u64], next: Option<&str>) -> Answer {
        let event = |revision: &u64| {
            json!({"id": "evt_1", "revision": revision, "at": "2026-11-23T19:12:05.000Z",
            "actor": "root", "address": null, "action": "key.created", "key": "key_1", "before": null, "after": null})
        };
        let events: Vec<_> = revisions.iter().map(event).collect();
        Answer::Says(200, json!({"events": events, "next_cursor": next}))
    }

    fn told(double: &Double) -> Vec<String> {
        let revision = |line: &str| line.split_whitespace().find(|word| word.starts_with('#')).map(str::to_owned);
        double.out.text().lines().filter_map(revision).collect()
    }

    #[test]
    fn every_page_is_told_in_order() {
        locally(async {
            let double = Double::saying([page(&[2, 1], Some("2")), page(&[3], None)]).await;
            let audit = Audit { key: Some("ci".parse().expect("legal")), follow: false, command: None };
            run(&mut double.session(Reader::Person), audit).await.expect("told");
            assert_eq!(told(&double), ["#1", "#2", "#3"]);
            let first = "GET /v1/audit?after=0&limit=500&key=ci";
            assert_eq!(double.lines(), [first.to_owned(), format!("{first}&cursor=2")]);
        });
    }

    #[test]
    fn following_goes_on_after_the_last_revision_and_through_a_lost_connection() {
        locally(async {
            let first = Answer::Foreign(
                200,
                "id: 7\n: following\n\nid: 8\nevent: key.created\ndata: {\"revision\": 8, \"at\": \"2026-11-23T19:12:05.000Z\", \"action\": \"key.created\"}\n\n:\n\ndata: {\"revision\": 9",
            );
            let second = Answer::Foreign(
                200,
                "data: {\"revision\": 9, \"at\": \"2026-11-23T19:12:05.000Z\",\r\ndata: \"action\": \"key.edited\"}\r\n\r\n",
            );
            let script = [first, Answer::Nothing, Answer::Nothing, second];
            let end = refusal(401, "unauthenticated", "the token is not accepted");
            let double = Double::saying(script.into_iter().chain([end])).await;
            let failure =
                follow(&mut double.session(Reader::Person), Some("ci"), 7, Duration::ZERO).await.expect_err("ended");
            assert_eq!(failure.code(), 1);
            assert_eq!(told(&double), ["#8", "#9"]);
            assert!(double.lines().iter().all(|line| line == "GET /v1/events?key=ci"));
            let after = |at| double.with(at, |asked| asked.headers["last-event-id"].to_str().map(str::to_owned));
            let after: Vec<_> = (0..5).map(|at| after(at).expect("text")).collect();
            assert_eq!(after, ["7", "8", "8", "8", "9"]);
            assert_eq!(double.err.text().matches("trying again").count(), 1);
        });
    }

    #[test]
    fn an_event_is_one_line() {
        let event = json!({"id": "evt_1", "revision": 17, "at": "2026-11-23T19:12:05.000Z", "actor": "root",
            "address": "127.0.0.1", "action": "renewal.opened", "key": "key_1", "before": null, "after": {"name": "c\ni"}});
        let event: Event = serde_json::from_value(event).expect("an event");
        assert_eq!(
            line(&event),
            "2026-11-23 19:12:05 UTC  #17  renewal.opened  c\\u{a}i (key_1)  by root from 127.0.0.1"
        );
    }
}
