//! Keys brought along from elsewhere, and back from a backup.

mod commands;

use std::sync::Arc;

use relevo::domain::{Digest, Span};
use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::client::RawClient;
use crate::support::gateway::{AdminReply, Holder, TestGateway};
use crate::support::request::request;

/// A token that nobody minted here.
fn token(number: usize) -> String {
    format!("legacy-{number:032}")
}

fn entry(number: usize) -> Value {
    json!({"name": format!("k{number}"), "digest": Digest::of(token(number).as_bytes()).to_string(), "hint": "0000"})
}

fn holder(number: usize) -> Holder {
    Holder { id: String::new(), name: format!("k{number}"), token: token(number) }
}

fn sent(gateway: &TestGateway, path: &str, body: &Value) -> AdminReply {
    gateway.admin("POST", path, Some(body))
}

fn names(gateway: &TestGateway) -> Vec<String> {
    let page = gateway.admin("GET", "/v1/keys?limit=500", None).json;
    let mut names: Vec<_> = page["keys"].as_array().expect("keys").iter().map(|key| key["name"].to_string()).collect();
    names.sort();
    names
}

#[test]
fn imported_tokens_work_at_once_and_an_import_that_is_refused_in_one_place_has_no_effect_in_any() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let ci = gateway.create_key("ci").done();
    let dry = sent(&gateway, "/v1/import", &json!({"keys": [entry(1), entry(2)], "dry_run": true}));
    assert_eq!((dry.status, dry.json["changes"].as_array().map(Vec::len)), (200, Some(2)), "{}", dry.json);
    assert_eq!((gateway.status_with(&holder(1)), names(&gateway).len()), (401, 1));
    gateway.admin("POST", "/v1/keys", Some(&json!({"name": "gone", "digest": entry(999)["digest"]})));
    gateway.admin("DELETE", "/v1/keys/gone", None);
    let ours = Digest::of(ci.token.as_bytes()).to_string();
    let wrong = json!([
        entry(1),
        {"name": "CI", "digest": entry(3)["digest"]},
        {"name": "other", "digest": ours},
        {"name": "deleted before", "digest": entry(999)["digest"]},
        {"name": "K1", "digest": entry(4)["digest"]},
        {"name": "twice", "digest": entry(1)["digest"]},
        {"name": "no token"},
    ]);
    let refused = sent(&gateway, "/v1/import", &json!({ "keys": wrong }));
    let places: Vec<_> =
        refused.json["errors"].as_array().expect("errors").iter().map(|error| &error["path"]).collect();
    let expected = [1, 2, 3, 4, 5, 6]
        .map(|at| json!(format!("keys[{at}].{}", if [1, 4].contains(&at) { "name" } else { "digest" })));
    assert_eq!((refused.status, places), (400, expected.iter().collect()), "{}", refused.json);
    assert_eq!((gateway.status_with(&holder(1)), names(&gateway).len()), (401, 1));

    let all: Vec<_> = (1..=500).map(entry).collect();
    let done = sent(&gateway, "/v1/import", &json!({ "keys": all }));
    assert_eq!(done.status, 200, "{}", done.json);
    assert_eq!((gateway.status_with(&holder(1)), gateway.status_with(&holder(500))), (200, 200));
    let again = sent(&gateway, "/v1/import", &json!({ "keys": all }));
    assert_eq!((again.status, &again.json["unchanged"]), (200, &json!(500)), "a repetition is harmless");
}

