//! `relevo renew` and `relevo plan`: a new token, and what becomes of the old one.
//!
//! Promises: a token that takes effect has been printed before the old one is deleted; a lost reply leaves nobody without a
//! token, because a renewal is never asked for with `now`, and a token minted here is printed before its digest is sent.
//! Deliberately does not: retry a renewal whose token would be minted by the gateway.

use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::arguments::{Conditions, DeleteOld, OnUnused, Plan, Renew};
use super::client::{Call, Reply};
use super::failure::Failure;
use super::session::{Reader, Session, Subject};
use super::shapes::{Issued, Key, Settings};
use super::table;
use super::text::plain;
use super::values::KeyReference;
use crate::domain::{Digest, Prefix, Secret};

/// `relevo renew`
pub(super) async fn renew(session: &mut Session, renew: Renew) -> Result<(), Failure> {
    let key = if renew.local { minted_here(session, &renew).await? } else { minted_there(session, &renew).await? };
    match renew.delete_old {
        Some(DeleteOld::Now) if key.renewal.is_some() => delete_old(session, &key).await,
        Some(DeleteOld::Now | DeleteOld::Later) | None => {
            explain(session, &key);
            Ok(())
        }
    }
}

/// `relevo plan`
pub(super) async fn plan(session: &mut Session, plan: Plan) -> Result<(), Failure> {
    let body = json!({"delete_old": delete_old_value(plan.conditions)});
    let call = Call::new(Method::PATCH, &["v1", session.subject.plural(), plan.key.as_str(), "renewal"]).body(body);
    let reply = session.send(call).await?;
    let key = reply.read::<Issued>()?.key;
    session.tell(&reply, |session| Ok(format!("{}: the old token {}.", plain(&key.name), plan_of(session, &key))))
}

/// The gateway mints: its reply is the only place where the token is.
async fn minted_there(session: &mut Session, renew: &Renew) -> Result<Key, Failure> {
    let outcome = session.send(call(session.subject, renew, None)).await;
    if let Err(Failure::Lost(_)) = outcome {
        let show = session.command("keys show", renew.key.as_str());
        let undo = session.command("undo", renew.key.as_str());
        session.terminal.note(&format!(
            "Whether it was renewed is not known: {show} tells. If it was, nobody has the new token: {undo}, then renew again."
        ));
    }
    let reply = outcome?;
    let Issued { key, token } = reply.read()?;
    let Some(token) = token else {
        return Err(Failure::failed("the gateway renewed it and sent no token: undo the renewal"));
    };
    if session.reader == Reader::Person {
        session.terminal.note(&format!("The new token of {}, shown this once:", plain(&key.name)));
    }
    let printed = session.tell(&reply, |_| Ok(token));
    printed.map_err(|failure| {
        let undo = session.command("undo", &key.name);
        Failure::failed(format!(
            "the new token could not be printed ({failure}), both tokens work: {undo}, then renew again"
        ))
    })?;
    Ok(key)
}

/// The token is minted here and printed first; the gateway learns its digest.
async fn minted_here(session: &mut Session, renew: &Renew) -> Result<Key, Failure> {
    let secret = mint(&prefix(session, renew).await?)?;
    let printed = match session.reader {
        Reader::Person => {
            session.terminal.note("The new token, minted on this machine; it works once the gateway has answered:");
            session.terminal.answer(secret.reveal())
        }
        Reader::Program => session.terminal.answer(&json!({"token": secret.reveal()}).to_string()),
    };
    printed.map_err(|failure| {
        Failure::failed(format!("the token could not be printed ({failure}); nothing was renewed"))
    })?;
    let reply = match send_digest(session, renew, secret.digest()).await {
        Ok(reply) => reply,
        Err(failure) => {
            session.terminal.note(match failure {
                Failure::Lost(_) => "Whether the token above works is not known. Try it; if it does not, renew again.",
                Failure::Refused(_) | Failure::Failed(_) | Failure::Usage(_) | Failure::Closed => {
                    "The token above does not work: throw it away."
                }
            });
            return Err(failure);
        }
    };
    if session.reader == Reader::Program {
        let printed = session.terminal.answer(&reply.body);
        printed
            .map_err(|failure| Failure::failed(format!("it is renewed, its reply could not be printed ({failure})")))?;
    }
    Ok(reply.read::<Issued>()?.key)
}

