//! What time does to keys by itself: deadlines, quiet, and the end of a token's duration.
//!
//! Promises: time passes only when a test says so. That nothing was settled is judged after something was: a canary's
//! renewal, which is looked at after every other.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use relevo::clock::Clock;
use relevo::domain::{Action, Span, Timestamp};
use relevo::store::{Conflict, StoreError, What, Write};
use serde_json::{Value, json};

use crate::support::backend::{Backend, Gate};
use crate::support::gateway::{AdminReply, Holder, TestGateway, wait_until};
use crate::support::request::request;
use crate::support::store::{Conduct, Misbehaving};

/// The key as the admin port shows it.
fn shown(gateway: &TestGateway, holder: &Holder) -> Value {
    gateway.admin("GET", &format!("/v1/keys/{}", holder.id), None).json
}

/// The events of the key with this action.
fn events(gateway: &TestGateway, holder: &Holder, action: &str) -> Vec<Value> {
    let reply = gateway.admin("GET", &format!("/v1/audit?key={}&action={action}", holder.id), None);
    reply.json["events"].as_array().unwrap_or_else(|| panic!("{}", reply.json)).clone()
}

/// Waits for the key's only event with this action; the answer is who did it and when.
#[track_caller]
fn settled(gateway: &TestGateway, holder: &Holder, action: &str) -> (String, String) {
    wait_until(action, || !events(gateway, holder, action).is_empty());
    let [event] = &events(gateway, holder, action)[..] else { panic!("{action} more than once") };
    let text = |field: &str| event[field].as_str().expect("a text").to_owned();
    (text("actor"), text("at"))
}

/// By `relevo`, at `at`.
fn by_itself(at: Timestamp) -> (String, String) {
    ("relevo".to_owned(), at.to_string())
}

/// Changes the plan.
fn plan(gateway: &TestGateway, holder: &Holder, plan: &Value) -> AdminReply {
    let body = json!({ "delete_old": plan });
    gateway.admin("PATCH", &format!("/v1/keys/{}/renewal", holder.id), Some(&body))
}

fn statuses(gateway: &TestGateway, old: &Holder, new: &Holder) -> (u16, u16) {
    (gateway.status_with(old), gateway.status_with(new))
}

/// The code of the data plane's refusal of this token.
fn refusal(gateway: &TestGateway, holder: &Holder) -> String {
    let answer = gateway.ask(&request("GET", "/").token(&holder.token));
    assert_eq!(answer.status, 401);
    let problem: Value = serde_json::from_slice(&answer.body).expect("a problem");
    problem["code"].as_str().expect("a code").to_owned()
}

/// Uses a new token and waits until that is a durable fact.
fn adopt(gateway: &TestGateway, new: &Holder) {
    assert_eq!(gateway.status_with(new), 200);
    wait_until("the first use is durable", || !events(gateway, new, "renewal.adopted").is_empty());
}

/// Uses the key's first token twice, a second apart, and waits until the later use is known to everybody: the first use
/// of all is told by another way. One connection, so that one worker tells of both.
fn use_token(gateway: &TestGateway, holder: &Holder) {
    let mut client = gateway.connect();
    let mut status = || {
        client.send(&request("GET", "/").token(&holder.token).bytes());
        client.read_response().status
    };
    assert_eq!(status(), 200);
    gateway.clock.advance(Span::seconds(1));
    assert_eq!(status(), 200);
    let now = gateway.clock.now().to_string();
    wait_until("the use is known", || shown(gateway, holder)["tokens"][0]["usage"]["last_used_at"] == now.as_str());
}

/// A key with a used new token whose renewal ends with the next look at the time, if `span` passes meanwhile: the
/// youngest key, so the last to be looked at.
fn canary(gateway: &TestGateway, name: &str, plan: &Value) -> Holder {
    let key = gateway.create_key(name).done();
    let new = gateway.renew(&key).with("delete_old", plan.clone()).done();
    adopt(gateway, &new);
    assert!(shown(gateway, &key)["renewal"].is_object()); // its quiet is watched from here on
    new
}

