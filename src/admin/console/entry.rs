//! Signing in with an administrator's token or a one-time link, and signing out.
//!
//! Promises: a token travels in one request's body and is forgotten; a refusal does not say why, and is counted and made to
//! wait with the others of its address; following a link twice signs in once; the way back leads to this console only.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::{HeaderValue, SET_COOKIE};
use serde::Deserialize;

use super::super::session::{self, Rejected};
use super::super::sign_ins::Told;
use super::Desk;
use super::form::Form;
use super::html;
use super::page::Page;
use super::visit::{CookieName, Visitor};
use crate::domain::{Digest, KeyId, Realm, Tokens};
use crate::store::KeyRef;

const HOME: &str = "/console/";
const TOO_MANY: (StatusCode, &str) = (StatusCode::TOO_MANY_REQUESTS, "sign-in-too-many");

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignIn {
    page: Page,
    next: String,
    /// The message that says why one is here again.
    notice: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "link.html")]
struct FollowLink {
    page: Page,
    /// `None`: it leads nowhere.
    code: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Way {
    #[serde(default)]
    next: String,
    #[serde(default)]
    out: String,
}

/// The way, if it leads into this console; else its front page.
pub(super) fn safe_way(way: &str) -> &str {
    let is_plain = way.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'<' | b'>' | b'"'));
    if is_plain && way.starts_with("/console/") && !way.contains("//") { way } else { HOME }
}

/// `GET /console/sign-in`
pub(super) async fn form(visitor: Visitor, Query(way): Query<Way>) -> Response {
    let notice = (!way.out.is_empty()).then_some("signed-out");
    html(&SignIn { page: visitor.page, next: safe_way(&way.next).into(), notice })
}

/// `POST /console/sign-in`
pub(super) async fn sign_in(State(desk): State<Desk>, visitor: Visitor, form: Form) -> Response {
    let (token, next) = (form.text("token"), safe_way(form.text("next")).to_owned());
    let (address, now) = (visitor.address(), desk.admin.clock.now());
    match session::admit(&desk.admin.admins, token, address, now) {
        Ok(who) => {
            tracing::info!(administrator = who.name.as_str(), "signed in to the console");
            welcome(&desk, &visitor, (who.id, Digest::of(token.as_bytes())), &next)
        }
        Err(rejected) => {
            let told = match rejected {
                Rejected::Token => Some(desk.admin.sign_ins.failed(address, now).await),
                Rejected::NotLoaded => None,
            };
            match told {
                Some(Told::Refused) => again(visitor.page, next, (StatusCode::FORBIDDEN, "sign-in-refused")),
                Some(Told::TooMany { .. }) => again(visitor.page, next, TOO_MANY),
                None => again(visitor.page, next, (StatusCode::SERVICE_UNAVAILABLE, "sign-in-not-ready")),
            }
        }
    }
}

/// `GET /console/link/{code}`: whoever only looks at a link does not use it up.
pub(super) async fn link_form(State(desk): State<Desk>, visitor: Visitor, Path(code): Path<String>) -> Response {
    if desk.admin.console.knows_link(&code, desk.admin.clock.now()) {
        return html(&FollowLink { page: visitor.page, code: Some(code) });
    }
    lead_nowhere(&desk, visitor).await
}

/// `POST /console/link/{code}`
pub(super) async fn follow_link(State(desk): State<Desk>, visitor: Visitor, Path(code): Path<String>) -> Response {
    let name = desk.admin.console.take_link(&code, desk.admin.clock.now());
    let known = name.and_then(|name| desk.admin.catalog.find(Realm::Admin, &KeyRef::Name(name)));
    match known {
        Some(key) => {
            let token = match &key.tokens {
                Tokens::Single { current } => current,
                Tokens::Renewing { new, .. } => new,
            };
            tracing::info!(administrator = key.name.as_str(), "signed in to the console by a one-time link");
            welcome(&desk, &visitor, (key.id, token.digest), HOME)
        }
        None => lead_nowhere(&desk, visitor).await,
    }
}

/// Answers that a link leads nowhere: a failed sign-in like any other.
async fn lead_nowhere(desk: &Desk, visitor: Visitor) -> Response {
    match desk.admin.sign_ins.failed(visitor.address(), desk.admin.clock.now()).await {
        Told::Refused => (StatusCode::GONE, html(&FollowLink { page: visitor.page, code: None })).into_response(),
        Told::TooMany { .. } => again(visitor.page, HOME.into(), TOO_MANY),
    }
}

/// The form once more, with why.
fn again(page: Page, next: String, (status, notice): (StatusCode, &'static str)) -> Response {
    (status, html(&SignIn { page, next, notice: Some(notice) })).into_response()
}

/// `POST /console/sign-out`
pub(super) async fn sign_out(State(desk): State<Desk>, visitor: Visitor) -> Response {
    desk.admin.console.close(visitor.session.as_deref().unwrap_or_default());
    with_cookie(Redirect::to("/console/sign-in?out=1").into_response(), &visitor.cookie, "")
}

/// Opens a session in place of the one there was, so that no cookie from before is worth anything.
fn welcome(desk: &Desk, visitor: &Visitor, (who, presented): (KeyId, Digest), next: &str) -> Response {
    desk.admin.console.close(visitor.session.as_deref().unwrap_or_default());
    let value = desk.admin.console.open(who, presented, desk.admin.clock.now());
    with_cookie(Redirect::to(next).into_response(), &visitor.cookie, &value)
}

fn with_cookie(mut response: Response, name: &CookieName, value: &str) -> Response {
    response.headers_mut().extend(HeaderValue::from_str(&name.set(value)).map(|field| (SET_COOKIE, field)));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_leads_into_this_console_only() {
        for way in ["/console/", "/console/keys?q=a&page=2", "/console/keys/key_1"] {
            assert_eq!(safe_way(way), way);
        }
        for way in
            ["", "//evil.example", "https://evil.example/console/", "/v1/keys", "/console/\r\nx", "/console//evil"]
        {
            assert_eq!(safe_way(way), HOME, "{way}");
        }
    }
}