#[test]
fn apply_makes_keys_agree_with_what_is_written_and_a_second_time_does_nothing() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let ci = gateway.create_key("ci").roles(&["a"]).done();
    let wanted = json!([
        {"name": "ci", "roles": ["a", "b"], "owner": "me", "digest": entry(1)["digest"]},
        {"name": "new", "duration": "30d", "digest": entry(2)["digest"]},
    ]);
    let plan = sent(&gateway, "/v1/apply", &json!({"keys": wanted, "dry_run": true}));
    let actions: Vec<_> =
        plan.json["changes"].as_array().expect("changes").iter().map(|c| c["actions"].clone()).collect();
    assert_eq!(actions, [json!(["key.edited", "renewal.opened"]), json!(["key.created"])], "{}", plan.json);
    assert_eq!(names(&gateway).len(), 1);
    let mark = plan.json["plan"].clone();
    gateway.admin("PATCH", "/v1/keys/ci", Some(&json!({"note": "meanwhile"})));
    let stale = sent(&gateway, "/v1/apply", &json!({"keys": wanted, "plan": mark}));
    assert_eq!((stale.status, &stale.json["code"]), (412, &json!("version_mismatch")));
    let plan = sent(&gateway, "/v1/apply", &json!({"keys": wanted, "dry_run": true}));
    let done = sent(&gateway, "/v1/apply", &json!({"keys": wanted, "plan": plan.json["plan"]}));
    assert_eq!(done.status, 200, "{}", done.json);
    // The old token goes on working beside the one that is written.
    assert_eq!(
        (gateway.status_with(&ci), gateway.status_with(&holder(1)), gateway.status_with(&holder(2))),
        (200, 200, 200)
    );
    let key = gateway.admin("GET", "/v1/keys/ci", None).json;
    assert_eq!((&key["roles"], &key["note"]), (&json!(["a", "b"]), &json!("meanwhile")));
    let before = gateway.admin("GET", "/v1/audit?limit=500", None).json;
    let again = sent(&gateway, "/v1/apply", &json!({ "keys": wanted }));
    assert_eq!((&again.json["changes"], &again.json["unchanged"]), (&json!([]), &json!(2)));
    let events = |page: &Value| {
        let named = page["events"].as_array().expect("events").iter().map(|event| event["action"].to_string());
        named.filter(|action| !action.contains("adopted")).count()
    };
    assert_eq!(events(&gateway.admin("GET", "/v1/audit?limit=500", None).json), events(&before));
}

// Once, it left out all but the roles and the status, and a plan could be done that nobody had looked at.
#[test]
fn the_mark_of_a_plan_is_another_wherever_the_plan_is() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    gateway.create_key("ci").done();
    for (name, token) in [("ci", 1), ("new", 2)] {
        let planned = json!({"name": name, "owner": "ada", "digest": entry(token)["digest"], "hint": "0000"});
        let run = |wanted: &Value, how: &Value| {
            sent(
                &gateway,
                "/v1/apply",
                &json!({"keys": [wanted], "dry_run": how["dry_run"] == true, "plan": how["plan"]}),
            )
        };
        let mark = run(&planned, &json!({"dry_run": true})).json["plan"].clone();
        assert_eq!(run(&planned, &json!({"dry_run": true})).json["plan"], mark, "{name}");
        for (field, value) in [
            ("roles", json!(["a"])),
            ("status", json!("inactive")),
            ("owner", json!("ben")),
            ("note", json!("on call")),
            ("labels", json!({"team": "x"})),
            ("allowed_addresses", json!(["10.0.0.7"])),
            ("limits", json!({"concurrent": 1})),
            ("self_service", json!(true)),
            ("duration", json!("7d")),
            ("digest", entry(3)["digest"].clone()),
            ("hint", json!("9999")),
            ("weak", json!(true)),
        ] {
            let mut other = planned.clone();
            other[field] = value;
            let stale = run(&other, &json!({ "plan": mark }));
            assert_eq!((stale.status, &stale.json["code"]), (412, &json!("version_mismatch")), "{name}: {field}");
        }
        gateway.clock.advance(Span::minutes(1));
        assert_eq!(run(&planned, &json!({ "plan": mark })).status, 200, "{name}");
    }
}

/// The text of a backup.
pub(crate) fn backup(gateway: &TestGateway) -> String {
    let mut client = RawClient::connect(gateway.admin_address());
    client.send(&gateway.call("GET", "/v1/backup").bytes());
    let answer = client.read_response();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/jsonl")));
    answer.text()
}

/// Puts a backup back, with these parameters.
pub(crate) fn restore(gateway: &TestGateway, parameters: &str, text: &str) -> AdminReply {
    let call = gateway.call("POST", &format!("/v1/restore{parameters}")).header("Content-Type", "application/jsonl");
    gateway.admin_raw(&call.body(text))
}

