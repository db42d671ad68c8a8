//! The page that says what went wrong and what to do about it.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::api::Refused;
use super::html;
use super::page::Page;
use super::visit::{Visit, Visitor};

/// A refusal on its way to a reader.
pub(super) struct Trouble(Box<TroublePage>);

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage {
    page: Page,
    refused: Refused,
    title: String,
    advice: String,
}

impl Trouble {
    pub(super) fn new(page: Page, refused: Refused) -> Self {
        let (title, advice) = explained(&page, &refused);
        Self(Box::new(TroublePage { page, refused, title, advice }))
    }

    /// A page that is not there.
    pub(super) fn nothing(page: Page) -> Self {
        let refused = Refused {
            code: "not_found".into(),
            status: 404,
            detail: String::new(),
            errors: Vec::new(),
            ends: 0,
            revives: 0,
            keys: Vec::new(),
        };
        Self::new(page, refused)
    }
}

/// What a refusal means, and what to do.
pub(super) fn explained(page: &Page, refused: &Refused) -> (String, String) {
    let code = refused.code.replace('_', "-");
    let told = |part: &str| {
        let own = page.known(&format!("trouble-{code}-{part}"));
        own.unwrap_or_else(|| page.t(&format!("trouble-other-{part}")))
    };
    (told("title"), told("advice"))
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, html(&*self.0)).into_response()
    }
}

/// `GET /console/…` where there is no page.
pub(super) async fn nothing_here(visit: Result<Visit, Response>, visitor: Visitor) -> Trouble {
    Trouble::nothing(visit.map_or(visitor.page, |visit| visit.page))
}
