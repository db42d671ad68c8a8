//! The events of the admin port: what is told, in which order, across lost connections and restarts.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use relevo::domain::{Action, Realm, Span};
use relevo::store::StoreError;
use serde_json::{Value, json};

use crate::bringing::{backup, restore};
use crate::support::DEADLINE;
use crate::support::backend::Backend;
use crate::support::gateway::{TestGateway, wait_until};
use crate::support::request::{Request, request};
use crate::support::store::{Conduct, Misbehaving};

/// A reader of the stream.
struct Stream {
    lines: BufReader<TcpStream>,
    status: u16,
}

impl Stream {
    fn open(address: SocketAddr, call: &Request) -> Self {
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(DEADLINE)).expect("set");
        stream.write_all(&call.bytes()).expect("sent");
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).expect("a head") > 0, "closed in the head: {head}");
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        assert!(status != 200 || head.to_ascii_lowercase().contains("content-type: text/event-stream"), "{head}");
        Self { lines, status }
    }

    fn of(gateway: &TestGateway, path: &str, last: Option<u64>) -> Self {
        let call = gateway.call("GET", path);
        let call = match last {
            Some(last) => call.header("Last-Event-ID", &last.to_string()),
            None => call,
        };
        Self::open(gateway.admin_address(), &call)
    }

    /// The next event; `None` at the end of the stream.
    fn next(&mut self) -> Option<Value> {
        let deadline = Instant::now() + DEADLINE;
        let mut id = String::new();
        loop {
            assert!(Instant::now() < deadline, "no event came");
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("a line") == 0 {
                return None;
            }
            if let Some(given) = line.strip_prefix("id: ") {
                given.trim().clone_into(&mut id);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(data).expect("JSON");
                assert_eq!(event["revision"].to_string(), id, "the id is the revision");
                return Some(event);
            }
        }
    }

    /// The next comments, or what came until it ended or was silent for too long.
    fn comments(&mut self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        let (mut comments, mut line) = (Vec::new(), String::new());
        while comments.len() < count && Instant::now() < deadline {
            line.clear();
            if !self.lines.read_line(&mut line).is_ok_and(|length| length > 0) {
                break;
            }
            comments.extend(line.starts_with(':').then(|| line.trim_end().to_owned()));
        }
        comments
    }

    /// The actions of the next events.
    fn actions(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next().expect("an event")["action"].as_str().expect("text").to_owned()).collect()
    }
}

#[test]
fn a_stream_tells_every_change_in_order_and_goes_on_after_the_last_one_that_was_read() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    gateway.create_key("before").done();
    let mut stream = Stream::of(&gateway, "/v1/events", None);
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).done();
    assert_eq!(gateway.status_with(&new), 200);
    assert_eq!(stream.actions(2), ["key.created", "renewal.opened"]);
    let adopted = stream.next().expect("an event");
    assert_eq!((&adopted["action"], &adopted["actor"]), (&"renewal.adopted".into(), &"relevo".into()));
    drop(stream);
    gateway.delete_old(&old);
    gateway.admin("PATCH", "/v1/settings", Some(&json!({"duration": "60d"})));
    gateway.admin("DELETE", "/v1/keys/before", None);
    let mut stream = Stream::of(&gateway, "/v1/events", adopted["revision"].as_u64());
    assert_eq!(stream.actions(3), ["renewal.completed", "settings.changed", "key.deleted"]);
    let mut of_one = Stream::of(&gateway, "/v1/events?key=ci", Some(0));
    assert_eq!(of_one.actions(4), ["key.created", "renewal.opened", "renewal.adopted", "renewal.completed"]);
    gateway.create_key("other").done();
    gateway.admin("POST", "/v1/keys/ci/renew", None);
    assert_eq!(of_one.actions(1), ["renewal.opened"]);
    assert_eq!(stream.actions(2), ["key.created", "renewal.opened"]);
}

