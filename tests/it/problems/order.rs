//! Of several refusals that a request deserves, the first of the published order is told.

use relevo::domain::Span;
use serde_json::json;

use super::problem_of;
use crate::support::backend::Backend;
use crate::support::gateway::{Holder, TestGateway};
use crate::support::request::{Request, request};

const ROUTES: &str = "
[[routes]]
path = \"/\"
upstream = \"backend\"
body_limit = \"1KiB\"
[[routes]]
path = \"/orders\"
roles = [\"orders:read\"]
upstream = \"backend\"
body_limit = \"1KiB\"
";

fn with_token(target: &str, holder: &Holder) -> Request {
    request("GET", target).token(&holder.token)
}

#[track_caller]
fn assert_refused(gateway: &TestGateway, request: &Request, code: &str) {
    assert_eq!(problem_of(&gateway.ask(request)).1, code);
}

fn set(gateway: &TestGateway, holder: &Holder, fields: &serde_json::Value) {
    let reply = gateway.admin("PATCH", &format!("/v1/keys/{}", holder.id), Some(fields));
    assert_eq!(reply.status, 200, "{}", reply.json["code"]);
}

#[test]
fn two_credentials_are_one_too_many_whatever_they_are_worth() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let good = gateway.create_key("good").done();
    let ended = gateway.create_key("ended").done();
    gateway.renew(&ended).deleting_old_now().done();
    for (first, second) in [(&good, &good), (&good, &ended), (&ended, &good)] {
        assert_refused(
            &gateway,
            &with_token("/orders", first).header("X-API-Key", &second.token),
            "credential_ambiguous",
        );
    }
}

#[test]
fn an_inactive_or_deleted_key_and_a_wrong_address_say_nothing_of_the_token() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let key = gateway.create_key("ci").with("duration", json!("1h")).done();
    let new = gateway.renew(&key).deleting_old_now().done();
    let expiring = gateway.create_key("expiring").with("duration", json!("1h")).done();
    assert_refused(&gateway, &with_token("/", &key), "token_superseded");

    set(&gateway, &key, &json!({ "status": "inactive" }));
    assert_refused(&gateway, &with_token("/", &key), "credential_invalid");
    assert_refused(&gateway, &with_token("/orders", &new), "credential_invalid");
    set(&gateway, &key, &json!({ "status": "active", "allowed_addresses": ["192.0.2.0/24"] }));
    assert_refused(&gateway, &with_token("/", &key), "credential_invalid");
    assert_refused(&gateway, &with_token("/", &new), "credential_invalid");
    set(&gateway, &key, &json!({ "allowed_addresses": ["127.0.0.1"] }));
    assert_refused(&gateway, &with_token("/", &key), "token_superseded");
    assert_eq!(gateway.status_with(&new), 200);

    gateway.clock.advance(Span::hours(1));
    assert_refused(&gateway, &with_token("/", &expiring), "token_expired");
    set(&gateway, &expiring, &json!({ "status": "inactive" }));
    assert_refused(&gateway, &with_token("/", &expiring), "credential_invalid");
    for holder in [&key, &expiring] {
        assert_eq!(gateway.admin("DELETE", &format!("/v1/keys/{}", holder.id), None).status, 204);
        assert_refused(&gateway, &with_token("/", holder), "credential_invalid");
    }
    assert_refused(&gateway, &with_token("/orders", &new), "credential_invalid");
}

#[test]
fn an_ended_token_is_told_before_a_missing_role_and_its_replacement_before_its_age() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let replaced = gateway.create_key("replaced").with("duration", json!("1h")).done();
    let expiring = gateway.create_key("expiring").with("duration", json!("1h")).done();
    assert_refused(&gateway, &with_token("/orders", &replaced), "role_missing");
    gateway.renew(&replaced).deleting_old_now().done();
    assert_refused(&gateway, &with_token("/orders", &replaced), "token_superseded");
    gateway.clock.advance(Span::hours(1));
    assert_refused(&gateway, &with_token("/orders", &expiring), "token_expired");
    assert_refused(&gateway, &with_token("/orders", &replaced), "token_superseded");
}

#[test]
fn nobody_learns_what_a_body_would_have_come_to_without_a_credential() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let key = gateway.create_key("ci").done();
    let large = |target: &str| request("POST", target).header("Content-Length", "4096");
    assert_refused(&gateway, &large("/"), "credential_missing");
    assert_refused(&gateway, &large("/orders").token(&key.token), "role_missing");
    assert_refused(&gateway, &large("/").token(&key.token), "body_too_large");
    assert!(backend.requests().is_empty());
}
