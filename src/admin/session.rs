//! Who is calling: from an administrator's token to what he may do.
//!
//! Promises: a refused token is refused without a reason that the caller could learn.
//! Deliberately does not: look at a request.

use std::net::IpAddr;

use super::permission::Permission;
use crate::domain::{Actor, Digest, KeyId, Secret, Timestamp};
use crate::index::Index;

/// An administrator whose token has been accepted.
#[derive(Clone, Debug)]
pub struct Administrator {
    /// His key's id.
    pub id: KeyId,
    /// Under which name the audit log knows him.
    pub name: Actor,
    /// What he may do.
    pub permissions: Vec<Permission>,
}

impl Administrator {
    /// Whether he may do one of `wanted`.
    pub fn may(&self, wanted: &[Permission]) -> bool {
        wanted.iter().any(|permission| self.permissions.contains(permission))
    }
}

/// The token is not an accepted administrator's token, for whichever reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rejected;

/// Admits whoever carries `token` at `now`, coming from `address`.
pub fn admit(index: &Index, token: &str, address: Option<IpAddr>, now: Timestamp) -> Result<Administrator, Rejected> {
    if !Secret::LENGTHS.contains(&token.len()) {
        return Err(Rejected);
    }
    let pass = index.find(&Digest::of(token.as_bytes())).ok_or(Rejected)?;
    let from_here = address.is_none_or(|address| pass.is_allowed_from(address));
    if !pass.is_active() || !from_here || pass.judge(now, &index.settings()).is_err() {
        return Err(Rejected);
    }
    Ok(Administrator {
        id: pass.key(),
        name: Actor::named(pass.name().as_str()),
        permissions: pass.roles().iter().filter_map(Permission::of).collect(),
    })
}
