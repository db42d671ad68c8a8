//! Webhooks: what is sent, in which order, through failures of the receiver and of the gateway, and where to.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use relevo::clock::Clock;
use relevo::domain::{Span, Timestamp};
use relevo::store::{Notice, StoreError};
use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::client::RawClient;
use crate::support::gateway::{TestGateway, wait_until};
use crate::support::pairs::Pair;
use crate::support::process::{Process, relevo};
use crate::support::receiver::{Deed, Receiver, Taken};
use crate::support::request::request;
use crate::support::store::{Conduct, Misbehaving};

const SECRET: [u8; 32] = *b"a secret of thirty-two bytes ...";

/// A file in `folder` with this secret; answers how the configuration names it.
fn secret_in(folder: &Path, name: &str, secret: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, format!("whsec_{}\n", STANDARD.encode(secret))).expect("written");
    format!("file:{}", path.display())
}

/// A webhook to `receiver`, in TOML.
fn hook(name: &str, receiver: &Receiver, secret: &str, more: &str) -> String {
    format!(
        "[[webhooks]]\nname = \"{name}\"\nurl = \"{}\"\nsecrets = [\"{secret}\"]\nallow_private = true\n\
         longest_pause = \"100ms\"\ntimeout = \"500ms\"\n{more}\n",
        receiver.url()
    )
}

/// A gateway with these webhooks, which have begun.
fn start(backend: &Backend, toml: &str, folder: &Path) -> TestGateway {
    let gateway = TestGateway::in_front_of(backend).settings(toml).kept_in(folder).start();
    wait_until("webhooks have their places", || folder.join("webhooks.json").exists());
    gateway
}

/// The configuration of a process.
fn configuration(backend: &Backend, more: &str) -> String {
    format!(
        "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"relevo.redb\"\n\
         [drain]\ndelay = \"0s\"\ntimeout = \"1s\"\n[log]\naccess = false\n\
         [[upstreams]]\nname = \"backend\"\nendpoints = [\"http://{}\"]\n[[routes]]\npath = \"/\"\nupstream = \"backend\"\n{more}",
        backend.address(),
    )
}

/// The status of a call by the first administrator of the process in `folder`.
fn call(process: &Process, folder: &Path, path: &str, body: &str) -> u16 {
    let root = std::fs::read_to_string(folder.join("admin.token")).expect("a token");
    let call = request("POST", path).token(root.trim()).header("Content-Type", "application/json").body(body);
    let mut client = RawClient::connect(process.admin);
    client.send(&call.bytes());
    client.read_response().status
}

/// What `relevo check` says of a webhook with these lines: its exit code, and all that it has told.
fn checked(folder: &Path, secret: &str, more: &str) -> (Option<i32>, String) {
    let text = format!("[[webhooks]]\nname = \"inside\"\nsecrets = [\"{secret}\"]\nevents = [\"*\"]\n{more}\n");
    let file = folder.join("relevo.toml");
    std::fs::write(&file, text).expect("written");
    let output = relevo(folder).args(["check", "--config"]).arg(&file).output().expect("ended");
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).expect("text"))
}

/// Has the process in `folder` read this configuration.
#[track_caller]
fn reload(process: &Process, folder: &Path, configuration: &str) {
    std::fs::write(folder.join("relevo.toml"), configuration).expect("written");
    assert_eq!(call(process, folder, "/v1/reload", ""), 200);
}

