//! `relevo keys`: list, create, show, edit, activate, deactivate, delete; many at once are in [`super::batch`].
//!
//! Promises: the token of a new key goes to stdout, alone on its line.
//! Deliberately does not: renew; see [`super::renew`].

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::arguments::{Attributes, Close, Create, Edit, Keys, List, NewRemarks, Remarks};
use super::client::Call;
use super::failure::Failure;
use super::session::{Reader, Session};
use super::shapes::{Issued, Key, KeyPage};
use super::table;
use super::terminal::{Consent, Person};
use super::text::plain;
use super::values::{KeyReference, LabelPair, OwnDuration};
use crate::domain::{KeyName, Remark};

/// How many keys are asked for at once: as many as the gateway gives.
const PAGE: &str = "500";

/// Does one of `relevo keys`.
pub(super) async fn run(session: &mut Session, command: Keys) -> Result<(), Failure> {
    match command {
        Keys::List(list) => self::list(session, list).await,
        Keys::Create(create) => self::create(session, create).await,
        Keys::Show(named) => {
            let (key, reply) = session.key(&named.key).await?;
            session.tell(&reply, |session| Ok(table::key(&key, session.clock.now())))
        }
        Keys::Edit(edit) => change(session, &edit.key, changes(&edit)).await,
        Keys::Activate(named) => change(session, &named.key, json!({"status": "active"})).await,
        Keys::Deactivate(named) => change(session, &named.key, json!({"status": "inactive"})).await,
        Keys::Delete(close) => delete(session, close).await,
        Keys::Import(import) => super::batch::import(session, import).await,
        Keys::Export(export) => super::batch::export(session, &export).await,
    }
}

pub(super) async fn list(session: &mut Session, list: List) -> Result<(), Failure> {
    let limit = list.limit.map_or(PAGE.to_owned(), |limit| limit.to_string());
    let mut cursor = list.cursor;
    let mut keys = Vec::new();
    loop {
        let mut call = Call::read(&["v1", session.subject.plural()]).with("limit", &limit);
        if let Some(cursor) = &cursor {
            call = call.with("cursor", cursor);
        }
        let reply = session.send(call).await?;
        if session.reader == Reader::Program {
            return session.terminal.answer(&reply.body); // one page; `next_cursor` tells whether there is more
        }
        let page: KeyPage = reply.read()?;
        keys.extend(page.keys);
        cursor = page.next_cursor;
        if cursor.is_none() || list.limit.is_some() {
            break;
        }
    }
    if keys.is_empty() {
        let (noun, create) = (session.subject.noun(), session.command("keys create", "NAME"));
        session.terminal.note(&format!("There are no {noun}s. Create one: {create}"));
        return Ok(());
    }
    session.terminal.answer(&table::keys(&keys, session.clock.now()))?;
    if let Some(cursor) = cursor {
        session.terminal.note(&format!("There are more: --cursor {}", plain(&cursor)));
    }
    Ok(())
}

async fn create(session: &mut Session, create: Create) -> Result<(), Failure> {
    let Create { name, attributes: Attributes { roles, limits, self_service }, remarks, duration } = &create;
    let mut body = introduced(name, remarks);
    let mut put = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    put("roles", (!roles.is_empty()).then(|| json!(roles)));
    put("limits", limits.given().map(|limits| json!(limits)));
    put("self_service", self_service.then(|| json!(true)));
    put("duration", duration.map(|duration| json!(duration)));
    self::issue(session, name, Value::Object(body)).await
}

/// The fields that describe a new key or administrator.
pub(super) fn introduced(name: &KeyName, remarks: &Remarks) -> Map<String, Value> {
    let Remarks { labels, allowed_addresses, owner, note } = remarks;
    let mut body = Map::from_iter([("name".to_owned(), json!(name))]);
    let mut put = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    put("labels", (!labels.is_empty()).then(|| label_map(labels)));
    put("allowed_addresses", (!allowed_addresses.is_empty()).then(|| json!(allowed_addresses)));
    put("owner", owner.as_ref().map(|owner| json!(owner)));
    put("note", note.as_ref().map(|note| json!(note)));
    body
}

