//! What docs/http2.md excuses, frame by frame: another code than RFC 9113 names, but never a request that goes on.

use crate::support::backend::{Backend, Gate, Reply};
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block, frame, get,
};
use crate::support::gateway::TestGateway;

const PUSH_PROMISE: u8 = 5;
const ROUTES: &str = "[[routes]]\npath = \"/\"\nauth = \"none\"\nupstream = \"backend\"";

/// The code of a GOAWAY (RFC 9113 §6.8).
fn code(goaway: &Frame) -> u32 {
    u32::from_be_bytes(goaway.payload[4..8].try_into().expect("four bytes"))
}

/// The headers of a POST to `/`.
fn post() -> Vec<u8> {
    block(&[(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")])
}

#[test]
fn a_frame_that_cannot_be_ends_the_connection_with_a_code_and_nobody_elses() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let mut good = Frames::connect(gateway.addresses()[0]);
    let open = frame(HEADERS, END_HEADERS, 1, &post());
    let push = [&2_u32.to_be_bytes()[..], &block(&[(":status", "200")])].concat();
    let wrong = [
        ("a ping of seven bytes", frame(PING, 0, 0, &[0; 7])),
        ("settings of five bytes", frame(SETTINGS, 0, 0, &[0; 5])),
        ("an acknowledgement with a setting", frame(SETTINGS, 1, 0, &[0, 3, 0, 0, 0, 1])),
        ("a window of 2^31", frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0])),
        ("a window update of three bytes", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1])),
        ("a reset of three bytes", [open.clone(), frame(RST_STREAM, 0, 1, &[0, 0, 8])].concat()),
        ("a priority of four bytes", frame(PRIORITY, 0, 1, &[0, 0, 0, 0])),
        ("no header block at all", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 12])),
        ("a promise", [open, frame(PUSH_PROMISE, END_HEADERS, 1, &push)].concat()),
    ];
    for (place, (what, bytes)) in (0_u32..).zip(wrong) {
        let mut client = Frames::connect(gateway.addresses()[0]);
        client.send(&bytes);
        let ended = client.until(GOAWAY).unwrap_or_else(|| panic!("{what}: closed without a word"));
        assert_ne!(code(&ended), 0, "{what}");
        while client.next().is_some() {} // up to its end
        let stream = 1 + 2 * place;
        good.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/good", &[])));
        assert_eq!(good.answer(stream), Some(Ok(200)), "after {what}");
    }
    assert!(backend.requests().iter().all(|request| request.target == "/good"), "{:?}", backend.requests());
}

#[test]
fn what_comes_on_a_stream_after_its_end_ends_it_and_reaches_nobody() {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::replying(move |_| Reply::default().then_waiting_for(&held).then(ok()));
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    for (place, after) in (1..).zip([frame(DATA, 0, 1, b"more"), frame(HEADERS, END_HEADERS, 1, &get("/again", &[]))]) {
        let mut client = Frames::connect(gateway.addresses()[0]);
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &post()));
        backend.wait_for(place); // its answer is held back: the stream is half closed
        client.send(&after);
        let ended = std::iter::from_fn(|| client.next()).any(|frame| [GOAWAY, RST_STREAM].contains(&frame.kind));
        assert!(ended, "{after:?}");
    }
    gate.open();
    let recorded = backend.requests();
    assert_eq!(recorded.len(), 2);
    assert!(recorded.iter().all(|request| request.target == "/" && request.body.is_empty()), "{recorded:?}");
}

fn ok() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()
}

#[test]
fn a_pseudo_header_among_trailers_changes_nothing_and_is_not_passed_on() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let mut client = Frames::connect(gateway.addresses()[0]);
    let trailers = block(&[(":method", "DELETE"), (":path", "/other"), ("x-checksum", "1")]);
    client.send(&frame(HEADERS, END_HEADERS, 1, &post()));
    client.send(&frame(DATA, 0, 1, b"body"));
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers));
    // Refused, or answered for what it was without them.
    assert!(matches!(client.answer(1), Some(Ok(200 | 400) | Err(_))));
    for request in backend.requests() {
        assert_eq!((&*request.method, &*request.target, &*request.body), ("POST", "/", &b"body"[..]));
        assert!(request.trailers.iter().all(|(name, _)| !name.contains("method") && !name.contains("path")));
    }
    assert_eq!(backend.faults(), [""; 0]);
}

#[test]
fn of_two_pseudo_headers_in_several_frames_the_first_counts_for_everybody_or_the_request_is_refused() {
    let backend = Backend::answering("hello");
    let routes = format!("{ROUTES}\n[[routes]]\npath = \"/guarded\"\nupstream = \"backend\"\n");
    let gateway = TestGateway::in_front_of(&backend).routes(&routes).start();
    for (first, second) in [("/open", "/guarded"), ("/guarded", "/open")] {
        let headers = get(first, &[(":path", second), ("x-a", "b")]);
        for at in [headers.len() - 7, headers.len() - 3] {
            let mut client = Frames::connect(gateway.addresses()[0]);
            client.send(&frame(HEADERS, END_STREAM, 1, &headers[..at]));
            client.send(&frame(CONTINUATION, END_HEADERS, 1, &headers[at..]));
            let answer = client.answer(1);
            match first {
                "/open" => assert!(matches!(answer, None | Some(Ok(200 | 400) | Err(_))), "{answer:?}"),
                _ => assert!(matches!(answer, None | Some(Ok(400 | 401) | Err(_))), "{answer:?}"),
            }
        }
    }
    assert!(backend.requests().iter().all(|request| request.target == "/open"), "{:?}", backend.requests());
    assert_eq!(backend.faults(), [""; 0]);
}