/// Sends the digest, and once more if the connection is lost: a second time changes nothing.
async fn send_digest(session: &mut Session, renew: &Renew, digest: Digest) -> Result<Reply, Failure> {
    match session.send(call(session.subject, renew, Some(digest))).await {
        Err(Failure::Lost(_)) => {
            session.terminal.note("The connection was lost; trying once more.");
            match session.send(call(session.subject, renew, Some(digest))).await {
                // Nobody answers now, and what became of the first attempt is as unknown as before.
                Err(Failure::Failed(error)) => Err(Failure::Lost(format!("{error:#}"))),
                outcome => outcome,
            }
        }
        outcome => outcome,
    }
}

/// What the new token begins with.
async fn prefix(session: &mut Session, renew: &Renew) -> Result<Prefix, Failure> {
    if let Some(prefix) = &renew.prefix {
        return Ok(prefix.clone());
    }
    if session.subject == Subject::Administrator {
        return Ok(Prefix::administrators());
    }
    let settings: Settings = session.send(Call::read(&["v1", "settings"])).await?.read()?;
    settings.prefix.parse().map_err(|reason| Failure::failed(format!("the gateway's token prefix {reason}")))
}

/// A token of the system's own random bits.
fn mint(prefix: &Prefix) -> Result<Secret, Failure> {
    let seeded = StdRng::try_from_rng(&mut SysRng);
    let mut rng = seeded.map_err(|error| Failure::failed(format!("the system gives no random bits: {error}")))?;
    Ok(Secret::mint(prefix, &mut rng))
}

fn call(subject: Subject, renew: &Renew, digest: Option<Digest>) -> Call<'_> {
    let call = Call::new(Method::POST, &["v1", subject.plural(), renew.key.as_str(), "renew"]);
    let mut body = Map::new();
    if let plan @ Value::Object(_) = delete_old_value(renew.conditions) {
        body.insert("delete_old".to_owned(), plan);
    }
    body.extend(digest.map(|digest| ("digest".to_owned(), json!(digest.to_string()))));
    if body.is_empty() { call } else { call.body(Value::Object(body)) }
}

/// The plan as the API writes it.
fn delete_old_value(conditions: Conditions) -> Value {
    let Conditions { after, when_quiet, on_unused } = conditions;
    let word = |on_unused| match on_unused {
        OnUnused::Hold => "hold",
        OnUnused::Delete => "delete",
    };
    let fields = [
        ("after", after.map(|span| span.to_string())),
        ("when_quiet", when_quiet.map(|span| span.to_string())),
        ("on_unused", on_unused.map(word).map(str::to_owned)),
    ];
    let body: Map<_, _> =
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?)))).collect();
    if body.is_empty() { json!("later") } else { Value::Object(body) }
}

/// Deletes the old token of a renewal whose new token has been printed.
async fn delete_old(session: &mut Session, key: &Key) -> Result<(), Failure> {
    let id =
        KeyReference::to_id(&key.id).map_err(|reason| Failure::failed(format!("the gateway's key id {reason}")))?;
    // Only this renewal: whoever has closed it since and opened another is not cut off.
    let call =
        Call::new(Method::POST, &["v1", session.subject.plural(), id.as_str(), "delete-old"]).if_match(key.etag());
    let outcome = session.client.send(call).await;
    let again = session.command("delete-old", &key.name);
    let told = match &outcome {
        Ok(_) => "The old token is deleted; only the new one works.".to_owned(),
        Err(Failure::Lost(_)) => {
            format!("Whether the old token was deleted is not known; the new one works. Delete it: {again}")
        }
        Err(Failure::Refused(_) | Failure::Failed(_) | Failure::Usage(_) | Failure::Closed) => {
            format!("It is renewed, but the old token was not deleted: both tokens work. Delete it: {again}")
        }
    };
    if session.reader == Reader::Person || outcome.is_err() {
        session.terminal.note(&told);
    }
    outcome.map(drop)
}

/// What the person has now, and what could be next.
fn explain(session: &mut Session, key: &Key) {
    if session.reader == Reader::Program {
        return;
    }
    let text = if key.renewal.is_some() {
        let (delete, undo) = (session.command("delete-old", &key.name), session.command("undo", &key.name));
        let plan = plan_of(session, key);
        format!(
            "Both tokens work. The old one {plan}.\n  everybody uses the new one:  {delete}\n  go back to the old one:      {undo}"
        )
    } else {
        "The new token works, and it is the only one: the former one had ended.".to_owned()
    };
    session.terminal.note(&text);
}

