//! The guard, byte by byte: what the engine gets, and what the service is told.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::task::Waker;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::*;
use crate::net::deadline::{Ticks, Wheel};
use crate::net::pulse::{Pulse, Times};

const BOUNDS: HeadBounds = HeadBounds { head_bytes: 8_192, header_count: 100, uri_bytes: 8_192 };
const GOOD: &str = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &str = "POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n";
const BAD: &str =
    "POST /c HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n";

/// A client who sends these pieces and then nothing.
#[derive(Debug)]
struct Pieces(VecDeque<Vec<u8>>);

/// What requests and things like them are made of.
const PARTS: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST / HTTP/1.1\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "Host: a\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "content-length:05\n",
    "Content-Length: 5, 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "X:\r\n",
    "Expect: 100-continue\r\n",
    "Connection: close\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    " ",
    ":",
    ";a=b",
    "hello",
    "5",
    "5\r\nhello\r\n",
    "5;a\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "0\r\nX: y\n\r\n\r\n",
    "\0",
];

/// Serves what the guard passes of `bytes`; how many requests the service got.
///
/// # Panics
/// Where guard and engine do not agree on where a request begins: the service is told that a client's request is
/// refused, or gets the substitute for one that is not.
fn served(bytes: &[u8], size: usize) -> usize {
    let heads = Rc::new(Heads::new(pulse()));
    let client = Pieces(bytes.chunks(size).map(<[u8]>::to_vec).collect());
    let guard = Guard::new(client, BOUNDS, Rc::clone(&heads));
    let count = Rc::new(Cell::new(0));
    let (told, counted) = (Rc::clone(&heads), Rc::clone(&count));
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let is_refused = told.next().is_some();
        assert_eq!(is_refused, request.method().as_str() == "-", "{request:?}");
        counted.set(counted.get() + 1);
        async move {
            request.into_body().collect().await.ok(); // a body may be wrong
            let reply = http::Response::builder().status(if is_refused { 400 } else { 200 });
            reply.body(http_body_util::Empty::<bytes::Bytes>::new())
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(guard), service);
    let mut connection = std::pin::pin!(connection);
    let mut cx = Context::from_waker(Waker::noop());
    // Nothing in it waits for anything but the pieces, so each poll gets as far as there is a way.
    for _ in 0..bytes.len() + 64 {
        if connection.as_mut().poll(&mut cx).is_ready() {
            break;
        }
    }
    count.get()
}

proptest::proptest! {
    #[test]
    fn guard_and_engine_agree_on_where_requests_begin(
        parts in proptest::collection::vec(0..PARTS.len(), 1..24),
        size in 1..64_usize,
    ) {
        let bytes: String = parts.into_iter().filter_map(|part| PARTS.get(part)).copied().collect();
        let whole = served(bytes.as_bytes(), bytes.len());
        proptest::prop_assert_eq!(served(bytes.as_bytes(), size), whole);
        proptest::prop_assert_eq!(served(bytes.as_bytes(), 1), whole);
    }
}

