//! The client of the admin API: one call, one reply.
//!
//! Promises: the token travels over TLS or stays on this machine; no redirect is followed; every wait and every reply is bounded;
//! a request that may have been acted upon is told apart from one that was not.
//! Deliberately does not: retry, or know what the calls mean.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Method, Url, redirect};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::Failure;
use super::shapes::Problem;
use super::text::plain;
use super::trust::Trust;
use crate::domain::Secret;

/// How long a gateway may take to be connected to.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a reply may go on for which one call is not time enough; a stream of events is opened again then.
const STREAM_TIMEOUT: Duration = Duration::from_hours(24);
/// How long it may be silent meanwhile: a stream of events says something every 5 s.
const SILENCE: Duration = Duration::from_secs(30);
/// The largest reply that is read.
const REPLY_LIMIT_BYTES: usize = 64 << 20;

/// An admin port's URL: `https`, or `http` on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AdminUrl(Url);

impl AdminUrl {
    /// The URL in `text`, if a token may be sent there. The error is the end of a sentence that begins with the URL.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL ({error})"))?;
        if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
            return Err("is not an http or https URL".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds a user name or password, and the token is all that is sent".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a query or fragment".to_owned());
        }
        let found = Self(url);
        if found.0.scheme() == "http" && !found.is_loopback() {
            return Err("is not on this machine: use https, a token is not sent in clear".to_owned());
        }
        Ok(found)
    }

    /// Whether the URL leads to this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// Whether TLS is spoken there.
    pub(super) fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The URL of a call: each segment is one, whatever it holds.
    fn join(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl std::fmt::Display for AdminUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// One call of the admin API.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    method: Method,
    segments: Vec<&'a str>,
    query: Vec<(&'a str, &'a str)>,
    body: Option<Value>,
    text: Option<bytes::Bytes>,
    if_match: Option<String>,
}

impl<'a> Call<'a> {
    /// A call of the path made of these segments.
    pub(super) fn new(method: Method, segments: &[&'a str]) -> Self {
        Self { method, segments: segments.to_vec(), query: Vec::new(), body: None, text: None, if_match: None }
    }

    /// A reading call.
    pub(super) fn read(segments: &[&'a str]) -> Self {
        Self::new(Method::GET, segments)
    }

    /// With this parameter.
    pub(super) fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.query.push((name, value));
        self
    }

    /// With this body.
    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// With these lines as its body.
    pub(super) fn text(mut self, text: bytes::Bytes) -> Self {
        self.text = Some(text);
        self
    }

    /// Only if the key is still as `etag` says.
    pub(super) fn if_match(mut self, etag: String) -> Self {
        self.if_match = Some(etag);
        self
    }
}

/// A reply that was not a refusal.
pub(super) struct Reply {
    /// The reply, word for word; empty where there is nothing to say.
    pub(super) body: String,
}

impl Reply {
    /// The reply as a `T`.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.body)
            .map_err(|error| Failure::failed(format!("the gateway's answer was not understood: {error}")))
    }
}

/// A reply that goes on for long.
pub(super) struct Stream {
    response: reqwest::Response,
    from: AdminUrl,
    silence: Duration,
}

impl Stream {
    /// What arrives next; `None` when it has ended.
    pub(super) async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, Failure> {
        let lost = |error| Failure::Lost(format!("the connection to {} was lost: {}", self.from, chain(error)));
        let chunk = tokio::time::timeout(self.silence, self.response.chunk()).await;
        chunk.map_err(|_| silent(&self.from))?.map_err(lost)
    }
}

/// A gateway's admin port, and the token for it.
pub(super) struct Client {
    http: reqwest::Client,
    url: AdminUrl,
    token: Secret,
    waits: Waits,
}

/// How long a client waits where a reply goes on for long.
#[derive(Clone, Copy)]
struct Waits {
    /// For its beginning.
    head: Duration,
    /// For more of it.
    silence: Duration,
}

