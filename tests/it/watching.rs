//! What the operator sees: probes, metrics, access records; and what nobody may see in any of them.
//!
//! Deliberately does not: print a token where it fails; it names the position.

mod canary;
mod dashboards;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use relevo::domain::{
    Action, Actor, ApiKey, EventDraft, EventId, KeyId, Lifetime, Origin, Prefix, Realm, Role, Secret, Status,
    Timestamp, Token, TokenId, Tokens, Version,
};
use relevo::store::{Store, What, Write};
use serde_json::{Value, json};

use crate::support::backend::{Backend, Gate, Reply};
use crate::support::client::{RawClient, RawResponse};
use crate::support::gateway::{TestGateway, wait_until};
use crate::support::request::{Request, request};

const ROUTES: &str = "
[[routes]]
path = \"/\"
upstream = \"backend\"
[[routes]]
path = \"/orders\"
roles = [\"orders:read\"]
upstream = \"backend\"
";

fn ask(address: SocketAddr, request: &Request) -> RawResponse {
    let mut client = RawClient::connect(address);
    client.send(&request.bytes());
    client.read_response()
}

fn get(target: &str) -> Request {
    request("GET", target)
}

/// The sum of the samples of `metric` that have all of `labels`.
fn sum(metrics: &str, metric: &str, labels: &[&str]) -> f64 {
    let of_metric = metrics.lines().filter_map(|line| line.strip_prefix(metric)?.rsplit_once(' '));
    let samples = of_metric
        .filter(|(set, _)| (set.is_empty() || set.starts_with('{')) && labels.iter().all(|label| set.contains(label)));
    samples.map(|(_, value)| value.parse::<f64>().expect("a number")).sum()
}

#[test]
fn the_probes_port_answers_the_probes_and_nothing_else_without_any_credential() {
    let backend = Backend::answering("hello");
    for (with_metrics, expected) in [("false", 404), ("true", 200)] {
        let probes = format!("[probes]\nlisten = \"127.0.0.1:0\"\nmetrics = {with_metrics}");
        let gateway = TestGateway::in_front_of(&backend).settings(&probes).start();
        let address = gateway.probes_address().expect("probes");
        let alive = ask(address, &get("/livez"));
        assert_eq!((alive.status, alive.text()), (200, "ok".to_owned()));
        let ready = ask(address, &get("/readyz"));
        let told: Value = serde_json::from_slice(&ready.body).expect("JSON");
        assert_eq!((ready.status, &told["ready"]), (200, &json!(true)));
        assert!(!ready.text().contains("detail"), "a probe does not say why: {}", ready.text());
        assert_eq!(ask(address, &get("/metrics")).status, expected);
        for path in ["/", "/v1/keys", "/v1/status", "/v1/reload", "/livez/", "/livezz", "/openapi.json", "//livez"] {
            let root = gateway.call("GET", path);
            assert_eq!((ask(address, &get(path)).status, ask(address, &root).status), (404, 404), "{path}");
        }
        for method in ["POST", "PUT", "DELETE"] {
            assert_eq!(ask(address, &request(method, "/livez")).status, 405);
        }
    }
}

#[test]
fn without_probes_in_the_configuration_there_is_no_port_for_them() {
    let backend = Backend::answering("hello");
    assert_eq!(TestGateway::in_front_of(&backend).start().probes_address(), None);
}

/// A store that the test keeps a hand on.
type Held = Arc<Mutex<Option<Arc<dyn Store>>>>;

/// Puts an administrator with these permissions into the store, and answers his token.
fn administrator(held: &Held, name: &str, permissions: &[&str]) -> String {
    let store = held.lock().unwrap_or_else(PoisonError::into_inner).clone().expect("a store");
    let secret = Secret::mint(&Prefix::administrators(), &mut rand::rng());
    let (now, bits) = (Timestamp::EPOCH, 1_000 + name.len() as u128);
    let token = Token::of(&secret, TokenId::from_bits(bits), now, Origin::Created);
    let roles: BTreeSet<Role> = permissions.iter().map(|role| role.parse().expect("a role")).collect();
    let key = ApiKey {
        id: KeyId::from_bits(bits),
        name: name.parse().expect("a name"),
        roles,
        status: Status::Active,
        owner: None,
        note: None,
        labels: [].into(),
        allowed_addresses: Vec::new(),
        limits: None,
        limited_to_role: None,
        self_service: false,
        created_at: now,
        duration: Some(Lifetime::Never),
        version: Version::FIRST,
        tokens: Tokens::Single { current: token },
        ended: Vec::new(),
    };
    let event = EventDraft {
        id: EventId::from_bits(bits),
        at: now,
        written_at: now,
        actor: Actor::relevo(),
        address: None,
        action: Action::Created,
        key: Some(key.id),
        before: None,
        after: None,
    };
    let write = Write { realm: Realm::Admin, what: What::Create(key), events: vec![event] };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(store.commit(vec![write])).expect("committed");
    secret.reveal().to_owned()
}

#[test]
fn metrics_on_the_admin_port_ask_for_the_permission_to_read_them() {
    let backend = Backend::answering("hello");
    let held = Held::default();
    let keeping = Arc::clone(&held);
    let gateway = TestGateway::in_front_of(&backend)
        .store(move |store| {
            *keeping.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&store));
            store
        })
        .start();
    let reader = administrator(&held, "reader", &["metrics:read"]);
    let keeper = administrator(&held, "keeper of keys", &["keys:read", "keys:write", "keys:renew", "settings:write"]);
    let status = |path: &str, token: &str| gateway.admin_raw(&get(path).token(token)).status;
    wait_until("both are known", || status("/metrics", &reader) != 401 && status("/metrics", &keeper) != 401);
    assert_eq!((status("/metrics", &reader), status("/metrics", &keeper)), (200, 403));
    assert_eq!((status("/v1/keys", &reader), status("/v1/keys", &keeper)), (403, 200));
    let refused = gateway.admin_raw(&get("/metrics").token(&keeper));
    assert_eq!(refused.json["code"], "forbidden");
    assert!(refused.json["detail"].as_str().is_some_and(|detail| detail.contains("metrics:read")), "{}", refused.json);
    assert_eq!(gateway.admin_raw(&get("/metrics")).status, 401);
    let key = gateway.create_key("ci").done();
    assert_eq!(status("/metrics", &key.token), 401, "a key's token is nobody's here");
    drop(held.lock().unwrap_or_else(PoisonError::into_inner).take());
}

