//! A key's page; during a renewal: who uses which token, what happens next, and when.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use http::Method;
use serde::Deserialize;

use super::answers::{Key, Limits, Plan, Quota, Rate, Renewal};
use super::api::Ask;
use super::callers::{self, Seen};
use super::html;
use super::moment::{Distance, Moment};
use super::page::Page;
use super::row::{Row, Side};
use super::sessions::Presence;
use super::trouble::Trouble;
use super::visit::Visit;
use super::words::Words;
use crate::domain::Timestamp;

#[derive(Deserialize)]
pub(super) struct Told {
    #[serde(default)]
    done: String,
    /// The revision before which the history is shown.
    #[serde(default)]
    before: String,
}

#[derive(Template)]
#[template(path = "key.html")]
struct KeyPage {
    page: Page,
    row: Row,
    note: Option<String>,
    addresses: Vec<String>,
    roles: Vec<String>,
    limited_to: Option<String>,
    self_service: bool,
    labels: BTreeMap<String, String>,
    duration: String,
    limits: Vec<String>,
    open: Option<Open>,
    history: Option<super::audit::History>,
    done: Option<String>,
}

/// An open renewal on a page.
pub(super) struct Open {
    pub(super) opened: Moment,
    pub(super) opened_by: String,
    /// What happens next.
    pub(super) next: String,
    pub(super) due: Option<(Distance, Moment)>,
    pub(super) quiet_since: Option<Distance>,
    pub(super) is_held: bool,
    pub(super) old: Side,
    pub(super) new: Side,
    pub(super) old_callers: Option<Vec<Seen>>,
    pub(super) new_callers: Option<Vec<Seen>>,
    /// Who would be refused without the old token, and without the new one.
    pub(super) cut_off: Vec<String>,
    pub(super) sent_back: Vec<String>,
    pub(super) adoption: Option<Adoption>,
}

/// How the last hour's requests are divided.
pub(super) struct Adoption {
    /// The new token's share in hundredths; `None`: there were no requests.
    pub(super) percent: Option<u64>,
    pub(super) text: String,
    /// How many came with each.
    pub(super) old: String,
    pub(super) new: String,
}

impl Open {
    /// The open renewal of `key`, if there is one.
    pub(super) fn of(key: &Key, page: &Page, now: Timestamp) -> Option<Self> {
        let renewal = key.renewal.as_ref()?;
        let words = page.words;
        let (old, new) = (key.token("old")?, key.token("new")?);
        Some(Self {
            opened: words.moment(renewal.opened_at),
            opened_by: renewal.opened_by.clone(),
            next: what_is_next(renewal, words),
            due: renewal.due_at.map(|at| (words.until(at, now), words.moment(at))),
            quiet_since: renewal.quiet_since.map(|at| words.ago(at, now)),
            is_held: renewal.held,
            old_callers: Seen::of_old(renewal, page, now),
            new_callers: Seen::of_new(renewal, page, now),
            cut_off: callers::cut_off(renewal, words),
            sent_back: callers::sent_back(renewal, words),
            adoption: Adoption::of(old.usage.requests_1h, new.usage.requests_1h, words),
            old: Side::of(old, page, now),
            new: Side::of(new, page, now),
        })
    }
}

impl Adoption {
    fn of(old: Option<u64>, new: Option<u64>, words: Words) -> Option<Self> {
        let (old, new) = (old?, new?);
        let all = old.saturating_add(new);
        // Of a hundred thousand requests one on the old token must not look like none.
        let percent = match new.saturating_mul(100).checked_div(all) {
            Some(100) if old > 0 => Some(99),
            Some(0) if new > 0 => Some(1),
            percent => percent,
        };
        let text = percent.map_or_else(
            || words.t("adoption-none"),
            |percent| {
                let (percent, total) = (percent.to_string(), words.count("requests", all));
                words.fill("adoption-share", &[("percent", &percent), ("requests", &total)])
            },
        );
        Some(Self { percent, text, old: words.number(old), new: words.number(new) })
    }
}

/// What happens to the old token if nobody does anything.
fn what_is_next(renewal: &Renewal, words: Words) -> String {
    if renewal.held {
        return words.t("next-held");
    }
    match &renewal.delete_old {
        Plan::Word(_) => words.t("next-later"),
        Plan::Conditions { after, when_quiet, on_unused } => {
            let after = after.map(|_| match on_unused.as_deref() {
                Some("delete") => words.t("next-after-whatever"),
                Some(_) | None => words.t("next-after"),
            });
            let quiet = when_quiet.map(|span| words.with("next-quiet", "span", &words.span(span)));
            after.into_iter().chain(quiet).collect::<Vec<_>>().join(" ")
        }
    }
}

/// A key's limits, one sentence each.
fn limits_in_words(limits: &Limits, words: Words) -> Vec<String> {
    let rate = limits.rate.as_ref().map(|Rate { requests, per, burst }| {
        let (n, per) = (words.count("requests", *requests), words.span(*per));
        let rate = words.fill("limit-rate", &[("requests", &n), ("span", &per)]);
        burst.map_or(rate.clone(), |burst| format!("{rate} {}", words.with("limit-burst", "n", &words.number(burst))))
    });
    let quota = limits.quota.as_ref().map(|Quota { requests, per }| {
        let per = words.known(&format!("per-{per}")).unwrap_or_else(|| per.clone());
        words.fill("limit-quota", &[("requests", &words.count("requests", *requests)), ("span", &per)])
    });
    let concurrent = limits.concurrent.map(|most| words.count("limit-concurrent", most));
    rate.into_iter().chain(quota).chain(concurrent).collect()
}

/// `GET /console/keys/{key}`
pub(super) async fn show(visit: Visit, Path(key): Path<String>, Query(told): Query<Told>) -> Result<Response, Trouble> {
    let key: Key = visit.ask(Ask::new(Method::GET, &[visit.page.part(), &key])).await?;
    let history = match visit.presence {
        Presence::Acting => super::audit::history(&visit, &key.id, &told.before).await,
        Presence::Watching => None, // the page keeps what it has
    };
    let (page, words) = (visit.page.clone(), visit.page.words);
    let duration = key.duration.map_or_else(|| page.t("duration-of-settings"), |duration| words.lifetime(duration));
    let roles = key.carried().to_vec();
    Ok(html(&KeyPage {
        row: Row::of(&key, &page, visit.now),
        open: Open::of(&key, &page, visit.now),
        history,
        done: page.known(&format!("done-{}", told.done)),
        limits: key.limits.as_ref().map(|limits| limits_in_words(limits, words)).unwrap_or_default(),
        note: key.note,
        addresses: key.allowed_addresses,
        limited_to: key.limited_to_role,
        self_service: key.self_service,
        labels: key.labels,
        roles,
        duration,
        page,
    }))
}
