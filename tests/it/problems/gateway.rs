//! A way to every problem of the gateway.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use relevo::domain::Span;
use relevo::store::{Notice, StoreError};
use serde_json::json;

use super::{Case, problem_of};
use crate::support::backend::{Backend, Gate, Reply};
use crate::support::client::RawResponse;
use crate::support::gateway::{Holder, TestGateway, wait_until};
use crate::support::request::{Request, request};
use crate::support::store::{Conduct, Misbehaving};

const INVALID: &str = "Bearer realm=\"relevo\", error=\"invalid_token\"";

pub(super) const CASES: [Case; 29] = [
    Case::new("not_ready", 503, not_ready).with("retry-after", "1"),
    Case::new("credential_ambiguous", 400, credential_ambiguous),
    Case::new("credential_missing", 401, || ask("", "", &get("/"))).with("www-authenticate", "Bearer realm=\"relevo\""),
    Case::new("credential_invalid", 401, || ask("", "", &get("/").token("nobody's-token-at-all")))
        .with("www-authenticate", INVALID),
    Case::new("token_superseded", 401, token_superseded).with("www-authenticate", INVALID),
    Case::new("token_expired", 401, token_expired).with("www-authenticate", INVALID),
    Case::new("role_missing", 403, role_missing)
        .with("www-authenticate", "Bearer realm=\"relevo\", error=\"insufficient_scope\""),
    Case::new("rate_limited", 429, rate_limited).with("retry-after", "60"),
    Case::new("too_many_failures", 429, too_many_failures).with("retry-after", "60"),
    Case::new("bad_request", 400, || ask("", "auth = \"none\"", &get("/").header("Host", "localhost"))),
    Case::new("no_route", 404, no_route),
    Case::new("method_not_allowed", 405, || ask("", "methods = [\"GET\", \"PUT\"]", &request("POST", "/")))
        .with("allow", "GET, HEAD, PUT"),
    Case::new("body_timeout", 408, body_timeout),
    Case::new("body_too_large", 413, body_too_large),
    Case::new("unknown_host", 421, || ask("", "hosts = [\"a.example\"]", &get("/"))),
    Case::new("upstream_failed", 502, upstream_failed),
    Case::new("upstream_unavailable", 503, upstream_unavailable).with("retry-after", "1"),
    Case::new("overloaded", 503, overloaded).with("retry-after", "1"),
    Case::new("upstream_timeout", 504, upstream_timeout),
    Case::new("self_service_not_allowed", 403, || of_itself("GET", "", None, |_, _| {}))
        .with("www-authenticate", "Bearer realm=\"relevo\", error=\"insufficient_scope\""),
    Case::new("new_token_needed", 409, || of_itself("POST", "/delete-old", None, |gateway, key| renewed(gateway, key))),
    Case::new("old_token_needed", 409, || {
        of_itself("POST", "/undo", None, |gateway, key| {
            allow(gateway, key);
            key.token = gateway.renew(key).done().token;
        })
    }),
    Case::new("renewal_open", 409, || of_itself("POST", "/renew", None, |gateway, key| renewed(gateway, key))),
    Case::new("no_old_token", 409, || of_itself("POST", "/undo", None, |gateway, key| allow(gateway, key))),
    Case::new("old_token_expired", 409, old_token_expired),
    Case::new("digest_in_use", 409, || {
        let digest = json!(format!("sha256:{}", "ab".repeat(32)));
        of_itself("POST", "/renew", Some(&json!({ "digest": digest })), |gateway, key| {
            allow(gateway, key);
            let other = json!({ "name": "other", "digest": digest });
            assert_eq!(gateway.admin("POST", "/v1/keys", Some(&other)).status, 201);
        })
    }),
    Case::new("invalid_request", 400, || {
        of_itself("POST", "/renew", Some(&json!({ "delete_old": "now" })), |gateway, key| allow(gateway, key))
    }),
    Case::new("unsupported_media_type", 415, || {
        let (_backend, gateway, key) = with_own_key();
        allow(&gateway, &key);
        gateway.ask(&request("POST", "/.relevo/self/renew").token(&key.token).body("{}"))
    }),
    Case::new("store_unavailable", 503, store_unavailable).with("retry-after", "1"),
];

fn get(target: &str) -> Request {
    request("GET", target)
}

/// A route at `/` with these lines.
fn route(lines: &str) -> String {
    format!("[[routes]]\npath = \"/\"\nupstream = \"backend\"\n{lines}")
}

