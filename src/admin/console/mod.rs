//! The console: pages for people, under `/console/` on the admin port.
//!
//! Promises: a page is made of the admin API's answers and an action is a call of the admin API, in this process, with
//! the permissions of whoever is signed in: nothing can be seen or done here that the API would refuse. Every action
//! works without JavaScript. No page loads anything from elsewhere. A token is in one reply only.
//! Deliberately does not: know keys, the store or the catalogue.

mod answers;
mod api;
mod assets;
mod audit;
mod bounds;
mod callers;
mod choice;
mod edit;
mod entry;
mod form;
mod key;
mod keys;
mod moment;
mod overview;
mod page;
mod preferences;
mod renew;
mod row;
mod sessions;
mod settings;
mod traffic;
mod trouble;
mod visit;
mod words;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};

use super::Admin;
pub use sessions::Console;

/// What the console's own pages may do: load what this port serves, and send forms to it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What a page's handler works with.
#[derive(Clone)]
struct Desk {
    admin: Admin,
    /// The admin API, to be called from within.
    calls: Router,
}

/// The console's pages, before the API `calls`.
pub fn router(admin: Admin, calls: Router) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/console/") }))
        .route("/console", get(|| async { Redirect::temporary("/console/") }))
        .route("/console/", get(overview::show))
        .route("/console/sign-in", get(entry::form).post(entry::sign_in))
        .route("/console/link/{code}", get(entry::link_form).post(entry::follow_link))
        .route("/console/sign-out", post(entry::sign_out))
        .route("/console/preferences", post(preferences::set))
        .merge(of("keys"))
        .merge(of("admins"))
        .route("/console/settings", get(settings::show).post(settings::change))
        .route("/console/audit", get(audit::list))
        .route("/console/assets/{version}/{name}", get(assets::serve))
        .route("/console/{*rest}", get(trouble::nothing_here))
        .with_state(Desk { admin, calls })
        .layer(from_fn(with_policy))
}

/// The pages of keys, or those of administrators: they are the same.
fn of(part: &str) -> Router<Desk> {
    let way = |rest: &str| format!("/console/{part}{rest}");
    Router::new()
        .route(&way(""), get(keys::list))
        .route(&way("/new"), get(edit::ask_generate).post(edit::generate))
        .route(&way("/{key}"), get(key::show))
        .route(&way("/{key}/edit"), get(edit::ask_edit).post(edit::edit))
        .route(&way("/{key}/switch"), get(edit::ask_switch).post(edit::switch))
        .route(&way("/{key}/delete"), get(edit::ask_delete).post(edit::delete))
        .route(&way("/{key}/renew"), get(renew::back).post(renew::renew))
        .route(&way("/{key}/plan"), get(renew::ask_plan))
        .route(&way("/{key}/complete"), get(renew::back).post(renew::complete))
        .route(&way("/{key}/delete-old"), get(renew::ask_delete_old).post(renew::delete_old))
        .route(&way("/{key}/undo"), get(renew::ask_undo).post(renew::undo))
}

/// Sets what a browser must hold itself to.
async fn with_policy(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let fixed: [(HeaderName, &'static str); 6] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether the request came over TLS.
fn is_secure(parts: &http::request::Parts) -> bool {
    parts.extensions.get::<super::server::Secured>().is_some()
}

/// Where the page of a key or administrator is; `done` is what it says has been done.
fn way(part: &str, key: &str, done: Option<&str>) -> String {
    let key = percent_encoding::utf8_percent_encode(key, api::SEGMENT);
    done.map_or_else(|| format!("/console/{part}/{key}"), |done| format!("/console/{part}/{key}?done={done}"))
}

/// A template's HTML, or the failure to make it.
fn html(template: &impl askama::Template) -> Response {
    match template.render() {
        Ok(text) => axum::response::Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be made");
            super::problem::Problem::internal().into_response()
        }
    }
}
