//! Administrators over real sockets: two planes, one mechanism.

use std::path::Path;
use std::time::Duration;

use relevo::domain::Span;
use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::client::RawClient;
use crate::support::gateway::{AdminReply, TestGateway, wait_until};
use crate::support::process::{Process, relevo};
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
    let tried = ("admin.token_superseded_use".to_owned(), "relevo".to_owned());
    wait_until("it is told that somebody still tries it", || actions(&gateway).contains(&tried));
}

/// A configuration for a store in the process's own folder.
const CONFIGURATION: &str = "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
    [store]\npath = \"relevo.redb\"\n[log]\naccess = false\n[drain]\ndelay = \"0s\"\ntimeout = \"1s\"\n\
    [[upstreams]]\nname = \"a\"\nendpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\npath = \"/\"\nupstream = \"a\"\n";

/// Status and body of a call to the admin port.
fn ask(process: &Process, token: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let mut call = request(method, path).token(token);
    if let Some(body) = body {
        call = call.header("Content-Type", "application/json").body(body.to_string());
    }
    let mut client = RawClient::connect(process.admin);
    client.send(&call.bytes());
    let answer = client.read_response();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

fn rescue(folder: &Path) -> (Option<i32>, String) {
    let mut command = relevo(folder);
    let output = command.args(["admins", "rescue", "--config", "relevo.toml"]).output().expect("run");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn token_in(folder: &Path) -> String {
    let file = folder.join("admin.token");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o600);
    std::fs::read_to_string(file).expect("a token").trim().to_owned()
}

#[test]
fn when_all_tokens_are_lost_the_machines_owner_makes_one_while_the_gateway_is_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::write(folder.join("relevo.toml"), CONFIGURATION).expect("written");
    let (code, told) = rescue(folder);
    assert!(code == Some(2) && told.contains("there is no store"), "{code:?} {told}");

    let process = Process::serve(folder, CONFIGURATION);
    let lost = token_in(folder);
    // The worst that can be: root is out of power, half renewed, and shut out by his address, which he cannot do himself.
    let (_, root) = ask(&process, &lost, "GET", "/v1/admins/root", None);
    let keeper = json!({"name": "keeper", "permissions": root["permissions"]});
    let (made, keeper) = ask(&process, &lost, "POST", "/v1/admins", Some(&keeper));
    assert_eq!(made, 201);
    let keeper = keeper["token"].as_str().expect("a token");
    let (renewed, answer) = ask(&process, &lost, "POST", "/v1/admins/root/renew", None);
    assert_eq!(renewed, 201);
    let lost_too = answer["token"].as_str().expect("a token").to_owned();
    let weak = json!({"permissions": [], "limited_to_role": "a", "allowed_addresses": ["192.0.2.1"], "duration": "30d",
        "status": "inactive"});
    assert_eq!(ask(&process, keeper, "PATCH", "/v1/admins/root", Some(&weak)).0, 200);
    let (code, told) = rescue(folder);
    let says_what_to_do = told.contains("a gateway is running on the store") && told.contains("stop the gateway");
    assert!(code == Some(2) && says_what_to_do, "{code:?} {told}");
    assert_eq!(token_in(folder), lost, "nothing was written");
    process.terminate(Duration::from_secs(20));

    let (code, told) = rescue(folder);
    assert!(code == Some(0) && told.contains("admin.token"), "{code:?} {told}");
    let process = Process::serve(folder, CONFIGURATION);
    let token = token_in(folder);
    assert!(!told.contains(&token), "the token is in its file alone");
    for refused in [&lost, &lost_too] {
        assert_eq!(ask(&process, refused, "GET", "/v1/keys", None).0, 401);
    }
    let (status, root) = ask(&process, &token, "GET", "/v1/admins/root", None);
    assert_eq!((status, root["permissions"].as_array().map(Vec::len)), (200, Some(7)));
    assert_eq!(
        (&root["limited_to_role"], &root["duration"], &root["status"]),
        (&Value::Null, &json!("never"), &json!("active"))
    );
    let (_, audit) = ask(&process, &token, "GET", "/v1/audit?actor=rescue", None);
    let actions: Vec<_> = audit["events"].as_array().expect("events").iter().map(|event| &event["action"]).collect();
    assert_eq!(actions, ["admin.renewal_completed", "admin.renewal_completed", "admin.edited", "admin.activated"]);
    process.terminate(Duration::from_secs(20));
    let mut verify = relevo(folder);
    let verified = verify.args(["audit", "verify", "--config", "relevo.toml"]).output().expect("run");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