#[test]
fn metrics_count_what_happened() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).done();
    let ended = gateway.create_key("ended").done();
    gateway.renew(&ended).deleting_old_now().done();
    for _ in 0..3 {
        assert_eq!(gateway.status_with(&old), 200);
    }
    assert_eq!(gateway.status_with(&new), 200);
    assert_eq!(gateway.status_with(&ended), 401);
    assert_eq!(gateway.ask(&get("/orders").token(&old.token)).status, 403);
    assert_eq!(gateway.ask(&get("/")).status, 401);
    assert_eq!(gateway.ask(&get("//")).status, 400);

    let read = || {
        let answer = ask(gateway.admin_address(), &gateway.call("GET", "/metrics"));
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        answer.text()
    };
    wait_until("every request is counted", || sum(&read(), "relevo_requests_total", &[]) >= 8.0);
    let metrics = read();
    for (metric, labels, expected) in [
        ("relevo_requests_total", &[][..], 8.0),
        ("relevo_requests_total", &["code=\"200\"", "method=\"GET\""], 4.0),
        ("relevo_requests_total", &["code=\"401\""], 2.0),
        ("relevo_old_token_requests_total", &[], 3.0),
        ("relevo_refusals_total", &[], 4.0),
        ("relevo_refusals_total", &["refusal=\"token_superseded\""], 1.0),
        ("relevo_refusals_total", &["refusal=\"role_missing\"", "route=\"/orders\""], 1.0),
        ("relevo_refusals_total", &["refusal=\"credential_missing\""], 1.0),
        ("relevo_refusals_total", &["refusal=\"bad_request\"", "route=\"none\""], 1.0),
        ("relevo_upstream_seconds_count", &[], 4.0),
        ("relevo_request_seconds_count", &[], 8.0),
        ("relevo_access_log_dropped_total", &[], 0.0),
    ] {
        let counted = sum(&metrics, metric, labels);
        assert!((counted - expected).abs() < f64::EPSILON, "{metric}{labels:?} is {counted}, not {expected}");
    }
    for hidden in [&*old.id, &*ended.id, "\"ci\"", "orders:read", "127.0.0.1:1\""] {
        assert!(!metrics.contains(hidden), "{hidden} is in a label");
    }
    wait_until("the renewal is on the gauge", || sum(&read(), "relevo_renewals_open", &[]) > 0.5);
    assert!(sum(&read(), "relevo_store_up", &[]) > 0.5);
}

