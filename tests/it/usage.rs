//! Who still uses which token, and what that decides: the story of a renewal as its operator sees it.
//!
//! Promises: time passes only when a test says so, and what the workers have noted is waited for.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use relevo::domain::{KeyId, Span};
use relevo::store::{KeyRef, StoreError, What, Write};
use serde_json::{Value, json};

use crate::support::backend::{Backend, Gate};
use crate::support::gateway::{AdminReply, Holder, TestGateway, wait_until};
use crate::support::request::request;
use crate::support::store::{Conduct, Misbehaving};

/// The key as the admin port shows it.
fn shown(gateway: &TestGateway, holder: &Holder) -> Value {
    gateway.admin("GET", &format!("/v1/keys/{}", holder.id), None).json
}

/// A request of the integration with this name, that passes.
#[track_caller]
fn call(gateway: &TestGateway, holder: &Holder, integration: &str) {
    let asked = request("GET", "/").token(&holder.token).header("User-Agent", integration);
    assert_eq!(gateway.ask(&asked).status, 200, "{integration}");
}

/// The user agents that use the old (new) token, sorted.
fn callers(gateway: &TestGateway, holder: &Holder, token: &str) -> Vec<String> {
    let key = shown(gateway, holder);
    let list = key["renewal"][format!("{token}_token_callers")].as_array().cloned().unwrap_or_default();
    let mut agents: Vec<_> =
        list.iter().map(|caller| caller["user_agent"].as_str().unwrap_or("-").to_owned()).collect();
    agents.sort();
    agents
}

#[track_caller]
fn wait_for_callers(gateway: &TestGateway, holder: &Holder, token: &str, expected: &[&str]) {
    wait_until(&format!("{expected:?} use the {token} token"), || callers(gateway, holder, token) == expected);
}

/// Waits until everybody knows that the token at this place of the key was used just now.
#[track_caller]
fn wait_for_use(gateway: &TestGateway, holder: &Holder, place: usize) {
    let now = gateway.clock.now().to_string();
    let last = |key: &Value| key["tokens"][place]["usage"]["last_used_at"].clone();
    wait_until("the use is known", || last(&shown(gateway, holder)) == now.as_str());
}

fn guarded(gateway: &TestGateway, holder: &Holder, command: &str, within: &str) -> AdminReply {
    gateway.admin("POST", &format!("/v1/keys/{}/{command}?unless_used_within={within}", holder.id), None)
}

/// Status and code of a reply.
fn answer(reply: &AdminReply) -> (u16, &str) {
    (reply.status, reply.json["code"].as_str().unwrap_or_default())
}

#[test]
fn the_old_token_goes_by_itself_after_the_last_integration_has_moved_and_not_while_one_has_not() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let quiet = json!({ "when_quiet": "8d" });
    let stays_old = gateway.create_key("one never moves").done();
    let stays_new = gateway.renew(&stays_old).with("delete_old", quiet.clone()).done();
    let old = gateway.create_key("all move").done();
    let new = gateway.renew(&old).with("delete_old", quiet).done();

    call(&gateway, &old, "billing");
    call(&gateway, &old, "shop");
    call(&gateway, &stays_new, "shop");
    wait_for_callers(&gateway, &old, "old", &["billing", "shop"]);
    assert!(callers(&gateway, &old, "new").is_empty());

    call(&gateway, &new, "billing"); // the first has moved
    wait_for_callers(&gateway, &old, "new", &["billing"]);
    gateway.clock.advance(Span::days(7).plus(Span::seconds(1)));
    call(&gateway, &old, "shop");
    wait_for_callers(&gateway, &old, "old", &["shop"]);

    call(&gateway, &new, "shop"); // and the last
    wait_for_callers(&gateway, &old, "new", &["shop"]);
    for _ in 0..8 {
        gateway.clock.advance(Span::days(1));
        call(&gateway, &stays_old, "forgotten");
        wait_for_use(&gateway, &stays_old, 0);
    }
    gateway.clock.advance(Span::minutes(1));
    wait_until("the old token is gone", || shown(&gateway, &old)["renewal"].is_null());
    assert_eq!((gateway.status_with(&old), gateway.status_with(&new)), (401, 200));
    let events = gateway.admin("GET", &format!("/v1/audit?key={}&action=renewal.completed", old.id), None).json;
    assert_eq!(events["events"][0]["actor"], "relevo");
    // The younger key's renewal is looked at last.
    assert!(shown(&gateway, &stays_old)["renewal"].is_object());
    assert_eq!((gateway.status_with(&stays_old), gateway.status_with(&stays_new)), (200, 200));
}

