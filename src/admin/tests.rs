//! The admin plane as a whole, on a store of its own, without a socket.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::Service;

use super::guard::Hosts;
use super::permission::Permission;
use super::{Admin, Operations, Probes, probes_router, router};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::domain::{Actor, Edit, Lifetime, Prefix, Realm, Secret, Settings, Span, Status, Timestamp};
use crate::index::Index;
use crate::keyring::{Caller, Follower, Keyring, Material, NewKey, Parts, follow};
use crate::store::Store;
use crate::store::embedded::EmbeddedStore;
use crate::usage::Usage;

struct Process(Timestamp);

impl Operations for Process {
    fn config_hash(&self) -> String {
        "abc".into()
    }

    fn started_at(&self) -> Timestamp {
        self.0
    }
}

/// An admin plane with one administrator, `root`.
struct Plane {
    admin: Admin,
    router: Router,
    root: String,
    _folder: tempfile::TempDir,
}

/// An answer: status, headers, and the body as JSON (`null` if it is none).
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Plane {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::manual(Timestamp::from_millis(1_795_461_120_000));
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(folder.path().join("relevo.redb")).expect("a store"));
        let (keys, keys_writer) = Index::with_capacity(16);
        let (admins, admins_writer) = Index::with_capacity(16);
        let (usage, _) = Usage::open(folder.path().join("usage.redb"), clock.clone());
        let (catalog, feed) = (Catalog::default(), store.subscribe());
        let keyring = Keyring::new(Parts {
            store,
            catalog: catalog.clone(),
            keys,
            admins: admins.clone(),
            usage: usage.clone(),
            clock: clock.clone(),
            prefix: Prefix::default(),
            remember: Span::days(90),
        });
        let follower = Follower { keys: keys_writer, admins: admins_writer };
        tokio::spawn(follow(keyring.clone(), follower, feed));
        let caller = Caller { actor: Actor::relevo(), address: None };
        keyring.establish_settings(Settings::default(), &caller).await.expect("settings");
        let hosts = Hosts::of("127.0.0.1:8081".parse().expect("an address"));
        let operations = Arc::new(Process(clock.now()));
        let admin = Admin {
            keyring,
            catalog,
            usage,
            admins,
            metrics: crate::observe::Metrics::default(),
            health: crate::observe::Health::default(),
            operations,
            clock,
            hosts,
        };
        let router = router(admin.clone());
        let root = administrator(&admin, "root", &Permission::ALL).await;
        Self { admin, router, root, _folder: folder }
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = self.request(method, path).header("content-type", "application/json");
        self.send(request.body(Body::from(body)).expect("a request")).await
    }

    async fn read(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, Value::Null).await
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:8081");
        request.header("authorization", format!("Bearer {}", self.root))
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        answer(self.router.clone(), request).await
    }

    /// The token of a new key with this name.
    async fn create(&self, name: &str) -> String {
        let made = self.ask(Method::POST, "/v1/keys", json!({ "name": name })).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["token"].as_str().expect("a token").into()
    }
}

