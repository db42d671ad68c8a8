//! What is wrong is told: where it stands, with the documented exit code, and nothing is changed.
//!
//! Promises: the real program, run as a script runs it. Deliberately does not: look into its parts.

mod answers;
mod ground;
mod refusals;
mod starts;

use ground::{Ground, SERVED};

/// Fails unless `words` end with code 2, name these parts and leave the folder as it was.
#[track_caller]
fn is_wrong(ground: &Ground, words: &str, variables: &[(&str, &str)], parts: &[&str]) {
    let before = ground.files();
    ground.run_with(words, variables).refuses(2, parts);
    assert!(before == ground.files(), "`{words}` has changed a file");
}

#[test]
fn an_unknown_command_or_option_is_wrong_usage() {
    let ground = Ground::new();
    is_wrong(&ground, "rotate ci", &[], &["'rotate'", "--help"]);
    is_wrong(&ground, "keys list --all", &[], &["'--all'", "relevo keys list"]);
    is_wrong(&ground, "keys", &[], &["Usage: relevo keys"]);
    is_wrong(&ground, "", &[], &["Usage: relevo"]);
    is_wrong(&ground, "man rotate", &[], &["\"rotate\""]);
    is_wrong(&ground, "completions tcsh9", &[], &["'tcsh9'"]);
}

#[test]
fn a_value_that_cannot_be_is_named_with_its_option() {
    let ground = Ground::new();
    is_wrong(&ground, "renew ci --after 7x", &[], &["'7x'", "--after", "is not a duration"]);
    is_wrong(&ground, "plan ci --when-quiet -1h", &[], &["-1"]);
    is_wrong(&ground, "keys create ci --duration 90", &[], &["'90'", "--duration"]);
    is_wrong(&ground, "keys list --limit 501", &[], &["501", "--limit"]);
    is_wrong(&ground, "settings set --confirm 1", &[], &["'1'", "--confirm"]);
    is_wrong(&ground, "renew ci --delete-old now --after 7d", &[], &["--delete-old", "--after"]);
    is_wrong(&ground, "keys edit ci", &[], &["Usage: relevo keys edit"]);
}

/// Two mistakes, in lines 3 and 11.
const WRONG: &str = "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 4096\n\n[[upstreams]]\nname = \"orders\"\n\
     endpoints = [\"http://127.0.0.1:1\"]\n\n[[routes]]\npath = \"/\"\nupstream = \"ordres\"\n";

#[test]
fn every_mistake_of_the_configuration_is_drawn_with_its_line() {
    let ground = Ground::new();
    ground.write("wrong.toml", WRONG);
    for command in ["check", "serve"] {
        let parts = [
            "gateway.workers: is not a number from 0 to 1024",
            "wrong.toml:3:11",
            "3 | workers = 4096",
            "routes[0].upstream: no upstream is named \"ordres\"",
            "wrong.toml:11:12",
            "11 | upstream = \"ordres\"",
        ];
        is_wrong(&ground, &format!("{command} --config wrong.toml"), &[], &parts);
    }
}

#[test]
fn a_configuration_that_is_no_text_or_not_there_is_named() {
    let ground = Ground::new();
    ground.write("binary.toml", [0xff, 0xfe, b'x']);
    ground.write("broken.toml", "[gateway\nworkers = 1\n");
    ground.write("folder/relevo.toml", "");
    for command in ["check", "serve"] {
        is_wrong(&ground, &format!("{command} --config absent.toml"), &[], &["absent.toml", "No such file"]);
        is_wrong(&ground, &format!("{command} --config folder"), &[], &["folder", "cannot be read"]);
        is_wrong(&ground, &format!("{command} --config binary.toml"), &[], &["binary.toml"]);
        is_wrong(&ground, &format!("{command} --config broken.toml"), &[], &["broken.toml:1:"]);
    }
}

#[test]
fn a_variable_that_sets_nothing_or_badly_is_named() {
    let ground = Ground::new();
    ground.write("relevo.toml", SERVED);
    for command in ["check --config relevo.toml", "serve --config relevo.toml"] {
        let unknown = [("RELEVO__GATEWAY__WORKRES", "2")];
        is_wrong(&ground, command, &unknown, &["RELEVO__GATEWAY__WORKRES names no setting"]);
        let route = [("RELEVO__ROUTES__0__PATH", "/")];
        is_wrong(&ground, command, &route, &["RELEVO__ROUTES__0__PATH", "stand in the file only"]);
        let word = [("RELEVO__GATEWAY__WORKERS", "x")];
        is_wrong(&ground, command, &word, &["gateway.workers", "RELEVO__GATEWAY__WORKERS=x", "whole number"]);
    }
}
