//! What is understood, and what is told before anything is asked.

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

fn parsed(words: &[&str]) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(std::iter::once(&"relevo").chain(words))
}

#[test]
fn the_arguments_are_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn every_documented_line_is_understood() {
    for line in [
        "demo",
        "demo --fresh",
        "serve",
        "serve --config relevo.toml",
        "check --config relevo.toml --json",
        "keys list",
        "keys list --json --limit 10 --cursor abc",
        "keys create ci --role orders:read --role orders:write --duration 90d --owner me --note x --label team=a",
        "keys create ci --duration never --allow-address 10.0.0.0/8",
        "keys create ci --rate 100/1s/200 --quota 1000/month --concurrent 5",
        "keys create ci --no-limits",
        "keys edit ci --rate 100/1s",
        "keys edit ci --default-limits",
        "keys show ci",
        "keys show key_01890a5d7c7a7000800000000000000a",
        "keys edit ci --name other",
        "keys edit ci --role a --duration default --owner me --confirm 3,0",
        "keys edit ci --no-roles --no-labels --any-address",
        "keys activate ci",
        "keys deactivate ci",
        "keys delete ci --yes",
        "keys import old.csv --dry-run --allow-weak",
        "keys import - --format jsonl",
        "keys export --format csv",
        "apply keys.toml --yes",
        "backup relevo.backup",
        "restore relevo.backup --delete-newer --administrators --dry-run",
        "renew ci",
        "renew ci --delete-old later",
        "renew ci --delete-old now --local",
        "renew ci --after 7d --when-quiet 24h --on-unused delete",
        "renew ci --local --prefix acme",
        "plan ci later",
        "plan ci --after 7d",
        "plan ci --when-quiet 24h --after 7d --on-unused hold",
        "delete-old ci",
        "delete-old ci --yes",
        "undo ci --yes",
        "audit",
        "audit --key ci --follow",
        "audit export",
        "audit verify",
        "audit verify --config relevo.toml",
        "audit verify --file audit.jsonl --head 7:sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "settings show",
        "settings set --duration 30d --on-expiry warn --confirm 1,0",
        "status --admin http://127.0.0.1:8081 --token-file root.token",
        "--admin https://h --json status",
        "completions bash",
        "man",
        "man keys create",
        "schema",
    ] {
        assert_understood(line);
    }
}

#[test]
fn every_documented_line_about_administrators_is_understood() {
    for line in [
        "admins list --limit 10",
        "admins create ana --permission keys:read --permission keys:renew --limited-to a --duration 90d --note x",
        "admins create ana --owner me --label team=a --allow-address 10.0.0.0/8",
        "admins show ana",
        "admins edit ana --permission audit:read --unlimited --duration never",
        "admins edit ana --no-permissions --limited-to a --name other --any-address",
        "admins activate ana",
        "admins deactivate ana",
        "admins delete ana --yes",
        "admins renew ana --when-quiet 24h",
        "admins renew ana --local",
        "admins plan ana --after 7d",
        "admins delete-old ana --unless-used-within 10m",
        "admins undo ana --yes",
        "admins rescue --config relevo.toml",
    ] {
        assert_understood(line);
    }
}

#[track_caller]
fn assert_understood(line: &str) {
    let words: Vec<_> = line.split(' ').collect();
    if let Err(error) = parsed(&words) {
        panic!("{line}: {error}");
    }
}

#[test]
fn wrong_usage_is_told_before_anything_is_asked_of_a_gateway() {
    for line in [
        "",
        "rotate ci",
        "keys",
        "keys create",
        "keys create key_x",
        "keys create ci --role Orders",
        "keys create ci --duration 0s",
        "keys create ci --rate 100",
        "keys create ci --quota 1/week",
        "keys create ci --concurrent 0",
        "keys create ci --no-limits --rate 1/1s",
        "keys edit ci --default-limits --concurrent 1",
        "keys create ci --duration soon",
        "keys create ci --label team",
        "keys create ci --allow-address everywhere",
        "keys show ..",
        "keys show a/b",
        "keys show key_1",
        "keys edit ci",
        "keys edit ci --confirm 1,0",
        "admins create ana --permission everything",
        "admins create ana --role a",
        "admins edit ana",
        "admins edit ana --limited-to a --unlimited",
        "keys edit ci --role a --no-roles",
        "keys edit ci --name a --confirm 1",
        "keys list --limit 0",
        "keys list --limit 501",
        "renew",
        "renew ci --delete-old soon",
        "renew ci --delete-old now --after 7d",
        "renew ci --on-unused delete",
        "renew ci --after 7",
        "renew ci --prefix ab",
        "renew ci --local --prefix A",
        "plan ci",
        "plan ci now",
        "plan ci later --after 7d",
        "audit verify --config a --file b",
        "audit verify --head 7",
        "audit --follow export",
        "settings set",
        "settings set --confirm 1,0",
        "settings set --on-expiry explode",
        "completions cmd",
    ] {
        let words: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let error = parsed(&words).err().unwrap_or_else(|| panic!("{line:?} was accepted"));
        assert!(error.use_stderr() && error.exit_code() == 2, "{line}");
    }
    assert!(parsed(&["keys", "show", ""]).is_err(), "an empty name would be the list of all keys");
}

#[test]
fn help_and_version_are_no_mistakes() {
    for (word, kind) in [("--help", ErrorKind::DisplayHelp), ("--version", ErrorKind::DisplayVersion)] {
        let shown = parsed(&[word]).expect_err("shown");
        assert!(shown.kind() == kind && !shown.use_stderr());
    }
}
