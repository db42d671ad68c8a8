//! Case 24: hundreds of `kill -9` at random instants: what was acknowledged is there, nothing is half done, nothing revives,
//! on whichever way a token comes.

mod model;

use std::cell::RefCell;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::support::DEADLINE;
use crate::support::backend::Backend;
use crate::support::gateway::wait_until;
use crate::support::pairs::Pair;
use crate::support::process::{Process, with_two_doors};
use crate::support::request::request;
use crate::support::ways::{Caller, Way};

use model::{Call, Command, Model, NAMES};

/// How often the process of each lane is killed.
const KILLS: usize = 150;
/// Within how many milliseconds after its start.
const LIFE_MILLIS: u64 = 60;

#[test]
fn every_acknowledged_change_survives_hundreds_of_kills_whole() {
    let backend = Backend::answering("hello");
    let backend = backend.address();
    thread::scope(|scope| {
        for seed in [1, 2] {
            scope.spawn(move || live_through_kills(seed, backend));
        }
    });
}

/// One lane: a store of its own, and a process after the other on it.
fn live_through_kills(seed: u64, backend: SocketAddr) {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = Pair::of(&["localhost"]);
    pair.write(folder.path(), "a");
    let guarded = "[limits]\nfailures = 0\n[[routes]]\npath = \"/\"\nupstream = \"backend\"\n";
    let configuration = with_two_doors(backend, 1, guarded);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut model = Model { duration_days: 90, ..Model::default() };
    let (mut undecided, mut acknowledged) = (None, 0);
    for kill in 0..KILLS {
        let process = Process::serve(folder.path(), &configuration);
        let root = fs::read_to_string(folder.path().join("admin.token")).expect("the first administrator's token");
        let ways = Way::all(process.doors[0], process.doors[1], &pair);
        let view = Seen { admin: process.admin, root: root.trim(), gateway: ways.map(Kept::at) };
        wait_until("it is ready", || {
            exchange(view.admin, "GET", "/readyz", "", None).is_some_and(|(status, _)| status == 200)
        });
        model = view.decide(model, undecided.take(), &format!("seed {seed}, kill {kill}"));
        let life = Duration::from_millis(rng.random_range(0..LIFE_MILLIS));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::park_timeout(life); // the random instant itself
                process.signal(Signal::SIGKILL);
            });
            loop {
                let Some(call) = model.call(&any_command(&mut rng), &model::secret(&mut rng)) else { continue };
                match view.call(call.method, &call.path, call.body.as_ref()) {
                    Some((200..=299, _)) => {
                        acknowledged += 1;
                        model = call.after;
                    }
                    Some((status, problem)) => panic!("{} {}: {status} {problem}", call.method, call.path),
                    None => break undecided = Some(call),
                }
                if let Some((token, accepted)) = model.answers().choose(&mut rng)
                    && let Some(status) = view.status_with(rng.random_range(0..view.gateway.len()), token)
                {
                    assert_eq!(status == 200, *accepted, "seed {seed}, kill {kill}");
                }
            }
        });
    }
    assert!(acknowledged > KILLS, "only {acknowledged} commands were acknowledged");
}

fn any_command(rng: &mut StdRng) -> Command {
    let name = NAMES.choose(rng).copied().unwrap_or("a");
    match rng.random_range(0..16) {
        0..=1 => Command::Create(name),
        2..=5 => Command::Renew(name),
        6..=7 => Command::Undo(name),
        8..=9 => Command::DeleteOld(name),
        10 => Command::Plan(name, rng.random_range(2..30)), // a day is written 24h
        11..=12 => Command::Note(name, rng.random_range(1..1_000)),
        13 => Command::Activate(name, rng.random()),
        14 => Command::Delete(name),
        _ => Command::Duration(rng.random_range(90..100)),
    }
}

/// A running process, as a client sees it.
struct Seen<'a> {
    admin: SocketAddr,
    root: &'a str,
    gateway: [Kept; 4],
}

/// A way with the connection that is kept on it.
struct Kept {
    way: Way,
    connection: RefCell<Option<Caller>>,
}

impl Kept {
    fn at(way: Way) -> Self {
        Self { way, connection: RefCell::default() }
    }

    /// What is answered to a GET with this token; `None` if the gateway is gone.
    fn status_with(&self, token: &str) -> Option<u16> {
        let mut kept = self.connection.borrow_mut();
        let mut caller = kept.take().or_else(|| self.way.connect().ok())?;
        let answer = caller.ask(&request("GET", "/").token(token)).ok()?;
        *kept = (!answer.closed).then_some(caller);
        Some(answer.status)
    }
}

impl Seen<'_> {
    /// Of the last state acknowledged and the one that a lost answer may have told of: the one that is there.
    fn decide(&self, before: Model, undecided: Option<Call>, at: &str) -> Model {
        let candidates: Vec<_> = [Some(before), undecided.map(|call| call.after)].into_iter().flatten().collect();
        let mut reasons = Vec::new();
        for candidate in candidates {
            match self.difference(&candidate) {
                None => return candidate,
                Some(reason) => reasons.push(reason),
            }
        }
        panic!("{at}: neither state is there whole: {reasons:#?}");
    }

    /// How what is seen differs from `model`.
    fn difference(&self, model: &Model) -> Option<String> {
        let settings = self.read("/v1/settings");
        if settings["duration"] != format!("{}d", model.duration_days) {
            return Some(format!("settings {settings}"));
        }
        let events = self.events();
        for name in NAMES {
            let (status, view) = self.call("GET", &format!("/v1/keys/{name}"), None).expect("answered");
            match model.keys.get(name) {
                None if status == 404 => {}
                Some(key) if status == 200 && key.is_seen_in(&view) => {
                    let is_change = |event: &&Value| {
                        let told = ["renewal.adopted", "command.refused"];
                        event["key"] == view["id"] && !told.iter().any(|action| event["action"] == *action)
                    };
                    let told = events.iter().filter(is_change);
                    let told = told.count() as u64;
                    if told != key.version {
                        return Some(format!("{name} is at version {}, and {told} events tell of it", key.version));
                    }
                }
                expected => return Some(format!("{name} is {status} {view}, and not {expected:?}")),
            }
        }
        model.answers().iter().enumerate().find_map(|(place, (token, accepted))| {
            let way = place % self.gateway.len();
            let status = self.status_with(way, token);
            let is_right = status == Some(if *accepted { 200 } else { 401 });
            (!is_right)
                .then(|| format!("a token met {status:?} on {:?}, and {accepted} is right", self.gateway[way].way))
        })
    }

    fn read(&self, path: &str) -> Value {
        self.call("GET", path, None).expect("answered").1
    }

    /// Every event, page by page.
    fn events(&self) -> Vec<Value> {
        let (mut events, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.read(&format!("/v1/audit?limit=500{cursor}"));
            events.extend(page["events"].as_array().expect("events").iter().cloned());
            let Some(next) = page["next_cursor"].as_str() else { return events };
            cursor = format!("&cursor={next}");
        }
    }

    /// What the gateway answers to a token on one of its ways; `None` if it is gone.
    fn status_with(&self, way: usize, token: &str) -> Option<u16> {
        self.gateway[way].status_with(token)
    }

    /// A call by the first administrator; `None` if there was no whole answer.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        exchange(self.admin, method, path, self.root, body)
    }
}

/// One request on a connection of its own. `None` if there was no whole answer.
fn exchange(address: SocketAddr, method: &str, path: &str, token: &str, body: Option<&Value>) -> Option<(u16, Value)> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let announced =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    if announced.is_some_and(|length: usize| length != body.len()) {
        return None; // broken off
    }
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}