/// The lines that the process in `folder` has logged with `part` in them.
fn told(folder: &Path, part: &str) -> Vec<Value> {
    let log = std::fs::read_to_string(folder.join("stderr.log")).expect("a log");
    let lines = log.lines().filter(|line| line.contains(part));
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn names(taken: &[Taken]) -> Vec<String> {
    taken.iter().map(|taken| taken.event["after"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Fails unless each key's events came in the order of their revisions, repetitions left out.
fn assert_in_order(taken: &[Taken]) {
    let mut last: HashMap<String, u64> = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    for one in taken.iter().filter(|one| seen.insert(one.id.clone())) {
        let before = last.insert(one.event["key"].to_string(), one.revision());
        assert!(before.is_none_or(|before| before < one.revision()), "{:?} came after {before:?}", one.revision());
    }
}

fn condition(gateway: &TestGateway, name: &str) -> Value {
    let status = gateway.admin("GET", "/v1/status", None).json;
    let all = status["health"].as_array().expect("conditions").clone();
    all.into_iter().find(|condition| condition["name"] == name).expect("a condition")
}

#[test]
fn events_that_are_asked_for_come_signed_and_are_those_of_the_audit_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let (backend, receiver) = (Backend::answering("hello"), Receiver::new(&SECRET, []));
    let (first, second) = (secret_in(folder.path(), "new", &[7; 24]), secret_in(folder.path(), "old", &SECRET));
    let toml =
        hook("orders", &receiver, &format!("{first}\", \"{second}"), "events = [\"renewal.*\", \"key.deleted\"]");
    let gateway = start(&backend, &toml, folder.path());
    let old = gateway.create_key("ci").done();
    gateway.renew(&old).done();
    gateway.delete_old(&old);
    gateway.admin("DELETE", "/v1/keys/ci", None);
    wait_until("three events came", || receiver.taken().len() >= 3);
    let taken = receiver.taken();
    let actions: Vec<_> = taken.iter().map(Taken::action).collect();
    assert_eq!(actions, ["renewal.opened", "renewal.completed", "key.deleted"]);
    let page = gateway.admin("GET", "/v1/audit", None).json;
    for one in &taken {
        assert!(page["events"].as_array().expect("events").contains(&one.event), "{} is another there", one.id);
    }
    assert_eq!(receiver.wrong(), Vec::<String>::new());
    assert_eq!(condition(&gateway, "webhook orders")["ok"], json!(true));
    wait_until("deliveries are counted", || {
        let text = gateway.metrics();
        text.contains("relevo_webhook_deliveries_total{webhook=\"orders\",outcome=\"delivered\"} 3")
            && text.contains("relevo_webhook_behind{webhook=\"orders\"} 0")
    });
}

#[test]
fn a_receiver_that_fails_in_every_way_gets_every_event_and_those_of_a_key_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let elsewhere = Receiver::new(&SECRET, []);
    let script = [
        Deed::Answer(500),
        Deed::Answer(410),
        Deed::Die,
        Deed::Silence,
        Deed::Redirect(elsewhere.url()),
        Deed::Answer(204),
        Deed::Answer(503),
        Deed::Answer(429),
        Deed::Die,
        Deed::Answer(200),
        Deed::Answer(400),
    ];
    let (backend, receiver, well) =
        (Backend::answering("hello"), Receiver::new(&SECRET, script), Receiver::new(&SECRET, []));
    let secret = secret_in(folder.path(), "secret", &SECRET);
    let toml = hook("sick", &receiver, &secret, "events = [\"*\"]") + &hook("well", &well, &secret, "events = [\"*\"]");
    let gateway = start(&backend, &toml, folder.path());
    for number in 0..10 {
        let old = gateway.create_key(&format!("key {number}")).done();
        gateway.renew(&old).done();
        gateway.delete_old(&old);
    }
    wait_until("the other receiver has everything", || well.taken().len() >= 30);
    wait_until("the sick receiver has everything", || receiver.taken().len() >= 30);
    for receiver in [&receiver, &well] {
        let taken = receiver.taken();
        assert_in_order(&taken);
        let mut revisions: Vec<_> = taken.iter().map(Taken::revision).collect();
        revisions.sort_unstable();
        revisions.dedup();
        assert_eq!(revisions.len(), 30);
        assert_eq!(receiver.wrong(), Vec::<String>::new());
    }
    assert!(receiver.attempts() >= 39, "{} attempts", receiver.attempts());
    assert_eq!(elsewhere.attempts(), 0, "a redirect was followed");
}

#[test]
fn a_dead_receiver_is_reported_and_holds_up_neither_another_nor_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    let (backend, dead, well) = (Backend::answering("hello"), Receiver::new(&SECRET, []), Receiver::new(&SECRET, []));
    dead.always(Some(Deed::Silence));
    let secret = secret_in(folder.path(), "secret", &SECRET);
    let toml = hook("dead", &dead, &secret, "events = [\"*\"]") + &hook("well", &well, &secret, "events = [\"*\"]");
    let gateway = start(&backend, &toml, folder.path());
    let holders: Vec<_> = (0..200).map(|number| gateway.create_key(&format!("key {number}")).done()).collect();
    wait_until("the other receiver has everything", || well.taken().len() >= 200);
    assert_eq!(gateway.status_with(&holders[0]), 200);
    wait_until("the dead receiver is reported", || condition(&gateway, "webhook dead")["ok"] == json!(false));
    let told = condition(&gateway, "webhook dead")["detail"].as_str().expect("text").to_owned();
    assert!(told.contains("was not delivered") && !told.contains("/hook"), "{told}");
    assert_eq!(condition(&gateway, "webhook well")["ok"], json!(true));
    assert_eq!(gateway.admin("GET", "/readyz", None).status, 200);
    wait_until("how far it is behind is told", || {
        let metrics = gateway.metrics();
        let behind = metrics.lines().find_map(|line| line.strip_prefix("relevo_webhook_behind{webhook=\"dead\"} "));
        behind.and_then(|behind| behind.parse::<u64>().ok()).is_some_and(|behind| behind >= 200)
    });
    dead.always(None);
    wait_until("it gets everything once it is back", || dead.taken().len() >= 200);
    assert_in_order(&dead.taken());
    wait_until("it is well", || condition(&gateway, "webhook dead")["ok"] == json!(true));
}

#[test]
fn what_was_not_delivered_when_the_gateway_was_killed_is_delivered_by_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let (backend, receiver) = (Backend::answering("hello"), Receiver::new(&SECRET, []));
    let secret = secret_in(folder.path(), "secret", &SECRET);
    let configuration = configuration(&backend, &hook("orders", &receiver, &secret, "events = [\"key.created\"]"));
    let mut expected = Vec::new();
    for round in 0..4 {
        let process = Process::serve(folder.path(), &configuration);
        wait_until("the webhook has its place", || folder.path().join("webhooks.json").exists());
        // What one round leaves undelivered, the next begins with.
        receiver.always(if round % 2 == 0 { None } else { Some(Deed::Answer(503)) });
        for number in 0..5 {
            let name = format!("key {round} {number}");
            let body = json!({"name": name}).to_string();
            assert_eq!(call(&process, folder.path(), "/v1/keys", &body), 201);
            expected.push(name);
        }
        let attempts = receiver.attempts();
        wait_until("something was sent", || receiver.attempts() > attempts || round % 2 == 0);
        process.kill();
    }
    receiver.always(None);
    let process = Process::serve(folder.path(), &configuration);
    wait_until("everything was delivered", || {
        let names = names(&receiver.taken());
        expected.iter().all(|name| names.contains(name))
    });
    assert_in_order(&receiver.taken());
    assert_eq!(receiver.wrong(), Vec::<String>::new());
    assert!(process.terminate(Duration::from_secs(20)).success());
}

