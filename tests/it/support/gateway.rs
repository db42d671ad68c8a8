//! The whole product in this process: port 0, own store, own clock.
//!
//! Promises: it is ready when it is handed out, and gone when it is dropped.
//! Deliberately does not: reach behind the ports. Keys are made and renewed through the admin port as anybody's are.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use relevo::clock::Clock;
use relevo::config::Config;
use relevo::domain::{Span, Timestamp};
use relevo::serve::{Relevo, Running};
use relevo::store::{Store, embedded::EmbeddedStore};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::backend::Backend;
use super::client::{RawClient, RawResponse};
use super::pairs::Pair;
use super::relay::Door;
use super::request::{Request, request};
use super::ways::Way;

/// When the clock of a test begins: 2026-11-23, about noon.
const BEGINNING: Timestamp = Timestamp::from_millis(1_795_435_200_000);

/// Puts a store of the test's own around the embedded one.
type Wrap = Box<dyn FnOnce(Arc<dyn Store>) -> Arc<dyn Store>>;

/// A gateway about to be started.
pub(crate) struct Setup {
    upstreams: String,
    routes: String,
    settings: String,
    gateway: String,
    clock: Clock,
    wrap: Option<Wrap>,
    access: String,
    folder: Option<PathBuf>,
    workers: usize,
    readiness: Readiness,
    pair: Option<Pair>,
}

/// Whether a gateway is handed out when it is ready, or at once.
enum Readiness {
    Awaited,
    NotAwaited,
}

impl Setup {
    /// These routes, in TOML, instead of one at `/`; their upstream is `backend`.
    pub(crate) fn routes(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.routes);
        self
    }

    /// With these lines for its upstream, in TOML.
    pub(crate) fn upstream(mut self, toml: &str) -> Self {
        self.upstreams.extend(["\n", toml]);
        self
    }

    /// These tables besides, in TOML: any but `gateway`, `admin`, `store`, `log` and `drain`; `gateway.listeners` too.
    pub(crate) fn settings(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.settings);
        self
    }

    /// With these keys of `gateway` besides, dotted, in TOML.
    pub(crate) fn gateway(mut self, toml: &str) -> Self {
        toml.replace("gateway.", "").clone_into(&mut self.gateway);
        self
    }

    /// Another clock than one that stands still.
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// On what `wrap` makes of the embedded store.
    pub(crate) fn store(mut self, wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store> + 'static) -> Self {
        self.wrap = Some(Box::new(wrap));
        self
    }

    /// With its access log in this file.
    pub(crate) fn access_log(mut self, file: &Path) -> Self {
        self.access = format!("'{}'", file.display());
        self
    }

    /// With so many workers.
    pub(crate) fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// With its store in this folder, which outlives it.
    pub(crate) fn kept_in(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Handed out without being ready, on a store that had its first start.
    pub(crate) fn unready(mut self) -> Self {
        self.readiness = Readiness::NotAwaited;
        self
    }

    /// With one more listener, for TLS.
    pub(crate) fn secured(mut self) -> Self {
        self.pair = Some(Pair::of(&["localhost"]));
        self
    }

    /// The gateway, ready.
    pub(crate) fn start(mut self) -> TestGateway {
        let own = tempfile::tempdir().expect("a folder");
        if let Some(pair) = &self.pair {
            let [certificate, key] = pair.write(own.path(), "door").map(|file| file.display().to_string());
            let tls = format!("tls = [{{ certificate = '{certificate}', key = '{key}' }}]");
            self.settings = format!("[[gateway.listeners]]\naddress = \"127.0.0.1:0\"\n{tls}\n{}", self.settings);
        }
        let folder = self.folder.as_deref().unwrap_or(own.path());
        let store = folder.join("relevo.redb");
        let text = format!(
            "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = {}\n{}[admin]\nlisten = \"127.0.0.1:0\"\n\
             [store]\npath = '{}'\n[log]\naccess = {}\n[drain]\ndelay = \"0s\"\ntimeout = \"1s\"\n\
             {}\n{}\n{}\n",
            self.workers,
            self.gateway,
            store.display(),
            self.access,
            self.settings,
            self.upstreams,
            self.routes
        );
        let config = Config::parse(&text, "test", []).unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"));
        let clock = self.clock;
        let store = self.wrap.map(|wrap| wrap(open(&store)));
        let running = Relevo::start(config, clock.clone(), store).expect("started");
        let root = std::fs::read_to_string(folder.join("admin.token")).expect("the first administrator's token");
        let (addresses, admin_address) = (running.gateway_addresses(), running.admin_address());
        let root = root.trim().to_owned();
        let gateway = TestGateway {
            clock,
            addresses,
            admin_address,
            root,
            running: Some(running),
            pair: self.pair,
            _folder: own,
        };
        match self.readiness {
            Readiness::Awaited => {
                wait_until("the gateway is ready", || gateway.admin("GET", "/readyz", None).status == 200);
            }
            Readiness::NotAwaited => {}
        }
        gateway
    }
}

