//! Calls about one key, and the settings.

use axum::body::Body;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::Service;

use super::Plane;
use crate::domain::Span;

#[tokio::test]
async fn a_key_is_created_renewed_undone_renewed_and_completed() {
    let plane = Plane::new().await;
    let made = plane.ask(Method::POST, "/v1/keys", json!({"name": "ci", "roles": ["orders:read"]})).await;
    assert_eq!(made.status, 201);
    assert!(made.body["token"].as_str().expect("a token").starts_with("rlv_"));
    assert_eq!(made.header("etag"), "\"v1\"");
    assert_eq!(made.header("cache-control"), "no-store");
    assert_eq!(made.header("location"), format!("/v1/keys/{}", made.body["key"]["id"].as_str().expect("an id")));

    let renewed = plane.ask(Method::POST, "/v1/keys/CI/renew", Value::Null).await;
    assert_eq!(renewed.status, 201);
    assert_eq!(renewed.body["key"]["renewal"]["delete_old"], "later");
    assert_eq!(renewed.body["key"]["renewal"]["opened_by"], "root");
    assert!(renewed.header("relevo-revision").parse::<u64>().expect("a revision") > 0);
    let again = plane.ask(Method::POST, "/v1/keys/ci/renew", Value::Null).await;
    assert_eq!(again.code(), (409, "renewal_open"));

    let undone = plane.ask(Method::POST, "/v1/keys/ci/undo", Value::Null).await;
    assert_eq!((undone.status.as_u16(), &undone.body["key"]["renewal"]), (200, &Value::Null));
    assert_eq!(undone.body["key"]["tokens"][0]["id"], made.body["key"]["tokens"][0]["id"]);
    assert_eq!(plane.ask(Method::POST, "/v1/keys/ci/undo", Value::Null).await.code(), (409, "no_old_token"));

    let plan = json!({"delete_old": {"after": "7d", "on_unused": "delete"}});
    let renewed = plane.ask(Method::POST, "/v1/keys/ci/renew", plan.clone()).await;
    assert_eq!(renewed.body["key"]["renewal"]["delete_old"], plan["delete_old"]);
    assert_eq!(renewed.body["key"]["renewal"]["due_at"], "2026-11-30T19:12:00.000Z");
    let completed = plane.ask(Method::POST, "/v1/keys/ci/delete-old", Value::Null).await;
    assert_eq!(completed.body["key"]["tokens"][0]["id"], renewed.body["key"]["tokens"][1]["id"]);
    assert_eq!(completed.body["key"]["tokens"][0]["state"], "current");
}

/// The fields of a key that is being renewed, in the order of the published example.
const FIELDS: [&str; 46] = [
    "id",
    "name",
    "roles",
    "status",
    "owner",
    "note",
    "labels",
    "allowed_addresses",
    "limits",
    "self_service",
    "created_at",
    "duration",
    "version",
    "tokens",
    "id",
    "state",
    "hint",
    "created_at",
    "expires_at",
    "outdated",
    "usage",
    "first_used_at",
    "last_used_at",
    "requests_1h",
    "requests_24h",
    "id",
    "state",
    "hint",
    "created_at",
    "expires_at",
    "outdated",
    "usage",
    "first_used_at",
    "last_used_at",
    "requests_1h",
    "requests_24h",
    "renewal",
    "opened_at",
    "opened_by",
    "delete_old",
    "due_at",
    "quiet_since",
    "held",
    "adoption",
    "old_token_callers",
    "new_token_callers",
];

#[tokio::test]
async fn a_key_is_shown_in_the_order_of_the_published_example() {
    let plane = Plane::new().await;
    plane.create("ci").await;
    let request = plane.request(Method::POST, "/v1/keys/ci/renew").body(Body::empty()).expect("a request");
    plane.send(request).await;
    let request = plane.request(Method::GET, "/v1/keys/ci").body(Body::empty()).expect("a request");
    let response = plane.router.clone().call(request).await.expect("an answer");
    let text = response.into_body().collect().await.expect("a body").to_bytes();
    let text = std::str::from_utf8(&text).expect("text");
    let mut rest = text;
    for field in FIELDS {
        let quoted = format!("\"{field}\":");
        let at = rest.find(&quoted).unwrap_or_else(|| panic!("{field} is not where it should be in {text}"));
        assert!(!rest[..at].contains("\":"), "something stands before {field} in {text}");
        rest = &rest[at + quoted.len()..];
    }
    assert!(!rest.contains("\":"), "{rest}");
}