/// Creates what `body` describes and prints its token.
pub(super) async fn issue(session: &mut Session, name: &KeyName, body: Value) -> Result<(), Failure> {
    let noun = session.subject.noun();
    let outcome = session.send(Call::new(Method::POST, &["v1", session.subject.plural()]).body(body)).await;
    if let Err(Failure::Lost(_)) = outcome {
        let (show, renew) = (session.command("keys show", name.as_str()), session.command("renew", name.as_str()));
        session.terminal.note(&format!(
            "Whether the {noun} was created is not known: {show} tells. If it was, nobody has its token: {renew}"
        ));
    }
    let reply = outcome?;
    let Issued { key, token } = reply.read()?;
    let Some(token) = token else {
        return Err(Failure::failed(format!("the gateway created the {noun} and sent no token: renew it to have one")));
    };
    if session.reader == Reader::Person {
        session.terminal.note(&format!("The token of {}, shown this once:", plain(&key.name)));
    }
    session.tell(&reply, |_| Ok(token)).map_err(|failure| {
        let renew = session.command("renew", &key.name);
        Failure::failed(format!("the {noun} was created, but its token could not be printed ({failure}): {renew}"))
    })
}

/// The fields of an edit that describe a key or an administrator: only those that are to change.
pub(super) fn described(remarks: &NewRemarks) -> Map<String, Value> {
    let NewRemarks { name, owner, note, labels, no_labels, allowed_addresses, any_address } = remarks;
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    let remark = |text: &Remark| if text.as_str().is_empty() { Value::Null } else { json!(text) };
    put("name", name.as_ref().map(|name| json!(name)));
    put("owner", owner.as_ref().map(remark));
    put("note", note.as_ref().map(remark));
    put("labels", (*no_labels || !labels.is_empty()).then(|| label_map(labels)));
    put("allowed_addresses", (*any_address || !allowed_addresses.is_empty()).then(|| json!(allowed_addresses)));
    body
}

/// The body of an edit: only what is to change.
fn changes(edit: &Edit) -> Value {
    let mut body = described(&edit.remarks);
    let mut put = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    put("roles", (edit.no_roles || !edit.roles.is_empty()).then(|| json!(edit.roles)));
    put("limits", edit.limits.field());
    put("self_service", edit.self_service.map(|may| json!(may)));
    put("duration", edit.duration.map(own_duration));
    put("confirm", edit.confirm.map(|confirm| json!(confirm)));
    Value::Object(body)
}

fn own_duration(duration: OwnDuration) -> Value {
    match duration {
        OwnDuration::Default => Value::Null,
        OwnDuration::Own(own) => json!(own),
    }
}

pub(super) fn label_map(labels: &[LabelPair]) -> Value {
    labels
        .iter()
        .map(|pair| (pair.name.as_str(), pair.value.as_str()))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .collect()
}

pub(super) async fn change(session: &mut Session, key: &KeyReference, body: Value) -> Result<(), Failure> {
    let outcome =
        session.send(Call::new(Method::PATCH, &["v1", session.subject.plural(), key.as_str()]).body(body)).await;
    super::settings::suggest_confirmation(session, &outcome);
    let reply = outcome?;
    let key: Key = reply.read()?;
    session.tell(&reply, |session| Ok(table::key(&key, session.clock.now())))
}

