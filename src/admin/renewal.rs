//! The calls that renew a key and close its renewal.
//!
//! Promises: each is one command of the keyring, and answers the key as it is afterwards.

use axum::extract::State;
use axum::response::Response;

use super::Admin;
use super::call::{Call, Plain};
use super::fields::{Fields, text};
use super::keys::take_material;
use super::problem::Problem;
use crate::domain::{OnUnused, Permission, Plan, Realm, Span};
use crate::keyring::Order;

/// What is asked about the old token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum DeleteOld {
    Now,
    By(Plan),
}

/// `POST /v1/keys/{key}/renew`
pub async fn renew(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.renew(Realm::Gateway, call).await
}

/// `PATCH /v1/keys/{key}/renewal`
pub async fn change_plan(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.change_plan(Realm::Gateway, call).await
}

/// `POST /v1/keys/{key}/delete-old`
pub async fn delete_old(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.delete_old(Realm::Gateway, call).await
}

/// `POST /v1/keys/{key}/undo`
pub async fn undo(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.undo(Realm::Gateway, call).await
}

impl Admin {
    pub(super) async fn renew(&self, realm: Realm, call: Call) -> Result<Response, Problem> {
        let call = call.permit(&[Permission::to_renew(realm)])?;
        let key = call.subject(realm)?;
        let Plain { caller, if_match, mut fields } = call.plain().await?;
        let delete_old = take_delete_old(&mut fields).unwrap_or(DeleteOld::By(Plan::LATER));
        let material = take_material(&mut fields);
        fields.finish()?;
        let order = match delete_old {
            DeleteOld::Now => Order::RenewNow(material),
            DeleteOld::By(plan) => Order::Renew(material, plan),
        };
        let if_match = self.version_of(realm, &key, (if_match, &caller)).await?;
        Ok(self.made(realm, &self.keyring.command(realm, &key, order, if_match, &caller).await?))
    }

    pub(super) async fn change_plan(&self, realm: Realm, call: Call) -> Result<Response, Problem> {
        let call = call.permit(&[Permission::to_renew(realm)])?;
        let key = call.subject(realm)?;
        let Plain { caller, if_match, mut fields } = call.plain().await?;
        if !fields.has("delete_old") {
            fields.mistake("delete_old", "is missing");
        }
        let plan = match take_delete_old(&mut fields) {
            Some(DeleteOld::By(plan)) => Some(plan),
            Some(DeleteOld::Now) => {
                fields.mistake("delete_old", "cannot be now: call delete-old");
                None
            }
            None => None,
        };
        let order = fields.finish_with(plan.map(Order::ChangePlan))?;
        let if_match = self.version_of(realm, &key, (if_match, &caller)).await?;
        Ok(self.done(realm, &self.keyring.command(realm, &key, order, if_match, &caller).await?))
    }

    pub(super) async fn delete_old(&self, realm: Realm, call: Call) -> Result<Response, Problem> {
        self.close(realm, call, |within| within.map_or(Order::DeleteOld, Order::DeleteOldUnlessUsed)).await
    }

    pub(super) async fn undo(&self, realm: Realm, call: Call) -> Result<Response, Problem> {
        self.close(realm, call, |within| within.map_or(Order::Undo, Order::UndoUnlessUsed)).await
    }

    /// Does what `order` makes of `unless_used_within`.
    async fn close(
        &self,
        realm: Realm,
        call: Call,
        order: impl FnOnce(Option<Span>) -> Order,
    ) -> Result<Response, Problem> {
        let mut call = call.permit(&[Permission::to_renew(realm)])?;
        let key = call.subject(realm)?;
        let order = order(call.query.take("unless_used_within"));
        let (caller, if_match) = call.plain().await?.without_fields()?;
        let if_match = self.version_of(realm, &key, (if_match, &caller)).await?;
        Ok(self.done(realm, &self.keyring.command(realm, &key, order, if_match, &caller).await?))
    }
}

/// Takes `delete_old`: a word, or an object of conditions.
fn take_delete_old(fields: &mut Fields) -> Option<DeleteOld> {
    if fields.is_object("delete_old") {
        return fields.take_object("delete_old", take_plan).map(DeleteOld::By);
    }
    fields.take("delete_old", |value| match value.as_str() {
        Some("now") => Ok(DeleteOld::Now),
        Some("later") => Ok(DeleteOld::By(Plan::LATER)),
        Some(_) | None => Err("is neither \"later\" nor \"now\" nor an object with after or when_quiet".into()),
    })
}

/// Takes a plan's conditions.
fn take_plan(fields: &mut Fields) -> Option<Plan> {
    let is_empty = !fields.has("after") && !fields.has("when_quiet");
    let after = fields.take::<Span>("after", text);
    let when_quiet = fields.take::<Span>("when_quiet", text);
    let on_unused = fields.take("on_unused", |value| match value.as_str() {
        Some("hold") => Ok(OnUnused::Hold),
        Some("delete") => Ok(OnUnused::Delete),
        Some(_) | None => Err("is neither hold nor delete".into()),
    });
    if is_empty {
        fields.mistake_of_all("has neither after nor when_quiet");
    }
    if fields.has_mistakes() {
        return None;
    }
    match Plan::new(after, when_quiet, on_unused) {
        Ok(plan) => Some(plan),
        Err(invalid) => {
            fields.mistake_of_all(invalid.to_string());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What `delete_old` is read as, or the paths of its mistakes.
    fn read(delete_old: &Value) -> Result<Option<DeleteOld>, Vec<String>> {
        let mut fields = Fields::of_body(Some(json!({ "delete_old": delete_old }))).expect("an object");
        let read = take_delete_old(&mut fields);
        let finished = fields.finish().map(|()| read);
        finished.map_err(|problem| problem.errors().iter().map(|mistake| mistake.path.clone()).collect())
    }

    #[test]
    fn a_plan_is_a_word_or_conditions() {
        assert_eq!(read(&json!("now")), Ok(Some(DeleteOld::Now)));
        assert_eq!(read(&json!("later")), Ok(Some(DeleteOld::By(Plan::LATER))));
        let plan = Plan::new(Some(Span::days(7)), Some(Span::hours(24)), Some(OnUnused::Delete)).expect("a plan");
        let conditions = json!({"after": "7d", "when_quiet": "24h", "on_unused": "delete"});
        assert_eq!(read(&conditions), Ok(Some(DeleteOld::By(plan))));
    }

    #[test]
    fn what_is_no_plan_is_told_where_it_goes_wrong() {
        for (wrong, paths) in [
            (json!("soon"), &["delete_old"][..]),
            (json!(null), &["delete_old"]),
            (json!(7), &["delete_old"]),
            (json!({}), &["delete_old"]),
            (json!({"on_unused": "delete"}), &["delete_old"]),
            (json!({"when_quiet": "24h", "on_unused": "hold"}), &["delete_old"]),
            (json!({"when_quiet": "59s"}), &["delete_old"]),
            (json!({"after": "0s"}), &["delete_old"]),
            (json!({"after": "soon", "on_unused": 1}), &["delete_old.after", "delete_old.on_unused"]),
            (json!({"after": "7d", "typo": 1}), &["delete_old.typo"]),
        ] {
            assert_eq!(read(&wrong), Err(paths.iter().map(ToString::to_string).collect()), "{wrong}");
        }
    }
}
