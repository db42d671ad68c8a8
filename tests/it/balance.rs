//! Several endpoints: who gets how much, who is put out, who waits. Judged over all workers.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::backend::{Backend, Gate, Reply};
use crate::support::gateway::{Holder, Setup, TestGateway, wait_until};
use crate::support::request::request;
use crate::support::ways::Way;

fn in_front_of(endpoints: &[SocketAddr], more: &str) -> Setup {
    let endpoints: Vec<_> = endpoints.iter().map(|endpoint| format!("\"http://{endpoint}\"")).collect();
    let endpoints = endpoints.join(", ");
    TestGateway::with_upstreams(&format!("[[upstreams]]\nname = \"backend\"\nendpoints = [{endpoints}]\n{more}\n"))
        .secured()
}

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address")
}

/// So many clients, each on a way of its own while there are, ask so often each, every time on a connection of its own: the
/// statuses.
fn ask_at_once(gateway: &TestGateway, holder: &Holder, clients: usize, times: usize) -> Vec<u16> {
    let asked = request("GET", "/").token(&holder.token);
    let ask = |way: &Way| {
        let ask = |_| way.ask(&asked).unwrap_or_else(|fault| panic!("{way:?}: {fault}")).status;
        (0..times).map(ask).collect::<Vec<_>>()
    };
    let ways: Vec<_> = gateway.ways().into_iter().cycle().take(clients).collect();
    std::thread::scope(|scope| {
        let clients: Vec<_> = ways.iter().map(|way| scope.spawn(|| ask(way))).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    })
}

/// The value of a metric of one endpoint.
fn metric(gateway: &TestGateway, name: &str, endpoint: SocketAddr) -> Option<f64> {
    let start = format!("{name}{{upstream=\"backend\",endpoint=\"{endpoint}\"}} ");
    gateway.metrics().lines().find_map(|line| line.strip_prefix(&start)?.parse().ok())
}