/// Deletes a key. A person is asked; a script has said what it wants.
pub(super) async fn delete(session: &mut Session, close: Close) -> Result<(), Failure> {
    let call = |name| Call::new(Method::DELETE, &["v1", session.subject.plural(), name]);
    let mut call = call(close.key.as_str());
    if !close.yes && matches!(session.terminal.person(), Person::Present(_)) {
        let (key, _) = session.key(&close.key).await?;
        let noun = session.subject.noun();
        let question = format!("Delete this {noun}? The tokens are refused from then on, and it cannot be undone.");
        match session.ask(&key, "", &question)? {
            Consent::Given => call = call.if_match(key.etag()),
            Consent::Withheld => return Err(Failure::failed("nothing was deleted")),
        }
    }
    let reply = session.send(call).await?;
    let name = close.key.as_str().to_owned();
    session.tell(&reply, |_| Ok(format!("{} is deleted.", plain(&name))))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::arguments::{Arguments, ClientCommand, Command};
    use super::super::double::{Answer, Double, locally, refusal};
    use super::super::table::tests::renewing;
    use super::super::terminal::Terminal;
    use super::super::terminal::tests::Shut;
    use super::*;

    async fn done(double: &Double, reader: Reader, words: &str) -> Result<(), Failure> {
        let words = format!("relevo keys {words}");
        let arguments = Arguments::try_parse_from(words.split(' ')).expect("legal");
        let Command::Client(ClientCommand::Keys(command)) = arguments.command else { panic!("another command") };
        run(&mut double.session(reader), command).await
    }

    fn page(next: Option<&str>) -> Answer {
        Answer::Says(200, json!({"keys": [renewing()], "next_cursor": next}))
    }

    #[test]
    fn a_person_sees_every_page_and_a_program_the_one_it_asked_for() {
        locally(async {
            let double = Double::saying([page(Some("c1")), page(None)]).await;
            done(&double, Reader::Person, "list").await.expect("listed");
            assert_eq!(double.lines(), ["GET /v1/keys?limit=500", "GET /v1/keys?limit=500&cursor=c1"]);
            assert_eq!(double.out.text().matches("pending deletion").count(), 2);
            let double = Double::saying([page(Some("c1"))]).await;
            done(&double, Reader::Program, "list --limit 1").await.expect("listed");
            assert_eq!(double.out.text(), format!("{}\n", json!({"keys": [renewing()], "next_cursor": "c1"})));
        });
    }

    #[test]
    fn a_new_key_is_sent_as_written_and_its_token_is_alone_on_stdout() {
        locally(async {
            let double = Double::saying([Answer::Says(201, json!({"key": renewing(), "token": "rlv_x"}))]).await;
            let words = "create ci --role b --role a --duration never --owner me --label team=x --allow-address 10.0.0.0/8 \
                 --self-service";
            done(&double, Reader::Person, words).await.expect("created");
            let body = json!({"name": "ci", "roles": ["b", "a"], "duration": "never", "owner": "me",
                "labels": {"team": "x"}, "allowed_addresses": ["10.0.0.0/8"], "self_service": true});
            double.with(0, |asked| assert_eq!(asked.body, body));
            assert_eq!(double.out.text(), "rlv_x\n");
        });
    }

    #[test]
    fn an_edit_sends_only_what_is_to_change() {
        locally(async {
            for (words, body) in [
                ("edit ci --name b", json!({"name": "b"})),
                (
                    "edit ci --no-roles --any-address --no-labels",
                    json!({"roles": [], "allowed_addresses": [], "labels": {}}),
                ),
                ("edit ci --owner= --duration default", json!({"owner": null, "duration": null})),
                (
                    "edit ci --duration 30d --confirm 1,2",
                    json!({"duration": "30d", "confirm": {"ends": 1, "revives": 2}}),
                ),
                (
                    "edit ci --rate 100/1s/200 --quota 5/day --concurrent 3",
                    json!({"limits": {"rate": {"requests": 100, "per": "1s", "burst": 200},
                        "quota": {"requests": 5, "per": "day"}, "concurrent": 3}}),
                ),
                ("edit ci --no-limits", json!({"limits": {}})),
                ("edit ci --self-service", json!({"self_service": true})),
                ("edit ci --self-service=false --note x", json!({"self_service": false, "note": "x"})),
                ("edit ci --default-limits", json!({"limits": null})),
                ("activate ci", json!({"status": "active"})),
                ("deactivate ci", json!({"status": "inactive"})),
            ] {
                let double = Double::saying([Answer::Says(200, renewing())]).await;
                done(&double, Reader::Person, words).await.expect(words);
                assert_eq!(double.lines(), ["PATCH /v1/keys/ci"]);
                double.with(0, |asked| assert_eq!(asked.body, body, "{words}"));
            }
        });
    }

    #[test]
    fn a_change_that_would_end_tokens_names_the_confirmation() {
        locally(async {
            let refused = json!({"code": "tokens_affected", "title": "Tokens", "status": 409, "ends": 2, "revives": 0, "keys": []});
            let double = Double::saying([Answer::Says(409, refused)]).await;
            let failure = done(&double, Reader::Person, "edit ci --duration 1d").await.expect_err("refused");
            assert_eq!(failure.to_string(), "tokens_affected: Tokens");
            assert!(double.err.text().contains("--confirm 2,0"), "{}", double.err.text());
        });
    }

    #[test]
    fn a_deleted_key_has_no_document() {
        locally(async {
            let double = Double::saying([Answer::Says(204, Value::Null), Answer::Says(204, Value::Null)]).await;
            done(&double, Reader::Program, "delete ci").await.expect("deleted");
            assert_eq!(double.out.text(), "");
            done(&double, Reader::Person, "delete ci --yes").await.expect("deleted");
            assert_eq!(double.lines(), ["DELETE /v1/keys/ci", "DELETE /v1/keys/ci"]);
            assert_eq!(double.out.text(), "ci is deleted.\n");
        });
    }

    #[test]
    fn a_token_that_nobody_could_read_is_a_failure_and_the_way_out_is_told() {
        locally(async {
            let double =
                Double::saying([Answer::Says(201, json!({"key": renewing(), "token": "rlv_x"})), Answer::Nothing])
                    .await;
            let shut = Terminal::new(Box::new(Shut), Box::new(double.err.clone()), Person::Absent);
            let mut session = Session { terminal: shut, ..double.session(Reader::Person) };
            let create = || {
                let (name, attributes) = ("ci".parse().expect("legal"), Attributes::default());
                Keys::Create(Create { name, attributes, remarks: Remarks::default(), duration: None })
            };
            let failure = run(&mut session, create()).await.expect_err("unprinted");
            assert!(failure.code() == 1 && failure.to_string().contains("relevo renew ci"), "{failure}");
            let failure = run(&mut session, create()).await.expect_err("lost");
            assert!(matches!(failure, Failure::Lost(_)), "{failure}");
            assert!(double.err.text().contains("relevo keys show ci"), "{}", double.err.text());
        });
    }

    #[test]
    fn a_person_is_asked_before_a_key_is_deleted() {
        locally(async {
            let double = Double::saying([Answer::Says(200, renewing()), Answer::Says(204, Value::Null)]).await;
            let close = || Keys::Delete(Close { key: "ci".parse().expect("legal"), yes: false });
            run(&mut double.asked_by(|_| Ok(Consent::Given)), close()).await.expect("deleted");
            assert_eq!(double.lines(), ["GET /v1/keys/ci", "DELETE /v1/keys/ci"]);
            double.with(1, |asked| assert_eq!(asked.headers["if-match"], "\"v3\""));
            let double = Double::saying([Answer::Says(200, renewing())]).await;
            let failure = run(&mut double.asked_by(|_| Ok(Consent::Withheld)), close()).await.expect_err("withheld");
            assert_eq!((failure.code(), double.lines().len()), (1, 1));
        });
    }

    #[test]
    fn what_is_no_gateway_is_told_apart_from_a_refusal() {
        locally(async {
            for answer in [
                Answer::Foreign(502, "<html>Bad Gateway</html>"),
                Answer::Foreign(200, "<html>Welcome</html>"),
                Answer::Foreign(307, ""),
                refusal(500, "", "no code"),
            ] {
                let double = Double::saying([answer]).await;
                let failure = done(&double, Reader::Person, "show ci").await.expect_err("not understood");
                assert!(matches!(failure, Failure::Failed(_)), "{failure:?}");
                assert_eq!(double.out.text(), "");
            }
        });
    }
}
