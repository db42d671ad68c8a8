//! Whoever is late loses his own connection, and nobody else anything.

use std::time::{Duration, Instant};

use crate::support::backend::{Backend, Gate, Reply};
use crate::support::client::RawClient;
use crate::support::gateway::{TestGateway, wait_until};
use crate::support::request::request;
use crate::support::trial::{anonymous, echo};

const ROUTES: &str = "
[[routes]]
path = \"/\"
auth = \"none\"
upstream = \"backend\"
[[routes]]
path = \"/stream\"
auth = \"none\"
streaming = true
upstream = \"backend\"
";

/// A gateway with these limits.
fn gateway(backend: &Backend, limits: &str) -> TestGateway {
    TestGateway::in_front_of(backend).routes(ROUTES).settings(&format!("[limits]\n{limits}\n")).start()
}

/// How many connections were closed because of this wait.
fn late(gateway: &TestGateway, wait: &str) -> u64 {
    let line = format!("relevo_late_total{{wait=\"{wait}\"}} ");
    let metrics = gateway.metrics();
    metrics.lines().find_map(|each| each.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
}

#[test]
fn a_connection_without_a_byte_is_closed() {
    let backend = echo();
    let gateway = gateway(&backend, "first_byte = \"300ms\"");
    let begun = Instant::now();
    let mut silent = gateway.connect();
    assert!(silent.is_closed());
    assert!(begun.elapsed() >= Duration::from_millis(300));
    wait_until("it is counted", || late(&gateway, "first_byte") == 1);
}

#[test]
fn a_head_has_a_deadline_that_no_byte_puts_off() {
    let backend = echo();
    let gateway = gateway(&backend, "head_timeout = \"1s\"\nfirst_byte = \"1h\"\nkeep_alive = \"1h\"");
    for first in [&b""[..], &anonymous("/first").bytes()] {
        let mut slow = gateway.connect();
        if !first.is_empty() {
            slow.send(first);
            assert_eq!(slow.read_response().text(), "/first");
        }
        let begun = Instant::now();
        slow.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
        while !slow.is_closing() {
            assert!(begun.elapsed() < Duration::from_secs(5), "bytes put the deadline off");
            slow.send(b"x");
            std::thread::park_timeout(Duration::from_millis(50));
        }
        assert!(begun.elapsed() >= Duration::from_secs(1));
    }
    wait_until("both are counted", || late(&gateway, "head") == 2);
    assert_eq!(backend.requests().len(), 1);
}

#[test]
fn an_idle_connection_is_closed_and_one_that_waits_for_us_is_not() {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::replying(move |request| match &*request.target {
        "/slow" => Reply::default().then_waiting_for(&held).then("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow"),
        target => Reply::ok(target),
    });
    let gateway = gateway(&backend, "keep_alive = \"500ms\"\nfirst_byte = \"500ms\"\nhead_timeout = \"500ms\"");
    let mut waiting = gateway.connect();
    waiting.send(&anonymous("/slow").bytes());
    waiting.send(b"GET /next HTTP/1.1\r\n"); // the beginning of a head is in no hurry before its turn
    let mut idle = gateway.connect();
    idle.send(&anonymous("/a").bytes());
    assert_eq!(idle.read_response().text(), "/a");
    let begun = Instant::now();
    assert!(idle.is_closed());
    assert!(begun.elapsed() >= Duration::from_millis(500));
    wait_until("it is counted", || late(&gateway, "keep_alive") == 1);
    gate.open();
    assert_eq!(waiting.read_response().text(), "slow");
    waiting.send(b"Host: localhost\r\n\r\n");
    assert_eq!(waiting.read_response().text(), "/next");
}

#[test]
fn a_reply_that_nobody_takes_is_given_up_and_one_that_is_taken_slowly_is_not() {
    const LENGTH: usize = 32 * 1024 * 1024;
    let backend = Backend::replying(|_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
        Reply::raw([head.as_bytes(), &vec![b'x'; LENGTH]].concat())
    });
    let gateway = gateway(&backend, "write_stall = \"1s\"\nkeep_alive = \"1s\"");
    let mut taking = gateway.connect();
    taking.send(&anonymous("/").bytes());
    let mut deaf = gateway.connect();
    deaf.send(&anonymous("/").bytes());
    backend.wait_for(2);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        taking.read_some();
        std::thread::park_timeout(Duration::from_millis(200));
    }
    wait_until("the deaf one is counted", || late(&gateway, "write") == 1);
    assert_eq!(taking.read_response().body.len(), LENGTH);
}

