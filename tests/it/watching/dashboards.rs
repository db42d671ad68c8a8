//! The dashboard and the alert rules, held against what `/metrics` really tells.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::backend::Backend;
use crate::support::gateway::{TestGateway, wait_until};

fn packaged(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(path)
}

fn promtool(words: &[&str], input: &str) -> Output {
    let mut child = Command::new("promtool")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, which packaging/install-test-tools installs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("sent");
    child.wait_with_output().expect("ended")
}

/// The metrics of a gateway that has answered, refused and failed.
fn metrics() -> String {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    gateway.renew(&old).done();
    assert_eq!(gateway.status_with(&old), 200);
    assert_eq!(gateway.ask(&crate::support::request::request("GET", "/")).status, 401);
    wait_until("both are counted", || super::sum(&gateway.metrics(), "relevo_requests_total", &[]) > 1.5);
    gateway.metrics()
}

/// The names with one of our beginnings in `text`.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("relevo_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

#[test]
fn every_metric_of_the_dashboard_and_of_the_alerts_is_told() {
    let metrics = metrics();
    let told = named(&metrics);
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(packaged("grafana/relevo.json")).expect("a file")).expect("JSON");
    let mut expressions = dashboard["templating"]["list"][1]["query"].to_string();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            expressions += target["expr"].as_str().expect("an expression");
            expressions.push('\n');
        }
    }
    let rules = fs::read_to_string(packaged("prometheus/relevo.rules.yml")).expect("a file");
    for (what, text) in [("the dashboard", &expressions), ("the rules", &rules)] {
        let names = named(text);
        assert!(names.len() >= 8, "{what} names {names:?} only");
        let unknown: Vec<_> = names.difference(&told).filter(|name| !is_rare(name)).collect();
        assert!(unknown.is_empty(), "{what} looks for {unknown:?}, which nothing tells");
    }
    // And nothing of our own is left unwatched.
    let watched = named(&format!("{expressions}{rules}"));
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).expect("a page");
    for name in told.iter().filter(|name| name.starts_with("relevo_")) {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(page.contains(&format!("`{base}`")), "docs/metrics.md lacks {base}");
    }
    assert!(watched.contains("relevo_renewal_oldest_seconds") && watched.contains("relevo_tokens_expiring"));
    for (what, text) in [("the dashboard", &expressions), ("the rules", &rules)] {
        for name in ["relevo_admin_sign_ins_failed_total", "relevo_webhook_removed_total"] {
            assert!(text.contains(name), "{what} does not watch {name}");
        }
    }
}

/// What is told from its first event on only: described, and without a sample until then.
fn is_rare(name: &str) -> bool {
    relevo::observe::metrics::ALL.iter().any(|metric| metric.name == name)
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules_and_with_what_is_told() {
    let rules = packaged("prometheus/relevo.rules.yml");
    let checked = promtool(&["check", "rules", rules.to_str().expect("text")], "");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let cases = packaged("prometheus/relevo.rules.test.yml");
    let raised = promtool(&["test", "rules", cases.to_str().expect("text")], "");
    assert!(raised.status.success(), "{}", String::from_utf8_lossy(&raised.stdout));
    let metrics = metrics();
    let checked = promtool(&["check", "metrics"], &metrics);
    let complaints = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{complaints}\n{metrics}");
}
