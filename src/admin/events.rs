//! `GET /v1/events`: the audit log as it grows, as server-sent events.
//!
//! Promises: no event is left out and each comes in the order of revisions, also across a lost connection
//! (`Last-Event-ID`); what is kept for a slow reader is one page; a stream is silent for so long at most, whatever is
//! written that it does not tell; it ends when its reader's token does, and when the process shuts down.
//! Deliberately does not: hold up a command. A stream reads what is already written.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event as Message, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::HeaderMap;
use tokio::time::Instant;

use super::Admin;
use super::call::Call;
use super::problem::Problem;
use super::session::{self, Pledge};
use super::streams::Room;
use crate::domain::Permission::{self, AuditRead};
use crate::domain::{ActionName, Authority, Event, Revision};
use crate::store::EventQuery;

/// How many events are read at once.
const PAGE: usize = 256;
/// How long a stream is silent at most, and how often its reader is looked at again.
const BEAT: Duration = Duration::from_secs(5);
/// How long to wait when the log cannot be read.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// `GET /v1/events`
pub async fn follow(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    let mut call = call.permit(&[AuditRead])?;
    let (id, pledge, address) = (call.id, call.pledge, call.caller.address);
    let query = &mut call.query;
    let (key, after) = (query.take_text("key"), query.take::<u64>("after"));
    let (actor, action) = (query.take_text("actor"), query.take::<ActionName>("action"));
    let resumed = last_event_id(call.headers())?;
    let authority = call.plain().await?.without_fields()?.0.authority;
    let key = key.map(|key| admin.subject(&key, &authority)).transpose()?;
    let room = admin.streams.take_room(id)?;
    let after = resumed.or(after).map_or_else(|| admin.keyring.revision(), Revision);
    let query = EventQuery { after, before: None, key, actor, action, limit: PAGE };
    let hello = Message::default().id(after.0.to_string()).comment("following");
    let ready = VecDeque::from([hello]);
    let speaks_at = Instant::now() + BEAT;
    let follower = Follower { admin, query, pledge, authority, address, ready, speaks_at, _room: room };
    Ok(Sse::new(stream::unfold(follower, Follower::step)).into_response())
}

/// The revision after which a reader goes on (`Last-Event-ID`).
fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(field) = headers.get("last-event-id") else { return Ok(None) };
    let revision = field.to_str().ok().and_then(|text| text.parse().ok());
    revision.map(Some).ok_or_else(|| Problem::mistake("Last-Event-ID", "is not the id of an event of this stream"))
}

/// One reader's place in the log.
struct Follower {
    admin: Admin,
    query: EventQuery,
    pledge: Pledge,
    /// As it was when it was last looked at.
    authority: Authority,
    address: Option<IpAddr>,
    ready: VecDeque<Message>,
    /// When it says something at the latest.
    speaks_at: Instant,
    _room: Room,
}

impl Follower {
    /// The next message; `None` at the end.
    async fn step(mut self) -> Option<(Result<Message, Infallible>, Self)> {
        let stop = self.admin.streams.stop();
        let message = stop.run_until_cancelled(self.next()).await??;
        self.speaks_at = Instant::now() + BEAT;
        Some((Ok(message), self))
    }

    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            if !self.is_permitted() {
                return None;
            }
            if Instant::now() >= self.speaks_at {
                return Some(Message::default().comment("")); // tells a reader that is gone from one that is silent
            }
            self.read().await;
        }
    }

    fn is_permitted(&mut self) -> bool {
        let now = self.admin.clock.now();
        let still = session::still_admitted(&self.admin.admins, &self.pledge, self.address, now);
        let Some(administrator) = still.filter(|administrator| administrator.may(&[Permission::AuditRead])) else {
            return false;
        };
        self.authority = administrator.authority;
        true
    }

    /// Reads on, or waits for something to read until it is time to speak.
    async fn read(&mut self) {
        let reached = self.admin.keyring.revision(); // before the page: what comes meanwhile is read the next time
        let page = match self.admin.keyring.events(self.query.clone()).await {
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(%error, "a stream of events cannot read on");
                return self.wait(tokio::time::sleep(PAUSE_AFTER_ERROR)).await;
            }
        };
        let last = page.events.last().map(|event| event.revision);
        let shown = page.events.iter().filter(|event| self.admin.shows(event, &self.authority));
        self.ready.extend(shown.map(message));
        let Some(read_to) = page.next.or(last) else {
            self.query.after = self.query.after.max(reached);
            return self.wait(self.admin.keyring.after(self.query.after)).await;
        };
        self.query.after = read_to.max(self.query.after);
    }

    async fn wait(&self, wait: impl Future<Output = ()>) {
        tokio::time::timeout_at(self.speaks_at, wait).await.ok();
    }
}

/// An event as it is sent: its revision as id, its action as kind, the event itself as JSON on one line.
fn message(event: &Event) -> Message {
    let text = serde_json::to_string(event).unwrap_or_default(); // strings and numbers: it can be written
    let kind = event.action.0.name(event.action.1);
    Message::default().id(event.revision.0.to_string()).event(kind).data(text)
}
