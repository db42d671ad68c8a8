//! A way to every problem of the admin port.

use std::sync::{Arc, Mutex, PoisonError};

use relevo::domain::Span;
use relevo::store::StoreError;
use serde_json::{Value, json};

use super::Case;
use crate::support::backend::Backend;
use crate::support::client::{RawClient, RawResponse};
use crate::support::gateway::{Holder, TestGateway};
use crate::support::process::Process;
use crate::support::request::{Request, request};
use crate::support::store::{Conduct, Misbehaving};

pub(super) const CASES: [Case; 26] = [
    Case::new("invalid_request", 400, invalid_request),
    Case::new("unauthenticated", 401, unauthenticated).with("www-authenticate", "Bearer realm=\"relevo admin\""),
    Case::new("forbidden", 403, forbidden),
    Case::new("unknown_host", 421, unknown_host),
    Case::new("key_not_found", 404, || alone("GET", "/v1/keys/nobody", None)),
    Case::new("admin_not_found", 404, || alone("GET", "/v1/admins/nobody", None)),
    Case::new("not_found", 404, || alone("GET", "/v2/keys", None)),
    Case::new("method_not_allowed", 405, || alone("PUT", "/v1/keys", None)).with("allow", "GET,HEAD,POST"),
    Case::new("name_taken", 409, || with_key("POST", "/v1/keys", Some(json!({ "name": "CI" })))),
    Case::new("digest_in_use", 409, digest_in_use),
    Case::new("tokens_affected", 409, tokens_affected),
    Case::new("renewal_open", 409, renewal_open),
    Case::new("no_old_token", 409, no_old_token),
    Case::new("old_token_expired", 409, old_token_expired),
    Case::new("old_token_in_use", 409, || token_in_use("delete-old", "old")),
    Case::new("new_token_in_use", 409, || token_in_use("undo", "new")),
    Case::new("usage_unknown", 409, usage_unknown),
    Case::new("last_administrator", 409, || alone("DELETE", "/v1/admins/root", None)),
    Case::new("needs_restart", 409, needs_restart),
    Case::new("version_mismatch", 412, version_mismatch),
    Case::new("body_too_large", 413, body_too_large),
    Case::new("unsupported_media_type", 415, unsupported_media_type),
    Case::new("too_many_failures", 429, too_many_failures).with("retry-after", "60"),
    Case::new("too_many_streams", 429, too_many_streams),
    Case::new("internal", 500, || failing(StoreError::Corrupt("page 7 of /var/lib/relevo.redb".into()))),
    Case::new("store_unavailable", 503, || failing(StoreError::Unavailable("/var/lib/relevo.redb is full".into())))
        .with("retry-after", "1"),
];

fn gateway() -> (Backend, TestGateway) {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    (backend, gateway)
}

fn sent(gateway: &TestGateway, call: &Request) -> RawResponse {
    let mut client = RawClient::connect(gateway.admin_address());
    client.send(&call.bytes());
    let answer = client.read_response();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer
}

fn json_call(gateway: &TestGateway, method: &str, path: &str, body: Option<Value>) -> RawResponse {
    let call = gateway.call(method, path);
    let call = match body {
        Some(body) => call.header("Content-Type", "application/json").body(body.to_string()),
        None => call,
    };
    sent(gateway, &call)
}

/// On a gateway without keys.
fn alone(method: &str, path: &str, body: Option<Value>) -> RawResponse {
    let (_backend, gateway) = gateway();
    json_call(&gateway, method, path, body)
}

/// On a gateway with the key `ci`.
fn with_key(method: &str, path: &str, body: Option<Value>) -> RawResponse {
    let (_backend, gateway) = gateway();
    gateway.create_key("ci").done();
    json_call(&gateway, method, path, body)
}

fn path(key: &Holder, end: &str) -> String {
    format!("/v1/keys/{}{end}", key.id)
}

fn invalid_request() -> RawResponse {
    let answer = alone("POST", "/v1/keys", Some(json!({ "name": "a/b", "roles": ["ok", "Not Ok"], "colour": 1 })));
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let places: Vec<_> = body["errors"].as_array().expect("a list").iter().map(|error| &error["path"]).collect();
    assert_eq!(places, ["name", "roles[1]", "colour"]);
    answer
}