#[test]
fn many_changes_at_once_come_each_once_to_every_reader_however_often_it_connects_again() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let last = gateway.admin("GET", "/v1/status", None).json["revision"].as_u64().expect("a number");
    std::thread::scope(|scope| {
        let readers: Vec<_> = [7, 40, 1_000]
            .map(|each| {
                let gateway = &gateway;
                scope.spawn(move || {
                    let (mut read, mut after) = (Vec::new(), last);
                    while read.len() < 40 {
                        let mut stream = Stream::of(gateway, "/v1/events?action=key.created", Some(after));
                        for _ in 0..each.min(40 - read.len()) {
                            let event = stream.next().expect("an event");
                            after = event["revision"].as_u64().expect("a number");
                            read.push(event["after"]["name"].as_str().expect("a name").to_owned());
                        }
                    }
                    read
                })
            })
            .into_iter()
            .collect();
        for number in 0..40 {
            gateway.create_key(&format!("k{number}")).done();
        }
        let expected: Vec<_> = (0..40).map(|number| format!("k{number}")).collect();
        for reader in readers {
            assert_eq!(reader.join().expect("read"), expected);
        }
    });
}

#[test]
fn who_may_not_read_the_audit_log_gets_no_stream_and_a_wrong_place_is_told() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let key = gateway.create_key("ci").done();
    let anonymous = request("GET", "/v1/events");
    assert_eq!(Stream::open(gateway.admin_address(), &anonymous).status, 401);
    assert_eq!(Stream::open(gateway.admin_address(), &anonymous.token(&key.token)).status, 401);
    for (path, last) in [("/v1/events?action=no.such", None), ("/v1/events?limit=7", None), ("/v1/events", Some("x"))] {
        let call = gateway.call("GET", path);
        let call = last.map_or(call.clone(), |last| call.header("Last-Event-ID", last));
        assert_eq!(gateway.admin_raw(&call).status, 400, "{path}");
    }
    assert_eq!(gateway.admin("GET", "/v1/events?key=nobody", None).status, 404);
}

#[test]
fn a_stream_is_not_silent_for_longer_because_much_happens_that_it_does_not_tell() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    gateway.create_key("quiet").done();
    gateway.create_key("busy").done();
    let mut stream = Stream::of(&gateway, "/v1/events?key=quiet", None);
    let spoken = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for change in 0.. {
                if spoken.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                let note = json!({"note": change.to_string()});
                assert_eq!(gateway.admin("PATCH", "/v1/keys/busy", Some(&note)).status, 200);
            }
        });
        let comments = stream.comments(2);
        spoken.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(comments, [": following", ":"]);
    });
}

#[test]
fn one_administrator_has_eight_streams_and_another_still_gets_his() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let auditor = json!({"name": "auditor", "permissions": ["audit:read"]});
    let token = gateway.admin("POST", "/v1/admins", Some(&auditor)).json["token"].as_str().expect("a token").to_owned();
    let call = request("GET", "/v1/events").token(&token);
    let open: Vec<_> = (0..8).map(|_| Stream::open(gateway.admin_address(), &call)).collect();
    assert!(open.iter().all(|stream| stream.status == 200));
    let refused = gateway.admin_raw(&call);
    assert_eq!((refused.status, &refused.json["code"]), (429, &"too_many_streams".into()));
    assert_eq!(Stream::of(&gateway, "/v1/events", None).status, 200);
}

#[test]
fn a_shutdown_does_not_wait_for_the_readers_of_a_stream() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let mut stream = Stream::of(&gateway, "/v1/events", None);
    let before = Instant::now();
    drop(gateway);
    assert!(stream.next().is_none());
    assert!(before.elapsed().as_secs() < 8, "the drain's deadline was waited for");
}

/// The token events of the audit log, with the time within which a token ends.
fn token_events(gateway: &TestGateway) -> Vec<(String, Value)> {
    let page = gateway.admin("GET", "/v1/audit?limit=500", None).json;
    let events = page["events"].as_array().expect("events").iter();
    let named = events.map(|event| (event["action"].as_str().expect("text").to_owned(), event["after"].clone()));
    named.filter(|(action, _)| action.starts_with("token.")).collect()
}

