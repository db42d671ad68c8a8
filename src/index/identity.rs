//! How a backend learns the caller.
//!
//! Promises: what is written is visible ASCII, whatever the key is called.
//! Deliberately does not: know which headers a client has sent.

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use crate::domain::{KeyId, Role};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'~').remove(b'-');

/// The headers by which a backend learns the caller, ready to be set.
pub struct Identity {
    /// `X-Relevo-Key-Id`
    pub key_id: HeaderValue,
    /// `X-Relevo-Key-Name`, percent-encoded outside `[A-Za-z0-9._~-]`
    pub key_name: HeaderValue,
    /// `X-Relevo-Roles`, comma-separated
    pub roles: HeaderValue,
}

impl Identity {
    /// The identity of the key with this id, name and roles. Its texts are one piece of memory.
    pub fn of<'a>(key: KeyId, name: &str, roles: impl IntoIterator<Item = &'a Role>) -> Self {
        let mut text = BytesMut::with_capacity(128);
        write_key_id(key, &mut text);
        let key_end = text.len();
        write_key_name(name, &mut text);
        let name_end = text.len();
        write_roles(roles, &mut text);
        let text = text.freeze();
        let [key_id, key_name, roles] =
            [0..key_end, key_end..name_end, name_end..text.len()].map(|part| header(text.slice(part)));
        Self { key_id, key_name, roles }
    }
}

pub(super) fn write_key_id(key: KeyId, text: &mut impl BufMut) {
    let mut digits = [0; 32];
    hex::encode_to_slice(key.as_bits().to_be_bytes(), &mut digits).unwrap_or_default(); // they fit
    text.put_slice(b"key_");
    text.put_slice(&digits);
}

pub(super) fn write_key_name(name: &str, text: &mut impl BufMut) {
    percent_encoding::utf8_percent_encode(name, RESERVED).for_each(|part| text.put_slice(part.as_bytes()));
}

pub(super) fn write_roles<'a>(roles: impl IntoIterator<Item = &'a Role>, text: &mut impl BufMut) {
    for (at, role) in roles.into_iter().enumerate() {
        if at > 0 {
            text.put_u8(b',');
        }
        text.put_slice(role.as_str().as_bytes());
    }
}

/// Ids, encoded names and roles are visible ASCII, so the empty value is never taken.
fn header(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).unwrap_or(HeaderValue::from_static(""))
}
