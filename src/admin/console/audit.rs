//! What was changed, when, by whom and from where; the latest first.
//!
//! Promises: what an event holds is shown as text; every event can be come to, page by page; a page is one call of the
//! API, which looks at a bounded number of events.

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use super::api::{Ask, Refused};
use super::moment::Moment;
use super::page::Page;
use super::trouble::Trouble;
use super::visit::Visit;
use super::{html, way};
use crate::domain::{Action, Realm, Timestamp};

/// How many events a page shows, and how many of its own a key's page does.
const PAGE: usize = 50;
const HISTORY: usize = 12;

#[derive(Default, Deserialize)]
struct Found {
    events: Vec<Event>,
    next_cursor: Option<String>,
    chain: Option<Chain>,
}

/// How far the log is known to be whole.
#[derive(Clone, Deserialize)]
struct Chain {
    revision: u64,
    hash: String,
    verified_through: u64,
    broken: Option<Broken>,
}

#[derive(Clone, Deserialize)]
struct Broken {
    revision: u64,
    detail: String,
}

#[derive(Clone, Deserialize)]
struct Event {
    at: Timestamp,
    actor: String,
    address: Option<String>,
    action: String,
    key: Option<String>,
    before: Option<Value>,
    after: Option<Value>,
}

/// An event on a page.
pub(super) struct Line {
    pub(super) at: Moment,
    pub(super) what: String,
    pub(super) actor: String,
    pub(super) address: Option<String>,
    /// Where the key's page is, or the administrator's, and his name.
    pub(super) key: Option<(String, String)>,
    /// What is different: the field, what was, what is.
    pub(super) changes: Vec<(String, String, String)>,
    pub(super) tone: &'static str,
}

#[derive(Clone, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    actor: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    before: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    page: Page,
    lines: Vec<Line>,
    wanted: Wanted,
    actions: Vec<(&'static str, String)>,
    older: Option<String>,
    newest: Option<String>,
    chain: Option<ChainLine>,
}

/// What a page says of the log's chain.
struct ChainLine {
    text: String,
    hash: String,
    /// The beginning of the hash.
    short: String,
    tone: &'static str,
}

/// A key's own events, on its page.
pub(super) struct History {
    pub(super) lines: Vec<Line>,
    /// Where the older ones are, if there may be any.
    pub(super) older: Option<String>,
    /// Where the newest are, from older ones.
    pub(super) newest: Option<String>,
    /// Whether the log could not be read.
    pub(super) is_unread: bool,
}

/// `GET /console/audit`
pub(super) async fn list(visit: Visit, Query(wanted): Query<Wanted>) -> Result<Response, Trouble> {
    let found = match look(&visit, &wanted, PAGE).await {
        Err(refused) if refused.code == "key_not_found" => Found::default(), // as what is typed may be
        found => found.map_err(|refused| visit.trouble(refused))?,
    };
    let page = visit.page;
    let older = found.next_cursor.map(|before| wanted.before(&before));
    let newest = (!wanted.before.is_empty()).then(|| wanted.before(""));
    let chain = found.chain.map(|chain| ChainLine::of(&chain, &page));
    let lines = found.events.iter().map(|event| Line::of(event, &page)).collect();
    let actions = actions().into_iter().map(|action| (action, word_of(&page, action))).collect();
    Ok(html(&AuditPage { page, lines, wanted, actions, older, newest, chain }))
}

impl Wanted {
    /// The address of the same events before this revision.
    fn before(&self, before: &str) -> String {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let (actor, action, key) = (encoded(&self.actor), encoded(&self.action), encoded(&self.key));
        format!("/console/audit?actor={actor}&action={action}&key={key}&before={before}")
    }
}

/// Some of the events that are wanted, the newest first.
async fn look(visit: &Visit, wanted: &Wanted, most: usize) -> Result<Found, Refused> {
    let most = most.to_string();
    let Wanted { actor, action, key, before } = wanted;
    let asked = [("actor", actor), ("action", action), ("key", key), ("cursor", before), ("limit", &most)];
    let asked = asked.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.as_str()));
    let query: Vec<_> = asked.chain([("order", "newest")]).collect();
    visit.try_ask(Ask::new(Method::GET, &["audit"]).query(&query)).await
}

/// The events of one key before this revision, the newest first, for whoever may see them.
pub(super) async fn history(visit: &Visit, key: &str, before: &str) -> Option<History> {
    if !visit.page.may("audit:read") {
        return None;
    }
    let wanted = Wanted { key: key.into(), before: before.into(), ..Wanted::default() };
    let found = look(visit, &wanted, HISTORY).await;
    let is_unread = found.is_err();
    let found = found.unwrap_or_default();
    let begins = found.events.last().is_some_and(|event| event.action.ends_with(".created"));
    let here = way(visit.page.part(), key, None);
    let line = |event| Line { key: None, ..Line::of(event, &visit.page) }; // the page is about the key already
    Some(History {
        lines: found.events.iter().map(line).collect(),
        older: found.next_cursor.filter(|_| !begins).map(|before| format!("{here}?before={before}#history")),
        newest: (!before.is_empty()).then(|| format!("{here}#history")),
        is_unread,
    })
}

