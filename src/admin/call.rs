//! One call of the admin API, from its head to who makes it and what he sends.
//!
//! Promises: nothing of a call can be read before its caller has been admitted and permitted ([`Call::permit`]);
//! a body is bounded in size and time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, MatchedPath, RawPathParams, Request};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use super::Admin;
use super::etag::IfMatch;
use super::fields::Fields;
use super::json;
use super::problem::{Code, Problem};
use super::query::Query;
use super::refused::Signed;
use super::session::{self, Administrator, Pledge, Rejected};
use crate::domain::{Digest, KeyId, Permission, Realm};
use crate::keyring::Caller;
use crate::store::KeyRef;
use crate::usage::By;

/// The longest body that is read.
pub const BODY_LIMIT_BYTES: usize = 64 * 1024;
/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(20);

/// The digest of the token that a browser's session was opened with: in a call that the console makes, in place of
/// `Authorization`. Nothing from outside can put it there.
#[derive(Clone)]
pub struct Presented(pub Digest);

/// A call whose caller has been admitted, but may not be allowed to make it.
pub struct Call {
    administrator: Administrator,
    address: Option<IpAddr>,
    parts: Parts,
    subject: Option<String>,
    body: Body,
}

impl FromRequest<Admin> for Call {
    type Rejection = Problem;

    async fn from_request(request: Request, admin: &Admin) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let address =
            parts.extensions.get().map(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| peer.ip().to_canonical());
        let now = admin.clock.now();
        let presented = parts.extensions.get().map(|Presented(digest)| *digest);
        let admitted = if let Some(digest) = &presented {
            session::admit_bearer_of(&admin.admins, digest, address, now)
        } else {
            let token = bearer(&parts.headers).ok_or_else(Problem::unauthenticated)?;
            session::admit(&admin.admins, token, address, now)
        };
        let administrator = match admitted {
            Ok(administrator) => administrator,
            Err(Rejected::NotLoaded) => {
                return Err(Problem::store_unavailable("the administrators are not loaded yet"));
            }
            Err(Rejected::Token) if presented.is_some() => return Err(Problem::unauthenticated()), // a session's end
            Err(Rejected::Token) => {
                session::note_refused(&admin.admins, bearer(&parts.headers).unwrap_or_default(), address, now);
                return Err(admin.sign_ins.failed(address, now).await.into());
            }
        };
        note_use(admin, &administrator, address, &parts);
        // A segment that is not UTF-8 is no key's id or name, and no administrator's.
        let params = RawPathParams::from_request_parts(&mut parts, admin).await;
        let subject = params.ok().and_then(|params| params.iter().next().map(|(_, subject)| subject.to_owned()));
        if let Some(signed) = parts.extensions.get::<Signed>() {
            signed.tell(&administrator.name, address, subject.as_deref());
        }
        Ok(Self { administrator, address, parts, subject, body })
    }
}

/// Notes that the administrator's token was used; what is called is known by the pattern of its path.
fn note_use(admin: &Admin, who: &Administrator, address: Option<IpAddr>, parts: &Parts) {
    let Some(address) = address else { return };
    let route = parts.extensions.get().map_or("", |matched: &MatchedPath| matched.as_str());
    let user_agent = parts.headers.get(USER_AGENT).map(HeaderValue::as_bytes);
    let by = By { address, user_agent, route };
    session::note_use(&admin.usage, &admin.admins, who, by, admin.clock.now());
}

/// The token of the one `Authorization: Bearer` (RFC 6750 §2.1); a scheme is case-insensitive (RFC 9110 §11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let field = fields.next().filter(|_| fields.next().is_none())?;
    let (scheme, token) = field.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

impl Call {
    /// The same call, if its caller has this permission besides the one that [`Call::permit`] asks for.
    pub fn needing(self, wanted: Permission) -> Result<Self, Problem> {
        if self.administrator.may(&[wanted]) {
            return Ok(self);
        }
        Err(Problem::new(Code::Forbidden, format!("this call also needs the permission {}", wanted.as_str())))
    }

    /// The same call, if its caller is not limited to keys with a role: it concerns all of them.
    pub fn unlimited(self) -> Result<Self, Problem> {
        match &self.administrator.authority.limited_to {
            None => Ok(self),
            Some(role) => Err(Problem::new(
                Code::Forbidden,
                format!("this call concerns every key, and you are limited to those with the role {role}"),
            )),
        }
    }

    /// Lets the call go on if its caller has one of the permissions `wanted`.
    pub fn permit(self, wanted: &[Permission]) -> Result<Permitted, Problem> {
        if !self.administrator.may(wanted) {
            let names: Vec<_> = wanted.iter().map(|permission| permission.as_str()).collect();
            return Err(Problem::new(
                Code::Forbidden,
                format!("this call needs the permission {}", names.join(" or ")),
            ));
        }
        let Administrator { id, name, authority, pledge } = self.administrator;
        let caller = Caller { actor: name, address: self.address, authority };
        let query = Query::of(self.parts.uri.query());
        Ok(Permitted { caller, id, pledge, query, headers: self.parts.headers, subject: self.subject, body: self.body })
    }
}

/// A call that may be made.
pub struct Permitted {
    /// Who makes it.
    pub caller: Caller,
    /// His key's id.
    pub id: KeyId,
    /// By what he was admitted.
    pub pledge: Pledge,
    /// Its query parameters.
    pub query: Query,
    headers: HeaderMap,
    subject: Option<String>,
    body: Body,
}

/// What is left of a call when its parameters are known to be none.
pub struct Plain {
    /// Who makes it.
    pub caller: Caller,
    /// What `If-Match` asks for.
    pub if_match: IfMatch,
    /// The fields of its body.
    pub fields: Fields,
}

