//! HTTP/2 at the door: the same answers as over HTTP/1.1, and floods that drown nobody.

use crate::support::backend::Backend;
use crate::support::frames::{CONTINUATION, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, block, frame, get};
use crate::support::gateway::TestGateway;
use crate::support::modern::Modern;
use crate::support::request::request;

/// A route that needs no token besides one that does.
const ROUTES: &str = "[[routes]]\npath = \"/\"\nauth = \"none\"\nupstream = \"backend\"\n\
                      [[routes]]\npath = \"/guarded\"\nupstream = \"backend\"";

#[test]
fn one_port_speaks_both_and_a_key_is_renewed_over_either() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    let mut client = Modern::in_clear(gateway.addresses()[0]).expect("connected");
    let answer = client.get("/a?b=c", &old).expect("an answer");
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"hello"[..]));
    let new = gateway.renew(&old).done();
    for holder in [&old, &new] {
        assert_eq!(gateway.status_with(holder), 200);
        assert_eq!(client.get("/", holder).expect("an answer").status, 200);
    }
    assert_eq!(client.get("/", &old).expect("an answer").headers["relevo-token"], "old");
    gateway.undo(&old);
    assert_eq!(client.get("/", &new).expect("an answer").status, 401);
    assert_eq!(gateway.ask(&request("GET", "/").token(&old.token)).status, 200);
    let recorded = backend.wait_for(7);
    assert_eq!((&*recorded[0].target, &*recorded[0].all("host").concat()), ("/a?b=c", &*backend.address().to_string()));
    assert_eq!(recorded[0].all("via"), ["2 relevo"]);
    assert_eq!(recorded[0].all("x-forwarded-host"), ["localhost"]);
    assert!(recorded[0].all("authorization").is_empty());
}

#[test]
fn what_http1_would_read_otherwise_is_refused_and_leaves_the_other_streams_alone() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let mut client = Frames::connect(gateway.addresses()[0]);
    let plain = [(":method", "GET"), (":scheme", "http")];
    let with = |more: &[(&'static str, &'static str)]| block(&[&plain[..], more].concat());
    let at = |path| [(":authority", "localhost"), (":path", path)];
    let and = |name, value| with(&[&at("/")[..], &[(name, value)]].concat());
    let hostile = [
        ("no authority", with(&[(":path", "/")])),
        ("another host", and("host", "other.example")),
        ("two hosts", with(&[&at("/")[..], &[("host", "localhost"), ("host", "localhost")]].concat())),
        ("userinfo", with(&[(":authority", "a@localhost"), (":path", "/")])),
        ("a star", with(&at("*"))),
        ("a query alone", with(&at("?x"))),
        ("an absolute path", with(&at("http://localhost/"))),
        ("a space before", and("x-a", " b")),
        ("a space behind", and("x-a", "b ")),
        ("a tab behind", and("x-a", "b\t")),
        ("connection", and("connection", "close")),
        ("transfer-encoding", and("transfer-encoding", "chunked")),
        ("upgrade", and("upgrade", "websocket")),
        ("te", and("te", "gzip")),
        ("capitals", and("X-A", "b")),
        ("a length without a body", and("content-length", "5")),
        ("a dot segment", with(&at("/a/../guarded"))),
        ("an encoded slash", with(&at("/a%2fb"))),
        ("a name with a dot", and("x.relevo.key.id", "key_1")),
    ];
    let mut stream = 1;
    for (what, headers) in hostile {
        assert!(client.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers)), "{what}");
        let answer = client.answer(stream);
        // A reset for what is no request at all (RFC 9113 §8.1.1), for names that no decoder takes an end; else 400.
        assert!(matches!(answer, Some(Ok(400) | Err(_))) || what == "capitals", "{what}: {answer:?}");
        stream += 2;
        if answer.is_none() {
            (client, stream) = (Frames::connect(gateway.addresses()[0]), 1);
        }
        assert!(client.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/good", &[]))));
        assert_eq!(client.answer(stream), Some(Ok(200)), "after {what}");
        stream += 2;
    }
    assert!(backend.requests().iter().all(|request| request.target == "/good"), "{:?}", backend.requests());
    assert_eq!(backend.faults(), [""; 0]);
}

#[test]
fn no_protected_name_passes_whatever_its_spelling() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let holder = gateway.create_key("ci").done();
    let bearer = format!("Bearer {}", holder.token);
    let mut client = Frames::connect(gateway.addresses()[0]);
    let names = ["x-relevo-key-id", "x_relevo_key_id", "x-relevo_roles", "x-forwarded-for", "x_real-ip", "forwarded"];
    let mut stream = 1;
    for name in names {
        for more in [vec![(name, "evil")], vec![(name, "evil"), ("authorization", &*bearer)]] {
            let path = if more.len() == 1 { "/" } else { "/guarded" };
            client.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &get(path, &more)));
            assert_eq!(client.answer(stream), Some(Ok(200)), "{name}");
            stream += 2;
        }
    }
    for request in backend.wait_for(2 * names.len()) {
        assert!(request.headers.iter().all(|(_, value)| value != "evil"), "{request:?}");
        assert!(request.all("authorization").is_empty());
    }
}

#[test]
fn more_headers_than_are_allowed_are_refused_and_so_is_a_list_without_end() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let address = gateway.addresses()[0];
    let mut client = Frames::connect(address);
    let many = vec![("x", "y"); 101];
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/", &many)));
    assert_eq!(client.answer(1), Some(Ok(400)));
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &get("/", &many[..90])));
    assert_eq!(client.answer(3), Some(Ok(200)));
    let long = "v".repeat(10_000);
    client.send(&frame(HEADERS, END_STREAM, 5, &get("/", &[("x", &long)])));
    let more = frame(CONTINUATION, 0, 5, &block(&[("x", &long)]));
    let mut sent = 0;
    while client.send(&more) && sent < 10_000 {
        sent += 1;
    }
    assert!(sent < 10_000, "a header list without end was read");
    let mut good = Frames::connect(address);
    good.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/", &[])));
    assert_eq!(good.answer(1), Some(Ok(200)));
    assert_eq!(backend.requests().len(), 2);
    // Whether it is told why depends on how much was still on its way.
    assert!(client.until(GOAWAY).is_none_or(|frame| frame.payload.len() >= 8));
}