#[test]
fn every_good_request_is_served_and_the_refused_one_is_told() {
    let bytes = [GOOD, CHUNKED, GOOD, BAD, GOOD].concat();
    for size in 1..200 {
        assert_eq!(served(bytes.as_bytes(), size), 4);
    }
}

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(mut piece) = self.0.pop_front() else { return Poll::Pending };
        let rest = piece.split_off(piece.len().min(buf.remaining()));
        buf.put_slice(&piece);
        if !rest.is_empty() {
            self.0.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn pulse() -> Pulse {
    let second = Ticks::from(Duration::from_secs(1));
    let times = Times {
        first_byte: second,
        head: second,
        keep_alive: second,
        write_stall: second,
        linger: second,
        life: second,
    };
    Pulse::new(&Wheel::new(), times, 0)
}

/// What came of some bytes.
#[derive(PartialEq, Eq, Debug)]
struct Passed {
    got: String,
    is_broken: bool,
    refused: Vec<bool>,
}

/// What the engine gets of `bytes` in pieces of `size`, reading `room` at once, and what the service is told of each of
/// `asked` heads.
fn through(bytes: &str, size: usize, room: usize, asked: usize) -> Passed {
    let heads = Rc::new(Heads::new(pulse()));
    let client = Pieces(bytes.as_bytes().chunks(size).map(<[u8]>::to_vec).collect());
    let mut guard = Guard::new(client, BOUNDS, Rc::clone(&heads));
    let (mut got, mut is_broken) = (Vec::new(), false);
    let mut memory = vec![0; room];
    loop {
        let mut buf = ReadBuf::new(&mut memory);
        match Pin::new(&mut guard).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf) {
            Poll::Ready(Ok(())) => got.extend_from_slice(buf.filled()),
            Poll::Ready(Err(_)) => is_broken = true,
            Poll::Pending => break,
        }
        if is_broken {
            break;
        }
    }
    let got = String::from_utf8(got).expect("text");
    Passed { got, is_broken, refused: (0..asked).map(|_| heads.next().is_some()).collect() }
}

/// In every manner the same.
#[track_caller]
fn assert_through(bytes: &str, got: &str, is_broken: bool, refused: &[bool]) {
    let expected = Passed { got: got.to_owned(), is_broken, refused: refused.to_vec() };
    for size in (1..=bytes.len()).filter(|size| *size < 80 || *size == bytes.len()) {
        for room in [1, 7, 64, 4_096] {
            assert_eq!(through(bytes, size, room, refused.len()), expected, "in pieces of {size}, read by {room}");
        }
    }
}

#[test]
fn good_requests_pass_untouched_one_after_the_other() {
    let bytes = [GOOD, CHUNKED, GOOD, "\r\n", CHUNKED].concat();
    assert_through(&bytes, &bytes, false, &[false; 4]);
}

#[test]
fn in_the_place_of_a_refused_head_comes_the_substitute_and_then_nothing() {
    let substitute = std::str::from_utf8(SUBSTITUTE).expect("text");
    assert_through(BAD, substitute, false, &[true]);
    let bytes = [GOOD, CHUNKED, BAD, GOOD].concat();
    assert_through(&bytes, &[GOOD, CHUNKED, substitute].concat(), false, &[false, false, true]);
}

#[test]
fn the_beginning_of_a_head_waits_for_its_end() {
    let bytes = [GOOD, "GET / HTTP/1.1\r\nHost: a\r\n"].concat();
    assert_through(&bytes, GOOD, false, &[false]);
}

#[test]
fn a_wrong_chunk_is_an_error_where_it_is_wrong() {
    let (good, wrong) = ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "0x5\r\nhello\r\n");
    assert_through(&[good, wrong].concat(), &[good, "0"].concat(), true, &[false]);
}

#[test]
fn a_long_body_is_passed_by_its_length() {
    let head = "PUT / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n";
    let bytes = [head, &"x".repeat(100_000), GOOD].concat();
    let passed = through(&bytes, 1_000, 4_096, 2);
    assert_eq!(passed, Passed { got: bytes, is_broken: false, refused: vec![false; 2] });
}

#[test]
fn the_substitute_is_a_head_that_the_engine_takes() {
    let parsed = Head::default().read(SUBSTITUTE, &BOUNDS);
    assert_eq!(parsed, Ok(Some((SUBSTITUTE.len(), Framing::Length(0)))));
    assert!(http::Method::from_bytes(b"-").is_ok() && "*".parse::<http::Uri>().is_ok());
}

#[test]
fn guard_and_engine_agree_on_every_two_parts() {
    for first in PARTS {
        for second in PARTS {
            let bytes = [*first, second].concat();
            let whole = served(bytes.as_bytes(), bytes.len());
            for size in 1..4 {
                assert_eq!(served(bytes.as_bytes(), size), whole, "{bytes:?} in pieces of {size}");
            }
        }
    }
}
