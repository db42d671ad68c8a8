//! `relevo delete-old` and `relevo undo`: the two ends of a renewal.
//!
//! Promises: a person sees both tokens and their last use before he answers, and what he saw is what is closed (`If-Match`).
//! Deliberately does not: act unasked without `--yes`.

use reqwest::Method;

use super::arguments::Close;
use super::client::Call;
use super::failure::Failure;
use super::session::Session;
use super::shapes::{Issued, Key};
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
pub(super) async fn run(session: &mut Session, close: Close, favour: Favour) -> Result<(), Failure> {
    let call = Call::new(Method::POST, &["v1", "keys", close.key.as_str(), favour.path()]);
    let call = if close.yes { call } else { call.if_match(asked(session, &close, favour).await?) };
    let reply = session.send(call).await?;
    let key = reply.read::<Issued>()?.key;
    session.tell(&reply, |_| Ok(format!("{}: {} works alone{}.", plain(&key.name), favour.done(), token_of(&key))))
}

/// Shows the tokens and asks; the answer is the version of the key that was shown.
async fn asked(session: &mut Session, close: &Close, favour: Favour) -> Result<String, Failure> {
    session.terminal.need_person()?;
    let (key, _) = session.key(&close.key).await?;
    if key.renewal.is_none() {
        return Ok(key.etag()); // there is nothing to ask about: the gateway says why
    }
    match session.ask(&key, favour.question())? {
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