#[test]
fn the_old_token_is_deleted_only_when_nobody_has_used_it_for_the_time_named() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).done();
    call(&gateway, &old, "shop");
    gateway.clock.advance(Span::minutes(5));
    call(&gateway, &old, "billing");
    let refused = guarded(&gateway, &old, "delete-old", "3m");
    assert_eq!(answer(&refused), (409, "old_token_in_use"), "what no worker had told yet is known");
    assert_eq!(refused.json["callers"].as_array().map(Vec::len), Some(1), "{}", refused.json);
    assert_eq!(refused.json["callers"][0]["user_agent"], "billing");
    assert_eq!(guarded(&gateway, &old, "delete-old", "10m").json["callers"].as_array().map(Vec::len), Some(2));
    gateway.clock.advance(Span::minutes(10).plus(Span::seconds(1)));
    assert_eq!(answer(&guarded(&gateway, &old, "delete-old", "10m")), (200, ""));
    assert_eq!((gateway.status_with(&old), gateway.status_with(&new)), (401, 200));
    assert_eq!(answer(&guarded(&gateway, &old, "delete-old", "10m")), (409, "no_old_token"));
}

#[test]
fn a_renewal_is_undone_only_when_nobody_uses_the_new_token() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).done();
    call(&gateway, &old, "shop");
    call(&gateway, &new, "billing");
    let refused = guarded(&gateway, &old, "undo", "10m");
    assert_eq!(answer(&refused), (409, "new_token_in_use"));
    assert_eq!(refused.json["callers"][0]["user_agent"], "billing");
    gateway.clock.advance(Span::minutes(11));
    call(&gateway, &old, "shop");
    assert_eq!(answer(&guarded(&gateway, &old, "undo", "10m")), (200, ""));
    assert_eq!((gateway.status_with(&old), gateway.status_with(&new)), (200, 401));
}

#[test]
fn what_was_not_observed_is_not_taken_for_quiet() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).start();
    let old = gateway.create_key("ci").done();
    gateway.renew(&old).done();
    gateway.clock.advance(Span::hours(1));
    let clock = gateway.clock.clone();
    drop(gateway);
    let gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).clock(clock).start();
    assert_eq!(answer(&guarded(&gateway, &old, "delete-old", "10m")), (409, "usage_unknown"));
    gateway.clock.advance(Span::minutes(10));
    assert_eq!(answer(&guarded(&gateway, &old, "delete-old", "soon")), (400, "invalid_request"));
    assert_eq!(answer(&guarded(&gateway, &old, "delete-old", "10m")), (200, ""));
}

// Once, what could not be read counted as not used, and the token was deleted.
#[test]
fn a_token_whose_uses_cannot_be_read_is_not_taken_for_unused() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).start();
    let old = gateway.create_key("ci").done();
    gateway.renew(&old).done();
    call(&gateway, &old, "shop");
    let clock = gateway.clock.clone();
    drop(gateway);
    let file = folder.path().join("usage.redb");
    std::fs::remove_file(&file).expect("removed");
    std::fs::create_dir(&file).expect("in the way");
    let gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).clock(clock).start();
    gateway.clock.advance(Span::minutes(11));
    assert_eq!(answer(&guarded(&gateway, &old, "delete-old", "10m")), (409, "usage_unknown"));
    let usage = shown(&gateway, &old)["tokens"][0]["usage"].clone();
    assert_eq!([&usage["last_used_at"], &usage["requests_1h"], &usage["requests_24h"]], [&Value::Null; 3]);
    let is_told = || {
        let status = gateway.admin("GET", "/v1/status", None);
        status.json["health"]
            .as_array()
            .expect("conditions")
            .iter()
            .any(|told| told["name"] == "usage" && told["ok"] == json!(false))
    };
    wait_until("the condition says so", is_told);
}

