//! Starts of `relevo serve`: what keeps one from happening, and what the first one leaves behind.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::ground::{Ground, SERVED};
use super::is_wrong;
use crate::support::client::RawClient;
use crate::support::process::Process;
use crate::support::request::request;

/// A token that is long enough to be an administrator's.
const GIVEN: &str = "given-at-the-first-start-0123456789";
const PATIENCE: Duration = Duration::from_secs(20);

fn with_token(token: &str) -> [(&str, &str); 1] {
    [("RELEVO_ADMIN_TOKEN", token)]
}

fn mode(ground: &Ground, file: &str) -> u32 {
    fs::metadata(ground.path().join(file)).expect("there").permissions().mode() & 0o777
}

#[test]
fn an_address_in_use_is_named_with_its_key() {
    let ground = Ground::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let gateway = SERVED.replacen("127.0.0.1:0", &address, 1);
    ground.write("relevo.toml", gateway);
    let parts = ["gateway.listen", address.as_str(), "in use"];
    is_wrong(&ground, "serve --config relevo.toml", &[], &parts);
    ground.write(
        "relevo.toml",
        SERVED.replace("[admin]\nlisten = \"127.0.0.1:0\"", &format!("[admin]\nlisten = \"{address}\"")),
    );
    is_wrong(&ground, "serve --config relevo.toml", &[], &["admin.listen", address.as_str(), "in use"]);
    ground.write("relevo.toml", format!("{SERVED}[probes]\nlisten = \"{address}\"\n"));
    is_wrong(&ground, "serve --config relevo.toml", &[], &["probes.listen", address.as_str(), "in use"]);
}

#[test]
fn a_store_in_use_is_left_to_its_process() {
    let ground = Ground::new();
    let first = ground.serve(SERVED);
    let announced = || ["relevo-data", "relevo"].map(|folder| fs::read(ground.path().join(folder).join("admin.json")));
    let before = announced().map(|text| text.expect("announced"));
    let said = ground.run("serve --config relevo.toml");
    said.refuses(2, &["store.path", "relevo-data/relevo.redb", "in use by another process"]);
    assert_eq!(announced().map(|text| text.expect("still announced")), before);
    assert_eq!(ground.run("status").code, 0);
    assert!(first.terminate(PATIENCE).success());
}

#[test]
fn two_stores_do_not_share_a_folder_nor_one_a_name_with_the_files_beside_it() {
    let ground = Ground::new();
    let first = ground.serve(SERVED);
    let beside = |name: &str| format!("{SERVED}[store]\npath = \"relevo-data/{name}\"\n");
    ground.write("other.toml", beside("other.redb"));
    let said = ground.run("serve --config other.toml");
    said.refuses(2, &["store.path", "relevo-data/other.redb", "\"relevo.redb\"", "a folder of its own"]);
    assert!(!ground.path().join("relevo-data/other.redb").exists());
    assert_eq!(ground.run("status").code, 0);
    let files = fs::read_dir(ground.path().join("relevo-data")).expect("a folder");
    let mut names: Vec<_> = files.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8")).collect();
    names.retain(|name| name != "relevo.redb");
    assert!(names.len() > 2, "{names:?}");
    for name in names {
        ground.write("beside.toml", beside(&name));
        ground.run("check --config beside.toml").refuses(2, &["store.path", "kept beside the store"]);
    }
    assert!(first.terminate(PATIENCE).success());
    let other = Process::serve(ground.path(), &beside("other.redb"));
    assert!(other.terminate(PATIENCE).success());
}

#[test]
fn a_damaged_store_is_named_and_left_as_it_is() {
    for damage in [
        |bytes: &mut Vec<u8>| bytes.truncate(1000),
        |bytes: &mut Vec<u8>| bytes.iter_mut().skip(4096).for_each(|byte| *byte = !*byte),
        |bytes: &mut Vec<u8>| *bytes = b"no store at all\n".repeat(1000),
    ] {
        let ground = Ground::new();
        assert!(ground.serve(SERVED).terminate(PATIENCE).success());
        let file = ground.path().join("relevo-data/relevo.redb");
        let mut bytes = fs::read(&file).expect("read");
        damage(&mut bytes);
        fs::write(&file, &bytes).expect("written");
        let before = ground.files();
        ground.run("serve --config relevo.toml").refuses(1, &["relevo-data/relevo.redb", "damaged"]);
        assert!(before == ground.files(), "a file was changed");
    }
}