#[tokio::test]
async fn a_secret_is_in_one_reply_only() {
    let plane = Plane::new().await;
    let token = plane.create("ci").await;
    let digest = crate::domain::Digest::of(token.as_bytes()).to_string();
    for path in ["/v1/keys", "/v1/keys/ci", "/v1/audit", "/v1/status", "/v1/settings"] {
        let text = plane.read(path).await.body.to_string();
        assert!(!text.contains(&token) && !text.contains(&digest), "{path}");
    }
}

#[tokio::test]
async fn a_digest_sent_again_is_harmless_and_makes_no_token() {
    let plane = Plane::new().await;
    let body = json!({"name": "ci", "digest": format!("sha256:{:064x}", 7)});
    let made = plane.ask(Method::POST, "/v1/keys", body.clone()).await;
    assert_eq!((made.status.as_u16(), made.body.get("token")), (201, None));
    assert_eq!(plane.ask(Method::POST, "/v1/keys", body).await.status, 200);
    let other = json!({"name": "other", "digest": format!("sha256:{:064x}", 7)});
    assert_eq!(plane.ask(Method::POST, "/v1/keys", other).await.code(), (409, "digest_in_use"));
    assert_eq!(plane.ask(Method::POST, "/v1/keys", json!({"name": "CI"})).await.code(), (409, "name_taken"));
    let own = json!({"digest": format!("sha256:{:064x}", 7)});
    assert_eq!(plane.ask(Method::POST, "/v1/keys/ci/renew", own).await.code(), (409, "digest_in_use"));
    let renewal = json!({"digest": format!("sha256:{:064x}", 8)});
    assert_eq!(plane.ask(Method::POST, "/v1/keys/ci/renew", renewal.clone()).await.status, 201);
    assert_eq!(plane.ask(Method::POST, "/v1/keys/ci/renew", renewal).await.status, 200);
}

