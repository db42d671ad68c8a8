//! How keys, settings and audit events are written as bytes, and read back.
//!
//! A record is a format version (one byte), a body, and a CRC-32 of both (four bytes, little-endian). The body of
//! keys and settings is postcard of the structs of that version, that of an event is JSON, to stay readable.
//! Promises: what is read is what was written, or [`Damaged`]: every checksum is compared first, and every value
//! goes through the domain's own constructors. A version that is not known is never guessed at.
//! Deliberately does not: know where a record is kept. `docs/store-format.md` is its description.

mod administrator;
mod key;
mod limits;
mod own;
mod settings;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::{ApiKey, Event, KeyId, RecordHash, Settings};

const V1: u8 = 1;
/// Of keys that have limits of their own, and of events, which hold the hash of the one before.
const V2: u8 = 2;
/// Of administrators who are limited to a role.
const V3: u8 = 3;
/// Of keys that may look after themselves.
const V4: u8 = 4;
const CHECK_BYTES: usize = 4;

/// Why bytes are not a record.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Damaged(String);

impl Damaged {
    pub(in crate::store) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// The field `name` holds what the domain does not allow.
    fn field(name: &str, why: &impl std::fmt::Display) -> Self {
        Self(format!("its {name} {why}"))
    }
}

/// The record of `key`: about 120 bytes for a plain key.
pub fn encode_key(key: &ApiKey) -> Vec<u8> {
    match (&key.limits, &key.limited_to_role) {
        _ if key.self_service => frame(postcard_of(V4, &own::KeyV4::from(key))),
        (None, None) => frame(postcard_of(V1, &key::KeyV1::from(key))),
        (Some(limits), None) => frame(postcard_of(V2, &limits::KeyV2::of(key, limits))),
        (_, Some(role)) => frame(postcard_of(V3, &administrator::KeyV3::of(key, role))),
    }
}

/// The key in `record`.
pub fn decode_key(record: &[u8]) -> Result<ApiKey, Damaged> {
    match unframe(record)? {
        (V1, body) => from_postcard::<key::KeyV1>(body)?.try_into(),
        (V2, body) => from_postcard::<limits::KeyV2>(body)?.try_into(),
        (V3, body) => from_postcard::<administrator::KeyV3>(body)?.try_into(),
        (V4, body) => from_postcard::<own::KeyV4>(body)?.try_into(),
        (version, _) => Err(unknown(version, V4)),
    }
}

/// The id of the key in `record`, without a look at the rest: for a record that was encoded in this process.
pub fn key_id(record: &[u8]) -> Option<KeyId> {
    let (_version, body) = record.split_first()?; // postcard writes the first field, sixteen bytes, as they are
    body.first_chunk().map(|id| KeyId::from_bits(u128::from_be_bytes(*id)))
}

/// The record of `settings`.
pub fn encode_settings(settings: &Settings) -> Vec<u8> {
    frame(postcard_of(V1, &settings::SettingsV1::from(settings)))
}

/// The settings in `record`.
pub fn decode_settings(record: &[u8]) -> Result<Settings, Damaged> {
    match unframe(record)? {
        (V1, body) => from_postcard::<settings::SettingsV1>(body)?.try_into(),
        (version, _) => Err(unknown(version, V1)),
    }
}

/// The record of `event`.
pub fn encode_event(event: &Event) -> Result<Vec<u8>, Damaged> {
    let mut record = vec![V2];
    serde_json::to_writer(&mut record, event).map_err(|e| Damaged(format!("its JSON cannot be written: {e}")))?;
    Ok(seal(record))
}

/// The event in `record`.
pub fn decode_event(record: &[u8]) -> Result<Event, Damaged> {
    serde_json::from_slice(event_line(record)?).map_err(|e| Damaged(format!("its JSON is not an event: {e}")))
}

/// The JSON of the event in `record`, byte for byte: what the hash of it is made of.
pub fn event_line(record: &[u8]) -> Result<&[u8], Damaged> {
    match unframe(record)? {
        (V2, line) => Ok(line),
        (V1, _) => Err(Damaged::new("it is of the time before the chain, and was not brought into it")),
        (version, _) => Err(unknown(version, V2)),
    }
}

/// The event in `record`, which is of version 1, as one of version 2 behind an event of this hash.
pub fn chain_event(record: &[u8], previous: RecordHash) -> Result<Vec<u8>, Damaged> {
    let body = match unframe(record)? {
        (V1, body) => body,
        (version, _) => return Err(Damaged(format!("its format version is {version}, and 1 was expected"))),
    };
    let open = body.strip_suffix(b"}").ok_or_else(|| Damaged::new("its JSON is not an object"))?;
    let chained = [&[V2], open, format!(",\"previous\":\"{previous}\"}}").as_bytes()].concat();
    let record = seal(chained);
    decode_event(&record).map(|_| record)
}

fn postcard_of(version: u8, body: &impl Serialize) -> Vec<u8> {
    // The structs hold nothing that postcard refuses and a Vec takes every byte; an empty body would not decode.
    postcard::to_extend(body, vec![version]).unwrap_or_else(|_| vec![version])
}

fn from_postcard<T: DeserializeOwned>(body: &[u8]) -> Result<T, Damaged> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(Damaged(format!("{} bytes are left over after its last field", rest.len()))),
        Err(e) => Err(Damaged(format!("its fields cannot be read: {e}"))),
    }
}

fn frame(versioned_body: Vec<u8>) -> Vec<u8> {
    let mut record = seal(versioned_body);
    record.shrink_to_fit(); // the catalogue keeps it in memory
    record
}

/// `bytes` with their CRC-32 behind them.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let check = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

/// The version and the body of `record`, its checksum compared.
fn unframe(record: &[u8]) -> Result<(u8, &[u8]), Damaged> {
    let (checked, check) = record.split_last_chunk::<CHECK_BYTES>().ok_or_else(|| Damaged::new("it is cut short"))?;
    if crc32fast::hash(checked).to_le_bytes() != *check {
        return Err(Damaged::new("its checksum is wrong"));
    }
    let (version, body) = checked.split_first().ok_or_else(|| Damaged::new("it is cut short"))?;
    Ok((*version, body))
}

fn unknown(version: u8, newest: u8) -> Damaged {
    Damaged(format!("its format version is {version}, and {newest} is the newest that is known here"))
}
