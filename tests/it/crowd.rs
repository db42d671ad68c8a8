//! More clients than there are places: who is turned away is told so, and nobody who has a place notices.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::client::RawClient;
use crate::support::gateway::{TestGateway, wait_until};
use crate::support::pairs::Pair;
use crate::support::process::{Process, with_two_doors};
use crate::support::request::request;
use crate::support::trial::{OPEN, anonymous, echo};

const ROUTES: &str = "[[routes]]\npath = \"/\"\nauth = \"none\"\nupstream = \"backend\"";

fn ask(client: &mut RawClient) -> String {
    client.send(&anonymous("/a").bytes());
    client.read_response().text()
}

#[test]
fn who_has_sent_much_before_he_is_turned_away_reads_that_he_was() {
    let backend = echo();
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).settings("[limits]\nconnections = 1\n").start();
    let mut first = gateway.connect();
    assert_eq!(ask(&mut first), "/a");
    let much = request("POST", "/b").body(vec![b'x'; 256 * 1024]).bytes();
    for round in 0..20 {
        let mut late = gateway.connect();
        late.send(&much);
        let answer = late.try_read_response().unwrap_or_else(|fault| panic!("round {round}: {fault}"));
        assert_eq!((answer.status, answer.header("retry-after"), answer.closed), (503, Some("1"), true));
        assert!(late.is_closed());
    }
    assert_eq!(ask(&mut first), "/a");
    assert_eq!(backend.requests().len(), 2);
}

#[test]
fn a_crowd_at_the_door_is_sent_away_whole_and_costs_no_place() {
    let backend = echo();
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).settings("[limits]\nconnections = 1\n").start();
    let mut first = gateway.connect();
    assert_eq!(ask(&mut first), "/a");
    let crowd: Vec<_> = (0..300).map(|_| gateway.connect()).collect();
    assert_eq!(ask(&mut first), "/a");
    let told = crowd.into_iter().map(|mut silent| silent.try_read_response());
    let told: Vec<_> = told.filter_map(Result::ok).map(|answer| answer.status).collect();
    assert!(!told.is_empty() && told.iter().all(|status| *status == 503), "{told:?}");
    assert_eq!(ask(&mut first), "/a");
}

#[test]
fn a_crowd_leaves_files_for_who_is_in_and_for_the_admin_port() {
    let backend = echo();
    let (folder, pair) = (tempfile::tempdir().expect("a folder"), Pair::of(&["localhost"]));
    pair.write(folder.path(), "a");
    let tables = format!("[drain]\ndelay = \"0s\"\n[limits]\nfirst_byte = \"1h\"\nhandshake_timeout = \"1h\"\n{OPEN}");
    let configuration = with_two_doors(backend.address(), 2, &tables);
    let process = Process::serve_after(folder.path(), &configuration, "ulimit -n 100");
    let root = std::fs::read_to_string(folder.path().join("admin.token")).expect("the first administrator's token");
    let create = |name: usize| {
        let body = format!("{{\"name\": \"key {name}\"}}");
        let call = request("POST", "/v1/keys").token(root.trim()).header("Content-Type", "application/json").body(body);
        let mut client = RawClient::connect(process.admin);
        client.send(&call.bytes());
        client.read_response().status
    };
    wait_until("it is ready", || create(0) != 503);
    let mut first = RawClient::connect(process.doors[0]);
    assert_eq!(ask(&mut first), "/a");
    let crowd: Vec<_> = (0..150).map(|place| RawClient::connect(process.doors[place % 2])).collect();
    let idle: Vec<_> = (0..100).map(|_| RawClient::connect(process.admin)).collect();
    for round in 1..20 {
        assert_eq!(ask(&mut first), "/a");
        assert_eq!(create(round), 201);
    }
    assert!(process.open_files() < 100);
    drop((crowd, idle));
    wait_until("there is a place again", || {
        let mut late = RawClient::connect(process.doors[0]);
        late.send(&anonymous("/a").bytes());
        late.try_read_response().is_ok_and(|answer| answer.status == 200)
    });
    let said = || std::fs::read_to_string(folder.path().join("stderr.log")).expect("a log");
    let warnings = || said().matches("fewer places than limits.connections").count();
    assert_eq!(warnings(), 1);
    process.signal(Signal::SIGHUP);
    wait_until("a reload says so again", || warnings() == 2);
    assert!(said().contains(r#""limits.connections":10000,"places":12,"open_files":100"#), "{}", said());
    assert!(!said().contains("accept"), "{}", said());
    assert_eq!(process.terminate(Duration::from_secs(20)).code(), Some(0));
}