#[test]
fn a_backup_put_back_revives_what_has_ended_since_tells_so_and_revisions_go_on() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let [deleted, renewed, same] = ["deleted", "renewed", "same"].map(|name| gateway.create_key(name).done());
    let text = backup(&gateway);
    for holder in [&deleted, &renewed, &same] {
        assert!(!text.contains(&holder.token[4..]), "a token is in the backup");
    }
    gateway.admin("DELETE", "/v1/keys/deleted", None);
    let new = gateway.renew(&renewed).deleting_old_now().done();
    let since = gateway.create_key("since").done();
    let version = gateway.admin("GET", "/v1/keys/renewed", None).json["version"].as_u64().expect("a number");
    let before = gateway.admin("GET", "/v1/status", None).json["revision"].as_u64().expect("a number");

    let plan = restore(&gateway, "?dry_run=true", &text);
    assert_eq!(plan.status, 200, "{}", plan.json);
    let of = |field: &str| {
        let mut names: Vec<_> =
            plan.json[field].as_array().expect(field).iter().map(|of| of["name"].to_string()).collect();
        names.sort();
        names.join(" ")
    };
    let (both, one) = ("\"deleted\" \"renewed\"", "\"renewed\"");
    assert_eq!((of("restored"), of("revives"), of("ends")), (both.into(), both.into(), one.into()));
    assert_eq!((of("kept"), &plan.json["unchanged"]), ("\"since\"".into(), &json!(1)));
    assert_eq!(gateway.status_with(&deleted), 401, "a plan changes nothing");

    let done = restore(&gateway, &format!("?plan={}", plan.json["plan"].as_str().expect("a mark")), &text);
    assert_eq!(done.status, 200, "{}", done.json);
    for (holder, status) in [(&deleted, 200), (&renewed, 200), (&same, 200), (&since, 200), (&new, 401)] {
        assert_eq!(gateway.status_with(holder), status, "{}", holder.name);
    }
    let after = gateway.admin("GET", "/v1/keys/renewed", None).json["version"].as_u64().expect("a number");
    assert!(after > version, "an ETag never comes again");
    assert!(gateway.admin("GET", "/v1/status", None).json["revision"].as_u64() > Some(before));
    let again = restore(&gateway, "?delete_newer=true", &text);
    assert_eq!((again.status, again.json["deleted"][0]["name"].as_str()), (200, Some("since")), "{}", again.json);
    assert_eq!(gateway.status_with(&since), 401);
}

#[test]
fn keys_that_have_exchanged_names_since_are_put_back_and_one_that_keeps_such_a_name_is_named() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let [first, second, gone] = ["a", "b", "gone"].map(|name| gateway.create_key(name).done());
    let text = backup(&gateway);
    let rename = |holder: &Holder, name: &str| {
        let reply = gateway.admin("PATCH", &format!("/v1/keys/{}", holder.id), Some(&json!({"name": name})));
        assert_eq!(reply.status, 200, "{}", reply.json);
    };
    rename(&first, "between");
    gateway.admin("DELETE", "/v1/keys/gone", None);
    rename(&second, "a");
    rename(&first, "gone");
    let is_as_it_was = || {
        for holder in [&first, &second, &gone] {
            let found = gateway.admin("GET", &format!("/v1/keys/{}", holder.name), None).json;
            assert_eq!((&found["id"], gateway.status_with(holder)), (&holder.id.as_str().into(), 200), "{found}");
        }
    };
    assert_eq!(restore(&gateway, "?dry_run=true", &text).status, 200);
    let done = restore(&gateway, "", &text);
    assert_eq!(done.status, 200, "{}", done.json);
    is_as_it_was();

    rename(&first, "other");
    let newer = gateway.create_key("A").done();
    for parameters in ["?dry_run=true", ""] {
        let refused = restore(&gateway, parameters, &text);
        assert_eq!((refused.status, &refused.json["code"]), (409, &json!("name_taken")), "{}", refused.json);
        let detail = refused.json["detail"].as_str().expect("a text");
        assert_eq!(detail, format!("a ({}) would have the name of A ({})", first.id, newer.id));
    }
    let done = restore(&gateway, "?delete_newer=true", &text);
    assert_eq!(done.status, 200, "{}", done.json);
    is_as_it_was();
}

