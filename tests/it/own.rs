//! Keys that look after themselves, at `/.relevo/self`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use relevo::domain::Span;
use relevo::store::StoreError;
use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::client::RawResponse;
use crate::support::gateway::{Holder, Setup, TestGateway};
use crate::support::modern::Modern;
use crate::support::request::{Request, request};
use crate::support::store::{Conduct, Misbehaving};

const SELF: &str = "/.relevo/self";

fn offering(backend: &Backend) -> Setup {
    TestGateway::in_front_of(backend).gateway("gateway.self_service = true\n")
}

/// A key that may look after itself.
fn own(gateway: &TestGateway, name: &str) -> Holder {
    gateway.create_key(name).with("self_service", json!(true)).done()
}

fn get(token: &str) -> Request {
    request("GET", SELF).token(token)
}

fn post(call: &str, token: &str) -> Request {
    request("POST", &format!("{SELF}/{call}")).token(token)
}

fn sending(call: &str, token: &str, body: &Value) -> Request {
    post(call, token).header("Content-Type", "application/json").body(body.to_string())
}

#[track_caller]
fn told(gateway: &TestGateway, asked: &Request, status: u16) -> Value {
    let answer = gateway.ask(asked);
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("x-request-id").is_some());
    json_of(&answer)
}

fn json_of(answer: &RawResponse) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[track_caller]
fn refused(gateway: &TestGateway, asked: &Request, status: u16, code: &str) -> Value {
    let answer = told(gateway, asked, status);
    assert_eq!(answer["code"], code, "{answer}");
    answer
}

fn states(key: &Value) -> Vec<&str> {
    key["tokens"].as_array().expect("tokens").iter().map(|token| token["state"].as_str().expect("a state")).collect()
}

fn token_of(answer: &Value) -> &str {
    answer["token"].as_str().expect("a token")
}

#[test]
fn a_key_renews_itself_from_the_first_look_to_the_end_of_the_old_token() {
    let backend = Backend::answering("hello");
    let gateway = offering(&backend).start();
    let key = own(&gateway, "ci");
    let other = own(&gateway, "other");
    let seen = told(&gateway, &get(&key.token), 200);
    assert_eq!((&seen["id"], &seen["name"], &seen["status"]), (&json!(key.id), &json!("ci"), &json!("active")));
    assert_eq!(
        (states(&seen), &seen["tokens"][0]["shown"], &seen["renewal"]),
        (vec!["current"], &json!(true), &Value::Null)
    );

    let renewed = told(&gateway, &sending("renew", &key.token, &json!({"delete_old": {"when_quiet": "24h"}})), 201);
    let new = token_of(&renewed).to_owned();
    assert_eq!(states(&renewed["key"]), ["old", "new"]);
    assert_eq!(renewed["key"]["renewal"]["delete_old"], json!({"when_quiet": "24h"}));
    let answer = gateway.ask(&get(&key.token));
    assert_eq!((answer.status, answer.header("relevo-token")), (200, Some("old")));
    assert!(!answer.text().contains("callers") && !answer.text().contains("127.0.0.1"), "{}", answer.text());
    refused(&gateway, &post("renew", &key.token), 409, "renewal_open");
    refused(&gateway, &post("delete-old", &key.token), 409, "new_token_needed");
    refused(&gateway, &post("undo", &new), 409, "old_token_needed");
    let both = told(&gateway, &get(&new), 200);
    assert_eq!((&both["tokens"][0]["shown"], &both["tokens"][1]["shown"]), (&json!(false), &json!(true)));

    let closed = told(&gateway, &post("delete-old", &new), 200);
    assert_eq!((states(&closed["key"]), closed.get("token")), (vec!["current"], None));
    refused(&gateway, &get(&key.token), 401, "token_superseded");
    refused(&gateway, &post("delete-old", &new), 409, "no_old_token");
    refused(&gateway, &post("undo", &new), 409, "no_old_token");
    assert_eq!(gateway.status_with(&Holder { token: new, ..key.clone() }), 200);
    assert_eq!(states(&told(&gateway, &get(&other.token), 200)), ["current"], "another key is as it was");
    assert_eq!(backend.wait_for(1).len(), 1, "nothing of it was forwarded");

    let audit = gateway.admin("GET", &format!("/v1/audit?key={}", key.id), None).json;
    let events: Vec<_> = audit["events"].as_array().expect("events").iter().collect();
    let by_itself: Vec<_> = events.iter().filter(|event| event["actor"] == key.id.as_str()).collect();
    let actions: Vec<_> = by_itself.iter().map(|event| event["action"].as_str().expect("an action")).collect();
    assert_eq!(actions, ["renewal.opened", "renewal.completed"]);
    assert!(by_itself.iter().all(|event| event["address"] == "127.0.0.1"), "{by_itself:?}");
    assert_eq!(events[0]["after"]["self_service"], json!(true));
}

