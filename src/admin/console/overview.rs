//! The front page: what needs attention, and how the last hour went.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::Method;

use super::answers::{Keys, Status};
use super::api::Ask;
use super::moment::Distance;
use super::page::Page;
use super::row::Row;
use super::traffic::Count;
use super::trouble::Trouble;
use super::visit::Visit;
use super::words::Words;
use super::{Desk, html};

/// How many keys a list of the overview shows.
const SHOWN: &str = "5";
/// The height of a chart.
const HEIGHT: u64 = 40;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    page: Page,
    sees_keys: bool,
    figures: Vec<Figure>,
    renewals: Vec<(Row, Option<Distance>)>,
    ending: Vec<Row>,
    health: Vec<Sign>,
    charts: Vec<Chart>,
}

/// A number that leads to the keys it counts.
struct Figure {
    label: String,
    number: String,
    href: &'static str,
    tone: &'static str,
}

struct Sign {
    name: String,
    detail: String,
    is_well: bool,
}

/// Sixty bars.
struct Chart {
    kind: &'static str,
    title: String,
    total: String,
    /// Each bar's place, top and height.
    bars: Vec<(usize, u64, u64)>,
}

/// `GET /console/`
pub(super) async fn show(State(desk): State<Desk>, visit: Visit) -> Result<Response, Trouble> {
    let page = visit.page.clone();
    let charts = if page.may_see_traffic() { charts(&desk, &page) } else { Vec::new() };
    if !page.may("keys:read") {
        let (figures, renewals, ending, health) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        return Ok(html(&OverviewPage { page, sees_keys: false, figures, renewals, ending, health, charts }));
    }
    let status: Status = visit.ask(Ask::new(Method::GET, &["status"])).await?;
    let keys = |query: &[(&str, &str)]| visit.ask::<Keys>(Ask::new(Method::GET, &["keys"]).query(query));
    let renewals = keys(&[("renewing", "true"), ("limit", SHOWN)]).await?;
    let ending = keys(&[("sort", "expires"), ("expiring_within", "14d"), ("limit", SHOWN)]).await?;
    let outdated = keys(&[("sort", "expires"), ("outdated", "true"), ("limit", "1")]).await?;
    let figure = |label: &str, count: usize, href, tone| Figure {
        label: page.t(label),
        number: page.words.number(count),
        href,
        tone: if count > 0 { tone } else { "" },
    };
    let due = |key: &super::answers::Key| key.renewal.as_ref().and_then(|renewal| renewal.due_at);
    Ok(html(&OverviewPage {
        sees_keys: true,
        figures: vec![
            figure("nav-keys", status.keys, "/console/keys", ""),
            figure("show-renewing", status.renewals_open, "/console/keys?show=renewing", "old"),
            figure("show-soon", ending.total, "/console/keys?show=soon&sort=expires", "old"),
            figure("show-outdated", outdated.total, "/console/keys?show=outdated&sort=expires", "bad"),
        ],
        renewals: renewals
            .keys
            .iter()
            .map(|key| (Row::of(key, &page, visit.now), due(key).map(|at| page.words.until(at, visit.now))))
            .collect(),
        ending: ending.keys.iter().map(|key| Row::of(key, &page, visit.now)).collect(),
        health: status
            .health
            .into_iter()
            .map(|told| Sign { name: name_of(&told.name, page.words), detail: told.detail, is_well: told.ok })
            .collect(),
        charts,
        page,
    }))
}

/// What a health condition is called; its own name where there is no word for it.
fn name_of(condition: &str, words: Words) -> String {
    match condition.split_once(' ') {
        Some(("upstream", name)) => words.about("health-upstream", name),
        Some(("webhook", name)) => words.about("health-webhook", name),
        Some(_) | None => {
            let known = words.known(&format!("health-{}", condition.replace(' ', "-")));
            known.unwrap_or_else(|| condition.to_owned())
        }
    }
}

fn charts(desk: &Desk, page: &Page) -> Vec<Chart> {
    let minutes = desk.admin.console.traffic().minutes(&desk.admin.metrics);
    let chart = |kind, title: &str, count: fn(&Count) -> u64| {
        let counts: Vec<_> = minutes.iter().map(count).collect();
        let most = counts.iter().copied().max().unwrap_or_default().max(1);
        // A minute with one request among millions is not an empty one.
        let height = |count: u64| if count == 0 { 0 } else { (count.saturating_mul(HEIGHT) / most).max(1) };
        let bars = counts.iter().enumerate().map(|(at, count)| (at, HEIGHT - height(*count), height(*count)));
        Chart {
            kind,
            title: page.t(title),
            total: page.words.number(counts.iter().sum::<u64>()),
            bars: bars.filter(|(_, _, height)| *height > 0).collect(),
        }
    };
    vec![
        chart("passed", "chart-requests", |minute| minute.requests),
        chart("refused", "chart-refusals", |minute| minute.refusals),
    ]
}
