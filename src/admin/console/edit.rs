//! A key's attributes: generating a key, editing it, switching it on and off, deleting it.
//!
//! Promises: what was typed is never lost to a mistake; what ends tokens is told before it is done; a key is deleted
//! only by whoever has ticked that he understands.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::answers::{Key, Made};
use super::api::{Ask, Refused};
use super::bounds::Bounds;
use super::form::Form;
use super::page::Page;
use super::trouble::Trouble;
use super::visit::Visit;
use super::{html, way};
use crate::domain::{Permission, Realm};

/// What the form of a key holds.
#[derive(Default)]
struct Draft {
    name: String,
    roles: String,
    owner: String,
    note: String,
    addresses: String,
    /// A key's.
    limits: Bounds,
    self_service: bool,
    /// An administrator's permissions; none, and the form is a key's.
    choices: Vec<Choice>,
    limited_to: String,
    /// `settings`, `own` or `never`.
    duration: String,
    /// The key's own.
    span: String,
    version: Option<u64>,
    /// The fields with a mistake.
    wrong: Vec<String>,
}

/// A permission that can be given.
struct Choice {
    name: &'static str,
    text: String,
    is_given: bool,
}

impl Choice {
    /// Those that whoever is signed in has himself, if these are the pages of administrators.
    fn all(page: &Page, is_given: impl Fn(&str) -> bool) -> Vec<Self> {
        let own = Permission::ALL.iter().map(|permission| permission.as_str()).filter(|name| page.may(name));
        let choice = |name: &'static str| Self {
            name,
            text: page.t(&format!("permission-{}", name.replace(':', "-"))),
            is_given: is_given(name),
        };
        if page.realm() == Realm::Admin { own.map(choice).collect() } else { Vec::new() }
    }
}

/// How many tokens a change ends and revives.
struct Consequences {
    ends: u64,
    revives: u64,
    text: String,
}

#[derive(Template)]
#[template(path = "edit.html")]
struct EditPage {
    page: Page,
    /// The key that is edited; none when one is generated.
    key: Option<(String, String)>,
    draft: Draft,
    /// What is wrong beyond single fields.
    mistake: Option<String>,
    consequences: Option<Consequences>,
}

#[derive(Template)]
#[template(path = "generated.html")]
struct GeneratedPage {
    page: Page,
    id: String,
    name: String,
    token: String,
}

#[derive(Template)]
#[template(path = "switch.html")]
struct SwitchPage {
    page: Page,
    id: String,
    name: String,
    version: u64,
    is_active: bool,
}

#[derive(Template)]
#[template(path = "delete.html")]
struct DeletePage {
    page: Page,
    id: String,
    name: String,
    version: u64,
    last_used: Option<super::moment::Distance>,
    is_unticked: bool,
}

impl Draft {
    /// That of something new.
    fn new(page: &Page) -> Self {
        let duration = if page.realm() == Realm::Admin { "never" } else { "settings" };
        let own_limit = page.who.as_ref().and_then(|who| who.authority.limited_to.as_ref());
        Self {
            choices: Choice::all(page, |_| false),
            limited_to: own_limit.map(|role| role.as_str().to_owned()).unwrap_or_default(),
            duration: duration.into(),
            limits: Bounds::of_key(None),
            ..Self::default()
        }
    }

    fn of_form(page: &Page, form: &Form) -> Self {
        let text = |name: &str| form.text(name).to_owned();
        Self {
            name: text("name"),
            roles: text("roles"),
            owner: text("owner"),
            note: text("note"),
            addresses: text("addresses"),
            choices: Choice::all(page, |name| form.is_ticked(&format!("may-{name}"))),
            limited_to: text("limited_to"),
            limits: Bounds::of_form(form),
            self_service: form.is_ticked("self_service"),
            duration: text("duration"),
            span: text("span"),
            version: form.text("version").parse().ok(),
            wrong: Vec::new(),
        }
    }