#[test]
fn a_damaged_file_of_last_uses_stops_nothing_and_is_put_aside() {
    let ground = Ground::new();
    let process = ground.serve(SERVED);
    assert_eq!(ground.run("keys create ci").code, 0);
    assert!(process.terminate(PATIENCE).success());
    ground.write("relevo-data/usage.redb", "no store at all\n".repeat(1000));
    let process = ground.serve(SERVED);
    assert_eq!(ground.run("keys show ci").code, 0);
    let aside = fs::read(ground.path().join("relevo-data/usage.redb.damaged")).expect("put aside");
    assert!(aside.starts_with(b"no store at all"));
    assert!(process.terminate(PATIENCE).success());
    assert!(ground.log().contains("last uses cannot be read"), "{}", ground.log());
}

// Once, redb's panic on such a page ended every start.
#[test]
fn files_of_last_uses_and_quotas_with_damaged_pages_stop_neither_a_start_nor_a_rescue() {
    let ground = Ground::new();
    let process = ground.serve(SERVED);
    assert_eq!(ground.run("keys create ci").code, 0);
    assert!(process.terminate(PATIENCE).success());
    let whole = ["usage.redb", "quotas.redb"].map(|name| ground.path().join("relevo-data").join(name));
    let damage = || {
        for file in &whole {
            let mut bytes = fs::read(file).expect("read");
            bytes[4096..].fill(0);
            fs::write(file, bytes).expect("written");
        }
    };
    damage();
    let process = ground.serve(SERVED);
    assert_eq!(ground.run("keys show ci").code, 0);
    assert!(process.terminate(PATIENCE).success());
    let log = ground.log();
    for what in ["last uses cannot be read", "quotas cannot be read"] {
        assert!(log.contains(what), "{log}");
    }
    assert!(whole.iter().all(|file| file.with_extension("redb.damaged").exists()));
    damage();
    assert_eq!(ground.run("admins rescue --config relevo.toml").code, 0);
    assert!(whole[0].with_extension("redb.damaged.1").exists());
    let process = ground.serve(SERVED);
    assert_eq!(ground.run("keys show ci").code, 0);
    assert!(process.terminate(PATIENCE).success());
}

#[test]
fn a_place_that_cannot_hold_a_store_is_named() {
    let ground = Ground::new();
    ground.write("file", "in the way");
    ground.write("relevo.toml", format!("{SERVED}[store]\npath = \"file/relevo.redb\"\n"));
    ground.run("serve --config relevo.toml").refuses(1, &["store.path", "file/relevo.redb"]);
    assert_eq!(ground.files().len(), 2);
    ground.write("relevo.toml", format!("{SERVED}[store]\npath = \".\"\n"));
    ground.run("serve --config relevo.toml").refuses(1, &["store.path"]);
    assert_eq!(ground.files().len(), 2);
}

#[test]
fn an_access_log_that_cannot_be_written_leaves_no_store_behind() {
    let ground = Ground::new();
    ground.write("relevo.toml", SERVED.replace("access = false", "access = \"absent/access.log\""));
    is_wrong(&ground, "serve --config relevo.toml", &[], &["log.access", "No such file"]);
}

#[test]
fn a_token_for_root_that_is_weak_is_refused_with_both_bounds() {
    let ground = Ground::new();
    ground.write("relevo.toml", SERVED);
    for weak in ["short", "sixteen-chars-00", "thirty-one-characters-000000000", "with a blank in its thirty-two chars"]
    {
        let parts = ["RELEVO_ADMIN_TOKEN is not 32 to 512 visible"];
        is_wrong(&ground, "serve --config relevo.toml", &with_token(weak), &parts);
    }
}

#[test]
fn the_first_start_leaves_the_token_of_root_to_its_user_alone() {
    let ground = Ground::new();
    let process = ground.serve(SERVED);
    assert_eq!(mode(&ground, "relevo-data/admin.token"), 0o600);
    assert_eq!(mode(&ground, "relevo-data/relevo.redb"), 0o600);
    assert!(process.terminate(PATIENCE).success());
    let (log, token) = (ground.log(), fs::read_to_string(ground.path().join("relevo-data/admin.token")).expect("read"));
    assert!(log.contains("root was created") && log.contains("relevo-data/admin.token"), "{log}");
    assert!(!log.contains(token.trim()), "{log}");
    let again = ground.serve(SERVED);
    assert_eq!(ground.log().matches("root was created").count(), 1);
    assert_eq!(ground.run("status").code, 0);
    assert!(again.terminate(PATIENCE).success());
}

