//! Case 29: five times as many requests as the backend takes at once, and an admin port that answers all the same.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use relevo::clock::Clock;

use crate::fire::PATIENT;
use crate::support::backend::{Backend, Reply};
use crate::support::gateway::TestGateway;
use crate::support::in_short_or_soak;
use crate::support::request::request;

/// How many requests the backend takes at once, and how many may wait for it.
const CAPACITY: usize = 20;
/// How long a call of the admin port may take meanwhile in nine cases of ten, and ever, on a machine that has other work.
const PATIENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

#[test]
fn five_times_the_load_is_refused_for_what_is_too_much_and_the_admin_port_answers() {
    let lasting = in_short_or_soak(Duration::from_secs(2), Duration::from_mins(2));
    let backend = Backend::replying(|_| {
        thread::park_timeout(Duration::from_millis(20)); // what a backend at its bound needs for one
        Reply::ok("hello")
    });
    let gateway = TestGateway::in_front_of(&backend)
        .upstream(&format!("in_flight = {CAPACITY}\nwaiting = {CAPACITY}"))
        .settings(PATIENT)
        .secured()
        .clock(Clock::system())
        .start();
    let (key, other) = (gateway.create_key("ci").done(), gateway.create_key("other").done());
    let (over, served, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (mut calls, ways) = (Vec::new(), gateway.ways());
    thread::scope(|scope| {
        for way in ways.iter().cycle().take(5 * CAPACITY) {
            scope.spawn(|| {
                let mut client = way.connect().expect("connected");
                while !over.load(Ordering::Relaxed) {
                    let answer = client.ask(&request("GET", "/").token(&key.token)).expect("an answer");
                    match answer.status {
                        200 => served.fetch_add(1, Ordering::Relaxed),
                        503 => {
                            assert!(answer.text().contains("\"code\":\"overloaded\""), "{}", answer.text());
                            assert!(answer.header("retry-after").is_some());
                            refused.fetch_add(1, Ordering::Relaxed)
                        }
                        status => panic!("{status}: {}", answer.text()),
                    };
                }
            });
        }
        let begun = Instant::now();
        while begun.elapsed() < lasting {
            let asked = Instant::now();
            let new = gateway.renew(&other).done();
            assert_eq!(gateway.admin("GET", "/readyz", None).status, 200);
            assert_eq!(gateway.delete_old(&other).status, 200);
            calls.push(asked.elapsed() / 3);
            assert_ne!(gateway.status_with(&new), 401);
            assert_eq!(gateway.status_with(&other), 401, "refusals do not wait for the backend");
            thread::park_timeout(Duration::from_millis(20));
        }
        over.store(true, Ordering::Relaxed);
    });
    let (served, refused) = (served.into_inner(), refused.into_inner());
    calls.sort();
    let (usual, slowest) = (calls[calls.len() * 9 / 10], calls[calls.len() - 1]);
    eprintln!(
        "{served} served, {refused} refused; a call of the admin port took {usual:?} (nine of ten) and {slowest:?} at most"
    );
    assert!(served >= 5 * CAPACITY && refused >= 5 * CAPACITY, "{served} served, {refused} refused");
    assert!(usual < PATIENCE[0] && slowest < PATIENCE[1], "the admin port took {usual:?}, {slowest:?}");
    for way in ways.iter().cycle().take(12) {
        let answer = way.ask(&request("GET", "/").token(&key.token));
        assert_eq!(answer.map(|answer| answer.status), Ok(200), "{way:?}");
    }
}
