//! A stream ends with its token: whatever takes the token away, within about a second, on every worker; no other stream does.

use std::time::{Duration, Instant};

use bytes::Bytes;
use relevo::domain::Span;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::support::backend::{Backend, Gate, Reply};
use crate::support::client::RawClient;
use crate::support::gateway::{Holder, TestGateway, wait_until};
use crate::support::request::request;

/// One second until it is judged again, and the rest for a machine that is busy.
const SOON: Duration = Duration::from_secs(4);
/// Enough that every worker carries some.
const STREAMS: usize = 4;

const ROUTES: &str = "
[[routes]]
path = \"/\"
upstream = \"backend\"
[[routes]]
path = \"/streaming\"
upstream = \"backend\"
streaming = true
roles = [\"reader\"]
[[routes]]
path = \"/events\"
upstream = \"backend\"
roles = [\"reader\"]
";

/// A backend whose replies begin and then wait for the gate.
fn endless(gate: &Gate) -> Backend {
    let gate = gate.clone();
    Backend::replying(move |request| {
        let kind = if request.target.starts_with("/events") { "text/event-stream" } else { "text/plain" };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
        Reply::raw(head + "7\r\nfirst\n\n\r\n").then_waiting_for(&gate).then("6\r\nlast\n\n\r\n0\r\n\r\n")
    })
}

/// Streams of the holder to each of these targets, each with its beginning read.
fn open(gateway: &TestGateway, holder: &Holder, targets: &[&str]) -> Vec<RawClient> {
    let one = |target: &&str| {
        let mut client = gateway.connect();
        client.send(&request("GET", target).token(&holder.token).bytes());
        client.read_until(b"first\n\n\r\n");
        client
    };
    targets.repeat(STREAMS).iter().map(one).collect()
}

fn are_over(mut streams: Vec<RawClient>, what: &str) {
    let begun = Instant::now();
    for client in &mut streams {
        while !client.is_closing() {
            assert!(begun.elapsed() < SOON, "{what}: a stream lasts");
            std::thread::yield_now();
        }
    }
}

fn patch(gateway: &TestGateway, holder: &Holder, fields: &Value) {
    assert_eq!(gateway.admin("PATCH", &format!("/v1/keys/{}", holder.id), Some(fields)).status, 200);
}

#[test]
fn a_stream_ends_with_its_token_whatever_takes_it_away_and_no_other_does() {
    const TARGETS: &[&str] = &["/events", "/streaming"];
    let gate = Gate::default();
    let backend = endless(&gate);
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let key = |name: &str| gateway.create_key(name).roles(&["reader"]).done();
    let others = open(&gateway, &key("steady"), TARGETS);
    let take_away = |what: &str, holder: &Holder, act: &dyn Fn()| {
        let streams = open(&gateway, holder, TARGETS);
        act();
        are_over(streams, what);
    };

    let old = key("delete-old");
    let new = gateway.renew(&old).done();
    let kept = open(&gateway, &new, TARGETS);
    take_away("delete-old", &old, &|| assert_eq!(gateway.delete_old(&old).status, 200));
    let old = key("undo");
    let new = gateway.renew(&old).done();
    take_away("undo", &new, &|| assert_eq!(gateway.undo(&old).status, 200));
    let short = gateway.create_key("expiry").roles(&["reader"]).with("duration", "1h".into()).done();
    take_away("expiry", &short, &|| gateway.clock.advance(Span::hours(2)));
    let idle = key("deactivation");
    take_away("deactivation", &idle, &|| patch(&gateway, &idle, &json!({"status": "inactive"})));
    let gone = key("delete");
    take_away("delete", &gone, &|| {
        assert_eq!(gateway.admin("DELETE", &format!("/v1/keys/{}", gone.id), None).status, 204);
    });
    let demoted = key("role");
    take_away("a role taken away", &demoted, &|| patch(&gateway, &demoted, &json!({"roles": ["writer"]})));

    let metrics = gateway.metrics();
    let codes = [("token_superseded", 2), ("token_expired", 1), ("credential_invalid", 2), ("role_missing", 1)];
    for (target, (code, times)) in TARGETS.iter().flat_map(|target| codes.map(|code| (target, code))) {
        let count = times * STREAMS;
        let line = format!("relevo_streams_ended_total{{route=\"{target}\",refusal=\"{code}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    gate.open();
    for mut client in others.into_iter().chain(kept) {
        client.read_until(b"last");
    }
}

#[test]
fn what_is_no_stream_finishes() {
    let gate = Gate::default();
    let backend = endless(&gate);
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let holder = gateway.create_key("ci").done();
    let streams = open(&gateway, &holder, &["/plain"]);
    assert_eq!(gateway.admin("DELETE", &format!("/v1/keys/{}", holder.id), None).status, 204);
    let reader = gateway.create_key("reader").roles(&["reader"]).done();
    let ending = open(&gateway, &reader, &["/events"]);
    assert_eq!(gateway.admin("DELETE", &format!("/v1/keys/{}", reader.id), None).status, 204);
    are_over(ending, "by now every stream has been judged");
    gate.open();
    for mut client in streams {
        client.read_until(b"last");
    }
}

/// A backend of gRPC that answers the head and one message, and then waits for the end of the request.
async fn serve_grpc(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(stream).await?;
            while let Some(accepted) = connection.accept().await {
                let (request, mut respond) = accepted?;
                tokio::spawn(async move {
                    let head = http::Response::builder().header("content-type", "application/grpc").body(());
                    let mut reply = respond.send_response(head.expect("a head"), false)?;
                    reply.send_data(Bytes::from_static(b"\0\0\0\0\x05hello"), false)?;
                    let (mut body, mut length) = (request.into_body(), 0);
                    while let Some(data) = body.data().await {
                        let data = data?;
                        length += data.len();
                        body.flow_control().release_capacity(data.len())?;
                    }
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                    trailers.insert("x-length", http::HeaderValue::from(length));
                    reply.send_trailers(trailers)
                });
            }
            Ok::<_, h2::Error>(())
        });
    }
}

/// One call: what ends it, after `meanwhile` has been done with the first message here.
async fn call(
    gateway: &TestGateway,
    headers: &[(&str, &str)],
    meanwhile: impl FnOnce(&mut h2::SendStream<Bytes>),
) -> http::HeaderMap {
    let stream = TcpStream::connect(gateway.address()).await.expect("connected");
    let (mut client, connection) = h2::client::handshake(stream).await.expect("a connection");
    tokio::spawn(connection);
    let mut request = http::Request::builder().method("POST").uri("http://localhost/service/method");
    for (name, value) in headers.iter().chain(&[("content-type", "application/grpc"), ("te", "trailers")]) {
        request = request.header(*name, *value);
    }
    let request = request.body(()).expect("a request");
    let (reply, mut upload) = client.send_request(request, false).expect("sent");
    let (head, mut body) = reply.await.expect("a reply").into_parts();
    assert_eq!(
        (head.status.as_u16(), &head.headers["content-type"]),
        (200, &"application/grpc".parse().expect("a value"))
    );
    if head.headers.contains_key("grpc-status") {
        assert!(body.data().await.is_none());
        return head.headers;
    }
    assert_eq!(body.data().await.expect("a message").expect("whole"), &b"\0\0\0\0\x05hello"[..]);
    meanwhile(&mut upload);
    while let Some(data) = body.data().await {
        data.expect("whole");
    }
    body.trailers().await.expect("an end").expect("trailers")
}

#[test]
fn a_call_of_grpc_has_its_trailers_its_deadline_and_refusals_that_its_client_reads() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("bound");
    let endpoint = listener.local_addr().expect("an address");
    runtime.spawn(serve_grpc(listener));
    let upstream = format!("[[upstreams]]\nname = \"backend\"\nendpoints = [\"h2c://{endpoint}\"]\n");
    let gateway = TestGateway::with_upstreams(&upstream).start();
    let holder = gateway.create_key("ci").done();
    let token = format!("Bearer {}", holder.token);
    let told = |trailers: &http::HeaderMap, name: &str| trailers[name].to_str().expect("text").to_owned();

    let well = runtime.block_on(call(&gateway, &[("authorization", &token)], |upload| {
        upload.send_data(Bytes::from_static(b"\0\0\0\0\x02hi"), true).expect("sent");
    }));
    assert_eq!((told(&well, "grpc-status"), told(&well, "x-length")), ("0".to_owned(), "7".to_owned()));

    let refused = runtime.block_on(call(&gateway, &[("authorization", "Bearer nonsense-of-sixteen")], |_| {}));
    assert_eq!(told(&refused, "grpc-status"), "16");
    assert!(told(&refused, "grpc-message").contains("not valid"));

    let late = runtime.block_on(call(&gateway, &[("authorization", &token), ("grpc-timeout", "300m")], |_| {}));
    assert_eq!(told(&late, "grpc-status"), "4");

    let begun = Instant::now();
    let ended = runtime.block_on(call(&gateway, &[("authorization", &token)], |_| {
        assert_eq!(gateway.admin("DELETE", &format!("/v1/keys/{}", holder.id), None).status, 204);
    }));
    assert_eq!(told(&ended, "grpc-status"), "16");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    wait_until("it is counted", || {
        gateway.metrics().contains("relevo_streams_ended_total{route=\"/\",refusal=\"credential_invalid\"} 1\n")
    });
}
