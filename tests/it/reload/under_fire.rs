//! A configuration and a certificate that change again and again while tokens are rotated and requests fly, on HTTP/2 and
//! HTTP/1.1, over TLS and in clear. Fifty changes of each here, a thousand in `make soak`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::{call, configuration};
use crate::support::backend::Backend;
use crate::support::in_short_or_soak;
use crate::support::modern::Modern;
use crate::support::pairs::{Pair, trusting};
use crate::support::process::Process;

/// How many certificates take turns.
const PAIRS: usize = 8;

/// Tokens that are valid as long as somebody reads them here.
struct Valid {
    tokens: RwLock<Vec<String>>,
    asked: AtomicUsize,
    over: AtomicBool,
}

impl Valid {
    fn ask(&self, client: &mut Modern) -> Vec<u8> {
        let tokens = self.tokens.read().expect("nobody has panicked");
        let token = &tokens[self.asked.fetch_add(1, Ordering::Relaxed) % tokens.len()];
        let request = client.request("/a").header("authorization", format!("Bearer {token}"));
        let answer = client.ask(request, "").expect("an answer");
        assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
        answer.body.to_vec()
    }

    /// Asks until it is over. How many answers were from the first and from the second configuration.
    fn keep_asking(&self, mut client: Modern) -> [usize; 2] {
        let mut seen = [0; 2];
        while !self.over.load(Ordering::Relaxed) {
            match &*self.ask(&mut client) {
                b"first" => seen[0] += 1,
                b"second" => seen[1] += 1,
                other => panic!("{other:?}"),
            }
        }
        seen
    }

    /// Renews, uses both tokens, and ends one of them, until it is over. How often.
    fn rotate(&self, folder: &Path, process: &Process, key: &str) -> usize {
        let order = |command: &str, expected: u16| {
            let (status, reply) = call(folder, process, "POST", &format!("/v1/keys/{key}/{command}"));
            assert_eq!(status, expected, "{command}: {}", reply["code"]);
            reply
        };
        let mut times = 0;
        while !self.over.load(Ordering::Relaxed) {
            let new = order("renew", 201)["token"].as_str().expect("a token").to_owned();
            self.tokens.write().expect("nobody has panicked").push(new);
            let until = self.asked.load(Ordering::Relaxed) + 20;
            while self.asked.load(Ordering::Relaxed) < until && !self.over.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            let (retired, command) = if times % 3 == 2 { (1, "undo") } else { (0, "delete-old") };
            self.tokens.write().expect("nobody has panicked").remove(retired);
            order(command, 200);
            times += 1;
        }
        times
    }
}

#[test]
fn no_request_fails_while_configuration_certificates_and_tokens_change() {
    let changes = in_short_or_soak(50, 1_000);
    let backends = [Backend::answering("first"), Backend::answering("second")];
    let folder = tempfile::tempdir().expect("a folder");
    let pairs: Vec<_> = (0..PAIRS).map(|_| Pair::of(&["localhost"])).collect();
    pairs[0].write(folder.path(), "a");
    let texts = backends.each_ref().map(|backend| configuration(backend, "/").replace("auth = \"none\"\n", ""));
    let process = Process::serve(folder.path(), &texts[0]);
    let (clear, secure) = (process.doors[0], process.doors[1]);
    let (_, made) = super::call_with(folder.path(), &process, "POST", "/v1/keys", "{\"name\":\"ci\"}");
    let (key, token) = (made["key"]["id"].as_str().expect("an id"), made["token"].as_str().expect("a token"));
    let valid =
        Valid { tokens: RwLock::new(vec![token.to_owned()]), asked: AtomicUsize::new(0), over: AtomicBool::new(false) };
    let all: Vec<_> = pairs.iter().collect();
    let over_tls = |address: SocketAddr, protocols: &[&str]| {
        Modern::over_tls(address, "localhost", &trusting(&all, protocols)).expect("a handshake")
    };
    thread::scope(|scope| {
        let clients =
            [over_tls(secure, &["h2"]), over_tls(secure, &["http/1.1"]), Modern::in_clear(clear).expect("connected")];
        let valid = &valid;
        let clients = clients.map(|client| scope.spawn(move || valid.keep_asking(client)));
        let rotating = scope.spawn(|| valid.rotate(folder.path(), &process, key));
        for turn in 1..=changes {
            pairs[turn % PAIRS].write(folder.path(), "a");
            fs::write(folder.path().join("relevo.toml"), &texts[turn % 2]).expect("written");
            let (status, reply) = call(folder.path(), &process, "POST", "/v1/reload");
            assert_eq!(status, 200, "{reply}");
            let mut fresh = over_tls(secure, if turn % 3 == 0 { &["http/1.1"] } else { &["h2"] });
            let expected: &[u8] = if turn % 2 == 0 { b"first" } else { b"second" };
            assert_eq!(valid.ask(&mut fresh), expected);
            assert_eq!(fresh.agreed.expect("an agreement").certificate, pairs[turn % PAIRS].der());
        }
        valid.over.store(true, Ordering::Relaxed);
        let rotations = rotating.join().expect("every order was obeyed");
        let seen = clients.map(|client| client.join().expect("no request failed"));
        eprintln!("{changes} changes of configuration and certificate, {rotations} renewals, answers {seen:?}");
        assert!(rotations >= 3, "{rotations} renewals");
        assert!(seen.iter().flatten().all(|count| *count > 0), "{seen:?}");
    });
    assert!(backends.iter().all(|backend| backend.faults().is_empty()));
}
