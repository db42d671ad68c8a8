//! Two administrators at one key at the same instant.
//!
//! Promises: every round is decided, for exactly one of the two; a round begins when both are ready.

use std::sync::Barrier;

use serde_json::Value;

use crate::support::backend::Backend;
use crate::support::gateway::{Holder, TestGateway};
use crate::support::request::Request;

/// How often they meet.
const ROUNDS: usize = 1_000;

/// Status and code of what both are answered to one call, sent at the same instant; sorted.
fn both(gateway: &TestGateway, calls: [&Request; 2]) -> [(u16, String); 2] {
    let barrier = Barrier::new(2);
    let send = |call: &Request| {
        barrier.wait();
        let reply = gateway.admin_raw(call);
        (reply.status, reply.json["code"].as_str().unwrap_or_default().to_owned())
    };
    let mut answers = std::thread::scope(|scope| {
        let other = scope.spawn(|| send(calls[1]));
        let own = send(calls[0]);
        [own, other.join().expect("answered")]
    });
    answers.sort();
    answers
}

fn renewal_of(gateway: &TestGateway, key: &Holder) -> Request {
    gateway.call("POST", &format!("/v1/keys/{}/renew", key.id))
}

/// Closes the round's renewal; the answer is the key's version.
fn undone(gateway: &TestGateway, key: &Holder) -> Value {
    let reply = gateway.undo(key);
    assert_eq!(reply.status, 200, "{}", reply.json);
    reply.json["key"]["version"].clone()
}

#[test]
fn of_two_renewals_at_the_same_instant_one_is_made_and_the_other_told_that_it_is_open() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let key = gateway.create_key("ci").done();
    for round in 0..ROUNDS {
        let call = renewal_of(&gateway, &key);
        let expected = [(201, String::new()), (409, "renewal_open".to_owned())];
        assert_eq!(both(&gateway, [&call, &call]), expected, "round {round}");
        undone(&gateway, &key);
    }
    assert_eq!(gateway.status_with(&key), 200, "after as many renewals it works as before");
}

#[test]
fn of_two_at_the_same_version_one_is_done_and_the_other_told_that_there_is_another() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let key = gateway.create_key("ci").done();
    let mut version = Value::from(1);
    for round in 0..ROUNDS {
        let call = renewal_of(&gateway, &key).header("If-Match", &format!("\"v{version}\""));
        let expected = [(201, String::new()), (412, "version_mismatch".to_owned())];
        assert_eq!(both(&gateway, [&call, &call]), expected, "round {round}");
        version = undone(&gateway, &key);
    }
}