#[test]
fn a_tokens_end_is_told_at_fourteen_seven_and_one_days_and_at_the_end_once_each_also_after_a_restart() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let mut gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).start();
    gateway.create_key("ci").with("duration", "30d".into()).done();
    gateway.create_key("for ever").with("duration", "never".into()).done();
    for (step, (day, told)) in [(16, "14d"), (23, "7d"), (29, "24h"), (30, "")].into_iter().enumerate() {
        let begun = 86_400_000 * day;
        let passed = gateway.clock.now().as_millis() - 1_795_435_200_000;
        gateway.clock.advance(Span::millis(begun - passed));
        wait_until("it is told", || token_events(&gateway).len() == step + 1);
        let (action, after) = token_events(&gateway).pop().expect("an event");
        let expected = if told.is_empty() { "token.expired" } else { "token.expiring" };
        assert_eq!((action.as_str(), after["within"].as_str().unwrap_or_default()), (expected, told));
        assert_eq!(after["name"], "ci");
        let clock = gateway.clock.clone();
        drop(gateway);
        gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).clock(clock).start();
    }
    gateway.clock.advance(Span::hours(2));
    gateway.create_key("marker").with("duration", "36h".into()).done();
    gateway.clock.advance(Span::hours(13));
    wait_until("a later one is told", || token_events(&gateway).len() >= 5);
    assert_eq!(token_events(&gateway).len(), 5);
}

/// A store that takes no event of a token that ends soon, and how often it was to.
#[derive(Default)]
struct TakingNoEnds(AtomicUsize);

impl Conduct for TakingNoEnds {
    fn refusal(&self, writes: &[relevo::store::Write]) -> Option<StoreError> {
        let mut events = writes.iter().flat_map(|write| &write.events);
        events.any(|event| event.action == Action::TokenExpiring).then(|| {
            self.0.fetch_add(1, Ordering::SeqCst);
            StoreError::Unavailable("no space left on device".into())
        })
    }
}

// Once, the time of the survey was kept though its events were not: after the restart they counted as told.
#[test]
fn a_tokens_end_that_could_not_be_told_of_is_told_after_a_restart() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(TakingNoEnds::default());
    let conduct = Arc::clone(&store);
    let gateway = TestGateway::in_front_of(&backend)
        .kept_in(folder.path())
        .store(move |inner| Misbehaving::store(inner, &conduct))
        .start();
    gateway.create_key("ci").with("duration", "30d".into()).done();
    gateway.clock.advance(Span::days(17));
    wait_until("it was to be told", || store.0.load(Ordering::SeqCst) >= 1);
    gateway.clock.advance(Span::minutes(2));
    wait_until("the next survey is there", || store.0.load(Ordering::SeqCst) >= 2);
    assert_eq!(token_events(&gateway).len(), 0);
    let clock = gateway.clock.clone();
    drop(gateway);
    let gateway = TestGateway::in_front_of(&backend).kept_in(folder.path()).clock(clock).start();
    wait_until("it is told", || token_events(&gateway).len() == 1);
}

#[test]
fn a_replaced_token_that_is_still_tried_is_told_once_an_hour_with_its_uses() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let old = gateway.create_key("ci").done();
    gateway.renew(&old).deleting_old_now().done();
    assert_eq!(gateway.status_with(&old), 401);
    wait_until("it is told", || token_events(&gateway).len() == 1);
    let mut stream = Stream::of(&gateway, "/v1/events?action=token.superseded_use", None);
    for _ in 0..3 {
        assert_eq!(gateway.status_with(&old), 401);
    }
    let (mut tried, mut counted, mut hours) = (3, 0, 0);
    while counted < tried {
        gateway.clock.advance(Span::hours(1));
        hours += 1;
        assert_eq!(gateway.status_with(&old), 401);
        tried += 1;
        let event = stream.next().expect("an event");
        assert_eq!((&event["key"], &event["address"]), (&old.id.as_str().into(), &"127.0.0.1".into()));
        counted += event["after"]["uses"].as_u64().expect("a number");
    }
    assert_eq!(counted, tried);
    assert!(token_events(&gateway).len() <= hours + 1, "more than once an hour");
}