// Rule 4.
#[test]
fn a_held_renewal_equals_later_until_it_has_a_new_plan() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let opened_at = gateway.clock.now();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).deleting_old_after(Span::minutes(5)).done();
    gateway.clock.advance(Span::minutes(7));
    assert_eq!(settled(&gateway, &old, "renewal.held"), by_itself(opened_at.plus(Span::minutes(5))));
    let renewal = &shown(&gateway, &old)["renewal"];
    assert_eq!(
        (&renewal["held"], &renewal["delete_old"], &renewal["due_at"]),
        (&json!(true), &json!("later"), &Value::Null)
    );

    adopt(&gateway, &new);
    let canary = canary(&gateway, "canary", &json!({ "after": "1h" }));
    gateway.clock.advance(Span::days(60));
    settled(&gateway, &canary, "renewal.completed");
    assert_eq!(statuses(&gateway, &old, &new), (200, 200));

    let reply = plan(&gateway, &old, &json!({ "after": "61d" }));
    let renewal = &reply.json["key"]["renewal"];
    let due_at = opened_at.plus(Span::days(61));
    assert_eq!(
        (reply.status, &renewal["held"], &renewal["delete_old"]),
        (200, &json!(false), &json!({ "after": "61d" }))
    );
    assert_eq!(renewal["due_at"], due_at.to_string());
    gateway.clock.advance(Span::days(1));
    assert_eq!(statuses(&gateway, &old, &new), (401, 200));
    assert_eq!(settled(&gateway, &old, "renewal.completed"), by_itself(due_at));
}

// Rule 4.
#[test]
fn an_armed_deadline_is_settled_at_the_instant_it_fell_due() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let due_at = gateway.clock.now().plus(Span::minutes(5));
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).deleting_old_after(Span::minutes(5)).done();
    assert_eq!(shown(&gateway, &old)["renewal"]["due_at"], due_at.to_string());
    adopt(&gateway, &new);
    gateway.clock.advance(Span::minutes(9));
    assert_eq!(settled(&gateway, &old, "renewal.completed"), by_itself(due_at));
    let key = shown(&gateway, &old);
    assert_eq!((&key["renewal"], key["tokens"].as_array().map(Vec::len)), (&Value::Null, Some(1)));
    assert_eq!(key["tokens"][0]["state"], "current");
    assert_eq!(refusal(&gateway, &old), "token_superseded");
    assert!(events(&gateway, &old, "renewal.held").is_empty());
    assert_eq!((gateway.undo(&old).json)["code"], "no_old_token");
}

// Rule 4.
#[test]
fn with_on_unused_delete_the_old_token_ends_although_nobody_used_the_new_one() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let due_at = gateway.clock.now().plus(Span::minutes(5));
    let old = gateway.create_key("ci").done();
    let asked = json!({ "after": "5m", "on_unused": "delete" });
    let new = gateway.renew(&old).with("delete_old", asked.clone()).done();
    assert_eq!(shown(&gateway, &old)["renewal"]["delete_old"], asked);
    gateway.clock.advance(Span::minutes(6));
    assert_eq!(gateway.status_with(&old), 401);
    assert_eq!(settled(&gateway, &old, "renewal.completed"), by_itself(due_at));
    assert_eq!(statuses(&gateway, &old, &new), (401, 200));
}

// Rule 5.
#[test]
fn quiet_before_the_renewal_does_not_count_and_none_counts_until_the_new_token_was_used() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    use_token(&gateway, &old);
    gateway.clock.advance(Span::days(30));
    let new = gateway.renew(&old).with("delete_old", json!({ "when_quiet": "24h" })).done();
    assert_eq!(shown(&gateway, &old)["renewal"]["quiet_since"], gateway.clock.now().to_string());

    let first = canary(&gateway, "first", &json!({ "when_quiet": "1m" }));
    gateway.clock.advance(Span::hours(23));
    settled(&gateway, &first, "renewal.completed");
    assert!(shown(&gateway, &old)["renewal"].is_object(), "thirty days of quiet before the renewal have counted");

    let second = canary(&gateway, "second", &json!({ "when_quiet": "1m" }));
    gateway.clock.advance(Span::hours(23));
    settled(&gateway, &second, "renewal.completed");
    assert!(shown(&gateway, &old)["renewal"].is_object(), "nobody has used the new token");

    adopt(&gateway, &new);
    gateway.clock.advance(Span::minutes(1));
    assert_eq!(settled(&gateway, &old, "renewal.completed"), by_itself(gateway.clock.now()));
    assert_eq!(statuses(&gateway, &old, &new), (401, 200));
}

