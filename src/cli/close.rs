//! `relevo delete-old` and `relevo undo`: the two ends of a renewal.
//!
//! Promises: a person sees both tokens, their last use and who would be cut off before he answers, and what he saw is what is closed (`If-Match`).
//! Deliberately does not: act unasked without `--yes`.

use reqwest::Method;

use super::arguments::End;
use super::client::Call;
use super::failure::Failure;
use super::session::Session;
use super::shapes::{Issued, Key, Renewal, TokenCaller};
use super::table;
use super::table::hint;
use super::terminal::Consent;
use super::text::plain;

/// In whose favour a renewal is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Favour {
    /// Delete the old token.
    New,
    /// Undo the renewal.
    Old,
}

impl Favour {
    fn path(self) -> &'static str {
        match self {
            Self::New => "delete-old",
            Self::Old => "undo",
        }
    }

    /// The token that would go, and who is known to use it.
    fn cut_off(self, renewal: &Renewal) -> (&'static str, &[TokenCaller]) {
        match self {
            Self::New => ("old", &renewal.old_token_callers),
            Self::Old => ("new", &renewal.new_token_callers),
        }
    }

    fn question(self) -> &'static str {
        match self {
            Self::New => "Delete the old token? Whoever still uses it is refused from then on. This is final.",
            Self::Old => "Undo the renewal? Whoever already uses the new token is refused from then on.",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::New => "the old token is deleted; the new one",
            Self::Old => "the renewal is undone; the old token",
        }
    }
}

/// Closes the renewal of a key, after asking.
pub(super) async fn run(session: &mut Session, end: End, favour: Favour) -> Result<(), Failure> {
    let within = end.unless_used_within.map(|within| within.to_string());
    let mut call = Call::new(Method::POST, &["v1", session.subject.plural(), end.key.as_str(), favour.path()]);
    if let Some(within) = &within {
        call = call.with("unless_used_within", within);
    }
    let call = if end.yes { call } else { call.if_match(asked(session, &end, favour).await?) };
    let reply = session.send(call).await?;
    let key = reply.read::<Issued>()?.key;
    session.tell(&reply, |_| Ok(format!("{}: {} works alone{}.", plain(&key.name), favour.done(), token_of(&key))))
}

/// Shows the tokens and asks; the answer is the version of the key that was shown.
async fn asked(session: &mut Session, end: &End, favour: Favour) -> Result<String, Failure> {
    session.terminal.need_person()?;
    let (key, _) = session.key(&end.key).await?;
    let Some(renewal) = &key.renewal else {
        return Ok(key.etag()); // there is nothing to ask about: the gateway says why
    };
    let (token, callers) = favour.cut_off(renewal);
    let told = match callers {
        [] => format!("Nobody is known to use the {token} token."),
        callers => format!("Who uses the {token} token:\n{}", table::callers(callers, session.clock.now())),
    };
    match session.ask(&key, &told, favour.question())? {
        Consent::Given => Ok(key.etag()),
        Consent::Withheld => Err(Failure::failed("nothing was changed: both tokens work")),
    }
}