#[test]
fn counts_and_callers_are_shown_and_survive_a_restart() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = TestGateway::in_front_of(&backend)
        .routes(
            "[[routes]]\npath = \"/\"\nupstream = \"backend\"\n[[routes]]\npath = \"/orders\"\nupstream = \"backend\"",
        )
        .kept_in(folder.path())
        .start();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).done();
    (0..3).for_each(|_| call(&gateway, &old, "shop"));
    let orders = request("GET", "/orders/7?a=b").token(&new.token).header("User-Agent", "shop");
    assert_eq!(gateway.ask(&orders).status, 200);
    let is_counted = |gateway: &TestGateway| {
        let key = shown(gateway, &old);
        let usage = [0, 1].map(|place| key["tokens"][place]["usage"].clone());
        let counts = usage.map(|usage| (usage["requests_1h"].clone(), usage["requests_24h"].clone()));
        let renewal = &key["renewal"];
        let heaviest = |list: &str| (renewal[list][0]["requests"].clone(), renewal[list][0]["route"].clone());
        counts == [(json!(3), json!(3)), (json!(1), json!(1))]
            && heaviest("old_token_callers") == (json!(3), json!("/"))
            && heaviest("new_token_callers") == (json!(1), json!("/orders"))
            && renewal["adoption"] == json!(0.25)
    };
    wait_until("all is counted", || is_counted(&gateway));
    let clock = gateway.clock.clone();
    drop(gateway);
    let gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).clock(clock).start();
    assert!(is_counted(&gateway), "{}", shown(&gateway, &old));
    assert_eq!(gateway.delete_old(&old).status, 200);
    let key = shown(&gateway, &old);
    assert_eq!((&key["tokens"][0]["usage"]["requests_24h"], &key["renewal"]), (&json!(1), &Value::Null));
}

/// A store with one damaged record, that takes its time for the first use of the key `slow`.
#[derive(Default)]
struct OneDamaged {
    damaged: OnceLock<KeyId>,
    asked: AtomicUsize,
    gate: Gate,
    is_held: AtomicBool,
}

impl Conduct for OneDamaged {
    fn damage(&self, key: &KeyRef) -> Option<StoreError> {
        let is_it = self.damaged.get().is_some_and(|damaged| *key == KeyRef::Id(*damaged));
        is_it.then(|| {
            self.asked.fetch_add(1, Ordering::SeqCst);
            StoreError::Corrupt("the record is not what was written".into())
        })
    }

    fn before_commit(&self, writes: &[Write]) {
        let is_slow = |write: &Write| matches!(&write.what, What::Replace(key, _) if key.name.as_str() == "slow");
        if writes.iter().any(is_slow) && !self.is_held.swap(true, Ordering::SeqCst) {
            self.gate.wait();
        }
    }
}

#[test]
fn a_damaged_record_keeps_no_other_first_use_from_being_written_and_is_not_tried_again_and_again() {
    let backend = Backend::answering("hello");
    let store = Arc::new(OneDamaged::default());
    let conduct = Arc::clone(&store);
    let gateway = TestGateway::in_front_of(&backend).store(move |inner| Misbehaving::store(inner, &conduct)).start();
    let slow = gateway.create_key("slow").done();
    let keys = ["a", "b", "damaged", "c", "d"].map(|name| gateway.create_key(name).done());
    let damaged = &keys[2];
    store.damaged.set(damaged.id.parse().expect("an id")).expect("nothing is damaged yet");
    assert_eq!(gateway.status_with(&slow), 200);
    wait_until("a first use is being written", || store.is_held.load(Ordering::SeqCst));
    for key in &keys {
        assert_eq!(gateway.status_with(key), 200);
    }
    store.gate.open();
    let is_written = |key: &Holder| shown(&gateway, key)["tokens"][0]["usage"]["first_used_at"].is_string();
    for key in keys.iter().filter(|key| key.id != damaged.id) {
        wait_until("the first use is written", || is_written(key));
    }
    let canary = gateway.create_key("canary").done();
    assert_eq!(gateway.status_with(&canary), 200);
    wait_until("all is written", || is_written(&canary));
    let asked = store.asked.load(Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(gateway.status_with(damaged), 200);
    }
    let last = gateway.create_key("last").done();
    assert_eq!(gateway.status_with(&last), 200);
    wait_until("all is written", || is_written(&last));
    assert_eq!(store.asked.load(Ordering::SeqCst), asked);
}
