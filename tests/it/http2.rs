//! HTTP/2 at the door: the same answers as over HTTP/1.1, and floods that drown nobody.

mod bomb;
mod early;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::backend::{Backend, Gate, Reply};
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block, frame, get,
};
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
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).secured().start();
    for door in gateway.doors("h2") {
        assert_hostile_streams_are_refused(door.address, &backend);
    }
}

fn assert_hostile_streams_are_refused(address: SocketAddr, backend: &Backend) {
    let mut client = Frames::connect(address);
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
            (client, stream) = (Frames::connect(address), 1);
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
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).secured().start();
    let holder = gateway.create_key("ci").done();
    let bearer = format!("Bearer {}", holder.token);
    let names = ["x-relevo-key-id", "x_relevo_key_id", "x-relevo_roles", "x-forwarded-for", "x_real-ip", "forwarded"];
    let doors = gateway.doors("h2");
    for door in &doors {
        let mut client = Frames::connect(door.address);
        let mut stream = 1;
        for name in names {
            for more in [vec![(name, "evil")], vec![(name, "evil"), ("authorization", &*bearer)]] {
                let path = if more.len() == 1 { "/" } else { "/guarded" };
                client.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &get(path, &more)));
                assert_eq!(client.answer(stream), Some(Ok(200)), "{name}");
                stream += 2;
            }
        }
    }
    for request in backend.wait_for(2 * names.len() * doors.len()) {
        assert!(request.headers.iter().all(|(_, value)| value != "evil"), "{request:?}");
        assert!(request.all("authorization").is_empty());
    }
}

#[test]
fn more_headers_than_are_allowed_are_refused_and_so_is_a_list_without_end() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).secured().start();
    for (place, door) in gateway.doors("h2").iter().enumerate() {
        assert_long_lists_are_refused(door.address);
        assert_eq!(backend.requests().len(), 2 * (place + 1));
    }
}

fn assert_long_lists_are_refused(address: SocketAddr) {
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
    // Whether it is told why depends on how much was still on its way.
    assert!(client.until(GOAWAY).is_none_or(|frame| frame.payload.len() >= 8));
}

/// Keeps sending what `next` makes until the other end closes or `most` pieces are sent; beside it a good client asks all
/// the while and gets every answer. How many pieces were sent.
fn flood(address: SocketAddr, opening: &[u8], most: u32, next: impl Fn(u32) -> Vec<u8> + Send + 'static) -> u32 {
    let opening = opening.to_vec();
    let attack = std::thread::spawn(move || {
        let mut frames = Frames::connect(address);
        frames.send(&opening);
        let reading = frames.read_aside();
        let sent = (0..most).take_while(|number| frames.send(&next(*number))).count();
        frames.close();
        reading.join().expect("read to the end");
        u32::try_from(sent).expect("few")
    });
    let mut asked = 0;
    let mut good = Modern::in_clear(address).expect("connected");
    while !attack.is_finished() || asked < 20 {
        let answer = good.ask(good.request("/good"), "").expect("an answer for the good client");
        assert_eq!(answer.status, 200);
        asked += 1;
    }
    attack.join().expect("sent")
}

#[test]
fn floods_drown_nobody() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).secured().start();
    for door in gateway.doors("h2") {
        assert_floods_drown_nobody(door.address);
    }
    // A request that its own client broke off is broken off to the backend too; nothing else may be wrong there.
    let broken_off = |fault: &String| fault.starts_with("ended within a request: \"GET /flood ");
    let faults: Vec<_> = backend.faults().into_iter().filter(|fault| !broken_off(fault)).collect();
    assert_eq!(faults, [""; 0]);
}

fn assert_floods_drown_nobody(address: SocketAddr) {
    let open = |stream: u32, flags: u8| frame(HEADERS, flags, stream, &get("/flood", &[]));
    let reset = |stream: u32| frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    let whole = END_HEADERS | END_STREAM;

    // Rapid reset: the limit of streams never holds, because each ends at once.
    let sent = flood(address, b"", 20_000, move |number| {
        let each = (0..50).map(|place| 1 + 2 * (number * 50 + place));
        each.flat_map(|stream| [open(stream, whole), reset(stream)].concat()).collect()
    });
    assert!(sent < 20_000, "rapid reset goes on for ever");
    // Made you reset: the client sends what the server must reset (RFC 9113 §5.1).
    let sent = flood(address, b"", 20_000, move |number| {
        let each = (0..50).map(|place| 1 + 2 * (number * 50 + place));
        each.flat_map(|stream| [open(stream, END_HEADERS), frame(WINDOW_UPDATE, 0, stream, &[0; 4])].concat()).collect()
    });
    assert!(sent < 20_000, "made-you-reset goes on for ever");
    flood(address, b"", 2_000, |_| frame(PING, 0, 0, &[0; 8]).repeat(20));
    flood(address, b"", 2_000, |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]).repeat(20));
    flood(address, b"", 2_000, |_| frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 7]).repeat(20));
    flood(address, &open(1, END_HEADERS), 2_000, |_| frame(DATA, 0, 1, b"").repeat(20));
}

#[test]
fn a_client_that_takes_nothing_holds_little_and_is_let_go_of() {
    let backend = Backend::replying(|_| Reply::ok("0123456789".repeat(20_000)));
    let settings = "[limits]\nwrite_stall = \"1s\"\n";
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).settings(settings).start();
    let address = gateway.addresses()[0];
    let mut client = Frames::connect(address);
    // SETTINGS_INITIAL_WINDOW_SIZE of nothing.
    client.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    for place in 0..50 {
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * place, &get("/", &[])));
    }
    for _ in 0..50 {
        let frame = client.until(HEADERS).expect("a head");
        assert_eq!(frame.flags & END_STREAM, 0);
    }
    let mut good = Modern::in_clear(address).expect("connected");
    for _ in 0..10 {
        assert_eq!(good.ask(good.request("/"), "").expect("an answer").body.len(), 200_000);
    }
    for _ in 0..50 {
        assert!(client.until(RST_STREAM).is_some(), "the connection was closed, not only its streams");
    }
    client.send(&frame(WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]));
    client.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 4, 0, 0]));
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 201, &get("/", &[])));
    assert_eq!(client.answer(201), Some(Ok(200)));
}

#[test]
fn an_idle_client_is_told_to_go_and_a_busy_one_is_not() {
    let gate = Gate::default();
    let reply = Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").then_waiting_for(&gate).then("hello");
    let backend = Backend::replying(move |_| reply.clone());
    let settings = "[limits]\nkeep_alive = \"1s\"\n";
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).settings(settings).start();
    let mut client = Frames::connect(gateway.addresses()[0]);
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/", &[])));
    assert_eq!(client.answer(1), Some(Ok(200)));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_500) {
        client.send(&frame(PING, 0, 0, &[1; 8]));
        assert!(client.until(PING).is_some(), "told to go while it is busy");
    }
    gate.open();
    assert_eq!(client.until(DATA).map(|frame| frame.payload), Some(b"hello".to_vec()));
    assert!(client.until(GOAWAY).is_some(), "idle and not told to go");
    assert!(std::iter::from_fn(|| client.next()).count() < 10, "told to go and not closed");
}
