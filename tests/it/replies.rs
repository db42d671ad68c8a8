//! What a backend answers is one reply, or the client gets the gateway's own and the connection to the backend ends.

use crate::support::backend::{Backend, Gate, Reply};
use crate::support::client::RawResponse;
use crate::support::gateway::TestGateway;
use crate::support::request::request;
use crate::support::trial::{OPEN, anonymous};
use crate::support::ways::{Caller, Way};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

/// A backend that answers `/odd` with `reply`, and everything else well.
fn odd(reply: &Reply) -> Backend {
    let reply = reply.clone();
    Backend::replying(move |request| if request.target == "/odd" { reply.clone() } else { Reply::ok(&request.target) })
}

fn gateway(backend: &Backend) -> TestGateway {
    TestGateway::in_front_of(backend).routes(OPEN).secured().start()
}

fn connect(way: &Way) -> Caller {
    way.connect().unwrap_or_else(|fault| panic!("{way:?}: {fault}"))
}

/// The whole answer to a GET of `target`.
fn get(client: &mut Caller, target: &str, place: &str) -> RawResponse {
    client.ask(&anonymous(target)).unwrap_or_else(|fault| panic!("{place}: {fault}"))
}

// Case 21.
#[test]
fn a_reply_that_is_none_or_two_is_502_and_the_next_request_gets_its_own() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(512 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: x\r\n".repeat(101));
    for bytes in [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned() + OK,
        hints.repeat(9) + OK,
        "HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000) + OK,
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned() + OK,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n".to_owned() + OK,
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\ngood".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\ngood".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\ngood".to_owned(),
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n".to_owned(),
        "HTTP/1.1 20 OK\r\n\r\n".to_owned(),
        "HTTP/2.0 200 OK\r\n\r\n".to_owned(),
        "<html>good</html>".to_owned(),
        "\u{16}\u{3}\u{1}".to_owned(),
        huge,
        many,
    ] {
        let shown: String = bytes.chars().take(80).collect();
        let backend = odd(&Reply::raw(bytes));
        let gateway = gateway(&backend);
        for way in gateway.ways() {
            let place = format!("{way:?}, {shown:?}");
            let mut client = connect(&way);
            for round in 0..2 {
                let answer = get(&mut client, "/odd", &place);
                assert_eq!((answer.status, answer.closed), (502, false), "{place}");
                assert!(answer.text().contains("\"code\":\"upstream_failed\""), "{place}: {}", answer.text());
                let target = format!("/next/{round}");
                assert_eq!(get(&mut client, &target, &place).text(), target, "after {place}");
            }
        }
        let carried = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).matches("HTTP/1.1").count();
        assert!(backend.bytes().iter().all(|bytes| carried(bytes) <= 2), "a connection outlived {shown:?}");
    }
}

// Case 21.
#[test]
fn eight_interim_replies_are_passed_over() {
    let backend = odd(&Reply::raw("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(8) + OK));
    let gateway = gateway(&backend);
    for way in gateway.ways() {
        let before = backend.bytes().len();
        let mut client = connect(&way);
        for _ in 0..3 {
            assert_eq!(get(&mut client, "/odd", "after eight").text(), "good", "{way:?}");
        }
        assert!(backend.bytes().len() <= before + 1, "{way:?}: a connection was not kept");
    }
}

// Case 21.
#[test]
fn a_body_shorter_than_its_length_is_never_taken_for_the_whole() {
    let backend = odd(&Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort").then_closing());
    let gateway = gateway(&backend);
    for way in gateway.ways() {
        let mut client = connect(&way);
        let answer = client.ask(&anonymous("/odd"));
        assert!(answer.is_err(), "{way:?}: a part is taken for the whole: {answer:?}");
        let next = client.ask(&anonymous("/next")).map(|answer| answer.text());
        if way.is_http2() {
            assert_eq!(next.as_deref(), Ok("/next"), "the stream ends alone");
        } else {
            assert!(next.is_err(), "{way:?}: after what is no end there is no beginning: {next:?}");
        }
        assert_eq!(get(&mut connect(&way), "/good", "on a fresh connection").text(), "/good");
    }
}

// Case 21.
#[test]
fn what_follows_a_body_is_nobodys_reply() {
    let smuggled = format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let backend = odd(&Reply::raw(smuggled));
    let gateway = gateway(&backend);
    for way in gateway.ways() {
        let mut client = connect(&way);
        for round in 0..3 {
            assert_eq!(get(&mut client, "/odd", "one of two").text(), "good", "{way:?}");
            let target = format!("/next/{round}");
            assert_eq!(get(&mut client, &target, "after two").text(), target, "{way:?}");
        }
    }
}

#[test]
fn a_backend_that_does_not_answer_is_504_at_its_deadline() {
    let gate = Gate::default();
    let backend = odd(&Reply::default().then_waiting_for(&gate).then(OK));
    let setup = TestGateway::in_front_of(&backend).routes(OPEN).upstream("head_timeout = \"300ms\"");
    let gateway = setup.secured().start();
    let mut clients = gateway.ways().map(|way| connect(&way));
    for client in &mut clients {
        let answer = client.ask(&request("POST", "/odd").body("once")).expect("an answer");
        assert_eq!((answer.status, answer.closed), (504, false));
    }
    gate.open();
    for client in &mut clients {
        assert_eq!(get(client, "/next", "after 504").text(), "/next");
    }
    assert_eq!(backend.requests().iter().filter(|request| request.target == "/odd").count(), clients.len());
}