#[test]
fn a_plan_tells_every_token_that_is_accepted_again_or_not_any_more_whatever_the_reason() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let [off, aged] = ["off", "aged"].map(|name| gateway.create_key(name).done());
    let set = |duration: &str, ends: u64, revives: u64| {
        let confirm = json!({"ends": ends, "revives": revives});
        let reply = gateway.admin("PATCH", "/v1/settings", Some(&json!({"duration": duration, "confirm": confirm})));
        assert_eq!(reply.status, 200, "{}", reply.json);
    };
    let planned = |text: &str, field: &str| {
        let plan = restore(&gateway, "?dry_run=true", text);
        let names = plan.json[field].as_array().expect(field).iter().map(|of| of["name"].as_str().map(str::to_owned));
        let mut names: Vec<_> = names.map(|name| name.expect("a name")).collect();
        names.sort();
        names
    };
    let lasting = backup(&gateway);
    gateway.clock.advance(Span::days(2));
    assert_eq!(planned(&lasting, "revives"), [""; 0]);
    gateway.admin("PATCH", "/v1/keys/off", Some(&json!({"status": "inactive"})));
    assert_eq!(planned(&lasting, "revives"), ["off"]);
    set("1d", 2, 0);
    let short = backup(&gateway);
    assert_eq!((planned(&lasting, "revives"), planned(&lasting, "ends")), (vec!["aged".into(), "off".into()], vec![]));
    assert_eq!(restore(&gateway, "", &lasting).status, 200);
    assert_eq!((gateway.status_with(&off), gateway.status_with(&aged)), (200, 200));
    assert_eq!((planned(&short, "revives"), planned(&short, "ends")), (vec![], vec!["aged".into(), "off".into()]));
}

#[test]
fn a_backup_moves_keys_to_an_empty_gateway_whose_revisions_go_on_after_it() {
    let backend = Backend::answering("hello");
    let first = TestGateway::in_front_of(&backend).start();
    let old = first.create_key("ci").done();
    let new = first.renew(&old).deleting_old_after(Span::days(7)).done();
    for number in 0..50 {
        first.create_key(&format!("k{number}")).done();
    }
    let text = backup(&first);
    let revision = first.admin("GET", "/v1/status", None).json["revision"].as_u64().expect("a number");
    let second = TestGateway::in_front_of(&backend).start();
    let done = restore(&second, "", &text);
    assert_eq!(done.status, 200, "{}", done.json);
    assert_eq!((second.status_with(&old), second.status_with(&new), names(&second)), (200, 200, names(&first)));
    assert!(second.admin("GET", "/v1/status", None).json["revision"].as_u64() > Some(revision));
    for broken in [&text[..text.len() / 2], &text.replace("\"ci\"", "\"cj\""), "", "{}"] {
        assert_eq!(restore(&second, "", broken).status, 400);
    }
    let anonymous = request("GET", "/v1/backup").token(&old.token);
    assert_eq!(second.admin_raw(&anonymous).status, 401);
}

#[test]
fn two_imports_of_the_same_keys_at_once_make_each_key_once() {
    let backend = Backend::answering("hello");
    let gateway = Arc::new(TestGateway::in_front_of(&backend).start());
    let all: Vec<_> = (1..=50).map(entry).collect();
    let body = json!({ "keys": all });
    std::thread::scope(|scope| {
        let both: Vec<_> = (0..2).map(|_| scope.spawn(|| sent(&gateway, "/v1/import", &body))).collect();
        let unchanged: u64 = both
            .into_iter()
            .map(|one| one.join().expect("sent"))
            .map(|reply| {
                assert_eq!(reply.status, 200, "{}", reply.json);
                reply.json["unchanged"].as_u64().expect("a number")
            })
            .sum();
        assert_eq!(unchanged, 50);
    });
    assert_eq!(names(&gateway).len(), 50);
}