// Once, the webhook began at the present instead, and the file was written over.
#[test]
fn while_its_place_cannot_be_read_a_webhook_sends_nothing_and_then_what_was_not_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let (backend, receiver) = (Backend::answering("hello"), Receiver::new(&SECRET, []));
    receiver.always(Some(Deed::Answer(503)));
    let secret = secret_in(folder.path(), "secret", &SECRET);
    let toml = hook("orders", &receiver, &secret, "events = [\"key.created\"]");
    let gateway = start(&backend, &toml, folder.path());
    gateway.create_key("one").done();
    drop(gateway);
    let [places, elsewhere] = ["webhooks.json", "elsewhere"].map(|name| folder.path().join(name));
    std::fs::rename(&places, &elsewhere).expect("renamed");
    std::fs::create_dir(&places).expect("in the way");
    receiver.always(None);
    let gateway = start(&backend, &toml, folder.path());
    wait_until("it says so", || condition(&gateway, "webhook orders")["ok"] == json!(false));
    let told = condition(&gateway, "webhook orders")["detail"].as_str().expect("text").to_owned();
    assert!(told.contains("webhooks.json"), "{told}");
    gateway.create_key("two").done();
    std::fs::remove_dir(&places).expect("removed");
    std::fs::rename(&elsewhere, &places).expect("renamed");
    wait_until("everything comes", || {
        let names = names(&receiver.taken());
        ["one", "two"].iter().all(|name| names.contains(&(*name).to_owned()))
    });
    wait_until("it is well", || condition(&gateway, "webhook orders")["ok"] == json!(true));
}