impl Client {
    /// A client of the gateway at `url`, if that is to be trusted.
    pub(super) fn new(url: AdminUrl, token: Secret, trust: &Trust) -> Result<Self, Failure> {
        let mut builder = trust
            .client(&url)
            .map_err(Failure::failed)?
            .user_agent(concat!("relevo/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none()) // the token goes where it was sent, and nowhere else
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT);
        if url.is_loopback() {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| Failure::failed(chain(error)))?;
        Ok(Self { http, url, token, waits: Waits { head: CALL_TIMEOUT, silence: SILENCE } })
    }

    /// Sends one call and reads its reply.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Reply, Failure> {
        let mut request =
            self.http.request(call.method, self.url.join(&call.segments, &call.query)).bearer_auth(self.token.reveal());
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        if let Some(text) = call.text {
            request = request.header(reqwest::header::CONTENT_TYPE, "application/jsonl").body(text);
        }
        if let Some(etag) = call.if_match {
            request = request.header(reqwest::header::IF_MATCH, etag);
        }
        let mut response = request.send().await.map_err(|error| self.unanswered(error))?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unanswered(error))? {
            if bytes.len() + chunk.len() > REPLY_LIMIT_BYTES {
                return Err(Failure::failed("the gateway's answer is longer than 64 MiB"));
            }
            bytes.extend_from_slice(&chunk);
        }
        let body = String::from_utf8_lossy(&bytes).into_owned();
        if response.status().is_success() { Ok(Reply { body }) } else { Err(refused(response.status(), body)) }
    }

    /// Opens a stream of events that goes on after the revision `after`.
    pub(super) async fn stream(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
        after: u64,
    ) -> Result<Stream, Failure> {
        let request = self.http.get(self.url.join(segments, query)).header("last-event-id", after);
        self.open(request).await
    }

    /// Begins to read a long reply.
    pub(super) async fn download(&self, segments: &[&str]) -> Result<Stream, Failure> {
        self.open(self.http.get(self.url.join(segments, &[]))).await
    }

    async fn open(&self, request: reqwest::RequestBuilder) -> Result<Stream, Failure> {
        let request = request.bearer_auth(self.token.reveal()).timeout(STREAM_TIMEOUT);
        let Waits { head, silence } = self.waits;
        let begun = async {
            let response = request.send().await.map_err(|error| self.unanswered(error))?;
            if response.status().is_success() {
                return Ok(Stream { response, from: self.url.clone(), silence });
            }
            let status = response.status();
            let body = response.text().await.map_err(|error| self.unanswered(error))?;
            Err(refused(status, body))
        };
        tokio::time::timeout(head, begun).await.map_err(|_| silent(&self.url))?
    }

    /// Why there is no reply, and whether the request may have arrived.
    fn unanswered(&self, error: reqwest::Error) -> Failure {
        if error.is_connect() || error.is_builder() {
            return Failure::failed(format!("{} does not answer: {}", self.url, chain(error)));
        }
        Failure::Lost(format!("the connection to {} was lost before it answered: {}", self.url, chain(error)))
    }
}

/// Whoever is there has not said anything for too long.
fn silent(url: &AdminUrl) -> Failure {
    Failure::Lost(format!("{url} has fallen silent"))
}

/// A refusal, if the reply is one of ours.
fn refused(status: reqwest::StatusCode, body: String) -> Failure {
    match serde_json::from_str::<Problem>(&body) {
        Ok(problem) if !problem.code.is_empty() => Failure::Refused(Box::new(Problem { document: body, ..problem })),
        Ok(_) | Err(_) => {
            let start: String = body.chars().take(200).collect();
            Failure::failed(format!("no gateway answered, but something with status {status}: {}", plain(&start)))
        }
    }
}

/// An error and its causes, without the URL.
pub(super) fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::double::{locally, root};
    use super::*;

    /// What comes of a download from a peer that says this to whoever asks, and nothing more.
    async fn downloaded(said: &'static str) -> Result<(), Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let peer = tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            assert_ne!(stream.read(&mut [0; 4096]).await.expect("asked"), 0); // nobody is answered before he asks
            stream.write_all(said.as_bytes()).await.expect("said");
            std::future::pending::<()>().await;
        });
        let client = Client::new(AdminUrl::parse(&url).expect("legal"), root(), &Trust::default()).expect("a client");
        let patience = Duration::from_millis(200);
        let client = Client { waits: Waits { head: patience, silence: patience }, ..client };
        let outcome = async {
            let mut stream = client.download(&["v1", "backup"]).await?;
            while stream.chunk().await?.is_some() {}
            Ok(())
        };
        let outcome = outcome.await;
        peer.abort();
        outcome
    }

    #[test]
    fn a_peer_that_falls_silent_in_a_long_reply_or_before_it_is_given_up() {
        locally(async {
            for said in [
                "",
                "HTTP/1.1 200 OK\r\nConte",
                "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
                "HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\n\r\nhalf",
            ] {
                let failure = downloaded(said).await.expect_err("never whole");
                assert!(failure.to_string().contains("has fallen silent"), "{said:?}: {failure}");
                assert_eq!(failure.code(), 1);
            }
            downloaded("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfull").await.expect("whole");
        });
    }

    #[test]
    fn a_token_is_sent_over_tls_or_stays_on_this_machine() {
        for good in [
            "http://127.0.0.1:8081",
            "http://127.9.9.9:1/",
            "http://[::1]:8081",
            "http://localhost:8081",
            "https://admin.example.com",
            "https://10.0.0.7:8443/relevo",
        ] {
            assert!(AdminUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://10.0.0.7:8081",
            "http://example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://0.0.0.0:8081",
            "http://[2001:db8::1]",
            "https://root:secret@127.0.0.1",
            "https://127.0.0.1/?token=x",
            "https://127.0.0.1/#x",
            "ftp://127.0.0.1",
            "unix:/run/relevo.sock",
            "127.0.0.1:8081",
            "",
        ] {
            assert!(AdminUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_one_segment_whatever_it_holds() {
        let url = AdminUrl::parse("https://h/base/").expect("legal");
        let joined = url.join(&["v1", "keys", "a b+é;=&@", "renew"], &[("after", "1&2")]);
        assert_eq!(joined.as_str(), "https://h/base/v1/keys/a%20b+%C3%A9;=&@/renew?after=1%262");
        let hostile = url.join(&["v1", "keys", "a/b?c#d%2e"], &[]);
        assert_eq!(hostile.as_str(), "https://h/base/v1/keys/a%2Fb%3Fc%23d%252e");
        assert_eq!(AdminUrl::parse("http://127.0.0.1:1").expect("legal").join(&["v1"], &[]).path(), "/v1");
    }
}
