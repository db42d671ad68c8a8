//! The renewal, step by step: the token once, what becomes of the old one, and the two ways in which it ends.
//!
//! Promises: the token is minted by the click and shown in that one answer, whose address tells nothing; whoever goes
//! away afterwards has chosen *later*; who would be cut off is shown before anybody is.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::answers::{Key, Made};
use super::api::{Ask, Refused};
use super::choice::Choice;
use super::form::Form;
use super::key::Open;
use super::page::Page;
use super::row::Side;
use super::trouble::Trouble;
use super::visit::Visit;
use super::{html, way};

/// The token, and the choice of what becomes of the old one.
#[derive(Template)]
#[template(path = "token.html")]
struct TokenPage {
    page: Page,
    id: String,
    name: String,
    /// The new token; `None` when the choice is shown again, for then it has been shown.
    token: Option<String>,
    open: Option<Open>,
    choice: Choice,
    /// What is wrong with the choice.
    mistake: Option<String>,
}

#[derive(Template)]
#[template(path = "close.html")]
struct ClosePage {
    page: Page,
    id: String,
    name: String,
    version: u64,
    open: Open,
    ending: Ending,
}

impl TokenPage {
    /// The choice alone.
    fn without_token(visit: &Visit, key: Key, choice: Choice) -> Self {
        let open = Open::of(&key, &visit.page, visit.now);
        Self { page: visit.page.clone(), id: key.id, name: key.name, token: None, open, choice, mistake: None }
    }
}

/// In whose favour a renewal is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    DeleteOld,
    Undo,
}

impl Ending {
    const fn word(self) -> &'static str {
        match self {
            Self::DeleteOld => "delete-old",
            Self::Undo => "undo",
        }
    }
}

impl ClosePage {
    fn is_undo(&self) -> bool {
        self.ending == Ending::Undo
    }

    /// The token that ends.
    fn ended(&self) -> &Side {
        if self.is_undo() { &self.open.new } else { &self.open.old }
    }

    fn callers(&self) -> Option<&Vec<super::callers::Seen>> {
        if self.is_undo() { self.open.new_callers.as_ref() } else { self.open.old_callers.as_ref() }
    }

    /// Who would be refused, in words.
    fn told(&self) -> &[String] {
        if self.is_undo() { &self.open.sent_back } else { &self.open.cut_off }
    }

    /// Whether who goes on would be left with a token that nobody has used.
    fn is_risky(&self) -> bool {
        self.ending == Ending::DeleteOld && self.open.new.first_used.is_none()
    }
}

/// `GET …/renew` and `…/complete`: there is nothing to see; an address can be typed again.
pub(super) async fn back(visit: Visit, Path(key): Path<String>) -> Redirect {
    Redirect::to(&way(visit.page.part(), &key, None))
}

/// `POST /console/keys/{key}/renew`
pub(super) async fn renew(visit: Visit, Path(key): Path<String>) -> Result<Response, Trouble> {
    // Always "later": a lost answer must not leave a key whose token nobody knows.
    let ask = Ask::new(Method::POST, &[visit.page.part(), &key, "renew"]).body(json!({"delete_old": "later"}));
    let made: Made = visit.ask(ask).await?;
    Ok(html(&TokenPage {
        page: visit.page.clone(),
        open: Open::of(&made.key, &visit.page, visit.now),
        id: made.key.id,
        name: made.key.name,
        token: made.token,
        choice: Choice::default(),
        mistake: None,
    }))
}