#[test]
fn a_private_address_is_dialled_only_where_that_is_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (backend, receiver) = (Backend::answering("hello"), Receiver::new(&SECRET, []));
    let secret = secret_in(folder.path(), "secret", &SECRET);
    let url = receiver.url().replace("http://127.0.0.1", "https://localhost");
    let toml = format!(
        "[[webhooks]]\nname = \"inside\"\nurl = \"{url}\"\nsecrets = [\"{secret}\"]\nevents = [\"*\"]\nlongest_pause = \"100ms\"\n"
    );
    let gateway = start(&backend, &toml, folder.path());
    gateway.create_key("ci").done();
    wait_until("it is refused", || condition(&gateway, "webhook inside")["ok"] == json!(false));
    let told = condition(&gateway, "webhook inside")["detail"].as_str().expect("text").to_owned();
    assert!(told.contains("no public address"), "{told}");
    assert_eq!(receiver.attempts(), 0);
    let mistakes = |more: &str| checked(folder.path(), &secret, more);
    for url in
        ["https://127.0.0.1/", "https://[::1]/", "https://2130706433/", "https://169.254.169.254/", "https://10.0.0.7/"]
    {
        let (code, told) = mistakes(&format!("url = \"{url}\""));
        assert!(code == Some(2) && told.contains("not public"), "{url}: {told}");
        assert_eq!(mistakes(&format!("url = \"{url}\"\nallow_private = true")).0, Some(0), "{url}");
    }
    let (code, told) = mistakes("url = \"http://example.com/\"");
    assert!(code == Some(2) && told.contains("is not https"), "{told}");
}

#[test]
fn over_tls_an_event_waits_until_whoever_signed_the_receivers_certificate_is_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (backend, [right, wrong]) = (Backend::answering("hello"), [(); 2].map(|()| Pair::of(&["localhost"])));
    let receiver = Receiver::over_tls(&right, &SECRET);
    right.write(folder.path(), "right");
    wrong.write(folder.path(), "wrong");
    let secret = secret_in(folder.path(), "secret", &SECRET);
    let with = |ca: &str| configuration(&backend, &hook("tls", &receiver, &secret, &format!("events = [\"*\"]\n{ca}")));
    let refused = || told(folder.path(), "invalid peer certificate");
    let process = Process::serve(folder.path(), &with("")); // the system's roots
    wait_until("the webhook has its place", || folder.path().join("webhooks.json").exists());
    assert_eq!(call(&process, folder.path(), "/v1/keys", "{\"name\": \"ci\"}"), 201);
    wait_until("it is refused", || !refused().is_empty());
    let before = refused().len();
    reload(&process, folder.path(), &with("ca = \"wrong.pem\""));
    wait_until("it is refused again", || refused().len() > before + 1); // one may have been on its way
    assert!(
        refused()
            .iter()
            .all(|line| line["webhook"] == "tls" && line["message"] == "an event was not delivered; trying again")
    );
    assert_eq!((receiver.attempts(), receiver.taken().len()), (0, 0), "nothing was sent to a stranger");
    reload(&process, folder.path(), &with("ca = \"right.pem\""));
    wait_until("it came", || !receiver.taken().is_empty());
    assert_eq!((names(&receiver.taken()), receiver.wrong()), (vec!["ci".to_owned()], Vec::new()));
    // What the file holds is believed from a reload on, too.
    wrong.write(folder.path(), "right");
    reload(&process, folder.path(), &with("ca = \"right.pem\""));
    let before = refused().len();
    assert_eq!(call(&process, folder.path(), "/v1/keys", "{\"name\": \"late\"}"), 201);
    wait_until("it is refused once more", || refused().len() > before);
}

