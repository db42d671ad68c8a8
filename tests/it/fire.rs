//! Rotation under fire: commands while requests fly, over real sockets, by the real clock.
//!
//! Promises: every request is judged by the instants of its first and last byte against those of the commands.
//! Deliberately does not: print a token, or wait for time to pass.

mod judge;
mod load;

use std::collections::HashMap;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;

use relevo::clock::Clock;
use relevo::domain::{ApiKey, KeyId, Tokens};
use relevo::store::Notice;
use serde_json::{Value, json};

use self::judge::{Fault, Findings};
use self::load::Field;
use crate::support::backend::Backend;
use crate::support::client::RawClient;
use crate::support::gateway::{AdminReply, TestGateway};
use crate::support::in_short_or_soak;
use crate::support::request::request;
use crate::support::store::{Conduct, Misbehaving};
use crate::support::wire::values;

/// How many refusals of an ended token are to be seen.
const REFUSALS: usize = 1_000;
/// How many answers to a living token are to be seen in a phase.
const ANSWERS: usize = 300;

/// Every refusal is to be seen for itself.
pub(crate) const PATIENT: &str = "[limits]\nfailures = 0";

fn gateway(backend: &Backend) -> TestGateway {
    TestGateway::in_front_of(backend).clock(Clock::system()).settings(PATIENT).start()
}

#[track_caller]
fn must(reply: &AdminReply, status: u16) {
    assert_eq!(reply.status, status, "{}", reply.json["code"]);
}

/// Renew → undo → renew → delete old, each phase until it has been seen often enough. Answers the ended tokens.
fn rotate(gateway: &TestGateway, field: &Field) -> [usize; 2] {
    let (first, key) = field.enlist(|| gateway.create_key("ci").done());
    field.place(0, first);
    field.place(1, first);
    field.wait_for(ANSWERS, &[first]);

    let (undone, _) = field.enlist(|| gateway.renew(&key).done());
    field.place(1, undone);
    field.wait_for(ANSWERS, &[first, undone]);
    field.end(undone, || must(&gateway.undo(&key), 200));
    field.wait_for(REFUSALS, &[undone]);

    let (last, _) = field.enlist(|| gateway.renew(&key).done());
    field.place(1, last);
    field.wait_for(ANSWERS, &[first, last]);
    field.end(first, || must(&gateway.delete_old(&key), 200));
    field.wait_for(REFUSALS, &[first]);
    field.wait_for(ANSWERS, &[last]);
    [undone, first]
}

/// A key that is deactivated and activated again and again, then deleted. Answers its token.
fn come_and_go(gateway: &TestGateway, field: &Field) -> usize {
    let (token, key) = field.enlist(|| gateway.create_key("second").done());
    field.place(2, token);
    let path = format!("/v1/keys/{}", key.id);
    let set = |status: &str| must(&gateway.admin("PATCH", &path, Some(&json!({ "status": status }))), 200);
    for _ in 0..5 {
        field.wait_for(ANSWERS / 3, &[token]);
        field.end(token, || set("inactive"));
        field.wait_for(ANSWERS / 3, &[token]);
        field.revive(token, || set("active"));
    }
    field.wait_for(ANSWERS / 3, &[token]);
    field.end(token, || must(&gateway.admin("DELETE", &path, None), 204));
    field.wait_for(REFUSALS, &[token]);
    token
}

#[test]
fn nothing_is_refused_or_accepted_wrongly_while_tokens_are_rotated_under_fire() {
    let wanted = in_short_or_soak(1, 1_000_000);
    let mut judged = 0;
    while judged < wanted {
        judged += rotation_under_fire();
    }
    eprintln!("{judged} requests were answered rightly");
}

/// Rotates on a gateway of its own. How many requests were judged.
fn rotation_under_fire() -> usize {
    let backend = Backend::answering("hello");
    let gateway = gateway(&backend);
    let ended = Mutex::new(Vec::new());
    let end = |tokens: &[usize]| ended.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(tokens);
    let findings = Field::under_fire(gateway.address(), |field| {
        thread::scope(|scope| {
            scope.spawn(|| end(&[come_and_go(&gateway, field)]));
            end(&rotate(&gateway, field));
        });
    });
    assert!(findings.faults.is_empty(), "{findings:?}");
    let ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(ended.len(), 3);
    for token in ended {
        assert!(findings.refusals[&token] >= REFUSALS, "{findings:?}");
    }
    assert!(findings.accepted >= 10 * ANSWERS, "{findings:?}");
    findings.accepted + findings.refusals.values().sum::<usize>()
}

/// Undo that is durable and answered, and never reaches the index.
#[derive(Default)]
struct UndoSkipsTheIndex {
    /// Every key as it was last told, and as it was passed on.
    told: Mutex<HashMap<KeyId, [Arc<ApiKey>; 2]>>,
}