// Rule 5.
#[test]
fn each_use_of_the_old_token_begins_its_quiet_anew() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).with("delete_old", json!({ "when_quiet": "24h" })).done();
    adopt(&gateway, &new);
    gateway.clock.advance(Span::hours(23));
    use_token(&gateway, &old);
    assert_eq!(shown(&gateway, &old)["renewal"]["quiet_since"], gateway.clock.now().to_string());
    let canary = canary(&gateway, "canary", &json!({ "when_quiet": "1m" }));
    gateway.clock.advance(Span::hours(23));
    settled(&gateway, &canary, "renewal.completed");
    assert!(shown(&gateway, &old)["renewal"].is_object());
    gateway.clock.advance(Span::hours(1));
    settled(&gateway, &old, "renewal.completed");
    assert_eq!(statuses(&gateway, &old, &new), (401, 200));
}

/// A store in which the first end of a renewal takes until the gate is opened.
#[derive(Default)]
struct SlowToEnd {
    gate: Gate,
    is_held: AtomicBool,
}

impl Conduct for SlowToEnd {
    fn before_commit(&self, writes: &[Write]) {
        let ends = |write: &Write| write.events.iter().any(|event| event.action == Action::RenewalCompleted);
        if writes.iter().any(ends) && !self.is_held.swap(true, Ordering::SeqCst) {
            self.gate.wait();
        }
    }
}

// Rule 5.
#[test]
fn a_use_of_an_old_token_counts_also_while_others_that_were_quiet_with_it_are_ended() {
    let backend = Backend::answering("hello");
    let slow = Arc::new(SlowToEnd::default());
    let conduct = Arc::clone(&slow);
    let gateway = TestGateway::in_front_of(&backend).store(move |inner| Misbehaving::store(inner, &conduct)).start();
    let quiet = json!({ "when_quiet": "1m" });
    let first = canary(&gateway, "first", &quiet);
    // Renewals are ended in the order of their keys' ids, which is that of the instants at which they were made.
    gateway.clock.advance(Span::seconds(1));
    let used = gateway.create_key("used").done();
    adopt(&gateway, &gateway.renew(&used).with("delete_old", quiet.clone()).done());
    gateway.clock.advance(Span::seconds(1));
    let last = canary(&gateway, "last", &quiet);
    gateway.clock.advance(Span::minutes(2));
    wait_until("the first is being ended", || slow.is_held.load(Ordering::SeqCst));
    use_token(&gateway, &used);
    slow.gate.open();
    settled(&gateway, &first, "renewal.completed");
    settled(&gateway, &last, "renewal.completed");
    assert!(shown(&gateway, &used)["renewal"].is_object(), "it was used a moment ago");
}

// Rule 5.
#[test]
fn time_in_which_the_gateway_did_not_run_is_no_quiet_and_time_in_which_it_ran_before_is() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).start();
    let old = gateway.create_key("ci").done();
    use_token(&gateway, &old);
    let new = gateway.renew(&old).with("delete_old", json!({ "when_quiet": "24h" })).done();
    adopt(&gateway, &new);
    assert_eq!(shown(&gateway, &old)["renewal"]["quiet_since"], gateway.clock.now().to_string());
    gateway.clock.advance(Span::hours(14));
    let stopped_at = gateway.clock.now();
    drop(gateway);

    let clock = Clock::manual(stopped_at.plus(Span::days(30)));
    let gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).clock(clock).start();
    let canary = canary(&gateway, "canary", &json!({ "when_quiet": "1m" }));
    gateway.clock.advance(Span::hours(9));
    settled(&gateway, &canary, "renewal.completed");
    assert!(shown(&gateway, &old)["renewal"].is_object(), "only 23 hours were observed");
    gateway.clock.advance(Span::hours(1));
    assert_eq!(settled(&gateway, &old, "renewal.completed"), by_itself(gateway.clock.now()));
    assert_eq!(statuses(&gateway, &old, &new), (401, 200));
}