#[test]
fn a_token_given_at_the_first_start_is_used_and_later_ignored() {
    let ground = Ground::new();
    let process = Process::serve_told(ground.path(), SERVED, &with_token(GIVEN));
    assert!(!ground.path().join("relevo-data/admin.token").exists());
    assert_eq!(ground.run_with("status", &with_token(GIVEN)).code, 0);
    assert!(process.terminate(PATIENCE).success());
    assert!(!ground.log().contains(GIVEN) && !ground.log().contains("ignored"), "{}", ground.log());
    let later = "another-that-comes-too-late-0123456789";
    let process = Process::serve_told(ground.path(), SERVED, &with_token(later));
    ground.run_with("status", &with_token(later)).refuses(1, &["unauthenticated"]);
    assert_eq!(ground.run_with("status", &with_token(GIVEN)).code, 0);
    assert!(process.terminate(PATIENCE).success());
    assert!(ground.log().contains("RELEVO_ADMIN_TOKEN is ignored"), "{}", ground.log());
}

#[test]
fn a_token_that_is_empty_is_none_and_one_that_is_wrong_stops_no_later_start() {
    let ground = Ground::new();
    let process = Process::serve_told(ground.path(), SERVED, &with_token(""));
    assert!(ground.path().join("relevo-data/admin.token").exists());
    assert_eq!(ground.run_with("status", &with_token("")).code, 0);
    assert!(process.terminate(PATIENCE).success());
    assert!(!ground.log().contains("ignored"), "{}", ground.log());
    for (start, wrong) in ["short", "with a blank in its thirty-two chars"].into_iter().enumerate() {
        let process = Process::serve_told(ground.path(), SERVED, &with_token(wrong));
        assert_eq!(ground.run("status").code, 0);
        assert!(process.terminate(PATIENCE).success());
        assert_eq!(ground.log().matches("RELEVO_ADMIN_TOKEN is ignored").count(), start + 1, "{}", ground.log());
    }
}

#[test]
fn a_gateway_is_announced_while_it_runs() {
    let ground = Ground::new();
    let process = ground.serve(SERVED);
    for file in ["relevo-data/admin.json", "relevo/admin.json"] {
        assert_eq!(mode(&ground, file), 0o600, "{file}");
        let text = fs::read_to_string(ground.path().join(file)).expect("read");
        let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(told["url"], format!("http://{}", process.admin));
        let token = told["token_file"].as_str().expect("a path");
        assert!(!text.contains(fs::read_to_string(token).expect("a token").trim()), "{text}");
    }
    assert!(process.terminate(PATIENCE).success());
    for file in ["relevo-data/admin.json", "relevo/admin.json"] {
        assert!(!ground.path().join(file).exists(), "{file}");
    }
}

#[test]
fn what_a_gateway_announced_that_was_killed_is_stale_and_nobody_else_gets_the_token() {
    let ground = Ground::new();
    let process = ground.serve(SERVED);
    assert_eq!(ground.run("status").code, 0);
    let port = process.admin;
    process.kill();
    let taken = TcpListener::bind(port).expect("the port is free again");
    taken.set_nonblocking(true).expect("set");
    let said = ground.run("status");
    said.refuses(1, &["relevo/admin.json: is stale", "relevo-data/admin.json: is stale"]);
    assert!(taken.accept().is_err(), "whoever took the port was asked");
    let again = ground.serve(SERVED);
    assert_eq!(ground.run("status").code, 0);
    assert!(again.terminate(PATIENCE).success());
}

#[test]
fn where_a_path_is_not_text_a_gateway_runs_unannounced() {
    let ground = Ground::new();
    let folder = ground.path().join(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&folder).expect("made");
    let process = Process::serve(&folder, SERVED);
    let mut client = RawClient::connect(process.admin);
    client.send(&request("GET", "/livez").bytes());
    assert_eq!(client.read_response().status, 200);
    assert!(!folder.join("relevo-data/admin.json").exists());
    assert!(process.terminate(PATIENCE).success());
    let log = fs::read_to_string(folder.join("stderr.log")).expect("a log");
    assert!(log.contains("not announced"), "{log}");
}

#[test]
fn stdout_of_serve_holds_the_addresses_and_nothing_else() {
    let ground = Ground::new();
    let mut process = ground.serve(&SERVED.replace("access = false", "access = \"stderr\""));
    let rest = process.take_lines();
    assert_eq!(ground.run("keys create ci").code, 0);
    assert!(process.terminate(PATIENCE).success());
    assert_eq!(rest.iter().collect::<Vec<_>>(), Vec::<String>::new());
    assert!(ground.log().contains("serving"), "{}", ground.log());
}
