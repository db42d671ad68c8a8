//! Administrators over real sockets: two planes, one mechanism.

use relevo::domain::Span;
use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::gateway::{AdminReply, TestGateway, wait_until};
use crate::support::request::request;

/// An administrator with these fields besides his name, and his token.
#[track_caller]
fn appoint(gateway: &TestGateway, name: &str, fields: &Value) -> String {
    let mut body = json!({ "name": name });
    body.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
    let made = gateway.admin("POST", "/v1/admins", Some(&body));
    assert_eq!(made.status, 201, "{}", made.json);
    made.json["token"].as_str().expect("a token").to_owned()
}

/// The key list, asked for with this token.
fn list(gateway: &TestGateway, token: &str) -> AdminReply {
    gateway.admin_raw(&request("GET", "/v1/keys").token(token))
}

fn actions(gateway: &TestGateway) -> Vec<(String, String)> {
    let events = gateway.admin("GET", "/v1/audit?limit=500", None).json;
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let events = events["events"].as_array().expect("events").iter();
    events.map(|event| (text(event, "action"), text(event, "actor"))).collect()
}

#[test]
fn neither_plane_accepts_the_others_tokens() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let key = gateway.create_key("ci").roles(&["admins:write", "keys:read"]).done();
    let token = appoint(&gateway, "ana", &json!({"permissions": ["keys:read"]}));
    assert_eq!((list(&gateway, &token).status, list(&gateway, &key.token).status), (200, 401));
    assert_eq!(gateway.status_with(&key), 200);
    assert_eq!(gateway.ask(&request("GET", "/").token(&token)).status, 401);
    // A digest brought along is one realm's only, too.
    let digest = relevo::domain::Digest::of(token.as_bytes()).to_string();
    let refused = gateway.admin("POST", "/v1/keys", Some(&json!({"name": "copy", "digest": digest})));
    assert_eq!((refused.status, &refused.json["code"]), (409, &json!("digest_in_use")));
}

#[test]
fn an_administrators_old_token_ends_at_its_deadline_once_the_new_one_was_used_and_is_held_otherwise() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let mut tokens = Vec::new();
    for name in ["moves", "stays"] {
        let old = appoint(&gateway, name, &json!({"permissions": ["keys:read"]}));
        let plan = json!({"delete_old": {"after": "1h"}});
        let renewed = gateway.admin("POST", &format!("/v1/admins/{name}/renew"), Some(&plan));
        tokens.push((old, renewed.json["token"].as_str().expect("a token").to_owned()));
    }
    assert_eq!(list(&gateway, &tokens[0].1).status, 200);
    gateway.clock.advance(Span::hours(1));
    assert_eq!(list(&gateway, &tokens[0].0).status, 401, "to the millisecond, before anything is settled");
    assert_eq!(list(&gateway, &tokens[0].1).status, 200);
    assert_eq!((list(&gateway, &tokens[1].0).status, list(&gateway, &tokens[1].1).status), (200, 200));
    let told = |action: &str, actor: &str| actions(&gateway).contains(&(action.to_owned(), actor.to_owned()));
    wait_until("both renewals are settled", || {
        told("admin.renewal_completed", "relevo") && told("admin.renewal_held", "relevo")
    });
    assert!(told("admin.renewal_adopted", "relevo") && told("admin.renewal_opened", "root"));
}

#[test]
fn an_administrators_token_that_is_quiet_goes_by_itself() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = appoint(&gateway, "ana", &json!({"permissions": ["keys:read"]}));
    let renewed = gateway.admin("POST", "/v1/admins/ana/renew", Some(&json!({"delete_old": {"when_quiet": "8d"}})));
    let new = renewed.json["token"].as_str().expect("a token").to_owned();
    assert_eq!((list(&gateway, &old).status, list(&gateway, &new).status), (200, 200));
    gateway.clock.advance(Span::days(5));
    assert_eq!(list(&gateway, &old).status, 200, "and its quiet begins anew");
    gateway.clock.advance(Span::days(5));
    assert_eq!(gateway.admin("GET", "/v1/admins/ana", None).json["tokens"].as_array().map(Vec::len), Some(2));
    gateway.clock.advance(Span::days(4));
    let renewal = || gateway.admin("GET", "/v1/admins/ana", None).json["renewal"].clone();
    wait_until("the old token is gone", || renewal().is_null());
    assert_eq!((list(&gateway, &old).status, list(&gateway, &new).status), (401, 200));
}
