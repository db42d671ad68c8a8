//! Case 17: a few bytes that unpack to many (RFC 7541 §7.3), from a client whose window is closed, so that replies pile up.

use std::time::Duration;

use crate::support::backend::{Backend, Reply};
use crate::support::frames::{END_HEADERS, END_STREAM, Frames, HEADERS, SETTINGS, frame, get};
use crate::support::gateway::wait_until;
use crate::support::in_short_or_soak;
use crate::support::modern::Modern;
use crate::support::pairs::Pair;
use crate::support::process::{Process, with_two_doors};
use crate::support::relay::Door;
use crate::support::trial::OPEN;

/// How long the header is that the bomb repeats.
const LONG: usize = 3_000;
/// A header block's byte for the entry that was added last (RFC 7541 §6.1, §2.3.3).
const LATEST: u8 = 0x80 + 62;
/// Streams of one connection.
const STREAMS: u32 = 100;
/// What one request in flight may hold: its headers, twice, and what is read ahead of a reply.
const EACH_KIB: usize = 192;

/// The headers of a GET, and one long header that is remembered.
fn first() -> Vec<u8> {
    let mut block = get("/bomb", &[]);
    block.extend([0x40, 3]); // literal with incremental indexing (RFC 7541 §6.2.1)
    block.extend(b"x-b");
    let rest = LONG - 127;
    block.extend([127, u8::try_from(rest % 128).expect("small") | 128, u8::try_from(rest / 128).expect("small")]);
    block.extend([b'v'; LONG]);
    block
}

/// A GET that has the remembered header so many times.
fn bomb(times: usize) -> Vec<u8> {
    [get("/bomb", &[]), vec![LATEST; times]].concat()
}

/// A connection whose window is closed, with `STREAMS` requests that have the long header so many times.
fn attack(door: &Door, times: usize) -> Frames {
    let mut client = Frames::connect(door.address);
    client.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])); // SETTINGS_INITIAL_WINDOW_SIZE of nothing
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &first()));
    for place in 1..STREAMS {
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * place, &bomb(times)));
    }
    client
}

fn ask_well(good: &mut Modern) {
    let answer = good.ask(good.request("/good"), "").expect("an answer for the good client");
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"good"[..]));
}

#[test]
fn headers_that_unpack_to_much_are_bounded_also_while_the_window_is_closed() {
    let backend = Backend::replying(|request| match &*request.target {
        "/bomb" => {
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n").then_repeatedly(vec![b'x'; 64 * 1024], 16)
        }
        _ => Reply::ok("good"),
    });
    let (folder, pair) = (tempfile::tempdir().expect("a folder"), Pair::of(&["localhost"]));
    pair.write(folder.path(), "a");
    let tables = format!("[drain]\ndelay = \"0s\"\n[limits]\nwrite_stall = \"3s\"\n{OPEN}");
    let process = Process::serve(folder.path(), &with_two_doors(backend.address(), 1, &tables));
    let mut good = Modern::in_clear(process.doors[0]).expect("connected");
    for door in Door::both(process.doors[0], process.doors[1], &pair, "h2") {
        assert_bombs_are_bounded(&process, &backend, &door, &mut good);
    }
}

/// Bombs through `door`, beside a good client.
fn assert_bombs_are_bounded(process: &Process, backend: &Backend, door: &Door, good: &mut Modern) {
    let connections = in_short_or_soak(4, 40);
    let before = backend.requests().len();
    ask_well(good);
    let first = attack(door, 4); // tables and pools have their size afterwards
    wait_until("the first requests are there", || backend.requests().len() > before + 50);
    drop(first);
    ask_well(good);
    let (files, memory) = (process.open_files(), process.memory_kib());

    // Far over the bound of the list: 15 MB out of 5 KB, each. Not one is let through.
    let arrived = || backend.requests().iter().filter(|request| request.all("x-b").len() > 4).count();
    let over: Vec<_> = (0..connections).map(|_| attack(door, 5_000)).collect();
    for _ in 0..20 {
        ask_well(good);
    }
    assert_eq!(arrived(), 0);
    drop(over);

    // Within the bound: 12 KB out of 60 bytes, on every stream at once.
    let within: Vec<_> = (0..connections).map(|_| attack(door, 4)).collect();
    let mut most = 0;
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        ask_well(good);
        most = most.max(process.memory_kib());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let bound = memory + connections * STREAMS as usize * EACH_KIB;
    eprintln!("{connections} connections: {memory} KiB before, {most} KiB at most, {bound} KiB allowed");
    assert!(most < bound, "{most} KiB, and {memory} before");
    drop(within);
    wait_until("every file is closed", || process.open_files() <= files + 2);
    ask_well(good);
}
