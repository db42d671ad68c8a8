//! A key that is renewed again and again: neither its record nor a file beside it nor memory grows without an end.

use std::fs;
use std::path::Path;

use redb::{ReadableDatabase, ReadableTableMetadata, TableHandle};
use relevo::domain::Span;

use crate::support::backend::Backend;
use crate::support::client::RawClient;
use crate::support::gateway::{TestGateway, wait_until};
use crate::support::in_short_or_soak;
use crate::support::process::Process;
use crate::support::request::request;

/// How often the gateway starts anew, some days later, when what is older than a day goes from its audit log.
const ROUNDS: u64 = 10;

/// Of how many tokens the file of uses knows something.
fn known_uses(folder: &Path) -> u64 {
    let file = redb::Database::open(folder.join("usage.redb")).expect("a file");
    let read = file.begin_read().expect("readable");
    let table = read.list_tables().expect("tables").find(|table| table.name() == "uses").expect("uses");
    read.open_untyped_table(table).expect("a table").len().expect("a length")
}

#[test]
fn renewals_in_a_row_leave_the_stores_file_as_large_as_the_log_that_is_kept() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let mut clock = None;
    let mut sizes = Vec::new();
    for round in 0..ROUNDS {
        let setup = TestGateway::in_front_of(&backend).kept_in(folder.path()).settings("[audit]\nretain = \"1d\"\n");
        let gateway = match clock.take() {
            Some(clock) => setup.clock(clock).start(),
            None => setup.start(),
        };
        if round > 0 {
            let kept =
                || gateway.admin("GET", "/v1/audit?limit=500", None).json["events"].as_array().map_or(0, Vec::len);
            wait_until("the last round's events are gone", || kept() < 10);
        }
        let mut holder = gateway.create_key(&format!("ci {round}")).done();
        for _ in 0..in_short_or_soak(40, 1_000) {
            holder = gateway.renew(&holder).done();
            assert_eq!(gateway.status_with(&holder), 200);
            assert_eq!(gateway.delete_old(&holder).status, 200);
        }
        assert_eq!(gateway.status_with(&holder), 200);
        sizes.push(fs::metadata(folder.path().join("relevo.redb")).expect("a file").len());
        gateway.clock.advance(Span::days(2));
        clock = Some(gateway.clock.clone());
        drop(gateway);
        assert_eq!(known_uses(folder.path()), round + 2, "every key's living token, and the administrator's");
    }
    eprintln!("the file has {sizes:?} bytes");
    let [earlier, later] = [&sizes[..5], &sizes[5..]].map(|sizes| sizes.iter().max().expect("some"));
    assert!(*later < 2 * earlier, "{sizes:?}");
}

/// How much memory the store's cache may take, in KiB: it holds what was written last.
const CACHE_KIB: usize = 64 * 1_024;

#[test]
fn renewals_in_a_row_keep_memory_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
                         [store]\npath = \"relevo.redb\"\n[drain]\ndelay = \"0s\"\n[log]\naccess = false\n";
    let process = Process::serve(folder.path(), configuration);
    let root = fs::read_to_string(folder.path().join("admin.token")).expect("a token");
    let mut client = RawClient::connect(process.admin);
    let mut call = |path: &str, body: &str| {
        let call = request("POST", path).token(root.trim()).header("Content-Type", "application/json");
        client.send(&call.body(body).bytes());
        let answer = client.read_response();
        assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text());
    };
    call("/v1/keys", "{\"name\": \"ci\"}");
    let mut renew = |times: usize| {
        for _ in 0..times {
            call("/v1/keys/ci/renew", "{}");
            call("/v1/keys/ci/delete-old", "{}");
        }
    };
    let times = in_short_or_soak(400, 10_000);
    renew(times / 10);
    let before = process.memory_kib();
    renew(times);
    let after = process.memory_kib();
    eprintln!("{times} renewals in a row: {before} KiB before, {after} KiB after");
    assert!(after < before + in_short_or_soak(CACHE_KIB / 8, CACHE_KIB), "{before} KiB before, {after} KiB after");
}
