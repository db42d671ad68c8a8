//! Limits of keys, over real sockets: rate, quota, requests at once.

use relevo::domain::Span;
use serde_json::{Value, json};

use super::support::backend::{Backend, Gate, Reply};
use super::support::client::RawResponse;
use super::support::gateway::{Holder, TestGateway, wait_until};
use super::support::request::request;

fn get(gateway: &TestGateway, holder: &Holder) -> RawResponse {
    gateway.ask(&request("GET", "/").token(&holder.token))
}

fn code(response: &RawResponse) -> (u16, String) {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    (response.status, body["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_rate_is_shared_by_both_tokens_and_outlives_rename_renewal_and_edit() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let rate = json!({"rate": {"requests": 6, "per": "1m"}});
    let old = gateway.create_key("ci").with("limits", rate).done();
    let first = get(&gateway, &old);
    assert_eq!(first.header("ratelimit"), Some("\"rate\";r=5;t=10"));
    assert_eq!(first.header("ratelimit-policy"), Some("\"rate\";q=6;w=60"));
    let new = gateway.renew(&old).done();
    assert_eq!(get(&gateway, &new).header("ratelimit"), Some("\"rate\";r=4;t=20"));
    assert_eq!(get(&gateway, &old).header("ratelimit"), Some("\"rate\";r=3;t=30"));
    let renamed = gateway.admin("PATCH", &format!("/v1/keys/{}", old.id), Some(&json!({"name": "build", "note": "x"})));
    assert_eq!(renamed.status, 200, "{}", renamed.json);
    assert_eq!(get(&gateway, &old).header("ratelimit"), Some("\"rate\";r=2;t=40"));
    gateway.delete_old(&old);
    assert_eq!(get(&gateway, &new).status, 200);
    assert_eq!(get(&gateway, &new).header("ratelimit"), Some("\"rate\";r=0;t=10"));

    let refused = get(&gateway, &new);
    assert_eq!(code(&refused), (429, "rate_limited".into()));
    assert_eq!(refused.header("retry-after"), Some("10"));
    assert_eq!(refused.header("ratelimit"), Some("\"rate\";r=0;t=10"));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"rate\";q=6;w=60"));
    assert_eq!(backend.requests().len(), 6, "what is refused reaches no backend");
    gateway.clock.advance(Span::seconds(10));
    assert_eq!(get(&gateway, &new).status, 200);
    assert_eq!(get(&gateway, &new).status, 429);
}

#[test]
fn a_wider_limit_holds_from_the_next_request_on_and_another_key_has_its_own() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let limited = gateway.create_key("a").with("limits", json!({"rate": {"requests": 1, "per": "24h"}})).done();
    let other = gateway.create_key("b").with("limits", json!({"rate": {"requests": 1, "per": "24h"}})).done();
    let free = gateway.create_key("c").done();
    assert_eq!([get(&gateway, &limited).status, get(&gateway, &limited).status], [200, 429]);
    assert_eq!(get(&gateway, &other).status, 200);
    let unlimited = get(&gateway, &free);
    assert_eq!(
        (unlimited.status, unlimited.header("ratelimit"), unlimited.header("ratelimit-policy")),
        (200, None, None)
    );
    let path = format!("/v1/keys/{}", limited.id);
    gateway.admin("PATCH", &path, Some(&json!({"limits": {"rate": {"requests": 100, "per": "1s"}}})));
    gateway.clock.advance(Span::seconds(1));
    assert_eq!(get(&gateway, &limited).header("ratelimit"), Some("\"rate\";r=99;t=1"));
    gateway.admin("PATCH", &path, Some(&json!({"limits": null})));
    assert_eq!(get(&gateway, &limited).header("ratelimit"), None);
}

#[test]
fn a_role_and_the_default_limit_keys_without_limits_of_their_own() {
    let backend = Backend::answering("hello");
    let settings = "[limits.default]\nrate = \"3/1m\"\n[[limits.roles]]\nrole = \"batch\"\nquota = \"2/hour\"\n";
    let gateway = TestGateway::in_front_of(&backend).settings(settings).start();
    let plain = gateway.create_key("plain").done();
    let batch = gateway.create_key("batch").roles(&["batch", "other"]).done();
    let own = gateway.create_key("own").roles(&["batch"]).with("limits", json!({"concurrent": 7})).done();
    let freed = gateway.create_key("freed").roles(&["batch"]).with("limits", json!({})).done();
    assert_eq!(get(&gateway, &plain).header("ratelimit-policy"), Some("\"rate\";q=3;w=60"));
    assert_eq!(get(&gateway, &batch).header("ratelimit-policy"), Some("\"quota\";q=2;w=3600"));
    assert_eq!(get(&gateway, &own).header("ratelimit"), Some("\"concurrent\";r=6"));
    for _ in 0..5 {
        assert_eq!(get(&gateway, &freed).status, 200);
    }
    assert_eq!(get(&gateway, &batch).status, 200);
    assert_eq!(code(&get(&gateway, &batch)), (429, "rate_limited".into()));
}

#[test]
fn a_quota_ends_with_its_window_and_goes_on_after_a_restart() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).start();
    let clock = gateway.clock.clone();
    let quota = json!({"quota": {"requests": 2, "per": "day"}});
    let key = gateway.create_key("ci").with("limits", quota).done();
    assert_eq!([get(&gateway, &key).status, get(&gateway, &key).status, get(&gateway, &key).status], [200, 200, 429]);
    drop(gateway);
    let gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).clock(clock).start();
    let refused = get(&gateway, &key);
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    gateway.clock.advance(Span::seconds(wait - 1));
    assert_eq!(get(&gateway, &key).status, 429);
    gateway.clock.advance(Span::seconds(1));
    assert_eq!(get(&gateway, &key).header("ratelimit"), Some("\"quota\";r=1;t=86400"));
}

#[test]
fn a_place_among_the_requests_at_once_is_free_when_the_body_ends_and_not_when_its_head_is_there() {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::replying(move |request| match &*request.target {
        "/slow" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsl").then_waiting_for(&held).then("ow"),
        target => Reply::ok(target),
    });
    let gateway = TestGateway::in_front_of(&backend).start();
    let key = gateway.create_key("ci").with("limits", json!({"concurrent": 1})).done();
    let slow = request("GET", "/slow").token(&key.token).bytes();
    let (mut first, mut gone) = (gateway.connect(), gateway.connect());
    first.send(&slow);
    first.read_at_least(1); // the head is there
    let refused = get(&gateway, &key);
    assert_eq!(code(&refused), (429, "rate_limited".into()));
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), (Some("1"), Some("\"concurrent\";r=0")));
    gate.open();
    assert_eq!(first.read_response().text(), "slow");
    wait_until("its place is free", || get(&gateway, &key).status == 200);
    // A client that leaves gives its place back as well.
    gone.send(&request("GET", "/").token(&key.token).bytes());
    drop(gone);
    wait_until("its place is free", || get(&gateway, &key).status == 200);
}
