//! More clients than there are places: who is turned away is told so, and nobody who has a place notices.

use crate::support::client::RawClient;
use crate::support::gateway::TestGateway;
use crate::support::request::request;
use crate::support::trial::{anonymous, echo};

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
