//! Who may call, what is there, and what needs no credential.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Method, Request};
use serde_json::{Value, json};

use super::{Plane, administrator, answer};
use crate::admin::calls::{self, Needs};
use crate::admin::{Probes, finished, probes_router, sign_ins};
use crate::domain::Permission::{
    self, AdminsWrite, AuditRead, KeysRead, KeysRenew, KeysWrite, MetricsRead, SettingsWrite,
};

/// Of every call the permissions of which one suffices, and those that it needs besides.
const CALLS: [(&str, &str, &[Permission], &[Permission]); 34] = [
    ("GET", "/v1/keys", &[KeysRead], &[]),
    ("POST", "/v1/keys", &[KeysWrite], &[]),
    ("GET", "/v1/keys/{key}", &[KeysRead], &[]),
    ("PATCH", "/v1/keys/{key}", &[KeysWrite], &[]),
    ("DELETE", "/v1/keys/{key}", &[KeysWrite], &[]),
    ("POST", "/v1/keys/{key}/renew", &[KeysRenew], &[]),
    ("PATCH", "/v1/keys/{key}/renewal", &[KeysRenew], &[]),
    ("POST", "/v1/keys/{key}/delete-old", &[KeysRenew], &[]),
    ("POST", "/v1/keys/{key}/undo", &[KeysRenew], &[]),
    ("GET", "/v1/admins", &[AdminsWrite], &[]),
    ("POST", "/v1/admins", &[AdminsWrite], &[]),
    ("GET", "/v1/admins/{admin}", &[AdminsWrite], &[]),
    ("PATCH", "/v1/admins/{admin}", &[AdminsWrite], &[]),
    ("DELETE", "/v1/admins/{admin}", &[AdminsWrite], &[]),
    ("POST", "/v1/admins/{admin}/renew", &[AdminsWrite], &[]),
    ("PATCH", "/v1/admins/{admin}/renewal", &[AdminsWrite], &[]),
    ("POST", "/v1/admins/{admin}/delete-old", &[AdminsWrite], &[]),
    ("POST", "/v1/admins/{admin}/undo", &[AdminsWrite], &[]),
    ("POST", "/v1/import", &[KeysWrite], &[]),
    ("POST", "/v1/apply", &[KeysWrite], &[KeysRenew]),
    ("GET", "/v1/backup", &[KeysRead], &[AdminsWrite]),
    ("POST", "/v1/restore", &[KeysWrite], &[KeysRenew, SettingsWrite, AdminsWrite]),
    ("GET", "/v1/audit", &[AuditRead], &[]),
    ("GET", "/v1/audit/export", &[AuditRead], &[]),
    ("GET", "/v1/events", &[AuditRead], &[]),
    ("GET", "/v1/settings", &[KeysRead, SettingsWrite], &[]),
    ("PATCH", "/v1/settings", &[SettingsWrite], &[]),
    ("GET", "/v1/status", &[KeysRead], &[]),
    ("POST", "/v1/reload", &[SettingsWrite], &[]),
    ("GET", "/metrics", &[MetricsRead], &[]),
    ("GET", "/livez", &Permission::ALL, &[]),
    ("GET", "/readyz", &Permission::ALL, &[]),
    ("GET", "/openapi.json", &Permission::ALL, &[]),
    ("GET", "/docs", &Permission::ALL, &[]),
];

/// Every call of the route table, with the permissions that are published of it.
fn routes() -> BTreeSet<(String, String, BTreeSet<Permission>)> {
    let published = |needs: Needs| match needs {
        Needs::Nothing => Permission::ALL.into(),
        Needs::OneOf(wanted) | Needs::AllOf(wanted) => wanted.iter().copied().collect(),
    };
    calls::table()
        .into_iter()
        .map(|call| (call.method.to_string(), call.path.to_owned(), published(call.needs)))
        .collect()
}

