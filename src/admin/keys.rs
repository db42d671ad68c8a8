//! The calls that create, show, change and delete API keys.
//!
//! Promises: what is answered is the key as it is now, what has fallen due settled; a token is in one reply only.
//! Deliberately does not: decide. The keyring does.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{ETAG, LOCATION};
use ipnet::IpNet;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::call::{Call, Plain};
use super::etag::{IfMatch, etag};
use super::fields::{Fields, Read, count, text};
use super::problem::{Code, Problem};
use super::view::{AdministratorView, KeyView, Sight};
use super::{Admin, RELEVO_REVISION};
use crate::domain::{
    Actor, Affected, ApiKey, Digest, Edit, KeyName, Label, Lifetime, Limits, Permission, Quota, Rate, Realm, Refusal,
    Remark, Revision, Role, Version,
};
use crate::keyring::{Caller, Denied, Done, Material, NewKey, Order};
use crate::store::KeyRef;

/// How many address ranges a key has at most: each is looked at on every request.
const MOST_ADDRESSES: usize = 64;

/// `POST /v1/keys`
pub async fn create(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.create(Realm::Gateway, call).await
}

/// `GET /v1/keys/{key}`
pub async fn show(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.show(Realm::Gateway, call).await
}

/// `PATCH /v1/keys/{key}`
pub async fn edit(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.edit(Realm::Gateway, call).await
}

/// `DELETE /v1/keys/{key}`
pub async fn delete(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    admin.delete(Realm::Gateway, call).await
}

// What is done to a key is done to an administrator: the realm says to which of the two.
impl Admin {
    pub(super) async fn create(&self, realm: Realm, call: Call) -> Result<Response, Problem> {
        let Plain { caller, mut fields, .. } = call.permit(&[Permission::to_write(realm)])?.plain().await?;
        if !fields.has("name") {
            fields.mistake("name", "is missing");
        }
        let name = take_name(realm, &mut fields);
        let attributes = take_attributes(realm, &mut fields);
        let material = take_material(&mut fields);
        let status = crate::domain::Status::Active;
        let new = fields.finish_with(name.map(|name| NewKey { name, attributes, status, material }))?;
        let done = self.keyring.create(realm, new, &caller).await?;
        let mut response = self.made(realm, &done);
        if done.revision.is_some() {
            let location = format!("/v1/{}/{}", plural(realm), done.key.id).parse();
            response.headers_mut().extend(location.map(|location| (LOCATION, location)));
        }
        Ok(response)
    }

    pub(super) async fn show(&self, realm: Realm, call: Call) -> Result<Response, Problem> {
        let call = call.permit(&[Permission::to_read(realm)])?;
        let key = call.subject(realm)?;
        let (caller, _) = call.plain().await?.without_fields()?;
        let key = self.keyring.load(realm, &key, &caller.authority).await?;
        Ok(self.shown(realm, &key))
    }

    pub(super) async fn edit(&self, realm: Realm, call: Call) -> Result<Response, Problem> {
        let call = call.permit(&[Permission::to_write(realm)])?;
        let key = call.subject(realm)?;
        let Plain { caller, if_match, mut fields } = call.plain().await?;
        let edit = Edit {
            name: take_name(realm, &mut fields),
            status: fields.take("status", |value| {
                serde_json::from_value(value).map_err(|_| "is neither active nor inactive".into())
            }),
            confirm: take_confirm(&mut fields),
            ..take_attributes(realm, &mut fields)
        };
        fields.finish()?;
        let if_match = self.version_of(realm, &key, (if_match, &caller)).await?;
        let order = Order::Edit(Box::new(edit));
        let done = self.keyring.command(realm, &key, order, if_match, &caller).await;
        let done = done.map_err(|denied| self.naming(realm, &key, denied))?;
        Ok((self.changed(done.revision), self.shown(realm, &done.key)).into_response())
    }

