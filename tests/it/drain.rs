//! SIGTERM: what has been asked is answered, nothing else begins, and the process ends by itself.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::allow_files;
use crate::support::backend::{Backend, Gate, Reply};
use crate::support::client::RawClient;
use crate::support::frames::{DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM, frame, get};
use crate::support::gateway::wait_until;
use crate::support::pairs::Pair;
use crate::support::process::{Process, with_two_doors};
use crate::support::relay::Door;
use crate::support::request::request;
use crate::support::trial::OPEN;

/// How long the process may take to end once nothing is in flight.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway in front of `backend`, with this drain, a port in clear and one that shows `pair`.
fn serve(folder: &Path, pair: &Pair, backend: &Backend, drain: &str) -> Process {
    pair.write(folder, "a");
    let tables = format!("[drain]\n{drain}\n{OPEN}");
    Process::serve(folder, &with_two_doors(backend.address(), 2, &tables))
}

/// The doors of both listeners for this protocol.
fn doors(process: &Process, pair: &Pair, protocol: &str) -> [Door; 2] {
    Door::both(process.doors[0], process.doors[1], pair, protocol)
}

fn readiness(process: &Process) -> u16 {
    let mut client = RawClient::connect(process.admin);
    client.send(&request("GET", "/readyz").bytes());
    client.read_response().status
}

// Case 28.
#[test]
fn five_hundred_requests_in_flight_all_finish_and_idle_connections_are_closed() {
    const IN_FLIGHT: usize = 500;
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::replying(move |_| {
        Reply::default().then_waiting_for(&held).then(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")
    });
    let (folder, pair) = (tempfile::tempdir().expect("a folder"), Pair::of(&["localhost"]));
    let process = serve(folder.path(), &pair, &backend, "delay = \"0s\"\ntimeout = \"20s\"");
    let doors = doors(&process, &pair, "http/1.1");
    let mut idle = doors.each_ref().map(|door| RawClient::connect(door.address));
    for idle in &mut idle {
        idle.send(&request("TRACE", "/").bytes());
        assert_eq!(idle.read_response().status, 405);
    }
    let mut begun = doors.each_ref().map(|door| RawClient::connect(door.address));
    for begun in &mut begun {
        begun.send(b"GET / HTTP/1.1\r\nHost: loc");
    }
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc";
    let mut halves = [(0, &b""[..]), (0, b"PRI * HT"), (1, b""), (1, hello)].map(|(door, half)| {
        let mut client = RawClient::connect(process.doors[door]);
        client.send(half);
        client
    });
    let mut clients: Vec<_> =
        doors.iter().cycle().take(IN_FLIGHT).map(|door| RawClient::connect(door.address)).collect();
    for client in &mut clients {
        client.send(&request("GET", "/").bytes());
    }
    backend.wait_for(IN_FLIGHT);

    process.signal(Signal::SIGTERM);
    let told = Instant::now();
    assert!(idle.iter_mut().all(RawClient::is_closed));
    assert!(halves.iter_mut().all(RawClient::is_closed), "half a handshake is in nobody's way");
    assert!(told.elapsed() < Duration::from_secs(3), "they were closed after {:?}", told.elapsed());
    for begun in &mut begun {
        begun.send(b"alhost\r\n\r\n");
    }
    gate.open();
    for client in clients.iter_mut().chain(&mut begun) {
        let answer = client.read_response();
        assert_eq!((answer.status, &*answer.body), (200, &b"done"[..]));
        assert!(client.is_closed());
    }
    assert_eq!(process.terminate(PATIENCE).code(), Some(0));
}

// Case 28.
#[test]
fn five_hundred_streams_in_flight_all_finish_and_their_connections_are_told_to_go() {
    const CONNECTIONS: usize = 5;
    const STREAMS: u32 = 100;
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::replying(move |_| {
        Reply::default().then_waiting_for(&held).then(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")
    });
    let (folder, pair) = (tempfile::tempdir().expect("a folder"), Pair::of(&["localhost"]));
    let process = serve(folder.path(), &pair, &backend, "delay = \"0s\"\ntimeout = \"20s\"");
    let doors = doors(&process, &pair, "h2");
    let mut clients: Vec<_> =
        doors.iter().cycle().take(CONNECTIONS).map(|door| Frames::connect(door.address)).collect();
    for client in &mut clients {
        for place in 0..STREAMS {
            client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * place, &get("/", &[])));
        }
    }
    backend.wait_for(CONNECTIONS * STREAMS as usize);
    process.signal(Signal::SIGTERM);
    for client in &mut clients {
        assert!(client.until(GOAWAY).is_some(), "not told to go");
    }
    gate.open();
    for client in &mut clients {
        let frames: Vec<_> = std::iter::from_fn(|| client.next()).collect();
        let bodies = frames.iter().filter(|frame| frame.kind == DATA).map(|frame| &*frame.payload).collect::<Vec<_>>();
        assert_eq!(bodies.concat(), b"done".repeat(STREAMS as usize));
        assert!(frames.iter().all(|frame| frame.kind != RST_STREAM));
    }
    assert_eq!(process.terminate(PATIENCE).code(), Some(0));
}

