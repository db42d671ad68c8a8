//! One renewal through every floor, as the integrations see it.

use relevo::clock::Clock;
use relevo::domain::Span;
use serde_json::json;

use crate::support::backend::Backend;
use crate::support::client::RawClient;
use crate::support::gateway::{AdminReply, Holder, TestGateway};
use crate::support::process::Process;
use crate::support::request::request;
use crate::support::wire::values;

/// What the gateway answers to each of the two.
fn statuses(gateway: &TestGateway, old: &Holder, new: &Holder) -> (u16, u16) {
    (gateway.status_with(old), gateway.status_with(new))
}

/// The problem's code.
fn code(reply: &AdminReply) -> &str {
    reply.json["code"].as_str().unwrap_or_default()
}

#[test]
fn both_tokens_work_until_the_old_one_is_deleted_or_the_renewal_undone() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    assert_eq!(gateway.ask(&request("GET", "/")).status, 401);
    let new = gateway.renew(&old).done();
    assert_eq!(statuses(&gateway, &old, &new), (200, 200));
    assert_eq!(gateway.undo(&old).status, 200);
    assert_eq!(statuses(&gateway, &old, &new), (200, 401));
    let new = gateway.renew(&old).done();
    assert_eq!(gateway.delete_old(&old).status, 200);
    assert_eq!(statuses(&gateway, &old, &new), (401, 200));
    let again = gateway.delete_old(&old);
    assert_eq!((again.status, code(&again)), (409, "no_old_token"));
}

#[test]
fn old_token_works_until_an_armed_deadline_and_not_one_millisecond_longer() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).deleting_old_after(Span::minutes(5)).done();
    assert_eq!(gateway.status_with(&new), 200); // used: the deadline is armed
    gateway.clock.advance(Span::millis(5 * 60_000 - 1));
    assert_eq!(gateway.status_with(&old), 200);
    gateway.clock.advance(Span::millis(1));
    assert_eq!(statuses(&gateway, &old, &new), (401, 200));
}

#[test]
fn old_token_survives_a_deadline_before_which_the_new_one_was_not_used() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).deleting_old_after(Span::minutes(5)).done();
    gateway.clock.advance(Span::minutes(5));
    assert_eq!(statuses(&gateway, &old, &new), (200, 200));
}

#[test]
fn renewing_now_leaves_only_the_new_token() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).deleting_old_now().done();
    assert_eq!(statuses(&gateway, &old, &new), (401, 200));
}

#[test]
fn the_caller_is_told_to_the_backend_and_the_end_of_its_token_to_the_caller() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci tool").roles(&["orders:read"]).done();
    let new = gateway.renew(&old).deleting_old_after(Span::minutes(5)).done();
    assert_eq!((old.name.as_str(), new.name.as_str()), ("ci tool", "ci tool"));
    let answer = gateway.ask(&request("GET", "/a?b=c").token(&old.token));
    let due_seconds = gateway.clock.now().plus(Span::minutes(5)).as_seconds();
    assert_eq!(answer.header("relevo-token"), Some(&*format!("old;due={due_seconds}")));
    let recorded = &backend.wait_for(1)[0];
    assert_eq!((&*recorded.method, &*recorded.target), ("GET", "/a?b=c"));
    let told =
        ["x-relevo-key-id", "x-relevo-key-name", "x-relevo-roles", "x-relevo-token"].map(|name| recorded.all(name));
    assert_eq!(told, [vec![&*old.id], vec!["ci%20tool"], vec!["orders:read"], vec!["old"]]);
    gateway.ask(&request("GET", "/").token(&new.token));
    assert_eq!(backend.wait_for(2)[1].all("x-relevo-token"), ["new"]);
}

#[test]
fn a_minimal_refusal_does_not_say_that_a_token_was_replaced() {
    let backend = Backend::answering("hello");
    for (settings, expected) in [("", "token_superseded"), ("[errors]\ndetail = \"minimal\"", "credential_invalid")] {
        let gateway = TestGateway::in_front_of(&backend).settings(settings).clock(Clock::system()).start();
        let old = gateway.create_key("ci").done();
        gateway.renew(&old).deleting_old_now().done();
        let answer = gateway.ask(&request("GET", "/").token(&old.token));
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).expect("a problem");
        assert_eq!((answer.status, problem["code"].as_str()), (401, Some(expected)));
    }
}

#[test]
fn a_reply_that_holds_a_token_is_not_to_be_stored_and_neither_plane_takes_the_others_tokens() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let reply = gateway.admin("POST", "/v1/keys", Some(&json!({ "name": "ci" })));
    assert_eq!((reply.status, values(&reply.headers, "cache-control")), (201, vec!["no-store"]));
    let token = reply.json["token"].as_str().expect("a token");
    let mut client = RawClient::connect(gateway.admin_address());
    client.send(&request("GET", "/v1/keys").token(token).bytes());
    assert_eq!(client.read_response().status, 401);
}

#[test]
fn what_was_acknowledged_survives_a_kill_and_nothing_revives() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = format!(
        "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [store]\npath = \"relevo.redb\"\n[drain]\ndelay = \"0s\"\n\
         [[upstreams]]\nname = \"backend\"\nendpoints = [\"http://{}\"]\n\
         [[routes]]\npath = \"/\"\nupstream = \"backend\"\n",
        backend.address()
    );
    let ask = |address, asked: &crate::support::request::Request| {
        let mut client = RawClient::connect(address);
        client.send(&asked.bytes());
        client.read_response()
    };
    let order = |process: &Process, path: &str, body: &str| {
        let root = std::fs::read_to_string(folder.path().join("admin.token")).expect("the first administrator's token");
        let call = request("POST", path).token(root.trim()).header("Content-Type", "application/json").body(body);
        let answer = ask(process.admin, &call);
        assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text());
        let reply: serde_json::Value = serde_json::from_slice(&answer.body).expect("json");
        reply["token"].as_str().unwrap_or_default().to_owned()
    };
    let statuses = |process: &Process, tokens: &[&str]| -> Vec<u16> {
        tokens.iter().map(|token| ask(process.gateway, &request("GET", "/").token(token)).status).collect()
    };
    let restarted = |process: Process| {
        process.kill();
        Process::serve(folder.path(), &configuration)
    };

    let process = Process::serve(folder.path(), &configuration);
    let first = order(&process, "/v1/keys", "{\"name\":\"ci\"}");
    let second = order(&process, "/v1/keys/ci/renew", "{}");
    let process = restarted(process);
    assert_eq!(statuses(&process, &[&first, &second]), [200, 200]);
    order(&process, "/v1/keys/ci/undo", "{}");
    let process = restarted(process);
    assert_eq!(statuses(&process, &[&first, &second]), [200, 401]);
    let third = order(&process, "/v1/keys/ci/renew", "{}");
    order(&process, "/v1/keys/ci/delete-old", "{}");
    let process = restarted(process);
    assert_eq!(statuses(&process, &[&first, &second, &third]), [401, 401, 200]);
    let status = process.terminate(std::time::Duration::from_secs(20));
    assert_eq!(status.code(), Some(0));
}
