//! What works: pages, JSON, and an output that nobody reads to its end.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::ground::{Ground, SERVED};
use crate::support::process::settle_in;

#[test]
fn pages_are_printed() {
    let ground = Ground::new();
    for (words, parts) in [
        ("completions bash", ["_relevo()", "delete-old"]),
        ("completions zsh", ["#compdef relevo", "delete-old"]),
        ("man", [".TH relevo", "delete\\-old"]),
        ("man keys create", [".SH NAME", "\\-\\-duration"]),
        ("--help", ["Usage: relevo", "delete-old"]),
        ("--version", ["relevo ", env!("CARGO_PKG_VERSION")]),
    ] {
        let said = ground.run(words);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{words}");
        assert!(parts.iter().all(|part| said.out.contains(part)), "{words} says\n{}", said.out);
    }
    let schema = ground.run("schema").json();
    assert!(schema["properties"]["gateway"].is_object(), "{schema}");
    assert!(ground.files().is_empty());
}

#[test]
fn a_right_configuration_is_shown_as_it_counts() {
    let ground = Ground::new();
    ground.write("relevo.toml", SERVED);
    let said = ground.run_with("check --config relevo.toml", &[("RELEVO__GATEWAY__WORKERS", "3")]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.starts_with("ok\n") && said.out.contains("workers = 3\n"), "{}", said.out);
    let told = ground.run("check --json --config relevo.toml").json();
    assert_eq!(told["ok"], true);
    assert!(told["effective"].as_str().is_some_and(|text| text.contains("workers = 1\n")), "{told}");
}

#[test]
fn an_output_that_is_closed_is_no_error() {
    let ground = Ground::new();
    for words in ["schema", "completions bash", "man", "check", "--help"] {
        let script = format!("set -o pipefail; \"$0\" {words} | head -c 1");
        let mut shell = Command::new("bash");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_relevo")]);
        settle_in(&mut shell, ground.path());
        let said = ground.ended(&mut shell);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{words}");
    }
}

#[test]
fn what_was_refused_or_is_broken_is_so_though_nobody_hears_it() {
    let ground = Ground::new();
    let process = ground.serve(SERVED);
    ground.write("broken", "{}\n");
    for words in ["audit verify --file broken", "keys show nobody", "renew nobody"] {
        // The reader is gone before anything is said.
        let told = format!("until [ -e gone ]; do sleep 0.01; done; \"$0\" {words} --json");
        let script = format!("set -o pipefail; {{ {told}; }} | {{ exec 0<&-; touch gone; }}");
        let mut shell = Command::new("bash");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_relevo")]);
        settle_in(&mut shell, ground.path());
        assert_eq!(ground.ended(&mut shell).code, 1, "{words}");
        std::fs::remove_file(ground.path().join("gone")).expect("made");
    }
    assert!(process.terminate(Duration::from_secs(20)).success());
}

#[test]
fn with_json_every_answer_is_json() {
    let ground = Ground::new();
    let process = ground.serve(SERVED);
    let told = |words: &str| {
        let said = ground.run(&format!("{words} --json"));
        assert_eq!(said.code, 0, "{words}: {said:?}");
        said.json()
    };
    assert!(told("keys create ci")["token"].is_string());
    assert_eq!(told("keys list")["keys"][0]["name"], "ci");
    assert_eq!(told("keys show ci")["name"], "ci");
    assert_eq!(told("keys edit ci --note x")["note"], "x");
    assert!(told("renew ci --after 7d")["token"].is_string());
    assert!(told("plan ci later")["key"]["renewal"].is_object());
    assert_eq!(told("undo ci --yes")["key"]["renewal"], Value::Null);
    for words in
        ["keys deactivate ci", "keys activate ci", "settings show", "settings set --duration 90d", "status", "audit"]
    {
        assert!(told(words).is_object(), "{words}");
    }
    let refusal = ground.run("keys show cj --json");
    assert_eq!((refusal.code, &refusal.json()["code"]), (1, &"key_not_found".into()));
    assert!(process.terminate(Duration::from_secs(20)).success());
}
