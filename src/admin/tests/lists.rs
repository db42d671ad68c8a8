//! Lists: keys, renewals, the audit log.

use http::Method;
use serde_json::{Value, json};

use super::Plane;
use crate::domain::Span;

#[tokio::test]
async fn lists_are_filtered_and_come_in_pages_newest_first() {
    let plane = Plane::new().await;
    for name in ["one", "two", "three", "four"] {
        plane.create(name).await;
        plane.admin.clock.advance(Span::minutes(1));
    }
    plane.ask(Method::PATCH, "/v1/keys/two", json!({"roles": ["r"], "owner": "Ada", "labels": {"team": "x"}})).await;
    plane.ask(Method::PATCH, "/v1/keys/three", json!({"status": "inactive", "duration": "3d"})).await;
    for (query, names) in [
        ("", &["four", "three", "two", "one"][..]),
        ("?status=inactive", &["three"]),
        ("?role=r", &["two"]),
        ("?owner=Ada", &["two"]),
        ("?label=team", &["two"]),
        ("?label=team:x", &["two"]),
        ("?label=team:y", &[]),
        ("?q=T", &["three", "two"]),
        ("?q=ADA", &["two"]),
        ("?renewing=false&q=o", &["four", "two", "one"]),
        ("?expiring_within=4d", &["three"]),
        ("?unused_since=150s", &["two", "one"]),
        ("?limit=2", &["four", "three"]),
    ] {
        let list = plane.read(&format!("/v1/keys{query}")).await.body;
        let shown: Vec<_> = list["keys"].as_array().expect(query).iter().map(|key| key["name"].clone()).collect();
        assert_eq!(shown, names, "{query}");
    }
    let page = plane.read("/v1/keys?limit=3").await.body;
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let last = plane.read(&format!("/v1/keys?limit=3&cursor={cursor}")).await.body;
    assert_eq!((&last["keys"][0]["name"], &last["next_cursor"]), (&json!("one"), &Value::Null));
    let wrong = plane.read("/v1/keys?status=on&typo=1&limit=0&renewing=1&cursor=x").await;
    assert_eq!(wrong.code(), (400, "invalid_request"));
    assert_eq!(wrong.paths().len(), 5);
}

#[tokio::test]
async fn renewals_are_listed_by_urgency() {
    let plane = Plane::new().await;
    for (name, plan) in [
        ("later", json!("later")),
        ("week", json!({"after": "7d"})),
        ("held", json!({"after": "1m"})),
        ("day", json!({"after": "1d"})),
        ("single", Value::Null),
    ] {
        plane.create(name).await;
        if !plan.is_null() {
            plane.ask(Method::POST, &format!("/v1/keys/{name}/renew"), json!({ "delete_old": plan })).await;
        }
    }
    plane.admin.clock.advance(Span::minutes(2));
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = plane.read(&format!("/v1/keys?renewing=true&limit=1{cursor}")).await.body;
        names.push(page["keys"][0]["name"].as_str().expect("a name").to_owned());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(names, ["held", "day", "week", "later"]);
    let other = plane.read(&format!("/v1/keys?limit=1{cursor}")).await;
    assert_eq!(other.paths(), ["cursor"]);
    assert_eq!(plane.read("/v1/keys/held").await.body["renewal"]["held"], true);
}

#[tokio::test]
async fn the_audit_log_is_filtered_and_comes_in_pages() {
    let plane = Plane::new().await;
    plane.create("ci").await;
    plane.create("other").await;
    plane.ask(Method::POST, "/v1/keys/ci/renew", Value::Null).await;
    let of_key = plane.read("/v1/audit?key=ci").await.body;
    let actions: Vec<_> = of_key["events"].as_array().expect("events").iter().map(|e| e["action"].clone()).collect();
    assert_eq!(actions, ["key.created", "renewal.opened"]);
    assert_eq!(of_key["events"][1]["actor"], "root");
    assert_eq!(of_key["events"][1]["address"], "127.0.0.1");
    let created = plane.read("/v1/audit?actor=root&action=key.created&limit=1").await.body;
    let cursor = created["next_cursor"].as_str().expect("a cursor");
    let next = plane.read(&format!("/v1/audit?actor=root&action=key.created&limit=1&cursor={cursor}")).await.body;
    assert_eq!(next["events"][0]["after"]["name"], "other");
    let after = of_key["events"][0]["revision"].as_u64().expect("a revision");
    let later = plane.read(&format!("/v1/audit?key=ci&after={after}")).await.body;
    assert_eq!(later["events"].as_array().map(Vec::len), Some(1));
    let newest = plane.read("/v1/audit?key=ci&order=newest&limit=1").await.body;
    assert_eq!(newest["events"][0]["action"], "renewal.opened");
    let cursor = newest["next_cursor"].as_str().expect("a cursor");
    let older = plane.read(&format!("/v1/audit?key=ci&order=newest&limit=1&cursor={cursor}")).await.body;
    assert_eq!(older["events"][0]["action"], "key.created");
    assert_eq!(plane.read("/v1/audit?order=best").await.paths(), ["order"]);
    assert_eq!(plane.read("/v1/audit?key=nobody").await.code(), (404, "key_not_found"));
    assert_eq!(plane.read("/v1/audit?action=key.born&after=x").await.paths(), ["after", "action"]);
}