fn plan_of(session: &Session, key: &Key) -> String {
    key.renewal.as_ref().map_or("is gone".into(), |renewal| table::plan(renewal, session.clock.now()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::arguments::{Arguments, ClientCommand, Command};
    use super::super::double::{Answer, Double, locally, refusal};
    use super::super::table::tests::renewing;
    use super::super::terminal::tests::Shut;
    use super::super::terminal::{Person, Terminal};
    use super::*;

    const TOKEN: &str = "rlv_abc";

    fn renewal(words: &str) -> Renew {
        let words = format!("relevo renew {words}");
        let arguments = Arguments::try_parse_from(words.split(' ')).expect("legal");
        let Command::Client(ClientCommand::Renew(renew)) = arguments.command else { panic!("another command") };
        renew
    }

    fn issued() -> Answer {
        Answer::Says(201, json!({"key": renewing(), "token": TOKEN}))
    }

    fn settings() -> Answer {
        Answer::Says(200, json!({"duration": "90d", "on_expiry": "refuse", "prefix": "acme", "version": 1}))
    }

    fn unread(double: &Double) -> Session {
        let terminal = Terminal::new(Box::new(Shut), Box::new(double.err.clone()), Person::Absent);
        Session { terminal, ..double.session(Reader::Person) }
    }

    #[test]
    fn the_token_is_alone_on_stdout_and_the_next_commands_are_on_stderr() {
        locally(async {
            let double = Double::saying([issued()]).await;
            renew(&mut double.session(Reader::Person), renewal("ci")).await.expect("renewed");
            assert_eq!(double.out.text(), "rlv_abc\n");
            let told = double.err.text();
            assert!(told.contains("relevo delete-old ci") && told.contains("relevo undo ci"), "{told}");
            assert_eq!(double.lines(), ["POST /v1/keys/ci/renew"]);
            double.with(0, |asked| assert_eq!(asked.body, Value::Null));
        });
    }

    #[test]
    fn a_program_reads_the_reply_word_for_word() {
        locally(async {
            let double = Double::saying([issued()]).await;
            renew(&mut double.session(Reader::Program), renewal("ci")).await.expect("renewed");
            assert_eq!(double.out.text(), format!("{}\n", json!({"key": renewing(), "token": TOKEN})));
            assert_eq!(double.err.text(), "");
        });
    }

    #[test]
    fn the_conditions_go_along() {
        locally(async {
            let double = Double::saying([issued()]).await;
            let words = "ci --after 7d --when-quiet 24h --on-unused delete";
            renew(&mut double.session(Reader::Person), renewal(words)).await.expect("renewed");
            let plan = json!({"delete_old": {"after": "7d", "when_quiet": "24h", "on_unused": "delete"}});
            double.with(0, |asked| assert_eq!(asked.body, plan));
        });
    }

    #[test]
    fn now_renews_then_prints_then_deletes_the_old_token_of_that_very_renewal() {
        locally(async {
            let double = Double::saying([issued(), Answer::Says(200, json!({"key": renewing()}))]).await;
            renew(&mut double.session(Reader::Person), renewal("ci --delete-old now")).await.expect("renewed");
            let id = "key_01890a5d7c7a7000800000000000000a";
            assert_eq!(double.lines(), ["POST /v1/keys/ci/renew".to_owned(), format!("POST /v1/keys/{id}/delete-old")]);
            double.with(0, |asked| assert_eq!(asked.body, Value::Null, "the gateway is never asked for now"));
            double.with(1, |asked| {
                assert_eq!(asked.printed, "rlv_abc\n");
                assert_eq!(asked.headers["if-match"], "\"v3\"");
            });
            assert!(double.err.text().contains("only the new one works"));
        });
    }

    #[test]
    fn if_the_old_token_cannot_be_deleted_both_work_and_that_is_said() {
        locally(async {
            let double =
                Double::saying([issued(), refusal(503, "store_unavailable", "the store does not answer")]).await;
            let outcome = renew(&mut double.session(Reader::Person), renewal("ci --delete-old now")).await;
            let failure = outcome.expect_err("refused");
            assert_eq!(
                (failure.code(), failure.to_string().as_str()),
                (1, "store_unavailable: the store does not answer")
            );
            assert_eq!(double.out.text(), "rlv_abc\n");
            assert!(double.err.text().contains("both tokens work"), "{}", double.err.text());
        });
    }

    #[test]
    fn a_refusal_is_told_by_its_code_and_a_program_reads_its_document() {
        locally(async {
            let double = Double::saying([refusal(409, "renewal_open", "a renewal is open")]).await;
            let failure = renew(&mut double.session(Reader::Program), renewal("ci")).await.expect_err("refused");
            assert_eq!((failure.code(), failure.to_string().as_str()), (1, "renewal_open: a renewal is open"));
            let document: Value = serde_json::from_str(&double.out.text()).expect("the document");
            assert_eq!(document["code"], "renewal_open");
        });
    }

    #[test]
    fn a_lost_reply_is_not_asked_for_again_and_the_way_out_is_told() {
        locally(async {
            let double = Double::saying([Answer::Nothing, issued()]).await;
            let failure = renew(&mut double.session(Reader::Person), renewal("ci")).await.expect_err("lost");
            assert!(matches!(failure, Failure::Lost(_)), "{failure}");
            assert_eq!(double.lines().len(), 1);
            assert!(double.err.text().contains("relevo undo ci"), "{}", double.err.text());
        });
    }

    #[test]
    fn a_token_that_nobody_could_read_is_said_to_be_lost_and_the_old_one_stays() {
        locally(async {
            let double = Double::saying([issued()]).await;
            let outcome = renew(&mut unread(&double), renewal("ci --delete-old now")).await;
            let failure = outcome.expect_err("unprinted");
            assert!(failure.code() == 1 && failure.to_string().contains("relevo undo ci"), "{failure}");
            assert_eq!(double.lines(), ["POST /v1/keys/ci/renew"]);
        });
    }

    #[test]
    fn a_token_minted_here_is_printed_before_its_digest_is_sent() {
        locally(async {
            let double = Double::saying([settings(), Answer::Says(201, json!({"key": renewing()}))]).await;
            renew(&mut double.session(Reader::Person), renewal("ci --local")).await.expect("renewed");
            let token = double.out.text().trim_end().to_owned();
            assert!(token.starts_with("acme_") && token.len() == 5 + 43 + 6, "{token}");
            double.with(1, |asked| {
                assert_eq!(asked.printed.trim_end(), token);
                assert_eq!(asked.body, json!({"digest": Digest::of(token.as_bytes()).to_string()}));
            });
        });
    }

    #[test]
    fn a_digest_whose_reply_was_lost_is_sent_once_more() {
        locally(async {
            let again = Answer::Says(200, json!({"key": renewing()}));
            let double = Double::saying([Answer::Nothing, again]).await;
            renew(&mut double.session(Reader::Person), renewal("ci --local --prefix ab")).await.expect("renewed");
            assert_eq!(double.lines().len(), 2);
            let first = double.with(0, |asked| asked.body.clone());
            double.with(1, |asked| assert_eq!(asked.body, first));
            assert!(double.out.text().starts_with("ab_"));
        });
    }

    #[test]
    fn a_digest_is_sent_twice_at_most_and_the_doubt_is_told() {
        locally(async {
            let double = Double::saying([Answer::Nothing, Answer::Nothing, Answer::Nothing]).await;
            let failure =
                renew(&mut double.session(Reader::Person), renewal("ci --local --prefix ab")).await.expect_err("lost");
            assert!(matches!(failure, Failure::Lost(_)), "{failure}");
            assert_eq!(double.lines().len(), 2);
            assert!(double.err.text().contains("is not known"));
        });
    }

    #[test]
    fn a_token_minted_here_and_refused_is_said_not_to_work() {
        locally(async {
            let double = Double::saying([refusal(409, "renewal_open", "a renewal is open")]).await;
            let outcome = renew(&mut double.session(Reader::Program), renewal("ci --local --prefix ab")).await;
            assert_eq!(outcome.expect_err("refused").code(), 1);
            assert!(double.err.text().contains("does not work"));
        });
    }

    #[test]
    fn a_token_minted_here_that_cannot_be_printed_is_not_sent() {
        locally(async {
            let double = Double::saying([]).await;
            let outcome = renew(&mut unread(&double), renewal("ci --local --prefix ab")).await;
            assert_eq!(outcome.expect_err("unprinted").code(), 1);
            assert!(double.lines().is_empty());
        });
    }

    #[test]
    fn another_plan_is_sent_and_told() {
        locally(async {
            let double = Double::saying([Answer::Says(200, json!({"key": renewing()}))]).await;
            let later = Plan { key: "a b".parse().expect("legal"), later: None, conditions: Conditions::default() };
            plan(&mut double.session(Reader::Person), later).await.expect("planned");
            assert_eq!(double.lines(), ["PATCH /v1/keys/a%20b/renewal"]);
            double.with(0, |asked| assert_eq!(asked.body, json!({"delete_old": "later"})));
            assert_eq!(double.out.text(), "ci: the old token stays until it is deleted by hand.\n");
        });
    }
}
