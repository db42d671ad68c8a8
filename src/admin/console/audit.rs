//! What was changed, when, by whom and from where; the latest first.
//!
//! Promises: what an event holds is shown as text; a page looks at a bounded number of events.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::api::Ask;
use super::moment::Moment;
use super::page::Page;
use super::trouble::Trouble;
use super::visit::Visit;
use super::{Desk, html};
use crate::domain::Timestamp;

/// How many changes a page goes back, and how many where it looks for some of them.
const WINDOW: u64 = 100;
const FILTERED_WINDOW: u64 = 5_000;
/// How many events the API gives at once.
const MOST: u64 = 500;
/// How many of its events a key's page shows.
const HISTORY: usize = 12;

/// The actions that can be looked for.
const ACTIONS: [&str; 19] = [
    "key.created",
    "key.edited",
    "key.activated",
    "key.deactivated",
    "key.deleted",
    "renewal.opened",
    "renewal.plan_changed",
    "renewal.adopted",
    "renewal.held",
    "renewal.completed",
    "renewal.undone",
    "settings.changed",
    "command.refused",
    "audit.pruned",
    "admin.created",
    "admin.edited",
    "admin.activated",
    "admin.deactivated",
    "admin.deleted",
];

#[derive(Deserialize)]
struct Found {
    events: Vec<Event>,
    next_cursor: Option<String>,
    chain: Chain,
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
    revision: u64,
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

/// `GET /console/audit`
pub(super) async fn list(
    State(desk): State<Desk>,
    visit: Visit,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Trouble> {
    let last = desk.admin.keyring.revision().0;
    let before = wanted.before.parse().unwrap_or(u64::MAX).min(last + 1);
    let is_filtered = !(wanted.actor.is_empty() && wanted.action.is_empty() && wanted.key.is_empty());
    let after = before.saturating_sub(1).saturating_sub(if is_filtered { FILTERED_WINDOW } else { WINDOW });
    let (mut events, chain) = events(&visit, &wanted, after).await?;
    events.retain(|event| event.revision < before);
    events.reverse();
    let page = visit.page;
    let older = (after > 0).then(|| older(&wanted, after + 1));
    let chain = chain.map(|chain| ChainLine::of(&chain, &page));
    let lines = events.iter().map(|event| Line::of(event, &page)).collect();
    let actions = ACTIONS.map(|action| (action, word_of(&page, action))).into();
    Ok(html(&AuditPage { page, lines, wanted, actions, older, chain }))
}

fn older(wanted: &Wanted, before: u64) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (actor, action, key) = (encoded(&wanted.actor), encoded(&wanted.action), encoded(&wanted.key));
    format!("/console/audit?actor={actor}&action={action}&key={key}&before={before}")
}

/// The events after this revision, the oldest first.
async fn events(visit: &Visit, wanted: &Wanted, after: u64) -> Result<(Vec<Event>, Option<Chain>), Trouble> {
    let (mut all, mut chain, mut cursor) = (Vec::new(), None, after.to_string());
    for _ in 0..=FILTERED_WINDOW / MOST {
        let limit = MOST.to_string();
        let mut query = vec![("after", cursor.as_str()), ("limit", limit.as_str())];
        let filters = [("actor", &wanted.actor), ("action", &wanted.action), ("key", &wanted.key)];
        query.extend(
            filters.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.as_str())),
        );
        let page: Found = visit.ask(Ask::new(Method::GET, &["audit"]).query(&query)).await?;
        all.extend(page.events);
        chain = Some(page.chain);
        let Some(next) = page.next_cursor else { break };
        cursor = next;
    }
    Ok((all, chain))
}

/// The last events of one key, for whoever may see them.
pub(super) async fn history(visit: &Visit, key: &str) -> Vec<Line> {
    if !visit.page.may("audit:read") {
        return Vec::new();
    }
    let wanted = Wanted { key: key.into(), ..Wanted::default() };
    let (events, _) = events(visit, &wanted, 0).await.unwrap_or_default();
    let line = |event| Line { key: None, ..Line::of(event, &visit.page) }; // the page is about the key already
    events.iter().rev().take(HISTORY).map(line).collect()
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
        let tone = match event.action.as_str() {
            "renewal.opened" | "renewal.held" | "renewal.plan_changed" => "old",
            "renewal.adopted" | "renewal.completed" => "new",
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
