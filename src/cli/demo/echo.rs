//! The demo's backend: answers every request with what it was.
//!
//! Promises: listens on loopback only; a body is drained and counted, never kept.
//! Deliberately does not: show a credential. The gateway has taken it out, and only `X-Relevo-*` is repeated.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long accepting rests after it has failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Starts the backend on a thread of its own, for as long as the process lives. The answer is its address.
pub(in crate::cli) fn start() -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener)?
    };
    thread::Builder::new().name("echo".to_owned()).spawn(move || runtime.block_on(accept(listener)))?;
    Ok(address)
}

async fn accept(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream))),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await, // out of descriptors: others will close theirs
        }
    }
}

/// Answers the requests of one connection. How it ends is nobody's concern.
async fn converse(stream: TcpStream) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service_fn(echo));
    drop(connection.await);
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    let mut body_bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        body_bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    let told = head.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-relevo-"));
    let told: BTreeMap<_, _> =
        told.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect();
    let answer = json!({
        "method": head.method.as_str(), "path": head.uri.to_string(), "headers": told, "body_bytes": body_bytes,
    });
    let mut response = Response::new(Full::from(format!("{answer}\n")));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_request_is_answered_with_what_it_was() {
        let mut stream = std::net::TcpStream::connect(start().expect("started")).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        stream
            .write_all(
                b"POST /hello?x=1 HTTP/1.1\r\nHost: h\r\nX-Relevo-Key-Name: ci\r\nCookie: secret\r\n\
                  Content-Length: 5\r\nConnection: close\r\n\r\nabcde",
            )
            .expect("sent");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("read");
        let (head, body) = reply.split_once("\r\n\r\n").expect("a reply");
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let expected =
            json!({"method": "POST", "path": "/hello?x=1", "headers": {"x-relevo-key-name": "ci"}, "body_bytes": 5});
        assert_eq!(body, expected);
    }
}