#[test]
fn a_body_that_stops_or_trickles_is_408_and_one_of_a_stream_is_not() {
    let backend = Backend::replying(|request| Reply::ok(&request.body));
    let limits = "body_stall = \"1s\"\nbody_rate = 100\nbody_rate_over = \"2s\"\nstream_idle = \"1h\"";
    let gateway = gateway(&backend, limits);
    let post = |target: &str| {
        let mut client = gateway.connect();
        client.send(&request("POST", target).header("Content-Length", "1000").bytes());
        client
    };
    let mut stopping = post("/a");
    stopping.send(b"begin");
    let mut trickling = post("/b");
    let mut steady = post("/c");
    let mut streaming = post("/stream");
    let begun = Instant::now();
    let mut sent = 0;
    while sent < 1_000 {
        trickling.send(b"x");
        steady.send(&[b'x'; 20]);
        sent += 20;
        std::thread::park_timeout(Duration::from_millis(80));
    }
    assert!(begun.elapsed() >= Duration::from_secs(3), "the floor has had its time");
    assert_eq!(steady.read_response().body.len(), 1_000);
    for late in [&mut stopping, &mut trickling] {
        let answer = late.read_response();
        assert_eq!((answer.status, answer.closed), (408, true));
        assert!(answer.text().contains("\"code\":\"body_timeout\""), "{}", answer.text());
    }
    streaming.send(&[b'x'; 1_000]);
    assert_eq!(streaming.read_response().body.len(), 1_000);
    assert_eq!(backend.requests().len(), 2);
}

#[test]
fn a_connection_that_has_lived_long_says_with_a_reply_that_it_ends() {
    let backend = echo();
    let gateway = gateway(&backend, "connection_life = \"2s\"");
    let begun = Instant::now();
    let mut client = gateway.connect();
    loop {
        client.send(&anonymous("/a").bytes());
        let answer = client.read_response();
        assert_eq!(answer.status, 200);
        if answer.closed {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(4), "lives for ever");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert!(begun.elapsed() >= Duration::from_millis(1_700));
    assert!(client.is_closed());
}

#[test]
fn one_connection_too_many_is_told_so_and_a_place_that_is_free_is_given() {
    let backend = echo();
    let gateway = gateway(&backend, "connections = 2");
    let ask = |client: &mut RawClient| {
        client.send(&anonymous("/a").bytes());
        client.read_response()
    };
    let mut first = gateway.connect();
    let mut second = gateway.connect();
    assert_eq!((ask(&mut first).status, ask(&mut second).status), (200, 200));
    let refused = ask(&mut gateway.connect());
    assert_eq!((refused.status, refused.header("retry-after"), refused.closed), (503, Some("1"), true));
    drop(second);
    wait_until("there is a place again", || ask(&mut gateway.connect()).status == 200);
    assert_eq!(ask(&mut first).status, 200);
}

/// How many files this process has open.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("listed").count()
}

// Case 19, in short.
#[test]
fn slow_attackers_lose_their_connections_and_a_good_client_notices_nothing() {
    const EACH: usize = 50;
    let backend = Backend::replying(|request| match &*request.target {
        "/long" => {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n".as_bytes();
            Reply::raw([head, &vec![b'x'; 16 * 1024 * 1024]].concat())
        }
        target => Reply::ok(target),
    });
    let limits =
        "first_byte = \"2s\"\nhead_timeout = \"2s\"\nwrite_stall = \"2s\"\nbody_stall = \"2s\"\nlinger = \"1s\"";
    let gateway = gateway(&backend, limits);
    let mut good = gateway.connect();
    good.send(&anonymous("/good").bytes());
    assert_eq!(good.read_response().text(), "/good");
    let before = open_files();
    let begun = Instant::now();
    let attack = |bytes: &[u8]| {
        let mut client = gateway.connect();
        client.send(bytes);
        client
    };
    let body = request("POST", "/body").header("Content-Length", "1000").bytes();
    let mut attackers: Vec<_> = (0..EACH)
        .flat_map(|_| [attack(b""), attack(b"GET / HT"), attack(&body), attack(&anonymous("/long").bytes())])
        .collect();
    let mut slowest = Duration::ZERO;
    while begun.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        good.send(&anonymous("/good").bytes());
        assert_eq!(good.read_response().text(), "/good");
        slowest = slowest.max(asked.elapsed());
        for slow in attackers.iter_mut().skip(1).step_by(4) {
            slow.send(b"T"); // not a byte puts anything off
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    assert!(slowest < Duration::from_secs(1), "the good client waited {slowest:?}");
    let count = u64::try_from(EACH).expect("a number");
    for wait in ["first_byte", "head", "write"] {
        wait_until(wait, || late(&gateway, wait) == count);
    }
    for slow in attackers.iter_mut().skip(2).step_by(4) {
        assert_eq!(slow.read_response().status, 408);
    }
    attackers.clear();
    wait_until("every file is closed", || open_files() <= before + 4);
}