/// The names of the actions that can be looked for.
fn actions() -> Vec<&'static str> {
    let named = |realm| Action::ALL.into_iter().map(move |action| action.name(realm));
    let of_keys: Vec<_> = named(Realm::Gateway).collect();
    let of_administrators = named(Realm::Admin).filter(|name| !of_keys.contains(name));
    of_keys.iter().copied().chain(of_administrators).collect()
}

/// What an action is called; its own name where there is no word for it.
fn word_of(page: &Page, action: &str) -> String {
    page.words.known(&format!("action-{}", action.replace(['.', '_'], "-"))).unwrap_or_else(|| action.to_owned())
}

impl ChainLine {
    fn of(chain: &Chain, page: &Page) -> Self {
        let revision = page.words.number(chain.revision);
        let text = match &chain.broken {
            Some(broken) => {
                let revision = page.words.number(broken.revision);
                page.words.fill("audit-chain-broken", &[("revision", &revision), ("detail", &broken.detail)])
            }
            None if chain.verified_through < chain.revision => {
                let through = page.words.number(chain.verified_through);
                page.words.fill("audit-chain-behind", &[("through", &through), ("revision", &revision)])
            }
            None => page.words.with("audit-chain-whole", "revision", &revision),
        };
        let tone = if chain.broken.is_some() { "bad" } else { "plain" };
        let short = chain.hash.trim_start_matches("sha256:").chars().take(12).collect();
        Self { text, hash: chain.hash.clone(), short, tone }
    }
}

impl Line {
    fn of(event: &Event, page: &Page) -> Self {
        let fact =
            |name: &str| [&event.after, &event.before].into_iter().flatten().find_map(|facts| facts[name].as_str());
        let is_of_key = event.action.starts_with("key.")
            || event.action.starts_with("renewal.")
            || event.action.starts_with("token.")
            || event.action == "command.refused";
        let part = if event.action.starts_with("admin.") { Some("admins") } else { is_of_key.then_some("keys") };
        let tone = match event.action.trim_start_matches("admin.").trim_start_matches("renewal").get(1..) {
            Some("opened" | "held" | "plan_changed") => "old",
            Some("adopted" | "completed") => "new",
            _ => "plain",
        };
        Self {
            at: page.words.moment(event.at),
            what: word_of(page, &event.action),
            actor: event.actor.clone(),
            address: event.address.clone(),
            key: part
                .zip(event.key.as_deref())
                .map(|(part, id)| (super::way(part, id, None), fact("name").unwrap_or(id).to_owned())),
            changes: changes(event, page),
            tone,
        }
    }
}

/// The attributes that an edit has changed.
fn changes(event: &Event, page: &Page) -> Vec<(String, String, String)> {
    let fields: [(&str, &str); 11] = [
        ("name", "key-identification"),
        ("roles", if event.action.starts_with("admin.") { "admins-roles" } else { "roles" }),
        ("limited_to_role", "limited-to"),
        ("owner", "owner"),
        ("note", "note"),
        ("labels", "labels"),
        ("allowed_addresses", "addresses"),
        ("limits", "limits"),
        ("self_service", "self-service"),
        ("duration", "token-duration"),
        ("on_expiry", "on-expiry"),
    ];
    if let (None, Some(facts), "command.refused") = (&event.before, &event.after, event.action.as_str()) {
        return vec![(page.t("audit-command"), plain(&facts["command"]), plain(&facts["code"]))];
    }
    let (Some(before), Some(after)) = (&event.before, &event.after) else { return Vec::new() };
    let differs = |(field, _): &(&str, &str)| before[field] != after[field];
    let told = |(field, label): (&str, &str)| (page.t(label), plain(&before[field]), plain(&after[field]));
    fields.into_iter().filter(differs).map(told).collect()
}

/// A value as text.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "\u{2013}".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "\u{2013}".into(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::Theme;
    use super::super::words::{Language, Words};
    use super::*;

    #[test]
    fn every_action_has_words_in_every_language() {
        for words in Language::ALL.map(Words) {
            let page = Page { words, theme: Theme::System, who: None, here: "/console/audit".into() };
            let nameless: Vec<_> = actions().into_iter().filter(|action| word_of(&page, action) == *action).collect();
            assert!(nameless.is_empty(), "{words:?}: {nameless:?}");
        }
    }
}
