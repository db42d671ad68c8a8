//! Commands that are refused to somebody who is signed in: the audit log is told.
//!
//! Promises: a refusal waits for nothing; nothing that was sent is told, but which key it was about.
//! Deliberately does not: tell of calls that only read, of callers who are nobody, or of failures of Relevo's own.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::Admin;
use super::call::key_ref;
use super::problem::Code;
use crate::domain::{Actor, KeyId, Realm};
use crate::keyring::RefusedCommand;
use crate::store::KeyRef;

/// Who makes a call and which key it is about, told once he has been admitted.
#[derive(Clone, Default)]
pub(super) struct Signed(Arc<OnceLock<Told>>);

struct Told {
    actor: Actor,
    address: Option<IpAddr>,
    key: Option<String>,
}

impl Signed {
    /// Tells it.
    pub(super) fn tell(&self, actor: &Actor, address: Option<IpAddr>, key: Option<&str>) {
        self.0.get_or_init(|| Told { actor: actor.clone(), address, key: key.map(str::to_owned) });
    }
}

/// Lets a call go on, and tells of it if it is a command that is refused.
pub(super) async fn recorded(State(admin): State<Admin>, mut request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let signed = Signed::default();
    request.extensions_mut().insert(signed.clone());
    let (method, path) = (request.method().clone(), request.extensions().get::<MatchedPath>().cloned());
    let response = next.run(request).await;
    let code = response.extensions().get::<Code>().filter(|code| code.is_refusal());
    if let (Some(code), Some(path), Some(told)) = (code, path, signed.0.get()) {
        let path = path.as_str();
        let realm = if path.starts_with("/v1/admins") { Realm::Admin } else { Realm::Gateway };
        admin.keyring.refused(RefusedCommand {
            realm,
            actor: told.actor.clone(),
            address: told.address,
            command: format!("{method} {path}"),
            code: code.as_str(),
            key: told.key.as_deref().and_then(|key| admin.known(realm, key)),
        });
    }
    response
}

impl Admin {
    /// The id of the key that `text` refers to, if there is or was one.
    fn known(&self, realm: Realm, text: &str) -> Option<KeyId> {
        match key_ref(text)? {
            KeyRef::Id(id) => Some(id),
            name @ KeyRef::Name(_) => self.catalog.find(realm, &name).map(|key| key.id),
        }
    }
}
