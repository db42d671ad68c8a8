//! Whoever is late loses his own connection, and nobody else anything.

mod attackers;

use std::time::{Duration, Instant};

use crate::support::backend::{Backend, Gate, Reply};
use crate::support::client::RawClient;
use crate::support::gateway::{TestGateway, wait_until};
use crate::support::pairs::Pair;
use crate::support::request::request;
use crate::support::trial::{OPEN, anonymous, echo};
use crate::support::ways::{Caller, Way};

const ROUTES: &str = "[[routes]]
path = \"/stream\"
auth = \"none\"
streaming = true
upstream = \"backend\"
";

/// A gateway with these limits.
fn gateway(backend: &Backend, limits: &str) -> TestGateway {
    TestGateway::in_front_of(backend)
        .routes(&[OPEN, ROUTES].concat())
        .settings(&format!("[limits]\n{limits}\n"))
        .start()
}

/// How many connections were closed because of this wait.
fn late(gateway: &TestGateway, wait: &str) -> u64 {
    late_in(&gateway.metrics(), wait)
}

/// The same, in these metrics.
fn late_in(metrics: &str, wait: &str) -> u64 {
    let line = format!("relevo_late_total{{wait=\"{wait}\"}} ");
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
    const LENGTH: usize = 64 * 1024 * 1024;
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
        // Enough for the system below to see room: it opens windows in large steps.
        taking.read_at_least(2 * 1024 * 1024);
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

// Case 29, its first half.
#[test]
fn accepting_outlives_the_lack_of_files() {
    let backend = echo();
    let folder = tempfile::tempdir().expect("a folder");
    let pair = Pair::of(&["localhost"]);
    let limits = "keep_alive = \"1h\"\nfirst_byte = \"1h\"";
    let gateway = attackers::process(folder.path(), &pair, &backend, limits, "true");
    let ways = Way::all(gateway.doors[0], gateway.doors[1], &pair);
    let ask = |(way, client): (&Way, &mut Caller)| {
        let answer = client.ask(&anonymous("/a")).map(|answer| answer.text());
        assert_eq!(answer.as_deref(), Ok("/a"), "{way:?}");
    };
    let mut good = ways.each_ref().map(|way| way.connect().expect("connected"));
    ways.iter().zip(&mut good).for_each(ask);
    gateway.bound_open_files(gateway.open_files() + 12); // fewer than there were to be when it began
    let crowd: Vec<_> = (0..100).map(|place| RawClient::connect(gateway.doors[place % 2])).collect();
    let said = || std::fs::read_to_string(folder.path().join("stderr.log")).unwrap_or_default();
    wait_until("there is no file left", || said().contains("no connection can be accepted"));
    ways.iter().zip(&mut good).for_each(ask); // who is in stays in
    drop(crowd);
    let mut late = ways.each_ref().map(|way| way.connect().expect("accepting goes on"));
    ways.iter().zip(&mut late).for_each(ask);
    assert_eq!(said().matches("no connection can be accepted").count(), 1, "told once");
}

#[test]
fn a_route_has_waits_of_its_own() {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::replying(move |request| match request.target.rsplit('/').next() {
        Some("head") => Reply::default().then_waiting_for(&held),
        Some("body") => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").then_waiting_for(&held),
        _ => Reply::raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nhello").then_waiting_for(&held),
    });
    // The first is served by the lane, the second by the engine, the third waits as its upstream does.
    let own = "head_timeout = \"1s\"\nbody_timeout = \"1s\"\nstream_idle = \"1s\"\n";
    let route = |path: &str, own: &str| {
        format!("[[routes]]\npath = \"{path}\"\nauth = \"none\"\nupstream = \"backend\"\n{own}")
    };
    let routes =
        [route("/lane", own), route("/engine", &format!("{own}strip_prefix = true\n")), route("/", "")].concat();
    let gateway = TestGateway::in_front_of(&backend).routes(&routes).start();
    let ask = |target: String| {
        let mut client = gateway.connect();
        client.send(&anonymous(&target).bytes());
        client
    };
    let mut patient = ["head", "body", "stream"].map(|what| ask(format!("/{what}")));
    for way in ["lane", "engine"] {
        let begun = Instant::now();
        let mut late = ["head", "body", "stream"].map(|what| ask(format!("/{way}/{what}")));
        assert_eq!(late[0].read_response().status, 504, "{way}");
        for client in &mut late[1..] {
            let reply = String::from_utf8(client.read_to_end()).expect("text");
            assert!(
                reply.starts_with("HTTP/1.1 200 ") && reply.contains("hello") && !reply.ends_with("0\r\n\r\n"),
                "{reply}"
            );
        }
        assert!(begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < Duration::from_secs(10), "{way}");
    }
    patient[1].read_until(b"hello");
    assert!(!patient[0].is_readable() && !patient[1].is_closing() && !patient[2].is_closing());
    gate.open();
}