/// `POST /console/keys/{key}/complete`
pub(super) async fn complete(visit: Visit, Path(key): Path<String>, form: Form) -> Result<Response, Trouble> {
    let choice = Choice::of_form(&form);
    if choice.kind == "now" {
        end(&visit, &key, Ending::DeleteOld, None).await.map_err(|refused| visit.trouble(refused))?;
        return Ok(Redirect::to(&way(visit.page.part(), &key, Some("completed"))).into_response());
    }
    let Some(plan) = choice.plan() else { return choose_again(&visit, &key, choice).await };
    let ask = Ask::new(Method::PATCH, &[visit.page.part(), &key, "renewal"]).body(json!({"delete_old": plan}));
    match visit.try_ask::<Value>(ask).await {
        Ok(_) => Ok(Redirect::to(&way(visit.page.part(), &key, Some("planned"))).into_response()),
        Err(refused) if refused.code == "invalid_request" => choose_again(&visit, &key, choice).await,
        Err(refused) => Err(visit.trouble(refused)),
    }
}

/// The choice once more, as its span is none. The token has been shown.
async fn choose_again(visit: &Visit, key: &str, choice: Choice) -> Result<Response, Trouble> {
    let key: Key = visit.ask(Ask::new(Method::GET, &[visit.page.part(), key])).await?;
    let mistake = Some(visit.page.t("span-mistake"));
    Ok((StatusCode::BAD_REQUEST, html(&TokenPage { mistake, ..TokenPage::without_token(visit, key, choice) }))
        .into_response())
}

/// `GET …/plan`: the choice again, later.
pub(super) async fn ask_plan(visit: Visit, Path(key): Path<String>) -> Result<Response, Trouble> {
    let key: Key = visit.ask(Ask::new(Method::GET, &[visit.page.part(), &key])).await?;
    let Some(renewal) = &key.renewal else {
        return Ok(Redirect::to(&way(visit.page.part(), &key.id, None)).into_response());
    };
    let choice = Choice::of_plan(&renewal.delete_old);
    Ok(html(&TokenPage::without_token(&visit, key, choice)))
}

/// `GET …/delete-old`: who would be cut off.
pub(super) async fn ask_delete_old(visit: Visit, Path(key): Path<String>) -> Result<Response, Trouble> {
    ask(&visit, &key, Ending::DeleteOld).await
}

/// `GET …/undo`: who already uses the new token.
pub(super) async fn ask_undo(visit: Visit, Path(key): Path<String>) -> Result<Response, Trouble> {
    ask(&visit, &key, Ending::Undo).await
}

async fn ask(visit: &Visit, key: &str, ending: Ending) -> Result<Response, Trouble> {
    let key: Key = visit.ask(Ask::new(Method::GET, &[visit.page.part(), key])).await?;
    let Some(open) = Open::of(&key, &visit.page, visit.now) else {
        return Ok(Redirect::to(&way(visit.page.part(), &key.id, None)).into_response());
    };
    let page = visit.page.clone();
    Ok(html(&ClosePage { page, id: key.id, name: key.name, version: key.version, open, ending }))
}

/// `POST …/delete-old`
pub(super) async fn delete_old(visit: Visit, Path(key): Path<String>, form: Form) -> Result<Response, Trouble> {
    close(&visit, &key, &form, Ending::DeleteOld).await
}

/// `POST …/undo`
pub(super) async fn undo(visit: Visit, Path(key): Path<String>, form: Form) -> Result<Response, Trouble> {
    close(&visit, &key, &form, Ending::Undo).await
}

async fn close(visit: &Visit, key: &str, form: &Form, ending: Ending) -> Result<Response, Trouble> {
    let done = match ending {
        Ending::DeleteOld => "completed",
        Ending::Undo => "undone",
    };
    match end(visit, key, ending, form.text("version").parse().ok()).await {
        Ok(_) => Ok(Redirect::to(&way(visit.page.part(), key, Some(done))).into_response()),
        Err(refused) => Err(visit.trouble(refused)),
    }
}

/// Closes the renewal, if the key is at the version that was looked at.
async fn end(visit: &Visit, key: &str, ending: Ending, version: Option<u64>) -> Result<Value, Refused> {
    visit.try_ask(Ask::new(Method::POST, &[visit.page.part(), key, ending.word()]).if_at(version)).await
}