fn unauthenticated() -> RawResponse {
    let (_backend, gateway) = gateway();
    let key = gateway.create_key("ci").done();
    let missing = sent(&gateway, &request("GET", "/v1/keys"));
    for token in [key.token.as_str(), "nobody's-token-at-all", "x"] {
        let answer = sent(&gateway, &request("GET", "/v1/keys").token(token));
        assert_eq!((answer.status, answer.body), (missing.status, missing.body.clone()), "one and the same answer");
    }
    missing
}

fn forbidden() -> RawResponse {
    let (_backend, gateway) = gateway();
    let cross_site = gateway.call("GET", "/v1/keys").header("Sec-Fetch-Site", "cross-site");
    sent(&gateway, &cross_site)
}

fn unknown_host() -> RawResponse {
    let (_backend, gateway) = gateway();
    let console = sent(&gateway, &request("GET", "/console/sign-in").host("rebound.example"));
    assert_eq!(console.status, 421, "no page either");
    sent(&gateway, &gateway.call("GET", "/v1/keys").host("rebound.example"))
}

fn digest_in_use() -> RawResponse {
    let digest = json!(format!("sha256:{}", "ab".repeat(32)));
    let (_backend, gateway) = gateway();
    let created = json_call(&gateway, "POST", "/v1/keys", Some(json!({ "name": "ci", "digest": digest })));
    assert_eq!(created.status, 201);
    json_call(&gateway, "POST", "/v1/keys", Some(json!({ "name": "other", "digest": digest })))
}

fn tokens_affected() -> RawResponse {
    let (_backend, gateway) = gateway();
    let key = gateway.create_key("ci").done();
    gateway.clock.advance(Span::hours(2));
    let answer = json_call(&gateway, "PATCH", "/v1/settings", Some(json!({ "duration": "1h" })));
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let expected = (&json!(1), &json!(0), &json!([{ "id": key.id, "name": "ci" }]));
    assert_eq!((&body["ends"], &body["revives"], &body["keys"]), expected);
    let other = json_call(&gateway, "PATCH", &path(&key, ""), Some(json!({ "duration": "1h" })));
    assert_eq!(other.status, 409);
    assert_eq!(gateway.status_with(&key), 200, "nothing changed");
    answer
}

fn renewal_open() -> RawResponse {
    let (_backend, gateway) = gateway();
    let key = gateway.create_key("ci").done();
    let new = gateway.renew(&key).done();
    let now = json_call(&gateway, "POST", &path(&key, "/renew"), Some(json!({ "delete_old": "now" })));
    assert_eq!(now.status, 409);
    let answer = json_call(&gateway, "POST", &path(&key, "/renew"), None);
    assert_eq!((gateway.status_with(&key), gateway.status_with(&new)), (200, 200), "nothing changed");
    answer
}

fn no_old_token() -> RawResponse {
    let (_backend, gateway) = gateway();
    let key = gateway.create_key("ci").done();
    let plan = json_call(&gateway, "PATCH", &path(&key, "/renewal"), Some(json!({ "delete_old": "later" })));
    let undo = json_call(&gateway, "POST", &path(&key, "/undo"), None);
    let answer = json_call(&gateway, "POST", &path(&key, "/delete-old"), None);
    for other in [plan, undo] {
        assert_eq!(super::problem_of(&other), super::problem_of(&answer));
    }
    answer
}

fn old_token_expired() -> RawResponse {
    let (_backend, gateway) = gateway();
    let key = gateway.create_key("ci").with("duration", json!("1h")).done();
    gateway.clock.advance(Span::minutes(30));
    gateway.renew(&key).done();
    gateway.clock.advance(Span::minutes(30));
    json_call(&gateway, "POST", &path(&key, "/undo"), None)
}

fn token_in_use(command: &str, used: &str) -> RawResponse {
    let (_backend, gateway) = gateway();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).done();
    assert_eq!(gateway.status_with(if used == "old" { &old } else { &new }), 200);
    let answer = json_call(&gateway, "POST", &path(&old, &format!("/{command}?unless_used_within=10m")), None);
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let caller = &body["callers"][0];
    assert_eq!(
        (&caller["address"], &caller["route"], &caller["requests"]),
        (&json!("127.0.0.1"), &json!("/"), &json!(1))
    );
    assert_eq!((gateway.status_with(&old), gateway.status_with(&new)), (200, 200), "nothing changed");
    answer
}