#[tokio::test]
async fn whoever_lacks_a_permission_is_refused_by_every_call_that_needs_it_and_changes_nothing() {
    let needs = |one_of: &[Permission], besides: &[Permission]| one_of.iter().chain(besides).copied().collect();
    let known: BTreeSet<_> = CALLS
        .iter()
        .map(|(method, path, one_of, besides)| (method.to_string(), path.to_string(), needs(one_of, besides)))
        .collect();
    assert_eq!(routes(), known, "what is published, and what is asked below");
    let plane = Plane::new().await;
    plane.create("ci").await;
    plane.ask(Method::POST, "/v1/keys/ci/renew", Value::Null).await;
    administrator(&plane.admin, "target", &[]).await;
    plane.ask(Method::POST, "/v1/admins/target/renew", Value::Null).await;
    let mut tokens = Vec::new();
    for lacked in Permission::ALL {
        let others: Vec<_> = Permission::ALL.into_iter().filter(|permission| *permission != lacked).collect();
        let name = format!("all but {}", lacked.as_str().replace(':', " "));
        tokens.push((lacked, administrator(&plane.admin, &name, &others).await));
    }
    let nothing = administrator(&plane.admin, "nothing", &[]).await;
    let before = plane.admin.keyring.revision();
    for (method, path, one_of, besides) in
        CALLS.iter().filter(|(_, path, ..)| path.starts_with("/v1") || *path == "/metrics")
    {
        let path = path.replace("{key}", "ci").replace("{admin}", "target");
        let call = |token: &str| {
            let request = Request::builder().method(*method).uri(&path).header("host", "localhost");
            let request = request.header("authorization", format!("Bearer {token}"));
            request.header("content-type", "application/json").body(Body::empty()).expect("a request")
        };
        assert_eq!(plane.send(call(&nothing)).await.code(), (403, "forbidden"), "{method} {path}");
        for (lacked, token) in &tokens {
            let is_needed = *one_of == [*lacked] || besides.contains(lacked);
            if is_needed {
                let refused = plane.send(call(token)).await;
                assert_eq!(refused.code(), (403, "forbidden"), "{method} {path} without {lacked:?}");
                assert!(refused.body["detail"].as_str().expect("text").contains(lacked.as_str()), "{}", refused.body);
            }
        }
    }
    assert_eq!(plane.admin.keyring.revision(), before, "nothing was changed");
}

