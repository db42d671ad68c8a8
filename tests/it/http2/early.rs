//! Cases 8 and 9 over HTTP/2: what is not wanted is refused before its body, and the room that the body took is given back.

use crate::support::frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, block, frame};
use crate::support::gateway::TestGateway;
use crate::support::trial::{OPEN, echo};

const ROUTES: &str = "[[routes]]
path = \"/closed\"
upstream = \"backend\"
[[routes]]
path = \"/role\"
roles = [\"other\"]
upstream = \"backend\"
[[routes]]
path = \"/small\"
auth = \"none\"
body_limit = \"1KiB\"
upstream = \"backend\"
";

/// The headers of a POST of `path` by the holder of `token`, with one more.
fn post(path: &str, token: &str, (name, value): (&str, &str)) -> Vec<u8> {
    let bearer = format!("Bearer {token}");
    let pseudo = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
    let more = [("authorization", &*bearer), (name, value)];
    block(&[&pseudo[..], if token.is_empty() { &more[1..] } else { &more }].concat())
}

#[test]
fn a_body_that_nobody_wants_is_refused_before_its_end_and_its_window_is_given_back() {
    let backend = echo();
    let gateway = TestGateway::in_front_of(&backend).routes(&[OPEN, ROUTES].concat()).secured().start();
    let token = gateway.create_key("ci").done().token;
    let length = ("content-length", "104857600");
    for (place, door) in gateway.doors("h2").iter().enumerate() {
        let mut client = Frames::forgetful(door.address);
        let mut stream = 1;
        // Together more than four times what the connection may have on its way at once.
        for _ in 0..30 {
            for (path, token, status) in [("/closed", "", 401), ("/role", &*token, 403), ("/small", "", 413)] {
                client.send(&frame(HEADERS, END_HEADERS, stream, &post(path, token, length)));
                for _ in 0..3 {
                    client.send(&frame(DATA, 0, stream, &[b'x'; 16_384]));
                }
                assert_eq!(client.answer(stream), Some(Ok(status)), "{path} on stream {stream}");
                stream += 2;
            }
        }
        assert_eq!(backend.requests().len(), place, "a refused request reached the backend");
        client.send(&frame(HEADERS, END_HEADERS, stream, &post("/good", "", ("x", "y"))));
        client.send(&frame(DATA, END_STREAM, stream, b"hello"));
        assert_eq!(client.reply(stream), Some(Ok((200, b"/good".to_vec()))));
        assert_eq!(backend.requests().last().map(|request| &*request.body), Some(&b"hello"[..]));
    }
}

#[test]
fn nobody_is_asked_for_a_body_before_he_is_let_through() {
    let backend = echo();
    let gateway = TestGateway::in_front_of(&backend).routes(&[OPEN, ROUTES].concat()).secured().start();
    let token = gateway.create_key("ci").done().token;
    for door in gateway.doors("h2") {
        let mut client = Frames::connect(door.address);
        let expect = ("expect", "100-continue");
        client.send(&frame(HEADERS, END_HEADERS, 1, &post("/closed", "", expect)));
        assert_eq!(client.answer(1), Some(Ok(401)), "the first that comes");
        client.send(&frame(HEADERS, END_HEADERS, 3, &post("/closed", &token, expect)));
        client.send(&frame(DATA, END_STREAM, 3, b"hello"));
        assert_eq!(client.reply(3), Some(Ok((200, b"/closed".to_vec()))));
        let arrived = backend.requests().pop().expect("a request");
        assert_eq!((arrived.all("expect"), &*arrived.body), (vec![], &b"hello"[..]));
    }
}