#[test]
fn during_the_delay_requests_are_served_while_readiness_says_no() {
    let backend = Backend::answering("hello");
    let (folder, pair) = (tempfile::tempdir().expect("a folder"), Pair::of(&["localhost"]));
    let process = serve(folder.path(), &pair, &backend, "delay = \"2s\"\ntimeout = \"1s\"");
    assert_eq!(readiness(&process), 200);
    process.signal(Signal::SIGTERM);
    wait_until("readiness says no", || readiness(&process) == 503);
    let mut client = RawClient::connect(process.doors[0]);
    client.send(&request("GET", "/").bytes());
    assert_eq!(client.read_response().status, 200);
    assert_eq!(process.terminate(PATIENCE).code(), Some(0));
}

#[test]
fn every_client_in_the_queue_when_the_end_begins_is_answered() {
    const QUEUED: usize = 600; // to two workers: by far more than a runtime grants one task in a turn
    allow_files();
    let backend = Backend::answering("hello");
    let (folder, pair) = (tempfile::tempdir().expect("a folder"), Pair::of(&["localhost"]));
    let process = serve(folder.path(), &pair, &backend, "delay = \"0s\"\ntimeout = \"20s\"");
    process.signal(Signal::SIGSTOP);
    let mut clients: Vec<_> = (0..QUEUED).map(|_| RawClient::connect(process.doors[0])).collect();
    for client in &mut clients {
        client.send(&request("GET", "/").header("Connection", "close").bytes());
    }
    process.signal(Signal::SIGTERM);
    process.signal(Signal::SIGCONT);
    for client in &mut clients {
        let answer = client.read_response();
        assert_eq!((answer.status, &*answer.body), (200, &b"hello"[..]));
    }
    assert_eq!(process.terminate(PATIENCE).code(), Some(0));
}

#[test]
fn a_request_that_never_ends_does_not_keep_the_process() {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::replying(move |_| Reply::default().then_waiting_for(&held));
    let (folder, pair) = (tempfile::tempdir().expect("a folder"), Pair::of(&["localhost"]));
    let process = serve(folder.path(), &pair, &backend, "delay = \"0s\"\ntimeout = \"500ms\"");
    let mut client = RawClient::connect(process.doors[0]);
    client.send(&request("GET", "/").bytes());
    backend.wait_for(1);
    assert_eq!(process.terminate(PATIENCE).code(), Some(0));
    gate.open();
}

#[test]
fn a_signal_is_obeyed_from_the_moment_the_addresses_are_told() {
    let backend = Backend::answering("hello");
    for _ in 0..5 {
        let (folder, pair) = (tempfile::tempdir().expect("a folder"), Pair::of(&["localhost"]));
        let process = serve(folder.path(), &pair, &backend, "delay = \"0s\"\ntimeout = \"500ms\"");
        assert_eq!(process.terminate(PATIENCE).code(), Some(0));
    }
}
