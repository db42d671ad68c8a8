//! Keys brought along by the command line: from a file, to a file, and back from a backup.
//!
//! Promises: the real program on both sides; nothing that a command says holds a token that was in its file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use relevo::domain::Digest;

use crate::support::backend::Backend;
use crate::support::client::RawClient;
use crate::support::process::{Process, relevo};
use crate::support::request::request;

use super::token;

/// What both sides stand on: a gateway in `folder`, before `backend`.
fn serve(backend: &Backend, folder: &Path) -> Process {
    let configuration = format!(
        "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"relevo.redb\"\n\
         [drain]\ndelay = \"0s\"\ntimeout = \"1s\"\n[log]\naccess = false\n\
         [[upstreams]]\nname = \"backend\"\nendpoints = [\"http://{}\"]\n[[routes]]\npath = \"/\"\nupstream = \"backend\"\n",
        backend.address()
    );
    Process::serve(folder, &configuration)
}

/// What a command has said on both its outputs; it must have ended with `code`.
#[track_caller]
fn said(folder: &Path, code: i32, arguments: &[&str]) -> String {
    let output = relevo(folder).args(arguments).output().expect("run");
    let said = String::from_utf8([output.stderr, output.stdout].concat()).expect("text");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!((0..9).all(|number| !said.contains(&token(number))), "{arguments:?} repeats a token: {said}");
    said
}

fn status(process: &Process, token: &str) -> u16 {
    let mut client = RawClient::connect(process.gateway);
    client.send(&request("GET", "/").token(token).bytes());
    client.read_response().status
}

fn digest(number: usize) -> String {
    Digest::of(token(number).as_bytes()).to_string()
}

/// That the lines of `text` hold each of `parts`, in this order.
#[track_caller]
fn holds(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("{part:?} is not where it should be in\n{text}")).1;
    }
}

#[test]
fn keys_come_from_csv_and_json_lines_by_value_or_digest_all_or_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, backend) = (folder.path(), Backend::answering("hello"));
    let process = serve(&backend, folder);
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("written");
    write(
        "keys.csv",
        format!("name,token,digest,roles\nby value,{},,orders:read\nby digest,,{},\n", token(1), digest(2)),
    );
    holds(
        &said(folder, 0, &["keys", "import", "keys.csv", "--dry-run"]),
        &["+ by value\n", "+ by digest\n", "2 keys would be imported"],
    );
    assert_eq!([1, 2].map(|number| status(&process, &token(number))), [401, 401], "a dry run does nothing");
    holds(&said(folder, 0, &["keys", "import", "keys.csv"]), &["2 keys imported, 0 were there already"]);
    assert_eq!([1, 2].map(|number| status(&process, &token(number))), [200, 200]);
    holds(&said(folder, 0, &["keys", "import", "keys.csv"]), &["0 keys imported, 2 were there already"]);

    let lines = |more: &str| format!("{{\"name\": \"third\", \"token\": \"{}\"}}\n\n{more}\n", token(3));
    // What can be seen here is told before anything is sent, the rest by the gateway: both with the line.
    write("keys.jsonl", lines(&format!("{{\"name\": \"fourth\", \"token\": \"{} x\"}}", token(4))));
    holds(&said(folder, 2, &["keys", "import", "keys.jsonl"]), &["nothing was sent", "keys.jsonl:3: token"]);
    write("keys.jsonl", lines(&format!("{{\"name\": \"BY VALUE\", \"token\": \"{}\"}}", token(4))));
    holds(&said(folder, 1, &["keys", "import", "keys.jsonl"]), &["keys.jsonl:3"]);
    assert_eq!(status(&process, &token(3)), 401, "none of it");
    write("keys.jsonl", lines(&format!("{{\"name\": \"fourth\", \"token\": \"{}\"}}", token(4))));
    said(folder, 0, &["keys", "import", "keys.jsonl"]);
    assert_eq!([3, 4].map(|number| status(&process, &token(number))), [200, 200]);
    assert!(process.terminate(Duration::from_secs(20)).success());
}

