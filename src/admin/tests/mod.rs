//! The admin plane as a whole, on a store of its own, without a socket.

mod admins;
mod door;
mod keys;
mod lists;
mod openapi;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::guard::Hosts;
use super::{Admin, Operations, ReloadRefused, Streams, router};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::domain::Permission;
use crate::domain::{Edit, Lifetime, Prefix, Realm, Secret, Settings, Span, Status, Timestamp};
use crate::index::Index;
use crate::keyring::{Caller, Follower, Keyring, Material, NewKey, Parts, follow};
use crate::observe::{Health, Metrics};
use crate::store::Store;
use crate::store::embedded::EmbeddedStore;
use crate::usage::Usage;

struct Process(Timestamp);

impl Operations for Process {
    fn config_hash(&self) -> String {
        "abc".into()
    }

    fn started_at(&self) -> Timestamp {
        self.0
    }

    fn reload(&self) -> Result<String, ReloadRefused> {
        Err(ReloadRefused::NoFile)
    }
}

/// An admin plane with one administrator, `root`.
struct Plane {
    admin: Admin,
    router: Router,
    root: String,
    _folder: tempfile::TempDir,
}

/// An answer: status, headers, and the body as JSON (`null` if it is none).
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Plane {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::manual(Timestamp::from_millis(1_795_461_120_000));
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(folder.path().join("relevo.redb")).expect("a store"));
        let (keys, keys_writer) = Index::with_capacity(16);
        let (admins, admins_writer) = Index::with_capacity(16);
        let (usage, _) = Usage::open(folder.path().join("usage.redb"), clock.clone());
        let (catalog, feed) = (Catalog::default(), store.subscribe());
        let keyring = Keyring::new(Parts {
            store,
            catalog: catalog.clone(),
            keys,
            admins: admins.clone(),
            usage: usage.clone(),
            clock: clock.clone(),
            prefix: Prefix::default(),
            remember: Span::days(90),
        });
        let follower = Follower { keys: keys_writer, admins: admins_writer };
        tokio::spawn(follow(keyring.clone(), follower, feed));
        let caller = Caller::relevo();
        keyring.establish_settings(Settings::default(), &caller).await.expect("settings");
        let hosts = Hosts::of("127.0.0.1:8081".parse().expect("an address"), &[]);
        let operations = Arc::new(Process(clock.now()));
        let metrics = Metrics::install();
        let admin = Admin {
            keyring,
            catalog,
            usage,
            admins,
            sign_ins: super::SignIns::new(metrics.clone()),
            metrics,
            health: Health::default(),
            operations,
            clock,
            hosts,
            streams: Streams::until(CancellationToken::new()),
            console: super::Console::default(),
        };
        let router = router(admin.clone());
        let root = administrator(&admin, "root", &Permission::ALL).await;
        Self { admin, router, root, _folder: folder }
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = self.request(method, path).header("content-type", "application/json");
        self.send(request.body(Body::from(body)).expect("a request")).await
    }

    async fn read(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, Value::Null).await
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:8081");
        request.header("authorization", format!("Bearer {}", self.root))
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        answer(self.router.clone(), request).await
    }

    /// The token of a new key with this name.
    async fn create(&self, name: &str) -> String {
        let made = self.ask(Method::POST, "/v1/keys", json!({ "name": name })).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["token"].as_str().expect("a token").into()
    }
}

impl Answer {
    fn code(&self) -> (u16, &str) {
        (self.status.as_u16(), self.body["code"].as_str().unwrap_or_default())
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    fn paths(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().expect("errors");
        errors.iter().map(|mistake| mistake["path"].as_str().expect("a path")).collect()
    }
}

async fn answer(mut router: Router, mut request: Request<Body>) -> Answer {
    let peer: SocketAddr = "127.0.0.1:50000".parse().expect("an address");
    request.extensions_mut().insert(ConnectInfo(peer));
    let (head, body) = router.call(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer { status: head.status, headers: head.headers, body: serde_json::from_slice(&body).unwrap_or_default() }
}

/// The token of a new administrator.
async fn administrator(admin: &Admin, name: &str, permissions: &[Permission]) -> String {
    let roles: BTreeSet<_> = permissions.iter().map(|p| p.as_str().parse().expect("a role")).collect();
    let attributes = Edit { roles: Some(roles), duration: Some(Some(Lifetime::Never)), ..Edit::default() };
    let name = name.parse().expect("a name");
    let new = NewKey { name, attributes, status: Status::Active, material: Material::Mint };
    let caller = Caller::relevo();
    let done = admin.keyring.create(Realm::Admin, new, &caller).await.expect("an administrator");
    done.secret.as_ref().map(Secret::reveal).expect("a token").to_owned()
}
