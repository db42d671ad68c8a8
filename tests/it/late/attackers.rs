//! Case 19: a crowd of slow attackers beside good clients, who notice nothing. 250 of them here, 4,000 in `make soak`.
//!
//! Promises: attackers stay until the gateway ends it with them, each at the deadline of what it is slow with; afterwards
//! the process has as many files open as before, and as much memory.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::{ROUTES, late_in};
use crate::support::backend::{Backend, Reply};
use crate::support::gateway::wait_until;
use crate::support::pairs::Pair;
use crate::support::process::{Process, with_two_doors};
use crate::support::request::request;
use crate::support::trial::{OPEN, anonymous};
use crate::support::ways::{Caller, Way};
use crate::support::{DEADLINE, allow_files, in_short_or_soak};

/// How much more memory the process may have after the attack than before it: what an allocator keeps.
const SLACK_KIB: usize = 24 * 1024;

/// What an attacker is slow with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    Silence,
    Head,
    Body,
    Reading,
    Handshake,
}

const MANNERS: [Manner; 5] = [Manner::Silence, Manner::Head, Manner::Body, Manner::Reading, Manner::Handshake];

impl Manner {
    /// What it sends first.
    fn opening(self) -> Vec<u8> {
        match self {
            Self::Silence => Vec::new(),
            Self::Head => b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ".to_vec(),
            Self::Body => request("POST", "/body").header("Content-Length", "1000").bytes(),
            Self::Reading => anonymous("/long").bytes(),
            // The beginning of a hello of 16 KiB: so many single bytes do not come to its end.
            Self::Handshake => b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03".to_vec(),
        }
    }

    /// What it is late with, in the metrics; a body that stops is a refusal.
    fn wait(self) -> Option<&'static str> {
        match self {
            Self::Silence => Some("first_byte"),
            Self::Head => Some("head"),
            Self::Body => None,
            Self::Reading => Some("write"),
            Self::Handshake => Some("handshake"),
        }
    }
}

struct Attacker {
    manner: Manner,
    stream: TcpStream,
}

