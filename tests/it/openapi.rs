//! The published document of the admin port, held to what is served: by schemathesis, and in a browser.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use relevo::domain::Span;
use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::browser::{Browser, Manner, Scripts};
use crate::support::client::RawClient;
use crate::support::gateway::TestGateway;
use crate::support::in_short_or_soak;
use crate::support::process::from_pypi;
use crate::support::request::request;

/// What is held against every answer: no failure of the server, nothing that is not published, nothing taken that is published as wrong, no way around the token.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,unsupported_method,ignored_auth";

#[test]
fn schemathesis_finds_no_failure_no_unpublished_answer_and_no_way_around_the_token() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    for name in ["ci", "night"] {
        let key = gateway.create_key(name).roles(&["orders:read"]).with("self_service", json!(true)).done();
        gateway.renew(&key).with("delete_old", json!({"after": "7d", "when_quiet": "24h"})).done();
    }
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("http://{}", gateway.admin_address());
    let report = folder.path().join("report");
    let mut running = Command::new(from_pypi("schemathesis"))
        .args(["run", &format!("{url}/openapi.json"), "--no-color", "--checks", CHECKS])
        .args(["--header", &format!("Authorization: Bearer {}", gateway.root_token())])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", in_short_or_soak("10", "200")])
        .args(["--max-time", in_short_or_soak("45", "900"), "--request-timeout", "20", "--generation-deterministic"])
        .args(["--warnings", "off", "--continue-on-failure"])
        .args(["--exclude-path", "/v1/events"]) // a stream has no end
        .current_dir(folder.path())
        .stdout(File::create(&report).expect("a file"))
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
    let told = std::fs::read_to_string(&report).expect("a report");
    assert!(ended.success(), "{told}");
    // Not with an administrator's token: what is tried takes names from answers, and may end its own.
    assert_eq!(gateway.admin("GET", "/readyz", None).status, 200, "{told}");
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