#[tokio::test]
async fn a_call_is_made_with_the_permission_it_needs_and_with_no_other() {
    let plane = Plane::new().await;
    plane.create("ci").await;
    administrator(&plane.admin, "target", &[]).await;
    let single = |besides: &[Permission]| besides.is_empty();
    // A stream of events has no end to wait for.
    let calls = CALLS.iter().filter(|(_, path, _, besides)| single(besides) && *path != "/v1/events");
    for (method, path, one_of, _) in calls.filter(|(_, path, ..)| path.starts_with("/v1") || *path == "/metrics") {
        for permission in Permission::ALL {
            let name = format!("{method} {} {permission:?}", path.replace('/', " "));
            let name = name.trim_matches(['{', '}']).replace(['{', '}'], "");
            let token = administrator(&plane.admin, &name, &[permission]).await;
            // Of nobody, so that nothing is changed on the way.
            let path = path.replace("{key}", "gone").replace("{admin}", "gone");
            let request = Request::builder().method(*method).uri(&path).header("host", "localhost");
            let request = request.header("authorization", format!("Bearer {token}")).body(Body::empty());
            let answer = plane.send(request.expect("a request")).await;
            assert_eq!(answer.status == 403, !one_of.contains(&permission), "{method} {path} {permission:?}");
            assert_ne!(answer.status, 401, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn without_an_administrators_token_every_call_has_one_answer() {
    let plane = Plane::new().await;
    let key = plane.create("ci").await;
    let mut bodies = BTreeSet::new();
    for credential in
        ["", "Basic eDp5", "Bearer", "Bearer x", &format!("Bearer {key}"), &format!("Basic {}", plane.root)]
    {
        for path in ["/v1/keys", "/v1/keys/ci", "/v1/keys/key_", "/v1/status", "/metrics"] {
            let request = Request::builder().uri(path).header("host", "localhost").header("authorization", credential);
            let refused = plane.send(request.body(Body::empty()).expect("a request")).await;
            assert_eq!(refused.code(), (401, "unauthenticated"), "{credential} {path}");
            assert!(refused.header("www-authenticate").starts_with("Bearer"));
            bodies.insert(refused.body.to_string());
        }
    }
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[tokio::test]
async fn paths_methods_and_references_that_are_not_there_are_problems() {
    let plane = Plane::new().await;
    plane.create("ci").await;
    for path in ["/v2", "/v1", "/v1/keys/", "/v1/keys/ci/renew/x", "/V1/keys"] {
        assert_eq!(plane.read(path).await.code(), (404, "not_found"), "{path}");
    }
    for key in ["nobody", "key_", "key_x", "%FF", "a%2Fb", "%20ci", "..%2f"] {
        assert_eq!(plane.read(&format!("/v1/keys/{key}")).await.code(), (404, "key_not_found"), "{key}");
    }
    assert_eq!(plane.read("/v1/keys/%63i").await.status, 200);
    assert_eq!(plane.read("/").await.header("location"), "/console/");
    let refused = plane.ask(Method::PUT, "/v1/keys/ci", json!({})).await;
    assert_eq!(refused.code(), (405, "method_not_allowed"));
    let mut allowed: Vec<_> = refused.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PATCH"]);
    for path in ["/v1/keys/ci/undo?unless_used_within=ten", "/v1/keys/ci/renew?x", "/v1/keys/ci/delete-old?x=1"] {
        assert_eq!(plane.ask(Method::POST, path, Value::Null).await.code(), (400, "invalid_request"), "{path}");
    }
    let planless = plane.ask(Method::PATCH, "/v1/keys/ci/renewal", json!({})).await;
    assert_eq!(planless.paths(), ["delete_old"]);
    let now = plane.ask(Method::PATCH, "/v1/keys/ci/renewal", json!({"delete_old": "now"})).await;
    assert_eq!(now.paths(), ["delete_old"]);
}

#[tokio::test]
async fn the_status_counts_and_the_probes_need_no_credential() {
    let plane = Plane::new().await;
    plane.create("ci").await;
    plane.ask(Method::POST, "/v1/keys/ci/renew", Value::Null).await;
    let status = plane.read("/v1/status").await.body;
    assert_eq!(status["keys"], 1);
    assert_eq!(status["administrators"], 1);
    assert_eq!(status["renewals_open"], 1);
    assert_eq!(status["config_hash"], "abc");
    assert_eq!(status["started_at"], "2026-11-23T19:12:00.000Z");
    let health = &plane.admin.health;
    let keys = health.requirement("keys loaded");
    health.condition("store").fail("/var/lib/relevo.redb: no space");
    assert_eq!(plane.read("/v1/status").await.body["health"][1]["detail"], "/var/lib/relevo.redb: no space");
    let waiting = plane.read("/readyz").await;
    assert_eq!((waiting.status.as_u16(), &waiting.body["ready"]), (503, &json!(false)));
    assert!(!waiting.body.to_string().contains("/var/lib"), "{}", waiting.body);
    keys.ok();
    let unknown = |path: &str| Request::builder().uri(path).header("host", "10.1.1.1").body(Body::empty());
    for (probes, metrics) in [(Probes::Alone, 404), (Probes::WithMetrics, 200)] {
        let router = probes_router(plane.admin.clone(), probes);
        for (path, expected) in [("/livez", 200), ("/readyz", 200), ("/metrics", metrics), ("/v1/keys", 404)] {
            let answer = answer(router.clone(), unknown(path).expect("a request")).await;
            assert_eq!(answer.status, expected, "{path}");
        }
    }
    let refused = plane.send(unknown("/livez").expect("a request")).await;
    assert_eq!(refused.code(), (421, "unknown_host"));
    assert_eq!(refused.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_panic_in_a_call_is_a_problem_and_not_the_end() {
    async fn broken() {
        panic!("a bug with a secret in it");
    }
    let plane = Plane::new().await;
    let router = finished(Router::new().route("/broken", get(broken)), plane.admin.clone());
    for _ in 0..2 {
        let request = Request::builder().uri("/broken").body(Body::empty()).expect("a request");
        let answer = answer(router.clone(), request).await;
        assert_eq!(answer.code(), (500, "internal"));
        assert!(!answer.body.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_or_not_json_changes_nothing() {
    let plane = Plane::new().await;
    for (media_type, body, code) in [
        ("application/json", format!("{{\"name\": \"{}\"}}", "x".repeat(70_000)), (413, "body_too_large")),
        ("text/plain", "{\"name\": \"ci\"}".into(), (415, "unsupported_media_type")),
        ("application/json", "{\"name\": \"ci\"".into(), (400, "invalid_request")),
        ("application/json", "[\"ci\"]".into(), (400, "invalid_request")),
        ("application/json", "{\"name\": \"ci\", \"name\": \"cd\"}".into(), (400, "invalid_request")),
    ] {
        let request = plane.request(Method::POST, "/v1/keys").header("content-type", media_type);
        let refused = plane.send(request.body(Body::from(body)).expect("a request")).await;
        assert_eq!(refused.code(), code);
    }
    assert_eq!(plane.read("/v1/keys").await.body["keys"], json!([]));
}

#[tokio::test]
async fn failed_sign_ins_are_counted_by_address_and_a_good_token_never_pays_for_them() {
    let plane = Plane::new().await;
    let call = |token: &str| {
        let request = Request::builder().uri("/v1/status").header("host", "localhost");
        request.header("authorization", format!("Bearer {token}")).body(Body::empty()).expect("a request")
    };
    let sign_in = |token: &str| {
        let request = Request::builder().method(Method::POST).uri("/console/sign-in").header("host", "localhost");
        let request = request.header("origin", "http://localhost");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(Body::from(format!("token={token}"))).expect("a request")
    };
    for count in 1..=sign_ins::MOST {
        let refused =
            if count % 2 == 0 { plane.send(call("nobodys")).await } else { plane.send(sign_in("nobodys")).await };
        let expected = if count % 2 == 0 { 401 } else { 403 };
        assert_eq!(refused.status, expected, "{count}");
    }
    let refused = plane.send(call("nobodys")).await;
    assert_eq!((refused.code(), refused.header("retry-after")), ((429, "too_many_failures"), "60"));
    assert_eq!(plane.send(sign_in("nobodys")).await.status, 429);
    assert_eq!(plane.send(call(&plane.root)).await.status, 200);
    assert_eq!(plane.send(sign_in(&plane.root)).await.status, 303);
    let missing = Request::builder().uri("/v1/status").header("host", "localhost").body(Body::empty());
    assert_eq!(plane.send(missing.expect("a request")).await.code(), (401, "unauthenticated"), "which guesses nothing");
    let rendered = plane.admin.metrics.render();
    for line in [
        "relevo_admin_sign_ins_failed_total{code=\"too_many_failures\"} 2",
        &format!("relevo_admin_sign_ins_failed_total{{code=\"unauthenticated\"}} {}", sign_ins::MOST),
    ] {
        assert!(rendered.contains(line), "{line}");
    }
    plane.admin.clock.advance(crate::domain::Span::minutes(1));
    assert_eq!(plane.send(call("nobodys")).await.code(), (401, "unauthenticated"), "the minute is over");
}