#[test]
fn who_is_believed_is_checked_with_the_configuration_and_told_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = secret_in(folder.path(), "secret", &SECRET);
    let [sound, _] = Pair::of(&["localhost"]).write(folder.path(), "sound").map(|file| file.display().to_string());
    std::fs::write(folder.path().join("other.pem"), "no PEM").expect("written");
    let with = |url: &str, ca: &str| {
        checked(folder.path(), &secret, &format!("url = \"{url}\"\nallow_private = true\nca = '{ca}'"))
    };
    let (code, told) = with("https://localhost/", &sound);
    assert!(code == Some(0) && told.contains(&format!("ca = \"{sound}\"")), "{told}");
    for (url, ca, why) in [
        ("https://localhost/", "absent.pem", "webhooks[0].ca: cannot be read"),
        ("https://localhost/", "other.pem", "webhooks[0].ca: holds no certificate"),
        ("http://localhost/", &sound, "webhooks[0].ca: means nothing without a url of https"),
    ] {
        let (code, told) = with(url, ca);
        assert!(code == Some(2) && told.contains(why), "{url} {ca}: {told}");
    }
}

#[test]
fn events_that_were_removed_before_they_were_sent_are_told_and_the_first_that_is_left_comes_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let (backend, receiver) = (Backend::answering("hello"), Receiver::new(&SECRET, []));
    receiver.always(Some(Deed::Answer(503)));
    let secret = secret_in(folder.path(), "secret", &SECRET);
    let toml = hook("orders", &receiver, &secret, "events = [\"*\"]");
    let long_ago = Clock::manual(Timestamp::from_millis(1_577_836_800_000)); // 2020-01-01
    let on = |toml: &str| {
        TestGateway::in_front_of(&backend).settings(toml).kept_in(folder.path()).clock(long_ago.clone()).start()
    };

    let gateway = on(&toml);
    let places = folder.path().join("webhooks.json");
    wait_until("the webhook has its place", || places.exists());
    for number in 0..5 {
        gateway.create_key(&format!("lost {number}")).with("duration", "never".into()).done();
    }
    drop(gateway);
    let place = std::fs::read_to_string(&places).expect("places"); // as it was left, nothing taken
    assert_eq!(receiver.taken().len(), 0);
    long_ago.advance(Span::days(40));
    let gateway = on("[audit]\nretain = \"30d\"");
    let pruned = || gateway.admin("GET", "/v1/audit?action=audit.pruned", None).json["events"][0]["after"].clone();
    wait_until("they are removed", || !pruned().is_null());
    let through = pruned()["through"].as_u64().expect("a revision");
    drop(gateway);
    std::fs::write(&places, &place).expect("written"); // a gateway without the webhook has forgotten it
    let place = serde_json::from_str::<Value>(&place).expect("JSON")["orders"].as_u64().expect("a revision");
    assert!(through >= place + 5, "{place} to {through}");

    receiver.always(None);
    let process = Process::serve(folder.path(), &configuration(&backend, &toml));
    wait_until("what is left comes", || !receiver.taken().is_empty());
    let warned = || told(folder.path(), "events were removed for their age (audit.retain) before they were sent");
    wait_until("that is told", || !warned().is_empty());
    let warned = warned();
    let [warned] = &warned[..] else { panic!("{warned:?}") };
    assert_eq!(
        (&warned["level"], &warned["webhook"], &warned["first"], &warned["last"], &warned["events"]),
        (&json!("WARN"), &json!("orders"), &json!(place + 1), &json!(through), &json!(through - place))
    );
    let counted = format!("relevo_webhook_removed_total{{webhook=\"orders\"}} {}", through - place);
    wait_until("they are counted", || process.metrics(folder.path()).contains(&counted));
    assert_eq!(call(&process, folder.path(), "/v1/keys", "{\"name\": \"new\"}"), 201);
    wait_until("it goes on", || names(&receiver.taken()).contains(&"new".to_owned()));
    assert_eq!(receiver.taken()[0].action(), "audit.pruned");
    assert!(!names(&receiver.taken()).iter().any(|name| name.starts_with("lost")));
    assert!(process.terminate(Duration::from_secs(20)).success());
    let process = Process::serve(folder.path(), &configuration(&backend, &toml));
    assert_eq!(call(&process, folder.path(), "/v1/keys", "{\"name\": \"newer\"}"), 201);
    wait_until("it goes on after a restart", || names(&receiver.taken()).contains(&"newer".to_owned()));
    assert_eq!(told(folder.path(), "events were removed").len(), 1, "told once");
}

