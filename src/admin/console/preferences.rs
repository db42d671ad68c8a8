//! Language and theme, kept in the browser.

use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;

use super::entry::safe_way;
use super::form::Form;
use super::page::Theme;
use super::visit::Visitor;
use super::words::Language;

/// The cookie of the language.
pub(super) const LANGUAGE: &str = "relevo-language";
/// The cookie of the theme.
pub(super) const THEME: &str = "relevo-theme";
/// How long they are kept, in seconds: a year.
const KEPT_S: u32 = 31_536_000;

/// `POST /console/preferences`
pub(super) async fn set(_: Visitor, form: Form) -> Response {
    let mut response = Redirect::to(safe_way(form.text("back"))).into_response();
    let language = Language::of_tag(form.text("language")).map(|language| (LANGUAGE, language.tag()));
    let theme = form.is_ticked("theme").then(|| (THEME, Theme::of(form.text("theme")).as_str()));
    for (name, value) in [language, theme].into_iter().flatten() {
        let cookie = format!("{name}={value}; Path=/console; HttpOnly; SameSite=Strict; Max-Age={KEPT_S}");
        response.headers_mut().extend(cookie.parse().map(|cookie| (SET_COOKIE, cookie)));
    }
    response
}
