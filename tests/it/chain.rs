//! The chain through the audit log: what was done to a store's file or to an export is found and named.
//!
//! Promises: the store is one that a gateway has written, tampered with as its owner could: every checksum put right.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use redb::{Database, ReadableTable, TableDefinition};
use relevo::domain::{Head, RecordHash, Revision, Span};
use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::gateway::{TestGateway, wait_until};
use crate::support::process::relevo;

const EVENTS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("events");
const META: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("meta");

/// Events by their revisions, their lines without frames.
type Rows = Vec<(u64, String)>;

/// A store that a gateway has written and closed, and what the log said then.
struct Written {
    folder: tempfile::TempDir,
    revisions: Vec<u64>,
    /// A place among them where no revision is missing for two before it and one behind: a first use takes one, any time.
    at: usize,
    head: Head,
}

impl Written {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let backend = Backend::answering("hello");
        let gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).start();
        for name in ["one", "two", "three"] {
            let old = gateway.create_key(name).done();
            gateway.renew(&old).done();
            gateway.delete_old(&old);
        }
        let page = gateway.admin("GET", "/v1/audit", None).json;
        let revisions: Vec<u64> = events(&page).iter().filter_map(|event| event["revision"].as_u64()).collect();
        let at = revisions.windows(4).position(|four| four[0] + 3 == four[3]).expect("four in a row") + 2;
        let head: Head = serde_json::from_value(page["chain"].clone()).expect("a head");
        drop(gateway);
        let written = Self { folder, revisions, at, head };
        let text = format!("[store]\npath = '{}'\n", written.store().display());
        std::fs::write(written.path("relevo.toml"), text).expect("written");
        written
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("relevo.redb")
    }

    /// Does this to the rows of events, by revision, their lines without frames.
    fn tamper(&self, with: impl FnOnce(&mut Rows)) {
        let database = Database::open(self.store()).expect("opened");
        let transaction = database.begin_write().expect("begun");
        {
            let mut table = transaction.open_table(EVENTS).expect("a table");
            let mut rows: Vec<_> = table
                .iter()
                .expect("rows")
                .map(|row| {
                    let (key, row) = row.expect("a row");
                    let line = row.value()[1..row.value().len() - 8].to_vec();
                    let revision = u64::from_be_bytes(key.value().try_into().expect("a revision"));
                    (revision, String::from_utf8(line).expect("text"))
                })
                .collect();
            for (revision, _) in &rows {
                table.remove(&revision.to_be_bytes()[..]).expect("removed");
            }
            with(&mut rows);
            for (revision, line) in rows {
                let key = revision.to_be_bytes();
                let record = sealed([&[2], line.as_bytes()].concat(), &[]);
                table.insert(&key[..], &sealed(record, &key)[..]).expect("written");
            }
        }
        transaction.commit().expect("committed");
    }

    /// Verifies the store: the exit code, and what was said to a program.
    fn verify(&self, more: &[&str]) -> (Option<i32>, Value) {
        let config = self.path("relevo.toml");
        let arguments = ["audit", "verify", "--json", "--config", config.to_str().expect("text")];
        run(self.folder.path(), &[&arguments, more].concat(), "")
    }
}

/// `bytes` and the checksum of `before` and them.
fn sealed(mut bytes: Vec<u8>, before: &[u8]) -> Vec<u8> {
    let check = crc32fast::hash(&[before, &bytes].concat());
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

fn run(folder: &Path, arguments: &[&str], input: &str) -> (Option<i32>, Value) {
    let mut command = relevo(folder);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    drop(child.stdin.take().expect("piped").write_all(input.as_bytes())); // it may have seen enough before the end
    let output = child.wait_with_output().expect("ended");
    let said = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), said)
}

fn events(page: &Value) -> &[Value] {
    page["events"].as_array().expect("events")
}

fn broken_at((code, said): (Option<i32>, Value), revision: u64) {
    assert_eq!((code, &said["whole"], &said["revision"]), (Some(1), &json!(false), &json!(revision)), "{said}");
}

#[test]
fn a_store_that_nobody_touched_is_whole_and_its_head_is_what_the_gateway_told() {
    let written = Written::new();
    let (code, said) = written.verify(&["--head", &written.head.to_string()]);
    assert_eq!((code, &said["whole"], &said["records"]), (Some(0), &json!(true), &json!(written.revisions.len())));
    assert_eq!(said["head"], serde_json::to_value(written.head).expect("JSON"));
    written.tamper(|_| ()); // read and written again, and nothing else
    assert_eq!(written.verify(&[]).0, Some(0));
}

