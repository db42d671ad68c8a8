//! Calls about administrators: their life, who may do what to whom, and the one who must be left.

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};

use super::{Answer, Plane, administrator, answer};
use crate::domain::Permission::{self, AdminsWrite, AuditRead, KeysRead, KeysRenew, KeysWrite, SettingsWrite};
use crate::domain::Span;

impl Plane {
    /// Asks as whoever holds `token`.
    async fn ask_as(&self, token: &str, method: Method, path: &str, body: Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:8081");
        let request = request.header("authorization", format!("Bearer {token}"));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = request.header("content-type", "application/json").header("user-agent", "test/1");
        answer(self.router.clone(), request.body(Body::from(body)).expect("a request")).await
    }

    /// The token of a new administrator, made by a call.
    async fn appoint(&self, body: Value) -> String {
        self.admin.clock.advance(Span::millis(1)); // so that the list has an order
        let made = self.ask(Method::POST, "/v1/admins", body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["token"].as_str().expect("a token").into()
    }

    /// Every event, as action and subject's name before or after.
    async fn actions(&self) -> Vec<String> {
        let events = self.read("/v1/audit?limit=500").await.body;
        let events = events["events"].as_array().expect("events").clone();
        events.iter().map(|event| event["action"].as_str().expect("an action").to_owned()).collect()
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|one| one["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn an_administrator_lives_like_a_key() {
    let plane = Plane::new().await;
    let body = json!({"name": "ana", "permissions": ["keys:renew", "keys:read"], "note": "on call"});
    let made = plane.ask(Method::POST, "/v1/admins", body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let first = made.body["token"].as_str().expect("a token").to_owned();
    assert!(first.starts_with("rlva_"), "{first}");
    let id = made.body["admin"]["id"].as_str().expect("an id").to_owned();
    assert_eq!((made.header("location"), made.header("etag")), (&*format!("/v1/admins/{id}"), "\"v1\""));
    assert_eq!(made.body["admin"]["permissions"], json!(["keys:read", "keys:renew"]));
    assert_eq!(
        (&made.body["admin"]["duration"], &made.body["admin"]["limited_to_role"]),
        (&json!("never"), &Value::Null)
    );
    assert_eq!(plane.ask_as(&first, Method::GET, "/v1/keys", Value::Null).await.status, 200);
    assert_eq!(plane.ask_as(&first, Method::GET, "/v1/admins", Value::Null).await.code(), (403, "forbidden"));

    let renewed = plane.ask(Method::POST, "/v1/admins/ANA/renew", Value::Null).await;
    assert_eq!(renewed.status, 201);
    let second = renewed.body["token"].as_str().expect("a token").to_owned();
    for token in [&first, &second] {
        assert_eq!(plane.ask_as(token, Method::GET, "/v1/keys", Value::Null).await.status, 200);
    }
    let shown = plane.read(&format!("/v1/admins/{id}")).await.body;
    let callers = &shown["renewal"]["old_token_callers"];
    assert_eq!((&callers[0]["user_agent"], &callers[0]["route"]), (&json!("test/1"), &json!("/v1/keys")));
    assert_eq!(shown["renewal"]["adoption"], 0.25, "one of four calls was made with the new token");
    let refused = plane.ask(Method::POST, "/v1/admins/ana/undo?unless_used_within=10m", Value::Null).await;
    assert_eq!(refused.code(), (409, "new_token_in_use"));
    plane.admin.clock.advance(Span::minutes(11));
    let planned = json!({"delete_old": {"after": "7d"}});
    let planned = plane.ask(Method::PATCH, "/v1/admins/ana/renewal", planned).await;
    assert_eq!(planned.body["admin"]["renewal"]["delete_old"], json!({"after": "7d"}));
    let closed = plane.ask(Method::POST, "/v1/admins/ana/delete-old?unless_used_within=10m", Value::Null).await;
    assert_eq!((closed.status.as_u16(), &closed.body["admin"]["renewal"]), (200, &Value::Null));
    assert_eq!(plane.ask_as(&first, Method::GET, "/v1/keys", Value::Null).await.status, 401);
    assert_eq!(plane.ask_as(&second, Method::GET, "/v1/keys", Value::Null).await.status, 200);

    plane.ask(Method::PATCH, "/v1/admins/ana", json!({"permissions": [], "status": "inactive"})).await;
    assert_eq!(plane.ask_as(&second, Method::GET, "/v1/keys", Value::Null).await.status, 401);
    plane.ask(Method::PATCH, "/v1/admins/ana", json!({"status": "active"})).await;
    assert_eq!(plane.ask_as(&second, Method::GET, "/v1/keys", Value::Null).await.status, 403);
    assert_eq!(plane.ask(Method::DELETE, "/v1/admins/ana", Value::Null).await.status, 204);
    assert_eq!(plane.ask(Method::DELETE, "/v1/admins/ana", Value::Null).await.code(), (404, "admin_not_found"));
    assert_eq!(plane.ask_as(&second, Method::GET, "/v1/keys", Value::Null).await.status, 401);
    let told = plane.actions().await;
    let expected = [
        "admin.created",
        "admin.created",
        "admin.renewal_opened",
        "admin.renewal_adopted",
        "admin.renewal_plan_changed",
        "admin.renewal_completed",
        "admin.edited",
        "admin.deactivated",
        "admin.activated",
        "admin.deleted",
    ];
    let told: Vec<_> = told.iter().filter(|action| action.starts_with("admin.")).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn whoever_is_limited_to_a_role_is_told_counts_of_what_he_may_see_and_no_metrics() {
    let plane = Plane::new().await;
    for (name, role) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
        assert_eq!(plane.ask(Method::POST, "/v1/keys", json!({"name": name, "roles": [role]})).await.status, 201);
    }
    for name in ["a1", "b1"] {
        assert_eq!(plane.ask(Method::POST, &format!("/v1/keys/{name}/renew"), Value::Null).await.status, 201);
    }
    let permissions = json!(["keys:read", "metrics:read"]);
    let limited = plane.appoint(json!({"name": "ana", "permissions": permissions, "limited_to_role": "a"})).await;
    let free = plane.appoint(json!({"name": "ben", "permissions": permissions})).await;
    let counts = async |token: &str| {
        let status = plane.ask_as(token, Method::GET, "/v1/status", Value::Null).await.body;
        ["keys", "renewals_open", "administrators"].map(|field| status[field].as_u64())
    };
    assert_eq!(counts(&limited).await, [Some(2), Some(1), Some(1)]);
    assert_eq!(counts(&free).await, [Some(3), Some(2), Some(3)]);
    assert_eq!(plane.ask_as(&limited, Method::GET, "/metrics", Value::Null).await.code(), (403, "forbidden"));
    assert_eq!(plane.ask_as(&free, Method::GET, "/metrics", Value::Null).await.status, 200);
}

#[tokio::test]
async fn administrators_are_listed_found_and_changed_at_the_version_that_was_seen() {
    let plane = Plane::new().await;
    plane.appoint(json!({"name": "ana", "permissions": ["audit:read"]})).await;
    plane.appoint(json!({"name": "ben", "permissions": []})).await;
    assert_eq!(names(&plane.read("/v1/admins").await.body["admins"]), ["ben", "ana", "root"]);
    assert_eq!(names(&plane.read("/v1/admins?permission=audit:read").await.body["admins"]), ["ana", "root"]);
    let sorted = plane.read("/v1/admins?sort=-name&q=audit").await.body;
    assert_eq!((names(&sorted["admins"]), &sorted["total"]), (vec!["root", "ana"], &json!(2)));
    let page = plane.read("/v1/admins?limit=2").await.body;
    let next = format!("/v1/admins?cursor={}", page["next_cursor"].as_str().expect("more"));
    assert_eq!(names(&plane.read(&next).await.body["admins"]), ["root"]);
    assert_eq!(plane.read("/v1/keys").await.body["keys"], json!([]));
    let edit = plane.request(Method::PATCH, "/v1/admins/ana").header("if-match", "\"v7\"");
    let edit = edit.header("content-type", "application/json").body(Body::from("{\"note\": \"x\"}"));
    assert_eq!(plane.send(edit.expect("a request")).await.code(), (412, "version_mismatch"));
    for (body, paths) in [
        (json!({"name": "cy", "permissions": ["keys:read", "everything"]}), &["permissions[1]"][..]),
        (json!({"name": "cy", "roles": ["a"], "limits": null}), &["limits", "roles"]),
        (json!({"name": "relevo"}), &["name"]),
        (json!({"name": "Rescue"}), &["name"]),
        (json!({"name": "\u{ff52}\u{ff45}\u{ff4c}\u{ff45}\u{ff56}\u{ff4f}"}), &["name"]),
        (json!({"name": "KEY_0"}), &["name"]),
        (json!({"permissions": []}), &["name"]),
    ] {
        let refused = plane.ask(Method::POST, "/v1/admins", body.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.paths()), (400, paths.to_vec()), "{body}");
    }
}

#[tokio::test]
async fn the_last_who_can_write_administrators_stays() {
    let plane = Plane::new().await;
    // Neither of these could take his place.
    plane.appoint(json!({"name": "limited", "permissions": ["admins:write"], "limited_to_role": "a"})).await;
    plane.appoint(json!({"name": "reader", "permissions": ["keys:read"]})).await;
    plane.appoint(json!({"name": "asleep", "permissions": ["admins:write"]})).await;
    plane.ask(Method::PATCH, "/v1/admins/asleep", json!({"status": "inactive"})).await;
    plane.appoint(json!({"name": "past", "permissions": ["admins:write"], "duration": "1d"})).await;
    plane.admin.clock.advance(Span::days(2));

    let before = plane.read("/v1/admins/root").await.body;
    let confirmed = json!({"duration": "1d", "confirm": {"ends": 1, "revives": 0}});
    for change in [
        json!({"status": "inactive"}),
        json!({"permissions": ["keys:read"]}),
        json!({"limited_to_role": "a"}),
        confirmed.clone(),
    ] {
        let refused = plane.ask(Method::PATCH, "/v1/admins/root", change.clone()).await;
        assert_eq!(refused.code(), (409, "last_administrator"), "{change}");
    }
    assert_eq!(plane.ask(Method::DELETE, "/v1/admins/root", Value::Null).await.code(), (409, "last_administrator"));
    let after = plane.read("/v1/admins/root").await.body;
    assert_eq!((&after["version"], &after["status"]), (&before["version"], &before["status"]));

    plane.ask(Method::PATCH, "/v1/admins/asleep", json!({"status": "active"})).await;
    assert_eq!(plane.ask(Method::PATCH, "/v1/admins/root", confirmed).await.status, 200);
}

#[tokio::test]
async fn nobody_shuts_himself_out_by_his_own_addresses() {
    let plane = Plane::new().await;
    let edit =
        |addresses: &[&str]| plane.ask(Method::PATCH, "/v1/admins/root", json!({"allowed_addresses": addresses}));
    let refused = edit(&["203.0.113.9"]).await;
    assert_eq!((refused.code(), refused.paths()), ((400, "invalid_request"), vec!["allowed_addresses"]));
    assert_eq!(plane.read("/v1/admins/root").await.body["allowed_addresses"], json!([]));
    assert_eq!(edit(&["203.0.113.9", "127.0.0.0/8"]).await.status, 200);
    assert_eq!(plane.read("/v1/admins/root").await.status, 200);
    plane.appoint(json!({"name": "ana", "permissions": []})).await;
    let others = plane.ask(Method::PATCH, "/v1/admins/ana", json!({"allowed_addresses": ["203.0.113.9"]})).await;
    assert_eq!(others.status, 200, "{}", others.body);
}

#[tokio::test]
async fn no_change_of_the_settings_leaves_nobody_who_can_write_administrators() {
    let plane = Plane::new().await;
    plane.ask(Method::PATCH, "/v1/settings", json!({"on_expiry": "warn"})).await;
    plane.ask(Method::PATCH, "/v1/admins/root", json!({"duration": "1d"})).await;
    plane.admin.clock.advance(Span::days(2));
    let refuse = json!({"on_expiry": "refuse", "confirm": {"ends": 1, "revives": 0}});
    assert_eq!(plane.ask(Method::PATCH, "/v1/settings", refuse.clone()).await.code(), (409, "last_administrator"));
    plane.appoint(json!({"name": "ana", "permissions": ["admins:write"]})).await;
    assert_eq!(plane.ask(Method::PATCH, "/v1/settings", refuse).await.status, 200);
    assert_eq!(plane.read("/v1/keys").await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_remove_each_other_at_the_same_instant_one_is_left() {
    let plane = Plane::new().await;
    let mut tokens = vec![plane.root.clone(), administrator(&plane.admin, "ana", &Permission::ALL).await];
    let mut names = vec!["root", "ana"];
    for (round, change) in
        [json!({"status": "inactive"}), json!({"permissions": []}), Value::Null].iter().cycle().take(60).enumerate()
    {
        let method = if change.is_null() { Method::DELETE } else { Method::PATCH };
        let paths = names.iter().rev().map(|name| format!("/v1/admins/{name}")).collect::<Vec<_>>();
        let calls = tokens.iter().zip(&paths).map(|(token, path)| {
            let (router, change) = (plane.router.clone(), change.clone());
            let request = Request::builder().method(method.clone()).uri(path).header("host", "127.0.0.1:8081");
            let request = request.header("authorization", format!("Bearer {token}"));
            let body = if change.is_null() { String::new() } else { change.to_string() };
            let request = request.header("content-type", "application/json").body(Body::from(body));
            tokio::spawn(async move { answer(router, request.expect("a request")).await.status.as_u16() })
        });
        let answers = futures_util::future::join_all(calls.collect::<Vec<_>>()).await;
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("an answer")).collect();
        let done: Vec<_> = answers.iter().map(|status| matches!(status, 200 | 204)).collect();
        assert_eq!(done.iter().filter(|done| **done).count(), 1, "round {round}: {answers:?}");
        // Whoever was refused came too late to be anybody (401, 403), or would have been the last (409).
        assert!(answers.iter().all(|status| [200, 204, 401, 403, 409].contains(status)), "{answers:?}");
        let winner = usize::from(done[1]);
        let (keeper, name) = (tokens[winner].clone(), names[winner]);
        let loser = names[1 - winner];
        let gone = format!("/v1/admins/{loser}");
        plane.ask_as(&keeper, Method::DELETE, &gone, Value::Null).await;
        let again =
            plane.ask_as(&keeper, Method::POST, "/v1/admins", json!({"name": loser, "permissions": all()})).await;
        let token = again.body["token"].as_str().expect("a token").to_owned();
        (tokens, names) = (vec![keeper, token], vec![name, loser]);
    }
}

fn all() -> Vec<&'static str> {
    Permission::ALL.iter().map(|permission| permission.as_str()).collect()
}

#[tokio::test]
async fn nobody_ends_or_revives_an_administrator_beyond_himself_by_changing_the_settings() {
    let plane = Plane::new().await;
    let boss = plane
        .appoint(json!({"name": "boss", "permissions": Permission::ALL.map(Permission::as_str),
        "duration": "10d"}))
        .await;
    let clerk = plane.appoint(json!({"name": "clerk", "permissions": ["settings:write"]})).await;
    let peer = plane.appoint(json!({"name": "peer", "permissions": ["settings:write"], "duration": "20d"})).await;
    plane.admin.clock.advance(Span::days(11));
    assert_eq!(plane.ask_as(&boss, Method::GET, "/v1/keys", Value::Null).await.status, 401);
    let change = |body: Value| plane.ask_as(&clerk, Method::PATCH, "/v1/settings", body);
    for body in [json!({"on_expiry": "warn"}), json!({"on_expiry": "warn", "confirm": {"ends": 0, "revives": 1}})] {
        let refused = change(body).await;
        assert_eq!(refused.code(), (403, "forbidden"));
        assert!(!refused.body.to_string().contains("boss"), "{}", refused.body);
    }
    assert_eq!(plane.ask_as(&boss, Method::GET, "/v1/keys", Value::Null).await.status, 401);

    let renewed = plane.ask(Method::POST, "/v1/admins/boss/renew", Value::Null).await;
    assert_eq!(renewed.status, 201, "{}", renewed.body);
    plane.admin.clock.advance(Span::days(9)); // now the peer's has ended, and no other
    let told = change(json!({"on_expiry": "warn"})).await;
    assert_eq!(told.code(), (409, "tokens_affected"), "{}", told.body);
    let done = change(json!({"on_expiry": "warn", "confirm": {"ends": 0, "revives": 1}})).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(plane.ask_as(&peer, Method::PATCH, "/v1/settings", json!({"on_expiry": "warn"})).await.status, 200);
}

#[tokio::test]
async fn nobody_grants_what_he_lacks_or_changes_who_may_do_more() {
    let plane = Plane::new().await;
    let clerk = administrator(&plane.admin, "clerk", &[AdminsWrite, KeysRead]).await;
    plane.appoint(json!({"name": "reader", "permissions": ["keys:read"]})).await;
    let before = plane.read("/v1/admins").await.body;
    for (method, path, body) in [
        (Method::POST, "/v1/admins", json!({"name": "tool", "permissions": ["keys:write"]})),
        (Method::PATCH, "/v1/admins/reader", json!({"permissions": ["keys:read", "audit:read"]})),
        (Method::PATCH, "/v1/admins/clerk", json!({"permissions": ["settings:write"]})),
        (Method::PATCH, "/v1/admins/root", json!({"note": "mine"})),
        (Method::PATCH, "/v1/admins/root", json!({"permissions": []})),
        (Method::POST, "/v1/admins/root/renew", Value::Null),
        (Method::DELETE, "/v1/admins/root", Value::Null),
    ] {
        let refused = plane.ask_as(&clerk, method.clone(), path, body.clone()).await;
        assert_eq!(refused.code(), (403, "forbidden"), "{method} {path} {body}");
    }
    let after = plane.read("/v1/admins").await.body;
    assert_eq!(without_use(&after["admins"]), without_use(&before["admins"]));
    for (method, path, body, status) in [
        (Method::POST, "/v1/admins", json!({"name": "tool", "permissions": ["keys:read", "admins:write"]}), 201),
        (Method::POST, "/v1/admins/reader/renew", Value::Null, 201),
        (Method::PATCH, "/v1/admins/reader", json!({"permissions": []}), 200),
        (Method::DELETE, "/v1/admins/reader", Value::Null, 204),
    ] {
        let done = plane.ask_as(&clerk, method.clone(), path, body).await;
        assert_eq!(done.status.as_u16(), status, "{method} {path} {}", done.body);
    }
}

/// Three keys, of which one carries the role `a`, and an administrator who is limited to it; the answer is his token.
async fn limited_to_a(plane: &Plane) -> String {
    for (name, roles) in [("mine", json!(["a", "b"])), ("theirs", json!(["b"])), ("nobodys", json!([]))] {
        plane.ask(Method::POST, "/v1/keys", json!({"name": name, "roles": roles})).await;
    }
    let everything = [KeysRead, KeysWrite, KeysRenew, AuditRead, AdminsWrite, SettingsWrite];
    let permissions: Vec<_> = everything.iter().map(|permission| permission.as_str()).collect();
    plane.appoint(json!({"name": "ana", "permissions": permissions, "limited_to_role": "a"})).await
}

#[tokio::test]
async fn whoever_is_limited_to_a_role_sees_nothing_beyond_it() {
    let plane = Plane::new().await;
    let ana = limited_to_a(&plane).await;
    assert_eq!(plane.read("/v1/admins/ana").await.body["limited_to_role"], "a");
    let listed = plane.ask_as(&ana, Method::GET, "/v1/keys", Value::Null).await.body;
    assert_eq!(names(&listed["keys"]), ["mine"]);
    let sorted = plane.ask_as(&ana, Method::GET, "/v1/keys?sort=name", Value::Null).await.body;
    assert_eq!((names(&sorted["keys"]), &sorted["total"]), (vec!["mine"], &json!(1)));
    plane.ask(Method::POST, "/v1/keys/theirs/renew", Value::Null).await;
    let renewing = plane.ask_as(&ana, Method::GET, "/v1/keys?renewing=true", Value::Null).await.body;
    assert_eq!(renewing["keys"], json!([]));
    let listed = plane.ask_as(&ana, Method::GET, "/v1/admins", Value::Null).await.body;
    assert_eq!(names(&listed["admins"]), ["ana"]);
    let events = plane.ask_as(&ana, Method::GET, "/v1/audit", Value::Null).await.body;
    let seen: Vec<_> = events["events"].as_array().expect("events").iter().map(|e| e["action"].clone()).collect();
    assert_eq!(seen, ["settings.changed", "key.created", "admin.created"]);
}

#[tokio::test]
async fn where_the_audit_log_goes_on_tells_whoever_is_limited_to_a_role_nothing_of_what_lies_beyond() {
    let plane = Plane::new().await;
    let ana = limited_to_a(&plane).await;
    let theirs = plane.read("/v1/keys/theirs").await.body["id"].as_str().expect("an id").to_owned();
    plane.ask(Method::POST, "/v1/keys/theirs/renew", Value::Null).await;
    plane.ask(Method::PATCH, "/v1/keys/mine", json!({"note": "x"})).await;
    plane.ask(Method::PATCH, "/v1/keys/theirs", json!({"note": "x"})).await;
    let read = |query: String| {
        let (plane, ana) = (&plane, &ana);
        async move { plane.ask_as(ana, Method::GET, &format!("/v1/audit?{query}"), Value::Null).await.body }
    };
    for order in ["oldest", "newest"] {
        for query in ["action=renewal.opened&actor=root".into(), format!("key={theirs}"), format!("key=key_{:032x}", 7)]
        {
            let page = read(format!("{query}&order={order}&limit=1")).await;
            assert_eq!((&page["events"], &page["next_cursor"]), (&json!([]), &Value::Null), "{query}");
        }
        let all = read(format!("order={order}&limit=500")).await;
        let all = all["events"].as_array().expect("events").clone();
        assert_eq!(all.len(), 4);
        let (mut paged, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = read(format!("order={order}&limit=1{cursor}")).await;
            paged.extend(page["events"].as_array().expect("events").clone());
            let Some(next) = page["next_cursor"].as_str() else { break };
            let told = paged.last().map(|event| event["revision"].to_string());
            assert_eq!(told.as_deref(), Some(next), "it goes on after what was shown");
            cursor = format!("&cursor={next}");
        }
        assert_eq!(paged, all, "{order}");
    }
}

#[tokio::test]
async fn whoever_is_limited_to_a_role_changes_nothing_beyond_it() {
    let plane = Plane::new().await;
    let ana = limited_to_a(&plane).await;
    let before =
        [plane.read("/v1/keys").await.body["keys"].clone(), plane.read("/v1/admins").await.body["admins"].clone()];
    let import_of = |roles: &[&str]| json!({"keys": [{"name": "new", "roles": roles, "digest": format!("sha256:{}", "1".repeat(64))}]});
    for (method, path, body, code) in [
        (Method::GET, "/v1/keys/theirs", Value::Null, (404, "key_not_found")),
        (Method::PATCH, "/v1/keys/theirs", json!({"note": "x"}), (404, "key_not_found")),
        (Method::PATCH, "/v1/keys/nobodys", json!({"roles": ["a"]}), (404, "key_not_found")),
        (Method::POST, "/v1/keys/theirs/renew", Value::Null, (404, "key_not_found")),
        (Method::DELETE, "/v1/keys/theirs", Value::Null, (404, "key_not_found")),
        (Method::GET, "/v1/audit?key=theirs", Value::Null, (404, "key_not_found")),
        (Method::PATCH, "/v1/keys/mine", json!({"roles": ["b"]}), (403, "forbidden")),
        (Method::POST, "/v1/keys", json!({"name": "new", "roles": ["b"]}), (403, "forbidden")),
        (Method::POST, "/v1/keys", json!({"name": "new"}), (403, "forbidden")),
        (Method::POST, "/v1/keys", json!({"name": "new", "roles": ["a", "c"]}), (403, "forbidden")),
        (Method::PATCH, "/v1/keys/mine", json!({"roles": ["a", "b", "c"]}), (403, "forbidden")),
        (Method::POST, "/v1/import", import_of(&["a", "c"]), (400, "invalid_request")),
        (Method::POST, "/v1/apply", json!({"keys": [{"name": "mine", "roles": ["a", "c"]}]}), (400, "invalid_request")),
        (Method::POST, "/v1/import", import_of(&["b"]), (400, "invalid_request")),
        (Method::POST, "/v1/apply", json!({"keys": [{"name": "mine", "roles": []}]}), (400, "invalid_request")),
        (Method::POST, "/v1/apply", json!({"keys": [{"name": "theirs", "roles": ["a"]}]}), (400, "invalid_request")),
        (Method::GET, "/v1/admins/root", Value::Null, (404, "admin_not_found")),
        (Method::DELETE, "/v1/admins/root", Value::Null, (404, "admin_not_found")),
        (Method::POST, "/v1/admins", json!({"name": "ben"}), (403, "forbidden")),
        (Method::POST, "/v1/admins", json!({"name": "ben", "limited_to_role": "b"}), (403, "forbidden")),
        (Method::PATCH, "/v1/admins/ana", json!({"limited_to_role": null}), (403, "forbidden")),
        (Method::PATCH, "/v1/settings", json!({"on_expiry": "warn"}), (403, "forbidden")),
        (Method::POST, "/v1/reload", Value::Null, (403, "forbidden")),
        (Method::GET, "/v1/backup", Value::Null, (403, "forbidden")),
        (Method::GET, "/v1/audit/export", Value::Null, (403, "forbidden")),
        (Method::POST, "/v1/restore", Value::Null, (403, "forbidden")),
    ] {
        let refused = plane.ask_as(&ana, method.clone(), path, body.clone()).await;
        assert_eq!(refused.code(), code, "{method} {path} {body} {}", refused.body);
        assert!(!refused.body.to_string().contains("theirs"), "{}", refused.body);
    }
    let after =
        [plane.read("/v1/keys").await.body["keys"].clone(), plane.read("/v1/admins").await.body["admins"].clone()];
    assert_eq!(before.each_ref().map(without_use), after.each_ref().map(without_use));
}

#[tokio::test]
async fn whoever_is_limited_to_a_role_does_within_it_what_others_do() {
    let plane = Plane::new().await;
    let ana = limited_to_a(&plane).await;
    let ben = json!({"name": "ben", "limited_to_role": "a", "permissions": ["keys:read"]});
    for (method, path, body, status) in [
        (Method::PATCH, "/v1/keys/mine", json!({"roles": ["a", "b"], "note": "as before"}), 200),
        (Method::POST, "/v1/keys", json!({"name": "new", "roles": ["a"]}), 201),
        (Method::POST, "/v1/keys/new/renew", Value::Null, 201),
        (Method::POST, "/v1/apply", json!({"keys": [{"name": "mine", "roles": ["a"]}]}), 200),
        (Method::POST, "/v1/admins", ben, 201),
        (Method::DELETE, "/v1/admins/ben", Value::Null, 204),
        (Method::GET, "/v1/settings", Value::Null, 200),
    ] {
        let done = plane.ask_as(&ana, method.clone(), path, body).await;
        assert_eq!(done.status.as_u16(), status, "{method} {path} {}", done.body);
    }
}

/// The documents without what a look at them changes.
fn without_use(list: &Value) -> Value {
    let mut list = list.clone();
    for one in list.as_array_mut().expect("a list") {
        for token in one["tokens"].as_array_mut().expect("tokens") {
            token["usage"] = Value::Null;
        }
    }
    list
}

#[tokio::test]
async fn a_digest_is_a_keys_or_an_administrators() {
    let plane = Plane::new().await;
    let digest = |end: &str| format!("sha256:{}{end}", "0".repeat(64 - end.len()));
    let made = plane.ask(Method::POST, "/v1/admins", json!({"name": "ana", "digest": digest("1")})).await;
    assert_eq!((made.status.as_u16(), &made.body["token"]), (201, &Value::Null));
    let again = plane.ask(Method::POST, "/v1/admins", json!({"name": "ana", "digest": digest("1")})).await;
    assert_eq!(again.status, 200);
    let key = plane.ask(Method::POST, "/v1/keys", json!({"name": "ci", "digest": digest("1")})).await;
    assert_eq!(key.code(), (409, "digest_in_use"));
    plane.ask(Method::POST, "/v1/keys", json!({"name": "ci", "digest": digest("2")})).await;
    let taken = plane.ask(Method::POST, "/v1/admins/ana/renew", json!({"digest": digest("2")})).await;
    assert_eq!(taken.code(), (409, "digest_in_use"));
    plane.ask(Method::DELETE, "/v1/keys/ci", Value::Null).await;
    let taken = plane.ask(Method::POST, "/v1/admins/ana/renew", json!({"digest": digest("2")})).await;
    assert_eq!(taken.code(), (409, "digest_in_use"), "of a deleted key too");
}
