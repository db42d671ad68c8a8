//! What a key asks about itself, at `/.relevo/self` on the gateway's port: how it stands, and its renewal by itself.
//!
//! Promises: the caller is judged like that of any request, and every answer is about the key whose token he shows; a
//! worker waits for the keyring as for a backend, with a deadline, and goes on serving others; nothing at or below
//! `/.relevo/` is forwarded.
//! Deliberately does not: change a key. What is asked goes to the [`SelfService`] that the gateway was given.

mod ask;
mod denied;

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, request};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use crate::config::{Auth, Config};
use crate::domain::{Digest, KeyId, Plan, TokenId};

use super::body::ReplyBody;
use super::exchange::{Exchange, target_in};
use super::path::{self, Normalised};
use super::refusal::Refusal;
use super::reply::NO_STORE;
use super::route::{self, Route};
use super::site::Site;
use super::verdict::Permit;
use super::waits::Waits;
use super::worker::Worker;
use super::{RELEVO_TOKEN, REQUEST_ID, admit_length, headers, limit, old_token, refuse, target};

pub use denied::Denied;

/// What is Relevo's own on the gateway's port.
const PLACE: &[u8] = b"/.relevo/";
/// What it is called in logs and metrics, and among the callers of a renewal.
const LABEL: &str = "/.relevo/self";
/// How long the keyring may take. What it does later is done all the same.
const DEADLINE: Duration = Duration::from_secs(10);

/// Does what a key asks about itself.
pub trait SelfService: Send + Sync {
    /// Begins to do it, and waits for nothing. A channel that is closed without an answer says that the store does not
    /// answer.
    fn ask(&self, ask: Inquiry) -> oneshot::Receiver<Result<Told, Denied>>;
}

/// What is asked, and by whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inquiry {
    /// The key.
    pub key: KeyId,
    /// Which of its tokens was shown.
    pub token: TokenId,
    /// From where.
    pub address: IpAddr,
    /// What is asked.
    pub what: What,
}

/// What may be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// How the key stands.
    Show,
    /// A new token beside the one that was shown: of this digest, or drawn here.
    Renew(Plan, Option<Digest>),
    /// Close the renewal in favour of the old token, which must be the one shown.
    Undo,
    /// Close the renewal in favour of the new token, which must be the one shown.
    DeleteOld,
}

/// What is told.
pub struct Told {
    /// The key as it is now, in JSON, with its new token if one was drawn: in this one answer.
    pub body: Bytes,
    /// Whether a token was made.
    pub is_made: bool,
}

/// The route that a request to Relevo itself takes, so that it is judged like any other; `index` is its place behind those
/// of the configuration. `None`: such requests are not answered.
pub(super) fn route(config: &Config) -> Option<Route> {
    config.gateway.self_service.then(|| Route {
        index: config.routes.len(),
        label: LABEL.into(),
        roles: Vec::new(),
        all_roles: Vec::new(),
        auth: Auth::Required,
        credentials: config.credentials.clone(),
        forward_credential: false,
        streaming: false,
        encoded_slash: false,
        body_limit: Some(ask::BODY_LIMIT_BYTES),
        preflight: false,
        rewrite: None,
        waits: Waits::none(),
        upgrade: Box::default(),
        upstream: usize::MAX,
    })
}

/// Whether `path` can be at or below `/.relevo/` in another spelling: so that others need not be read for it.
pub(super) fn may_be_here(path: &str) -> bool {
    matches!(path.as_bytes().get(1), Some(b'.' | b'%'))
}

/// Whether `path` is at or below `/.relevo/`.
pub(super) fn is_here(path: &Normalised<'_>) -> bool {
    let mut compared = path.compared();
    // The slash at the end alone may be missing: before any other byte there is one that differs.
    PLACE.iter().all(|expected| compared.next().map_or(*expected == b'/', |byte| byte == *expected))
}