#[test]
fn a_record_that_was_changed_removed_or_moved_in_the_stores_file_is_named() {
    let written = Written::new();
    let (at, third) = (written.at, written.revisions[written.at]);
    let sound = std::fs::read(written.store()).expect("read");
    let with = |tampering: &dyn Fn(&mut Rows)| {
        std::fs::write(written.store(), &sound).expect("written");
        written.tamper(|rows| tampering(rows));
        written.verify(&[])
    };
    broken_at(with(&|rows| rows[at].1 = rows[at].1.replace("\"actor\":\"", "\"actor\":\"not ")), third);
    let removed = with(&|rows| drop(rows.remove(at)));
    broken_at(removed.clone(), third - 1);
    assert!(removed.1["detail"].as_str().expect("text").contains(&format!("or revision {third} removed")));
    let moved = with(&|rows| {
        let (second, third) = (rows[at - 1].1.clone(), rows[at].1.clone());
        (rows[at - 1].1, rows[at].1) = (third, second);
    });
    broken_at(moved, third - 1);
    broken_at(with(&|rows| drop(rows.remove(0))), written.revisions[1]);
}

#[test]
fn an_end_that_was_cut_off_is_seen_by_the_store_and_by_whoever_kept_the_head() {
    let written = Written::new();
    let cut = written.revisions[written.revisions.len() - 3] + 1;
    written.tamper(|rows| rows.truncate(rows.len() - 2));
    broken_at(written.verify(&[]), cut);
    // Whoever also puts the store's own note of the end right is seen by the head that was kept elsewhere only.
    let mut end = Head { revision: Revision(0), hash: RecordHash::of_nothing() };
    written.tamper(|rows| {
        let (revision, line) = rows.last().expect("a row");
        end = Head { revision: Revision(*revision), hash: RecordHash::of(line.as_bytes()) };
    });
    let database = Database::open(written.store()).expect("opened");
    let transaction = database.begin_write().expect("begun");
    let row = sealed([&end.revision.0.to_be_bytes()[..], end.hash.as_bytes()].concat(), b"chain");
    transaction.open_table(META).expect("a table").insert(&b"chain"[..], &row[..]).expect("written");
    transaction.commit().expect("committed");
    drop(database);
    assert_eq!(written.verify(&[]).0, Some(0), "nothing in the file tells");
    broken_at(written.verify(&["--head", &written.head.to_string()]), cut);
}

#[test]
fn a_gateway_tells_that_its_log_is_whole_and_after_tampering_where_it_is_not() {
    let written = Written::new();
    let backend = Backend::answering("hello");
    let chain = |gateway: &TestGateway| gateway.admin("GET", "/v1/audit?limit=1", None).json["chain"].clone();
    let health = |gateway: &TestGateway| {
        let status = gateway.admin("GET", "/v1/status", None).json;
        let all = status["health"].as_array().expect("conditions").clone();
        all.into_iter().find(|condition| condition["name"] == "audit").expect("a condition")
    };
    let gateway = TestGateway::in_front_of(&backend).kept_in(written.folder.path()).start();
    gateway.create_key("four").done();
    wait_until("the log is verified", || {
        let chain = chain(&gateway);
        chain["verified_through"] == chain["revision"] && chain["revision"].as_u64() > Some(written.head.revision.0)
    });
    assert_eq!((&chain(&gateway)["broken"], &health(&gateway)["ok"]), (&Value::Null, &json!(true)));
    drop(gateway);
    let at = written.at;
    written.tamper(|rows| rows[at].1 = rows[at].1.replace("\"actor\":\"", "\"actor\":\"not "));
    let gateway = TestGateway::in_front_of(&backend).kept_in(written.folder.path()).start();
    wait_until("the break is found", || !chain(&gateway)["broken"].is_null());
    assert_eq!(chain(&gateway)["broken"]["revision"], json!(written.revisions[at]));
    assert_eq!(health(&gateway)["ok"], json!(false));
    gateway.create_key("five").done(); // changes are taken all the same
}

