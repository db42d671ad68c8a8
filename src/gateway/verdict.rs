//! The verdict: whether one request may pass, and as whom.
//!
//! Promises: nothing is forwarded without a [`Permit`], and only [`judge`] makes one; it reads memory and waits for
//! nothing; refusals come in the order of the table in `docs/gateway.md`.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderMap, Method};

use crate::config::Auth;
use crate::domain::name::fold;
use crate::domain::{EndReason, KeyName, Slot, Timestamp};
use crate::index::{Index, Pass};

use super::credential::Presented;
use super::refusal::Refusal;
use super::route::Route;

/// The proof that a request may pass. Private fields: only this module makes one.
pub struct Permit(Option<Holder>);

/// Whom a permit was given to.
#[derive(Clone)]
pub struct Holder {
    pass: Arc<Pass>,
    slot: Slot,
}

impl Permit {
    /// Whom it was given to; `None`: anonymous.
    pub fn holder(&self) -> Option<&Holder> {
        self.0.as_ref()
    }
}

impl Holder {
    /// What is known of the token.
    pub fn pass(&self) -> &Arc<Pass> {
        &self.pass
    }

    /// Which of its key's tokens it is.
    pub fn slot(&self) -> Slot {
        self.slot
    }
}

/// Judges what was `presented` on `route` from `address` at `now`.
pub fn judge<V: AsRef<[u8]>>(
    presented: &Presented<V>,
    route: &Route,
    address: IpAddr,
    now: Timestamp,
    index: &Index,
) -> Result<Permit, Refusal> {
    match route.auth {
        Auth::None => return Ok(Permit(None)),
        Auth::Optional | Auth::Required => {}
    }
    let settings = index.settings();
    if matches!((presented, route.auth), (Presented::None, Auth::Optional)) {
        return Ok(Permit(None));
    }
    let digest = presented.digest(&settings.prefixes)?;
    let pass = index.find(&digest).ok_or(Refusal::CredentialInvalid)?;
    if !pass.is_active() || !pass.is_allowed_from(address) || !belongs(presented, &pass) {
        return Err(Refusal::CredentialInvalid);
    }
    let slot = pass.judge(now, &settings).map_err(|reason| match reason {
        EndReason::Superseded => {
            index.note_superseded(&pass, address, now);
            Refusal::TokenSuperseded
        }
        EndReason::Expired => Refusal::TokenExpired,
    })?;
    if !suffices(route, &pass) {
        return Err(Refusal::RoleMissing);
    }
    Ok(Permit(Some(Holder { pass, slot })))
}

/// Lets a CORS preflight pass without a credential, anonymous, where the route says so: browsers send none.
pub fn preflight(presented: &Presented, route: &Route, method: &Method, headers: &HeaderMap) -> Option<Permit> {
    let passes =
        route.preflight && matches!(presented, Presented::None) && asked_by_preflight(method, headers).is_some();
    passes.then_some(Permit(None))
}

/// The method that a CORS preflight asks about (Fetch §4.8); `None`: it is none.
pub fn asked_by_preflight(method: &Method, headers: &HeaderMap) -> Option<Method> {
    let asked = (method == Method::OPTIONS && headers.contains_key(ORIGIN)).then_some(headers)?;
    Method::from_bytes(asked.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

/// Judges again, at `now`, whom a permit was given to before on `route` from `address`: the answer of a new request.
pub fn judge_again(
    holder: &Holder,
    route: &Route,
    address: IpAddr,
    now: Timestamp,
    index: &Index,
) -> Result<(), Refusal> {
    let pass = index.find(holder.pass.digest()).ok_or(Refusal::CredentialInvalid)?;
    if pass.key() != holder.pass.key() {
        return Err(Refusal::CredentialInvalid);
    }
    if !pass.is_active() || !pass.is_allowed_from(address) {
        return Err(Refusal::CredentialInvalid);
    }
    match pass.judge(now, &index.settings()) {
        Ok(_) if suffices(route, &pass) => Ok(()),
        Ok(_) => Err(Refusal::RoleMissing),
        Err(EndReason::Superseded) => Err(Refusal::TokenSuperseded),
        Err(EndReason::Expired) => Err(Refusal::TokenExpired),
    }
}

/// Whether the key that a pair names is the token's.
fn belongs<V: AsRef<[u8]>>(presented: &Presented<V>, pass: &Pass) -> bool {
    let Presented::Pair { key, .. } = presented else { return true };
    let Ok(key) = std::str::from_utf8(key.as_ref()) else { return false };
    if key.starts_with("key_") {
        return key.parse() == Ok(pass.key());
    }
    key.parse::<KeyName>().is_ok_and(|name| name.folded() == fold(pass.name()))
}

/// One of `roles` suffices, all of `all_roles` are needed.
fn suffices(route: &Route, pass: &Pass) -> bool {
    let has = |role| pass.roles().contains(role);
    (route.roles.is_empty() || route.roles.iter().any(has)) && route.all_roles.iter().all(has)
}
