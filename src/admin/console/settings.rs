//! The settings that hold for every key.
//!
//! Promises: what a change ends or brings back is shown, key by key, before it is confirmed.

use askama::Template;
use axum::extract::Query;
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::api::{Ask, Mention};
use super::edit::{affected, confirmed};
use super::form::Form;
use super::html;
use super::page::Page;
use super::trouble::Trouble;
use super::visit::Visit;

#[derive(Deserialize)]
struct Settings {
    duration: String,
    on_expiry: String,
    prefix: String,
    version: u64,
}

#[derive(Deserialize)]
pub(super) struct Told {
    #[serde(default)]
    done: String,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    page: Page,
    /// `own` or `never`.
    duration: String,
    span: String,
    on_expiry: String,
    prefix: String,
    version: u64,
    is_wrong: bool,
    consequences: Option<Consequences>,
    done: Option<String>,
}

/// What a change would do.
struct Consequences {
    /// The counts, as the form sends them back.
    counts: String,
    text: String,
    keys: Vec<Mention>,
}

impl SettingsPage {
    fn of(page: Page, settings: Settings) -> Self {
        let never = settings.duration == "never";
        Self {
            page,
            duration: if never { "never".into() } else { "own".into() },
            span: if never { String::new() } else { settings.duration },
            on_expiry: settings.on_expiry,
            prefix: settings.prefix,
            version: settings.version,
            is_wrong: false,
            consequences: None,
            done: None,
        }
    }
}

/// `GET /console/settings`
pub(super) async fn show(visit: Visit, Query(told): Query<Told>) -> Result<Response, Trouble> {
    let settings: Settings = visit.ask(Ask::new(Method::GET, &["settings"])).await?;
    let done = visit.page.words.known(&format!("done-{}", told.done));
    Ok(html(&SettingsPage { done, ..SettingsPage::of(visit.page, settings) }))
}

/// `POST /console/settings`
pub(super) async fn change(visit: Visit, form: Form) -> Result<Response, Trouble> {
    let duration = if form.text("duration") == "never" { "never" } else { form.text("span") };
    let mut body: Map<String, Value> =
        Map::from_iter([("duration".into(), duration.into()), ("on_expiry".into(), form.text("on_expiry").into())]);
    body.extend(confirmed(&form).map(|confirm| ("confirm".to_owned(), confirm)));
    let version = form.text("version").parse().ok();
    let ask = Ask::new(Method::PATCH, &["settings"]).body(body.into()).if_at(version);
    let Err(refused) = visit.try_ask::<Settings>(ask).await else {
        return Ok(Redirect::to("/console/settings?done=settings-changed").into_response());
    };
    let consequences = (refused.code == "tokens_affected").then(|| Consequences {
        counts: format!("{}-{}", refused.ends, refused.revives),
        text: affected(&visit.page, &refused),
        keys: refused.keys.clone(),
    });
    let is_wrong = refused.errors.iter().any(|mistake| mistake.path == "duration");
    if consequences.is_none() && !is_wrong {
        return Err(visit.trouble(refused));
    }
    let known: Settings = visit.ask(Ask::new(Method::GET, &["settings"])).await?;
    let page = SettingsPage {
        duration: form.text("duration").into(),
        span: form.text("span").into(),
        on_expiry: form.text("on_expiry").into(),
        is_wrong,
        consequences,
        ..SettingsPage::of(visit.page.clone(), known)
    };
    Ok((StatusCode::CONFLICT, html(&page)).into_response())
}
