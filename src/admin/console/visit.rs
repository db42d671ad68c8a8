//! A request of somebody who is signed in.
//!
//! Promises: who is not is sent to the sign-in page, with the way back; a change must say that it comes from a page of
//! this port; permissions are read anew for every request.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{ACCEPT_LANGUAGE, COOKIE, HOST, HeaderMap, ORIGIN};
use http::request::Parts;
use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::super::session;
use super::Desk;
use super::api::{Api, Ask, Refused};
use super::page::{Page, Theme};
use super::sessions::Presence;
use super::trouble::Trouble;
use super::words::{Language, Words};
use crate::domain::Timestamp;

/// The parameter by which a page's own questions are told from people's.
const WATCHING: &str = "watching=1";

/// Somebody, known or not, in front of a page.
pub(super) struct Visitor {
    pub(super) page: Page,
    pub(super) peer: Option<SocketAddr>,
    pub(super) cookie: CookieName,
    pub(super) session: Option<String>,
}

impl Visitor {
    /// Where he comes from.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.peer.map(|peer| peer.ip().to_canonical())
    }
}

/// Somebody signed in.
pub(super) struct Visit {
    pub(super) page: Page,
    pub(super) now: Timestamp,
    pub(super) presence: Presence,
    api: Api,
}

/// The session's cookie. Over TLS a `__Host-` one; in clear one for this port, as cookies do not know ports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum CookieName {
    Host,
    Port(String),
}

impl CookieName {
    fn of(parts: &Parts) -> Self {
        if super::is_secure(parts) {
            return Self::Host;
        }
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let port: String = host.rsplit(':').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
        Self::Port(port)
    }

    fn name(&self) -> String {
        match self {
            Self::Host => "__Host-relevo".into(),
            Self::Port(port) => format!("relevo-{port}"),
        }
    }

    /// The field that sets the cookie to `value`, or ends it if that is empty.
    pub(super) fn set(&self, value: &str) -> String {
        let end = if value.is_empty() { "; Max-Age=0" } else { "" };
        let secure = match self {
            Self::Host => "; Secure",
            Self::Port(_) => "",
        };
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{end}", self.name())
    }
}

/// The value of the cookie `name`.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

impl FromRequestParts<Desk> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Desk) -> Result<Self, Response> {
        let changes = parts.method != Method::GET && parts.method != Method::HEAD;
        // The port's door has refused what says that it comes from elsewhere; here it must say that it does not.
        if changes && !parts.headers.contains_key(ORIGIN) && !parts.headers.contains_key("sec-fetch-site") {
            return Err((StatusCode::FORBIDDEN, "the request does not say which page made it").into_response());
        }
        let liked = parts.headers.get(ACCEPT_LANGUAGE).and_then(|field| field.to_str().ok()).unwrap_or_default();
        let chosen = cookie(&parts.headers, super::preferences::LANGUAGE).and_then(Language::of_tag);
        let page = Page {
            words: Words(chosen.unwrap_or_else(|| Language::liked(liked))),
            theme: Theme::of(cookie(&parts.headers, super::preferences::THEME).unwrap_or_default()),
            who: None,
            here: parts.uri.path_and_query().map_or("/console/", |here| here.as_str()).to_owned(),
        };
        let peer = parts.extensions.get().map(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| *peer);
        let name = CookieName::of(parts);
        let session = cookie(&parts.headers, &name.name()).map(str::to_owned);
        Ok(Self { page, peer, cookie: name, session })
    }
}

impl FromRequestParts<Desk> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Response> {
        let visitor = Visitor::from_request_parts(parts, desk).await?;
        let asks = parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == WATCHING));
        let presence = if asks { Presence::Watching } else { Presence::Acting };
        let is_fragment = parts.headers.contains_key("hx-request");
        let now = desk.admin.clock.now();
        let cookie = visitor.session.as_deref().unwrap_or_default();
        let presented = desk.admin.console.opened_by(cookie, presence, now);
        let presented = presented.ok_or_else(|| away(&visitor.page, is_fragment, &parts.method))?;
        let admitted = session::admit_bearer_of(&desk.admin.admins, &presented, visitor.address(), now);
        let who = admitted.map_err(|_| {
            desk.admin.console.close(cookie);
            away(&visitor.page, is_fragment, &parts.method)
        })?;
        let api = Api { calls: desk.calls.clone(), presented, peer: visitor.peer };
        Ok(Self { page: Page { who: Some(who), ..visitor.page }, now, presence, api })
    }
}

/// The way to the sign-in page, and back to where one was.
fn away(page: &Page, is_fragment: bool, method: &Method) -> Response {
    let back = if method == Method::GET { page.here.replace(WATCHING, "") } else { "/console/".into() };
    let way = format!("/console/sign-in?next={}", utf8_percent_encode(&back, NON_ALPHANUMERIC));
    if is_fragment { [("hx-redirect", way)].into_response() } else { Redirect::to(&way).into_response() }
}

impl Visit {
    /// Asks the API.
    pub(super) async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, Trouble> {
        self.api.send(ask).await.map_err(|refused| self.trouble(refused))
    }

    /// Asks the API; a refusal is an answer too.
    pub(super) async fn try_ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, Refused> {
        self.api.send(ask).await
    }

    /// The page that tells a refusal.
    pub(super) fn trouble(&self, refused: Refused) -> Trouble {
        Trouble::new(self.page.clone(), refused)
    }
}
