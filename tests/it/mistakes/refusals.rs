//! What a running gateway refuses, and what is not even asked of one.

use std::time::Duration;

use super::ground::{Ground, SERVED};
use super::is_wrong;

#[test]
fn if_no_gateway_is_found_every_place_is_named() {
    let ground = Ground::new();
    ground.write("relevo-demo/admin.json", "{ damaged");
    let before = ground.files();
    let places =
        ["relevo/admin.json: not there", "relevo-demo/admin.json: is stale", "relevo-data/admin.json: not there"];
    for words in ["status", "renew ci", "keys list", "undo ci --yes", "audit", "settings show"] {
        ground.run(words).refuses(1, &places);
    }
    assert!(before == ground.files());
}

#[test]
fn a_token_or_url_that_cannot_be_used_is_told_before_anything_is_asked() {
    let ground = Ground::new();
    ground.write("empty.token", "\n");
    is_wrong(&ground, "status --admin http://127.0.0.1:1", &[], &["no token", "--token-file"]);
    is_wrong(&ground, "status --token-file absent.token", &[], &["absent.token", "No such file"]);
    is_wrong(&ground, "status --token-file empty.token", &[], &["empty.token"]);
    is_wrong(&ground, "status --admin ftp://x", &[("RELEVO_ADMIN_TOKEN", "sixteen-characters")], &["ftp://x"]);
    let remote = [("RELEVO_ADMIN_URL", "http://192.0.2.1:8081"), ("RELEVO_ADMIN_TOKEN", "sixteen-characters")];
    is_wrong(&ground, "status", &remote, &["http://192.0.2.1:8081"]);
    let nobody = ground.run_with("status --admin http://127.0.0.1:1", &[("RELEVO_ADMIN_TOKEN", "sixteen-characters")]);
    nobody.refuses(1, &["127.0.0.1:1"]);
}

#[test]
fn what_cannot_be_asked_of_anybody_is_not_done() {
    let ground = Ground::new();
    let process = ground.serve(SERVED);
    assert_eq!((ground.run("keys create ci").code, ground.run("renew ci").code), (0, 0));
    let before = ground.run("keys show ci --json").json();
    for words in ["delete-old ci", "undo ci"] {
        ground.run(words).refuses(2, &["--yes"]);
    }
    assert_eq!(ground.run("keys show ci --json").json(), before);
    assert!(process.terminate(Duration::from_secs(20)).success());
}

#[test]
fn a_refusal_is_told_by_its_code_and_changes_nothing() {
    let ground = Ground::new();
    let process = ground.serve(SERVED);
    let wrong = [("RELEVO_ADMIN_TOKEN", "not-the-token-of-anybody-0123456789")];
    ground.run_with("keys create ci", &wrong).refuses(1, &["relevo: unauthenticated: "]);
    for words in [
        "keys show ci",
        "renew ci",
        "undo ci --yes",
        "delete-old ci --yes",
        "plan ci later",
        "keys delete ci --yes",
        "keys edit ci --note x",
        "audit --key ci",
    ] {
        ground.run(words).refuses(1, &["relevo: key_not_found: "]);
    }
    assert_eq!(ground.run("keys create ci").code, 0);
    let state = || {
        let told = ground.run("audit --json").json();
        let changes = told["events"].as_array().expect("events").iter().filter(|event| {
            event["action"] != "command.refused" && event["key"].is_string() && event["actor"] != "relevo"
        });
        (ground.run("keys show ci --json").json(), changes.cloned().collect::<Vec<_>>())
    };
    let before = state();
    for words in ["undo ci --yes", "delete-old ci --yes", "plan ci later"] {
        ground.run(words).refuses(1, &["relevo: no_old_token: "]);
    }
    ground.run("keys create CI").refuses(1, &["relevo: name_taken: "]);
    assert_eq!(state(), before);
    assert_eq!(ground.run("renew ci").code, 0);
    let before = state();
    ground.run("renew ci").refuses(1, &["relevo: renewal_open: "]);
    assert_eq!(state(), before);
    assert!(process.terminate(Duration::from_secs(20)).success());
}
