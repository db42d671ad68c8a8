//! Somebody sets the machine's clock: no answer changes by it, and nothing is settled until it agrees with itself.

use relevo::domain::Span;
use serde_json::json;

use crate::support::backend::Backend;
use crate::support::gateway::{Holder, TestGateway, wait_until};
use crate::support::request::request;

/// The health condition of the clock, as `/v1/status` tells it.
fn clock_is_well(gateway: &TestGateway) -> bool {
    let status = gateway.admin("GET", "/v1/status", None).json;
    let conditions = status["health"].as_array().expect("conditions");
    conditions.iter().any(|condition| condition["name"] == "clock" && condition["ok"] == true)
}

/// The status that a holder's token meets, the same on every way.
fn status_with(gateway: &TestGateway, holder: &Holder) -> u16 {
    let asked = request("GET", "/").token(&holder.token);
    let seen = gateway.ways().map(|way| way.ask(&asked).expect("an answer").status);
    assert!(seen.iter().all(|status| *status == seen[0]), "{seen:?}");
    seen[0]
}

fn actions(gateway: &TestGateway) -> Vec<String> {
    let audit = gateway.admin("GET", "/v1/audit", None).json;
    let events = audit["events"].as_array().expect("events");
    events.iter().filter_map(|event| event["action"].as_str().map(str::to_owned)).collect()
}

// Case 29.
#[test]
fn a_clock_set_forward_by_an_hour_ends_no_token_and_settles_nothing() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).secured().start();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).deleting_old_after(Span::minutes(5)).done();
    assert_eq!(status_with(&gateway, &new), 200); // used: the deadline is armed

    gateway.clock.set_wall(gateway.clock.now().plus(Span::hours(1)));
    wait_until("the step is noticed", || !clock_is_well(&gateway));
    assert_eq!((status_with(&gateway, &old), status_with(&gateway, &new)), (200, 200));

    // The carried time comes to the deadline: the grant ends the old token, but nothing is written of it.
    gateway.clock.advance(Span::minutes(5));
    assert_eq!((status_with(&gateway, &old), status_with(&gateway, &new)), (401, 200));
    assert!(!actions(&gateway).contains(&"renewal.completed".to_owned()));

    // The wall clock has agreed with itself for five minutes now: its time is adopted, and what is due is settled.
    wait_until("the step is adopted", || clock_is_well(&gateway));
    wait_until("the renewal is settled", || actions(&gateway).contains(&"renewal.completed".to_owned()));
    assert_eq!((status_with(&gateway, &old), status_with(&gateway, &new)), (401, 200));
}

// Case 29.
#[test]
fn a_clock_set_back_by_an_hour_revives_no_token() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).secured().start();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).deleting_old_after(Span::minutes(5)).done();
    assert_eq!(status_with(&gateway, &new), 200);
    gateway.clock.advance(Span::minutes(5));
    wait_until("the renewal is settled", || actions(&gateway).contains(&"renewal.completed".to_owned()));

    gateway.clock.set_wall(gateway.clock.now().minus(Span::hours(1)));
    wait_until("the step is noticed", || !clock_is_well(&gateway));
    assert_eq!((status_with(&gateway, &old), status_with(&gateway, &new)), (401, 200));
    gateway.clock.advance(Span::seconds(61));
    wait_until("the step is adopted", || clock_is_well(&gateway));
    assert_eq!((status_with(&gateway, &old), status_with(&gateway, &new)), (401, 200));
}

// Case 29.
#[test]
fn a_clock_set_back_by_an_hour_holds_up_nothing_that_is_looked_at_again_and_again() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).secured().start();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).with("delete_old", json!({ "when_quiet": "1m" })).done();
    assert_eq!(status_with(&gateway, &new), 200);
    gateway.clock.set_wall(gateway.clock.now().minus(Span::hours(1)));
    wait_until("the step is noticed", || !clock_is_well(&gateway));
    gateway.clock.advance(Span::seconds(61));
    wait_until("the step is adopted", || clock_is_well(&gateway));
    wait_until("the old token has been quiet", || actions(&gateway).contains(&"renewal.completed".to_owned()));
    assert_eq!((status_with(&gateway, &old), status_with(&gateway, &new)), (401, 200));
}