impl Conduct for UndoSkipsTheIndex {
    fn tell(&self, notice: Notice) -> Option<Notice> {
        let Notice::Put(realm, revision, key) = notice else { return Some(notice) };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let passed_on = match told.get(&key.id) {
            Some([before, passed_on]) if is_undone(before, &key) || before.tokens == key.tokens => {
                Arc::clone(passed_on)
            }
            Some(_) | None => Arc::clone(&key),
        };
        told.insert(key.id, [key, Arc::clone(&passed_on)]);
        Some(Notice::Put(realm, revision, passed_on))
    }
}

/// Whether `after` is what an undo makes of `before`.
fn is_undone(before: &ApiKey, after: &ApiKey) -> bool {
    match (&before.tokens, &after.tokens) {
        (Tokens::Renewing { old, .. }, Tokens::Single { current }) => old.id == current.id,
        (Tokens::Renewing { .. } | Tokens::Single { .. }, Tokens::Renewing { .. } | Tokens::Single { .. }) => false,
    }
}

#[test]
fn a_gateway_whose_undo_skips_the_index_is_found_out() {
    let backend = Backend::answering("hello");
    let conduct = Arc::new(UndoSkipsTheIndex::default());
    let gateway = TestGateway::in_front_of(&backend)
        .settings(PATIENT)
        .clock(Clock::system())
        .store(move |store| Misbehaving::store(store, &conduct))
        .start();
    let mut undone = usize::MAX;
    let Findings { faults, refusals, .. } = Field::under_fire(gateway.address(), |field| {
        [undone, _] = rotate(&gateway, field);
    });
    let accepted = faults.get(&(Fault::AcceptedAfterTheEnd, undone));
    assert!(accepted.is_some_and(|times| *times >= REFUSALS), "{faults:?}");
    assert_eq!(faults.len(), 1, "{faults:?}"); // and nothing else is wrong with it
    assert!(refusals.contains_key(&undone), "the next renewal's Put ends it at last: {refusals:?}");
}

#[test]
fn a_renewal_undone_and_opened_again_and_again_never_confuses_the_tokens() {
    let backend = Backend::answering("hello");
    let gateway = gateway(&backend);
    let mut ended = Vec::new();
    let findings = Field::under_fire(gateway.address(), |field| {
        let (old, key) = field.enlist(|| gateway.create_key("ci").done());
        field.place(0, old);
        for _ in 0..12 {
            let (new, _) = field.enlist(|| gateway.renew(&key).done());
            field.place(1, new);
            field.wait_for(20, &[old, new]);
            field.end(new, || must(&gateway.undo(&key), 200));
            field.wait_for(20, &[old, new]);
            ended.push(new);
        }
    });
    assert!(findings.faults.is_empty(), "{findings:?}");
    assert!(ended.iter().all(|token| findings.refusals[token] >= 20), "{findings:?}");
}

/// Two administrators who give the same order at the same instant, on connections of their own.
fn at_once(gateway: &TestGateway, call: &crate::support::request::Request) -> Vec<(u16, Value)> {
    let barrier = Barrier::new(2);
    let give = || {
        let mut client = RawClient::connect(gateway.admin_address());
        barrier.wait();
        client.send(&call.bytes());
        let answer = client.read_response();
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        (answer.status, body["code"].clone())
    };
    let mut answers = thread::scope(|scope| {
        let both = [scope.spawn(give), scope.spawn(give)];
        both.map(|one| one.join().expect("answered")).to_vec()
    });
    answers.sort_by_key(|(status, _)| *status);
    answers
}

#[test]
fn of_two_administrators_who_renew_at_once_exactly_one_wins() {
    let backend = Backend::answering("hello");
    let gateway = gateway(&backend);
    let key = gateway.create_key("ci").done();
    let path = format!("/v1/keys/{}", key.id);
    for round in 0..150 {
        let renew = gateway.call("POST", &format!("{path}/renew"));
        let lost = json!("renewal_open");
        assert_eq!(at_once(&gateway, &renew), [(201, Value::Null), (409, lost)], "round {round}");
        must(&gateway.undo(&key), 200);

        let etag = values(&gateway.admin("GET", &path, None).headers, "etag").concat();
        let renew = renew.header("If-Match", &etag);
        let lost = json!("version_mismatch");
        assert_eq!(at_once(&gateway, &renew), [(201, Value::Null), (412, lost)], "round {round}, {etag}");
        assert_eq!(gateway.admin_raw(&renew).status, 412, "a version of long ago");
        let undo = gateway.call("POST", &format!("{path}/undo"));
        let lost = json!("no_old_token");
        assert_eq!(at_once(&gateway, &undo), [(200, Value::Null), (409, lost)], "round {round}");
    }
    assert_eq!(gateway.ask(&request("GET", "/").token(&key.token)).status, 200);
}