impl Answer {
    fn code(&self) -> (u16, &str) {
        (self.status.as_u16(), self.body["code"].as_str().unwrap_or_default())
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    fn paths(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().expect("errors");
        errors.iter().map(|mistake| mistake["path"].as_str().expect("a path")).collect()
    }
}

async fn answer(mut router: Router, mut request: Request<Body>) -> Answer {
    let peer: SocketAddr = "127.0.0.1:50000".parse().expect("an address");
    request.extensions_mut().insert(ConnectInfo(peer));
    let (head, body) = router.call(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer { status: head.status, headers: head.headers, body: serde_json::from_slice(&body).unwrap_or_default() }
}

/// The token of a new administrator.
async fn administrator(admin: &Admin, name: &str, permissions: &[Permission]) -> String {
    let roles: BTreeSet<_> = permissions.iter().map(|p| p.as_str().parse().expect("a role")).collect();
    let attributes = Edit { roles: Some(roles), duration: Some(Some(Lifetime::Never)), ..Edit::default() };
    let name = name.parse().expect("a name");
    let new = NewKey { name, attributes, status: Status::Active, material: Material::Mint };
    let caller = Caller { actor: Actor::relevo(), address: None };
    let done = admin.keyring.create(Realm::Admin, new, &caller).await.expect("an administrator");
    done.secret.as_ref().map(Secret::reveal).expect("a token").to_owned()
}

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
    for field in [
        "id",
        "name",
        "roles",
        "status",
        "owner",
        "note",
        "labels",
        "allowed_addresses",
        "limits",
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
        "id",
        "state",
        "hint",
        "created_at",
        "expires_at",
        "outdated",
        "usage",
        "first_used_at",
        "last_used_at",
        "renewal",
        "opened_at",
        "opened_by",
        "delete_old",
        "due_at",
        "quiet_since",
        "held",
    ] {
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
    let body = json!({"roles": ["A"], "limits": {}, "labels": {"team": 1}, "allowed_addresses": ["10.0.0.1", "x"],
        "duration": "0s", "digest": "md5:1", "status": "active"});
    let refused = plane.ask(Method::POST, "/v1/keys", body).await;
    assert_eq!(refused.code(), (400, "invalid_request"));
    let expected =
        ["name", "limits", "roles[0]", "labels.team", "allowed_addresses[1]", "duration", "digest", "status"];
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
async fn every_call_wants_its_own_permission() {
    let plane = Plane::new().await;
    plane.create("ci").await;
    use Permission::{AuditRead, KeysRead, KeysRenew, KeysWrite, MetricsRead, SettingsWrite};
    let table = [
        (Method::GET, "/v1/keys", &[KeysRead][..]),
        (Method::POST, "/v1/keys", &[KeysWrite]),
        (Method::GET, "/v1/keys/ci", &[KeysRead]),
        (Method::PATCH, "/v1/keys/ci", &[KeysWrite]),
        (Method::DELETE, "/v1/keys/gone", &[KeysWrite]),
        (Method::POST, "/v1/keys/ci/renew", &[KeysRenew]),
        (Method::PATCH, "/v1/keys/ci/renewal", &[KeysRenew]),
        (Method::POST, "/v1/keys/ci/delete-old", &[KeysRenew]),
        (Method::POST, "/v1/keys/ci/undo", &[KeysRenew]),
        (Method::GET, "/v1/audit", &[AuditRead]),
        (Method::GET, "/v1/settings", &[KeysRead, SettingsWrite]),
        (Method::PATCH, "/v1/settings", &[SettingsWrite]),
        (Method::GET, "/v1/status", &[KeysRead]),
        (Method::GET, "/metrics", &[MetricsRead]),
    ];
    for permission in Permission::ALL {
        let token = administrator(&plane.admin, permission.as_str().replace(':', " ").as_str(), &[permission]).await;
        for (method, path, wanted) in &table {
            let request = Request::builder().method(method).uri(*path).header("host", "localhost");
            let request = request.header("authorization", format!("Bearer {token}")).body(Body::empty());
            let answer = plane.send(request.expect("a request")).await;
            assert_eq!(answer.status == 403, !wanted.contains(&permission), "{method} {path} {permission:?}");
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
    for path in ["/v2", "/", "/v1/keys/", "/v1/keys/ci/renew/x", "/v1/reload", "/V1/keys"] {
        assert_eq!(plane.read(path).await.code(), (404, "not_found"), "{path}");
    }
    for key in ["nobody", "key_", "key_x", "%FF", "a%2Fb", "%20ci", "..%2f"] {
        assert_eq!(plane.read(&format!("/v1/keys/{key}")).await.code(), (404, "key_not_found"), "{key}");
    }
    assert_eq!(plane.read("/v1/keys/%63i").await.status, 200);
    let refused = plane.ask(Method::PUT, "/v1/keys/ci", json!({})).await;
    assert_eq!(refused.code(), (405, "method_not_allowed"));
    let mut allowed: Vec<_> = refused.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PATCH"]);
    for path in ["/v1/keys/ci/undo?unless_used_within=10m", "/v1/keys/ci/renew?x", "/v1/keys/ci/delete-old?x=1"] {
        assert_eq!(plane.ask(Method::POST, path, Value::Null).await.code(), (400, "invalid_request"), "{path}");
    }
    let planless = plane.ask(Method::PATCH, "/v1/keys/ci/renewal", json!({})).await;
    assert_eq!(planless.paths(), ["delete_old"]);
    let now = plane.ask(Method::PATCH, "/v1/keys/ci/renewal", json!({"delete_old": "now"})).await;
    assert_eq!(now.paths(), ["delete_old"]);
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
    assert_eq!(plane.read("/v1/audit?key=nobody").await.code(), (404, "key_not_found"));
    assert_eq!(plane.read("/v1/audit?action=key.born&after=x").await.paths(), ["after", "action"]);
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
    let unknown = |path: &str| Request::builder().uri(path).header("host", "10.1.1.1").body(Body::empty());
    for (probes, metrics) in [(Probes::Alone, 404), (Probes::WithMetrics, 200)] {
        let router = probes_router(plane.admin.clone(), probes);
        for (path, expected) in [("/livez", 200), ("/readyz", 200), ("/metrics", metrics), ("/v1/keys", 404)] {
            let answer = answer(router.clone(), unknown(path).expect("a request")).await;
            assert_eq!(answer.status, expected, "{path}");
        }
    }
    let refused = plane.send(unknown("/livez").expect("a request")).await;
    assert_eq!(refused.code(), (403, "forbidden"));
}
