//! A configuration read again is in force whole, or the one before stays whole; no request is lost by it.

mod under_fire;

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::DEADLINE;
use crate::support::backend::Backend;
use crate::support::client::{RawClient, RawResponse};
use crate::support::gateway::wait_until;
use crate::support::pairs::Pair;
use crate::support::process::{Process, with_two_doors};
use crate::support::request::request;
use crate::support::ways::{Caller, Way, meanwhile};

/// A configuration whose only route, at `path`, leads to `backend` and asks for no token. Its second listener shows the
/// certificate in `a.pem`.
fn configuration(backend: &Backend, path: &str) -> String {
    let tables =
        format!("[drain]\ndelay = \"0s\"\n[[routes]]\npath = \"{path}\"\nauth = \"none\"\nupstream = \"backend\"\n");
    with_two_doors(backend.address(), 2, &tables)
}

/// A folder with a pair in it, for [`configuration`].
fn folder() -> (TempDir, Pair) {
    let (folder, pair) = (tempfile::tempdir().expect("a folder"), Pair::of(&["localhost"]));
    pair.write(folder.path(), "a");
    (folder, pair)
}

fn call(folder: &Path, process: &Process, method: &str, path: &str) -> (u16, Value) {
    call_with(folder, process, method, path, "")
}

/// The same, with this body in JSON if it is not empty.
fn call_with(folder: &Path, process: &Process, method: &str, path: &str, body: &str) -> (u16, Value) {
    let root = fs::read_to_string(folder.join("admin.token")).expect("the first administrator's token");
    let mut client = RawClient::connect(process.admin);
    let mut call = request(method, path).token(root.trim());
    if !body.is_empty() {
        call = call.header("Content-Type", "application/json").body(body);
    }
    client.send(&call.bytes());
    let RawResponse { status, body, .. } = client.read_response();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn hash(folder: &Path, process: &Process) -> String {
    let (_, status) = call(folder, process, "GET", "/v1/status");
    status["config_hash"].as_str().expect("a hash").to_owned()
}

fn ask(process: &Process, path: &str) -> RawResponse {
    let mut client = RawClient::connect(process.doors[0]);
    client.send(&request("GET", path).bytes());
    client.read_response()
}

#[test]
fn a_new_configuration_is_in_force_once_the_call_is_answered() {
    let (first, second) = (Backend::answering("first"), Backend::answering("second"));
    let (folder, _) = folder();
    let process = Process::serve(folder.path(), &configuration(&first, "/"));
    let before = hash(folder.path(), &process);
    assert_eq!(ask(&process, "/a").body, b"first");

    fs::write(folder.path().join("relevo.toml"), configuration(&second, "/a")).expect("written");
    let (status, reply) = call(folder.path(), &process, "POST", "/v1/reload");
    assert_eq!(status, 200, "{reply}");
    assert_eq!(reply["config_hash"].as_str(), Some(&*hash(folder.path(), &process)));
    assert_ne!(reply["config_hash"].as_str(), Some(&*before));
    assert_eq!(ask(&process, "/a").body, b"second");
    assert_eq!(ask(&process, "/b").status, 404);

    fs::write(folder.path().join("relevo.toml"), configuration(&first, "/")).expect("written");
    process.signal(Signal::SIGHUP);
    wait_until("the first configuration is back", || hash(folder.path(), &process) == before);
    assert_eq!(ask(&process, "/b").body, b"first");
}

#[test]
fn a_file_that_nobody_named_and_that_is_gone_is_a_mistake_and_what_is_in_force_stays() {
    let backend = Backend::answering("first");
    let (folder, _) = folder();
    let process = Process::serve_by_default(folder.path(), &configuration(&backend, "/"));
    let (before, file) = (hash(folder.path(), &process), folder.path().join("config/relevo.toml"));
    fs::remove_file(file).expect("removed");
    let (status, reply) = call(folder.path(), &process, "POST", "/v1/reload");
    assert_eq!((status, reply["code"].as_str()), (400, Some("invalid_request")), "{reply}");
    assert_eq!(hash(folder.path(), &process), before);
    assert_eq!(ask(&process, "/a").body, b"first");
}

#[test]
fn a_drain_takes_the_delay_that_is_in_force_when_it_begins() {
    let backend = Backend::answering("first");
    let (folder, _) = folder();
    let short = configuration(&backend, "/");
    let process = Process::serve(folder.path(), &short.replace("delay = \"0s\"", "delay = \"10m\""));
    fs::write(folder.path().join("relevo.toml"), short).expect("written");
    assert_eq!(call(folder.path(), &process, "POST", "/v1/reload").0, 200);
    assert!(process.terminate(DEADLINE).success());
}

/// Clients on every way ask for `/a` without a pause while `work` is done. How often each was answered by `first` and by
/// `second`; nothing else may come.
fn under_requests(ways: &[Way; 4], work: impl FnOnce()) -> [[usize; 2]; 4] {
    let ask = |way: &Way, client: &mut Caller, seen: &mut [usize; 2]| {
        let answer = client.ask(&request("GET", "/a")).unwrap_or_else(|fault| panic!("{way:?}: {fault}"));
        match (answer.status, &*answer.body) {
            (200, b"first") => seen[0] += 1,
            (200, b"second") => seen[1] += 1,
            _ => panic!("{way:?}: {} {}", answer.status, answer.text()),
        }
    };
    meanwhile(ways, ask, work)
}

// Case 27.
#[test]
fn what_has_mistakes_or_needs_a_restart_is_refused_whole_and_by_name() {
    let backend = Backend::answering("first");
    let (folder, pair) = folder();
    let good = configuration(&backend, "/");
    let process = Process::serve(folder.path(), &good);
    let before = hash(folder.path(), &process);

    let ways = Way::all(process.doors[0], process.doors[1], &pair);
    let seen = under_requests(&ways, || {
        fs::write(folder.path().join("relevo.toml"), good.replace("path = \"/\"", "path = \"x\"")).expect("written");
        let (status, reply) = call(folder.path(), &process, "POST", "/v1/reload");
        assert_eq!((status, reply["code"].as_str()), (400, Some("invalid_request")));
        assert_eq!(reply["errors"][0]["path"].as_str(), Some("routes[0].path"), "{reply}");

        for (from, to, key) in [
            ("workers = 2", "workers = 1", "gateway.workers"),
            ("relevo.redb", "other.redb", "store"),
            ("access = false", "access = \"stderr\"", "log"),
        ] {
            fs::write(folder.path().join("relevo.toml"), good.replace(from, to)).expect("written");
            let (status, reply) = call(folder.path(), &process, "POST", "/v1/reload");
            assert_eq!((status, reply["code"].as_str()), (409, Some("needs_restart")));
            assert!(reply["detail"].as_str().is_some_and(|detail| detail.contains(key)), "{reply}");
        }
        // A pair that is none is told as what it is; the one before is shown on.
        Pair { key: Pair::of(&["x"]).key, ..Pair::of(&["localhost"]) }.write(folder.path(), "a");
        fs::write(folder.path().join("relevo.toml"), &good).expect("written");
        let (status, reply) = call(folder.path(), &process, "POST", "/v1/reload");
        let place = reply["errors"][0]["path"].as_str();
        assert_eq!((status, place), (400, Some("gateway.listeners[0].tls[0].key")), "{reply}");
    });
    assert!(seen.iter().all(|[first, second]| *first > 0 && *second == 0), "{seen:?}");
    assert_eq!(hash(folder.path(), &process), before);
    for way in ways {
        assert_eq!(way.ask(&request("GET", "/a")).map(|answer| answer.text()).as_deref(), Ok("first"), "{way:?}");
    }
}

#[test]
fn no_request_is_lost_while_the_configuration_is_reloaded_again_and_again() {
    const RELOADS: usize = 1_000;
    let (first, second) = (Backend::answering("first"), Backend::answering("second"));
    let (folder, pair) = folder();
    let texts = [configuration(&first, "/"), configuration(&second, "/")];
    let process = Process::serve(folder.path(), &texts[0]);
    let ways = Way::all(process.doors[0], process.doors[1], &pair);
    let seen = under_requests(&ways, || {
        for turn in 1..=RELOADS {
            fs::write(folder.path().join("relevo.toml"), &texts[turn % 2]).expect("written");
            assert_eq!(call(folder.path(), &process, "POST", "/v1/reload").0, 200);
            let expected = if turn % 2 == 0 { "first" } else { "second" };
            let way = &ways[turn % ways.len()];
            assert_eq!(way.ask(&request("GET", "/a")).map(|answer| answer.text()).as_deref(), Ok(expected), "{way:?}");
        }
    });
    assert!(seen.iter().flatten().all(|count| *count > 0), "{seen:?}");
}