#[test]
fn the_list_of_renewals_begins_with_the_held_then_those_due_soonest_then_the_oldest() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let open = |name: &str, plan: Value| {
        let key = gateway.create_key(name).done();
        gateway.renew(&key).with("delete_old", plan).done();
        gateway.clock.advance(Span::seconds(1));
        key
    };
    let outdated = gateway.create_key("outdated").with("duration", "1m".into()).done();
    let held = open("held", json!({ "after": "5m" }));
    for (name, plan) in [
        ("oldest", json!("later")),
        ("soon", json!({ "after": "1d" })),
        ("sooner", json!({ "after": "1h" })),
        ("youngest", json!({ "when_quiet": "7d" })),
    ] {
        open(name, plan);
    }
    gateway.clock.advance(Span::minutes(5));
    settled(&gateway, &held, "renewal.held");
    let listed = gateway.admin("GET", "/v1/keys?renewing=true", None).json;
    let names: Vec<_> = listed["keys"].as_array().expect("keys").iter().map(|key| &key["name"]).collect();
    assert_eq!(names, ["held", "sooner", "soon", "oldest", "youngest"]);
    let key = shown(&gateway, &outdated);
    assert_eq!((&key["tokens"][0]["outdated"], &key["status"]), (&json!(true), &json!("active")));
}

// Rule 7.
#[test]
fn an_expired_key_comes_back_by_renewing_with_one_token_and_no_plan() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    gateway.clock.advance(Span::millis(90 * 86_400_000 - 1));
    assert_eq!(gateway.status_with(&old), 200);
    gateway.clock.advance(Span::seconds(1));
    assert_eq!(refusal(&gateway, &old), "token_expired");
    let new = gateway.renew(&old).deleting_old_after(Span::days(7)).done();
    let key = shown(&gateway, &old);
    assert_eq!((&key["renewal"], key["tokens"].as_array().map(Vec::len)), (&Value::Null, Some(1)));
    assert_eq!((refusal(&gateway, &old).as_str(), gateway.status_with(&new)), ("token_expired", 200));
    assert_eq!(gateway.undo(&old).json["code"], "no_old_token");
}

// Rule 7.
#[test]
fn a_renewal_whose_old_token_expires_is_over_and_undo_says_why() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let ends_at = gateway.clock.now().plus(Span::days(90));
    let old = gateway.create_key("ci").done();
    gateway.clock.advance(Span::days(80));
    let new = gateway.renew(&old).done();
    assert_eq!(shown(&gateway, &old)["tokens"][0]["expires_at"], ends_at.to_string());
    gateway.clock.advance(Span::days(11));
    let undone = gateway.undo(&old);
    assert_eq!((undone.status, &undone.json["code"]), (409, &json!("old_token_expired")));
    assert_eq!(settled(&gateway, &old, "renewal.completed"), by_itself(ends_at));
    let undone = gateway.undo(&old);
    assert_eq!((undone.status, &undone.json["code"]), (409, &json!("old_token_expired")));
    assert_eq!((refusal(&gateway, &old).as_str(), gateway.status_with(&new)), ("token_expired", 200));
    assert_eq!(shown(&gateway, &old)["renewal"], Value::Null);
}

/// Fails unless a change of the settings is refused with these counts and this key until it is confirmed with them.
#[track_caller]
fn needs(gateway: &TestGateway, change: &Value, ends: u64, revives: u64, key: &Holder) {
    let mut change = change.clone();
    let before = gateway.admin("GET", "/v1/settings", None).json;
    for wrong in
        [None, Some(json!({ "ends": ends + 1, "revives": revives })), Some(json!({ "ends": revives, "revives": ends }))]
    {
        if let Some(confirm) = wrong {
            change["confirm"] = confirm;
        }
        let reply = gateway.admin("PATCH", "/v1/settings", Some(&change));
        assert_eq!((reply.status, &reply.json["code"]), (409, &json!("tokens_affected")), "{}", reply.json);
        assert_eq!((&reply.json["ends"], &reply.json["revives"]), (&json!(ends), &json!(revives)));
        assert_eq!(reply.json["keys"], json!([{ "id": key.id, "name": key.name }]));
    }
    assert_eq!(gateway.admin("GET", "/v1/settings", None).json, before);
    change["confirm"] = json!({ "ends": ends, "revives": revives });
    let reply = gateway.admin("PATCH", "/v1/settings", Some(&change));
    assert_eq!(reply.status, 200, "{}", reply.json);
}