#[test]
fn a_renewal_is_undone_with_the_old_token_and_a_digest_may_come_twice() {
    let backend = Backend::answering("hello");
    let gateway = offering(&backend).start();
    let key = own(&gateway, "ci");
    let minted = told(&gateway, &post("renew", &key.token), 201);
    let undone = told(&gateway, &post("undo", &key.token), 200);
    assert_eq!(states(&undone["key"]), ["current"]);
    refused(&gateway, &get(token_of(&minted)), 401, "token_superseded");

    let digest = json!({"digest": format!("sha256:{}", "ab".repeat(32))});
    for status in [201, 200] {
        let renewed = told(&gateway, &sending("renew", &key.token, &digest), status);
        assert_eq!((states(&renewed["key"]), renewed.get("token")), (vec!["old", "new"], None));
    }
    let other = own(&gateway, "other");
    refused(&gateway, &sending("renew", &other.token, &digest), 409, "digest_in_use");
}

#[test]
fn it_is_the_same_over_http2_and_in_every_spelling() {
    let backend = Backend::answering("hello");
    let gateway = offering(&backend).start();
    let key = own(&gateway, "ci");
    let mut client = Modern::in_clear(gateway.address()).expect("connected");
    let bearer = format!("Bearer {}", key.token);
    let renew = client.request("/.relevo/self/renew").method("POST").header("authorization", &bearer);
    let renewed = client.ask(renew.header("content-type", "application/json"), "{}").expect("an answer");
    assert_eq!(renewed.status, 201);
    let new = token_of(&serde_json::from_slice(&renewed.body).expect("JSON")).to_owned();
    let shown = client.ask(client.request(SELF).header("x-api-key", &new), "").expect("an answer");
    assert_eq!(states(&serde_json::from_slice(&shown.body).expect("JSON")), ["old", "new"]);
    assert_eq!(client.get("/", &key).expect("an answer").status, 200);
    let spelled = request("GET", "/%2Erel%65vo/self").token(&new);
    assert_eq!(gateway.ask(&spelled).status, 200, "as routes compare paths");
    let mut heads = gateway.connect().asking_heads();
    heads.send(&request("HEAD", SELF).token(&new).bytes());
    let head = heads.read_response();
    assert!(head.status == 200 && head.body.is_empty());
    assert_eq!(backend.wait_for(1).len(), 1, "nothing of it was forwarded");
}

#[test]
fn who_may_not_pass_may_not_ask_either_and_failures_and_limits_count() {
    let backend = Backend::answering("hello");
    let gateway = offering(&backend).settings("[limits]\nfailures = 4\n").start();
    let set = |key: &Holder, change: Value| {
        let path = format!("/v1/keys/{}", key.id);
        assert_eq!(gateway.admin("PATCH", &path, Some(&change)).status, 200);
    };
    let plain = gateway.create_key("plain").done();
    let denied = gateway.ask(&get(&plain.token));
    assert_eq!((denied.status, json_of(&denied)["code"].as_str()), (403, Some("self_service_not_allowed")));
    refused(&gateway, &post("renew", &plain.token), 403, "self_service_not_allowed");
    set(&plain, json!({"self_service": true}));
    told(&gateway, &get(&plain.token), 200);
    set(&plain, json!({"self_service": false}));
    refused(&gateway, &post("renew", &plain.token), 403, "self_service_not_allowed");

    let limited = own(&gateway, "limited");
    set(&limited, json!({"limits": {"rate": {"requests": 1, "per": "1m"}}}));
    let first = gateway.ask(&get(&limited.token));
    assert!(first.status == 200 && first.header("ratelimit").is_some());
    refused(&gateway, &post("renew", &limited.token), 429, "rate_limited");

    let key = own(&gateway, "ci");
    refused(&gateway, &request("GET", SELF), 401, "credential_missing");
    set(&key, json!({"status": "inactive"}));
    refused(&gateway, &get(&key.token), 401, "credential_invalid");
    set(&key, json!({"status": "active", "allowed_addresses": ["192.0.2.0/24"]}));
    refused(&gateway, &post("renew", &key.token), 401, "credential_invalid");
    refused(&gateway, &get(gateway.root_token()), 401, "credential_invalid");
    set(&key, json!({"allowed_addresses": []}));
    told(&gateway, &get(&key.token), 200);
    let many = (0..5).map(|_| gateway.ask(&get("nobody's-token-at-all")).status).collect::<Vec<_>>();
    assert!(many.contains(&429), "{many:?}");
    told(&gateway, &get(&key.token), 200);
    assert!(backend.requests().is_empty());
}