/// The answer of a gateway whose one upstream and one route have these lines.
fn ask(upstream: &str, lines: &str, request: &Request) -> RawResponse {
    let backend = Backend::answering("hello");
    TestGateway::in_front_of(&backend).upstream(upstream).routes(&route(lines)).start().ask(request)
}

/// A feed that never comes to its end.
struct NeverSynced;

impl Conduct for NeverSynced {
    fn tell(&self, notice: Notice) -> Option<Notice> {
        Some(notice).filter(|notice| !matches!(notice, Notice::Synced(_)))
    }
}

fn not_ready() -> RawResponse {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let setup = || TestGateway::in_front_of(&backend).kept_in(folder.path());
    let key = setup().start().create_key("ci").done();
    let optional = "[[routes]]\npath = \"/maybe\"\nauth = \"optional\"\nupstream = \"backend\"\n";
    let open = "[[routes]]\npath = \"/open\"\nauth = \"none\"\nupstream = \"backend\"\n";
    let gateway = setup()
        .routes(&[&route(""), "\n", optional, open].concat())
        .store(|store| Misbehaving::store(store, &Arc::new(NeverSynced)))
        .unready()
        .start();
    for target in ["/", "/maybe"] {
        for request in [
            get(target),
            get(target).token(&key.token),
            get(target).token("nobody's-token-at-all"),
            get(target).token("one").header("X-API-Key", "two"),
        ] {
            let answer = gateway.ask(&request);
            assert_eq!(problem_of(&answer), (503, "not_ready".to_owned()), "{target}");
        }
    }
    assert_eq!(gateway.ask(&get("/open")).status, 200);
    assert_eq!(gateway.ask(&get("/open").token(&key.token)).status, 200);
    let ready = gateway.admin_raw(&get("/readyz"));
    assert_eq!((ready.status, &ready.json["ready"]), (503, &json!(false)));
    assert_eq!(gateway.admin("GET", "/v1/keys", None).json["code"], "store_unavailable");
    gateway.ask(&get("/").token(&key.token))
}

fn credential_ambiguous() -> RawResponse {
    let both = get("/").token("nobody's-token-at-all").header("X-API-Key", "nobody's-token-at-all");
    let answer = ask("", "", &both);
    assert!(answer.text().contains("authorization and x-api-key"), "{}", answer.text());
    answer
}

/// A gateway with a key, by the test's clock.
fn with_key(lines: &str, fields: &[(&str, &str)]) -> (Backend, TestGateway, Holder) {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(&route(lines)).start();
    let order = fields.iter().fold(gateway.create_key("ci"), |order, (field, value)| order.with(field, json!(value)));
    let key = order.done();
    (backend, gateway, key)
}

fn token_superseded() -> RawResponse {
    let (_backend, gateway, key) = with_key("", &[]);
    gateway.renew(&key).deleting_old_now().done();
    gateway.ask(&get("/").token(&key.token))
}

fn token_expired() -> RawResponse {
    let (_backend, gateway, key) = with_key("", &[("duration", "1h")]);
    gateway.clock.advance(Span::millis(60 * 60_000 - 1));
    assert_eq!(gateway.status_with(&key), 200);
    gateway.clock.advance(Span::millis(1));
    gateway.ask(&get("/").token(&key.token))
}

fn role_missing() -> RawResponse {
    let (_backend, gateway, key) = with_key("roles = [\"orders:write\", \"orders:admin\"]", &[]);
    gateway.ask(&get("/").token(&key.token))
}

fn rate_limited() -> RawResponse {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).settings("[limits.default]\nrate = \"1/1m\"\n").start();
    let key = gateway.create_key("ci").done();
    assert_eq!(gateway.status_with(&key), 200);
    gateway.ask(&get("/").token(&key.token))
}

fn too_many_failures() -> RawResponse {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let bad = get("/").token("nobody's-token-at-all");
    let mut client = gateway.connect();
    for _ in 0..100 {
        client.send(&bad.bytes());
        assert_eq!(problem_of(&client.read_response()), (401, "credential_invalid".to_owned()));
    }
    gateway.ask(&bad)
}

fn no_route() -> RawResponse {
    let backend = Backend::answering("hello");
    let routes = "[[routes]]\npath = \"/api\"\nupstream = \"backend\"";
    TestGateway::in_front_of(&backend).routes(routes).start().ask(&get("/apis"))
}

/// A request whose body is announced and does not come.
fn body_timeout() -> RawResponse {
    let backend = Backend::answering("hello");
    let setup = TestGateway::in_front_of(&backend).settings("[limits]\nbody_stall = \"100ms\"");
    let gateway = setup.routes(&route("auth = \"none\"")).start();
    let mut client = gateway.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhel");
    let answer = client.read_response();
    assert!(answer.closed && client.is_closed());
    assert!(backend.requests().is_empty());
    answer
}