/// A key or an administrator of the name `ana`, who lives through everything that is told of one.
struct Life<'g> {
    gateway: &'g TestGateway,
    realm: Realm,
    created: Value,
    /// What a token of his is answered.
    status: &'g dyn Fn(&str) -> u16,
}

impl Life<'_> {
    /// A call about him that is answered well; the token in its answer.
    fn call(&self, method: &str, path: &str, body: &Value) -> String {
        let kind = if self.realm == Realm::Gateway { "keys" } else { "admins" };
        let body = (!body.is_null()).then_some(body);
        let reply = self.gateway.admin(method, &format!("/v1/{kind}{path}"), body);
        assert!(reply.status < 300, "{method} {path}: {}", reply.json);
        reply.json["token"].as_str().unwrap_or_default().to_owned()
    }

    fn wait_for(&self, action: Action) {
        let name = action.name(self.realm);
        let events = || self.gateway.admin("GET", &format!("/v1/audit?action={name}"), None).json["events"].clone();
        wait_until(name, || events().as_array().is_some_and(|events| !events.is_empty()));
    }

    /// From his making to his end.
    fn live(&self) {
        let old = self.call("POST", "", &self.created);
        for change in [json!({"note": "x"}), json!({"status": "inactive"}), json!({"status": "active"})] {
            self.call("PATCH", "/ana", &change);
        }
        self.call("POST", "/ana/renew", &Value::Null);
        self.call("PATCH", "/ana/renewal", &json!({"delete_old": {"after": "5m"}}));
        self.call("POST", "/ana/undo", &Value::Null);
        let new = self.call("POST", "/ana/renew", &Value::Null);
        assert_eq!((self.status)(&new), 200);
        self.wait_for(Action::RenewalAdopted);
        self.call("POST", "/ana/delete-old", &Value::Null);
        assert_eq!((self.status)(&old), 401);
        self.wait_for(Action::TokenSupersededUse);
        self.call("POST", "/ana/renew", &json!({"delete_old": {"after": "5m"}}));
        for (passed, told) in [
            (Span::minutes(6), Action::RenewalHeld),
            (Span::days(7), Action::TokenExpiring),
            (Span::days(14), Action::TokenExpired),
        ] {
            self.gateway.clock.advance(passed);
            self.wait_for(told);
        }
        let text = backup(self.gateway);
        self.call("DELETE", "/ana", &Value::Null);
        let restored = restore(self.gateway, "?administrators=true", &text);
        assert_eq!(restored.status, 200, "{}", restored.json);
    }
}

#[test]
fn everything_that_happens_to_a_key_or_an_administrator_is_told_by_the_stream() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let mut stream = Stream::of(&gateway, "/v1/events", Some(0));
    let key = json!({"name": "ana", "duration": "20d"});
    let of_a_key = |token: &str| gateway.ask(&request("GET", "/").token(token)).status;
    Life { gateway: &gateway, realm: Realm::Gateway, created: key, status: &of_a_key }.live();
    let administrator = json!({"name": "ana", "duration": "20d", "permissions": ["keys:read"]});
    let of_an_administrator = |token: &str| gateway.admin_raw(&request("GET", "/v1/keys").token(token)).status;
    Life { gateway: &gateway, realm: Realm::Admin, created: administrator, status: &of_an_administrator }.live();
    assert_eq!(gateway.admin("PATCH", "/v1/settings", Some(&json!({"duration": "60d"}))).status, 200);
    assert_eq!(gateway.admin("POST", "/v1/keys/nobody/undo", None).status, 404);

    let names = [Realm::Gateway, Realm::Admin].into_iter().flat_map(|realm| Action::ALL.map(|one| one.name(realm)));
    let mut missing: BTreeSet<_> = names.filter(|name| *name != "audit.pruned").collect(); // that takes `audit.retain`
    while !missing.is_empty() {
        let event = stream.next().unwrap_or_else(|| panic!("the stream ended before {missing:?}"));
        missing.remove(event["action"].as_str().expect("text"));
    }
}
