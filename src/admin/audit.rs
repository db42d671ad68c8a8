//! `GET /v1/audit`: what was changed, when, by whom and from where.
//!
//! Promises: a call looks at a bounded number of events, in either order; what whoever is limited to a role is answered
//! does not depend on events that he may not read.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::Admin;
use super::call::{Call, key_ref};
use super::problem::Problem;
use super::stretch::Stretch;
use crate::domain::Permission::AuditRead;
use crate::domain::{ActionName, Authority, Event, Facts, Head, KeyId, Realm, Revision, Timestamp};
use crate::keyring::Denied;
use crate::store::{EventPage, EventQuery, KeyRef};

/// A page of the audit log.
#[derive(Serialize)]
pub struct Page {
    events: Vec<Event>,
    next_cursor: Option<String>,
    chain: Chain,
}

/// The end of the log, and how far it is known to be whole.
#[derive(Serialize)]
pub struct Chain {
    #[serde(flatten)]
    head: Head,
    verified_through: Revision,
    verified_at: Option<Timestamp>,
    broken: Option<Broken>,
}

/// Where the log is not what was written.
#[derive(Serialize)]
struct Broken {
    revision: Revision,
    detail: String,
}

/// Which events come first.
#[derive(Clone, Copy, Default)]
enum Order {
    #[default]
    Oldest,
    Newest,
}

impl FromStr for Order {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "oldest" => Ok(Self::Oldest),
            "newest" => Ok(Self::Newest),
            _ => Err("is neither oldest nor newest"),
        }
    }
}

/// `GET /v1/audit`
pub async fn list(State(admin): State<Admin>, call: Call) -> Result<Json<Page>, Problem> {
    let mut call = call.permit(&[AuditRead])?;
    let query = &mut call.query;
    let key = query.take_text("key");
    let after = query.take::<u64>("after").unwrap_or_default();
    let cursor = query.take::<u64>("cursor");
    let order = query.take::<Order>("order").unwrap_or_default();
    let (actor, action, limit) = (query.take_text("actor"), query.take::<ActionName>("action"), query.take_limit());
    let authority = call.plain().await?.without_fields()?.0.authority;
    let key = key.map(|key| admin.subject(&key, &authority)).transpose()?;
    let (after, before) = match order {
        Order::Oldest => (after.max(cursor.unwrap_or_default()), None),
        Order::Newest => (after, Some(Revision(cursor.unwrap_or(u64::MAX)))),
    };
    let query = EventQuery { after: Revision(after), before, key, actor, action, limit };
    let (head, examined) = admin.keyring.chain().await?;
    let page = if authority.is_over_all() {
        admin.keyring.events(query).await?
    } else {
        admin.shown_events(query, head.revision, &authority).await?
    };
    let next_cursor = page.next.map(|Revision(revision)| revision.to_string());
    let broken = examined.broken.clone().map(|(revision, detail)| Broken { revision, detail });
    let chain = Chain { head, verified_through: examined.through, verified_at: examined.at, broken };
    Ok(Json(Page { events: page.events, next_cursor, chain }))
}

impl Admin {
    /// The page of `query` of a log that ends with `head`, for whoever may not read every event. He is shown all that he
    /// may read of one stretch, so that neither the events nor where they go on tell of others.
    async fn shown_events(
        &self,
        query: EventQuery,
        head: Revision,
        authority: &Authority,
    ) -> Result<EventPage, Denied> {
        let oldest = self.keyring.events(EventQuery { limit: 1, ..EventQuery::default() }).await?.events.pop();
        let Some(oldest) = oldest.map(|event| event.revision) else { return Ok(EventPage::default()) };
        let stretch = Stretch::of(&query, oldest, head);
        let mut page = EventPage { events: Vec::new(), next: stretch.after_all() };
        let mut next = Some(stretch.begin());
        while let Some(place) = next.filter(|place| stretch.holds_more_from(*place)) {
            let found = self.keyring.events(stretch.query(&query, place)).await?;
            let shown = |event: &Event| stretch.holds(event.revision) && self.shows(event, authority);
            page.events.extend(found.events.into_iter().filter(shown));
            if let Some(last) = page.events.get(query.limit - 1) {
                page.next = stretch.after(last.revision);
                page.events.truncate(query.limit);
                break;
            }
            next = found.next;
        }
        Ok(page)
    }

    /// The key whose events are asked for. An id may be that of a deleted key; a name is that of a living one.
    pub(super) fn subject(&self, text: &str, authority: &Authority) -> Result<KeyId, Problem> {
        let nobody = || Problem::nobody(Realm::Gateway);
        match key_ref(text).ok_or_else(nobody)? {
            KeyRef::Id(id) => Ok(id),
            name @ KeyRef::Name(_) => {
                let key = self.catalog.find(Realm::Gateway, &name);
                key.filter(|key| authority.sees(Realm::Gateway, key)).map(|key| key.id).ok_or_else(nobody)
            }
        }
    }

    /// Whether whoever has this authority may read of it: of a key that carried his role before and after.
    pub(super) fn shows(&self, event: &Event, authority: &Authority) -> bool {
        let ActionName(_, realm) = event.action;
        let is_of_his = || {
            let key = event.key.and_then(|id| self.catalog.find(realm, &KeyRef::Id(id)));
            key.is_some_and(|key| authority.sees(realm, &key))
        };
        let tells_of_his = |facts: &Facts| match facts {
            Facts::Key(key) => authority.is_within(realm, &key.roles, key.limited_to_role.as_ref()),
            Facts::Settings(_) | Facts::Pruned(_) => true,
            Facts::Token(_) | Facts::Refused(_) => is_of_his(),
        };
        let mut told = event.before.iter().chain(&event.after).peekable();
        authority.is_over_all() || (if told.peek().is_some() { told.all(tells_of_his) } else { is_of_his() })
    }
}
