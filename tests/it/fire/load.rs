//! Constant load: threads that send requests on connections that stay open, and write down what they see.
//!
//! Promises: no instant lies; one is taken before the first byte of a request is written, one after the last byte of
//! its answer is read. No token is ever part of a failure's text.
//! Deliberately does not: judge.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use super::judge::{Change, Findings, Life, Observation, judge};
use crate::support::DEADLINE;
use crate::support::gateway::Holder;

/// How long a phase may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whose token a thread sends.
#[derive(Clone, Copy, Debug)]
enum Aim {
    /// That which stands at this place.
    Place(usize),
    /// Each in turn, ended or not.
    Mix,
}

const AIMS: [Aim; 7] = [Aim::Place(0), Aim::Place(0), Aim::Place(1), Aim::Place(1), Aim::Place(2), Aim::Mix, Aim::Mix];

/// A token under fire.
struct Target {
    /// The request in every form of its credential.
    forms: [Vec<u8>; 2],
    /// How often it was changed, and how many requests since then were written and answered.
    count: Mutex<(usize, usize)>,
}

/// Where everything happens.
pub(super) struct Field {
    targets: RwLock<Vec<Arc<Target>>>,
    lives: Mutex<Vec<Life>>,
    /// Which token stands at each place.
    places: [AtomicUsize; 3],
    over: AtomicBool,
}

impl Field {
    /// Tells `story` under fire, then judges everything that was seen.
    pub(super) fn under_fire(gateway: SocketAddr, story: impl FnOnce(&Self)) -> Findings {
        let field = Self {
            targets: RwLock::default(),
            lives: Mutex::default(),
            places: Default::default(),
            over: AtomicBool::new(false),
        };
        let here = &field;
        let observations = thread::scope(|scope| {
            let over = Over(&here.over);
            let threads = AIMS.map(|aim| scope.spawn(move || here.fire(gateway, aim)));
            story(here);
            drop(over);
            threads.map(|thread| thread.join().expect("ended well")).concat()
        });
        judge(&lock(&field.lives), &observations)
    }

    /// The number of the token that `mint` asks for and reads, and its holder.
    pub(super) fn enlist(&self, mint: impl FnOnce() -> Holder) -> (usize, Holder) {
        let asked = Instant::now();
        let holder = mint();
        let answered = Instant::now();
        let token = &holder.token;
        let form = |header: &str| format!("GET / HTTP/1.1\r\nHost: localhost\r\n{header}{token}\r\n\r\n").into_bytes();
        let forms = ["Authorization: Bearer ", "X-API-Key: "].map(form);
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        targets.push(Arc::new(Target { forms, count: Mutex::default() }));
        lock(&self.lives).push(Life(vec![Change { asked, answered, accepts: true }]));
        (targets.len() - 1, holder)
    }

    /// Has the threads that fire at `place` take this token from now on.
    pub(super) fn place(&self, place: usize, token: usize) {
        self.places[place].store(token, Ordering::SeqCst);
    }

    /// The token is ended by `command`.
    pub(super) fn end(&self, token: usize, command: impl FnOnce()) {
        self.change(token, false, command);
    }

    /// The token is revived by `command`.
    pub(super) fn revive(&self, token: usize, command: impl FnOnce()) {
        self.change(token, true, command);
    }

    fn change(&self, token: usize, accepts: bool, command: impl FnOnce()) {
        let asked = Instant::now();
        command();
        let answered = Instant::now();
        lock(&self.lives)[token].0.push(Change { asked, answered, accepts });
        let target = self.target(token);
        let mut count = lock(&target.count);
        *count = (count.0 + 1, 0);
    }

    /// Waits until so many requests with each of the tokens were written and answered since its last change.
    pub(super) fn wait_for(&self, answers: usize, tokens: &[usize]) {
        let deadline = Instant::now() + PATIENCE;
        for token in tokens {
            let target = self.target(*token);
            while lock(&target.count).1 < answers {
                let (_, seen) = *lock(&target.count);
                assert!(Instant::now() < deadline, "{seen} answers to token {token} in {PATIENCE:?}, not {answers}");
                thread::park_timeout(Duration::from_millis(1));
            }
        }
    }

    fn target(&self, token: usize) -> Arc<Target> {
        Arc::clone(&self.targets.read().unwrap_or_else(PoisonError::into_inner)[token])
    }

    /// Fires until it is over. Every request is one observation.
    fn fire(&self, gateway: SocketAddr, aim: Aim) -> Vec<Observation> {
        let mut seen = Vec::new();
        let mut line = None;
        while !self.over.load(Ordering::SeqCst) {
            let known = self.targets.read().unwrap_or_else(PoisonError::into_inner).len();
            if known == 0 {
                thread::park_timeout(Duration::from_millis(1));
                continue;
            }
            let token = match aim {
                Aim::Place(place) => self.places[place].load(Ordering::SeqCst),
                Aim::Mix => seen.len() % known,
            };
            let target = self.target(token);
            let (change, _) = *lock(&target.count);
            let request = &target.forms[seen.len() / known % 2];
            let stream = line.get_or_insert_with(|| connect(gateway));
            let written = Instant::now();
            let status = exchange(stream, request).unwrap_or_default();
            let read = Instant::now();
            seen.push(Observation { token, written, read, status });
            if status == 0 {
                line = None;
            }
            let mut count = lock(&target.count);
            if count.0 == change {
                count.1 += 1;
            }
        }
        seen
    }
}

/// Ends the fire, also when the story fails.
struct Over<'f>(&'f AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(gateway: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&gateway, DEADLINE).expect("connected");
    stream.set_nodelay(true).expect("set");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    stream.set_write_timeout(Some(DEADLINE)).expect("set");
    stream
}

/// The status of the answer, which is read to its last byte; `None` if there is no whole answer with a length.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> Option<u16> {
    stream.write_all(request).ok()?;
    let mut answer = [0; 4096];
    let mut filled = 0;
    loop {
        let length = stream.read(answer.get_mut(filled..)?).ok().filter(|length| *length > 0)?;
        filled += length;
        let bytes = &answer[..filled];
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = std::str::from_utf8(&bytes[..end]).ok()?;
            let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
            let whole = end + 4 + content_length(head)?;
            if filled > whole {
                return None; // more than was asked for
            }
            if filled == whole {
                return Some(status);
            }
        }
    }
}

fn content_length(head: &str) -> Option<usize> {
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?.1.trim().parse().ok()
}