#[test]
fn an_export_is_verified_by_the_hash_of_its_lines_and_names_what_was_done_to_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    for number in 0..300 {
        gateway.create_key(&format!("key {number}")).done(); // more than are sent at once
    }
    let url = format!("http://{}", gateway.admin_address());
    let reach = ["--admin", url.as_str()];
    let ask = |arguments: &[&str]| {
        let mut command = relevo(folder.path());
        command.env("RELEVO_ADMIN_TOKEN", gateway.root_token()).args(reach).args(arguments);
        let output = command.output().expect("ended");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let export = ask(&["audit", "export"]);
    let lines: Vec<&str> = export.lines().collect();
    for pair in lines.windows(2) {
        let next: Value = serde_json::from_str(pair[1]).expect("JSON");
        assert_eq!(next["previous"], json!(RecordHash::of(pair[0].as_bytes())), "as any tool computes it");
    }
    let running: Value = serde_json::from_str(&ask(&["audit", "verify", "--json"])).expect("JSON");
    assert_eq!((&running["whole"], &running["records"]), (&json!(true), &json!(lines.len())));
    let head = format!("{}:{}", running["head"]["revision"], running["head"]["hash"].as_str().expect("text"));
    let verify = |text: &str, more: &[&str]| {
        run(folder.path(), &[&["audit", "verify", "--json", "--file", "-"], more].concat(), text)
    };
    assert_eq!(verify(&export, &["--head", &head]).0, Some(0));
    let joined = |lines: &[&str]| lines.iter().fold(String::new(), |text, line| text + line + "\n");
    let revision =
        |at: usize| serde_json::from_str::<Value>(lines[at]).expect("JSON")["revision"].as_u64().expect("one");
    let changed = lines[9].replace("key.created", "key.deleted");
    broken_at(verify(&export.replace(lines[9], &changed), &[]), revision(9));
    broken_at(verify(&joined(&[&lines[..9], &lines[10..]].concat()), &[]), revision(8));
    let mut swapped = lines.clone();
    swapped.swap(9, 10);
    broken_at(verify(&joined(&swapped), &[]), revision(9));
    let cut = joined(&lines[..lines.len() - 1]);
    assert_eq!(verify(&cut, &[]).0, Some(0), "nothing in an export tells of its end");
    broken_at(verify(&cut, &["--head", &head]), revision(lines.len() - 2) + 1);
}

#[test]
fn a_settlement_tells_when_it_fell_due_and_when_it_was_written() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).deleting_old_after(Span::minutes(5)).done();
    assert_eq!(gateway.status_with(&new), 200);
    wait_until("the first use is written", || {
        !events(&gateway.admin("GET", "/v1/audit?action=renewal.adopted", None).json).is_empty()
    });
    let opened = gateway.clock.now();
    gateway.clock.advance(Span::hours(1));
    let completed = || gateway.admin("GET", "/v1/audit?action=renewal.completed", None).json;
    wait_until("the deadline is settled", || !events(&completed()).is_empty());
    let event = completed()["events"][0].clone();
    assert_eq!(event["actor"], "relevo");
    assert_eq!(event["at"], json!(opened.plus(Span::minutes(5))));
    assert_eq!(event["written_at"], json!(opened.plus(Span::hours(1))));
}

/// What the audit log says of refused commands, once it says so many.
fn refused(gateway: &TestGateway, count: usize) -> Vec<Value> {
    let all = || events(&gateway.admin("GET", "/v1/audit?action=command.refused", None).json).to_vec();
    wait_until("refused commands are written down", || all().len() >= count);
    all()
}