impl Attacker {
    fn begin(manner: Manner, [clear, secure]: [SocketAddr; 2]) -> Self {
        let address = if manner == Manner::Handshake { secure } else { clear };
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        // Who reads nothing takes little with him into the kernel's memory.
        socket.set_recv_buffer_size(4 * 1024).expect("set");
        socket.connect_timeout(&address.into(), DEADLINE).expect("connected");
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(DEADLINE)).expect("set");
        stream.write_all(&manner.opening()).expect("sent");
        Self { manner, stream }
    }

    /// One more byte, where that may look like progress. Closed already, if it cannot be sent.
    fn trickle(&mut self) {
        match self.manner {
            Manner::Head | Manner::Handshake => drop(self.stream.write(b"x")),
            Manner::Silence | Manner::Body | Manner::Reading => {}
        }
    }

    /// All that was answered, up to the end.
    fn answer(&mut self) -> String {
        let mut bytes = Vec::new();
        drop(self.stream.read_to_end(&mut bytes)); // a reset is an end as well
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A gateway in a process of its own, in front of `backend`, with these limits, a port in clear and one that shows `pair`,
/// after `preparation`.
pub(super) fn process(folder: &Path, pair: &Pair, backend: &Backend, limits: &str, preparation: &str) -> Process {
    pair.write(folder, "a");
    let tables = format!("[drain]\ndelay = \"0s\"\n[limits]\n{limits}\n{OPEN}{ROUTES}");
    Process::serve_after(folder, &with_two_doors(backend.address(), 1, &tables), preparation)
}

/// What bounds every manner of being slow.
fn waits(patience: Duration) -> String {
    let seconds = patience.as_secs();
    let waits = ["first_byte", "head_timeout", "handshake_timeout", "write_stall", "body_stall"];
    "linger = \"1s\"\n".to_owned() + &waits.map(|wait| format!("{wait} = \"{seconds}s\"\n")).concat()
}

/// A good client: one connection on each way, which it keeps, and a new one from time to time.
struct Good {
    ways: [Way; 4],
    kept: [Caller; 4],
    slowest: Duration,
    asked: usize,
}

impl Good {
    fn on(ways: [Way; 4]) -> Self {
        let kept = ways.each_ref().map(|way| way.connect().expect("connected"));
        Self { ways, kept, slowest: Duration::ZERO, asked: 0 }
    }

    /// Asks on one way after the other.
    fn ask(&mut self) {
        let place = self.asked % self.ways.len();
        let begun = Instant::now();
        let kept = self.kept[place].ask(&anonymous("/good")).map(|answer| answer.text());
        assert_eq!(kept.as_deref(), Ok("/good"), "{:?}", self.ways[place]);
        if self.asked.is_multiple_of(9) {
            let fresh = self.ways[place].ask(&anonymous("/fresh")).map(|answer| answer.text());
            assert_eq!(fresh.as_deref(), Ok("/fresh"), "{:?}", self.ways[place]);
        }
        self.asked += 1;
        self.slowest = self.slowest.max(begun.elapsed());
    }
}

/// So many attackers of each manner, from their first byte until the gateway has closed them all.
fn attack(process: &Process, good: &mut Good, each: usize, patience: Duration) {
    let doors = [process.doors[0], process.doors[1]];
    let before = process.open_files();
    let begun = Instant::now();
    let mut attackers: Vec<_> = (0..each).flat_map(|_| MANNERS).map(|manner| Attacker::begin(manner, doors)).collect();
    let opened = begun.elapsed();
    // Nobody is sent away before his time: all are in at once.
    if opened < patience {
        wait_until("all are in", || process.open_files() >= before + 5 * each || begun.elapsed() > patience);
        assert!(begun.elapsed() <= patience, "{} files of {each} each", process.open_files());
    }
    // A body that has begun makes itself known to the backend, or not; either is over by then.
    let end = opened + patience + Duration::from_secs(8);
    while process.open_files() > before + 2 {
        assert!(begun.elapsed() < end, "{} files are still open, and {before} were", process.open_files());
        good.ask();
        attackers.iter_mut().for_each(Attacker::trickle);
        std::thread::park_timeout(Duration::from_millis(10));
    }
    assert!(begun.elapsed() >= patience, "closed before the deadline");
    for attacker in &mut attackers {
        match attacker.manner {
            Manner::Body => assert!(attacker.answer().starts_with("HTTP/1.1 408 ")),
            Manner::Silence | Manner::Head | Manner::Handshake => assert_eq!(attacker.answer(), ""),
            Manner::Reading => {} // what the kernel still has for it is not ours to count
        }
    }
    good.ask();
}

#[test]
fn slow_attackers_lose_their_connections_and_a_good_client_notices_nothing() {
    let each = in_short_or_soak(50, 800);
    let patience = in_short_or_soak(Duration::from_secs(3), Duration::from_secs(10));
    allow_files();
    let backend = Backend::replying(|request| match &*request.target {
        "/long" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n")
            .then_repeatedly(vec![b'x'; 64 * 1024], 512),
        target => Reply::ok(target),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let pair = Pair::of(&["localhost"]);
    let process = process(folder.path(), &pair, &backend, &waits(patience), "true");
    let mut good = Good::on(Way::all(process.doors[0], process.doors[1], &pair));
    (0..4).for_each(|_| good.ask());
    attack(&process, &mut good, each / 5, patience); // tables have their size now, and pools their buffers
    let (files, memory) = (process.open_files(), process.memory_kib());
    attack(&process, &mut good, each, patience);
    wait_until("every file is closed", || process.open_files() <= files + 2);
    wait_until("memory is back", || process.memory_kib() <= memory + SLACK_KIB);
    for (manner, wait) in MANNERS.iter().filter_map(|manner| Some((manner, manner.wait()?))) {
        let late = late_in(&process.metrics(folder.path()), wait);
        assert_eq!(late, u64::try_from(each + each / 5).expect("few"), "{manner:?}");
    }
    let after = process.memory_kib();
    eprintln!(
        "{} slow attackers: {} good requests, the slowest {:?}; memory {memory} KiB before, {after} KiB after",
        MANNERS.len() * each,
        good.asked,
        good.slowest
    );
    assert!(good.slowest < Duration::from_secs(2), "the good client waited {:?}", good.slowest);
    assert_eq!(backend.faults().iter().filter(|fault| !fault.starts_with("ended within")).count(), 0);
}
