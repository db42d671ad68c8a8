//! Who the caller is, as the backend learns it.
//!
//! Promises: the values are made once per key, not per request; setting them copies no text.
//! Deliberately does not: remove what a client sent under these names, which [`super::sanitise_request`] has done.

use std::collections::BTreeSet;

use http::header::InvalidHeaderValue;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::{KeyId, KeyName, Role, Slot};

const KEY_ID: HeaderName = HeaderName::from_static("x-relevo-key-id");
const KEY_NAME: HeaderName = HeaderName::from_static("x-relevo-key-name");
const ROLES: HeaderName = HeaderName::from_static("x-relevo-roles");
const TOKEN: HeaderName = HeaderName::from_static("x-relevo-token");

/// Everything outside `[A-Za-z0-9._~-]`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'~').remove(b'-');

/// A key's identity in the form of header values.
#[derive(Clone, Debug)]
pub struct Identity {
    key_id: HeaderValue,
    key_name: HeaderValue,
    roles: HeaderValue,
}

impl Identity {
    /// The identity of a key. Ids, encoded names and roles are visible ASCII, so the error does not occur; it is
    /// returned because a request without identity must not go on in silence.
    pub fn of(id: KeyId, name: &KeyName, roles: &BTreeSet<Role>) -> Result<Self, InvalidHeaderValue> {
        let roles: Vec<_> = roles.iter().map(Role::as_str).collect();
        Ok(Self {
            key_id: HeaderValue::try_from(id.to_string())?,
            key_name: HeaderValue::try_from(utf8_percent_encode(name.as_str(), RESERVED).to_string())?,
            roles: HeaderValue::try_from(roles.join(","))?,
        })
    }
}

/// Tells the backend who calls, and with which of the key's tokens. No allocation.
pub fn identify(headers: &mut HeaderMap, identity: &Identity, slot: Slot) {
    headers.insert(KEY_ID, identity.key_id.clone());
    headers.insert(KEY_NAME, identity.key_name.clone());
    headers.insert(ROLES, identity.roles.clone());
    headers.insert(TOKEN, HeaderValue::from_static(slot.as_str()));
}
