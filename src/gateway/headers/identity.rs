//! Who the caller is, as the backend learns it.
//!
//! Promises: setting the headers copies no text.
//! Deliberately does not: remove what a client sent under these names, which [`super::sanitise_request`] has done.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::Slot;
use crate::index::Identity;

const KEY_ID: HeaderName = HeaderName::from_static("x-relevo-key-id");
const KEY_NAME: HeaderName = HeaderName::from_static("x-relevo-key-name");
const ROLES: HeaderName = HeaderName::from_static("x-relevo-roles");
const TOKEN: HeaderName = HeaderName::from_static("x-relevo-token");

/// Tells the backend who calls, and with which of the key's tokens. No allocation.
pub fn identify(headers: &mut HeaderMap, identity: Identity, slot: Slot) {
    headers.insert(KEY_ID, identity.key_id);
    headers.insert(KEY_NAME, identity.key_name);
    headers.insert(ROLES, identity.roles);
    headers.insert(TOKEN, HeaderValue::from_static(slot.as_str()));
}
