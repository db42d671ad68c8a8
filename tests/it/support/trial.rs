//! A hostile request on trial: sent whole and split, and followed by good ones that must get their own answers.
//!
//! Promises: what reached the backend is judged by its bytes; nothing of one request stays behind in a connection.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::backend::{Backend, Recorded, Reply};
use super::client::{RawClient, RawResponse};
use super::frames::Frames;
use super::gateway::TestGateway;
use super::request::{Request, request};
use super::translated::Translated;
use super::wire::Fault;

/// The pieces in which a request is sent; the last is repeated. None: all at once.
const MANNERS: [&[usize]; 3] = [&[], &[1], &[3, 1, 17, 2, 5]];

/// A route for everything that is open to everybody, in TOML.
pub(crate) const OPEN: &str = "
[[routes]]
path = \"/\"
auth = \"none\"
upstream = \"backend\"
";

/// Whose good requests are told from everybody's: each has a number of its own.
static GOOD: AtomicUsize = AtomicUsize::new(0);

/// What a request on trial came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The answer; `Err` if the connection was closed without one.
    pub(crate) answer: Result<RawResponse, Fault>,
    /// What reached the backend of it.
    pub(crate) arrived: Vec<Recorded>,
    /// Whether its headers came in several frames of HTTP/2.
    pub(crate) in_frames: bool,
}

/// A backend that answers with the target that it was asked for, so that an answer tells whose it is.
pub(crate) fn echo() -> Backend {
    Backend::replying(|request| Reply::ok(&request.target))
}

/// Sends `bytes` through every door in every manner and hands each outcome to `judge`. `good` makes a request that must pass.
pub(crate) fn try_all(
    (gateway, backend): (&TestGateway, &Backend),
    bytes: &[u8],
    good: impl Fn(&str) -> Request,
    judge: impl Fn(&Outcome),
) {
    let doors = gateway.doors("http/1.1");
    for (door, sizes) in doors.iter().flat_map(|door| MANNERS.map(|sizes| (door.address, sizes))) {
        let before = backend.requests().len();
        let mut client = RawClient::connect(door);
        if sizes.is_empty() {
            client.send(bytes);
        } else {
            client.send_split(bytes, sizes);
        }
        let answer = client.try_read_response();
        let arrived = backend.requests().split_off(before);
        let is_open = answer.as_ref().is_ok_and(|answer| !answer.closed);
        let shown = String::from_utf8_lossy(bytes).into_owned();
        if is_open && !client.is_closing() {
            assert_gets_its_own(&mut client, &good, &format!("on the same connection after {shown:?}"));
        }
        assert_gets_its_own(&mut RawClient::connect(door), &good, &format!("on a fresh connection after {shown:?}"));
        assert_eq!(backend.faults(), [""; 0], "{shown:?}");
        let extra: Vec<_> = backend.requests().split_off(before + arrived.len());
        assert!(extra.iter().all(|request| request.target.starts_with("/good/")), "{shown:?} left {extra:?}");
        judge(&Outcome { answer, arrived, in_frames: false });
    }
}

/// As [`try_all`], and the same said over HTTP/2.
pub(crate) fn try_everywhere(ends: (&TestGateway, &Backend), bytes: &[u8], judge: impl Fn(&Outcome)) {
    try_all(ends, bytes, anonymous, &judge);
    try_over_http2(ends, bytes, judge);
}

/// Says what `bytes` say over HTTP/2, through every door: whole, byte by byte, and with its headers in three pieces. Of
/// the answers there is no header.
pub(crate) fn try_over_http2((gateway, backend): (&TestGateway, &Backend), bytes: &[u8], judge: impl Fn(&Outcome)) {
    let asked = Translated::from(bytes);
    let shown = String::from_utf8_lossy(bytes).into_owned();
    let doors = gateway.doors("h2");
    for (door, pieces, size) in
        doors.iter().flat_map(|door| [(door, 1, usize::MAX), (door, 1, 1), (door, 3, usize::MAX)])
    {
        let before = backend.requests().len();
        let mut client = Frames::connect(door.address);
        for part in asked.frames(1, pieces).chunks(size) {
            client.send(part);
        }
        let answer = client.reply(1);
        let arrived = backend.requests().split_off(before);
        if answer.is_some() {
            assert_stream_gets_its_own(&mut client, 3, &format!("on the same connection after {shown:?}"));
        }
        let mut fresh = Frames::connect(door.address);
        assert_stream_gets_its_own(&mut fresh, 1, &format!("on a fresh connection after {shown:?}"));
        assert_eq!(backend.faults(), [""; 0], "{shown:?}");
        let extra: Vec<_> = backend.requests().split_off(before + arrived.len());
        assert!(extra.iter().all(|request| request.target.starts_with("/good/")), "{shown:?} left {extra:?}");
        let answer = match answer {
            Some(Ok((status, body))) => Ok(RawResponse { status, headers: Vec::new(), body, closed: false }),
            Some(Err(code)) => Err(format!("reset with {code}")),
            None => Err("closed".to_owned()),
        };
        judge(&Outcome { answer, arrived, in_frames: pieces > 1 });
    }
}

/// Refused with one of these statuses, or the connection closed, and the backend got nothing.
#[track_caller]
pub(crate) fn assert_refused(outcome: &Outcome, statuses: &[u16], shown: &str) {
    assert!(outcome.arrived.is_empty(), "{shown:?} let through {:?}", outcome.arrived);
    if let Ok(answer) = &outcome.answer {
        assert!(statuses.contains(&answer.status), "{shown:?} was answered {} {}", answer.status, answer.text());
    }
}

/// Passed, as one request.
#[track_caller]
pub(crate) fn assert_passed<'o>(outcome: &'o Outcome, shown: &str) -> &'o Recorded {
    let status = outcome.answer.as_ref().map(|answer| answer.status);
    assert_eq!(status, Ok(200), "{shown:?}: {:?}", outcome.answer);
    assert_eq!(outcome.arrived.len(), 1, "{shown:?}");
    &outcome.arrived[0]
}

fn assert_gets_its_own(client: &mut RawClient, good: &impl Fn(&str) -> Request, place: &str) {
    let target = format!("/good/{}", GOOD.fetch_add(1, Ordering::Relaxed));
    client.send(&good(&target).bytes());
    let answer = client.try_read_response().map(|answer| (answer.status, answer.text()));
    assert_eq!(answer, Ok((200, target)), "{place}");
}

fn assert_stream_gets_its_own(client: &mut Frames, stream: u32, place: &str) {
    let target = format!("/good/{}", GOOD.fetch_add(1, Ordering::Relaxed));
    client.send(&Translated::from(&anonymous(&target).bytes()).frames(stream, 1));
    assert_eq!(client.reply(stream), Some(Ok((200, target.into_bytes()))), "{place}");
}

/// A good request that needs no token.
pub(crate) fn anonymous(target: &str) -> Request {
    request("GET", target)
}