#[test]
fn webhooks_come_and_go_with_a_reload_and_a_secret_can_be_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (backend, receiver) = (Backend::answering("hello"), Receiver::new(&SECRET, []));
    let process = Process::serve(folder.path(), &configuration(&backend, ""));
    let secret = secret_in(folder.path(), "secret", &[9; 32]);
    let with = configuration(&backend, &hook("orders", &receiver, &secret, "events = [\"key.*\"]"));
    let reload = |text: &str| reload(&process, folder.path(), text);
    let create = |name: &str| {
        let body = json!({"name": name}).to_string();
        assert_eq!(call(&process, folder.path(), "/v1/keys", &body), 201);
    };
    let places = || std::fs::read_to_string(folder.path().join("webhooks.json")).unwrap_or_default();
    reload(&with);
    wait_until("the webhook has its place", || places().contains("orders"));
    create("one");
    wait_until("it came, signed with another secret", || !receiver.wrong().is_empty());
    secret_in(folder.path(), "secret", &SECRET);
    reload(&with);
    let before = receiver.wrong().len();
    let count = std::cell::Cell::new(0);
    wait_until("what is signed right is taken", || {
        count.set(count.get() + 1);
        create(&format!("more {}", count.get()));
        !receiver.taken().is_empty()
    });
    assert!(receiver.wrong().len() <= before + 1, "one may have been on its way");
    reload(&configuration(&backend, ""));
    wait_until("the place is forgotten", || !places().contains("orders"));
    let attempts = receiver.attempts();
    create("unheard");
    assert_eq!(receiver.attempts(), attempts);
}

/// A store that fails, while it is to, from the first change that it tells of.
#[derive(Default)]
struct FailsAfterChange {
    is_to_fail: AtomicBool,
    fails: AtomicBool,
}

impl Conduct for FailsAfterChange {
    fn tell(&self, notice: Notice) -> Option<Notice> {
        self.fails.store(self.is_to_fail.load(Ordering::SeqCst), Ordering::SeqCst);
        Some(notice)
    }

    fn failure(&self) -> Option<StoreError> {
        let fails = self.is_to_fail.load(Ordering::SeqCst) && self.fails.load(Ordering::SeqCst);
        fails.then(|| StoreError::Unavailable("it is away".into()))
    }
}

#[test]
fn a_webhook_is_well_again_when_the_log_can_be_read_again_although_nothing_is_to_be_sent() {
    let (backend, folder) = (Backend::answering("hello"), tempfile::tempdir().expect("a folder"));
    let receiver = Receiver::new(&SECRET, []);
    let secret = secret_in(folder.path(), "secret", &SECRET);
    let hook = hook("tickets", &receiver, &secret, "events = [\"key.deleted\"]");
    let failing = Arc::new(FailsAfterChange::default());
    let conduct = Arc::clone(&failing);
    let gateway = TestGateway::in_front_of(&backend)
        .settings(&hook)
        .kept_in(folder.path())
        .store(move |inner| Misbehaving::store(inner, &conduct))
        .start();
    wait_until("webhooks have their places", || folder.path().join("webhooks.json").exists());
    failing.is_to_fail.store(true, Ordering::SeqCst);
    gateway.create_key("ci").done();
    wait_until("the log cannot be read", || condition(&gateway, "webhook tickets")["ok"] == false);
    failing.is_to_fail.store(false, Ordering::SeqCst);
    wait_until("it can be read again", || condition(&gateway, "webhook tickets")["ok"] == true);
    assert_eq!(receiver.attempts(), 0);
}