// Rule 7.
#[test]
fn settings_that_end_or_revive_tokens_are_confirmed_with_both_counts() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let lasting = gateway.create_key("lasting").with("duration", "never".into()).done();
    let key = gateway.create_key("ci").done();
    gateway.clock.advance(Span::days(40));
    let young = gateway.create_key("young").done();
    needs(&gateway, &json!({ "duration": "30d" }), 1, 0, &key);
    assert_eq!(refusal(&gateway, &key), "token_expired");
    needs(&gateway, &json!({ "duration": "60d" }), 0, 1, &key);
    assert_eq!(gateway.status_with(&key), 200);
    needs(&gateway, &json!({ "duration": "40d" }), 1, 0, &key);
    needs(&gateway, &json!({ "on_expiry": "warn" }), 0, 1, &key);
    assert_eq!((gateway.status_with(&key), &shown(&gateway, &key)["tokens"][0]["outdated"]), (200, &json!(true)));
    needs(&gateway, &json!({ "on_expiry": "refuse" }), 1, 0, &key);
    assert_eq!(refusal(&gateway, &key), "token_expired");
    assert_eq!(statuses(&gateway, &lasting, &young), (200, 200));
}

// Rule 7.
#[test]
fn a_keys_own_duration_that_ends_both_its_tokens_is_confirmed_and_settles_its_renewal() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).done();
    gateway.clock.advance(Span::days(10));
    let edit = |body: &Value| gateway.admin("PATCH", &format!("/v1/keys/{}", old.id), Some(body));
    let refused = edit(&json!({ "duration": "5d" }));
    assert_eq!((refused.status, &refused.json["code"]), (409, &json!("tokens_affected")));
    assert_eq!((&refused.json["ends"], &refused.json["revives"]), (&json!(2), &json!(0)));
    assert_eq!(refused.json["keys"], json!([{ "id": old.id, "name": "ci" }]));
    assert_eq!(statuses(&gateway, &old, &new), (200, 200));
    let done = edit(&json!({ "duration": "5d", "confirm": { "ends": 2, "revives": 0 } }));
    assert_eq!((done.status, &done.json["renewal"]), (200, &Value::Null), "{}", done.json);
    assert_eq!((refusal(&gateway, &old), refusal(&gateway, &new)), ("token_expired".into(), "token_expired".into()));
}

// Rule 7.
#[test]
fn settings_that_end_an_old_token_end_it_when_they_are_made_and_not_before() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    gateway.clock.advance(Span::days(20));
    let new = gateway.renew(&old).done();
    gateway.clock.advance(Span::days(10));
    assert_eq!(statuses(&gateway, &old, &new), (200, 200));
    needs(&gateway, &json!({ "duration": "25d" }), 1, 0, &old);
    assert_eq!((refusal(&gateway, &old), gateway.status_with(&new)), ("token_expired".into(), 200));
    assert_eq!(settled(&gateway, &old, "renewal.completed"), by_itself(gateway.clock.now()));
}

// Rule 7.
#[test]
fn in_warn_mode_an_outdated_token_works_on_and_renews_like_any_other() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).settings("[tokens]\non_expiry = \"warn\"").start();
    let old = gateway.create_key("ci").done();
    assert_eq!(shown(&gateway, &old)["tokens"][0]["outdated"], false);
    gateway.clock.advance(Span::days(90));
    assert_eq!((gateway.status_with(&old), &shown(&gateway, &old)["tokens"][0]["outdated"]), (200, &json!(true)));
    let new = gateway.renew(&old).done();
    let key = shown(&gateway, &old);
    assert!(key["renewal"].is_object(), "{key}");
    assert_eq!((&key["tokens"][0]["outdated"], &key["tokens"][1]["outdated"]), (&json!(true), &json!(false)));
    assert_eq!(statuses(&gateway, &old, &new), (200, 200));
    assert_eq!((gateway.undo(&old).status, gateway.status_with(&new)), (200, 401));
    assert_eq!(gateway.status_with(&old), 200);
}

/// A store that is away now and then, and counts how often it was asked meanwhile.
#[derive(Default)]
struct NowAndThen {
    is_away: AtomicBool,
    asked: AtomicUsize,
}