    fn of_key(page: &Page, key: &Key) -> Self {
        let (duration, span) = match key.duration {
            None => ("settings", String::new()),
            Some(crate::domain::Lifetime::Never) => ("never", String::new()),
            Some(crate::domain::Lifetime::For(span)) => ("own", span.to_string()),
        };
        Self {
            name: key.name.clone(),
            roles: key.roles.join(" "),
            owner: key.owner.clone().unwrap_or_default(),
            note: key.note.clone().unwrap_or_default(),
            addresses: key.allowed_addresses.join(" "),
            choices: Choice::all(page, |name| key.permissions.iter().any(|given| given == name)),
            limited_to: key.limited_to_role.clone().unwrap_or_default(),
            limits: Bounds::of_key(key.limits.as_ref()),
            self_service: key.self_service,
            duration: duration.into(),
            span,
            version: Some(key.version),
            wrong: Vec::new(),
        }
    }

    /// What the API is sent.
    fn body(&self) -> Map<String, Value> {
        let words = |text: &str| -> Vec<String> {
            text.split([' ', ',', ';', '\n', '\r', '\t']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let given = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
        let duration = match self.duration.as_str() {
            "never" => "never".into(),
            "own" => self.span.as_str().into(),
            _ => Value::Null,
        };
        let own = if self.choices.is_empty() {
            vec![
                ("roles", words(&self.roles).into()),
                ("self_service", self.self_service.into()),
                ("limits", self.limits.value()),
            ]
        } else {
            let given_ones = self.choices.iter().filter(|choice| choice.is_given).map(|choice| choice.name);
            vec![("permissions", given_ones.collect()), ("limited_to_role", given(&self.limited_to))]
        };
        let fields = [
            ("name", self.name.as_str().into()),
            ("owner", given(&self.owner)),
            ("note", given(&self.note)),
            ("allowed_addresses", words(&self.addresses).into()),
            ("duration", duration),
        ];
        fields.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Marks the fields that the refusal names. `false` if it names none of this form's.
    fn mark(&mut self, refused: &Refused) -> bool {
        const FIELDS: [&str; 8] =
            ["name", "roles", "limited_to_role", "owner", "note", "allowed_addresses", "limits", "duration"];
        if refused.code == "name_taken" {
            self.wrong.push("taken".into());
        }
        for mistake in &refused.errors {
            let field = mistake.path.split(['[', '.']).next().unwrap_or_default();
            if FIELDS.contains(&field) && !self.wrong(field) {
                self.wrong.push(field.into());
            }
        }
        !self.wrong.is_empty()
    }

    fn wrong(&self, field: &str) -> bool {
        self.wrong.iter().any(|wrong| wrong == field)
    }
}

/// `GET /console/keys/new`
pub(super) async fn ask_generate(visit: Visit) -> Response {
    let draft = Draft::new(&visit.page);
    html(&EditPage { page: visit.page, key: None, draft, mistake: None, consequences: None })
}

/// `POST /console/keys/new`
pub(super) async fn generate(visit: Visit, form: Form) -> Result<Response, Trouble> {
    let mut draft = Draft::of_form(&visit.page, &form);
    let ask = Ask::new(Method::POST, &[visit.page.part()]).body(draft.body().into());
    match visit.try_ask::<Made>(ask).await {
        Ok(made) => {
            let token = made.token.unwrap_or_default();
            Ok(html(&GeneratedPage { page: visit.page, id: made.key.id, name: made.key.name, token }))
        }
        Err(refused) if draft.mark(&refused) => {
            let page = EditPage { page: visit.page, key: None, draft, mistake: None, consequences: None };
            Ok((StatusCode::BAD_REQUEST, html(&page)).into_response())
        }
        Err(refused) => Err(visit.trouble(refused)),
    }
}

/// `GET /console/keys/{key}/edit`
pub(super) async fn ask_edit(visit: Visit, Path(key): Path<String>) -> Result<Response, Trouble> {
    let key: Key = visit.ask(Ask::new(Method::GET, &[visit.page.part(), &key])).await?;
    let draft = Draft::of_key(&visit.page, &key);
    Ok(html(&EditPage { page: visit.page, key: Some((key.id, key.name)), draft, mistake: None, consequences: None }))
}

/// `POST /console/keys/{key}/edit`
pub(super) async fn edit(visit: Visit, Path(key): Path<String>, form: Form) -> Result<Response, Trouble> {
    let mut draft = Draft::of_form(&visit.page, &form);
    let mut body = draft.body();
    body.extend(confirmed(&form).map(|confirm| ("confirm".to_owned(), confirm)));
    let ask = Ask::new(Method::PATCH, &[visit.page.part(), &key]).body(body.into()).if_at(draft.version);
    let refused = match visit.try_ask::<Key>(ask).await {
        Ok(key) => return Ok(Redirect::to(&way(visit.page.part(), &key.id, Some("edited"))).into_response()),
        Err(refused) => refused,
    };
    let consequences = consequences(&visit.page, &refused);
    if consequences.is_none() && !draft.mark(&refused) {
        return Err(visit.trouble(refused));
    }
    let known: Key = visit.ask(Ask::new(Method::GET, &[visit.page.part(), &key])).await?;
    let key = Some((known.id, known.name));
    let page = EditPage { page: visit.page.clone(), key, draft, mistake: None, consequences };
    Ok((StatusCode::CONFLICT, html(&page)).into_response())
}

/// The counts that were ticked.
pub(super) fn confirmed(form: &Form) -> Option<Value> {
    let (ends, revives) = form.text("confirm").split_once('-')?;
    Some(json!({"ends": ends.parse::<u64>().ok()?, "revives": revives.parse::<u64>().ok()?}))
}

fn consequences(page: &Page, refused: &Refused) -> Option<Consequences> {
    (refused.code == "tokens_affected").then(|| Consequences {
        ends: refused.ends,
        revives: refused.revives,
        text: affected(page, refused),
    })
}

/// What a change does to tokens, in words.
pub(super) fn affected(page: &Page, refused: &Refused) -> String {
    let told = [("tokens-end", refused.ends), ("tokens-revive", refused.revives)];
    let told = told.into_iter().filter(|(_, count)| *count > 0).map(|(key, count)| page.words.count(key, count));
    told.collect::<Vec<_>>().join(" ")
}

/// `GET /console/keys/{key}/switch`
pub(super) async fn ask_switch(visit: Visit, Path(key): Path<String>) -> Result<Response, Trouble> {
    let key: Key = visit.ask(Ask::new(Method::GET, &[visit.page.part(), &key])).await?;
    let is_active = key.is_active();
    Ok(html(&SwitchPage { page: visit.page, id: key.id, name: key.name, version: key.version, is_active }))
}

/// `POST /console/keys/{key}/switch`
pub(super) async fn switch(visit: Visit, Path(key): Path<String>, form: Form) -> Result<Response, Trouble> {
    let (status, done) =
        if form.text("to") == "active" { ("active", "activated") } else { ("inactive", "deactivated") };
    let ask = Ask::new(Method::PATCH, &[visit.page.part(), &key]).body(json!({ "status": status }));
    let key: Key = visit.ask(ask.if_at(form.text("version").parse().ok())).await?;
    Ok(Redirect::to(&way(visit.page.part(), &key.id, Some(done))).into_response())
}

/// `GET /console/keys/{key}/delete`
pub(super) async fn ask_delete(visit: Visit, Path(key): Path<String>) -> Result<Response, Trouble> {
    Ok(html(&deletion(&visit, &key).await?))
}

async fn deletion(visit: &Visit, key: &str) -> Result<DeletePage, Trouble> {
    let key: Key = visit.ask(Ask::new(Method::GET, &[visit.page.part(), key])).await?;
    let last_used = key.tokens.iter().filter_map(|token| token.usage.last_used_at).max();
    let page = visit.page.clone();
    let last_used = last_used.map(|at| page.words.ago(at, visit.now));
    Ok(DeletePage { page, id: key.id, name: key.name, version: key.version, last_used, is_unticked: false })
}

/// `POST /console/keys/{key}/delete`
pub(super) async fn delete(visit: Visit, Path(key): Path<String>, form: Form) -> Result<Response, Trouble> {
    if !form.is_ticked("understood") {
        let page = DeletePage { is_unticked: true, ..deletion(&visit, &key).await? };
        return Ok((StatusCode::BAD_REQUEST, html(&page)).into_response());
    }
    let version = form.text("version").parse().ok();
    visit.ask::<Value>(Ask::new(Method::DELETE, &[visit.page.part(), &key]).if_at(version)).await?;
    Ok(Redirect::to(&format!("/console/{}?done=deleted", visit.page.part())).into_response())
}
