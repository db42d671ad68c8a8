//! One look at one endpoint: whether it can be connected to and, where a path is named, answers well there.
//!
//! Promises: ends at its deadline; goes the way that requests go: same address, same TLS, same protocol.
//! Deliberately does not: judge. How many looks make a judgement is said elsewhere.

use std::io;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{Method, Request, StatusCode, Uri, uri};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::config;
use crate::net::dial::{self, Connector};
use crate::net::opening::Protocol;
use crate::net::stream::Stream;

use super::dialer::Dialer;
use super::scheme;
use super::standing::Standing;

/// Looks once; what is wrong is said in a few words.
pub(super) async fn look(
    standing: &Standing,
    health: &config::Health,
    connector: Option<Connector>,
) -> Result<(), String> {
    let looked = tokio::time::timeout(health.timeout, look_untimed(standing, health, connector)).await;
    looked.unwrap_or_else(|late| Err(dial::late(late))).map_err(|error| error.to_string())
}

async fn look_untimed(standing: &Standing, health: &config::Health, connector: Option<Connector>) -> io::Result<()> {
    let (stream, protocol) = Dialer::new(standing, connector, health.timeout).dial().await?;
    let Some(path) = &health.path else { return Ok(()) };
    let status = ask(stream, protocol, question(&standing.endpoint, protocol, path)?).await?;
    if status.is_success() || status.is_redirection() {
        return Ok(());
    }
    Err(io::Error::other(format!("answered {}", status.as_u16())))
}

fn question(endpoint: &config::Endpoint, protocol: Protocol, path: &str) -> io::Result<Request<Empty<Bytes>>> {
    let agent = concat!("relevo/", env!("CARGO_PKG_VERSION"));
    let request = Request::builder().method(Method::GET).header(USER_AGENT, agent);
    let request = match protocol {
        Protocol::Http1 => request.uri(path).header(HOST, endpoint.authority.as_str()),
        Protocol::Http2 => {
            let mut target = uri::Parts::default();
            (target.scheme, target.authority) = (Some(scheme(endpoint.speech)), Some(endpoint.authority.clone()));
            target.path_and_query = path.parse().ok();
            request.uri(Uri::from_parts(target).map_err(io::Error::other)?)
        }
    };
    request.body(Empty::new()).map_err(io::Error::other)
}

/// Asks, and does not wait for the body of the reply.
async fn ask(stream: Stream, protocol: Protocol, question: Request<Empty<Bytes>>) -> io::Result<StatusCode> {
    let io = TokioIo::new(stream);
    match protocol {
        Protocol::Http1 => {
            let (mut sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
            let asked = sender.send_request(question);
            let reply = tokio::select! {
                biased;
                reply = asked => reply,
                ended = connection => return Err(ended.err().map_or_else(closed, io::Error::other)),
            };
            reply.map(|reply| reply.status()).map_err(io::Error::other)
        }
        Protocol::Http2 => {
            let handshake = http2::handshake(TokioExecutor::new(), io).await;
            let (mut sender, connection) = handshake.map_err(io::Error::other)?;
            let asked = sender.send_request(question);
            let reply = tokio::select! {
                biased;
                reply = asked => reply,
                ended = connection => return Err(ended.err().map_or_else(closed, io::Error::other)),
            };
            reply.map(|reply| reply.status()).map_err(io::Error::other)
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer")
}
