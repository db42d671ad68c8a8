//! `relevo admins`: administrators, whose commands are those of keys.
//!
//! Promises: the token of a new administrator goes to stdout, alone on its line.
//! Deliberately does not: rescue. That is done on the store, without a gateway; see [`super::local`].

use serde_json::{Value, json};

use super::arguments::{Admins, Appoint, Reappoint};
use super::close::Favour;
use super::failure::Failure;
use super::keys::{self, described, introduced};
use super::session::{Session, Subject};
use super::{close, renew, table};

/// Does one of `relevo admins`.
pub(super) async fn run(session: &mut Session, command: Admins) -> Result<(), Failure> {
    session.subject = Subject::Administrator;
    match command {
        Admins::List(list) => keys::list(session, list).await,
        Admins::Create(appoint) => keys::issue(session, &appoint.name, appointment(&appoint)).await,
        Admins::Show(named) => {
            let (administrator, reply) = session.key(&named.key).await?;
            session.tell(&reply, |session| Ok(table::key(&administrator, session.clock.now())))
        }
        Admins::Edit(edit) => keys::change(session, &edit.key, changes(&edit)).await,
        Admins::Activate(named) => keys::change(session, &named.key, json!({"status": "active"})).await,
        Admins::Deactivate(named) => keys::change(session, &named.key, json!({"status": "inactive"})).await,
        Admins::Delete(close) => keys::delete(session, close).await,
        Admins::Renew(renew) => renew::renew(session, renew).await,
        Admins::Plan(plan) => renew::plan(session, plan).await,
        Admins::DeleteOld(end) => close::run(session, end, Favour::New).await,
        Admins::Undo(end) => close::run(session, end, Favour::Old).await,
        Admins::Rescue(_) => Err(Failure::Usage("rescue asks no gateway".into())), // done before one is looked for
    }
}

fn appointment(appoint: &Appoint) -> Value {
    let Appoint { name, permissions, limited_to, remarks, duration } = appoint;
    let mut body = introduced(name, remarks);
    let mut put = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    put("permissions", (!permissions.is_empty()).then(|| permissions.iter().map(|one| one.as_str()).collect()));
    put("limited_to_role", limited_to.as_ref().map(|role| json!(role)));
    put("duration", duration.map(|duration| json!(duration)));
    Value::Object(body)
}

/// The body of an edit: only what is to change.
fn changes(edit: &Reappoint) -> Value {
    let Reappoint { permissions, no_permissions, limited_to, unlimited, duration, remarks, confirm, .. } = edit;
    let mut body = described(remarks);
    let mut put = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    let is_set = *no_permissions || !permissions.is_empty();
    put("permissions", is_set.then(|| permissions.iter().map(|one| one.as_str()).collect()));
    put("limited_to_role", limited_to.as_ref().map(|role| json!(role)).or(unlimited.then_some(Value::Null)));
    put("duration", duration.map(|duration| json!(duration)));
    put("confirm", confirm.map(|confirm| json!(confirm)));
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::arguments::{Arguments, ClientCommand, Command};
    use super::super::double::{Answer, Double, locally};
    use super::super::session::Reader;
    use super::super::table::tests::renewing;
    use super::*;

    async fn done(double: &Double, words: &str) -> Result<(), Failure> {
        let words = format!("relevo admins {words}");
        let arguments = Arguments::try_parse_from(words.split(' ')).expect("legal");
        let Command::Client(ClientCommand::Admins(command)) = arguments.command else { panic!("another command") };
        run(&mut double.session(Reader::Person), command).await
    }

    /// What is shown of an administrator who is being renewed.
    fn administrator() -> Value {
        let mut shown = renewing();
        let fields = shown.as_object_mut().expect("fields");
        fields.remove("roles");
        fields.insert("permissions".into(), json!(["keys:read", "keys:renew"]));
        fields.insert("limited_to_role".into(), json!("orders:read"));
        shown
    }

    #[test]
    fn every_command_asks_for_administrators_and_sends_what_is_to_change() {
        locally(async {
            let issued = || Answer::Says(201, json!({"admin": administrator(), "token": "rlva_x"}));
            let shown = || Answer::Says(200, administrator());
            let closed = || Answer::Says(200, json!({"admin": administrator()}));
            for (words, answer, line, body) in [
                (
                    "create ana --permission keys:read --limited-to a --duration 30d --label team=x",
                    issued(),
                    "POST /v1/admins",
                    json!({"name": "ana", "permissions": ["keys:read"], "limited_to_role": "a", "duration": "30d",
                        "labels": {"team": "x"}}),
                ),
                (
                    "edit ana --no-permissions --unlimited --note=",
                    shown(),
                    "PATCH /v1/admins/ana",
                    json!({"permissions": [], "limited_to_role": null, "note": null}),
                ),
                ("activate ana", shown(), "PATCH /v1/admins/ana", json!({"status": "active"})),
                ("show ana", shown(), "GET /v1/admins/ana", Value::Null),
                ("renew ana", issued(), "POST /v1/admins/ana/renew", Value::Null),
                ("plan ana later", closed(), "PATCH /v1/admins/ana/renewal", json!({"delete_old": "later"})),
                ("delete-old ana --yes", closed(), "POST /v1/admins/ana/delete-old", Value::Null),
                ("undo ana --yes", closed(), "POST /v1/admins/ana/undo", Value::Null),
                ("delete ana --yes", Answer::Says(204, Value::Null), "DELETE /v1/admins/ana", Value::Null),
                (
                    "list --limit 5",
                    Answer::Says(200, json!({"admins": [administrator()], "next_cursor": null})),
                    "GET /v1/admins?limit=5",
                    Value::Null,
                ),
            ] {
                let double = Double::saying([answer]).await;
                done(&double, words).await.expect(words);
                assert_eq!(double.lines(), [line], "{words}");
                double.with(0, |asked| assert_eq!(asked.body, body, "{words}"));
            }
        });
    }

    #[test]
    fn a_person_sees_permissions_and_is_told_the_commands_for_administrators() {
        locally(async {
            let double = Double::saying([Answer::Says(200, administrator())]).await;
            done(&double, "show ana").await.expect("shown");
            let text = double.out.text();
            for part in ["permissions", "keys:read", "limited to role orders:read"] {
                assert!(text.contains(part), "{part} is not in {text}");
            }
            let double =
                Double::saying([Answer::Says(201, json!({"admin": administrator(), "token": "rlva_x"}))]).await;
            done(&double, "renew ana").await.expect("renewed");
            assert_eq!(double.out.text(), "rlva_x\n");
            assert!(double.err.text().contains("relevo admins delete-old ci"), "{}", double.err.text());
        });
    }

    #[test]
    fn a_token_minted_here_begins_like_an_administrators_and_nothing_is_asked_before() {
        locally(async {
            let double = Double::saying([Answer::Says(201, json!({"admin": administrator()}))]).await;
            done(&double, "renew ana --local").await.expect("renewed");
            assert!(double.out.text().starts_with("rlva_"), "{}", double.out.text());
            assert_eq!(double.lines(), ["POST /v1/admins/ana/renew"]);
        });
    }
}