/// Of a gateway that has just been started again.
fn usage_unknown() -> RawResponse {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).start();
    let (key, clock) = (gateway.create_key("ci").done(), gateway.clock.clone());
    gateway.renew(&key).done();
    drop(gateway);
    clock.advance(Span::seconds(1));
    let gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).clock(clock).start();
    json_call(&gateway, "POST", &path(&key, "/delete-old?unless_used_within=10m"), None)
}

/// Of a process, which has a file to be read again.
fn needs_restart() -> RawResponse {
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
                         [store]\npath = \"relevo.redb\"\n[drain]\ndelay = \"0s\"\n";
    let process = Process::serve(folder.path(), configuration);
    let changed = configuration.replace("workers = 1", "workers = 2");
    std::fs::write(folder.path().join("relevo.toml"), changed).expect("written");
    let root = std::fs::read_to_string(folder.path().join("admin.token")).expect("the first administrator's token");
    let mut client = RawClient::connect(process.admin);
    client.send(&request("POST", "/v1/reload").token(root.trim()).bytes());
    client.read_response()
}

fn version_mismatch() -> RawResponse {
    let (_backend, gateway) = gateway();
    let key = gateway.create_key("ci").done();
    let conditional = |method: &str, end: &str, etag: &str| {
        sent(&gateway, &gateway.call(method, &path(&key, end)).header("If-Match", etag))
    };
    for (method, end) in [("DELETE", ""), ("POST", "/renew"), ("POST", "/undo"), ("POST", "/delete-old")] {
        assert_eq!(conditional(method, end, "\"v7\"").status, 412, "{method} {end}");
        assert_eq!(conditional(method, end, "W/\"v1\"").status, 412, "{method} {end}: a weak tag matches nothing");
    }
    let answer = conditional("POST", "/renew", "\"v0\"");
    assert_eq!(conditional("POST", "/renew", "\"v1\"").status, 201);
    answer
}

fn body_too_large() -> RawResponse {
    let body = format!("{{\"name\": \"ci\"{}}}", " ".repeat(64 * 1024));
    let (_backend, gateway) = gateway();
    let call = gateway.call("POST", "/v1/keys").header("Content-Type", "application/json").body(body);
    sent(&gateway, &call)
}

fn unsupported_media_type() -> RawResponse {
    let (_backend, gateway) = gateway();
    let form = gateway.call("POST", "/v1/keys").header("Content-Type", "application/x-www-form-urlencoded");
    sent(&gateway, &form.body("{\"name\": \"ci\"}"))
}

fn too_many_failures() -> RawResponse {
    let (_backend, gateway) = gateway();
    let bad = request("GET", "/v1/keys").token("nobody's-token-at-all");
    for _ in 0..relevo::admin::sign_ins::MOST {
        assert_eq!(sent(&gateway, &bad).status, 401);
    }
    let answer = sent(&gateway, &bad);
    assert_eq!(sent(&gateway, &gateway.call("GET", "/v1/keys")).status, 200, "a good token never pays for it");
    answer
}

fn too_many_streams() -> RawResponse {
    let (_backend, gateway) = gateway();
    let open = || {
        let mut client = RawClient::connect(gateway.admin_address());
        client.send(&gateway.call("GET", "/v1/events").bytes());
        client.read_at_least(1); // the head of the reply
        client
    };
    let _open: Vec<_> = (0..8).map(|_| open()).collect();
    sent(&gateway, &gateway.call("GET", "/v1/events"))
}

/// A store that stops to answer.
#[derive(Default)]
struct Failing(Mutex<Option<StoreError>>);

impl Conduct for Failing {
    fn failure(&self) -> Option<StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The answer to a renewal when the store fails so. Nothing of the failure is told, and traffic goes on.
fn failing(error: StoreError) -> RawResponse {
    let backend = Backend::answering("hello");
    let conduct = Arc::new(Failing::default());
    let shared = Arc::clone(&conduct);
    let gateway = TestGateway::in_front_of(&backend).store(move |store| Misbehaving::store(store, &shared)).start();
    let key = gateway.create_key("ci").done();
    *conduct.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    let answer = json_call(&gateway, "POST", &path(&key, "/renew"), None);
    assert!(!answer.text().contains("/var/lib"), "{}", answer.text());
    assert_eq!(gateway.status_with(&key), 200, "the gateway reads memory");
    *conduct.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    gateway.renew(&key).done();
    answer
}
