//! Case 25: a disk on which nothing can be written, or no more. Commands fail whole, requests go on, and all is well once
//! there is room.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::backend::Backend;
use crate::support::client::RawClient;
use crate::support::gateway::wait_until;
use crate::support::pairs::Pair;
use crate::support::process::{Process, with_two_doors};
use crate::support::request::request;
use crate::support::ways::{Caller, Way, meanwhile};

/// A gateway in a process of its own that takes what it cannot write for an error.
struct Site {
    folder: TempDir,
    process: Process,
    ways: [Way; 4],
}

impl Site {
    fn in_front_of(backend: &Backend) -> Self {
        let (folder, pair) = (tempfile::tempdir().expect("a folder"), Pair::of(&["localhost"]));
        pair.write(folder.path(), "a");
        let guarded = "[limits]\nfailures = 0\n[[routes]]\npath = \"/\"\nupstream = \"backend\"\n";
        let configuration = with_two_doors(backend.address(), 2, guarded);
        let process = Process::serve_after(folder.path(), &configuration, "trap '' XFSZ");
        let ways = Way::all(process.doors[0], process.doors[1], &pair);
        let site = Self { folder, process, ways };
        wait_until("it is ready", || site.call("GET", "/readyz", None).0 == 200);
        site
    }

    /// A call by the first administrator.
    fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let root = fs::read_to_string(self.folder.path().join("admin.token")).expect("the first administrator's token");
        let call = request(method, path).token(root.trim());
        let call = match body {
            Some(body) => call.header("Content-Type", "application/json").body(body.to_string()),
            None => call,
        };
        let mut client = RawClient::connect(self.process.admin);
        client.send(&call.bytes());
        let answer = client.read_response();
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    /// A command that succeeds: the token that it shows.
    fn token(&self, path: &str, body: Value) -> String {
        let (status, reply) = self.call("POST", path, Some(body));
        assert_eq!(status, 201, "{path}: {}", reply["code"]);
        reply["token"].as_str().expect("a token").to_owned()
    }

    /// A key whose note takes room.
    fn create(&self, number: usize) -> (u16, Value) {
        let body = json!({ "name": format!("large {number}"), "note": "x".repeat(200) });
        self.call("POST", "/v1/keys", Some(body))
    }

    /// What the admin port shows of the key `ci` that only a command changes.
    fn key(&self) -> [Value; 5] {
        let (status, view) = self.call("GET", "/v1/keys/ci", None);
        assert_eq!(status, 200, "{view}");
        ["/version", "/status", "/renewal/delete_old", "/tokens/0/id", "/tokens/1/id"]
            .map(|place| view.pointer(place).unwrap_or_else(|| panic!("no {place} in {view}")).clone())
    }

    /// Sends three tokens on every way without a pause while `work` is done: one that has ended, and two that live.
    fn under_requests(&self, tokens: [&str; 3], work: impl FnOnce(&AtomicUsize)) {
        let rounds = AtomicUsize::new(0);
        let ask = |way: &Way, client: &mut Caller, (): &mut ()| {
            for (token, status) in tokens.into_iter().zip([401, 200, 200]) {
                let answer = client.ask(&request("GET", "/").token(token)).map(|answer| answer.status);
                assert_eq!(answer, Ok(status), "{way:?}");
            }
            rounds.fetch_add(1, Ordering::Relaxed);
        };
        meanwhile(&self.ways, ask, || work(&rounds));
    }

    /// Every command there is for the key `ci`, and what is made anew: none is obeyed.
    fn assert_commands_fail(&self) {
        for (method, path, body) in [
            ("POST", "/v1/keys", Some(json!({ "name": "other" }))),
            ("POST", "/v1/keys/ci/undo", None),
            ("POST", "/v1/keys/ci/delete-old", None),
            ("POST", "/v1/keys/gone/renew", Some(json!({}))),
            ("PATCH", "/v1/keys/ci", Some(json!({ "status": "inactive" }))),
            ("PATCH", "/v1/keys/ci/renewal", Some(json!({ "delete_old": { "after": "3d" } }))),
            ("DELETE", "/v1/keys/ci", None),
            ("PATCH", "/v1/settings", Some(json!({ "duration": "45d" }))),
        ] {
            let (status, reply) = self.call(method, path, body);
            assert_eq!((status, reply["code"].as_str()), (503, Some("store_unavailable")), "{method} {path}");
        }
    }

    fn store_is_well(&self) -> bool {
        let status = self.call("GET", "/v1/status", None).1;
        let conditions = status["health"].as_array().expect("conditions");
        conditions.iter().any(|condition| condition["name"] == "store" && condition["ok"] == true)
    }
}

/// Commands and requests while nothing can be written beyond `room` of a file that has so many bytes.
fn without_room(room: impl FnOnce(u64) -> u64) {
    let backend = Backend::answering("hello");
    let site = Site::in_front_of(&backend);
    let gone = site.token("/v1/keys", json!({ "name": "gone" }));
    site.token("/v1/keys/gone/renew", json!({ "delete_old": "now" }));
    let (old, new) = (site.token("/v1/keys", json!({ "name": "ci" })), site.token("/v1/keys/ci/renew", json!({})));
    let length = fs::metadata(site.folder.path().join("relevo.redb")).expect("a file").len();
    let (before, mut created) = (site.key(), 0);
    site.under_requests([&gone, &old, &new], |rounds| {
        site.process.bound_files(Some(room(length)));
        loop {
            match site.create(created).0 {
                201 => created += 1,
                503 => break,
                status => panic!("{status}"),
            }
            assert!(created < 20_000, "there is no end of room");
        }
        site.assert_commands_fail();
        wait_until("it is told", || !site.store_is_well());
        let seen = rounds.load(Ordering::Relaxed);
        wait_until("requests go on", || rounds.load(Ordering::Relaxed) > seen + 40);
        site.process.bound_files(None);
        wait_until("the store is well again", || site.store_is_well());
        assert_eq!(site.key(), before);
        for number in 0..created {
            assert_eq!(
                site.call("GET", &format!("/v1/keys/large {number}").replace(' ', "%20"), None).0,
                200,
                "{number}"
            );
        }
        assert_eq!(site.create(created).0, 201, "the first that found no room");
    });
    assert_eq!(site.call("POST", "/v1/keys/ci/delete-old", None).0, 200);
    for way in &site.ways {
        let seen =
            [&gone, &old, &new].map(|token| way.ask(&request("GET", "/").token(token)).map(|answer| answer.status));
        assert_eq!(seen, [Ok(401), Ok(401), Ok(200)], "{way:?}");
    }
}

#[test]
fn on_a_full_disk_commands_fail_whole_and_requests_go_on() {
    without_room(|length| length);
}

#[test]
fn on_a_disk_that_takes_nothing_not_even_the_log_commands_fail_whole_and_requests_go_on() {
    without_room(|_| 0);
}