#[test]
fn what_is_not_a_call_is_told_so_and_goes_to_no_backend() {
    let backend = Backend::answering("hello");
    let gateway = offering(&backend).start();
    let key = own(&gateway, "ci");
    for (asked, status, code) in [
        (request("GET", "/.relevo").token(&key.token), 404, "no_route"),
        (request("GET", "/.relevo/").token(&key.token), 404, "no_route"),
        (request("GET", "/.relevo/other").token(&key.token), 404, "no_route"),
        (request("POST", SELF).token(&key.token), 405, "method_not_allowed"),
        (request("GET", "/.relevo/self/renew").token(&key.token), 405, "method_not_allowed"),
        (request("POST", "/.relevo/self/undo?force=1").token(&key.token), 400, "invalid_request"),
        (post("renew", &key.token).body("{}"), 415, "unsupported_media_type"),
        (sending("renew", &key.token, &json!({"delete_old": "now"})), 400, "invalid_request"),
        (sending("renew", &key.token, &json!({"name": "x"})), 400, "invalid_request"),
        (sending("delete-old", &key.token, &json!({"x": 1})), 400, "invalid_request"),
        (sending("renew", &key.token, &json!({"x": "y".repeat(5_000)})), 413, "body_too_large"),
    ] {
        refused(&gateway, &asked, status, code);
    }
    assert_eq!(states(&told(&gateway, &get(&key.token), 200)), ["current"]);
    assert!(backend.requests().is_empty());
}

#[test]
fn where_it_is_not_offered_the_path_is_like_any_other_and_a_reload_offers_it() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let key = own(&gateway, "ci");
    assert_eq!(gateway.ask(&get(&key.token)).status, 200);
    assert_eq!(backend.wait_for(1)[0].target, SELF);
}

/// A store that fails, or is held up, when it is told to.
#[derive(Default)]
struct Held {
    fails: AtomicBool,
    stuck: Mutex<bool>,
    changed: Condvar,
}

impl Held {
    fn hold(&self, is_held: bool) {
        *self.stuck.lock().expect("unpoisoned") = is_held;
        self.changed.notify_all();
    }
}

impl Conduct for Held {
    fn failure(&self) -> Option<StoreError> {
        let mut is_held = self.stuck.lock().expect("unpoisoned");
        while *is_held {
            is_held = self.changed.wait(is_held).expect("unpoisoned");
        }
        self.fails.load(Ordering::Relaxed).then(|| StoreError::Unavailable("/var/lib/relevo.redb is full".into()))
    }
}

#[test]
fn a_store_that_fails_is_told_and_one_that_is_slow_holds_up_nobody_else() {
    let backend = Backend::answering("hello");
    let conduct = Arc::new(Held::default());
    let held = Arc::clone(&conduct);
    let gateway = offering(&backend).workers(1).store(move |store| Misbehaving::store(store, &held)).start();
    let key = own(&gateway, "ci");
    conduct.fails.store(true, Ordering::Relaxed);
    let unavailable = gateway.ask(&post("renew", &key.token));
    assert_eq!((unavailable.status, unavailable.header("retry-after")), (503, Some("1")));
    assert!(json_of(&unavailable)["code"] == "store_unavailable" && !unavailable.text().contains("/var/lib"));
    conduct.fails.store(false, Ordering::Relaxed);

    conduct.hold(true);
    let mut waiting = gateway.connect();
    waiting.send(&post("renew", &key.token).bytes());
    for _ in 0..50 {
        assert_eq!(gateway.status_with(&key), 200, "the one worker serves others meanwhile");
    }
    assert!(!waiting.is_readable());
    conduct.hold(false);
    let renewed = waiting.read_response();
    assert_eq!(renewed.status, 201, "{}", renewed.text());
    gateway.clock.advance(Span::seconds(1));
    told(&gateway, &get(token_of(&json_of(&renewed))), 200);
}