#[test]
fn commands_refused_to_whoever_is_signed_in_are_told_and_hold_nothing_that_was_sent() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    let before = gateway.admin("GET", "/v1/keys/ci", None).json;
    let secret = "rlv_cAnArYcAnArYcAnArYcAnArYcAnArYcAnArYcAnAr000000";
    assert_eq!(gateway.admin("POST", "/v1/keys", Some(&json!({"name": "ci", "note": secret}))).status, 409);
    assert_eq!(gateway.undo(&old).status, 409);
    assert_eq!(gateway.admin("DELETE", &format!("/v1/keys/{secret}"), None).status, 404);
    assert_eq!(gateway.admin("PATCH", "/v1/keys/ci", Some(&json!({(secret): secret}))).status, 400);
    // What only reads, what nobody has sent, and what is done are not told of.
    assert_eq!(gateway.admin("GET", "/v1/keys/none", None).status, 404);
    let nobody = crate::support::request::request("DELETE", "/v1/keys/ci").token("rlva_nobody");
    assert_eq!(gateway.admin_raw(&nobody).status, 401);
    assert_eq!(gateway.admin("PATCH", "/v1/keys/ci", Some(&json!({"note": "x"}))).status, 200);
    let told = refused(&gateway, 4);
    let row = |event: &Value| {
        let after = &event["after"];
        assert_eq!(
            (&event["actor"], &event["address"], &event["before"]),
            (&json!("root"), &json!("127.0.0.1"), &Value::Null)
        );
        (after["command"].clone(), after["code"].clone(), event["key"].clone(), after["unrecorded"].clone())
    };
    let id = json!(old.id);
    let expected = [
        (json!("POST /v1/keys"), json!("name_taken"), Value::Null, json!(0)),
        (json!("POST /v1/keys/{key}/undo"), json!("no_old_token"), id.clone(), json!(0)),
        (json!("DELETE /v1/keys/{key}"), json!("key_not_found"), Value::Null, json!(0)),
        (json!("PATCH /v1/keys/{key}"), json!("invalid_request"), id, json!(0)),
    ];
    assert_eq!(told.iter().map(row).collect::<Vec<_>>(), expected);
    assert!(!json!(told).to_string().contains("cAnArY"));
    let after = gateway.admin("GET", "/v1/keys/ci", None).json;
    assert_eq!(before["version"].as_u64().map(|version| version + 1), after["version"].as_u64(), "the one edit");
}

#[test]
fn of_many_refusals_in_a_second_ten_are_told_and_the_rest_counted_into_the_next() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let refuse = || assert_eq!(gateway.admin("POST", "/v1/keys/none/undo", None).status, 404);
    (0..25).for_each(|_| refuse()); // the clock stands still
    assert_eq!(refused(&gateway, 10).len(), 10);
    gateway.clock.advance(Span::seconds(1));
    refuse();
    let told = refused(&gateway, 11);
    let unrecorded: Vec<_> = told.iter().filter_map(|event| event["after"]["unrecorded"].as_u64()).collect();
    assert_eq!(unrecorded, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15]);
}

#[test]
fn events_older_than_they_are_kept_are_removed_and_the_chain_is_proved_as_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = Backend::answering("hello");
    let start = |clock| {
        let setup = TestGateway::in_front_of(&backend).kept_in(folder.path()).clock(clock);
        setup.settings("[audit]\nretain = \"30d\"").start()
    };
    let gateway = start(relevo::clock::Clock::manual(relevo::domain::Timestamp::from_millis(1_795_435_200_000)));
    for number in 0..3 {
        gateway.create_key(&format!("old {number}")).done();
    }
    let (clock, page) = (gateway.clock.clone(), gateway.admin("GET", "/v1/audit", None).json);
    let kept = page["chain"].clone();
    drop(gateway);
    clock.advance(Span::days(20));
    let gateway = start(clock.clone());
    gateway.create_key("young").done();
    drop(gateway);
    clock.advance(Span::days(11));
    let gateway = start(clock);
    let pruned = || gateway.admin("GET", "/v1/audit?action=audit.pruned", None).json;
    wait_until("the old events are removed", || !events(&pruned()).is_empty());
    let told = pruned()["events"][0].clone();
    assert_eq!((&told["actor"], &told["after"]["through"]), (&json!("relevo"), &kept["revision"]));
    assert_eq!((&told["after"]["hash"], &told["after"]["records"]), (&kept["hash"], &json!(events(&page).len())));
    let left = gateway.admin("GET", "/v1/audit", None).json;
    let actions: Vec<_> = events(&left).iter().map(|event| event["action"].clone()).collect();
    assert_eq!(actions, ["key.created", "audit.pruned"]);
    assert_eq!(left["events"][0]["previous"], kept["hash"]);
    gateway.create_key("younger").done();
    drop(gateway);
    let config = folder.path().join("relevo.toml");
    let text = format!("[store]\npath = '{}'\n", folder.path().join("relevo.redb").display());
    std::fs::write(&config, text).expect("written");
    let head = format!("{}:{}", kept["revision"], kept["hash"].as_str().expect("text"));
    let arguments = ["audit", "verify", "--json", "--config", config.to_str().expect("text"), "--head", &head];
    let (code, said) = run(folder.path(), &arguments, "");
    assert_eq!(
        (code, &said["whole"], &said["records"], &said["head_removed"]),
        (Some(0), &json!(true), &json!(3), &Value::Null)
    );
}