#[test]
fn what_is_exported_applies_without_a_change_and_what_is_changed_in_it_is_shown_before_it_is_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, backend) = (folder.path(), Backend::answering("hello"));
    let process = serve(&backend, folder);
    let keys = format!(
        "[[keys]]\nname = \"ci\"\nroles = [\"a\"]\ntoken = \"{}\"\nlimits = {{ concurrent = 5 }}\n\
         [[keys]]\nname = \"night\"\nowner = \"me\"\ndigest = \"{}\"\n",
        token(1),
        digest(2)
    );
    fs::write(folder.join("keys.toml"), &keys).expect("written");
    holds(&said(folder, 0, &["apply", "keys.toml", "--yes"]), &["+ ci", "+ night", "2 keys changed"]);
    for (format, file) in [("csv", "all.csv"), ("jsonl", "all.jsonl"), ("toml", "all.toml")] {
        let exported = said(folder, 0, &["keys", "export", "--format", format]);
        assert!(!exported.contains("sha256") && !exported.contains("token"), "{exported}");
        fs::write(folder.join(file), exported).expect("written");
        holds(&said(folder, 0, &["apply", file, "--dry-run"]), &["0 keys to change, 2 are as they should be"]);
    }
    let changed = keys.replace("[\"a\"]", "[\"a\", \"b\"]").replace("= 5", "= 7").replace(&digest(2), &digest(3));
    fs::write(folder.join("keys.toml"), &changed).expect("written");
    let plan = said(folder, 0, &["apply", "keys.toml", "--dry-run"]);
    holds(&plan, &["~ ci", "~ night", "another token; the old one goes on working", "2 keys to change"]);
    holds(&plan, &["    limits: ", "5", " → ", "7"]);
    holds(&plan, &["    roles: [\"a\"] → [\"a\",\"b\"]"]);
    assert_eq!(status(&process, &token(3)), 401, "a plan does nothing");
    holds(&said(folder, 2, &["apply", "keys.toml"]), &["--yes"]); // there is nobody to ask
    said(folder, 0, &["apply", "keys.toml", "--yes"]);
    assert_eq!([1, 2, 3].map(|number| status(&process, &token(number))), [200, 200, 200]);
    holds(&said(folder, 0, &["apply", "keys.toml", "--yes"]), &["0 keys to change, 2 are as they should be"]);
    assert!(process.terminate(Duration::from_secs(20)).success());
}

#[test]
fn a_backup_is_a_file_of_its_owners_and_a_restoration_says_first_what_it_revives() {
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, backend) = (folder.path(), Backend::answering("hello"));
    let process = serve(&backend, folder);
    fs::write(folder.join("keys.csv"), format!("name,token\ngone,{}\nkept,{}\n", token(1), token(2))).expect("written");
    said(folder, 0, &["keys", "import", "keys.csv"]);
    said(folder, 0, &["backup", "before.jsonl"]);
    let backup = folder.join("before.jsonl");
    assert_eq!(fs::metadata(&backup).expect("a file").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&backup).expect("read");
    let root = fs::read_to_string(folder.join("admin.token")).expect("a token");
    assert!(![&token(1), &token(2), root.trim()].into_iter().any(|token| text.contains(token)), "a token is in it");
    holds(&said(folder, 2, &["backup", "before.jsonl"]), &["is there already"]);
    said(folder, 0, &["keys", "delete", "gone", "--yes"]);
    let plan = said(folder, 0, &["restore", "before.jsonl", "--dry-run"]);
    holds(&plan, &["~ restored: gone", "! accepted again: ", " of gone"]);
    assert_eq!(status(&process, &token(1)), 401, "a plan does nothing");
    holds(&said(folder, 0, &["restore", "before.jsonl", "--yes"]), &["accepted again", "1 keys restored, 0 deleted"]);
    assert_eq!([1, 2].map(|number| status(&process, &token(number))), [200, 200]);
    fs::write(&backup, &text[..text.len() - 40]).expect("written");
    said(folder, 1, &["restore", "before.jsonl", "--yes"]);
    assert!(process.terminate(Duration::from_secs(20)).success());
}