/// Announced: refused before any of it is read, and nothing of it reaches the backend.
fn body_too_large() -> RawResponse {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(&route("auth = \"none\"\nbody_limit = \"8KiB\"")).start();
    let most = request("POST", "/").body(vec![b'x'; 8 * 1024]);
    assert_eq!(gateway.ask(&most).status, 200);
    let before = backend.bytes();
    let mut client = gateway.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8193\r\n\r\n");
    let announced = client.read_response();
    assert_eq!(backend.bytes(), before);

    let chunk = format!("2001\r\n{}\r\n0\r\n\r\n", "x".repeat(0x2001));
    let mut client = gateway.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(chunk.as_bytes());
    let in_chunks = client.read_response();
    assert_eq!(problem_of(&in_chunks), problem_of(&announced));
    assert_eq!(backend.requests().len(), 1, "only what was within the limit");
    announced
}

fn upstream_failed() -> RawResponse {
    let backend = Backend::replying(|request| match &*request.target {
        "/closes" => Reply::default().then_closing(),
        "/garbage" => Reply::raw("SSH-2.0-OpenSSH_9.9\r\n"),
        "/both" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        "/lengths" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        _ => Reply::raw("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
    });
    let gateway = TestGateway::in_front_of(&backend).routes(&route("auth = \"none\"")).start();
    for target in ["/closes", "/garbage", "/both", "/lengths", "/switches"] {
        assert_eq!(problem_of(&gateway.ask(&get(target))), (502, "upstream_failed".to_owned()), "{target}");
    }
    gateway.ask(&get("/closes"))
}

/// An upstream at a port where nobody listens any more.
fn upstream_unavailable() -> RawResponse {
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address");
    TestGateway::in_front_of_address(gone).routes(&route("auth = \"none\"")).start().ask(&get("/"))
}

/// One request is in flight, and one is all there may be.
fn overloaded() -> RawResponse {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::replying(move |_| {
        Reply::default().then_waiting_for(&held).then("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let gateway =
        TestGateway::in_front_of(&backend).upstream("in_flight = 1").routes(&route("auth = \"none\"")).start();
    let mut first = gateway.connect();
    first.send(&get("/").bytes());
    backend.wait_for(1);
    let answer = gateway.ask(&get("/"));
    gate.open();
    assert_eq!(first.read_response().status, 200);
    assert_eq!(gateway.ask(&get("/")).status, 200, "its place is free again");
    answer
}

fn upstream_timeout() -> RawResponse {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::replying(move |_| Reply::default().then_waiting_for(&held));
    let setup = TestGateway::in_front_of(&backend).upstream("head_timeout = \"100ms\"");
    let answer = setup.routes(&route("auth = \"none\"")).start().ask(&get("/"));
    gate.open();
    answer
}

#[test]
fn a_head_that_is_too_long_is_answered_by_its_status_alone() {
    let backend = Backend::answering("hello");
    let limits = "[limits]\nhead_bytes = \"8KiB\"\nheader_count = 20";
    let gateway = TestGateway::in_front_of(&backend).settings(limits).routes(&route("auth = \"none\"")).start();
    let many = (0..30).fold(get("/"), |request, number| request.header(&format!("X-Header-{number}"), "1"));
    let long = get("/").header("X-Long", &"x".repeat(9_000));
    for request in [many, long] {
        let answer = gateway.ask(&request);
        assert_eq!((answer.status, answer.body.len()), (431, 0));
    }
    let answer = gateway.ask(&get(&format!("/{}", "x".repeat(70_000))));
    assert!([414, 431].contains(&answer.status), "{}", answer.status);
    assert!(backend.requests().is_empty());
}

#[test]
fn a_problem_names_the_request_and_a_head_gets_no_body() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let answer = gateway.ask(&get("/"));
    assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 32), "{:?}", answer.headers);
    let mut client = gateway.connect().asking_heads();
    client.send(&request("HEAD", "/").bytes());
    let headed = client.read_response();
    assert_eq!((headed.status, headed.header("content-type")), (401, Some("application/problem+json")));
    client.send(&request("HEAD", "/").bytes());
    assert_eq!(client.read_response().status, 401, "the connection goes on");
}

#[test]
fn an_upload_that_makes_progress_may_take_longer_than_the_head_of_a_reply() {
    let backend = Backend::replying(|request| Reply::ok(request.body.len().to_string()));
    let setup = TestGateway::in_front_of(&backend).upstream("head_timeout = \"200ms\"\nbody_timeout = \"5s\"");
    let gateway = setup.routes(&route("auth = \"none\"")).start();
    let mut client = gateway.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let begun = Instant::now();
    let mut chunks = 0;
    while begun.elapsed() < Duration::from_millis(800) {
        client.send(b"1\r\nx\r\n");
        chunks += 1;
        thread::park_timeout(Duration::from_millis(20));
    }
    client.send(b"0\r\n\r\n");
    let answer = client.read_response();
    assert_eq!((answer.status, answer.text()), (200, chunks.to_string()));
}

#[test]
fn a_backend_that_lets_a_whole_upload_wait_for_its_head_is_too_slow() {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::replying(move |_| Reply::default().then_waiting_for(&held));
    let setup = TestGateway::in_front_of(&backend).upstream("head_timeout = \"100ms\"");
    let gateway = setup.routes(&route("auth = \"none\"")).start();
    let answer = gateway.ask(&request("POST", "/").body("hello"));
    gate.open();
    assert_eq!(problem_of(&answer), (504, "upstream_timeout".to_owned()));
}

#[test]
fn a_connection_too_many_is_told_so_as_a_problem() {
    let backend = Backend::answering("hello");
    let setup = TestGateway::in_front_of(&backend).settings("[limits]\nconnections = 1");
    let gateway = setup.routes(&route("auth = \"none\"")).start();
    let mut first = gateway.connect();
    first.send(&get("/").bytes());
    assert_eq!(first.read_response().status, 200);
    // Nothing is sent: what is not read when a connection closes resets it.
    let answer = gateway.connect().read_response();
    assert_eq!(problem_of(&answer), (503, "overloaded".to_owned()));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!((answer.header("retry-after"), answer.closed), (Some("1"), true));
    first.send(&get("/").bytes());
    assert_eq!(first.read_response().status, 200, "the one that has its place keeps it");
    drop(first);
    wait_until("the place is free again", || {
        let mut next = gateway.connect();
        next.send(&get("/").bytes());
        next.try_read_response().is_ok_and(|answer| answer.status == 200)
    });
}

/// A gateway that lets keys look after themselves, and a key that may not yet.
fn with_own_key() -> (Backend, TestGateway, Holder) {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).gateway("gateway.self_service = true\n").start();
    let key = gateway.create_key("ci").done();
    (backend, gateway, key)
}

