//! The admin API, called from within by whoever is signed in.
//!
//! Promises: a call goes through the same router, judges and bounds as one that comes over the network.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::header::{CONTENT_TYPE, IF_MATCH, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::Service;

use super::super::call::Presented;
use crate::domain::Digest;

/// By which name calls of the console are told from others, among the callers of an administrator's token.
const AGENT: &str = concat!("Relevo console/", env!("CARGO_PKG_VERSION"));

/// What a segment of a path is escaped by: everything that may not stand there as it is (RFC 3986 §2.3).
pub(super) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The API in the hand of one administrator.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) calls: Router,
    pub(super) presented: Digest,
    pub(super) peer: Option<SocketAddr>,
}

/// A refusal, as the API words it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Refused {
    pub(super) code: String,
    pub(super) status: u16,
    #[serde(default)]
    pub(super) detail: String,
    #[serde(default)]
    pub(super) errors: Vec<Mistake>,
    #[serde(default)]
    pub(super) ends: u64,
    #[serde(default)]
    pub(super) revives: u64,
    #[serde(default)]
    pub(super) keys: Vec<Mention>,
}

/// One thing that is wrong with what was sent.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Mistake {
    pub(super) path: String,
    pub(super) message: String,
}

/// A key that a refusal names.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Mention {
    pub(super) id: String,
    pub(super) name: String,
}

impl Refused {
    fn internal(detail: &str) -> Self {
        Self {
            code: "internal".into(),
            status: 500,
            detail: detail.into(),
            errors: Vec::new(),
            ends: 0,
            revives: 0,
            keys: Vec::new(),
        }
    }
}

/// One call.
pub(super) struct Ask {
    method: Method,
    path: String,
    body: Option<Value>,
    if_match: Option<u64>,
}

impl Ask {
    /// A call of this path, whose segments are given one by one and may hold anything.
    pub(super) fn new(method: Method, segments: &[&str]) -> Self {
        let encoded = segments.iter().map(|segment| utf8_percent_encode(segment, SEGMENT).to_string());
        Self { method, path: format!("/v1/{}", encoded.collect::<Vec<_>>().join("/")), body: None, if_match: None }
    }

    /// With these parameters.
    pub(super) fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        let encoded =
            pairs.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        let query = encoded.collect::<Vec<_>>().join("&");
        if !query.is_empty() {
            self.path.push('?');
            self.path.push_str(&query);
        }
        self
    }

    /// With this body.
    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Only if it is at this version still.
    pub(super) fn if_at(mut self, version: Option<u64>) -> Self {
        self.if_match = version;
        self
    }
}

impl Api {
    /// Asks, and reads the answer.
    pub(super) async fn send<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, Refused> {
        let answer = self.answer(ask).await?;
        serde_json::from_slice(if answer.is_empty() { b"null" } else { &answer }).map_err(|error| {
            tracing::error!(%error, "the console does not understand an answer of the admin API");
            Refused::internal("the console does not understand the answer")
        })
    }

    async fn answer(&self, ask: Ask) -> Result<bytes::Bytes, Refused> {
        let mut request = Request::builder().method(ask.method).uri(ask.path).header(USER_AGENT, AGENT);
        if let Some(version) = ask.if_match {
            request = request.header(IF_MATCH, format!("\"v{version}\""));
        }
        let body = match ask.body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let mut request = request.body(body).map_err(|_| Refused::internal("the call has no form"))?;
        request.extensions_mut().insert(Presented(self.presented));
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        let Ok(response) = self.calls.clone().call(request).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|_| Refused::internal("the answer broke off"))?.to_bytes();
        if head.status.is_success() {
            return Ok(body);
        }
        Err(serde_json::from_slice(&body).unwrap_or_else(|_| unread(head.status)))
    }
}

fn unread(status: StatusCode) -> Refused {
    Refused { status: status.as_u16(), ..Refused::internal("the refusal has no words") }
}
