//! A process whose stderr is a pipe: one that nobody reads stops nothing, and of one that is read nothing is missing.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::DEADLINE;
use crate::support::backend::Backend;
use crate::support::client::RawClient;
use crate::support::frames::{END_HEADERS, END_STREAM, Frames, HEADERS, frame, get};
use crate::support::pairs::Pair;
use crate::support::process::{Process, with_two_doors};
use crate::support::request::request;
use crate::support::trial::OPEN;

/// How long the process may take to end: its drain, and its patience with those who do not read.
const PATIENCE: Duration = Duration::from_secs(12);

/// A gateway in front of `backend` that logs everything, access records too, into `pipe` in `folder`.
fn serve(folder: &Path, backend: &Backend) -> Process {
    Pair::of(&["localhost"]).write(folder, "a");
    let tables = format!("[drain]\ndelay = \"0s\"\ntimeout = \"2s\"\n{OPEN}");
    let configuration = with_two_doors(backend.address(), 2, &tables).replace("access = false", "access = \"stderr\"");
    // Open for both, it needs no reader to be opened, and is never closed for want of one.
    Process::serve_after(folder, &configuration, "export RELEVO_LOG=trace && mkfifo pipe && exec 2<>pipe")
}

fn dropped(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect("the metric").parse().expect("a number")
}

fn ask(client: &mut RawClient, request: &[u8]) -> u16 {
    client.send(request);
    client.read_response().status
}

/// A request with a long user agent.
fn wordy() -> Vec<u8> {
    request("GET", "/orders").header("User-Agent", &"curl".repeat(4_000)).bytes()
}

#[test]
fn a_reader_of_stderr_that_stalls_stops_neither_requests_nor_the_end() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let process = serve(folder.path(), &backend);
    let (mut client, mut modern) = (RawClient::connect(process.doors[0]), Frames::connect(process.doors[0]));
    let mut streams = (1..).step_by(2);
    let before = process.memory_kib();
    let end = Instant::now() + 3 * DEADLINE;
    let lost =
        |metrics: &str| ["log", "access_log"].map(|log| dropped(metrics, &format!("relevo_{log}_dropped_total")));
    while lost(&process.metrics(folder.path())).contains(&0) {
        assert!(Instant::now() < end, "nothing is dropped: {:?}", lost(&process.metrics(folder.path())));
        for _ in 0..100 {
            assert_eq!(ask(&mut client, &wordy()), 200); // a long record
            let stream = streams.next().expect("endless");
            modern.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/", &[]))); // many lines
            while modern.next().expect("an answer").payload != b"hello" {}
        }
    }
    assert_eq!(ask(&mut RawClient::connect(process.admin), &request("GET", "/readyz").bytes()), 200);
    // Two queues of 8 MiB, and as much again for what an allocator keeps.
    let grown = process.memory_kib().saturating_sub(before);
    assert!(grown < 40 * 1024, "{grown} KiB wait");
    assert_eq!(process.terminate(PATIENCE).code(), Some(0));
}

#[test]
fn what_is_logged_comes_whole_and_up_to_the_last_line() {
    const REQUESTS: usize = 300;
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let process = serve(folder.path(), &backend);
    let mut pipe = File::open(folder.path().join("pipe")).expect("opened");
    let reader = thread::spawn(move || {
        let mut said = String::new();
        pipe.read_to_string(&mut said).map(|_| said)
    });
    let mut client = RawClient::connect(process.doors[0]);
    for _ in 0..REQUESTS {
        assert_eq!(ask(&mut client, &wordy()), 200);
    }
    assert_eq!(process.terminate(PATIENCE).code(), Some(0));
    let said = reader.join().expect("no panic").expect("text");
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let lines: Vec<Value> = said.lines().filter(|line| !line.starts_with("console: ")).map(line).collect();
    assert_eq!(lines.iter().filter(|line| line["path"] == "/orders").count(), REQUESTS);
    assert_eq!(lines.last().expect("a line")["message"], "stopped");
}