impl Conduct for NowAndThen {
    fn failure(&self) -> Option<StoreError> {
        self.is_away.load(Ordering::SeqCst).then(|| {
            self.asked.fetch_add(1, Ordering::SeqCst);
            StoreError::Unavailable("it is away".into())
        })
    }
}

#[test]
fn a_store_that_is_away_is_not_asked_by_every_request_with_a_token_of_which_no_use_is_written() {
    let backend = Backend::answering("hello");
    let store = Arc::new(NowAndThen::default());
    let conduct = Arc::clone(&store);
    let gateway = TestGateway::in_front_of(&backend).store(move |inner| Misbehaving::store(inner, &conduct)).start();
    let key = gateway.create_key("ci").done();
    store.is_away.store(true, Ordering::SeqCst);
    for _ in 0..300 {
        assert_eq!(gateway.status_with(&key), 200);
    }
    let asked = store.asked.load(Ordering::SeqCst);
    assert!(asked < 60, "{asked} times for 300 requests");
    store.is_away.store(false, Ordering::SeqCst);
    wait_until("the use is written", || {
        assert_eq!(gateway.status_with(&key), 200);
        shown(&gateway, &key)["tokens"][0]["usage"]["first_used_at"].is_string()
    });
}

/// A store that holds the first settlement back, remembers which keys each commit writes after that, and lets the key
/// `contended` be written with no other.
#[derive(Default)]
struct Busy {
    gate: Gate,
    commits: Mutex<Vec<Vec<String>>>,
}

impl Busy {
    fn commits(&self) -> Vec<Vec<String>> {
        self.commits.lock().expect("no panic").clone()
    }
}

fn is_settlement(write: &Write) -> bool {
    write.events.iter().any(|event| event.action == Action::RenewalHeld)
}

fn names(writes: &[Write]) -> Vec<String> {
    let replaced =
        writes.iter().filter_map(|write| if let What::Replace(key, _) = &write.what { Some(key) } else { None });
    replaced.map(|key| key.name.to_string()).collect()
}

impl Conduct for Busy {
    fn before_commit(&self, writes: &[Write]) {
        let is_first = self.commits().is_empty();
        if !is_first || writes.iter().any(is_settlement) {
            self.commits.lock().expect("no panic").push(names(writes));
        }
        if is_first && writes.iter().any(is_settlement) {
            self.gate.wait();
        }
    }

    fn refusal(&self, writes: &[Write]) -> Option<StoreError> {
        let is_contended = writes.len() > 1 && names(writes).iter().any(|name| name == "contended");
        is_contended.then_some(StoreError::Conflict(Conflict::Revision))
    }
}

// Rule 4.
#[test]
fn a_first_use_waits_for_one_write_of_all_the_renewals_that_fall_due_at_once() {
    const RENEWALS: usize = 300;
    let backend = Backend::answering("hello");
    let store = Arc::new(Busy::default());
    let conduct = Arc::clone(&store);
    let gateway = TestGateway::in_front_of(&backend).store(move |inner| Misbehaving::store(inner, &conduct)).start();
    let due_at = gateway.clock.now().plus(Span::hours(1));
    let renewing = |number: usize| {
        let name = if number == 100 { "contended".to_owned() } else { format!("key {number}") };
        let key = gateway.create_key(&name).done();
        gateway.renew(&key).deleting_old_after(Span::hours(1)).done()
    };
    let renewing: Vec<Holder> = (0..RENEWALS).map(renewing).collect();
    let other = gateway.create_key("other").done();
    gateway.clock.advance(Span::hours(2));
    wait_until("the first are being settled", || !store.commits().is_empty());
    assert_eq!(gateway.status_with(&other), 200);
    store.gate.open();
    wait_until("all are settled", || {
        let written: HashSet<String> = store.commits().into_iter().flatten().collect();
        written.len() == RENEWALS + 1
    });
    let commits = store.commits();
    let first_use = commits.iter().position(|names| names.contains(&"other".to_owned()));
    assert_eq!(first_use, Some(1), "{commits:?}");
    assert!(commits.len() < 30, "{} commits for {RENEWALS} renewals", commits.len());
    for holder in &renewing {
        assert_eq!(settled(&gateway, holder, "renewal.held"), by_itself(due_at));
        assert_eq!(shown(&gateway, holder)["renewal"]["held"], json!(true));
    }
}