#[tokio::test]
async fn every_mistake_of_a_body_is_told_with_its_path() {
    let plane = Plane::new().await;
    let body = json!({"roles": ["A"], "limits": {"rate": {"requests": 0, "per": "1s"}, "quota": 7, "concurrent": 0, "burst": 1}, "labels": {"team": 1}, "allowed_addresses": ["10.0.0.1", "x"],
        "duration": "0s", "digest": "md5:1", "status": "active"});
    let refused = plane.ask(Method::POST, "/v1/keys", body).await;
    assert_eq!(refused.code(), (400, "invalid_request"));
    let expected = [
        "name",
        "roles[0]",
        "labels.team",
        "allowed_addresses[1]",
        "limits.rate",
        "limits.quota",
        "limits.concurrent",
        "limits.burst",
        "duration",
        "digest",
        "status",
    ];
    assert_eq!(refused.paths(), expected);
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert_eq!(refused.body["type"], "urn:relevo:problem:invalid_request");
    assert_eq!(plane.read("/v1/keys").await.body["keys"], json!([]));
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_clears_what_is_null() {
    let plane = Plane::new().await;
    plane.create("ci").await;
    let edit = json!({"name": "build", "owner": "ada", "labels": {"team": "x"}, "allowed_addresses": ["10.0.0.7"],
        "status": "inactive", "limits": null});
    let edited = plane.ask(Method::PATCH, "/v1/keys/ci", edit).await;
    assert_eq!((edited.status.as_u16(), &edited.body["owner"]), (200, &json!("ada")));
    assert_eq!(edited.body["allowed_addresses"], json!(["10.0.0.7/32"]));
    let cleared = plane.ask(Method::PATCH, "/v1/keys/build", json!({"owner": null, "labels": {}})).await;
    assert_eq!((&cleared.body["owner"], &cleared.body["labels"]), (&Value::Null, &json!({})));
    let unchanged = plane.ask(Method::PATCH, "/v1/keys/build", json!({"owner": null})).await;
    assert_eq!(unchanged.header("etag"), cleared.header("etag"));
    assert_eq!(unchanged.header("relevo-revision"), cleared.header("relevo-revision"));
    assert_eq!(plane.read("/v1/keys/ci").await.code(), (404, "key_not_found"));
}

#[tokio::test]
async fn limits_are_replaced_whole_and_null_leaves_them_to_the_configuration() {
    let plane = Plane::new().await;
    plane.create("ci").await;
    let all = json!({"rate": {"requests": 100, "per": "1s", "burst": 200}, "quota": {"requests": 5, "per": "month"}, "concurrent": 50});
    let edited = plane.ask(Method::PATCH, "/v1/keys/ci", json!({"limits": all})).await;
    assert_eq!((edited.status.as_u16(), &edited.body["limits"]), (200, &all));
    assert_eq!(plane.read("/v1/keys/ci").await.body["limits"], all);
    for limits in [json!({"concurrent": 1}), json!({}), Value::Null] {
        let edited = plane.ask(Method::PATCH, "/v1/keys/ci", json!({"limits": limits})).await;
        assert_eq!(edited.body["limits"], limits);
    }
    let audit = plane.read("/v1/audit?limit=500").await;
    let limits: Vec<_> =
        audit.body["events"].as_array().expect("events").iter().map(|event| &event["after"]["limits"]).collect();
    assert!(limits.contains(&&all), "{limits:?}");
    for wrong in [json!(7), json!({"rate": {"requests": 1, "per": "1s", "of": 1}}), json!({"concurrent": 1.5})] {
        assert_eq!(
            plane.ask(Method::PATCH, "/v1/keys/ci", json!({"limits": wrong})).await.code(),
            (400, "invalid_request")
        );
    }
}

#[tokio::test]
async fn if_match_is_honoured_by_every_change() {
    let plane = Plane::new().await;
    plane.create("ci").await;
    for (method, path, body) in [
        (Method::PATCH, "/v1/keys/ci", "{\"owner\":\"x\"}"),
        (Method::DELETE, "/v1/keys/ci", ""),
        (Method::POST, "/v1/keys/ci/renew", ""),
        (Method::PATCH, "/v1/settings", "{\"on_expiry\":\"warn\"}"),
    ] {
        for tag in ["\"v99\"", "W/\"v1\"", "\"v98\", \"v99\""] {
            let request = plane.request(method.clone(), path).header("if-match", tag);
            let request = request.header("content-type", "application/json").body(Body::from(body));
            let refused = plane.send(request.expect("a request")).await;
            assert_eq!(refused.code(), (412, "version_mismatch"), "{method} {path} {tag}");
        }
    }
    let request = plane.request(Method::DELETE, "/v1/keys/ci").header("if-match", "\"v9\", \"v1\"").body(Body::empty());
    assert_eq!(plane.send(request.expect("a request")).await.status, 204);
    assert_eq!(plane.ask(Method::DELETE, "/v1/keys/ci", Value::Null).await.code(), (404, "key_not_found"));
}

#[tokio::test]
async fn a_change_that_ends_tokens_names_them_and_wants_to_be_confirmed() {
    let plane = Plane::new().await;
    plane.create("ci").await;
    plane.admin.clock.advance(Span::days(30));
    let shorter = json!({"duration": "7d"});
    for path in ["/v1/keys/ci", "/v1/settings"] {
        let refused = plane.ask(Method::PATCH, path, shorter.clone()).await;
        assert_eq!(refused.code(), (409, "tokens_affected"), "{path}");
        assert_eq!((&refused.body["ends"], &refused.body["revives"]), (&json!(1), &json!(0)), "{path}");
        assert_eq!(refused.body["keys"][0]["name"], "ci", "{path}");
    }
    let confirmed = json!({"duration": "7d", "confirm": {"ends": 1, "revives": 0}});
    let changed = plane.ask(Method::PATCH, "/v1/settings", confirmed).await;
    assert_eq!((changed.status.as_u16(), &changed.body["duration"]), (200, &json!("7d")));
    assert_eq!(plane.read("/v1/settings").await.header("etag"), changed.header("etag"));
    assert_eq!(plane.read("/v1/keys/ci").await.body["tokens"][0]["outdated"], true);
}