impl Worker {
    /// The answer to a request at or below `/.relevo/`.
    pub(super) async fn answer_itself(
        self: &Rc<Self>,
        request: Request<Incoming>,
        mut exchange: Exchange,
    ) -> Response<ReplyBody> {
        let method = request.method().clone();
        match self.asked_itself(request, &mut exchange).await {
            Ok((told, permit)) => tell(told, &permit, &method, exchange),
            Err(refusal) => refuse(refusal, &method, exchange),
        }
    }

    async fn asked_itself(
        self: &Rc<Self>,
        request: Request<Incoming>,
        exchange: &mut Exchange,
    ) -> Result<(Told, Permit), Refusal> {
        let site = Rc::clone(&exchange.site);
        let (mut head, body) = request.into_parts();
        headers::host_of(&head.uri, &head.headers)?;
        let (route, called, target) = choose(&site, &head)?;
        exchange.on_route(route, || target_in(&target));
        let permit = self.judge(exchange, route, &mut head)?;
        self.note_use(&permit, exchange, (route, &head.headers));
        self.limit(&permit, exchange)?;
        admit_length(&body, route)?;
        let what = ask::read(called, &head, body).await?;
        let pass = permit.holder().ok_or(Refusal::Internal)?.pass();
        let ask = Inquiry { key: pass.key(), token: pass.token(), address: exchange.address, what };
        let told = match tokio::time::timeout(DEADLINE, self.plane.own.ask(ask)).await {
            Ok(Ok(told)) => told.map_err(Refusal::SelfService)?,
            Ok(Err(_)) | Err(_) => return Err(Refusal::SelfService(Denied::StoreUnavailable)),
        };
        Ok((told, permit))
    }
}

/// The route, what is called there, and the target in its one spelling.
fn choose<'s>(site: &'s Site, head: &request::Parts) -> Result<(&'s Route, ask::Called, Uri), Refusal> {
    route::judge_method(&head.method)?;
    let path = site.normalise(head.uri.path())?;
    head.uri.query().map_or(Ok(()), path::judge_query)?;
    let called = ask::Called::at(path.as_str(), &head.method)?;
    Ok((site.own().ok_or(Refusal::NoRoute)?, called, target(&head.uri, path.as_str(), head.uri.query())?))
}

fn tell(told: Told, permit: &Permit, method: &Method, mut exchange: Exchange) -> Response<ReplyBody> {
    let Told { body, is_made } = told;
    let mut response = Response::new(());
    *response.status_mut() = if is_made { StatusCode::CREATED } else { StatusCode::OK };
    exchange.status = response.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(REQUEST_ID, exchange.request_id.value());
    headers.extend(permit.holder().and_then(old_token).map(|value| (RELEVO_TOKEN, value)));
    if let Some(admitted) = &exchange.admitted {
        limit::tell(headers, &admitted.standing);
    }
    let body = if method == Method::HEAD {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Bytes::new()
    } else {
        body
    };
    response.map(|()| ReplyBody::whole(body, exchange))
}

#[cfg(test)]
mod tests {
    use super::super::path::PathPolicy;
    use super::*;

    #[test]
    fn what_is_relevos_own_is_so_in_every_spelling_and_nothing_beside_it() {
        let is_own = |path: &str| {
            let policy = PathPolicy { semicolons: true };
            may_be_here(path) && policy.normalise(path).is_ok_and(|path| is_here(&path))
        };
        for path in [
            "/.relevo",
            "/.relevo/",
            "/.relevo/self",
            "/%2erelevo/self",
            "/.rel%65vo/x",
            "/.relevo;a=b/self",
            "/.relevo;a",
        ] {
            assert!(is_own(path), "{path}");
        }
        for path in [
            "/",
            "/.",
            "/.r",
            "/.relev",
            "/.relevo2",
            "/.relevo-x/self",
            "/relevo/self",
            "/a/.relevo/self",
            "/.RELEVO/self",
        ] {
            assert!(!is_own(path), "{path}");
        }
    }
}