fn condition(gateway: &TestGateway) -> (bool, String) {
    let status = gateway.admin("GET", "/v1/status", None).json;
    let all = status["health"].as_array().cloned().unwrap_or_default();
    let told = all.into_iter().find(|told| told["name"] == "upstream backend").unwrap_or_default();
    (told["ok"] == true, told["detail"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_slow_endpoint_gets_little_whichever_of_four_workers_asks() {
    let quick = [Backend::answering("quick"), Backend::answering("quick")];
    let slow = Backend::replying(|_| {
        std::thread::park_timeout(Duration::from_millis(100));
        Reply::ok("slow")
    });
    let endpoints = [quick[0].address(), slow.address(), quick[1].address()];
    let gateway = in_front_of(&endpoints, "").workers(4).start();
    let holder = gateway.create_key("ci").done();
    let answers = ask_at_once(&gateway, &holder, 16, 40);
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    let counts = [&quick[0], &slow, &quick[1]].map(|backend| backend.requests().len());
    assert_eq!(counts.iter().sum::<usize>(), 640);
    assert!(counts[1] * 3 < counts[0] && counts[1] * 3 < counts[2], "{counts:?}");
}

#[test]
fn weights_say_who_gets_how_much() {
    let backends = [Backend::answering("a"), Backend::answering("b")];
    let endpoints = backends.each_ref().map(Backend::address);
    let gateway = in_front_of(&endpoints, "weights = [1, 9]").start();
    let holder = gateway.create_key("ci").done();
    (0..300).for_each(|_| assert_eq!(gateway.status_with(&holder), 200));
    let light = backends[0].requests().len();
    assert!((5..=80).contains(&light), "{light} of 300 for a tenth");
}

#[test]
fn a_dead_endpoint_costs_nobody_an_answer_and_is_put_out_once_for_all_workers() {
    let backends = [Backend::answering("a"), Backend::answering("b")];
    let dead = nobody();
    let endpoints = [backends[0].address(), dead, backends[1].address()];
    let gateway = in_front_of(&endpoints, "eject_after = 3\neject_for = \"1h\"").workers(4).start();
    let holder = gateway.create_key("ci").done();
    let answers = ask_at_once(&gateway, &holder, 8, 40);
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert_eq!(metric(&gateway, "relevo_upstream_ejections_total", dead), Some(1.0));
    wait_until("it is told", || metric(&gateway, "relevo_upstream_up", dead) == Some(0.0));
    let (is_ok, detail) = condition(&gateway);
    assert!(!is_ok && detail.starts_with(&format!("{dead}: put out")), "{detail}");
    assert_eq!(gateway.admin("GET", "/readyz", None).status, 200, "an upstream does not decide on readiness");
}

#[test]
fn an_endpoint_whose_replies_break_off_is_put_out_and_one_whose_clients_leave_is_not() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    // The first goes through the lane, the second through the engine.
    for more in ["", "strip_prefix = true\n"] {
        let gate = Gate::default();
        let held = gate.clone();
        let breaking = Backend::replying(move |_| Reply::raw(half).then_closing());
        let slow = [(); 2].map(|()| {
            let held = held.clone();
            Backend::replying(move |request| match &*request.target {
                "/slow" => Reply::raw(half).then_waiting_for(&held).then("world"),
                _ => Reply::ok("well"),
            })
        });
        let routes = format!("[[routes]]\npath = \"/\"\nupstream = \"backend\"\n{more}");
        let setup = in_front_of(
            &[breaking.address(), slow[0].address(), slow[1].address()],
            "eject_after = 3\neject_for = \"1h\"",
        );
        let gateway = setup.routes(&routes).start();
        let holder = gateway.create_key("ci").done();
        let is_out =
            |backend: &Backend| metric(&gateway, "relevo_upstream_ejections_total", backend.address()) == Some(1.0);
        let mut broken = 0;
        while !is_out(&breaking) {
            let mut client = gateway.connect();
            client.send(&request("GET", "/").token(&holder.token).bytes());
            broken += usize::from(client.try_read_response().is_err());
            assert!(broken <= 3, "three are enough");
        }
        assert_eq!(broken, 3);
        for _ in 0..10 {
            let mut leaving = gateway.connect();
            leaving.send(&request("GET", "/slow").token(&holder.token).bytes());
            leaving.read_until(b"hello");
        }
        (0..10).for_each(|_| assert_eq!(gateway.status_with(&holder), 200));
        assert_eq!([&breaking, &slow[0], &slow[1]].map(is_out), [true, false, false]);
        gate.open();
    }
}

#[test]
fn the_last_endpoint_is_never_put_out() {
    let endpoints = [nobody(), nobody()];
    let gateway = in_front_of(&endpoints, "eject_after = 1\neject_for = \"1h\"").start();
    let holder = gateway.create_key("ci").done();
    let answers = ask_at_once(&gateway, &holder, 4, 10);
    assert!(answers.iter().all(|status| *status == 503), "{answers:?}");
    let ejections = endpoints.map(|endpoint| metric(&gateway, "relevo_upstream_ejections_total", endpoint));
    let ejected = ejections.iter().filter(|count| **count == Some(1.0)).count();
    assert_eq!(ejected, 1, "{ejections:?}");
}

#[test]
fn an_endpoint_whose_checks_fail_gets_nothing_until_they_pass_again() {
    let is_well = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&is_well);
    let checked = Backend::replying(move |request| match &*request.target {
        "/healthz?deep" if !seen.load(Ordering::Relaxed) => Reply::raw("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
        _ => Reply::ok("checked"),
    });
    let other = Backend::answering("other");
    let health = "slow_start = \"0s\"\nhealth = { path = \"/healthz?deep\", interval = \"50ms\", unhealthy = 2 }";
    let gateway = in_front_of(&[checked.address(), other.address()], health).start();
    let holder = gateway.create_key("ci").done();
    let asked = || checked.requests().iter().filter(|request| request.target == "/").count();
    wait_until("both get requests", || gateway.status_with(&holder) == 200 && asked() > 0);

    is_well.store(false, Ordering::Relaxed);
    wait_until("it is told", || condition(&gateway) == (false, format!("{}: answered 500", checked.address())));
    let before = asked();
    (0..40).for_each(|_| assert_eq!(gateway.status_with(&holder), 200));
    assert_eq!(asked(), before);
    assert_eq!(metric(&gateway, "relevo_upstream_up", checked.address()), Some(0.0));

    is_well.store(true, Ordering::Relaxed);
    wait_until("it is back", || gateway.status_with(&holder) == 200 && asked() > before);
    wait_until("it is told", || condition(&gateway).0);
    let (checks, others) = (checked.requests(), other.requests());
    let agents = checks.iter().filter(|request| request.target != "/").map(|request| request.all("user-agent"));
    assert!(agents.flatten().all(|agent| agent.starts_with("relevo/")));
    assert!(others.iter().any(|request| request.target == "/healthz?deep"), "each is checked");
    assert!([checked.faults(), other.faults()].iter().all(Vec::is_empty));
}

#[test]
fn without_a_path_a_check_is_a_connection() {
    let backend = Backend::answering("a");
    let dead = nobody();
    let health = "health = { interval = \"50ms\" }\neject_after = 0";
    let gateway = in_front_of(&[backend.address(), dead], health).start();
    wait_until("the dead one is told", || condition(&gateway).1.starts_with(&format!("{dead}: ")));
    assert!(backend.requests().is_empty());
    let revived = TcpListener::bind(dead).expect("the address is free");
    wait_until("it is back", || condition(&gateway).0);
    drop(revived);
}

#[test]
fn over_the_bound_some_wait_and_the_rest_are_told_when_to_come_again() {
    let gate = Gate::default();
    let held = gate.clone();
    let arrived = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&arrived);
    let backend = Backend::replying(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Reply::raw("").then_waiting_for(&held).then("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let bounds = "in_flight = 2\nwaiting = 2\nwait_timeout = \"20s\"";
    let gateway = in_front_of(&[backend.address()], bounds).workers(4).start();
    let holder = gateway.create_key("ci").done();
    let send = || {
        let mut client = gateway.connect();
        client.send(&request("GET", "/").token(&holder.token).bytes());
        client
    };
    let mut first: Vec<_> = (0..2).map(|_| send()).collect();
    wait_until("two are in flight", || arrived.load(Ordering::Relaxed) == 2);
    let mut more: Vec<_> = (0..6).map(|_| send()).collect();
    let is_refused = |client: &mut crate::support::client::RawClient| {
        client.is_readable() && {
            let reply = client.read_response();
            assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{}", reply.text());
            assert!(reply.text().contains("\"overloaded\""));
            true
        }
    };
    let mut refused = 0;
    let deadline = std::time::Instant::now() + crate::support::DEADLINE;
    while refused < 4 {
        assert!(std::time::Instant::now() < deadline, "only {refused} were refused");
        let before = more.len();
        more.retain_mut(|client| !is_refused(client));
        refused += before - more.len();
        std::thread::yield_now();
    }
    assert_eq!((more.len(), arrived.load(Ordering::Relaxed)), (2, 2));
    gate.open();
    for client in first.iter_mut().chain(&mut more) {
        assert_eq!(client.read_response().text(), "ok");
    }
}

/// What 8 clients, two on each way, meet who ask 200 times each on connections that they keep: failures, and how long the answers took, sorted.
fn meet(gateway: &TestGateway, holder: &Holder) -> (usize, Vec<Duration>) {
    let ask = &|way: Way| {
        let (mut client, mut failed, mut took) = (way.connect().expect("connected"), 0, Vec::new());
        for _ in 0..200 {
            let begun = std::time::Instant::now();
            let answer = client.ask(&request("GET", "/").token(&holder.token));
            failed += usize::from(answer.map(|answer| answer.status) != Ok(200));
            took.push(begun.elapsed());
        }
        (failed, took)
    };
    let all: Vec<_> = std::thread::scope(|scope| {
        let ways = gateway.ways().into_iter().cycle().take(8);
        let clients: Vec<_> = ways.map(|way| scope.spawn(move || ask(way))).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).collect()
    });
    let failed = all.iter().map(|(failed, _)| failed).sum();
    let mut took: Vec<_> = all.into_iter().flat_map(|(_, took)| took).collect();
    took.sort_unstable();
    (failed, took)
}

// Case 23.
#[test]
fn one_of_three_dead_or_slow_costs_no_answer_and_little_time() {
    for case in ["all well", "one dead", "one slow"] {
        let well = [Backend::answering("a"), Backend::answering("b")];
        let third = Backend::replying(move |_| {
            if case == "one slow" {
                std::thread::park_timeout(Duration::from_millis(200));
            }
            Reply::ok("c")
        });
        let last = if case == "one dead" { nobody() } else { third.address() };
        let gateway = in_front_of(&[well[0].address(), well[1].address(), last], "").workers(4).start();
        let (failed, took) = meet(&gateway, &gateway.create_key("ci").done());
        let [median, p99] = [50, 99].map(|percent| took[took.len() * percent / 100]);
        let share = third.requests().len() * 100 / took.len();
        eprintln!("{case}: {failed} of {} failed, median {median:?}, p99 {p99:?}, {share} % to the third", took.len());
        assert_eq!(failed, 0, "{case}");
        assert!(case != "one slow" || share < 10, "{share} % to the slow one");
    }
}
