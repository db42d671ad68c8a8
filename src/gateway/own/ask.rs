//! What a request at `/.relevo/` asks for: read from its path, its method and its body.
//!
//! Promises: a body is bounded in size and time, and read only after its sender was let through; what is not understood is
//! refused with its place, and repeats nothing that was sent.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, Method, request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::audit::PlanText;
use crate::domain::{Digest, Plan};

use super::super::refusal::Refusal;
use super::{Denied, What};

/// The longest body that is read.
pub(super) const BODY_LIMIT_BYTES: u64 = 4 * 1024;
/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// A call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Called {
    Show,
    Renew,
    Undo,
    DeleteOld,
}

/// What `renew` takes.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Renew {
    delete_old: Option<PlanText>,
    digest: Option<String>,
}

impl Called {
    /// The call with this method at this path.
    pub(super) fn at(path: &str, method: &Method) -> Result<Self, Refusal> {
        let (called, allow) = match path {
            "/.relevo/self" => (Self::Show, "GET, HEAD"),
            "/.relevo/self/renew" => (Self::Renew, "POST"),
            "/.relevo/self/undo" => (Self::Undo, "POST"),
            "/.relevo/self/delete-old" => (Self::DeleteOld, "POST"),
            _ => return Err(Refusal::NoRoute),
        };
        if allow.split(", ").any(|allowed| method == allowed) {
            return Ok(called);
        }
        Err(Refusal::MethodNotAllowed { allow: HeaderValue::from_static(allow) })
    }
}

/// What is asked by a call with this head and body.
pub(super) async fn read(called: Called, head: &request::Parts, body: Incoming) -> Result<What, Refusal> {
    if head.uri.query().is_some() {
        return Err(invalid("query", "is not taken by this call"));
    }
    let bytes = if called == Called::Show { Bytes::new() } else { collect(body).await? };
    if !bytes.is_empty() && !is_json(&head.headers) {
        return Err(Refusal::SelfService(Denied::NotJson));
    }
    match called {
        Called::Renew => renew(&bytes),
        Called::Show => Ok(What::Show),
        Called::Undo => nothing(&bytes).map(|()| What::Undo),
        Called::DeleteOld => nothing(&bytes).map(|()| What::DeleteOld),
    }
}

fn renew(bytes: &[u8]) -> Result<What, Refusal> {
    const FORM: &str =
        "is not an object of delete_old (\"later\", or an object of after, when_quiet, on_unused) and digest";
    let Renew { delete_old, digest } = if bytes.is_empty() {
        Renew::default()
    } else {
        let read = serde_json::from_slice(bytes).ok().filter(|_| is_of_objects(bytes));
        read.ok_or_else(|| invalid("body", FORM))?
    };
    let plan = match delete_old {
        None => Plan::LATER,
        // An answer that is lost would leave a key whose token nobody knows.
        Some(PlanText::Word(word)) if word == "now" => {
            return Err(invalid("delete_old", "cannot be now: renew, and then call delete-old with the new token"));
        }
        Some(plan) => Plan::try_from(plan).map_err(|wrong| invalid("delete_old", wrong.to_string()))?,
    };
    let digest = digest.map(|digest| digest.parse::<Digest>()).transpose();
    Ok(What::Renew(plan, digest.map_err(|wrong| invalid("digest", wrong.to_string()))?))
}

/// Whether the body is an object, and `delete_old` in it no list: serde takes lists for objects.
fn is_of_objects(bytes: &[u8]) -> bool {
    let read: Option<Map<String, Value>> = serde_json::from_slice(bytes).ok();
    read.is_some_and(|fields| !fields.get("delete_old").is_some_and(Value::is_array))
}

/// That a body holds no more than an empty object.
fn nothing(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.is_empty() || serde_json::from_slice(bytes).is_ok_and(|fields: Map<String, Value>| fields.is_empty()) {
        return Ok(());
    }
    Err(invalid("body", "is not taken by this call"))
}

async fn collect(body: Incoming) -> Result<Bytes, Refusal> {
    let most = usize::try_from(BODY_LIMIT_BYTES).unwrap_or(usize::MAX);
    match tokio::time::timeout(BODY_DEADLINE, Limited::new(body, most).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge),
        Ok(Err(_)) => Err(Refusal::BadRequest("The body broke off")),
        Err(_) => Err(Refusal::BodyTimeout),
    }
}

/// Whether the one `Content-Type` is `application/json`, whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let mut fields = headers.get_all(CONTENT_TYPE).iter();
    let Some(field) = fields.next().filter(|_| fields.next().is_none()) else { return false };
    let media_type = field.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

fn invalid(path: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::SelfService(Denied::Invalid { path, message: message.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{OnUnused, Span};

    #[test]
    fn a_renewal_has_a_plan_and_may_bring_its_digest() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let plan = Plan::new(Some(Span::days(7)), None, Some(OnUnused::Delete)).expect("a plan");
        for (body, expected) in [
            (String::new(), What::Renew(Plan::LATER, None)),
            ("{}".to_owned(), What::Renew(Plan::LATER, None)),
            ("{\"delete_old\": \"later\"}".to_owned(), What::Renew(Plan::LATER, None)),
            (
                format!(
                    "{{\"digest\": \"{digest}\", \"delete_old\": {{\"after\": \"7d\", \"on_unused\": \"delete\"}}}}"
                ),
                What::Renew(plan, digest.parse().ok()),
            ),
        ] {
            assert_eq!(renew(body.as_bytes()), Ok(expected), "{body}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_and_not_repeated() {
        for body in [
            "[]",
            "{\"delete_old\": \"now\"}",
            "{\"delete_old\": \"secret\"}",
            "{\"delete_old\": {}}",
            "{\"delete_old\": [\"7d\"]}",
            "{\"delete_old\": {\"after\": \"secret\"}}",
            "{\"digest\": \"secret\"}",
            "{\"digest\": 7}",
            "{\"secret\": 1}",
            "{\"digest\": null, \"digest\": null}",
            "\u{0}",
        ] {
            match renew(body.as_bytes()) {
                Err(refusal @ Refusal::SelfService(Denied::Invalid { .. })) => {
                    assert!(!refusal.detail().contains("secret"), "{}", refusal.detail());
                }
                other => panic!("{body}: {other:?}"),
            }
        }
        assert!(nothing(b"").is_ok() && nothing(b"{}").is_ok());
        assert!(nothing(b"{\"a\": 1}").is_err() && nothing(b"7").is_err() && nothing(b"[]").is_err());
    }
}