impl Permitted {
    /// The key or administrator of `realm` that the path names: an id if it begins with `key_`, else a name.
    pub fn subject(&self, realm: Realm) -> Result<KeyRef, Problem> {
        self.subject.as_deref().and_then(key_ref).ok_or_else(|| Problem::nobody(realm))
    }

    /// The header of the call.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Reads the rest of a call that takes a body and no parameters.
    pub async fn plain(self) -> Result<Plain, Problem> {
        self.plain_within(BODY_LIMIT_BYTES).await
    }

    /// Reads the body of a call whose parameters have been taken, as it is.
    pub async fn raw_within(self, limit_bytes: usize) -> Result<(Caller, Bytes), Problem> {
        self.query.finish()?;
        Ok((self.caller, read(self.body, limit_bytes).await?))
    }

    /// Reads the rest of a call that takes a body of up to this size and no parameters.
    pub async fn plain_within(self, limit_bytes: usize) -> Result<Plain, Problem> {
        self.query.finish()?;
        let if_match = IfMatch::of(&self.headers)?;
        let fields = Fields::of_body(json_body(&self.headers, self.body, limit_bytes).await?)?;
        Ok(Plain { caller: self.caller, if_match, fields })
    }
}

impl Plain {
    /// The same for a call that takes no body either.
    pub fn without_fields(self) -> Result<(Caller, IfMatch), Problem> {
        self.fields.finish()?;
        Ok((self.caller, self.if_match))
    }
}

/// Reads a reference to a key; `None` if it can be no key's.
pub fn key_ref(text: &str) -> Option<KeyRef> {
    if text.starts_with("key_") {
        return text.parse().ok().map(KeyRef::Id);
    }
    text.parse().ok().map(KeyRef::Name)
}

/// The body as JSON; `None` if there is none.
async fn json_body(headers: &HeaderMap, body: Body, limit_bytes: usize) -> Result<Option<Value>, Problem> {
    let bytes = read(body, limit_bytes).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if !is_json(headers) {
        return Err(Problem::new(Code::UnsupportedMediaType, "send Content-Type: application/json"));
    }
    json::read(&bytes).map(Some).map_err(|message| Problem::mistake("body", message))
}

async fn read(body: Body, limit_bytes: usize) -> Result<Bytes, Problem> {
    let whole = tokio::time::timeout(BODY_DEADLINE, Limited::new(body, limit_bytes).collect()).await;
    match whole {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem::new(Code::BodyTooLarge, format!("at most {limit_bytes} bytes are read")))
        }
        Ok(Err(_)) => Err(Problem::mistake("body", "broke off")),
        Err(_) => Err(Problem::mistake("body", format!("did not arrive within {} s", BODY_DEADLINE.as_secs()))),
    }
}

/// Whether the one `Content-Type` is `application/json`, whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let mut fields = headers.get_all(CONTENT_TYPE).iter();
    let Some(field) = fields.next().filter(|_| fields.next().is_none()) else { return false };
    let media_type = field.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &http::HeaderName, fields: &[&str]) -> HeaderMap {
        fields.iter().map(|field| (name.clone(), field.parse().expect("a value"))).collect()
    }

    #[test]
    fn only_one_bearer_credential_is_looked_at() {
        assert_eq!(bearer(&with(&AUTHORIZATION, &["Bearer abc"])), Some("abc"));
        assert_eq!(bearer(&with(&AUTHORIZATION, &["bEARER  abc "])), Some("abc"));
        for fields in [&[][..], &["Basic abc"], &["Bearer"], &["Bearerabc"], &["Bearer a", "Bearer a"]] {
            assert_eq!(bearer(&with(&AUTHORIZATION, fields)), None, "{fields:?}");
        }
    }

    #[test]
    fn what_begins_like_an_id_is_never_a_name() {
        assert!(matches!(key_ref("ci"), Some(KeyRef::Name(_))));
        assert!(matches!(key_ref(&format!("key_{:032x}", 7)), Some(KeyRef::Id(_))));
        for none in ["", "key_", "key_7", "a/b", "..", " ci"] {
            assert_eq!(key_ref(none), None, "{none}");
        }
    }

    #[tokio::test]
    async fn a_body_must_say_that_it_is_json_unless_it_is_empty() {
        let sent = |fields: &[&str], body: &'static str| {
            let headers = with(&CONTENT_TYPE, fields);
            async move { json_body(&headers, Body::from(body), BODY_LIMIT_BYTES).await.map_err(|problem| problem.code()) }
        };
        assert_eq!(sent(&[], "").await, Ok(None));
        assert!(matches!(sent(&["application/json; charset=utf-8"], "{}").await, Ok(Some(Value::Object(_)))));
        for fields in [&[][..], &["text/plain"], &["application/jsonx"], &["application/json", "application/json"]] {
            assert_eq!(sent(fields, "{}").await, Err(Code::UnsupportedMediaType), "{fields:?}");
        }
        for body in ["{", "{}x", "\u{0}", "{\"a\":1,}", "[[[["] {
            assert_eq!(sent(&["application/json"], body).await, Err(Code::InvalidRequest), "{body}");
        }
    }

    #[tokio::test]
    async fn a_long_body_is_not_read() {
        let headers = with(&CONTENT_TYPE, &["application/json"]);
        let most = format!("\"{}\"", "x".repeat(BODY_LIMIT_BYTES - 2));
        assert!(json_body(&headers, Body::from(most.clone()), BODY_LIMIT_BYTES).await.is_ok());
        let problem =
            json_body(&headers, Body::from(format!("{most} ")), BODY_LIMIT_BYTES).await.expect_err("too long");
        assert_eq!(problem.code(), Code::BodyTooLarge);
    }
}