fn allow(gateway: &TestGateway, key: &Holder) {
    let may = json!({ "self_service": true });
    assert_eq!(gateway.admin("PATCH", &format!("/v1/keys/{}", key.id), Some(&may)).status, 200);
}

fn renewed(gateway: &TestGateway, key: &Holder) {
    allow(gateway, key);
    gateway.renew(key).done();
}

/// What a key is answered that calls this of itself, after `prepare`.
fn of_itself(
    method: &str,
    call: &str,
    body: Option<&serde_json::Value>,
    prepare: impl FnOnce(&TestGateway, &mut Holder),
) -> RawResponse {
    let (_backend, gateway, mut key) = with_own_key();
    prepare(&gateway, &mut key);
    let asked = request(method, &format!("/.relevo/self{call}")).token(&key.token);
    gateway.ask(&match body {
        Some(body) => asked.header("Content-Type", "application/json").body(body.to_string()),
        None => asked,
    })
}

fn old_token_expired() -> RawResponse {
    let (_backend, gateway, _) = with_own_key();
    let key = gateway.create_key("short").with("duration", json!("1h")).with("self_service", json!(true)).done();
    gateway.clock.advance(Span::minutes(30));
    let new = gateway.renew(&key).done();
    gateway.clock.advance(Span::minutes(30));
    gateway.ask(&request("POST", "/.relevo/self/undo").token(&new.token))
}

fn store_unavailable() -> RawResponse {
    let conduct = Arc::new(Broken::default());
    let broken = Arc::clone(&conduct);
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).gateway("gateway.self_service = true\n");
    let gateway = gateway.store(move |store| Misbehaving::store(store, &broken)).start();
    let key = gateway.create_key("ci").with("self_service", json!(true)).done();
    conduct.0.store(true, Ordering::Relaxed);
    gateway.ask(&request("GET", "/.relevo/self").token(&key.token))
}

/// A store that fails once it is told to.
#[derive(Default)]
struct Broken(AtomicBool);

impl Conduct for Broken {
    fn failure(&self) -> Option<StoreError> {
        self.0.load(Ordering::Relaxed).then(|| StoreError::Unavailable("/var/lib/relevo.redb is full".into()))
    }
}