fn token_of(key: &Key) -> String {
    match key.tokens.as_slice() {
        [token] if token.hint.is_some() => format!(" ({})", hint(token)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::double::{Answer, Double, ROOT, locally, refusal};
    use super::super::session::Reader;
    use super::super::table::tests::renewing;
    use super::*;
    use crate::domain::Span;

    fn close(yes: bool) -> End {
        End { key: "ci".parse().expect("legal"), unless_used_within: None, yes }
    }

    #[test]
    fn with_yes_the_gateway_is_asked_at_once() {
        locally(async {
            for (favour, path) in [(Favour::New, "delete-old"), (Favour::Old, "undo")] {
                let double = Double::saying([Answer::Says(200, json!({"key": renewing()}))]).await;
                run(&mut double.session(Reader::Person), close(true), favour).await.expect("closed");
                assert_eq!(double.lines(), [format!("POST /v1/keys/ci/{path}")]);
                double.with(0, |asked| {
                    assert_eq!(asked.headers["authorization"], format!("Bearer {ROOT}"));
                    assert!(!asked.headers.contains_key("if-match"));
                });
                assert!(double.out.text().starts_with("ci: the "), "{}", double.out.text());
            }
        });
    }

    #[test]
    fn without_yes_and_without_anybody_to_ask_nothing_is_sent() {
        locally(async {
            let double = Double::saying([]).await;
            let failure =
                run(&mut double.session(Reader::Person), close(false), Favour::Old).await.expect_err("unasked");
            assert!(failure.code() == 2 && failure.to_string().contains("--yes"), "{failure}");
            assert!(double.lines().is_empty());
        });
    }

    #[test]
    fn a_person_sees_both_tokens_and_closes_what_was_seen() {
        locally(async {
            let closed = Answer::Says(200, json!({"key": renewing()}));
            let double = Double::saying([Answer::Says(200, renewing()), closed]).await;
            let ask = |question: &str| {
                assert!(question.contains("already uses the new token"), "{question}");
                Ok(Consent::Given)
            };
            run(&mut double.asked_by(ask), close(false), Favour::Old).await.expect("undone");
            assert_eq!(double.lines(), ["GET /v1/keys/ci", "POST /v1/keys/ci/undo"]);
            double.with(1, |asked| assert_eq!(asked.headers["if-match"], "\"v3\""));
            let shown = double.err.text();
            for part in ["…a1B2", "…Zz09", "2026-11-23 16:12 UTC (3 hours ago)", "never"] {
                assert!(shown.contains(part), "{part} is not in {shown}");
            }
        });
    }

    #[test]
    fn a_person_sees_who_would_be_cut_off() {
        locally(async {
            let mut key = renewing();
            key["renewal"]["old_token_callers"] = json!([
                {"address": "10.0.0.7", "user_agent": "curl/8\u{1b}[2J", "route": "/orders",
                 "last_used_at": "2026-11-23T19:02:00.000Z", "requests": 9},
                {"address": "::1", "user_agent": null, "route": "/", "last_used_at": "2026-11-20T19:12:00.000Z", "requests": 1}
            ]);
            let closed = Answer::Says(200, json!({"key": renewing()}));
            let double = Double::saying([Answer::Says(200, key), closed]).await;
            run(&mut double.asked_by(|_| Ok(Consent::Given)), close(false), Favour::New).await.expect("closed");
            let shown = double.err.text();
            for part in ["10.0.0.7", "curl/8\\u{1b}[2J", "/orders", "(10 minutes ago)", "::1", "(3 days ago)"] {
                assert!(shown.contains(part), "{part} is not in {shown}");
            }
            let double = Double::saying([Answer::Says(200, renewing())]).await;
            run(&mut double.asked_by(|_| Ok(Consent::Withheld)), close(false), Favour::Old).await.expect_err("no");
            assert!(double.err.text().contains("Nobody is known to use the new token."), "{}", double.err.text());
        });
    }

    #[test]
    fn a_token_in_use_is_refused_with_those_who_use_it() {
        locally(async {
            let caller = json!({"address": "10.0.0.7", "user_agent": "curl/8", "route": "/",
                                "last_used_at": "2026-11-23T19:12:00.000Z", "requests": 9});
            let refused = json!({"type": "urn:relevo:problem:old_token_in_use", "title": "In use", "status": 409,
                                 "detail": "the old token was last used", "code": "old_token_in_use", "callers": [caller]});
            let double = Double::saying([Answer::Says(409, refused)]).await;
            let end = End { unless_used_within: Some(Span::minutes(10)), ..close(true) };
            let failure = run(&mut double.session(Reader::Person), end, Favour::New).await.expect_err("refused");
            assert_eq!(double.lines(), ["POST /v1/keys/ci/delete-old?unless_used_within=10m"]);
            let told = "old_token_in_use: the old token was last used\n  10.0.0.7 curl/8 on /: 9 requests, the last 2026-11-23 19:12:00 UTC";
            assert_eq!(failure.to_string(), told);
        });
    }

    #[test]
    fn a_no_changes_nothing() {
        locally(async {
            let double = Double::saying([Answer::Says(200, renewing())]).await;
            let outcome = run(&mut double.asked_by(|_| Ok(Consent::Withheld)), close(false), Favour::New).await;
            assert_eq!(outcome.expect_err("withheld").code(), 1);
            assert_eq!(double.lines(), ["GET /v1/keys/ci"]);
        });
    }

    #[test]
    fn a_key_that_is_not_being_renewed_is_nothing_to_ask_about() {
        locally(async {
            let mut key = renewing();
            key["renewal"] = json!(null);
            let refused = refusal(409, "no_old_token", "the key has no old token");
            let double = Double::saying([Answer::Says(200, key), refused]).await;
            let ask = |question: &str| panic!("asked {question}");
            let failure = run(&mut double.asked_by(ask), close(false), Favour::New).await.expect_err("refused");
            assert_eq!(failure.to_string(), "no_old_token: the key has no old token");
            double.with(1, |asked| assert_eq!(asked.headers["if-match"], "\"v3\""));
        });
    }

    #[test]
    fn a_key_without_an_old_token_is_refused_by_the_gateway() {
        locally(async {
            let double = Double::saying([refusal(409, "no_old_token", "the key has no old token")]).await;
            let failure =
                run(&mut double.session(Reader::Person), close(true), Favour::New).await.expect_err("refused");
            assert_eq!((failure.code(), failure.to_string().as_str()), (1, "no_old_token: the key has no old token"));
            assert_eq!(double.out.text(), "");
        });
    }
}