fn open(store: &Path) -> Arc<dyn Store> {
    Arc::new(EmbeddedStore::open(store).expect("a store"))
}

/// A running gateway.
pub(crate) struct TestGateway {
    /// Its clock, to be advanced.
    pub(crate) clock: Clock,
    addresses: Vec<SocketAddr>,
    admin_address: SocketAddr,
    root: String,
    running: Option<Running>,
    pair: Option<Pair>,
    _folder: TempDir,
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown();
        }
    }
}

/// A key, and the token that was shown when it was created or renewed.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) token: String,
}

/// What the admin port answered.
#[derive(Clone, Debug)]
pub(crate) struct AdminReply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The body; null if there was none.
    pub(crate) json: Value,
}

impl TestGateway {
    /// A gateway whose upstream `backend` is this one.
    pub(crate) fn in_front_of(backend: &Backend) -> Setup {
        Self::in_front_of_address(backend.address())
    }

    /// A gateway whose upstream `backend` is at this address.
    pub(crate) fn in_front_of_address(backend: SocketAddr) -> Setup {
        Self::with_upstreams(&format!("[[upstreams]]\nname = \"backend\"\nendpoints = [\"http://{backend}\"]"))
    }

    /// A gateway with these upstreams, in TOML, one of which is `backend`.
    pub(crate) fn with_upstreams(toml: &str) -> Setup {
        Setup {
            upstreams: toml.to_owned(),
            routes: "[[routes]]\npath = \"/\"\nupstream = \"backend\"".to_owned(),
            settings: String::new(),
            gateway: String::new(),
            clock: Clock::manual(BEGINNING),
            wrap: None,
            access: "false".to_owned(),
            folder: None,
            workers: 2,
            readiness: Readiness::Awaited,
            pair: None,
        }
    }

    /// The admin port's address.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The first administrator's token.
    pub(crate) fn root_token(&self) -> &str {
        &self.root
    }

    /// A link that signs in to the console once.
    pub(crate) fn console_link(&self) -> String {
        self.running.as_ref().and_then(Running::console_link).expect("a link")
    }

    /// The data plane's addresses: in clear, and then those of the listeners with TLS.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The probes' address.
    pub(crate) fn probes_address(&self) -> Option<SocketAddr> {
        self.running.as_ref().and_then(Running::probes_address)
    }

    /// The data plane's address in clear.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Its doors: in clear and, if it is secured, with TLS for this protocol.
    pub(crate) fn doors(&self, protocol: &str) -> Vec<Door> {
        match &self.pair {
            Some(pair) => Door::both(self.addresses[0], self.addresses[1], pair, protocol).into(),
            None => vec![Door::clear(self.addresses[0])],
        }
    }

    /// All four ways to it, if it is secured.
    pub(crate) fn ways(&self) -> [Way; 4] {
        Way::all(self.addresses[0], self.addresses[1], self.pair.as_ref().expect("it is secured"))
    }

