//! The guard, byte by byte: what the engine gets, and what the service is told.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

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
        stream_idle: second,
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
