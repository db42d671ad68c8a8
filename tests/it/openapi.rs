//! The published document of the admin port, held to what is served: by schemathesis, and in a browser.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Command;
use std::time::Duration;

use relevo::domain::{Permission, Span};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::backend::Backend;
use crate::support::browser::{Browser, Manner, Scripts};
use crate::support::client::RawClient;
use crate::support::gateway::TestGateway;
use crate::support::in_short_or_soak;
use crate::support::process::from_pypi;
use crate::support::request::request;

/// What is held against every answer: no failure of the server, nothing that is not published, nothing taken that is published as wrong, no way around the token.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,\
                      ignored_auth,use_after_free,ensure_resource_availability";

/// An administrator of schemathesis' own, who may do everything.
struct Prober {
    /// Nothing that it makes up by itself.
    name: String,
    id: String,
    token: String,
}

impl Prober {
    fn appointed_by(gateway: &TestGateway) -> Self {
        let name = format!("prober-{}", Uuid::now_v7());
        let body = json!({"name": name, "permissions": Permission::ALL.map(Permission::as_str)});
        let made = gateway.admin("POST", "/v1/admins", Some(&body));
        assert_eq!(made.status, 201, "{}", made.json);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        Self { name, id: text(&made.json["admin"]["id"]), token: text(&made.json["token"]) }
    }

    /// Runs these phases, for so many seconds at most. Fails with its report if it finds anything.
    fn run(&self, gateway: &TestGateway, phases: &str, seconds: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("hooks.py"), include_str!("openapi/hooks.py")).expect("written");
        std::fs::write(file("schemathesis.toml"), "hooks = \"hooks.py\"\n").expect("written");
        let mut running = Command::new(from_pypi("schemathesis"))
            .args([
                "run",
                &format!("http://{}/openapi.json", gateway.admin_address()),
                "--no-color",
                "--checks",
                CHECKS,
            ])
            .args(["--header", &format!("Authorization: Bearer {}", self.token)])
            .args(["--phases", phases, "--max-examples", in_short_or_soak("10", "200"), "--max-time", seconds])
            .args([
                "--request-timeout",
                "20",
                "--generation-deterministic",
                "--warnings",
                "off",
                "--continue-on-failure",
            ])
            .args(["--exclude-path", "/v1/events"]) // a stream has no end; `the_stream_of_events_is_what_is_published` reads it
            .env("ITSELF", format!("{},{}", self.name, self.id))
            .current_dir(folder.path())
            .stdout(File::create(file("report")).expect("a file"))
            .spawn()
            .expect("it runs");
        let ended = loop {
            if let Some(ended) = running.try_wait().expect("it runs") {
                break ended;
            }
            // Its wrong tokens come from one address, faster than any minute that this clock is in would bear.
            gateway.clock.advance(Span::seconds(5));
            std::thread::park_timeout(Duration::from_millis(50));
        };
        let report = std::fs::read_to_string(file("report")).expect("a report");
        assert!(ended.success(), "{report}");
    }

    /// How many of its calls came in with its token, in the last day.
    fn admitted(&self, gateway: &TestGateway) -> u64 {
        let shown = gateway.admin_raw(&request("GET", &format!("/v1/admins/{}", self.id)).token(&self.token));
        shown.json["tokens"][0]["usage"]["requests_24h"].as_u64().unwrap_or_else(|| panic!("{}", shown.json))
    }

    /// How often each of its changes was taken, by its action.
    fn changes(&self, gateway: &TestGateway) -> BTreeMap<String, usize> {
        let mut changes = BTreeMap::new();
        let mut path = format!("/v1/audit?actor={}&limit=500", self.name);
        loop {
            let page = gateway.admin_raw(&request("GET", &path).token(&self.token));
            assert_eq!(page.status, 200, "{}", page.json);
            for event in page.json["events"].as_array().expect("events") {
                *changes.entry(event["action"].as_str().expect("text").to_owned()).or_default() += 1;
            }
            let Some(next) = page.json["next_cursor"].as_str() else { break };
            path = format!("/v1/audit?actor={}&limit=500&cursor={next}", self.name);
        }
        changes.remove("command.refused");
        changes
    }
}

#[test]
fn schemathesis_finds_no_failure_no_unpublished_answer_and_no_way_around_the_token() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    for name in ["ci", "night"] {
        let key = gateway.create_key(name).roles(&["orders:read"]).with("self_service", json!(true)).done();
        gateway.renew(&key).with("delete_old", json!({"after": "7d", "when_quiet": "24h"})).done();
    }
    let prober = Prober::appointed_by(&gateway);
    prober.run(&gateway, "examples,coverage,fuzzing", in_short_or_soak("45", "900"));
    prober.run(&gateway, "stateful", in_short_or_soak("30", "600"));
    assert_eq!(gateway.admin_raw(&request("GET", "/v1/status").token(&prober.token)).status, 200);
    let (admitted, changes) = (prober.admitted(&gateway), prober.changes(&gateway));
    eprintln!("schemathesis: {admitted} calls admitted, of which changed something: {changes:?}");
    assert!(admitted >= 500 && changes.values().sum::<usize>() >= 20, "{admitted} calls admitted, {changes:?}");
}

#[test]
fn the_document_is_served_to_anybody_and_is_the_published_one() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let mut client = RawClient::connect(gateway.admin_address());
    client.send(&request("GET", "/openapi.json").bytes());
    let served = client.read_response();
    assert_eq!((served.status, served.header("content-type")), (200, Some("application/json")));
    let served: Value = serde_json::from_slice(&served.body).expect("JSON");
    let published: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).expect("JSON");
    assert!(served == published, "docs/openapi.json is another");
}

#[test]
fn the_page_shows_every_call_in_a_browser_that_loads_nothing_from_elsewhere() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let manner = Manner { language: "en", scripts: Scripts::On };
    Browser::run(gateway.admin_address(), manner, async |browser| {
        browser.go("/docs").await;
        browser.see(".opblock-summary-path").await;
        let shown = browser.script("return document.querySelectorAll('.opblock').length").await;
        let document: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        let calls: usize = paths.values().map(|path| path.as_object().map_or(0, serde_json::Map::len)).sum();
        assert_eq!(shown, json!(calls));
        assert_eq!(browser.faults().await, [""; 0]);
    });
}