/// The lines of an access log, each of which is one JSON object.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn an_access_record_tells_who_asked_for_what_and_what_came_of_it() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("access.log");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).access_log(&file).start();
    let key = gateway.create_key("ci").done();
    let shown = gateway.admin("GET", "/v1/keys/ci", None).json;
    let token = shown["tokens"][0]["id"].clone();
    gateway.renew(&key).done();
    let call = request("POST", "/a/%62?first=1&second=secret").header("User-Agent", "curl/8").token(&key.token);
    let answer = gateway.ask(&call.body("12345678"));
    assert_eq!(answer.status, 200);
    let refused = gateway.ask(&get("/orders?x=1"));
    assert_eq!(refused.status, 401);
    drop(gateway);

    let lines = lines(&fs::read_to_string(&file).expect("a log"));
    assert_eq!(lines.len(), 2, "one line for each request");
    let first = &lines[0];
    for (field, expected) in [
        ("time", json!("2026-11-23T12:00:00.000Z")),
        ("request_id", json!(answer.header("x-request-id"))),
        ("client", json!("127.0.0.1")),
        ("method", json!("POST")),
        ("host", json!("localhost")),
        ("path", json!("/a/b")),
        ("query", json!(["first", "second"])),
        ("route", json!("/")),
        ("upstream", json!(backend.address().to_string())),
        ("status", json!(200)),
        ("refusal", Value::Null),
        ("key", json!(key.id)),
        ("token", token),
        ("slot", json!("old")),
        ("bytes_in", json!(8)),
        ("bytes_out", json!(5)),
        ("user_agent", json!("curl/8")),
    ] {
        assert_eq!(first[field], expected, "{field}");
    }
    assert!(first["duration_ms"].as_f64() >= first["upstream_ms"].as_f64() && first["upstream_ms"].is_number());
    let second = &lines[1];
    for (field, expected) in [
        ("status", json!(401)),
        ("refusal", json!("credential_missing")),
        ("route", json!("/orders")),
        ("upstream", Value::Null),
        ("key", Value::Null),
        ("slot", Value::Null),
        ("user_agent", Value::Null),
        ("request_id", json!(refused.header("x-request-id"))),
    ] {
        assert_eq!(second[field], expected, "{field}");
    }
}

#[test]
fn a_client_that_leaves_before_its_answer_is_written_down_too() {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::replying(move |_| Reply::default().then_waiting_for(&held).then_closing());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("access.log");
    let routes = "[[routes]]\npath = \"/\"\nauth = \"none\"\nupstream = \"backend\"";
    let gateway = TestGateway::in_front_of(&backend).routes(routes).access_log(&file).start();
    let mut client = gateway.connect();
    client.send(&get("/left").bytes());
    backend.wait_for(1);
    drop(client);
    let written = || fs::read_to_string(&file).unwrap_or_default();
    wait_until("it is written down", || written().ends_with('\n'));
    gate.open();
    let lines = lines(&written());
    assert_eq!((&lines[0]["path"], &lines[0]["status"]), (&json!("/left"), &json!(499)));
}
