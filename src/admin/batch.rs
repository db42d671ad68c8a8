//! `POST /v1/import` and `POST /v1/apply`: many keys at once.
//!
//! Promises: all or nothing; mistakes, and keys that stand in the way, are told at once, the first hundred with their
//! places; a dry run answers what would be done, and its mark makes sure that exactly that is done.
//! Deliberately does not: see a secret. Tokens come as digests.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Admin;
use super::call::{Call, Plain};
use super::fields::{Fields, flag, text};
use super::keys::take_attributes;
use super::mistakes::Mistake;
use super::problem::{Code, Problem};
use crate::domain::Permission::{KeysRenew, KeysWrite};
use crate::domain::audit::KeyFacts;
use crate::domain::{Digest, Edit, Hint, KeyId, KeyName, Realm, Refusal};
use crate::keyring::{Batch, BatchPlan, Change, Collision, Denied, Existing, Given, Refused, Run, Wanted};
use crate::store::Conflict;

/// The longest body that is read.
pub const BATCH_LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// How many keys one call takes.
const MOST_KEYS: usize = 20_000;

/// What was done, or would be.
#[derive(Serialize)]
pub struct BatchView {
    changes: Vec<ChangeView>,
    unchanged: usize,
    dry_run: bool,
    plan: String,
}

/// What is done to one key.
#[derive(Serialize)]
struct ChangeView {
    name: KeyName,
    key: Option<KeyId>,
    actions: Vec<&'static str>,
    before: Option<KeyFacts>,
    after: KeyFacts,
}

impl ChangeView {
    fn of(change: Change, is_dry: &Run) -> Self {
        let Change { name, id, actions, before, after } = change;
        let key = id.filter(|_| before.is_some() || *is_dry != Run::Dry);
        let actions = actions.into_iter().map(|action| action.name(Realm::Gateway)).collect();
        Self { name, key, actions, before, after }
    }
}

/// `POST /v1/import`
pub async fn import(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    run(&admin, call, Existing::Refuse).await
}

/// `POST /v1/apply`
pub async fn apply(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    run(&admin, call.needing(KeysRenew)?, Existing::Change).await
}

async fn run(admin: &Admin, call: Call, existing: Existing) -> Result<Response, Problem> {
    let Plain { caller, mut fields, .. } = call.permit(&[KeysWrite])?.plain_within(BATCH_LIMIT_BYTES).await?;
    if !fields.has("keys") {
        fields.mistake("keys", "is missing");
    }
    let wanted = fields.take_objects("keys", MOST_KEYS, take_wanted);
    let run = take_run(&mut fields);
    let wanted = fields.finish_with(wanted)?;
    let plan = admin.keyring.batch(Batch { wanted, existing, run: run.clone() }, &caller).await;
    let BatchPlan { changes, unchanged, mark, revision } = plan.map_err(Problem::from)?;
    let changes = changes.into_iter().map(|change| ChangeView::of(change, &run)).collect();
    let body = BatchView { changes, unchanged, dry_run: run == Run::Dry, plan: mark };
    Ok((admin.changed(revision), Json(body)).into_response())
}

/// Takes whether it is done: `dry_run`, and the mark of a `plan`.
fn take_run(fields: &mut Fields) -> Run {
    let is_dry = fields.take("dry_run", flag).unwrap_or_default();
    let plan = fields.take_nullable::<String>("plan", text).flatten();
    if is_dry { Run::Dry } else { Run::Real(plan) }
}

fn take_wanted(fields: &mut Fields) -> Option<Wanted> {
    let name = fields.take_required::<KeyName>("name", text);
    let status = |value| serde_json::from_value(value).map_err(|_| "is neither active nor inactive".into());
    let status = fields.take("status", status);
    let confirm = super::keys::take_confirm(fields);
    let attributes = Edit { status, confirm, ..take_attributes(Realm::Gateway, fields) };
    let token = take_given(fields);
    Some(Wanted { name: name?, attributes, token })
}

/// Takes `digest`, and what else is known of the token.
fn take_given(fields: &mut Fields) -> Option<Given> {
    let digest = fields.take_nullable::<Digest>("digest", text).flatten();
    let hint = fields.take_nullable("hint", |value| {
        let bytes = value.as_str().and_then(|text| text.as_bytes().try_into().ok());
        bytes.and_then(Hint::from_bytes).ok_or_else(|| "is not four visible characters".into())
    });
    let weak = fields.take("weak", flag).unwrap_or_default();
    let Some(digest) = digest else {
        if hint.flatten().is_some() || weak {
            fields.mistake_of_all("has no digest");
        }
        return None;
    };
    Some(Given { digest, hint: hint.flatten(), weak })
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Rows(rows) => Self::invalid(rows.iter().map(|(at, denied)| row(*at, denied)).collect()),
            Refused::PlanChanged => {
                Self::new(Code::VersionMismatch, "keys have changed since the plan was made; look at another one")
            }
            Refused::Collisions(collisions) => colliding(&collisions),
            Refused::All(denied) => denied.into(),
        }
    }
}

/// How many keys that are in each other's way are named.
const NAMED: usize = 20;

/// Keys that cannot all be as they would be: those of one kind, with their names.
fn colliding(collisions: &[Collision]) -> Problem {
    let is_name = |collision: &&Collision| collision.what == Conflict::NameTaken;
    let names: Vec<_> = collisions.iter().filter(is_name).collect();
    let (code, what, told) = match &names[..] {
        [] => (Code::DigestInUse, "a token", collisions.iter().collect()),
        _ => (Code::NameTaken, "the name", names),
    };
    let pair = |Collision { key, holder, .. }: &&Collision| {
        format!("{} ({}) would have {what} of {} ({})", key.1, key.0, holder.1, holder.0)
    };
    let mut detail: Vec<_> = told.iter().take(NAMED).map(pair).collect();
    if told.len() > NAMED {
        detail.push(format!("and {} more", told.len() - NAMED));
    }
    Problem::new(code, detail.join("; "))
}

/// Why one key stands in the way, with the field that is to blame.
fn row(at: usize, denied: &Denied) -> Mistake {
    let field = match denied {
        Denied::NameTaken | Denied::NotFound(_) => ".name",
        Denied::OutOfReach => ".roles",
        Denied::NoToken | Denied::Refused(Refusal::DigestInUse | Refusal::RenewalOpen) => ".digest",
        Denied::Refused(_)
        | Denied::TokensAffected { .. }
        | Denied::TokenInUse(_)
        | Denied::UsageUnknown { .. }
        | Denied::LastAdministrator
        | Denied::ShutsOut
        | Denied::VersionMismatch { .. }
        | Denied::Store(_) => "",
    };
    Mistake { path: format!("keys[{at}]{field}"), message: format!("is refused: {denied}") }
}