    /// A connection to the data plane.
    pub(crate) fn connect(&self) -> RawClient {
        RawClient::connect(self.addresses[0])
    }

    /// What the data plane answers to a request on a connection of its own.
    pub(crate) fn ask(&self, request: &Request) -> RawResponse {
        let mut client = self.connect();
        client.send(&request.bytes());
        client.read_response()
    }

    /// The status of a GET of `/` with the holder's token.
    pub(crate) fn status_with(&self, holder: &Holder) -> u16 {
        self.ask(&request("GET", "/").token(&holder.token)).status
    }

    /// A call of the admin port, by the first administrator.
    pub(crate) fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> AdminReply {
        let mut call = self.call(method, path);
        if let Some(body) = body {
            call = call.header("Content-Type", "application/json").body(body.to_string());
        }
        self.admin_raw(&call)
    }

    /// Every metric, as text.
    pub(crate) fn metrics(&self) -> String {
        let mut client = RawClient::connect(self.admin_address);
        client.send(&request("GET", "/metrics").token(&self.root).bytes());
        client.read_response().text()
    }

    /// A request by the first administrator, for [`TestGateway::admin_raw`].
    pub(crate) fn call(&self, method: &str, path: &str) -> Request {
        request(method, path).token(&self.root)
    }

    /// Any request to the admin port, as it is.
    pub(crate) fn admin_raw(&self, call: &Request) -> AdminReply {
        let mut client = RawClient::connect(self.admin_address);
        client.send(&call.bytes());
        let RawResponse { status, headers, body, .. } = client.read_response();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        AdminReply { status, headers, json }
    }

    /// A new key with this name.
    pub(crate) fn create_key(&self, name: &str) -> Order<'_> {
        self.order("/v1/keys".to_owned(), 201).with("name", name.into())
    }

    /// A new token for the holder's key.
    pub(crate) fn renew(&self, holder: &Holder) -> Order<'_> {
        self.order(format!("/v1/keys/{}/renew", holder.id), 201)
    }

    /// Closes the renewal in favour of the old token.
    pub(crate) fn undo(&self, holder: &Holder) -> AdminReply {
        self.admin("POST", &format!("/v1/keys/{}/undo", holder.id), None)
    }

    /// Closes the renewal in favour of the new token.
    pub(crate) fn delete_old(&self, holder: &Holder) -> AdminReply {
        self.admin("POST", &format!("/v1/keys/{}/delete-old", holder.id), None)
    }

    fn order(&self, path: String, expected: u16) -> Order<'_> {
        Order { gateway: self, path, expected, body: Map::new() }
    }
}

/// A key or a token about to be made.
pub(crate) struct Order<'g> {
    gateway: &'g TestGateway,
    path: String,
    expected: u16,
    body: Map<String, Value>,
}

impl Order<'_> {
    /// With this field.
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.body.insert(field.to_owned(), value);
        self
    }

    /// A key with these roles.
    pub(crate) fn roles(self, roles: &[&str]) -> Self {
        self.with("roles", roles.into())
    }

    /// A renewal whose old token ends this long after its opening.
    pub(crate) fn deleting_old_after(self, span: Span) -> Self {
        self.with("delete_old", json!({ "after": span.to_string() }))
    }

    /// A renewal that leaves no old token.
    pub(crate) fn deleting_old_now(self) -> Self {
        self.with("delete_old", "now".into())
    }

    /// Gives the order.
    pub(crate) fn done(self) -> Holder {
        let reply = self.gateway.admin("POST", &self.path, Some(&Value::Object(self.body)));
        assert_eq!(reply.status, self.expected, "{} answered {}", self.path, reply.json);
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text in {}", reply.json)).to_owned();
        let key = &reply.json["key"];
        Holder { id: text(&key["id"]), name: text(&key["name"]), token: text(&reply.json["token"]) }
    }
}

/// Waits until `holds` does.
#[track_caller]
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + super::DEADLINE;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "waited in vain until {what}");
        std::thread::park_timeout(std::time::Duration::from_millis(2));
    }
}
