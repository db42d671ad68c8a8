//! The list of keys.
//!
//! Promises: search, filters, order and pages are the API's; what is asked stands in the address.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::answers::{Keys, Status};
use super::api::Ask;
use super::page::Page;
use super::row::Row;
use super::trouble::Trouble;
use super::visit::Visit;
use super::{Desk, html};
use crate::domain::Realm;

/// How many keys a page shows.
const PAGE: usize = 25;
/// How far one can turn pages: as far as the API skips.
const LAST_PAGE: usize = 100_000 / PAGE;

/// What the address asks for.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    q: String,
    #[serde(default)]
    show: String,
    #[serde(default)]
    sort: String,
    #[serde(default)]
    page: String,
    #[serde(default)]
    done: String,
    /// Whose list it is.
    #[serde(skip)]
    part: &'static str,
}

/// A choice among filters.
struct Choice {
    label: String,
    href: String,
    is_chosen: bool,
}

/// The head of a column by which the list can be sorted.
struct Head {
    label: String,
    href: String,
    /// What `aria-sort` says: `ascending`, `descending` or `none`.
    order: &'static str,
}

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    page: Page,
    q: String,
    show: String,
    sort: String,
    choices: Vec<Choice>,
    /// The sortable columns before the roles, and those behind them.
    left_heads: [Head; 2],
    right_heads: [Head; 2],
    rows: Vec<Row>,
    found: String,
    /// How many old tokens await deletion, if any do and the list does not show just those.
    pending: Option<String>,
    previous: Option<String>,
    next: Option<String>,
    place: String,
    is_filtered: bool,
    done: Option<String>,
}

/// The filters: their name in the address, and what the API is asked.
const FILTERS: [(&str, &str, &str); 7] = [
    ("all", "", ""),
    ("renewing", "renewing", "true"),
    ("soon", "expiring_within", "14d"),
    ("outdated", "outdated", "true"),
    ("unused", "unused_since", "30d"),
    ("active", "status", "active"),
    ("inactive", "status", "inactive"),
];
const SORTS: [&str; 8] = ["name", "-name", "created", "-created", "last_used", "-last_used", "expires", "-expires"];

impl Wanted {
    /// What is asked, with everything that means nothing left out.
    fn sane(mut self, part: &'static str) -> Self {
        self.part = part;
        if !SORTS.contains(&self.sort.as_str()) {
            self.sort = "-created".into();
        }
        if !FILTERS.iter().any(|(name, ..)| *name == self.show) {
            self.show = "all".into();
        }
        self.q.truncate(self.q.char_indices().nth(200).map_or(self.q.len(), |(at, _)| at));
        self
    }

    fn number(&self) -> usize {
        self.page.parse().unwrap_or(1_usize).clamp(1, LAST_PAGE)
    }

    /// The address of a list like this one.
    fn href(&self, show: &str, sort: &str, page: usize) -> String {
        let q = utf8_percent_encode(&self.q, NON_ALPHANUMERIC);
        format!("/console/{}?q={q}&show={show}&sort={sort}&page={page}", self.part)
    }

    fn head(&self, page: &Page, label: &str, column: &str) -> Head {
        let (order, turned) = match self.sort.strip_prefix('-') {
            Some(sorted) if sorted == column => ("descending", column.to_owned()),
            None if self.sort == column => ("ascending", format!("-{column}")),
            // Of instants the latest are looked for first, of ends the nearest.
            Some(_) | None if column == "name" || column == "expires" => ("none", column.to_owned()),
            Some(_) | None => ("none", format!("-{column}")),
        };
        Head { label: page.t(label), href: self.href(&self.show, &turned, 1), order }
    }

    fn ask(&self) -> Ask {
        let skip = ((self.number() - 1) * PAGE).to_string();
        let limit = PAGE.to_string();
        let mut query = vec![("sort", self.sort.as_str()), ("skip", &skip), ("limit", &limit)];
        let filter = FILTERS.iter().find(|(name, parameter, _)| *name == self.show && !parameter.is_empty());
        query.extend(filter.map(|(_, parameter, value)| (*parameter, *value)));
        if !self.q.trim().is_empty() {
            query.push(("q", self.q.trim()));
        }
        Ask::new(Method::GET, &[self.part]).query(&query)
    }
}

/// `GET /console/keys`
pub(super) async fn list(
    State(_): State<Desk>,
    visit: Visit,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Trouble> {
    let wanted = wanted.sane(visit.page.part());
    let answer: Keys = visit.ask(wanted.ask()).await?;
    let renewals_open = match visit.page.realm() {
        Realm::Gateway => visit.ask::<Status>(Ask::new(Method::GET, &["status"])).await?.renewals_open,
        Realm::Admin => answer.keys.iter().filter(|key| key.renewal.is_some()).count(),
    };
    Ok(html(&page_of(&visit, &wanted, &answer, renewals_open)).into_response())
}

fn page_of(visit: &Visit, wanted: &Wanted, answer: &Keys, renewals_open: usize) -> KeysPage {
    let (page, words) = (&visit.page, visit.page.words);
    let number = wanted.number();
    let first = (number - 1) * PAGE;
    let last = first + answer.keys.len();
    let turn = |to: usize| wanted.href(&wanted.show, &wanted.sort, to);
    let choice = |(value, ..): (&'static str, &str, &str)| Choice {
        label: page.t(&format!("show-{value}")),
        href: wanted.href(value, &wanted.sort, 1),
        is_chosen: value == wanted.show,
    };
    let is_pending = renewals_open > 0 && wanted.show != "renewing";
    let (from, to, of) = (words.number(first + 1), words.number(last), words.number(answer.total));
    KeysPage {
        choices: FILTERS.into_iter().map(choice).collect(),
        left_heads: [wanted.head(page, "key", "name"), wanted.head(page, "token-duration", "expires")],
        right_heads: [wanted.head(page, "created", "created"), wanted.head(page, "last-used", "last_used")],
        rows: answer.keys.iter().map(|key| Row::of(key, page, visit.now)).collect(),
        found: page.count("keys-found", answer.total),
        pending: is_pending.then(|| page.count("pending-banner", renewals_open)),
        previous: (number > 1).then(|| turn(number - 1)),
        next: (last < answer.total && number < LAST_PAGE).then(|| turn(number + 1)),
        place: words.fill("keys-place", &[("from", &from), ("to", &to), ("of", &of)]),
        is_filtered: !wanted.q.trim().is_empty() || wanted.show != "all",
        done: page.known(&format!("done-{}", wanted.done)),
        page: page.clone(),
        q: wanted.q.clone(),
        show: wanted.show.clone(),
        sort: wanted.sort.clone(),
    }
}