    pub(super) async fn delete(&self, realm: Realm, call: Call) -> Result<Response, Problem> {
        let call = call.permit(&[Permission::to_write(realm)])?;
        let key = call.subject(realm)?;
        let (caller, if_match) = call.plain().await?.without_fields()?;
        let if_match = self.version_of(realm, &key, (if_match, &caller)).await?;
        let revision = self.keyring.delete(realm, &key, if_match, &caller).await?;
        Ok((StatusCode::NO_CONTENT, self.changed(Some(revision))).into_response())
    }
}

/// What the subjects of `realm` are called in paths.
const fn plural(realm: Realm) -> &'static str {
    match realm {
        Realm::Gateway => "keys",
        Realm::Admin => "admins",
    }
}

/// The name, if it is there. An administrator is not called like those whom the audit log knows as the gateway itself.
fn take_name(realm: Realm, fields: &mut Fields) -> Option<KeyName> {
    let name = fields.take::<KeyName>("name", text)?;
    if realm == Realm::Admin && Actor::RESERVED.iter().any(|reserved| name.reads_like(reserved)) {
        fields.mistake("name", "is a name under which the gateway itself acts");
        return None;
    }
    Some(name)
}

/// The attributes that both `create` and `edit` take.
pub(super) fn take_attributes(realm: Realm, fields: &mut Fields) -> Edit {
    let (roles, limited_to_role) = match realm {
        Realm::Gateway => (fields.take_set::<Role>("roles", Role::MOST), None),
        Realm::Admin => (take_permissions(fields), fields.take_nullable::<Role>("limited_to_role", text)),
    };
    Edit {
        roles,
        limited_to_role,
        owner: fields.take_nullable("owner", text),
        note: fields.take_nullable("note", text),
        labels: fields.take_map::<Label, Remark>("labels", Label::MOST),
        allowed_addresses: fields
            .take_list::<Network>("allowed_addresses", MOST_ADDRESSES)
            .map(|networks| networks.into_iter().map(|Network(network)| network).collect()),
        limits: if realm == Realm::Gateway { take_limits(fields) } else { None },
        self_service: if realm == Realm::Gateway {
            fields.take("self_service", |value| value.as_bool().ok_or_else(|| "is neither true nor false".into()))
        } else {
            None
        },
        duration: fields.take_nullable::<Lifetime>("duration", text),
        ..Edit::default()
    }
}

/// An administrator's permissions: the roles that are legal for him.
fn take_permissions(fields: &mut Fields) -> Option<BTreeSet<Role>> {
    let permissions = fields.take_set::<Permission>("permissions", Permission::ALL.len())?;
    Some(permissions.into_iter().filter_map(|permission| permission.as_str().parse().ok()).collect())
}

/// The limits, whole; `null`: none of the key's own.
#[expect(clippy::option_option, reason = "left as they are, none, or these")]
fn take_limits(fields: &mut Fields) -> Option<Option<Limits>> {
    if !fields.is_object("limits") {
        return fields.take_nullable("limits", |_| Err("is neither null nor an object".into()));
    }
    let limits = fields.take_object("limits", |limits| {
        let rate = limits.take("rate", domain::<Rate>);
        let quota = limits.take("quota", domain::<Quota>);
        let concurrent = limits
            .take("concurrent", |most| serde_json::from_value(most).map_err(|_| "is not a count from 1 on".to_owned()));
        Some(Limits { rate, quota, concurrent })
    });
    limits.map(Some)
}

/// An object that the domain reads. What is wrong is told without a value of the caller's.
fn domain<T: DeserializeOwned>(value: Value) -> Read<T> {
    serde_json::from_value(value).map_err(|error| match error.to_string() {
        told if told.starts_with("has ") => told,
        _ => "is not an object like the documented one".into(),
    })
}

/// What the new token is made of: the digest that was sent, or else random bits.
pub fn take_material(fields: &mut Fields) -> Material {
    let digest = fields.take_nullable::<Digest>("digest", text).flatten();
    digest.map_or(Material::Mint, Material::Digest)
}

/// The counts that a caller confirms.
pub fn take_confirm(fields: &mut Fields) -> Option<Affected> {
    fields.take_object("confirm", |counts| {
        let (ends, revives) = (counts.take_required("ends", count), counts.take_required("revives", count));
        Some(Affected { ends: ends?, revives: revives? })
    })
}

/// A range of addresses: CIDR, or one address.
struct Network(IpNet);

impl std::str::FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let single = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse::<IpNet>().or_else(|_| single());
        network.map(|network| Self(network.trunc())).map_err(|_| "is not a range of addresses like 10.0.0.0/8")
    }
}

/// A key or administrator, and its new token in the one reply that has it.
#[derive(Serialize)]
struct Made<'a> {
    #[serde(flatten)]
    subject: Subject<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Subject<'a> {
    Key(KeyView<'a>),
    Admin(AdministratorView<'a>),
}

impl Admin {
    /// By what a key is seen now.
    pub(super) fn sight(&self) -> Sight {
        Sight { settings: self.keyring.settings().settings, usage: self.usage.clone(), now: self.clock.now() }
    }

    /// The answer to a command that may have made a token: 201 if it was made now, 200 if it is there already.
    pub(super) fn made(&self, realm: Realm, done: &Done) -> Response {
        let status = if done.revision.is_some() { StatusCode::CREATED } else { StatusCode::OK };
        (status, self.done(realm, done)).into_response()
    }

    /// The answer to a command about a key's tokens.
    pub(super) fn done(&self, realm: Realm, done: &Done) -> Response {
        let token = done.secret.as_ref().map(crate::domain::Secret::reveal);
        let subject = match realm {
            Realm::Gateway => Subject::Key(KeyView::of(&done.key, &self.sight())),
            Realm::Admin => Subject::Admin(AdministratorView::of(&done.key, &self.sight())),
        };
        let body = Json(Made { subject, token });
        (self.changed(done.revision), [(ETAG, etag(done.key.version))], body).into_response()
    }

    /// A key or administrator as it is now.
    fn shown(&self, realm: Realm, key: &ApiKey) -> Response {
        let etag = [(ETAG, etag(key.version))];
        match realm {
            Realm::Gateway => (etag, Json(KeyView::of(key, &self.sight()))).into_response(),
            Realm::Admin => (etag, Json(AdministratorView::of(key, &self.sight()))).into_response(),
        }
    }

    /// Tells the revision of a change; where nothing had to be changed, the one in force.
    pub(super) fn changed(&self, revision: Option<Revision>) -> [(&'static str, String); 1] {
        let Revision(revision) = revision.unwrap_or_else(|| self.keyring.revision());
        [(RELEVO_REVISION, revision.to_string())]
    }

    /// The version that a command asks for: of several that are given, the one the key is at.
    pub(super) async fn version_of(
        &self,
        realm: Realm,
        key: &KeyRef,
        (if_match, caller): (IfMatch, &Caller),
    ) -> Result<Option<Version>, Problem> {
        let versions = match if_match {
            IfMatch::Any => return Ok(None),
            IfMatch::OneOf(versions) => versions,
        };
        if let [only] = versions.as_slice() {
            return Ok(Some(*only));
        }
        let key: Arc<ApiKey> = self.keyring.load(realm, key, &caller.authority).await?;
        matching(&versions, key.version).map(Some)
    }

    /// Says which key it is whose tokens a change would end or revive.
    fn naming(&self, realm: Realm, key: &KeyRef, denied: Denied) -> Problem {
        if let Denied::Refused(Refusal::TokensAffected { affected }) = denied {
            let known = self.catalog.find(realm, key).map(|key| (key.id, key.name));
            return Problem::tokens_affected(affected, known.into_iter().collect());
        }
        denied.into()
    }
}

/// The version `current`, if it is among those that were asked for.
pub fn matching(versions: &[Version], current: Version) -> Result<Version, Problem> {
    if versions.contains(&current) {
        return Ok(current);
    }
    Err(Problem::new(Code::VersionMismatch, format!("it is at version {} now", current.0)))
}
